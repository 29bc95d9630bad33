//! From a syntax tree to a [`Module`]: what each statement of module and class level binds, for
//! Linux and one version of Python. Where a test cannot be answered both branches are kept. Start
//! at [`lower`].

use ruff_python_ast::name::Name;
use ruff_python_ast::{
    Decorator, Expr, ExprCall, Parameters, Stmt, StmtAssign, StmtClassDef, StmtFunctionDef, StmtIf,
    StmtTry,
};
use ruff_text_size::Ranged as _;

use super::body::Body;
use super::model::{Binding, Bound, Class, Function, Module, Patch, Term};
use super::shape::{Parameter, ParameterKind, Signature};
use super::term::term;
use super::{deprecation, dynamic, fields, getattr};
use crate::parse::Parsed;
use crate::platform::Platform;

/// How many functions or classes of one file are kept.
const MAX_DEFINITIONS: usize = 50_000;
/// More parameters than people write; such a function takes anything.
const MAX_PARAMETERS: usize = 400;
/// How much of a default is kept, in characters.
const MAX_DEFAULT: usize = 60;

/// Where a file stands.
pub(crate) struct Place {
    /// Dotted name of the module.
    pub(crate) name: String,
    /// Path in the distribution.
    pub(crate) path: String,
    pub(crate) is_package: bool,
}

/// Reads a module.
pub(crate) fn lower(parsed: &Parsed, place: Place, python: (u32, u32)) -> Module {
    let mut lower = Lower {
        parsed,
        platform: Platform::of_python(Some(python)),
        module: Module {
            name: Name::new(&place.name),
            path: place.path.into(),
            is_package: place.is_package,
            errors: parsed.errors.len(),
            ..Module::default()
        },
    };
    let at = At {
        certain: true,
        typing: false,
        class: None,
    };
    let mut bindings = Vec::new();
    parsed.visit(|| {
        lower.block(parsed.body(), at, &mut bindings);
        lower.module.bindings = bindings;
        lower.module.bindings.sort_by(|a, b| a.name.cmp(&b.name));
        dynamic::loops(&mut lower.module, parsed);
    });
    lower.module.dynamic.names.sort_by(|a, b| a.0.cmp(&b.0));
    lower.module
}

/// Under which conditions a statement runs, and in which class.
#[derive(Clone, Copy)]
struct At {
    certain: bool,
    typing: bool,
    class: Option<u32>,
}

/// The state of the walk.
pub(crate) struct Lower<'a> {
    parsed: &'a Parsed,
    platform: Platform,
    pub(crate) module: Module,
}

impl Lower<'_> {
    /// The line of an expression.
    pub(crate) fn line(&self, expr: &Expr) -> u32 {
        self.parsed.line(expr.start().to_u32())
    }

    /// What a test answers, as far as the target tells.
    pub(crate) fn truth(&self, test: &Expr) -> Option<bool> {
        match test {
            Expr::BooleanLiteral(value) => Some(value.value),
            Expr::NumberLiteral(number) => {
                Some(number.value.as_int().and_then(|value| value.as_u8()) != Some(0))
            }
            Expr::UnaryOp(not) if not.op == ruff_python_ast::UnaryOp::Not => {
                Some(!self.truth(&not.operand)?)
            }
            _ => match term(test).last().map(Name::as_str) {
                Some("PY2" | "IS_PY2" | "_PY2") => Some(false),
                Some("PY3" | "IS_PY3" | "_PY3") => Some(true),
                _ => self.platform.truth(test),
            },
        }
    }

    fn block(&mut self, body: &[Stmt], at: At, out: &mut Vec<Binding>) {
        for statement in body {
            self.statement(statement, at, out);
        }
    }

    fn statement(&mut self, statement: &Stmt, at: At, out: &mut Vec<Binding>) {
        match statement {
            Stmt::FunctionDef(definition) => self.define(definition, at, out),
            Stmt::ClassDef(definition) => {
                let line = self.parsed.line(definition.name.start().to_u32());
                let index = self.class(definition, at);
                out.push(bound(&definition.name.id, line, at, Bound::Class(index)));
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.imports(statement, at, out),
            Stmt::Assign(assign) => self.assign(assign, at, out),
            Stmt::AnnAssign(assign) => {
                if let Expr::Name(name) = &*assign.target {
                    let annotation = term(&assign.annotation);
                    let what = match &assign.value {
                        Some(value) => {
                            let value = self.value(&name.id, value);
                            Bound::Value(value, Some(Box::new(annotation)))
                        }
                        None => Bound::Declared(annotation),
                    };
                    let line = self.line(&assign.target);
                    self.declares(&name.id, assign.value.as_deref());
                    out.push(bound(&name.id, line, at, what));
                }
            }
            Stmt::AugAssign(assign) => {
                if let Expr::Name(name) = &*assign.target {
                    dynamic::extend_all(&mut self.module, &name.id, &assign.value, at.class);
                }
            }
            Stmt::TypeAlias(alias) => {
                if let Expr::Name(name) = &*alias.name {
                    let what = Bound::Value(term(&alias.value), None);
                    let line = self.line(&alias.name);
                    out.push(bound(&name.id, line, at, what));
                }
            }
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    if let Expr::Name(name) = target {
                        out.push(bound(&name.id, self.line(target), at, Bound::Deleted));
                    }
                }
            }
            Stmt::Expr(statement) => {
                if let Some(call) = statement.value.as_call_expr() {
                    self.call(call, at, out);
                }
            }
            _ => self.compound(statement, at, out),
        }
    }

    fn compound(&mut self, statement: &Stmt, at: At, out: &mut Vec<Binding>) {
        let maybe = At {
            certain: false,
            ..at
        };
        match statement {
            Stmt::If(branches) => self.branches(branches, at, out),
            Stmt::Try(tried) => self.tried(tried, at, out),
            Stmt::With(with) => {
                for item in &with.items {
                    if let Some(target) = &item.optional_vars {
                        self.target(target, Term::Unknown, at, out);
                    }
                }
                self.block(&with.body, at, out);
            }
            Stmt::For(each) => {
                let element = Term::Element(Box::new(term(&each.iter)));
                self.target(&each.target, element, maybe, out);
                self.block(&each.body, maybe, out);
                self.block(&each.orelse, maybe, out);
            }
            Stmt::While(repeat) => self.block(&repeat.body, maybe, out),
            Stmt::Match(choice) => {
                for case in &choice.cases {
                    self.block(&case.body, maybe, out);
                }
            }
            _ => {}
        }
    }

    fn branches(&mut self, branches: &StmtIf, at: At, out: &mut Vec<Binding>) {
        let maybe = At {
            certain: false,
            ..at
        };
        let rest = branches.elif_else_clauses.iter();
        let rest = rest.map(|clause| (clause.test.as_ref(), &clause.body));
        let mut taken_at = at;
        for (test, body) in std::iter::once((Some(&*branches.test), &branches.body)).chain(rest) {
            let Some(test) = test else {
                return self.block(body, taken_at, out);
            };
            if is_type_checking(test) {
                let typing = At { typing: true, ..at };
                self.block(body, typing, out);
                continue;
            }
            if is_main(test) {
                continue;
            }
            match self.truth(test) {
                Some(true) => return self.block(body, taken_at, out),
                Some(false) => {}
                None => {
                    taken_at = maybe;
                    self.block(body, maybe, out);
                }
            }
        }
    }

    fn tried(&mut self, tried: &StmtTry, at: At, out: &mut Vec<Binding>) {
        let maybe = At {
            certain: false,
            ..at
        };
        let body_at = if tried.handlers.is_empty() { at } else { maybe };
        self.block(&tried.body, body_at, out);
        for handler in &tried.handlers {
            if let Some(handler) = handler.as_except_handler() {
                self.block(&handler.body, maybe, out);
            }
        }
        self.block(&tried.orelse, body_at, out);
        self.block(&tried.finalbody, at, out);
    }

    fn define(&mut self, definition: &StmtFunctionDef, at: At, out: &mut Vec<Binding>) {
        if self.module.functions.len() >= MAX_DEFINITIONS {
            return;
        }
        let is_accessor = |decorator: &Decorator| match term(&decorator.expression) {
            Term::Attribute(owner, name) => {
                matches!(name.as_str(), "setter" | "deleter")
                    && owner
                        .last()
                        .is_some_and(|owner| *owner == definition.name.id)
            }
            _ => false,
        };
        if definition.decorator_list.iter().any(is_accessor) {
            return;
        }
        let index = self.function(definition, at.class, false);
        if at.class.is_none() && definition.name.id == *"__getattr__" {
            let made = std::mem::take(&mut self.module.dynamic);
            self.module.dynamic = getattr::read(definition);
            self.module.dynamic.names.extend(made.names);
            self.module.dynamic.open ^= made.open;
        }
        let is_overload = |index: u32| {
            let decorators = &self.module.functions[index as usize].decorators;
            decorators
                .iter()
                .any(|term| term.last().is_some_and(|name| *name == *"overload"))
        };
        let follows_overload = out
            .iter()
            .rev()
            .find(|other| other.name == definition.name.id);
        let follows_overload = follows_overload.is_some_and(
            |other| matches!(other.what, Bound::Function(index) if is_overload(index)),
        );
        let at = At {
            certain: at.certain && !(is_overload(index) && follows_overload),
            ..at
        };
        let line = self.parsed.line(definition.name.start().to_u32());
        out.push(bound(&definition.name.id, line, at, Bound::Function(index)));
    }

    /// Adds a function with all that its body says; answers its index.
    pub(crate) fn function(
        &mut self,
        definition: &StmtFunctionDef,
        class: Option<u32>,
        is_nested: bool,
    ) -> u32 {
        let index = self.module.functions.len() as u32;
        self.module.functions.push(Function::default());
        let decorators = definition.decorator_list.iter();
        let decorators: Vec<Term> = decorators.map(|one| term(&one.expression)).collect();
        let deprecated = deprecation::decorated(&decorators)
            .or_else(|| deprecation::documented(&definition.body));
        let (signature, annotations) = self.parameters(&definition.parameters);
        let function = Function {
            name: definition.name.id.clone(),
            line: self.parsed.line(definition.name.start().to_u32()),
            signature,
            annotations,
            decorators,
            is_async: definition.is_async,
            returns: definition.returns.as_deref().map(term),
            deprecated: deprecated.map(Into::into),
            class,
            is_nested,
            ..Function::default()
        };
        let body = Body::read(self, definition, function);
        let (function, stores, open) = (body.function, body.stores, body.open);
        if let Some(class) = class.and_then(|class| self.module.classes.get_mut(class as usize)) {
            class.open ^= open.wrapping_mul(0x9e37_79b9);
            class.stores.extend(stores.into_iter().map(|mut store| {
                store.function = index;
                store
            }));
        }
        let mut function = function;
        // Functions of any name can stand in for `__getattr__`; these words are what they are
        // called by.
        let words = ["getattr", "migrat", "deprecat", "lazy", "wrapper", "attr"];
        if class.is_none() && words.iter().any(|word| function.name.contains(word)) {
            let read = getattr::read(definition);
            let is_any =
                !read.names.is_empty() || !read.tables.is_empty() || !read.raising.is_empty();
            function.dynamic = is_any.then(|| Box::new(read));
        }
        self.module.functions[index as usize] = function;
        index
    }

    fn parameters(&self, parameters: &Parameters) -> (Signature, Vec<(Name, Term)>) {
        if parameters.len() > MAX_PARAMETERS {
            return (Signature::anything(), Vec::new());
        }
        let mut list = Vec::with_capacity(parameters.len());
        let mut annotations = Vec::new();
        let mut add = |parameter: &ruff_python_ast::Parameter, kind, default: Option<&Expr>| {
            let name = parameter.name.id.clone();
            if let Some(annotation) = &parameter.annotation {
                annotations.push((name.clone(), term(annotation)));
            }
            let default = default.map(|default| self.shortened(default));
            list.push(Parameter {
                name,
                kind,
                default,
            });
        };
        let both =
            |list: &mut dyn FnMut(&ruff_python_ast::Parameter, ParameterKind, Option<&Expr>),
             of: &[ruff_python_ast::ParameterWithDefault],
             kind| {
                for one in of {
                    list(&one.parameter, kind, one.default.as_deref());
                }
            };
        both(
            &mut add,
            &parameters.posonlyargs,
            ParameterKind::PositionalOnly,
        );
        both(
            &mut add,
            &parameters.args,
            ParameterKind::PositionalOrKeyword,
        );
        if let Some(rest) = &parameters.vararg {
            add(rest, ParameterKind::VarPositional, None);
        }
        both(&mut add, &parameters.kwonlyargs, ParameterKind::KeywordOnly);
        if let Some(rest) = &parameters.kwarg {
            add(rest, ParameterKind::VarKeyword, None);
        }
        (Signature { parameters: list }, annotations)
    }

    fn shortened(&self, expr: &Expr) -> Box<str> {
        let range = expr.range();
        let source = self
            .parsed
            .source(range.start().to_u32(), range.end().to_u32());
        let line = deprecation::one_line(source);
        if line.chars().count() <= MAX_DEFAULT {
            return line.into();
        }
        let head: String = line.chars().take(MAX_DEFAULT).collect();
        format!("{head}…").into()
    }

    fn class(&mut self, definition: &StmtClassDef, at: At) -> u32 {
        let decorators = definition.decorator_list.iter();
        let decorators: Vec<Term> = decorators.map(|one| term(&one.expression)).collect();
        let deprecated = deprecation::decorated(&decorators)
            .or_else(|| deprecation::documented(&definition.body));
        let mut class = Class {
            name: definition.name.id.clone(),
            line: self.parsed.line(definition.name.start().to_u32()),
            decorators,
            deprecated: deprecated.map(Into::into),
            ..Class::default()
        };
        for base in definition
            .arguments
            .iter()
            .flat_map(|arguments| &arguments.args)
        {
            let base = fields::made(&mut self.module, term(base), class.line);
            class.bases.push(base);
        }
        let keywords = definition.arguments.iter();
        for keyword in keywords.flat_map(|arguments| &arguments.keywords) {
            match keyword.arg.as_ref().map(|name| name.id.clone()) {
                Some(name) if *name == *"metaclass" => class.metaclass = Some(term(&keyword.value)),
                Some(name) => class.keywords.push((name, term(&keyword.value))),
                None => {}
            }
        }
        let index = self.module.classes.len() as u32;
        self.module.classes.push(class);
        let inside = At {
            certain: true,
            typing: at.typing,
            class: Some(index),
        };
        let mut bindings = Vec::new();
        self.block(&definition.body, inside, &mut bindings);
        fields::slots(&mut self.module.classes[index as usize], &bindings);
        self.module.classes[index as usize].bindings = bindings;
        index
    }

    /// The value of an assignment; a call that makes a class becomes that class.
    fn value(&mut self, name: &Name, value: &Expr) -> Term {
        let line = self.line(value);
        let made = fields::made(&mut self.module, term(value), line);
        if let Term::Class(index) = &made
            && let Some(class) = self.module.classes.get_mut(*index as usize)
        {
            class.name = name.clone();
        }
        if let Expr::Lambda(lambda) = value {
            return self.lambda(name, lambda);
        }
        made
    }

    fn lambda(&mut self, name: &Name, lambda: &ruff_python_ast::ExprLambda) -> Term {
        let parameters = lambda
            .parameters
            .as_deref()
            .map(|list| self.parameters(list));
        let (signature, annotations) = parameters.unwrap_or_default();
        let function = Function {
            name: name.clone(),
            line: self.parsed.line(lambda.start().to_u32()),
            signature,
            annotations,
            results: vec![term(&lambda.body)],
            ..Function::default()
        };
        self.module.functions.push(function);
        Term::Function(self.module.functions.len() as u32 - 1)
    }

    fn assign(&mut self, assign: &StmtAssign, at: At, out: &mut Vec<Binding>) {
        if at.class.is_none() && dynamic::attach(&mut self.module, assign) {
            return;
        }
        let first = assign.targets.first();
        let name = first
            .and_then(Expr::as_name_expr)
            .map(|name| name.id.clone());
        if let Some(name) = &name {
            self.declares(name, Some(&assign.value));
            if at.class.is_none() {
                dynamic::set_all(&mut self.module, name, &assign.value);
            }
        }
        for target in &assign.targets {
            match (target, &*assign.value) {
                (Expr::Tuple(targets), Expr::Tuple(values))
                    if targets.elts.len() == values.elts.len() =>
                {
                    for (target, value) in targets.elts.iter().zip(&values.elts) {
                        self.target(target, term(value), at, out);
                    }
                }
                (Expr::Name(target), value) => {
                    let line = self.line(first.unwrap_or(value));
                    let value = self.value(&target.id, value);
                    out.push(bound(&target.id, line, at, Bound::Value(value, None)));
                }
                (target, value) => self.target(target, term(value), at, out),
            }
        }
    }

    /// Learns what a name says about the platform.
    fn declares(&mut self, name: &Name, value: Option<&Expr>) {
        if let Some(value) = value {
            let target = Expr::Name(ruff_python_ast::ExprName {
                id: name.clone(),
                ctx: ruff_python_ast::ExprContext::Load,
                range: value.range(),
                node_index: ruff_python_ast::AtomicNodeIndex::NONE,
            });
            self.platform.learn(&target, value);
        }
    }

    fn target(&mut self, target: &Expr, value: Term, at: At, out: &mut Vec<Binding>) {
        let line = self.line(target);
        match target {
            Expr::Name(name) => out.push(bound(&name.id, line, at, Bound::Value(value, None))),
            Expr::Tuple(tuple) => {
                for part in &tuple.elts {
                    self.target(part, Term::Unknown, at, out);
                }
            }
            Expr::List(list) => {
                for part in &list.elts {
                    self.target(part, Term::Unknown, at, out);
                }
            }
            Expr::Starred(starred) => self.target(&starred.value, Term::Unknown, at, out),
            Expr::Attribute(attribute) if at.class.is_none() => {
                self.patch(term(&attribute.value), &attribute.attr.id, line, value);
            }
            Expr::Subscript(subscript)
                if at.class.is_none() && dynamic::is_namespace(&subscript.value) =>
            {
                let key = subscript.slice.as_string_literal_expr();
                if let Some(key) = key.map(|key| Name::new(key.value.to_str())) {
                    out.push(bound(&key, line, at, Bound::Value(value, None)));
                }
            }
            _ => {}
        }
    }

    fn patch(&mut self, class: Term, name: &Name, line: u32, value: Term) {
        let binding = Binding {
            name: name.clone(),
            line,
            certain: true,
            typing: false,
            what: Bound::Value(value, None),
        };
        self.module.patches.push(Patch { class, binding });
    }

    fn call(&mut self, call: &ExprCall, at: At, out: &mut Vec<Binding>) {
        if at.class.is_some() {
            return;
        }
        let arguments = &call.arguments.args;
        if let Some(method) = call.func.as_attribute_expr()
            && let Some(owner) = method.value.as_name_expr()
            && let Some(value) = arguments.first()
        {
            let name = &owner.id;
            match method.attr.as_str() {
                "extend" => dynamic::extend_all(&mut self.module, name, value, at.class),
                "append" => dynamic::append_all(&mut self.module, name, value),
                "remove" => dynamic::remove_all(&mut self.module, name, value),
                _ => {}
            }
        }
        if at.certain && self.module.deprecated.is_none() {
            self.module.deprecated = deprecation::announced(call).map(Into::into);
        }
        dynamic::filled(&mut self.module, call);
        let callee = term(&call.func);
        if callee.dotted().as_deref() == Some("setattr")
            && let [object, name, value] = &**arguments
            && let Some(name) = name.as_string_literal_expr()
        {
            let name = Name::new(name.value.to_str());
            let line = self.line(object);
            if dynamic::is_this_module(object) {
                out.push(bound(&name, line, at, Bound::Value(term(value), None)));
            } else {
                self.patch(term(object), &name, line, term(value));
            }
        }
    }

    fn imports(&mut self, statement: &Stmt, at: At, out: &mut Vec<Binding>) {
        let line = self.parsed.line(statement.start().to_u32());
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let whole = &alias.name.id;
                    let (name, module) = match &alias.asname {
                        Some(asname) => (asname.id.clone(), whole.clone()),
                        None => {
                            let top = Name::new(whole.split('.').next().unwrap_or(whole));
                            (top.clone(), top)
                        }
                    };
                    out.push(bound(&name, line, at, Bound::Module(module)));
                }
            }
            Stmt::ImportFrom(import) => {
                let module = self.absolute(import.level, import.module.as_deref());
                for alias in &import.names {
                    let name = &alias.name.id;
                    if *name == *"*" {
                        if !at.typing && at.class.is_none() {
                            self.module.stars.push(module.clone());
                        }
                        continue;
                    }
                    let local = alias.asname.as_ref().map_or(name, |asname| &asname.id);
                    self.platform.learn_import(&module, name, local);
                    let is_same = alias
                        .asname
                        .as_ref()
                        .is_some_and(|asname| asname.id == *name);
                    let what = Bound::From(module.clone(), name.clone(), is_same);
                    out.push(bound(local, line, at, what));
                }
            }
            _ => {}
        }
    }

    /// The names that an import inside a function binds, with what they are.
    pub(crate) fn imported(&self, statement: &Stmt) -> Vec<(Name, Term)> {
        let attribute = |module: &Name, name: &Name| {
            let module = Term::Subscript(Box::new((
                Term::Name(Name::new_static("__import__")),
                Term::Text(module.as_str().into()),
            )));
            Term::Attribute(Box::new(module), name.clone())
        };
        match statement {
            Stmt::Import(import) => import
                .names
                .iter()
                .map(|alias| {
                    let whole = &alias.name.id;
                    let top = Name::new(whole.split('.').next().unwrap_or(whole));
                    let (local, module) = match &alias.asname {
                        Some(asname) => (asname.id.clone(), whole.clone()),
                        None => (top.clone(), top),
                    };
                    let module = Term::Subscript(Box::new((
                        Term::Name(Name::new_static("__import__")),
                        Term::Text(module.as_str().into()),
                    )));
                    (local, module)
                })
                .collect(),
            Stmt::ImportFrom(import) => {
                let module = self.absolute(import.level, import.module.as_deref());
                let names = import.names.iter().filter(|alias| *alias.name.id != *"*");
                names
                    .map(|alias| {
                        let local = alias.asname.as_ref().unwrap_or(&alias.name);
                        (local.id.clone(), attribute(&module, &alias.name.id))
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The absolute name of a module that is named relative to this one.
    fn absolute(&self, level: u32, module: Option<&str>) -> Name {
        absolute(&self.module.name, self.module.is_package, level, module)
    }
}

/// The absolute name of a module that is named relative to another (PEP 328).
pub(crate) fn absolute(from: &str, is_package: bool, level: u32, module: Option<&str>) -> Name {
    if level == 0 {
        return Name::new(module.unwrap_or_default());
    }
    let mut parts: Vec<&str> = from.split('.').collect();
    let up = level as usize - usize::from(is_package);
    parts.truncate(parts.len().saturating_sub(up));
    parts.extend(module.into_iter().filter(|module| !module.is_empty()));
    Name::new(parts.join("."))
}

fn bound(name: &Name, line: u32, at: At, what: Bound) -> Binding {
    Binding {
        name: name.clone(),
        line,
        certain: at.certain,
        typing: at.typing,
        what,
    }
}

/// `TYPE_CHECKING`, `typing.TYPE_CHECKING`, `MYPY`.
pub(crate) fn is_type_checking(test: &Expr) -> bool {
    let name = term(test);
    name.last()
        .is_some_and(|name| matches!(name.as_str(), "TYPE_CHECKING" | "MYPY"))
        && name.dotted().is_some()
}

fn is_main(test: &Expr) -> bool {
    test.as_compare_expr().is_some_and(|compare| {
        let name = compare.left.as_name_expr();
        name.is_some_and(|name| name.id.as_str() == "__name__")
    })
}
