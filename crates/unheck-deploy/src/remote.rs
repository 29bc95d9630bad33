//! A session with the far side: [`Session::open`], then [`Session::call`].
//!
//! The far side is `remote.sh`, evaluated by whatever POSIX shell the host has. The login shell sees
//! one fixed command line; the program comes over standard input, compressed, and after it verbs and
//! their arguments, a line each. So no value is ever quoted for a shell. Answers are bounded, and
//! begin with a mark that no shell's greeting has.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{HostError, Refusal};
use crate::transport::Transport;

/// The far side's program.
const PROGRAM: &str = include_str!("remote.sh");
/// The functions of it that a session needs which only sends a stream: the others would travel for nothing.
const STREAM: [&str; 12] = [
    "data",
    "held",
    "leave",
    "no",
    "try",
    "unpack",
    "verb_and",
    "verb_hello",
    "verb_links",
    "verb_open",
    "verb_receive",
    "yes",
];
/// Longest line of an answer in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Most lines of an answer.
const MAX_LINES: usize = 1 << 20;
/// Most bytes that a host's greeting may have before the first answer.
const MAX_GREETING: usize = 64 << 10;
/// Most bytes of standard error that are kept.
const MAX_SAID: u64 = 4 << 10;

/// A session with a host.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
    program: String,
    /// Bytes written to it.
    pub(crate) sent: u64,
    /// Bytes read from it.
    pub(crate) received: u64,
    /// Times that its answer was waited for.
    pub(crate) round_trips: u64,
    /// Whether something was written since.
    asked: bool,
}

/// A verb with all that belongs to it, to be sent with [`Session::all`].
#[derive(Debug)]
pub(crate) struct Call {
    verb: &'static str,
    request: Vec<u8>,
}

impl Call {
    /// A verb with its arguments.
    ///
    /// # Errors
    /// An argument has a line feed. The configuration and everything else is checked before; this is the last wall.
    pub(crate) fn new(verb: &'static str, arguments: &[&str]) -> Result<Self, HostError> {
        let request = request(verb, arguments)?.into_bytes();
        Ok(Self { verb, request })
    }

    /// A verb with an archive, which must be small: the host reads it byte by byte.
    ///
    /// # Errors
    /// As [`Call::new`].
    pub(crate) fn archive(
        verb: &'static str,
        argument: &str,
        archive: &[u8],
    ) -> Result<Self, HostError> {
        let mut call = Self::new(verb, &[argument, &archive.len().to_string()])?;
        call.request.extend_from_slice(archive);
        Ok(call)
    }
}

fn request(verb: &str, arguments: &[&str]) -> Result<String, HostError> {
    if arguments.iter().any(|argument| argument.contains('\n')) {
        return Err(HostError::Nonsense {
            step: verb.to_owned(),
            answer: "an argument of two lines".to_owned(),
        });
    }
    Ok([&[verb], arguments, &[""]].concat().join("\n"))
}

/// Each call but the first on condition that the one before it is carried out.
fn together<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<u8> {
    let mut requests = Vec::new();
    for call in calls {
        if !requests.is_empty() {
            requests.extend(format!("and\n{}\n", call.request.len()).bytes());
        }
        requests.extend_from_slice(&call.request);
    }
    requests
}

/// An answer: data, or a refusal.
type Answer = Result<Vec<String>, HostError>;

impl Session {
    /// Starts the far side and greets it.
    ///
    /// # Errors
    /// The client cannot be started, or the host does not answer as a shell does.
    pub(crate) fn open(way: &dyn Transport) -> Result<Self, HostError> {
        Self::with(way, packed(PROGRAM, |_| true))
    }

    /// The same for a session that only calls [`Session::stream`].
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(crate) fn open_stream(way: &dyn Transport) -> Result<Self, HostError> {
        Self::with(way, packed(PROGRAM, |name| STREAM.contains(&name)))
    }

    fn with(way: &dyn Transport, program: Vec<u8>) -> Result<Self, HostError> {
        let failed = |source| HostError::Start {
            program: way.program(),
            source,
        };
        // Nothing but what every login shell reads the same way.
        let command = format!(
            "exec sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null | gzip -dc)\"'",
            program.len()
        );
        let mut child = way.start(&command).map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = stdout.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut session = Self {
            // Read at once, so that no flood of it can hold up the session.
            stderr: child
                .stderr
                .take()
                .map(|stderr| std::thread::spawn(move || drain(Some(stderr)))),
            child,
            stdin,
            stdout: BufReader::new(stdout),
            program: way.program(),
            sent: 0,
            received: 0,
            round_trips: 0,
            asked: false,
        };
        match session.write(&program, "the first contact") {
            // Why is on standard error, which the first call reads.
            Ok(()) | Err(HostError::Broken { .. }) => Ok(session),
            Err(error) => Err(error),
        }
    }

    /// The first call, with others that travel with it: what the host says before its answer (greetings of its shell) is
    /// passed over. Its own answer, and theirs.
    ///
    /// # Errors
    /// The host does not answer as a shell does, or lacks tools; as [`Session::all`].
    pub(crate) fn hello(
        &mut self,
        calls: &[Call],
    ) -> Result<(Vec<String>, Vec<Vec<String>>), HostError> {
        let hello = Call::new("hello", &[])?;
        match self.write(&together([&hello].into_iter().chain(calls)), "hello") {
            // Why is on standard error.
            Ok(()) | Err(HostError::Broken { .. }) => {}
            Err(error) => return Err(error),
        }
        let first = self.greeted()?;
        let facts = self.rest("hello", first)?;
        Ok((facts, self.answers(calls)?))
    }

    /// The first line that is no greeting.
    fn greeted(&mut self) -> Result<String, HostError> {
        let mut greeting = Vec::new();
        loop {
            let line = match self.line("hello") {
                Ok(line) => line,
                Err(HostError::Broken { said, .. }) => {
                    let greeting = String::from_utf8_lossy(&greeting).trim().to_owned();
                    let said = said.trim_start_matches(": ").to_owned();
                    let words = [said, greeting].into_iter().find(|text| !text.is_empty());
                    let silent = || format!("`{}` ended without a word", self.program);
                    return Err(HostError::Greeting {
                        said: words.unwrap_or_else(silent),
                    });
                }
                Err(error) => return Err(error),
            };
            if line.starts_with("-machine ") || line.starts_with('!') {
                return Ok(line);
            }
            greeting.extend(line.bytes().chain([b'\n']));
            if greeting.len() > MAX_GREETING {
                let said = "it prints without end before it answers".to_owned();
                return Err(HostError::Greeting { said });
            }
        }
    }

    /// Calls a verb with its arguments, none of which may have a line feed.
    ///
    /// # Errors
    /// The host refuses, answers nonsense, or is gone.
    pub(crate) fn call(&mut self, verb: &str, arguments: &[&str]) -> Answer {
        self.write(request(verb, arguments)?.as_bytes(), verb)?;
        let first = self.line(verb)?;
        self.rest(verb, first)
    }

    /// Calls that travel together, so that their answers are waited for once: each is carried out only if the one before
    /// it was. Nothing is read before all are written, so either they or their answers, but for the last, must be less
    /// than a pipe holds. Their answers, in their order.
    ///
    /// # Errors
    /// As [`Session::call`], of the first that fails.
    pub(crate) fn all(&mut self, calls: &[Call]) -> Result<Vec<Vec<String>>, HostError> {
        let step = calls.first().map_or("", |call| call.verb);
        match self.write(&together(calls), step) {
            // The far side stopped reading: its answer says why.
            Ok(()) | Err(HostError::Broken { .. }) => {}
            Err(error) => return Err(error),
        }
        self.answers(calls)
    }

    fn answers(&mut self, calls: &[Call]) -> Result<Vec<Vec<String>>, HostError> {
        let answers = calls.iter().map(|call| {
            let first = self.line(call.verb)?;
            self.rest(call.verb, first)
        });
        answers.collect()
    }

    /// Sends a stream after a verb, to its end, and reads the answer. The session is over then; what it counted is left.
    ///
    /// # Errors
    /// As [`Session::call`]; whatever `write` answers.
    pub(crate) fn stream(
        mut self,
        verb: &str,
        argument: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), HostError>,
    ) -> Result<Self, HostError> {
        self.write(request(verb, &[argument, "all"])?.as_bytes(), verb)?;
        let mut counted = Counted {
            inner: self.stdin.take(),
            written: 0,
        };
        let written = write(&mut counted);
        self.sent += counted.written;
        drop(counted);
        match written {
            // The far side stopped reading: its answer says why.
            Ok(()) | Err(HostError::Broken { .. }) => {}
            Err(error) => return Err(error),
        }
        let first = self.line(verb)?;
        self.rest(verb, first)?;
        written?;
        Ok(self)
    }

    fn rest(&mut self, verb: &str, first: String) -> Answer {
        let mut data = Vec::new();
        let mut line = first;
        loop {
            if let Some(text) = line.strip_prefix('-') {
                if data.len() >= MAX_LINES {
                    return Err(self.nonsense(verb, "an answer without end"));
                }
                data.push(text.to_owned());
            } else if line == "+" {
                return Ok(data);
            } else if let Some(text) = line.strip_prefix('!') {
                let (code, said) = text.split_once(' ').unwrap_or((text, ""));
                return Err(HostError::Refused {
                    refusal: Refusal::parse(code),
                    said: said.trim().to_owned(),
                });
            } else {
                return Err(self.nonsense(verb, &line));
            }
            line = self.line(verb)?;
        }
    }

    fn line(&mut self, verb: &str) -> Result<String, HostError> {
        self.round_trips += u64::from(std::mem::take(&mut self.asked));
        let mut line = Vec::new();
        let read = (&mut self.stdout)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line);
        self.received += line.len() as u64;
        match read {
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            Ok(_) if line.len() as u64 == MAX_LINE => {
                Err(self.nonsense(verb, "a line without end"))
            }
            _ => Err(self.broken(verb)),
        }
    }

    fn write(&mut self, bytes: &[u8], verb: &str) -> Result<(), HostError> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes).and_then(|()| stdin.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        self.asked = true;
        self.sent += bytes.len() as u64;
        written.map_err(|_| HostError::Broken {
            step: verb.to_owned(),
            said: String::new(),
        })
    }

    fn broken(&mut self, verb: &str) -> HostError {
        let said = self.said();
        HostError::Broken {
            step: verb.to_owned(),
            said: if said.is_empty() {
                said
            } else {
                format!(": {said}")
            },
        }
    }

    fn nonsense(&self, verb: &str, answer: &str) -> HostError {
        HostError::Nonsense {
            step: verb.to_owned(),
            answer: answer.chars().take(200).collect(),
        }
    }

    /// What was said on standard error. The far side is at its end then, so this ends too.
    fn said(&mut self) -> String {
        self.stdin = None;
        let said = self.stderr.take().and_then(|reader| reader.join().ok());
        said.unwrap_or_default()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input ends the far side, which frees the lock and undoes what is not
        // confirmed. It is waited for: whoever comes next finds that done.
        self.stdin = None;
        let rest = io::copy(&mut (&mut self.stdout).take(MAX_LINE), &mut io::sink());
        if !rest.is_ok_and(|rest| rest < MAX_LINE) {
            // It is none of ours, and would not end.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Reads standard error to its end, and keeps a bounded part of it.
pub(crate) fn drain(stderr: Option<ChildStderr>) -> String {
    let mut text = Vec::new();
    if let Some(mut stderr) = stderr {
        // What cannot be read is not said.
        let _ = (&mut stderr).take(MAX_SAID).read_to_end(&mut text);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    let text = String::from_utf8_lossy(&text);
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// The program without comments and indentation, and with those of its functions alone that are `needed`, compressed. A function
/// begins with a line `NAME() {` and ends on it or with the next line `}`.
fn packed(program: &str, needed: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut code = Vec::new();
    let mut left_out = false;
    for line in program.lines() {
        if left_out {
            left_out = line != "}";
            continue;
        }
        if line.trim_start().starts_with('#') {
            continue;
        }
        let name = line.split_once("() {").map(|(name, _)| name);
        let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        match name.filter(is_name) {
            Some(name) if !needed(name) => left_out = !line.ends_with('}'),
            _ => code.push(line.trim_start()),
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let text = code.join("\n");
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .expect("memory takes everything")
}

struct Counted {
    inner: Option<ChildStdin>,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Local;

    fn local(shell: &str) -> Local {
        Local {
            name: "here".to_owned(),
            shell: shell.split(' ').map(str::to_owned).collect(),
            environment: vec![(
                "PATH".to_owned(),
                "/usr/bin:/bin:/usr/sbin:/sbin".to_owned(),
            )],
            home: "/".into(),
        }
    }

    #[test]
    fn a_greeting_is_passed_over_and_values_are_never_code() {
        let mut noisy = local("sh");
        noisy.shell = vec![
            "sh".into(),
            "-c".into(),
            "echo Welcome; exec sh -c \"$2\"".into(),
            "x".into(),
        ];
        let mut session = Session::open(&noisy).expect("session");
        let (data, _) = session.hello(&[]).expect("hello");
        assert!(data[0].starts_with("machine "), "{data:?}");
        for value in [
            "/tmp/$(touch /tmp/unheck-evil)",
            "/tmp/'; exit 9; '",
            "/tmp/`x`\\",
        ] {
            let refused = session.call("open", &[value, "no"]).expect_err("absent");
            assert!(refused.to_string().contains(value), "{refused}");
        }
        assert!(!std::path::Path::new("/tmp/unheck-evil").exists());
        let unknown = session.call("rm -rf /", &[]).expect_err("unknown");
        assert!(
            unknown.to_string().contains("there is no rm -rf /"),
            "{unknown}"
        );
        session.hello(&[]).expect("still there");
    }

    #[test]
    fn what_follows_a_refusal_is_passed_over_and_the_session_goes_on() {
        let temp = tempfile::tempdir().expect("temp");
        let place = temp.path().join("releases");
        let place = place.to_str().expect("UTF-8");
        let mut way = local("sh");
        way.home = temp.path().to_owned();
        let mut session = Session::open(&way).expect("session");
        session.hello(&[]).expect("hello");
        let call = |verb, arguments: &[&str]| Call::new(verb, arguments).expect("a call");
        // The home is no place for a lock; and what is passed over holds lines that are verbs.
        let refused = session.all(&[
            call("open", &[place, "no"]),
            call("lock", &["ada", "no"]),
            Call::archive("receive", "none", b"hello\nopen\n\0\xff").expect("a call"),
            call("have", &["hello", "é", ""]),
            call("audit", &["lock"]),
        ]);
        let refused = refused.expect_err("absent").to_string();
        assert!(refused.contains("holds no releases"), "{refused}");
        let left = fs_err::read_dir(temp.path()).expect("home").count();
        assert_eq!((left, session.round_trips), (0, 2));
        let answers = session.all(&[
            call("open", &[place, "yes"]),
            call("lock", &["ada", "no"]),
            call("audit", &["a line"]),
            call("have", &["0a", ""]),
        ]);
        let answers = answers.expect("answers");
        assert_eq!(
            (answers.len(), &answers[3][..]),
            (4, &["0a".to_owned()][..])
        );
        assert_eq!(session.round_trips, 3);
        let log = std::path::Path::new(place).join("audit.log");
        assert_eq!(fs_err::read_to_string(log).expect("log"), "a line\n");
        assert!(Call::new("audit", &["two\nlines"]).is_err());
    }

    #[test]
    fn a_session_for_a_stream_gets_a_part_of_the_program() {
        let mut session = Session::open_stream(&local("sh")).expect("session");
        session.hello(&[]).expect("hello");
        let absent = session.call("open", &["/no/such/place", "no"]);
        assert!(absent.is_err());
        let refused = session
            .call("receive", &["none", "all"])
            .expect_err("no lock");
        assert!(refused.to_string().contains("the lock"), "{refused}");
        let whole = packed(PROGRAM, |_| true).len();
        let part = packed(PROGRAM, |name| STREAM.contains(&name)).len();
        assert!(part * 2 < whole, "{part} of {whole}");
        for name in STREAM {
            assert!(PROGRAM.contains(&format!("\n{name}() {{")), "{name}");
        }
    }

    #[test]
    fn what_is_no_shell_is_told_in_its_own_words() {
        let refuses = |script: &str| {
            let mut way = local("sh");
            way.shell = vec!["sh".into(), "-c".into(), script.into()];
            Session::open(&way)
                .and_then(|mut session| session.hello(&[]))
                .expect_err("no shell")
                .to_string()
        };
        let text = refuses("echo 'Permission denied (publickey).' >&2; exit 255");
        assert_eq!(
            text,
            "cannot begin a session: Permission denied (publickey)."
        );
        let text = refuses("echo This account is not available");
        assert!(text.ends_with("This account is not available"), "{text}");
        let text = refuses("exit 1");
        assert!(text.contains("ended without a word"), "{text}");
        let text = refuses("yes");
        assert!(text.contains("prints without end"), "{text}");
        let mut way = local("/no/such/shell");
        way.name = "x".to_owned();
        let error = Session::open(&way).expect_err("no program");
        assert!(matches!(error, HostError::Start { .. }), "{error}");
    }
}
