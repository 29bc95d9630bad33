//! The text of a lock: TOML, sorted, one fact per line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Lock, Package, Plan};
use crate::explain::{Class, Explain};

/// A lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadLockError {
    /// It could not be read from disk.
    #[error("cannot read the lock")]
    Read(#[source] std::io::Error),
    /// It is not TOML, or not of the shape that unheck writes.
    #[error("the lock `{path}` is not one that unheck wrote", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A newer unheck wrote it.
    #[error("the lock `{path}` has format {found}, this unheck reads up to {FORMAT}", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A target names a wheel that no package has.
    #[error("the lock `{path}` names the wheel `{wheel}` that none of its packages has", path = path.display())]
    NoSuchWheel {
        /// The file.
        path: PathBuf,
        /// The wheel's file name.
        wheel: String,
    },
}

impl Explain for ReadLockError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        vec!["run `unheck lock` to write it again".to_owned()]
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_python: Option<String>,
    #[serde(default)]
    packages: Vec<Package>,
    tool: Tool,
}

#[derive(Serialize, Deserialize)]
struct Tool {
    unheck: Plan,
}

/// Just enough to tell a newer format from a broken file.
#[derive(Deserialize)]
struct Probe {
    tool: ProbeTool,
}

#[derive(Deserialize)]
struct ProbeTool {
    unheck: ProbePlan,
}

#[derive(Deserialize)]
struct ProbePlan {
    format: u32,
}

impl Lock {
    /// Reads the text of a lock; `path` is only for messages.
    ///
    /// # Errors
    /// [`ReadLockError`] when it is not a lock that this unheck can build from.
    pub fn from_text(text: &str, path: &std::path::Path) -> Result<Self, ReadLockError> {
        let path = path.to_owned();
        if let Ok(probe) = toml::from_str::<Probe>(text)
            && probe.tool.unheck.format > FORMAT
        {
            return Err(ReadLockError::Newer {
                path,
                found: probe.tool.unheck.format,
            });
        }
        let document: Document = match toml::from_str(text) {
            Ok(document) => document,
            Err(source) => {
                return Err(ReadLockError::Shape {
                    path,
                    source: Box::new(source),
                });
            }
        };
        let lock = Self {
            requires_python: document.requires_python,
            packages: document.packages,
            plan: document.tool.unheck,
        };
        let wheels = lock.plan.targets.iter().flat_map(|target| &target.wheels);
        for wheel in wheels {
            if lock.wheel(wheel).is_none() {
                return Err(ReadLockError::NoSuchWheel {
                    path,
                    wheel: wheel.clone(),
                });
            }
        }
        Ok(lock)
    }

    /// The text of the lock. The same lock gives the same bytes.
    pub fn to_text(&self) -> String {
        let document = Document {
            lock_version: "1.0".to_owned(),
            created_by: "unheck".to_owned(),
            requires_python: self.requires_python.clone(),
            packages: self.packages.clone(),
            tool: Tool {
                unheck: self.plan.clone(),
            },
        };
        let body = toml::to_string_pretty(&document)
            .expect("a lock has only values that TOML can hold: strings, integers, tables");
        format!(
            "# Written by unheck; `unheck lock` renews it. PEP 751: uv and pip read the packages.\n{body}"
        )
    }
}

/// SHA-256 as bare hexadecimal digits, the form of PEP 751 `hashes`.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer};
    use unheck_base::Digest;

    pub(in crate::lock) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(in crate::lock) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::*;
    use unheck_base::TreePath;

    fn sample() -> Lock {
        let wheel = Wheel {
            name: "demo-1.0-py3-none-any.whl".to_owned(),
            url: Some("https://index.invalid/demo-1.0-py3-none-any.whl".to_owned()),
            path: None,
            upload_time: "2026-01-02T03:04:05Z".parse().ok(),
            size: Some(7),
            hashes: Hashes {
                sha256: Digest::of(b"wheel"),
            },
        };
        let package = |name: &str, dependencies: &[&str], wheels: Vec<Wheel>| Package {
            name: name.to_owned(),
            version: Some("1.0".to_owned()),
            marker: None,
            requires_python: None,
            index: None,
            dependencies: dependencies
                .iter()
                .map(|name| Dependency {
                    name: (*name).to_owned(),
                })
                .collect(),
            wheels,
            directory: None,
            vcs: None,
            sdist: None,
            tool: None,
        };
        let deb = deb();
        let made = compiled("native");
        let target = Target {
            platform: Platform::LinuxAmd64,
            interpreter: Interpreter::debian("3.13.5", "2.41"),
            wheels: vec![wheel.name.clone(), made.wheel.name.clone()],
            suites: vec![Suite {
                name: "trixie".to_owned(),
                archive: Archive::Debian,
                date: 5,
                inrelease: Digest::of(b"release"),
                indexes: [(
                    "main/binary-amd64/Packages.xz".to_owned(),
                    Digest::of(b"index"),
                )]
                .into(),
                signed_by: vec!["AB".to_owned()],
            }],
            debs: vec![deb.clone()],
            notes: vec![],
            build_requires: vec![],
            build_debs: vec![deb],
        };
        Lock {
            requires_python: Some(">=3.13".to_owned()),
            packages: vec![
                package("app", &["demo"], vec![]),
                package("demo", &[], vec![wheel]),
                Package {
                    sdist: made.sdist.clone(),
                    ..package("native", &[], vec![])
                },
            ],
            plan: Plan {
                format: FORMAT,
                inputs: Digest::of(b"inputs"),
                epoch: 9,
                roots: vec!["app".to_owned()],
                app_needs: vec![],
                targets: vec![target],
                helper: None,
                builds: vec![made],
                app_builds: vec![],
            },
        }
    }

    fn deb() -> Deb {
        Deb {
            name: "zlib1g".to_owned(),
            version: "1:1.3".to_owned(),
            architecture: "amd64".to_owned(),
            source: Some("zlib".to_owned()),
            suite: "trixie".to_owned(),
            path: "pool/main/z/zlib/zlib1g_1.3_amd64.deb".to_owned(),
            size: 3,
            sha256: Digest::of(b"deb"),
            base: true,
            reason: "libz.so.1".to_owned(),
            files: [(
                TreePath::new("usr/lib/libz.so.1").expect("path"),
                "libz.so.1 <- python".to_owned(),
            )]
            .into(),
        }
    }

    fn compiled(name: &str) -> Compiled {
        let file = |name: String| Wheel {
            hashes: Hashes {
                sha256: Digest::of(name.as_bytes()),
            },
            name,
            url: None,
            path: None,
            upload_time: None,
            size: Some(9),
        };
        Compiled {
            name: name.to_owned(),
            version: Some("1.0".to_owned()),
            platform: Platform::LinuxAmd64,
            source: Digest::of(b"source"),
            sdist: Some(file(format!("{name}-1.0.tar.gz"))),
            subdirectory: None,
            backend: "mesonpy".to_owned(),
            key: Digest::of(b"key"),
            sandbox: "user-namespace".to_owned(),
            wheel: file(format!("{name}-1.0-cp313-cp313-linux_x86_64.whl")),
            requires: vec![],
            debs: vec![Chosen {
                name: "libx-dev".to_owned(),
                why: "it has `x.h`".to_owned(),
                instead: vec!["liby-dev: it has `x.h` too".to_owned()],
            }],
            root: vec!["libx-dev".to_owned(), "libx1".to_owned()],
            attempts: vec![Attempt {
                lacked: vec!["header `x.h`: line 7: x.h".to_owned()],
                added: vec!["libx-dev".to_owned()],
            }],
        }
    }

    #[test]
    fn a_compiled_wheel_belongs_to_the_package_that_has_its_source() {
        let lock = sample();
        let made = &lock.plan.builds[0].wheel;
        let (package, wheel) = lock.wheel(&made.name).expect("compiled");
        assert_eq!((package.name.as_str(), wheel), ("native", made));
    }

    #[test]
    fn what_is_written_is_read_back_and_written_the_same() {
        let lock = sample();
        let text = lock.to_text();
        let read = Lock::from_text(&text, "x".as_ref()).expect("own text");
        assert_eq!(read, lock);
        assert_eq!(read.to_text(), text);
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let text = sample()
            .to_text()
            .replace("format = 1", "format = 99\nfuture = true");
        let error = Lock::from_text(&text, "p".as_ref()).expect_err("newer");
        assert_eq!(
            error.to_string(),
            "the lock `p` has format 99, this unheck reads up to 1"
        );
    }

    #[test]
    fn broken_text_is_refused_with_line_and_column() {
        let text = sample().to_text().replace("format = 1", "format = ");
        let error = Lock::from_text(&text, "p".as_ref()).expect_err("broken");
        let source = std::error::Error::source(&error)
            .expect("cause")
            .to_string();
        assert!(
            source.contains("line ") && source.contains("column "),
            "{source}"
        );
    }

    #[test]
    fn a_wheel_that_no_package_has_is_refused() {
        let mut lock = sample();
        lock.plan.targets[0]
            .wheels
            .push("ghost-1-py3-none-any.whl".to_owned());
        assert!(matches!(
            Lock::from_text(&lock.to_text(), "p".as_ref()),
            Err(ReadLockError::NoSuchWheel { .. })
        ));
    }

    #[test]
    fn the_chain_is_the_shortest_way_from_a_root() {
        assert_eq!(sample().chain("demo"), ["app", "demo"]);
        assert!(sample().chain("other").is_empty());
    }
}
