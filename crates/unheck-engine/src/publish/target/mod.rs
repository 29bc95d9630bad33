//! A target that is a repository of a registry: images by digest, and one tag that serves. Start at [`deploy()`] and
//! [`release()`]; the module `record` says what is kept where.
//!
//! | tag | what |
//! |---|---|
//! | `TAG` | the image that serves: moved by one request |
//! | `TAG-previous` | the one before it |
//! | `TAG-RELEASE` | a release: keeps its image from being collected |
//! | `TAG-releases` | the record: releases, lock, audit log |
//!
//! The distribution-spec has no compare-and-swap. So before and after each step that counts the record is looked at
//! again: whoever came between is noticed, unless both writes are within the milliseconds between the look and
//! the write. What serves is whatever the tag names, in any case a whole image.

mod config;
mod deploy;
mod error;
mod health;
mod prune;
mod record;
mod release;
mod smoke;
mod status;

use std::hash::{BuildHasher as _, Hasher as _};

use record::{Held, NotWritten, State};
use unheck_base::Digest;
use unheck_deploy::{By, Entry};
use unheck_oci::image::Descriptor;
use unheck_registry::{Access, Blob, Client, Document, Progress, Purpose, RegistryError};

use super::{PublishError, client, tell};
use crate::session::Session;

pub use config::{RegistryTarget, WebHealth};
pub use deploy::deploy;
pub use error::{Ill, Printed, TargetFault};
pub use prune::prune;
pub use release::release;
pub use status::status;

/// What every verb works with.
#[derive(Clone, Copy)]
pub struct TargetContext<'a> {
    /// Network and store.
    pub session: &'a Session,
    /// Logins.
    pub access: &'a Access,
    /// The target.
    pub target: &'a RegistryTarget,
    /// Who acts, and when.
    pub by: &'a By,
    /// Takes the lock away from somebody who may still be at it.
    pub steal: bool,
}

/// A repository that is being worked on.
struct Shop<'a> {
    context: TargetContext<'a>,
    client: Client,
    /// Who acts here, for the audit log.
    entry: Entry,
}

impl<'a> Shop<'a> {
    fn open(
        context: TargetContext<'a>,
        what: &str,
        purpose: Purpose,
    ) -> Result<Self, PublishError> {
        let repository = &context.target.repository;
        Ok(Self {
            client: client(context.session, context.access, repository, purpose)?,
            entry: context.by.entry("", what),
            context,
        })
    }

    /// The digest that a tag names, or a digest itself where it is there.
    fn digest_of(&self, target: &str) -> Result<Option<Digest>, PublishError> {
        self.wait(async |heard| self.client.digest_of(target, heard).await)
    }

    /// The manifest or index that a tag names.
    fn document(&self, tag: &str) -> Result<Option<Document>, PublishError> {
        let reference = self.client.repository().tagged(tag);
        let Ok(reference) = reference else {
            return Ok(None);
        };
        self.wait(async |heard| self.client.find_manifest(&reference, heard).await)
    }

    /// The manifest or index with a digest.
    fn by_digest(&self, digest: Digest) -> Result<Option<Document>, PublishError> {
        let reference = self.client.repository().at(digest);
        self.wait(async |heard| self.client.find_manifest(&reference, heard).await)
    }

    /// Makes a tag name a manifest.
    fn put(&self, tag: &str, document: &Document) -> Result<(), PublishError> {
        self.wait(async |heard| self.client.put_manifest(tag, document, heard).await)
            .map(drop)
    }

    /// Sends a blob where it is not there.
    fn send(&self, blob: &Blob) -> Result<(), PublishError> {
        self.wait(async |heard| self.client.push_blob(blob, &[], heard).await)
            .map(drop)
    }

    /// A blob of at most `limit` bytes.
    fn blob(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, PublishError> {
        self.wait(async |heard| self.client.small_blob(blob, limit, heard).await)
    }

    /// The error of a verb, with what is the case now.
    fn failed(
        &self,
        doing: &'static str,
        after: impl Into<String>,
        source: PublishError,
    ) -> TargetFault {
        TargetFault::Publish {
            doing,
            target: self.context.target.name.clone(),
            after: after.into(),
            source: Box::new(source),
        }
    }

    /// As [`Shop::failed`], of a record that was not written.
    fn not_written(
        &self,
        doing: &'static str,
        after: impl Into<String>,
        error: NotWritten,
    ) -> TargetFault {
        match error {
            NotWritten::Publish(error) => self.failed(doing, after, error),
            NotWritten::Changed => TargetFault::Changed {
                doing,
                target: self.context.target.name.clone(),
                tag: self.context.target.record_tag(),
                after: after.into(),
            },
        }
    }

    /// Refuses where somebody else holds the lock.
    fn unlocked(&self, state: &State, doing: &'static str) -> Result<(), TargetFault> {
        let held = state.lock.as_ref();
        match held.filter(|held| held.until > self.context.by.now && !self.context.steal) {
            None => Ok(()),
            Some(held) => Err(TargetFault::Locked {
                doing,
                target: self.context.target.name.clone(),
                holder: held.by.told(),
            }),
        }
    }

    /// A lock of this call, for so many seconds.
    fn lock(&self, seconds: u64) -> Held {
        // Different in each process and each call; nothing secret.
        let random = std::hash::RandomState::new().build_hasher().finish();
        Held {
            by: self.entry.clone(),
            until: self.context.by.now.saturating_add_unsigned(seconds),
            session: format!("{random:016x}"),
        }
    }

    /// Waits for the client.
    fn wait<T>(
        &self,
        work: impl AsyncFnOnce(&(dyn Fn(Progress<'_>) + Sync)) -> Result<T, RegistryError>,
    ) -> Result<T, PublishError> {
        let session = self.context.session;
        let heard = |progress: Progress<'_>| tell(session, progress);
        Ok(session.net.block_on(work(&heard))?)
    }
}
