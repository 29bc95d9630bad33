//! How a library says that something will go away. Start at [`announced`].

use ruff_python_ast::{Expr, ExprCall, Stmt};

use super::model::Term;
use super::term::{message, term};

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 300;

/// The message of a call that warns of a deprecation: `warnings.warn(…, DeprecationWarning)`, or
/// a helper whose name says so.
pub(crate) fn announced(call: &ExprCall) -> Option<String> {
    let callee = term(&call.func);
    let name = callee.last()?.to_ascii_lowercase();
    let arguments = &call.arguments;
    let text = || arguments.args.iter().find_map(message).unwrap_or_default();
    let is_helper = name.contains("deprecat") && !about_part(&name);
    if is_helper {
        return Some(one_line(&text()));
    }
    if name != "warn" {
        return None;
    }
    let category = arguments.args.get(1).or_else(|| {
        let mut keywords = arguments.keywords.iter();
        keywords
            .find(|keyword| {
                keyword
                    .arg
                    .as_ref()
                    .is_some_and(|arg| arg.as_str() == "category")
            })
            .map(|keyword| &keyword.value)
    });
    // `warnings.warn(DeprecationWarning("…"))`
    let category =
        category.or_else(|| arguments.args.first().filter(|first| first.is_call_expr()))?;
    let category = term(category);
    is_category(category.last()?).then(|| one_line(&text()))
}

/// Whether a class of warnings is about things that go away.
fn is_category(name: &str) -> bool {
    let is_named = ["Deprecat", "FutureWarning", "RemovedIn", "Removed"];
    is_named.iter().any(|part| name.contains(part))
}

/// Names of helpers and decorators that speak of an argument, not of the whole.
pub(crate) fn about_part(name: &str) -> bool {
    let parts = ["arg", "param", "keyword", "kwarg", "positional", "option"];
    parts.iter().any(|part| name.contains(part))
}

/// What decorators say: `@deprecated("…")` (PEP 702) and the many of its kind.
pub(crate) fn decorated(decorators: &[Term]) -> Option<String> {
    decorators.iter().find_map(|decorator| {
        let name = decorator.last()?.to_ascii_lowercase();
        if !name.contains("deprecat") || about_part(&name) {
            return None;
        }
        let Term::Call(call) = decorator else {
            return Some(String::new());
        };
        let texts = call.arguments.iter().filter_map(Term::text);
        let named = ["alternative", "message", "msg", "reason", "extra"];
        let named = named.iter().filter_map(|name| {
            let text = call.keyword(name)?.text()?;
            Some(match *name {
                "alternative" => format!("use {text}"),
                _ => text.to_owned(),
            })
        });
        let all: Vec<String> = texts.map(str::to_owned).chain(named).collect();
        Some(one_line(&all.join("; ")))
    })
}

/// What the docstring says in a `.. deprecated::` directive of its own level.
pub(crate) fn documented(body: &[Stmt]) -> Option<String> {
    let Stmt::Expr(first) = body.first()? else {
        return None;
    };
    let Expr::StringLiteral(text) = &*first.value else {
        return None;
    };
    let text = text.value.to_str();
    let indent = |line: &str| line.len() - line.trim_start().len();
    // The first line of a docstring has no indent of its own.
    let lines = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let base = lines.map(indent).min().unwrap_or(0);
    let mut lines = text.lines().enumerate();
    let (at, line) = lines.find(|(number, line)| {
        let is_own = *number == 0 || indent(line) <= base;
        is_own && line.trim_start().starts_with(".. deprecated::")
    })?;
    let head = line.trim_start().trim_start_matches(".. deprecated::");
    let rest = text
        .lines()
        .skip(at + 1)
        .take_while(|line| !line.trim().is_empty() && indent(line) > base);
    let words: Vec<&str> = std::iter::once(head.trim())
        .chain(rest.map(str::trim))
        .collect();
    Some(one_line(&format!("deprecated {}", words.join(" "))))
}

/// A message on one line, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.chars()
        .filter(|character| !character.is_control())
        .take(MAX_MESSAGE)
        .collect()
}
