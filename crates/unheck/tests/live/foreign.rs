//! Images for another machine, built here without emulation and run here with it.

use serde_json::Value;

use crate::kit::{build, directory, example, text};
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
