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
        let mut text = Text("unheck-launch 1\n".to_owned());
        self.write_mode(&mut text)?;
        for directory in &self.libraries {
            text.line("library", directory.as_str())?;
        }
        let mut names = BTreeSet::new();
        for variable in &self.environment {
            if variable.name.is_empty() || variable.name.contains('=') {
                return Err(unrepresentable("variable", &variable.name));
            }
            if !names.insert(&variable.name) {
                return Err(LaunchError::Twice(variable.name.clone()));
            }
            let key = match variable.when {
                When::Unset => "default",
                When::Always => "set",
            };
            text.line(key, &format!("{}={}", variable.name, variable.value))?;
        }
        if !self.commands.contains_key(&self.default) {
            return Err(LaunchError::NoDefault(self.default.0.clone()));
        }
        text.line("start", &self.default.0)?;
        for (name, command) in &self.commands {
            text.line("command", &name.0)?;
            text.line("program", command.program.as_str())?;
            if let Some(named) = &command.argv0 {
                text.line("as", named.as_str())?;
            }
            for argument in &command.arguments {
                text.line("argument", argument)?;
            }
        }
        text.line("end", "unheck-launch")?;
        Ok(text.0.into_bytes())
    }

    fn write_mode(&self, text: &mut Text) -> Result<(), LaunchError> {
        match &self.mode {
            Mode::Static { loader, argv0 } => {
                text.line("mode", "static")?;
                text.line("loader", loader.as_str())?;
                let by = match argv0 {
                    Argv0::Loader => "loader",
                    Argv0::Environment => "environment",
                };
                text.line("names-by", by)
            }
            Mode::Dynamic { needs } => {
                text.line("mode", "dynamic")?;
                needs.iter().try_for_each(|need| need.write(text))
            }
        }
    }
}

impl Need {
    fn write(&self, text: &mut Text) -> Result<(), LaunchError> {
        let mut value = word("soname", &self.soname)?.to_owned();
        for version in &self.versions {
            value.push(' ');
            value.push_str(word("version", version)?);
        }
        text.line("need", &value)?;
        for (family, package) in &self.packages {
            let package = word("package", package)?;
            text.line("package", &format!("{} {package}", family.as_str()))?;
        }
        Ok(())
    }
}

impl Family {
    /// The name in launch descriptions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpine => "alpine",
            Self::Debian => "debian",
            Self::Rhel => "rhel",
            Self::Suse => "suse",
        }
    }
}

/// Lines as they are written.
struct Text(String);

impl Text {
    fn line(&mut self, key: &'static str, value: &str) -> Result<(), LaunchError> {
        if value.contains(['\n', '\0']) {
            return Err(unrepresentable(key, value));
        }
        self.0.push_str(key);
        self.0.push(' ');
        self.0.push_str(value);
        self.0.push('\n');
        Ok(())
    }
}

fn word<'a>(what: &'static str, value: &'a str) -> Result<&'a str, LaunchError> {
    if value.is_empty() || value.contains([' ', '/']) || value == "." || value == ".." {
        return Err(unrepresentable(what, value));
    }
    Ok(value)
}

fn unrepresentable(what: &'static str, value: &str) -> LaunchError {
    LaunchError::Unrepresentable {
        what,
        value: value.escape_debug().to_string(),
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
            return Err(unrepresentable("command", name));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::launch::{self as read, Description};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn name(text: &str) -> CommandName {
        CommandName::new(text).unwrap()
    }

    fn sample(mode: Mode) -> Launch {
        let program = path("usr/bin/python3.13.bin");
        let app = Command {
            program: program.clone(),
            argv0: Some(path("usr/bin/python3.13")),
            arguments: vec!["-P".to_owned(), "{root}/usr/bin/app.py".to_owned()],
        };
        let python = Command {
            program,
            argv0: None,
            arguments: Vec::new(),
        };
        Launch {
            mode,
            libraries: vec![path("usr/lib/x86_64-linux-gnu"), path("usr/lib")],
            environment: vec![
                Variable {
                    name: "SSL_CERT_FILE".to_owned(),
                    value: "{root}/etc/ssl/cert.pem".to_owned(),
                    when: When::Unset,
                },
                Variable {
                    name: "EMPTY".to_owned(),
                    value: String::new(),
                    when: When::Always,
                },
            ],
            commands: BTreeMap::from([(name("app"), app), (name("python3.13"), python)]),
            default: name("app"),
        }
    }

    fn loader() -> Mode {
        Mode::Static {
            loader: path("usr/lib64/ld-linux-x86-64.so.2"),
            argv0: Argv0::Loader,
        }
    }

    #[test]
    fn the_launcher_reads_what_is_written() {
        let bytes = sample(loader()).to_bytes().unwrap();
        let read = Description::parse(&bytes).unwrap();
        assert_eq!(
            read.mode,
            read::Mode::Static {
                loader: "usr/lib64/ld-linux-x86-64.so.2",
                loader_names: true
            }
        );
        assert_eq!(read.libraries, ["usr/lib/x86_64-linux-gnu", "usr/lib"]);
        assert_eq!(read.start, "app");
        let app = read.command(b"app").unwrap();
        assert_eq!(app.named, Some("usr/bin/python3.13"));
        assert_eq!(app.arguments, ["-P", "{root}/usr/bin/app.py"]);
        assert_eq!(read.command(b"python3.13").unwrap().named, None);
        let variables: Vec<_> = read
            .variables
            .iter()
            .map(|one| (one.name, one.value, one.always))
            .collect();
        assert_eq!(
            variables,
            [
                ("SSL_CERT_FILE", "{root}/etc/ssl/cert.pem", false),
                ("EMPTY", "", true)
            ]
        );
    }

    #[test]
    fn needs_keep_their_versions_and_packages() {
        let needs = vec![
            Need {
                soname: "libc.so.6".to_owned(),
                versions: BTreeSet::from(["GLIBC_2.34".to_owned(), "GLIBC_2.9".to_owned()]),
                packages: BTreeMap::from([(Family::Debian, "libc6".to_owned())]),
            },
            Need {
                soname: "libz.so.1".to_owned(),
                versions: BTreeSet::new(),
                packages: BTreeMap::new(),
            },
        ];
        let bytes = sample(Mode::Dynamic { needs }).to_bytes().unwrap();
        let read = Description::parse(&bytes).unwrap();
        let read::Mode::Dynamic(needs) = read.mode else {
            panic!("mode changed");
        };
        assert_eq!(needs[0].soname, "libc.so.6");
        assert_eq!(needs[0].versions, ["GLIBC_2.34", "GLIBC_2.9"]);
        assert_eq!(needs[0].packages, [("debian", "libc6")]);
        assert_eq!((needs[1].soname, needs[1].versions.len()), ("libz.so.1", 0));
    }

    #[test]
    fn every_prefix_and_every_foreign_line_is_refused() {
        let bytes = sample(loader()).to_bytes().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        for len in 0..text.len() {
            assert!(
                Description::parse(&text.as_bytes()[..len]).is_err(),
                "{len}"
            );
        }
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..=lines.len() {
            let mut more = lines.clone();
            more.insert(at, "frobnicate yes");
            assert!(
                Description::parse((more.join("\n") + "\n").as_bytes()).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_refused_as_such() {
        let bad = Description::parse(b"unheck-launch 2\nmode static\n").unwrap_err();
        assert!(bad.why.contains("version"), "{bad:?}");
    }

    #[test]
    fn paths_out_of_the_tree_are_refused_when_read() {
        let text = String::from_utf8(sample(loader()).to_bytes().unwrap()).unwrap();
        for (from, to) in [
            ("loader usr/lib64", "loader ../usr/lib64"),
            ("library usr/lib\n", "library /usr/lib\n"),
            ("program usr/bin", "program usr/../../bin"),
            ("as usr/bin", "as //usr/bin"),
            ("command app", "command a/pp"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text);
            assert!(Description::parse(bad.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut launch = sample(loader());
        launch.environment[0].value = "a\nset B=c".to_owned();
        assert!(matches!(
            launch.to_bytes(),
            Err(LaunchError::Unrepresentable { .. })
        ));
        let mut launch = sample(loader());
        launch.environment[1].name = "SSL_CERT_FILE".to_owned();
        assert_eq!(
            launch.to_bytes(),
            Err(LaunchError::Twice("SSL_CERT_FILE".to_owned()))
        );
        let mut launch = sample(loader());
        launch.default = name("other");
        assert_eq!(
            launch.to_bytes(),
            Err(LaunchError::NoDefault("other".to_owned()))
        );
        for bad in ["", ".", "..", "a/b", "a\nb"] {
            assert!(CommandName::new(bad).is_err(), "{bad:?}");
        }
    }
}
