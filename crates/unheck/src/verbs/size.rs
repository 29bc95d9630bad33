//! `unheck size`.

use unheck_engine::size::{PlatformSize, size as measure};

use super::Context;
use crate::cli::SizeArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{bytes, clean, count, table};

/// Origins that are shown without `-v`.
const SHOWN: usize = 25;

pub(super) fn size(args: &SizeArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let report = measure(&args.artifact)?;
    let parts: Vec<String> = report
        .platforms
        .iter()
        .map(|one| render(one, context.ui.verbose))
        .collect();
    context.ui.data(&parts.join("\n\n"), &report)?;
    Ok(exit::DONE)
}

fn render(one: &PlatformSize, all: bool) -> String {
    let layers: Vec<(String, String)> = one
        .layers
        .iter()
        .map(|layer| {
            let what = format!(
                "{} ({} unpacked, {})",
                clean(&layer.name),
                bytes(layer.uncompressed),
                count(layer.files, "file")
            );
            (bytes(layer.compressed), what)
        })
        .collect();
    let shown = if all { one.origins.len() } else { SHOWN };
    let mut origins: Vec<(String, String)> = one
        .origins
        .iter()
        .take(shown)
        .map(|origin| {
            (
                bytes(origin.bytes),
                format!(
                    "{} ({})",
                    clean(&origin.origin),
                    count(origin.files, "file")
                ),
            )
        })
        .collect();
    let rest: Vec<_> = one.origins.iter().skip(shown).collect();
    if !rest.is_empty() {
        let sum = rest.iter().map(|origin| origin.bytes).sum();
        origins.push((
            bytes(sum),
            format!("{} (shown with -v)", count(rest.len() as u64, "other")),
        ));
    }
    format!(
        "{}: {} compressed, {} unpacked, {}\nlayers, compressed:\n{}\norigins, unpacked:\n{}",
        clean(&one.platform),
        bytes(one.compressed),
        bytes(one.uncompressed),
        count(one.files, "file"),
        table(&layers),
        table(&origins)
    )
}
