//! What a failed build backend said, and what would mend it. Pure. Start at [`Log::of`].

/// Most lines of a log that are shown.
const MOST_LINES: usize = 30;

/// Longest line that is shown, in characters.
const MOST_WIDTH: usize = 300;

/// The end of what a backend said, without terminal escapes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it said:\n{0}")]
pub struct Log(String);

impl Log {
    /// Keeps the last lines of `text` that say something.
    pub fn of(text: &str) -> Self {
        let lines: Vec<String> = text
            .lines()
            .map(clean)
            .filter(|line| !line.trim().is_empty())
            .collect();
        let skip = lines.len().saturating_sub(MOST_LINES);
        let shown: Vec<String> = lines[skip..]
            .iter()
            .map(|line| format!("    {line}"))
            .collect();
        Self(if shown.is_empty() {
            "    (nothing)".to_owned()
        } else {
            shown.join("\n")
        })
    }
}

/// One line without control characters, which could write over what a terminal shows.
fn clean(line: &str) -> String {
    // What a carriage return would have written over is noise of a progress bar.
    let line = line
        .trim_end_matches('\r')
        .rsplit('\r')
        .next()
        .unwrap_or_default();
    let mut text = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' {
            text.push_str("    ");
        } else if !c.is_control() {
            text.push(c);
        }
    }
    if text.chars().count() > MOST_WIDTH {
        text = text.chars().take(MOST_WIDTH).chain(['…']).collect();
    }
    text
}

/// A text that failing backends print, and what mends it.
struct Rule {
    /// All of these are in the log, in lower case.
    words: &'static [&'static str],
    hint: &'static str,
}

const VERSION_HINT: &str = "the version comes from git, which is not there in a build: state it in `[project] version`, or give it: `[tool.unheck.build-env]` with `SETUPTOOLS_SCM_PRETEND_VERSION = \"1.2.3\"`";

const COMPILER_HINT: &str = "it needs a compiler, and nothing among its files told so: add a table `[tool.unheck.builds.NAME]` with the project's own name, which may be empty";

/// The more telling ones first.
const RULES: &[Rule] = &[
    Rule {
        words: &["setuptools-scm was unable to detect version"],
        hint: VERSION_HINT,
    },
    Rule {
        words: &["setuptools_scm", "lookuperror"],
        hint: VERSION_HINT,
    },
    Rule {
        words: &["vcs", "version", "lookuperror"],
        hint: VERSION_HINT,
    },
    Rule {
        words: &["no such file or directory: 'git'"],
        hint: VERSION_HINT,
    },
    Rule {
        words: &["versioning", "is not a git repository"],
        hint: VERSION_HINT,
    },
    Rule {
        words: &["multiple top-level packages discovered"],
        hint: "say which packages ship: `[tool.setuptools] packages = [\"…\"]`, or move them under `src/`",
    },
    Rule {
        words: &["multiple top-level modules discovered"],
        hint: "say which modules ship: `[tool.setuptools] py-modules = [\"…\"]`, or move them under `src/`",
    },
    Rule {
        words: &["unable to determine which files to ship inside the wheel"],
        hint: "say what ships: `[tool.hatch.build.targets.wheel] packages = [\"…\"]`",
    },
    Rule {
        words: &["no file/folder found for package"],
        hint: "say what ships: `[tool.poetry] packages = [{ include = \"…\" }]`",
    },
    Rule {
        words: &["no file/folder found", "module"],
        hint: "name the module: `[tool.flit.module] name = \"…\"`",
    },
    Rule {
        words: &["command 'gcc' failed"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["-linux-gnu-gcc"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["no such file or directory: 'cc'"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["no such file or directory: 'gcc'"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["can't find rust compiler"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["no such file or directory: 'cargo'"],
        hint: COMPILER_HINT,
    },
    Rule {
        words: &["name resolution"],
        hint: "a build has no network: put what it fetches beside the project, or among `[build-system] requires`",
    },
    Rule {
        words: &["name or service not known"],
        hint: "a build has no network: put what it fetches beside the project, or among `[build-system] requires`",
    },
    Rule {
        words: &["file does not exist"],
        hint: "the build sees the app's files only: check that the file is there and neither ignored nor excluded, or `include = [\"/…\"]` in `[tool.unheck]`",
    },
    Rule {
        words: &["filenotfounderror"],
        hint: "the build sees the app's files only: check that the file is there and neither ignored nor excluded, or `include = [\"/…\"]` in `[tool.unheck]`",
    },
];

/// What would mend the failure that `text` tells of.
pub(super) fn hints(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    if let Some(module) = missing_module(text) {
        return vec![format!(
            "add what brings the module `{module}` to `[build-system] requires`, then run `unheck lock`"
        )];
    }
    let rule = RULES
        .iter()
        .find(|rule| rule.words.iter().all(|word| lower.contains(word)));
    rule.map(|rule| rule.hint.to_owned()).into_iter().collect()
}

/// `x` of the last `ModuleNotFoundError: No module named 'x'`.
fn missing_module(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once("ModuleNotFoundError: No module named ")?;
    let name: String = rest
        .trim_start_matches(['\'', '"'])
        .chars()
        .take_while(|c| c.is_alphanumeric() || "._".contains(*c))
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_end_and_no_escapes() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let log = Log::of(&format!(
            "{text}\u{1b}[31mred\u{1b}[0m \u{7}bell\n10%\r20%\r100%\n\n"
        ))
        .to_string();
        assert!(log.starts_with("it said:\n    line 72\n"), "{log}");
        assert!(
            log.ends_with("    line 99\n    red bell\n    100%"),
            "{log}"
        );
        assert_eq!(Log::of("").to_string(), "it said:\n    (nothing)");
    }

    #[test]
    fn usual_failures_have_a_remedy() {
        let cases = [
            (
                "ModuleNotFoundError: No module named 'hatchling'",
                "`hatchling`",
            ),
            (
                "LookupError: setuptools-scm was unable to detect version for /src",
                "build-env",
            ),
            (
                "error: Multiple top-level packages discovered in a flat-layout: ['a', 'b'].",
                "tool.setuptools",
            ),
            (
                "ValueError: Unable to determine which files to ship inside the wheel",
                "tool.hatch",
            ),
            (
                "OSError: Readme file does not exist: README.md",
                "neither ignored",
            ),
            (
                "error: command 'gcc' failed: No such file or directory",
                "compiler",
            ),
            (
                "socket.gaierror: [Errno -3] Temporary failure in name resolution",
                "network",
            ),
            (
                "ValueError: /src/shop does not contain any element: No file/folder found for package shop",
                "poetry",
            ),
        ];
        for (text, expected) in cases {
            let hints = hints(text);
            assert!(
                hints.iter().any(|hint| hint.contains(expected)),
                "{text}: {hints:?}"
            );
        }
        assert!(hints("ZeroDivisionError").is_empty());
    }
}
