//! Who signs what is said about an image: a key file, or a program of the user's. Start at [`Signer::sign`].
//!
//! A program gets the bytes to be signed on its standard input (the pre-authentication encoding of DSSE) and answers the
//! signature on its standard output, raw or in base64. No shell is between: who wants one names it.

use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use unheck_attest::dsse::{
    SignError, SigningKey, VerifyingKey, envelope, pre_authentication, readings,
};

use crate::explain::{Class, Explain};
use crate::input::split_words;

/// How long a program may take: somebody may have to touch a device.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest answer, and longest text on standard error that is shown, in bytes.
const MAX_ANSWER: u64 = 64 << 10;
/// How often it is looked whether the program has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Who signs.
#[derive(Debug)]
pub enum Signer {
    /// A key.
    Key(SigningKey),
    /// A program.
    Command(SignCommand),
}

/// A program that signs.
#[derive(Debug, Clone)]
pub struct SignCommand {
    words: Vec<String>,
    /// The public key, by which each signature is checked before it is used.
    pub public: Option<VerifyingKey>,
    /// What the envelope calls the key where the public key is not known.
    pub key_id: Option<String>,
}

/// A program did not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignCommandError {
    /// The command line is none.
    #[error("`{0}` is no command line: it is empty, or a quote stays open")]
    Words(String),
    /// It cannot be started.
    #[error("cannot start the signing command `{program}`")]
    Start {
        /// Its first word.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It did not take or give bytes.
    #[error("cannot speak with the signing command `{program}`")]
    Speak {
        /// Its first word.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("the signing command `{program}` ended with {status}{said}")]
    Failed {
        /// Its first word.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, behind a colon.
        said: String,
    },
    /// It did not end.
    #[error("the signing command `{program}` did not end in {} seconds, so it was killed{said}", PATIENCE.as_secs())]
    Late {
        /// Its first word.
        program: String,
        /// What it said, behind a colon.
        said: String,
    },
    /// It answered nothing.
    #[error("the signing command `{program}` answered no signature{said}")]
    Empty {
        /// Its first word.
        program: String,
        /// What it said, behind a colon.
        said: String,
    },
    /// It answered something else.
    #[error(
        "what the signing command `{program}` answered is no signature of the public key {key}"
    )]
    OtherKey {
        /// Its first word.
        program: String,
        /// The id of the key.
        key: String,
    },
    /// The envelope cannot be written.
    #[error("cannot sign")]
    Sign(#[from] SignError),
}

impl Explain for SignCommandError {
    fn class(&self) -> Class {
        match self {
            Self::Words(_) | Self::OtherKey { .. } => Class::Input,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => Class::Input,
            Self::Sign(_) => Class::Bug,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Words(_) | Self::Start { .. } => vec!["name a program with its arguments: `--sign-command 'openssl dgst -sha256 -sign key.pem'`; a shell is one too: `--sign-command 'sh -c \"…\"'`".to_owned()],
            Self::OtherKey { .. } => vec!["give the public key that belongs to the command: `--sign-public-key FILE`; P-256 signs the SHA-256 of the bytes, Ed25519 the bytes themselves".to_owned()],
            Self::Failed { .. } | Self::Empty { .. } | Self::Late { .. } => vec!["try it alone: it gets bytes on standard input and must write the signature to standard output".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Signer {
    /// An envelope around `payload`.
    ///
    /// # Errors
    /// [`SignCommandError`].
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> Result<Vec<u8>, SignCommandError> {
        match self {
            Self::Key(key) => Ok(key.sign(payload_type, payload)?),
            Self::Command(command) => command.sign(payload_type, payload),
        }
    }
}

impl SignCommand {
    /// A program from a command line with the quoting of POSIX sh, without expansions.
    ///
    /// # Errors
    /// [`SignCommandError::Words`].
    pub fn parse(text: &str) -> Result<Self, SignCommandError> {
        let words =
            split_words(text).filter(|words| words.first().is_some_and(|word| !word.is_empty()));
        let wrong = || SignCommandError::Words(text.chars().take(200).collect());
        Ok(Self {
            words: words.ok_or_else(wrong)?,
            public: None,
            key_id: None,
        })
    }

    /// Its first word.
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    fn sign(&self, payload_type: &str, payload: &[u8]) -> Result<Vec<u8>, SignCommandError> {
        let message = pre_authentication(payload_type, payload);
        let program = self.program().to_owned();
        let (answer, said) = self.ask(&message)?;
        if answer.iter().all(u8::is_ascii_whitespace) {
            return Err(SignCommandError::Empty { program, said });
        }
        let all = readings(&answer);
        let (signature, key_id) = match &self.public {
            Some(key) => {
                let found = all.iter().find_map(|one| key.accept(&message, one));
                let other = || SignCommandError::OtherKey {
                    program,
                    key: key.id(),
                };
                (found.ok_or_else(other)?, key.id())
            }
            None => (
                all.into_iter().next().unwrap_or_default(),
                self.key_id.clone().unwrap_or_default(),
            ),
        };
        Ok(envelope((payload_type, payload), &signature, &key_id)?)
    }

    /// What the program answers to `message`, and what it says, behind a colon.
    fn ask(&self, message: &[u8]) -> Result<(Vec<u8>, String), SignCommandError> {
        let program = self.program().to_owned();
        let spoken = |source| SignCommandError::Speak {
            program: self.program().to_owned(),
            source,
        };
        let mut command = Command::new(&program);
        command.args(&self.words[1..]).process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| SignCommandError::Start {
            program: program.clone(),
            source,
        })?;
        let (mut input, output, talk) =
            match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
                (Some(input), Some(output), Some(talk)) => (input, output, talk),
                _ => return Err(spoken(io::ErrorKind::BrokenPipe.into())),
            };
        let message = message.to_vec();
        // Threads of their own: a program may answer before it has read everything, and who outlives it may keep the
        // ends open.
        let (sender, receiver) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || match input.write_all(&message) {
            // It may know enough, or have failed, which its exit code says better.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        });
        for (place, stream) in [
            (0, Box::new(output) as Box<dyn Read + Send>),
            (1, Box::new(talk)),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || drop(sender.send((place, bounded(stream)))));
        }
        drop(sender);
        let begun = Instant::now();
        let status = wait(&mut child, begun).map_err(spoken)?;
        let mut heard = [Ok(Vec::new()), Ok(Vec::new())];
        let left = || PATIENCE.saturating_sub(begun.elapsed()).max(PAUSE * 5);
        while let Ok((place, bytes)) = receiver.recv_timeout(left()) {
            heard[place] = bytes;
        }
        let [answer, talk] = heard;
        let said = said(&talk.map_err(spoken)?);
        let answer = answer.map_err(spoken)?;
        let Some(status) = status else {
            return Err(SignCommandError::Late { program, said });
        };
        if !status.success() {
            return Err(SignCommandError::Failed {
                program,
                status,
                said,
            });
        }
        writer.join().unwrap_or(Ok(())).map_err(spoken)?;
        Ok((answer, said))
    }
}

/// The end of a program; nothing where it had to be killed, with all that it started.
fn wait(child: &mut Child, begun: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= PATIENCE {
            let group = i32::try_from(child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                // It may be gone just now.
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

fn bounded(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(io::Error::other(format!(
            "it answers more than {MAX_ANSWER} bytes"
        )));
    }
    Ok(bytes)
}

fn said(talk: &[u8]) -> String {
    let text = String::from_utf8_lossy(talk);
    let text = text.trim();
    match text.is_empty() {
        true => String::new(),
        false => format!(":\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(command: &str) -> String {
        let signer = SignCommand::parse(command).map(Signer::Command);
        let error = signer
            .and_then(|signer| signer.sign("t", b"payload"))
            .unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_program_that_does_not_sign_is_told_with_what_it_said() {
        assert_eq!(
            refused(" "),
            "` ` is no command line: it is empty, or a quote stays open"
        );
        assert_eq!(
            refused("unheck-no-such-program -x"),
            "cannot start the signing command `unheck-no-such-program`"
        );
        assert_eq!(
            refused("sh -c 'echo no device >&2; exit 3'"),
            "the signing command `sh` ended with exit status: 3:\nno device"
        );
        assert_eq!(
            refused("sh -c 'cat > /dev/null'"),
            "the signing command `sh` answered no signature"
        );
        assert_eq!(
            refused("yes"),
            "cannot speak with the signing command `yes`"
        );
    }

    #[test]
    fn without_a_public_key_the_answer_is_taken_as_it_is() {
        let mut command = SignCommand::parse("sh -c 'printf %064d 7'").unwrap();
        command.key_id = Some("hsm-1".to_owned());
        let envelope = Signer::Command(command).sign("t", b"payload").unwrap();
        let text = String::from_utf8(envelope).unwrap();
        assert!(text.contains("\"keyid\":\"hsm-1\""), "{text}");
    }
}
