//! All layers of a root as one list of paths, with what distributions own. Start at [`View`].
//!
//! Reads no directory: the lists were made when the layers were unpacked ([`crate::roots`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_elf::Object;
use unheck_wheel::{Limits, Metadata, ModuleKind, modules_of, normalize_name, record};

use crate::roots::{Elf, IndexNode, LayerIndex, Roots, RootsError};

/// Most links that are followed on the way to one file, as Linux does (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// Longest `RECORD` or `METADATA` that is read.
const MAX_LIST: u64 = 64 << 20;

/// A root, by path.
#[derive(Debug, Clone, Default)]
pub struct View {
    nodes: BTreeMap<TreePath, (usize, IndexNode)>,
    lower: Vec<PathBuf>,
}

/// An installed distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name as it writes it.
    pub name: String,
    /// The directory that its modules are in.
    pub site: TreePath,
    /// Its `*.dist-info` directory.
    pub info: TreePath,
    /// Its files with the digest that it records of each.
    pub files: BTreeMap<TreePath, Option<Digest>>,
    /// What stands behind each import name.
    pub modules: BTreeMap<String, ModuleKind>,
    /// Normalised names of what it requires without condition.
    pub requires: BTreeSet<String>,
    /// Rows of its `RECORD` that are none.
    pub broken_rows: Vec<String>,
}

impl View {
    /// Whether any module's bytecode ships beside its source.
    pub(super) fn ships_bytecode(&self) -> bool {
        let mut paths = self.nodes.keys();
        paths.any(|path| crate::steps::cached_source(path).is_some())
    }

    /// The view of layers, the lowest first.
    ///
    /// # Errors
    /// [`RootsError::Index`].
    pub fn of(roots: &Roots) -> Result<Self, RootsError> {
        Ok(Self::new(roots.indexes()?, roots.lower.clone()))
    }

    /// The view of lists of layers, the lowest first; `lower` are their directories.
    pub fn new(indexes: Vec<LayerIndex>, lower: Vec<PathBuf>) -> Self {
        let mut nodes = BTreeMap::new();
        for (layer, index) in indexes.into_iter().enumerate() {
            for (path, node) in index.nodes {
                for above in path.ancestors() {
                    nodes.entry(above).or_insert((layer, IndexNode::Dir));
                }
                nodes.insert(path, (layer, node));
            }
        }
        Self { nodes, lower }
    }

    /// Every path, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &IndexNode)> {
        self.nodes.iter().map(|(path, (_, node))| (path, node))
    }

    /// The paths whose node comes from one layer, by its place.
    pub fn of_layer(&self, layer: usize) -> impl Iterator<Item = (&TreePath, &IndexNode)> {
        self.nodes
            .iter()
            .filter(move |(_, (from, _))| *from == layer)
            .map(|(path, (_, node))| (path, node))
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.lower.len()
    }

    /// The node at a path, no link followed.
    pub fn get(&self, path: &TreePath) -> Option<&IndexNode> {
        self.nodes.get(path).map(|(_, node)| node)
    }

    /// The place that a path leads to with every link followed; `None` when nothing is there.
    pub fn resolve(&self, path: &TreePath) -> Option<TreePath> {
        let mut path = path.clone();
        for _ in 0..MAX_LINKS {
            let link =
                path.ancestors()
                    .chain([path.clone()])
                    .find_map(|above| match self.get(&above) {
                        Some(IndexNode::Link(text)) => Some((above, text)),
                        _ => None,
                    });
            let Some((at, text)) = link else {
                return self.nodes.contains_key(&path).then_some(path);
            };
            let rest = &path.as_str()[at.as_str().len()..];
            let joined = if text.starts_with('/') {
                format!("{text}{rest}")
            } else {
                let parent = at
                    .parent()
                    .map(|parent| format!("/{parent}"))
                    .unwrap_or_default();
                format!("{parent}/{text}{rest}")
            };
            path = at.resolve_link(&joined)?;
        }
        None
    }

    /// The object that a path leads to.
    pub fn object(&self, path: &TreePath) -> Option<(TreePath, &Object)> {
        let place = self.resolve(path)?;
        match self.get(&place)? {
            IndexNode::File {
                elf: Some(Elf::Read(object)),
                ..
            } => Some((place, object)),
            _ => None,
        }
    }

    /// Every object of a machine with its path.
    pub fn objects(&self) -> impl Iterator<Item = (&TreePath, &Object)> {
        self.iter().filter_map(|(path, node)| match node {
            IndexNode::File {
                elf: Some(Elf::Read(object)),
                ..
            } => Some((path, &**object)),
            _ => None,
        })
    }

    /// The file of the host behind a path, no link followed.
    pub fn host_path(&self, path: &TreePath) -> Option<PathBuf> {
        let (layer, node) = self.nodes.get(path)?;
        matches!(node, IndexNode::File { .. }).then_some(())?;
        Some(self.lower.get(*layer)?.join(path.as_str()))
    }

    /// The bytes of a file, links followed.
    ///
    /// # Errors
    /// It is not there, cannot be read or has more than `limit` bytes.
    pub fn read(&self, path: &TreePath, limit: u64) -> io::Result<Vec<u8>> {
        let host = self.resolve(path).and_then(|place| self.host_path(&place));
        let host = host.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        read(&host, limit)
    }

    /// Every installed distribution, sorted by its directory.
    ///
    /// # Errors
    /// A list cannot be read.
    pub fn distributions(&self) -> io::Result<Vec<Installed>> {
        let records = self.iter().filter(|(path, _)| {
            path.file_name() == "RECORD"
                && path
                    .parent()
                    .is_some_and(|parent| parent.as_str().ends_with(".dist-info"))
        });
        records.map(|(path, _)| self.installed(path)).collect()
    }

    fn installed(&self, path: &TreePath) -> io::Result<Installed> {
        let outside = || io::Error::other(format!("`{path}` is not in a library directory"));
        let info = path.parent().ok_or_else(outside)?;
        let site = info.parent().ok_or_else(outside)?;
        let text = self.read(path, MAX_LIST)?;
        let (files, broken_rows) = rows(&String::from_utf8_lossy(&text), &site);
        let prefix = format!("{site}/");
        let below: Vec<&str> = files
            .keys()
            .filter_map(|file| file.as_str().strip_prefix(&prefix))
            .collect();
        let modules = modules_of(&below);
        let mut name = info
            .file_name()
            .split('-')
            .next()
            .unwrap_or_default()
            .to_owned();
        let mut requires = BTreeSet::new();
        let metadata = info
            .join("METADATA")
            .ok()
            .and_then(|path| self.read(&path, MAX_LIST).ok());
        if let Some(metadata) =
            metadata.and_then(|text| Metadata::parse(&text, &Limits::default()).ok())
        {
            requires = metadata
                .requires_dist
                .iter()
                .filter_map(|text| required(text))
                .collect();
            name = metadata.name;
        }
        Ok(Installed {
            name,
            site,
            info,
            files,
            modules,
            requires,
            broken_rows,
        })
    }
}

/// The bytes of a file of at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = fs_err::File::open(path)?.take(limit + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The normalised name of a requirement without marker (PEP 508).
fn required(text: &str) -> Option<String> {
    if text.contains(';') {
        return None;
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(text.len());
    (end > 0).then(|| normalize_name(&text[..end]).to_string())
}

/// The rows of an installed `RECORD`, whose paths may climb out of the library directory.
fn rows(text: &str, site: &TreePath) -> (BTreeMap<TreePath, Option<Digest>>, Vec<String>) {
    let (mut files, mut broken) = (BTreeMap::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, rest) = match line.strip_prefix('"') {
            Some(quoted) => match quoted.split_once("\",") {
                Some((name, rest)) => (name.replace("\"\"", "\""), rest),
                None => (quoted.to_owned(), ""),
            },
            None => line
                .split_once(',')
                .map_or((line.to_owned(), ""), |(name, rest)| {
                    (name.to_owned(), rest)
                }),
        };
        let path = site
            .join("x")
            .ok()
            .and_then(|inside| inside.resolve_link(&name));
        let row = record::parse(format!("x,{rest}").as_bytes())
            .ok()
            .and_then(|rows| rows.into_iter().next());
        match (path, row) {
            (Some(path), Some(row)) => drop(files.insert(path, row.digest)),
            _ => broken.push(line.chars().take(200).collect()),
        }
    }
    (files, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("path")
    }

    #[test]
    fn links_are_followed_on_the_way_and_at_the_end() {
        let mut index = LayerIndex::default();
        let file = IndexNode::File {
            len: 1,
            executable: false,
            elf: None,
        };
        index.nodes.insert(path("usr/lib/x.so.1.2"), file);
        for (at, to) in [
            ("lib", "usr/lib"),
            ("usr/lib/x.so.1", "x.so.1.2"),
            ("loop", "loop"),
            ("up", "../.."),
            ("no", "/gone"),
        ] {
            index.nodes.insert(path(at), IndexNode::Link(to.to_owned()));
        }
        let view = View::new(vec![index], Vec::new());
        assert_eq!(
            view.resolve(&path("lib/x.so.1")),
            Some(path("usr/lib/x.so.1.2"))
        );
        assert_eq!(view.resolve(&path("usr")), Some(path("usr")));
        for nothing in ["loop", "up/x", "no", "usr/lib/y"] {
            assert_eq!(view.resolve(&path(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn rows_climb_out_of_the_library_and_wrong_ones_are_kept_apart() {
        let digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let text = format!(
            "a/x.py,{digest},0\n\"a,b.py\",,\n../../bin/t,{digest},0\nbad,md5=1,2\n../../../../x,,\n"
        );
        let (files, broken) = rows(&text, &path("usr/lib/site"));
        let names: Vec<&str> = files.keys().map(TreePath::as_str).collect();
        assert_eq!(
            names,
            ["usr/bin/t", "usr/lib/site/a/x.py", "usr/lib/site/a,b.py"]
        );
        assert_eq!(files[&path("usr/bin/t")], Some(Digest::of(b"")));
        assert_eq!(files[&path("usr/lib/site/a,b.py")], None);
        assert_eq!(broken, ["bad,md5=1,2", "../../../../x,,"]);
    }

    #[test]
    fn only_requirements_without_condition_count() {
        assert_eq!(required("Foo.Bar>=1"), Some("foo-bar".to_owned()));
        assert_eq!(required("foo [x] (>=1)"), Some("foo".to_owned()));
        assert_eq!(required("foo; extra == 'x'"), None);
        assert_eq!(required(""), None);
    }
}
