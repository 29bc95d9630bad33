//! Images for another machine, built here without emulation and run here with it.

use serde_json::Value;

use crate::kit::{build, directory, example, project, text};
use crate::tools::{EMULATOR, find, tool, unpack};

#[test]
#[ignore = "live: skopeo, umoci, runc and qemu-user-static"]
fn one_index_holds_both_platforms_and_arm64_runs_under_qemu() {
    let directory = directory();
    let image = directory.path().join("native.oci.tar");
    let flags = [
        "--platform",
        "linux/amd64,linux/arm64",
        "--compression",
        "gzip",
    ];
    let built = build(&example("native", directory.path()), &image, &flags);
    let platforms: Vec<&str> = built["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["platform"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);

    let raw = tool(
        "skopeo",
        &["inspect", "--raw", &format!("oci-archive:{}", text(&image))],
    )
    .ok();
    let index: Value = serde_json::from_str(&raw.stdout).unwrap();
    let architectures: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(architectures, ["amd64", "arm64"]);

    let bundle = unpack(&image, "arm64", directory.path());
    fs_err::copy(find(EMULATOR), bundle.root().join(EMULATOR)).unwrap();
    let emulator = format!("/{EMULATOR}");
    let facts = bundle
        .run(&[&emulator], &["--text", "on another machine"])
        .ok()
        .json();
    assert_eq!(facts["text"], "on another machine");
    assert!(facts["libpq"].as_u64().unwrap() >= 150_000, "{facts}");
}

#[test]
#[ignore = "live: skopeo, umoci, runc and qemu-user-static"]
fn a_lock_for_another_machine_alone_is_built_here_with_backend_and_bytecode() {
    let directory = directory();
    let files = [
        (
            "pyproject.toml",
            "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n\
             [project]\nname = \"greeter\"\nversion = \"1.0\"\ndependencies = [\"idna\"]\n\
             [project.scripts]\ngreet = \"greeter:main\"\n",
        ),
        (
            "src/greeter/__init__.py",
            "import platform, idna\n\ndef main():\n    print(platform.machine(), idna.__cached__)\n",
        ),
    ];
    let root = project(&directory.path().join("greeter"), &files);
    let image = directory.path().join("greeter.oci.tar");
    let flags = ["--platform", "linux/arm64", "--compression", "gzip"];
    let built = build(&root, &image, &flags);
    assert_eq!(built["platforms"].as_array().unwrap().len(), 1);
    let bundle = unpack(&image, "arm64", directory.path());
    fs_err::copy(find(EMULATOR), bundle.root().join(EMULATOR)).unwrap();
    // The entry is a script, of which the emulator knows nothing.
    let python = [&format!("/{EMULATOR}"), "/usr/bin/python3.13"];
    let said = bundle.run(&python, &[]).ok().stdout;
    let (machine, cached) = said.trim().split_once(' ').unwrap();
    assert_eq!(machine, "aarch64");
    let cached = cached.trim_start_matches('/');
    assert!(bundle.root().join(cached).is_file(), "{cached}");
}
