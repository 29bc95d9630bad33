//! Every text that an expression can be, or the answer that this is not sure. Start at
//! [`Source::complete`].

use std::collections::BTreeSet;

use ruff_python_ast::{Expr, InterpolatedStringElement, Operator};

use crate::platform::last_name;
use crate::values::{Binding, MAX_TEXTS, Source, is_sequence};

impl Source<'_> {
    /// Every text that an expression, or an element of it, can be; `None` when that is not sure.
    /// Keys of a table count as much as its values. `known` tells names such as `__name__`.
    pub(crate) fn complete(
        &self,
        expr: &Expr,
        scope: usize,
        known: &dyn Fn(&str) -> Option<String>,
    ) -> Option<BTreeSet<String>> {
        self.complete_at(expr, (scope, 0), known)
    }

    fn complete_at(
        &self,
        expr: &Expr,
        (scope, depth): (usize, usize),
        known: &dyn Fn(&str) -> Option<String>,
    ) -> Option<BTreeSet<String>> {
        if depth > 12 || !self.spend(1) {
            return None;
        }
        let inner = |expr: &Expr| self.complete_at(expr, (scope, depth + 1), known);
        let all = |parts: Vec<&Expr>| {
            let mut texts = BTreeSet::new();
            for part in parts {
                texts.append(&mut inner(part)?);
            }
            (texts.len() <= MAX_TEXTS * 16).then_some(texts)
        };
        match expr {
            Expr::StringLiteral(text) => Some(BTreeSet::from([text.value.to_str().to_owned()])),
            Expr::NoneLiteral(_) | Expr::BooleanLiteral(_) | Expr::NumberLiteral(_) => {
                Some(BTreeSet::new())
            }
            Expr::BinOp(sum)
                if sum.op == Operator::Add
                    && (is_sequence(&sum.left) || is_sequence(&sum.right)) =>
            {
                all(vec![&sum.left, &sum.right])
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                joined_sets(&inner(&sum.left)?, &inner(&sum.right)?)
            }
            Expr::FString(text) => {
                let mut texts = BTreeSet::from([String::new()]);
                for element in text.value.elements() {
                    texts = joined_sets(&texts, &part_of(element, &inner)?)?;
                }
                Some(texts)
            }
            Expr::Tuple(tuple) => all(tuple.elts.iter().collect()),
            Expr::List(list) => all(list.elts.iter().collect()),
            Expr::Set(set) => all(set.elts.iter().collect()),
            Expr::Dict(dict) => all(dict
                .items
                .iter()
                .flat_map(|item| item.key.iter().chain(std::iter::once(&item.value)))
                .collect()),
            Expr::If(choice) => all(vec![&choice.body, &choice.orelse]),
            Expr::Subscript(subscript) => inner(&subscript.value),
            Expr::Call(call) => {
                let method = call.func.as_attribute_expr();
                match (last_name(&call.func)?, method) {
                    ("items" | "values" | "keys" | "get" | "copy", Some(method)) => {
                        inner(&method.value)
                    }
                    (
                        "list" | "tuple" | "set" | "frozenset" | "sorted" | "enumerate" | "iter"
                        | "reversed" | "zip" | "dict",
                        None,
                    ) if call.arguments.keywords.is_empty() => {
                        all(call.arguments.args.iter().collect())
                    }
                    _ => None,
                }
            }
            Expr::Name(name) => {
                let name = name.id.as_str();
                if let Some(text) = known(name) {
                    return Some(BTreeSet::from([text]));
                }
                let mut texts = BTreeSet::new();
                for binding in self.lookup(name, scope)? {
                    let Binding::Value(value, scope) = *binding else {
                        return None;
                    };
                    texts.append(&mut self.complete_at(value, (scope, depth + 1), known)?);
                }
                Some(texts)
            }
            _ => None,
        }
    }
}

/// What one part of a formatted text can be.
fn part_of(
    element: &InterpolatedStringElement,
    texts: &dyn Fn(&Expr) -> Option<BTreeSet<String>>,
) -> Option<BTreeSet<String>> {
    match element {
        InterpolatedStringElement::Literal(literal) => {
            Some(BTreeSet::from([literal.value.to_string()]))
        }
        InterpolatedStringElement::Interpolation(value) if value.format_spec.is_none() => {
            texts(&value.expression)
        }
        InterpolatedStringElement::Interpolation(_) => None,
    }
}

fn joined_sets(left: &BTreeSet<String>, right: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    if left.len() * right.len() > MAX_TEXTS {
        return None;
    }
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
    let texts = pairs.map(|(a, b)| format!("{a}{b}"));
    Some(texts.filter(|text| text.len() <= 4096).collect())
}
