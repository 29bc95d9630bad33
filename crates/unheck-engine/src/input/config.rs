//! `[tool.unheck]`: every key is optional, an unknown key is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Project, ReadProjectError, read_toml};
use crate::platform::Platform;

/// The project's configuration, from `[tool.unheck]` or `unheck.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Debian suite, such as `trixie`.
    pub suite: Option<String>,
    /// Python version, such as `3.13`.
    pub python: Option<String>,
    /// Platforms to build for.
    pub platforms: Vec<Platform>,
    /// A python-build-standalone archive to use instead of Debian's interpreter, by platform.
    pub standalone: BTreeMap<Platform, Standalone>,
    /// A local installation to use instead of Debian's interpreter.
    pub prefix: Option<PathBuf>,
    /// What the artifact starts: a command line or `module:function`.
    pub entry: Option<String>,
    /// Extras of the project to install.
    pub extras: Vec<String>,
    /// Dependency groups to install.
    pub groups: Vec<String>,
    /// Debian packages to ship besides what is found to be needed.
    pub debs: Vec<String>,
    /// App files to take although ignore rules leave them out (gitignore patterns).
    pub include: Vec<String>,
    /// App files to leave out (gitignore patterns).
    pub exclude: Vec<String>,
    /// Environment of the artifact.
    pub env: BTreeMap<String, String>,
    /// Environment of the build backend, such as `SETUPTOOLS_SCM_PRETEND_VERSION`.
    pub build_env: BTreeMap<String, String>,
    /// What is said about the build of a distribution that comes without a wheel, by normalised name.
    pub builds: BTreeMap<String, crate::sdist::BuildOptions>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Ports that the app listens on, such as `8000/tcp`.
    pub expose: Vec<String>,
    /// Targets that what is built must run on, such as `debian:12`; see `docs/targets.md`.
    pub require: Vec<String>,
    /// `image`, `dir`, `tar` or `exe`.
    pub format: Option<crate::form::Format>,
    /// `static` or `dynamic`.
    pub libs: Option<crate::form::Libs>,
    /// `none`, `safe`, `imports` or `traced`.
    pub trim: Option<crate::steps::TrimLevel>,
    /// Modules that trimming keeps whatever reaches them, with everything below.
    pub keep: std::collections::BTreeSet<String>,
    /// Modules that `imports` and `traced` leave out whatever reaches them, with everything below.
    pub leave_out: std::collections::BTreeSet<String>,
    /// `none`, `beside` or `only`.
    pub bytecode: Option<crate::steps::Bytecode>,
    /// `zstd` or `gzip`, with a level after a colon where the default is not wanted.
    pub compression: Option<crate::write::Compression>,
    /// Image tag, such as `shop/web:1.2`.
    pub tag: Option<String>,
    /// Debian mirrors.
    pub mirrors: Mirrors,
    /// A keyring file to trust besides Debian's own keys.
    pub keyring: Option<PathBuf>,
    /// A kit that is read before the network; see `docs/air-gap.md`.
    pub kit: Option<PathBuf>,
    /// The `trusted_root.json` of the instance of Sigstore that attestations must come from; the public one
    /// where none is named.
    pub attestation_root: Option<PathBuf>,
    /// Warnings of distributions that are known and accepted: `NAME` or `NAME:KIND` to the reason.
    pub allow: BTreeMap<String, String>,
    /// What the artifact must not exceed.
    pub limits: crate::limits::Limits,
    /// What is done about known vulnerabilities, such as `fail:high`.
    pub vulnerabilities: Option<crate::vulnerabilities::Gate>,
    /// OSV exports, relative to the project.
    pub osv: Vec<PathBuf>,
    /// What is stated of vulnerabilities, by `ID` or `NAME:ID`.
    pub vex: BTreeMap<String, crate::vulnerabilities::VexRow>,
    /// A command that signs provenance instead of a key file; see `docs/registry.md`.
    pub sign_command: Option<String>,
    /// The public key of that command, relative to the project.
    pub sign_public_key: Option<PathBuf>,
    /// Where artifacts are deployed, by name; see `docs/deploy.md`.
    pub targets: BTreeMap<String, unheck_deploy::TargetConfig>,
}

/// An interpreter archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Standalone {
    /// Where it is: an `https:` URL or a path relative to the project.
    pub url: String,
    /// Its SHA-256.
    pub sha256: unheck_base::Digest,
}

/// Where Debian packages are fetched from; each is the directory that holds `dists/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mirrors {
    /// The main archive.
    pub debian: Option<String>,
    /// The security archive.
    pub security: Option<String>,
    /// An archive of old states, asked by timestamp when a mirror has moved on: the directory
    /// that holds `archive/`.
    pub snapshot: Option<String>,
}

/// Takes `unheck.toml` beside the project's file, if there is one.
pub(super) fn merge_file(project: &mut Project) -> Result<(), ReadProjectError> {
    let path = project.root.join("unheck.toml");
    if !path.is_file() {
        return Ok(());
    }
    if project.config != Config::default() {
        return Err(ReadProjectError::TwoConfigs {
            root: project.root.clone(),
        });
    }
    (project.config, _) = read_toml(&path)?;
    Ok(())
}
