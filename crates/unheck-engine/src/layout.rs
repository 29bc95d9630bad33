//! Where things go in a tree: one [`Layout`] per interpreter.

use unheck_base::TreePath;
use unheck_wheel::Scheme;

use crate::lock::{Interpreter, Provider};

/// The app's own files, where no wheel is made of them.
pub const APP_DIR: &str = "app";

/// The user that artifacts run as.
pub const NONROOT: u32 = 65532;

/// Where an interpreter looks for things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `3.13`.
    pub minor: String,
    /// Absolute path of the interpreter.
    pub python: String,
    /// The standard library.
    pub stdlib: TreePath,
    /// Where distributions are installed.
    pub site: TreePath,
    /// Where commands are installed.
    pub scripts: TreePath,
    /// Prefix of everything else that a distribution installs.
    pub data: TreePath,
}

impl Layout {
    /// The layout of an interpreter.
    pub fn of(interpreter: &Interpreter) -> Self {
        let minor = minor(&interpreter.version);
        let path = |text: String| TreePath::new(&text).expect("made of constants and a version");
        match interpreter.provider {
            Provider::Debian => Self {
                python: format!("/usr/bin/python{minor}"),
                stdlib: path(format!("usr/lib/python{minor}")),
                site: path(format!("usr/local/lib/python{minor}/dist-packages")),
                scripts: path("usr/local/bin".to_owned()),
                data: path("usr/local".to_owned()),
                minor,
            },
            // A prefix of its own: nothing of it meets Debian's files.
            Provider::Standalone | Provider::Prefix => Self {
                python: format!("/opt/python/bin/python{minor}"),
                stdlib: path(format!("opt/python/lib/python{minor}")),
                site: path(format!("opt/python/lib/python{minor}/site-packages")),
                scripts: path("opt/python/bin".to_owned()),
                data: path("opt/python".to_owned()),
                minor,
            },
        }
    }

    /// The same for the installer of wheels.
    pub fn scheme(&self) -> Scheme {
        let headers = self
            .data
            .join(&format!("include/python{}", self.minor))
            .expect("made of constants");
        let python = TreePath::new(self.python.trim_start_matches('/')).expect("made of constants");
        Scheme {
            purelib: self.site.clone(),
            platlib: self.site.clone(),
            scripts: self.scripts.clone(),
            data: self.data.clone(),
            headers,
            python: self.python.clone(),
            protected: vec![self.stdlib.clone(), python],
        }
    }

    /// `PATH` inside an artifact.
    pub fn search_path(&self) -> String {
        let mut directories = vec!["/usr/local/bin".to_owned(), "/usr/bin".to_owned()];
        let scripts = format!("/{}", self.scripts);
        if !directories.contains(&scripts) {
            directories.insert(0, scripts);
        }
        directories.join(":")
    }
}

/// `3.13` of `3.13.5`.
pub fn minor(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}
