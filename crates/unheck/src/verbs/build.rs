//! `unheck build`.

use std::collections::BTreeMap;

use serde::Serialize;
use unheck_engine::build::{
    BuildError, BuildRequest, Built, BuiltPlatform, build as make, plan_lock,
};
use unheck_engine::finding::Finding;
use unheck_engine::form::{Format, Libs};
use unheck_engine::input::app_files;
use unheck_engine::locker::wants;
use unheck_engine::publish::{PublishError, PushedImage};
use unheck_engine::steps::TrimLevel;
use unheck_engine::write::Sizes;

use super::known::Known;
use super::lock::{TargetJson, say, targets};
use super::push::{What, push_to, references, say as say_pushed};
use super::sbom::write_beside;
use super::{Context, Opened, open_with_kit};
use crate::cli::BuildArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{Ui, bytes, clean, count, table};

/// Origins that the summary shows without `-v`.
const SHOWN: usize = 10;

/// `schemas/build.json`.
#[derive(Serialize)]
struct BuiltJson<'a> {
    format: &'static str,
    libs: &'static str,
    path: String,
    digest: String,
    size: u64,
    unchanged: bool,
    locked: bool,
    platforms: Vec<PlatformJson<'a>>,
    findings: &'a [Finding],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pushed: &'a [PushedImage],
}

#[derive(Serialize)]
struct PlatformJson<'a> {
    platform: String,
    python: &'a str,
    entrypoint: &'a [String],
    compressed: u64,
    layers: Vec<LayerJson<'a>>,
    files: u64,
    origins: &'a BTreeMap<String, u64>,
    unpacked: Sizes,
    trimmed: Vec<TrimmedJson<'a>>,
}

#[derive(Serialize)]
struct LayerJson<'a> {
    name: String,
    digest: String,
    compressed: u64,
    uncompressed: u64,
    files: u64,
    origins: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct TrimmedJson<'a> {
    reason: &'a str,
    files: u64,
    bytes: u64,
}

/// `schemas/plan.json`.
#[derive(Serialize)]
struct PlanJson {
    output: String,
    lock_is_new: bool,
    targets: Vec<TargetJson>,
    downloads: usize,
    download_bytes: u64,
}

pub(super) fn build(args: &BuildArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let opened = open_with_kit(&args.choices, &args.kit, context)?;
    let request = opened.settings.build_request(args, &opened.project);
    if !args.push.is_empty() && request.format != Format::Image {
        return Err(PublishError::NoImage {
            path: request.output,
            format: request.format,
        }
        .into());
    }
    if let Some(module) = args.leave_out.first()
        && request.trim < TrimLevel::Imports
    {
        let (module, level) = (module.clone(), request.trim);
        return Err(BuildError::LeaveOutLevel { module, level }.into());
    }
    if args.dry_run {
        return dry_run(&opened, &request, context);
    }
    let built = make(&opened.session, &opened.project, &request);
    opened.progress.finish();
    let built = built?;
    summary(&built, context.ui);
    context.ui.findings(&built.findings);
    if context.ui.verbose {
        context.ui.say(&opened.progress.times());
    }
    let known = Known::of_build(&opened.project, request.dumps.clone())?;
    if let Some(output) = &args.sbom {
        let made = (built.image.path.as_path(), &known);
        write_beside(&opened.session, made, output, context.ui)?;
    }
    let mut text = built.image.path.display().to_string();
    let mut pushed = Vec::new();
    if !args.push.is_empty() {
        let what = What {
            artifact: &built.image.path,
            references: &args.push,
            registry: &args.registry,
            attach: &args.attach,
            known: &known,
            project: Some(&opened.project),
        };
        let done = push_to(&opened.session, what, context);
        opened.progress.finish();
        pushed = done?;
        say_pushed(context.ui, &pushed);
        text = references(&pushed);
    }
    context.ui.data(&text, &BuiltJson::of(&built, &pushed))?;
    Ok(exit::DONE)
}

/// Locks without writing the lock, and says what would be fetched and made.
fn dry_run(
    opened: &Opened,
    request: &BuildRequest,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let Opened {
        project,
        session,
        progress,
        ..
    } = opened;
    let app = app_files(project)?;
    let planned = plan_lock(session, project, (&request.lock, request.mode), &app);
    progress.finish();
    let (lock, lock_is_new) = planned?;
    let missing: Vec<_> = wants(session, &lock, lock.used_here())
        .into_iter()
        .filter(|want| !session.net.is_near(&want.digest))
        .collect();
    let download_bytes = missing.iter().filter_map(|want| want.size).sum();
    say(context.ui, &lock);
    if lock_is_new {
        context.ui.say("the lock would be written");
    }
    context.ui.say(&format!(
        "{} to download, {}",
        count(missing.len() as u64, "file"),
        bytes(download_bytes)
    ));
    let output = request.output.display().to_string();
    let value = PlanJson {
        output: output.clone(),
        lock_is_new,
        targets: targets(&lock),
        downloads: missing.len(),
        download_bytes,
    };
    context.ui.data(&output, &value)?;
    Ok(exit::DONE)
}

impl<'a> BuiltJson<'a> {
    fn of(built: &'a Built, pushed: &'a [PushedImage]) -> Self {
        Self {
            format: built.format.name(),
            libs: built.libs.name(),
            path: built.image.path.display().to_string(),
            digest: built.image.digest.to_string(),
            size: built.image.size,
            unchanged: built.image.unchanged,
            locked: built.locked,
            platforms: built.platforms.iter().map(PlatformJson::of).collect(),
            findings: &built.findings,
            pushed,
        }
    }
}

impl<'a> PlatformJson<'a> {
    fn of(platform: &'a BuiltPlatform) -> Self {
        let layer = |written: &'a unheck_engine::layers::WrittenLayer| LayerJson {
            name: written.name.to_string(),
            digest: written.layer.digest.to_string(),
            compressed: written.layer.size,
            uncompressed: written.layer.uncompressed_size,
            files: written.files,
            origins: &written.sizes,
        };
        Self {
            platform: platform.platform.to_string(),
            python: &platform.python,
            entrypoint: &platform.entrypoint,
            compressed: compressed(platform),
            layers: platform.layers.iter().map(layer).collect(),
            files: files(platform),
            origins: &platform.origins,
            unpacked: platform.sizes,
            trimmed: platform
                .trimmed
                .iter()
                .map(|(reason, (files, bytes))| TrimmedJson {
                    reason,
                    files: *files,
                    bytes: *bytes,
                })
                .collect(),
        }
    }
}

fn files(platform: &BuiltPlatform) -> u64 {
    let in_layers: u64 = platform.layers.iter().map(|layer| layer.files).sum();
    in_layers + platform.files
}

fn compressed(platform: &BuiltPlatform) -> u64 {
    platform.layers.iter().map(|layer| layer.layer.size).sum()
}

/// Layers, origins, what was left out, digest.
fn summary(built: &Built, ui: &Ui) {
    for platform in &built.platforms {
        ui.say(&platform_summary(built.format, platform, ui.verbose));
        ui.say(&libraries(built, platform));
    }
    let state = if built.image.unchanged {
        "unchanged"
    } else {
        "written"
    };
    ui.say(&format!(
        "{state}: {}, {}",
        bytes(built.image.size),
        built.image.digest
    ));
}

/// Both answers to whose libraries are used, side by side.
fn libraries(built: &Built, platform: &BuiltPlatform) -> String {
    let mark = |libs: Libs| {
        if built.libs == libs { ", as built" } else { "" }
    };
    let rows = [
        (
            bytes(platform.sizes.with_libraries),
            format!(
                "static: with loader, libc and all libraries{}",
                mark(Libs::Static)
            ),
        ),
        (
            bytes(platform.sizes.without),
            format!("dynamic: on the host's libraries{}", mark(Libs::Dynamic)),
        ),
    ];
    format!("libraries, unpacked:\n{}", table(&rows))
}

fn platform_summary(format: Format, platform: &BuiltPlatform, all: bool) -> String {
    let head = format!("{}: Python {}", platform.platform, clean(&platform.python));
    let entry = clean(&platform.entrypoint.join(" "));
    let mut text = match format {
        Format::Image => format!(
            "{head}, {} compressed, starts `{entry}`\nlayers, compressed:\n",
            bytes(compressed(platform)),
        ),
        _ => format!(
            "{head}, {} unpacked in {}, starts `{entry}`",
            bytes(platform.origins.values().sum()),
            count(platform.files, "file"),
        ),
    };
    let layers: Vec<(String, String)> = platform
        .layers
        .iter()
        .map(|layer| {
            (
                bytes(layer.layer.size),
                format!(
                    "{} ({})",
                    clean(&layer.name.to_string()),
                    count(layer.files, "file")
                ),
            )
        })
        .collect();
    text.push_str(&table(&layers));
    text.push_str("\norigins, unpacked:\n");
    text.push_str(&table(&origins(
        platform,
        if all { usize::MAX } else { SHOWN },
    )));
    if !platform.trimmed.is_empty() {
        text.push_str("\nleft out:\n");
        let rows: Vec<(String, String)> = platform
            .trimmed
            .iter()
            .map(|(reason, (files, size))| {
                (
                    bytes(*size),
                    format!("{} ({})", clean(reason), count(*files, "file")),
                )
            })
            .collect();
        text.push_str(&table(&rows));
    }
    text
}

/// The biggest origins, then the rest in one row.
fn origins(platform: &BuiltPlatform, shown: usize) -> Vec<(String, String)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let in_layers = platform.layers.iter().flat_map(|layer| &layer.sizes);
    for (origin, size) in in_layers.chain(&platform.origins) {
        *sums.entry(origin).or_default() += size;
    }
    let mut list: Vec<(&str, u64)> = sums.into_iter().collect();
    list.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    let rest: u64 = list.iter().skip(shown).map(|(_, size)| size).sum();
    let mut rows: Vec<(String, String)> = list
        .iter()
        .take(shown)
        .map(|(origin, size)| (bytes(*size), clean(origin)))
        .collect();
    if list.len() > shown {
        rows.push((bytes(rest), count((list.len() - shown) as u64, "other")));
    }
    rows
}
