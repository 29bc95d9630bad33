//! What the body of a function says about the function: what it returns, what it stores on `self`,
//! whether it warns or only raises, and where its `**kwargs` go. Start at [`Body::read`].

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ruff_python_ast::comparable::ComparableStmt;
use ruff_python_ast::helpers::body_without_leading_docstring;
use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtFunctionDef};

use super::deprecation;
use super::lower::Lower;
use super::model::{Forward, Function, Store, Term};
use super::rest;
use super::shape::{Parameter, ParameterKind};
use super::term::{message, substituted, term};
use super::value::reason;

/// How many results of one function are kept.
const MAX_RESULTS: usize = 8;
/// How many locals of one function are kept.
const MAX_LOCALS: usize = 200;

/// A walk over the body of one function.
pub(crate) struct Body<'l, 'a> {
    lower: &'l mut Lower<'a>,
    /// `self` or `cls`.
    first: Option<Name>,
    kwarg: Option<Name>,
    is_nested: bool,
    locals: BTreeMap<Name, Term>,
    returns: usize,
    pub(crate) function: Function,
    pub(crate) stores: Vec<Store>,
    /// Not 0 where attributes with computed names are set; equal for equal reasons.
    pub(crate) open: u64,
}

/// The hash of a piece of source, without its layout.
pub(crate) fn hash_of(body: &[Stmt]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for statement in body {
        ComparableStmt::from(statement).hash(&mut hasher);
    }
    hasher.finish().max(1)
}

impl<'l, 'a> Body<'l, 'a> {
    /// Reads the body into `function`, whose head is known.
    pub(crate) fn read(
        lower: &'l mut Lower<'a>,
        definition: &StmtFunctionDef,
        function: Function,
    ) -> Self {
        let parameters = &definition.parameters;
        let first = parameters.posonlyargs.first().or(parameters.args.first());
        let first = first.map(|first| first.parameter.name.id.clone());
        let kwarg = parameters.kwarg.as_ref().map(|kwarg| kwarg.name.id.clone());
        let mut body = Self {
            lower,
            first,
            kwarg,
            is_nested: function.is_nested,
            locals: BTreeMap::new(),
            returns: 0,
            function,
            stores: Vec::new(),
            open: 0,
        };
        let statements = body_without_leading_docstring(&definition.body);
        body.block(statements, 0);
        body.function.hash = hash_of(statements);
        body.function.raises = body.only_raises(statements);
        body.close(statements);
        if let Some(first) = body
            .first
            .as_ref()
            .filter(|_| body.function.class.is_none())
        {
            let mut changes = Changes {
                first,
                found: false,
            };
            changes.visit_body(statements);
            body.function.changes_first = changes.found;
        }
        body
    }

    /// A `**kwargs` of which only some names are accepted is written as those names.
    fn close(&mut self, statements: &[Stmt]) {
        let Some(names) = self
            .kwarg
            .as_ref()
            .and_then(|kwarg| rest::names(statements, kwarg))
        else {
            return;
        };
        let parameters = &mut self.function.signature.parameters;
        parameters.retain(|one| one.kind != ParameterKind::VarKeyword);
        for name in names {
            if !parameters.iter().any(|one| one.name == name) {
                parameters.push(Parameter {
                    name,
                    kind: ParameterKind::KeywordOnly,
                    default: Some("…".into()),
                });
            }
        }
    }

    /// A function without a result that raises at its own level does nothing else in the end.
    fn only_raises(&self, statements: &[Stmt]) -> Option<Box<str>> {
        if self.returns > 0 || self.function.is_generator {
            return None;
        }
        let raised = statements.iter().find_map(Stmt::as_raise_stmt)?;
        let exception = raised.exc.as_deref()?;
        if term(exception)
            .last()
            .is_some_and(|name| *name == *"NotImplementedError")
        {
            return None;
        }
        let text = exception
            .as_call_expr()
            .and_then(|call| call.arguments.args.first())
            .and_then(message);
        Some(text.unwrap_or_default().into())
    }

    fn block(&mut self, body: &[Stmt], conditions: usize) {
        for statement in body {
            self.statement(statement, conditions);
        }
    }

    fn statement(&mut self, statement: &Stmt, conditions: usize) {
        match statement {
            Stmt::FunctionDef(definition) => self.nested(definition),
            Stmt::ClassDef(definition) => {
                self.bind(&definition.name.id, Term::Unknown);
                self.mentions(&definition.body);
            }
            Stmt::Return(returned) => {
                self.returns += 1;
                if let Some(value) = &returned.value {
                    self.expression(value, conditions);
                    self.result(value);
                }
            }
            Stmt::Assign(assign) => {
                self.expression(&assign.value, conditions);
                for target in &assign.targets {
                    self.assign(target, Some(&assign.value), None);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.expression(value, conditions);
                }
                let annotation = Some(term(&assign.annotation));
                self.assign(&assign.target, assign.value.as_deref(), annotation);
            }
            Stmt::AugAssign(assign) => {
                self.expression(&assign.value, conditions);
                self.assign(&assign.target, None, None);
            }
            Stmt::Expr(statement) => {
                if let (0, Some(call)) = (conditions, statement.value.as_call_expr()) {
                    self.warning(call);
                }
                self.expression(&statement.value, conditions);
            }
            Stmt::Raise(raise) => {
                for part in raise.exc.iter().chain(&raise.cause) {
                    self.expression(part, conditions);
                }
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.import(statement),
            _ => self.compound(statement, conditions),
        }
    }

    fn compound(&mut self, statement: &Stmt, conditions: usize) {
        match statement {
            Stmt::If(branches) => {
                self.expression(&branches.test, conditions);
                let answer = self.lower.truth(&branches.test);
                if answer != Some(false) {
                    let more = usize::from(answer.is_none());
                    self.block(&branches.body, conditions + more);
                }
                if answer != Some(true) {
                    for clause in &branches.elif_else_clauses {
                        if let Some(test) = &clause.test {
                            self.expression(test, conditions);
                        }
                        let more = usize::from(answer.is_none() || clause.test.is_some());
                        self.block(&clause.body, conditions + more);
                    }
                }
            }
            Stmt::For(each) => {
                self.expression(&each.iter, conditions);
                let element = Term::Element(Box::new(term(&each.iter)));
                self.assign_term(&each.target, element, None);
                self.block(&each.body, conditions + 1);
                self.block(&each.orelse, conditions + 1);
            }
            Stmt::While(repeat) => {
                self.expression(&repeat.test, conditions);
                self.block(&repeat.body, conditions + 1);
                self.block(&repeat.orelse, conditions + 1);
            }
            Stmt::With(with) => {
                for item in &with.items {
                    self.expression(&item.context_expr, conditions);
                    if let Some(target) = &item.optional_vars {
                        let entered = Term::Entered(Box::new(term(&item.context_expr)));
                        self.assign_term(target, entered, None);
                    }
                }
                self.block(&with.body, conditions);
            }
            Stmt::Try(tried) => {
                self.block(&tried.body, conditions);
                for handler in &tried.handlers {
                    if let Some(handler) = handler.as_except_handler() {
                        self.block(&handler.body, conditions + 1);
                    }
                }
                self.block(&tried.orelse, conditions);
                self.block(&tried.finalbody, conditions);
            }
            Stmt::Match(choice) => {
                self.expression(&choice.subject, conditions);
                for case in &choice.cases {
                    self.block(&case.body, conditions + 1);
                }
            }
            _ => {}
        }
    }

    /// A function inside a function: decorators return such, and `**kwargs` may be used there.
    fn nested(&mut self, definition: &StmtFunctionDef) {
        let index = self.lower.function(definition, None, true);
        self.bind(&definition.name.id, Term::Function(index));
        self.mentions(&definition.body);
    }

    /// Uses of `**kwargs` in a nested scope are not followed, only noticed.
    fn mentions(&mut self, body: &[Stmt]) {
        let Some(kwarg) = self.kwarg.clone() else {
            return;
        };
        let mut finder = Mentions {
            name: &kwarg,
            found: false,
        };
        finder.visit_body(body);
        self.function.reads_kwargs |= finder.found;
    }

    fn import(&mut self, statement: &Stmt) {
        let bindings = self.lower.imported(statement);
        for (name, value) in bindings {
            self.bind(&name, value);
        }
    }

    fn warning(&mut self, call: &ExprCall) {
        if let Some(text) = deprecation::announced(call)
            && self.function.deprecated.is_none()
        {
            self.function.deprecated = Some(text.into());
        }
    }

    fn result(&mut self, value: &Expr) {
        if self.function.results.len() < MAX_RESULTS {
            let result = self.local_term(value);
            if !self.function.results.contains(&result) {
                self.function.results.push(result);
            }
        }
    }

    /// What is kept of an expression, with what locals are known to be.
    fn local_term(&self, value: &Expr) -> Term {
        substituted(&term(value), &|name| self.locals.get(name).cloned())
    }

    fn bind(&mut self, name: &Name, value: Term) {
        if self.locals.len() >= MAX_LOCALS {
            self.locals.insert(name.clone(), Term::Unknown);
            return;
        }
        let value = match self.locals.remove(name) {
            Some(before) if before != value => match (before, value) {
                (Term::Either(terms), value) if terms.len() >= 4 || terms.contains(&value) => {
                    Term::Either(terms)
                }
                (before, value) => Term::Either(Box::new([before, value])),
            },
            _ => value,
        };
        self.locals.insert(name.clone(), value);
    }

    fn assign(&mut self, target: &Expr, value: Option<&Expr>, annotation: Option<Term>) {
        if let (Expr::Tuple(targets), Some(Expr::Tuple(values))) = (target, value)
            && targets.elts.len() == values.elts.len()
        {
            for (target, value) in targets.elts.iter().zip(&values.elts) {
                self.assign(target, Some(value), None);
            }
            return;
        }
        let value = value.map_or(Term::Unknown, |value| self.local_term(value));
        self.assign_term(target, value, annotation);
    }

    fn assign_term(&mut self, target: &Expr, value: Term, annotation: Option<Term>) {
        match target {
            Expr::Name(name) => self.bind(&name.id, value),
            Expr::Attribute(attribute) if self.is_first(&attribute.value) => {
                let line = self.lower.line(target);
                self.store(attribute.attr.id.clone(), line, value, annotation);
            }
            Expr::Tuple(tuple) => {
                for target in &tuple.elts {
                    self.assign_term(target, Term::Unknown, None);
                }
            }
            Expr::List(list) => {
                for target in &list.elts {
                    self.assign_term(target, Term::Unknown, None);
                }
            }
            Expr::Starred(starred) => self.assign_term(&starred.value, Term::Unknown, None),
            _ => {}
        }
    }

    fn store(&mut self, name: Name, line: u32, value: Term, annotation: Option<Term>) {
        self.stores.push(Store {
            name,
            line,
            value,
            annotation,
            function: 0,
        });
    }

    fn is_first(&self, expr: &Expr) -> bool {
        let name = expr.as_name_expr().map(|name| &name.id);
        !self.is_nested
            && self.function.class.is_some()
            && name.is_some()
            && name == self.first.as_ref()
    }

    fn expression(&mut self, expr: &Expr, conditions: usize) {
        let mut finder = Expressions {
            body: self,
            in_lambda: false,
        };
        finder.visit_expr(expr);
        let _ = conditions;
    }

    /// `setattr(self, "x", v)`, `kwargs.pop("x")`, `f(**kwargs)`.
    fn call(&mut self, call: &ExprCall) {
        let callee = term(&call.func);
        let arguments = &call.arguments;
        if callee.dotted().as_deref() == Some("setattr")
            && let [object, name, ..] = &*arguments.args
            && self.is_first(object)
        {
            match name.as_string_literal_expr() {
                Some(name) => {
                    let line = self.lower.line(object);
                    self.store(Name::new(name.value.to_str()), line, Term::Unknown, None);
                }
                None => self.open = reason(&self.function.name),
            }
        }
        // `self.__dict__.update(…)`
        if let Term::Attribute(owner, method) = &callee
            && *method == *"update"
            && let Term::Attribute(object, dict) = &**owner
            && *dict == *"__dict__"
            && object.dotted().is_some()
        {
            self.open = reason(&self.function.name);
        }
        let Some(kwarg) = self.kwarg.clone() else {
            return;
        };
        let is_kwarg = |expr: &Expr| expr.as_name_expr().is_some_and(|name| name.id == kwarg);
        if let Some(method) = call.func.as_attribute_expr()
            && is_kwarg(&method.value)
            && matches!(method.attr.as_str(), "pop" | "get" | "setdefault")
            && let Some(name) = arguments
                .args
                .first()
                .and_then(Expr::as_string_literal_expr)
        {
            self.function.popped.push(Name::new(name.value.to_str()));
        }
        let passes =
            |keyword: &&ruff_python_ast::Keyword| keyword.arg.is_none() && is_kwarg(&keyword.value);
        if arguments.keywords.iter().any(|keyword| passes(&keyword)) {
            let callee = substituted(&callee, &|name| self.locals.get(name).cloned());
            let has_star = arguments.args.iter().any(Expr::is_starred_expr);
            let named = arguments.keywords.iter();
            self.function.forwards.push(Forward {
                callee: if has_star { Term::Unknown } else { callee },
                named: named
                    .filter_map(|keyword| keyword.arg.as_ref().map(|name| name.id.clone()))
                    .collect(),
            });
        }
    }
}

/// Finds whether attributes may be put on a parameter: by assignment, `setattr`, through its
/// `__dict__`, or by a function that gets it.
struct Changes<'n> {
    first: &'n Name,
    found: bool,
}

impl Changes<'_> {
    fn is_it(&self, expr: &Expr) -> bool {
        expr.as_name_expr()
            .is_some_and(|name| name.id == *self.first)
    }
}

impl Visitor<'_> for Changes<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Attribute(attribute) if self.is_it(&attribute.value) => {
                let name = attribute.attr.as_str();
                self.found |=
                    name == "__dict__" || attribute.ctx.is_store() && !name.starts_with("__");
            }
            Expr::Call(call) => {
                let looks = [
                    "isinstance",
                    "issubclass",
                    "type",
                    "getattr",
                    "hasattr",
                    "callable",
                    "id",
                    "repr",
                ];
                let is_function = call
                    .func
                    .as_name_expr()
                    .is_some_and(|name| !looks.contains(&name.id.as_str()));
                self.found |= is_function && call.arguments.args.iter().any(|one| self.is_it(one));
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

/// Finds whether a name is used.
struct Mentions<'n> {
    name: &'n Name,
    found: bool,
}

impl Visitor<'_> for Mentions<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        self.found |= expr
            .as_name_expr()
            .is_some_and(|name| name.id == *self.name);
        walk_expr(self, expr);
    }
}

/// Visits the expressions of one statement.
struct Expressions<'b, 'l, 'a> {
    body: &'b mut Body<'l, 'a>,
    in_lambda: bool,
}

impl Visitor<'_> for Expressions<'_, '_, '_> {
    fn visit_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Yield(_) | Expr::YieldFrom(_) if !self.in_lambda => {
                self.body.function.is_generator = true;
            }
            Expr::Call(call) => {
                self.body.call(call);
                return self.parts_of_call(call);
            }
            Expr::Lambda(lambda) => {
                let outer = std::mem::replace(&mut self.in_lambda, true);
                self.visit_expr(&lambda.body);
                self.in_lambda = outer;
                return;
            }
            Expr::Named(named) => {
                let value = self.body.local_term(&named.value);
                self.body.assign_term(&named.target, value, None);
            }
            Expr::Name(name) if Some(&name.id) == self.body.kwarg.as_ref() => {
                self.body.function.reads_kwargs = true;
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

impl Expressions<'_, '_, '_> {
    /// All parts of a call but those uses of `**kwargs` that [`Body::call`] has understood.
    fn parts_of_call(&mut self, call: &ExprCall) {
        let kwarg = self.body.kwarg.clone();
        let is_kwarg = |expr: &Expr| {
            let name = expr.as_name_expr().map(|name| &name.id);
            name.is_some() && name == kwarg.as_ref()
        };
        let takes = call.func.as_attribute_expr().is_some_and(|method| {
            let is_named = call
                .arguments
                .args
                .first()
                .is_some_and(Expr::is_string_literal_expr);
            is_kwarg(&method.value)
                && is_named
                && matches!(method.attr.as_str(), "pop" | "get" | "setdefault")
        });
        if !takes {
            self.visit_expr(&call.func);
        }
        for argument in &call.arguments.args {
            self.visit_expr(argument);
        }
        for keyword in &call.arguments.keywords {
            if keyword.arg.is_some() || !is_kwarg(&keyword.value) {
                self.visit_expr(&keyword.value);
            }
        }
    }
}
