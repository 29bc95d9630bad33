//! Test kit: hermetic worlds for the tests of the other rooms. Development only, never shipped.
//!
//! It writes wheels, sdists, debs, ELF objects and signed Debian suites in memory, and serves an
//! index, a mirror and an OCI registry on loopback. It depends on no other room, so that a room's
//! reader is tested against bytes from an independent writer. It refuses nothing: what it is told
//! to get wrong, it gets wrong. Misuse panics, as a test should.
//!
//! Read [`Scenario::basic`] first, then the builder of the format at hand. The shape of it all:
//!
//! ```text
//! WheelBuilder::new("demo", "1.0").tag("py3-none-any").file("demo/__init__.py", "x = 1")
//!     .requires("other>=1").requires_python(">=3.9").entry_point("demo", "demo:main")
//!     .lie(Lie::RecordDigest("demo/__init__.py".into())).build() -> Vec<u8>; .filename() -> String
//! Lie::catalogue() -> Vec<(&'static str, Lie)>             // every hostile wheel, by name
//! SdistBuilder::new("demo", "1.0").file(..).requires(..).build(); .filename()
//! DebBuilder::new("libdemo1", "1.0-1", "amd64").file("/usr/lib/x", bytes).symlink(path, target)
//!     .depends("libc6 (>= 2.36)").conffile(path, bytes).lie(DebLie::..).build(); .filename()
//! DebLie::catalogue()
//! ElfBuilder::new(Machine::X86_64).soname("libdemo.so.1").needed("libc.so.6").runpath("$ORIGIN")
//!     .need_version("libc.so.6", "GLIBC_2.34").define_version("DEMO_1.0").export("PyInit_demo")
//!     .import("dlopen").rodata("libother.so.3\0").note_dlopen(json).build() -> Vec<u8>
//! SuiteBuilder::new("trixie").deb(&DebBuilder).lie(SuiteLie::..)
//! Mirror::new().suite("debian", suite).suite("debian-security", security).serve() -> http::Server
//! keys::test_keyring() -> Vec<u8>; keys::TestKey::{good, other, expired}()
//! http::Server::start(); .put(path, bytes) .fault(path, Fault) .url(path) .requests()
//! Index::new().add(&wheel).add_with(&wheel, FileOptions { .. }).serve() -> IndexServer
//! Registry::start(RegistryOptions { .. }) -> Registry; .address() .blob(digest) .manifest(..)
//! DockerRegistry::start(deletes) -> DockerRegistry       // Debian's, for live tests; .host .collect()
//! Scenario::basic() -> Scenario { mirror: Server, index: IndexServer, keyring: Vec<u8>, .. }
//!     .debian_url() .security_url() .index_url() .pool_path("libc6", "amd64") .publish(&World)
//! World::basic().deb(..).wheel(..).lie(SuiteLie::..).date(seconds).serve() -> Scenario
//! sigstore::Sigstore::new() -> .trust_root() .provenance(&Claim::new(file, bytes).with(Flaw::..))
//! dump::tree_dump(tar_bytes) -> String
//! ```
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

pub mod deb;
pub mod debian;
mod docker;
pub mod dump;
pub mod elf;
mod elf_parts;
pub mod hosts;
pub mod http;
pub mod index;
pub mod keys;
pub mod registry;
pub mod scenario;
pub mod sdist;
pub mod sigstore;
pub mod suite;
pub mod tarball;
pub mod wheel;
pub mod zip;

pub use deb::{DebBuilder, DebCompression, DebLie};
pub use docker::DockerRegistry;
pub use elf::{ElfBuilder, Machine};
pub use http::{Fault, Server};
pub use index::{About, FileOptions, Index, IndexServer};
pub use registry::{Registry, RegistryOptions};
pub use scenario::{Scenario, World};
pub use sdist::SdistBuilder;
pub use suite::{Mirror, SuiteBuilder, SuiteLie};
pub use wheel::{Lie, WheelBuilder};

/// Lower-case hex of the SHA-256 of `bytes` (FIPS 180-4).
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(bytes))
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
