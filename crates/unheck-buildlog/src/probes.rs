//! What a sandbox saw a build look for in vain, as lacks.
//!
//! Only misses are known, so one miss says little: a header of a later include directory is missed
//! in all earlier ones. A name counts when who looked missed it in every default directory of its
//! kind in which they looked for anything, the last one of the search order included.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clean;
use crate::lack::{Collector, Found, Lack, Strength, is_name};
use crate::rules::RULES;

/// Most probes that are looked at.
const MAX_PROBES: usize = 1 << 20;

/// How something was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// It was to be run (`execve`).
    Exec,
    /// It was to be opened.
    Open,
    /// It was asked about (`stat`, `access`, `readlink`).
    Stat,
}

/// A path that was looked for and was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// How it was looked for.
    pub kind: ProbeKind,
    /// The path as it was given, absolute.
    pub path: String,
    /// The file name of the program that looked, such as `cc1`.
    pub by: String,
    /// How often.
    pub count: u64,
}

/// What kind of thing a default directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Programs,
    Modules,
    Headers,
    Libraries,
}

/// The things that were looked for in vain, in the order in which they were first looked for, as
/// [`Found`] of the strengths [`Strength::Probed`] and [`Strength::Hinted`].
pub fn read_probes(probes: &[Probe]) -> Vec<Found> {
    let mut searches = Searches::default();
    for probe in probes.iter().take(MAX_PROBES) {
        let Some(path) = normalised(&probe.path) else {
            continue;
        };
        if !RULES.is_chatter_path(&format!("/{path}")) && !RULES.is_chatter_path(&probe.path) {
            searches.add(probe, &path);
        }
    }
    searches.found()
}

/// One who looked for one name in the directories of one kind.
#[derive(Debug, Default)]
struct Search {
    directories: BTreeSet<String>,
    count: u64,
}

#[derive(Debug, Default)]
struct Searches {
    /// In the order in which they began.
    order: Vec<(String, Place, String)>,
    searches: BTreeMap<(String, Place, String), Search>,
    /// Directories of one kind that someone looked into at all.
    looked: BTreeMap<(String, Place), BTreeSet<String>>,
    /// CMake's own files need no default directory: their names say what they are.
    cmake: Vec<(String, String, String)>,
}

impl Searches {
    fn add(&mut self, probe: &Probe, path: &str) {
        if let Some(package) = cmake_package(path) {
            self.cmake
                .push((package, probe.by.clone(), path.to_owned()));
            return;
        }
        let Some((place, directory, name)) = placed(probe.kind, path) else {
            return;
        };
        let key = (probe.by.clone(), place, name.to_owned());
        if !self.searches.contains_key(&key) {
            self.order.push(key.clone());
        }
        let search = self.searches.entry(key).or_default();
        search.directories.insert(directory.to_owned());
        search.count = search.count.saturating_add(probe.count.max(1));
        let looked = self.looked.entry((probe.by.clone(), place)).or_default();
        looked.insert(directory.to_owned());
    }

    fn found(self) -> Vec<Found> {
        let mut list = Collector::default();
        for key in &self.order {
            let (by, place, name) = key;
            let search = &self.searches[key];
            let looked = &self.looked[&(by.clone(), *place)];
            if !is_last(*place, &search.directories) || !looked.is_subset(&search.directories) {
                continue;
            }
            let Some((lack, strength)) = judged(*place, name, by) else {
                continue;
            };
            let evidence = format!(
                "`{}` looked for `{}` in {} and did not find it",
                clean::cut(&clean::line(by), 40),
                clean::cut(name, 80),
                directories(&search.directories)
            );
            list.add(Found {
                lack,
                evidence: clean::cut(&evidence, 200),
                strength,
            });
        }
        for (package, by, path) in self.cmake {
            let by = clean::cut(&clean::line(&by), 40);
            let evidence = format!(
                "`{by}` looked for `/{}` and did not find it",
                clean::cut(&path, 120)
            );
            list.add(Found {
                lack: Lack::CMake { package },
                evidence: clean::cut(&evidence, 200),
                strength: Strength::Hinted,
            });
        }
        list.sorted()
    }
}

fn directories(all: &BTreeSet<String>) -> String {
    let shown: Vec<String> = all.iter().take(2).map(|one| format!("`/{one}`")).collect();
    match all.len() {
        0..=2 => shown.join(" and "),
        many => format!("{} and {} more", shown.join(", "), many - 2),
    }
}

/// A path without leading slash, with `..` resolved by name and `bin`, `lib`, `sbin` in `usr`.
fn normalised(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if matches!(parts.first(), Some(&"bin" | &"sbin" | &"lib" | &"lib64")) {
        parts.insert(0, "usr");
    }
    let path = parts.join("/");
    is_name(&path).then_some(path)
}

/// Which default directory a path is in: the kind, the directory and the rest.
fn placed(kind: ProbeKind, path: &str) -> Option<(Place, &str, &str)> {
    let (directory, name) = path.rsplit_once('/')?;
    const PROGRAMS: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
    if PROGRAMS.contains(&directory) {
        return Some((Place::Programs, directory, name));
    }
    if kind == ProbeKind::Exec {
        return None;
    }
    if name.ends_with(".pc") && directory.ends_with("/pkgconfig") && directory.starts_with("usr/") {
        return Some((Place::Modules, directory, name));
    }
    if let Some((directory, header)) = header(path) {
        return Some((Place::Headers, directory, header));
    }
    let is_library = name.starts_with("lib") && (name.contains(".so") || name.ends_with(".a"));
    let place = directory
        .strip_prefix("usr/local/")
        .or(directory.strip_prefix("usr/"))?;
    let is_default =
        place == "lib" || place == "lib64" || place.strip_prefix("lib/").is_some_and(is_triplet);
    (is_library && is_default).then_some((Place::Libraries, directory, name))
}

/// The include directory of a header in a default one, and the header as it is included.
fn header(path: &str) -> Option<(&str, &str)> {
    let extension = path.rsplit_once('.')?.1;
    if !["h", "hh", "hpp", "hxx"].contains(&extension) {
        return None;
    }
    let start = ["usr/local/include/", "usr/include/"]
        .into_iter()
        .find(|start| path.starts_with(start))?;
    let rest = &path[start.len()..];
    match rest.split_once('/') {
        Some((first, name)) if is_triplet(first) => {
            Some((&path[..start.len() + first.len()], name))
        }
        _ => Some((&path[..start.len() - 1], rest)),
    }
}

/// Debian's multiarch triplets are `CPU-linux-ABI`.
fn is_triplet(name: &str) -> bool {
    name.contains("-linux-") && !name.contains('/')
}

/// Whether the end of the search order was reached: what is found earlier is not looked for there.
fn is_last(place: Place, missed: &BTreeSet<String>) -> bool {
    let last = match place {
        Place::Programs => "usr/bin",
        Place::Modules => "usr/share/pkgconfig",
        Place::Headers => "usr/include",
        Place::Libraries => "usr/lib",
    };
    missed.contains(last)
}

fn judged(place: Place, name: &str, by: &str) -> Option<(Lack, Strength)> {
    match place {
        Place::Programs if RULES.is_chatter_program(name) => None,
        Place::Programs => Some((Lack::program(name)?, Strength::Probed)),
        Place::Modules => {
            let module = name.strip_suffix(".pc")?.to_owned();
            Some((
                Lack::PkgConfig {
                    module,
                    at_least: None,
                },
                Strength::Probed,
            ))
        }
        // A compiler that misses a header says so, unless the source asked whether it is there.
        Place::Headers => {
            let compiles = by.starts_with("cc1") || by.starts_with("clang") || by == "cpp";
            let strength = if compiles {
                Strength::Hinted
            } else {
                Strength::Probed
            };
            Some((Lack::header(name)?, strength))
        }
        Place::Libraries => match name.strip_suffix(".so").or(name.strip_suffix(".a")) {
            Some(stem) => Some((
                Lack::Library(stem.strip_prefix("lib")?.to_owned()),
                Strength::Hinted,
            )),
            None => Some((Lack::SharedObject(name.to_owned()), Strength::Hinted)),
        },
    }
}

/// The package of `XConfig.cmake` and `x-config.cmake`, the two names that `find_package` tries.
fn cmake_package(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let package = name
        .strip_suffix("Config.cmake")
        .or(name.strip_suffix("-config.cmake"))?;
    (is_name(package) && !package.contains('@')).then(|| package.to_owned())
}
