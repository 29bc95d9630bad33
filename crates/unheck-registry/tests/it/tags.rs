//! Tags and removal.

use unheck_registry::{Client, Purpose, Removal};
use unheck_testkit::registry::Auth;
use unheck_testkit::{Registry, RegistryOptions};

use crate::support::{access, block_on, client_of, one, send};

fn remover(registry: &Registry, login: Option<(&str, &str)>) -> Client {
    client_of(
        registry,
        "team/web",
        Purpose::Remove,
        access(registry, login),
    )
}

#[test]
fn tags_are_listed_and_looked_up_and_go_with_their_manifest() {
    let registry = Registry::start(RegistryOptions::default());
    let client = remover(&registry, None);
    let list = || block_on(client.tags(&|_| {})).unwrap();
    assert_eq!(list(), [""; 0], "there is no repository yet");
    let mut push = one(&[b"a".to_vec()]);
    push.tags = vec!["1".into(), "2".into()];
    send(&client, &push).unwrap();
    assert_eq!(list(), ["1", "2"]);
    let digest = push.manifests[0].descriptor.digest;
    let look = |target: &str| block_on(client.digest_of(target, &|_| {})).unwrap();
    assert_eq!(
        [look("1"), look(&digest.to_string()), look("3")],
        [Some(digest), Some(digest), None]
    );
    let remove = |target: &str| block_on(client.remove_manifest(target, &|_| {})).unwrap();
    assert_eq!(remove("2"), Removal::Removed);
    assert_eq!(list(), ["1"], "a tag alone");
    assert_eq!(remove(&digest.to_string()), Removal::Removed);
    assert_eq!(remove(&digest.to_string()), Removal::Absent);
    assert_eq!(list(), [""; 0], "a manifest with its tags");
}

#[test]
fn a_registry_or_login_that_removes_nothing_is_no_error() {
    let registry = Registry::start(RegistryOptions {
        delete: false,
        ..RegistryOptions::default()
    });
    let client = remover(&registry, None);
    let push = one(&[b"a".to_vec()]);
    send(&client, &push).unwrap();
    let removal = block_on(client.remove_manifest("1", &|_| {})).unwrap();
    assert_eq!(removal, Removal::Refused);

    // A token is asked for with the right to delete; a client that only pushes has none.
    let token = Auth::Token("ada".into(), "secret".into());
    let registry = Registry::start(RegistryOptions {
        auth: token,
        ..RegistryOptions::default()
    });
    let login = Some(("ada", "secret"));
    let pusher = client_of(
        &registry,
        "team/web",
        Purpose::Push,
        access(&registry, login),
    );
    send(&pusher, &push).unwrap();
    let digest = push.manifests[0].descriptor.digest.to_string();
    let removal = block_on(pusher.remove_manifest(&digest, &|_| {})).unwrap();
    assert_eq!(removal, Removal::Refused);
    let remover = remover(&registry, login);
    let removal = block_on(remover.remove_manifest(&digest, &|_| {})).unwrap();
    assert_eq!(removal, Removal::Removed);
}
