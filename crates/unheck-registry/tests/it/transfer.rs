//! Push and pull when nothing goes wrong.

use std::io::Read as _;
use std::sync::Arc;

use unheck_base::Digest;
use unheck_registry::{Blob, Content, Purpose};
use unheck_store::Store;
use unheck_testkit::{Registry, RegistryOptions};

use crate::support::{
    access, block_on, client, client_of, noise, one, receive, reference, send, two,
};

#[test]
fn what_is_pushed_is_there_and_comes_back_and_is_not_sent_again() {
    let registry = Registry::start(RegistryOptions::default());
    let client = client(&registry, access(&registry, None));
    let push = two();
    let pushed = send(&client, &push).unwrap();
    assert_eq!(pushed.sent.len(), 5, "the common layer is sent once");
    let digest = push.manifests[2].descriptor.digest;
    for tag in ["1", "latest"] {
        let (_, bytes) = registry.manifest("team/web", tag).unwrap();
        assert_eq!(Digest::of(&bytes), digest);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (remote, fetched) = receive(&client, &reference(&registry, "team/web:1"), &store).unwrap();
    assert_eq!(remote.root.descriptor.digest, digest);
    assert_eq!(remote.documents.len(), 3);
    assert_eq!(fetched.unwrap().len(), 5);
    for blob in &push.blobs {
        let mut bytes = Vec::new();
        store
            .open_verified(&blob.digest)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes.len() as u64, blob.size);
    }

    registry.server.clear_requests();
    let again = send(&client, &push).unwrap();
    assert_eq!((again.bytes(), again.there.len()), (0, 5));
    let wrote = registry
        .server
        .requests()
        .into_iter()
        .filter(|one| one.path.contains("uploads"));
    assert_eq!(wrote.count(), 0);
}

#[test]
fn a_change_of_the_app_sends_the_app() {
    let registry = Registry::start(RegistryOptions::default());
    let client = client(&registry, access(&registry, None));
    let base = noise(1, 50_000);
    send(&client, &one(&[base.clone(), noise(2, 300)])).unwrap();
    registry.server.clear_requests();
    let changed = one(&[base, noise(3, 300)]);
    let pushed = send(&client, &changed).unwrap();
    assert_eq!(pushed.sent, [(changed.blobs[2].digest, 300)].into());
    let bodies: usize = registry
        .server
        .requests()
        .iter()
        .map(|one| one.body.len())
        .sum();
    let documents: usize = changed.manifests.iter().map(|one| one.bytes.len()).sum();
    assert_eq!(
        bodies,
        300 + 2 * documents,
        "the manifest goes by digest and by tag"
    );
}

#[test]
fn large_blobs_go_in_pieces_of_the_size_that_the_registry_wants() {
    for (absolute_locations, min_chunk, pieces) in [(false, None, 6), (true, Some(10_000), 3)] {
        let registry = Registry::start(RegistryOptions {
            absolute_locations,
            min_chunk,
            ..RegistryOptions::default()
        });
        let client = client(&registry, access(&registry, None));
        // From a file, with other bytes around it.
        let bytes = noise(1, 21_500);
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[&noise(9, 77)[..], &bytes, b"tail"].concat())
            .unwrap();
        let blob = Blob {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            content: Content::File {
                file: Arc::new(file),
                offset: 77,
            },
        };
        block_on(client.push_blob(&blob, &[], &|_| {})).unwrap();
        let there = registry.blob(&blob.digest.to_string()).unwrap();
        assert_eq!(there[..], bytes[..]);
        let requests = registry.server.requests();
        let patches = requests.iter().filter(|one| one.method == "PATCH");
        assert_eq!(patches.count(), pieces);
        assert_eq!(registry.open_uploads(), 0);
    }
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let registry = Registry::start(RegistryOptions::default());
    let push = one(&[noise(1, 5000)]);
    send(&client(&registry, access(&registry, None)), &push).unwrap();
    let other = client_of(
        &registry,
        "team/other",
        Purpose::Push,
        access(&registry, None),
    );
    let mut again = push.clone();
    let from = reference(&registry, "team/web").repository().clone();
    let wrong = reference(&registry, "team/none").repository().clone();
    for blob in &push.blobs {
        again
            .elsewhere
            .insert(blob.digest, vec![wrong.clone(), from.clone()]);
    }
    let pushed = send(&other, &again).unwrap();
    assert_eq!((pushed.mounted.len(), pushed.bytes()), (2, 0));
    assert_eq!(registry.blobs("team/other").len(), 2);

    // A registry that does not mount opens an upload; nothing of it is left behind.
    let registry = Registry::start(RegistryOptions {
        mount: false,
        ..RegistryOptions::default()
    });
    let from = reference(&registry, "team/web").repository().clone();
    for blob in &push.blobs {
        again.elsewhere.insert(blob.digest, vec![from.clone()]);
    }
    let other = client_of(
        &registry,
        "team/other",
        Purpose::Push,
        access(&registry, None),
    );
    let pushed = send(&other, &again).unwrap();
    assert_eq!((pushed.mounted.len(), pushed.sent.len()), (0, 2));
    assert_eq!(registry.open_uploads(), 0);
}

#[test]
fn a_platform_is_chosen_from_an_index() {
    let registry = Registry::start(RegistryOptions::default());
    let client = client(&registry, access(&registry, None));
    send(&client, &two()).unwrap();
    let reference = reference(&registry, "team/web:1");
    let pull = |platform: &str| {
        let platform = platform.parse().unwrap();
        block_on(unheck_registry::pull::image(
            &client,
            &reference,
            Some(&platform),
            &|_| {},
        ))
    };
    let arm = pull("linux/arm64").unwrap();
    assert_eq!((arm.documents.len(), arm.blobs.len()), (2, 3));
    let error = pull("linux/riscv64").unwrap_err();
    insta::assert_snapshot!(crate::support::message(&registry, &error), @"cannot pull `REGISTRY/team/web:1` at `REGISTRY`: the registry's answer makes no sense: it is not made for `linux/riscv64`, only for `linux/amd64`, `linux/arm64`");
}

#[test]
fn a_second_download_goes_on_where_the_first_was_cut() {
    let registry = Registry::start(RegistryOptions::default());
    let client = client(&registry, access(&registry, None));
    let push = one(&[noise(1, 300_000)]);
    send(&client, &push).unwrap();
    let path = format!("/v2/team/web/blobs/{}", push.blobs[1].digest);
    registry
        .server
        .fault_times(&path, 1, unheck_testkit::Fault::Truncate(100_000));
    registry.server.clear_requests();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (_, fetched) = receive(&client, &reference(&registry, "team/web:1"), &store).unwrap();
    fetched.unwrap();
    let asked = registry.server.requests_for(&path);
    let ranges: Vec<_> = asked
        .iter()
        .map(|one| one.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned())]);
}
