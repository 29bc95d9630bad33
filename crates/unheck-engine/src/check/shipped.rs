//! The profiles that come with unheck, by name. Start at [`find`].
//!
//! Data, not code: `data/*.toml`. A profile that is `like` another one has all of its facts but
//! those that it gives itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use unheck_elf::IsaLevel;

use super::level::Number;
use super::profile::{
    Basis, CaBundle, Cpu, FORMAT, Installer, Libc, Library, Locale, PageSize, Profile, Versioned,
};

const FILES: &[(&str, &str)] = &[
    ("debian.toml", include_str!("data/debian.toml")),
    ("ubuntu.toml", include_str!("data/ubuntu.toml")),
    ("rhel.toml", include_str!("data/rhel.toml")),
    ("amazon.toml", include_str!("data/amazon.toml")),
    ("suse.toml", include_str!("data/suse.toml")),
    ("alpine.toml", include_str!("data/alpine.toml")),
];

const CPU: &str = include_str!("data/cpu.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sources: BTreeMap<String, String>,
    profile: Vec<Raw>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    like: Option<String>,
    title: String,
    installer: Option<Installer>,
    libc: Option<Libc>,
    gcc: Option<Versioned>,
    cpu: Option<Cpu>,
    kernel: Option<Versioned>,
    page_size: Option<PageSize>,
    locale: Option<Locale>,
    ca: Option<CaBundle>,
    #[serde(default)]
    absent: BTreeMap<String, String>,
    #[serde(default)]
    libraries: BTreeMap<String, Library>,
}

/// A shipped profile with its other names.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// The profile.
    pub profile: Profile,
    /// Other names of it.
    pub aliases: Vec<String>,
}

/// A processor that a distribution asks for without its objects saying so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuRule {
    /// Normalised name.
    pub distribution: String,
    /// The first version that it holds for.
    pub since: String,
    /// The first version that it holds for no more.
    pub before: Option<String>,
    /// What is asked for.
    pub level: IsaLevel,
    /// Who says so.
    pub source: String,
}

/// Every shipped profile, in the order of the files.
pub fn all() -> &'static [Shipped] {
    static ALL: OnceLock<Vec<Shipped>> = OnceLock::new();
    ALL.get_or_init(|| FILES.iter().flat_map(|(_, text)| read(text)).collect())
}

/// The shipped profile of a name or alias.
pub fn find(name: &str) -> Option<&'static Shipped> {
    all().iter().find(|shipped| {
        shipped.profile.name == name || shipped.aliases.iter().any(|alias| alias == name)
    })
}

/// The last shipped profile of the family that a name belongs to.
pub fn newest(name: &str) -> Option<&'static Profile> {
    let family = name.split(':').next()?;
    let same = |one: &&Shipped| one.profile.name.split(':').next() == Some(family);
    all().iter().rev().find(same).map(|found| &found.profile)
}

/// The shipped profile of a release, also by its point release: `rhel:9` of `rhel:9.4`.
pub fn find_release(name: &str) -> Option<&'static Shipped> {
    let mut name = name;
    loop {
        if let Some(found) = find(name) {
            return Some(found);
        }
        let (shorter, point) = name.rsplit_once('.')?;
        if !point.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        name = shorter;
    }
}

/// The processor that a version of a distribution asks for, by the rules of `data/cpu.toml`.
pub fn cpu_rule(distribution: &str, version: &str) -> Option<&'static CpuRule> {
    #[derive(Deserialize)]
    struct Rules {
        rule: Vec<CpuRule>,
    }
    static RULES: OnceLock<Vec<CpuRule>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let rules: Rules = toml::from_str(CPU).expect("tested below");
        rules.rule
    });
    // The release alone: a pre-release of 2.4 has what 2.4 has.
    let release: String = version
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let version = Number::of(release.trim_end_matches('.'))?;
    rules.iter().find(|rule| {
        let since = Number::of(&rule.since).is_some_and(|since| since <= version);
        let before = rule.before.as_deref().and_then(Number::of);
        rule.distribution == distribution && since && before.is_none_or(|before| version < before)
    })
}

fn read(text: &str) -> Vec<Shipped> {
    let file: File = toml::from_str(text).expect("shipped data is tested");
    let mut done: Vec<Shipped> = Vec::new();
    for mut raw in file.profile {
        raw.spell_sources(&file.sources);
        let base = raw.like.as_deref().and_then(|name| {
            let found = done.iter().find(|shipped| shipped.profile.name == name);
            found.map(|shipped| shipped.profile.clone())
        });
        let aliases = raw.aliases.clone();
        done.push(Shipped {
            profile: raw.over(base.unwrap_or_default()),
            aliases,
        });
    }
    done
}

impl Raw {
    /// Puts the text of each source where its key was.
    fn spell_sources(&mut self, sources: &BTreeMap<String, String>) {
        let facts = [
            self.libc.as_mut().map(|fact| &mut fact.source),
            self.gcc.as_mut().map(|fact| &mut fact.source),
            self.cpu.as_mut().map(|fact| &mut fact.source),
            self.kernel.as_mut().map(|fact| &mut fact.source),
            self.page_size.as_mut().map(|fact| &mut fact.source),
            self.locale.as_mut().map(|fact| &mut fact.source),
            self.ca.as_mut().map(|fact| &mut fact.source),
        ];
        let libraries = self.libraries.values_mut().map(|fact| &mut fact.source);
        for source in facts.into_iter().flatten().chain(libraries) {
            if let Some(text) = sources.get(source.as_str()) {
                source.clone_from(text);
            }
        }
    }

    /// Its own facts over those of another profile.
    fn over(self, base: Profile) -> Profile {
        let mut libraries = base.libraries;
        libraries.extend(self.libraries);
        let mut absent = base.absent;
        absent.extend(self.absent);
        Profile {
            format: FORMAT,
            name: self.name,
            title: self.title,
            basis: Basis::Shipped,
            architecture: None,
            installer: self.installer.or(base.installer),
            libc: self.libc.or(base.libc),
            gcc: self.gcc.or(base.gcc),
            cpu: self.cpu.or(base.cpu),
            kernel: self.kernel.or(base.kernel),
            page_size: self.page_size.or(base.page_size),
            locale: self.locale.or(base.locale),
            ca: self.ca.or(base.ca),
            complete: false,
            absent,
            libraries,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::profile::LibcKind;

    fn sources_of(raw: &Raw) -> Vec<&str> {
        let facts = [
            raw.libc.as_ref().map(|fact| fact.source.as_str()),
            raw.gcc.as_ref().map(|fact| fact.source.as_str()),
            raw.cpu.as_ref().map(|fact| fact.source.as_str()),
            raw.kernel.as_ref().map(|fact| fact.source.as_str()),
            raw.page_size.as_ref().map(|fact| fact.source.as_str()),
            raw.locale.as_ref().map(|fact| fact.source.as_str()),
            raw.ca.as_ref().map(|fact| fact.source.as_str()),
        ];
        let libraries = raw.libraries.values().map(|fact| fact.source.as_str());
        facts.into_iter().flatten().chain(libraries).collect()
    }

    #[test]
    fn every_fact_has_a_source_and_every_source_is_used() {
        for (name, text) in FILES {
            let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let used: BTreeSet<&str> = file.profile.iter().flat_map(sources_of).collect();
            let known: BTreeSet<&str> = file.sources.keys().map(String::as_str).collect();
            assert_eq!(used, known, "{name}");
        }
    }

    #[test]
    fn every_profile_is_whole_and_consistent() {
        let mut names = BTreeSet::new();
        for shipped in all() {
            let profile = &shipped.profile;
            let name = &profile.name;
            for one in shipped.aliases.iter().chain([name]) {
                assert!(names.insert(one.clone()), "`{one}` twice");
            }
            let libc = profile
                .libc
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: libc"));
            let gcc = profile
                .gcc
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: gcc"));
            let kernel = profile
                .kernel
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: kernel"));
            for version in [&libc.version, &gcc.version, &kernel.version] {
                assert!(Number::of(version).is_some(), "{name}: {version}");
            }
            assert!(
                profile.installer.is_some() && profile.cpu.is_some(),
                "{name}"
            );
            let pages = profile
                .page_size
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: pages"));
            assert!(
                pages
                    .sizes
                    .iter()
                    .all(|size| [4096, 16384, 65536].contains(size))
            );
            assert!(!pages.sizes.is_empty(), "{name}");
            for soname in ["libz.so.1", "libstdc++.so.6", "libgcc_s.so.1"] {
                let library = profile
                    .library(soname)
                    .unwrap_or_else(|| panic!("{name}: {soname}"));
                assert!(
                    !library.levels.is_empty() && library.package.is_some(),
                    "{name}: {soname}"
                );
            }
            for (soname, library) in &profile.libraries {
                assert!(library.package.is_some(), "{name}: {soname}");
                assert!(
                    !profile.absent.contains_key(soname),
                    "{name}: {soname} is there and not"
                );
                for level in library.levels.values() {
                    assert!(Number::of(level).is_some(), "{name}: {soname}: {level}");
                }
            }
            let ssl = profile
                .libraries
                .keys()
                .any(|soname| soname.starts_with("libssl.so."));
            assert!(ssl, "{name}: no OpenSSL");
            let musl = libc.kind == LibcKind::Musl;
            assert_eq!(musl, name.starts_with("alpine:"), "{name}");
        }
        assert!(names.len() >= 35, "{}", names.len());
    }

    #[test]
    fn rebuilds_are_like_what_they_rebuild_but_for_their_own_facts() {
        let alma = &find("almalinux:9").expect("alma").profile;
        let rhel = &find("rhel:9").expect("rhel").profile;
        assert_eq!((&alma.libraries, &alma.libc), (&rhel.libraries, &rhel.libc));
        assert_ne!(alma.title, rhel.title);
        let older = &find("alma:10-v2").expect("v2").profile;
        assert_eq!(older.cpu.as_ref().expect("cpu").level, IsaLevel::V2);
        assert_eq!(
            find("rhel:10")
                .expect("rhel")
                .profile
                .cpu
                .as_ref()
                .expect("cpu")
                .level,
            IsaLevel::V3
        );
        assert!(find("windows:11").is_none());
        let name = |text| find_release(text).map(|shipped| shipped.profile.name.as_str());
        assert_eq!(name("rhel:9.4"), Some("rhel:9"));
        assert_eq!(name("alpine:3.20.3"), Some("alpine:3.20"));
        assert_eq!(name("opensuse-leap:15.6"), Some("opensuse:leap-15.6"));
        assert_eq!(name("ubuntu:22.10"), None);
        assert_eq!(name("rhel:9.x"), None);
        assert_eq!(
            newest("debian:sid").map(|found| found.name.as_str()),
            Some("debian:13")
        );
        assert!(newest("windows").is_none());
    }

    #[test]
    fn processors_are_asked_for_from_a_version_on() {
        let level = |name: &str, version: &str| cpu_rule(name, version).map(|rule| rule.level);
        assert_eq!(level("numpy", "2.3.9"), None);
        assert_eq!(level("numpy", "2.4.0rc1"), Some(IsaLevel::V2));
        assert_eq!(level("numpy", "10.0"), Some(IsaLevel::V2));
        assert_eq!(level("polars", "1.33.1"), Some(IsaLevel::V3));
        assert_eq!(level("polars", "1.34"), None);
        assert_eq!(level("other", "1"), None);
        assert_eq!(level("numpy", "unknown"), None);
        let rules: toml::Table = toml::from_str(CPU).expect("rules");
        for rule in rules["rule"].as_array().expect("rules") {
            assert!(!rule["source"].as_str().expect("source").is_empty());
        }
    }
}
