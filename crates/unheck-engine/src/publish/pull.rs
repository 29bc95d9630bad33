//! A registry → the store, and from there a file or what other verbs open. Start at [`pull`].

use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_base::Digest;
use unheck_oci::image::Descriptor;
use unheck_oci::layout::{Blob, WriteError, write_archive, write_layout};
use unheck_oci::plan::{ImageName, Plan};
use unheck_registry::pull::{BlobTransport, Remote, image, wants};
use unheck_registry::{Access, Purpose, Reference};
use unheck_store::{DerivedDir, ProduceError, Store};

use super::{PublishError, client, tell};
use crate::session::Session;

/// Kind of the layouts of pulled images; raised whenever what is in them would differ.
const KIND: &str = "pulled-1";
/// The layout in the directory.
const LAYOUT: &str = "image.oci";

/// An image from a registry, as a layout in the store.
#[derive(Debug)]
pub struct Pulled {
    /// `HOST/NAME@sha256:…`.
    pub reference: String,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// While it lives, nobody prunes the layout.
    directory: DerivedDir,
}

impl Pulled {
    /// Where the layout is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join(LAYOUT)
    }
}

/// A pulled image that was written to a place of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenPull {
    /// Where.
    pub path: PathBuf,
    /// `HOST/NAME@sha256:…`.
    pub reference: String,
    /// Bytes of its blobs.
    pub size: u64,
}

/// Brings an image with all its platforms into the store. One that is named by its digest and is there
/// needs no network.
///
/// # Errors
/// [`PublishError`].
pub fn pull(
    session: &Session,
    access: &Access,
    reference: &Reference,
) -> Result<Pulled, PublishError> {
    let store = session.store();
    if let Some(digest) = reference.digest()
        && let Some(directory) = store.derived(KIND, &digest).dir()?
    {
        return Ok(pulled(reference, digest, directory));
    }
    let remote = fetch(session, access, reference)?;
    let plan = plan(&remote, None)?;
    let digest = remote.root.descriptor.digest;
    let made = store
        .derived(KIND, &digest)
        .dir_with(|directory| write_layout(&directory.join(LAYOUT), &plan, &blobs(store)));
    let directory = made.map_err(|error| match error {
        ProduceError::Store(error) => PublishError::Store(error),
        ProduceError::Produce(error) => PublishError::Write(error),
    })?;
    Ok(pulled(reference, digest, directory))
}

/// Writes an image of a registry to `output`: a layout folder when the name ends in `.oci`, else an archive.
///
/// # Errors
/// [`PublishError`]; the output is whole or as it was.
pub fn save(
    session: &Session,
    access: &Access,
    reference: &Reference,
    output: &Path,
) -> Result<WrittenPull, PublishError> {
    let remote = fetch(session, access, reference)?;
    // The name is for `docker load`; one that the grammar of archives does not have is left out.
    let repository = reference.repository();
    let name = reference
        .tag_to_set()
        .map(|tag| format!("{repository}:{tag}"));
    let name = name.and_then(|name| name.parse::<ImageName>().ok());
    let plan = plan(&remote, name.as_ref())?;
    if let Some(parent) = output.parent().filter(|parent| *parent != Path::new("")) {
        fs_err::create_dir_all(parent).map_err(|source| WriteError::Output {
            path: parent.to_owned(),
            source,
        })?;
    }
    let blobs = blobs(session.store());
    if output
        .extension()
        .is_some_and(|extension| extension == "oci")
    {
        write_layout(output, &plan, &blobs)?;
    } else {
        write_archive(output, &plan, &blobs)?;
    }
    Ok(WrittenPull {
        path: output.to_owned(),
        reference: repository.at(remote.root.descriptor.digest).to_string(),
        size: remote.blobs.iter().map(|blob| blob.size).sum(),
    })
}

fn pulled(reference: &Reference, digest: Digest, directory: DerivedDir) -> Pulled {
    Pulled {
        reference: reference.repository().at(digest).to_string(),
        digest,
        directory,
    }
}

/// Manifests into memory, blobs into the store.
fn fetch(
    session: &Session,
    access: &Access,
    reference: &Reference,
) -> Result<Remote, PublishError> {
    let client = client(session, access, reference.repository(), Purpose::Pull)?;
    let heard = |progress: unheck_registry::Progress<'_>| tell(session, progress);
    let remote = session
        .net
        .block_on(image(&client, reference, None, &heard))?;
    let wanted = wants(&client, &remote.blobs);
    session.net.fetch_by(&BlobTransport(&client), &wanted)?;
    Ok(remote)
}

fn plan(remote: &Remote, name: Option<&ImageName>) -> Result<Plan, PublishError> {
    let documents = remote.documents.iter();
    let documents = documents.map(|one| (one.descriptor.clone(), one.bytes.clone()));
    let blobs = remote
        .blobs
        .iter()
        .map(|blob: &Descriptor| (blob.digest, blob.size));
    let root = remote.root.descriptor.clone();
    Ok(Plan::taken_over(
        root,
        documents.collect(),
        blobs.collect(),
        name,
    )?)
}

/// Blobs of the store, checked at this last door.
fn blobs(store: &Store) -> impl Fn(&Digest) -> std::io::Result<Blob> + '_ {
    |digest| {
        let checked = store.verify(digest).and_then(|()| store.open_blob(digest));
        checked.map(Blob::File).map_err(std::io::Error::other)
    }
}
