//! Makes the tree of an image one that works wherever it stands: for `dir`, `tar` and `exe`.
//! Start at [`relocate`]; the app's own part, which is made anew in each build, is
//! [`relocate_app`].
//!
//! The layout below `usr` stays, so that paths say the same as in an image. Every program that
//! asks for a loader, and every Python script, gets a launcher in its place (`unheck-launcher`):
//! the program itself stands beside it as `NAME.bin`, the script in `libexec/unheck`. Nothing is
//! written into an ELF object.

mod keep;
mod links;
mod needs;
mod patch;
mod programs;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unheck_base::TreePath;
use unheck_store::Store;

use crate::assemble::PackReader;
use crate::explain::{Class, Explain};
use crate::form::{Libs, Need};
use crate::layout::{APP_DIR, Layout};
use crate::lock::Target;
use crate::tree::{Content, Kind, Node, Origin, Tree};
use crate::write::Sizes;

use programs::Program;

/// Where scripts stand whose place a launcher took, beside the directory that they were in.
const SCRIPTS: &str = "libexec/unheck";
/// What a program's own name ends in when a launcher took its place.
const PROGRAM: &str = ".bin";
/// Start-up code of every Python of the tree.
const STARTUP: &str = "unheck.pth";

/// How a tree is made relocatable.
#[derive(Debug, Clone, Copy)]
pub struct Relocation<'a> {
    /// The platform's half of the lock.
    pub target: &'a Target,
    /// Whose libraries are used.
    pub libs: Libs,
    /// The launcher for the platform.
    pub stub: &'static [u8],
}

/// What is known of a relocatable tree, and goes into its launch description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocated {
    /// By the file name of the launcher.
    pub commands: BTreeMap<String, Started>,
    /// The tree's own loader; none where the host's is used.
    pub loader: Option<TreePath>,
    /// Where the loader looks for libraries, in its order.
    pub library_path: Vec<TreePath>,
    /// Variables that say where something is, by the place that each names.
    pub variables: BTreeMap<String, TreePath>,
    /// What the host must have.
    pub needs: Vec<Need>,
    /// Directories of programs that were asked for by hand.
    pub program_directories: Vec<TreePath>,
    /// Programs that got no launcher, because another one has the name.
    pub unlaunched: BTreeSet<TreePath>,
}

/// What a launcher starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The launcher.
    pub at: TreePath,
    /// The program behind it.
    pub program: TreePath,
    /// The launcher whose name the program is told; its own where none is named.
    pub argv0: Option<TreePath>,
    /// Arguments before the user's; `{root}` is the root of the tree.
    pub arguments: Vec<String>,
}

/// A tree cannot be made relocatable.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no interpreter.
    #[error("the tree has no interpreter `{path}` that asks for a loader")]
    NoInterpreter {
        /// Where it should be.
        path: String,
    },
    /// There is no loader.
    #[error("the interpreter asks for the loader `{interp}`, which the tree does not have")]
    NoLoader {
        /// What it asks for.
        interp: String,
    },
}

impl Explain for RelocateError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } => Class::Outside,
            Self::NoInterpreter { .. } | Self::NoLoader { .. } => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoInterpreter { .. } | Self::NoLoader { .. } => {
                vec!["build an image with `--format image`, or take another interpreter".to_owned()]
            }
            Self::Read { .. } => Vec::new(),
        }
    }
}

/// Makes the tree of an image, without the app, relocatable.
///
/// # Errors
/// [`RelocateError`].
pub fn relocate(
    tree: &mut Tree,
    store: &Store,
    relocation: &Relocation<'_>,
) -> Result<Relocated, RelocateError> {
    let layout = Layout::of(&relocation.target.interpreter);
    let reader = PackReader::new(store);
    let before: BTreeSet<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
    let mut relocated = Relocated::default();
    let interp = interpreter(tree, &reader, &layout)?;
    if relocation.libs == Libs::Static {
        relocated.loader = Some(loader(tree, interp)?);
        relocated.library_path = keep::library_path(tree, relocation.target.platform);
    }
    links::make_relative(tree);
    keep::leave_out(tree, &layout, relocation.libs);
    links::remove_dangling(tree);
    tree.prune_empty_dirs(|_| false);
    relocated.variables = keep::variables(tree, relocation.target);
    let mut touched = launch(tree, &reader, (&layout, relocation), &mut relocated)?;
    if relocation.libs == Libs::Static {
        let found = patch::find_library(tree, &reader, &layout, &relocated.library_path)?;
        touched.extend(found);
    }
    relocated.program_directories = program_directories(tree, &layout);
    relocated.needs = match relocation.libs {
        Libs::Static => Vec::new(),
        Libs::Dynamic => needs::of_host(tree, &reader, relocation)?,
    };
    touched.extend(before.into_iter().filter(|path| tree.get(path).is_none()));
    keep::rewrite_checksums(tree, &touched);
    tree.prune_empty_dirs(|_| false);
    Ok(relocated)
}

/// Makes the app's own part of a tree relocatable: `below` is what is known of the rest.
///
/// # Errors
/// [`RelocateError`].
pub fn relocate_app(
    tree: &mut Tree,
    store: &Store,
    relocation: &Relocation<'_>,
    below: &Relocated,
) -> Result<Relocated, RelocateError> {
    let layout = Layout::of(&relocation.target.interpreter);
    let reader = PackReader::new(store);
    let mut relocated = below.clone();
    links::make_relative(tree);
    launch(tree, &reader, (&layout, relocation), &mut relocated)?;
    startup(tree, &layout, relocation.target, &below.program_directories);
    if relocation.libs == Libs::Dynamic {
        let more = needs::of_host(tree, &reader, relocation)?;
        relocated.needs = needs::joined(relocated.needs, more);
    }
    tree.prune_empty_dirs(|_| false);
    Ok(relocated)
}

/// Bytes of what would ship with the tree's own libraries, and of what would without.
pub fn relocated_sizes(tree: &Tree, layout: &Layout) -> Sizes {
    keep::sizes(tree, layout)
}

/// What the interpreter names as its loader.
fn interpreter(
    tree: &Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
) -> Result<String, RelocateError> {
    let missing = || RelocateError::NoInterpreter {
        path: layout.python.clone(),
    };
    let path = python(layout);
    let (place, node) = tree.follow(&path).ok_or_else(missing)?;
    match programs::look(&place, node, reader)? {
        Some(Program::Elf { interp }) => Ok(interp),
        _ => Err(missing()),
    }
}

/// The interpreter's place.
fn python(layout: &Layout) -> TreePath {
    TreePath::new(layout.python.trim_start_matches('/')).expect("made of constants and a version")
}

/// The regular file behind the loader's name.
fn loader(tree: &Tree, interp: String) -> Result<TreePath, RelocateError> {
    let place = TreePath::new(interp.trim_start_matches('/'))
        .ok()
        .and_then(|path| tree.follow(&path).map(|(place, _)| place));
    place.ok_or(RelocateError::NoLoader { interp })
}

/// Puts launchers in the place of programs and scripts; answers which files of before are others
/// now.
fn launch(
    tree: &mut Tree,
    reader: &PackReader<'_>,
    (layout, relocation): (&Layout, &Relocation<'_>),
    relocated: &mut Relocated,
) -> Result<BTreeSet<TreePath>, RelocateError> {
    let interpreter = python(layout);
    let behind = with_suffix(&interpreter);
    let mut moved = BTreeMap::new();
    for (path, program) in programs::all(tree, reader, layout)? {
        let name = path.file_name().to_owned();
        let (place, command) = match program {
            // The host's loader starts it as it is; only Python is told things.
            Program::Elf { .. } if relocation.libs == Libs::Dynamic && path != interpreter => {
                continue;
            }
            Program::Elf { .. } => {
                let place = with_suffix(&path);
                let flags = if path == interpreter {
                    python_flags()
                } else {
                    Vec::new()
                };
                (place.clone(), (place, None, flags))
            }
            Program::Python { flags } => {
                let place = script_place(&path);
                let arguments = python_flags()
                    .into_iter()
                    .chain(flags)
                    .chain([format!("{{root}}/{place}")])
                    .collect();
                (
                    place,
                    (behind.clone(), Some(interpreter.clone()), arguments),
                )
            }
        };
        let (program, argv0, arguments) = command;
        let started = Started {
            at: path.clone(),
            program,
            argv0,
            arguments,
        };
        if relocated.commands.contains_key(&name) || tree.get(&place).is_some() {
            relocated.unlaunched.insert(path);
            continue;
        }
        relocated.commands.insert(name, started);
        put_launcher(tree, &path, &place, relocation.stub);
        moved.insert(path, place);
    }
    record_moved(tree, layout, &moved);
    Ok(moved.into_keys().collect())
}

/// `usr/bin/python3.13.bin` of `usr/bin/python3.13`: in the same directory, where run paths and
/// Python's search for its prefix begin.
fn with_suffix(path: &TreePath) -> TreePath {
    TreePath::new(&format!("{path}{PROGRAM}")).expect("a longer name")
}

/// `usr/local/libexec/unheck/tool` of `usr/local/bin/tool`: in a directory where nothing can be
/// imported, because Python puts a script's directory first in its search path.
fn script_place(path: &TreePath) -> TreePath {
    let above = path
        .parent()
        .and_then(|directory| directory.parent())
        .map(|above| format!("{above}/"))
        .unwrap_or_default();
    TreePath::new(&format!("{above}{SCRIPTS}/{}", path.file_name())).expect("parts of paths")
}

/// No packages of the user's own home, as in a virtual environment.
pub(crate) fn python_flags() -> Vec<String> {
    vec!["-s".to_owned()]
}

fn put_launcher(tree: &mut Tree, at: &TreePath, place: &TreePath, stub: &'static [u8]) {
    let Some(mut node) = tree.remove(at) else {
        return;
    };
    let script = !place.as_str().ends_with(PROGRAM);
    node.mode = if script { 0o644 } else { 0o755 };
    tree.replace(place.clone(), node);
    tree.replace(at.clone(), launcher_node(stub));
}

/// A launcher.
pub(crate) fn launcher_node(stub: &'static [u8]) -> Node {
    let origin = Origin::Generated("launcher".to_owned());
    Node::file(origin, Content::inline(stub)).with_mode(0o755)
}

/// Whether the node is a launcher.
pub(crate) fn is_launcher(node: &Node) -> bool {
    matches!(&node.origin, Origin::Generated(step) if step == "launcher")
}

/// Keeps `RECORD` true: the launcher's digest, and one more row for where the file went.
fn record_moved(tree: &mut Tree, layout: &Layout, moved: &BTreeMap<TreePath, TreePath>) {
    if moved.is_empty() {
        return;
    }
    let touched = moved.keys().cloned().collect();
    super::rewrite_records(tree, &layout.site, &touched);
    let site = &layout.site;
    super::record::edit_records(tree, site, |tree, text| {
        let rows = text.lines().filter_map(|row| {
            let place = moved.get(&super::recorded_path(row, site)?)?;
            let content = tree.get(place)?.content()?;
            let name = links::relative(&site.join("x").ok()?, place);
            let digest = unheck_wheel::record::digest_text(&content.digest());
            Some(format!("{},{digest},{}\n", quoted(&name), content.len()))
        });
        std::iter::once(text.to_owned()).chain(rows).collect()
    });
}

/// A field of a CSV row (RFC 4180).
fn quoted(name: &str) -> String {
    if name.contains([',', '"']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// Code that every Python of the tree runs at its start (site module, path configuration files).
/// The app is first in the search path, as `PYTHONPATH` makes it in images, without a variable
/// that other programs' Python would inherit.
fn startup(tree: &mut Tree, layout: &Layout, target: &Target, directories: &[TreePath]) {
    // `usr/lib/python3.13` has the prefix `usr`, one below the root.
    let depth = layout.stdlib.as_str().matches('/').count() - 1;
    let root = format!(
        "{}sys.base_prefix{}",
        "os.path.dirname(".repeat(depth),
        ")".repeat(depth)
    );
    let mut text = String::new();
    if tree.iter().any(|(path, _)| path.is_under(APP_DIR)) {
        text.push_str(&format!(
            "import os, sys; sys.path.insert(0, {root} + '/{APP_DIR}')\n"
        ));
    }
    if !has_argv0(target) {
        text.push_str(
            "import os, sys; sys.executable = sys._base_executable = os.environ.pop('UNHECK_ARGV0', sys.executable)\n",
        );
    }
    if !directories.is_empty() {
        let places: String = directories
            .iter()
            .map(|one| format!("{root} + '/{one}', "))
            .collect();
        text.push_str(&format!(
            "import os, sys; os.environ['PATH'] = os.pathsep.join(dict.fromkeys([{places}*os.environ.get('PATH', os.defpath).split(os.pathsep)]))\n"
        ));
    }
    if text.is_empty() {
        return;
    }
    let path = layout.site.join(STARTUP).expect("a constant name");
    let origin = Origin::Generated("relocate".to_owned());
    tree.replace(path, Node::file(origin, Content::inline(text)));
}

/// Directories of programs that Debian packages brought besides the interpreter: what was asked
/// for by hand is looked for in `PATH`.
fn program_directories(tree: &Tree, layout: &Layout) -> Vec<TreePath> {
    let behind = with_suffix(&python(layout));
    let mut found: Vec<TreePath> = tree
        .iter()
        .filter(|(path, node)| {
            matches!((&node.origin, &node.kind), (Origin::Deb(_), Kind::File(_)))
                && node.mode & 0o111 != 0
                && **path != behind
        })
        .filter_map(|(path, _)| path.parent())
        .filter(|directory| matches!(directory.as_str(), "usr/bin" | "usr/sbin" | "usr/games"))
        .collect();
    found.dedup();
    found
}

/// Whether the tree's loader has `--argv0` (glibc 2.33).
pub(crate) fn has_argv0(target: &Target) -> bool {
    glibc(target) >= (2, 33)
}

/// The tree's own glibc.
fn glibc(target: &Target) -> (u32, u32) {
    crate::debian::parse_glibc(&target.interpreter.glibc).unwrap_or_default()
}

#[cfg(test)]
mod tests;
