//! Whole worlds: a mirror with a Debian that has a Python, an index with wheels, and the keyring.
//!
//! Read [`Scenario::basic`] first. [`World`] is the same before it is served, to be changed.

use std::sync::LazyLock;

use crate::debian::{self, OPENSSL_FIXED, TZDATA_NEW};
use crate::index::{FileOptions, Index, IndexServer};
use crate::suite::{Mirror, SuiteBuilder, SuiteLie};
use crate::{DebBuilder, ElfBuilder, Machine, SdistBuilder, Server, WheelBuilder};

/// A served world; all of it stops when it is dropped.
pub struct Scenario {
    /// The Debian mirror: `/debian` and `/debian-security`.
    pub mirror: Server,
    /// The package index.
    pub index: IndexServer,
    /// The certificates that may sign the suites, binary.
    pub keyring: Vec<u8>,
}

/// A world before it is served.
#[derive(Clone)]
pub struct World {
    /// `trixie`, below `/debian`.
    pub main: SuiteBuilder,
    /// `trixie-updates`, below `/debian`.
    pub updates: SuiteBuilder,
    /// `trixie-security`, below `/debian-security`.
    pub security: SuiteBuilder,
    /// The package index.
    pub index: Index,
}

static BASIC: LazyLock<Mirror> = LazyLock::new(|| World::basic().mirror());

impl Scenario {
    /// The world of [`World::basic`], served. The mirror's files are made once in a process.
    pub fn basic() -> Self {
        Self::of(&BASIC, index())
    }

    /// The URL below which `dists/trixie` and `dists/trixie-updates` are.
    pub fn debian_url(&self) -> String {
        self.mirror.url("/debian")
    }

    /// The URL below which `dists/trixie-security` is.
    pub fn security_url(&self) -> String {
        self.mirror.url("/debian-security")
    }

    /// The index URL.
    pub fn index_url(&self) -> String {
        self.index.simple_url()
    }

    /// The pool path on the mirror of a package's file in any suite, for faults; the first in the
    /// order of paths.
    pub fn pool_path(&self, package: &str, architecture: &str) -> String {
        let paths = self.mirror.paths().into_iter();
        let (start, end) = (format!("/{package}_"), format!("_{architecture}.deb"));
        let mut found = paths.filter(|path| path.contains(&start) && path.ends_with(&end));
        found
            .next()
            .unwrap_or_else(|| panic!("no `{package}` for `{architecture}` in the pool"))
    }

    /// Publishes another state of the world under the same URLs: the mirror moved on. Files that
    /// the new state does not have are gone.
    pub fn publish(&self, world: &World) {
        for path in self.mirror.paths() {
            self.mirror.remove(&path);
        }
        world.mirror().put_into(&self.mirror);
    }

    fn of(mirror: &Mirror, index: Index) -> Self {
        Self {
            mirror: mirror.serve(),
            index: index.serve(),
            keyring: crate::keys::test_keyring(),
        }
    }
}

impl World {
    /// Debian 13 for amd64 and arm64 as in [`debian`], a newer OpenSSL in security, a newer tzdata
    /// in updates, and the wheels of [`wheels`].
    pub fn basic() -> Self {
        let mut main = SuiteBuilder::new("trixie").debs(&debian::common());
        let mut security = SuiteBuilder::security("trixie");
        for machine in [Machine::X86_64, Machine::Aarch64] {
            main = main.debs(&debian::packages(machine));
            security = security.debs(&debian::openssl(machine, OPENSSL_FIXED));
        }
        let updates = SuiteBuilder::updates("trixie").deb(&debian::tzdata(TZDATA_NEW));
        Self {
            main,
            updates,
            security,
            index: index(),
        }
    }

    /// Adds a package to the main suite.
    #[must_use]
    pub fn deb(mut self, deb: &DebBuilder) -> Self {
        self.main = self.main.deb(deb);
        self
    }

    /// Adds a package to the security suite.
    #[must_use]
    pub fn security_deb(mut self, deb: &DebBuilder) -> Self {
        self.security = self.security.deb(deb);
        self
    }

    /// Adds a wheel to the index.
    #[must_use]
    pub fn wheel(self, wheel: &WheelBuilder) -> Self {
        self.wheel_with(wheel, FileOptions::default())
    }

    /// Adds a wheel to the index with options.
    #[must_use]
    pub fn wheel_with(mut self, wheel: &WheelBuilder, options: FileOptions) -> Self {
        self.index = self.index.add_with(wheel, options);
        self
    }

    /// Makes the main suite wrong in one way.
    #[must_use]
    pub fn lie(mut self, lie: SuiteLie) -> Self {
        self.main = self.main.lie(lie);
        self
    }

    /// Sets the date of all three suites, seconds since 1970.
    #[must_use]
    pub fn date(mut self, seconds: u32) -> Self {
        self.main = self.main.date(seconds);
        self.updates = self.updates.date(seconds);
        self.security = self.security.date(seconds);
        self
    }

    /// The files of the mirror.
    pub fn mirror(&self) -> Mirror {
        Mirror::new()
            .suite("debian", &self.main)
            .suite("debian", &self.updates)
            .suite("debian-security", &self.security)
    }

    /// Serves it all on loopback.
    pub fn serve(self) -> Scenario {
        Scenario::of(&self.mirror(), self.index)
    }
}

/// The wheels of the basic world:
///
/// | name | what is special |
/// |---|---|
/// | `demo` 1.0, 1.1 | pure, script `demo`; 1.1 requires `hello-lib>=1` and has the extra `fast` |
/// | `hello-lib` 1.0 | pure, nothing required |
/// | `native` 1.0 | extension module needing libz.so.1 and a vendored library, both processors |
/// | `needs-gl` 1.0 | extension module needing libGL.so.1, which libgl1 has |
/// | `nowhere` 1.0 | extension module needing libnowhere.so.9, which nothing has |
/// | `future` 1.0 | extension module needing GLIBC_2.99 |
/// | `opener` 1.0 | pure, opens libxcb.so.1 with ctypes |
/// | `win-only` 1.0 | a wheel for Windows and no other |
/// | `clash` 1.0 | requires `hello-lib<1`, which does not exist |
pub fn wheels() -> Vec<WheelBuilder> {
    let pure = |name: &str, version: &str| {
        let module = name.replace('-', "_");
        let text = format!("\"\"\"{name} {version}\"\"\"\n__version__ = \"{version}\"\n");
        WheelBuilder::new(name, version).file(&format!("{module}/__init__.py"), text)
    };
    let script = "def main():\n    print(\"demo\")\n";
    let demo = |version: &str| {
        let demo = pure("demo", version)
            .requires_python(">=3.9")
            .file("demo/cli.py", script);
        demo.entry_point("demo", "demo.cli:main")
            .dist_info("licenses/LICENSE", "free\n")
    };
    let opener = "import ctypes\n\nlibrary = ctypes.CDLL(\"libxcb.so.1\")\n";
    let mut list = vec![
        demo("1.0"),
        demo("1.1")
            .requires("hello-lib>=1")
            .extra("fast")
            .requires("native; extra == 'fast'"),
        pure("hello-lib", "1.0"),
        pure("opener", "1.0").file("opener/library.py", opener),
        pure("win-only", "1.0").tag("cp313-cp313-win_amd64"),
        pure("clash", "1.0").requires("hello-lib<1"),
    ];
    for machine in [Machine::X86_64, Machine::Aarch64] {
        list.push(native(machine));
        list.push(extension_wheel(machine, "needs-gl", |elf| {
            elf.needed("libGL.so.1")
        }));
        list.push(extension_wheel(machine, "nowhere", |elf| {
            elf.needed("libnowhere.so.9")
        }));
        list.push(extension_wheel(machine, "future", |elf| {
            elf.import_versioned("tomorrow", "libc.so.6", "GLIBC_2.99")
        }));
    }
    list
}

/// A wheel for CPython 3.13 with one extension module, which `change` may change.
pub fn extension_wheel(
    machine: Machine,
    name: &str,
    change: impl Fn(ElfBuilder) -> ElfBuilder,
) -> WheelBuilder {
    let module = name.replace('-', "_");
    let arch = machine.triplet().split('-').next().unwrap_or_default();
    let elf = ElfBuilder::new(machine)
        .export("PyInit__core")
        .import("PyModule_Create2")
        .import_versioned("memcpy", "libc.so.6", &debian::glibc(machine, "2.14"));
    let file = format!("{module}/_core.cpython-313-{}.so", machine.triplet());
    WheelBuilder::new(name, "1.0")
        .tag(&format!("cp313-cp313-manylinux_2_17_{arch}"))
        .tag(&format!("cp313-cp313-manylinux2014_{arch}"))
        .file(&format!("{module}/__init__.py"), "from . import _core\n")
        .executable(&file, change(elf).build())
}

fn native(machine: Machine) -> WheelBuilder {
    let vendored = "libvendored-1a2b3c4d.so.1";
    let wheel = extension_wheel(machine, "native", |elf| {
        elf.needed("libz.so.1")
            .needed(vendored)
            .runpath("$ORIGIN/../native.libs")
    });
    let library = ElfBuilder::new(machine).soname(vendored).export("vendored");
    let library = library.import_versioned("dlopen", "libc.so.6", &debian::glibc(machine, "2.17"));
    wheel
        .executable(&format!("native.libs/{vendored}"), library.build())
        .requires("hello-lib")
}

/// The index of the basic world: [`wheels`], and `source-only` 1.0 as an sdist.
fn index() -> Index {
    let sdist = SdistBuilder::new("source-only", "1.0").file("source_only.py", "x = 1\n");
    wheels()
        .iter()
        .fold(Index::new().add_sdist(&sdist), |index, wheel| {
            index.add(wheel)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The stanzas of a Packages file by package.
    fn packages(world: &World, architecture: &str) -> BTreeMap<String, String> {
        let files = world.main.build();
        let path = format!("dists/trixie/main/binary-{architecture}/Packages.xz");
        let text = String::from_utf8(crate::dump::decompress(&files[&path])).unwrap();
        let stanzas = text.split("\n\n").filter(|stanza| !stanza.is_empty());
        let name = |stanza: &str| stanza.lines().next().unwrap()["Package: ".len()..].to_owned();
        stanzas
            .map(|stanza| (name(stanza), stanza.to_owned()))
            .collect()
    }

    #[test]
    fn every_relation_of_the_basic_suite_is_met_inside_it() {
        let world = World::basic();
        for architecture in ["amd64", "arm64"] {
            let packages = packages(&world, architecture);
            assert!(packages.len() > 40);
            let mut known: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
            for stanza in packages.values() {
                let provided = stanza
                    .lines()
                    .find_map(|line| line.strip_prefix("Provides: "));
                let names = provided.into_iter().flat_map(|line| line.split(", "));
                known.extend(names.filter_map(|name| name.split(' ').next()));
            }
            for (package, stanza) in &packages {
                for line in stanza.lines().filter(|line| line.contains("Depends: ")) {
                    for relation in line.split_once(": ").unwrap().1.split(", ") {
                        let mut choices = relation
                            .split(" | ")
                            .filter_map(|one| one.split(' ').next());
                        assert!(
                            choices.any(|name| known.contains(name)),
                            "{package}: {relation}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn basic_world_serves_suites_index_and_keyring() {
        let scenario = Scenario::basic();
        for path in [
            "/debian/dists/trixie",
            "/debian/dists/trixie-updates",
            "/debian-security/dists/trixie-security",
        ] {
            assert!(
                scenario.mirror.get(&format!("{path}/InRelease")).is_some(),
                "{path}"
            );
        }
        assert!(
            scenario
                .pool_path("python3.13-minimal", "arm64")
                .starts_with("/debian/pool/main/p/python3.13/")
        );
        assert!(scenario.debian_url().ends_with("/debian"));
        assert!(scenario.index_url().ends_with("/simple/"));
        assert_eq!(scenario.keyring, crate::keys::test_keyring());
    }

    #[test]
    fn a_published_world_replaces_the_one_before() {
        let scenario = World::basic().serve();
        let before = scenario.pool_path("tzdata", "all");
        let release = scenario.mirror.get("/debian/dists/trixie/InRelease");
        let mut next = World::basic().date(crate::suite::DATE + 86_400);
        next.main = SuiteBuilder::new("trixie").deb(&debian::tzdata("2027a-1"));
        next.updates = SuiteBuilder::updates("trixie");
        scenario.publish(&next);
        assert_ne!(scenario.pool_path("tzdata", "all"), before);
        assert!(scenario.mirror.get(&before).is_none());
        assert_ne!(
            scenario.mirror.get("/debian/dists/trixie/InRelease"),
            release
        );
    }
}
