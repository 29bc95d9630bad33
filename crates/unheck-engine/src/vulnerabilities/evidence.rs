//! What an artifact itself says about a vulnerability of one of its components. Start at [`said`].
//!
//! A component counts as affected unless there is evidence: the project states something, nothing that could run of
//! it ships, or the record names the code that is affected and trimming left all of that out.

use std::collections::BTreeSet;

use unheck_base::TreePath;
use unheck_sbom::model::Component;
use unheck_sbom::vulnerability::{Justification, Said, Status};
use unheck_vuln::merge::Known;
use unheck_vuln::record::Named;

use super::Rules;
use crate::bom::Bill;
use crate::steps::left_out::{LeftOut, module_of};

/// A library whose identity is less sure than this, in percent, is not called affected.
const SURE: u8 = 80;
/// Paths and names that evidence shows.
const SHOWN: usize = 3;

/// What is said, and from what.
pub(super) fn said(
    bill: &Bill,
    component: &Component,
    known: &Known,
    (rules, names): (&Rules, &[&str]),
) -> (Said, String) {
    let plain = |status| Said {
        status,
        justification: None,
    };
    if let Some((key, row)) = rules.stated(names, known) {
        let said = Said {
            status: row.status,
            justification: row.justification,
        };
        let detail = match row.detail.is_empty() {
            true => String::new(),
            false => format!(": {}", unheck_vuln::record::printable(&row.detail)),
        };
        return (
            said,
            format!("the project states it in `[tool.unheck.vex]`, `{key}`{detail}"),
        );
    }
    let absent = nothing_runs(bill, component).or_else(|| code_left_out(bill, component, known));
    if let Some(evidence) = absent {
        let said = Said {
            status: Status::NotAffected,
            justification: Some(Justification::VulnerableCodeNotPresent),
        };
        return (said, evidence);
    }
    let records: Vec<&str> = known.records.iter().map(String::as_str).collect();
    let records = records.join(", ");
    let version = component.version.as_deref().unwrap_or("?");
    if known.sure < SURE {
        let doubt = known.doubt.clone().unwrap_or_default();
        let sure = known.sure;
        let evidence = format!(
            "{records}: {} {version} may be affected ({sure}% sure): {doubt}",
            component.name
        );
        return (plain(Status::UnderInvestigation), evidence);
    }
    let code = component
        .files
        .keys()
        .filter(|path| bill.code.contains(*path))
        .count();
    let ships = match component.files.len() {
        0 => String::new(),
        files => format!("; {files} of its files ship, {code} of them code"),
    };
    let doubt = known.doubt.iter().map(|doubt| format!("; {doubt}"));
    let evidence = format!(
        "{records}: the version {version} is affected{ships}{}",
        doubt.collect::<String>()
    );
    (plain(Status::Affected), evidence)
}

/// Of a Debian package that has compiled code, or of a distribution, only data or documentation ships.
///
/// Packages for all architectures may consist of data, and then the data may be what is wrong with them: of those only
/// documentation and their entry in the package database count as nothing.
fn nothing_runs(bill: &Bill, component: &Component) -> Option<String> {
    let purl = component.purl.as_deref()?;
    let files = || component.files.keys().map(String::as_str);
    let is_info = |path: &str| path.split('/').any(|part| part.ends_with(".dist-info"));
    let is_note =
        |path: &str| path.starts_with("usr/share/doc/") || path.starts_with("var/lib/dpkg/");
    let harmless: &dyn Fn(&str) -> bool = if purl.starts_with("pkg:pypi/") {
        &is_info
    } else if purl.starts_with("pkg:deb/") && purl.contains("arch=all") {
        &is_note
    } else if purl.starts_with("pkg:deb/") {
        &|path: &str| !bill.code.contains(path)
    } else {
        return None;
    };
    // Of a distribution without any file nothing is known: its RECORD may be gone.
    if component.files.is_empty() || !files().all(harmless) {
        return None;
    }
    let shown: Vec<&str> = files().filter(|path| !is_note(path)).take(SHOWN).collect();
    let count = component.files.len();
    let which = match shown.is_empty() {
        true => "all of them documentation or entries of the package database".to_owned(),
        false => format!("such as {}", shown.join(", ")),
    };
    Some(format!(
        "of `{}` {count} files ship and none of them is code: {which}",
        component.name
    ))
}

/// All code that the records name was left out.
fn code_left_out(bill: &Bill, component: &Component, known: &Known) -> Option<String> {
    let list = bill.left_out.as_ref()?;
    let layout = bill.layout.as_ref()?;
    if known.named.is_empty() {
        return None;
    }
    let module = |path: &TreePath| module_of(path, layout);
    let paths: Vec<TreePath> = component
        .files
        .keys()
        .filter_map(|path| TreePath::new(path).ok())
        .collect();
    let modules: BTreeSet<String> = paths.iter().filter_map(module).collect();
    let gone: Vec<(&LeftOut, Option<String>)> = list
        .entries
        .iter()
        .map(|one| (one, module(&one.path)))
        .collect();
    let mut reasons = BTreeSet::new();
    for named in &known.named {
        let found = match named {
            Named::Dotted(name) => dotted(name, &modules, &gone),
            Named::File(name) => file(
                name,
                &component
                    .files
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
                &gone,
            ),
        };
        reasons.insert(found?.reason.clone());
    }
    let shown: Vec<String> = known
        .named
        .iter()
        .take(SHOWN)
        .map(|named| match named {
            Named::Dotted(name) | Named::File(name) => format!("`{name}`"),
        })
        .collect();
    let more = known.named.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let reasons: Vec<String> = reasons.into_iter().collect();
    Some(format!(
        "the affected code is {}{more}, and trimming at `{}` left it out: {}",
        shown.join(", "),
        list.level,
        reasons.join("; ")
    ))
}

/// The entry that left out the module which defines `name`; nothing where that ships or is not known.
///
/// What a dotted name names may be a module or something in one: the longest part of it that is known as a module is
/// taken for the one that defines it.
fn dotted<'g>(
    name: &str,
    modules: &BTreeSet<String>,
    gone: &[(&'g LeftOut, Option<String>)],
) -> Option<&'g LeftOut> {
    let is_part = |module: &str| {
        name.strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let ships = modules
        .iter()
        .filter(|module| is_part(module))
        .map(String::len)
        .max()
        .unwrap_or(0);
    let left = gone.iter().filter_map(|(one, module)| {
        let module = module.as_deref().filter(|module| is_part(module))?;
        Some((module.len(), *one))
    });
    let (longest, entry) = left.max_by_key(|(len, _)| *len)?;
    (longest > ships).then_some(entry)
}

/// The entry that left out a file whose path ends like `name`; nothing where one ships or none is known.
fn file<'g>(
    name: &str,
    files: &[&str],
    gone: &[(&'g LeftOut, Option<String>)],
) -> Option<&'g LeftOut> {
    let name = name.trim_start_matches("./").trim_start_matches('/');
    let ends = |path: &str| {
        path.strip_suffix(name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    if name.is_empty() || files.iter().any(|path| ends(path)) {
        return None;
    }
    let entries = gone.iter().map(|(one, _)| *one);
    entries.into_iter().find(|one| ends(one.path.as_str()))
}
