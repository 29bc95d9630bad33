//! Budgets of `[tool.unheck.limits]`: how big an artifact may be, checked before it is written.
//! Start at [`Limits::hold`].
//!
//! To say what grew it must be known what was before, on any machine and without a cache. So a
//! build that holds its limits and may write beside the project keeps its sizes in
//! [`SIZES_FILE`], once per lock: it is committed with the lock and is as old as the lock. Nothing
//! is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::explain::{Class, Explain};
use crate::layers::WrittenLayer;

/// The file beside the lock that keeps the sizes of the last build that held its limits.
pub const SIZES_FILE: &str = "unheck.sizes.toml";

/// Version of [`SIZES_FILE`].
const FORMAT: u32 = 1;

/// Longest [`SIZES_FILE`] that is read, in bytes.
const MAX_SIZES: u64 = 16 << 20;

/// Names that an exceeded limit lists at most.
const NAMED: usize = 8;

/// `[tool.unheck.limits]`: what an artifact must not exceed, for each platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of all layers' blobs together: what a registry stores and a host downloads.
    pub size: Option<ByteSize>,
    /// Distributions and Debian packages together.
    pub components: Option<NonZeroU32>,
    /// Layers.
    pub layers: Option<NonZeroU32>,
}

/// A number of bytes, written with its unit: `40 MB`, `1.5 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Units of [`ByteSize`].
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no size: a number above 0 and a unit, such as `40 MB` or `1.5 GiB` (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"
)]
pub struct ParseSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseSizeError(text.to_owned());
        let at = text
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let factor = UNITS
            .iter()
            .find_map(|(name, factor)| (*name == unit).then_some(*factor))
            .ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.len() <= 12;
        if !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let tens = 10_u128.pow(u32::try_from(part.len()).map_err(|_| wrong())?);
        let whole: u128 = whole.parse().map_err(|_| wrong())?;
        let part: u128 = part.parse().map_err(|_| wrong())?;
        let bytes = (whole * tens + part) * u128::from(factor) / tens;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ParseSizeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        format!("{} B", size.0)
    }
}

impl std::fmt::Display for ByteSize {
    /// In the largest decimal unit that shows a digit before the point, as everywhere in unheck.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = UNITS[..5]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor);
        match unit {
            Some((name, factor)) if *factor > 1 => {
                let hundredths = u128::from(self.0) * 100 / u128::from(*factor);
                write!(f, "{}.{:02} {name}", hundredths / 100, hundredths % 100)
            }
            _ => write!(f, "{} B", self.0),
        }
    }
}

/// What one platform of an artifact weighs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Weight {
    /// Bytes that are stored and sent.
    pub size: u64,
    /// Layers with the bytes of their blobs, the lowest first.
    pub layers: Vec<(String, u64)>,
    /// Bytes unpacked by origin, such as `deb libc6`.
    pub origins: BTreeMap<String, u64>,
}

impl Weight {
    /// What these layers weigh.
    pub fn of(layers: &[WrittenLayer]) -> Self {
        let mut weight = Self::default();
        for layer in layers {
            weight.size += layer.layer.size;
            weight
                .layers
                .push((layer.name.to_string(), layer.layer.size));
            for (origin, size) in &layer.sizes {
                *weight.origins.entry(origin.clone()).or_default() += size;
            }
        }
        weight
    }

    fn components(&self) -> BTreeSet<String> {
        let is_component =
            |origin: &&String| origin.starts_with("deb ") || origin.starts_with("distribution ");
        self.origins.keys().filter(is_component).cloned().collect()
    }

    fn layer_names(&self) -> BTreeSet<String> {
        let names = self.layers.iter().map(|(name, _)| format!("layer {name}"));
        names.collect()
    }
}

/// The limits of a build cannot be checked, or do not hold.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// The artifact is over its budget.
    #[error("what was built is over `[tool.unheck.limits]`, so it was not written")]
    Exceeded(Vec<Exceeded>),
    /// The sizes of before cannot be read.
    #[error("cannot read the sizes of the last build in `{path}`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// One limit that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{platform}: {what} {actual}, more than the limit of {limit}")]
pub struct Exceeded {
    /// For which platform.
    pub platform: String,
    /// Key of the limit: `size`, `components`, `layers`.
    pub what: &'static str,
    /// What it is.
    pub actual: String,
    /// What it may be.
    pub limit: String,
    /// Whether the sizes of the last lock are known.
    pub compared: bool,
    /// What grew since the last lock, else what takes the most; each a line.
    pub evidence: Vec<String>,
}

impl Explain for LimitsError {
    fn class(&self) -> Class {
        match self {
            Self::Exceeded(_) => Class::Limit,
            Self::Read { .. } => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Exceeded(list) => {
                let keys: BTreeSet<&str> = list.iter().map(|one| one.what).collect();
                let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                let mut hints = vec![format!(
                    "require less, choose a higher `--trim`, or raise {} in `[tool.unheck.limits]`",
                    keys.join(", ")
                )];
                if list.iter().any(|one| !one.compared) {
                    hints.push(format!(
                        "to be told what grew, commit `{SIZES_FILE}`, which a build that holds its limits writes beside the lock"
                    ));
                }
                hints
            }
            Self::Read { path, .. } => vec![format!(
                "remove `{}`; the next build that holds its limits writes it again",
                path.display()
            )],
        }
    }
}

/// What [`SIZES_FILE`] holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Sizes {
    format: u32,
    #[serde(default)]
    platforms: BTreeMap<String, Weight>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what was built for each platform against the limits.
    ///
    /// When they hold, [`SIZES_FILE`] in `root` gets the sizes if `renew` says that they are those
    /// of a new lock, or a platform is not in it yet; `None` leaves the directory alone.
    ///
    /// # Errors
    /// [`LimitsError`]. That the sizes cannot be written is answered as text: it stops no build.
    pub fn hold(
        &self,
        root: &Path,
        weights: &BTreeMap<String, Weight>,
        renew: Option<bool>,
    ) -> Result<Option<String>, LimitsError> {
        if self.is_none() {
            return Ok(None);
        }
        let path = root.join(SIZES_FILE);
        let mut sizes = read(&path)?;
        let exceeded: Vec<Exceeded> = weights
            .iter()
            .flat_map(|(platform, weight)| {
                self.exceeded(platform, weight, sizes.platforms.get(platform))
            })
            .collect();
        if !exceeded.is_empty() {
            return Err(LimitsError::Exceeded(exceeded));
        }
        let missing = weights
            .keys()
            .any(|platform| !sizes.platforms.contains_key(platform));
        if renew.is_none_or(|renew| !renew && !missing) {
            return Ok(None);
        }
        let before = sizes.clone();
        sizes.format = FORMAT;
        sizes.platforms.extend(weights.clone());
        if sizes == before {
            return Ok(None);
        }
        let written = write(&path, &sizes);
        Ok(written
            .err()
            .map(|error| format!("cannot keep the sizes for the next build: {error}")))
    }

    fn exceeded(&self, platform: &str, now: &Weight, before: Option<&Weight>) -> Vec<Exceeded> {
        let mut list = Vec::new();
        let mut add = |what, actual, limit, evidence| {
            list.push(Exceeded {
                platform: platform.to_owned(),
                what,
                actual,
                limit,
                compared: before.is_some(),
                evidence,
            });
        };
        if let Some(limit) = self.size.filter(|limit| now.size > limit.0) {
            let (actual, most) = (ByteSize(now.size).to_string(), limit.to_string());
            let (actual, most) = if actual == most {
                (format!("{} B", now.size), format!("{} B", limit.0))
            } else {
                (actual, most)
            };
            add("size", actual, most, grown(now, before));
        }
        let over = |limit: Option<NonZeroU32>, count: usize| {
            let limit = limit.filter(|limit| count as u64 > u64::from(limit.get()));
            limit.map(|limit| (count.to_string(), limit.to_string()))
        };
        let components = now.components();
        if let Some((actual, limit)) = over(self.components, components.len()) {
            let old = before.map(Weight::components);
            add("components", actual, limit, news(components, old));
        }
        if let Some((actual, limit)) = over(self.layers, now.layers.len()) {
            let old = before.map(Weight::layer_names);
            add("layers", actual, limit, news(now.layer_names(), old));
        }
        list
    }
}

/// Which origins grew since the last lock, the most first; without one, which take the most.
fn grown(now: &Weight, before: Option<&Weight>) -> Vec<String> {
    let Some(before) = before else {
        let mut largest: Vec<(&String, &u64)> = now.origins.iter().collect();
        largest.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
        let lines = largest
            .iter()
            .map(|(origin, size)| format!("{origin} takes {} unpacked", ByteSize(**size)));
        return lines.take(NAMED).collect();
    };
    let mut grown: Vec<(u64, &String, u64)> = now
        .origins
        .iter()
        .filter_map(|(origin, size)| {
            let old = before.origins.get(origin).copied().unwrap_or_default();
            let more = size.checked_sub(old).filter(|more| *more > 0)?;
            Some((more, origin, old))
        })
        .collect();
    grown.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    let lines = grown.iter().take(NAMED).map(|(more, origin, old)| {
        let more = ByteSize(*more);
        if *old == 0 {
            format!("{origin}: +{more} unpacked, new")
        } else {
            format!("{origin}: +{more} unpacked, was {}", ByteSize(*old))
        }
    });
    let verb = if now.size > before.size {
        "grew from"
    } else {
        "was"
    };
    let was = format!("it {verb} {} at the last lock", ByteSize(before.size));
    std::iter::once(was).chain(lines).collect()
}

/// Which names are new since the last lock; without one, all of them as far as there is room.
fn news(names: BTreeSet<String>, before: Option<BTreeSet<String>>) -> Vec<String> {
    let (first, list): (Option<String>, Vec<String>) = match before {
        Some(before) => {
            let verb = if names.len() > before.len() {
                "grew from"
            } else {
                "were"
            };
            let was = format!("they {verb} {} at the last lock", before.len());
            let new = names.difference(&before);
            (Some(was), new.map(|name| format!("{name}: new")).collect())
        }
        None => (None, names.into_iter().collect()),
    };
    let more = list.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    first
        .into_iter()
        .chain(list.into_iter().take(NAMED))
        .chain(rest)
        .collect()
}

fn read(path: &Path) -> Result<Sizes, LimitsError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| LimitsError::Read {
        path: path.to_owned(),
        source,
    };
    let len = match fs_err::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Sizes::default()),
        Err(error) => return Err(failed(error.into())),
    };
    if len > MAX_SIZES {
        let text = format!("it has {len} bytes, more than the {MAX_SIZES} that unheck reads");
        return Err(failed(text.into()));
    }
    let text = fs_err::read_to_string(path).map_err(|error| failed(error.into()))?;
    let sizes: Sizes = toml::from_str(&text).map_err(|error| failed(error.into()))?;
    if sizes.format > FORMAT {
        let text = format!(
            "it has the format {}, this unheck knows {FORMAT}",
            sizes.format
        );
        return Err(failed(text.into()));
    }
    Ok(sizes)
}

/// Whole or not at all.
fn write(path: &Path, sizes: &Sizes) -> Result<(), std::io::Error> {
    let mut text = String::from(
        "# Sizes of the last lock's build, for `[tool.unheck.limits]`. Commit it with the lock.\n",
    );
    text.push_str(&toml::to_string(sizes).map_err(std::io::Error::other)?);
    let directory = path
        .parent()
        .filter(|parent| *parent != Path::new(""))
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_strictly() {
        let read = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(read("40 MB"), Ok(40_000_000));
        assert_eq!(read("40MB"), Ok(40_000_000));
        assert_eq!(read("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(read("0.25 kB"), Ok(250));
        assert_eq!(read("1 B"), Ok(1));
        for wrong in [
            "",
            "40",
            "MB",
            "40 mb",
            "40  MB",
            "40 MB ",
            " 40 MB",
            "-1 MB",
            "1,5 MB",
            "1. MB",
            ".5 MB",
            "1.2.3 MB",
            "0 MB",
            "0.1 B",
            "1e3 MB",
            "40 Mb",
            "99999999 TiB",
            "9999999999999 B",
            "1.0000000000000 B",
            "4O MB",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ByteSize(40_000_000).to_string(), "40.00 MB");
        assert_eq!(ByteSize(999).to_string(), "999 B");
        assert_eq!(String::from(ByteSize(7)).parse(), Ok(ByteSize(7)));
    }

    #[test]
    fn a_wrong_limit_is_refused_with_line_and_column() {
        for (text, place) in [
            ("layers = 1\nsize = \"40 mb\"\n", "line 2, column 8"),
            ("components = 0\n", "line 1, column 14"),
            ("components = -3\n", "line 1, column 14"),
            ("siez = \"1 MB\"\n", "line 1, column 1"),
            ("size = 40\n", "line 1, column 8"),
        ] {
            let error = toml::from_str::<Limits>(text).expect_err(text).to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
    }

    fn weight(size: u64, origins: &[(&str, u64)]) -> Weight {
        Weight {
            size,
            layers: vec![("interpreter".to_owned(), size)],
            origins: origins
                .iter()
                .map(|(name, size)| ((*name).to_owned(), *size))
                .collect(),
        }
    }

    fn weights(weight: Weight) -> BTreeMap<String, Weight> {
        BTreeMap::from([("linux/amd64".to_owned(), weight)])
    }

    fn limits(text: &str) -> Limits {
        toml::from_str(text).expect("limits")
    }

    #[track_caller]
    fn evidence(result: Result<Option<String>, LimitsError>) -> Vec<Exceeded> {
        match result {
            Err(LimitsError::Exceeded(list)) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_grew_since_the_last_lock_is_named() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let limits = limits("size = \"1 kB\"\ncomponents = 2\n");
        let small = weight(
            900,
            &[("deb libc6", 500), ("distribution a", 400), ("app", 10)],
        );
        assert_eq!(
            limits
                .hold(root, &weights(small), Some(true))
                .expect("held"),
            None
        );
        let kept = fs_err::read_to_string(root.join(SIZES_FILE)).expect("sizes");
        let big = weight(
            1001,
            &[
                ("deb libc6", 510),
                ("distribution a", 300),
                ("distribution b", 700),
                ("app", 10),
            ],
        );
        let list = evidence(limits.hold(root, &weights(big), Some(true)));
        let shown: Vec<String> = list.iter().map(Exceeded::to_string).collect();
        assert_eq!(
            shown,
            [
                "linux/amd64: size 1001 B, more than the limit of 1000 B",
                "linux/amd64: components 3, more than the limit of 2"
            ]
        );
        assert_eq!(
            list[0].evidence,
            [
                "it grew from 900 B at the last lock",
                "distribution b: +700 B unpacked, new",
                "deb libc6: +10 B unpacked, was 500 B"
            ]
        );
        assert_eq!(
            list[1].evidence,
            ["they grew from 2 at the last lock", "distribution b: new"]
        );
        // A build over its limits must not become the measure of the next.
        assert_eq!(
            fs_err::read_to_string(root.join(SIZES_FILE)).expect("sizes"),
            kept
        );
    }

    #[test]
    fn without_anything_earlier_the_largest_are_named() {
        let directory = tempfile::tempdir().expect("directory");
        let limits = limits("layers = 1\nsize = \"10 B\"\n");
        let mut now = weight(50, &[("app", 1), ("deb libc6", 500)]);
        now.layers.push(("app".to_owned(), 1));
        let list = evidence(limits.hold(directory.path(), &weights(now), None));
        assert_eq!(
            list[0].evidence,
            ["deb libc6 takes 500 B unpacked", "app takes 1 B unpacked"]
        );
        assert_eq!(list[1].evidence, ["layer app", "layer interpreter"]);
        let hints = LimitsError::Exceeded(list).hints();
        assert!(hints[1].contains(SIZES_FILE), "{hints:?}");
    }

    #[test]
    fn sizes_are_kept_once_per_lock_and_only_where_it_may_write() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let limits = limits("size = \"1 MB\"\n");
        let one = weights(weight(10, &[("app", 1)]));
        let two = weights(weight(20, &[("app", 2)]));
        let kept = || fs_err::read_to_string(root.join(SIZES_FILE)).unwrap_or_default();
        assert_eq!(limits.hold(root, &one, None).expect("held"), None);
        assert_eq!(kept(), "", "`--locked` writes nothing");
        limits.hold(root, &one, Some(false)).expect("held");
        let first = kept();
        assert!(first.contains("size = 10"), "{first}");
        limits.hold(root, &two, Some(false)).expect("held");
        assert_eq!(kept(), first, "the lock is the same");
        limits.hold(root, &two, Some(true)).expect("held");
        assert!(kept().contains("size = 20"));
        assert_eq!(
            Limits::default()
                .hold(root, &two, Some(true))
                .expect("none"),
            None
        );
    }

    #[test]
    fn damaged_sizes_are_refused_with_what_to_do() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join(SIZES_FILE);
        let limits = limits("size = \"1 MB\"\n");
        for text in ["format = ", "format = 9\n", "format = 1\nother = 2\n"] {
            fs_err::write(&path, text).expect("file");
            let error = limits
                .hold(directory.path(), &weights(weight(1, &[])), None)
                .expect_err(text);
            assert_eq!(error.class(), Class::Input);
            assert!(error.hints()[0].contains("remove"), "{error}");
        }
    }
}
