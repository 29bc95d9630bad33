//! What an update from another artifact to this one transfers, and who grew. Start at [`update`].
//!
//! A host or registry that has a blob is not sent it again, so a layer costs its blob's bytes or
//! nothing. What changed inside is counted unpacked, by digest of each file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Part;

/// An update from another artifact, for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Update {
    /// Whether the other artifact has this platform; else everything is new.
    pub has_platform: bool,
    /// Bytes of the layers that the other artifact does not have.
    pub transferred: u64,
    /// Bytes of the layers that it has already.
    pub reused: u64,
    /// The layers, the lowest first.
    pub layers: Vec<UpdateLayer>,
    /// Who changed, the biggest difference first.
    pub origins: Vec<OriginChange>,
}

/// One layer of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdateLayer {
    /// What unheck called it, else its number.
    pub name: String,
    /// The blob's digest.
    pub digest: String,
    /// Bytes that are sent: all of the blob or none.
    pub transferred: u64,
}

/// What changed of one origin, in bytes unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginChange {
    /// Such as `deb libc6`.
    pub origin: String,
    /// Files that are new.
    pub added: Sum,
    /// Files that are gone.
    pub removed: Sum,
    /// Files that are other bytes now: how many, and their bytes before and after.
    pub changed: Changed,
    /// Bytes more than before, or less.
    pub difference: i64,
}

/// Files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Files that changed, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// How many.
    pub files: u64,
    /// Their bytes before.
    pub before: u64,
    /// Their bytes after.
    pub after: u64,
}

/// What happened to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is the same.
    None,
    /// It is new.
    Added,
    /// It has other bytes.
    Changed,
}

/// What an update from `old` to `new` transfers; `old` is the same platform of the other artifact.
pub(super) fn update(new: &Part, old: Option<&Part>) -> Update {
    let there: BTreeSet<_> = old
        .into_iter()
        .flat_map(|old| &old.inside.layers)
        .map(|layer| layer.digest)
        .collect();
    let layers: Vec<UpdateLayer> = new
        .inside
        .layers
        .iter()
        .map(|layer| UpdateLayer {
            name: layer.name.clone(),
            digest: layer.digest.to_string(),
            transferred: if there.contains(&layer.digest) {
                0
            } else {
                layer.size
            },
        })
        .collect();
    let all: u64 = new.inside.layers.iter().map(|layer| layer.size).sum();
    let transferred = layers.iter().map(|layer| layer.transferred).sum();
    Update {
        has_platform: old.is_some(),
        transferred,
        reused: all - transferred,
        layers,
        origins: origins(new, old),
    }
}

fn origins(new: &Part, old: Option<&Part>) -> Vec<OriginChange> {
    let mut changes: BTreeMap<String, (Sum, Sum, Changed)> = BTreeMap::new();
    for (path, file) in &new.inside.files {
        let what = change(new, old, path);
        if what == Change::None {
            continue;
        }
        let (added, _, changed) = changes.entry(file.origin.to_string()).or_default();
        if what == Change::Added {
            added.files += 1;
            added.bytes += file.size;
        } else {
            changed.files += 1;
            changed.after += file.size;
            changed.before += old
                .and_then(|old| old.inside.files.get(path))
                .map_or(0, |file| file.size);
        }
    }
    for (path, file) in old.into_iter().flat_map(|old| &old.inside.files) {
        if !new.inside.files.contains_key(path) {
            let (_, removed, _) = changes.entry(file.origin.to_string()).or_default();
            removed.files += 1;
            removed.bytes += file.size;
        }
    }
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut changes: Vec<OriginChange> = changes
        .into_iter()
        .map(|(origin, (added, removed, changed))| OriginChange {
            origin,
            added,
            removed,
            changed,
            difference: signed(added.bytes)
                .saturating_add(signed(changed.after))
                .saturating_sub(signed(removed.bytes))
                .saturating_sub(signed(changed.before)),
        })
        .collect();
    changes.sort_by(|one, other| {
        let order = other
            .difference
            .unsigned_abs()
            .cmp(&one.difference.unsigned_abs());
        order.then_with(|| one.origin.cmp(&other.origin))
    });
    changes
}

/// What happened to the file at `path` of `new`.
pub(super) fn change(new: &Part, old: Option<&Part>, path: &unheck_base::TreePath) -> Change {
    let Some(old) = old else {
        return Change::Added;
    };
    let (Some(file), Some(before)) = (new.inside.files.get(path), old.inside.files.get(path))
    else {
        return Change::Added;
    };
    let digest = |part: &Part| part.sized.get(path).and_then(|sized| sized.digest);
    let same = file.size == before.size && file.link == before.link && digest(new) == digest(old);
    if same { Change::None } else { Change::Changed }
}
