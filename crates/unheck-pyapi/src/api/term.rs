//! From an expression of the syntax tree to a [`Term`]. Start at [`term`].

use ruff_python_ast::name::Name;
use ruff_python_ast::{Expr, ExprCall, InterpolatedStringElement, Operator};

use super::model::{Called, Term};

/// How deep a term goes.
const MAX_DEPTH: usize = 24;
/// How many elements of one container are kept.
const MAX_ITEMS: usize = 8192;
/// How many bytes of one text are kept.
const MAX_TEXT: usize = 2000;

/// What is kept of an expression.
pub(crate) fn term(expr: &Expr) -> Term {
    at(expr, 0)
}

fn at(expr: &Expr, depth: usize) -> Term {
    if depth > MAX_DEPTH {
        return Term::Unknown;
    }
    let inner = |expr: &Expr| at(expr, depth + 1);
    let all = |exprs: &[Expr]| -> Box<[Term]> {
        let kept = exprs.iter().take(MAX_ITEMS);
        kept.map(|expr| at(expr, depth + 1)).collect()
    };
    match expr {
        Expr::Name(name) => Term::Name(name.id.clone()),
        Expr::Attribute(attribute) => {
            Term::Attribute(Box::new(inner(&attribute.value)), attribute.attr.id.clone())
        }
        Expr::Call(call) => Term::Call(Box::new(called(call, depth))),
        Expr::Subscript(subscript) => {
            Term::Subscript(Box::new((inner(&subscript.value), inner(&subscript.slice))))
        }
        Expr::StringLiteral(text) => Term::Text(shortened(text.value.to_str()).into()),
        Expr::FString(_) => Term::Text(shortened(&formatted(expr)).into()),
        Expr::BytesLiteral(_) => Term::Literal("bytes", "".into()),
        Expr::NumberLiteral(number) => Term::Literal("int", number_text(&number.value).into()),
        Expr::BooleanLiteral(value) => {
            Term::Literal("bool", if value.value { "True" } else { "False" }.into())
        }
        Expr::NoneLiteral(_) => Term::Literal("None", "None".into()),
        Expr::EllipsisLiteral(_) => Term::Literal("ellipsis", "...".into()),
        Expr::List(list) => Term::Items("list", all(&list.elts)),
        Expr::Tuple(tuple) => Term::Items("tuple", all(&tuple.elts)),
        Expr::Set(set) => Term::Items("set", all(&set.elts)),
        Expr::Dict(dict) => {
            let rows = dict.items.iter().take(MAX_ITEMS).map(|item| {
                let key = item.key.as_ref().map_or(Term::Unknown, inner);
                (key, inner(&item.value))
            });
            Term::Table(rows.collect())
        }
        Expr::BoolOp(operation) => Term::Either(all(&operation.values)),
        Expr::If(choice) => Term::Either(Box::new([inner(&choice.body), inner(&choice.orelse)])),
        Expr::BinOp(operation) if matches!(operation.op, Operator::BitOr | Operator::Add) => {
            operation_term(&operation.left, operation.op, &operation.right, depth)
        }
        Expr::Await(waited) => Term::Await(Box::new(inner(&waited.value))),
        Expr::Named(named) => inner(&named.value),
        Expr::Starred(starred) => inner(&starred.value),
        _ => Term::Unknown,
    }
}

/// `a | b` is a union of annotations; `[a] + [b]` and `"a" + "b"` are joined.
fn operation_term(left: &Expr, op: Operator, right: &Expr, depth: usize) -> Term {
    let (left, right) = (at(left, depth + 1), at(right, depth + 1));
    match (op, left, right) {
        (Operator::BitOr, left, right) => Term::Either(Box::new([left, right])),
        (_, Term::Items(kind, first), Term::Items(_, second)) => {
            Term::Items(kind, first.into_iter().chain(second).collect())
        }
        (_, Term::Text(first), Term::Text(second)) => {
            Term::Text(shortened(&format!("{first}{second}")).into())
        }
        // `__all__ = a.__all__ + b.__all__`
        (_, left @ (Term::Attribute(..) | Term::Items(..) | Term::Either(_)), right)
            if depth < MAX_DEPTH =>
        {
            Term::Either(Box::new([left, right]))
        }
        _ => Term::Unknown,
    }
}

/// What is kept of a call.
pub(crate) fn called(call: &ExprCall, depth: usize) -> Called {
    let arguments = call.arguments.args.iter().take(256);
    let keywords = call.arguments.keywords.iter().take(256);
    Called {
        callee: at(&call.func, depth + 1),
        arguments: arguments.map(|expr| at(expr, depth + 1)).collect(),
        keywords: keywords
            .map(|keyword| {
                let name = keyword.arg.as_ref().map(|name| name.id.clone());
                (name, at(&keyword.value, depth + 1))
            })
            .collect(),
    }
}

/// The text of a text, the parts that are computed as `{}`.
pub(crate) fn message(expr: &Expr) -> Option<String> {
    match expr {
        Expr::StringLiteral(text) => Some(shortened(text.value.to_str()).to_owned()),
        Expr::FString(_) => Some(shortened(&formatted(expr)).to_owned()),
        Expr::BinOp(sum) if matches!(sum.op, Operator::Add | Operator::Mod) => message(&sum.left),
        Expr::Call(call) => match &*call.func {
            // `"…".format(…)`, `_("…")`, `textwrap.dedent("…")`
            Expr::Attribute(method) if method.attr.as_str() == "format" => message(&method.value),
            Expr::Name(_) | Expr::Attribute(_) => call.arguments.args.first().and_then(message),
            _ => None,
        },
        _ => None,
    }
}

fn formatted(expr: &Expr) -> String {
    let Expr::FString(text) = expr else {
        return String::new();
    };
    let parts = text.value.elements().map(|element| match element {
        InterpolatedStringElement::Literal(literal) => literal.value.to_string(),
        InterpolatedStringElement::Interpolation(_) => "{}".to_owned(),
    });
    parts.collect()
}

fn number_text(number: &ruff_python_ast::Number) -> String {
    match number {
        ruff_python_ast::Number::Int(value) => value.to_string(),
        ruff_python_ast::Number::Float(value) => value.to_string(),
        ruff_python_ast::Number::Complex { real, imag } => format!("{real}+{imag}j"),
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `term` with names replaced by what they were assigned; too large a term becomes unknown.
pub(crate) fn substituted(term: &Term, local: &dyn Fn(&Name) -> Option<Term>) -> Term {
    let replaced = replace(term, local);
    if size(&replaced) > 64 {
        return Term::Unknown;
    }
    replaced
}

fn replace(term: &Term, local: &dyn Fn(&Name) -> Option<Term>) -> Term {
    let inner = |term: &Term| replace(term, local);
    match term {
        Term::Name(name) => local(name).unwrap_or_else(|| term.clone()),
        Term::Attribute(owner, name) => Term::Attribute(Box::new(inner(owner)), name.clone()),
        Term::Call(call) => Term::Call(Box::new(Called {
            callee: inner(&call.callee),
            arguments: call.arguments.iter().map(inner).collect(),
            keywords: call
                .keywords
                .iter()
                .map(|(name, value)| (name.clone(), inner(value)))
                .collect(),
        })),
        Term::Subscript(parts) => Term::Subscript(Box::new((inner(&parts.0), parts.1.clone()))),
        Term::Either(terms) => Term::Either(terms.iter().map(inner).collect()),
        Term::Items(kind, terms) if terms.len() <= 16 => {
            Term::Items(kind, terms.iter().map(inner).collect())
        }
        Term::Await(waited) => Term::Await(Box::new(inner(waited))),
        Term::Element(of) => Term::Element(Box::new(inner(of))),
        Term::Entered(of) => Term::Entered(Box::new(inner(of))),
        other => other.clone(),
    }
}

fn size(term: &Term) -> usize {
    let all = |terms: &[Term]| terms.iter().map(size).sum::<usize>();
    1 + match term {
        Term::Attribute(owner, _) => size(owner),
        Term::Call(call) => {
            let keywords = call.keywords.iter().map(|(_, value)| size(value));
            size(&call.callee) + all(&call.arguments) + keywords.sum::<usize>()
        }
        Term::Subscript(parts) => size(&parts.0) + size(&parts.1),
        Term::Either(terms) | Term::Items(_, terms) => all(terms),
        Term::Table(rows) => rows.len(),
        Term::Await(inner) | Term::Element(inner) | Term::Entered(inner) => size(inner),
        _ => 0,
    }
}
