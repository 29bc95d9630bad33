//! Which file of an installed distribution comes from where: the installation of a wheel as a
//! pure function. It writes nothing and compiles no bytecode.
//!
//! Source: binary distribution format specification ("Installing a wheel"), recording installed
//! projects, direct URL and entry points specifications. Start at [`plan()`].

use std::collections::BTreeMap;

use unheck_base::{Digest, TreePath, TreePathError};

use crate::entry_points::ObjectRef;
use crate::limits::shown;
use crate::record::write_row;
use crate::wheel::{SchemeKey, Wheel, below};

/// Where the files of a distribution go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// Modules for any platform.
    pub purelib: TreePath,
    /// Modules for one platform; often the same.
    pub platlib: TreePath,
    /// Commands.
    pub scripts: TreePath,
    /// The prefix for everything else.
    pub data: TreePath,
    /// Header files: each distribution gets a directory with its normalised name in it.
    pub headers: TreePath,
    /// The interpreter's absolute path in the image, for `#!` lines.
    pub python: String,
    /// Files and directories that no wheel may write to, such as the standard library. What is
    /// below `purelib` or `platlib` is allowed even when these are below one of them.
    pub protected: Vec<TreePath>,
}

/// What the requirement behind the distribution adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Whether the project itself asks for it: then it gets a REQUESTED file.
    pub requested: bool,
    /// The text of direct_url.json, for distributions that came from no index.
    pub direct_url: Option<String>,
}

/// A file of an installed distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Where it goes.
    pub path: TreePath,
    /// Where it comes from.
    pub source: Source,
    /// Its mode, 0644 or 0755.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Where the content of a planned file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A member of the wheel, by its index in [`Wheel::members`].
    Member(usize),
    /// These bytes.
    Inline(Vec<u8>),
}

/// Why a wheel cannot be installed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The interpreter's path cannot stand in a `#!` line.
    #[error("the interpreter `{python}` cannot stand in a `#!` line: {reason}")]
    Interpreter {
        /// The path, escaped.
        python: String,
        /// The rule.
        reason: &'static str,
    },
    /// A file would replace the interpreter or be found in its place.
    #[error("{what} of the wheel `{wheel}` would take the interpreter's place at `{path}`")]
    OverInterpreter {
        /// The wheel's file name.
        wheel: String,
        /// The member or script.
        what: String,
        /// Where it would go.
        path: TreePath,
    },
    /// A file would be written into a protected place.
    #[error("{what} of the wheel `{wheel}` would write to the protected `{path}`")]
    Protected {
        /// The wheel's file name.
        wheel: String,
        /// The member or script.
        what: String,
        /// Where it would go.
        path: TreePath,
    },
    /// A path is too long or not a path.
    #[error("{what} of the wheel `{wheel}` has no place: {cause}")]
    Path {
        /// The wheel's file name.
        wheel: String,
        /// The member or script.
        what: String,
        /// The rule.
        cause: TreePathError,
    },
    /// Two files of one wheel have the same place.
    #[error("{first} and {second} of the wheel `{wheel}` both go to `{path}`")]
    Conflict {
        /// The wheel's file name.
        wheel: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// Where they would go.
        path: TreePath,
    },
    /// A file has the place of another one's directory.
    #[error("{file} of the wheel `{wheel}` goes to `{path}`, where {other} needs a directory")]
    UnderFile {
        /// The wheel's file name.
        wheel: String,
        /// The file.
        file: String,
        /// What lies under it.
        other: String,
        /// Where the file would go.
        path: TreePath,
    },
}

/// Files of `.dist-info` that an installer writes; those in the wheel are left out. The
/// signatures sign the wheel's RECORD, which is not the one that ships.
const WRITTEN: [&str; 6] = [
    "RECORD",
    "RECORD.jws",
    "RECORD.p7s",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
];

/// Plans the installation of a wheel, sorted by path. RECORD lists exactly what is planned.
///
/// # Errors
/// When two files have one place, or a file has a place that it must not have.
pub fn plan(
    wheel: &Wheel,
    scheme: &Scheme,
    options: &PlanOptions,
) -> Result<Vec<Planned>, PlanError> {
    check_interpreter(&scheme.python)?;
    let mut planner = Planner {
        wheel,
        scheme,
        files: BTreeMap::new(),
    };
    planner.add_members()?;
    planner.add_scripts()?;
    planner.add_installer_files(options)?;
    planner.check_directories()?;
    planner.add_record()?;
    let files = planner.files.into_values();
    Ok(files.map(|(planned, _)| planned).collect())
}

struct Planner<'p> {
    wheel: &'p Wheel,
    scheme: &'p Scheme,
    /// With what each file is, for messages.
    files: BTreeMap<TreePath, (Planned, String)>,
}

/// A content on its way into the plan.
struct Content {
    source: Source,
    mode: u32,
    size: u64,
    digest: Digest,
}

impl Content {
    fn inline(bytes: Vec<u8>, mode: u32) -> Self {
        Self {
            mode,
            size: bytes.len() as u64,
            digest: Digest::of(&bytes),
            source: Source::Inline(bytes),
        }
    }
}

impl Planner<'_> {
    /// The directory that holds `.dist-info`.
    fn root(&self) -> &TreePath {
        match self.wheel.info().root_is_purelib {
            true => &self.scheme.purelib,
            false => &self.scheme.platlib,
        }
    }

    fn add_members(&mut self) -> Result<(), PlanError> {
        let wheel = self.wheel;
        for (index, member) in wheel.members().iter().enumerate() {
            let Some(digest) = wheel.digest(index) else {
                continue;
            };
            let written = below(member.path.as_str(), wheel.dist_info());
            if written.is_some_and(|file| WRITTEN.contains(&file)) {
                continue;
            }
            let (key, rest) = wheel.placed(member);
            let mut content = Content {
                source: Source::Member(index),
                mode: member.mode(),
                size: member.size,
                digest,
            };
            let mut directory = match key {
                SchemeKey::Purelib => self.scheme.purelib.clone(),
                SchemeKey::Platlib => self.scheme.platlib.clone(),
                SchemeKey::Scripts => self.scheme.scripts.clone(),
                SchemeKey::Headers => self.scheme.headers.clone(),
                SchemeKey::Data => self.scheme.data.clone(),
            };
            let what = format!("the member `{}`", shown(member.path.as_str()));
            if key == SchemeKey::Headers {
                directory = self.join(&directory, &wheel.name().project(), &what)?;
            }
            if key == SchemeKey::Scripts {
                content.mode = 0o755;
                if let Some(script) = wheel.python_script(index) {
                    let script = rewrite_interpreter(script, &self.scheme.python);
                    content = Content::inline(script, 0o755);
                }
            }
            let path = self.join(&directory, rest, &what)?;
            self.add(path, content, what)?;
        }
        Ok(())
    }

    fn add_scripts(&mut self) -> Result<(), PlanError> {
        let points = self.wheel.entry_points();
        for (name, reference) in points.console_scripts.iter().chain(&points.gui_scripts) {
            let what = format!("the script `{}`", shown(name));
            let path = self.join(&self.scheme.scripts, name, &what)?;
            let text = script_text(&self.scheme.python, reference);
            self.add(path, Content::inline(text.into_bytes(), 0o755), what)?;
        }
        Ok(())
    }

    fn add_installer_files(&mut self, options: &PlanOptions) -> Result<(), PlanError> {
        let mut add = |name: &str, text: &str| {
            let what = format!("the file `{name}`");
            let path = format!("{}/{name}", self.wheel.dist_info());
            let path = self.join(self.root(), &path, &what)?;
            self.add(path, Content::inline(text.as_bytes().to_vec(), 0o644), what)
        };
        add("INSTALLER", "unheck\n")?;
        if options.requested {
            add("REQUESTED", "")?;
        }
        if let Some(text) = &options.direct_url {
            add("direct_url.json", text)?;
        }
        Ok(())
    }

    fn add_record(&mut self) -> Result<(), PlanError> {
        let what = "the file `RECORD`".to_owned();
        let root = self.root().clone();
        let path = self.join(&root, &format!("{}/RECORD", self.wheel.dist_info()), &what)?;
        let mut rows = BTreeMap::from([(relative(&root, &path), None)]);
        for (path, (planned, _)) in &self.files {
            rows.insert(relative(&root, path), Some((planned.digest, planned.size)));
        }
        let mut text = String::new();
        for (path, content) in rows {
            write_row(&mut text, &path, content);
        }
        self.add(path, Content::inline(text.into_bytes(), 0o644), what)
    }

    fn join(&self, directory: &TreePath, rest: &str, what: &str) -> Result<TreePath, PlanError> {
        let joined = directory.join(rest);
        joined.map_err(|cause| PlanError::Path {
            wheel: self.wheel.name().to_string(),
            what: what.into(),
            cause,
        })
    }

    fn add(&mut self, path: TreePath, content: Content, what: String) -> Result<(), PlanError> {
        let wheel = || self.wheel.name().to_string();
        if self.replaces_interpreter(&path) {
            return Err(PlanError::OverInterpreter {
                wheel: wheel(),
                what,
                path,
            });
        }
        let library = [&self.scheme.purelib, &self.scheme.platlib];
        let inside = |directory: &&TreePath| path.is_under(directory.as_str());
        let protected = self.scheme.protected.iter().find(inside);
        if let Some(protected) = protected
            && !library.iter().any(|library| {
                library.is_under(protected.as_str()) && path.is_under(library.as_str())
            })
        {
            return Err(PlanError::Protected {
                wheel: wheel(),
                what,
                path,
            });
        }
        let planned = Planned {
            path: path.clone(),
            source: content.source,
            mode: content.mode,
            size: content.size,
            digest: content.digest,
        };
        if let Some((_, first)) = self.files.get(&path) {
            return Err(PlanError::Conflict {
                wheel: wheel(),
                first: first.clone(),
                second: what,
                path,
            });
        }
        self.files.insert(path, (planned, what));
        Ok(())
    }

    /// Whether a file at `path` is the interpreter, or a command that would be started for it.
    fn replaces_interpreter(&self, path: &TreePath) -> bool {
        let python = self.scheme.python.trim_start_matches('/');
        if path.is_under(python) {
            return true;
        }
        let directory = python
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let parent = path.parent();
        let parent = parent.as_ref().map_or("", TreePath::as_str);
        let Some(version) = path.file_name().strip_prefix("python") else {
            return false;
        };
        let version = version.trim_end_matches(['t', 'd', 'w']);
        (parent == directory || parent == self.scheme.scripts.as_str())
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    }

    /// In the order of [`TreePath`] the content of a directory comes right behind it.
    fn check_directories(&self) -> Result<(), PlanError> {
        let pairs = self.files.iter().zip(self.files.iter().skip(1));
        for ((above, (_, file)), (path, (_, other))) in pairs {
            if path.is_under(above.as_str()) {
                return Err(PlanError::UnderFile {
                    wheel: self.wheel.name().to_string(),
                    file: file.clone(),
                    other: other.clone(),
                    path: above.clone(),
                });
            }
        }
        Ok(())
    }
}

fn check_interpreter(python: &str) -> Result<(), PlanError> {
    let reason = if !python.starts_with('/') {
        "it is not absolute"
    } else if python.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "it has a space or a control character"
    } else if python.len() > 125 {
        // BINPRM_BUF_SIZE was 128 with `#!` and the end of the line until Linux 5.1.
        "it is longer than 125 bytes"
    } else {
        return Ok(());
    };
    Err(PlanError::Interpreter {
        python: shown(python),
        reason,
    })
}

/// "If the first line of a file in …/scripts/ starts with exactly b'#!python', rewrite to point
/// to the correct interpreter"; `#!pythonw` is the form for windows without a console.
fn rewrite_interpreter(script: &[u8], python: &str) -> Vec<u8> {
    let rest = script.strip_prefix(b"#!python").unwrap_or(script);
    let rest = rest.strip_prefix(b"w").unwrap_or(rest);
    // Whatever stood between `#!python` and the end of the word is not part of our path.
    let end = rest.iter().position(u8::is_ascii_whitespace);
    let mut out = format!("#!{python}").into_bytes();
    out.extend_from_slice(&rest[end.unwrap_or(rest.len())..]);
    out
}

/// The text of a command for an entry point.
fn script_text(python: &str, reference: &ObjectRef) -> String {
    let (module, attribute) = (reference.module(), reference.attribute());
    let import = attribute.split('.').next().unwrap_or(attribute);
    format!(
        "#!{python}\nimport sys\n\nfrom {module} import {import}\n\n\
         if __name__ == \"__main__\":\n    sys.exit({attribute}())\n"
    )
}

/// `path` as RECORD names it: relative to the directory `root`, with `..` where it is outside.
fn relative(root: &TreePath, path: &TreePath) -> String {
    let root: Vec<&str> = root.as_str().split('/').collect();
    let path: Vec<&str> = path.as_str().split('/').collect();
    let same = root.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let ups = std::iter::repeat_n("..", root.len() - same);
    let parts: Vec<&str> = ups.chain(path[same..].iter().copied()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_paths_are_relative_to_the_library() {
        let path = |text: &str| TreePath::new(text).unwrap();
        let root = path("usr/lib/python3/dist-packages");
        for (file, expected) in [
            ("usr/lib/python3/dist-packages/a/b.py", "a/b.py"),
            ("usr/bin/x", "../../../bin/x"),
            ("usr/lib/python3/dist-packages-x/a", "../dist-packages-x/a"),
            ("etc/x", "../../../../etc/x"),
        ] {
            assert_eq!(relative(&root, &path(file)), expected);
        }
    }

    #[test]
    fn scripts_get_the_interpreter_of_the_image() {
        for (script, expected) in [
            ("#!python\nx", "#!/p\nx"),
            ("#!pythonw -E\r\nx", "#!/p -E\r\nx"),
            ("#!python3.9\nx", "#!/p\nx"),
            ("#!python", "#!/p"),
        ] {
            assert_eq!(
                rewrite_interpreter(script.as_bytes(), "/p"),
                expected.as_bytes()
            );
        }
    }
}
