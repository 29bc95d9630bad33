//! A written image → a registry. Start at [`push`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use unheck_base::Digest;
use unheck_oci::image::{BlobKind, Descriptor, Index, Manifest};
use unheck_oci::open::{MAX_DEPTH, MAX_DOCUMENT, MAX_DOCUMENTS, OpenError, Opened, Place, open};
use unheck_registry::push::{Push, push as send};
use unheck_registry::referrers::Artifact;
use unheck_registry::{Access, Blob, Client, Content, Document, Purpose, Reference, Repository};
use unheck_store::Store;

use super::attach::{Attachment, prepare};
use super::{PublishError, Signer, client, tell};
use crate::form::{Format, kind_of};
use crate::session::Session;
use crate::vulnerabilities::Basis;

/// Blobs below this size in bytes are sent again rather than remembered.
const WORTH_MOUNTING: u64 = 64 << 10;
/// Repositories that are remembered for one blob, and blobs for one registry.
const MAX_PLACES: usize = 4;
const MAX_KNOWN: usize = 4000;

/// An image in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushedImage {
    /// `HOST/NAME@sha256:…`.
    pub reference: String,
    /// The tags that name it now.
    pub tags: Vec<String>,
    /// Blobs that were sent.
    #[serde(skip)]
    pub blobs: u64,
    /// Bytes of blobs that were sent.
    pub sent: u64,
    /// Bytes of blobs that the registry had, in this repository or in another.
    pub there: u64,
}

/// Which repositories of a registry are known to have a blob: it may be mounted from there.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known(BTreeMap<Digest, Vec<String>>);

/// What is put beside an image besides itself.
#[derive(Debug, Clone, Copy)]
pub enum Attach<'a> {
    /// Nothing.
    Nothing,
    /// Bill of materials and provenance, and what is said of known vulnerabilities.
    Said(Saying<'a>),
}

/// What is said about an image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Saying<'a> {
    /// Who signs, where anybody does.
    pub signer: Option<&'a Signer>,
    /// What is known of vulnerabilities, where it was asked for.
    pub basis: Option<Basis<'a>>,
}

/// Pushes the image at `artifact` to each reference; references of one repository share one push.
///
/// # Errors
/// [`PublishError`]. What was sent stays at the registry; a tag is set only when all that it names is there.
pub fn push(
    session: &Session,
    access: &Access,
    artifact: &Path,
    references: &[Reference],
    attach: Attach<'_>,
) -> Result<Vec<PushedImage>, PublishError> {
    let (opened, whole) = opened(artifact)?;
    let root = whole.manifests.last().expect("a push has a root");
    let root = &root.descriptor;
    let mut places: BTreeMap<&Repository, BTreeSet<&str>> = BTreeMap::new();
    for reference in references {
        if let Some(digest) = reference.digest().filter(|digest| *digest != root.digest) {
            return Err(PublishError::OtherDigest {
                reference: reference.repository().at(digest).to_string(),
                found: root.digest,
            });
        }
        let tags = places.entry(reference.repository()).or_default();
        tags.extend(reference.tag_to_set());
    }
    let said = Said::of(session, artifact, &opened, attach)?;
    let mut pushed = Vec::new();
    for (repository, tags) in places {
        let client = client(session, access, repository, Purpose::Push)?;
        let signed = said.signed(&client)?;
        pushed.push(push_one(session, &client, &whole, &tags)?);
        signed.attach(session, &client)?;
    }
    Ok(pushed)
}

/// What is to be put beside an image, whatever the repository.
pub(super) struct Said<'a> {
    all: Vec<Attachment>,
    signer: Option<&'a Signer>,
}

/// What is to be put beside an image in one repository.
pub(super) struct Signed<'a>(Vec<(&'a Attachment, Vec<Artifact>)>);

impl<'a> Said<'a> {
    pub(super) fn of(
        session: &Session,
        artifact: &Path,
        opened: &Opened,
        attach: Attach<'a>,
    ) -> Result<Self, PublishError> {
        let (all, signer) = match attach {
            Attach::Nothing => (Vec::new(), None),
            Attach::Said(saying) => {
                let all = prepare(session, artifact, (opened, saying.basis))?;
                (all, saying.signer)
            }
        };
        Ok(Self { all, signer })
    }

    /// Signs it, before anything is sent: an image that cannot be signed is not pushed without.
    pub(super) fn signed(&self, client: &Client) -> Result<Signed<'_>, PublishError> {
        let signed = self
            .all
            .iter()
            .map(|one| Ok((one, one.artifacts(client, self.signer)?)));
        signed.collect::<Result<_, _>>().map(Signed)
    }
}

impl Signed<'_> {
    /// Puts it beside the image, which must be there.
    pub(super) fn attach(&self, session: &Session, client: &Client) -> Result<(), PublishError> {
        let mut all = self.0.iter();
        all.try_for_each(|(one, artifacts)| one.attach(session, client, artifacts))
    }
}

/// The image at a path, and what there is to send of it: children before what names them.
pub(super) fn opened(artifact: &Path) -> Result<(Opened, Push), PublishError> {
    if let Ok(format) = kind_of(artifact)
        && format != Format::Image
    {
        let path = artifact.to_owned();
        return Err(PublishError::NoImage { path, format });
    }
    let failed = |source| PublishError::Open {
        path: artifact.to_owned(),
        source: Box::new(source),
    };
    let opened = open(artifact).map_err(failed)?;
    let [root] = &opened.index().manifests[..] else {
        let (path, count) = (artifact.to_owned(), opened.index().manifests.len());
        return Err(PublishError::Several { path, count });
    };
    let whole = whole(&opened, root).map_err(failed)?;
    Ok((opened, whole))
}

/// Sends an image to one repository; its tags are set last.
pub(super) fn push_one(
    session: &Session,
    client: &Client,
    whole: &Push,
    tags: &BTreeSet<&str>,
) -> Result<PushedImage, PublishError> {
    let repository = client.repository();
    let state = format!(
        "registry-{}",
        Digest::of(repository.host().as_bytes()).hex()
    );
    let mut known: Known = session.store().state_get(&state)?.unwrap_or_default();
    let mut what = whole.clone();
    what.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    for blob in &what.blobs {
        let names = known.0.get(&blob.digest).into_iter().flatten();
        let others = names.filter_map(|name| repository.sibling(name).ok());
        let others: Vec<Repository> = others.filter(|other| other != repository).collect();
        what.elsewhere.insert(blob.digest, others);
    }
    let heard = |progress: unheck_registry::Progress<'_>| tell(session, progress);
    let done = session.net.block_on(send(client, &what, &heard))?;
    let mut seen = BTreeSet::new();
    let all: u64 = what
        .blobs
        .iter()
        .filter(|blob| seen.insert(blob.digest))
        .map(|blob| blob.size)
        .sum();
    known.note(&what.blobs, repository.name());
    known.keep(session.store(), &state)?;
    let digest = what.manifests.last().map(|root| root.descriptor.digest);
    Ok(PushedImage {
        reference: digest.map_or_else(String::new, |digest| repository.at(digest).to_string()),
        tags: what.tags,
        blobs: done.sent.len() as u64,
        sent: done.bytes(),
        there: all - done.bytes(),
    })
}

impl Known {
    fn note(&mut self, blobs: &[Blob], name: &str) {
        for blob in blobs.iter().filter(|blob| blob.size >= WORTH_MOUNTING) {
            let names = self.0.entry(blob.digest).or_default();
            names.retain(|known| known != name);
            names.insert(0, name.to_owned());
            names.truncate(MAX_PLACES);
        }
    }

    /// Which entries go when there are too many does not matter: a wrong guess costs one upload.
    fn keep(mut self, store: &Store, state: &str) -> Result<(), PublishError> {
        while self.0.len() > MAX_KNOWN {
            self.0.pop_first();
        }
        Ok(store.state_put(state, &self)?)
    }
}

/// Everything below the root, ready to be sent: children before what names them.
fn whole(opened: &Opened, root: &Descriptor) -> Result<Push, OpenError> {
    let mut push = Push::default();
    let mut seen = BTreeSet::new();
    gather(opened, root, (1, &mut seen), &mut push)?;
    Ok(push)
}

fn gather(
    opened: &Opened,
    descriptor: &Descriptor,
    (depth, seen): (usize, &mut BTreeSet<Digest>),
    push: &mut Push,
) -> Result<(), OpenError> {
    if depth > MAX_DEPTH {
        return Err(OpenError::TooDeep);
    }
    if !seen.insert(descriptor.digest) {
        return Ok(());
    }
    if seen.len() > MAX_DOCUMENTS {
        return Err(OpenError::TooMany);
    }
    let bytes = opened.blob_bytes(descriptor, MAX_DOCUMENT)?;
    match descriptor.kind() {
        BlobKind::Index => {
            let index: Index = parse(descriptor, "an image index", &bytes)?;
            for child in &index.manifests {
                gather(opened, child, (depth + 1, seen), push)?;
            }
        }
        BlobKind::Manifest => {
            let manifest: Manifest = parse(descriptor, "an image manifest", &bytes)?;
            let layers = manifest.layers.iter();
            let here = layers.filter(|layer| layer.kind() != BlobKind::ForeignLayer);
            for one in std::iter::once(&manifest.config).chain(here) {
                push.blobs.push(blob(opened, one)?);
            }
        }
        _ => {
            return Err(OpenError::MediaType {
                digest: descriptor.digest,
                media_type: descriptor.media_type.chars().take(100).collect(),
            });
        }
    }
    let mut document = Document::new(&descriptor.media_type, bytes);
    document
        .descriptor
        .platform
        .clone_from(&descriptor.platform);
    push.manifests.push(document);
    Ok(())
}

fn blob(opened: &Opened, descriptor: &Descriptor) -> Result<Blob, OpenError> {
    let content = match opened.place(descriptor)? {
        Place::File { file, offset } => Content::File { file, offset },
        Place::Bytes(bytes) => Content::Bytes(bytes.into()),
    };
    Ok(Blob {
        digest: descriptor.digest,
        size: descriptor.size,
        content,
    })
}

fn parse<T: serde::de::DeserializeOwned>(
    descriptor: &Descriptor,
    expected: &'static str,
    bytes: &[u8],
) -> Result<T, OpenError> {
    serde_json::from_slice(bytes).map_err(|source| OpenError::Json {
        name: descriptor.digest.to_string(),
        expected,
        source,
    })
}
