//! Compiles modules by the interpreter in a sandbox, those that the store does not know. Start at
//! [`Compiler::outcomes`].
//!
//! Sources go in as one file, bytecode comes out as one file per worker. A module at which the
//! compiler dies is told apart from those that it did not reach, and those are tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use unheck_base::{Digest, Hasher};
use unheck_sandbox::{Limits, Mount, Outcome as Ended, SandboxError, Spec, Status, Stdio};
use unheck_store::Store;

use super::{BytecodeError, Module, identity, walled};
use crate::assemble::PackReader;
use crate::layout::Layout;
use crate::lock::Target;
use crate::roots::Roots;
use crate::session::Session;

/// The program that runs inside.
pub(super) const COMPILER: &str = include_str!("compiler.py");

/// Longest source that is compiled; longer ones are tables that nobody imports at every start.
pub(super) const MAX_SOURCE: u64 = 8 << 20;

/// Longest bytecode of one module that is taken.
const MAX_BYTECODE: u32 = 64 << 20;

/// Why there is no bytecode where the compiler died; it is tried again the next time.
const LOST: &str = "the compiler did not come back from it";

/// Modules in a row at which the compiler may die.
const MAX_DEATHS: usize = 16;

/// Time for all of it.
const WALL: Duration = Duration::from_secs(1800);

/// Memory for all of it, in bytes.
const MEMORY: u64 = 4 << 30;

/// Digest and length of bytecode, or why there is none.
pub(super) type Outcome = Result<(Digest, u64), String>;

/// The bytes of a module's source.
pub(super) fn source(reader: &PackReader<'_>, module: &Module) -> Result<Vec<u8>, BytecodeError> {
    reader
        .bytes(&module.content, MAX_SOURCE)
        .map_err(|source| BytecodeError::Read {
            path: module.path.clone(),
            source,
        })
}

/// Who compiles.
pub(super) struct Compiler<'a> {
    pub(super) session: &'a Session,
    /// Whose interpreter it is.
    pub(super) runner: &'a Target,
    /// Makes a root with it, once there is anything to compile.
    pub(super) root: &'a dyn Fn() -> Result<Roots, BytecodeError>,
}

impl Compiler<'_> {
    /// The bytecode of each module, in their order. What is known of all of them together is one file.
    pub(super) fn outcomes(&self, modules: &[Module]) -> Result<Vec<Outcome>, BytecodeError> {
        let store = self.session.store();
        let identity = identity(self.runner);
        let mut all = Hasher::new();
        let keys: Vec<Digest> = modules.iter().map(|one| key(&identity, one)).collect();
        for key in &keys {
            all.update(key.hex().as_bytes());
        }
        let all = store.derived("bytecode-all", &all.finish());
        let bytes = all.bytes(64 << 20)?;
        let known = bytes.and_then(|bytes| serde_json::from_slice::<Vec<Outcome>>(&bytes).ok());
        let there = |known: &Vec<Outcome>| known.par_iter().all(|one| is_there(store, one));
        if let Some(known) = known.filter(there) {
            return Ok(known);
        }
        let found = self.one_by_one(modules, &keys)?;
        if found
            .iter()
            .any(|one| one.as_ref().is_err_and(|why| why == LOST))
        {
            return Ok(found);
        }
        all.put_bytes(&serde_json::to_vec(&found).expect("digests, numbers, texts"))?;
        Ok(found)
    }

    fn one_by_one(
        &self,
        modules: &[Module],
        keys: &[Digest],
    ) -> Result<Vec<Outcome>, BytecodeError> {
        let store = self.session.store();
        let known: Vec<Option<Outcome>> = keys
            .par_iter()
            .map(|key| remembered(store, key))
            .collect::<Result<_, _>>()?;
        let missing: Vec<usize> = known
            .iter()
            .enumerate()
            .filter(|(_, known)| known.is_none())
            .map(|(number, _)| number)
            .collect();
        let mut found = if missing.is_empty() {
            BTreeMap::new()
        } else {
            self.compile(modules, &missing)?
        };
        let list = known.into_iter().enumerate().map(|(number, known)| {
            let found = || found.remove(&number);
            known.or_else(found).unwrap_or_else(|| Err(LOST.to_owned()))
        });
        Ok(list.collect())
    }

    /// Compiles the modules with these numbers and keeps what came out.
    fn compile(
        &self,
        modules: &[Module],
        missing: &[usize],
    ) -> Result<BTreeMap<usize, Outcome>, BytecodeError> {
        let Self {
            session, runner, ..
        } = *self;
        let store = session.store();
        let identity = identity(runner);
        let roots = (self.root)()?;
        let mut found: BTreeMap<usize, Outcome> = BTreeMap::new();
        let mut left: Vec<usize> = missing.to_vec();
        let mut deaths = 0;
        while !left.is_empty() {
            let round = Round {
                session,
                runner,
                roots: &roots,
                modules,
                numbers: &left,
                workers: workers(left.len()),
            };
            let ran = round.run()?;
            let limited = matches!(ran.ended.status, Status::LimitHit(_));
            if !ran.started || limited || deaths > MAX_DEATHS {
                return Err(failed(runner, &ran.ended));
            }
            let keep = |(number, answer): (usize, _)| {
                Ok((number, keep(store, &identity, &modules[number], answer)?))
            };
            let kept: Vec<_> = ran
                .answers
                .into_par_iter()
                .map(keep)
                .collect::<Result<_, BytecodeError>>()?;
            found.extend(kept);
            for number in died_at(&left, round.workers, &found) {
                deaths += 1;
                found.insert(number, Err("the compiler died at it".to_owned()));
            }
            left.retain(|number| !found.contains_key(number));
        }
        Ok(found)
    }
}

/// What decides the bytecode of a module.
fn key(identity: &Digest, module: &Module) -> Digest {
    let text = format!("{identity}\0{}\0{}", module.content.digest(), module.path);
    Digest::of(text.as_bytes())
}

fn remembered(store: &Store, key: &Digest) -> Result<Option<Outcome>, BytecodeError> {
    let bytes = store.derived("bytecode", key).bytes(1 << 16)?;
    let outcome = bytes.and_then(|bytes| serde_json::from_slice::<Outcome>(&bytes).ok());
    Ok(outcome.filter(|outcome| is_there(store, outcome)))
}

fn is_there(store: &Store, outcome: &Outcome) -> bool {
    match outcome {
        Ok((digest, len)) => store.size_of(digest) == Some(*len),
        Err(_) => true,
    }
}

/// The modules at which workers died: the first of its own that each did not answer.
fn died_at(numbers: &[usize], workers: usize, found: &BTreeMap<usize, Outcome>) -> BTreeSet<usize> {
    (0..workers)
        .filter_map(|worker| {
            let mut own = numbers.iter().skip(worker).step_by(workers);
            own.find(|number| !found.contains_key(number)).copied()
        })
        .collect()
}

fn failed(runner: &Target, ended: &Ended) -> BytecodeError {
    let status = match ended.status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signaled(signal) => format!("signal {signal}"),
        Status::LimitHit(limit) => format!("it hit the limit `{limit}`"),
    };
    let said = ended.stderr.text();
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    BytecodeError::Failed {
        python: Layout::of(&runner.interpreter).python,
        status,
        said: last.into_iter().rev().collect::<Vec<_>>().join(" | "),
    }
}

fn keep(
    store: &Store,
    identity: &Digest,
    module: &Module,
    answer: Result<Vec<u8>, String>,
) -> Result<Outcome, BytecodeError> {
    let outcome: Outcome = match answer {
        Ok(bytes) => Ok((store.put_bytes(&bytes)?, bytes.len() as u64)),
        Err(why) => Err(why),
    };
    let bytes = serde_json::to_vec(&outcome).expect("a digest, a number, a text");
    store
        .derived("bytecode", &key(identity, module))
        .put_bytes(&bytes)?;
    Ok(outcome)
}

/// One worker per core, and none that has nothing to do.
fn workers(modules: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(modules.div_ceil(8)).clamp(1, 64)
}

/// One run of the compiler.
struct Round<'a> {
    session: &'a Session,
    runner: &'a Target,
    roots: &'a Roots,
    modules: &'a [Module],
    numbers: &'a [usize],
    workers: usize,
}

type Answers = Vec<(usize, Result<Vec<u8>, String>)>;

/// What one run of the compiler left.
struct Ran {
    answers: Answers,
    ended: Ended,
    /// Whether any worker began.
    started: bool,
}

impl Round<'_> {
    fn run(&self) -> Result<Ran, BytecodeError> {
        let scratch = self.session.store().temp_dir()?;
        let (input, out) = (scratch.path().join("in"), scratch.path().join("out"));
        let prepared = self.prepare(&input, &out);
        prepared.map_err(|source| BytecodeError::Scratch {
            path: input.clone(),
            source,
        })?;
        let spec = self.spec(&input, &out);
        let mut ran = Ran {
            answers: Vec::new(),
            ended: self.ended(&spec, (&input, &out))?,
            started: false,
        };
        for worker in 0..self.workers {
            let path = out.join(worker.to_string());
            let frames = match frames(&path) {
                Ok(frames) => frames,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(BytecodeError::Scratch { path, source }),
            };
            ran.started = true;
            let known = |(number, answer)| Some((*self.numbers.get(number)?, answer));
            ran.answers.extend(frames.into_iter().filter_map(known));
        }
        Ok(ran)
    }

    /// Runs in a sandbox; where none is possible, behind the walls that need no namespaces. Nothing of the modules is run,
    /// and the same bytes come out.
    fn ended(&self, spec: &Spec, places: (&Path, &Path)) -> Result<Ended, BytecodeError> {
        let helper = &self.session.helper;
        let why = match unheck_sandbox::run(helper, spec) {
            Err(why @ SandboxError::Unavailable(_)) => why,
            ended => return Ok(ended?),
        };
        let layout = Layout::of(&self.runner.interpreter);
        let Some(walled) = walled::spec(self.roots, &layout, spec, places) else {
            return Err(why.into());
        };
        // A directory from which nothing may be executed is one more reason that it is not possible here.
        let begun = |out: &Path| fs_err::read_dir(out).is_ok_and(|mut made| made.next().is_some());
        match unheck_sandbox::run(helper, &walled) {
            Ok(ended) if ended.status.success() || begun(places.1) => Ok(ended),
            _ => Err(why.into()),
        }
    }

    fn prepare(&self, input: &Path, out: &Path) -> std::io::Result<()> {
        let mode = |path: &Path, mode| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        for directory in [input, out] {
            fs_err::create_dir(directory)?;
        }
        mode(input, 0o755)?;
        // Whoever runs inside may be another user.
        mode(out, 0o777)?;
        let reader = PackReader::new(self.session.store());
        let mut sources = std::io::BufWriter::new(fs_err::File::create(input.join("sources"))?);
        let mut order = Vec::new();
        let mut offset = 0;
        for number in self.numbers {
            let module = &self.modules[*number];
            let bytes = reader.bytes(&module.content, MAX_SOURCE)?;
            sources.write_all(&bytes)?;
            order.extend_from_slice(
                format!("{offset}\0{}\0/{}\0", bytes.len(), module.path).as_bytes(),
            );
            offset += bytes.len();
        }
        sources.flush()?;
        fs_err::write(input.join("order"), order)?;
        fs_err::write(input.join("compiler.py"), COMPILER)?;
        for name in ["sources", "order", "compiler.py"] {
            mode(&input.join(name), 0o644)?;
        }
        Ok(())
    }

    fn spec(&self, input: &Path, out: &Path) -> Spec {
        let layout = Layout::of(&self.runner.interpreter);
        let workers = self.workers.to_string();
        let argv = [
            layout.python.as_str(),
            // Nothing of any site, no bytecode of its own, no warnings about the modules.
            "-S",
            "-s",
            "-B",
            "-W",
            "ignore",
            "/in/compiler.py",
            &workers,
            "/in",
            "/out",
        ];
        let mut spec = Spec::new(self.roots.root(), argv.iter().map(OsString::from).collect());
        let bind = |host: &Path, inside: &str, writable| Mount::Bind {
            host: host.to_owned(),
            inside: PathBuf::from(inside),
            writable,
        };
        spec.mounts = vec![bind(input, "/in", false), bind(out, "/out", true)];
        let fixed = [
            ("PATH", layout.search_path()),
            ("LANG", "C.UTF-8".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            // Until 3.11 the order of frozen sets in bytecode depended on it.
            ("PYTHONHASHSEED", "0".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        spec.env = fixed
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        spec.limits = Limits {
            memory: Some(MEMORY),
            wall: Some(WALL),
            ..Limits::default()
        };
        spec.stdio = Stdio::Capture { limit: 64 << 10 };
        spec
    }
}

/// The frames that a worker wrote; one that was cut off by its death is none.
fn frames(path: &Path) -> std::io::Result<Answers> {
    let mut reader = std::io::BufReader::new(fs_err::File::open(path)?);
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).is_err() {
            return Ok(frames);
        }
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (number, len) = (word(0), word(5));
        if len > MAX_BYTECODE {
            return Ok(frames);
        }
        let mut bytes = vec![0; len as usize];
        if reader.read_exact(&mut bytes).is_err() {
            return Ok(frames);
        }
        let answer = if head[4] == 1 {
            Ok(bytes)
        } else {
            Err(String::from_utf8_lossy(&bytes).into_owned())
        };
        frames.push((number as usize, answer));
    }
}

#[cfg(test)]
mod tests {
    use unheck_base::TreePath;

    use super::*;

    #[test]
    fn a_frame_that_was_cut_off_is_none() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("0");
        let mut bytes = Vec::new();
        for (number, ok, text) in [(3_u32, 1_u8, "code"), (5, 0, "SyntaxError, line 1")] {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.push(ok);
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let expected = vec![
            (3, Ok(b"code".to_vec())),
            (5, Err("SyntaxError, line 1".to_owned())),
        ];
        fs_err::write(&path, &bytes).expect("file");
        assert_eq!(frames(&path).expect("frames"), expected);
        fs_err::write(&path, &bytes[..bytes.len() - 1]).expect("file");
        assert_eq!(frames(&path).expect("frames"), expected[..1]);
        bytes.extend_from_slice(&[0, 0, 0, 0, 1, 255, 255, 255, 255]);
        fs_err::write(&path, &bytes).expect("file");
        assert_eq!(frames(&path).expect("frames"), expected);
    }

    #[test]
    fn a_worker_died_at_the_first_module_that_it_did_not_answer() {
        let numbers = [10, 11, 12, 13, 14, 15];
        let answered = |list: &[usize]| -> BTreeMap<usize, Outcome> {
            list.iter()
                .map(|number| (*number, Err(String::new())))
                .collect()
        };
        // The first of two workers has 10, 12, 14, the second 11, 13, 15.
        let found = answered(&[10, 11, 13, 15]);
        assert_eq!(died_at(&numbers, 2, &found), BTreeSet::from([12]));
        assert_eq!(
            died_at(&numbers, 2, &answered(&[])),
            BTreeSet::from([10, 11])
        );
        assert!(died_at(&numbers, 2, &answered(&numbers)).is_empty());
    }

    #[test]
    fn paths_are_what_decides_besides_source_and_interpreter() {
        let module = |path: &str, text: &str| Module {
            path: TreePath::new(path).expect("path"),
            content: crate::tree::Content::inline(text),
            origin: crate::tree::Origin::App,
        };
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let keys = BTreeSet::from([
            key(&one, &module("a.py", "x")),
            key(&one, &module("b.py", "x")),
            key(&one, &module("a.py", "y")),
            key(&other, &module("a.py", "x")),
        ]);
        assert_eq!(keys.len(), 4);
    }
}
