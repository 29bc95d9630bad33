//! What an answer of the checker means: [`judge`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use unheck_base::TreePath;
use unheck_wheel::normalize_name;

use super::closure::{debs_hint, is_system};
use crate::finding::{Finding, Severity};
use crate::steps::imports::ASKED;

/// The group of objects that no distribution owns.
pub(super) const SYSTEM: &str = "system";

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum JobKind {
    /// Import a module.
    Module,
    /// Import the module that the entry names, and take its attribute.
    Entry,
    /// Find a module without importing it.
    Found,
    /// Load an object.
    Object,
    /// Compile a source file.
    Source,
    /// The last line.
    End,
}

/// One line of the checker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    pub(super) kind: JobKind,
    /// The distribution.
    pub(super) group: String,
    /// Module or path.
    pub(super) name: String,
    pub(super) ok: bool,
    /// Name of the exception, `died` or `late`.
    #[serde(default, rename = "type")]
    pub(super) exception: String,
    #[serde(default)]
    pub(super) message: String,
    /// The module that was not found, if that is at the bottom of it.
    #[serde(default)]
    pub(super) missing: Option<String>,
    /// The library that was not found.
    #[serde(default)]
    pub(super) library: Option<String>,
    /// The module that trimming left out and that was asked for.
    #[serde(default)]
    pub(super) left_out: Option<String>,
    /// The last lines of the traceback or of what was printed.
    #[serde(default)]
    pub(super) tail: Vec<String>,
    /// Top-level modules of the standard library, with the last line.
    #[serde(default)]
    pub(super) stdlib: BTreeSet<String>,
}

/// What is known of the root.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Top-level modules by distribution.
    pub(super) tops: BTreeMap<String, BTreeSet<String>>,
    /// What each distribution requires without condition, normalised.
    pub(super) requires: BTreeMap<String, BTreeSet<String>>,
    /// Top-level modules of the standard library.
    pub(super) stdlib: BTreeSet<String>,
    /// Objects that say that they are Python modules.
    pub(super) extensions: BTreeSet<String>,
}

/// Modules of the standard library that exist on other systems alone.
const OTHER_SYSTEMS: &[&str] = &[
    "_msi",
    "_overlapped",
    "_scproxy",
    "_winapi",
    "_wmi",
    "msilib",
    "msvcrt",
    "nt",
    "winreg",
    "winsound",
    "_winreg",
    "_aix_support",
    "_osx_support",
    "_android_support",
    "_ios_support",
];

/// Modules of the standard library that Debian packages apart, with the package.
const APART: &[(&str, &str)] = &[
    ("tkinter", "python3-tk"),
    ("_tkinter", "python3-tk"),
    ("turtle", "python3-tk"),
    ("idlelib", "idle"),
    ("_gdbm", "python3-gdbm"),
    ("distutils", "python3-distutils"),
    ("lib2to3", "python3-lib2to3"),
    ("ensurepip", "python3-venv"),
];

/// Modules that came with Python once.
const REMOVED: &[&str] = &[
    "aifc",
    "asynchat",
    "asyncore",
    "audioop",
    "cgi",
    "cgitb",
    "chunk",
    "crypt",
    "distutils",
    "imghdr",
    "imp",
    "lib2to3",
    "mailcap",
    "nntplib",
    "pipes",
    "smtpd",
    "sndhdr",
    "spwd",
    "sunau",
    "telnetlib",
    "uu",
    "xdrlib",
];

/// Top-level names that tell of files that were never meant to be installed.
const STRAY: &[&str] = &[
    "benchmark",
    "benchmarks",
    "conftest",
    "doc",
    "docs",
    "example",
    "examples",
    "setup",
    "test",
    "testing",
    "tests",
    "tasks",
    "noxfile",
];

/// The finding that an answer is, `None` when all is well.
pub(super) fn judge(answer: &Answer, known: &Known) -> Option<Finding> {
    if answer.ok {
        return None;
    }
    match answer.kind {
        JobKind::Module => Some(module(answer, known)),
        JobKind::Entry | JobKind::Found => Some(entry(answer, known)),
        JobKind::Object => object(answer, known),
        JobKind::Source => Some(source(answer)),
        JobKind::End => None,
    }
}

fn evidence(answer: &Answer) -> String {
    match answer.exception.as_str() {
        "died" | "late" => {
            let mut lines = vec![answer.message.clone()];
            lines.extend(answer.tail.iter().cloned());
            lines.join("\n")
        }
        _ if answer.tail.is_empty() || answer.kind == JobKind::Object => {
            format!("{}: {}", answer.exception, answer.message)
        }
        _ => answer.tail.join("\n"),
    }
}

fn module(answer: &Answer, known: &Known) -> Finding {
    let subject = format!("{}: import {}", answer.group, answer.name);
    let new =
        |severity, rule: &str| Finding::new(severity, rule, subject.clone(), evidence(answer));
    let top = answer.name.split('.').next().unwrap_or_default();
    let stray = STRAY.contains(&top)
        || top.starts_with("test_")
        || top.ends_with("_test")
        || top.ends_with("_tests");
    if stray
        && known
            .tops
            .get(&answer.group)
            .is_none_or(|tops| tops.len() > 1)
    {
        return new(Severity::Info, "import-stray");
    }
    if let Some(left_out) = &answer.left_out {
        // A module that goes without what the project wants left out goes as well.
        return match answer.message.contains(ASKED) {
            true => new(Severity::Info, "left-out-as-asked"),
            false => trimmed(&subject, left_out, evidence(answer)),
        };
    }
    if let Some(library) = &answer.library {
        return new(Severity::Error, "import-fails").with_hint(debs_hint(library));
    }
    if let Some(missing) = &answer.missing {
        return absent(answer, missing, known, &subject);
    }
    let text = format!("{} {}", answer.message, answer.tail.join(" ")).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match answer.exception.as_str() {
        "died" => new(Severity::Error, "import-crashes")
            .with_hint(format!("try another version of `{}`", answer.group)),
        "late" => new(Severity::Warning, "import-late"),
        "SystemExit" => new(Severity::Warning, "import-exits"),
        "ImproperlyConfigured" | "ConfigurationError" => {
            new(Severity::Warning, "import-needs-settings")
        }
        _ if says(&[
            "$display",
            "no display",
            "cannot connect to x",
            "could not connect to display",
            "xlib: ",
        ]) =>
        {
            new(Severity::Warning, "import-needs-display")
        }
        _ if other_platform(&text) => new(Severity::Info, "import-other-platform"),
        _ => new(Severity::Error, "import-fails").with_hint(format!(
            "try another version of `{}`, or see what it needs: `unheck why {}`",
            answer.group, answer.group
        )),
    }
}

fn other_platform(text: &str) -> bool {
    let system = ["windows", "macos", "mac os", "darwin", "win32", "freebsd"]
        .iter()
        .any(|word| text.contains(word));
    let only = [
        "only",
        "not supported",
        "unsupported",
        "requires",
        "not available",
    ]
    .iter()
    .any(|word| text.contains(word));
    system && only
}

/// A module was not found: whose fault that is.
fn absent(answer: &Answer, missing: &str, known: &Known, subject: &str) -> Finding {
    let top = missing.split('.').next().unwrap_or(missing);
    let new = |severity, rule: &str| Finding::new(severity, rule, subject, evidence(answer));
    if OTHER_SYSTEMS.contains(&top) {
        return new(Severity::Info, "import-other-platform");
    }
    if known
        .tops
        .get(&answer.group)
        .is_some_and(|tops| tops.contains(top))
    {
        return new(Severity::Error, "import-fails")
            .with_hint("a file of the distribution itself is missing: build with `--trim none`, or try another version");
    }
    if let Some((_, package)) = APART.iter().find(|(name, _)| *name == top)
        && !REMOVED.contains(&top)
    {
        return new(Severity::Warning, "optional-dependency").with_hint(format!(
            "Debian packages `{top}` apart: add `{package}` to `debs` in `[tool.unheck]`"
        ));
    }
    if known.stdlib.contains(top) {
        return new(Severity::Error, "import-fails").with_hint(format!(
            "`{top}` of the standard library is missing: build with `--trim none`"
        ));
    }
    if REMOVED.contains(&top) {
        return new(Severity::Warning, "optional-dependency").with_hint(format!(
            "newer Pythons have no `{top}`: use a newer `{}` or an older Python",
            answer.group
        ));
    }
    if known
        .requires
        .get(&answer.group)
        .is_some_and(|names| names.contains(&normalize_name(top).to_string()))
    {
        return new(Severity::Error, "import-fails").with_hint(format!(
            "`{}` requires `{top}`, which the lock lacks: run `unheck lock`",
            answer.group
        ));
    }
    if let Some((other, _)) = known.tops.iter().find(|(_, tops)| tops.contains(top)) {
        return new(Severity::Error, "import-fails").with_hint(format!(
            "`{other}` has no `{missing}`: its version does not fit `{}`",
            answer.group
        ));
    }
    new(Severity::Warning, "optional-dependency").with_hint(format!(
        "add the distribution that has `{top}` to the project's dependencies if you use it"
    ))
}

/// Something that ships asked for a module that trimming took for unreachable, or that the project
/// wants left out.
pub(super) fn trimmed(subject: &str, module: &str, evidence: String) -> Finding {
    if evidence.contains(ASKED) {
        return Finding::new(Severity::Error, "left-out-module-needed", subject, evidence)
            .with_hint(format!("take `{module}` out of `leave-out`"));
    }
    Finding::new(Severity::Error, "trimmed-module-needed", subject, evidence).with_hint(format!(
        "keep it: `--keep {module}`, or `keep = [\"{module}\"]` in `[tool.unheck]`"
    ))
}

/// The module that a message of the artifact's own says was left out.
pub(super) fn left_out(text: &str) -> Option<&str> {
    let at = text.find("` was left out by unheck")?;
    text[..at].rsplit('`').next()
}

fn entry(answer: &Answer, known: &Known) -> Finding {
    let subject = format!("entry: {}", answer.name);
    let new =
        |severity, rule: &str| Finding::new(severity, rule, subject.clone(), evidence(answer));
    if let Some(left_out) = &answer.left_out {
        return trimmed(&subject, left_out, evidence(answer));
    }
    if let Some(library) = &answer.library {
        return new(Severity::Error, "entry-fails").with_hint(debs_hint(library));
    }
    if let Some(missing) = &answer.missing {
        let top = missing.split('.').next().unwrap_or(missing);
        let hint = if known.stdlib.contains(top) {
            format!("`{top}` of the standard library is missing: build with `--trim none`")
        } else {
            format!(
                "add the distribution that has `{top}` to the project's dependencies, or correct the entry"
            )
        };
        return new(Severity::Error, "entry-fails").with_hint(hint);
    }
    if surroundings(&evidence(answer)) {
        return new(Severity::Warning, "entry-needs-surroundings");
    }
    new(Severity::Error, "entry-fails")
}

/// Whether a failure comes from what only the place of use has: network, services, settings.
pub(super) fn surroundings(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "ConnectionRefusedError",
        "ConnectionError",
        "ConnectError",
        "Connection refused",
        "gaierror",
        "Name or service not known",
        "Temporary failure in name resolution",
        "Network is unreachable",
        "OperationalError",
        "Read-only file system",
        "ImproperlyConfigured",
        "KeyError: '",
        "TimeoutError",
        "environment variable",
        "could not connect",
        "NoCredentials",
    ];
    let setting = |line: &str| {
        line.split_once("KeyError: '").is_none_or(|(_, name)| {
            let name = name.split('\'').next().unwrap_or_default();
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
    };
    text.lines()
        .any(|line| WORDS.iter().any(|word| line.contains(word)) && setting(line))
}

fn object(answer: &Answer, known: &Known) -> Option<Finding> {
    let subject = answer.name.trim_start_matches('/').to_owned();
    let text = evidence(answer);
    let new = |severity, rule: &str| Finding::new(severity, rule, subject.clone(), text.clone());
    if answer.message.contains("cannot dynamically load") {
        return None;
    }
    if let Some(library) = &answer.library {
        return Some(new(Severity::Error, "object-does-not-load").with_hint(debs_hint(library)));
    }
    let system = TreePath::new(&subject).is_ok_and(|path| is_system(&path));
    let part = !system && !known.extensions.contains(&answer.name);
    if (part && answer.message.contains("undefined symbol"))
        || answer.message.contains("static TLS")
    {
        // A plug-in takes symbols from the program or library that opens it.
        return Some(new(Severity::Warning, "object-needs-another"));
    }
    Some(
        new(Severity::Error, "object-does-not-load").with_hint(match answer.group.as_str() {
            SYSTEM => "say so in a report: the file comes from a Debian package".to_owned(),
            group => format!("try another version of `{group}`"),
        }),
    )
}

fn source(answer: &Answer) -> Finding {
    let is_module = answer.name.trim_end_matches(".py").split('/').all(|part| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !part.starts_with(|c: char| c.is_ascii_digit())
    });
    let tests = crate::scan::is_test_path(&answer.name);
    let severity = if is_module && !tests {
        Severity::Error
    } else {
        Severity::Warning
    };
    Finding::new(
        severity,
        "source-invalid",
        answer.name.trim_start_matches('/'),
        evidence(answer),
    )
    .with_hint("correct the file, or leave it out with `exclude` in `[tool.unheck]`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> Answer {
        serde_json::from_str(line).expect("answer")
    }

    fn known() -> Known {
        let set = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        Known {
            tops: [
                ("d".to_owned(), set(&["d", "tests"])),
                ("e".to_owned(), set(&["e"])),
            ]
            .into(),
            requires: [("d".to_owned(), set(&["must-have"]))].into(),
            stdlib: set(&["json", "tkinter"]),
            extensions: set(&["/site/d/x.so"]),
        }
    }

    #[test]
    fn failed_imports_are_told_apart() {
        let cases = [
            (r#""missing":"extra.x""#, "d", "warning optional-dependency"),
            (r#""missing":"must_have""#, "d", "error import-fails"),
            (r#""missing":"d.gone""#, "d", "error import-fails"),
            (r#""missing":"e.gone""#, "d", "error import-fails"),
            (r#""missing":"json.tool""#, "d", "error import-fails"),
            (r#""missing":"tkinter""#, "d", "warning optional-dependency"),
            (r#""missing":"winreg""#, "d", "info import-other-platform"),
            (r#""missing":"imp""#, "d", "warning optional-dependency"),
            (r#""library":"libGL.so.1""#, "d", "error import-fails"),
            (
                r#""type":"died","message":"killed by signal 11 (SIGSEGV)""#,
                "d",
                "error import-crashes",
            ),
            (
                r#""missing":"json","left_out":"json""#,
                "d",
                "error trimmed-module-needed",
            ),
            (r#""type":"late""#, "d", "warning import-late"),
            (r#""type":"SystemExit""#, "d", "warning import-exits"),
            (
                r#""type":"ImportError","message":"this package is for Windows only""#,
                "d",
                "info import-other-platform",
            ),
            (
                r#""type":"TclError","message":"no display name and no $DISPLAY environment variable""#,
                "d",
                "warning import-needs-display",
            ),
            (
                r#""type":"ValueError","message":"x""#,
                "d",
                "error import-fails",
            ),
            (
                r#""type":"ValueError","message":"x""#,
                "tests",
                "info import-stray",
            ),
        ];
        for (fields, name, expected) in cases {
            let line =
                format!(r#"{{"kind":"module","group":"d","name":"{name}","ok":false,{fields}}}"#);
            let finding = judge(&answer(&line), &known()).expect("finding");
            let severity = format!("{:?}", finding.severity).to_lowercase();
            assert_eq!(format!("{severity} {}", finding.rule), expected, "{fields}");
        }
        assert_eq!(
            judge(
                &answer(r#"{"kind":"module","group":"d","name":"d","ok":true}"#),
                &known()
            ),
            None
        );
    }

    #[test]
    fn objects_that_are_parts_of_others_are_no_errors() {
        let told = |name: &str, fields: &str| {
            let line = format!(
                r#"{{"kind":"object","group":"d","name":"{name}","ok":false,"type":"OSError",{fields}}}"#
            );
            judge(&answer(&line), &known()).map(|finding| (finding.severity, finding.rule))
        };
        let load = "object-does-not-load".to_owned();
        let symbol = r#""message":"x: undefined symbol: y""#;
        assert_eq!(
            told("/site/d/x.so", symbol),
            Some((Severity::Error, load.clone()))
        );
        assert_eq!(
            told("/site/d/y.so", symbol),
            Some((Severity::Warning, "object-needs-another".to_owned()))
        );
        assert_eq!(
            told("/usr/lib/liby.so", symbol),
            Some((Severity::Error, load.clone()))
        );
        assert_eq!(
            told("/site/d/y.so", r#""library":"libz.so.9""#),
            Some((Severity::Error, load))
        );
        assert_eq!(
            told(
                "/usr/bin/x",
                r#""message":"cannot dynamically load position-independent executable""#
            ),
            None
        );
    }

    #[test]
    fn failures_of_the_surroundings_are_known() {
        assert!(surroundings("a\nredis.exceptions.ConnectionError: x"));
        assert!(surroundings("KeyError: 'DATABASE_URL'"));
        assert!(!surroundings("KeyError: 'name'"));
        assert!(!surroundings("NameError: name 'x' is not defined"));
    }

    #[test]
    fn broken_source_is_an_error_where_it_is_a_module() {
        let told = |name: &str| {
            let line = format!(r#"{{"kind":"source","group":"app","name":"{name}","ok":false}}"#);
            judge(&answer(&line), &known()).expect("finding").severity
        };
        assert_eq!(told("/app/a.py"), Severity::Error);
        assert_eq!(told("/app/{{ name }}/a.py"), Severity::Warning);
        assert_eq!(told("/app/tests/a.py"), Severity::Warning);
    }
}
