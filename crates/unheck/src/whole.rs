//! Files that are written whole or not at all. Start at [`write()`].

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Writes beside and renames: nobody sees half a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(name);
    let written = fs_err::File::create(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs_err::rename(&beside, path));
    if written.is_err() {
        // What could not be written whole is of no use to anybody.
        let _ = fs_err::remove_file(&beside);
    }
    written
}
