//! Checks an image completely: every descriptor, digest and diff id, and the entries of each layer.
//!
//! Goes on after a problem, so that all of them are reported, sorted. Start at [`validate`].
//!
//! Rules: OCI image-spec 1.1, `image-layout.md`, `descriptor.md`, `manifest.md`, `config.md`,
//! `layer.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

use crate::image::{BlobKind, Config, Descriptor, Index, LayerMediaType, Manifest};
use crate::layer_reader::{LayerEntry, Limits, NodeKind, OPAQUE, ReadOptions, read_layer};
use crate::open::{MAX_DEPTH, MAX_DOCUMENTS, Opened};

/// How many problems one layer may have before the rest is not looked at.
const MAX_PROBLEMS_PER_LAYER: usize = 20;

/// Which rule an image breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `oci-layout` and `index.json` as the specification wants them.
    Layout,
    /// A blob is there, with the size and digest of its descriptor, and can be understood.
    Blob,
    /// The media type is one that fits the place.
    MediaType,
    /// The manifest holds together.
    Manifest,
    /// The config is well-formed and agrees with manifest and index.
    Config,
    /// A layer can be read and unpacks to its diff id.
    Layer,
    /// No entry of a layer contradicts another.
    Entries,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The file or blob that breaks it.
    pub subject: String,
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// Reads all of an image and tells everything that is wrong with it; nothing if it is fine.
pub fn validate(opened: &Opened) -> Vec<Problem> {
    let mut check = Check {
        opened,
        problems: BTreeSet::new(),
        layers: BTreeMap::new(),
        seen: 0,
    };
    check.layout();
    check.index("index.json", opened.index(), 1);
    check.problems.into_iter().collect()
}

/// What later layers need to know of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Dir,
    File,
    Other,
    Whiteout,
}

type Entries = Vec<(TreePath, Shape, Option<TreePath>)>;

struct Check<'a> {
    opened: &'a Opened,
    problems: BTreeSet<Problem>,
    /// The layers that were read, by digest and diff id.
    layers: BTreeMap<(Digest, Digest), Option<Entries>>,
    seen: usize,
}

impl Check<'_> {
    fn add(&mut self, subject: &impl ToString, rule: Rule, message: impl Into<String>) {
        self.problems.insert(Problem {
            subject: subject.to_string(),
            rule,
            message: message.into(),
        });
    }

    fn layout(&mut self) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        if self.opened.is_docker_archive() {
            return;
        }
        let name = "oci-layout";
        match self.opened.document(name) {
            Err(error) => self.add(&name, Rule::Layout, chain(&error)),
            Ok(bytes) => match serde_json::from_slice::<Version>(&bytes) {
                Err(error) => self.add(&name, Rule::Layout, chain(&error)),
                Ok(version) if version.image_layout_version != "1.0.0" => self.add(
                    &name,
                    Rule::Layout,
                    format!(
                        "its version is `{}`, not `1.0.0`",
                        version.image_layout_version
                    ),
                ),
                Ok(_) => {}
            },
        }
        if self.opened.index().manifests.is_empty() {
            self.add(&"index.json", Rule::Layout, "it lists no image");
        }
    }

    fn index(&mut self, subject: &str, index: &Index, depth: usize) {
        if depth > MAX_DEPTH {
            let message = format!("indexes are nested deeper than {MAX_DEPTH}");
            return self.add(&subject, Rule::Manifest, message);
        }
        if index.schema_version != 2 {
            self.add(&subject, Rule::Manifest, "`schemaVersion` is not 2");
        }
        let own_type = index.media_type.as_deref().map(BlobKind::of);
        if own_type.is_some_and(|kind| kind != BlobKind::Index) {
            self.add(
                &subject,
                Rule::MediaType,
                "`mediaType` is not one of an index",
            );
        }
        for descriptor in &index.manifests {
            self.seen += 1;
            if self.seen > MAX_DOCUMENTS {
                let message = format!("there are more than {MAX_DOCUMENTS} manifests");
                return self.add(&subject, Rule::Manifest, message);
            }
            let digest = descriptor.digest;
            match descriptor.kind() {
                BlobKind::Index => match self.opened.json::<Index>(descriptor, "an image index") {
                    Ok(inner) => self.index(&digest.to_string(), &inner, depth + 1),
                    Err(error) => self.add(&digest, Rule::Blob, chain(&error)),
                },
                BlobKind::Manifest => self.manifest(descriptor),
                _ => {
                    let message = format!(
                        "the media type `{}` is neither manifest nor index",
                        descriptor.media_type
                    );
                    self.add(&digest, Rule::MediaType, message);
                    self.blob(descriptor);
                }
            }
        }
    }

    fn manifest(&mut self, descriptor: &Descriptor) {
        let subject = descriptor.digest;
        let manifest = self
            .opened
            .json::<Manifest>(descriptor, "an image manifest");
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => return self.add(&subject, Rule::Blob, chain(&error)),
        };
        if manifest.schema_version != 2 {
            self.add(&subject, Rule::Manifest, "`schemaVersion` is not 2");
        }
        let own_type = manifest.media_type.as_deref().map(BlobKind::of);
        if own_type.is_some_and(|kind| kind != BlobKind::Manifest) {
            self.add(
                &subject,
                Rule::MediaType,
                "`mediaType` is not one of a manifest",
            );
        }
        let attestation = "vnd.docker.reference.type";
        if manifest.artifact_type.is_some()
            || manifest.config.kind() != BlobKind::Config
            || descriptor.annotations.contains_key(attestation)
        {
            // Not an image: only that everything is there counts.
            self.blob(&manifest.config);
            return manifest.layers.iter().for_each(|layer| self.blob(layer));
        }
        let config = self
            .opened
            .json::<Config>(&manifest.config, "an image config");
        match config {
            Ok(config) => self.image(descriptor, &manifest, &config),
            Err(error) => {
                self.add(&manifest.config.digest, Rule::Blob, chain(&error));
                manifest.layers.iter().for_each(|layer| self.blob(layer));
            }
        }
    }

    fn image(&mut self, descriptor: &Descriptor, manifest: &Manifest, config: &Config) {
        let subject = manifest.config.digest;
        for message in config_problems(config) {
            self.add(&subject, Rule::Config, message);
        }
        if let Some(platform) = &descriptor.platform
            && !config.platform().serves(platform)
        {
            let own = config.platform();
            let message = format!("it is for `{own}`, the index lists it for `{platform}`");
            self.add(&subject, Rule::Config, message);
        }
        let (layers, diff_ids) = (&manifest.layers, &config.rootfs.diff_ids);
        if layers.len() != diff_ids.len() {
            let message = format!(
                "it has {} diff ids, the manifest has {} layers",
                diff_ids.len(),
                layers.len()
            );
            self.add(&subject, Rule::Config, message);
        }
        let history = config.history.iter().filter(|h| !h.empty_layer).count();
        if !config.history.is_empty() && history != layers.len() {
            let count = layers.len();
            let message = format!("its history tells of {history} layers, there are {count}");
            self.add(&subject, Rule::Config, message);
        }
        let mut tree = BTreeMap::new();
        for (at, layer) in layers.iter().enumerate() {
            match (layer.kind(), diff_ids.get(at)) {
                (BlobKind::Layer(media_type), Some(&diff_id)) => {
                    self.layer(layer, media_type, diff_id);
                    self.apply(layer.digest, diff_id, &mut tree);
                }
                (BlobKind::Layer(_), None) => self.blob(layer),
                (BlobKind::ForeignLayer, _) => {
                    let message = "the layer lies elsewhere and is not part of the image";
                    self.add(&layer.digest, Rule::MediaType, message);
                }
                _ => {
                    let message = format!("`{}` is no layer", layer.media_type);
                    self.add(&layer.digest, Rule::MediaType, message);
                    self.blob(layer);
                }
            }
        }
    }

    /// Only size and digest.
    fn blob(&mut self, descriptor: &Descriptor) {
        let result = self.opened.blob(descriptor).map_err(|error| chain(&error));
        let result = result.and_then(|mut reader| {
            let copied = io::copy(&mut reader, &mut io::sink());
            copied.map_err(|error| chain(&error))
        });
        if let Err(message) = result {
            self.add(&descriptor.digest, Rule::Blob, message);
        }
    }

    fn layer(&mut self, descriptor: &Descriptor, media_type: LayerMediaType, diff_id: Digest) {
        let digest = descriptor.digest;
        if self.layers.contains_key(&(digest, diff_id)) {
            return;
        }
        let reader = match self.opened.blob(descriptor) {
            Ok(reader) => reader,
            Err(error) => {
                self.layers.insert((digest, diff_id), None);
                return self.add(&digest, Rule::Blob, chain(&error));
            }
        };
        let options = ReadOptions {
            media_type,
            diff_id: Some(diff_id),
            limits: Limits::default(),
        };
        let mut listing = Listing::default();
        let read = read_layer(reader, &options, &mut |entry, _| {
            listing.add(entry);
            Ok(())
        });
        for message in listing.messages {
            self.add(&digest, Rule::Entries, message);
        }
        let entries = match read {
            Ok(_) => Some(listing.entries),
            Err(error) => {
                self.add(&digest, Rule::Layer, chain(&error));
                None
            }
        };
        self.layers.insert((digest, diff_id), entries);
    }

    /// Lays a layer over the ones below and looks for entries that have no place to go.
    fn apply(&mut self, digest: Digest, diff_id: Digest, tree: &mut BTreeMap<TreePath, Shape>) {
        let Some(Some(entries)) = self.layers.get(&(digest, diff_id)) else {
            return;
        };
        // Whiteouts only concern the layers below, wherever they stand in the archive.
        let is_whiteout = |entry: &&(TreePath, Shape, Option<TreePath>)| entry.1 == Shape::Whiteout;
        for (path, _, target) in entries.iter().filter(is_whiteout) {
            delete(tree, path, target.as_ref());
        }
        let added = || entries.iter().filter(|entry| !is_whiteout(entry));
        let own: BTreeSet<&TreePath> = added().map(|(path, ..)| path).collect();
        let mut messages = Vec::new();
        for (path, shape, target) in added() {
            let blocking = path.ancestors().find(|a| {
                let known = tree.get(a);
                known.is_some_and(|&known| known != Shape::Dir) && !own.contains(a)
            });
            if let Some(parent) = blocking {
                messages.push(format!(
                    "`{path}` goes through `{parent}`, which a layer below made no directory"
                ));
            }
            if let Some(target) = target
                && tree.get(target) != Some(&Shape::File)
            {
                messages.push(format!(
                    "the hardlink `{path}` points to `{target}`, which is no file"
                ));
            }
            if *shape != Shape::Dir && tree.get(path) == Some(&Shape::Dir) {
                for gone in under(tree, path) {
                    tree.remove(&gone);
                }
            }
            tree.insert(path.clone(), *shape);
        }
        for message in messages.into_iter().take(MAX_PROBLEMS_PER_LAYER) {
            self.add(&digest, Rule::Entries, message);
        }
    }
}

/// The entries of one layer, and where they contradict each other.
#[derive(Default)]
struct Listing {
    entries: Entries,
    own: BTreeMap<TreePath, Shape>,
    messages: Vec<String>,
}

impl Listing {
    fn add(&mut self, entry: &LayerEntry) {
        let path = &entry.path;
        let (shape, target) = match &entry.kind {
            NodeKind::Dir => (Shape::Dir, None),
            NodeKind::File { .. } => (Shape::File, None),
            NodeKind::Hardlink(target) => (Shape::File, Some(target.clone())),
            NodeKind::Whiteout { hides } => (Shape::Whiteout, Some(hides.clone())),
            NodeKind::Opaque { directory } => (Shape::Whiteout, directory.clone()),
            _ => (Shape::Other, None),
        };
        let blocking = path.ancestors().find(|a| {
            let known = self.own.get(a);
            known.is_some_and(|&known| known != Shape::Dir)
        });
        let below = blocking
            .map(|parent| format!("`{path}` lies below `{parent}`, which is not a directory"));
        let twice = self.own.insert(path.clone(), shape).is_some();
        let twice = twice.then(|| format!("`{path}` is there twice"));
        let room = MAX_PROBLEMS_PER_LAYER - self.messages.len();
        let found = below.into_iter().chain(twice);
        self.messages.extend(found.take(room));
        self.entries.push((path.clone(), shape, target));
    }
}

/// Takes away what the whiteout `marker` hides: `hidden` with all in it, or, for an opaque marker,
/// all in its directory `hidden`, the root if there is none.
fn delete(tree: &mut BTreeMap<TreePath, Shape>, marker: &TreePath, hidden: Option<&TreePath>) {
    let Some(hidden) = hidden else {
        return tree.clear();
    };
    let keeps_directory = marker.file_name() == OPAQUE;
    for gone in under(tree, hidden) {
        if !(keeps_directory && gone == *hidden) {
            tree.remove(&gone);
        }
    }
}

/// `path` and everything below it.
fn under(tree: &BTreeMap<TreePath, Shape>, path: &TreePath) -> Vec<TreePath> {
    let range = tree.range(path.clone()..).map(|(path, _)| path);
    range
        .take_while(|inner| inner.is_under(path.as_str()))
        .cloned()
        .collect()
}

fn config_problems(config: &Config) -> Vec<String> {
    let mut messages = Vec::new();
    if config.os.is_empty() || config.architecture.is_empty() {
        messages.push("`os` or `architecture` is missing".to_owned());
    }
    if config.rootfs.kind != "layers" {
        messages.push(format!(
            "`rootfs.type` is `{}`, not `layers`",
            config.rootfs.kind
        ));
    }
    if let Some(created) = &config.created
        && !is_rfc3339(created)
    {
        messages.push(format!(
            "`created` is `{created}`, which is no RFC 3339 time"
        ));
    }
    let execution = &config.config;
    for variable in &execution.env {
        if variable.find('=').is_none_or(|at| at == 0) {
            messages.push(format!("`Env` has `{variable}`, which is not `NAME=value`"));
        }
    }
    if let Some(directory) = &execution.working_dir
        && !(directory.is_empty() || directory.starts_with('/'))
    {
        messages.push(format!(
            "`WorkingDir` is `{directory}`, which is not absolute"
        ));
    }
    for port in &execution.exposed_ports {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
            messages.push(format!(
                "`ExposedPorts` has `{port}`, which is not `number/protocol`"
            ));
        }
    }
    if execution.entrypoint.first().is_some_and(String::is_empty) {
        messages.push("`Entrypoint` begins with an empty word".to_owned());
    }
    messages
}

/// The shape of RFC 3339, section 5.6: `2026-01-31T23:59:60.5Z` or with an offset.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == wanted,
                })
    };
    let Some((moment, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let digits = rest.strip_prefix('.').map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.split_at(end.unwrap_or(rest.len()))
    });
    let (fraction_fits, zone) = digits.map_or((true, rest), |(d, zone)| (!d.is_empty(), zone));
    shape(moment, "0000-00-00T00:00:00")
        && fraction_fits
        && (zone == "Z" || shape(zone, "+00:00") || shape(zone, "-00:00"))
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
