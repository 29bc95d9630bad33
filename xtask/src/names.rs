//! Writes the offline table of `unheck-names` from a suite's signed indexes.
//!
//! `InRelease` is verified with Debian's keys, the indexes by their hashes in it, so the table is as
//! trustworthy as the archive. A suite whose Release file has expired is accepted and said: the table
//! states its date and is no basis of an installation. Start at [`run`], the pairing is [`Harvest`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use unheck_base::{Digest, TreePath};
use unheck_deb::contents::{contents, decompress};
use unheck_deb::control::{BinaryPackage, packages};
use unheck_deb::release::Release;
use unheck_deb::signature::Keyring;
use unheck_names::table::{Rows, Sources, Table, encode};
use unheck_wheel::{ModuleKind, modules_of, normalize_name};

/// What is read, below the suite's directory.
const CONTENTS: [&str; 2] = ["main/Contents-all.gz", "main/Contents-amd64.gz"];
const PACKAGES: &str = "main/binary-amd64/Packages.xz";

/// Where the table goes.
const TABLE: &str = "crates/unheck-names/data/names.zst";

/// Top-level names that distributions install by mistake; nobody means them.
const STRAY: &[&str] = &[
    "benchmark",
    "benchmarks",
    "conftest",
    "doc",
    "docs",
    "example",
    "examples",
    "scripts",
    "setup",
    "test",
    "tests",
];

/// Where the indexes come from.
pub(crate) enum From<'a> {
    /// The base of an archive; `curl` fetches.
    Mirror(&'a str),
    /// A directory with `InRelease` and the indexes by the last parts of their names.
    Directory(&'a Path),
}

/// Makes the table and says what went in.
pub(crate) fn run(root: &Path, suite: &str, from: From<'_>) -> anyhow::Result<ExitCode> {
    let inrelease = from.read(suite, "InRelease")?;
    let now = now()?;
    let signed = Keyring::debian().verify_inrelease(&inrelease, now)?;
    let release = Release::parse(&signed.text)?;
    release.expect_suite(suite)?;
    let mut out = io::stdout().lock();
    if let Err(stale) = release.freshness(now, None, false) {
        writeln!(out, "notice: {stale}")?;
    }
    let mut sources = Sources {
        suite: release.codename.clone(),
        date: unheck_deb::date::show(release.date),
        indexes: BTreeMap::new(),
    };
    let mut harvest = Harvest::default();
    let index = index(&from, &release, suite, PACKAGES, &mut sources)?;
    packages(
        BufReader::new(decompress(PACKAGES, &index[..])?),
        |package| {
            harvest.package(&package);
            ControlFlow::Continue(())
        },
    )?;
    for name in CONTENTS {
        let index = self::index(&from, &release, suite, name, &mut sources)?;
        contents(decompress(name, &index[..])?, |path, packages| {
            if let Some(path) = library_path(path) {
                packages.for_each(|package| harvest.file(package, path));
            }
            ControlFlow::Continue(())
        })?;
    }
    let rows = harvest.rows();
    let text = encode(&sources, &rows);
    let bytes = zstd::encode_all(text.as_bytes(), 19)?;
    let (distributions, modules) = Table::decode(&bytes)?.len();
    fs_err::write(root.join(TABLE), &bytes)?;
    writeln!(
        out,
        "{TABLE}: {distributions} distributions, {modules} modules, {} bytes, {} of {}",
        bytes.len(),
        sources.suite,
        sources.date
    )?;
    Ok(ExitCode::SUCCESS)
}

impl From<'_> {
    fn read(&self, suite: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Directory(directory) => {
                let name = path.rsplit('/').next().unwrap_or(path);
                Ok(fs_err::read(directory.join(name))?)
            }
            Self::Mirror(base) => {
                let url = format!("{}/dists/{suite}/{path}", base.trim_end_matches('/'));
                let curl = [
                    "--silent",
                    "--show-error",
                    "--fail",
                    "--location",
                    "--max-time",
                    "600",
                ];
                let output = Command::new("curl")
                    .args(curl)
                    .arg(&url)
                    .output()
                    .context("cannot start `curl`")?;
                if !output.status.success() {
                    bail!(
                        "cannot fetch `{url}`: {}",
                        String::from_utf8_lossy(&output.stderr).trim()
                    );
                }
                Ok(output.stdout)
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a task reads the clock where it starts"
)]
fn now() -> anyhow::Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_secs())?)
}

/// The bytes of an index whose digest is the one of the Release file.
fn index(
    from: &From<'_>,
    release: &Release,
    suite: &str,
    path: &str,
    sources: &mut Sources,
) -> anyhow::Result<Vec<u8>> {
    let key = TreePath::new(path)?;
    let entry = release
        .files
        .get(&key)
        .with_context(|| format!("the suite has no `{path}`"))?;
    let at = match from {
        From::Mirror(_) => release.by_hash(&key).unwrap_or(key),
        From::Directory(_) => key,
    };
    let bytes = from.read(suite, at.as_str())?;
    if Digest::of(&bytes) != entry.digest {
        bail!(
            "`{path}` is not the index that InRelease of `{suite}` names: take another suite or mirror"
        );
    }
    sources.indexes.insert(path.to_owned(), entry.digest.hex());
    Ok(bytes)
}

/// What is below a directory of modules: `usr/lib/python3/dist-packages/x.py` → `x.py`.
fn library_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("usr/lib/python3")?;
    let (version, rest) = rest.split_once("/dist-packages/")?;
    version
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.')
        .then_some(rest)
}

/// The name in `NAME-VERSION.dist-info`, `NAME-VERSION-py3.X.egg-info` or `NAME.egg-info`.
fn metadata_name(top: &str) -> Option<String> {
    let name = match (
        top.strip_suffix(".dist-info"),
        top.strip_suffix(".egg-info"),
    ) {
        (Some(stem), _) => stem.rsplit_once('-')?.0,
        (_, Some(stem)) => stem.split('-').next()?,
        _ => return None,
    };
    let name = normalize_name(name);
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && name != "unknown";
    (good && !name.is_empty()).then_some(name)
}

/// What the indexes say, collected line by line.
#[derive(Default)]
struct Harvest {
    /// Source of each binary package.
    source: BTreeMap<String, String>,
    /// Sources that build shared libraries.
    libraries: BTreeSet<String>,
    /// Binary packages that depend on a package.
    dependents: BTreeMap<String, BTreeSet<String>>,
    /// By binary package: paths of its modules, names of its distributions.
    owned: BTreeMap<String, (Vec<String>, BTreeSet<String>)>,
}

impl Harvest {
    fn package(&mut self, package: &BinaryPackage) {
        let source = package.source.0.clone();
        if package.section == "libs" || package.section.ends_with("/libs") {
            self.libraries.insert(source.clone());
        }
        for field in [&package.depends, &package.pre_depends] {
            for term in field.parse().into_iter().flatten() {
                for wanted in term.iter().filter(|wanted| wanted.name != package.name) {
                    self.dependents
                        .entry(wanted.name.to_string())
                        .or_default()
                        .insert(package.name.clone());
                }
            }
        }
        self.source.insert(package.name.clone(), source);
    }

    fn file(&mut self, package: &str, path: &str) {
        let top = path.split('/').next().unwrap_or(path);
        if let Some(name) = metadata_name(top) {
            self.owned
                .entry(package.to_owned())
                .or_default()
                .1
                .insert(name);
        } else if path.bytes().filter(|b| *b == b'/').count() <= 5 {
            self.owned
                .entry(package.to_owned())
                .or_default()
                .0
                .push(path.to_owned());
        }
    }

    /// Pairs modules with distributions: those of the same package, else those of the package's siblings
    /// of one source (`python3-bson` has no metadata, `python3-pymongo` of the same source has).
    fn rows(&self) -> Rows {
        let mut of_source: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (package, (_, names)) in &self.owned {
            if let Some(source) = self.source.get(package) {
                of_source
                    .entry(source)
                    .or_default()
                    .extend(names.iter().map(String::as_str));
            }
        }
        let mut rows = Rows::default();
        for (package, (files, names)) in &self.owned {
            let own: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let source = self.source.get(package).map_or("", String::as_str);
            let names = match own.is_empty() {
                false => own,
                true => of_source.get(source).cloned().unwrap_or_default(),
            };
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let modules = modules_of(&files);
            let modules = modules
                .iter()
                .filter(|(name, kind)| **kind != ModuleKind::Namespace && !is_stray(name));
            for (module, _) in modules {
                for name in choose(module, &names) {
                    rows.modules
                        .entry(module.clone())
                        .or_default()
                        .insert(name.to_owned());
                }
            }
            for name in names {
                let row = rows.distributions.entry(name.to_owned()).or_default();
                row.0 = row.0.max(self.count(package, source));
                row.1 |= self.libraries.contains(source);
            }
        }
        rows.modules = collapse(&rows.modules);
        rows
    }

    /// How many binary packages of other sources depend on `package`.
    fn count(&self, package: &str, source: &str) -> u32 {
        let others = self.dependents.get(package).into_iter().flatten();
        let others = others.filter(|other| self.source.get(*other).is_none_or(|its| its != source));
        u32::try_from(others.count()).unwrap_or(u32::MAX)
    }
}

/// One row for a top-level namespace all of whose modules are of the same distributions. Below a shared
/// one every module keeps its row: that Debian has one distribution below `google.cloud` does not make it
/// the one of every `google.cloud` module.
fn collapse(modules: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut tops: BTreeMap<&str, BTreeSet<&BTreeSet<String>>> = BTreeMap::new();
    let top = |module: &'_ str| module.find('.').unwrap_or(module.len());
    for (module, names) in modules {
        tops.entry(&module[..top(module)])
            .or_default()
            .insert(names);
    }
    let mut out = BTreeMap::new();
    for (module, names) in modules {
        let its = &module[..top(module)];
        let row = if tops[its].len() == 1 { its } else { module };
        out.insert(row.to_owned(), names.clone());
    }
    out
}

fn is_stray(module: &str) -> bool {
    STRAY.contains(&module) || module.starts_with("__")
}

/// Which of a package's distributions has a module: the only one, or the one that is named like it.
/// Of several others nothing can be said, and no row is better than a wrong one.
fn choose<'n>(module: &str, names: &BTreeSet<&'n str>) -> Vec<&'n str> {
    let squash = unheck_names::label::squash;
    let like = names.iter().filter(|name| squash(name) == squash(module));
    let like: Vec<&str> = like.copied().collect();
    match (names.len(), like.is_empty()) {
        (1, _) => names.iter().copied().collect(),
        (_, false) => like,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metadata_directories_are_read() {
        for (top, expected) in [
            ("beautifulsoup4-4.12.3.dist-info", Some("beautifulsoup4")),
            ("PyJWT-2.3-py3.13.egg-info", Some("pyjwt")),
            ("zope.interface-7.0.egg-info", Some("zope-interface")),
            ("ruamel.yaml.egg-info", Some("ruamel-yaml")),
            ("UNKNOWN-0.0.0.egg-info", None),
            ("bs4", None),
        ] {
            assert_eq!(metadata_name(top).as_deref(), expected, "{top}");
        }
        assert_eq!(
            library_path("usr/lib/python3.13/dist-packages/a.py"),
            Some("a.py")
        );
        assert_eq!(library_path("usr/lib/python3x/dist-packages/a.py"), None);
        assert_eq!(library_path("usr/share/python3/a.py"), None);
    }

    #[test]
    fn modules_go_to_their_distribution_or_to_a_siblings() {
        let mut harvest = Harvest::default();
        for (package, source) in [
            ("python3-pymongo", "pymongo"),
            ("python3-bson", "pymongo"),
            ("python3-two", "two"),
        ] {
            harvest.source.insert(package.into(), source.into());
        }
        for (package, path) in [
            ("a", "x-1.dist-info/"),
            ("a", "ns/x/__init__.py"),
            ("a", "own/y.py"),
            ("a", "own/z.py"),
            ("b", "w-1.dist-info/"),
            ("b", "ns/w.py"),
        ] {
            harvest.file(package, path);
        }
        harvest.dependents.insert(
            "python3-bson".into(),
            ["python3-pymongo".into(), "app".into()].into(),
        );
        for (package, path) in [
            ("python3-pymongo", "pymongo-4.0.egg-info/PKG-INFO"),
            ("python3-pymongo", "pymongo/__init__.py"),
            ("python3-pymongo", "tests/__init__.py"),
            ("python3-bson", "bson/__init__.py"),
            ("python3-two", "one-1.dist-info/METADATA"),
            ("python3-two", "two-1.dist-info/METADATA"),
            ("python3-two", "two.py"),
            ("python3-two", "unclear.py"),
            ("python3-two", "ns/deep/x.py"),
        ] {
            harvest.file(package, path);
        }
        let rows = harvest.rows();
        let modules: Vec<String> = rows
            .modules
            .iter()
            .map(|(module, names)| format!("{module} {names:?}"))
            .collect();
        let expected = [
            r#"bson {"pymongo"}"#,
            r#"ns.w {"w"}"#,
            r#"ns.x {"x"}"#,
            r#"own {"x"}"#,
            r#"pymongo {"pymongo"}"#,
            r#"two {"two"}"#,
        ];
        assert_eq!(modules, expected);
        assert_eq!(
            rows.distributions["pymongo"],
            (1, false),
            "its own source does not count"
        );
    }
}
