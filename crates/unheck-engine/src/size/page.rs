//! The page of `unheck size --html`: one file with style, program and data inside. Start at
//! [`page`].
//!
//! Names from archives are hostile. They reach the page as JSON in which `<`, `>` and `&` are
//! escaped, so no name ends the script element that holds it, and the program puts them into the
//! document as text only. A content security policy names the digests of the one style and the one
//! program and forbids everything else, requests included. The same artifact gives the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use unheck_base::Digest;

use super::against::{Change, Update, change, update};
use super::trim::{TrimView, levels};
use super::{Estimate, FileKind, Measured, Part};
use crate::tree::Origin;
use crate::why::Reasons;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const PROGRAM: &str = include_str!("page/page.js");

/// Words for [`Change`], in its order.
const CHANGES: [&str; 3] = ["unchanged", "added", "changed"];

#[derive(Serialize)]
struct Data {
    platforms: Vec<PlatformData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<[&'static str; 3]>,
}

#[derive(Serialize)]
struct PlatformData {
    platform: String,
    compressed: u64,
    uncompressed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transferred: Option<u64>,
    note: &'static str,
    layers: Vec<LayerData>,
    origins: Vec<OriginData>,
    kinds: Vec<String>,
    /// Chains of reasons, each once; files and origins have the number of theirs.
    reasons: Vec<Vec<String>>,
    files: Vec<FileData>,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct LayerData {
    name: String,
    compressed: u64,
    uncompressed: u64,
    files: u64,
    /// Whether the other artifact has it.
    known: bool,
}

#[derive(Serialize)]
struct OriginData {
    name: String,
    group: &'static str,
    text: String,
    reason: usize,
}

/// Path, layer, origin, kind, bytes, compressed bytes, reason, change.
#[derive(Serialize)]
struct FileData(String, usize, usize, usize, u64, u64, usize, usize);

#[derive(Serialize)]
struct Table {
    title: &'static str,
    text: String,
    /// Heading and what is in the column: `text`, `count`, `bytes` or `change`.
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell {
    Text(String),
    Number(u64),
    Change(i64),
}

/// The page.
pub(super) fn page(measured: &Measured, other: Option<&Measured>) -> String {
    let platforms = measured.parts.iter().map(|part| {
        let old = other.map(|other| other.part(part));
        platform(part, old)
    });
    let data = Data {
        platforms: platforms.collect(),
        changes: other.is_some().then_some(CHANGES),
    };
    let json = serde_json::to_string(&data).expect("structs of strings, numbers and lists");
    let mut parts = measured.parts.iter();
    let project = parts.find_map(|part| part.inside.project.clone());
    let title = project.map_or_else(
        || "Who takes the space".to_owned(),
        |name| format!("{name}: who takes the space"),
    );
    let texts = BTreeMap::from([
        ("title", escape_html(&title)),
        ("style", STYLE.to_owned()),
        ("style-hash", source_hash(STYLE)),
        ("script", PROGRAM.to_owned()),
        ("script-hash", source_hash(PROGRAM)),
        ("plain", plain(&data)),
        ("data", escape_json(&json)),
    ]);
    fill(HTML, &texts)
}

/// The template with each `{{name}}` replaced; what is put in is not looked at again.
fn fill(template: &str, texts: &BTreeMap<&str, String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(texts.get(name).map_or("", String::as_str));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The same JSON without a character that HTML could end or open something with. All of them are
/// only ever inside strings.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// How a content security policy names an inline source (CSP level 3, `hash-source`).
fn source_hash(text: &str) -> String {
    let digest = unheck_wheel::record::digest_text(&Digest::of(text.as_bytes()));
    // RECORD writes URL-safe base64 without padding, after `sha256=`.
    let base64 = digest.trim_start_matches("sha256=");
    let base64 = base64.replace('-', "+").replace('_', "/");
    format!("sha256-{base64}=")
}

/// Origins as a table for who reads the page without running its program.
fn plain(data: &Data) -> String {
    let mut text = String::new();
    for one in &data.platforms {
        let mut sums = vec![(0_u64, 0_u64); one.origins.len()];
        for file in &one.files {
            sums[file.2].0 += file.4;
            sums[file.2].1 += file.5;
        }
        let mut rows: Vec<_> = one.origins.iter().zip(sums).collect();
        rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.0));
        text.push_str(&format!(
            "<h2>{}</h2>\n<table>\n<tr><th>Origin</th><th>Bytes unpacked</th><th>Bytes compressed, about</th></tr>\n",
            escape_html(&one.platform)
        ));
        for (origin, (bytes, packed)) in rows {
            text.push_str(&format!(
                "<tr><td>{}</td><td>{bytes}</td><td>{packed}</td></tr>\n",
                escape_html(&origin.text)
            ));
        }
        text.push_str("</table>\n");
    }
    text
}

/// Texts that many files share, by number.
struct Numbered<T> {
    numbers: BTreeMap<T, usize>,
}

impl<T: Ord + Clone> Numbered<T> {
    fn new() -> Self {
        Self {
            numbers: BTreeMap::new(),
        }
    }

    fn number(&mut self, one: T) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(one).or_insert(next)
    }

    /// In the order of their numbers.
    fn list(self) -> Vec<T> {
        let mut list: Vec<(usize, T)> = self
            .numbers
            .into_iter()
            .map(|(one, number)| (number, one))
            .collect();
        list.sort_by_key(|(number, _)| *number);
        list.into_iter().map(|(_, one)| one).collect()
    }
}

/// One platform; `old` is the same of the other artifact, where one was given and has it.
fn platform(part: &Part, old: Option<Option<&Part>>) -> PlatformData {
    let inside = &part.inside;
    let why = Reasons::new(inside);
    let (mut origins, mut kinds, mut reasons) = (Numbered::new(), Numbered::new(), Numbered::new());
    let mut files = Vec::new();
    for (path, file) in &inside.files {
        let packed = part.sized.get(path).map_or(0, |sized| sized.packed);
        let changed = old.map_or(Change::None, |old| change(part, old, path));
        files.push(FileData(
            path.to_string(),
            file.layer,
            origins.number(file.origin.clone()),
            kinds.number(part.kind(path)),
            file.size,
            packed,
            reasons.number(why.of_file(path)),
            changed as usize,
        ));
    }
    let origins = origins
        .list()
        .into_iter()
        .map(|origin| OriginData {
            name: origin.to_string(),
            group: group(&origin),
            text: why.owner(&origin),
            reason: reasons.number(why.of_origin(&origin)),
        })
        .collect();
    let update = old.map(|old| update(part, old));
    PlatformData {
        platform: inside.platform.clone(),
        compressed: inside.layers.iter().map(|layer| layer.size).sum(),
        uncompressed: inside.layers.iter().map(|layer| layer.uncompressed).sum(),
        transferred: update.as_ref().map(|update| update.transferred),
        note: note(part.estimate),
        layers: layers(part, update.as_ref()),
        origins,
        kinds: kinds.list().iter().map(FileKind::to_string).collect(),
        reasons: reasons.list(),
        files,
        tables: update
            .iter()
            .flat_map(|update| [sent(update), changes(update)])
            .chain(std::iter::once(trimming(&levels(part))))
            .collect(),
    }
}

fn layers(part: &Part, update: Option<&Update>) -> Vec<LayerData> {
    let known = |number: usize| {
        update
            .and_then(|update| update.layers.get(number))
            .is_some_and(|layer| layer.transferred == 0)
    };
    part.inside
        .layers
        .iter()
        .enumerate()
        .map(|(number, layer)| LayerData {
            name: layer.name.clone(),
            compressed: layer.size,
            uncompressed: layer.uncompressed,
            files: layer.files,
            known: known(number),
        })
        .collect()
}

const fn group(origin: &Origin) -> &'static str {
    match origin {
        Origin::Distribution(_) => "distribution",
        Origin::Deb(_) => "deb",
        Origin::Interpreter => "interpreter",
        Origin::App => "app",
        Origin::Generated(_) => "generated",
    }
}

const fn note(estimate: Estimate) -> &'static str {
    match estimate {
        Estimate::Stream => {
            "Unpacked bytes and the compressed bytes of layers are exact. Compressed bytes of a file are an estimate: what it adds to a Zstandard stream of its layer, scaled to the layer's blob."
        }
        Estimate::Proportional => {
            "Unpacked bytes are exact. Compressed bytes of a file are an estimate: its part of the unpacked bytes."
        }
    }
}

fn sent(update: &Update) -> Table {
    let rows = update.layers.iter().map(|layer| {
        vec![
            Cell::Text(layer.name.clone()),
            Cell::Number(layer.transferred),
            Cell::Text(layer.digest.clone()),
        ]
    });
    Table {
        title: "What an update sends, layer by layer",
        text: if update.has_platform {
            "A layer whose blob is there already is not sent again.".to_owned()
        } else {
            "The other artifact does not have this platform.".to_owned()
        },
        columns: vec![("Layer", "text"), ("Sent", "bytes"), ("Blob", "text")],
        rows: rows.collect(),
    }
}

fn changes(update: &Update) -> Table {
    let rows = update.origins.iter().map(|one| {
        vec![
            Cell::Text(one.origin.clone()),
            Cell::Number(one.added.files),
            Cell::Number(one.changed.files),
            Cell::Number(one.removed.files),
            Cell::Number(one.added.bytes),
            Cell::Number(one.removed.bytes),
            Cell::Change(one.difference),
        ]
    });
    Table {
        title: "Who changed",
        text: if update.origins.is_empty() {
            "No file is different.".to_owned()
        } else {
            String::new()
        },
        columns: vec![
            ("Origin", "text"),
            ("New", "count"),
            ("Changed", "count"),
            ("Gone", "count"),
            ("Bytes new", "bytes"),
            ("Bytes gone", "bytes"),
            ("Difference", "change"),
        ],
        rows: rows.collect(),
    }
}

fn trimming(levels: &[TrimView]) -> Table {
    let rows = levels.iter().flat_map(|level| {
        level.parts.iter().map(|part| {
            vec![
                Cell::Text(level.level.clone()),
                Cell::Text(part.reason.clone()),
                Cell::Number(part.files),
                Cell::Number(part.bytes),
                Cell::Number(part.compressed),
                Cell::Text(part.cost.join("; ")),
            ]
        })
    });
    let known = levels.iter().map(|level| match &level.unknown {
        Some(unknown) => format!("{}: {unknown}.", level.level),
        None if level.files == 0 && level.parts.is_empty() => {
            format!("{}: nothing, all of it is left out already.", level.level)
        }
        None => format!(
            "{}: {} bytes of {} files, about {} compressed.",
            level.level, level.bytes, level.files, level.compressed
        ),
    });
    let known: Vec<String> = known.collect();
    Table {
        title: "What trimming would still leave out",
        text: if levels.is_empty() {
            "There is no lock inside: unheck did not make this, and cannot tell.".to_owned()
        } else {
            known.join(" ")
        },
        columns: vec![
            ("Level", "text"),
            ("What", "text"),
            ("Files", "count"),
            ("Unpacked", "bytes"),
            ("Compressed ≈", "bytes"),
            ("What it costs", "text"),
        ],
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_put_in_is_a_template() {
        let texts = BTreeMap::from([("a", "{{b}}".to_owned()), ("b", "no".to_owned())]);
        assert_eq!(fill("<{{a}}|{{c}}>", &texts), "<{{b}}|>");
    }

    #[test]
    fn names_cannot_leave_their_place() {
        let hostile = "</script><!--&\u{2028}'\"";
        let json = escape_json(&serde_json::to_string(hostile).expect("text"));
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(
            serde_json::from_str::<String>(&json).expect("JSON"),
            hostile
        );
        assert_eq!(
            escape_html("<a href='x'>\"&</a>"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&lt;/a&gt;"
        );
    }

    #[test]
    fn the_policy_names_what_is_inline_by_its_digest() {
        // `printf %s 'alert(1)' | openssl dgst -sha256 -binary | base64`
        assert_eq!(
            source_hash("alert(1)"),
            "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI="
        );
    }

    #[test]
    fn the_parts_of_the_page_need_nothing_from_elsewhere() {
        for part in [HTML, STYLE, PROGRAM] {
            for word in [
                "http:",
                "https:",
                "url(",
                "@import",
                "innerHTML",
                "eval(",
                "</script><",
            ] {
                assert!(!part.contains(word), "{word}");
            }
        }
        assert!(!PROGRAM.contains("</script") && !STYLE.contains("</style"));
    }
}
