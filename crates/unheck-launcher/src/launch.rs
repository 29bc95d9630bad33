//! What a launcher starts and how: [`Launch`], written as the text that the launcher reads.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

/// What the launchers of one tree start. One description serves all of them: the launcher's own file name (after
/// symbolic links) chooses the command, so one launcher can be hard-linked under several names anywhere in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Whose loader and libraries.
    pub mode: Mode,
    /// Library directories of the tree, in search order. [`Mode::Static`]: the loader's `--library-path`.
    /// [`Mode::Dynamic`]: only where the check of the host looks first; objects must reach them by their own run path.
    pub libraries: Vec<TreePath>,
    /// Environment variables, at most one each.
    pub environment: Vec<Variable>,
    /// Commands by the file name of the launcher.
    pub commands: BTreeMap<CommandName, Command>,
    /// The command that a one-file executable starts, whatever the file is called.
    pub default: CommandName,
}

/// Whose loader and libraries a tree starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The tree's own: starts on any Linux of the architecture.
    Static {
        /// The tree's loader, a regular file: `usr/lib64/ld-linux-x86-64.so.2`, links already followed.
        loader: TreePath,
        /// How the program learns the name that it was started by.
        argv0: Argv0,
    },
    /// The host's: the launcher checks these before it starts anything and refuses with exit code 126 naming each that
    /// the host lacks.
    Dynamic {
        /// What the host must have, sorted by soname.
        needs: Vec<Need>,
    },
}

/// How a program behind the tree's own loader learns the name that it was started by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argv0 {
    /// The loader's `--argv0`: glibc 2.33 and newer.
    Loader,
    /// Older glibc: `argv[0]` is the program's own path, and the environment variable `UNHECK_ARGV0` has the name. The
    /// tree must hold start-up code that does `sys.executable = os.environ.pop("UNHECK_ARGV0", sys.executable)`.
    Environment,
}

/// One thing that a dynamic tree needs of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The soname: `libssl.so.3`.
    pub soname: String,
    /// Symbol versions that it must define: `OPENSSL_3.0.0`.
    pub versions: BTreeSet<String>,
    /// The package that brings it, by family of host.
    pub packages: BTreeMap<Family, String>,
}

/// A family of distributions whose packages have the same names, told by `ID` and `ID_LIKE` of `/etc/os-release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Alpine.
    Alpine,
    /// Debian, Ubuntu and theirs.
    Debian,
    /// Fedora, RHEL, Alma, Rocky, CentOS, Amazon Linux.
    Rhel,
    /// openSUSE and SLES.
    Suse,
}

/// An environment variable of what is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; `{root}` stands for the absolute path of the tree's root.
    pub value: String,
    /// Whether it replaces what the user set.
    pub when: When,
}

/// When a variable is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Only if the environment has none of that name.
    Unset,
    /// Always.
    Always,
}

/// The file name of a launcher: one path component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandName(String);

/// What one launcher starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The ELF program, e.g. `usr/bin/python3.13.bin`. A regular file, links already followed. In the same directory as
    /// the launcher of the interpreter, so that Python finds its prefix from either.
    pub program: TreePath,
    /// `argv[0]` of the program. `None`, for the interpreter's own launchers: the name by which the launcher was
    /// started (so virtual environments work), as an absolute path. `Some`, for the app and console scripts: the
    /// interpreter's launcher, e.g. `usr/bin/python3.13`; it becomes `sys.executable`.
    pub argv0: Option<TreePath>,
    /// Arguments before the user's; `{root}` stands for the absolute path of the tree's root.
    pub arguments: Vec<String>,
}

/// A description that the launcher would not read back as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// A value cannot stand on one line.
    #[error(
        "the launch description cannot hold {what} `{value}`: line breaks and NUL are not representable"
    )]
    Unrepresentable {
        /// Which value.
        what: &'static str,
        /// The value, escaped.
        value: String,
    },
    /// The default names no command.
    #[error("the launch description has no command `{0}` to start by default")]
    NoDefault(String),
    /// One variable is set twice.
    #[error("the launch description sets the variable `{0}` twice")]
    Twice(String),
}

impl Launch {
    /// The text for [`crate::LAUNCH_PATH`].
    ///
    /// # Errors
    ///
    /// A value that cannot be written, a default that names no command, a variable set twice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LaunchError> {
        Err(LaunchError::NoDefault(self.default.0.clone()))
    }
}

impl CommandName {
    /// Checks a file name.
    ///
    /// # Errors
    ///
    /// Empty, `.`, `..`, or a slash, line break or NUL in it.
    pub fn new(name: &str) -> Result<Self, LaunchError> {
        let bad =
            name.is_empty() || name == "." || name == ".." || name.contains(['/', '\n', '\0']);
        if bad {
            return Err(LaunchError::Unrepresentable {
                what: "command",
                value: name.escape_debug().to_string(),
            });
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
