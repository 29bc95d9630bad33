//! A layer as a directory, written while its archive is: [`Beside`].
//!
//! Each file is read once, its bytes go to the archive and to the directory, and its digest is
//! checked at its end. So what is verified is what is written, and the archive needs not be read,
//! checked and decompressed again for it. `unheck verify ARTIFACT` reads the archive all the same.

use std::io::{self, Read};

use unheck_base::{Digest, TreePath};
use unheck_store::Store;

use super::{Filling, KIND, RootsError, TREE, Unpacker, unpacked};
use crate::tree::Kind;

/// A directory that is being filled beside an archive.
pub(crate) struct Beside {
    directory: tempfile::TempDir,
    unpacker: Unpacker,
}

impl Beside {
    /// Fills a new directory of the store's work area.
    ///
    /// # Errors
    /// [`RootsError::Directory`].
    pub(crate) fn new(directory: tempfile::TempDir) -> Result<Self, RootsError> {
        let tree = directory.path().join(TREE);
        let unpacker = Unpacker::new(tree.clone())
            .map_err(|source| RootsError::Directory { path: tree, source })?;
        Ok(Self {
            directory,
            unpacker,
        })
    }

    /// Adds a directory or a link.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn node(&mut self, path: &TreePath, mode: u32, kind: &Kind) -> io::Result<()> {
        match kind {
            Kind::Dir => self.unpacker.dir(path, mode),
            Kind::Symlink(text) => self.unpacker.symlink(path, text),
            Kind::File(_) => Err(io::Error::other("a file has content")),
        }
    }

    /// Adds a file with what `write` reads of `content`.
    ///
    /// # Errors
    /// The disk fails; the answer of `write` is inside.
    pub(crate) fn file<T>(
        &mut self,
        path: &TreePath,
        mode: u32,
        content: &mut dyn Read,
        write: impl FnOnce(&mut dyn Read) -> T,
    ) -> io::Result<T> {
        let place = self.unpacker.place(path)?;
        let mut both = Both {
            inner: content,
            filling: Filling::create(&place)?,
            failed: None,
        };
        let written = write(&mut both);
        if let Some(error) = both.failed {
            return Err(error);
        }
        let node = both.filling.finish(&place, mode)?;
        self.unpacker.add(path, node);
        Ok(written)
    }

    /// Makes it the directory of the layer with this `diff_id`, unless there is one.
    ///
    /// # Errors
    /// [`RootsError`].
    pub(crate) fn keep(self, store: &Store, diff_id: &Digest) -> Result<(), RootsError> {
        let Self {
            directory,
            unpacker,
        } = self;
        unpacked(store, KIND, diff_id, |place| {
            let kept = |source| RootsError::Directory {
                path: place.to_owned(),
                source,
            };
            fs_err::rename(directory.path().join(TREE), place.join(TREE)).map_err(kept)?;
            unpacker.write_index(place).map_err(kept)
        })
        .map(drop)
    }
}

/// Reads, and writes what it reads into a file.
struct Both<'r> {
    inner: &'r mut dyn Read,
    filling: Filling,
    /// What writing failed with: the reader's user would call it a failure of reading.
    failed: Option<io::Error>,
}

impl Read for Both<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Err(error) = self.filling.write(&buffer[..read]) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::{IndexNode, read_index};

    #[test]
    fn a_file_is_in_both_or_its_failure_is_told() {
        let temp = tempfile::tempdir().expect("temp");
        let store = Store::open(temp.path()).expect("store");
        let mut beside = Beside::new(store.temp_dir().expect("directory")).expect("beside");
        let path = TreePath::new("a/b").expect("path");
        let mut archive = Vec::new();
        let read = |from: &mut dyn Read| from.read_to_end(&mut archive).expect("read");
        let len = beside.file(&path, 0o644, &mut &b"text"[..], read);
        assert_eq!((len.expect("file"), &archive[..]), (4, &b"text"[..]));
        assert!(
            beside
                .file(&path, 0o644, &mut &b"again"[..], |_| ())
                .is_err()
        );
        let diff_id = Digest::of(b"x");
        beside.keep(&store, &diff_id).expect("keep");
        let there = store
            .derived(KIND, &diff_id)
            .dir()
            .expect("dir")
            .expect("dir");
        let file = there.path().join(TREE).join("a/b");
        assert_eq!(fs_err::read(file).expect("read"), b"text");
        let index = read_index(&there).expect("index");
        let node = IndexNode::File {
            len: 4,
            executable: false,
            elf: None,
        };
        assert_eq!(index.nodes.get(&path), Some(&node));
    }
}
