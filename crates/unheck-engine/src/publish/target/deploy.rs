//! An image → the target's repository, by digest; what serves is not touched.

use std::collections::BTreeSet;
use std::path::Path;

use unheck_base::Digest;
use unheck_deploy::{DeployReport, Deployed, ReleaseInfo, release_name};
use unheck_registry::push::Push;
use unheck_registry::{Document, Purpose};

use super::record::{Kept, NotWritten, Record, State};
use super::smoke::smoke;
use super::{Shop, TargetContext, TargetFault};
use crate::inside::look;
use crate::publish::{Attach, PublishError, Said, opened, push_one};

const DOING: &str = "deploy to";
const UNTOUCHED: &str = "what serves was not touched";
/// How often the record is read again because somebody else wrote it.
const ATTEMPTS: u32 = 5;

/// Pushes the image at `artifact` by digest, checks that the registry has all of it, and runs what the target says as
/// `smoke` in these bytes. Then bill of materials and provenance are put beside it as `push` does, the release is
/// written into the record, and last its tag is set. A call that ends before the record is written leaves no tag that
/// names the image; one that ends after it leaves a tag to be set, which the next call does (`keep_newest`).
///
/// # Errors
/// [`TargetFault`]; what was sent stays at the registry until it collects its garbage, so that the next call goes on.
pub fn deploy(
    context: TargetContext<'_>,
    artifact: &Path,
    attach: Attach<'_>,
) -> Result<Deployed, TargetFault> {
    let shop = Shop::open(context, "deploy", Purpose::Push);
    let shop = shop.map_err(|error| failed(context, error))?;
    let untouched = |error| shop.failed(DOING, UNTOUCHED, error);
    let (image, whole) = opened(artifact).map_err(untouched)?;
    let release = Release::of(&shop, artifact, &whole).map_err(untouched)?;
    let record = Record::read(&shop, DOING)?;
    shop.unlocked(&record.state, DOING)?;

    let session = context.session;
    let said = Said::of(session, artifact, &image, attach).map_err(untouched)?;
    let signed = said.signed(&shop.client).map_err(untouched)?;
    let pushed = push_one(session, &shop.client, &whole, &BTreeSet::new());
    let pushed = pushed.map_err(untouched)?;
    check(&shop, &whole)?;
    let not_run = match &context.target.smoke {
        Some(command) => smoke(context, &image, &whole, command)?,
        None => Vec::new(),
    };
    // From here on tags name something of it: where the registry keeps no list of what is attached, a tag does.
    signed.attach(session, &shop.client).map_err(untouched)?;
    let root = whole.manifests.last().expect("an image has a manifest");
    let already = release.note(&shop, root)?;
    Ok(Deployed {
        target: context.target.name.clone(),
        release: release.id,
        hosts: vec![DeployReport {
            host: context.target.repository.to_string(),
            already: already && pushed.sent == 0,
            files: pushed.blobs,
            bytes: pushed.sent,
            sent: pushed.sent,
            received: 0,
            round_trips: 0,
            not_run,
        }],
    })
}

fn failed(context: TargetContext<'_>, source: PublishError) -> TargetFault {
    TargetFault::Publish {
        doing: DOING,
        target: context.target.name.clone(),
        after: UNTOUCHED.to_owned(),
        source: Box::new(source),
    }
}

/// Each blob by its size, each manifest by its bytes: as the registry has them now.
fn check(shop: &Shop<'_>, whole: &Push) -> Result<(), TargetFault> {
    let untouched = |error| shop.failed(DOING, UNTOUCHED, error);
    let missing = |digest: &Digest| TargetFault::Missing {
        target: shop.context.target.name.clone(),
        what: digest.to_string(),
    };
    for blob in &whole.blobs {
        let there =
            shop.wait(async |heard| shop.client.has_blob(&blob.digest, blob.size, heard).await);
        if !there.map_err(untouched)? {
            return Err(missing(&blob.digest));
        }
    }
    for document in &whole.manifests {
        let digest = document.descriptor.digest;
        if shop.by_digest(digest).map_err(untouched)?.is_none() {
            return Err(missing(&digest));
        }
    }
    Ok(())
}

/// Sets the tag of the release that was deployed last, where a call ended before it did. Only that one can lack it: each
/// call that writes a release down comes here first.
pub(super) fn keep_newest(shop: &Shop<'_>, state: &State) -> Result<(), PublishError> {
    let Some(id) = state.newest() else {
        return Ok(());
    };
    let tag = shop.context.target.release_tag(id);
    if shop.digest_of(&tag)?.is_some() {
        return Ok(());
    }
    // Without a tag the registry may have collected it: then it must be deployed again, as `release` says.
    match shop.by_digest(state.releases[id].info.content)? {
        Some(document) => shop.put(&tag, &document),
        None => Ok(()),
    }
}

/// A release that is to be written down.
struct Release {
    id: String,
    kept: Kept,
}

impl Release {
    fn of(shop: &Shop<'_>, artifact: &Path, whole: &Push) -> Result<Self, PublishError> {
        let documents: Vec<Digest> = whole
            .manifests
            .iter()
            .map(|document| document.descriptor.digest)
            .collect();
        let content = *documents.last().expect("an image has a manifest");
        let insides = look(artifact).map_err(Box::new)?;
        let plain =
            |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(120).collect() };
        let said = |of: fn(&crate::inside::Inside) -> Option<&String>| {
            insides.iter().find_map(of).map(|text| plain(text))
        };
        let name = shop.client.repository().name();
        let name = name.rsplit('/').next().unwrap_or(name);
        let project = said(|inside| inside.project.as_ref()).unwrap_or_else(|| name.to_owned());
        let version = said(|inside| inside.version.as_ref());
        let mut seen = BTreeSet::new();
        let blobs = whole.blobs.iter().filter(|blob| seen.insert(blob.digest));
        Ok(Self {
            // No tag has a `+`.
            id: release_name(&project, version.as_deref(), &content).replace('+', "_"),
            kept: Kept {
                documents,
                info: ReleaseInfo {
                    content,
                    project,
                    version,
                    bytes: blobs.map(|blob| blob.size).sum(),
                    deployed: shop.entry.clone(),
                    order: 0,
                },
            },
        })
    }

    /// Writes it into the record as what was deployed last, unless it is that, and sets its tag. Whether it was there.
    fn note(&self, shop: &Shop<'_>, root: &Document) -> Result<bool, TargetFault> {
        let there = self.write(shop)?;
        let tag = shop.context.target.release_tag(&self.id);
        let failed = |error| {
            let after = "it is written down as deployed; the next call sets its tag";
            shop.failed(DOING, after, error)
        };
        if shop.digest_of(&tag).map_err(failed)? != Some(root.descriptor.digest) {
            shop.put(&tag, root).map_err(failed)?;
        }
        Ok(there)
    }

    fn write(&self, shop: &Shop<'_>) -> Result<bool, TargetFault> {
        let after = "the image is there, and is not written down yet";
        let mut attempts = 0;
        loop {
            let mut record = Record::read(shop, DOING)?;
            let there = record.state.releases.contains_key(&self.id);
            if there && record.state.newest() == Some(&self.id) {
                return Ok(true);
            }
            // A change now would look to whoever switches as if somebody switched as well.
            shop.unlocked(&record.state, DOING)?;
            keep_newest(shop, &record.state).map_err(|error| shop.failed(DOING, after, error))?;
            let mut kept = self.kept.clone();
            kept.info.order = record.state.next_order();
            record.state.releases.insert(self.id.clone(), kept);
            let line = shop.entry.about(&self.id, unheck_deploy::Outcome::Done);
            attempts += 1;
            match record.write(shop, &[line]) {
                Ok(()) => return Ok(there),
                Err(NotWritten::Changed) if attempts < ATTEMPTS => {}
                Err(error) => return Err(shop.not_written(DOING, after, error)),
            }
        }
    }
}
