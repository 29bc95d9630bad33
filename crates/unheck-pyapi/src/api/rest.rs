//! Functions that take `**kwargs`, pick the names they know from it and raise when any is left.
//! Start at [`names`].

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{CmpOp, Expr, Stmt};

/// The names that the body picks from `kwargs` when it refuses all others; `None` where it does
/// not, or where it does anything else with `kwargs`.
pub(crate) fn names(body: &[Stmt], kwargs: &Name) -> Option<BTreeSet<Name>> {
    let refuses = body.iter().any(|statement| refuses_rest(statement, kwargs));
    if !refuses {
        return None;
    }
    let mut picks = Picks {
        kwargs,
        names: BTreeSet::new(),
        is_only: true,
    };
    picks.visit_body(body);
    picks.is_only.then_some(picks.names)
}

/// `if kwargs: raise …`, `if len(kwargs) > 0: raise …`.
fn refuses_rest(statement: &Stmt, kwargs: &Name) -> bool {
    let Stmt::If(branches) = statement else {
        return false;
    };
    let counts = |expr: &Expr| match expr {
        Expr::Call(call) => {
            let is_len = call
                .func
                .as_name_expr()
                .is_some_and(|name| name.id == *"len");
            is_len && matches!(&*call.arguments.args, [one] if is_it(one, kwargs))
        }
        other => is_it(other, kwargs),
    };
    let tests = match &*branches.test {
        Expr::Compare(compare) => {
            matches!(&*compare.ops, [CmpOp::Gt | CmpOp::NotEq]) && counts(&compare.left)
        }
        other => counts(other),
    };
    tests && branches.elif_else_clauses.is_empty() && branches.body.iter().any(Stmt::is_raise_stmt)
}

fn is_it(expr: &Expr, kwargs: &Name) -> bool {
    expr.as_name_expr().is_some_and(|name| name.id == *kwargs)
}

/// The uses of `kwargs` in a body.
struct Picks<'n> {
    kwargs: &'n Name,
    names: BTreeSet<Name>,
    /// Nothing but picking was seen.
    is_only: bool,
}

impl Picks<'_> {
    fn pick(&mut self, key: &Expr) {
        match key.as_string_literal_expr() {
            Some(text) => {
                self.names.insert(Name::new(text.value.to_str()));
            }
            None => self.is_only = false,
        }
    }
}

impl Visitor<'_> for Picks<'_> {
    fn visit_stmt(&mut self, statement: &Stmt) {
        if !refuses_rest(statement, self.kwargs) {
            walk_stmt(self, statement);
        }
    }

    fn visit_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Call(call) => {
                let method = call.func.as_attribute_expr();
                let method = method.filter(|method| is_it(&method.value, self.kwargs));
                if let Some(method) = method
                    && matches!(method.attr.as_str(), "pop" | "get" | "setdefault")
                    && let [key, rest @ ..] = &*call.arguments.args
                {
                    self.pick(key);
                    rest.iter().for_each(|one| self.visit_expr(one));
                    return;
                }
            }
            Expr::Subscript(subscript) if is_it(&subscript.value, self.kwargs) => {
                return self.pick(&subscript.slice);
            }
            Expr::Compare(compare) => {
                if let ([CmpOp::In | CmpOp::NotIn], [right]) =
                    (&*compare.ops, &*compare.comparators)
                    && is_it(right, self.kwargs)
                {
                    return self.pick(&compare.left);
                }
            }
            Expr::Name(name) if name.id == *self.kwargs => self.is_only = false,
            _ => {}
        }
        walk_expr(self, expr);
    }
}
