//! Deploy, then release: immutable releases beside each other on hosts, and one rename that switches.
//!
//! [`deploy()`] puts the files of an [`Artifact`] in place on every host of a [`Target`] and checks them
//! there; what serves is not touched. [`release()`] and its counterpart back switch all hosts or none.
//! [`status()`] reads, [`prune()`] tidies up. Read the module `remote` for the protocol, and `remote.sh` for the far
//! side, which is all that a host has of unheck.
//!
//! # Layout on a host
//!
//! | path | what |
//! |---|---|
//! | `releases/ID` | a release: read-only, its files are hard links to blobs |
//! | `current` | the release that serves, by a relative link |
//! | `previous` | the one before it |
//! | `undo` | while a switch is not confirmed: what serves again when it never is |
//! | `blobs/ab/HEX`, `HEX.x` | files by SHA-256, `.x` where they may be executed |
//! | `lists/HEX` | parts of lists of files, by SHA-256 |
//! | `meta/ID/tree`, `meta/ID/info` | a release's list of lists; who deployed it, when, what |
//! | `audit.log` | what was done: JSON, a line an act, only ever appended to |
//! | `lock` | a link whose text says who holds it: `PID:START:JSON` |
//! | `incoming`, `staging` | what is half done; the next session uses or removes it |
//!
//! Never: formats of Python, what is in a release, a clock for dates (the caller has one).

mod archive;
mod artifact;
mod audit;
mod config;
mod delta;
mod deploy;
mod error;
mod health;
mod host;
mod lists;
mod prune;
mod release;
mod remote;
mod status;
mod transport;
mod unit;

pub use artifact::{Artifact, ArtifactError, Node, release_name};
pub use audit::{By, Entry, Outcome};
pub use config::{Health, HealthCheck, HealthConfig, Host, Target, TargetConfig, TargetError};
pub use deploy::{DeployReport, Deployed, deploy};
pub use error::{DeployError, HostError, HostFailure, Kind, Refusal};
pub use host::{Context, Say};
pub use prune::{PruneReport, Pruned, newest, prune};
pub use release::{ReleaseReport, Switched, Wanted, named, release};
pub use status::{
    DeployedRelease, HostStatus, Rank, ReleaseInfo, StatusReport, next_order, status,
};
pub use transport::{Local, Ssh, SshOptions, Transport};
pub use unit::{Units, units};
