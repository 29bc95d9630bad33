//! What an executable with a payload does: start, check itself or unpack for good. Start at [`run`].

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::appended::Appended;
use crate::cache::{self, Source};
use crate::environment::Environment;
use crate::once;
use crate::place;
use crate::say::{self, c_string, fail, shown};
use crate::start::{self, Start};
use crate::sys::{self, At};
use crate::unpack::{self, Failure};
use crate::wire::trailer::FLAG_COMMAND_LINE;

/// 1980-01-01, the date of all files that unheck writes.
const DATE: i64 = 315_532_800;

/// What an executable is asked to do.
enum Task<'a> {
    /// Start a command; `None`: the default.
    Start(Option<&'a [u8]>),
    SelfCheck,
    Unpack(&'a [u8]),
}

fn task<'a>(flags: bool, args: &[&'static CStr], environment: &Environment<'a>) -> Task<'a> {
    if let Some(value) = environment.filled("UNHECK_EXE") {
        return match value {
            b"run" => Task::Start(None),
            b"self-check" => Task::SelfCheck,
            value => {
                if let Some(directory) = value.strip_prefix(b"unpack:") {
                    Task::Unpack(directory)
                } else if let Some(command) = value.strip_prefix(b"run:") {
                    Task::Start(Some(command))
                } else {
                    fail(
                        say::FAILED,
                        &alloc::format!(
                            "UNHECK_EXE={} is none of run, run:COMMAND, self-check, unpack:DIRECTORY",
                            shown(value)
                        ),
                    )
                }
            }
        };
    }
    match args {
        [_, flag] if flags && *flag == c"--self-check" => Task::SelfCheck,
        [_, flag, directory] if flags && *flag == c"--unpack" => Task::Unpack(directory.to_bytes()),
        _ => Task::Start(None),
    }
}

/// Does what is asked.
pub(crate) fn run(appended: &Appended, args: &[&'static CStr], environment: &Environment<'_>) -> ! {
    let source = Source::new(appended);
    let flags = appended.trailer.flags & FLAG_COMMAND_LINE != 0;
    let name = match task(flags, args, environment) {
        Task::SelfCheck => self_check(&source, environment),
        Task::Unpack(directory) => unpack_to(&source, directory),
        Task::Start(name) => name,
    };
    let arguments = args.get(1..).unwrap_or_default();
    let begin = |root: &[u8]| begin(root, name, arguments, *environment);
    if environment
        .filled("UNHECK_EXE_ONCE")
        .is_some_and(|value| value != b"0")
    {
        once::run(source.load(), environment, begin)
    }
    match begin(&cache::find_or_unpack(&source, environment)) {}
}

/// Becomes a command of the unpacked tree.
fn begin(
    root: &[u8],
    name: Option<&[u8]>,
    arguments: &[&'static CStr],
    environment: Environment<'_>,
) -> core::convert::Infallible {
    let Some(text) = start::read_description(root) else {
        let root = shown(root);
        fail(
            say::FAILED,
            &alloc::format!("the tree at `{root}` has no launch description"),
        )
    };
    let description = start::parse(root, text);
    let name = name.unwrap_or(description.start.as_bytes());
    let Some(command) = description.command(name) else {
        let known: Vec<&str> = description
            .commands
            .iter()
            .map(|command| command.name)
            .collect();
        fail(
            say::NOT_FOUND,
            &alloc::format!(
                "there is no command `{}`; there are: {}",
                shown(name),
                known.join(", ")
            ),
        )
    };
    // The launcher of that command in the tree: it stands beside the program.
    let beside = command
        .program
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let called = [root, b"/", beside.as_bytes(), b"/", name].concat();
    let what = Start {
        root,
        description: &description,
        command,
        called: &called,
        arguments,
    };
    start::start(&what, environment)
}

/// Checks every byte of the payload, then the unpacked tree if there is one.
fn self_check(source: &Source<'_>, environment: &Environment<'_>) -> ! {
    let no = |damage: &str| -> ! { fail(say::NO, damage) };
    let loaded = match source.appended.load() {
        Ok(loaded) => loaded,
        Err(damage) => no(&damage),
    };
    let checked = loaded.check_stub().and_then(|()| {
        let mut decoder = loaded.decoder()?;
        (0..loaded.index.frames.len())
            .try_for_each(|number| loaded.frame(number, &mut decoder, &mut |_| Ok(())))
    });
    if let Err(damage) = checked {
        no(&damage);
    }
    let (entries, frames) = (&loaded.index.entries, &loaded.index.frames);
    let bytes = frames.last().map_or(0, |frame| frame.end());
    let name = source.appended.name();
    say::tell(&alloc::format!(
        "content {name}: {} paths, {bytes} bytes, all as written",
        entries.len()
    ));
    let Some((candidate, cache)) = cache::existing(&name, environment) else {
        say::tell("not unpacked in any cache");
        sys::exit(0)
    };
    let path = [&candidate.path[..], b"/", name.as_bytes(), b"/tree"].concat();
    let differs = match sys::open(At::CWD, &c_string(&[&path]), sys::DIRECTORY, 0) {
        Ok(tree) => loaded.differs(&tree, true),
        Err(_) => Some("tree"),
    };
    if let Some(differs) = differs {
        no(&alloc::format!(
            "the unpacked tree `{}` is damaged: `{}` is not what was written\nhint: remove `{}`",
            shown(&path),
            shown(differs.as_bytes()),
            shown(&path[..path.len() - "/tree".len()])
        ));
    }
    cache::settle(&cache, &name);
    say::tell(&alloc::format!(
        "unpacked at {}, all as written",
        shown(&path)
    ));
    sys::exit(0)
}

/// Unpacks the tree to a directory that is not there yet or empty; it appears whole or not at all.
fn unpack_to(source: &Source<'_>, directory: &[u8]) -> ! {
    let target = place::absolute(directory.strip_suffix(b"/").unwrap_or(directory));
    let no = |why: &str| -> ! {
        fail(
            say::FAILED,
            &alloc::format!("cannot unpack to `{}`: {why}", shown(&target)),
        )
    };
    let new = [
        &target,
        alloc::format!(".new-{:016x}", sys::random()).as_bytes(),
    ]
    .concat();
    let (from, to) = (c_string(&[&new]), c_string(&[&target]));
    if let Err(error) = sys::make_dir(At::CWD, &from, 0o755) {
        no(&error.text());
    }
    let result = sys::open(At::CWD, &from, sys::DIRECTORY, 0)
        .map_err(|error| Failure::Place(error.text()))
        .and_then(|tree| {
            unpack::unpack(source.load(), &tree)?;
            unpack::date(source.load(), &tree, DATE)
        })
        .and_then(|()| {
            sys::rename(At::CWD, &from, At::CWD, &to).map_err(|error| Failure::Place(error.text()))
        });
    match result {
        Ok(()) => sys::exit(0),
        Err(failure) => {
            place::remove_all(At::CWD, &new);
            match failure {
                Failure::Damage(damage) => fail(say::FAILED, &damage),
                Failure::Place(why) => no(&why),
            }
        }
    }
}
