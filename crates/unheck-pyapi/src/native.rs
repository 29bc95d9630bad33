//! Native libraries that a source opens by name, through `ctypes` or `cffi`.
//!
//! Only names written in the source are found: literals, and what a small dataflow over the file
//! leads to a loading call, through constants, loops and wrapper functions. Whether a name exists
//! is for the caller to find out. Start at [`native_names`].

use std::collections::BTreeSet;

use ruff_python_ast::Expr;

use crate::parse::Parsed;
use crate::platform::last_name;
use crate::values::{Binding, Call, Source};

/// How many names of one file are kept.
const MAX_NAMES: usize = 1024;
/// How many wrappers around wrappers are followed.
const MAX_ROUNDS: usize = 8;

/// A library that a source tries to open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NativeName {
    /// The line of the call where the name is given, counted from 1.
    pub line: u32,
    /// Names with the same number are alternatives: given to the same call.
    pub group: u32,
    /// The name as it is written: `libmagic.so.1`, or `magic` for `find_library`.
    pub name: String,
    /// What opens it.
    pub how: How,
    /// The source goes on when it cannot be opened (`try` with OSError, `suppress`).
    pub optional: bool,
    /// It is opened when a function is called, not when the module is imported.
    pub in_function: bool,
}

/// What opens a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// `ctypes.util.find_library(NAME)`: asks for `libNAME.so.*`.
    FindLibrary,
    /// `ctypes.CDLL(NAME)`, `ctypes.PyDLL(NAME)`.
    Cdll,
    /// `ctypes.cdll.LoadLibrary(NAME)`.
    LoadLibrary,
    /// `ffi.dlopen(NAME)`: the file, and `find_library` when there is none.
    CffiDlopen,
    /// A function of another file whose name says that it loads libraries; a guess.
    Wrapper,
}

impl NativeName {
    /// Whether a library with this soname (or file name) is what the source would get.
    pub fn is_served_by(&self, soname: &str) -> bool {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        let found = || {
            soname
                .strip_prefix("lib")
                .and_then(|rest| rest.strip_prefix(self.name.as_str()))
                .and_then(|rest| rest.strip_prefix(".so"))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match self.how {
            How::FindLibrary => found(),
            How::Cdll | How::LoadLibrary => soname == file,
            How::CffiDlopen | How::Wrapper => soname == file || found(),
        }
    }
}

/// The libraries that the source opens on Linux, by line, each once for each call.
pub fn native_names(parsed: &Parsed) -> Vec<NativeName> {
    parsed.visit(|| {
        let source = Source::collect(parsed);
        let mut finder = Finder {
            parsed,
            source: &source,
            wrappers: BTreeSet::new(),
            found: Vec::new(),
        };
        finder.run();
        let mut found = finder.found;
        found.sort_by_key(|name| (name.line, name.group));
        found
    })
}

struct Finder<'s, 'a> {
    parsed: &'a Parsed,
    source: &'s Source<'a>,
    /// Parameters (scope, place) that reach a loading call, and which.
    wrappers: BTreeSet<(usize, usize, How)>,
    found: Vec<NativeName>,
}

impl<'a> Finder<'_, 'a> {
    fn run(&mut self) {
        let source = self.source;
        for (group, call) in source.calls.iter().enumerate() {
            if let Some(how) = self.direct(call) {
                for argument in named_arguments(call, how) {
                    self.take(call, group, argument, how);
                }
            }
        }
        let mut known = BTreeSet::new();
        for _ in 0..MAX_ROUNDS {
            let new: BTreeSet<_> = self.wrappers.difference(&known).copied().collect();
            if new.is_empty() {
                return;
            }
            for (group, call) in source.calls.iter().enumerate() {
                for function in source.functions(&call.call.func, call.scope) {
                    let places =
                        (function, 0, How::FindLibrary)..(function + 1, 0, How::FindLibrary);
                    for &(_, place, how) in new.range(places) {
                        for argument in source.arguments(call.call, function, place) {
                            self.take(call, group, argument, how);
                        }
                    }
                }
            }
            known.extend(new);
        }
    }

    fn take(&mut self, call: &Call<'a>, group: usize, argument: &Expr, how: How) {
        let texts = self.source.texts(argument, call.scope);
        for parameter in texts.parameters {
            self.wrappers.insert((parameter.0, parameter.1, how));
        }
        let group = u32::try_from(group).unwrap_or(u32::MAX);
        for name in texts.texts {
            let known = self
                .found
                .iter()
                .any(|known| known.group == group && known.name == name && known.how == how);
            if !known && is_name(&name, how) && self.found.len() < MAX_NAMES {
                self.found.push(NativeName {
                    line: self.parsed.line(call.call.arguments.range.start().to_u32()),
                    group,
                    name,
                    how,
                    optional: call.optional,
                    in_function: call.in_function,
                });
            }
        }
    }

    /// Whether a call loads a library by itself.
    fn direct(&self, call: &Call<'a>) -> Option<How> {
        let callee = &*call.call.func;
        let name = last_name(callee)?;
        let attribute = callee.as_attribute_expr();
        if attribute.is_none() {
            return self.direct_name(name, call.scope, 0);
        }
        let owner = attribute.and_then(|attribute| last_name(&attribute.value));
        match (name, owner.unwrap_or_default()) {
            ("LoadLibrary", "windll" | "oledll") => None,
            ("CDLL" | "PyDLL", _) => Some(How::Cdll),
            ("LoadLibrary", _) => Some(How::LoadLibrary),
            ("find_library", _) => Some(How::FindLibrary),
            (name, _) if !is_loader(name) => None,
            // A method of this file: followed instead of guessed.
            _ if !self.source.functions(callee, call.scope).is_empty() => None,
            ("dlopen", _) => Some(How::CffiDlopen),
            _ => Some(How::Wrapper),
        }
    }

    /// What a bare name stands for: an import, or a variable that holds a loader.
    fn direct_name(&self, name: &str, scope: usize, depth: usize) -> Option<How> {
        if depth > 3 {
            return None;
        }
        if let Some(bindings) = self.source.lookup(name, scope) {
            return bindings.iter().take(4).find_map(|binding| match binding {
                Binding::Value(value, scope) => self.loader_value(value, *scope, depth),
                _ => None,
            });
        }
        let imported = self.source.imported.get(name).map_or(name, String::as_str);
        match imported.rsplit('.').next()? {
            "CDLL" | "PyDLL" => Some(How::Cdll),
            "find_library" => Some(How::FindLibrary),
            "LoadLibrary" => Some(How::LoadLibrary),
            last if imported.contains('.') && is_loader(last) => Some(How::Wrapper),
            _ => None,
        }
    }

    fn loader_value(&self, value: &Expr, scope: usize, depth: usize) -> Option<How> {
        match value {
            _ if depth > 3 => None,
            Expr::Name(name) => self.direct_name(name.id.as_str(), scope, depth + 1),
            Expr::Attribute(attribute) => match attribute.attr.as_str() {
                "CDLL" | "PyDLL" => Some(How::Cdll),
                "find_library" => Some(How::FindLibrary),
                "LoadLibrary" => Some(How::LoadLibrary),
                "dlopen" => Some(How::CffiDlopen),
                _ => None,
            },
            Expr::If(choice) => self
                .loader_value(&choice.body, scope, depth + 1)
                .or_else(|| self.loader_value(&choice.orelse, scope, depth + 1)),
            _ => None,
        }
    }
}

/// The arguments that name a library: the first one, or all of a function that is only guessed.
fn named_arguments<'a>(call: &Call<'a>, how: How) -> Vec<&'a Expr> {
    let arguments = &call.call.arguments;
    let positional = match how {
        How::Wrapper => arguments.args.iter().take(16).collect(),
        _ => arguments.args.first().into_iter().collect::<Vec<_>>(),
    };
    let keywords = arguments.keywords.iter().filter(|keyword| {
        let name = keyword.arg.as_ref().map_or("", |name| name.as_str());
        matches!(
            name,
            "name" | "names" | "library" | "libraries" | "filenames" | "candidates"
        )
    });
    positional
        .into_iter()
        .chain(keywords.map(|keyword| &keyword.value))
        .collect()
}

/// Names that functions have which load libraries given by name.
fn is_loader(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(|letter| *letter != '_')
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    [
        "dlopen",
        "loadlibrary",
        "loadctypeslibrary",
        "loadlocatelibrary",
        "locatelibrary",
        "findlibrary",
    ]
    .contains(&name.as_str())
}

/// Whether a text can name a library on Linux.
fn is_name(text: &str, how: How) -> bool {
    const ELSEWHERE: [&str; 8] = [
        ".dll",
        ".dylib",
        ".pyd",
        ".bundle",
        ".exe",
        ".framework",
        ".a",
        ".tbd",
    ];
    let lower = text.to_ascii_lowercase();
    let file = text.rsplit('/').next().unwrap_or(text);
    let letters = text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'/')
    });
    letters
        && text.len() <= 255
        && file.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !ELSEWHERE.iter().any(|ending| lower.ends_with(ending))
        && !lower.contains(".framework/")
        && match how {
            How::Cdll | How::LoadLibrary => file.contains(".so"),
            How::FindLibrary => !text.contains('/'),
            How::CffiDlopen | How::Wrapper => true,
        }
}
