//! The launcher: starts a program, usually Python, inside a relocatable tree.
//!
//! As a file of the tree it finds the tree's root above itself, reads the launch description there and becomes the
//! program. With a payload appended it is an executable of its own: it unpacks the tree to a cache once and becomes the
//! program in it. It is linked without libc and has one thread; it asks nothing of the host but the kernel.
//!
//! Start at [`main`]. Formats are in `wire`, shared with the library that writes them. What the environment may ask for
//! (`UNHECK_EXE`, `UNHECK_EXE_ONCE`, `UNHECK_EXE_CACHE`) is described in `docs/launcher.md`.

#![no_std]
#![no_main]

extern crate alloc;

mod appended;
mod cache;
mod entry;
mod environment;
mod executable;
mod host;
mod once;
mod place;
mod say;
mod start;
mod sys;
mod unpack;
#[expect(dead_code, reason = "the other half is for the library")]
#[path = "../../src/wire/mod.rs"]
mod wire;
mod zstd;

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::appended::Appended;
use crate::entry::Given;
use crate::environment::Environment;
use crate::say::{FAILED, NOT_FOUND, c_string, fail, shown};
use crate::start::Start;
use crate::sys::{At, Fd};

/// How far above the launcher the root may be.
const HIGHEST: usize = 8;

/// The whole program.
pub(crate) fn main(given: &Given) -> ! {
    if given.secure {
        fail(
            FAILED,
            "launchers must not be setuid or have file capabilities",
        );
    }
    let environment = Environment(&given.environment);
    let me = Me::find(given, &environment);
    match Appended::open(me.file) {
        Err(damage) => fail(FAILED, &damage),
        Ok(Some(appended)) => executable::run(&appended, &given.args, &environment),
        Ok(None) => in_tree(&me.path, given, environment),
    }
}

/// The launcher's own file.
struct Me {
    file: Fd,
    /// Its absolute path with all links followed.
    path: Vec<u8>,
}

impl Me {
    /// By `/proc`, else by the path that the kernel executed, else by `argv[0]` and `PATH`.
    fn find(given: &Given, environment: &Environment<'_>) -> Self {
        const PROC: &CStr = c"/proc/self/exe";
        if let Ok(path) = sys::read_link(At::CWD, PROC)
            && let Ok(file) = sys::open(At::CWD, PROC, sys::READ, 0)
        {
            return Self { file, path };
        }
        let name = given.args.first().map_or(&b""[..], |name| name.to_bytes());
        let executed = given.executed.map(|path| path.to_bytes());
        let named = executed
            .into_iter()
            .map(<[u8]>::to_vec)
            .chain(spellings(name, environment));
        for path in named {
            let path = resolve(place::absolute(&path));
            if let Ok(file) = sys::open(At::CWD, &c_string(&[&path]), sys::READ, 0) {
                return Self { file, path };
            }
        }
        fail(
            FAILED,
            "cannot find the launcher's own file: there is no /proc, and its name does not lead to it",
        )
    }
}

/// The paths that a program's name may mean.
fn spellings(name: &[u8], environment: &Environment<'_>) -> Vec<Vec<u8>> {
    if name.contains(&b'/') {
        return alloc::vec![name.to_vec()];
    }
    let path = environment.filled("PATH").unwrap_or(b"/usr/bin:/bin");
    let directories = path.split(|byte| *byte == b':');
    directories
        .filter(|directory| !directory.is_empty())
        .map(|directory| [directory, b"/", name].concat())
        .collect()
}

/// Follows links at the end of a path, as many as the kernel would. Directories that are links may stay in it.
fn resolve(mut path: Vec<u8>) -> Vec<u8> {
    for _ in 0..40 {
        let Ok(target) = sys::read_link(At::CWD, &c_string(&[&path])) else {
            break;
        };
        path = if target.starts_with(b"/") {
            target
        } else {
            [parent(&path), b"/", &target].concat()
        };
    }
    path
}

fn parent(path: &[u8]) -> &[u8] {
    let at = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..at]
}

/// Starts what the tree around the launcher says.
fn in_tree(me: &[u8], given: &Given, environment: Environment<'_>) -> ! {
    let (root, text) = find_root(me);
    let description = start::parse(root, text);
    let name = &me[parent(me).len() + 1..];
    let Some(command) = description.command(name) else {
        let known: Vec<&str> = description
            .commands
            .iter()
            .map(|command| command.name)
            .collect();
        fail(
            NOT_FOUND,
            &alloc::format!(
                "the tree at `{}` has no command `{}`; it has: {}",
                shown(root),
                shown(name),
                known.join(", ")
            ),
        )
    };
    let called = called(me, given, &environment);
    let what = Start {
        root,
        description: &description,
        command,
        called: &called,
        arguments: given.args.get(1..).unwrap_or_default(),
    };
    match start::start(&what, environment) {}
}

/// The nearest directory above the launcher that has a description, and its text.
fn find_root(me: &[u8]) -> (&[u8], &'static [u8]) {
    let mut directory = parent(me);
    for _ in 0..HIGHEST {
        if let Some(text) = start::read_description(directory) {
            return (directory, text);
        }
        if directory.is_empty() {
            break;
        }
        directory = parent(directory);
    }
    fail(
        FAILED,
        &alloc::format!(
            "`{}` is in no tree: there is no `{}` above it\nhint: move the whole tree, or link to the launcher",
            shown(me),
            shown(&start::DESCRIPTION[1..])
        ),
    )
}

/// The path by which the launcher was called, links and all: virtual environments are found by it. Its own path when
/// the name leads elsewhere.
fn called(me: &[u8], given: &Given, environment: &Environment<'_>) -> Vec<u8> {
    let file = |path: &[u8]| {
        let status = sys::stat(At::CWD, &c_string(&[path]), true).ok()?;
        Some((status.device, status.inode))
    };
    let own = file(me);
    let name = given.args.first().map_or(&b""[..], |name| name.to_bytes());
    let mut paths = spellings(name, environment).into_iter();
    match paths.find(|path| own.is_some() && file(path) == own) {
        Some(path) => place::absolute(&path),
        None => me.to_vec(),
    }
}
