//! Modules ship as bytecode of the target's own interpreter: true, always the same, made once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use unheck_testkit::WheelBuilder;

use crate::kit::{build, command, directory, finish, program, project, run, text, unheck};

/// Looks at its own image from inside and says what it sees of bytecode.
const INSPECT: &str = r#"
import importlib.util, inspect, json, marshal, os, sys
import idna.core, odd

def seen(top):
    found = {"pyc": 0, "checked": [], "other": [], "names": [], "without": 0, "sources": 0}
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            # Debian's `sitecustomize.py` is a link to a file elsewhere.
            if name.endswith(".py") and not os.path.islink(path) and all(part.isidentifier() for part in path[len(top) + 1:-3].split("/")):
                found["sources"] += 1
                cached = importlib.util.cache_from_source(path)
                if os.path.exists(cached):
                    code = marshal.loads(open(cached, "rb").read()[16:])
                    if code != compile(open(path, "rb").read(), path, "exec", dont_inherit=True):
                        found["other"].append(path)
                else:
                    found["without"] += 1
            if name.endswith(".pyc"):
                found["pyc"] += 1
                data = open(path, "rb").read()
                if data[:8] != importlib.util.MAGIC_NUMBER + b"\1\0\0\0":
                    found["checked"].append(path)
                source = importlib.util.source_from_cache(path) if "__pycache__" in path else path[:-1]
                if marshal.loads(data[16:]).co_filename != source:
                    found["names"].append(path)
    return found

def source(module):
    try:
        return bool(inspect.getsource(module))
    except OSError:
        return False

print(json.dumps({
    "site": seen(os.path.dirname(os.path.dirname(idna.__file__))),
    "stdlib": seen(os.path.dirname(os.__file__)),
    "idna": idna.core.__spec__.cached if idna.core.__spec__.origin.endswith(".py") else idna.core.__spec__.origin,
    "source": {"idna": source(idna.core), "odd": source(odd), "json": source(json)},
    "worker": odd.worker(),
    "failed": odd.failed(),
}))
"#;

/// Reads its own source, starts a file of its own, and has modules that no compiler takes.
fn odd() -> WheelBuilder {
    let deep = format!("x = {}1{}\n", "(".repeat(20_000), ")".repeat(20_000));
    WheelBuilder::new("unheck-odd", "1.0")
        .file(
            "odd/__init__.py",
            "import subprocess, sys, os, inspect\n\ndef worker():\n    path = os.path.join(os.path.dirname(__file__), 'started.py')\n    return subprocess.run([sys.executable, path], capture_output=True, text=True).stdout.strip()\n\ndef failed():\n    try:\n        import odd.broken\n    except SyntaxError as error:\n        return type(error).__name__\n\ndef text(module):\n    return inspect.getsource(module)\n",
        )
        .file("odd/started.py", "print('started')\n")
        .file("odd/broken.py", "def f(:\n")
        .file("odd/deep.py", deep)
}

/// A project that requires `unheck-odd` and `idna`, and the flags that find the first.
fn inspected(directory: &Path) -> (PathBuf, Vec<String>) {
    let wheels = directory.join("wheels");
    fs_err::create_dir_all(&wheels).unwrap();
    fs_err::write(wheels.join(odd().filename()), odd().build()).unwrap();
    let files = [
        ("requirements.txt", "unheck-odd\nidna\n"),
        ("main.py", INSPECT),
    ];
    let flags = ["--find-links", text(&wheels)].map(str::to_owned).to_vec();
    (project(&directory.join("inspected"), &files), flags)
}

fn flags<'a>(own: &'a [String], mode: &'a str) -> Vec<&'a str> {
    let mut flags: Vec<&str> = own.iter().map(String::as_str).collect();
    flags.extend(["--bytecode", mode, "--no-verify"]);
    flags
}

#[track_caller]
fn sound(seen: &Value) {
    for key in ["checked", "other", "names"] {
        assert_eq!(seen[key], serde_json::json!([]), "{key}");
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn bytecode_stands_beside_or_instead_of_every_source() {
    let directory = directory();
    let (root, own) = inspected(directory.path());
    let image = |mode: &str| directory.path().join(format!("{mode}.oci.tar"));
    build(&root, &image("beside"), &flags(&own, "beside"));
    let seen = run(&image("beside"), &[]).ok().json();
    for part in ["site", "stdlib"] {
        sound(&seen[part]);
        assert!(seen[part]["pyc"].as_u64().unwrap() > 5, "{seen}");
    }
    assert_eq!(seen["stdlib"]["without"], 0, "{seen}");
    assert_eq!(
        seen["site"]["without"], 2,
        "`broken` and `deep` do not compile: {seen}"
    );
    assert_eq!(
        seen["source"],
        serde_json::json!({"idna": true, "odd": true, "json": true})
    );
    let odd = (&seen["worker"], &seen["failed"]);
    assert_eq!(odd, (&"started".into(), &"SyntaxError".into()));

    build(&root, &image("only"), &flags(&own, "only"));
    let seen = run(&image("only"), &[]).ok().json();
    for part in ["site", "stdlib"] {
        sound(&seen[part]);
    }
    assert_eq!(
        seen["source"],
        serde_json::json!({"idna": false, "odd": true, "json": false}),
        "who reads source keeps its own"
    );
    assert!(
        seen["idna"].as_str().unwrap().ends_with("/idna/core.pyc"),
        "{seen}"
    );
    let odd = (&seen["worker"], &seen["failed"]);
    assert_eq!(odd, (&"started".into(), &"SyntaxError".into()));
    assert!(seen["stdlib"]["sources"].as_u64().unwrap() < 40, "{seen}");

    build(&root, &image("none"), &flags(&own, "none"));
    let seen = run(&image("none"), &[]).ok().json();
    assert_eq!(
        (&seen["site"]["pyc"], &seen["stdlib"]["pyc"]),
        (&0.into(), &0.into())
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn images_with_bytecode_hold_what_their_lists_say() {
    let directory = directory();
    let files = [
        ("requirements.txt", "idna\npyyaml\n"),
        (
            "main.py",
            "import idna, yaml\nprint(yaml.__version__ and 'works')\n",
        ),
    ];
    let root = project(&directory.path().join("plain"), &files);
    for mode in ["start", "beside", "only"] {
        let image = directory.path().join(format!("{mode}.oci.tar"));
        // Built with verification, and verified again as an artifact: records and lists are true.
        build(&root, &image, &["--bytecode", mode]);
        unheck(&["verify", text(&image)]).ok();
        assert_eq!(run(&image, &[]).ok().stdout, "works\n");
        let size = unheck(&["size", text(&image), "--json"]).ok().json();
        let platform = &size["platforms"][0];
        let generated = platform["origins"].as_array().unwrap();
        assert!(
            !generated
                .iter()
                .any(|one| one["origin"] == "generated bytecode"),
            "bytecode counts as its source's"
        );
        let kinds = platform["kinds"].as_array().unwrap();
        assert!(kinds.iter().any(|one| one["kind"] == "bytecode"));
    }
}

/// The layers of an image, by name.
fn layers(image: &Path) -> BTreeMap<String, String> {
    let size = unheck(&["size", text(image), "--json"]).ok().json();
    let layers = size["platforms"][0]["layers"].as_array().unwrap().clone();
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let pairs = layers
        .iter()
        .map(|one| (word(one, "name"), word(one, "digest")));
    pairs.collect()
}

#[test]
#[ignore = "live: index and Debian archive"]
fn bytecode_of_a_start_follows_the_app_in_a_layer_of_its_own() {
    let directory = directory();
    let early = "import idna\n\ndef late():\n    import certifi, sys\n    return certifi, sys\n\n";
    let main = |more: &str| {
        format!(
            "{early}{more}import glob\nfound = glob.glob('/usr/local/lib/**/*.pyc', recursive=True)\n\
             print(*sorted({{path.split('/')[-3] for path in found}}))\n"
        )
    };
    let image = |name: &str| directory.path().join(format!("{name}.oci.tar"));
    let built = |name: &str, main: &str, flags: &[&str]| {
        let files = [
            ("requirements.txt", "certifi\nidna\npyyaml\n"),
            ("main.py", main),
        ];
        let root = project(&directory.path().join("app"), &files);
        build(&root, &image(name), flags);
        let said = run(&image(name), &[]).ok().stdout;
        (said, layers(&image(name)))
    };
    let (said, first) = built("first", &main(""), &["--bytecode", "start"]);
    assert_eq!(said, "certifi idna\n", "one step into a function");
    let (said, second) = built("second", &main("import yaml\n"), &["--bytecode", "start"]);
    assert_eq!(said, "certifi idna yaml\n");
    let names = |layers: &BTreeMap<String, String>| layers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    let differ = first.keys().filter(|name| first[*name] != second[*name]);
    assert_eq!(differ.collect::<Vec<_>>(), ["app", "bytecode"]);
    let (_, unasked) = built("unasked", &main(""), &[]);
    assert_eq!(unasked, first);
    // A start this short gets none where the fewest bytes are asked for.
    let (said, fewest) = built("fewest", &main(""), &["--trim", "imports"]);
    assert_eq!(
        (said.as_str(), fewest.contains_key("bytecode")),
        ("\n", false)
    );
}

/// How many outcomes of compiling a cache knows.
fn known(cache: &Path) -> usize {
    let directory = cache.join("store/derived/bytecode");
    files(&directory)
}

fn files(directory: &Path) -> usize {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return 0;
    };
    entries
        .map(Result::unwrap)
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

#[test]
#[ignore = "live: index and Debian archive"]
fn bytecode_is_the_same_on_one_core_and_is_made_once() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let files = [("requirements.txt", "idna\n"), ("main.py", "import idna\n")];
    let root = project(&path("project"), &files);
    unheck(&["lock", text(&root)]).ok();
    let one_core = |cache: &Path, output: &Path| {
        let own = program();
        let mut alone = command("taskset");
        alone.args(["-c", "0"]).arg(own.get_program());
        alone.args([
            "build",
            text(&root),
            "-o",
            text(output),
            "--json",
            "--no-verify",
        ]);
        alone.args(["--bytecode", "beside", "--locked"]);
        alone.env("UNHECK_CACHE_DIR", cache);
        finish(alone).ok().json()
    };
    let all = build(
        &root,
        &path("all.oci.tar"),
        &["--bytecode", "beside", "--no-verify", "--locked"],
    );
    let cold = path("cold");
    let one = one_core(&cold, &path("one.oci.tar"));
    assert_eq!(one["digest"], all["digest"]);

    let before = known(&cold);
    assert!(before > 100, "{before}");
    // Another way to ship it, and layers anew: nothing is compiled again.
    let mut only = program();
    only.args([
        "build",
        text(&root),
        "-o",
        text(&path("only.oci.tar")),
        "--bytecode",
        "only",
    ]);
    only.args(["--no-verify", "--locked"])
        .env("UNHECK_CACHE_DIR", &cold);
    finish(only).ok();
    assert_eq!(known(&cold), before);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn another_platform_gets_bytecode_by_this_machines_interpreter() {
    let directory = directory();
    let files = [("requirements.txt", "idna\n"), ("main.py", "import idna\n")];
    let root = project(&directory.path().join("both"), &files);
    let bytecode = |image: &Path| -> Vec<(String, u64)> {
        let size = unheck(&["size", text(image), "--json"]).ok().json();
        let platforms = size["platforms"].as_array().unwrap();
        platforms
            .iter()
            .map(|one| {
                let kinds = one["kinds"].as_array().unwrap();
                let kind = kinds.iter().find(|kind| kind["kind"] == "bytecode");
                let files = kind.map_or(0, |kind| kind["files"].as_u64().unwrap());
                (one["platform"].as_str().unwrap().to_owned(), files)
            })
            .collect()
    };
    let both = directory.path().join("both.oci.tar");
    let platforms = ["--platform", "linux/amd64,linux/arm64", "--no-verify"];
    build(
        &root,
        &both,
        &[&platforms[..], &["--bytecode", "beside"]].concat(),
    );
    let found = bytecode(&both);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, files)| *files > 100), "{found:?}");
    let foreign = match std::env::consts::ARCH {
        "x86_64" => "linux/arm64",
        _ => "linux/amd64",
    };
    // A lock of the other one alone has this machine's interpreter beside it.
    let alone = directory.path().join("alone.oci.tar");
    let words = [
        "build",
        text(&root),
        "-o",
        text(&alone),
        "--platform",
        foreign,
        "--bytecode",
        "beside",
        "--no-verify",
    ];
    unheck(&words).ok();
    let of = |name| found.iter().find(|(platform, _)| platform == name);
    assert_eq!(bytecode(&alone).first(), of(foreign));
    // One that was made elsewhere may have none.
    let lock = root.join("pylock.unheck.toml");
    let mut plan: toml::Table = std::fs::read_to_string(&lock).unwrap().parse().unwrap();
    let ours = plan["tool"]["unheck"].as_table_mut().unwrap();
    ours.remove("helper").expect("a helper");
    std::fs::write(&lock, plan.to_string()).unwrap();
    let mut elsewhere = program();
    elsewhere.args(words).arg("--frozen");
    elsewhere.env("UNHECK_CACHE_DIR", directory.path().join("elsewhere"));
    let ran = finish(elsewhere).ok();
    assert!(
        ran.stderr.contains("warning[no-bytecode]"),
        "{}",
        ran.stderr
    );
    assert_eq!(bytecode(&alone)[0].1, 0);
}

/// Asked of the kernel, not of the program (`landlock_create_ruleset(2)`).
fn enforces_landlock() -> bool {
    const VERSION: libc::c_ulong = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag and no rules the call only answers.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) > 0 }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn the_image_is_the_same_where_no_namespaces_are_possible() {
    // A namespace that allows no further one, and no right to do without: as in a container of Docker.
    let refusing = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --no-new-privs --bounding-set=-all \
                    --inh-caps=-all --ambient-caps=-all \"$@\"";
    let directory = directory();
    let files = [("requirements.txt", "idna\n"), ("main.py", "import idna\n")];
    let root = project(&directory.path().join("idle"), &files);
    let built = |bytecode: &str, wrap: &[&str]| {
        let image = directory.path().join("idle.oci.tar");
        let (first, rest) = wrap
            .split_first()
            .unwrap_or((&env!("CARGO_BIN_EXE_unheck"), &[]));
        let mut command = command(first);
        command.args(rest);
        command.args([
            "build",
            text(&root),
            "-o",
            text(&image),
            "--json",
            "--bytecode",
            bytecode,
        ]);
        // What is compiled is compiled anew.
        let cache = tempfile::tempdir_in(directory.path()).unwrap();
        command.env("UNHECK_CACHE_DIR", cache.path());
        finish(command).ok().json()
    };
    let wrap = [
        "unshare",
        "-Ur",
        "sh",
        "-ec",
        refusing,
        "sh",
        env!("CARGO_BIN_EXE_unheck"),
    ];
    for bytecode in ["auto", "beside"] {
        let (here, there) = (built(bytecode, &[]), built(bytecode, &wrap));
        let rules = |built: &Value| -> Vec<String> {
            let findings = built["findings"].as_array().unwrap().iter();
            let rules = findings.map(|finding| finding["rule"].as_str().unwrap().to_owned());
            rules
                .filter(|rule| ["no-bytecode", "sandbox-unavailable"].contains(&rule.as_str()))
                .collect()
        };
        if !enforces_landlock() {
            assert!(rules(&there).contains(&"no-bytecode".to_owned()));
            return;
        }
        assert_eq!(rules(&there), ["sandbox-unavailable"]);
        assert!(rules(&here).is_empty());
        assert_eq!(here["digest"], there["digest"], "{here}\n{there}");
        assert!(here["digest"].is_string(), "{here}");
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn verification_loads_the_bytecode_that_ships() {
    let directory = directory();
    let make = "import importlib.util, marshal\n\
                code = compile('raise RuntimeError(\"of the bytecode\")', 'stale.py', 'exec')\n\
                data = importlib.util.MAGIC_NUMBER + b'\\1\\0\\0\\0' + bytes(8) + marshal.dumps(code)\n\
                print(data.hex())\n";
    let files = [("requirements.txt", ""), ("main.py", make)];
    let maker = project(&directory.path().join("maker"), &files);
    let image = directory.path().join("maker.oci.tar");
    build(&maker, &image, &["--python", "3.13", "--no-verify"]);
    let said = run(&image, &[]).ok().stdout;
    let digits: Vec<u8> = said.trim().bytes().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytecode: Vec<u8> = digits.chunks(2).map(byte).collect();
    let wheel = WheelBuilder::new("stale", "1.0")
        .file("stale.py", "x = 1\n")
        .file("__pycache__/stale.cpython-313.pyc", bytecode);
    let wheels = directory.path().join("wheels");
    fs_err::create_dir_all(&wheels).unwrap();
    fs_err::write(wheels.join(wheel.filename()), wheel.build()).unwrap();
    let files = [
        ("requirements.txt", "stale\n"),
        ("main.py", "import stale\n"),
    ];
    let root = project(&directory.path().join("app"), &files);
    let image = directory.path().join("app.oci.tar");
    let words = ["build", text(&root), "-o", text(&image), "--python", "3.13"];
    let more = ["--find-links", text(&wheels), "--bytecode"];
    let refused = unheck(&[&words[..], &more, &["none"]].concat());
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("of the bytecode"),
        "{}",
        refused.stderr
    );
    // What unheck compiles stands in its place.
    unheck(&[&words[..], &more, &["start"]].concat()).ok();
}
