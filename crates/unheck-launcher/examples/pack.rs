//! Makes a one-file executable of a directory that has a launch description: `pack DIRECTORY OUTPUT [LEVEL]`.
//!
//! For measurements and for looking at the launcher without a whole build. Files that are the launcher already are
//! recognised by their bytes.

use std::error::Error;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_launcher::{Architecture, Contents, Entry, Exe, ExeOptions, stub};

struct Directory(PathBuf);

impl Contents for Directory {
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(fs_err::File::open(self.0.join(path.as_str()))?))
    }
}

fn add(exe: &mut Exe, root: &Path, at: &Path, launcher: Digest) -> Result<(), Box<dyn Error>> {
    for found in fs_err::read_dir(at)? {
        let found = found?;
        let path = found.path();
        let name = path
            .strip_prefix(root)?
            .to_str()
            .ok_or("a path is not UTF-8")?;
        let kind = found.file_type()?;
        let entry = if kind.is_symlink() {
            let target = fs_err::read_link(&path)?;
            Entry::Symlink {
                target: target.to_str().ok_or("a link is not UTF-8")?.to_owned(),
            }
        } else if kind.is_dir() {
            add(exe, root, &path, launcher)?;
            Entry::Dir { mode: 0o755 }
        } else {
            let bytes = fs_err::read(&path)?;
            let digest = Digest::of(&bytes);
            if digest == launcher {
                Entry::Launcher
            } else {
                Entry::File {
                    mode: found.metadata()?.permissions().mode() & 0o777,
                    len: bytes.len() as u64,
                    digest,
                    last: false,
                }
            }
        };
        exe.entries.insert(TreePath::new(name)?, entry);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, output, level @ ..] = arguments.as_slice() else {
        return Err("usage: pack DIRECTORY OUTPUT [LEVEL]".into());
    };
    let stub = stub(Architecture::Amd64).ok_or("no launcher for this architecture")?;
    let mut exe = Exe::default();
    let root = Path::new(directory);
    add(&mut exe, root, root, Digest::of(stub))?;
    let mut options = ExeOptions::SMALL;
    if let Some(level) = level.first() {
        options.level = level.parse()?;
    }
    let mut file = fs_err::File::create(output)?;
    exe.write(stub, &Directory(root.to_owned()), options, &mut file)?;
    file.file()
        .set_permissions(PermissionsExt::from_mode(0o755))?;
    Ok(())
}
