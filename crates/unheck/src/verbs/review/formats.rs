//! Reviews for other programs: workflow commands, SARIF, Markdown. Start at [`github`], [`sarif`], [`markdown`].

use serde_json::{Value, json};
use unheck_engine::review::{Review, Tier, Use};

use super::text::{announced, summary, title};
use crate::ui::clean;

/// What is told of one place of the code, or of an API where there is no code.
struct Told<'a> {
    rule: &'static Rule,
    /// File and line from 1.
    place: Option<(&'a str, u32)>,
    title: String,
    message: String,
}

/// A kind of thing that is told.
struct Rule {
    id: &'static str,
    /// As SARIF 2.1.0, 3.27.10 names it.
    level: &'static str,
    /// As workflow commands name it.
    command: &'static str,
    text: &'static str,
}

static BREAKS: Rule = Rule {
    id: "breaks",
    level: "error",
    command: "error",
    text: "The line works with the old version and raises with the new one.",
};
static MAY_BREAK: Rule = Rule {
    id: "may-break",
    level: "warning",
    command: "warning",
    text: "The line raises with the new version unless code that cannot be read provides the name.",
};
static BEHAVIOUR: Rule = Rule {
    id: "known-behaviour",
    level: "note",
    command: "notice",
    text: "The line uses what is known to behave differently; no proof that it matters.",
};
static DEPRECATED: Rule = Rule {
    id: "deprecated",
    level: "note",
    command: "notice",
    text: "The line uses what the old version already announces to go away.",
};
static API: Rule = Rule {
    id: "api-change",
    level: "warning",
    command: "warning",
    text: "The public API changes so that programs that use it can fail.",
};

/// Everything that is told of a review, in its order.
fn told(review: &Review) -> Vec<Told<'_>> {
    let step = title(review);
    let tell = |rule, place, message| Told {
        rule,
        place,
        title: step.clone(),
        message,
    };
    let uses = review.uses.iter().map(|one| {
        let rule = match one.tier {
            Tier::Proven => &BREAKS,
            Tier::Possible => &MAY_BREAK,
            Tier::Behaviour => &BEHAVIOUR,
        };
        (one, rule)
    });
    let deprecated = announced(review).into_iter().map(|one| (one, &DEPRECATED));
    let mut told: Vec<Told<'_>> = uses
        .chain(deprecated)
        .map(|(one, rule)| tell(rule, Some((one.file.as_str(), one.line)), message(one)))
        .collect();
    // The lines of other distributions are no lines of the user's repository.
    for other in &review.dependents {
        let name = format!("in {} {}", clean(&other.dist), clean(&other.version));
        told.extend(other.uses.iter().map(|one| {
            let place = format!("{}:{}", clean(&one.file), one.line);
            tell(&BREAKS, None, format!("{name}, {place}: {}", message(one)))
        }));
    }
    if !review.has_code {
        let breaking = review.changes.iter().filter(|change| change.breaking);
        told.extend(breaking.map(|change| {
            let text = format!("{}: {}", clean(&change.api), clean(&change.detail));
            tell(&API, None, text)
        }));
    }
    told
}

fn message(one: &Use) -> String {
    let advice = one.advice.as_deref();
    let advice = advice.map(|text| format!(" ({})", clean(text)));
    let text = format!("{}: {}", clean(&one.api), clean(&one.what));
    text + &advice.unwrap_or_default()
}

/// Workflow commands, a line each: GitHub shows them beside the lines of a pull request.
pub(super) fn github(reviews: &[Review]) -> String {
    let mut lines = Vec::new();
    for review in reviews {
        for told in told(review) {
            let place = told
                .place
                .map(|(file, line)| format!("file={},line={line},", property(&clean(file))));
            lines.push(format!(
                "::{} {}title={}::{}",
                told.rule.command,
                place.unwrap_or_default(),
                property(&told.title),
                data(&told.message)
            ));
        }
        lines.push(format!(
            "::notice title={}::{}",
            property(&title(review)),
            data(&summary(review))
        ));
    }
    lines.join("\n")
}

/// The text of a workflow command: its own marks as percent codes.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A log by SARIF 2.1.0 (OASIS).
pub(super) fn sarif(reviews: &[Review]) -> Value {
    let rules = [&BREAKS, &MAY_BREAK, &BEHAVIOUR, &DEPRECATED, &API].map(|rule| {
        json!({
            "id": rule.id,
            "shortDescription": {"text": rule.text},
            "defaultConfiguration": {"level": rule.level},
        })
    });
    let results: Vec<Value> = reviews.iter().flat_map(told).map(result).collect();
    json!({
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "unheck",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(told: Told<'_>) -> Value {
    let locations: Vec<Value> = told
        .place
        .into_iter()
        .map(|(file, line)| {
            json!({"physicalLocation": {
                "artifactLocation": {"uri": uri(file)},
                "region": {"startLine": line},
            }})
        })
        .collect();
    json!({
        "ruleId": told.rule.id,
        "level": told.rule.level,
        "message": {"text": format!("{}: {}", told.title, told.message)},
        "locations": locations,
    })
}

/// A path as a relative reference (RFC 3986, 4.2): all but unreserved characters and `/` as percent codes.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// A section for each review, for a comment on a pull request.
pub(super) fn markdown(reviews: &[Review]) -> String {
    let mut lines = Vec::new();
    for review in reviews {
        lines.push(format!("### {}", cell(&title(review))));
        lines.extend([String::new(), cell(&summary(review)), String::new()]);
        let told = told(review);
        if told.is_empty() {
            continue;
        }
        lines.push("| | where | what |".to_owned());
        lines.push("|---|---|---|".to_owned());
        for one in told {
            let place = one
                .place
                .map(|(file, line)| format!("`{}:{line}`", code(file)));
            lines.push(format!(
                "| {} | {} | {} |",
                one.rule.id,
                place.unwrap_or_default(),
                cell(&one.message)
            ));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Text in which nothing is markup.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in clean(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '@'
        ) {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}

/// Text between backticks in a table.
fn code(text: &str) -> String {
    clean(text).replace('`', "'").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_each_format_are_escaped() {
        assert_eq!(property("a:b,c%\nd"), "a%3Ab%2Cc%25%0Ad");
        assert_eq!(data("a:b,c%\nd"), "a:b,c%25%0Ad");
        assert_eq!(uri("src/a b#ü.py"), "src/a%20b%23%C3%BC.py");
        assert_eq!(cell("a_b|<c>\u{1b}"), "a\\_b\\|\\<c\\>\\\\x1b");
        assert_eq!(code("a`|b"), "a'\\|b");
    }
}
