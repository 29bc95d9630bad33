//! What a lock remembers of distributions that were compiled while it was made: [`Compiled`].

use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use super::{Package, Wheel};
use crate::platform::Platform;

/// One distribution that was compiled (`[[tool.unheck.builds]]`).
///
/// With the blobs that it names the same wheel can be made again, without network and without choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Compiled {
    /// Normalised name.
    pub name: String,
    /// Version, as the lock's package has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it was compiled for.
    pub platform: Platform,
    /// What it was compiled from: SHA-256 of the sdist, or a digest over the files of a source tree.
    pub source: Digest,
    /// The sdist, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdist: Option<Wheel>,
    /// The directory within it that has the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdirectory: Option<String>,
    /// The build backend.
    pub backend: String,
    /// Digest over everything that decides the wheel: source, build root, requirements, options.
    pub key: Digest,
    /// How the compiler was kept from the host.
    pub sandbox: String,
    /// The wheel that was made.
    pub wheel: Wheel,
    /// Wheels of the build backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Wheel>,
    /// Debian packages that were asked for besides the base of every build root; what they depend on is in the
    /// target's `build-debs` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debs: Vec<Chosen>,
    /// Every Debian package of the build root that is not of its base, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// What failed on the way, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// A Debian package of a build root, with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Chosen {
    /// Binary package name.
    pub name: String,
    /// Why it was chosen.
    pub why: String,
    /// Other packages that would have served, each with why it was not chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<String>,
}

/// One build that failed, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attempt {
    /// What it lacked, with the evidence.
    pub lacked: Vec<String>,
    /// What was added then.
    pub added: Vec<String>,
}

/// How the app's own wheel is compiled on one platform (`[[tool.unheck.app-builds]]`). The wheel itself is not here: it
/// changes with the app's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppBuild {
    /// Where it is compiled for.
    pub platform: Platform,
    /// How the compiler was kept from the host when it was found out.
    pub sandbox: String,
    /// As [`Compiled::debs`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debs: Vec<Chosen>,
    /// As [`Compiled::root`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root: Vec<String>,
    /// As [`Compiled::attempts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

impl Compiled {
    /// Whether it made the wheel of this package.
    pub fn is_of(&self, package: &Package) -> bool {
        self.name == package.name && self.version == package.version
    }
}
