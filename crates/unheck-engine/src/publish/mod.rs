//! Images to registries and back. Start at [`push()`] and [`pull()`].
//!
//! Knows images and the store; how registries are spoken to is `unheck-registry`'s business.

mod attach;
mod pull;
mod push;
mod sign;
pub mod target;

use std::path::PathBuf;

use unheck_base::Digest;
use unheck_oci::layout::WriteError;
use unheck_oci::open::OpenError;
use unheck_oci::plan::PlanError;
use unheck_registry::{Access, Client, Options, Progress, Purpose, RegistryError, Repository};
use unheck_store::StoreError;

use crate::event::Event;
use crate::explain::{Class, Explain};
use crate::net::NetError;
use crate::session::Session;

pub use attach::check;
pub use pull::{Pulled, WrittenPull, pull, save};
pub use push::{Attach, PushedImage, Saying, push};
use push::{Said, opened, push_one};
pub use sign::{SignCommand, SignCommandError, Signer};
pub use unheck_attest::dsse::{KeyError, SigningKey, VerifyingKey};
pub use unheck_registry::{Reference, reference::ReferenceError};

/// An image could not be pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The registry did not do it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The network is switched off, or blobs did not come.
    #[error(transparent)]
    Net(#[from] NetError),
    /// What is to be pushed is no image.
    #[error("cannot push `{path}`: only images are kept in registries, this is a `{format}`", path = path.display())]
    NoImage {
        /// The artifact.
        path: PathBuf,
        /// What it is.
        format: crate::form::Format,
    },
    /// The artifact cannot be read.
    #[error("cannot read the image `{path}`", path = path.display())]
    Open {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// The artifact has no image, or several that do not belong together.
    #[error("`{path}` has {count} images side by side; a push needs one, or an index of them", path = path.display())]
    Several {
        /// The artifact.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A reference names a digest that the image does not have.
    #[error("cannot push to `{reference}`: the image has the digest `{found}`")]
    OtherDigest {
        /// The reference.
        reference: String,
        /// The digest of the image.
        found: Digest,
    },
    /// A document of the image is not what it should be.
    #[error("cannot understand the image")]
    Document(#[from] PlanError),
    /// What is to be attached cannot be made.
    #[error("cannot make the bill of materials that is attached")]
    Bill(#[from] Box<crate::bom::BomError>),
    /// The artifact cannot be looked into.
    #[error("cannot look into the artifact")]
    Inside(#[from] Box<crate::inside::InsideError>),
    /// A statement cannot be written as JSON.
    #[error("cannot write the provenance as JSON")]
    Statement(#[source] serde_json::Error),
    /// The key or the program does not sign.
    #[error("cannot sign what is attached")]
    Sign(#[from] Box<SignCommandError>),
    /// What is known of vulnerabilities cannot be read.
    #[error("cannot look for known vulnerabilities")]
    Dump(#[from] crate::vulnerabilities::DumpError),
    /// What was pulled cannot be written.
    #[error("cannot write the image")]
    Write(#[from] WriteError),
    /// The store failed.
    #[error("cannot keep the image")]
    Store(#[from] StoreError),
}

impl Explain for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Registry(error) if error.is_other_content() => Class::Input,
            Self::Registry(_) => Class::Outside,
            Self::Net(error) => error.class(),
            Self::Bill(error) => error.class(),
            Self::Inside(error) => error.class(),
            Self::Sign(error) => error.class(),
            Self::Dump(error) => error.class(),
            Self::Statement(_) => Class::Bug,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Store(_) => Class::Outside,
            Self::Write(WriteError::Output { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull =>
            {
                Class::Limit
            }
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) => error.hint().into_iter().collect(),
            Self::Net(error) => error.hints(),
            Self::Bill(error) => error.hints(),
            Self::Inside(error) => error.hints(),
            Self::Sign(error) => error.hints(),
            Self::Dump(error) => error.hints(),
            Self::NoImage { .. } => {
                vec!["build an image: `unheck build --format image`".to_owned()]
            }
            Self::Open { .. } | Self::Several { .. } => {
                vec!["give what `unheck build` wrote: an OCI archive or a layout folder".to_owned()]
            }
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Write(WriteError::Output { .. }) => {
                vec!["choose a place that you may write to with `--output PATH`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// A client for one repository; nothing is asked yet.
fn client(
    session: &Session,
    access: &Access,
    repository: &Repository,
    purpose: Purpose,
) -> Result<Client, PublishError> {
    if session.net.is_offline() {
        let labels = vec![repository.to_string()];
        return Err(NetError::Offline { labels }.into());
    }
    Ok(Client::new(
        repository,
        purpose,
        access.clone(),
        Options::default(),
    )?)
}

/// Tells the session's reporter what a client does.
fn tell(session: &Session, progress: Progress<'_>) {
    let name = |digest: &Digest| format!("blob {}", &digest.hex()[..12]);
    match progress {
        Progress::There { digest, size } => session.reporter.event(Event::Download {
            label: &name(digest),
            done: size,
            total: Some(size),
        }),
        Progress::Sending { digest, done, size } => session.reporter.event(Event::Download {
            label: &name(digest),
            done,
            total: Some(size),
        }),
        Progress::Retry { why, .. } => session.reporter.event(Event::Retry {
            label: &why.tried,
            why: &why.cause.to_string(),
        }),
    }
}
