//! The bounds within which a wheel is read. Every refusal by one of them names it.

use std::fmt;

/// The bounds within which a wheel is read. The default lets all of the popular wheels pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most members in an archive.
    pub entries: u64,
    /// Most parts in a member's path.
    pub depth: u64,
    /// Most bytes of the central directory.
    pub central_directory: u64,
    /// How many times larger than the archive the members may be together …
    pub total_ratio: u64,
    /// … plus this many bytes.
    pub total_slack: u64,
    /// How many times larger than its compressed form a member may be …
    pub entry_ratio: u64,
    /// … when it is larger than this many bytes.
    pub entry_ratio_from: u64,
    /// Most bytes of a file in the `.dist-info` directory that is read whole.
    pub metadata: u64,
    /// Most header fields in METADATA or WHEEL, and most entry points.
    pub fields: u64,
    /// Most bytes of a script whose `#!python` line must be rewritten.
    pub script: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            entries: 200_000,
            depth: 64,
            central_directory: 64 * MIB,
            total_ratio: 20,
            total_slack: 64 * MIB,
            entry_ratio: 100,
            entry_ratio_from: 64 * MIB,
            metadata: 16 * MIB,
            fields: 20_000,
            script: MIB,
        }
    }
}

/// Which bound of [`Limits`] was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::entries`].
    Entries,
    /// [`Limits::depth`].
    Depth,
    /// [`Limits::central_directory`].
    CentralDirectory,
    /// [`Limits::total_ratio`] and [`Limits::total_slack`].
    Total,
    /// [`Limits::entry_ratio`] and [`Limits::entry_ratio_from`].
    EntryRatio,
    /// [`Limits::metadata`].
    Metadata,
    /// [`Limits::fields`].
    Fields,
    /// [`Limits::script`].
    Script,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::Depth => "depth",
            Self::CentralDirectory => "central-directory",
            Self::Total => "total",
            Self::EntryRatio => "entry-ratio",
            Self::Metadata => "metadata",
            Self::Fields => "fields",
            Self::Script => "script",
        })
    }
}

/// Something in an archive is larger than its limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {found}, more than the limit `{limit}` of {allowed}")]
pub struct LimitExceeded {
    /// Which limit.
    pub limit: Limit,
    /// What is too large; a foreign name in it is escaped.
    pub what: String,
    /// Its value, in the limit's unit.
    pub found: u64,
    /// The value that is allowed.
    pub allowed: u64,
}

impl Limit {
    /// An error with this limit's name when `found` is over `allowed`.
    pub(crate) fn check(
        self,
        found: u64,
        allowed: u64,
        what: impl FnOnce() -> String,
    ) -> Result<(), LimitExceeded> {
        if found <= allowed {
            return Ok(());
        }
        Err(LimitExceeded {
            limit: self,
            what: what(),
            found,
            allowed,
        })
    }
}

/// A foreign text made fit for a message: escapes for control characters, at most 120 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(120)
        .flat_map(|c| {
            // `escape_debug` would also escape quotes and backslashes, which do no harm here.
            let escape = c != '\'' && c != '"' && c != '\\';
            let escaped = escape.then(|| c.escape_debug());
            escaped.into_iter().flatten().chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(120).is_some() {
        out.push('…');
    }
    out
}

/// As [`shown`], for bytes that may not be UTF-8.
pub(crate) fn shown_bytes(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(&bytes[..bytes.len().min(600)]))
}
