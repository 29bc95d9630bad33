//! Names that no known package has: the Contents index, and names in Python source.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use super::{CloseError, Closer, Providers, Shipped, Unmet, World};
use crate::scan::{NativeUse, is_test_path};
use crate::tree::Origin;

impl<W: World> Closer<'_, W> {
    /// Serves what is still open with packages that are named after the library, then with what the
    /// needing packages depend on, and last with packages that the Contents index names.
    pub(super) fn ask_contents(
        &mut self,
        open: Vec<(Shipped, String)>,
    ) -> Result<(), CloseError<W::Error>> {
        let open = match self.learn_built_with()? {
            true => self.unserved(open)?,
            false => open,
        };
        let named = self.world.named_after(&sonames(&open))?;
        self.learn_best(&named)?;
        let left = self.unserved(open)?;
        self.learn_dependencies(&left)?;
        let left = self.unserved(left)?;
        if left.is_empty() {
            return Ok(());
        }
        let providers = self.world.providers(&sonames(&left))?;
        self.learn_best(&providers)?;
        for (shipped, soname) in left {
            if self.serve(&shipped, &soname)? || self.alternative(&providers, &shipped, &soname)? {
                continue;
            }
            let like = self.like(&providers, &soname)?;
            let unmet = Unmet::NoProvider {
                origin: shipped.origin.clone(),
                path: shipped.path.clone(),
                soname,
                like,
            };
            if !self.unmet.contains(&unmet) {
                self.unmet.push(unmet);
            }
        }
        Ok(())
    }

    /// Learns the libraries that something was compiled with: what a linker took from one of them is there. Whether
    /// there are any.
    fn learn_built_with(&mut self) -> Result<bool, CloseError<W::Error>> {
        let request = self.request;
        let packages: BTreeSet<String> = request
            .built_with
            .iter()
            .filter(|name| self.is_library(name))
            .cloned()
            .collect();
        self.world.prepare(&packages)?;
        for package in &packages {
            self.learn(package)?;
        }
        Ok(!packages.is_empty())
    }

    /// Whether a package is one of libraries, by its section.
    fn is_library(&self, name: &str) -> bool {
        let section = self.world.describe(name).map(|(section, _)| section);
        section.is_some_and(|section| section.ends_with("libs"))
    }

    /// What no package that is known by now serves.
    fn unserved(
        &mut self,
        open: Vec<(Shipped, String)>,
    ) -> Result<Vec<(Shipped, String)>, CloseError<W::Error>> {
        let mut left = Vec::new();
        for (shipped, soname) in open {
            if !self.serve(&shipped, &soname)? {
                left.push((shipped, soname));
            }
        }
        Ok(left)
    }

    /// Learns the libraries that packages depend on whose own objects are still open.
    fn learn_dependencies(
        &mut self,
        open: &[(Shipped, String)],
    ) -> Result<(), CloseError<W::Error>> {
        let packages: BTreeSet<String> = open
            .iter()
            .filter_map(|(shipped, _)| match &shipped.origin {
                Origin::Deb(package) => Some(self.world.depends(package)),
                _ => None,
            })
            .flatten()
            .flatten()
            .filter(|name| self.is_library(name))
            .collect();
        self.world.prepare(&packages)?;
        for package in &packages {
            self.learn(package)?;
        }
        Ok(())
    }

    /// Learns the package to take each library from.
    fn learn_best(&mut self, providers: &Providers) -> Result<(), CloseError<W::Error>> {
        let chosen: BTreeSet<String> = providers
            .keys()
            .filter_map(|name| self.best(providers, name))
            .map(|(package, _)| package)
            .collect();
        self.world.prepare(&chosen)?;
        for package in &chosen {
            self.learn(package)?;
        }
        Ok(())
    }

    /// A library that Debian keeps in a directory of its own and links by `update-alternatives`
    /// (such as `blas/libblas.so.3`) ships from there; the loader finds it by `ld.so.cache`.
    fn alternative(
        &mut self,
        providers: &Providers,
        shipped: &Shipped,
        soname: &str,
    ) -> Result<bool, CloseError<W::Error>> {
        let Some((package, path)) = self.best(providers, soname) else {
            return Ok(false);
        };
        self.check_versions(shipped, soname, &package, &path);
        self.ship(&package, &path, &format!("{soname} <- {}", shipped.path))?;
        Ok(true)
    }

    /// The package to take a library from: in a directory that the loader searches before one
    /// of its own, one that ships already, a library's own package before a bundle's, then the
    /// smallest, then by name.
    fn best(&self, providers: &Providers, name: &str) -> Option<(String, TreePath)> {
        let system: Vec<TreePath> = self
            .system_dirs()
            .iter()
            .map(crate::debian::usrmerge)
            .collect();
        let triplet = self.request.platform.triplet();
        let rank = |package: &str, path: &TreePath| {
            let directory = path.parent();
            let in_system = directory
                .as_ref()
                .is_some_and(|parent| system.contains(parent));
            let near = directory
                .as_ref()
                .and_then(TreePath::parent)
                .is_some_and(|parent| parent.as_str() == format!("usr/lib/{triplet}"));
            if !in_system && !near {
                return None;
            }
            let (section, size) = self.world.describe(package)?;
            let ships = self.closure.debs.contains_key(package);
            let library = section.ends_with("libs") || section == "oldlibs";
            Some((!in_system, !ships, !library, size, package.to_owned()))
        };
        providers
            .get(name)?
            .iter()
            .filter_map(|(package, path)| {
                Some((rank(package, path)?, (package.clone(), path.clone())))
            })
            .min()
            .map(|(_, place)| place)
    }

    /// Packages that might serve a name that none serves as it is.
    fn like(
        &self,
        providers: &Providers,
        soname: &str,
    ) -> Result<Vec<String>, CloseError<W::Error>> {
        let mut like: BTreeSet<String> = providers
            .get(soname)
            .into_iter()
            .flatten()
            .map(|(package, _)| package.clone())
            .collect();
        if let Some((stem, _)) = soname.split_once(".so") {
            let pattern = format!("{stem}.so*");
            let found = self.world.providers(&BTreeSet::from([pattern.clone()]))?;
            like.extend(found.into_values().flatten().map(|(package, _)| package));
        }
        like.retain(|package| !package.ends_with("-dev"));
        Ok(like.into_iter().take(5).collect())
    }

    /// Libraries that Python source opens by name: the first name of each place that ships or
    /// that a package has.
    pub(super) fn native_names(&mut self) -> Result<(), CloseError<W::Error>> {
        let request = self.request;
        // A relative path is a file of the distribution's own, which the loader never looks for.
        let own_file = |name: &String| name.contains('/') && !name.starts_with('/');
        let announced = std::mem::take(&mut self.announced);
        let uses: Vec<&(Origin, NativeUse)> = request
            .native
            .iter()
            .filter(|(_, one)| !is_test_path(one.path.as_str()) && !one.names.iter().all(own_file))
            .chain(&announced)
            .collect();
        let mut open = Vec::new();
        for (origin, one) in uses {
            if !self.serve_native(origin, one)? {
                open.push((origin, one));
            }
        }
        self.learn_best(&self.world.named_after(&all_patterns(&open))?)?;
        let mut left = Vec::new();
        for (origin, one) in open {
            if !self.serve_native(origin, one)? {
                left.push((origin, one));
            }
        }
        let open = left;
        let patterns = all_patterns(&open);
        if patterns.is_empty() {
            return self.drain();
        }
        // These names are what source code may open: without the index, which is told, packages
        // that are named after them must do. What objects need is never left to that.
        let mut nobody = "no package of the suite has";
        let providers = match self.world.providers(&patterns) {
            Ok(providers) => providers,
            Err(error) => {
                let Some(trouble) = self.world.index_trouble(&error) else {
                    return Err(error.into());
                };
                self.closure.notes.push(format!(
                    "libraries that source code opens by name were not all looked up: {trouble}"
                ));
                nobody = "no package that is named after it has";
                Providers::new()
            }
        };
        for (origin, one) in open {
            match self.native_provider(&providers, one) {
                Some((package, path)) => {
                    self.world.prepare(&BTreeSet::from([package.clone()]))?;
                    self.learn(&package)?;
                    self.ship(&package, &path, &reason(&path, one))?;
                }
                None => self.closure.notes.push(format!(
                    "{origin} may open {} (`{}`), which {nobody}",
                    one.names.join(" or "),
                    place(one)
                )),
            }
        }
        self.drain()
    }

    /// Whether what ships, or a package that is known, has one of the names.
    fn serve_native(
        &mut self,
        origin: &Origin,
        one: &NativeUse,
    ) -> Result<bool, CloseError<W::Error>> {
        let stems: BTreeSet<String> = one.names.iter().filter_map(|name| stem(name)).collect();
        let own = |name: &str| {
            stems.iter().any(|stem| {
                name.strip_prefix(stem.as_str()).is_some_and(|rest| {
                    rest.contains(".so") && !rest.starts_with(|c: char| c.is_alphabetic())
                })
            })
        };
        if matches!(origin, Origin::Distribution(_)) && self.vendored.keys().any(|name| own(name)) {
            return Ok(true);
        }
        for pattern in one.names.iter().flat_map(|name| patterns(name)) {
            let found = match pattern.strip_suffix('*') {
                None => self.libraries.get(&pattern).cloned(),
                Some(prefix) => self.newest(prefix),
            };
            if let Some((package, path)) = found
                .as_ref()
                .and_then(|places| self.preferred(places.iter()))
            {
                self.ship(&package, &path, &reason(&path, one))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Places of the library with that prefix whose version number is the highest.
    fn newest(&self, prefix: &str) -> Option<BTreeSet<(String, TreePath)>> {
        self.libraries
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(name, _)| is_versioned(name))
            .max_by(|(one, _), (other, _)| {
                unheck_elf::ldcache::compare(one.as_bytes(), other.as_bytes())
            })
            .map(|(_, places)| places.clone())
    }

    fn native_provider(
        &self,
        providers: &Providers,
        one: &NativeUse,
    ) -> Option<(String, TreePath)> {
        one.names
            .iter()
            .flat_map(|name| patterns(name))
            .find_map(|pattern| {
                let Some(prefix) = pattern.strip_suffix('*') else {
                    return self.best(providers, &pattern);
                };
                let mut by_name: Providers = BTreeMap::new();
                for (package, path) in providers.get(&pattern)? {
                    let name = path.file_name();
                    if name.starts_with(prefix) && is_soname_like(name) {
                        by_name
                            .entry(name.to_owned())
                            .or_default()
                            .push((package.clone(), path.clone()));
                    }
                }
                let mut names: Vec<&String> = by_name.keys().collect();
                names.sort_by(|one, other| {
                    unheck_elf::ldcache::compare(other.as_bytes(), one.as_bytes())
                });
                names.into_iter().find_map(|name| self.best(&by_name, name))
            })
    }
}

fn reason(path: &TreePath, one: &NativeUse) -> String {
    format!("{} <- {}", path.file_name(), place(one))
}

/// `file:line` of source, the file alone of an object.
fn place(one: &NativeUse) -> String {
    match one.line {
        0 => one.path.to_string(),
        line => format!("{}:{line}", one.path),
    }
}

/// `libpango-1.0` of `libpango-1.0.so.0`, `pango-1.0` and `libpango-1.0`.
fn stem(name: &str) -> Option<String> {
    let name = name.rsplit('/').next().unwrap_or(name);
    if name.is_empty()
        || [".dll", ".dylib", ".exe", ".framework"]
            .iter()
            .any(|end| name.ends_with(end))
    {
        return None;
    }
    let bare = name.split(".so").next().unwrap_or(name);
    Some(if bare.starts_with("lib") {
        bare.to_owned()
    } else {
        format!("lib{bare}")
    })
}

/// The file names to look for, the surest first: `libmagic.so.1` as it stands, `magic` as
/// `libmagic.so.*` (what `ctypes.util.find_library` does).
fn patterns(name: &str) -> Vec<String> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let Some(stem) = stem(base) else {
        return Vec::new();
    };
    if base.contains(".so.") {
        return vec![base.to_owned()];
    }
    vec![format!("{stem}.so.*")]
}

fn all_patterns(uses: &[(&Origin, &NativeUse)]) -> BTreeSet<String> {
    let names = uses.iter().flat_map(|(_, one)| &one.names);
    names.flat_map(|name| patterns(name)).collect()
}

fn sonames(open: &[(Shipped, String)]) -> BTreeSet<String> {
    open.iter().map(|(_, soname)| soname.clone()).collect()
}

/// `libx.so.1` but not `libx.so` nor `libx.so.1.2.3`: a name that objects are needed by.
fn is_soname_like(name: &str) -> bool {
    name.split_once(".so.")
        .is_some_and(|(_, version)| version.split('.').count() <= 2 && is_versioned(name))
}

fn is_versioned(name: &str) -> bool {
    name.split_once(".so.").is_some_and(|(_, version)| {
        !version.is_empty()
            && version
                .split('.')
                .all(|part| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty())
    })
}
