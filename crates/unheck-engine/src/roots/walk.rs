//! What stands in a directory at a moment: [`index_of`].

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_elf::Object;

use super::{Elf, IndexNode, LayerIndex, MAX_OBJECT, refused};

/// Most files, links and directories of one directory.
const MAX_NODES: usize = 1_000_000;
/// Longest object of a foreign root that is looked into, in bytes: it is held in memory.
const MAX_FOREIGN_OBJECT: u64 = 512 << 20;

/// What becomes of what no artifact of unheck has: names and links that are not UTF-8, pipes,
/// devices, files that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strange {
    /// It is an error: of an artifact, nothing may be passed over.
    Refused,
    /// It is passed over: a foreign root is full of it, and none of it is a library. A file that
    /// cannot be read counts as a broken object.
    PassedOver,
}

impl Strange {
    const fn longest_object(self) -> u64 {
        match self {
            Self::Refused => MAX_OBJECT,
            Self::PassedOver => MAX_FOREIGN_OBJECT,
        }
    }
}

/// Every path below a directory, with what its objects say. Links are told and not followed.
///
/// # Errors
/// It cannot be walked, has more than a million entries, or has what `strange` refuses.
pub fn index_of(top: &Path, strange: Strange) -> io::Result<LayerIndex> {
    let mut nodes: Vec<(TreePath, IndexNode)> = Vec::new();
    let mut files: Vec<(TreePath, PathBuf)> = Vec::new();
    for entry in walkdir::WalkDir::new(top).min_depth(1).follow_links(false) {
        let entry = entry.map_err(io::Error::from)?;
        if nodes.len() + files.len() >= MAX_NODES {
            let text = format!("it has more than {MAX_NODES} files");
            return Err(io::Error::other(text));
        }
        match node(top, &entry) {
            Ok((path, Some(node))) => nodes.push((path, node)),
            Ok((path, None)) => files.push((path, entry.into_path())),
            Err(error) if strange == Strange::Refused => return Err(error),
            Err(_) => {}
        }
    }
    let read = files.into_par_iter().map(|(path, place)| {
        let node = match file(&place, strange.longest_object()) {
            Err(error) if strange == Strange::PassedOver => IndexNode::File {
                len: 0,
                executable: false,
                elf: Some(Elf::Broken(error.to_string())),
            },
            other => other?,
        };
        Ok((path, node))
    });
    nodes.extend(read.collect::<io::Result<Vec<_>>>()?);
    Ok(LayerIndex {
        nodes: nodes.into_iter().collect(),
    })
}

/// The path of an entry and what it is; nothing yet of a file, which has to be read.
fn node(top: &Path, entry: &walkdir::DirEntry) -> io::Result<(TreePath, Option<IndexNode>)> {
    let below = entry.path().strip_prefix(top).map_err(io::Error::other)?;
    let bytes = below.as_os_str().as_encoded_bytes();
    let path = TreePath::from_bytes(bytes).map_err(io::Error::other)?;
    let kind = entry.file_type();
    if kind.is_file() {
        return Ok((path, None));
    }
    if kind.is_dir() {
        return Ok((path, Some(IndexNode::Dir)));
    }
    if !kind.is_symlink() {
        let what = format!(
            "`{}` is neither file, link nor directory",
            entry.path().display()
        );
        return Err(refused(what));
    }
    let text = fs_err::read_link(entry.path())?;
    let text = text
        .to_str()
        .ok_or_else(|| refused("its text is not UTF-8".to_owned()))?;
    Ok((path, Some(IndexNode::Link(text.to_owned()))))
}

fn file(place: &Path, longest_object: u64) -> io::Result<IndexNode> {
    // It was a file a moment ago; should it have become a link or a pipe, it is not opened.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let mut file = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(place)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.by_ref().take(4).read_to_end(&mut bytes)?;
    let elf = if !unheck_elf::is_elf(&bytes) {
        None
    } else if metadata.len() > longest_object {
        Some(Elf::TooLong)
    } else {
        file.take(longest_object).read_to_end(&mut bytes)?;
        Some(match Object::parse(&bytes) {
            Ok(object) => Elf::Read(Box::new(object)),
            Err(error) => Elf::Broken(error.to_string()),
        })
    };
    Ok(IndexNode::File {
        len: metadata.len(),
        executable: metadata.permissions().mode() & 0o111 != 0,
        elf,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn odd() -> &'static std::ffi::OsStr {
        std::ffi::OsStr::from_bytes(b"x\xff")
    }

    #[test]
    fn strange_things_are_refused_or_passed_over() {
        let temp = tempfile::tempdir().expect("temp");
        let top = temp.path();
        fs_err::create_dir(top.join("d")).expect("dir");
        fs_err::write(top.join("d/f"), b"\x7fELF broken").expect("file");
        symlink("../gone", top.join("d/l")).expect("link");
        let plain = index_of(top, Strange::Refused).expect("plain");
        assert_eq!(index_of(top, Strange::PassedOver).expect("plain"), plain);
        let path = |text: &str| TreePath::new(text).expect("path");
        assert_eq!(plain.nodes.len(), 3);
        assert_eq!(plain.nodes[&path("d")], IndexNode::Dir);
        assert_eq!(
            plain.nodes[&path("d/l")],
            IndexNode::Link("../gone".to_owned())
        );
        assert!(matches!(
            &plain.nodes[&path("d/f")],
            IndexNode::File {
                len: 11,
                executable: false,
                elf: Some(Elf::Broken(_))
            }
        ));
        type Make = fn(&Path) -> io::Result<()>;
        let cases: [(&str, Make); 3] = [
            ("a name", |at| fs_err::write(at.join(odd()), b"")),
            ("a link", |at| symlink(odd(), at.join("l"))),
            ("a pipe", |at| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    at.join("p"),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RUSR,
                    0,
                )
                .map_err(io::Error::from)
            }),
        ];
        for (what, make) in cases {
            let temp = tempfile::tempdir().expect("temp");
            make(temp.path()).expect(what);
            assert!(index_of(temp.path(), Strange::Refused).is_err(), "{what}");
            let over = index_of(temp.path(), Strange::PassedOver).expect(what);
            assert!(over.nodes.is_empty(), "{what}");
        }
    }
}
