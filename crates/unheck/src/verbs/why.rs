//! `unheck why`.

use serde::Serialize;
use unheck_engine::why::{Chain, why as ask};

use super::Context;
use crate::cli::WhyArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{clean, count};

/// Chains that are shown without `-v`.
const SHOWN: usize = 10;

/// `schemas/why.json`.
#[derive(Serialize)]
struct WhyJson<'a> {
    chains: &'a [Chain],
}

pub(super) fn why(args: &WhyArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let chains = ask(artifact.path(), &args.name)?;
    let several = chains
        .iter()
        .any(|chain| chain.platform != chains[0].platform);
    let shown = if context.ui.verbose {
        chains.len()
    } else {
        SHOWN
    };
    let mut text: Vec<String> = chains
        .iter()
        .take(shown)
        .map(|chain| render(chain, several))
        .collect();
    if chains.len() > shown {
        text.push(format!(
            "… {} (shown with -v)",
            count((chains.len() - shown) as u64, "more chain")
        ));
    }
    context
        .ui
        .data(&text.join("\n"), &WhyJson { chains: &chains })?;
    Ok(exit::DONE)
}

fn render(chain: &Chain, with_platform: bool) -> String {
    let subject = &chain.subject;
    let about: Vec<&str> = [subject.file.as_deref(), subject.owner.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let mut text = clean(&subject.name);
    if !about.is_empty() {
        text.push_str(&format!(" ({})", clean(&about.join(", "))));
    }
    if with_platform {
        text.push_str(&format!(" on {}", clean(&chain.platform)));
    }
    if let Some(out) = &chain.left_out {
        text.push_str(&format!(
            "\n  left out by `--{}`: {}\n  {}",
            clean(&out.by),
            clean(&out.reason),
            match &out.keep {
                Some(option) => format!("keep it with `{}`", clean(option)),
                None => "take it out of `leave-out` to keep it".to_owned(),
            }
        ));
    }
    for link in &chain.links {
        text.push_str(&format!("\n  ← {} {}", link.relation, clean(&link.what)));
    }
    text
}
