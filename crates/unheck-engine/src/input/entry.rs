//! What an artifact starts.

use std::path::Path;

use super::{Kind, Project};
use crate::explain::{Class, Explain};

/// What to start, before it is known where files end up in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A command line, by words; the first is looked up in `PATH`.
    Command(Vec<String>),
    /// A console script of this name that calls `module:attribute`.
    Script {
        /// Command name.
        name: String,
        /// Object reference (entry points specification).
        reference: String,
    },
    /// A Python file or directory with `__main__.py`, relative to the app's directory.
    File(String),
}

/// Nothing says what to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Several commands could be meant.
    #[error("`[project.scripts]` has several commands and none is chosen: {}", names.join(", "))]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// No command, no usual file.
    #[error(
        "nothing says what to start: no `[project.scripts]`, no `__main__.py`, `main.py` or `app.py`"
    )]
    None,
    /// The text is no command line.
    #[error("the entry `{0}` is not a command line: a quote is not closed, or it is empty")]
    Words(String),
}

impl Explain for EntryError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        let example = match self {
            Self::Several { names } => names.first().cloned().unwrap_or_default(),
            _ => "python main.py".to_owned(),
        };
        vec![format!(
            "add `--entry '{example}'`, or `entry = \"{example}\"` to `[tool.unheck]`"
        )]
    }
}

impl Entry {
    /// Reads `--entry`: `module:attribute` or a command line.
    ///
    /// # Errors
    /// [`EntryError::Words`] when a quote is left open or there is no word.
    pub fn parse(text: &str, project_name: &str) -> Result<Self, EntryError> {
        let words = split_words(text).ok_or_else(|| EntryError::Words(text.to_owned()))?;
        let [first, rest @ ..] = &words[..] else {
            return Err(EntryError::Words(text.to_owned()));
        };
        if rest.is_empty() && is_reference(first) {
            return Ok(Self::Script {
                name: project_name.to_owned(),
                reference: first.clone(),
            });
        }
        Ok(Self::Command(words))
    }

    /// What the project itself says, or what its files suggest; the text says which, for people.
    ///
    /// # Errors
    /// [`EntryError`] when nothing does or several do.
    pub fn infer(project: &Project) -> Result<(Self, String), EntryError> {
        if let Some(text) = &project.config.entry {
            return Ok((Self::parse(text, &project.name)?, "configured".to_owned()));
        }
        if project.kind == Kind::Script {
            let file = project
                .file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Ok((Self::File(file), "the script itself".to_owned()));
        }
        let scripts: Vec<_> = project.scripts.iter().collect();
        match &scripts[..] {
            [(name, reference)] => {
                let entry = Self::Script {
                    name: (*name).clone(),
                    reference: (*reference).clone(),
                };
                return Ok((
                    entry,
                    format!("the only command of `[project.scripts]`, `{name}`"),
                ));
            }
            [] => {}
            // A command with the project's own name is what people mean.
            several => {
                if let Some((name, reference)) =
                    several.iter().find(|(name, _)| **name == project.name)
                {
                    let entry = Self::Script {
                        name: (*name).clone(),
                        reference: (*reference).clone(),
                    };
                    return Ok((
                        entry,
                        format!(
                            "the command of `[project.scripts]` called `{name}` as the project"
                        ),
                    ));
                }
                let names = several.iter().map(|(name, _)| (*name).clone()).collect();
                return Err(EntryError::Several { names });
            }
        }
        ["__main__.py", "main.py", "app.py"]
            .into_iter()
            .find(|name| is_file(&project.root, name))
            .map(|name| (Self::File(name.to_owned()), format!("the file `{name}`")))
            .ok_or(EntryError::None)
    }
}

fn is_file(root: &Path, name: &str) -> bool {
    root.join(name).is_file()
}

/// `package.module:attribute.attribute` of ASCII or other identifiers.
fn is_reference(word: &str) -> bool {
    let identifiers = |text: &str| {
        text.split('.').all(|part| {
            part.chars()
                .next()
                .is_some_and(|c| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    };
    word.split_once(':')
        .is_some_and(|(module, attribute)| identifiers(module) && identifiers(attribute))
}

/// Words of a command line with the quoting of POSIX sh, without expansions; `None` when a
/// quote stays open.
pub(crate) fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_references_or_command_lines() {
        let script = Entry::Script {
            name: "p".to_owned(),
            reference: "a.b:c.d".to_owned(),
        };
        assert_eq!(Entry::parse("a.b:c.d", "p"), Ok(script));
        let words = |list: &[&str]| Entry::Command(list.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(
            Entry::parse("uvicorn web:app --port 80", "p"),
            Ok(words(&["uvicorn", "web:app", "--port", "80"]))
        );
        assert_eq!(
            Entry::parse(r#"a 'b c' "d \" e" f\ g ''"#, "p"),
            Ok(words(&["a", "b c", "d \" e", "f g", ""]))
        );
        assert_eq!(Entry::parse("http://x", "p"), Ok(words(&["http://x"])));
        for wrong in ["", "  ", "a 'b", "a \\"] {
            assert_eq!(
                Entry::parse(wrong, "p"),
                Err(EntryError::Words(wrong.to_owned())),
                "{wrong}"
            );
        }
    }
}
