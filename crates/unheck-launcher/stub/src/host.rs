//! Refuses to start on a host that lacks what a dynamic tree needs, and says what and whose package it is. Start at
//! [`check`].
//!
//! Libraries are looked for as glibc's loader does: `LD_LIBRARY_PATH`, the tree's own directories (for what reaches them
//! by its run path), the loader's cache, its default directories. The first of the right machine counts.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::environment::Environment;
use crate::say::{self, c_string, shown};
use crate::start::Start;
use crate::sys::{self, At};
use crate::wire::elf::{AARCH64, Object, X86_64};
use crate::wire::host::{default_directories, family, install};
use crate::wire::launch::Need;
use crate::wire::ldcache;

const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    AARCH64
} else {
    X86_64
};

/// What was found of one library.
enum Verdict {
    Fine,
    Missing,
    /// It is at this path and lacks these versions.
    Lacks(String, Vec<String>),
}

/// Returns when the host has everything.
pub(crate) fn check(
    start: &Start<'_>,
    needs: &[Need<'_>],
    program: &CStr,
    environment: &Environment<'_>,
) {
    let host = Host::new(start, environment);
    let mut lines = String::new();
    if let Some(loader) = missing_loader(program) {
        lines.push_str(&alloc::format!(
            "\n  {loader} (the program's loader): not found"
        ));
    }
    let mut packages: Vec<&str> = Vec::new();
    let os_release = read_first(&[c"/etc/os-release", c"/usr/lib/os-release"]);
    let family = family(&os_release);
    for need in needs {
        let problem = match host.verdict(need) {
            Verdict::Fine => continue,
            Verdict::Missing => "not found".into(),
            Verdict::Lacks(path, versions) => {
                alloc::format!("{path} has no {}", versions.join(", "))
            }
        };
        lines.push_str(&alloc::format!("\n  {}: {problem}", need.soname));
        for (of, package) in &need.packages {
            if Some(*of) == family {
                lines.push_str(&alloc::format!(" (package {package})"));
                packages.push(package);
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    packages.sort_unstable();
    packages.dedup();
    let hint = match (family, packages.is_empty()) {
        (Some(family), false) => {
            alloc::format!("\nhint: {} {}", install(family), packages.join(" "))
        }
        _ => String::new(),
    };
    let name = start.command.name;
    say::fail(
        say::CANNOT,
        &alloc::format!("`{name}` uses this host's libraries and the host lacks:{lines}{hint}"),
    )
}

fn map(path: &[u8]) -> Option<&'static [u8]> {
    let file = sys::open(At::CWD, &c_string(&[path]), sys::READ, 0).ok()?;
    let len = usize::try_from(sys::stat_fd(&file).ok()?.len).ok()?;
    sys::map_file(&file, len).ok()
}

fn read_first(paths: &[&CStr]) -> Vec<u8> {
    let content = |path: &&CStr| {
        let file = sys::open(At::CWD, path, sys::READ, 0).ok()?;
        sys::read_all(&file, 1 << 16).ok()?
    };
    paths.iter().find_map(content).unwrap_or_default()
}

/// The loader that the program asks for, if it is not there.
fn missing_loader(program: &CStr) -> Option<String> {
    let bytes = map(program.to_bytes())?;
    let loader = Object::parse(bytes, MACHINE)?.interpreter()?;
    let there = sys::stat(At::CWD, &c_string(&[loader]), true).is_ok();
    (!there).then(|| shown(loader))
}

struct Host {
    /// Directories before the cache.
    first: Vec<Vec<u8>>,
    cache: &'static [u8],
}

impl Host {
    fn new(start: &Start<'_>, environment: &Environment<'_>) -> Self {
        let mut first: Vec<Vec<u8>> = Vec::new();
        if let Some(paths) = environment.filled("LD_LIBRARY_PATH") {
            let paths = paths.split(|byte| b":;".contains(byte));
            first.extend(paths.map(|path| if path.is_empty() { b"." } else { path }.to_vec()));
        }
        for directory in &start.description.libraries {
            first.push([start.root, b"/", directory.as_bytes()].concat());
        }
        Self {
            first,
            cache: map(b"/etc/ld.so.cache").unwrap_or_default(),
        }
    }

    fn find(&self, soname: &str) -> Option<(Vec<u8>, Object<'static>)> {
        let soname = soname.as_bytes();
        let object = |path: Vec<u8>| {
            let object = Object::parse(map(&path)?, MACHINE)?;
            Some((path, object))
        };
        let in_directory = |directory: &[u8]| object([directory, b"/", soname].concat());
        self.first
            .iter()
            .find_map(|directory| in_directory(directory))
            .or_else(|| object(ldcache::find(self.cache, soname, MACHINE)?.to_vec()))
            .or_else(|| {
                let directories = default_directories(MACHINE);
                directories
                    .iter()
                    .find_map(|path| in_directory(path.as_bytes()))
            })
    }

    fn verdict(&self, need: &Need<'_>) -> Verdict {
        let Some((path, object)) = self.find(need.soname) else {
            return Verdict::Missing;
        };
        if need.versions.is_empty() {
            return Verdict::Fine;
        }
        // A library that cannot be read defines nothing; the loader would refuse it too.
        let defined = object.defined_versions().unwrap_or_default();
        let lacking = need
            .versions
            .iter()
            .filter(|version| !defined.contains(&version.as_bytes()));
        let lacking: Vec<String> = lacking.map(|version| String::from(*version)).collect();
        if lacking.is_empty() {
            Verdict::Fine
        } else {
            Verdict::Lacks(shown(&path), lacking)
        }
    }
}
