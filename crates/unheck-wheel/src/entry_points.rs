//! entry_points.txt (entry points specification): which commands a distribution gives.
//!
//! Names and object references of scripts are validated, because they become a file name and
//! code; other groups are kept as text. Start at [`EntryPoints::parse`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{Limit, LimitExceeded, Limits, shown};

/// The entry points of a distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoints {
    /// Group `console_scripts`: command to function.
    pub console_scripts: BTreeMap<String, ObjectRef>,
    /// Group `gui_scripts`: command to function.
    pub gui_scripts: BTreeMap<String, ObjectRef>,
    /// All other groups: group to name to value, as written.
    pub other: BTreeMap<String, BTreeMap<String, String>>,
}

/// An object reference `module:attribute`; both are identifiers with dots between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    module: String,
    attribute: String,
}

/// Why entry_points.txt was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryPointsError {
    /// It is not UTF-8.
    #[error("`entry_points.txt` is not UTF-8")]
    NotUtf8,
    /// A line is no section, no assignment and no comment.
    #[error("line {0} of `entry_points.txt` is not `name = value`")]
    Line(usize),
    /// One name is twice in a group.
    #[error("`entry_points.txt` has `{name}` twice in the group `{group}`")]
    Twice {
        /// The name, escaped.
        name: String,
        /// The group, escaped.
        group: String,
    },
    /// A script's name cannot be a file name.
    #[error("the script `{0}` of `entry_points.txt` has a name that cannot be a command")]
    ScriptName(String),
    /// A script's value is not `module:attribute`.
    #[error(
        "the script `{name}` of `entry_points.txt` has the value `{value}`, which is not `module:attribute`"
    )]
    Reference {
        /// The script, escaped.
        name: String,
        /// The value, escaped.
        value: String,
    },
    /// There are too many.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

impl EntryPoints {
    /// Reads entry_points.txt in the dialect of `configparser` that the specification demands:
    /// `=` only, names with case, comments by `#` and `;`, continuation lines by indentation.
    ///
    /// # Errors
    /// The first line, name or reference that breaks a rule.
    pub fn parse(content: &[u8], limits: &Limits) -> Result<Self, EntryPointsError> {
        let text = std::str::from_utf8(content).map_err(|_| EntryPointsError::NotUtf8)?;
        let mut groups = read_groups(text, limits)?;
        let mut scripts = |group: &str| {
            let names = groups.remove(group).unwrap_or_default();
            let parsed = names.into_iter().map(|(name, value)| {
                check_script_name(&name)?;
                let reference = ObjectRef::parse(&value);
                let reference = reference.ok_or_else(|| EntryPointsError::Reference {
                    name: shown(&name),
                    value: shown(&value),
                })?;
                Ok((name, reference))
            });
            parsed.collect::<Result<BTreeMap<_, _>, EntryPointsError>>()
        };
        Ok(Self {
            console_scripts: scripts("console_scripts")?,
            gui_scripts: scripts("gui_scripts")?,
            other: groups,
        })
    }
}

fn read_groups(
    text: &str,
    limits: &Limits,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, EntryPointsError> {
    let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut group: Option<String> = None;
    let mut last: Option<String> = None;
    let mut count = 0;
    for (index, full) in text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .enumerate()
    {
        let line = full.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = || EntryPointsError::Line(index + 1);
        if full.starts_with([' ', '\t'])
            && let (Some(group), Some(last)) = (&group, &last)
        {
            let value = groups.get_mut(group).and_then(|group| group.get_mut(last));
            let value = value.ok_or_else(wrong)?;
            value.push('\n');
            value.push_str(line);
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(wrong)?.trim();
            if groups.insert(name.into(), BTreeMap::new()).is_some() {
                return Err(EntryPointsError::Twice {
                    name: format!("[{}]", shown(name)),
                    group: shown(name),
                });
            }
            (group, last) = (Some(name.into()), None);
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        let group = group.as_ref().ok_or_else(wrong)?;
        let names = groups.entry(group.clone()).or_default();
        if names.insert(name.into(), value.into()).is_some() {
            return Err(EntryPointsError::Twice {
                name: shown(name),
                group: shown(group),
            });
        }
        last = Some(name.into());
        count += 1;
        Limit::Fields.check(count, limits.fields, || "`entry_points.txt`".into())?;
    }
    Ok(groups)
}

/// A command is one part of a path, and nothing that a shell or a terminal takes apart.
fn check_script_name(name: &str) -> Result<(), EntryPointsError> {
    let bad = |c: char| c == '/' || c == '\\' || c.is_control() || c.is_whitespace();
    if name.starts_with(['.', '-'])
        || name.contains(bad)
        || unheck_base::TreePath::new(name).is_err()
    {
        return Err(EntryPointsError::ScriptName(shown(name)));
    }
    Ok(())
}

impl ObjectRef {
    /// Reads `module:attribute`, with or without extras in brackets behind it (which are
    /// dropped: the specification deprecates them). `None` when a part is not an identifier.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = match text.strip_suffix(']') {
            Some(head) => head.split_once('[')?.0.trim_end(),
            None => text,
        };
        let (module, attribute) = text.split_once(':')?;
        let (module, attribute) = (module.trim_end(), attribute.trim_start());
        let dotted = |text: &str| text.split('.').all(is_identifier);
        if !dotted(module) || !dotted(attribute) {
            return None;
        }
        Some(Self {
            module: module.into(),
            attribute: attribute.into(),
        })
    }

    /// The module to import.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The object in the module, with dots for attributes of attributes.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.attribute)
    }
}

/// Whether a text is an identifier by the Python language reference, 2.3 ("Identifiers"), and
/// not a keyword that can stand in no import statement.
pub(crate) fn is_identifier(text: &str) -> bool {
    const KEYWORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
        "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
        "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return",
        "try", "while", "with", "yield",
    ];
    let mut chars = text.chars();
    let start = chars.next();
    start.is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
        && chars.all(unicode_ident::is_xid_continue)
        && !KEYWORDS.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<EntryPoints, EntryPointsError> {
        EntryPoints::parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn scripts_and_other_groups_are_read() {
        let points = parse(
            "# comment\n[console_scripts]\nFoo-bar = foo.cli:app.main [extra]\nb=b:m\r\n\n\
             [other.group]\n; comment\nx = a.b\n  c\n",
        )
        .unwrap();
        assert_eq!(
            points.console_scripts["Foo-bar"].to_string(),
            "foo.cli:app.main"
        );
        assert_eq!(points.console_scripts["b"].to_string(), "b:m");
        assert_eq!(points.other["other.group"]["x"], "a.b\nc");
    }

    #[test]
    fn code_paths_and_duplicates_are_refused() {
        for (line, expected) in [
            ("a = m:f(); import os", "not `module:attribute`"),
            ("a = m:f\n  import os", "not `module:attribute`"),
            ("a = m", "not `module:attribute`"),
            ("a = m:", "not `module:attribute`"),
            ("a = m:class", "not `module:attribute`"),
            ("a = ..m:f", "not `module:attribute`"),
            ("a = m:f]", "not `module:attribute`"),
            ("../a = m:f", "cannot be a command"),
            ("/usr/bin/python3 = m:f", "cannot be a command"),
            (".. = m:f", "cannot be a command"),
            ("-rf = m:f", "cannot be a command"),
            (" = m:f", "cannot be a command"),
            ("a\x1b[2J = m:f", "cannot be a command"),
            ("a = m:f\na = m:g", "`a` twice"),
            ("a", "line 2"),
            ("[console_scripts]", "twice"),
            ("[x", "line 2"),
        ] {
            let error = parse(&format!("[console_scripts]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(expected), "{line:?}: {error}");
            assert!(!error.to_string().contains('\x1b'));
        }
        assert!(parse("a = b:c").is_err());
        assert!(EntryPoints::parse(b"\xff", &Limits::default()).is_err());
    }

    #[test]
    fn identifiers_are_those_of_python() {
        assert!(["a", "_a1", "caf\u{e9}"].into_iter().all(is_identifier));
        assert!(
            !["", "1a", "a-b", "a b", "if", "a;b"]
                .into_iter()
                .any(is_identifier)
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[\\[\\]a:=.\n #;\\PC]{0,60}") {
            let _ = parse(&text);
        }
    }
}
