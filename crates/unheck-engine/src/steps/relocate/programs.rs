//! Which files of a tree are programs, and what starts each.

use std::collections::BTreeMap;
use std::io::Read;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_elf::Object;

use super::{RelocateError, is_launcher};
use crate::assemble::PackReader;
use crate::close::is_library_name;
use crate::layout::{APP_DIR, Layout};
use crate::tree::{Content, Node, Tree};

/// Longest program that is looked into.
const MAX_PROGRAM: u64 = 512 << 20;
/// Longest first line of a script; Linux reads 256 bytes of it (`BINPRM_BUF_SIZE`).
const MAX_LINE: usize = 256;

/// What starts a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// The loader that it names.
    Elf {
        /// Absolute path of the loader.
        interp: String,
    },
    /// Python, with flags of its first line.
    Python {
        /// The flags.
        flags: Vec<String>,
    },
}

/// Every program of a tree that needs a launcher, by its place.
pub(super) fn all(
    tree: &Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
) -> Result<BTreeMap<TreePath, Program>, RelocateError> {
    let candidates: Vec<(&TreePath, &Node)> = tree
        .iter()
        .filter(|(path, node)| {
            node.mode & 0o111 != 0 && !is_library_name(path.file_name()) && !is_launcher(node)
        })
        .collect();
    let found = candidates
        .par_iter()
        .map(|(path, node)| Ok((path, look(path, node, reader)?)))
        .collect::<Result<Vec<_>, RelocateError>>()?;
    Ok(found
        .into_iter()
        .filter_map(|(path, program)| Some(((*path).clone(), program?)))
        .filter(|(path, program)| {
            matches!(program, Program::Elf { .. }) || is_command(path, layout)
        })
        .collect())
}

/// Whether a script stands where commands do: anywhere else it may be a module, which must stay
/// what it is.
fn is_command(path: &TreePath, layout: &Layout) -> bool {
    let modules = [layout.stdlib.as_str(), layout.site.as_str(), APP_DIR];
    let directory = path.parent();
    directory.is_some_and(|parent| matches!(parent.file_name(), "bin" | "sbin" | "games"))
        && !modules.iter().any(|at| path.is_under(at))
}

/// What starts one file; nothing when it is no program, or one that starts by itself.
pub(super) fn look(
    path: &TreePath,
    node: &Node,
    reader: &PackReader<'_>,
) -> Result<Option<Program>, RelocateError> {
    let Some(content) = node.content() else {
        return Ok(None);
    };
    let read = |source| RelocateError::Read {
        path: path.clone(),
        source,
    };
    let mut first = Vec::new();
    let opened = reader.open(content).map_err(read)?;
    // The reader fails at the end of a file alone, so a short look costs no hash.
    opened
        .take(MAX_LINE as u64)
        .read_to_end(&mut first)
        .map_err(read)?;
    if unheck_elf::is_elf(&first) {
        return Ok(elf(content, reader)
            .map_err(read)?
            .map(|interp| Program::Elf { interp }));
    }
    Ok(script(&first))
}

fn elf(content: &Content, reader: &PackReader<'_>) -> std::io::Result<Option<String>> {
    if content.len() > MAX_PROGRAM {
        return Ok(None);
    }
    let object = Object::parse(&reader.bytes(content, MAX_PROGRAM)?).ok();
    Ok(object
        .filter(|object| object.soname.is_none())
        .and_then(|object| object.interp))
}

fn script(first: &[u8]) -> Option<Program> {
    let line = first.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_whitespace();
    let mut name = words.next()?.rsplit('/').next()?;
    if name == "env" {
        name = words.next()?;
    }
    let version = name.strip_prefix("python")?;
    let good = version
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    good.then(|| Program::Python {
        flags: words.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_name_python_or_something_else() {
        let flags = |line: &str| match script(line.as_bytes()) {
            Some(Program::Python { flags }) => Some(flags.join(" ")),
            _ => None,
        };
        assert_eq!(flags("#!/usr/bin/python3.13\nx"), Some(String::new()));
        assert_eq!(
            flags("#! /usr/bin/python3 -E -u\n"),
            Some("-E -u".to_owned())
        );
        assert_eq!(flags("#!/usr/bin/env python3\n"), Some(String::new()));
        for other in [
            "#!/bin/sh\n",
            "#!/usr/bin/pythonic\n",
            "import os",
            "",
            "#!",
        ] {
            assert_eq!(flags(other), None, "{other}");
        }
    }
}
