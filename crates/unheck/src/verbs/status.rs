//! `unheck status`.

use serde::Serialize;
use unheck_deploy::{HostStatus, StatusReport};
use unheck_engine::publish;

use super::target::Opened;
use super::{Context, target};
use crate::cli::StatusArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{bytes, clean};

/// `schemas/status.json`.
#[derive(Serialize)]
struct StatusJson<'a> {
    #[serde(flatten)]
    report: &'a StatusReport,
    failures: Vec<FailureJson<'a>>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    host: &'a str,
    message: String,
}

pub(super) fn status(args: &StatusArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let opened = target::open(&args.at, context)?;
    let report = match &opened {
        Opened::Hosts(hosts) => hosts.run(context, false, unheck_deploy::status)?,
        Opened::Registry(registry) => registry.run(false, publish::target::status)?,
    };
    let text: Vec<String> = report.hosts.iter().map(of_host).collect();
    let failures = report.failures.iter().map(|failure| FailureJson {
        host: &failure.host,
        message: failure.error.to_string(),
    });
    let value = StatusJson {
        report: &report,
        failures: failures.collect(),
    };
    context.ui.data(&text.join("\n"), &value)?;
    for failure in &report.failures {
        context.ui.say(&clean(&failure.to_string()));
    }
    Ok(match report.failures.is_empty() {
        true => exit::DONE,
        false => exit::of(unheck_engine::explain::Class::Outside),
    })
}

fn of_host(host: &HostStatus) -> String {
    let mut lines = vec![clean(&host.host)];
    let released = host.released.as_deref().map_or("nothing".to_owned(), clean);
    let since = host.since.as_ref().map(|entry| {
        format!(
            ", since {} by {} ({})",
            clean(&entry.time),
            clean(&entry.who),
            clean(&entry.what)
        )
    });
    lines.push(format!(
        "  serves    {released}{}",
        since.unwrap_or_default()
    ));
    if let Some(previous) = &host.previous {
        lines.push(format!("  before    {}", clean(previous)));
    }
    if let Some(back) = &host.unconfirmed {
        lines.push(format!(
            "  unfinished: a switch is not confirmed; unless it goes on now, the next call brings back {}",
            clean(back.trim_start_matches("releases/"))
        ));
    }
    if let Some(who) = &host.locked {
        lines.push(format!("  at it     {}", clean(who)));
    }
    for one in &host.deployed {
        let about = one.record.as_ref().map(|info| {
            let by = &info.deployed;
            format!(
                ", {}, {} by {}",
                bytes(info.bytes),
                clean(&by.time),
                clean(&by.who)
            )
        });
        lines.push(format!(
            "  deployed  {}{}",
            clean(&one.release),
            about.unwrap_or_default()
        ));
    }
    lines.join("\n")
}
