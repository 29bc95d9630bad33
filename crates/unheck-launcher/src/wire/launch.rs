//! The launch description as the launcher reads it: lines of `key value`, in a fixed order, nothing unknown.
//!
//! ```text
//! unheck-launch 1
//! mode static
//! loader usr/lib64/ld-linux-x86-64.so.2
//! names-by loader
//! library usr/lib/x86_64-linux-gnu
//! default SSL_CERT_FILE={root}/etc/ssl/certs/ca-certificates.crt
//! set LANG=C.UTF-8
//! start hello
//! command hello
//! program usr/bin/python3.13.bin
//! as usr/bin/python3.13
//! argument {root}/usr/bin/hello
//! command python3.13
//! program usr/bin/python3.13.bin
//! end unheck-launch
//! ```
//!
//! With `mode dynamic` there is neither `loader` nor `names-by` but any number of `need SONAME [VERSION…]`, each followed
//! by `package FAMILY NAME` lines. A value ends at the end of its line; every line ends with a line feed.

use alloc::vec::Vec;

use super::path::is_tree_path;

/// What stands for the absolute path of the tree's root in values.
pub(crate) const ROOT: &str = "{root}";
/// The variable that has the name of the launcher, where the loader cannot pass it.
pub(crate) const ARGV0_VARIABLE: &str = "UNHECK_ARGV0";

/// A description, borrowed from its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Description<'a> {
    /// Whose loader and libraries.
    pub(crate) mode: Mode<'a>,
    /// Library directories of the tree.
    pub(crate) libraries: Vec<&'a str>,
    /// Variables to set.
    pub(crate) variables: Vec<Variable<'a>>,
    /// The command of a one-file executable.
    pub(crate) start: &'a str,
    /// The commands.
    pub(crate) commands: Vec<Command<'a>>,
}

/// Whose loader and libraries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode<'a> {
    /// The tree's own.
    Static {
        /// The loader's path.
        loader: &'a str,
        /// Whether the loader knows `--argv0`.
        loader_names: bool,
    },
    /// The host's, which must have these.
    Dynamic(Vec<Need<'a>>),
}

/// A library that the host must have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need<'a> {
    /// Its soname.
    pub(crate) soname: &'a str,
    /// Symbol versions that it must define.
    pub(crate) versions: Vec<&'a str>,
    /// Family and package.
    pub(crate) packages: Vec<(&'a str, &'a str)>,
}

/// A variable to set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its value, with [`ROOT`] in it.
    pub(crate) value: &'a str,
    /// Whether it replaces one that is there.
    pub(crate) always: bool,
}

/// What one launcher starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// The launcher's file name.
    pub(crate) name: &'a str,
    /// The program.
    pub(crate) program: &'a str,
    /// The program's `argv[0]`, if it is not the launcher's own name.
    pub(crate) named: Option<&'a str>,
    /// Arguments before the user's.
    pub(crate) arguments: Vec<&'a str>,
}

/// Why a description is refused: line number from 1, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The line.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) why: &'static str,
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn bad(&self, why: &'static str) -> BadLine {
        BadLine {
            line: self.number,
            why,
        }
    }

    fn peek(&self) -> Option<(&'a str, &'a str)> {
        let (line, _) = self.rest.split_once('\n')?;
        line.split_once(' ')
    }

    fn step(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.number += 1;
    }

    /// The value of the next line if it has this key.
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let (found, value) = self.peek()?;
        (found == key).then(|| {
            self.step();
            value
        })
    }

    fn required(&mut self, key: &str, why: &'static str) -> Result<&'a str, BadLine> {
        self.optional(key).ok_or_else(|| self.bad(why))
    }

    /// Checks a path that was on the line before.
    fn path(&self, value: &'a str) -> Result<&'a str, BadLine> {
        if is_tree_path(value) {
            Ok(value)
        } else {
            Err(BadLine {
                line: self.number - 1,
                why: "the path is not relative and normalised",
            })
        }
    }
}

impl<'a> Description<'a> {
    /// Reads a description.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, BadLine> {
        let text = core::str::from_utf8(text).map_err(|_| BadLine {
            line: 1,
            why: "it is not UTF-8",
        })?;
        let mut lines = Lines {
            rest: text,
            number: 1,
        };
        if lines.required("unheck-launch", "it is no launch description")? != "1" {
            return Err(lines.bad("it is of a version that this launcher does not know"));
        }
        let mode = parse_mode(&mut lines)?;
        let mut libraries = Vec::new();
        while let Some(value) = lines.optional("library") {
            libraries.push(lines.path(value)?);
        }
        let variables = parse_variables(&mut lines)?;
        let start = lines.required("start", "`start` is expected here")?;
        let mut commands: Vec<Command<'a>> = Vec::new();
        while lines.peek().is_some_and(|(key, _)| key == "command") {
            let command = parse_command(&mut lines)?;
            if commands
                .last()
                .is_some_and(|last| last.name >= command.name)
            {
                return Err(lines.bad("commands are out of order"));
            }
            commands.push(command);
        }
        let end = lines.required(
            "end",
            "a key is unknown or out of place, or the end is missing",
        )?;
        if end != "unheck-launch" || !lines.rest.is_empty() {
            return Err(lines.bad("something stands behind the end"));
        }
        if !commands.iter().any(|command| command.name == start) {
            return Err(lines.bad("`start` names no command"));
        }
        Ok(Self {
            mode,
            libraries,
            variables,
            start,
            commands,
        })
    }

    /// The command of a launcher by its file name.
    pub(crate) fn command(&self, name: &[u8]) -> Option<&Command<'a>> {
        self.commands
            .iter()
            .find(|command| command.name.as_bytes() == name)
    }
}

fn parse_mode<'a>(lines: &mut Lines<'a>) -> Result<Mode<'a>, BadLine> {
    match lines.required("mode", "`mode` is expected here")? {
        "static" => {
            let loader = lines.required("loader", "`loader` is expected here")?;
            let loader = lines.path(loader)?;
            let loader_names = match lines.required("names-by", "`names-by` is expected here")? {
                "loader" => true,
                "environment" => false,
                _ => return Err(lines.bad("`names-by` is neither `loader` nor `environment`")),
            };
            Ok(Mode::Static {
                loader,
                loader_names,
            })
        }
        "dynamic" => {
            let mut needs = Vec::new();
            while let Some(value) = lines.optional("need") {
                needs.push(parse_need(lines, value)?);
            }
            Ok(Mode::Dynamic(needs))
        }
        _ => Err(lines.bad("the mode is neither `static` nor `dynamic`")),
    }
}

fn parse_need<'a>(lines: &mut Lines<'a>, value: &'a str) -> Result<Need<'a>, BadLine> {
    let mut words = value.split(' ');
    let soname = words.next().unwrap_or_default();
    if !is_tree_path(soname) || soname.contains('/') {
        return Err(lines.bad("a need has no soname"));
    }
    let versions: Vec<&str> = words.collect();
    if versions.iter().any(|version| version.is_empty()) {
        return Err(lines.bad("a need has an empty version"));
    }
    let mut packages = Vec::new();
    while let Some(value) = lines.optional("package") {
        let pair = value.split_once(' ');
        packages.push(pair.ok_or_else(|| lines.bad("a package has no name"))?);
    }
    Ok(Need {
        soname,
        versions,
        packages,
    })
}

fn parse_variables<'a>(lines: &mut Lines<'a>) -> Result<Vec<Variable<'a>>, BadLine> {
    let mut variables: Vec<Variable<'a>> = Vec::new();
    while let Some((key @ ("default" | "set"), value)) = lines.peek() {
        lines.step();
        let (name, value) = match value.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.contains('\0') => (name, value),
            _ => return Err(lines.bad("a variable is not `NAME=VALUE`")),
        };
        if variables.iter().any(|variable| variable.name == name) {
            return Err(lines.bad("a variable is set twice"));
        }
        variables.push(Variable {
            name,
            value,
            always: key == "set",
        });
    }
    Ok(variables)
}

fn parse_command<'a>(lines: &mut Lines<'a>) -> Result<Command<'a>, BadLine> {
    let name = lines.required("command", "`command` is expected here")?;
    if !is_tree_path(name) || name.contains('/') {
        return Err(lines.bad("a command's name is no file name"));
    }
    let program = lines.required("program", "`program` is expected here")?;
    let program = lines.path(program)?;
    let named = match lines.optional("as") {
        Some(value) => Some(lines.path(value)?),
        None => None,
    };
    let mut arguments = Vec::new();
    while let Some(value) = lines.optional("argument") {
        if value.contains('\0') {
            return Err(lines.bad("an argument has a NUL"));
        }
        arguments.push(value);
    }
    Ok(Command {
        name,
        program,
        named,
        arguments,
    })
}
