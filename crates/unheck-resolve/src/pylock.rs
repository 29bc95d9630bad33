//! PEP 751 documents: [`pylock_text`] writes one; `pylock_read` reads any.
//!
//! Follows <https://peps.python.org/pep-0751/>, lock version 1.0. What the format has no field for (the
//! extras, what the input itself asked for) goes to `[packages.tool.unheck]`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::Target;
use crate::model::{Artifact, File, Package, Resolution};

/// Why [`pylock_text`] failed: a file without a sha256. The caller computes it first and fills it in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot lock `{file}` without its sha256")]
pub struct NoHash {
    /// The filename.
    pub file: String,
}

/// The text of a PEP 751 lock for one or more targets, sorted, the same for the same resolutions.
///
/// `directory` is where the lock will be: local paths become relative to it. An entry that not all
/// targets share gets a `marker` with the machines it is for; so all targets must differ in machine.
///
/// # Errors
/// [`NoHash`] when a file to install has no sha256. Other wheels of the version without one are left out.
pub fn pylock_text(resolutions: &[&Resolution], directory: &Path) -> Result<String, NoHash> {
    let mut document = DocumentMut::new();
    document["lock-version"] = "1.0".into();
    let environments: Vec<String> = resolutions.iter().map(|r| environment(&r.target)).collect();
    document["environments"] = lines(environments.iter().map(|text| text.as_str().into()));
    if let Some(requires) = resolutions
        .iter()
        .find_map(|r| r.requires_python.as_deref())
    {
        document["requires-python"] = requires.into();
    }
    document["created-by"] = "unheck".into();
    let mut entries: BTreeMap<(String, String), (Table, Vec<&Target>)> = BTreeMap::new();
    for resolution in resolutions {
        for package in &resolution.packages {
            let table = entry(package, directory)?;
            entries
                .entry((package.name.clone(), table.to_string()))
                .or_insert_with(|| (table, Vec::new()))
                .1
                .push(&resolution.target);
        }
    }
    let mut packages = ArrayOfTables::new();
    for (mut table, targets) in entries.into_values() {
        if targets.len() < resolutions.len() {
            let marker: Vec<String> = targets.iter().map(|target| machine(target)).collect();
            table["marker"] = marker.join(" or ").into();
        }
        table.sort_values_by(|a, _, b, _| rank(a.get()).cmp(&rank(b.get())));
        packages.push(table);
    }
    document["packages"] = match packages.is_empty() {
        true => Item::Value(Array::new().into()),
        false => Item::ArrayOfTables(packages),
    };
    Ok(document.to_string())
}

/// The order of the keys of an entry.
fn rank(key: &str) -> usize {
    const ORDER: [&str; 11] = [
        "name",
        "version",
        "marker",
        "index",
        "dependencies",
        "vcs",
        "directory",
        "archive",
        "sdist",
        "wheels",
        "tool",
    ];
    ORDER
        .iter()
        .position(|known| *known == key)
        .unwrap_or(ORDER.len())
}

/// The marker of the environments that a target stands for.
fn environment(target: &Target) -> String {
    let (major, minor) = target.minor();
    format!(
        "implementation_name == 'cpython' and python_version == '{major}.{minor}' and sys_platform == 'linux' and {}",
        machine(target)
    )
}

fn machine(target: &Target) -> String {
    format!("platform_machine == '{}'", target.arch().machine())
}

/// One `[[packages]]` table, without marker.
fn entry(package: &Package, directory: &Path) -> Result<Table, NoHash> {
    let mut table = Table::new();
    table["name"] = package.name.as_str().into();
    if let Some(version) = &package.version {
        table["version"] = version.as_str().into();
    }
    if !package.dependencies.is_empty() {
        table["dependencies"] = lines(
            package
                .dependencies
                .iter()
                .map(|name| Value::InlineTable(InlineTable::from_iter([("name", name.as_str())]))),
        );
    }
    match &package.artifact {
        Artifact::Wheel(file) | Artifact::Sdist(file) => {
            if file.sha256.is_none() {
                return Err(NoHash {
                    file: file.filename.clone(),
                });
            }
            if let Some(index) = &file.index {
                table["index"] = index.as_str().into();
            }
            if let Some(sdist) = package.sdist.as_ref().filter(|file| file.sha256.is_some()) {
                table["sdist"] = Item::Value(file_table(sdist, directory).into());
            }
            let wheels = package
                .all_wheels
                .iter()
                .filter(|file| file.sha256.is_some());
            let wheels: Vec<Value> = wheels
                .map(|file| file_table(file, directory).into())
                .collect();
            if !wheels.is_empty() {
                table["wheels"] = lines(wheels.into_iter());
            }
        }
        Artifact::Directory { path, editable } => {
            let mut place = InlineTable::new();
            place.insert("path", portable(&relative(path, directory)).into());
            if *editable {
                place.insert("editable", true.into());
            }
            table["directory"] = Item::Value(place.into());
        }
        Artifact::Archive {
            file, subdirectory, ..
        } => {
            if file.sha256.is_none() {
                return Err(NoHash {
                    file: file.filename.clone(),
                });
            }
            let mut place = file_table(file, directory);
            place.remove("name");
            if let Some(subdirectory) = subdirectory {
                place.insert("subdirectory", subdirectory.as_str().into());
            }
            table["archive"] = Item::Value(place.into());
        }
        Artifact::Git {
            url,
            commit,
            subdirectory,
        } => {
            let mut place = InlineTable::new();
            place.insert("type", "git".into());
            place.insert("url", url.as_str().into());
            place.insert("commit-id", commit.as_str().into());
            if let Some(subdirectory) = subdirectory {
                place.insert("subdirectory", subdirectory.as_str().into());
            }
            table["vcs"] = Item::Value(place.into());
        }
    }
    table["tool"] = own_table(package);
    Ok(table)
}

/// `[packages.tool.unheck]`.
fn own_table(package: &Package) -> Item {
    let mut own = Table::new();
    own["requested"] = package.requested_by_root.into();
    if !package.extras.is_empty() {
        let extras: Array = package.extras.iter().map(String::as_str).collect();
        own["extras"] = extras.into();
    }
    let mut tool = Table::new();
    tool.set_implicit(true);
    tool.insert("unheck", own.into());
    Item::Table(tool)
}

fn file_table(file: &File, directory: &Path) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("name", file.filename.as_str().into());
    match local_path(&file.url) {
        Some(path) => table.insert("path", portable(&relative(&path, directory)).into()),
        None => table.insert("url", file.url.as_str().into()),
    };
    // TOML writes `.000` as `.0`: leave it out.
    let time = file
        .upload_time
        .as_deref()
        .and_then(|text| text.replace(".000Z", "Z").parse().ok());
    if let Some(time) = time {
        table.insert(
            "upload-time",
            Value::Datetime(toml_edit::Formatted::new(time)),
        );
    }
    if let Some(size) = file.size.and_then(|size| i64::try_from(size).ok()) {
        table.insert("size", size.into());
    }
    if let Some(digest) = file.sha256 {
        let hashes = InlineTable::from_iter([("sha256", digest.hex())]);
        table.insert("hashes", hashes.into());
    }
    table
}

/// An array with one element per line.
fn lines(values: impl Iterator<Item = Value>) -> Item {
    let mut array: Array = values
        .map(|mut value| {
            value.decor_mut().set_prefix("\n    ");
            value
        })
        .collect();
    array.set_trailing_comma(true);
    array.set_trailing("\n");
    Item::Value(array.into())
}

/// The path of a `file` URL.
pub(crate) fn local_path(url: &str) -> Option<PathBuf> {
    let url = url::Url::parse(url)
        .ok()
        .filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// `path` as seen from `directory`; both absolute.
fn relative(path: &Path, directory: &Path) -> PathBuf {
    let (path_parts, base): (Vec<Component<'_>>, Vec<Component<'_>>) = (
        path.components().collect(),
        directory.components().collect(),
    );
    let shared = path_parts
        .iter()
        .zip(&base)
        .take_while(|(a, b)| a == b)
        .count();
    let mut relative = PathBuf::new();
    for _ in shared..base.len() {
        relative.push("..");
    }
    relative.extend(&path_parts[shared..]);
    if relative.as_os_str().is_empty() {
        relative.push(".");
    }
    relative
}

fn portable(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
