//! The uppermost directory of a root: what maintainer scripts would have made. Start at [`fill`].
//!
//! The links of the merged `/usr`, users, the alternatives of `rules/buildroot.toml`, the other
//! names of the target's interpreter, the loader's cache. What a package ships itself is not
//! replaced, but for `python3`, which is the target's whatever the suite's default is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use unheck_base::TreePath;
use unheck_elf::ldcache;

use super::fill::{TREE, make_dir, write_file, write_list};
use super::merge::{Merged, Node, merge};
use super::{RootError, RootSet, Unpacked, rules};
use crate::assemble::etc_files;
use crate::close::is_library_name;
use crate::debian::MERGED;
use crate::layout::minor;
use crate::lock::Provider;

/// Says that one directory must hold all packages.
const ENTANGLED: &str = "entangled";

/// Longest list of library directories that is read, in bytes.
const MAX_CONF: u64 = 64 << 10;

/// Directories that are there though no package has a file in them.
const DIRECTORIES: [&str; 8] = ["dev", "etc", "home", "proc", "run", "sys", "tmp", "var/tmp"];

/// A link or a file's bytes.
enum Made {
    Link(String),
    File(Vec<u8>),
}

/// Writes the directory.
///
/// # Errors
/// [`RootError`].
pub(super) fn fill(
    directory: &Path,
    set: &RootSet,
    packages: &[Unpacked<'_>],
) -> Result<(), RootError> {
    let merged = merge(packages)?;
    let mut made = BTreeMap::new();
    for top in MERGED {
        made.insert(path(top), Made::Link(format!("usr/{top}")));
    }
    for (name, text) in etc_files() {
        made.insert(path(name), Made::File(text.into_bytes()));
    }
    made.extend(alternatives(set, &merged));
    made.extend(interpreter(set, &merged));
    let cache = loader_cache(set, &merged, packages)?;
    made.insert(path("etc/ld.so.cache"), Made::File(cache));
    write(directory, made, merged.entangled).map_err(|source| RootError::Write {
        path: directory.to_owned(),
        source,
    })
}

/// Whether the packages below a directory that [`fill`] made cannot be laid over each other.
pub(super) fn is_merged(directory: &Path) -> bool {
    directory.join(ENTANGLED).exists()
}

fn write(directory: &Path, made: BTreeMap<TreePath, Made>, entangled: bool) -> io::Result<()> {
    let tree = directory.join(TREE);
    make_dir(&tree)?;
    let named = DIRECTORIES.into_iter().map(path);
    let merged = MERGED.into_iter().map(|top| path(&format!("usr/{top}")));
    let mut directories: BTreeSet<TreePath> = named.chain(merged).collect();
    directories.extend(made.keys().flat_map(TreePath::ancestors));
    let above: Vec<TreePath> = directories.iter().flat_map(TreePath::ancestors).collect();
    directories.extend(above);
    for directory in directories {
        make_dir(&tree.join(directory.as_str()))?;
    }
    for (path, made) in made {
        let place = tree.join(path.as_str());
        match made {
            Made::Link(target) => symlink(target, place)?,
            Made::File(bytes) => write_file(&place, &mut bytes.as_slice(), false)?,
        }
    }
    if entangled {
        fs_err::write(directory.join(ENTANGLED), "")?;
    }
    write_list(directory)
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a constant path")
}

/// The links of the rules whose place is free and that have something to lead to.
fn alternatives(set: &RootSet, merged: &Merged<'_>) -> BTreeMap<TreePath, Made> {
    let triplet = set.platform.triplet();
    let place = |text: &String| path(&text.replace("{triplet}", triplet));
    let rules = rules::all().link.iter();
    let free = rules.filter(|rule| !merged.nodes.contains_key(&place(&rule.link)));
    free.filter_map(|rule| {
        let mut targets = rule.to.iter().map(place);
        let target = targets.find(|target| merged.nodes.contains_key(target))?;
        Some((place(&rule.link), Made::Link(format!("/{target}"))))
    })
    .collect()
}

/// `python3` and `python` are the target's interpreter.
fn interpreter(set: &RootSet, merged: &Merged<'_>) -> BTreeMap<TreePath, Made> {
    if set.interpreter.provider != Provider::Debian {
        return BTreeMap::new();
    }
    let minor = minor(&set.interpreter.version);
    let mut links = BTreeMap::new();
    for (suffix, names) in [
        ("", &["python3", "python"][..]),
        ("-config", &["python3-config"]),
    ] {
        let target = format!("python{minor}{suffix}");
        if merged
            .nodes
            .contains_key(&path(&format!("usr/bin/{target}")))
        {
            for name in names {
                links.insert(path(&format!("usr/bin/{name}")), Made::Link(target.clone()));
            }
        }
    }
    links
}

/// The loader's cache over the directories that `ldconfig` would look into.
fn loader_cache(
    set: &RootSet,
    merged: &Merged<'_>,
    packages: &[Unpacked<'_>],
) -> Result<Vec<u8>, RootError> {
    let mut directories = vec![
        format!("usr/lib/{}", set.platform.triplet()),
        "usr/lib".to_owned(),
    ];
    directories.extend(configured(merged, packages)?);
    let machine = set.platform.elf_machine();
    let mut entries: BTreeMap<String, ldcache::Entry> = BTreeMap::new();
    for directory in directories {
        let start = format!("{directory}/");
        // What is below a directory follows it in the order of paths.
        let below = merged.nodes.range(path(&directory)..);
        for (path, node) in below.take_while(|(path, _)| path.is_under(&directory)) {
            let Some(name) = path.as_str().strip_prefix(&start) else {
                continue;
            };
            let library = is_library_name(name) && name.contains(".so.") && !name.contains('/');
            let named = name.bytes().all(|byte| byte.is_ascii_graphic());
            if library && named && !matches!(node, Node::Dir) {
                entries
                    .entry(name.to_owned())
                    .or_insert_with(|| ldcache::Entry {
                        soname: name.to_owned(),
                        path: path.clone(),
                        machine,
                    });
            }
        }
    }
    let entries: Vec<ldcache::Entry> = entries.into_values().collect();
    ldcache::write(&entries).map_err(RootError::LdCache)
}

/// Directories of `etc/ld.so.conf.d/*.conf`, in the order of the files.
fn configured(merged: &Merged<'_>, packages: &[Unpacked<'_>]) -> Result<Vec<String>, RootError> {
    let mut found = Vec::new();
    for (path, node) in &merged.nodes {
        let conf = path.is_under("etc/ld.so.conf.d") && path.as_str().ends_with(".conf");
        let Node::File { package, entry, .. } = node else {
            continue;
        };
        if !conf {
            continue;
        }
        let bytes = packages[*package]
            .1
            .bytes(entry, MAX_CONF)
            .map_err(|source| {
                let path = path.as_str().into();
                RootError::Write { path, source }
            })?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text
            .lines()
            .filter_map(|line| TreePath::new(line.trim().strip_prefix('/')?).ok());
        found.extend(lines.map(|line| crate::debian::usrmerge(&line).to_string()));
    }
    Ok(found)
}
