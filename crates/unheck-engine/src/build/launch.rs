//! What the launchers of a relocatable artifact start: its commands, its entry and its variables.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_launcher::{
    Argv0, Command, CommandName, Family, Launch, LaunchError, Mode, Need, Variable, When,
};

use crate::debian::usrmerge;
use crate::form::Libs;
use crate::input::Entry;
use crate::layout::{APP_DIR, Layout};
use crate::lock::Target;
use crate::steps::{Relocated, Started, has_argv0, python_flags};

/// Where commands are that are to be started by hand.
const COMMANDS: &str = "bin";

/// How an entry is started.
pub(super) struct Start {
    /// Its launcher.
    pub(super) at: TreePath,
    /// What that starts.
    pub(super) started: Started,
    /// Where the launcher is a link to another one, which starts the same.
    pub(super) link: Option<TreePath>,
}

/// How the entry is started, under `name`; `None` when it is no program of the tree that a launcher
/// can start.
pub(super) fn start(
    entry: &Entry,
    name: &str,
    layout: &Layout,
    relocated: &Relocated,
) -> Option<Start> {
    let interpreter = relocated
        .commands
        .values()
        .find(|started| format!("/{}", started.at) == layout.python)?;
    let python = |arguments: Vec<String>| Started {
        at: interpreter.at.clone(),
        program: interpreter.program.clone(),
        argv0: Some(interpreter.at.clone()),
        arguments: python_flags().into_iter().chain(arguments).collect(),
    };
    let started = match entry {
        Entry::Script { name, .. } => {
            let there = relocated.commands.get(name)?.clone();
            let at = command_path(name)?;
            let link = Some(there.at.clone());
            return Some(Start {
                at,
                started: there,
                link,
            });
        }
        Entry::File(file) if file == "__main__.py" => python(vec![format!("{{root}}/{APP_DIR}")]),
        Entry::File(file) => python(vec![format!("{{root}}/{APP_DIR}/{file}")]),
        Entry::Command(words) => {
            let (first, rest) = words.split_first()?;
            let rest = rest.iter().map(|word| moved(word));
            if is_python(first, layout) {
                python(rest.collect())
            } else {
                let mut started = command(first, layout, relocated)?.clone();
                if started.argv0.is_none() {
                    started.argv0 = Some(started.at.clone());
                }
                started.arguments.extend(rest);
                started
            }
        }
    };
    let taken = |name: &str| relocated.commands.contains_key(name);
    let own = if taken(name) {
        format!("{name}-start")
    } else {
        name.to_owned()
    };
    (!taken(&own)).then_some(())?;
    let at = command_path(&own)?;
    Some(Start {
        started: Started {
            at: at.clone(),
            ..started
        },
        at,
        link: None,
    })
}

/// An entry as one reads it.
pub(super) fn words(entry: &Entry) -> String {
    match entry {
        Entry::Command(words) => words.join(" "),
        Entry::Script { reference, .. } => reference.clone(),
        Entry::File(name) => name.clone(),
    }
}

/// `bin/NAME`.
pub(super) fn command_path(name: &str) -> Option<TreePath> {
    TreePath::new(&format!("{COMMANDS}/{name}")).ok()
}

/// Whether a word is the interpreter by one of its names.
fn is_python(word: &str, layout: &Layout) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    let own = layout.python.rsplit('/').next().unwrap_or_default();
    [own, "python3", "python"].contains(&name)
        && (!word.contains('/') || {
            let directory = word.rsplit_once('/').map_or("", |(directory, _)| directory);
            layout.python.starts_with(&format!("{directory}/"))
        })
}

/// The command that a word means: a path, or a name that is looked up as in `PATH`.
fn command<'r>(word: &str, layout: &Layout, relocated: &'r Relocated) -> Option<&'r Started> {
    if word.contains('/') {
        let path = usrmerge(&TreePath::new(word.trim_start_matches('/')).ok()?);
        return relocated
            .commands
            .values()
            .find(|started| started.at == path);
    }
    let search = layout.search_path();
    search.split(':').find_map(|directory| {
        let path = TreePath::new(&format!("{}/{word}", directory.trim_start_matches('/'))).ok()?;
        relocated
            .commands
            .values()
            .find(|started| started.at == path)
    })
}

/// A word with the paths in it that are below the app's directory counted from the tree's root:
/// `/app/x` and lists of such.
fn moved(word: &str) -> String {
    let parts: Vec<String> = word
        .split(':')
        .map(|part| {
            let inside = part
                .strip_prefix('/')
                .is_some_and(|rest| rest == APP_DIR || rest.starts_with(&format!("{APP_DIR}/")));
            if inside {
                format!("{{root}}{part}")
            } else {
                part.to_owned()
            }
        })
        .collect();
    parts.join(":")
}

/// The description that every launcher of the tree reads.
///
/// # Errors
/// [`LaunchError`] when a name or value cannot be written.
pub(super) fn description(
    relocated: &Relocated,
    start: &Start,
    env: &BTreeMap<String, String>,
    (target, libs): (&Target, Libs),
) -> Result<Launch, LaunchError> {
    let name = start.started.at.file_name();
    let mut commands = BTreeMap::new();
    for (name, started) in &relocated.commands {
        commands.insert(CommandName::new(name)?, command_of(started));
    }
    let default = CommandName::new(name)?;
    commands.insert(default.clone(), command_of(&start.started));
    Ok(Launch {
        mode: mode(relocated, target, libs),
        libraries: relocated.library_path.clone(),
        environment: environment(relocated, env),
        commands,
        default,
    })
}

fn command_of(started: &Started) -> Command {
    Command {
        program: started.program.clone(),
        argv0: started.argv0.clone(),
        arguments: started.arguments.clone(),
    }
}

fn mode(relocated: &Relocated, target: &Target, libs: Libs) -> Mode {
    match (&relocated.loader, libs) {
        (Some(loader), Libs::Static) => Mode::Static {
            loader: loader.clone(),
            argv0: if has_argv0(target) {
                Argv0::Loader
            } else {
                Argv0::Environment
            },
        },
        _ => Mode::Dynamic {
            needs: relocated.needs.iter().map(need).collect(),
        },
    }
}

fn need(need: &crate::form::Need) -> Need {
    let family = |name: &str| match name {
        "alpine" => Some(Family::Alpine),
        "debian" => Some(Family::Debian),
        "rhel" => Some(Family::Rhel),
        "suse" => Some(Family::Suse),
        _ => None,
    };
    Need {
        soname: need.soname.clone(),
        versions: need.versions.iter().cloned().collect::<BTreeSet<_>>(),
        packages: need
            .packages
            .iter()
            .filter_map(|(name, package)| Some((family(name)?, package.clone())))
            .collect(),
    }
}

/// Variables that are set where the user has not set them.
fn environment(relocated: &Relocated, env: &BTreeMap<String, String>) -> Vec<Variable> {
    let mut values: BTreeMap<String, String> = [
        ("LANG", "C.UTF-8"),
        // The tree is to stay as it is, wherever it can be written to.
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONUNBUFFERED", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let places = relocated
        .variables
        .iter()
        .map(|(name, place)| (name.clone(), format!("{{root}}/{place}")));
    values.extend(places);
    values.extend(env.iter().map(|(name, value)| (name.clone(), moved(value))));
    values
        .into_iter()
        .map(|(name, value)| Variable {
            name,
            value,
            when: When::Unset,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Interpreter;

    fn layout() -> Layout {
        Layout::of(&Interpreter::debian("3.13.5", "2.41"))
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("path")
    }

    fn relocated() -> Relocated {
        let python = Started {
            at: path("usr/bin/python3.13"),
            program: path("usr/bin/python3.13.bin"),
            argv0: None,
            arguments: python_flags(),
        };
        let tool = Started {
            at: path("usr/local/bin/uvicorn"),
            program: python.program.clone(),
            argv0: Some(python.at.clone()),
            arguments: vec!["{root}/usr/local/libexec/unheck/uvicorn".to_owned()],
        };
        Relocated {
            commands: [
                ("python3.13".to_owned(), python),
                ("uvicorn".to_owned(), tool),
            ]
            .into(),
            ..Relocated::default()
        }
    }

    fn started(entry: &Entry, name: &str) -> Option<(String, String)> {
        let start = start(entry, name, &layout(), &relocated())?;
        Some((start.at.to_string(), start.started.arguments.join(" ")))
    }

    #[test]
    fn entries_become_commands_with_paths_from_the_root() {
        let words = |text: &str| Entry::Command(text.split(' ').map(str::to_owned).collect());
        let said = |at: &str, arguments: &str| Some((at.to_owned(), arguments.to_owned()));
        assert_eq!(
            started(&Entry::File("main.py".to_owned()), "web"),
            said("bin/web", "-s {root}/app/main.py")
        );
        assert_eq!(
            started(&Entry::File("__main__.py".to_owned()), "web"),
            said("bin/web", "-s {root}/app")
        );
        assert_eq!(
            started(&words("uvicorn web:app --log /app/log.ini --x=/app"), "web"),
            said(
                "bin/web",
                "{root}/usr/local/libexec/unheck/uvicorn web:app --log {root}/app/log.ini --x=/app"
            )
        );
        for python in ["python", "python3", "/usr/bin/python3.13"] {
            assert_eq!(
                started(&words(&format!("{python} -m web")), "uvicorn"),
                said("bin/uvicorn-start", "-s -m web")
            );
        }
        for none in ["sh -c x", "/usr/bin/none", "/opt/bin/python3"] {
            assert_eq!(started(&words(none), "web"), None, "{none}");
        }
    }

    #[test]
    fn a_console_script_is_started_by_its_own_launcher() {
        let entry = Entry::Script {
            name: "uvicorn".to_owned(),
            reference: "x:y".to_owned(),
        };
        let start = start(&entry, "web", &layout(), &relocated()).expect("start");
        assert_eq!(start.at, path("bin/uvicorn"));
        assert_eq!(start.link, Some(path("usr/local/bin/uvicorn")));
    }
}
