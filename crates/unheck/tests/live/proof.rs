//! Other people's tools read, unpack and run the images.

use crate::docker::Docker;
use crate::examples::check_hello;
use crate::kit::{build, directory, example, text, unheck};
use crate::tools::{Podman, tool, unpack};

#[test]
#[ignore = "live: skopeo, umoci, runc and podman"]
fn skopeo_copies_umoci_unpacks_runc_and_podman_run() {
    let directory = directory();
    let image = directory.path().join("hello.oci.tar");
    build(
        &example("hello", directory.path()),
        &image,
        &["--compression", "gzip", "--tag", "hello:live"],
    );
    let bundle = unpack(&image, "amd64", directory.path());
    check_hello(&bundle.run(&[], &["--json"]).ok().json());
    let podman = Podman::new(directory.path());
    let name = podman.load(&image);
    assert!(name.ends_with("hello:live"), "{name}");
    let facts = podman.run(&name, &["--json"]).ok().json();
    check_hello(&facts);
    assert_eq!(facts["user"], "nonroot");
}

#[test]
#[ignore = "live: skopeo and podman"]
fn podman_runs_zstd_layers_and_skopeo_reads_the_layout_folder() {
    let directory = directory();
    let hello = example("hello", directory.path());
    let (archive, layout) = (
        directory.path().join("hello.oci.tar"),
        directory.path().join("hello.oci"),
    );
    let one = build(&hello, &archive, &[]);
    let other = build(&hello, &layout, &[]);
    assert_eq!(one["digest"], other["digest"], "one image in two forms");
    let podman = Podman::new(directory.path());
    let name = podman.load(&archive);
    check_hello(&podman.run(&name, &["--json"]).ok().json());
    let told = tool("skopeo", &["inspect", &format!("oci:{}", text(&layout))]).ok();
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        told["Digest"],
        one["platforms"][0]["manifest"]
            .as_str()
            .map_or(one["digest"].clone(), Into::into)
    );
    assert_eq!(told["Architecture"], "amd64");
    let verified = unheck(&["verify", text(&layout), "--json"]).ok();
    assert_eq!(verified.json()["ok"], true);
}

#[test]
#[ignore = "live: a Docker engine, which needs root"]
fn docker_loads_and_runs_gzip_and_zstd_layers() {
    let directory = directory();
    let hello = example("hello", directory.path());
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => {
            println!("skipped: no engine can run here: {why}");
            return;
        }
    };
    for compression in ["gzip", "zstd"] {
        let image = directory.path().join(format!("{compression}.oci.tar"));
        let tag = format!("example.test/hello:{compression}");
        build(
            &hello,
            &image,
            &["--compression", compression, "--tag", &tag],
        );
        assert_eq!(docker.load(&image), tag);
        let facts = docker.run(&tag, &["--json"]).ok().json();
        check_hello(&facts);
        assert_eq!(facts["user"], "nonroot");
    }
}
