//! Where the glibc loader looks for a needed name, in its order (ld.so(8), "DESCRIPTION").
//!
//! Pure: it lists paths and never asks whether they exist. `LD_LIBRARY_PATH`, `LD_PRELOAD` and
//! the `glibc-hwcaps` subdirectories are not modelled: images have none. Start at [`candidates`].

use unheck_base::TreePath;

use crate::machine::{Machine, multiarch_triplet};
use crate::object::Object;

/// How many candidates one needed name may have; a longer search path is cut.
pub const MAX_CANDIDATES: usize = 4096;

/// An object at its place in a tree.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Where the loader found the object; `$ORIGIN` is the directory of this path.
    pub at: &'a TreePath,
    /// Its facts.
    pub object: &'a Object,
}

/// Which rule of the loader leads to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The needed name is itself a path.
    Path,
    /// `DT_RPATH` of the object or of one that loaded it.
    Rpath,
    /// `DT_RUNPATH` of the object itself.
    Runpath,
    /// The cache or a default directory.
    System,
}

/// A place where a needed name may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// The file to look for.
    pub path: TreePath,
    /// The rule that leads there.
    pub rule: Rule,
}

/// The places where the loader looks for `needed`, the first one first, without repetition.
///
/// `chain` begins with the object that needs the name, followed by the one that loaded it, and so
/// on up to the program: `DT_RPATH` is inherited along it, `DT_RUNPATH` is not, and an object's
/// `DT_RPATH` counts for nothing when it has a `DT_RUNPATH` too. `system` are the directories of
/// the cache and the default ones ([`crate::default_dirs`]). Search paths that are relative, that
/// leave the root, or that use an unknown token lead nowhere and are left out.
pub fn candidates(needed: &str, chain: &[Placed<'_>], system: &[TreePath]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let Some(first) = chain.first() else {
        return found;
    };
    if needed.contains('/') {
        if let Some(path) = expand(needed, first) {
            found.push(Candidate {
                path,
                rule: Rule::Path,
            });
        }
        return found;
    }
    let mut push = |directory: Option<TreePath>, rule| {
        if let Some(path) = directory.and_then(|directory| directory.join(needed).ok())
            && found.len() < MAX_CANDIDATES
            && !found.iter().any(|known: &Candidate| known.path == path)
        {
            found.push(Candidate { path, rule });
        }
    };
    if first.object.runpath.is_empty() {
        for placed in chain
            .iter()
            .filter(|placed| placed.object.runpath.is_empty())
        {
            for entry in &placed.object.rpath {
                push(expand(entry, placed), Rule::Rpath);
            }
        }
    }
    for entry in &first.object.runpath {
        push(expand(entry, first), Rule::Runpath);
    }
    if !first.object.no_default_dirs {
        for directory in system {
            push(Some(directory.clone()), Rule::System);
        }
    }
    found
}

/// Expands `$ORIGIN`, `$LIB` and `$PLATFORM` (with or without braces; ld.so(8), "Dynamic string
/// tokens") of a path that an object names, and makes it relative to the root of the tree.
///
/// `None` for a path that is relative, leaves the root, is the root or has another token.
pub fn expand(path: &str, placed: &Placed<'_>) -> Option<TreePath> {
    let mut text = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let name = if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find('}')?;
            rest = &inner[end + 1..];
            &inner[..end]
        } else {
            let end = rest
                .find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_')
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            name
        };
        match name {
            "ORIGIN" => {
                text.push('/');
                if let Some(directory) = placed.at.parent() {
                    text.push_str(directory.as_str());
                }
            }
            "LIB" => {
                text.push_str("lib/");
                text.push_str(multiarch_triplet(placed.object.machine)?);
            }
            "PLATFORM" => text.push_str(platform(placed.object.machine)?),
            _ => return None,
        }
    }
    text.push_str(rest);
    if !text.starts_with('/') {
        return None;
    }
    // By text, as the kernel would do it in a tree without symlinks on the way.
    placed.at.resolve_link(&text)
}

/// `AT_PLATFORM` of the kernel, for a processor of the baseline.
fn platform(machine: Machine) -> Option<&'static str> {
    match machine {
        Machine::X86_64 => Some("x86_64"),
        Machine::Aarch64 => Some("aarch64"),
        Machine::Other(_) => None,
    }
}
