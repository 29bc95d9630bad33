//! Projects with a build backend: their own wheel is built, and installed as the app.

use std::path::Path;

use crate::kit::{build, directory, project, run};

const CODE: &str = "\"\"\"Greets.\"\"\"
import argparse, importlib.metadata, importlib.resources, json

import idna


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name')
    name = parser.parse_args().name
    version = importlib.metadata.version('greeter')
    greeting = importlib.resources.files('greeter').joinpath('greeting.txt').read_text().strip()
    print(json.dumps({'version': version, 'greeting': f'{greeting} {idna.encode(name).decode()}'}))
";

#[track_caller]
fn check(root: &Path) {
    let image = root.with_extension("oci.tar");
    let built = build(root, &image, &[]);
    let entry = built["platforms"][0]["entrypoint"][0].as_str().unwrap();
    assert!(entry.ends_with("/greet"), "the only script starts: {entry}");
    let said = run(&image, &["köln"]).ok().json();
    assert_eq!(
        said,
        serde_json::json!({"version": "2.5", "greeting": "Servus xn--kln-sna"})
    );
    let again = build(root, &image, &["--locked"]);
    assert_eq!(again["digest"], built["digest"]);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_project_of_hatchling_is_installed_as_the_app() {
    let directory = directory();
    let pyproject = "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n\
        [project]\nname = \"greeter\"\ndynamic = [\"version\"]\ndependencies = [\"idna\"]\n\
        [project.scripts]\ngreet = \"greeter:main\"\n[tool.hatch.version]\npath = \"src/greeter/about.py\"\n";
    let files = [
        ("pyproject.toml", pyproject),
        ("src/greeter/__init__.py", CODE),
        ("src/greeter/about.py", "__version__ = '2.5'\n"),
        ("src/greeter/greeting.txt", "Servus\n"),
    ];
    check(&project(&directory.path().join("greeter"), &files));
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_project_of_setuptools_is_installed_as_the_app() {
    let directory = directory();
    let pyproject = "[build-system]\nrequires = [\"setuptools>=77\"]\nbuild-backend = \"setuptools.build_meta\"\n\
        [project]\nname = \"greeter\"\nversion = \"2.5\"\ndependencies = [\"idna\"]\n\
        [project.scripts]\ngreet = \"greeter:main\"\n[tool.setuptools.package-data]\ngreeter = [\"*.txt\"]\n";
    let files = [
        ("pyproject.toml", pyproject),
        ("greeter/__init__.py", CODE),
        ("greeter/greeting.txt", "Servus\n"),
    ];
    check(&project(&directory.path().join("greeter"), &files));
}
