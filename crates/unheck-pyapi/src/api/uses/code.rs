//! The user's code: parsed once, evaluated against any tree. Start at [`Code::read`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::super::files::Files;
use super::super::lower::{Place, lower};
use super::super::model::Module;
use super::super::tree::{LeftOut, Target, Tree};
use crate::parse::{Parsed, parse};

/// More files than a project has.
const MAX_FILES: usize = 50_000;

/// Python files of a user.
#[derive(Debug, Default)]
pub struct Code {
    /// By path.
    pub(crate) files: BTreeMap<String, CodeFile>,
    /// Files that were not read, or not well.
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug)]
pub(crate) struct CodeFile {
    pub(crate) parsed: Parsed,
    pub(crate) module: Arc<Module>,
}

impl Code {
    /// Parses every `.py` file.
    pub fn read(files: &dyn Files, target: Target) -> Self {
        let mut paths = files.paths();
        paths.retain(|path| path.ends_with(".py"));
        paths.sort();
        paths.truncate(MAX_FILES);
        let read: Vec<(String, Result<CodeFile, String>)> = paths
            .into_par_iter()
            .map(|path| {
                let file = read_file(files, &path, target);
                (path, file)
            })
            .collect();
        let mut code = Self::default();
        for (path, file) in read {
            match file {
                Ok(file) => {
                    if file.module.errors > 0 {
                        code.left_out.push(LeftOut {
                            path: path.clone(),
                            why: format!("{} syntax errors; the rest was read", file.module.errors),
                        });
                    }
                    code.files.insert(path, file);
                }
                Err(why) => code.left_out.push(LeftOut { path, why }),
            }
        }
        code
    }

    /// The modules as a tree, without those whose top-level name a library has.
    pub(crate) fn tree(&self, library: &Tree) -> Tree {
        let mut tree = Tree::default();
        for file in self.files.values() {
            let name = &file.module.name;
            let top = name.split('.').next().unwrap_or(name);
            if library.find(top).is_none() {
                let at = tree.modules.len() as u32;
                tree.index.insert(name.clone(), at);
                tree.modules.push(Arc::clone(&file.module));
            }
        }
        tree
    }
}

fn read_file(files: &dyn Files, path: &str, target: Target) -> Result<CodeFile, String> {
    let bytes = files.read(path).ok_or("cannot be read")?;
    let parsed = parse(&bytes).map_err(|error| error.to_string())?;
    let (name, is_package) = module_name(path);
    let place = Place {
        name,
        path: path.to_owned(),
        is_package,
    };
    let module = Arc::new(lower(&parsed, place, target.python));
    Ok(CodeFile { parsed, module })
}

/// The dotted name under which other files of the user import a file.
fn module_name(path: &str) -> (String, bool) {
    let inside = path.trim_start_matches("./").trim_start_matches('/');
    let inside = inside.strip_prefix("src/").unwrap_or(inside);
    let stem = inside.strip_suffix(".py").unwrap_or(inside);
    match stem.strip_suffix("/__init__") {
        Some(package) => (package.replace('/', "."), true),
        None => (stem.replace('/', "."), false),
    }
}
