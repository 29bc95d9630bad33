//! The walk over the user's statements: names flow from line to line, branches are joined, and
//! code that is ready for failures is passed over. Start at [`walk`].

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef, StmtIf, StmtImportFrom, StmtTry};
use ruff_text_size::Ranged as _;

use super::super::lower::absolute;
use super::super::resolve::Resolver;
use super::super::value::{ClassId, Lookup, Receiver, Value, tidy};
use super::check::{Check, Checks, Kind, Outcome, Target};
use super::code::CodeFile;
use super::frame::{Frame, Names, merged};
use super::guard::{Guard, asks_version, catches, guards, suppresses, version_names};

/// Loops in loops that are walked twice.
const MAX_TRIALS: usize = 3;

/// The state of a walk over one file.
pub(crate) struct Walker<'w, 't> {
    pub(crate) resolver: &'w Resolver<'t>,
    file: &'w CodeFile,
    pub(crate) module: u32,
    /// The first module of the tree that is the user's.
    pub(crate) users_from: u32,
    pub(crate) frames: Vec<Frame>,
    pub(crate) checks: Checks,
    /// The same walk under the old tree.
    pub(crate) before: Option<&'w Checks>,
    /// How many guards are around this place.
    pub(crate) guarded: usize,
    /// Walked to learn names alone.
    pub(crate) is_trial: bool,
    loops: usize,
    pub(crate) versions: &'w BTreeSet<Name>,
}

/// How a block ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The next statement is reached.
    Falls,
    /// It is not: `return`, `raise`, `continue`, `break`.
    Leaves,
}

/// Checks all of a file against the tree of a resolver. What is gone there gives what it gave `before`: whoever mends
/// that line goes on with the same.
pub(crate) fn walk(resolver: &Resolver<'_>, file: &CodeFile, before: Option<&Checks>) -> Checks {
    let Some(module) = resolver.tree.find(&file.module.name) else {
        return Checks::default();
    };
    let is_same = std::ptr::eq(resolver.module(module), &*file.module);
    if !is_same {
        // The library has a module of that name.
        return Checks::default();
    }
    let versions = version_names(file.parsed.body());
    let users_from = resolver.tree.users_from;
    let mut walker = Walker {
        resolver,
        file,
        module,
        users_from,
        frames: vec![Frame::default()],
        checks: Checks::default(),
        before,
        guarded: 0,
        is_trial: false,
        loops: 0,
        versions: &versions,
    };
    file.parsed.visit(|| walker.block(file.parsed.body()));
    walker.checks
}

impl Walker<'_, '_> {
    pub(crate) fn line(&self, offset: u32) -> u32 {
        self.file.parsed.line(offset)
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    fn names(&mut self) -> &mut Names {
        let last = self.frames.len() - 1;
        &mut self.frames[last].names
    }

    /// A name of a function or class scope, or of the module while that runs.
    pub(crate) fn local(&self, name: &Name) -> Option<Vec<Value>> {
        let last = self.frames.len() - 1;
        for (depth, frame) in self.frames.iter().enumerate().rev() {
            if frame.is_class && depth != last || frame.globals.contains(name) {
                continue;
            }
            if depth == 0 && last > 0 {
                // Functions run later, when the module is complete.
                return None;
            }
            if let Some(values) = frame.names.get(name) {
                return Some(values.clone());
            }
            if depth == last && frame.locals.contains(name) {
                return Some(vec![Value::Unknown]);
            }
        }
        None
    }

    fn block(&mut self, body: &[Stmt]) -> End {
        for statement in body {
            if self.statement(statement) == End::Leaves {
                return End::Leaves;
            }
        }
        End::Falls
    }

    fn statement(&mut self, statement: &Stmt) -> End {
        match statement {
            Stmt::FunctionDef(definition) => self.function(definition),
            Stmt::ClassDef(definition) => self.class(definition),
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.import(statement),
            Stmt::Assign(assign) => {
                let values = self.expression(&assign.value);
                for target in &assign.targets {
                    self.assign(target, &values);
                }
            }
            Stmt::AnnAssign(assign) => self.annotated(assign),
            Stmt::AugAssign(assign) => {
                self.expression(&assign.value);
                self.assign(&assign.target, &[Value::Unknown]);
            }
            Stmt::Return(returned) => {
                if let Some(value) = &returned.value {
                    self.expression(value);
                }
                return End::Leaves;
            }
            Stmt::Raise(raise) => {
                for part in raise.exc.iter().chain(&raise.cause) {
                    self.expression(part);
                }
                return End::Leaves;
            }
            Stmt::Continue(_) | Stmt::Break(_) => return End::Leaves,
            Stmt::Expr(statement) => {
                self.expression(&statement.value);
            }
            Stmt::Assert(assert) => {
                self.expression(&assert.test);
                self.narrow(&assert.test);
            }
            Stmt::Global(global) => {
                let names: Vec<Name> = global.names.iter().map(|name| name.id.clone()).collect();
                let last = self.frames.len() - 1;
                self.frames[last].globals.extend(names);
            }
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    if let Expr::Name(name) = target {
                        self.names().insert(name.id.clone(), vec![Value::Unknown]);
                    }
                }
            }
            _ => return self.compound(statement),
        }
        End::Falls
    }

    fn compound(&mut self, statement: &Stmt) -> End {
        match statement {
            Stmt::If(branches) => return self.branches(branches),
            Stmt::Try(tried) => return self.tried(tried),
            Stmt::For(each) => {
                let values = self.expression(&each.iter);
                let element = values.iter().flat_map(|value| self.resolver.element(value));
                let element = tidy(element.collect());
                self.repeated(&each.body, |walker| walker.assign(&each.target, &element));
                self.block(&each.orelse);
            }
            Stmt::While(repeat) => {
                self.expression(&repeat.test);
                self.repeated(&repeat.body, |_| {});
                self.block(&repeat.orelse);
            }
            Stmt::With(with) => {
                let mut is_guard = false;
                for item in &with.items {
                    is_guard |= suppresses(&item.context_expr);
                    let values = self.expression(&item.context_expr);
                    if let Some(target) = &item.optional_vars {
                        let entered = values.iter().flat_map(|value| self.resolver.entered(value));
                        let entered = tidy(entered.collect());
                        self.assign(target, &entered);
                    }
                }
                self.guarded += usize::from(is_guard);
                let end = self.block(&with.body);
                self.guarded -= usize::from(is_guard);
                return if is_guard { End::Falls } else { end };
            }
            Stmt::Match(choice) => {
                self.expression(&choice.subject);
                let before = self.names().clone();
                let mut after = before.clone();
                for case in &choice.cases {
                    *self.names() = before.clone();
                    self.forget(&case.body);
                    self.block(&case.body);
                    after = merged(after, &self.frame().names);
                }
                *self.names() = after;
            }
            _ => {}
        }
        End::Falls
    }

    fn annotated(&mut self, assign: &ruff_python_ast::StmtAnnAssign) {
        let mut values = vec![Value::Unknown];
        if let Some(value) = &assign.value {
            values = self.expression(value);
        }
        if values.contains(&Value::Unknown) || assign.value.is_none() {
            let scope = super::super::eval::Scope {
                class: self.frame().class,
                ..super::super::eval::Scope::module(self.module)
            };
            let annotation = super::super::term::term(&assign.annotation);
            values = self.resolver.annotation(&annotation, &scope);
        }
        self.assign(&assign.target, &values);
    }

    /// Binds a target.
    pub(crate) fn assign(&mut self, target: &Expr, values: &[Value]) {
        match target {
            Expr::Name(name) => {
                let prefix = format!("{}.", name.id);
                // What was known of its attributes was of the value before.
                self.names().retain(|path, _| !path.starts_with(&prefix));
                self.names().insert(name.id.clone(), values.to_vec());
            }
            Expr::Attribute(attribute) => {
                self.expression(&attribute.value);
                if let Some(owner) = attribute.value.as_name_expr() {
                    let path = Name::new(format!("{}.{}", owner.id, attribute.attr.id));
                    self.names().insert(path, values.to_vec());
                }
            }
            Expr::Tuple(tuple) => self.unpack(&tuple.elts, values),
            Expr::List(list) => self.unpack(&list.elts, values),
            Expr::Starred(starred) => self.assign(&starred.value, &[Value::Unknown]),
            other => {
                self.expression(other);
            }
        }
    }

    fn unpack(&mut self, targets: &[Expr], values: &[Value]) {
        let element = match values {
            [Value::Holding(_, inner)] => vec![(**inner).clone()],
            _ => vec![Value::Unknown],
        };
        for target in targets {
            self.assign(target, &element);
        }
    }

    fn branches(&mut self, branches: &StmtIf) -> End {
        let before = self.names().clone();
        let mut after: Option<Names> = None;
        let rest = branches.elif_else_clauses.iter();
        let rest = rest.map(|clause| (clause.test.as_ref(), &clause.body));
        let mut guard_count = 0;
        let mut has_else = false;
        for (test, body) in std::iter::once((Some(&*branches.test), &branches.body)).chain(rest) {
            *self.names() = before.clone();
            let guard = test.map_or(Guard::None, |test| guards(test, self.versions));
            has_else |= test.is_none() || guard == Guard::Always;
            if guard == Guard::Both {
                guard_count += 1;
                self.guarded += 1;
            }
            if let Some(test) = test {
                self.expression(test);
                self.narrow(test);
            }
            let is_never = guard == Guard::Never;
            self.guarded += usize::from(is_never);
            let end = self.block(body);
            self.guarded -= usize::from(is_never);
            if end == End::Falls {
                let names = self.frame().names.clone();
                after = Some(match after {
                    Some(after) => merged(after, &names),
                    None => names,
                });
            }
            if guard == Guard::Always {
                break;
            }
        }
        self.guarded -= guard_count;
        if !has_else {
            after = Some(match after {
                Some(after) => merged(after, &before),
                None => before,
            });
        }
        match after {
            Some(after) => {
                *self.names() = after;
                End::Falls
            }
            None => End::Leaves,
        }
    }

    /// `isinstance(x, C)` says what `x` is below.
    fn narrow(&mut self, test: &Expr) {
        let parts = match test {
            Expr::BoolOp(operation) if operation.op == ruff_python_ast::BoolOp::And => {
                operation.values.iter().collect()
            }
            other => vec![other],
        };
        for part in parts {
            let Some(call) = part.as_call_expr() else {
                continue;
            };
            let is_test = call
                .func
                .as_name_expr()
                .is_some_and(|name| name.id == *"isinstance");
            let [Expr::Name(name), class] = &*call.arguments.args else {
                continue;
            };
            if !is_test {
                continue;
            }
            let was_trial = std::mem::replace(&mut self.is_trial, true);
            let classes = self.expression(class);
            self.is_trial = was_trial;
            let instances = classes.into_iter().map(|class| match class {
                Value::Class(class) => Value::Instance(class),
                _ => Value::Unknown,
            });
            let instances = tidy(instances.collect());
            self.names().insert(name.id.clone(), instances);
        }
    }

    fn tried(&mut self, tried: &StmtTry) -> End {
        let is_guard = catches(&tried.handlers);
        let before = self.names().clone();
        self.guarded += usize::from(is_guard);
        let body_end = self.block(&tried.body);
        let partly = merged(before, &self.frame().names);
        let mut after = (body_end == End::Falls).then(|| self.frame().names.clone());
        self.guarded -= usize::from(is_guard);
        if body_end == End::Falls && self.block(&tried.orelse) == End::Leaves {
            after = None;
        } else if body_end == End::Falls {
            after = Some(self.frame().names.clone());
        }
        self.guarded += usize::from(is_guard);
        for handler in &tried.handlers {
            let Some(handler) = handler.as_except_handler() else {
                continue;
            };
            *self.names() = partly.clone();
            self.handler_type(handler.type_.as_deref(), is_guard);
            if let Some(name) = &handler.name {
                let caught = self.caught(handler.type_.as_deref());
                self.names().insert(name.id.clone(), caught);
            }
            if self.block(&handler.body) == End::Falls {
                let names = self.frame().names.clone();
                after = Some(match after {
                    Some(after) => merged(after, &names),
                    None => names,
                });
            }
        }
        self.guarded -= usize::from(is_guard);
        let end = if after.is_some() {
            End::Falls
        } else {
            End::Leaves
        };
        *self.names() = after.unwrap_or(partly);
        match self.block(&tried.finalbody) {
            End::Leaves => End::Leaves,
            End::Falls => end,
        }
    }

    /// The classes of a handler are looked up whenever something is raised: not guarded by it.
    fn handler_type(&mut self, class: Option<&Expr>, is_guard: bool) {
        if let Some(class) = class {
            self.guarded -= usize::from(is_guard);
            self.expression(class);
            self.guarded += usize::from(is_guard);
        }
    }

    fn caught(&mut self, class: Option<&Expr>) -> Vec<Value> {
        let was_trial = std::mem::replace(&mut self.is_trial, true);
        let classes = class.map_or(Vec::new(), |class| self.expression(class));
        self.is_trial = was_trial;
        let instances = classes.into_iter().map(|class| match class {
            Value::Class(class) => Value::Instance(class),
            _ => Value::Unknown,
        });
        tidy(instances.collect())
    }

    /// A loop: walked once for the names that its end brings to its start, and once for checks.
    fn repeated(&mut self, body: &[Stmt], mut start: impl FnMut(&mut Self)) {
        let before = self.names().clone();
        if self.loops >= MAX_TRIALS {
            self.forget(body);
        } else {
            self.loops += 1;
            let was_trial = std::mem::replace(&mut self.is_trial, true);
            start(self);
            self.block(body);
            self.is_trial = was_trial;
            self.loops -= 1;
            let names = merged(before.clone(), &self.frame().names);
            *self.names() = names;
        }
        start(self);
        self.block(body);
        let after = merged(before, &self.frame().names);
        *self.names() = after;
    }

    /// Names that a block assigns are no longer known.
    fn forget(&mut self, body: &[Stmt]) {
        for name in assigned(body) {
            self.names().insert(name, vec![Value::Unknown]);
        }
    }

    /// Walks something in a scope of its own.
    pub(crate) fn nested(&mut self, unknown: Vec<Name>, body: impl FnOnce(&mut Self)) {
        let outer = self.frame();
        let frame = Frame {
            names: unknown
                .into_iter()
                .map(|name| (name, vec![Value::Unknown]))
                .collect(),
            class: outer.class,
            receiver: outer.receiver,
            ..Frame::default()
        };
        // Comprehensions at module level see the module as it is now.
        let is_module = self.frames.len() == 1;
        let mut frame = frame;
        if is_module {
            let mut names = self.frames[0].names.clone();
            names.append(&mut frame.names);
            frame.names = names;
        }
        self.frames.push(frame);
        body(self);
        self.frames.pop();
    }

    fn function(&mut self, definition: &StmtFunctionDef) {
        for decorator in &definition.decorator_list {
            self.expression(&decorator.expression);
        }
        let parameters = &definition.parameters;
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = &parameter.default {
                self.expression(default);
            }
        }
        for annotation in parameters.iter().filter_map(|one| one.annotation()) {
            self.annotation_expression(annotation);
        }
        if let Some(returns) = &definition.returns {
            self.annotation_expression(returns);
        }
        let line = self.line(definition.name.start().to_u32());
        let id = self.function_at(&definition.name.id, line);
        let value = id.map_or(Value::Unknown, Value::Function);
        self.names().insert(definition.name.id.clone(), vec![value]);
        let is_guard = definition
            .decorator_list
            .iter()
            .any(|decorator| asks_version(&decorator.expression, self.versions));
        self.guarded += usize::from(is_guard);
        self.function_body(definition, id);
        self.guarded -= usize::from(is_guard);
    }

    /// An annotation runs when the function is defined, unless annotations are postponed.
    fn annotation_expression(&mut self, annotation: &Expr) {
        let postponed =
            super::super::resolve::find(self.resolver.module(self.module), "annotations");
        if postponed.count() == 0 {
            self.expression(annotation);
        }
    }

    fn function_body(
        &mut self,
        definition: &StmtFunctionDef,
        id: Option<super::super::value::FunctionId>,
    ) {
        let class = self.frame().class.filter(|_| self.frame().is_class);
        let is_class_method = definition.decorator_list.iter().any(|decorator| {
            decorator
                .expression
                .as_name_expr()
                .is_some_and(|name| name.id == *"classmethod")
        });
        let is_static = definition.decorator_list.iter().any(|decorator| {
            decorator
                .expression
                .as_name_expr()
                .is_some_and(|name| name.id == *"staticmethod")
        });
        let receiver = class
            .filter(|_| !is_static)
            .map(|class| match is_class_method {
                true => Receiver::Class(class),
                false => Receiver::Instance(class),
            });
        let mut names = Names::new();
        for parameter in definition.parameters.iter() {
            let name = &parameter.name().id;
            let values = id.and_then(|id| self.resolver.parameter(id, name, receiver));
            names.insert(name.clone(), values.unwrap_or_else(|| vec![Value::Unknown]));
        }
        let outer = self.frame();
        let frame = Frame {
            names,
            locals: assigned(&definition.body),
            class: class.or(outer.class),
            receiver: receiver.or(outer.receiver),
            ..Frame::default()
        };
        self.frames.push(frame);
        self.block(&definition.body);
        self.frames.pop();
    }

    fn class(&mut self, definition: &StmtClassDef) {
        for decorator in &definition.decorator_list {
            self.expression(&decorator.expression);
        }
        let arguments = definition.arguments.iter();
        for argument in arguments.clone().flat_map(|arguments| &arguments.args) {
            self.expression(argument);
        }
        for keyword in arguments.flat_map(|arguments| &arguments.keywords) {
            self.expression(&keyword.value);
        }
        let line = self.line(definition.name.start().to_u32());
        let classes = &self.resolver.module(self.module).classes;
        let found = classes
            .iter()
            .position(|class| class.line == line && class.name == definition.name.id);
        let id = found.map(|class| ClassId {
            module: self.module,
            class: class as u32,
        });
        let frame = Frame {
            is_class: true,
            class: id,
            ..Frame::default()
        };
        self.frames.push(frame);
        self.block(&definition.body);
        self.frames.pop();
        let value = id.map_or(Value::Unknown, Value::Class);
        self.names().insert(definition.name.id.clone(), vec![value]);
    }

    fn import(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let whole = &alias.name.id;
                    self.check_module(whole, alias.start().to_u32());
                    let top = Name::new(whole.split('.').next().unwrap_or(whole));
                    let (name, module) = match &alias.asname {
                        Some(asname) => (&asname.id, whole),
                        None => (&top, &top),
                    };
                    let value = self.resolver.outside_or_module(module);
                    let value = match (&value, self.resolver.tree.find(&top)) {
                        (Value::Outside(_), Some(_)) => Value::Unknown,
                        _ => value,
                    };
                    self.names().insert(name.clone(), vec![value]);
                }
            }
            Stmt::ImportFrom(import) => self.import_from(import),
            _ => {}
        }
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        let own = self.resolver.module(self.module);
        let module = absolute(
            &own.name,
            own.is_package,
            import.level,
            import.module.as_deref(),
        );
        self.check_module(&module, import.start().to_u32());
        for alias in &import.names {
            let name = &alias.name.id;
            if *name == *"*" {
                continue;
            }
            let local = alias.asname.as_ref().map_or(name, |asname| &asname.id);
            let Some(at) = self.resolver.tree.find(&module) else {
                let top = module.split('.').next().unwrap_or(&module);
                let value = match self.resolver.tree.find(top) {
                    Some(_) => Value::Unknown,
                    None => Value::Outside(Name::new(format!("{module}.{name}"))),
                };
                self.names().insert(local.clone(), vec![value]);
                continue;
            };
            let lookup = self.resolver.member(at, name);
            let nobody = self.resolver.member(at, super::super::diff::NOBODY);
            let open = match nobody {
                Lookup::Open(why) => why,
                _ => 0,
            };
            let (outcome, text) = match &lookup {
                Lookup::Found(_) => (Outcome::Fine { open }, None),
                Lookup::Absent(text) => (Outcome::Fails, text.clone()),
                Lookup::Open(why) => (Outcome::Open(*why), None),
            };
            let check = Check {
                line: self.line(alias.start().to_u32()),
                outcome,
                target: Target::Module(module.clone(), name.clone()),
                what: Some(format!("`{name}` cannot be imported")),
                text,
                is_called: true,
            };
            self.record((alias.start().to_u32(), Kind::Import), check);
            self.names().insert(local.clone(), lookup.values());
        }
    }

    /// Whether a module of the library exists.
    fn check_module(&mut self, name: &Name, at: u32) {
        let top = name.split('.').next().unwrap_or(name);
        let found = self.resolver.tree.find(name);
        let outcome = match (found, self.resolver.tree.find(top)) {
            (Some(_), _) => Outcome::Fine { open: 0 },
            (None, Some(_)) => Outcome::Fails,
            (None, None) => Outcome::Unknown,
        };
        let check = Check {
            line: self.line(at),
            outcome,
            target: Target::Whole(name.clone()),
            what: Some("the module is gone".to_owned()),
            text: None,
            is_called: false,
        };
        self.record((at, Kind::Import), check);
    }

    /// Walks the direct parts of an expression whose value is not followed.
    pub(crate) fn parts(&mut self, expr: &Expr) {
        struct Parts<'p, 'w, 't> {
            walker: &'p mut Walker<'w, 't>,
            is_inside: bool,
        }
        impl Visitor<'_> for Parts<'_, '_, '_> {
            fn visit_expr(&mut self, expr: &Expr) {
                if self.is_inside {
                    self.walker.expression(expr);
                } else {
                    self.is_inside = true;
                    walk_expr(self, expr);
                }
            }
        }
        Parts {
            walker: self,
            is_inside: false,
        }
        .visit_expr(expr);
    }
}

/// Names that a block assigns, not counting scopes in it.
fn assigned(body: &[Stmt]) -> BTreeSet<Name> {
    #[derive(Default)]
    struct Finder(BTreeSet<Name>);
    impl Visitor<'_> for Finder {
        fn visit_stmt(&mut self, statement: &Stmt) {
            match statement {
                Stmt::FunctionDef(definition) => {
                    self.0.insert(definition.name.id.clone());
                }
                Stmt::ClassDef(definition) => {
                    self.0.insert(definition.name.id.clone());
                }
                Stmt::Import(import) => {
                    self.0.extend(import.names.iter().map(|alias| {
                        let name = alias.asname.as_ref().unwrap_or(&alias.name);
                        Name::new(name.id.split('.').next().unwrap_or(&name.id))
                    }));
                }
                Stmt::ImportFrom(import) => {
                    self.0.extend(
                        import
                            .names
                            .iter()
                            .map(|alias| alias.asname.as_ref().unwrap_or(&alias.name).id.clone()),
                    );
                }
                _ => walk_stmt(self, statement),
            }
        }

        fn visit_expr(&mut self, expr: &Expr) {
            match expr {
                Expr::Name(name) if name.ctx != ruff_python_ast::ExprContext::Load => {
                    self.0.insert(name.id.clone());
                }
                Expr::Lambda(_)
                | Expr::ListComp(_)
                | Expr::SetComp(_)
                | Expr::DictComp(_)
                | Expr::Generator(_) => {}
                _ => walk_expr(self, expr),
            }
        }
    }
    let mut finder = Finder::default();
    finder.visit_body(body);
    finder.0
}
