//! Makes a [`Profile`] of a machine, a root directory or an image. Start at [`capture`].
//!
//! Reads what the loader of that root would find: the libraries in its directories, each with
//! the symbol versions that it defines. Runs nothing of it.

use std::collections::BTreeMap;

use rayon::prelude::*;
use unheck_elf::{Class, IsaLevel, Machine, Object};

use super::level::{Number, split};
use super::profile::{
    Basis, CaBundle, Cpu, FORMAT, Installer, Libc, LibcKind, Library, Locale, PageSize, Profile,
    Versioned,
};
use super::root::{Found, Root};
use crate::close::is_library_name;
use crate::finding::{Finding, Severity};

/// Longest text that is read.
const MAX_TEXT: u64 = 16 << 20;
/// Most directories that `ld.so.conf` may name.
const MAX_DIRECTORIES: usize = 256;
/// Most libraries that are looked into.
const MAX_LIBRARIES: usize = 50_000;

/// Who says what was captured.
const SOURCE: &str = "captured";

/// What only a running machine tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Such as `6.1.0-38-amd64`.
    pub kernel: Option<String>,
    /// What its processor has, on x86-64.
    pub cpu: Option<IsaLevel>,
    /// In bytes.
    pub page_size: Option<u64>,
}

/// A captured profile, with what could not be read.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The profile.
    pub profile: Profile,
    /// Libraries that could not be looked into.
    pub findings: Vec<Finding>,
}

/// Captures a root. `machine` says whose libraries count, where the caller knows; else the first
/// of x86-64 and AArch64 that there is a C library for.
pub fn capture(root: &dyn Root, machine: Option<Machine>, host: Option<&Host>) -> Captured {
    let machine = machine.or_else(|| {
        [Machine::X86_64, Machine::Aarch64]
            .into_iter()
            .find(|machine| libc(root, *machine).is_some())
    });
    let (libraries, findings) =
        machine.map_or_else(Default::default, |machine| libraries(root, machine));
    let release = os_release(root);
    let field = |name: &str| release.get(name).cloned().unwrap_or_default();
    let mut name = if field("ID").is_empty() {
        "unknown".to_owned()
    } else {
        field("ID")
    };
    if !field("VERSION_ID").is_empty() {
        name = format!("{name}:{}", field("VERSION_ID"));
    }
    let known = super::shipped::find_release(&name);
    let libc = machine.and_then(|machine| libc(root, machine));
    let mut profile = Profile {
        format: FORMAT,
        locale: locale(root, libc.as_ref()),
        libc,
        name,
        title: field("PRETTY_NAME"),
        basis: Basis::Captured,
        architecture: machine.and_then(architecture).map(str::to_owned),
        installer: known
            .and_then(|shipped| shipped.profile.installer)
            .or_else(|| installer(&field("ID"), &field("ID_LIKE"))),
        ca: certificates(root),
        complete: true,
        libraries,
        ..Profile::default()
    };
    if let Some(host) = host {
        of_host(&mut profile, host);
    }
    Captured { profile, findings }
}

fn of_host(profile: &mut Profile, host: &Host) {
    let source = || SOURCE.to_owned();
    profile.kernel = host.kernel.as_deref().map(|release| Versioned {
        version: kernel_version(release),
        source: source(),
    });
    profile.cpu = host.cpu.map(|level| Cpu {
        level,
        source: source(),
    });
    profile.page_size = host.page_size.map(|size| PageSize {
        sizes: vec![size],
        source: source(),
    });
}

/// `6.1.0` of `6.1.0-38-amd64`.
pub fn kernel_version(release: &str) -> String {
    let end = release
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(release.len());
    release[..end].trim_end_matches('.').to_owned()
}

fn architecture(machine: Machine) -> Option<&'static str> {
    match machine {
        Machine::X86_64 => Some("amd64"),
        Machine::Aarch64 => Some("arm64"),
        Machine::Other(_) => None,
    }
}

fn machine_name(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 => "x86_64",
        Machine::Aarch64 => "aarch64",
        Machine::Other(_) => "unknown",
    }
}

/// The C library: musl by its loader, glibc by `libc.so.6`.
fn libc(root: &dyn Root, machine: Machine) -> Option<Libc> {
    let fits = |found: Found| matches!(found, Found::Object(object) if object.machine == machine);
    let triplet = unheck_elf::multiarch_triplet(machine)?;
    let places = [
        format!("lib/{triplet}"),
        format!("usr/lib/{triplet}"),
        "lib64".to_owned(),
        "usr/lib64".to_owned(),
        "lib".to_owned(),
        "usr/lib".to_owned(),
    ];
    for place in places {
        let path = format!("{place}/libc.so.6");
        let Found::Object(object) = root.object(&path) else {
            continue;
        };
        if object.machine == machine {
            let version = root
                .glibc_release(&path)
                .or_else(|| newest_glibc(&object))
                .unwrap_or_default();
            return Some(Libc {
                kind: LibcKind::Glibc,
                version,
                source: SOURCE.to_owned(),
            });
        }
    }
    let loader = format!("lib/ld-musl-{}.so.1", machine_name(machine));
    fits(root.object(&loader)).then(|| Libc {
        kind: LibcKind::Musl,
        version: apk_version(root, "musl").unwrap_or_default(),
        source: SOURCE.to_owned(),
    })
}

fn newest_glibc(object: &Object) -> Option<String> {
    let (_, name) = object
        .offers_versions
        .iter()
        .filter_map(|version| match split(version)? {
            ("GLIBC", number) => Some((number, &version["GLIBC_".len()..])),
            _ => None,
        })
        .max_by(|one, other| one.0.cmp(&other.0))?;
    Some(name.to_owned())
}

/// The upstream version of a package in apk's database (`P:` and `V:` lines of one paragraph).
fn apk_version(root: &dyn Root, package: &str) -> Option<String> {
    let bytes = ["lib/apk/db/installed", "usr/lib/apk/db/installed"]
        .iter()
        .find_map(|path| root.read(path, MAX_TEXT))?;
    let text = String::from_utf8_lossy(&bytes);
    let paragraph = text.split("\n\n").find(|paragraph| {
        paragraph
            .lines()
            .any(|line| line.strip_prefix("P:") == Some(package))
    })?;
    let version = paragraph.lines().find_map(|line| line.strip_prefix("V:"))?;
    let upstream = version.split("-r").next()?;
    Number::of(upstream).map(|_| upstream.to_owned())
}

/// The directories that the root's loader searches, in its order.
fn directories(root: &dyn Root, machine: Machine) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let musl = format!("etc/ld-musl-{}.path", machine_name(machine));
    if let Some(bytes) = root.read(&musl, MAX_TEXT) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        list.extend(text.split([':', '\n']).map(str::to_owned));
    }
    configured(root, "etc/ld.so.conf", &mut list, 4);
    if let Some(triplet) = unheck_elf::multiarch_triplet(machine) {
        list.extend([format!("lib/{triplet}"), format!("usr/lib/{triplet}")]);
    }
    list.extend(["lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    list.into_iter()
        .map(|path| path.trim().trim_matches('/').to_owned())
        // `lib` is often a link to `usr/lib`: looking once is enough.
        .filter(|path| root.identity(path).is_some_and(|one| seen.insert(one)))
        .take(MAX_DIRECTORIES)
        .collect()
}

/// The directories of `ld.so.conf` and of what it includes (ldconfig(8)).
fn configured(root: &dyn Root, path: &str, list: &mut Vec<String>, depth: u32) {
    let Some(bytes) = root.read(path, MAX_TEXT) else {
        return;
    };
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let include = line
            .strip_prefix("include")
            .filter(|rest| rest.starts_with(char::is_whitespace));
        match include {
            Some(pattern) if depth > 0 => {
                for file in included(root, pattern.trim()) {
                    configured(root, &file, list, depth - 1);
                }
            }
            Some(_) => {}
            None if line.starts_with('/') && list.len() < MAX_DIRECTORIES => {
                list.push(line.to_owned());
            }
            None => {}
        }
    }
}

/// Files of `DIRECTORY/PREFIX*SUFFIX`, the only patterns that distributions use, or the one file.
fn included(root: &dyn Root, pattern: &str) -> Vec<String> {
    // A relative pattern counts from the including file, which is in `etc`.
    let full = match pattern.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None => format!("etc/{pattern}"),
    };
    let (directory, name) = full.rsplit_once('/').unwrap_or(("", &full));
    let Some((before, after)) = name.split_once('*') else {
        return vec![full];
    };
    root.list(directory)
        .into_iter()
        .filter(|file| {
            file.len() >= before.len() + after.len()
                && file.starts_with(before)
                && file.ends_with(after)
        })
        .take(MAX_DIRECTORIES)
        .map(|file| format!("{directory}/{file}"))
        .collect()
}

type Libraries = (BTreeMap<String, Library>, Vec<Finding>);

fn libraries(root: &dyn Root, machine: Machine) -> Libraries {
    let mut paths: Vec<(String, String)> = Vec::new();
    for directory in directories(root, machine) {
        let names = root.list(&directory);
        let libraries = names
            .into_iter()
            .filter(|name| is_library_name(name) || name.starts_with("ld-"))
            .map(|name| (format!("{directory}/{name}"), name));
        paths.extend(libraries);
    }
    paths.truncate(MAX_LIBRARIES);
    let found: Vec<(String, String, Found)> = paths
        .into_par_iter()
        .map(|(path, name)| {
            let object = root.object(&path);
            (path, name, object)
        })
        .collect();
    let mut libraries = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, name, found) in found {
        match found {
            Found::Object(object) if serves(&object, &name, machine) => {
                libraries.entry(name).or_insert_with(|| Library {
                    installed: true,
                    versions: Some(object.offers_versions),
                    ..Library::default()
                });
            }
            Found::Unread(why) => findings.push(Finding::new(
                Severity::Warning,
                "library-unread",
                path,
                format!("it could not be looked into, so the profile is without it: {why}"),
            )),
            _ => {}
        }
    }
    findings.sort();
    (libraries, findings)
}

/// Whether the loader takes a file for what it is called.
fn serves(object: &Object, name: &str, machine: Machine) -> bool {
    let own = match &object.soname {
        // A link for the linker, such as `libz.so`, is no name that a program needs.
        Some(soname) => soname == name || name.starts_with("libc.musl-") || name.starts_with("ld-"),
        None => true,
    };
    own && object.machine == machine && object.class == Class::Elf64
}

/// Fields of `os-release` (os-release(5)).
fn os_release(root: &dyn Root) -> BTreeMap<String, String> {
    let bytes = ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| root.read(path, MAX_TEXT))
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let quoted = |mark: char| value.strip_prefix(mark)?.strip_suffix(mark);
            let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
            let value: String = value
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            Some((name.to_owned(), value))
        })
        .collect()
}

fn installer(id: &str, like: &str) -> Option<Installer> {
    let words = std::iter::once(id).chain(like.split_whitespace());
    for word in words {
        let found = match word {
            "debian" | "ubuntu" => Installer::Apt,
            "fedora" | "rhel" | "centos" | "almalinux" | "rocky" | "ol" | "amzn" => Installer::Dnf,
            "suse" | "opensuse" | "sles" => Installer::Zypper,
            "alpine" => Installer::Apk,
            _ => continue,
        };
        return Some(found);
    }
    None
}

fn locale(root: &dyn Root, libc: Option<&Libc>) -> Option<Locale> {
    let libc = libc?;
    // glibc has C.UTF-8 built in since 2.35, musl always.
    let built_in = match libc.kind {
        LibcKind::Musl => true,
        LibcKind::Glibc => Number::of(&libc.version) >= Number::of("2.35"),
    };
    let there = built_in
        || ["C.UTF-8", "C.utf8"]
            .iter()
            .any(|name| root.exists(&format!("usr/lib/locale/{name}")));
    // It may also be in the one archive file of all locales.
    let unsure = !there && root.exists("usr/lib/locale/locale-archive");
    (!unsure).then(|| Locale {
        c_utf8: there,
        source: SOURCE.to_owned(),
    })
}

fn certificates(root: &dyn Root) -> Option<CaBundle> {
    const BUNDLES: [&str; 5] = [
        "etc/ssl/certs/ca-certificates.crt",
        "etc/pki/tls/certs/ca-bundle.crt",
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "etc/ssl/ca-bundle.pem",
        "etc/ssl/cert.pem",
    ];
    let path = BUNDLES.into_iter().find(|path| root.exists(path));
    Some(CaBundle {
        path: format!("/{}", path.unwrap_or(BUNDLES[0])),
        package: Some("ca-certificates".to_owned()),
        installed: path.is_some(),
        source: SOURCE.to_owned(),
    })
}
