//! OSV exports on disk: files, directories and zip archives as the databases give them out. Start at [`Dumps`].
//!
//! An export may have hundreds of thousands of records: they are read one by one, side by side, and only those about
//! something that ships are kept. What is no record, is too long or hides in a hostile archive is refused, because a
//! record that is passed over is a vulnerability that nobody is told of.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use unheck_vuln::record::{MAX_RECORD, Record, RecordError};
use unheck_vuln::subject::{Ecosystem, Kind, Subject, normalized};
use unheck_wheel::zip::{Archive, ZipError};
use unheck_wheel::{Limit, Limits};

use crate::explain::{Class, Explain};

/// Most files of one directory or archive.
const MAX_FILES: u64 = 2_000_000;
/// Deepest directory below the one that is named.
const MAX_DEPTH: usize = 12;
/// Members that one thread reads before it gets more.
const CHUNK: usize = 256;

/// OSV exports, as the user names them. Clones share what was read.
#[derive(Debug, Clone, Default)]
pub struct Dumps {
    paths: Vec<PathBuf>,
    read: Arc<Mutex<Option<Arc<Records>>>>,
}

/// The records of exports that are about something that ships.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The names that were looked for.
    names: BTreeSet<String>,
    /// The records.
    pub(super) records: Vec<Record>,
    /// How many there were in all.
    pub(super) count: usize,
    /// The newest change of any, RFC 3339.
    pub(super) newest: Option<String>,
}

/// An export cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// It cannot be read from disk.
    #[error("cannot read the OSV export `{path}`", path = path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its archive is refused.
    #[error("cannot use the OSV export `{path}`", path = path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<ZipError>,
    },
    /// One file of it is no record.
    #[error("cannot use `{member}` of the OSV export `{path}`", path = path.display())]
    Record {
        /// The archive or directory.
        path: PathBuf,
        /// The file in it.
        member: String,
        /// Why not.
        #[source]
        source: Box<RecordError>,
    },
    /// One file of it is far too long.
    #[error("`{path}` has {size} bytes, and a record may have {MAX_RECORD}", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// It has more files than any export.
    #[error("the OSV export `{path}` has more than {MAX_FILES} files", path = path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("the OSV export `{path}` has no records", path = path.display())]
    Empty {
        /// The file or directory.
        path: PathBuf,
    },
}

impl Explain for DumpError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::TooLong { .. } | Self::TooMany { .. } => Vec::new(),
            _ => vec!["give an export of osv.dev: `all.zip` of an ecosystem such as `PyPI` or `Debian`, or a directory with its `*.json`".to_owned()],
        }
    }
}

impl Dumps {
    /// The exports at these paths: `*.zip`, `*.json`, or directories of both.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            read: Arc::default(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The records about `subjects`; read once for the same subjects.
    ///
    /// # Errors
    /// [`DumpError`].
    pub(super) fn records(&self, subjects: &[Subject]) -> Result<Arc<Records>, DumpError> {
        let names = names(subjects);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read
            .as_ref()
            .filter(|known| known.names.is_superset(&names))
        {
            return Ok(Arc::clone(known));
        }
        let mut all = Records {
            names,
            ..Records::default()
        };
        for path in &self.paths {
            let before = all.count;
            read_path(path, &mut all)?;
            if all.count == before {
                return Err(DumpError::Empty { path: path.clone() });
            }
        }
        all.records.sort_by(|one, other| one.id.cmp(&other.id));
        let all = Arc::new(all);
        *read = Some(Arc::clone(&all));
        Ok(all)
    }
}

/// The names of subjects as they are compared, whatever their ecosystem.
fn names(subjects: &[Subject]) -> BTreeSet<String> {
    let names = subjects.iter().flat_map(|subject| match &subject.kind {
        Kind::Package(ecosystem, name) => vec![normalized(*ecosystem, name)],
        Kind::Library(names, _) => names.iter().cloned().collect(),
    });
    names.collect()
}

/// Whether a record names one of `names`, in whatever ecosystem, or a repository of that name.
fn concerns(record: &Record, names: &BTreeSet<String>) -> bool {
    let known = |name: &str| {
        names.contains(name)
            || names.contains(&normalized(Ecosystem::PyPi, name))
            || names.contains(&name.to_lowercase())
    };
    record.affected.iter().any(|affected| {
        let package = affected.package.as_ref().is_some_and(|package| {
            let last = package.name.rsplit('/').next().unwrap_or_default();
            known(&package.name) || known(last)
        });
        let repositories = affected
            .ranges
            .iter()
            .filter_map(|range| range.repo.as_deref());
        package
            || repositories
                .map(|url| url.trim_end_matches('/').trim_end_matches(".git"))
                .any(|url| known(url.rsplit('/').next().unwrap_or_default()))
    })
}

/// What is kept of some records.
#[derive(Default)]
struct Part {
    records: Vec<Record>,
    count: usize,
    newest: Option<String>,
}

impl Part {
    fn take(&mut self, record: Record, names: &BTreeSet<String>) {
        self.count += 1;
        if record.modified > self.newest {
            self.newest.clone_from(&record.modified);
        }
        if concerns(&record, names) {
            self.records.push(record);
        }
    }
}

impl Records {
    fn add(&mut self, part: Part) {
        self.count += part.count;
        self.newest = self.newest.take().max(part.newest);
        self.records.extend(part.records);
    }
}

fn read_path(path: &Path, all: &mut Records) -> Result<(), DumpError> {
    let failed = |source| DumpError::Read {
        path: path.to_owned(),
        source,
    };
    let (mut archives, mut files) = (Vec::new(), Vec::new());
    if fs_err::metadata(path).map_err(failed)?.is_dir() {
        let visible = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        let walk = walkdir::WalkDir::new(path)
            .max_depth(MAX_DEPTH)
            .sort_by_file_name();
        for (number, entry) in walk.into_iter().filter_entry(visible).enumerate() {
            if number as u64 > MAX_FILES {
                return Err(DumpError::TooMany {
                    path: path.to_owned(),
                });
            }
            let entry = entry.map_err(|error| failed(error.into()))?;
            if !entry.file_type().is_file() {
                continue;
            }
            match entry.path().extension().and_then(|end| end.to_str()) {
                Some("zip") => archives.push(entry.into_path()),
                Some("json") => files.push(entry.into_path()),
                _ => {}
            }
        }
    } else if path.extension().is_some_and(|end| end == "json") {
        files.push(path.to_owned());
    } else {
        archives.push(path.to_owned());
    }
    for archive in &archives {
        read_archive(archive, all)?;
    }
    let names = std::mem::take(&mut all.names);
    let parts: Result<Vec<Part>, DumpError> = files
        .par_chunks(CHUNK)
        .map(|some| read_files(some, path, &names))
        .collect();
    all.names = names;
    parts?.into_iter().for_each(|part| all.add(part));
    Ok(())
}

fn read_files(files: &[PathBuf], top: &Path, names: &BTreeSet<String>) -> Result<Part, DumpError> {
    let mut part = Part::default();
    for path in files {
        let failed = |source| DumpError::Read {
            path: path.clone(),
            source,
        };
        let file = fs_err::File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size > MAX_RECORD {
            return Err(DumpError::TooLong {
                path: path.clone(),
                size,
            });
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_RECORD), &mut bytes).map_err(failed)?;
        let record = Record::parse(&bytes).map_err(|source| DumpError::Record {
            path: top.to_owned(),
            member: path.strip_prefix(top).unwrap_or(path).display().to_string(),
            source: Box::new(source),
        })?;
        part.take(record, names);
    }
    Ok(part)
}

/// Limits of an archive of very many small files.
fn limits() -> Limits {
    Limits {
        entries: MAX_FILES,
        depth: MAX_DEPTH as u64,
        central_directory: 512 << 20,
        total_ratio: 100,
        entry_ratio: 1000,
        ..Limits::default()
    }
}

fn read_archive(path: &Path, all: &mut Records) -> Result<(), DumpError> {
    let unread = |source| DumpError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |source| DumpError::Archive {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let mut file = fs_err::File::open(path).map_err(unread)?;
    let len = file.metadata().map_err(unread)?.len();
    let archive = Archive::open(&mut file, len, &limits()).map_err(refused)?;
    let is_record = |index: &usize| {
        let member = &archive.members()[*index];
        !member.is_dir && member.path.as_str().ends_with(".json")
    };
    let wanted: Vec<usize> = (0..archive.members().len()).filter(is_record).collect();
    let names = &all.names;
    let failed = AtomicUsize::new(0);
    let parts: Result<Vec<Part>, DumpError> = wanted
        .par_chunks(CHUNK)
        .map(|some| {
            let mut part = Part::default();
            // Each thread seeks for itself.
            let mut file = fs_err::File::open(path).map_err(unread)?;
            for index in some {
                if failed.load(Ordering::Relaxed) > 0 {
                    break;
                }
                let read = archive.read(&mut file, *index, (Limit::Metadata, MAX_RECORD));
                let parsed = read.map_err(refused).and_then(|bytes| {
                    Record::parse(&bytes).map_err(|source| DumpError::Record {
                        path: path.to_owned(),
                        member: archive.members()[*index].path.to_string(),
                        source: Box::new(source),
                    })
                });
                if parsed.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                part.take(parsed?, names);
            }
            Ok(part)
        })
        .collect();
    parts?.into_iter().for_each(|part| all.add(part));
    Ok(())
}

#[cfg(test)]
mod tests {
    use unheck_testkit::zip::{ZipEntry, ZipFile};

    use super::*;

    const DEMO: &str = r#"{"id": "PYSEC-1", "modified": "2026-02-01T00:00:00Z", "affected": [{"package": {"ecosystem": "PyPI", "name": "Demo"}}]}"#;
    const OTHER: &str = r#"{"id": "DEBIAN-1", "modified": "2026-03-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Debian:13", "name": "zlib"}}]}"#;

    fn subjects() -> Vec<Subject> {
        vec![Subject {
            id: "pypi:demo".into(),
            version: "1".into(),
            kind: Kind::Package(Ecosystem::PyPi, "demo".into()),
        }]
    }

    /// What is kept, of how many, and how new; or why it is refused.
    fn read(path: &Path) -> String {
        let dumps = Dumps::new(vec![path.to_owned()]);
        match dumps.records(&subjects()) {
            Ok(all) => {
                let ids: Vec<&str> = all.records.iter().map(|one| one.id.as_str()).collect();
                let newest = all.newest.as_deref().unwrap_or("?");
                format!("{} of {}, {newest}", ids.join(" "), all.count)
            }
            Err(error) => {
                let text = crate::explain::with_causes(&error, ": ");
                text.replace(&path.display().to_string(), "DUMP")
            }
        }
    }

    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, bytes).unwrap();
        }
        directory
    }

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let entries = members
            .iter()
            .map(|(name, bytes)| ZipEntry::file(name, bytes));
        ZipFile {
            entries: entries.collect(),
            ..ZipFile::default()
        }
        .build()
    }

    #[test]
    fn directories_and_archives_are_read_and_only_what_concerns_is_kept() {
        let members: [(&str, &[u8]); 2] = [
            ("PYSEC-1.json", DEMO.as_bytes()),
            ("DEBIAN-1.json", OTHER.as_bytes()),
        ];
        let all = "PYSEC-1 of 2, 2026-03-01T00:00:00Z";
        assert_eq!(read(directory(&members).path()), all);
        let archive = zip(&members);
        let packed = directory(&[
            ("PyPI/all.zip", &archive),
            (".git/x.json", b"no record"),
            ("README.md", b"x"),
        ]);
        assert_eq!(read(packed.path()), all);
        assert_eq!(read(&packed.path().join("PyPI/all.zip")), all);
    }

    #[test]
    fn what_is_no_export_is_refused_by_name() {
        let bad = directory(&[("a/b.json", b"[]"), ("c.json", DEMO.as_bytes())]);
        assert!(
            read(bad.path())
                .starts_with("cannot use `a/b.json` of the OSV export `DUMP`: it is no OSV record"),
            "{}",
            read(bad.path())
        );
        let empty = directory(&[("README", b"x")]);
        assert_eq!(read(empty.path()), "the OSV export `DUMP` has no records");
        assert!(read(&empty.path().join("none")).starts_with("cannot read the OSV export `DUMP`"));
        for (members, said) in [
            (
                vec![("../x.json", DEMO.as_bytes())],
                "cannot use the OSV export",
            ),
            (
                vec![("x.json", DEMO.as_bytes()), ("x.json", DEMO.as_bytes())],
                "cannot use the OSV export",
            ),
            (
                vec![("x.json", &DEMO.as_bytes()[..40])],
                "cannot use `x.json` of the OSV export",
            ),
        ] {
            let packed = directory(&[("all.zip", &zip(&members))]);
            let text = read(&packed.path().join("all.zip"));
            assert!(text.starts_with(said), "{text}");
        }
        let torn = directory(&[("all.zip", b"PK\x03\x04 and no more")]);
        assert!(read(&torn.path().join("all.zip")).starts_with("cannot use the OSV export"));
        // Small in the archive, endless outside.
        let bomb = vec![b' '; (MAX_RECORD + 1) as usize];
        let packed = directory(&[("all.zip", &zip(&[("x.json", &bomb)]))]);
        assert!(
            read(&packed.path().join("all.zip")).contains("more than the limit"),
            "{}",
            read(&packed.path().join("all.zip"))
        );
    }
}
