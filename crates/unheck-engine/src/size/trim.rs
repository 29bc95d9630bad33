//! What a higher trim level would still leave out of an artifact, and what that would cost. Start
//! at [`levels`].
//!
//! Runs the step itself (`crate::steps::trim`) on a tree of the artifact's files, with the facts of
//! the source that ships. Only levels whose facts an artifact has are answered; of the others, and
//! of what lower levels would bring back, it says that the artifact cannot tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unheck_base::{Digest, TreePath};

use super::Part;
use super::kind::FileKind;
use crate::inside::source_of_bytecode;
use crate::layout::Layout;
use crate::scan::is_test_path;
use crate::steps::{Removed, TrimLevel, optional, trim};
use crate::tree::{Content, Node, Tree};

/// Words by which levels are asked for, the weakest first; those that this unheck knows count.
const LEVELS: [&str; 4] = ["none", "safe", "imports", "traced"];

/// The reason of strip, as [`crate::build`] says it.
const SYMBOLS: &str = "symbol tables and debug information";

/// Names that a cost lists at most.
const NAMED: usize = 6;

/// What one trim level would still leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrimView {
    /// The level, as `--trim` takes it.
    pub level: String,
    /// Why the artifact cannot tell; then nothing below is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Files that would go.
    pub files: u64,
    /// Bytes unpacked that would go.
    pub bytes: u64,
    /// About how many bytes of the blobs would go.
    pub compressed: u64,
    /// By reason, the biggest first.
    pub parts: Vec<TrimPart>,
}

/// What would go for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrimPart {
    /// Why it may go.
    pub reason: String,
    /// Files that would go or shrink.
    pub files: u64,
    /// Bytes unpacked that would go.
    pub bytes: u64,
    /// About how many bytes of the blobs would go.
    pub compressed: u64,
    /// What would no longer work or be there.
    pub cost: Vec<String>,
}

/// One view per level above `none`; empty for what unheck did not make.
pub(super) fn levels(part: &Part) -> Vec<TrimView> {
    let Some(layout) = super::layout(&part.inside) else {
        return Vec::new();
    };
    LEVELS
        .iter()
        .filter_map(|word| word.parse::<TrimLevel>().ok())
        .filter(|level| *level > TrimLevel::None)
        .map(|level| view(part, &layout, level))
        .collect()
}

fn view(part: &Part, layout: &Layout, level: TrimLevel) -> TrimView {
    let mut view = TrimView {
        level: level.to_string(),
        unknown: None,
        files: 0,
        bytes: 0,
        compressed: 0,
        parts: Vec::new(),
    };
    let known = part.facts.as_ref().filter(|_| level <= TrimLevel::Safe);
    let Some((facts, objects)) = known else {
        let why = if part.facts.is_none() {
            "the files of this form are not read for it"
        } else {
            "it depends on the project's `keep` and on Cython sources, and neither is in an artifact"
        };
        view.unknown = Some(format!(
            "{why}; `unheck build --trim {level}` says what it leaves out"
        ));
        return view;
    };
    let mut tree = tree(part);
    let mut removed = trim(&mut tree, layout, level, facts);
    let lock = part.inside.lock.as_ref();
    let platform = part.inside.platform.parse().ok();
    if let Some(target) = lock
        .zip(platform)
        .and_then(|(lock, platform)| lock.target(platform))
    {
        removed.extend(optional::take(&mut tree, objects, target, (facts, &[])));
    }
    let mut parts: BTreeMap<String, Gone> = BTreeMap::new();
    for one in &removed {
        let gone = parts.entry(one.reason.to_string()).or_default();
        gone.add(part, &one.path, one.size);
        gone.cost(&one.path, part.kind(&one.path), layout);
    }
    compiled(part, &removed, &mut parts);
    symbols(
        part,
        &removed.iter().map(|one| &one.path).collect(),
        &mut parts,
    );
    view.parts = parts
        .into_iter()
        .map(|(reason, gone)| gone.finish(reason))
        .collect();
    view.parts.sort_by(|one, other| {
        let order = other.bytes.cmp(&one.bytes);
        order.then_with(|| one.reason.cmp(&other.reason))
    });
    let symbols = |part: &&TrimPart| part.reason != SYMBOLS;
    view.files = view
        .parts
        .iter()
        .filter(symbols)
        .map(|part| part.files)
        .sum();
    view.bytes = view.parts.iter().map(|part| part.bytes).sum();
    view.compressed = view.parts.iter().map(|part| part.compressed).sum();
    view
}

/// Bytecode of sources that would go.
fn compiled(part: &Part, removed: &[Removed], parts: &mut BTreeMap<String, Gone>) {
    let sources: BTreeMap<&TreePath, String> = removed
        .iter()
        .map(|one| (&one.path, one.reason.to_string()))
        .collect();
    for (path, file) in &part.inside.files {
        if !path.as_str().ends_with(".pyc") || sources.contains_key(path) {
            continue;
        }
        let source = source_of_bytecode(path);
        if let Some(reason) = source.as_ref().and_then(|source| sources.get(source)) {
            let gone = parts.entry(reason.clone()).or_default();
            gone.add(part, path, file.size);
        }
    }
}

/// Symbol tables of objects that stay.
fn symbols(part: &Part, gone: &BTreeSet<&TreePath>, parts: &mut BTreeMap<String, Gone>) {
    let stays = part
        .sized
        .iter()
        .filter(|(path, sized)| sized.strippable > 0 && !gone.contains(path));
    for (path, sized) in stays {
        let gone = parts.entry(SYMBOLS.to_owned()).or_default();
        gone.files += 1;
        gone.bytes += sized.strippable;
        let all = part
            .inside
            .files
            .get(path)
            .map_or(1, |file| file.size.max(1));
        // Names of symbols compress like the code beside them; nothing better is known of a part.
        let share = u128::from(sized.packed) * u128::from(sized.strippable) / u128::from(all);
        gone.compressed += u64::try_from(share).unwrap_or_default();
        gone.costs
            .insert("debuggers and native backtraces show addresses instead of names".to_owned());
    }
}

/// What goes for one reason.
#[derive(Default)]
struct Gone {
    files: u64,
    bytes: u64,
    compressed: u64,
    costs: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Gone {
    fn add(&mut self, part: &Part, path: &TreePath, size: u64) {
        self.files += 1;
        self.bytes += size;
        self.compressed += part.sized.get(path).map_or(0, |sized| sized.packed);
    }

    /// Notes what is lost with a file of this kind at this place.
    fn cost(&mut self, path: &TreePath, kind: FileKind, layout: &Layout) {
        let inner = [&layout.site, &layout.stdlib].into_iter().find_map(|top| {
            let inner = path.as_str().strip_prefix(top.as_str())?;
            inner.strip_prefix('/')
        });
        let cost = match kind {
            _ if inner.is_some_and(is_test_path) => "its tests cannot be run inside",
            FileKind::TypeStub => "a type checker that runs inside sees no types",
            FileKind::NativeSource => "nothing can be compiled or linked against it inside",
            FileKind::Documentation => "documentation is not at hand inside",
            FileKind::Licence => "a licence text is not at hand inside",
            FileKind::TimeZones | FileKind::Metadata => {
                "nothing: what programs read is the compiled or installed form"
            }
            FileKind::PythonSource | FileKind::Bytecode | FileKind::ExtensionModule => {
                let top = inner
                    .unwrap_or(path.as_str())
                    .trim_start_matches("lib-dynload/");
                let module = top.split(['/', '.']).next().unwrap_or(top);
                self.modules.insert(module.to_owned());
                return;
            }
            _ => "code that opens one of the files by its path does not find it",
        };
        self.costs.insert(cost.to_owned());
    }

    fn finish(mut self, reason: String) -> TrimPart {
        if !self.modules.is_empty() {
            let names: Vec<String> = self
                .modules
                .iter()
                .take(NAMED)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = self.modules.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            self.costs
                .insert(format!("cannot be imported: {}{more}", names.join(", ")));
        }
        TrimPart {
            reason,
            files: self.files,
            bytes: self.bytes,
            compressed: self.compressed,
            cost: self.costs.into_iter().collect(),
        }
    }
}

/// The artifact's files as a tree; its contents are not there, and no step that is run here asks.
fn tree(part: &Part) -> Tree {
    let mut tree = Tree::new();
    let nothing = Digest::of(b"");
    for (path, file) in &part.inside.files {
        let origin = file.origin.clone();
        let node = match &file.link {
            Some(text) => Node::symlink(origin, text),
            None => Node::file(
                origin,
                Content::Blob {
                    digest: nothing,
                    len: file.size,
                },
            ),
        };
        tree.replace(path.clone(), node);
    }
    tree
}
