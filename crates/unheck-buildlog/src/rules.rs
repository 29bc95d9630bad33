//! The rules files, compiled once.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::lack::{Lack, Language, Strength, is_name};

const TOOLS: &str = include_str!("../rules/tools.toml");
const PROJECTS: &str = include_str!("../rules/projects.toml");
const CAUSES: &str = include_str!("../rules/causes.toml");
const CHATTER: &str = include_str!("../rules/chatter.toml");

/// All rules.
pub(crate) static RULES: LazyLock<Rules> = LazyLock::new(Rules::load);

pub(crate) struct Rules {
    /// All patterns of all rules at once, and which rule each belongs to.
    set: RegexSet,
    patterns: Vec<(Regex, usize)>,
    lacks: Vec<LackRule>,
    /// Lines after which a rule with `after` holds.
    after: Vec<Option<Regex>>,
    causes: RegexSet,
    ranks: Vec<Rank>,
    programs: Regex,
    paths: RegexSet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LackFile {
    rule: Vec<LackRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LackRule {
    pub(crate) id: String,
    patterns: Vec<String>,
    #[serde(default)]
    wraps: bool,
    after: Option<String>,
    lack: Kind,
    name: Option<String>,
    strength: RuleStrength,
    #[expect(dead_code, reason = "for who reads the rules")]
    reason: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    pub(crate) examples: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
pub(crate) struct Example {
    pub(crate) line: String,
    pub(crate) gives: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Header,
    Library,
    SharedObject,
    PkgConfig,
    PkgConfigList,
    Program,
    Compiler,
    #[serde(rename = "cmake")]
    CMake,
    Dependency,
    PythonModule,
    Path,
    TooOld,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RuleStrength {
    Mentioned,
    Stated,
    Fatal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CauseFile {
    cause: Vec<CauseRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CauseRule {
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    id: String,
    pattern: String,
    rank: Rank,
    #[expect(dead_code, reason = "for who reads the rules")]
    reason: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    examples: Vec<String>,
}

/// How near a line is to the cause of a failure.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rank {
    None,
    Consequence,
    Complaint,
    Error,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatterFile {
    chatter: Vec<Chatter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chatter {
    id: String,
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[expect(dead_code, reason = "for who reads the rules")]
    reason: String,
}

/// The rules are part of the program: a test compiles all of them.
fn regex(id: &str, pattern: &str) -> Regex {
    RegexBuilder::new(pattern.trim())
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("rule `{id}`: {error}"))
}

fn set<'a>(patterns: impl Iterator<Item = &'a str>) -> RegexSet {
    RegexSetBuilder::new(patterns)
        .unicode(false)
        .size_limit(64 << 20)
        .dfa_size_limit(16 << 20)
        .build()
        .unwrap_or_else(|error| panic!("the rules together: {error}"))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).unwrap_or_else(|error| panic!("a rules file is wrong: {error}"))
}

fn chatter() -> (Regex, RegexSet) {
    let file: ChatterFile = parse(CHATTER);
    let programs: Vec<&str> = file
        .chatter
        .iter()
        .flat_map(|row| &row.programs)
        .map(String::as_str)
        .collect();
    let paths: Vec<&str> = file
        .chatter
        .iter()
        .flat_map(|row| &row.paths)
        .map(String::as_str)
        .collect();
    let ids: Vec<&str> = file.chatter.iter().map(|row| row.id.as_str()).collect();
    let programs = regex(&ids.join(", "), &format!("^(?:{})$", programs.join("|")));
    let anchored: Vec<String> = paths.iter().map(|path| format!("^(?:{path})")).collect();
    let paths = set(anchored.iter().map(String::as_str));
    (programs, paths)
}

impl Rules {
    fn load() -> Self {
        let mut lacks: Vec<LackRule> = parse::<LackFile>(TOOLS).rule;
        lacks.extend(parse::<LackFile>(PROJECTS).rule);
        let mut patterns = Vec::new();
        for (index, rule) in lacks.iter().enumerate() {
            for pattern in &rule.patterns {
                patterns.push((regex(&rule.id, pattern), index));
            }
        }
        let all = set(patterns.iter().map(|(regex, _)| regex.as_str()));
        let after = lacks
            .iter()
            .map(|rule| rule.after.as_ref().map(|text| regex(&rule.id, text)))
            .collect();
        let causes = parse::<CauseFile>(CAUSES).cause;
        let ranks = causes.iter().map(|rule| rule.rank).collect();
        let causes = set(causes.iter().map(|rule| rule.pattern.trim()));
        let (programs, paths) = chatter();
        Self {
            set: all,
            patterns,
            lacks,
            after,
            causes,
            ranks,
            programs,
            paths,
        }
    }

    /// What a line lacks; `before` is the line before it, for sentences that are broken, and
    /// `is_after` says whether the rule of an index was opened by a line above.
    pub(crate) fn lacks(
        &self,
        line: &str,
        wrapped: Option<&str>,
        is_after: impl Fn(usize) -> bool,
    ) -> Vec<(Lack, Strength)> {
        let mut found = Vec::new();
        let mut apply = |text: &str, only_wrapping: bool| {
            for at in &self.set.matches(text.as_bytes()) {
                let (regex, index) = &self.patterns[at];
                let rule = &self.lacks[*index];
                if only_wrapping && !rule.wraps || rule.after.is_some() && !is_after(*index) {
                    continue;
                }
                if let Some(captures) = regex.captures(text.as_bytes()) {
                    let strength = rule.strength.strength();
                    found.extend(
                        rule.lacks(&captures)
                            .into_iter()
                            .map(|lack| self.judged(lack, strength)),
                    );
                }
            }
        };
        apply(line, false);
        if let Some(wrapped) = wrapped {
            apply(wrapped, true);
        }
        found
    }

    /// What is chatter as a program stays so in a log.
    fn judged(&self, lack: Lack, strength: Strength) -> (Lack, Strength) {
        match &lack {
            Lack::Program(name) if self.is_chatter_program(name) => (lack, Strength::Hinted),
            // No system package has a file of the source tree.
            Lack::File(name) if !name.starts_with('/') => (lack, Strength::Mentioned.min(strength)),
            _ => (lack, strength),
        }
    }

    /// The rules with `after` that this line opens.
    pub(crate) fn opened(&self, line: &str) -> impl Iterator<Item = usize> {
        self.after
            .iter()
            .enumerate()
            .filter(move |(_, after)| {
                after
                    .as_ref()
                    .is_some_and(|after| after.is_match(line.as_bytes()))
            })
            .map(|(index, _)| index)
    }

    pub(crate) fn rank(&self, line: &str) -> Option<Rank> {
        let first = self.causes.matches(line.as_bytes()).iter().next()?;
        self.ranks.get(first).copied()
    }

    pub(crate) fn is_chatter_program(&self, name: &str) -> bool {
        self.programs.is_match(name.as_bytes())
    }

    pub(crate) fn is_chatter_path(&self, path: &str) -> bool {
        self.paths.is_match(path.as_bytes())
    }
}

impl RuleStrength {
    fn strength(self) -> Strength {
        match self {
            Self::Mentioned => Strength::Mentioned,
            Self::Stated => Strength::Stated,
            Self::Fatal => Strength::Fatal,
        }
    }
}

impl LackRule {
    fn lacks(&self, captures: &Captures<'_>) -> Vec<Lack> {
        let group = |name| std::str::from_utf8(captures.name(name)?.as_bytes()).ok();
        let Some(name) = self.name.as_deref().or_else(|| group("name")) else {
            return Vec::new();
        };
        let version = |name| {
            let is_version =
                |text: &&str| is_name(text) && text.starts_with(|c: char| c.is_ascii_digit());
            group(name)
                .map(|text| text.trim_end_matches('.'))
                .filter(is_version)
                .map(str::to_owned)
        };
        let named = || is_name(name).then(|| name.to_owned());
        let one = match self.lack {
            Kind::Header => Lack::header(name),
            Kind::Library => named().map(Lack::Library),
            Kind::SharedObject => named().map(Lack::SharedObject),
            Kind::PkgConfig => named().map(|module| Lack::PkgConfig {
                module,
                at_least: version("version"),
            }),
            Kind::PkgConfigList => return modules(name),
            Kind::Program => Lack::program(name),
            Kind::Compiler => language(name).map(Lack::Compiler),
            Kind::CMake => named().map(|package| Lack::CMake { package }),
            Kind::Dependency => named().map(|name| Lack::Dependency {
                name,
                at_least: version("version"),
            }),
            Kind::PythonModule => named().map(Lack::PythonModule),
            Kind::Path => Lack::path(name),
            Kind::TooOld => named().map(|name| Lack::TooOld {
                name,
                found: version("found"),
                at_least: version("version"),
            }),
        };
        one.into_iter().collect()
    }
}

/// The modules of `PKG_CHECK_MODULES`: names, each with an optional operator and version.
fn modules(list: &str) -> Vec<Lack> {
    let mut found: Vec<Lack> = Vec::new();
    let mut words = list.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if ["<", ">", "=", "<=", ">=", "!="].contains(&word) {
            let wanted = words
                .next()
                .filter(|version| is_name(version))
                .map(str::to_owned);
            if let (true, Some(Lack::PkgConfig { at_least, .. })) =
                (word.starts_with('>'), found.last_mut())
            {
                *at_least = wanted;
            }
        } else if is_name(word) {
            found.push(Lack::PkgConfig {
                module: word.to_owned(),
                at_least: None,
            });
        }
    }
    found
}

fn language(name: &str) -> Option<Language> {
    match name {
        "C" => Some(Language::C),
        "C++" | "CXX" => Some(Language::Cpp),
        "Rust" => Some(Language::Rust),
        _ if name.starts_with("Fortran") => Some(Language::Fortran),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean;

    #[test]
    fn every_example_gives_what_it_says() {
        for (index, rule) in RULES.lacks.iter().enumerate() {
            assert!(
                rule.examples.iter().any(|example| example.gives.is_some()),
                "{}",
                rule.id
            );
            for example in &rule.examples {
                let line = clean::matchable(&clean::line(&example.line));
                let of_rule: Vec<String> = RULES
                    .patterns
                    .iter()
                    .filter(|(_, owner)| *owner == index)
                    .filter_map(|(regex, _)| regex.captures(line.as_bytes()))
                    .flat_map(|captures| rule.lacks(&captures))
                    .map(|lack| lack.to_string())
                    .collect();
                match &example.gives {
                    Some(gives) => {
                        assert!(of_rule.contains(gives), "{}: {line}: {of_rule:?}", rule.id)
                    }
                    None => assert!(of_rule.is_empty(), "{}: {line}: {of_rule:?}", rule.id),
                }
            }
        }
    }

    #[test]
    fn every_cause_is_ranked_by_its_own_rule() {
        let file: CauseFile = parse(CAUSES);
        for rule in &file.cause {
            for example in &rule.examples {
                let line = clean::matchable(&clean::line(example));
                let first = file
                    .cause
                    .iter()
                    .find(|other| regex(&other.id, &other.pattern).is_match(line.as_bytes()));
                assert_eq!(
                    first.map(|rule| rule.id.as_str()),
                    Some(rule.id.as_str()),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn identifiers_are_unique() {
        let mut ids: Vec<&str> = RULES.lacks.iter().map(|rule| rule.id.as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn lists_of_modules_keep_their_versions() {
        let found: Vec<String> = modules("cairo >= 1.10, gdk-3.0 x < 3 $(evil)")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "pkg-config module `cairo` 1.10 or newer",
                "pkg-config module `gdk-3.0`",
                "pkg-config module `x`"
            ]
        );
    }
}
