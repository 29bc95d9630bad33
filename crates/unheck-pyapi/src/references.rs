//! Everything in one source that can lead to another module: the edges of an import graph.
//!
//! Errs on the side of more: a text that could be a module's name is kept as a text, a name that
//! is computed is said to be computed with what is known of its beginning. Which of it exists is
//! for the caller to find out. Start at [`references`].

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, InterpolatedStringElement, Operator, Stmt};
use serde::{Deserialize, Serialize};

use crate::imports::{Context, absolute, imports_on};
use crate::parse::Parsed;
use crate::platform::last_name;
use crate::values::{Binding, Call, Source};

/// How many texts of one file are kept; tables beyond it are data, not names.
const MAX_TEXTS: usize = 20_000;
/// Longest text that can name something.
const MAX_TEXT: usize = 160;

/// Where a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its import name; of a package for an `__init__.py`; empty for a script.
    pub module: &'a str,
    /// What relative imports count from.
    pub package: &'a str,
    /// Major and minor version of the Python that runs it, where that is known.
    pub python: Option<(u32, u32)>,
}

/// When a reference is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// While the module itself is imported.
    Import,
    /// When the module is run as a program.
    Main,
    /// When a function is called, or a lazy import is used.
    Call,
    /// When an attribute of the module is asked for that it does not have (PEP 562).
    Attribute,
}

/// One module that a source names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// The module, absolute.
    pub module: String,
    /// The name taken from it, `*` for all; it may be a module too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it is followed.
    pub when: When,
    /// Followed only when one of these imports fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead_of: Vec<(String, Option<String>)>,
}

/// A module whose name is computed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Computed {
    /// How its name begins, absolute; empty when nothing is known.
    pub prefix: String,
    /// When it is imported.
    pub when: When,
    /// The line, counted from 1.
    pub line: u32,
}

/// What [`references`] answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct References {
    /// Modules by name.
    pub modules: BTreeSet<Reference>,
    /// Modules whose name is computed.
    pub computed: BTreeSet<Computed>,
    /// Modules that are started as programs: `[sys.executable, "-m", "m"]`, `run_module("m")`.
    pub started: BTreeSet<String>,
    /// Texts of `__all__`, which `from m import *` takes, submodules included.
    pub exports: BTreeSet<String>,
    /// Names of attributes that the source asks for, of whatever object.
    pub attributes: BTreeSet<String>,
    /// Texts that can be a name: of a module, an entry point, a codec, an attribute.
    pub texts: BTreeSet<String>,
    /// Native libraries that it opens by name, as it writes them.
    pub libraries: BTreeSet<String>,
    /// Absolute paths.
    pub paths: BTreeSet<String>,
    /// First line where a codec is asked for by a computed name.
    pub computed_codec: Option<u32>,
    /// First line where entry points of a computed group are asked for.
    pub computed_group: Option<u32>,
    /// It reads what is lazy from the stub beside it (`lazy_loader.attach_stub`).
    pub lazy_stub: bool,
}

/// The references of one source.
pub fn references(parsed: &Parsed, place: &Place<'_>) -> References {
    let mut found = References::default();
    for import in imports_on(parsed, place.package, place.python) {
        let when = match import.context {
            Context::TypeChecking | Context::OtherPlatform => continue,
            _ if import.on_attribute => When::Attribute,
            Context::Main => When::Main,
            _ if import.deferred => When::Call,
            _ => When::Import,
        };
        // What a module's own `__getattr__` takes is no question for it.
        if !import.on_attribute {
            found.attributes.extend(import.name.clone());
        }
        found.modules.insert(Reference {
            module: import.module,
            name: import.name,
            when,
            instead_of: import.instead_of,
        });
    }
    found.libraries = crate::native::native_names(parsed)
        .into_iter()
        .map(|native| native.name)
        .collect();
    parsed.visit(|| {
        let source = Source::collect(parsed);
        let mut calls = Calls {
            parsed,
            place,
            source: &source,
            found: &mut found,
        };
        for call in &source.calls {
            calls.call(call);
        }
        for binding in source.lookup("__all__", 0).into_iter().flatten() {
            if let Binding::Value(value, _) = binding {
                let mut texts = AllTexts(Vec::new());
                texts.visit_expr(value);
                found.exports.extend(texts.0);
            }
        }
        Words { found: &mut found }.visit_body(parsed.body());
    });
    found
}

struct Calls<'f, 's, 'a> {
    parsed: &'a Parsed,
    place: &'f Place<'f>,
    source: &'s Source<'a>,
    found: &'f mut References,
}

impl<'a> Calls<'_, '_, 'a> {
    fn call(&mut self, call: &Call<'a>) {
        let Some(name) = self.callee(call) else {
            return;
        };
        let line = self.parsed.line(call.call.arguments.range.start().to_u32());
        match name.as_str() {
            "import_module" | "__import__" => self.import(call, line),
            "iter_modules" | "walk_packages" => {
                let package = self.place.package;
                let when = self.when(call);
                let prefix = if package.is_empty() {
                    String::new()
                } else {
                    format!("{package}.")
                };
                self.found.computed.insert(Computed { prefix, when, line });
            }
            "run_module" => {
                let texts = self.argument(call, 0, "mod_name");
                self.found.started.extend(texts.unwrap_or_default());
            }
            "files" | "read_text" | "read_binary" | "open_text" | "open_binary" | "contents"
            | "is_resource" | "get_data" | "resource_filename" | "resource_string"
            | "resource_stream" | "resource_exists" | "PackageLoader" | "find_spec"
            | "resolve_name" => {
                for text in self.argument(call, 0, "package").unwrap_or_default() {
                    self.name(&text, call);
                }
            }
            "entry_points" | "iter_entry_points" => self.group(call, &name, line),
            "attach_stub" => self.found.lazy_stub = true,
            "attach" => self.attach(call),
            "encode"
            | "decode"
            | "lookup"
            | "getreader"
            | "getwriter"
            | "getencoder"
            | "getdecoder"
            | "getincrementaldecoder"
            | "getincrementalencoder"
            | "iterdecode"
            | "iterencode"
            | "EncodedFile" => self.codec(call, &name, line),
            _ => {}
        }
        for keyword in &call.call.arguments.keywords {
            let is_encoding = keyword
                .arg
                .as_ref()
                .is_some_and(|arg| arg.as_str() == "encoding");
            if is_encoding && self.complete(&keyword.value, call.scope).is_none() {
                self.found.computed_codec.get_or_insert(line);
            }
        }
    }

    /// The last name of what is called, import aliases and one assignment followed.
    fn callee(&self, call: &Call<'a>) -> Option<String> {
        let func = &*call.call.func;
        let Expr::Name(name) = func else {
            return last_name(func).map(str::to_owned);
        };
        let name = name.id.as_str();
        if let Some(imported) = self.source.imported.get(name) {
            return imported.rsplit('.').next().map(str::to_owned);
        }
        let bindings = self.source.lookup(name, call.scope).into_iter().flatten();
        for binding in bindings.take(4) {
            if let Binding::Value(value, _) = binding
                && matches!(last_name(value), Some("import_module" | "__import__"))
            {
                return last_name(value).map(str::to_owned);
            }
        }
        Some(name.to_owned())
    }

    fn when(&self, call: &Call<'a>) -> When {
        let getattr = self.source.lookup("__getattr__", 0).into_iter().flatten();
        for binding in getattr {
            if let Binding::Function(function) = binding
                && self.source.is_inside(call.scope, *function)
            {
                return When::Attribute;
            }
        }
        if call.in_function {
            When::Call
        } else {
            When::Import
        }
    }

    fn known(&self, name: &str) -> Option<String> {
        let text = match name {
            "__name__" => self.place.module,
            "__package__" => self.place.package,
            _ => return None,
        };
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn complete(&self, expr: &Expr, scope: usize) -> Option<BTreeSet<String>> {
        self.source.complete(expr, scope, &|name| self.known(name))
    }

    fn argument(&self, call: &Call<'a>, place: usize, keyword: &str) -> Option<BTreeSet<String>> {
        let argument = call.call.arguments.find_argument_value(keyword, place)?;
        self.complete(argument, call.scope)
    }

    fn name(&mut self, text: &str, call: &Call<'a>) {
        let when = self.when(call);
        let package = self
            .argument(call, 1, "package")
            .filter(|texts| texts.len() == 1)
            .and_then(|texts| texts.into_iter().next())
            .filter(|text| !text.is_empty());
        let package = package.as_deref().unwrap_or(self.place.package);
        let name = text.trim_start_matches('.');
        if name.is_empty() && text.is_empty() || !is_dotted(name) && !name.is_empty() {
            return;
        }
        let module = absolute(package, text.len() - name.len(), name);
        let (name, instead_of) = (None, Vec::new());
        self.found.modules.insert(Reference {
            module,
            name,
            when,
            instead_of,
        });
    }

    fn import(&mut self, call: &Call<'a>, line: u32) {
        let Some(argument) = call.call.arguments.find_argument_value("name", 0) else {
            return;
        };
        // `__import__(name, globals(), locals(), ['x'])`: what is taken may be modules too.
        if let Some(names) = self.argument(call, 3, "fromlist")
            && let Some(texts) = self.complete(argument, call.scope)
        {
            for (text, name) in texts
                .iter()
                .flat_map(|text| names.iter().map(move |name| (text, name)))
            {
                self.name(&format!("{text}.{name}"), call);
            }
        }
        if let Some(texts) = self.complete(argument, call.scope) {
            for text in &texts {
                self.name(text, call);
                // A table's keys and values may be names below this package.
                if !text.starts_with('.') && texts.len() > 1 && !self.place.package.is_empty() {
                    self.name(&format!("{}.{text}", self.place.package), call);
                }
            }
            return;
        }
        let text = self.prefix(argument, call.scope, 0);
        let name = text.trim_start_matches('.');
        let level = text.len() - name.len();
        let prefix = if level == 0 {
            text
        } else {
            let package = self.argument(call, 1, "package");
            let package = package.and_then(|texts| texts.into_iter().next());
            let package = package.as_deref().unwrap_or(self.place.package);
            let start = absolute(package, level, "");
            format!("{start}.{name}")
        };
        let when = self.when(call);
        self.found.computed.insert(Computed { prefix, when, line });
    }

    /// What a text surely begins with.
    fn prefix(&self, expr: &Expr, scope: usize, depth: usize) -> String {
        if depth > 6 {
            return String::new();
        }
        let whole = |expr: &Expr| {
            self.complete(expr, scope)
                .filter(|texts| texts.len() == 1)
                .and_then(|texts| texts.into_iter().next())
        };
        match expr {
            Expr::StringLiteral(text) => text.value.to_str().to_owned(),
            Expr::FString(text) => {
                let mut prefix = String::new();
                for element in text.value.elements() {
                    match element {
                        InterpolatedStringElement::Literal(literal) => {
                            prefix.push_str(&literal.value)
                        }
                        InterpolatedStringElement::Interpolation(value) => {
                            match whole(&value.expression) {
                                Some(text) => prefix.push_str(&text),
                                None => return prefix,
                            }
                        }
                    }
                }
                prefix
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => match whole(&sum.left) {
                Some(left) => left + &self.prefix(&sum.right, scope, depth + 1),
                None => self.prefix(&sum.left, scope, depth + 1),
            },
            Expr::BinOp(format) if format.op == Operator::Mod => {
                let text = self.prefix(&format.left, scope, depth + 1);
                text.split('%').next().unwrap_or_default().to_owned()
            }
            Expr::Name(name) => {
                if let Some(text) = self.known(name.id.as_str()) {
                    return text;
                }
                match self
                    .source
                    .lookup(name.id.as_str(), scope)
                    .map(Vec::as_slice)
                {
                    Some([Binding::Value(value, scope)]) => self.prefix(value, *scope, depth + 1),
                    _ => String::new(),
                }
            }
            Expr::Call(call) => self.prefix_of_call(call, scope, depth),
            _ => String::new(),
        }
    }

    /// `'p.{}'.format(x)`, `'.'.join([p, x])`.
    fn prefix_of_call(&self, call: &ExprCall, scope: usize, depth: usize) -> String {
        let Some(method) = call.func.as_attribute_expr() else {
            return String::new();
        };
        match method.attr.as_str() {
            "format" => {
                let text = self.prefix(&method.value, scope, depth + 1);
                text.split('{').next().unwrap_or_default().to_owned()
            }
            "join" => {
                let first = match call.arguments.args.first() {
                    Some(Expr::List(list)) => list.elts.first(),
                    Some(Expr::Tuple(tuple)) => tuple.elts.first(),
                    _ => None,
                };
                let first = first.map(|first| self.prefix(first, scope, depth + 1));
                first
                    .filter(|first| !first.is_empty())
                    .map_or(String::new(), |first| format!("{first}."))
            }
            _ => String::new(),
        }
    }

    fn group(&mut self, call: &Call<'a>, name: &str, line: u32) {
        let arguments = &call.call.arguments;
        let place = if name == "iter_entry_points" {
            0
        } else {
            usize::MAX
        };
        let group = arguments.find_argument_value("group", place);
        let unpacked = arguments
            .keywords
            .iter()
            .any(|keyword| keyword.arg.is_none());
        if unpacked || group.is_some_and(|group| self.complete(group, call.scope).is_none()) {
            self.found.computed_group.get_or_insert(line);
        }
    }

    /// `lazy_loader.attach(__name__, ["sub"], {"sub": ["name"]})`.
    fn attach(&mut self, call: &Call<'a>) {
        let is_own = call
            .call
            .arguments
            .args
            .first()
            .is_some_and(|first| last_name(first) == Some("__name__"));
        if !is_own || self.place.package.is_empty() {
            return;
        }
        let mut submodules = self.argument(call, 1, "submodules").unwrap_or_default();
        let table = call.call.arguments.find_argument_value("submod_attrs", 2);
        if let Some(Expr::Dict(dict)) = table {
            let keys = dict.items.iter().filter_map(|item| item.key.as_ref());
            let keys = keys.filter_map(Expr::as_string_literal_expr);
            submodules.extend(keys.map(|key| key.value.to_str().to_owned()));
        }
        for name in submodules {
            self.name(&format!("{}.{name}", self.place.package), call);
        }
    }

    fn codec(&mut self, call: &Call<'a>, name: &str, line: u32) {
        let owner = call.call.func.as_attribute_expr();
        let owner = owner.and_then(|attribute| last_name(&attribute.value));
        let place = match name {
            "encode" | "decode" if owner == Some("codecs") => 1,
            "encode" | "decode" => 0,
            "EncodedFile" | "iterdecode" | "iterencode" => 1,
            _ if owner == Some("codecs") => 0,
            _ => return,
        };
        if let Some(argument) = call.call.arguments.args.get(place)
            && !matches!(argument, Expr::Starred(_))
            && self.complete(argument, call.scope).is_none()
        {
            self.found.computed_codec.get_or_insert(line);
        }
    }
}

/// Every text below an expression.
struct AllTexts(Vec<String>);

impl<'a> Visitor<'a> for AllTexts {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::StringLiteral(text) = expr {
            self.0.push(text.value.to_str().to_owned());
        }
        walk_expr(self, expr);
    }
}

/// Texts, attributes and command lines, wherever they stand.
struct Words<'f> {
    found: &'f mut References,
}

impl Words<'_> {
    fn text(&mut self, text: &str) {
        if text.is_empty() || text.len() > MAX_TEXT || self.found.texts.len() >= MAX_TEXTS {
            return;
        }
        if text.starts_with('/') && !text.contains(char::is_whitespace) {
            self.found.paths.insert(text.to_owned());
            return;
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        if text.bytes().all(good) && text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            self.found.texts.insert(text.to_owned());
        }
    }

    /// `["python", "-m", "module"]`.
    fn command(&mut self, words: &[Expr]) {
        for pair in words.windows(2) {
            if let [Expr::StringLiteral(flag), Expr::StringLiteral(module)] = pair
                && flag.value.to_str() == "-m"
                && is_dotted(module.value.to_str())
            {
                self.found.started.insert(module.value.to_str().to_owned());
            }
        }
    }
}

impl<'a> Visitor<'a> for Words<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        // Documentation names many things and imports none.
        if let Stmt::Expr(expr) = stmt
            && expr.value.is_string_literal_expr()
        {
            return;
        }
        walk_stmt(self, stmt);
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::StringLiteral(text) => self.text(text.value.to_str()),
            Expr::Attribute(attribute) => {
                self.found.attributes.insert(attribute.attr.to_string());
            }
            Expr::List(list) => self.command(&list.elts),
            Expr::Tuple(tuple) => self.command(&tuple.elts),
            _ => {}
        }
        walk_expr(self, expr);
    }
}

/// Identifiers with dots between.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}
