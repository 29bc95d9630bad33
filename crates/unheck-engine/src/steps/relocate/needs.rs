//! What a tree without system libraries needs of its host, and which package there has it.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_elf::Object;
use unheck_elf::search::{Placed, candidates};

use super::{RelocateError, Relocation};
use crate::assemble::PackReader;
use crate::close::is_library_name;
use crate::form::Need;
use crate::lock::Target;
use crate::tree::{Node, Tree};

/// Longest object that is looked into.
const MAX_OBJECT: u64 = 1 << 30;

/// Packages of other families than Debian, by soname, for hints: the names that RHEL 8 to 10 and
/// Fedora, Alpine 3.20, openSUSE Leap 15 and Tumbleweed use, from knowledge of them and not read
/// off their indexes. Empty where a family has no library of that soname. Debian's come from the
/// lock, and from here where it has none.
const PACKAGES: &[(&str, [&str; 4])] = &[
    // soname, [debian, rhel, suse, alpine]
    ("libX11.so.6", ["libx11-6", "libX11", "libX11-6", "libx11"]),
    (
        "libbz2.so.1",
        ["libbz2-1.0", "bzip2-libs", "libbz2-1", "libbz2"],
    ),
    ("libbz2.so.1.0", ["libbz2-1.0", "", "", ""]),
    ("libc.so.6", ["libc6", "glibc", "glibc", ""]),
    (
        "libcrypt.so.1",
        ["libcrypt1", "libxcrypt-compat", "libcrypt1", ""],
    ),
    (
        "libcrypto.so.1.1",
        [
            "libssl1.1",
            "compat-openssl11",
            "libopenssl1_1",
            "libcrypto1.1",
        ],
    ),
    (
        "libcrypto.so.3",
        ["libssl3", "openssl-libs", "libopenssl3", "libcrypto3"],
    ),
    (
        "libcurl.so.4",
        ["libcurl4", "libcurl", "libcurl4", "libcurl"],
    ),
    ("libdb-5.3.so", ["libdb5.3", "libdb", "", "db"]),
    ("libdl.so.2", ["libc6", "glibc", "glibc", ""]),
    (
        "libexpat.so.1",
        ["libexpat1", "expat", "libexpat1", "libexpat"],
    ),
    ("libffi.so.7", ["libffi7", "", "libffi7", ""]),
    ("libffi.so.8", ["libffi8", "libffi", "libffi8", "libffi"]),
    (
        "libgcc_s.so.1",
        ["libgcc-s1", "libgcc", "libgcc_s1", "libgcc"],
    ),
    (
        "libgdbm.so.6",
        ["libgdbm6", "gdbm-libs", "libgdbm6", "gdbm"],
    ),
    (
        "libgfortran.so.5",
        ["libgfortran5", "libgfortran", "libgfortran5", "libgfortran"],
    ),
    (
        "libglib-2.0.so.0",
        ["libglib2.0-0", "glib2", "libglib-2_0-0", "glib"],
    ),
    (
        "libgomp.so.1",
        ["libgomp1", "libgomp", "libgomp1", "libgomp"],
    ),
    (
        "liblzma.so.5",
        ["liblzma5", "xz-libs", "liblzma5", "xz-libs"],
    ),
    ("libm.so.6", ["libc6", "glibc", "glibc", ""]),
    (
        "libmagic.so.1",
        ["libmagic1", "file-libs", "libmagic1", "libmagic"],
    ),
    (
        "libncursesw.so.6",
        ["libncursesw6", "ncurses-libs", "libncurses6", "libncursesw"],
    ),
    ("libnsl.so.2", ["libnsl2", "libnsl2", "libnsl2", "libnsl"]),
    (
        "libpanelw.so.6",
        ["libncursesw6", "ncurses-libs", "libncurses6", "libpanelw"],
    ),
    ("libpq.so.5", ["libpq5", "libpq", "libpq5", "libpq"]),
    ("libpthread.so.0", ["libc6", "glibc", "glibc", ""]),
    (
        "libreadline.so.8",
        ["libreadline8", "readline", "libreadline8", "readline"],
    ),
    ("librt.so.1", ["libc6", "glibc", "glibc", ""]),
    (
        "libsqlite3.so.0",
        ["libsqlite3-0", "sqlite-libs", "libsqlite3-0", "sqlite-libs"],
    ),
    (
        "libssl.so.1.1",
        [
            "libssl1.1",
            "compat-openssl11",
            "libopenssl1_1",
            "libssl1.1",
        ],
    ),
    (
        "libssl.so.3",
        ["libssl3", "openssl-libs", "libopenssl3", "libssl3"],
    ),
    (
        "libstdc++.so.6",
        ["libstdc++6", "libstdc++", "libstdc++6", "libstdc++"],
    ),
    (
        "libtinfo.so.6",
        ["libtinfo6", "ncurses-libs", "libncurses6", ""],
    ),
    (
        "libtirpc.so.3",
        ["libtirpc3", "libtirpc", "libtirpc3", "libtirpc"],
    ),
    ("libutil.so.1", ["libc6", "glibc", "glibc", ""]),
    (
        "libuuid.so.1",
        ["libuuid1", "libuuid", "libuuid1", "libuuid"],
    ),
    ("libz.so.1", ["zlib1g", "zlib", "libz1", "zlib"]),
    (
        "libzstd.so.1",
        ["libzstd1", "libzstd", "libzstd1", "zstd-libs"],
    ),
];

/// The columns of [`PACKAGES`].
const FAMILIES: [&str; 4] = ["debian", "rhel", "suse", "alpine"];

/// What the objects of a tree need that is not in the tree, sorted by soname.
pub(super) fn of_host(
    tree: &Tree,
    reader: &PackReader<'_>,
    relocation: &Relocation<'_>,
) -> Result<Vec<Need>, RelocateError> {
    let objects = objects(tree, reader)?;
    let machine = relocation.target.platform.elf_machine();
    let mut needs: BTreeMap<String, (BTreeSet<String>, TreePath)> = BTreeMap::new();
    for (path, object) in objects
        .iter()
        .filter(|(_, object)| object.machine == machine)
    {
        let asked = object.needed.iter().chain(object.needs_versions.keys());
        for soname in asked.filter(|soname| !comes_along(tree, path, object, soname)) {
            let (versions, _) = needs
                .entry(soname.clone())
                .or_insert_with(|| (BTreeSet::new(), path.clone()));
            versions.extend(
                object
                    .needs_versions
                    .get(soname)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
    }
    let packages = debian_packages(relocation.target);
    Ok(needs
        .into_iter()
        .map(|(soname, (versions, needed_by))| Need {
            packages: packages_of(&soname, &packages),
            soname,
            versions: versions.into_iter().collect(),
            needed_by,
        })
        .collect())
}

/// Two lists as one.
pub(super) fn joined(one: Vec<Need>, other: Vec<Need>) -> Vec<Need> {
    let mut all: BTreeMap<String, Need> = one
        .into_iter()
        .map(|need| (need.soname.clone(), need))
        .collect();
    for need in other {
        match all.get_mut(&need.soname) {
            None => drop(all.insert(need.soname.clone(), need)),
            Some(there) => {
                there.versions.extend(need.versions);
                there.versions.sort();
                there.versions.dedup();
            }
        }
    }
    all.into_values().collect()
}

fn objects(
    tree: &Tree,
    reader: &PackReader<'_>,
) -> Result<BTreeMap<TreePath, Object>, RelocateError> {
    let files: Vec<(&TreePath, &Node)> = tree
        .iter()
        .filter(|(path, node)| {
            (is_library_name(path.file_name()) || node.mode & 0o111 != 0)
                && node
                    .content()
                    .is_some_and(|content| content.len() <= MAX_OBJECT)
                && !super::is_launcher(node)
        })
        .collect();
    let read = |(path, node): &(&TreePath, &Node)| {
        let Some(content) = node.content() else {
            return Ok(None);
        };
        let bytes = reader
            .bytes(content, MAX_OBJECT)
            .map_err(|source| RelocateError::Read {
                path: (*path).clone(),
                source,
            })?;
        Ok(Object::parse(&bytes)
            .ok()
            .map(|object| ((*path).clone(), object)))
    };
    let found: Vec<Option<(TreePath, Object)>> = files
        .par_iter()
        .map(read)
        .collect::<Result<_, RelocateError>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Whether a library comes with the distribution that needs it: where its own search path leads,
/// or beside it.
fn comes_along(tree: &Tree, path: &TreePath, object: &Object, soname: &str) -> bool {
    let placed = Placed { at: path, object };
    let places = candidates(soname, &[placed], &[])
        .into_iter()
        .map(|one| one.path);
    let beside = path.parent().and_then(|parent| parent.join(soname).ok());
    places
        .chain(beside)
        .any(|place| tree.follow(&place).is_some())
}

/// Names of the lock's packages by the file names of their libraries.
fn debian_packages(target: &Target) -> BTreeMap<&str, &str> {
    target
        .debs
        .iter()
        .flat_map(|deb| {
            deb.files
                .keys()
                .map(move |path| (path.file_name(), deb.name.as_str()))
        })
        .collect()
}

fn packages_of(soname: &str, debian: &BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    let row = PACKAGES.iter().find(|(name, _)| *name == soname);
    let mut packages: BTreeMap<String, String> = FAMILIES
        .iter()
        .zip(row.map(|(_, names)| *names).unwrap_or_default())
        .filter(|(_, name)| !name.is_empty())
        .map(|(family, name)| ((*family).to_owned(), name.to_owned()))
        .collect();
    if let Some(name) = debian.get(soname) {
        packages.insert("debian".to_owned(), (*name).to_owned());
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_library_once() {
        assert!(PACKAGES.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn the_locks_package_wins_over_the_tables() {
        let lock = BTreeMap::from([("libssl.so.3", "libssl3t64")]);
        let packages = packages_of("libssl.so.3", &lock);
        assert_eq!(packages["debian"], "libssl3t64");
        assert_eq!(packages["rhel"], "openssl-libs");
        assert!(packages_of("libnone.so.9", &lock).is_empty());
        assert!(!packages_of("libc.so.6", &lock).contains_key("alpine"));
    }

    #[test]
    fn needs_of_two_parts_are_joined() {
        let path = TreePath::new("a").expect("path");
        let need = |soname: &str, versions: &[&str]| Need {
            soname: soname.to_owned(),
            versions: versions.iter().map(|one| (*one).to_owned()).collect(),
            needed_by: path.clone(),
            packages: BTreeMap::new(),
        };
        let all = joined(
            vec![need("b", &["2"]), need("c", &[])],
            vec![need("a", &[]), need("b", &["1", "2"])],
        );
        assert_eq!(
            all,
            [need("a", &[]), need("b", &["1", "2"]), need("c", &[])]
        );
    }
}
