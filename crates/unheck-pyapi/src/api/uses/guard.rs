//! Where code is ready for the failure, or does not run: `try`, `hasattr`, tests of versions,
//! `TYPE_CHECKING`. Start at [`guards`].

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{ExceptHandler, Expr, Stmt};

use super::super::lower::is_type_checking;
use super::super::term::term;

/// What a test says about the branch below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// An ordinary branch.
    None,
    /// The branches know of versions or of missing names.
    Both,
    /// Only read by type checkers, or never run.
    Never,
    /// The other branch never runs.
    Always,
}

/// What a test of `if` says. `versions` are names that hold the outcome of such tests.
pub(crate) fn guards(test: &Expr, versions: &BTreeSet<Name>) -> Guard {
    match test {
        _ if is_type_checking(test) => return Guard::Never,
        Expr::BooleanLiteral(value) if !value.value => return Guard::Never,
        Expr::BooleanLiteral(_) => return Guard::Always,
        Expr::NumberLiteral(number)
            if number
                .value
                .as_int()
                .is_some_and(|one| one.as_u8() == Some(0)) =>
        {
            return Guard::Never;
        }
        _ => {}
    }
    match asks_version(test, versions) {
        true => Guard::Both,
        false => Guard::None,
    }
}

/// Whether an expression asks for a version, or for whether something exists.
pub(crate) fn asks_version(expr: &Expr, versions: &BTreeSet<Name>) -> bool {
    let mut finder = Finder {
        versions,
        found: false,
    };
    finder.visit_expr(expr);
    finder.found
}

/// Names of module level whose value comes from such a test.
pub(crate) fn version_names(body: &[Stmt]) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for statement in body {
        let (targets, value) = match statement {
            Stmt::Assign(assign) => (&assign.targets[..], &*assign.value),
            Stmt::Try(tried) => {
                names.extend(
                    flags(&tried.body)
                        .intersection(&handler_flags(&tried.handlers))
                        .cloned(),
                );
                continue;
            }
            _ => continue,
        };
        if asks_version(value, &names) {
            let targets = targets.iter().filter_map(Expr::as_name_expr);
            names.extend(targets.map(|name| name.id.clone()));
        }
    }
    names
}

/// Names that are set to a constant: `HAS_X = True`.
fn flags(body: &[Stmt]) -> BTreeSet<Name> {
    let assigned = body.iter().filter_map(Stmt::as_assign_stmt);
    let targets = assigned
        .flat_map(|assign| &assign.targets)
        .filter_map(Expr::as_name_expr);
    let mut names: BTreeSet<Name> = targets.map(|name| name.id.clone()).collect();
    for statement in body {
        let imported = match statement {
            Stmt::Import(import) => &import.names,
            Stmt::ImportFrom(import) => &import.names,
            _ => continue,
        };
        names.extend(
            imported
                .iter()
                .map(|alias| alias.asname.as_ref().unwrap_or(&alias.name).id.clone()),
        );
    }
    names
}

fn handler_flags(handlers: &[ExceptHandler]) -> BTreeSet<Name> {
    let bodies = handlers.iter().filter_map(ExceptHandler::as_except_handler);
    bodies.flat_map(|handler| flags(&handler.body)).collect()
}

struct Finder<'v> {
    versions: &'v BTreeSet<Name>,
    found: bool,
}

impl Visitor<'_> for Finder<'_> {
    fn visit_expr(&mut self, expr: &Expr) {
        let word = match expr {
            Expr::Name(name) => {
                self.found |= self.versions.contains(&name.id);
                Some(name.id.as_str())
            }
            Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
            _ => None,
        };
        if let Some(word) = word {
            let lower = word.to_ascii_lowercase();
            let parts = [
                "version",
                "hasattr",
                "_gte_",
                "_ge_",
                "_lt_",
                "_gt_",
                "find_spec",
            ];
            let starts = ["has_", "have_", "py2", "py3"];
            self.found |= parts.iter().any(|part| lower.contains(part))
                || starts
                    .iter()
                    .any(|start| lower.trim_start_matches('_').starts_with(start));
        }
        walk_expr(self, expr);
    }
}

/// Whether the handlers of a `try` catch what a removed name or changed call raises.
pub(crate) fn catches(handlers: &[ExceptHandler]) -> bool {
    handlers
        .iter()
        .filter_map(ExceptHandler::as_except_handler)
        .any(|handler| match handler.type_.as_deref() {
            None => true,
            Some(Expr::Tuple(tuple)) => tuple.elts.iter().any(is_caught),
            Some(one) => is_caught(one),
        })
}

fn is_caught(exception: &Expr) -> bool {
    let named = [
        "ImportError",
        "ModuleNotFoundError",
        "AttributeError",
        "TypeError",
        "NameError",
        "Exception",
        "BaseException",
    ];
    term(exception)
        .last()
        .is_some_and(|name| named.contains(&name.as_str()))
}

/// `with suppress(AttributeError)`, `with pytest.raises(TypeError)`.
pub(crate) fn suppresses(context: &Expr) -> bool {
    let Some(call) = context.as_call_expr() else {
        return false;
    };
    let callee = term(&call.func);
    callee.last().is_some_and(|name| {
        matches!(
            name.as_str(),
            "suppress" | "raises" | "assertRaises" | "assertRaisesRegex" | "deprecated_call"
        )
    })
}
