//! What an artifact needs of the place where it runs. Start at [`Content`] and [`needs`].
//!
//! Pure: works on the list of objects in an artifact. How that list is read is in
//! [`super::artifact`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use unheck_base::TreePath;
use unheck_elf::search::{Placed, candidates};
use unheck_elf::{IsaLevel, Kind, Object};

use super::level::{Number, split};
use super::profile::{Libc, LibcKind, is_glibc, is_musl};
use super::shipped::{CpuRule, cpu_rule};
use crate::close::is_library_name;
pub use crate::form::{Format as Form, Libs};
use crate::platform::Platform;
use crate::tree::Origin;

/// One platform of an artifact: every object in it.
#[derive(Debug, Clone)]
pub struct Content {
    /// Which machine it is for.
    pub platform: Platform,
    /// What it is.
    pub form: Form,
    /// Objects by path; a link to one is one more path of it.
    pub objects: BTreeMap<TreePath, Shipped>,
    /// Names of files that begin like objects and could not be read.
    pub unread: Vec<TreePath>,
    /// Versions of the distributions in it, by normalised name.
    pub distributions: BTreeMap<String, String>,
    /// Whose libraries it says that it uses.
    pub declared_libs: Option<Libs>,
    /// What it says that it needs, and refuses to start without.
    pub declared_needs: Vec<crate::form::Need>,
}

/// An object of an artifact.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// Its facts.
    pub object: Arc<Object>,
    /// Who brought it.
    pub origin: Origin,
    /// Where the file itself is, when the path is a link's.
    pub at: TreePath,
}

/// An object, as a reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Its path in the artifact.
    pub path: TreePath,
    /// Who brought it, such as `numpy 2.3.1`.
    pub owner: String,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` of {}", self.path, self.owner)
    }
}

/// What is needed of one library of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// Objects that need it.
    pub by: BTreeSet<Who>,
    /// Symbol versions, each with the objects that need it.
    pub versions: BTreeMap<String, BTreeSet<Who>>,
    /// Whether it is only opened by name, by source code or by the libraries in between.
    pub opened: bool,
}

/// What an artifact needs of its target.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Which machine.
    pub platform: Platform,
    /// What the artifact is.
    pub form: Form,
    /// Whose libraries it uses.
    pub libs: Libs,
    /// The C library that it is made for.
    pub libc: Option<Libc>,
    /// The target's libraries that it needs; empty for a static artifact.
    pub libraries: BTreeMap<String, Need>,
    /// Objects that the loader refuses on a lesser processor.
    pub cpu: BTreeMap<IsaLevel, BTreeSet<Who>>,
    /// Distributions that ask for a processor without saying so in their objects.
    pub cpu_rules: Vec<(String, String, &'static CpuRule)>,
    /// The oldest kernel that an object asks for.
    pub kernel: Option<((u32, u32, u32), Who)>,
    /// Objects that cannot be mapped with larger pages, by that size in bytes.
    pub pages: BTreeMap<u64, BTreeSet<Who>>,
    /// Files that could not be looked into.
    pub unread: Vec<TreePath>,
}

/// What `content` needs; `libs` overrides what it is.
pub fn needs(content: &Content, libs: Option<Libs>) -> Needs {
    let own = content.libs();
    let libs = libs.unwrap_or(own);
    let ships = |shipped: &Shipped| {
        // What is static already has libraries that a dynamic one would leave out.
        libs == own || stays_when_dynamic(&shipped.origin)
    };
    let objects: BTreeMap<&TreePath, &Shipped> = content
        .objects
        .iter()
        .filter(|(_, shipped)| runs_here(shipped, content.platform) && ships(shipped))
        .collect();
    let files = || {
        objects
            .values()
            .filter(|shipped| objects.contains_key(&shipped.at))
    };
    let mut needs = Needs {
        platform: content.platform,
        form: content.form,
        libs,
        libc: made_for(content, &objects),
        libraries: BTreeMap::new(),
        cpu: BTreeMap::new(),
        cpu_rules: cpu_rules(content),
        kernel: None,
        pages: BTreeMap::new(),
        unread: content.unread.clone(),
    };
    for shipped in files() {
        let object = &shipped.object;
        let who = || content.who(shipped);
        if let Some(level) = object.isa_level_needed
            && level > IsaLevel::Baseline
            && !is_alternative(&shipped.at)
        {
            needs.cpu.entry(level).or_default().insert(who());
        }
        if let Some(kernel) = object.kernel_needed
            && needs
                .kernel
                .as_ref()
                .is_none_or(|(known, _)| kernel > *known)
        {
            needs.kernel = Some((kernel, who()));
        }
        if let Some(size) = object.max_page_size {
            needs.pages.entry(size).or_default().insert(who());
        }
    }
    if libs == Libs::Dynamic {
        needs.libraries = libraries(content, &objects);
        declared(content, &mut needs.libraries);
        if own == Libs::Static {
            opened_by_name(content, &objects, &mut needs.libraries);
        }
    }
    needs
}

impl Content {
    /// Whose libraries it uses: as it says, else as what is in it says, where one that has a libc
    /// brings all.
    pub fn libs(&self) -> Libs {
        if let Some(libs) = self.declared_libs {
            return libs;
        }
        let libc = self.objects.keys().any(|path| {
            let name = path.file_name();
            name == "libc.so.6" || is_musl(name)
        });
        if libc { Libs::Static } else { Libs::Dynamic }
    }

    fn who(&self, shipped: &Shipped) -> Who {
        let owner = match &shipped.origin {
            Origin::Distribution(name) => match self.distributions.get(name) {
                Some(version) => format!("{name} {version}"),
                None => name.clone(),
            },
            Origin::Deb(name) => format!("Debian package {name}"),
            Origin::Interpreter => "the interpreter".to_owned(),
            Origin::App => "the app".to_owned(),
            Origin::Generated(_) => "unheck".to_owned(),
        };
        Who {
            path: shipped.at.clone(),
            owner,
        }
    }
}

fn runs_here(shipped: &Shipped, platform: Platform) -> bool {
    let object = &shipped.object;
    object.machine == platform.elf_machine() && matches!(object.kind, Kind::Dyn | Kind::Exec)
}

/// Whether an object is part of a dynamic artifact: interpreter, distributions, app.
fn stays_when_dynamic(origin: &Origin) -> bool {
    match origin {
        Origin::Distribution(_) | Origin::Interpreter | Origin::App => true,
        Origin::Deb(name) => name.starts_with("python3") || name.starts_with("libpython3"),
        Origin::Generated(_) => false,
    }
}

/// Libraries in `glibc-hwcaps` are taken only on processors that have what they need
/// (ld.so(8), "Hardware capabilities").
fn is_alternative(path: &TreePath) -> bool {
    path.as_str().split('/').any(|part| part == "glibc-hwcaps")
}

fn made_for(content: &Content, objects: &BTreeMap<&TreePath, &Shipped>) -> Option<Libc> {
    let libc = |kind, version: String| {
        Some(Libc {
            kind,
            version,
            source: String::new(),
        })
    };
    let musl = |name: &str| is_musl(name);
    let is_for_musl = |shipped: &&&Shipped| {
        let loader = shipped.object.interp.as_deref().unwrap_or_default();
        loader.contains("/ld-musl-") || shipped.object.needed.iter().any(|name| musl(name))
    };
    let programs = || {
        objects
            .values()
            .filter(|shipped| shipped.object.interp.is_some() && !shipped.object.needed.is_empty())
    };
    if programs().any(|shipped| is_for_musl(&shipped)) {
        return libc(LibcKind::Musl, String::new());
    }
    // Its own libc tells exactly; else the newest version that anything asks for is the least.
    let own = content
        .objects
        .iter()
        .find(|(path, _)| path.file_name() == "libc.so.6")
        .map(|(_, shipped)| &shipped.object.offers_versions);
    let asked = objects
        .values()
        .filter_map(|shipped| shipped.object.needs_versions.get("libc.so.6"));
    let versions = own.into_iter().chain(asked.filter(|_| own.is_none()));
    let newest = versions
        .flatten()
        .filter_map(|version| match split(version)? {
            ("GLIBC", number) => Some((number, &version["GLIBC_".len()..])),
            _ => None,
        })
        .max_by(|one, other| one.0.cmp(&other.0));
    let glibc = programs().next().is_some() || newest.is_some();
    glibc
        .then(|| newest.map(|(_, text)| text.to_owned()))
        .and_then(|version| libc(LibcKind::Glibc, version.unwrap_or_default()))
}

fn cpu_rules(content: &Content) -> Vec<(String, String, &'static CpuRule)> {
    if content.platform != Platform::LinuxAmd64 {
        return Vec::new();
    }
    content
        .distributions
        .iter()
        .filter_map(|(name, version)| {
            Some((name.clone(), version.clone(), cpu_rule(name, version)?))
        })
        .collect()
}

/// The names that shipped objects need and do not find among what ships.
fn libraries(content: &Content, objects: &BTreeMap<&TreePath, &Shipped>) -> BTreeMap<String, Need> {
    let names: BTreeSet<&str> = objects
        .iter()
        .flat_map(|(path, shipped)| [Some(path.file_name()), shipped.object.soname.as_deref()])
        .flatten()
        .collect();
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for (path, shipped) in objects {
        if **path != shipped.at {
            continue;
        }
        let who = content.who(shipped);
        let object = &shipped.object;
        for soname in &object.needed {
            if serves(&names, objects, shipped, soname) {
                continue;
            }
            let need = needs.entry(soname.clone()).or_default();
            need.by.insert(who.clone());
            for version in object.needs_versions.get(soname).into_iter().flatten() {
                let by = need.versions.entry(version.clone()).or_default();
                by.insert(who.clone());
            }
        }
        // A program needs its loader, under its own name; a library that names one, as libQt5Core
        // does, needs it only when somebody runs it.
        let loader = object
            .interp
            .as_deref()
            .filter(|_| object.soname.is_none() && !object.needed.is_empty())
            .and_then(|path| path.rsplit('/').next())
            .filter(|name| !name.is_empty());
        if let Some(loader) = loader {
            let need = needs.entry(loader.to_owned()).or_default();
            need.by.insert(who);
        }
    }
    needs
}

/// Adds what the artifact lists, such as libraries that are opened by name: its launcher holds the
/// host against that list.
fn declared(content: &Content, needs: &mut BTreeMap<String, Need>) {
    for one in &content.declared_needs {
        let who = content.objects.get(&one.needed_by).map_or_else(
            || Who {
                path: one.needed_by.clone(),
                owner: "the artifact".to_owned(),
            },
            |shipped| content.who(shipped),
        );
        let known = needs.contains_key(&one.soname);
        let need = needs.entry(one.soname.clone()).or_default();
        need.opened = need.opened || !known;
        need.by.insert(who.clone());
        for version in &one.versions {
            let by = need.versions.entry(version.clone()).or_default();
            by.insert(who.clone());
        }
    }
}

/// Whether what ships has the library that `shipped` needs as `soname`.
fn serves(
    names: &BTreeSet<&str>,
    objects: &BTreeMap<&TreePath, &Shipped>,
    shipped: &Shipped,
    soname: &str,
) -> bool {
    let placed = Placed {
        at: &shipped.at,
        object: &shipped.object,
    };
    let system = unheck_elf::default_dirs(shipped.object.machine);
    let found = candidates(soname, &[placed], &system)
        .iter()
        .any(|candidate| objects.contains_key(&candidate.path));
    // A distribution may load its own library before the object that needs it. The C and GCC
    // libraries are the exception: one that a distribution brings for itself serves nobody else.
    let own_only = is_glibc(soname)
        || matches!(
            soname,
            "libstdc++.so.6" | "libgcc_s.so.1" | "libgomp.so.1" | "libatomic.so.1"
        );
    found || (!own_only && names.contains(soname))
}

/// Libraries of a static artifact that nothing needs by its header: they are there because source
/// code opens them, or because glibc does (`libgcc_s.so.1` at the end of a thread).
fn opened_by_name(
    content: &Content,
    objects: &BTreeMap<&TreePath, &Shipped>,
    needs: &mut BTreeMap<String, Need>,
) {
    let left_out: BTreeMap<&str, &Shipped> = content
        .objects
        .iter()
        .filter(|(path, shipped)| {
            !objects.contains_key(path)
                && runs_here(shipped, content.platform)
                && is_library_name(path.file_name())
                && shipped.object.soname.as_deref() == Some(path.file_name())
        })
        .map(|(path, shipped)| (path.file_name(), shipped))
        .collect();
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut queue: Vec<&str> = needs.keys().map(String::as_str).collect();
    while let Some(soname) = queue.pop() {
        if let Some((soname, shipped)) = left_out.get_key_value(soname)
            && reached.insert(soname)
        {
            queue.extend(shipped.object.needed.iter().map(String::as_str));
        }
    }
    let mut opened: BTreeSet<&str> = left_out
        .iter()
        .filter(|(soname, _)| !reached.contains(*soname))
        .filter(|(_, shipped)| !matches!(&shipped.origin, Origin::Deb(name) if name == "libc6"))
        .map(|(soname, _)| *soname)
        .collect();
    // What only the opened ones need comes with their package.
    let inner: BTreeSet<&str> = opened
        .iter()
        .filter_map(|soname| left_out.get(soname))
        .flat_map(|shipped| shipped.object.needed.iter().map(String::as_str))
        .collect();
    opened.retain(|soname| !inner.contains(soname));
    let opened: Vec<(String, Who)> = opened
        .into_iter()
        .filter_map(|soname| Some((soname.to_owned(), content.who(left_out.get(soname)?))))
        .collect();
    for (soname, who) in opened {
        let need = needs.entry(soname).or_default();
        need.opened = true;
        need.by.insert(who);
    }
}

/// The version of a kernel as a number, for comparison.
pub fn kernel_number((major, minor, patch): (u32, u32, u32)) -> Option<Number> {
    Number::of(&format!("{major}.{minor}.{patch}"))
}
