//! `unheck cache dir|size|prune`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use unheck_store::PruneOptions;

use super::Context;
use crate::cli::CacheVerb;
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings::Cache;
use crate::ui::{bytes, clean, count, table};

const DAY: u64 = 24 * 60 * 60;

/// `schemas/cache-dir.json`.
#[derive(Serialize)]
struct DirJson {
    path: String,
}

/// `schemas/cache-size.json`.
#[derive(Serialize)]
struct SizeJson {
    path: String,
    bytes: u64,
    kinds: Vec<KindJson>,
}

#[derive(Serialize)]
struct KindJson {
    kind: String,
    files: u64,
    bytes: u64,
}

/// `schemas/cache-prune.json`.
#[derive(Serialize)]
struct PruneJson {
    removed: u64,
    bytes: u64,
}

pub(super) fn cache(what: &CacheVerb, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let cache = Cache::find(context.common, context.surroundings)?;
    match what {
        CacheVerb::Dir => {
            let path = cache.root.display().to_string();
            context.ui.data(&path.clone(), &DirJson { path })?;
        }
        CacheVerb::Size => size(&cache, context)?,
        CacheVerb::Prune { unused_for } => prune(&cache, *unused_for, context)?,
    }
    Ok(exit::DONE)
}

fn size(cache: &Cache, context: Context<'_>) -> Result<(), CliError> {
    let usage = crate::open::store(cache)?
        .usage()
        .map_err(CliError::Cache)?;
    let mut kinds: Vec<KindJson> = usage
        .into_iter()
        .map(|usage| KindJson {
            kind: usage.kind,
            files: usage.files,
            bytes: usage.bytes,
        })
        .collect();
    let (files, resolver) = measure(&cache.resolver())?;
    kinds.push(KindJson {
        kind: "resolver".to_owned(),
        files,
        bytes: resolver,
    });
    let total = kinds.iter().map(|kind| kind.bytes).sum();
    let mut rows: Vec<(String, String)> = kinds
        .iter()
        .map(|kind| {
            (
                bytes(kind.bytes),
                format!("{} ({})", clean(&kind.kind), count(kind.files, "file")),
            )
        })
        .collect();
    rows.push((bytes(total), "in all".to_owned()));
    let value = SizeJson {
        path: cache.root.display().to_string(),
        bytes: total,
        kinds,
    };
    context.ui.data(&table(&rows), &value)
}

fn prune(cache: &Cache, days: u32, context: Context<'_>) -> Result<(), CliError> {
    let unused_for = Duration::from_secs(u64::from(days) * DAY);
    let options = PruneOptions {
        unused_for,
        keep: BTreeSet::new(),
    };
    let pruned = crate::open::store(cache)?
        .prune(&options)
        .map_err(CliError::Cache)?;
    let text = format!(
        "{} removed, {}",
        count(pruned.removed, "thing"),
        bytes(pruned.bytes)
    );
    context.ui.data(
        &text,
        &PruneJson {
            removed: pruned.removed,
            bytes: pruned.bytes,
        },
    )
}

/// Files below a directory and the sum of their lengths; links are not followed.
fn measure(directory: &Path) -> Result<(u64, u64), CliError> {
    let (mut files, mut bytes) = (0, 0);
    let mut queue = vec![directory.to_owned()];
    while let Some(directory) = queue.pop() {
        let entries = match fs_err::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(CliError::Walk(error)),
        };
        for entry in entries {
            let entry = entry.map_err(CliError::Walk)?;
            // A file that vanishes meanwhile is not counted.
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.is_dir() {
                queue.push(entry.path());
            } else {
                files += 1;
                bytes += found.len();
            }
        }
    }
    Ok((files, bytes))
}
