//! What somebody typed, as a name: import path, distribution name, requirement line, or loose words.
//!
//! Nothing is looked up here. Start at [`Label::parse`].

use std::fmt;

/// The longest label that is looked at, in characters; a distribution's name has at most 128 on the
/// public index, a dotted path rarely more than 100.
pub const MAX_LABEL: usize = 200;

/// Where a label comes from: what it can mean depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Seen in an import statement: it is exactly the name of a module.
    Import,
    /// Typed by somebody: anything, misspelled too.
    Text,
    /// A requirement (PEP 508): it is exactly the name of a distribution.
    Requirement,
}

/// A label, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// As it was typed.
    pub text: String,
    /// Where it comes from. A requirement line is recognised whatever the caller said.
    pub context: Context,
    /// The parts of a dotted path, or the whole as one; empty when the label cannot name anything.
    pub path: Vec<String>,
    /// The words of a loose name, lower case; one word where it has no blanks.
    pub words: Vec<String>,
}

impl Label {
    /// Takes a label apart. Never fails: what cannot be a name has an empty `path`.
    pub fn parse(text: &str, context: Context) -> Self {
        let none = |context| Self {
            text: text.to_owned(),
            context,
            path: Vec::new(),
            words: Vec::new(),
        };
        let trimmed = text.trim().trim_matches(['"', '\'', '`']).trim();
        if trimmed.is_empty() || trimmed.chars().count() > MAX_LABEL {
            return none(context);
        }
        let (name, context) = match requirement(trimmed) {
            Some(name) => (name, Context::Requirement),
            None => (statement(trimmed).unwrap_or(trimmed), context),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        if !name.chars().all(allowed) || !name.chars().any(|c| c.is_ascii_alphabetic()) {
            return none(context);
        }
        let words: Vec<String> = name
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let path: Vec<String> = match words.len() {
            1 => name.split('.').map(str::to_owned).collect(),
            _ => vec![name.split_whitespace().collect::<Vec<_>>().join(" ")],
        };
        let part = |part: &String| {
            let bytes = part.as_bytes();
            let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
            edge(bytes.first()) && edge(bytes.last())
        };
        match path.iter().all(part) {
            true => Self {
                text: text.to_owned(),
                context,
                path,
                words,
            },
            false => none(context),
        }
    }

    /// The dotted path; a loose name with its blanks.
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// Whether it can be the name of a module: identifiers with dots.
    pub fn is_module(&self) -> bool {
        self.context != Context::Requirement && is_module(&self.dotted())
    }

    /// The label as the normalised name of a distribution (PEP 503), blanks as `-`.
    pub fn as_distribution(&self) -> String {
        normalize(&self.dotted().replace(' ', "-"))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.text))
    }
}

/// Whether the text is identifiers of ASCII with dots between them.
pub fn is_module(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
}

/// The normalised name of a distribution (names and normalization specification, PEP 503).
pub fn normalize(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

/// Without separators and case: what two spellings of one loose name have in common.
pub fn squash(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' '));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Foreign text for a terminal: control characters, and those that turn the direction of text, are
/// replaced; at most 200 characters.
pub fn printable(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = text.chars().take(200);
    shown
        .map(|c| if harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// The name at the start of a requirement line: something that only a requirement has must follow.
fn requirement(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))?;
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let marks = ["[", "==", ">=", "<=", "~=", "!=", "<", ">", ";", "(", "@ "];
    let is = |mark: &str| {
        rest.strip_prefix(mark)
            .is_some_and(|more| !more.trim().is_empty())
    };
    let is = !name.is_empty() && marks.iter().any(|mark| is(mark));
    is.then_some(name)
}

/// The module of a line of code: `import X` and `from X import Y`, without aliases and lists.
fn statement(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace();
    let module = match (words.next()?, words.next()?, words.next()) {
        ("import", module, None | Some("as")) => module,
        ("from", module, Some("import")) => module,
        _ => return None,
    };
    is_module(module).then_some(module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> String {
        let label = Label::parse(text, Context::Text);
        format!(
            "{:?} {:?} {:?}",
            label.context,
            label.path.join("|"),
            label.words.join("|")
        )
    }

    #[test]
    fn labels_of_every_shape_are_taken_apart() {
        for (text, expected) in [
            ("BS4", r#"Text "BS4" "bs4""#),
            (" 'scikit learn' ", r#"Text "scikit learn" "scikit|learn""#),
            (
                "google.cloud.storage",
                r#"Text "google|cloud|storage" "google.cloud.storage""#,
            ),
            (
                "requests[socks] >= 2; python_version < '3'",
                r#"Requirement "requests" "requests""#,
            ),
            ("null;", r#"Text "" """#),
            ("pip @ https://x.test/pip.whl", r#"Requirement "pip" "pip""#),
            ("import yaml", r#"Text "yaml" "yaml""#),
            (
                "from lxml.etree import parse",
                r#"Text "lxml|etree" "lxml.etree""#,
            ),
            ("a..b", r#"Text "" """#),
            ("-x", r#"Text "" """#),
            ("../../etc/passwd", r#"Text "" """#),
            ("💥", r#"Text "" """#),
            ("3.14", r#"Text "" """#),
            ("", r#"Text "" """#),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_normalised_and_squashed() {
        assert_eq!(normalize("Zope._-Interface"), "zope-interface");
        assert_eq!(squash("Scikit-Learn 2"), "scikitlearn2");
        assert_eq!(printable("a\u{1b}[31m\u{202e}b"), "a\u{fffd}[31m\u{fffd}b");
        assert!(Label::parse("lxml.etree", Context::Import).is_module());
        assert!(!Label::parse("scikit-learn", Context::Text).is_module());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,300}") {
            let label = Label::parse(&text, Context::Text);
            prop_assert!(label.path.iter().all(|part| !part.is_empty() && part.is_ascii()));
            let shown = label.to_string();
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
