//! Every kind of file that says what a project requires.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kit::{Ran, build, directory, project, run, run_online, text, unheck};

/// Says which distributions are there.
const MAIN: &str = "import importlib.metadata, json, re
print(json.dumps(sorted(re.sub('[-_.]+', '-', one.name).lower() for one in importlib.metadata.distributions())))
";

/// pip and uv in an image of their own, so that the host needs neither, nor a Python.
pub(crate) struct Toolbox {
    _directory: tempfile::TempDir,
    image: PathBuf,
}

impl Toolbox {
    /// Builds it with these files beside its program.
    #[track_caller]
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let directory = directory();
        let tools = directory.path().join("tools");
        project(
            &tools,
            &[
                ("requirements.txt", "pip>=26.1\nuv\n"),
                ("main.py", include_str!("toolbox.py")),
            ],
        );
        project(&tools, files);
        // A host whose connections are inspected says so with this variable.
        if let Some(authorities) = std::env::var_os("SSL_CERT_FILE") {
            fs_err::copy(Path::new(&authorities), tools.join("authorities.crt")).unwrap();
        }
        let image = directory.path().join("tools.oci.tar");
        build(&tools.join("requirements.txt"), &image, &[]);
        Self {
            _directory: directory,
            image,
        }
    }

    /// Runs its program.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run_online(&self.image, arguments)
    }
}

/// Builds a project and compares the distributions that its image has.
#[track_caller]
fn check(asked: &Path, flags: &[&str], expected: &[&str]) {
    let image = directory();
    let image = image.path().join("x.oci.tar");
    let built = build(asked, &image, flags);
    assert_eq!(built["locked"], true);
    assert_eq!(
        run(&image, &[]).ok().json(),
        json!(expected),
        "{}",
        asked.display()
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn requirements_with_includes_constraints_markers_and_extras() {
    let directory = directory();
    let files = [
        (
            "requirements.txt",
            "-r more/base.txt\n-c constraints.txt\nrequests[socks]\ncolorama; sys_platform == 'win32'\n",
        ),
        ("more/base.txt", "idna==3.10\n"),
        (
            "constraints.txt",
            "urllib3<2.4\ncertifi==2025.1.31\nunused<1\n",
        ),
        ("main.py", MAIN),
    ];
    let root = project(&directory.path().join("inputs"), &files);
    let expected = [
        "certifi",
        "charset-normalizer",
        "idna",
        "pysocks",
        "requests",
        "urllib3",
    ];
    check(&root, &[], &expected);
    let lock = fs_err::read_to_string(root.join("pylock.unheck.toml")).unwrap();
    assert!(
        lock.contains("name = \"certifi\"\nversion = \"2025.1.31\""),
        "the constraint holds"
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn requirements_with_hashes_and_a_wrong_one() {
    let directory = directory();
    let hash = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3";
    let idna = format!("idna==3.10 \\\n    --hash=sha256:{hash}\n");
    let files = [("requirements-live.txt", idna.as_str()), ("main.py", MAIN)];
    let root = project(&directory.path().join("hashes"), &files);
    let asked = root.join("requirements-live.txt");
    check(&asked, &[], &["idna"]);
    fs_err::write(&asked, idna.replace("946d", "0000")).unwrap();
    let image = root.join("x.oci.tar");
    let refused = unheck(&["build", text(&asked), "-o", text(&image)]).ended(2);
    assert!(
        refused.stderr.contains("`idna==3.10`"),
        "{}",
        refused.stderr
    );
    assert!(!image.exists());
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_project_with_extras_and_groups() {
    let directory = directory();
    let text = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n\
        dependencies = [\"idna\", \"tomli; python_version < '3.11'\"]\n\
        [project.optional-dependencies]\nfast = [\"certifi\"]\nslow = [\"sniffio\"]\n\
        [dependency-groups]\ndev = [\"iniconfig\"]\nweb = [\"h11\", {include-group = \"base\"}]\nbase = [\"six\"]\n";
    let root = project(
        &directory.path().join("app"),
        &[("pyproject.toml", text), ("main.py", MAIN)],
    );
    check(&root, &[], &["idna"]);
    check(
        &root,
        &["--extra", "fast", "--group", "web"],
        &["certifi", "h11", "idna", "six"],
    );
    check(
        &root.join("pyproject.toml"),
        &["--group", "dev,web", "--no-dev"],
        &["h11", "idna", "six"],
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_script_with_inline_metadata() {
    let directory = directory();
    let script = format!(
        "# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\"python-dateutil==2.8.2\"]\n# ///\n{MAIN}"
    );
    let root = project(&directory.path().join("script"), &[("job.py", &script)]);
    check(&root.join("job.py"), &[], &["python-dateutil", "six"]);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn locks_of_uv_in_all_its_forms_are_taken_as_they_are() {
    let pyproject = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n\
        dependencies = [\"python-dateutil==2.8.2\", \"six<1.17\", \"colorama; sys_platform == 'win32'\"]\n";
    let toolbox = Toolbox::new(&[("project/pyproject.toml", pyproject)]);
    let made = toolbox.run(&["lock"]).ok().json();
    for (name, file) in [
        ("uv.lock", "uv.lock"),
        ("pylock.toml", "pylock.toml"),
        ("requirements.txt", "requirements.txt"),
    ] {
        let Value::String(lock) = &made[name] else {
            panic!("{made}")
        };
        assert!(lock.contains("1.16.0") && lock.contains("sha256"), "{lock}");
        let directory = directory();
        let root = project(
            &directory.path().join("app"),
            &[(file, lock), ("main.py", MAIN)],
        );
        if name == "uv.lock" {
            project(&root, &[("pyproject.toml", pyproject)]);
        }
        check(&root.join(file), &[], &["python-dateutil", "six"]);
        let lock = fs_err::read_to_string(root.join("pylock.unheck.toml")).unwrap();
        assert!(
            lock.contains("name = \"six\"\nversion = \"1.16.0\""),
            "{name}: {lock}"
        );
    }
}
