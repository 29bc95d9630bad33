//! Writers: from layers and a config, or a relocatable tree, to an artifact on disk.

pub(crate) mod form;
mod image;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::form::Format;

pub use form::stage::Sizes;
pub use form::{WriteFormError, WrittenForm};
pub use image::{ImageOptions, ImageTarget, WriteImageError, WrittenImage, write_image};

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// Zstandard (RFC 8878) at a level from 1 to 19.
    Zstd(i32),
    /// gzip (RFC 1952) at a level from 1 to 9.
    Gzip(u32),
}

/// Zstandard's own default level.
const ZSTD_DEFAULT: i32 = 3;

/// The level for files that are to be small.
const ZSTD_SMALL: i32 = 19;

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(ZSTD_DEFAULT)
    }
}

impl Compression {
    /// What is taken when nobody says: one file is written once and sent often, and Zstandard
    /// unpacks as fast whatever the level.
    pub const fn default_for(format: Format) -> Self {
        match format {
            Format::Exe => Self::Zstd(ZSTD_SMALL),
            Format::Image | Format::Dir | Format::Tar => Self::Zstd(ZSTD_DEFAULT),
        }
    }

    /// Whether several compressors fit into memory side by side (some 25 MB each).
    pub const fn is_light(self) -> bool {
        match self {
            Self::Zstd(level) => level <= 6,
            Self::Gzip(_) => true,
        }
    }

    /// The same for the writer of layers.
    pub const fn for_layers(self) -> unheck_oci::layer::Compression {
        match self {
            Self::Zstd(level) => unheck_oci::layer::Compression::Zstd { level, workers: 2 },
            Self::Gzip(level) => unheck_oci::layer::Compression::Gzip { level },
        }
    }
}

/// The text is no compression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no compression: `zstd`, `gzip`, or one of them with a level, such as `zstd:19` (1 to 19) or `gzip:9` (1 to 9)"
)]
pub struct ParseCompressionError(String);

impl FromStr for Compression {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseCompressionError(text.to_owned());
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (name, level) {
            ("zstd", None) => Ok(Self::default()),
            ("gzip", None) => Ok(Self::Gzip(6)),
            ("zstd", Some(level @ 1..=19)) => Ok(Self::Zstd(level as i32)),
            ("gzip", Some(level @ 1..=9)) => Ok(Self::Gzip(level)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = ParseCompressionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Gzip(level) => write!(f, "gzip:{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_and_shown_the_same() {
        assert_eq!("zstd".parse(), Ok(Compression::Zstd(3)));
        assert_eq!("zstd:19".parse(), Ok(Compression::Zstd(19)));
        assert_eq!("gzip".parse(), Ok(Compression::Gzip(6)));
        for wrong in ["", "xz", "zstd:0", "zstd:20", "gzip:10", "zstd:x"] {
            assert!(wrong.parse::<Compression>().is_err(), "{wrong}");
        }
        assert_eq!(
            Compression::Zstd(19).to_string().parse(),
            Ok(Compression::Zstd(19))
        );
    }
}
