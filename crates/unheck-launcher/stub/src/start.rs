//! Becomes the program that a launch description names. Start at [`start`].

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ffi::{CStr, c_char};

use crate::environment::{Changed, Environment};
use crate::host;
use crate::say::{self, c_string, shown};
use crate::sys::{self, At, Errno};
use crate::wire::launch::{ARGV0_VARIABLE, Command, Description, Mode, ROOT};

/// Where the description is, relative to the root.
pub(crate) const DESCRIPTION: &[u8] = b"/usr/share/unheck/launch";
/// Longest description.
pub(crate) const LONGEST: usize = 1 << 20;

/// What is started and from where.
pub(crate) struct Start<'a> {
    /// Absolute path of the tree's root.
    pub(crate) root: &'a [u8],
    pub(crate) description: &'a Description<'a>,
    pub(crate) command: &'a Command<'a>,
    /// Absolute path by which the launcher was started.
    pub(crate) called: &'a [u8],
    /// The user's arguments, without the program's name.
    pub(crate) arguments: &'a [&'static CStr],
}

/// Reads the description of the tree at `root`; `None` if there is none.
pub(crate) fn read_description(root: &[u8]) -> Option<&'static [u8]> {
    let path = c_string(&[root, DESCRIPTION]);
    let file = match sys::open(At::CWD, &path, sys::READ, 0) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return None,
        Err(error) => cannot_read(&path, &error.text()),
    };
    match sys::read_all(&file, LONGEST) {
        Ok(Some(text)) => Some(text.leak()),
        Ok(None) => cannot_read(&path, "it is too long"),
        Err(error) => cannot_read(&path, &error.text()),
    }
}

fn cannot_read(path: &CStr, why: &str) -> ! {
    let path = shown(path.to_bytes());
    say::fail(say::FAILED, &alloc::format!("cannot read `{path}`: {why}"))
}

/// Parses a description; ends the program when it is not sound.
pub(crate) fn parse<'a>(root: &[u8], text: &'a [u8]) -> Description<'a> {
    match Description::parse(text) {
        Ok(description) => description,
        Err(bad) => {
            let path = shown(&[root, DESCRIPTION].concat());
            say::fail(
                say::FAILED,
                &alloc::format!("cannot use `{path}`: line {}: {}", bad.line, bad.why),
            )
        }
    }
}

/// A value with the root in the place of its placeholder.
fn with_root(value: &str, root: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, part) in value.split(ROOT).enumerate() {
        if number > 0 {
            bytes.extend_from_slice(root);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

/// Becomes the program.
pub(crate) fn start(start: &Start<'_>, environment: Environment<'_>) -> Infallible {
    let in_root = |path: &str| c_string(&[start.root, b"/", path.as_bytes()]);
    let program = in_root(start.command.program);
    let named = match start.command.named {
        Some(path) => in_root(path),
        None => c_string(&[start.called]),
    };
    let mut changed = Changed::new(environment);
    // Said to this process, not to what it starts.
    changed.remove("UNHECK_EXE");
    for variable in &start.description.variables {
        if variable.always || !changed.has(variable.name) {
            changed.set(variable.name, &with_root(variable.value, start.root));
        }
    }
    let mut before: Vec<CString> = Vec::new();
    let executed = match &start.description.mode {
        Mode::Static {
            loader,
            loader_names,
        } => {
            let loader = in_root(loader);
            before.push(loader.clone());
            if *loader_names {
                before.extend([c"--argv0".into(), named]);
            } else {
                changed.set(ARGV0_VARIABLE, named.as_bytes());
            }
            before.push(c"--inhibit-cache".into());
            before.extend([c"--library-path".into(), library_path(start)]);
            before.push(program.clone());
            loader
        }
        Mode::Dynamic(needs) => {
            host::check(start, needs, &program, &environment);
            before.push(named);
            program.clone()
        }
    };
    for argument in &start.command.arguments {
        before.push(c_string(&[&with_root(argument, start.root)]));
    }
    let own = before.iter().map(|argument| argument.as_ptr());
    let given = start.arguments.iter().map(|argument| argument.as_ptr());
    let args: Vec<*const c_char> = own.chain(given).chain([core::ptr::null()]).collect();
    let error = sys::execute(&executed, &args, &changed.pointers());
    let code = if error == Errno::ENOENT {
        say::NOT_FOUND
    } else {
        say::CANNOT
    };
    let path = shown(executed.as_bytes());
    say::fail(
        code,
        &alloc::format!("cannot start `{path}`: {}", error.text()),
    )
}

/// The library directories for the loader. It takes `:` and `;` for ends of paths and expands `$`.
fn library_path(start: &Start<'_>) -> CString {
    if start.root.iter().any(|byte| b":;$".contains(byte)) {
        let root = shown(start.root);
        say::fail(
            say::CANNOT,
            &alloc::format!(
                "loaders cannot search paths with `:`, `;` or `$`, and this tree is at `{root}`\nhint: move it"
            ),
        );
    }
    let mut path = Vec::new();
    for directory in &start.description.libraries {
        if !path.is_empty() {
            path.push(b':');
        }
        path.extend_from_slice(start.root);
        path.push(b'/');
        path.extend_from_slice(directory.as_bytes());
    }
    c_string(&[&path])
}
