//! Old releases go from the repository, never the one that serves or the one before it.
//!
//! What other tags name stays as well, whoever set them: registries remove a manifest with all its tags.

use std::collections::BTreeSet;

use unheck_base::Digest;
use unheck_deploy::{Outcome, PruneReport, Pruned, newest};
use unheck_registry::referrers::fallback_tag;
use unheck_registry::{Purpose, Removal};

use super::record::Record;
use super::release::repair;
use super::{Shop, TargetContext, TargetFault};
use crate::publish::PublishError;

const DOING: &str = "prune";
const UNTOUCHED: &str = "what serves was not touched";
/// How long the lock counts, in seconds.
const LOCKED: u64 = 900;

/// Removes all but the newest releases. Their blobs go when the registry collects its garbage.
///
/// # Errors
/// [`TargetFault`]; every removal that was done stays done.
pub fn prune(context: TargetContext<'_>, keep: u32) -> Result<Pruned, TargetFault> {
    let target = context.target;
    let shop =
        Shop::open(context, "prune", Purpose::Remove).map_err(|source| TargetFault::Publish {
            doing: DOING,
            target: target.name.clone(),
            after: UNTOUCHED.to_owned(),
            source: Box::new(source),
        })?;
    let failed = |error| shop.failed(DOING, UNTOUCHED, error);
    let mut record = Record::read(&shop, DOING)?;
    shop.unlocked(&record.state, DOING)?;
    repair(&shop, &mut record, DOING)?;
    let serving = [&target.tag, &target.previous_tag()].map(|tag| shop.digest_of(tag));
    let mut needed = BTreeSet::new();
    for digest in serving {
        needed.extend(digest.map_err(failed)?);
    }
    needed.extend(record.state.previous);
    needed.extend(record.state.released.as_ref().map(|served| served.digest));
    let releases = record.state.releases.iter();
    let ranked = releases.map(|(id, kept)| (Some(kept.info.rank()), id.clone()));
    let (kept, removed) = newest(ranked.collect(), keep, |id| {
        needed.contains(&record.state.releases[id].info.content)
    });
    let report = |kept, removed| Pruned {
        target: target.name.clone(),
        hosts: vec![PruneReport {
            host: target.repository.to_string(),
            removed,
            kept,
            bytes: 0,
        }],
    };
    if removed.is_empty() {
        return Ok(report(kept, removed));
    }
    record.state.lock = Some(shop.lock(LOCKED));
    let changed = |error| shop.not_written(DOING, UNTOUCHED, error);
    record.write(&shop, &[]).map_err(changed)?;
    let result = sweep(&shop, &mut record, &removed);
    // Also after a failure: what is gone is written down, and nobody is locked out.
    record.state.lock = None;
    let lines: Vec<_> = removed
        .iter()
        .filter(|id| !record.state.releases.contains_key(*id))
        .map(|id| shop.entry.about(id, Outcome::Done))
        .collect();
    let written = record.write(&shop, &lines).map_err(changed);
    result?;
    written?;
    Ok(report(kept, removed))
}

/// Removes releases, and forgets each that is gone.
fn sweep(shop: &Shop<'_>, record: &mut Record, removed: &[String]) -> Result<(), TargetFault> {
    let failed = |error| shop.failed(DOING, UNTOUCHED, error);
    let target = shop.context.target;
    let own: BTreeSet<String> = removed.iter().map(|id| target.release_tag(id)).collect();
    let stays = named_by_others(shop, &own).map_err(failed)?;
    for id in removed {
        if !record.is_ours(shop).map_err(failed)? {
            let changed = super::NotWritten::Changed;
            return Err(shop.not_written(DOING, UNTOUCHED, changed));
        }
        // The last is the release itself: without it the others are nothing.
        for digest in record.state.releases[id].documents.iter().rev() {
            if stays.contains(digest) {
                continue;
            }
            if remove(shop, digest).map_err(failed)? == Removal::Refused {
                return Err(TargetFault::NoRemoval {
                    target: target.name.clone(),
                });
            }
            // What is said about it; whatever is left of that is the registry's to collect.
            if let Err(error) = remove_attached(shop, digest) {
                tracing::debug!(%digest, "attachments stay: {error}");
            }
        }
        // A tag that names what others name too goes alone, where a registry can do that.
        drop(shop.wait(async |heard| {
            shop.client
                .remove_manifest(&target.release_tag(id), heard)
                .await
        }));
        record.state.releases.remove(id);
    }
    Ok(())
}

/// All manifests and indexes below the tags of the repository, but for these tags.
fn named_by_others(
    shop: &Shop<'_>,
    but: &BTreeSet<String>,
) -> Result<BTreeSet<Digest>, PublishError> {
    let tags = shop.wait(async |heard| shop.client.tags(heard).await)?;
    let mut stays = BTreeSet::new();
    for tag in tags {
        // Lists of what is attached stand under such tags, and go with what they are about.
        if but.contains(&tag) || tag.starts_with("sha256-") {
            continue;
        }
        let Some(digest) = shop.digest_of(&tag)? else {
            continue;
        };
        if !stays.insert(digest) {
            continue;
        }
        let reference = shop.client.repository().at(digest);
        let image = shop.wait(async |heard| {
            unheck_registry::pull::image(&shop.client, &reference, None, heard).await
        })?;
        stays.extend(
            image
                .documents
                .iter()
                .map(|document| document.descriptor.digest),
        );
    }
    Ok(stays)
}

fn remove(shop: &Shop<'_>, digest: &Digest) -> Result<Removal, PublishError> {
    let target = digest.to_string();
    shop.wait(async |heard| shop.client.remove_manifest(&target, heard).await)
}

/// Removes the artifacts about a manifest, and the list of them where it stands under a tag.
fn remove_attached(shop: &Shop<'_>, subject: &Digest) -> Result<(), PublishError> {
    let attached = shop.wait(async |heard| shop.client.referrers(subject, None, heard).await)?;
    for one in attached {
        remove(shop, &one.digest)?;
    }
    if let Some(list) = shop.digest_of(&fallback_tag(subject))? {
        remove(shop, &list)?;
    }
    Ok(())
}
