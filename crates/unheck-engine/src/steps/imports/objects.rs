//! ELF objects of a tree, and the module names that compiled modules hold. Start at
//! [`Objects::of`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_elf::Object;
use unheck_pyapi::{Known, Owner, Reference, References, When};
use unheck_store::{Pack, Store};

use super::{NarrowError, rules};
use crate::assemble::PackReader;
use crate::close::is_library_name;
use crate::tree::{Content, Tree};

/// Raised whenever the answer for the same object would differ.
const OBJECT_VERSION: &str = "object 1";
/// Largest object that is read.
const MAX_OBJECT: u64 = 4 << 30;
/// Names of the standard library that are shorter are looked for only where they stand alone.
const SHORT: usize = 5;

/// The objects of a tree by path.
#[derive(Debug, Default)]
pub(crate) struct Objects(BTreeMap<TreePath, Arc<Object>>);

impl Objects {
    /// Reads every object of the tree; what is known of it is kept in the store.
    pub(in crate::steps) fn of(tree: &Tree, store: &Store) -> Result<Self, NarrowError> {
        let reader = PackReader::new(store);
        let candidates: Vec<(&TreePath, &Content)> = tree
            .iter()
            .filter_map(|(path, node)| {
                let content = node.content()?;
                let may = is_library_name(path.file_name()) || node.mode & 0o111 != 0;
                (may && content.len() >= 64).then_some((path, content))
            })
            .collect();
        let found: Vec<Option<(TreePath, Object)>> = candidates
            .into_par_iter()
            .map(|(path, content)| {
                let object = read(store, &reader, path, content)?;
                Ok(object.map(|object| (path.clone(), object)))
            })
            .collect::<Result<_, NarrowError>>()?;
        let found = found.into_iter().flatten();
        Ok(Self(
            found
                .map(|(path, object)| (path, Arc::new(object)))
                .collect(),
        ))
    }

    /// Objects that were read elsewhere.
    pub(crate) fn read(objects: BTreeMap<TreePath, Arc<Object>>) -> Self {
        Self(objects)
    }

    /// Whether a file says that it is a Python module.
    pub(in crate::steps) fn is_module(&self, path: &TreePath) -> bool {
        self.0
            .get(path)
            .is_some_and(|object| object.python_module.is_some())
    }

    /// The object at a path.
    pub(in crate::steps) fn get(&self, path: &TreePath) -> Option<&Object> {
        self.0.get(path).map(Arc::as_ref)
    }

    /// Every object.
    pub(in crate::steps) fn iter(&self) -> impl Iterator<Item = (&TreePath, &Object)> {
        self.0.iter().map(|(path, object)| (path, object.as_ref()))
    }
}

fn read(
    store: &Store,
    reader: &PackReader<'_>,
    path: &TreePath,
    content: &Content,
) -> Result<Option<Object>, NarrowError> {
    let derived = store.derived("object", &Pack::key(&content.digest(), OBJECT_VERSION));
    if let Some(bytes) = derived.bytes(16 << 20)?
        && let Ok(object) = serde_json::from_slice::<Option<Object>>(&bytes)
    {
        return Ok(object);
    }
    let bytes = reader
        .bytes(content, MAX_OBJECT)
        .map_err(|source| NarrowError::Read {
            path: path.clone(),
            source,
        })?;
    let object = unheck_elf::is_elf(&bytes)
        .then(|| Object::parse(&bytes).ok())
        .flatten();
    let text = serde_json::to_vec(&object).expect("an object is text and numbers");
    derived.put_bytes(&text)?;
    Ok(object)
}

/// Names of modules compiled into a program: its `PyInit_NAME` symbols.
pub(super) fn built_in(bytes: &[u8]) -> BTreeSet<String> {
    memchr::memmem::find_iter(bytes, b"\0PyInit_")
        .filter_map(|at| {
            let rest = &bytes[at + b"\0PyInit_".len()..];
            let end = rest.iter().take(100).position(|byte| *byte == 0)?;
            let name = std::str::from_utf8(&rest[..end]).ok()?;
            Some(name.to_owned())
        })
        .collect()
}

/// Finds names of modules in compiled ones.
pub(super) struct NameFinder {
    known: BTreeMap<String, Known>,
    names: Vec<String>,
    /// Finds those names inside of longer texts.
    automaton: Option<AhoCorasick>,
    /// Finds short names as well, for texts that hold little else than names.
    every: Option<AhoCorasick>,
    every_name: Vec<String>,
}

impl NameFinder {
    /// A finder of every name with a dot, and of the standard library's and distributions'
    /// top-level names.
    pub(super) fn new(known: &BTreeMap<String, Known>) -> Self {
        let is_word = |name: &str| {
            let mut rules = rules::all().word.iter();
            rules.any(|rule| rule.modules.iter().any(|word| word == name))
        };
        let mut known = known.clone();
        known.retain(|name, known| known.owner != Owner::Stdlib || !is_word(name));
        let names: Vec<String> = known
            .iter()
            .filter(|(name, known)| {
                let dotted = name.contains('.');
                known.owner != Owner::App
                    && (dotted || known.owner == Owner::Distribution || name.len() >= SHORT)
            })
            .map(|(name, _)| name.clone())
            .collect();
        let automaton = AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::Standard)
            .build(&names)
            .ok();
        let every_name: Vec<String> = known
            .iter()
            .filter(|(_, known)| known.owner != Owner::App)
            .map(|(name, _)| name.clone())
            .collect();
        let every = AhoCorasick::new(&every_name).ok();
        Self {
            known,
            names,
            automaton,
            every,
            every_name,
        }
    }

    /// What an extension module of a package may import: texts that are a module's whole name or
    /// the name of a neighbour, and, where texts stand without an end between them (Rust, newer
    /// Cython), names inside of them.
    pub(super) fn references(&self, bytes: &[u8], package: &str) -> References {
        let known = &self.known;
        let merged = [&b"pyo3"[..], b"__pyx_", b"cython_runtime"]
            .iter()
            .any(|mark| memchr::memmem::find(bytes, mark).is_some());
        let prefix = if package.is_empty() {
            String::new()
        } else {
            format!("{package}.")
        };
        let mut names = BTreeSet::new();
        for text in bytes.split(|byte| *byte == 0) {
            let text = match std::str::from_utf8(text) {
                Ok(text) if (2..=200).contains(&text.len()) => text,
                _ => continue,
            };
            names.extend(known.get_key_value(text).map(|(name, _)| name.clone()));
            let neighbour = format!("{prefix}{text}");
            names.extend(
                known
                    .get_key_value(&neighbour)
                    .map(|(name, _)| name.clone()),
            );
        }
        if let (true, Some(automaton)) = (merged, &self.automaton) {
            for found in automaton.find_overlapping_iter(bytes) {
                names.insert(self.names[found.pattern().as_usize()].clone());
            }
            let neighbours = known
                .range(prefix.clone()..)
                .map(|(name, _)| name)
                .take_while(|name| !prefix.is_empty() && name.starts_with(&prefix));
            for name in neighbours {
                let last = &name[prefix.len()..];
                if !last.contains('.') && memchr::memmem::find(bytes, last.as_bytes()).is_some() {
                    names.insert(name.clone());
                }
            }
        }
        References {
            modules: names.into_iter().map(reference).collect(),
            ..References::default()
        }
    }

    /// Names in texts that were packed, where little else than names is: short ones count too.
    pub(super) fn in_texts(&self, texts: &[u8], package: &str) -> References {
        let mut found = self.references(texts, package);
        for one in self
            .every
            .iter()
            .flat_map(|every| every.find_overlapping_iter(texts))
        {
            let name = self.every_name[one.pattern().as_usize()].clone();
            found.modules.insert(reference(name));
        }
        found
    }
}

fn reference(module: String) -> Reference {
    Reference {
        module,
        name: None,
        when: When::Call,
        instead_of: Vec::new(),
    }
}
