//! Names that no statement binds: `__all__`, names made with `globals()` and `setattr`, and lazy
//! loaders. Module-level `__getattr__` is read in `getattr`.

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtAssign, StmtFor};

use super::body::hash_of;
use super::model::{All, Binding, Bound, Called, Module, Term};
use super::term::term;
use super::value::reason;
use crate::parse::Parsed;

/// `__all__ = …`.
pub(crate) fn set_all(module: &mut Module, name: &Name, value: &Expr) {
    if **name == *"__all__" {
        let mut all = All {
            is_complete: true,
            ..All::default()
        };
        add_all(&mut all, &term(value));
        module.all = Some(all);
    }
}

/// `__all__ += …`, `__all__.extend(…)`.
pub(crate) fn extend_all(module: &mut Module, name: &Name, value: &Expr, class: Option<u32>) {
    if class.is_none() && **name == *"__all__" {
        let all = module.all.get_or_insert_with(|| All {
            is_complete: true,
            ..All::default()
        });
        add_all(all, &term(value));
    }
}

/// `__all__.append(…)`.
pub(crate) fn append_all(module: &mut Module, name: &Name, value: &Expr) {
    extend_all(module, name, value, None);
}

/// `__all__.remove(…)`.
pub(crate) fn remove_all(module: &mut Module, name: &Name, value: &Expr) {
    if **name == *"__all__"
        && let Some(all) = &mut module.all
        && let Term::Text(text) = term(value)
    {
        all.names.retain(|name| **name != *text);
    }
}

fn add_all(all: &mut All, value: &Term) {
    match value {
        Term::Text(text) => all.names.push(Name::new(text)),
        Term::Items(_, items) => {
            for item in items {
                match item {
                    Term::Text(text) => all.names.push(Name::new(text)),
                    // `[Cls.__name__, *other.__all__]`
                    Term::Attribute(owner, name) if *name == *"__name__" => {
                        all.names.extend(owner.last().cloned());
                    }
                    other => add_all(all, other),
                }
            }
        }
        Term::Either(terms) => terms.iter().for_each(|term| add_all(all, term)),
        Term::Attribute(_, name) if *name == *"__all__" => all.of.push(value.clone()),
        Term::Name(_) => all.of.push(value.clone()),
        Term::Call(call) if call.arguments.len() == 1 => match call.callee.last() {
            Some(name) if matches!(name.as_str(), "list" | "tuple" | "sorted" | "set") => {
                add_all(all, &call.arguments[0]);
            }
            _ => all.is_complete = false,
        },
        _ => all.is_complete = false,
    }
}

/// `__getattr__, __dir__, __all__ = lazy.attach(__name__, submodules, submod_attrs)` of the
/// lazy-loader library and its many copies. Answers whether it was one.
pub(crate) fn attach(module: &mut Module, assign: &StmtAssign) -> bool {
    let is_getattr = |expr: &Expr| {
        expr.as_name_expr()
            .is_some_and(|name| name.id == *"__getattr__")
    };
    let takes_getattr = assign.targets.iter().any(|target| match target {
        Expr::Tuple(tuple) => tuple.elts.iter().any(is_getattr),
        other => is_getattr(other),
    });
    if !takes_getattr {
        return false;
    }
    module.dynamic.has_getattr = true;
    let Term::Call(call) = term(&assign.value) else {
        module.dynamic.open ^= 1;
        return true;
    };
    let mut tables = call
        .arguments
        .iter()
        .chain(call.keywords.iter().map(|(_, term)| term));
    let attributes = tables.find_map(|table| match table {
        Term::Table(rows) => Some(rows),
        _ => None,
    });
    if call
        .callee
        .last()
        .is_some_and(|name| *name == *"attach_stub")
    {
        module
            .dynamic
            .tables
            .push(Term::Name(Name::new_static("__stub__")));
        return true;
    }
    let Some(rows) = attributes else {
        let listed = listed(module, &call);
        let is_known = listed || call.arguments.len() >= 2 || !call.keywords.is_empty();
        module.dynamic.open ^= u64::from(!is_known);
        return true;
    };
    let prefix = module.name.clone();
    for (submodule, names) in rows {
        let Some(submodule) = submodule.text() else {
            continue;
        };
        for name in names.texts() {
            let target = located(&format!("{prefix}.{submodule}"), name);
            module.dynamic.names.push((Name::new(name), target, None));
        }
    }
    true
}

/// `relative_import(__name__, [".sub"], ["._impl.Name"])`, as plotly and others write it. Answers whether a name
/// was listed.
fn listed(module: &mut Module, call: &Called) -> bool {
    let before = module.dynamic.names.len();
    let all = call.arguments.iter();
    let all = all.chain(call.keywords.iter().map(|(_, term)| term));
    for text in all
        .filter(|term| matches!(term, Term::Items(..)))
        .flat_map(Term::texts)
    {
        let inside = text.trim_start_matches('.');
        let Some((of, name)) = inside.rsplit_once(['.', ':']) else {
            continue;
        };
        let target = located(&format!("{}.{of}", module.name), name);
        module.dynamic.names.push((Name::new(name), target, None));
    }
    module.dynamic.names.len() > before
}

/// `lazy_import(globals(), aliases={"Name": ".module"})`: a function that may put names into the
/// module. Where no table says which, it can be any.
pub(crate) fn filled(module: &mut Module, call: &ExprCall) {
    let keywords = &call.arguments.keywords;
    let plain = call.arguments.args.iter().map(|value| (false, value));
    let named = keywords.iter().map(|keyword| {
        let name = keyword.arg.as_ref().map(|name| name.as_str());
        let warns = name.is_some_and(|name| name.contains("deprecat"));
        (warns, &keyword.value)
    });
    let all: Vec<(bool, &Expr)> = plain.chain(named).collect();
    if !all.iter().any(|(_, value)| is_namespace(value)) {
        return;
    }
    let package = match module.is_package {
        true => module.name.as_str(),
        false => module.name.rsplit_once('.').map_or("", |(above, _)| above),
    };
    let mut names = Vec::new();
    for (warns, value) in all {
        let Term::Table(rows) = term(value) else {
            continue;
        };
        let text = warns.then(Box::<str>::default);
        let mut add = |of: &str, name: &str| {
            let of = of.trim_start_matches('.');
            let target = located(&format!("{package}.{of}"), name);
            names.push((Name::new(name), target, text.clone()));
        };
        for (key, value) in &rows {
            match (key.text(), value) {
                (Some(name), Term::Text(of)) => add(of, name),
                (Some(of), Term::Items(..)) => {
                    value.texts().into_iter().for_each(|name| add(of, name));
                }
                _ => {}
            }
        }
    }
    if names.is_empty() {
        let callee = term(&call.func);
        module.dynamic.open ^= reason(callee.last().map_or("", |name| name.as_str()));
    }
    module.dynamic.names.extend(names);
}

/// The term for a name of a module, wherever it stands.
pub(crate) fn located(module: &str, name: &str) -> Term {
    let module = Term::Subscript(Box::new((
        Term::Name(Name::new_static("__import__")),
        Term::Text(module.into()),
    )));
    Term::Attribute(Box::new(module), Name::new(name))
}

/// `globals()`, `vars()`, `locals()`, `sys.modules[__name__].__dict__`.
pub(crate) fn is_namespace(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => {
            let name = call.func.as_name_expr().map(|name| name.id.as_str());
            let is_own = call.arguments.args.is_empty()
                || call.arguments.args.first().is_some_and(is_this_module);
            is_own && matches!(name, Some("globals" | "vars" | "locals"))
        }
        Expr::Attribute(attribute) => {
            attribute.attr.as_str() == "__dict__" && is_this_module(&attribute.value)
        }
        _ => false,
    }
}

/// `sys.modules[__name__]`.
pub(crate) fn is_this_module(expr: &Expr) -> bool {
    expr.as_subscript_expr().is_some_and(|subscript| {
        let key = subscript.slice.as_name_expr();
        term(&subscript.value)
            .last()
            .is_some_and(|name| *name == *"modules")
            && key.is_some_and(|key| key.id == *"__name__")
    })
}

/// Reads loops that make names at module level: `for name in NAMES: globals()[name] = …`.
pub(crate) fn loops(module: &mut Module, parsed: &Parsed) {
    for statement in parsed.body() {
        read_loops(module, parsed, statement);
    }
    module.bindings.sort_by(|a, b| a.name.cmp(&b.name));
}

fn read_loops(module: &mut Module, parsed: &Parsed, statement: &Stmt) {
    match statement {
        Stmt::For(each) => read_loop(module, parsed, each),
        Stmt::If(branches) => {
            let rest = branches.elif_else_clauses.iter();
            for body in std::iter::once(&branches.body).chain(rest.map(|clause| &clause.body)) {
                for statement in body {
                    read_loops(module, parsed, statement);
                }
            }
        }
        Stmt::Try(tried) => {
            for statement in tried.body.iter().chain(&tried.orelse) {
                read_loops(module, parsed, statement);
            }
        }
        Stmt::Expr(statement) => update(module, &statement.value),
        _ => {}
    }
}

/// `globals().update({"a": 1}, b=2)`.
fn update(module: &mut Module, expr: &Expr) {
    let Some(call) = expr.as_call_expr() else {
        return;
    };
    let Some(method) = call.func.as_attribute_expr() else {
        return;
    };
    if method.attr.as_str() != "update" || !is_namespace(&method.value) {
        return;
    }
    for argument in &call.arguments.args {
        match known(module, &term(argument)) {
            Some(Term::Table(rows)) => {
                for (key, value) in &rows {
                    match key.text() {
                        Some(key) => bind(module, key, 0, value.clone()),
                        None => module.dynamic.open ^= 3,
                    }
                }
            }
            _ => module.dynamic.open ^= 5,
        }
    }
    for keyword in &call.arguments.keywords {
        if let Some(name) = &keyword.arg {
            bind(module, name.as_str(), 0, term(&keyword.value));
        }
    }
}

/// A term, or what the name that it is was assigned in this file.
fn known(module: &Module, value: &Term) -> Option<Term> {
    match value {
        Term::Name(name) => {
            let at = module.bindings.partition_point(|other| other.name < *name);
            let bound = module
                .bindings
                .get(at)
                .filter(|other| other.name == *name)?;
            match &bound.what {
                Bound::Value(term @ (Term::Items(..) | Term::Table(_)), _) => Some(term.clone()),
                _ => None,
            }
        }
        // `TABLE.items()`, `sorted(NAMES)`
        Term::Call(call) => match (&call.callee, call.arguments.first()) {
            (Term::Attribute(owner, method), _)
                if matches!(method.as_str(), "items" | "keys" | "copy" | "split") =>
            {
                match (&**owner, method.as_str()) {
                    (Term::Text(text), "split") => {
                        let words = text.split_whitespace();
                        Some(Term::Items(
                            "list",
                            words.map(|word| Term::Text(word.into())).collect(),
                        ))
                    }
                    (owner, _) => known(module, owner),
                }
            }
            (Term::Name(_), Some(first)) => known(module, first),
            _ => None,
        },
        Term::Items(..) | Term::Table(_) => Some(value.clone()),
        _ => None,
    }
}

fn read_loop(module: &mut Module, parsed: &Parsed, each: &StmtFor) {
    let names = known(module, &term(&each.iter));
    let variable = match &*each.target {
        Expr::Name(name) => Some(name.id.clone()),
        Expr::Tuple(tuple) => tuple
            .elts
            .first()
            .and_then(Expr::as_name_expr)
            .map(|name| name.id.clone()),
        _ => None,
    };
    for statement in &each.body {
        let Some((key, class)) = made_name(statement) else {
            continue;
        };
        let line = parsed.line(each.range.start().to_u32());
        let (Some(names), Some(variable)) = (&names, &variable) else {
            if class.is_none() {
                module.dynamic.open ^= hash_of(std::slice::from_ref(statement));
            }
            continue;
        };
        for text in loop_texts(names) {
            let Some(name) = key_text(key, variable, text) else {
                if class.is_none() {
                    module.dynamic.open ^= hash_of(std::slice::from_ref(statement));
                }
                break;
            };
            match &class {
                None => bind(module, &name, line, Term::Unknown),
                Some(class) => module.patches.push(super::model::Patch {
                    class: class.clone(),
                    binding: binding(&name, line, Term::Unknown),
                }),
            }
        }
    }
}

/// The first texts of what a loop goes over.
fn loop_texts(names: &Term) -> Vec<&str> {
    match names {
        Term::Items(_, items) => items
            .iter()
            .filter_map(|item| match item {
                Term::Items(_, parts) => parts.first()?.text(),
                other => other.text(),
            })
            .collect(),
        other => other.texts(),
    }
}

/// The key of `globals()[key] = …`, `setattr(sys.modules[__name__], key, …)`, or, with the class,
/// of `setattr(Cls, key, …)`.
fn made_name(statement: &Stmt) -> Option<(&Expr, Option<Term>)> {
    match statement {
        Stmt::Assign(assign) => assign.targets.iter().find_map(|target| {
            let subscript = target.as_subscript_expr()?;
            is_namespace(&subscript.value).then_some((&*subscript.slice, None))
        }),
        Stmt::Expr(statement) => {
            let call = statement.value.as_call_expr()?;
            let is_setattr = call.func.as_name_expr()?.id == *"setattr";
            let [object, key, _] = &*call.arguments.args else {
                return None;
            };
            let class = (!is_this_module(object)).then(|| term(object));
            is_setattr.then_some((key, class))
        }
        _ => None,
    }
}

/// What a key is for one element: `name`, `"x_" + name`, `f"x_{name}"`.
fn key_text(key: &Expr, variable: &Name, text: &str) -> Option<String> {
    match key {
        Expr::Name(name) if name.id == *variable => Some(text.to_owned()),
        Expr::StringLiteral(literal) => Some(literal.value.to_str().to_owned()),
        Expr::BinOp(sum) if sum.op == ruff_python_ast::Operator::Add => Some(format!(
            "{}{}",
            key_text(&sum.left, variable, text)?,
            key_text(&sum.right, variable, text)?
        )),
        Expr::FString(formatted) => {
            let parts = formatted.value.elements().map(|part| match part {
                ruff_python_ast::InterpolatedStringElement::Literal(literal) => {
                    Some(literal.value.to_string())
                }
                ruff_python_ast::InterpolatedStringElement::Interpolation(value) => {
                    key_text(&value.expression, variable, text)
                }
            });
            parts.collect()
        }
        _ => None,
    }
}

fn binding(name: &str, line: u32, value: Term) -> Binding {
    Binding {
        name: Name::new(name),
        line,
        certain: true,
        typing: false,
        what: Bound::Value(value, None),
    }
}

fn bind(module: &mut Module, name: &str, line: u32, value: Term) {
    module.bindings.push(binding(name, line, value));
}
