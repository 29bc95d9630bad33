//! Decides every byte of an image beside its layers: configs, manifests, indexes, their order.
//!
//! Pure: reads no blob and no clock. One image gives one manifest; several give an image index,
//! sorted by platform. Start at [`plan()`].
//!
//! Formats: OCI image-spec 1.1, `image-layout.md`; the `manifest.json` of `docker save` (moby,
//! image spec v1.2, "Combined Image JSON + Filesystem Changeset Format").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use crate::image::{
    BlobKind, CONFIG, CONTAINERD_NAME, Config, Descriptor, INDEX, Index, MANIFEST, Manifest,
    Platform, REF_NAME, canonical_json,
};
use crate::layer::Layer;
use crate::tar_writer::{BLOCK, padding, plain_header};

/// The content of the file `oci-layout`.
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Platform, execution and history; `rootfs.diff_ids` is filled in from `layers`.
    pub config: Config,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
    /// The annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// What goes into one layout or archive: the same image for one or several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// At least one image, in any order; no platform twice.
    pub images: Vec<Image>,
    /// The name under which `docker load` and `podman load` file it.
    pub name: Option<ImageName>,
    /// The annotations of the image index, when there are several images.
    pub annotations: BTreeMap<String, String>,
}

/// Why no image can be made of it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing to write.
    #[error("an image needs at least one platform")]
    NoImage,
    /// The same platform twice.
    #[error("there are two images for the platform `{0}`")]
    SamePlatform(Platform),
    /// The history has another number of layers than the image.
    #[error("the history of `{platform}` tells of {history} layers, the image has {layers}")]
    History {
        /// The image.
        platform: Platform,
        /// Layers in the history.
        history: usize,
        /// Layers in the image.
        layers: usize,
    },
    /// JSON could not hold a document.
    #[error("cannot write an image document as JSON")]
    Json(#[from] serde_json::Error),
}

/// Everything but the layers' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    root: Descriptor,
    manifests: Vec<Descriptor>,
    layers: Vec<(Digest, u64)>,
    documents: Vec<(Digest, Vec<u8>)>,
    index_json: Vec<u8>,
    docker_manifest: Vec<u8>,
}

/// A file of an image archive, in the order of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name in the archive.
    pub name: String,
    /// The digest of its content.
    pub digest: Digest,
    /// The length of its content in bytes.
    pub len: u64,
}

/// Where a member's content comes from.
pub(crate) enum Content<'a> {
    Layer,
    Bytes(&'a [u8]),
}

/// Makes the documents of `images`. The same images in another order give the same plan.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(images: &Images) -> Result<Plan, PlanError> {
    let mut sorted: Vec<&Image> = images.images.iter().collect();
    sorted.sort_by_key(|image| image.config.platform());
    for pair in sorted.windows(2) {
        if pair[0].config.platform() == pair[1].config.platform() {
            return Err(PlanError::SamePlatform(pair[0].config.platform()));
        }
    }
    let mut made = Vec::with_capacity(sorted.len());
    for image in &sorted {
        made.push(documents_of(image)?);
    }
    let first = made.first().ok_or(PlanError::NoImage)?;
    let docker_manifest = docker_manifest(sorted[0], first.config.0, images.name.as_ref())?;

    let manifests: Vec<Descriptor> = made.iter().map(|m| m.descriptor.clone()).collect();
    let mut documents: Vec<(Digest, Vec<u8>)> = Vec::new();
    let (configs, bodies): (Vec<_>, Vec<_>) = made.into_iter().map(|m| (m.config, m.body)).unzip();
    documents.extend(configs);
    documents.extend(bodies);
    let mut root = manifests[0].clone();
    if manifests.len() > 1 {
        let mut index = Index::new(manifests.clone());
        index.annotations = images.annotations.clone();
        let bytes = canonical_json(&index)?;
        root = Descriptor::of(INDEX, &bytes);
        documents.push((root.digest, bytes));
    }
    if let Some(name) = &images.name {
        root.annotations = name.annotations();
    }
    let mut seen = BTreeSet::new();
    documents.retain(|(digest, _)| seen.insert(*digest));
    let layers = sorted.iter().flat_map(|image| &image.layers);
    let layers = layers
        .map(|layer| (layer.digest, layer.size))
        .filter(|(digest, _)| seen.insert(*digest));
    Ok(Plan {
        layers: layers.collect(),
        index_json: canonical_json(&Index::new(vec![root.clone()]))?,
        root,
        manifests,
        documents,
        docker_manifest,
    })
}

struct Documents {
    config: (Digest, Vec<u8>),
    body: (Digest, Vec<u8>),
    descriptor: Descriptor,
}

fn documents_of(image: &Image) -> Result<Documents, PlanError> {
    let platform = image.config.platform();
    let history = image.config.history.iter().filter(|h| !h.empty_layer);
    let (history, layers) = (history.count(), image.layers.len());
    if !image.config.history.is_empty() && history != layers {
        return Err(PlanError::History {
            platform,
            history,
            layers,
        });
    }
    let mut config = image.config.clone();
    config.rootfs.diff_ids = image.layers.iter().map(|layer| layer.diff_id).collect();
    let config = canonical_json(&config)?;
    let config_descriptor = Descriptor::of(CONFIG, &config);
    let layers = image.layers.iter().map(Layer::descriptor).collect();
    let mut manifest = Manifest::new(config_descriptor.clone(), layers);
    manifest.annotations = image.annotations.clone();
    let body = canonical_json(&manifest)?;
    let mut descriptor = Descriptor::of(MANIFEST, &body);
    descriptor.platform = Some(platform);
    Ok(Documents {
        config: (config_descriptor.digest, config),
        body: (descriptor.digest, body),
        descriptor,
    })
}

/// The `manifest.json` that docker without the containerd store reads. It knows one platform: the
/// first.
fn docker_manifest(
    image: &Image,
    config: Digest,
    name: Option<&ImageName>,
) -> Result<Vec<u8>, PlanError> {
    let layers = image.layers.iter().map(|layer| layer.digest).collect();
    docker_entry(config, layers, name)
}

fn docker_entry(
    config: Digest,
    layers: Vec<Digest>,
    name: Option<&ImageName>,
) -> Result<Vec<u8>, PlanError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct DockerImage {
        config: String,
        repo_tags: Vec<String>,
        layers: Vec<String>,
    }
    let entry = DockerImage {
        config: blob_name(config),
        repo_tags: name.map(ImageName::to_string).into_iter().collect(),
        layers: layers.into_iter().map(blob_name).collect(),
    };
    Ok(canonical_json(&[entry])?)
}

/// `blobs/sha256/<hex>`.
pub(crate) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Plan {
    /// The digest that the image is known by: of its manifest, or of its index for several
    /// platforms.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    /// An image that somebody else made, byte for byte: `root` with the documents below it (manifests and
    /// indexes), and the other blobs with their sizes in bytes, configs among them.
    ///
    /// The `manifest.json` for old versions of docker is that of the first manifest.
    ///
    /// # Errors
    /// A document is not the manifest that it should be, or none of them is one.
    pub fn taken_over(
        root: Descriptor,
        documents: Vec<(Descriptor, Vec<u8>)>,
        blobs: Vec<(Digest, u64)>,
        name: Option<&ImageName>,
    ) -> Result<Self, PlanError> {
        let is_manifest = |one: &&(Descriptor, Vec<u8>)| one.0.kind() == BlobKind::Manifest;
        let manifests: Vec<Descriptor> = documents
            .iter()
            .filter(is_manifest)
            .map(|(descriptor, _)| descriptor.clone())
            .collect();
        let (_, first) = documents
            .iter()
            .find(is_manifest)
            .ok_or(PlanError::NoImage)?;
        let first: Manifest = serde_json::from_slice(first)?;
        let layers = first.layers.iter().map(|layer| layer.digest).collect();
        let docker_manifest = docker_entry(first.config.digest, layers, name)?;
        let mut root = root;
        if let Some(name) = name {
            root.annotations = name.annotations();
        }
        let bytes = documents
            .into_iter()
            .map(|(descriptor, bytes)| (descriptor.digest, bytes));
        Ok(Self {
            index_json: canonical_json(&Index::new(vec![root.clone()]))?,
            root,
            manifests,
            layers: blobs,
            documents: bytes.collect(),
            docker_manifest,
        })
    }

    /// The one descriptor in `index.json`.
    pub fn descriptor(&self) -> &Descriptor {
        &self.root
    }

    /// The manifests by platform, in order.
    pub fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// The blobs that a source must have: each layer once, with its size in bytes.
    pub fn layers(&self) -> &[(Digest, u64)] {
        &self.layers
    }

    /// The other blobs: configs, manifests and the index, each with its bytes.
    pub fn documents(&self) -> &[(Digest, Vec<u8>)] {
        &self.documents
    }

    /// The content of `index.json`.
    pub fn index_json(&self) -> &[u8] {
        &self.index_json
    }

    /// The files of the archive in their order: what seldom changes comes first, so that a later
    /// archive begins with the same bytes.
    pub fn members(&self) -> Vec<Member> {
        self.contents()
            .into_iter()
            .map(|(member, _)| member)
            .collect()
    }

    pub(crate) fn contents(&self) -> Vec<(Member, Content<'_>)> {
        let mut contents = Vec::new();
        for &(digest, len) in &self.layers {
            let name = blob_name(digest);
            contents.push((Member { name, digest, len }, Content::Layer));
        }
        let blobs = self.documents.iter();
        let blobs = blobs.map(|(digest, bytes)| (blob_name(*digest), bytes.as_slice()));
        let files = [
            ("index.json".to_owned(), self.index_json.as_slice()),
            ("oci-layout".to_owned(), OCI_LAYOUT),
            ("manifest.json".to_owned(), self.docker_manifest.as_slice()),
        ];
        for (name, bytes) in blobs.chain(files) {
            let digest = Digest::of(bytes);
            let len = bytes.len() as u64;
            contents.push((Member { name, digest, len }, Content::Bytes(bytes)));
        }
        contents
    }

    /// The files of a layout directory beside its blobs.
    pub(crate) fn layout_files(&self) -> [(&'static str, &[u8]); 2] {
        [("index.json", &self.index_json), ("oci-layout", OCI_LAYOUT)]
    }
}

/// The directories that an archive begins with.
pub(crate) fn archive_head() -> Vec<u8> {
    let mut head = plain_header("blobs/", 0);
    head.extend_from_slice(&plain_header("blobs/sha256/", 0));
    head
}

/// The length of the beginning of an archive, up to and with `members`.
pub(crate) fn prefix_len(members: &[Member]) -> u64 {
    let sizes = members.iter().map(|member| {
        let header = plain_header(&member.name, member.len).len() as u64;
        header + member.len + padding(member.len) as u64
    });
    2 * BLOCK as u64 + sizes.sum::<u64>()
}

/// A name with an image tag, as `docker load` files it: `[host[:port]/]path[:tag]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    repository: String,
    tag: String,
}

/// The text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an image name such as `web:1.0` or `registry.example/team/web:1.0`")]
pub struct ImageNameError(String);

impl ImageName {
    /// The name without the tag, as it was given.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where none was given.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The annotations by which loaders name an image.
    fn annotations(&self) -> BTreeMap<String, String> {
        [
            (REF_NAME.to_owned(), self.tag.clone()),
            (CONTAINERD_NAME.to_owned(), self.full()),
        ]
        .into()
    }

    /// With host and path, as containerd wants it: docker's default host where none is given.
    pub fn full(&self) -> String {
        let first = self.repository.split_once('/').map(|(first, _)| first);
        let prefix = match first {
            Some(host) if is_host(host) => "",
            Some(_) => "docker.io/",
            None => "docker.io/library/",
        };
        format!("{prefix}{self}")
    }
}

fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    /// The grammar of distribution's `reference.go`, without digests.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ImageNameError(text.chars().take(100).collect());
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (text, "latest"),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let tag_fits = tag.len() <= 128
            && tag.starts_with(word)
            && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'));
        let path = match repository.split_once('/') {
            Some((host, path)) if is_host(host) => {
                let (host, port) = host.rsplit_once(':').unwrap_or((host, "0"));
                let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
                let port_fits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                if host.is_empty() || !host.chars().all(fine) || !port_fits {
                    return Err(wrong());
                }
                path
            }
            _ => repository,
        };
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let part_fits = |part: &str| {
            part.starts_with(lower)
                && part.ends_with(lower)
                && part
                    .chars()
                    .all(|c| lower(c) || matches!(c, '.' | '_' | '-'))
        };
        if !tag_fits || repository.len() > 255 || !path.split('/').all(part_fits) {
            return Err(wrong());
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{History, LayerMediaType};

    fn layer(text: &str) -> Layer {
        Layer {
            diff_id: Digest::of(text.as_bytes()),
            digest: Digest::of(format!("{text} blob").as_bytes()),
            size: 10,
            uncompressed_size: 100,
            media_type: LayerMediaType::Zstd,
        }
    }

    fn image(architecture: &str, layers: &[&str]) -> Image {
        Image {
            config: Config::new(&Platform::linux(architecture)),
            layers: layers.iter().map(|text| layer(text)).collect(),
            annotations: BTreeMap::new(),
        }
    }

    fn images(images: Vec<Image>) -> Images {
        Images {
            images,
            name: Some("web:1.0".parse().unwrap()),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn one_platform_is_one_manifest_named_for_both_loaders() {
        let plan = plan(&images(vec![image("amd64", &["libc", "app"])])).unwrap();
        assert_eq!(plan.descriptor().media_type, MANIFEST);
        let names: Vec<String> = plan.members().into_iter().map(|m| m.name).collect();
        assert_eq!(
            names[..2],
            [
                blob_name(layer("libc").digest),
                blob_name(layer("app").digest)
            ]
        );
        assert_eq!(names[4..], ["index.json", "oci-layout", "manifest.json"]);
        let text = String::from_utf8(plan.index_json().to_vec()).unwrap();
        let annotations = r#""annotations":{"io.containerd.image.name":"docker.io/library/web:1.0","org.opencontainers.image.ref.name":"1.0"}"#;
        assert!(text.contains(annotations), "{text}");
        let docker = String::from_utf8(plan.docker_manifest.clone()).unwrap();
        assert!(docker.contains(r#""RepoTags":["web:1.0"]"#), "{docker}");
    }

    #[test]
    fn an_image_of_others_is_taken_over_byte_for_byte() {
        let own = plan(&images(vec![image("amd64", &["libc", "app"])])).unwrap();
        let manifest = own.manifests()[0].clone();
        let find = |digest| {
            let found = own.documents().iter().find(|(known, _)| *known == digest);
            found.unwrap().1.clone()
        };
        let config: Manifest = serde_json::from_slice(&find(manifest.digest)).unwrap();
        let config = config.config;
        let documents = vec![(manifest.clone(), find(manifest.digest))];
        let mut blobs = own.layers().to_vec();
        blobs.push((config.digest, config.size));
        let name = "web:1.0".parse().unwrap();
        let taken = Plan::taken_over(manifest.clone(), documents, blobs, Some(&name)).unwrap();
        assert_eq!(taken.digest(), own.digest());
        assert_eq!(taken.index_json(), own.index_json());
        assert_eq!(taken.docker_manifest, own.docker_manifest);
        let none = Plan::taken_over(manifest, Vec::new(), Vec::new(), None).unwrap_err();
        assert_eq!(none.to_string(), "an image needs at least one platform");
    }

    #[test]
    fn several_platforms_are_one_index_whatever_their_order() {
        let (amd, arm) = (
            image("amd64", &["data", "a"]),
            image("arm64", &["data", "b"]),
        );
        let one = plan(&images(vec![amd.clone(), arm.clone()])).unwrap();
        assert_eq!(one, plan(&images(vec![arm, amd])).unwrap());
        assert_eq!(one.descriptor().media_type, INDEX);
        assert_eq!(one.layers().len(), 3, "the shared layer is there once");
        let platforms: Vec<_> = one.manifests().iter().map(|m| m.platform.clone()).collect();
        assert_eq!(
            platforms,
            [
                Some(Platform::linux("amd64")),
                Some(Platform::linux("arm64"))
            ]
        );
    }

    #[test]
    fn images_that_contradict_themselves_are_refused() {
        let twice = images(vec![image("amd64", &[]), image("amd64", &["a"])]);
        let mut history = image("amd64", &["a"]);
        history.config.history = vec![History::default(), History::default()];
        let message = |images: &Images| plan(images).unwrap_err().to_string();
        assert_eq!(
            message(&images(vec![])),
            "an image needs at least one platform"
        );
        assert_eq!(
            message(&twice),
            "there are two images for the platform `linux/amd64`"
        );
        assert_eq!(
            message(&images(vec![history])),
            "the history of `linux/amd64` tells of 2 layers, the image has 1"
        );
    }

    #[test]
    fn image_names_are_completed_as_docker_does() {
        let cases = [
            ("web", "web:latest", "docker.io/library/web:latest"),
            ("team/web:1", "team/web:1", "docker.io/team/web:1"),
            (
                "localhost/web",
                "localhost/web:latest",
                "localhost/web:latest",
            ),
            (
                "r.example:5000/a/b",
                "r.example:5000/a/b:latest",
                "r.example:5000/a/b:latest",
            ),
        ];
        for (text, shown, full) in cases {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(
                (name.to_string(), name.full()),
                (shown.to_owned(), full.to_owned())
            );
        }
        for wrong in [
            "",
            ":1",
            "Web",
            "web:",
            "web:-1",
            "a//b",
            "web@sha256:00",
            ".x:/a",
            "a b",
        ] {
            assert!(wrong.parse::<ImageName>().is_err(), "{wrong}");
        }
    }
}
