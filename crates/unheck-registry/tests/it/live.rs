//! Against Debian's `docker-registry`, a registry that others wrote.

use std::process::Command;

use unheck_registry::referrers::Artifact;
use unheck_registry::{Access, Client, Options, Purpose, Reference};
use unheck_store::Store;
use unheck_testkit::DockerRegistry;

use crate::support::{block_on, noise, receive, send, two};

#[test]
#[ignore = "live: runs Debian's docker-registry and skopeo"]
fn debian_s_registry_takes_an_image_and_skopeo_reads_it() {
    let registry = DockerRegistry::start(false);
    let reference: Reference = format!("{}/team/web:1", registry.host).parse().unwrap();
    let access = Access {
        insecure: [registry.host.clone()].into(),
        ..Access::default()
    };
    let options = Options {
        whole: 1 << 20,
        chunk: 5 << 20,
        ..Options::default()
    };
    let client = Client::new(
        reference.repository(),
        Purpose::Push,
        access.clone(),
        options.clone(),
    )
    .unwrap();
    let mut push = two();
    let large = unheck_registry::Blob::bytes(noise(7, 23 << 20));
    push.blobs.push(large.clone());
    let pushed = send(&client, &push).unwrap();
    assert_eq!(pushed.sent.len(), 6);
    assert_eq!(send(&client, &push).unwrap().bytes(), 0);

    let root = &push.manifests[2].descriptor;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (remote, fetched) = receive(&client, &reference, &store).unwrap();
    assert_eq!(remote.root.descriptor.digest, root.digest);
    assert_eq!(fetched.unwrap().len(), 5);

    let other: Reference = format!("{}/team/other:1", registry.host).parse().unwrap();
    let other = Client::new(other.repository(), Purpose::Push, access, options).unwrap();
    let from = std::slice::from_ref(reference.repository());
    let mounted = block_on(other.push_blob(&large, from, &|_| {})).unwrap();
    assert_eq!(mounted, unheck_registry::Sending::Mounted);

    let artifact = Artifact {
        artifact_type: "application/vnd.cyclonedx+json".into(),
        media_type: "application/vnd.cyclonedx+json".into(),
        bytes: b"{}".to_vec(),
        annotations: Default::default(),
    };
    let attached = block_on(client.attach(root, &artifact, &|_| {})).unwrap();
    let listed = block_on(client.referrers(&root.digest, None, &|_| {})).unwrap();
    assert_eq!(listed, [attached]);

    let inspect = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{reference}"))
        .output()
        .unwrap();
    assert!(inspect.status.success(), "{inspect:?}");
    assert_eq!(unheck_base::Digest::of(&inspect.stdout), root.digest);
    let copy = Command::new("skopeo")
        .args(["copy", "--all", "--src-tls-verify=false"])
        .arg(format!("docker://{reference}"))
        .arg(format!("oci:{}", dir.path().join("copy").display()))
        .output()
        .unwrap();
    assert!(
        copy.status.success(),
        "{}",
        String::from_utf8_lossy(&copy.stderr)
    );
}
