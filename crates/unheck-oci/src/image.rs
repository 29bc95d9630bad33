//! The JSON documents of an image: descriptor, index, manifest and config.
//!
//! Own types and not those of `oci-spec`, whose maps have no fixed order. Reading takes what others
//! write (docker's media types, `null` for empty lists, unknown fields); writing gives one form
//! only, see [`canonical_json`]. Only SHA-256 digests are known.
//!
//! Formats: OCI image-spec 1.1, `descriptor.md`, `image-index.md`, `manifest.md`, `config.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use unheck_base::Digest;

/// The media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an image config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The annotation with the image tag, `annotations.md`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd and docker name an image when they load an archive.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// What the media type of a descriptor says that the blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobKind {
    /// An image index or docker's manifest list.
    Index,
    /// An image manifest, also docker's.
    Manifest,
    /// An image config, also docker's.
    Config,
    /// A layer that can be read.
    Layer(LayerMediaType),
    /// A layer that lies elsewhere and is not in the image ("non-distributable", "foreign").
    ForeignLayer,
    /// Anything else.
    Other,
}

impl BlobKind {
    /// The kind that `media_type` names.
    pub fn of(media_type: &str) -> Self {
        match media_type {
            INDEX | "application/vnd.docker.distribution.manifest.list.v2+json" => Self::Index,
            MANIFEST | "application/vnd.docker.distribution.manifest.v2+json" => Self::Manifest,
            CONFIG | "application/vnd.docker.container.image.v1+json" => Self::Config,
            other if other.contains("layer.nondistributable") => Self::ForeignLayer,
            other if other.contains("rootfs.foreign.diff") => Self::ForeignLayer,
            other => other.parse().map_or(Self::Other, Self::Layer),
        }
    }
}

/// How a layer's blob is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerMediaType {
    /// A plain tar archive.
    Tar,
    /// gzip around it.
    Gzip,
    /// zstd around it.
    Zstd,
}

impl LayerMediaType {
    /// The OCI media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tar => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// The media type names no layer that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the media type of a tar, tar+gzip or tar+zstd layer")]
pub struct LayerMediaTypeError(String);

impl FromStr for LayerMediaType {
    type Err = LayerMediaTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Self::Tar),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd),
            _ => Err(LayerMediaTypeError(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for LayerMediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for LayerMediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LayerMediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an image runs on, in Go's words: `linux`, `amd64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system.
    #[serde(default)]
    pub os: String,
    /// The processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// The variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system; Windows images have it.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
}

/// The text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform such as `linux/amd64` or `linux/arm/v7`")]
pub struct PlatformError(String);

impl Platform {
    /// `linux` on `architecture`.
    pub fn linux(architecture: &str) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
            os_version: None,
        }
    }

    /// Whether an image for `self` runs where `wanted` is asked for. A variant counts only when
    /// both name one; `arm64` without variant is `v8`.
    pub fn serves(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (&platform.variant, &*platform.architecture) {
            (None, "arm64") => Some("v8".to_owned()),
            (variant, _) => variant.clone(),
        };
        let same_variant = match (variant(self), variant(wanted)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.os == wanted.os && self.architecture == wanted.architecture && same_variant
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PlatformError(text.chars().take(100).collect());
        let word = |part: &str| {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !part.is_empty() && part.chars().all(fine)
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| word(part)) {
            return Err(wrong());
        }
        Ok(Self {
            os: parts[0].to_owned(),
            architecture: parts[1].to_owned(),
            variant: parts.get(2).map(|&part| part.to_owned()),
            os_version: None,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A pointer to a blob: what it is, how long, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the blob.
    pub digest: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The type of the artifact that a manifest is about, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free text by name.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor without the optional fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// What the media type says that the blob is.
    pub fn kind(&self) -> BlobKind {
        BlobKind::of(&self.media_type)
    }
}

/// An image index: one manifest per platform, or several images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`INDEX`], or nothing in old files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests, or further indexes.
    #[serde(default, deserialize_with = "or_null")]
    pub manifests: Vec<Descriptor>,
    /// Free text by name.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image manifest: one config, the layers from the lowest up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`MANIFEST`], or nothing in old files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of the artifact, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "or_null")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by name.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image config: platform, how to run it, what its layers unpack to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The processor architecture, in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, in Go's words.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How to run it.
    #[serde(default, deserialize_with = "or_null")]
    pub config: Execution,
    /// What the layers unpack to.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How the layers came to be, the lowest first.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
}

impl Config {
    /// An empty config for `platform`.
    pub fn new(platform: &Platform) -> Self {
        Self {
            created: None,
            author: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            variant: platform.variant.clone(),
            config: Execution::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
        }
    }

    /// The platform.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
        }
    }
}

/// The defaults of a container, `config.md`, "config".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// `user`, `uid`, `user:group`, `uid:gid` and mixtures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports as `8000/tcp`.
    #[serde(default, with = "go_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in this order.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The command with its fixed arguments.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// The arguments that a user may replace.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// Directories whose content does not belong to the image.
    #[serde(default, with = "go_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the command starts, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Free text by name.
    #[serde(
        default,
        deserialize_with = "or_null",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the command to end, such as `SIGTERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// What the layers unpack to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, the lowest first.
    #[serde(default, deserialize_with = "or_null")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// How one layer came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The one form in which unheck writes `value`: keys sorted by bytes, no white space.
///
/// The sorting is done here, because the map of `serde_json` keeps the order of insertion as soon
/// as any crate of the program asks for that.
///
/// # Errors
/// A value that JSON cannot hold; no type of this module is one.
pub fn canonical_json(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    write_canonical(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Array(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(value, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push(b'{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write_canonical(value, out)?;
            }
            out.push(b'}');
        }
        plain => serde_json::to_writer(&mut *out, plain)?,
    }
    Ok(())
}

/// Go writes `null` for an empty list or map.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's `map[string]struct{}`: an object whose values are empty objects.
mod go_set {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::de::IgnoredAny;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(serde::Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|key| (key, Empty {})))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_has_one_form_with_sorted_keys() {
        let mut config = Config::new(&Platform::linux("amd64"));
        config.created = Some("1970-01-01T00:00:00Z".to_owned());
        config.config.user = Some("65532".to_owned());
        config.config.env = vec!["B=2".to_owned(), "A=1".to_owned()];
        config.config.exposed_ports = ["8000/tcp".to_owned()].into();
        config.config.labels = [("b".to_owned(), "é\"".to_owned())].into();
        config.history.push(History {
            created_by: Some("unheck".to_owned()),
            ..History::default()
        });
        let json = canonical_json(&config).unwrap();
        insta::assert_snapshot!(
            String::from_utf8(json.clone()).unwrap(),
            @r#"{"architecture":"amd64","config":{"Env":["B=2","A=1"],"ExposedPorts":{"8000/tcp":{}},"Labels":{"b":"é\""},"User":"65532"},"created":"1970-01-01T00:00:00Z","history":[{"created_by":"unheck"}],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        );
        assert_eq!(serde_json::from_slice::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn null_and_unknown_fields_of_others_are_taken() {
        let text = r#"{"architecture":"arm64","os":"linux","docker_version":"1","config":{"Cmd":null,
            "Entrypoint":null,"Volumes":null,"ExposedPorts":null,"Labels":null,"Env":null},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config, Config::new(&Platform::linux("arm64")));
    }

    #[test]
    fn other_digest_algorithms_are_refused_with_their_name() {
        let text = r#"{"mediaType":"x","digest":"sha512:00","size":1}"#;
        let error = serde_json::from_str::<Descriptor>(text).unwrap_err();
        assert!(
            error.to_string().contains("`sha512:00` is not a sha256"),
            "{error}"
        );
        let text = r#"{"mediaType":"x","digest":"D","size":-1}"#;
        let text = text.replace('D', &Digest::of(b"").to_string());
        assert!(serde_json::from_str::<Descriptor>(&text).is_err());
    }

    #[test]
    fn media_types_of_both_vocabularies_are_known() {
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert_eq!(BlobKind::of(docker), BlobKind::Layer(LayerMediaType::Gzip));
        for kind in [
            LayerMediaType::Tar,
            LayerMediaType::Gzip,
            LayerMediaType::Zstd,
        ] {
            assert_eq!(BlobKind::of(kind.as_str()), BlobKind::Layer(kind));
        }
        let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
        assert_eq!(BlobKind::of(foreign), BlobKind::ForeignLayer);
        assert_eq!(BlobKind::of("text/plain"), BlobKind::Other);
    }

    #[test]
    fn platforms_are_parsed_shown_and_matched() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
        for wrong in ["", "linux", "linux/", "linux/amd64/v1/x", "Linux/amd64"] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
        assert!(platform("linux/arm64").serves(&platform("linux/arm64/v8")));
        assert!(platform("linux/arm/v7").serves(&platform("linux/arm")));
        assert!(!platform("linux/arm/v7").serves(&platform("linux/arm/v6")));
        assert!(!platform("linux/amd64").serves(&platform("linux/arm64")));
    }
}
