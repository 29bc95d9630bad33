//! Which texts can reach an expression: a small dataflow over one file.
//!
//! Flow-insensitive: a name holds everything that is ever assigned to it in its scope, in the
//! order of the source. Branches for other platforms than Linux are not seen at all. Texts with a
//! part that is not known are dropped. Start at [`Source::collect`], then [`Source::texts`].

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{Visitor, walk_except_handler, walk_expr, walk_stmt};
use ruff_python_ast::{
    Comprehension, Expr, ExprCall, InterpolatedStringElement, Operator, Parameters, Stmt,
    StmtClassDef, StmtFunctionDef, StmtIf, StmtTry,
};

use crate::imports::{LOAD_ERRORS, handles, suppresses};
use crate::parse::Parsed;
use crate::platform::{Platform, is_other, last_name};

/// How many steps one question may take; the rest is not looked at.
const MAX_STEPS: usize = 4000;
/// How many steps all questions about one file may take together.
const MAX_STEPS_IN_ALL: usize = 2_000_000;
/// How many texts one expression may have.
pub(crate) const MAX_TEXTS: usize = 256;

/// What a name is bound to.
#[derive(Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// The value, or the elements, of an expression of a scope.
    Value(&'a Expr, usize),
    /// A parameter of a function's scope, by its place.
    Parameter(usize, usize),
    /// A function, by its scope.
    Function(usize),
}

/// A module, class or function.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    parent: usize,
    is_class: bool,
    names: BTreeMap<&'a str, Vec<Binding<'a>>>,
    /// The names of the parameters by their place, with the defaults.
    pub(crate) parameters: Vec<(&'a str, Option<&'a Expr>)>,
    /// The place of `*args`.
    pub(crate) rest: Option<usize>,
    /// A method, called with an object before the dot.
    pub(crate) is_method: bool,
    /// What it returns or yields.
    results: Vec<&'a Expr>,
}

/// A call, with where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) call: &'a ExprCall,
    pub(crate) scope: usize,
    pub(crate) optional: bool,
    pub(crate) in_function: bool,
}

/// The bindings and calls of one file.
#[derive(Default)]
pub(crate) struct Source<'a> {
    pub(crate) scopes: Vec<Scope<'a>>,
    pub(crate) calls: Vec<Call<'a>>,
    /// Imported names → what they are, as `module.name`.
    pub(crate) imported: BTreeMap<&'a str, String>,
    /// `x.NAME = value` and names of class bodies, whatever `x` is.
    attributes: BTreeMap<&'a str, Vec<Binding<'a>>>,
    platform: Platform,
    /// Steps taken so far.
    steps: Cell<usize>,
}

/// The answer of [`Source::texts`].
#[derive(Default)]
pub(crate) struct Texts {
    /// In the order of the source, each once.
    pub(crate) texts: Vec<String>,
    /// Parameters (scope, place) whose arguments reach the expression too.
    pub(crate) parameters: BTreeSet<(usize, usize)>,
    seen: BTreeSet<(usize, usize)>,
    steps: usize,
}

impl Texts {
    /// For a part that is asked about by itself, with the same limits.
    fn inner(&self) -> Self {
        Self {
            seen: self.seen.clone(),
            steps: self.steps + 1,
            ..Self::default()
        }
    }

    fn push(&mut self, text: &str) {
        if self.texts.len() < MAX_TEXTS && !self.texts.iter().any(|known| known == text) {
            self.texts.push(text.to_owned());
        }
    }
}

impl<'a> Source<'a> {
    /// Reads a file.
    pub(crate) fn collect(parsed: &'a Parsed) -> Self {
        let mut collector = Collector {
            source: Self::default(),
            scope: 0,
            optional: 0,
            functions: 0,
        };
        collector.source.scopes.push(Scope::default());
        collector.visit_body(parsed.body());
        collector.source
    }

    /// The functions that a callee can be: by name in its scope, or as a method by its name alone.
    pub(crate) fn functions(&self, callee: &Expr, scope: usize) -> Vec<usize> {
        let bindings = match callee {
            Expr::Name(name) => self.lookup(name.id.as_str(), scope),
            Expr::Attribute(attribute) => self.attributes.get(attribute.attr.as_str()),
            _ => None,
        };
        let bindings = bindings.filter(|bindings| self.spend(bindings.len()));
        let functions = bindings
            .into_iter()
            .flatten()
            .filter_map(|binding| match binding {
                Binding::Function(scope) => Some(*scope),
                _ => None,
            });
        functions.collect()
    }

    /// Whether a scope is, or lies in, another.
    pub(crate) fn is_inside(&self, mut scope: usize, outer: usize) -> bool {
        while scope != outer && scope != 0 {
            scope = self.scopes[scope].parent;
        }
        scope == outer
    }

    /// Takes steps from what all questions may take together; `false` when nothing is left.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let spent = self.steps.get() + steps;
        self.steps.set(spent);
        spent <= MAX_STEPS_IN_ALL
    }

    /// Everything that a name is bound to, in the nearest scope that binds it.
    pub(crate) fn lookup(&self, name: &str, scope: usize) -> Option<&Vec<Binding<'a>>> {
        let mut at = scope;
        loop {
            let here = &self.scopes[at];
            // The names of a class are not seen from its methods.
            if (!here.is_class || at == scope)
                && let Some(found) = here.names.get(name)
            {
                return Some(found);
            }
            if at == 0 {
                return None;
            }
            at = here.parent;
        }
    }

    /// The texts that can reach `expr`.
    pub(crate) fn texts(&self, expr: &Expr, scope: usize) -> Texts {
        let mut texts = Texts::default();
        self.add(expr, scope, &mut texts);
        texts
    }

    fn add(&self, expr: &Expr, scope: usize, out: &mut Texts) {
        out.steps += 1;
        let place = (std::ptr::from_ref(expr).addr(), scope);
        if out.steps > MAX_STEPS || !self.spend(1) || !out.seen.insert(place) {
            return;
        }
        match expr {
            Expr::StringLiteral(text) => out.push(text.value.to_str()),
            Expr::BytesLiteral(bytes) => {
                let bytes: Vec<u8> = bytes.value.bytes().collect();
                if let Ok(text) = String::from_utf8(bytes) {
                    out.push(&text);
                }
            }
            Expr::FString(_) => self.add_joined(expr, scope, out),
            Expr::BinOp(operation) => {
                let (left, right) = (&operation.left, &operation.right);
                if operation.op == Operator::Add && !is_text(left) && !is_text(right) {
                    // Two lists, or a sum whose kind is not known: texts that are only part of
                    // a longer one would be wrong, so names are taken as lists only.
                    if is_sequence(left) || is_sequence(right) {
                        self.add(left, scope, out);
                        self.add(right, scope, out);
                        return;
                    }
                }
                self.add_joined(expr, scope, out);
            }
            Expr::Name(name) => {
                for binding in self.lookup(name.id.as_str(), scope).into_iter().flatten() {
                    self.add_binding(*binding, out);
                }
            }
            Expr::Attribute(attribute) => {
                let bindings = self.attributes.get(attribute.attr.as_str());
                for binding in bindings.into_iter().flatten() {
                    self.add_binding(*binding, out);
                }
            }
            Expr::If(choice) => {
                let answer = self.platform.truth(&choice.test);
                if answer != Some(false) {
                    self.add(&choice.body, scope, out);
                }
                if answer != Some(true) {
                    self.add(&choice.orelse, scope, out);
                }
            }
            Expr::Dict(dict) => {
                for item in &dict.items {
                    let key = item.key.as_ref().and_then(Expr::as_string_literal_expr);
                    if !key.is_some_and(|key| is_other(key.value.to_str())) {
                        self.add(&item.value, scope, out);
                    }
                }
            }
            Expr::Call(call) => self.add_call(call, scope, out),
            _ => {
                for part in parts(expr) {
                    self.add(part, scope, out);
                }
            }
        }
    }

    fn add_binding(&self, binding: Binding<'a>, out: &mut Texts) {
        match binding {
            Binding::Value(value, scope) => self.add(value, scope, out),
            Binding::Parameter(scope, place) => {
                if out.parameters.insert((scope, place))
                    && let Some((_, Some(default))) = self.scopes[scope].parameters.get(place)
                {
                    self.add(default, self.scopes[scope].parent, out);
                }
            }
            Binding::Function(_) => {}
        }
    }

    fn add_call(&self, call: &ExprCall, scope: usize, out: &mut Texts) {
        let arguments = &call.arguments.args;
        let method = call.func.as_attribute_expr();
        match (last_name(&call.func), method) {
            // The name it was asked for is no file name: the question itself is a sink.
            (Some("find_library" | "_find_library"), _) => {}
            (Some("join"), Some(_)) => {}
            (Some("getenv"), _) | (Some("get"), Some(_)) => {
                if let Some(default) = arguments.get(1) {
                    self.add(default, scope, out);
                }
                // `{'linux': 'x.so'}.get(sys.platform)`
                if let Some(method) = method.filter(|method| method.attr.as_str() == "get") {
                    self.add(&method.value, scope, out);
                }
            }
            (Some("split"), Some(method)) if arguments.is_empty() && self.spend(out.seen.len()) => {
                let mut inner = out.inner();
                self.add(&method.value, scope, &mut inner);
                out.steps = inner.steps;
                for text in inner.texts {
                    for word in text.split_whitespace() {
                        out.push(word);
                    }
                }
            }
            (
                Some("values" | "items" | "encode" | "decode" | "strip" | "copy" | "format"),
                Some(method),
            ) if arguments.is_empty() => self.add(&method.value, scope, out),
            (
                Some(
                    "str" | "list" | "tuple" | "set" | "frozenset" | "sorted" | "reversed" | "iter"
                    | "next" | "fsencode" | "fspath" | "filter" | "enumerate" | "chain" | "Path",
                ),
                _,
            ) => {
                for argument in arguments {
                    self.add(argument, scope, out);
                }
            }
            _ => self.add_results(call, scope, out),
        }
    }

    /// What a function of this file returns, with the arguments put in.
    fn add_results(&self, call: &ExprCall, scope: usize, out: &mut Texts) {
        for function in self.functions(&call.func, scope) {
            if !self.spend(out.seen.len()) {
                return;
            }
            let mut inner = out.inner();
            for result in &self.scopes[function].results {
                self.add(result, function, &mut inner);
            }
            out.steps = inner.steps;
            for text in &inner.texts {
                out.push(text);
            }
            for (owner, place) in inner.parameters {
                if owner == function {
                    for argument in self.arguments(call, function, place) {
                        self.add(argument, scope, out);
                    }
                } else {
                    out.parameters.insert((owner, place));
                }
            }
        }
    }

    /// The arguments of a call that go to one parameter of a function.
    pub(crate) fn arguments<'c>(
        &self,
        call: &'c ExprCall,
        function: usize,
        place: usize,
    ) -> Vec<&'c Expr> {
        let scope = &self.scopes[function];
        let (name, _) = scope.parameters[place];
        let bound = scope.is_method && call.func.is_attribute_expr();
        let first = place.saturating_sub(usize::from(bound));
        let mut found: Vec<&Expr> = if scope.rest == Some(place) {
            call.arguments.args.iter().skip(first).collect()
        } else if scope.rest.is_some_and(|rest| place > rest) {
            Vec::new()
        } else {
            call.arguments.args.get(first).into_iter().collect()
        };
        let keywords = call.arguments.keywords.iter();
        found.extend(
            keywords
                .filter(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name))
                .map(|keyword| &keyword.value),
        );
        found
    }

    /// Texts put together from parts that are all known.
    fn add_joined(&self, expr: &Expr, scope: usize, out: &mut Texts) {
        for text in self.joined(expr, scope, 0).unwrap_or_default() {
            out.push(&text);
        }
    }

    /// Every text that an expression can be, `None` when a part is not known.
    fn joined(&self, expr: &Expr, scope: usize, depth: usize) -> Option<Vec<String>> {
        if depth > 20 || !self.spend(1) {
            return None;
        }
        match expr {
            Expr::StringLiteral(text) => Some(vec![text.value.to_str().to_owned()]),
            Expr::BinOp(operation) if operation.op == Operator::Add => {
                let left = self.joined(&operation.left, scope, depth + 1)?;
                let right = self.joined(&operation.right, scope, depth + 1)?;
                product(&left, &right)
            }
            Expr::FString(text) => {
                let mut all = vec![String::new()];
                for element in text.value.elements() {
                    let part = match element {
                        InterpolatedStringElement::Literal(literal) => {
                            vec![literal.value.to_string()]
                        }
                        InterpolatedStringElement::Interpolation(value) => {
                            if value.format_spec.is_some() {
                                return None;
                            }
                            self.joined(&value.expression, scope, depth + 1)?
                        }
                    };
                    all = product(&all, &part)?;
                }
                Some(all)
            }
            Expr::Name(name) => {
                let mut all = Vec::new();
                for binding in self.lookup(name.id.as_str(), scope)? {
                    let Binding::Value(value, scope) = *binding else {
                        return None;
                    };
                    all.extend(self.joined(value, scope, depth + 1)?);
                }
                Some(all)
            }
            Expr::If(choice) => match self.platform.truth(&choice.test) {
                Some(true) => self.joined(&choice.body, scope, depth + 1),
                Some(false) => self.joined(&choice.orelse, scope, depth + 1),
                None => None,
            },
            _ => None,
        }
    }
}

fn product(left: &[String], right: &[String]) -> Option<Vec<String>> {
    if left.len() * right.len() > 16 {
        return None;
    }
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
    let texts = pairs.map(|(a, b)| format!("{a}{b}"));
    let texts: Vec<String> = texts.filter(|text| text.len() <= 4096).collect();
    Some(texts)
}

/// The parts of an expression that its value, or an element of it, can be.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Tuple(tuple) => tuple.elts.iter().collect(),
        Expr::List(list) => list.elts.iter().collect(),
        Expr::Set(set) => set.elts.iter().collect(),
        Expr::BoolOp(operation) => operation.values.iter().collect(),
        Expr::Starred(starred) => vec![&starred.value],
        Expr::Named(named) => vec![&named.value],
        Expr::Subscript(subscript) => vec![&subscript.value],
        Expr::Await(awaited) => vec![&awaited.value],
        Expr::ListComp(list) => vec![&list.elt],
        Expr::SetComp(set) => vec![&set.elt],
        Expr::Generator(generator) => vec![&generator.elt],
        _ => Vec::new(),
    }
}

fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::StringLiteral(_) | Expr::FString(_) | Expr::BytesLiteral(_) => true,
        Expr::BinOp(operation) => is_text(&operation.left) || is_text(&operation.right),
        _ => false,
    }
}

pub(crate) fn is_sequence(expr: &Expr) -> bool {
    match expr {
        Expr::List(_) | Expr::Tuple(_) | Expr::ListComp(_) => true,
        Expr::BinOp(operation) => is_sequence(&operation.left) || is_sequence(&operation.right),
        Expr::Call(call) => matches!(last_name(&call.func), Some("list" | "tuple" | "split")),
        _ => false,
    }
}

struct Collector<'a> {
    source: Source<'a>,
    scope: usize,
    /// How many `try` around here handle a library that does not load.
    optional: usize,
    /// How many functions are around here.
    functions: usize,
}

impl<'a> Collector<'a> {
    fn bind(&mut self, target: &'a Expr, value: &'a Expr) {
        let scope = self.scope;
        match (target, value) {
            (Expr::Tuple(targets), Expr::Tuple(values))
                if targets.elts.len() == values.elts.len() =>
            {
                for (target, value) in targets.elts.iter().zip(&values.elts) {
                    self.bind(target, value);
                }
            }
            (Expr::Tuple(targets), _) => {
                for target in &targets.elts {
                    self.bind(target, value);
                }
            }
            (Expr::List(targets), _) => {
                for target in &targets.elts {
                    self.bind(target, value);
                }
            }
            (Expr::Starred(starred), _) => self.bind(&starred.value, value),
            // `TABLE['key'] = value`
            (Expr::Subscript(subscript), _) => self.bind(&subscript.value, value),
            (Expr::Name(name), _) => {
                self.name(name.id.as_str(), Binding::Value(value, scope));
                self.source.platform.learn(target, value);
            }
            (Expr::Attribute(attribute), _) => {
                let bindings = self.source.attributes.entry(attribute.attr.as_str());
                bindings.or_default().push(Binding::Value(value, scope));
                self.source.platform.learn(target, value);
            }
            _ => {}
        }
    }

    fn name(&mut self, name: &'a str, binding: Binding<'a>) {
        let scope = &mut self.source.scopes[self.scope];
        scope.names.entry(name).or_default().push(binding);
        if scope.is_class {
            self.source
                .attributes
                .entry(name)
                .or_default()
                .push(binding);
        }
    }

    fn open(&mut self, scope: Scope<'a>) -> usize {
        self.source.scopes.push(Scope {
            parent: self.scope,
            ..scope
        });
        self.source.scopes.len() - 1
    }

    fn function(&mut self, function: &'a StmtFunctionDef) {
        for decorator in &function.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        let is_static = function
            .decorator_list
            .iter()
            .any(|decorator| last_name(&decorator.expression) == Some("staticmethod"));
        let is_method = self.source.scopes[self.scope].is_class && !is_static;
        let scope = self.open(Scope {
            is_method,
            ..Scope::default()
        });
        self.name(function.name.as_str(), Binding::Function(scope));
        let outer = std::mem::replace(&mut self.scope, scope);
        self.functions += 1;
        self.parameters(&function.parameters);
        let optional = std::mem::take(&mut self.optional);
        self.visit_body(&function.body);
        self.optional = optional;
        self.functions -= 1;
        self.scope = outer;
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        let scope = self.scope;
        let plain = parameters.posonlyargs.iter().chain(&parameters.args);
        let mut list: Vec<(&str, Option<&Expr>)> = plain
            .map(|parameter| (parameter.name().as_str(), parameter.default()))
            .collect();
        if let Some(rest) = &parameters.vararg {
            self.source.scopes[scope].rest = Some(list.len());
            list.push((rest.name.as_str(), None));
        } else {
            // `*` alone: what follows is given by keyword only.
            self.source.scopes[scope].rest = None;
        }
        list.extend(
            parameters
                .kwonlyargs
                .iter()
                .map(|parameter| (parameter.name().as_str(), parameter.default())),
        );
        for (place, (name, default)) in list.iter().enumerate() {
            self.name(name, Binding::Parameter(scope, place));
            if let Some(default) = default {
                self.visit_expr(default);
            }
        }
        self.source.scopes[scope].parameters = list;
    }

    fn class(&mut self, class: &'a StmtClassDef) {
        let scope = self.open(Scope {
            is_class: true,
            ..Scope::default()
        });
        let outer = std::mem::replace(&mut self.scope, scope);
        self.visit_body(&class.body);
        self.scope = outer;
    }

    /// Visits the branches that run on Linux; answers whether what follows never does.
    fn branches(&mut self, branch: &'a StmtIf) -> bool {
        self.visit_expr(&branch.test);
        let clauses = branch.elif_else_clauses.iter();
        let clauses = clauses.map(|clause| (clause.test.as_ref(), &clause.body));
        let mut doubtful = false;
        for (test, body) in std::iter::once((Some(&*branch.test), &branch.body)).chain(clauses) {
            match test.and_then(|test| self.source.platform.truth(test)) {
                Some(false) => {}
                Some(true) => {
                    self.visit_body(body);
                    return !doubtful && ends(body);
                }
                None => {
                    doubtful = true;
                    self.visit_body(body);
                }
            }
        }
        false
    }

    fn attempt(&mut self, attempt: &'a StmtTry) {
        let tolerant = attempt
            .handlers
            .iter()
            .any(|handler| handles(handler, LOAD_ERRORS));
        self.optional += usize::from(tolerant);
        self.visit_body(&attempt.body);
        self.optional -= usize::from(tolerant);
        for handler in &attempt.handlers {
            walk_except_handler(self, handler);
        }
        self.visit_body(&attempt.orelse);
        self.visit_body(&attempt.finalbody);
    }

    fn import(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    if let Some(local) = &alias.asname {
                        let name = alias.name.to_string();
                        self.source.imported.insert(local.as_str(), name);
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    let local = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
                    self.source
                        .platform
                        .learn_import(module, &alias.name, local);
                    self.source
                        .imported
                        .insert(local, format!("{module}.{}", alias.name));
                }
            }
            _ => {}
        }
    }
}

/// Whether a block never goes on to what follows it.
fn ends(body: &[Stmt]) -> bool {
    matches!(
        body.last(),
        Some(Stmt::Return(_) | Stmt::Raise(_) | Stmt::Continue(_) | Stmt::Break(_))
    )
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            if let Stmt::If(branch) = stmt {
                if self.branches(branch) {
                    return;
                }
            } else {
                self.visit_stmt(stmt);
            }
        }
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => return self.function(function),
            Stmt::ClassDef(class) => return self.class(class),
            Stmt::Try(attempt) => return self.attempt(attempt),
            Stmt::If(branch) => {
                self.branches(branch);
                return;
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => return self.import(stmt),
            Stmt::With(with) => {
                let tolerant = with
                    .items
                    .iter()
                    .any(|item| suppresses(&item.context_expr, LOAD_ERRORS));
                self.optional += usize::from(tolerant);
                walk_stmt(self, stmt);
                self.optional -= usize::from(tolerant);
                return;
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.bind(target, &assign.value);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.bind(&assign.target, value);
                }
            }
            Stmt::AugAssign(assign) => self.bind(&assign.target, &assign.value),
            Stmt::For(repeat) => self.bind(&repeat.target, &repeat.iter),
            Stmt::Return(result) => {
                let results = &mut self.source.scopes[self.scope].results;
                results.extend(result.value.as_deref());
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        self.bind(&comprehension.target, &comprehension.iter);
        self.visit_expr(&comprehension.iter);
        for test in &comprehension.ifs {
            self.visit_expr(test);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Yield(result) => {
                let results = &mut self.source.scopes[self.scope].results;
                results.extend(result.value.as_deref());
            }
            Expr::YieldFrom(result) => {
                self.source.scopes[self.scope].results.push(&result.value);
            }
            Expr::Named(named) => self.bind(&named.target, &named.value),
            Expr::If(choice) => {
                let answer = self.source.platform.truth(&choice.test);
                self.visit_expr(&choice.test);
                if answer != Some(false) {
                    self.visit_expr(&choice.body);
                }
                if answer != Some(true) {
                    self.visit_expr(&choice.orelse);
                }
                return;
            }
            Expr::Call(call) => {
                self.source.calls.push(Call {
                    call,
                    scope: self.scope,
                    optional: self.optional > 0,
                    in_function: self.functions > 0,
                });
                // `names.append('x')`: one more value of `names`.
                if let Expr::Attribute(method) = &*call.func
                    && matches!(method.attr.as_str(), "append" | "extend" | "insert" | "add")
                    && let Some(value) = call.arguments.args.last()
                {
                    self.bind(&method.value, value);
                }
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}
