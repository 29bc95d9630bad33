//! The one-file executable: the launcher with a tree appended. Start at [`Exe::write`].

mod pack;
mod plan;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use unheck_base::{Digest, TreePath};

use crate::wire::elf;
use crate::wire::launch::{Description, Mode};
use crate::wire::trailer::{FLAG_COMMAND_LINE, Trailer};
use pack::Packer;
use plan::Plan;

/// A tree that becomes one executable file. It must hold a launch description as a file at [`crate::LAUNCH_PATH`].
#[derive(Debug, Clone, Default)]
pub struct Exe {
    /// Every path. Missing parent directories are added with mode 0755.
    pub entries: BTreeMap<TreePath, Entry>,
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file. Files with equal content and mode are stored once and unpacked as hard links.
    File {
        /// Permission bits, at most 0o777.
        mode: u32,
        /// Length in bytes.
        len: u64,
        /// SHA-256 of the content; what is read is checked against it.
        digest: Digest,
        /// Whether it changes from one build to the next, as an app does: it stands behind what does not, so that
        /// what does not is the same bytes again.
        last: bool,
    },
    /// A symbolic link; its text must be relative and stay inside the tree.
    Symlink {
        /// The text.
        target: String,
    },
    /// The launcher itself, e.g. at `usr/bin/python3.13`. Costs no bytes: it is copied from the executable's own head.
    Launcher,
}

/// Opens the content of files, by path, from several threads.
pub trait Contents: Sync {
    /// A reader of the content of a regular file of the tree.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>>;

    /// What [`Contents::keep`] kept under a name, in this run or an earlier one. It is compared before it is used.
    fn packed(&self, _key: &Digest) -> Option<Vec<u8>> {
        None
    }

    /// Keeps compressed bytes for the next time, or does not.
    fn keep(&self, _key: &Digest, _packed: &[u8]) {}
}

/// How the payload is written. None of it changes what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExeOptions {
    /// zstd level, 1 to 22. [`ExeOptions::SMALL`] has the level for artifacts.
    pub level: i32,
    /// Whether `--self-check` and `--unpack DIR` are taken from the command line when they are all there is on it.
    /// The variable `UNHECK_EXE` does the same in any case.
    pub flags: bool,
}

impl ExeOptions {
    /// Smallest file.
    pub const SMALL: Self = Self {
        level: 19,
        flags: true,
    };
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the file in bytes.
    pub len: u64,
    /// What the tree is called in caches: SHA-256 of the payload's index.
    pub content: Digest,
}

/// An executable could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExeError {
    /// The tree has no launch description.
    #[error("the tree has no launch description at `{}`", crate::LAUNCH_PATH)]
    NoLaunch,
    /// The launcher would not understand the description.
    #[error("line {line} of `{}` is wrong: {why}", crate::LAUNCH_PATH)]
    BadLaunch {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The description names a file that the tree does not have.
    #[error("the launch description names `{0}`, which is no file of the tree")]
    NotInTree(String),
    /// A link leads out of the tree or is absolute.
    #[error("the link `{path}` leads to `{target}`, outside of the tree")]
    LinkOut {
        /// The link.
        path: TreePath,
        /// Its text.
        target: String,
    },
    /// A path goes through something that is no directory.
    #[error("`{path}` goes through `{through}`, which is no directory")]
    ThroughFile {
        /// The path.
        path: TreePath,
        /// What is in its way.
        through: TreePath,
    },
    /// A file could not be read.
    #[error("cannot read `{path}` for the executable")]
    Read {
        /// The file.
        path: TreePath,
        /// What the disk says.
        #[source]
        source: io::Error,
    },
    /// A file is not what the tree says.
    #[error("`{path}` changed while it was written: expected {expected}, read {got}")]
    Changed {
        /// The file.
        path: TreePath,
        /// The digest in the tree.
        expected: Digest,
        /// The digest of what was read.
        got: Digest,
    },
    /// The output could not be written.
    #[error("cannot write the executable")]
    Write(#[source] io::Error),
}

impl ExeError {
    /// What mends it, the best first.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::LinkOut { .. } => vec!["make the link relative".to_owned()],
            Self::Changed { .. } => vec!["build again".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Exe {
    /// Writes the file: the launcher, then the payload. Deterministic; frames are compressed on all cores of the
    /// current rayon pool, at most a few of them are in memory. The caller makes the file executable.
    ///
    /// # Errors
    ///
    /// See [`ExeError`].
    pub fn write(
        &self,
        stub: &[u8],
        contents: &dyn Contents,
        options: ExeOptions,
        output: &mut dyn Write,
    ) -> Result<Written, ExeError> {
        self.check_launch(contents)?;
        let plan = Plan::new(self)?;
        output.write_all(stub).map_err(ExeError::Write)?;
        let x86 = elf::Object::parse(stub, elf::X86_64).is_some();
        let mut packer = Packer::new(plan.files.len(), options.level, x86, contents, output);
        for (number, file) in plan.files.iter().enumerate() {
            packer.add(number, file)?;
        }
        let packed = packer.finish()?;
        let index = plan.index(&packed, stub);
        let compressed = zstd::bulk::compress(&index, options.level).map_err(ExeError::Write)?;
        let content = Digest::of(&compressed);
        let trailer = Trailer {
            start: stub.len() as u64,
            frames_len: packed.len,
            index_len: compressed.len() as u64,
            index_raw: index.len() as u64,
            flags: if options.flags { FLAG_COMMAND_LINE } else { 0 },
            content: *content.as_bytes(),
        };
        let trailer = trailer.encode(|bytes| *Digest::of(bytes).as_bytes());
        output.write_all(&compressed).map_err(ExeError::Write)?;
        output.write_all(&trailer).map_err(ExeError::Write)?;
        let len = stub.len() + compressed.len() + trailer.len();
        Ok(Written {
            len: len as u64 + packed.len,
            content,
        })
    }

    /// The description is read as the launcher will, and what it names is there.
    fn check_launch(&self, contents: &dyn Contents) -> Result<(), ExeError> {
        let path = TreePath::new(crate::LAUNCH_PATH).map_err(|_| ExeError::NoLaunch)?;
        if !matches!(self.entries.get(&path), Some(Entry::File { .. })) {
            return Err(ExeError::NoLaunch);
        }
        let mut text = Vec::new();
        contents
            .open(&path)
            .and_then(|mut reader| reader.read_to_end(&mut text))
            .map_err(|source| ExeError::Read { path, source })?;
        let description = Description::parse(&text).map_err(|bad| ExeError::BadLaunch {
            line: bad.line,
            why: bad.why,
        })?;
        let mut files: Vec<&str> = Vec::new();
        if let Mode::Static { loader, .. } = description.mode {
            files.push(loader);
        }
        for command in &description.commands {
            files.push(command.program);
            files.extend(command.named);
        }
        for file in files {
            let entry = TreePath::new(file)
                .ok()
                .and_then(|path| self.entries.get(&path));
            if !matches!(entry, Some(Entry::File { .. } | Entry::Launcher)) {
                return Err(ExeError::NotInTree(file.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
