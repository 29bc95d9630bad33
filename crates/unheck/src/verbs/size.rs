//! `unheck size`.

use std::path::{Path, PathBuf};

use unheck_engine::explain::{Class, Explain};
use unheck_engine::size::{Estimate, PlatformSize, TrimView, Update, measure};

use super::Context;
use crate::cli::SizeArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{bytes, clean, count, table};

/// Origins that are shown without `-v`.
const SHOWN: usize = 25;

/// The page cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the page `{path}`", path = path.display())]
struct WritePageError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Explain for WritePageError {
    fn class(&self) -> Class {
        match self.source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Class::Limit,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        vec!["choose a place that you may write to with `--html FILE`".to_owned()]
    }
}

pub(super) fn size(args: &SizeArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let compare = args.against.is_some();
    let open = |path: &Path| crate::open::artifact(path, &args.registry, context);
    let artifact = open(&args.artifact)?;
    let measured = measure(artifact.path(), compare)?;
    let against = args.against.as_deref().map(open).transpose()?;
    let other = match &against {
        Some(other) => Some(measure(other.path(), compare)?),
        None => None,
    };
    let report = measured.report(other.as_ref());
    if let Some(path) = &args.html {
        let page = measured.page(other.as_ref());
        let failed = |source| WritePageError {
            path: path.clone(),
            source,
        };
        crate::whole::write(path, page.as_bytes()).map_err(failed)?;
        context.ui.say(&format!("page: {}", path.display()));
    }
    let parts: Vec<String> = report
        .platforms
        .iter()
        .map(|one| render(one, context.ui.verbose))
        .collect();
    context.ui.data(&parts.join("\n\n"), &report)?;
    Ok(exit::DONE)
}

fn render(one: &PlatformSize, all: bool) -> String {
    let about = match one.estimate {
        Estimate::Stream => "about, by their part of a Zstandard stream",
        Estimate::Proportional => "about, in proportion",
    };
    let layers = one.layers.iter().map(|layer| {
        let what = format!(
            "{} ({} unpacked, {})",
            clean(&layer.name),
            bytes(layer.uncompressed),
            count(layer.files, "file")
        );
        (bytes(layer.compressed), what)
    });
    let kinds = one.kinds.iter().map(|kind| {
        let name = kind.kind.to_string();
        sums(&name, kind.bytes, kind.compressed, kind.files)
    });
    let mut text = format!(
        "{}: {} compressed, {} unpacked, {}\nlayers, compressed:\n{}\norigins, unpacked (compressed {about}):\n{}\nkinds of files, unpacked (compressed {about}):\n{}",
        clean(&one.platform),
        bytes(one.compressed),
        bytes(one.uncompressed),
        count(one.files, "file"),
        table(&layers.collect::<Vec<_>>()),
        table(&origins(one, all)),
        table(&kinds.collect::<Vec<_>>()),
    );
    text.push_str(&trim(&one.trim));
    if let Some(update) = &one.update {
        text.push_str(&changes(update, all));
    }
    text
}

/// A row: unpacked bytes, then name, compressed bytes and files.
fn sums(name: &str, unpacked: u64, compressed: u64, files: u64) -> (String, String) {
    let what = format!(
        "{} ({}, {})",
        clean(name),
        bytes(compressed),
        count(files, "file")
    );
    (bytes(unpacked), what)
}

fn origins(one: &PlatformSize, all: bool) -> Vec<(String, String)> {
    let shown = if all { one.origins.len() } else { SHOWN };
    let row = |origin: &unheck_engine::size::OriginSize| {
        sums(
            &origin.origin,
            origin.bytes,
            origin.compressed,
            origin.files,
        )
    };
    let mut rows: Vec<(String, String)> = one.origins.iter().take(shown).map(row).collect();
    let rest: Vec<_> = one.origins.iter().skip(shown).collect();
    if !rest.is_empty() {
        let sum = rest.iter().map(|origin| origin.bytes).sum();
        rows.push((
            bytes(sum),
            format!("{} (shown with -v)", count(rest.len() as u64, "other")),
        ));
    }
    rows
}

/// What each level would still leave out, and what that costs.
fn trim(levels: &[TrimView]) -> String {
    let mut text = String::new();
    for level in levels {
        let name = &level.level;
        if let Some(unknown) = &level.unknown {
            text.push_str(&format!("\n`--trim {name}`: {unknown}"));
            continue;
        }
        if level.parts.is_empty() {
            text.push_str(&format!("\n`--trim {name}` would leave out nothing more"));
            continue;
        }
        let rows = level.parts.iter().map(|part| {
            let what = format!(
                "{} ({}, {}); costs: {}",
                clean(&part.reason),
                bytes(part.compressed),
                count(part.files, "file"),
                clean(&part.cost.join("; "))
            );
            (bytes(part.bytes), what)
        });
        text.push_str(&format!(
            "\n`--trim {name}` would leave out {} more (compressed about {}):\n{}",
            bytes(level.bytes),
            bytes(level.compressed),
            table(&rows.collect::<Vec<_>>())
        ));
    }
    text
}

fn changes(update: &Update, all: bool) -> String {
    let layers = update.layers.iter().map(|layer| {
        let what = if layer.transferred == 0 {
            format!("{} (there already)", clean(&layer.name))
        } else {
            clean(&layer.name)
        };
        (bytes(layer.transferred), what)
    });
    let there = if update.has_platform {
        ""
    } else {
        "; the other artifact does not have this platform"
    };
    let mut text = format!(
        "\nan update sends {}, {} are there already{there}:\n{}",
        bytes(update.transferred),
        bytes(update.reused),
        table(&layers.collect::<Vec<_>>())
    );
    let shown = if all { update.origins.len() } else { SHOWN };
    let mut rows: Vec<(String, String)> = Vec::new();
    for one in update.origins.iter().take(shown) {
        let sign = if one.difference < 0 { "-" } else { "+" };
        let parts = [
            (one.added.files, "new"),
            (one.changed.files, "changed"),
            (one.removed.files, "gone"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(files, _)| *files > 0)
            .map(|(files, what)| format!("{files} {what}"))
            .collect();
        rows.push((
            format!("{sign}{}", bytes(one.difference.unsigned_abs())),
            format!("{} (files: {})", clean(&one.origin), parts.join(", ")),
        ));
    }
    if update.origins.len() > shown {
        let rest = (update.origins.len() - shown) as u64;
        rows.push((
            String::new(),
            format!("{} (shown with -v)", count(rest, "other")),
        ));
    }
    if rows.is_empty() {
        text.push_str("\nno file is different");
    } else {
        text.push_str(&format!("\nwho changed, unpacked:\n{}", table(&rows)));
    }
    text
}
