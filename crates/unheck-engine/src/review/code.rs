//! The user's code, parsed once and held against every step. Start at [`OwnCode::read`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unheck_pyapi::api::{Code, Files as _, Target, Use};
use unheck_pyapi::{imports_on, parse};

use super::files::Directory;
use crate::identify::code::{ReadCodeError, sources};

/// Parsed code and where it is.
#[derive(Debug)]
pub struct OwnCode {
    pub(super) code: Code,
    /// What stands before the paths of its files, as the user wrote it.
    prefix: PathBuf,
    /// The top-level modules that it imports.
    pub(super) imports: BTreeSet<String>,
    /// Files that were read.
    pub files: usize,
    /// Files that are no Python source that can be read, with the reason.
    pub unread: Vec<(String, String)>,
}

impl OwnCode {
    /// Reads every Python file below `path`, or `path` itself where it is a file.
    ///
    /// # Errors
    /// [`ReadCodeError`]; a file that cannot be parsed is none.
    pub fn read(path: &Path, python: (u8, u8)) -> Result<Self, ReadCodeError> {
        let (root, files) = match path.is_file() {
            true => {
                let root = path.parent().unwrap_or(Path::new("")).to_owned();
                (
                    root,
                    path.file_name().map(PathBuf::from).into_iter().collect(),
                )
            }
            false => (path.to_owned(), sources(path)?),
        };
        let paths: Vec<String> = files
            .iter()
            .filter_map(|file| Some(file.to_str()?.to_owned()))
            .collect();
        let count = paths.len();
        let prefix = root.strip_prefix(".").unwrap_or(&root).to_owned();
        let directory = Directory { root, paths };
        let target = Target {
            python: (python.0.into(), python.1.into()),
        };
        let code = Code::read(&directory, target);
        let unread = code
            .left_out
            .iter()
            .map(|left| (left.path.clone(), left.why.clone()))
            .collect();
        Ok(Self {
            imports: imports(&directory, python),
            code,
            prefix,
            files: count,
            unread,
        })
    }

    /// Uses with paths as the user reaches them.
    pub(super) fn placed(&self, mut uses: Vec<Use>) -> Vec<Use> {
        for one in &mut uses {
            one.file = self.prefix.join(&one.file).to_string_lossy().into_owned();
        }
        uses
    }
}

fn imports(files: &Directory, python: (u8, u8)) -> BTreeSet<String> {
    let version = Some((python.0.into(), python.1.into()));
    let of_file = |path: &String| -> Option<Vec<String>> {
        let parsed = parse(&files.read(path)?).ok()?;
        let found = imports_on(&parsed, "", version).into_iter();
        Some(found.filter_map(|one| top(&one.module)).collect())
    };
    files
        .paths
        .par_iter()
        .filter_map(of_file)
        .flatten()
        .collect()
}

fn top(module: &str) -> Option<String> {
    let top = module.split('.').next()?;
    (!top.is_empty()).then(|| top.to_owned())
}
