//! Against Debian's `docker-registry`, a registry that others wrote.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use unheck_registry::referrers::Artifact;
use unheck_registry::{Access, Client, Options, Purpose, Reference};
use unheck_store::Store;

use crate::support::{block_on, noise, receive, send, two};

/// A registry of its own on a free port of loopback.
struct DockerRegistry {
    child: Child,
    host: String,
    _root: tempfile::TempDir,
}

impl DockerRegistry {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = root.path().join("config.yml");
        let storage = root.path().display();
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {storage}\nhttp:\n  addr: 127.0.0.1:0\n"
        );
        fs_err::write(&config, text).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let host = loop {
            let line = lines.next().expect("it ended").unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            host,
            _root: root,
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[ignore = "live: runs Debian's docker-registry and skopeo"]
fn debian_s_registry_takes_an_image_and_skopeo_reads_it() {
    let registry = DockerRegistry::start();
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
