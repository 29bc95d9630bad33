//! Whether what an artifact needs is what a target has. Start at [`judge`].
//!
//! Pure: [`Needs`] and a [`Profile`] in, a [`Verdict`] out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unheck_elf::IsaLevel;

use super::level::Number;
use super::needs::{Form, Libs, Need, Needs, Who, kernel_number};
use super::profile::{Basis, LibcKind, Library, Offer, Profile};
use super::shipped;
use crate::finding::{Finding, Severity};
use crate::platform::Platform;

/// What a processor is taken to have where only the distribution's own floor is known: that floor
/// is as old as 64-bit x86 itself, and machines without this level are older than about 2009.
const ASSUMED: IsaLevel = IsaLevel::V2;

/// How many objects a finding names.
const NAMED: usize = 3;

/// What becomes of an artifact on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It runs as the target is.
    Runs,
    /// It runs once packages are installed.
    RunsWithPackages,
    /// What is known of the target does not tell.
    Unsure,
    /// It does not run.
    Fails,
}

/// The answer for one target and platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The target as it was asked for.
    pub target: String,
    /// What that is, such as `Debian 12 (bookworm)`.
    pub title: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// What is known of the target comes from there.
    pub basis: Basis,
    /// The answer.
    pub outcome: Outcome,
    /// Packages of the target to be installed, sorted.
    pub packages: Vec<String>,
    /// The command that installs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<String>,
    /// Reasons and observations, the worst first.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether it runs, with or without more packages.
    pub const fn runs(&self) -> bool {
        matches!(self.outcome, Outcome::Runs | Outcome::RunsWithPackages)
    }

    /// The reasons of an answer that is no, the first ones first.
    pub fn reasons(&self) -> impl Iterator<Item = &Finding> {
        let wanted = match self.outcome {
            Outcome::Fails => Some(Severity::Error),
            Outcome::Unsure => Some(Severity::Warning),
            _ => None,
        };
        self.findings.iter().filter(move |finding| {
            Some(finding.severity) == wanted
                && (finding.severity == Severity::Error || finding.rule.ends_with("-unknown"))
        })
    }
}

/// Judges `needs` on the target that was asked for as `asked`. `cpu` overrides the processor that
/// the target is known to have at least.
pub fn judge(asked: &str, needs: &Needs, profile: &Profile, cpu: Option<IsaLevel>) -> Verdict {
    let mut judge = Judge {
        needs,
        profile,
        findings: Vec::new(),
        packages: BTreeSet::new(),
    };
    judge.machine();
    judge.runtime();
    judge.libc_and_libraries();
    judge.processor(cpu);
    judge.kernel();
    judge.pages();
    judge.unread();
    if needs.libs == Libs::Dynamic {
        judge.surroundings();
    }
    judge.verdict(asked)
}

struct Judge<'a> {
    needs: &'a Needs,
    profile: &'a Profile,
    findings: Vec<Finding>,
    packages: BTreeSet<String>,
}

impl Judge<'_> {
    fn say(&mut self, severity: Severity, rule: &str, subject: &str, evidence: String) {
        self.findings
            .push(Finding::new(severity, rule, subject, evidence));
    }

    fn verdict(mut self, asked: &str) -> Verdict {
        self.findings.sort();
        self.findings.dedup();
        let has = |wanted: fn(&Finding) -> bool| self.findings.iter().any(wanted);
        let outcome = if has(|finding| finding.severity == Severity::Error) {
            Outcome::Fails
        } else if has(|finding| {
            finding.severity == Severity::Warning && finding.rule.ends_with("-unknown")
        }) {
            Outcome::Unsure
        } else if self.packages.is_empty() {
            Outcome::Runs
        } else {
            Outcome::RunsWithPackages
        };
        let installer = self.profile.installer;
        let install = installer
            .filter(|_| !self.packages.is_empty())
            .map(|installer| installer.command(&self.packages));
        Verdict {
            target: asked.to_owned(),
            title: self.profile.shown().to_owned(),
            platform: self.needs.platform.to_string(),
            basis: self.profile.basis,
            outcome,
            packages: self.packages.into_iter().collect(),
            install,
            findings: self.findings,
        }
    }

    fn machine(&mut self) {
        let wanted = self.needs.platform.architecture();
        if let Some(there) = self.profile.architecture.as_deref()
            && there != wanted
        {
            self.say(
                Severity::Error,
                "machine",
                wanted,
                format!("the artifact is for {wanted}, the target is {there}"),
            );
        }
    }

    /// What an image needs besides: somebody who starts it.
    fn runtime(&mut self) {
        if self.needs.form != Form::Image || self.needs.libs == Libs::Dynamic {
            return;
        }
        self.say(
            Severity::Info,
            "container-runtime",
            "image",
            "an image is started by a container runtime (podman, docker, containerd) or by `unheck run`; of the target it uses only kernel and processor".to_owned(),
        );
        let newest = self.needs.libc.as_ref().filter(|libc| {
            libc.kind == LibcKind::Glibc && Number::of(&libc.version) >= Number::of("2.34")
        });
        if let Some(libc) = newest {
            let evidence = format!(
                "glibc {} starts threads with `clone3` (since 2.34) and looks at files with `faccessat2` (since 2.33) where the kernel has them; a container runtime that answers EPERM instead of ENOSYS to calls that it does not know breaks it (Docker before 20.10.10, libseccomp before 2.5)",
                libc.version
            );
            self.say(Severity::Info, "system-calls", "glibc", evidence);
        }
    }

    fn libc_and_libraries(&mut self) {
        if self.needs.libs == Libs::Static {
            return;
        }
        let (Some(made), Some(there)) = (&self.needs.libc, &self.profile.libc) else {
            if self.profile.libc.is_none() {
                self.say(
                    Severity::Error,
                    "no-libc",
                    "libc",
                    "the target has no C library, and the artifact brings none".to_owned(),
                );
            }
            return;
        };
        if made.kind != there.kind {
            let evidence = format!(
                "the target's libc is {}, and the artifact's interpreter and extension modules are made for {}",
                there.kind, made.kind
            );
            let hint =
                "build with `--libs static`, which brings loader and libc, or build an image";
            self.findings.push(
                Finding::new(
                    Severity::Error,
                    "libc-kind",
                    there.kind.to_string(),
                    evidence,
                )
                .with_hint(hint),
            );
            // Every further difference follows from this one.
            return;
        }
        for (soname, need) in &self.needs.libraries {
            self.library(soname, need);
        }
    }

    fn library(&mut self, soname: &str, need: &Need) {
        if let Some(why) = self.profile.absent.get(soname) {
            let evidence = format!("{}; {why}", needed_by(soname, need));
            let finding = Finding::new(Severity::Error, "library-missing", soname, evidence);
            return self.findings.push(finding.with_hint(STATIC));
        }
        let Some(library) = self.profile.library(soname) else {
            return self.missing(soname, need);
        };
        if !library.installed {
            match &library.package {
                Some(package) => drop(self.packages.insert(package.clone())),
                None => return self.missing(soname, need),
            }
        }
        self.versions(soname, need, &library);
    }

    /// A library that the profile does not list.
    fn missing(&mut self, soname: &str, need: &Need) {
        // A captured machine can install what its distribution has.
        let known = (self.profile.basis == Basis::Captured)
            .then(|| shipped::find_release(&self.profile.name))
            .flatten();
        if let Some(shipped) = known {
            let named = shipped.profile.libraries.get(soname);
            if let Some(package) = named.and_then(|library| library.package.clone()) {
                self.packages.insert(package);
                let library = shipped.profile.library(soname).unwrap_or_default();
                return self.versions(soname, need, &library);
            }
        }
        let evidence = needed_by(soname, need);
        let installer = self.profile.installer;
        if self.profile.complete {
            let finding = Finding::new(
                Severity::Error,
                "library-missing",
                soname,
                format!("{evidence}, and the target does not have it"),
            );
            let hint = installer
                .and_then(|installer| installer.capability(soname))
                .map_or_else(
                    || format!("install the target's package that has `{soname}`, or {STATIC}"),
                    |capability| {
                        let installer = installer.map(|one| one.command(&[capability].into()));
                        format!("try `{}`, or {STATIC}", installer.unwrap_or_default())
                    },
                );
            return self.findings.push(finding.with_hint(hint));
        }
        let finding = Finding::new(
            Severity::Warning,
            "library-unknown",
            soname,
            format!("{evidence}, and unheck does not know whether the target has a package of it"),
        );
        let capability = installer.and_then(|installer| {
            let capability = installer.capability(soname)?;
            Some(installer.command(&[capability].into()))
        });
        self.findings.push(match capability {
            Some(command) => finding.with_hint(format!(
                "try `{command}` there, or capture a machine that has it: `unheck check --capture`"
            )),
            None => finding.with_hint(
                "capture a machine that has it with `unheck check --capture`, and check against that",
            ),
        });
    }

    fn versions(&mut self, soname: &str, need: &Need, library: &Library) {
        let mut missing: BTreeMap<&str, &BTreeSet<Who>> = BTreeMap::new();
        let mut unknown: Vec<&str> = Vec::new();
        for (version, by) in &need.versions {
            match library.offers(version) {
                Offer::Yes => {}
                Offer::No => drop(missing.insert(version, by)),
                Offer::Unknown => unknown.push(version),
            }
        }
        if !missing.is_empty() {
            let lines: Vec<String> = missing
                .iter()
                .map(|(version, by)| format!("{} {version}", named(by, "needs", "need")))
                .collect();
            let evidence = format!(
                "{}\n{}",
                lines.join("\n"),
                self.has_instead(soname, library)
            );
            let finding = Finding::new(Severity::Error, "symbol-version", soname, evidence);
            self.findings.push(finding.with_hint(STATIC));
        }
        if !unknown.is_empty() {
            let evidence = format!(
                "it is there, and unheck does not know whether it has {}",
                unknown.join(", ")
            );
            self.say(
                Severity::Info,
                "symbol-version-unverified",
                soname,
                evidence,
            );
        }
    }

    /// What the target has of a library, for people.
    fn has_instead(&self, soname: &str, library: &Library) -> String {
        let libc = self
            .profile
            .libc
            .as_ref()
            .filter(|libc| super::profile::is_glibc(soname) && libc.kind == LibcKind::Glibc);
        if let Some(libc) = libc {
            return format!("the target has glibc {}", libc.version);
        }
        let newest: Vec<String> = if library.levels.is_empty() {
            library.versions.iter().flatten().cloned().collect()
        } else {
            let level = |(family, level): (&String, &String)| format!("{family}_{level}");
            library.levels.iter().map(level).collect()
        };
        let shown = newest.len().saturating_sub(NAMED);
        format!(
            "the target's `{soname}` goes up to {}",
            newest[shown..].join(", ")
        )
    }

    fn processor(&mut self, cpu: Option<IsaLevel>) {
        if self.needs.platform != Platform::LinuxAmd64 {
            return;
        }
        let known = self.profile.cpu.as_ref().map(|cpu| cpu.level);
        let captured = known.filter(|_| self.profile.basis == Basis::Captured);
        let exact = cpu.or(captured);
        let mut wanted: Vec<(IsaLevel, String)> = Vec::new();
        for (level, by) in &self.needs.cpu {
            let text = format!("{} {}", named(by, "needs", "need"), level_name(*level));
            wanted.push((*level, text));
        }
        for (name, version, rule) in &self.needs.cpu_rules {
            let level = level_name(rule.level);
            let text = format!("{name} {version} needs {level} ({})", rule.source);
            wanted.push((rule.level, text));
        }
        for (level, text) in wanted {
            self.processor_wanted(level, &text, known, exact);
        }
    }

    /// `exact` is what the machines are said to have, `known` what the target supports.
    fn processor_wanted(
        &mut self,
        level: IsaLevel,
        text: &str,
        known: Option<IsaLevel>,
        exact: Option<IsaLevel>,
    ) {
        if exact.or(known).is_some_and(|least| level <= least) {
            return;
        }
        let assumed = exact.is_none() && level <= ASSUMED;
        let (severity, rule, rest) = match (exact, known) {
            (Some(least), _) => {
                let rest = format!("the target's processors have {}", level_name(least));
                (Severity::Error, "cpu-level", rest)
            }
            _ if assumed => {
                let rest = "processors from before about 2009 do not have it".to_owned();
                (Severity::Warning, "cpu-level", rest)
            }
            (None, Some(least)) => {
                let rest = format!("the target supports processors with {}", level_name(least));
                (Severity::Error, "cpu-level", rest)
            }
            (None, None) => {
                let rest = "nothing says what the target's processors have".to_owned();
                (Severity::Warning, "cpu-unknown", rest)
            }
        };
        let finding = Finding::new(severity, rule, level_name(level), format!("{text}; {rest}"));
        self.findings.push(finding.with_hint(
            "say what the target's processors have with `--cpu LEVEL`, or choose a version or build for older ones",
        ));
    }

    fn kernel(&mut self) {
        let Some((wanted, who)) = &self.needs.kernel else {
            return;
        };
        let text = format!("{}.{}.{}", wanted.0, wanted.1, wanted.2);
        let there = self.profile.kernel.as_ref();
        let Some(number) = there.and_then(|kernel| Number::of(&kernel.version)) else {
            let evidence = format!(
                "{who} needs Linux {text} or newer; what runs below the target is not known"
            );
            return self.say(Severity::Info, "kernel-floor", "Linux", evidence);
        };
        let version = there
            .map(|kernel| kernel.version.clone())
            .unwrap_or_default();
        let (severity, evidence) = if kernel_number(*wanted) > Some(number) {
            let evidence = format!("{who} needs Linux {text}, and the target has {version}");
            (Severity::Error, evidence)
        } else {
            let evidence =
                format!("{who} needs Linux {text} or newer, and the target has {version}");
            (Severity::Info, evidence)
        };
        self.say(severity, "kernel-floor", "Linux", evidence);
    }

    fn pages(&mut self) {
        let captured = self.profile.basis == Basis::Captured;
        let sizes: Vec<u64> = match &self.profile.page_size {
            // Shipped and computed profiles are of no one machine: theirs are those on arm64.
            Some(pages) if captured || self.needs.platform == Platform::LinuxArm64 => {
                pages.sizes.clone()
            }
            // x86-64 has pages of 4 KiB (psABI, "Page Size").
            _ if self.needs.platform == Platform::LinuxAmd64 => vec![4096],
            _ => Vec::new(),
        };
        for (number, size) in sizes.iter().enumerate() {
            let small: BTreeSet<Who> = self
                .needs
                .pages
                .range(..*size)
                .flat_map(|(_, by)| by.iter().cloned())
                .collect();
            if small.is_empty() {
                continue;
            }
            let kernel = if number == 0 { "the" } else { "another" };
            let severity = if number == 0 {
                Severity::Error
            } else {
                Severity::Warning
            };
            let largest = self.needs.pages.range(..*size).next_back();
            let evidence = format!(
                "{} aligned for memory pages of at most {} KiB; {kernel} kernel of the target has pages of {} KiB",
                named(&small, "is", "are"),
                largest.map_or(0, |(page, _)| page / 1024),
                size / 1024
            );
            self.say(severity, "page-size", "memory pages", evidence);
        }
    }

    fn unread(&mut self) {
        for path in &self.needs.unread {
            self.findings.push(Finding::new(
                Severity::Info,
                "object-unread",
                path.to_string(),
                "it begins like an object and could not be looked into: what it needs is not known",
            ));
        }
    }

    /// Locale and certificates, which a dynamic artifact takes from the target.
    fn surroundings(&mut self) {
        if let Some(locale) = &self.profile.locale
            && !locale.c_utf8
        {
            self.findings.push(
                Finding::new(
                    Severity::Warning,
                    "locale",
                    "C.UTF-8",
                    "the target has no locale `C.UTF-8`: Python falls back to UTF-8 mode (PEP 540), libraries in C to ASCII",
                )
                .with_hint("set `PYTHONUTF8=1`, or install the target's package of locales"),
            );
        }
        if let Some(ca) = &self.profile.ca
            && !ca.installed
        {
            let finding = Finding::new(
                Severity::Warning,
                "certificates",
                ca.path.clone(),
                "the target has no certificates of authorities from the start: connections by TLS fail unless the app brings its own (certifi)",
            );
            let hint =
                ca.package
                    .as_ref()
                    .zip(self.profile.installer)
                    .map(|(package, installer)| {
                        format!("`{}`", installer.command(&[package.clone()].into()))
                    });
            self.findings.push(match hint {
                Some(hint) => finding.with_hint(hint),
                None => finding,
            });
        }
    }
}

/// What always mends a difference of libraries.
const STATIC: &str = "build with `--libs static`, or with an older suite: `--suite`";

fn needed_by(soname: &str, need: &Need) -> String {
    if need.opened {
        format!("`{soname}` is opened by name")
    } else {
        format!("{} `{soname}`", named(&need.by, "needs", "need"))
    }
}

/// `` `a.so` of numpy 2.3 needs``, `` `a.so` of numpy 2.3 and 3 more need``.
fn named(by: &BTreeSet<Who>, one: &str, many: &str) -> String {
    let shown: Vec<String> = by.iter().take(NAMED).map(ToString::to_string).collect();
    let more = by.len().saturating_sub(NAMED);
    let text = shown.join(", ");
    match (by.len(), more) {
        (0 | 1, _) => format!("{text} {one}"),
        (_, 0) => format!("{text} {many}"),
        (_, more) => format!("{text} and {more} more {many}"),
    }
}

/// The name of a processor's level.
pub const fn level_name(level: IsaLevel) -> &'static str {
    match level {
        IsaLevel::Baseline => "x86-64",
        IsaLevel::V2 => "x86-64-v2",
        IsaLevel::V3 => "x86-64-v3",
        IsaLevel::V4 => "x86-64-v4",
    }
}
