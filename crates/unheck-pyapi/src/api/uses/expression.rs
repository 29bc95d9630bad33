//! What the user's expressions are, with a check at every attribute and call that reaches a
//! library. Start at [`Walker::expression`].

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, ExprAttribute, ExprCall, ExprContext};
use ruff_text_size::Ranged as _;

use super::super::builtins;
use super::super::diff::NOBODY;
use super::super::eval::{Scope, awaited};
use super::super::shape::{BindError, ParameterKind, Shape, Signature};
use super::super::value::{ANYTHING, ClassId, FunctionId, Lookup, Receiver, Value, tidy};
use super::check::{Check, Checks, Kind, Outcome, Target};
use super::guard::asks_version;
use super::statement::Walker;

impl Walker<'_, '_> {
    /// Walks an expression and answers what it can be.
    pub(crate) fn expression(&mut self, expr: &Expr) -> Vec<Value> {
        match expr {
            Expr::Name(name) => self.name(&name.id, expr.start().to_u32()),
            Expr::Attribute(attribute) => self.attribute(attribute, false),
            Expr::Call(call) => self.call(call),
            Expr::Await(waited) => {
                let values = self.expression(&waited.value);
                tidy(values.into_iter().map(awaited).collect())
            }
            Expr::Named(named) => {
                let values = self.expression(&named.value);
                self.assign(&named.target, &values);
                values
            }
            Expr::If(choice) => self.choice(choice),
            Expr::BoolOp(operation) => self.operation(operation),
            Expr::Subscript(subscript) => {
                let values = self.expression(&subscript.value);
                self.expression(&subscript.slice);
                let parts = values
                    .into_iter()
                    .flat_map(|value| self.resolver.subscripted(value));
                tidy(parts.collect())
            }
            Expr::Lambda(lambda) => {
                let parameters = lambda.parameters.iter().flat_map(|list| list.iter());
                let names: Vec<Name> = parameters.map(|one| one.name().id.clone()).collect();
                self.nested(names, |walker| {
                    walker.expression(&lambda.body);
                });
                vec![Value::Unknown]
            }
            Expr::ListComp(list) => self.comprehension(&list.generators, &[&list.elt]),
            Expr::SetComp(set) => self.comprehension(&set.generators, &[&set.elt]),
            Expr::Generator(each) => self.comprehension(&each.generators, &[&each.elt]),
            Expr::DictComp(dict) => {
                let key = dict.key.as_deref();
                let parts: Vec<&Expr> = key.into_iter().chain([&*dict.value]).collect();
                self.comprehension(&dict.generators, &parts);
                vec![Value::OutsideInstance(Name::new_static("dict"))]
            }
            Expr::StringLiteral(_) | Expr::FString(_) => {
                self.parts(expr);
                vec![Value::OutsideInstance(Name::new_static("str"))]
            }
            Expr::NoneLiteral(_) => vec![Value::OutsideInstance(Name::new_static("None"))],
            Expr::List(list) => self.elements("list", &list.elts),
            Expr::Tuple(tuple) => self.elements("tuple", &tuple.elts),
            Expr::Set(set) => self.elements("set", &set.elts),
            Expr::Dict(_) => {
                self.parts(expr);
                vec![Value::OutsideInstance(Name::new_static("dict"))]
            }
            _ => {
                self.parts(expr);
                vec![Value::Unknown]
            }
        }
    }

    fn elements(&mut self, kind: &'static str, elements: &[Expr]) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        for element in elements {
            all.extend(self.expression(element));
        }
        match tidy(all).as_slice() {
            [one] if *one != Value::Unknown => {
                vec![Value::Holding(
                    Name::new_static(kind),
                    Box::new(one.clone()),
                )]
            }
            _ => vec![Value::OutsideInstance(Name::new_static(kind))],
        }
    }

    fn comprehension(
        &mut self,
        generators: &[ruff_python_ast::Comprehension],
        parts: &[&Expr],
    ) -> Vec<Value> {
        let mut holding = vec![Value::Unknown];
        self.nested(Vec::new(), |walker| {
            for generator in generators {
                let values = walker.expression(&generator.iter);
                let element = values
                    .iter()
                    .flat_map(|value| walker.resolver.element(value));
                let element = tidy(element.collect());
                walker.assign(&generator.target, &element);
                for test in &generator.ifs {
                    walker.expression(test);
                }
            }
            for part in parts {
                holding = walker.expression(part);
            }
        });
        match holding.as_slice() {
            [one] if *one != Value::Unknown => {
                vec![Value::Holding(
                    Name::new_static("list"),
                    Box::new(one.clone()),
                )]
            }
            _ => vec![Value::Unknown],
        }
    }

    fn choice(&mut self, choice: &ruff_python_ast::ExprIf) -> Vec<Value> {
        self.expression(&choice.test);
        let is_guard = asks_version(&choice.test, self.versions);
        self.guarded += usize::from(is_guard);
        let mut values = self.expression(&choice.body);
        values.extend(self.expression(&choice.orelse));
        self.guarded -= usize::from(is_guard);
        tidy(values)
    }

    /// `hasattr(x, "y") and x.y()`.
    fn operation(&mut self, operation: &ruff_python_ast::ExprBoolOp) -> Vec<Value> {
        let mut values = Vec::new();
        let mut guards = 0;
        for value in &operation.values {
            values.extend(self.expression(value));
            if asks_version(value, self.versions) {
                guards += 1;
                self.guarded += 1;
            }
        }
        self.guarded -= guards;
        tidy(values)
    }

    fn name(&mut self, name: &Name, at: u32) -> Vec<Value> {
        if let Some(values) = self.local(name) {
            return values;
        }
        let lookup = self.resolver.member(self.module, name);
        if !self.resolver.module(self.module).stars.is_empty()
            && !builtins::is_class(name)
            && !builtins::is_function(name)
        {
            self.starred_name(name, at, &lookup);
        }
        match lookup {
            Lookup::Found(values) => values,
            _ => self.resolver.global(self.module, name),
        }
    }

    /// A name that can only come from a star import.
    fn starred_name(&mut self, name: &Name, at: u32, lookup: &Lookup) {
        let star = self.resolver.module(self.module).stars.iter().find(|star| {
            let found = self.resolver.tree.find(star);
            found.is_some_and(|star| self.resolver.member(star, name).is_found())
        });
        let target = match star {
            Some(star) => Target::Module(star.clone(), name.clone()),
            None => Target::Nothing,
        };
        let outcome = match lookup {
            Lookup::Found(_) if star.is_some() => Outcome::Fine { open: 0 },
            Lookup::Absent(_) => Outcome::Fails,
            _ => Outcome::Unknown,
        };
        let what = Some("the star import no longer brings it".to_owned());
        self.add((at, Kind::Name), outcome, target, (what, None));
    }

    /// An attribute; `is_called` where it is the callee of a call.
    pub(crate) fn attribute(&mut self, attribute: &ExprAttribute, is_called: bool) -> Vec<Value> {
        let owners = self.expression(&attribute.value);
        let name = &attribute.attr.id;
        if attribute.ctx != ExprContext::Load {
            return vec![Value::Unknown];
        }
        if let Some(values) = self.known_path(attribute) {
            return values;
        }
        let at = attribute.attr.start().to_u32();
        let values = self.attribute_of(&owners, name, at, is_called);
        match is_called {
            true => values,
            false => self.given(at, values),
        }
    }

    /// What an attribute, or its call, gives: where it is gone, what it gave under the old tree.
    fn given(&mut self, at: u32, values: Vec<Value>) -> Vec<Value> {
        let instance = |value: &Value| match value {
            Value::Instance(class) if !self.is_users(class.module) => Some((
                self.resolver.module(class.module).name.clone(),
                self.resolver.class(*class).name.clone(),
            )),
            _ => None,
        };
        let Some(before) = self.before else {
            let classes: BTreeSet<_> = values.iter().filter_map(instance).collect();
            if !classes.is_empty() && !self.is_trial {
                let results = &mut self.checks.results;
                results.entry(at).or_default().extend(classes);
            }
            return values;
        };
        if !self.is_gone(before, at) {
            return values;
        }
        let classes = before.results.get(&at).into_iter().flatten();
        let again = classes.flat_map(|(module, class)| {
            let module = self.resolver.tree.find(module)?;
            Some(self.resolver.member(module, class).values())
        });
        let again = again.flatten().filter_map(|value| match value {
            Value::Class(class) => Some(Value::Instance(class)),
            _ => None,
        });
        match tidy(again.collect()) {
            again if again.is_empty() => values,
            again => again,
        }
    }

    /// `self.x` or `name.x` that was assigned in this scope.
    fn known_path(&self, attribute: &ExprAttribute) -> Option<Vec<Value>> {
        let owner = attribute.value.as_name_expr()?;
        let path = Name::new(format!("{}.{}", owner.id, attribute.attr.id));
        self.frame().names.get(&path).cloned()
    }

    /// Whether an attribute was there under the old tree and is not any more, as far as [`super::breaks`] proves it.
    fn is_gone(&self, before: &Checks, at: u32) -> bool {
        let of = |checks: &Checks| Some(checks.checks.get(&(at, Kind::Attribute))?.outcome.clone());
        match (of(before), of(&self.checks)) {
            (_, Some(Outcome::Fails | Outcome::MayFail)) => true,
            // Code that cannot be read might answer for any name, as it might before.
            (Some(Outcome::Fine { open }), Some(Outcome::Open(why))) => {
                open == why && open != ANYTHING
            }
            _ => false,
        }
    }

    pub(crate) fn attribute_of(
        &mut self,
        owners: &[Value],
        name: &Name,
        at: u32,
        is_called: bool,
    ) -> Vec<Value> {
        let lookups: Vec<Lookup> = owners
            .iter()
            .map(|owner| self.resolver.attribute(owner, name))
            .collect();
        let open = |owner: &Value| match self.resolver.attribute(owner, NOBODY) {
            Lookup::Open(why) => why,
            _ => 0,
        };
        let is_known = |value: &Value| {
            !matches!(
                value,
                Value::Unknown | Value::OutsideInstance(_) | Value::Outside(_)
            )
        };
        let known: Vec<usize> = (0..owners.len())
            .filter(|at| is_known(&owners[*at]))
            .collect();
        let text = lookups.iter().find_map(|lookup| match lookup {
            Lookup::Absent(text) => text.clone(),
            _ => None,
        });
        let found = known.iter().find(|at| lookups[**at].is_found());
        let all_absent = known
            .iter()
            .all(|at| matches!(lookups[*at], Lookup::Absent(_)));
        let open_reason = known.iter().find_map(|at| match lookups[*at] {
            Lookup::Open(why) => Some(why),
            _ => None,
        });
        let outcome = match (known.is_empty(), found, all_absent) {
            (true, ..) => Outcome::Unknown,
            (_, Some(at), _) => Outcome::Fine {
                open: open(&owners[*at]),
            },
            (_, None, true) if known.len() == owners.len() => Outcome::Fails,
            (_, None, true) => Outcome::MayFail,
            (_, None, false) => open_reason.map_or(Outcome::Unknown, Outcome::Open),
        };
        let owner = found.or(known.first()).map(|at| &owners[*at]);
        let target = owner.map_or(Target::Nothing, |owner| self.target(owner, name));
        let what = Some(format!("`{name}` is gone"));
        let check = Check {
            line: self.line(at),
            outcome,
            target,
            what,
            text,
            is_called,
        };
        self.record((at, Kind::Attribute), check);
        tidy(lookups.into_iter().flat_map(Lookup::values).collect())
    }

    fn target(&self, owner: &Value, name: &Name) -> Target {
        match owner {
            Value::Module(module) => {
                Target::Module(self.resolver.module(*module).name.clone(), name.clone())
            }
            Value::Class(class) | Value::Instance(class) | Value::Super(class) => {
                Target::Member(self.owner(*class), name.clone())
            }
            _ => Target::Nothing,
        }
    }

    /// The first class of the library along the order: what the user subclassed.
    fn owner(&self, class: ClassId) -> ClassId {
        let mro = self.resolver.mro(class);
        let inside = mro.ancestors.iter().filter_map(|ancestor| match ancestor {
            super::super::mro::Ancestor::Inside(class) => Some(*class),
            super::super::mro::Ancestor::Outside(_) => None,
        });
        let mut library = inside.filter(|class| !self.is_users(class.module));
        library.next().unwrap_or(class)
    }

    fn call(&mut self, call: &ExprCall) -> Vec<Value> {
        if let Some(values) = self.special_call(call) {
            return values;
        }
        let callees = match &*call.func {
            Expr::Attribute(attribute) => self.attribute(attribute, true),
            other => self.expression(other),
        };
        let arguments = self.arguments(call);
        self.check_call(call, &callees);
        let results = callees.iter().flat_map(|callee| match callee {
            Value::Outside(name) => passed_through(name, &arguments),
            other => self.resolver.call(other),
        });
        let results = tidy(results.collect());
        match &*call.func {
            Expr::Attribute(attribute) => self.given(attribute.attr.start().to_u32(), results),
            _ => results,
        }
    }

    fn arguments(&mut self, call: &ExprCall) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        for argument in &call.arguments.args {
            let values = self.expression(argument);
            all.push(values);
        }
        for keyword in &call.arguments.keywords {
            self.expression(&keyword.value);
        }
        all
    }

    /// `super()`, `getattr(x, "y")`, `hasattr`, `isinstance`.
    fn special_call(&mut self, call: &ExprCall) -> Option<Vec<Value>> {
        let name = call.func.as_name_expr()?;
        if self.local(&name.id).is_some() {
            return None;
        }
        let arguments = &call.arguments.args;
        match (name.id.as_str(), &**arguments) {
            ("super", _) => {
                let class = self.frames.iter().rev().find_map(|frame| frame.class)?;
                Some(vec![Value::Super(class)])
            }
            ("getattr", [owner, Expr::StringLiteral(attribute)]) => {
                let owners = self.expression(owner);
                let attribute = Name::new(attribute.value.to_str());
                Some(self.attribute_of(&owners, &attribute, owner.start().to_u32(), false))
            }
            ("getattr" | "hasattr", _) => {
                self.arguments(call);
                Some(vec![Value::Unknown])
            }
            ("type", [of]) => {
                let values = self.expression(of);
                let classes = values.into_iter().map(|value| match value {
                    Value::Instance(class) => Value::Class(class),
                    _ => Value::Unknown,
                });
                Some(tidy(classes.collect()))
            }
            _ => None,
        }
    }

    /// Binds the arguments against every callee that is known.
    fn check_call(&mut self, call: &ExprCall, callees: &[Value]) {
        let at = call.start().to_u32().max(call.func.end().to_u32());
        let mut outcomes = Vec::new();
        let mut error = None;
        for callee in callees {
            let Some(signature) = self.resolver.signature(callee) else {
                outcomes.push(None);
                continue;
            };
            let bound =
                bind(&signature, call).and_then(|()| self.bind_forwarded(callee, &signature, call));
            if let Err(why) = &bound {
                error = Some(why.to_string());
            }
            outcomes.push(Some(bound.is_ok()));
        }
        let has = |one| outcomes.contains(&one);
        let outcome = match (has(Some(true)), has(Some(false)), has(None)) {
            (true, ..) => Outcome::Fine { open: 0 },
            (_, true, false) => Outcome::Fails,
            (_, true, true) => Outcome::MayFail,
            _ => Outcome::Unknown,
        };
        let target = callees.iter().find_map(|callee| self.call_target(callee));
        self.add(
            (at, Kind::Call),
            outcome,
            target.unwrap_or(Target::Nothing),
            (error, None),
        );
    }

    fn call_target(&self, callee: &Value) -> Option<Target> {
        match callee {
            Value::Class(class) => Some(Target::Class(self.owner(*class))),
            Value::Instance(class) => Some(Target::Member(
                self.owner(*class),
                Name::new_static("__call__"),
            )),
            Value::Function(function) | Value::Method(function, _) => {
                let definition = self.resolver.function(*function);
                let module = &self.resolver.module(function.module).name;
                Some(match (definition.class, callee) {
                    (_, Value::Method(_, Receiver::Instance(class) | Receiver::Class(class))) => {
                        Target::Member(self.owner(*class), definition.name.clone())
                    }
                    (Some(class), _) => {
                        let class = ClassId {
                            module: function.module,
                            class,
                        };
                        Target::Member(class, definition.name.clone())
                    }
                    (None, _) => Target::Module(module.clone(), definition.name.clone()),
                })
            }
            _ => None,
        }
    }

    /// Names that land in `**kwargs` are followed to where the function passes them on.
    fn bind_forwarded(
        &self,
        callee: &Value,
        signature: &Signature,
        call: &ExprCall,
    ) -> Result<(), BindError> {
        if !signature.has(ParameterKind::VarKeyword) {
            return Ok(());
        }
        let names = call
            .arguments
            .keywords
            .iter()
            .filter_map(|keyword| keyword.arg.as_ref());
        for name in names.filter(|name| signature.by_name(name.as_str()).is_none()) {
            if self.takes(callee, &name.id, 0) == Some(false) {
                return Err(BindError::Unexpected {
                    name: name.id.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether a callable takes a keyword argument, following `**kwargs` within the library.
    fn takes(&self, callee: &Value, name: &Name, depth: usize) -> Option<bool> {
        let signature = self.resolver.signature(callee)?;
        if signature.by_name(name).is_some() {
            return Some(true);
        }
        if !signature.has(ParameterKind::VarKeyword) {
            return Some(false);
        }
        let (id, receiver) = match callee {
            Value::Function(id) => (*id, None),
            Value::Method(id, receiver) => (*id, Some(*receiver)),
            Value::Class(class) => {
                let init = self.resolver.found(&Value::Instance(*class), "__init__")?;
                match init.as_slice() {
                    [Value::Method(id, receiver)] => (*id, Some(*receiver)),
                    _ => return None,
                }
            }
            _ => return None,
        };
        let function = self.resolver.function(id);
        let [forward] = function.forwards.as_slice() else {
            return None;
        };
        if depth > 3 || function.reads_kwargs || function.popped.contains(name) {
            return None;
        }
        if forward.named.contains(name) {
            return Some(false);
        }
        let class = function.class.map(|class| ClassId {
            module: id.module,
            class,
        });
        let scope = Scope {
            module: id.module,
            class,
            receiver,
            function: Some(id.function),
        };
        let targets = self.resolver.eval(&forward.callee, &scope);
        match targets.as_slice() {
            [one] => self.takes(one, name, depth + 1),
            _ => None,
        }
    }

    fn is_users(&self, module: u32) -> bool {
        module >= self.users_from
    }

    fn add(
        &mut self,
        (at, kind): (u32, Kind),
        outcome: Outcome,
        target: Target,
        (what, text): (Option<String>, Option<Box<str>>),
    ) {
        let line = self.line(at);
        let check = Check {
            line,
            outcome,
            target,
            what,
            text,
            is_called: false,
        };
        self.record((at, kind), check);
    }

    /// Keeps a check unless the code is ready for the failure.
    pub(crate) fn record(&mut self, (at, kind): (u32, Kind), check: Check) {
        if self.guarded == 0 && !self.is_trial {
            self.checks.add(at, kind, check);
        }
    }

    /// The function of the lowered module that stands at a line.
    pub(crate) fn function_at(&self, name: &str, line: u32) -> Option<FunctionId> {
        let functions = &self.resolver.module(self.module).functions;
        let found = functions
            .iter()
            .position(|one| one.line == line && *one.name == *name)?;
        Some(FunctionId {
            module: self.module,
            function: found as u32,
        })
    }
}

/// Functions of Python that give back what they got.
fn passed_through(name: &str, arguments: &[Vec<Value>]) -> Vec<Value> {
    let first = arguments.first();
    match (name, first) {
        ("list" | "tuple" | "sorted" | "iter" | "reversed", Some(values)) => values.clone(),
        ("next" | "max" | "min", Some(values)) => values
            .iter()
            .map(|value| match value {
                Value::Holding(_, inner) => (**inner).clone(),
                _ => Value::Unknown,
            })
            .collect(),
        ("copy.copy" | "copy.deepcopy", Some(values)) => values.clone(),
        _ if builtins::is_class(name) => vec![Value::OutsideInstance(Name::new(name))],
        _ => vec![Value::Unknown],
    }
}

/// Binds a call as far as it is written out: `*x` and `**x` may bring what is missing.
fn bind(signature: &Signature, call: &ExprCall) -> Result<(), BindError> {
    let has_star = call.arguments.args.iter().any(Expr::is_starred_expr);
    let has_stars = call
        .arguments
        .keywords
        .iter()
        .any(|keyword| keyword.arg.is_none());
    let names = call
        .arguments
        .keywords
        .iter()
        .filter_map(|keyword| keyword.arg.as_ref());
    let plain = call
        .arguments
        .args
        .iter()
        .filter(|argument| !argument.is_starred_expr());
    let shape = Shape {
        positional: plain.count(),
        keywords: names.map(|name| name.id.clone()).collect(),
    };
    match signature.bind(&shape) {
        Err(BindError::Missing { .. }) if has_star || has_stars => Ok(()),
        Err(BindError::Twice { .. }) if has_star => Ok(()),
        other => other,
    }
}
