//! Logins: who gets them and who does not.

use unheck_registry::pull::{self, BlobTransport};
use unheck_registry::{Client, Options, Purpose};
use unheck_store::Store;
use unheck_store::fetch::{FetchOptions, fetch_all};
use unheck_testkit::registry::Auth;
use unheck_testkit::{Registry, RegistryOptions, Server};

use crate::support::{
    access, block_on, chain, client, client_of, logins, message, noise, one, options, receive,
    reference, send,
};

fn registry(auth: Auth) -> Registry {
    Registry::start(RegistryOptions {
        auth,
        ..RegistryOptions::default()
    })
}

fn basic() -> Auth {
    Auth::Basic("me".into(), "secret".into())
}

fn token() -> Auth {
    Auth::Token("me".into(), "secret".into())
}

const LOGIN: Option<(&str, &str)> = Some(("me", "secret"));

#[test]
fn basic_and_token_logins_push_and_pull() {
    for auth in [basic(), token()] {
        let registry = registry(auth);
        let client = client(&registry, access(&registry, LOGIN));
        send(&client, &one(&[noise(1, 9000)])).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let puller = client_of(
            &registry,
            "team/web",
            Purpose::Pull,
            access(&registry, LOGIN),
        );
        let (_, fetched) = receive(&puller, &reference(&registry, "team/web:1"), &store).unwrap();
        assert_eq!(fetched.unwrap().len(), 2);
        // Asked for first, then answered: nothing is sent to a registry that does not ask.
        assert_eq!(registry.server.requests()[0].header("authorization"), None);
    }
}

#[test]
fn one_token_serves_a_whole_push_and_a_new_one_comes_when_it_is_over() {
    let fresh = |token_uses, token_life| {
        let registry = Registry::start(RegistryOptions {
            auth: token(),
            token_uses,
            token_life,
            ..RegistryOptions::default()
        });
        // One blob after the other: of a token with few uses another request might take the last.
        let options = Options {
            parallel: 1,
            ..options()
        };
        let repository = reference(&registry, "team/web").repository().clone();
        let client = Client::new(
            &repository,
            Purpose::Push,
            access(&registry, LOGIN),
            options,
        );
        let client = client.unwrap();
        send(&client, &one(&[noise(1, 20_000), noise(2, 10)])).unwrap();
        registry.server.requests_for("/token").len()
    };
    assert_eq!(fresh(None, 300), 1);
    // Good for three requests only, whatever its life is said to be.
    let asked = fresh(Some(3), 300);
    assert!((4..20).contains(&asked), "{asked}");
    // A life of no time is taken for a second: a push is not a storm of tokens.
    assert!(fresh(None, 0) <= 3);
}

#[test]
fn a_pull_goes_on_with_a_new_token_when_the_old_one_ends() {
    let registry = registry(token());
    let client = client(&registry, access(&registry, LOGIN));
    send(&client, &one(&[noise(1, 20_000), noise(2, 10)])).unwrap();
    let reference = reference(&registry, "team/web:1");
    let remote = block_on(pull::image(&client, &reference, None, &|_| {})).unwrap();
    registry.revoke_tokens();
    registry.server.clear_requests();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let wants = pull::wants(&client, &remote.blobs);
    let options = FetchOptions::default();
    let transport = BlobTransport(&client);
    let fetched = block_on(fetch_all(&store, &transport, &wants, &options, &|_| {}));
    assert_eq!(fetched.unwrap().len(), 3);
    assert_eq!(registry.server.requests_for("/token").len(), 1);
}

#[test]
fn without_or_with_a_wrong_login_the_message_says_so_and_how_to_log_in() {
    for auth in [basic(), token()] {
        let registry = registry(auth);
        let refused = |login| {
            let client = client(&registry, access(&registry, login));
            let error = send(&client, &one(&[noise(1, 10)])).unwrap_err();
            let hint = error
                .hint()
                .unwrap()
                .replace(&registry.address(), "REGISTRY");
            (message(&registry, &error), hint)
        };
        let (text, hint) = refused(None);
        assert!(
            text.ends_with("the registry wants a login, and there is none for it"),
            "{text}"
        );
        assert!(
            hint.starts_with("log in with `docker login REGISTRY`"),
            "{hint}"
        );
        let (text, _) = refused(Some(("me", "wrong")));
        assert!(text.ends_with("the registry refuses user `me`"), "{text}");
        let asked = registry.server.requests().len();
        assert!(
            asked < 15,
            "a login that is wrong is not tried for ever: {asked}"
        );
    }
}

#[test]
fn everybody_may_pull_where_the_registry_gives_tokens_to_everybody() {
    let registry = registry(Auth::AnonymousPull);
    let (manifest, blobs) = crate::support::image("amd64", &[noise(1, 50)]);
    for blob in &blobs {
        let unheck_registry::Content::Bytes(bytes) = &blob.content else {
            unreachable!()
        };
        registry.put_blob("team/web", bytes.to_vec());
    }
    registry.put_manifest(
        "team/web",
        "1",
        &manifest.descriptor.media_type,
        &manifest.bytes,
    );
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let puller = client_of(
        &registry,
        "team/web",
        Purpose::Pull,
        access(&registry, None),
    );
    let (_, fetched) = receive(&puller, &reference(&registry, "team/web:1"), &store).unwrap();
    assert_eq!(fetched.unwrap().len(), 2);
    let error = send(
        &client(&registry, access(&registry, None)),
        &one(&[noise(2, 10)]),
    )
    .unwrap_err();
    insta::assert_snapshot!(error.cause, @"the registry refuses a request without login: no token (UNAUTHORIZED)");
}

#[test]
fn a_login_is_not_sent_to_a_token_server_elsewhere_unless_it_is_named() {
    let elsewhere = registry(token());
    let host = elsewhere.address();
    let first = Registry::start(RegistryOptions {
        auth: token(),
        realm: Some(format!("http://{host}/token")),
        ..RegistryOptions::default()
    });
    let mut allowed = access(&first, LOGIN);
    allowed.insecure.insert(host.clone());
    let error = send(&client(&first, allowed.clone()), &one(&[noise(1, 10)])).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "if `{host}` may have the login for `{}`, say `--token-server {host}`",
            first.address()
        )
    );
    assert!(elsewhere.server.requests().is_empty());

    allowed.token_servers.insert(host);
    drop(send(&client(&first, allowed), &one(&[noise(1, 10)])));
    let asked = elsewhere.server.requests_for("/token");
    assert!(
        asked
            .iter()
            .any(|one| one.header("authorization").is_some())
    );

    // Without a login there is nothing to lose, but plain HTTP has to be allowed there too.
    let error = send(&client(&first, access(&first, None)), &one(&[noise(1, 10)])).unwrap_err();
    assert!(
        chain(&error).ends_with("its token server would be asked over plain HTTP"),
        "{error:?}"
    );
}

/// Everything that a login or token could be seen in.
fn saw_a_login(server: &Server) -> bool {
    let requests = server.requests();
    assert!(
        !requests.is_empty(),
        "it was never asked, so the test says nothing"
    );
    requests.iter().any(|one| {
        let named = one.headers.iter().any(|(name, value)| {
            name == "authorization" || value.contains("secret") || value.contains("token")
        });
        named || one.query.contains("token")
    })
}

#[test]
fn redirects_and_upload_locations_at_another_host_get_neither_login_nor_token() {
    for auth in [basic(), token()] {
        let storage = registry(Auth::None);
        let layer = noise(1, 9000);
        storage.put_blob("team/web", layer.clone());
        let first = Registry::start(RegistryOptions {
            auth: auth.clone(),
            blob_redirect: Some(storage.server.url("")),
            ..RegistryOptions::default()
        });
        let push = one(&[layer]);
        send(&client(&first, access(&first, LOGIN)), &push).unwrap();
        storage.put_blob(
            "team/web",
            match &push.blobs[0].content {
                unheck_registry::Content::Bytes(bytes) => bytes.to_vec(),
                unheck_registry::Content::File { .. } => unreachable!(),
            },
        );
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let puller = client_of(&first, "team/web", Purpose::Pull, access(&first, LOGIN));
        let (_, fetched) = receive(&puller, &reference(&first, "team/web:1"), &store).unwrap();
        assert_eq!(fetched.unwrap().len(), 2);
        assert!(!saw_a_login(&storage.server));

        storage.server.clear_requests();
        let second = Registry::start(RegistryOptions {
            auth,
            location_base: Some(storage.server.url("")),
            ..RegistryOptions::default()
        });
        let error = send(
            &client(&second, access(&second, LOGIN)),
            &one(&[noise(2, 10)]),
        );
        // The storage knows nothing of the upload: that is an end, and not a leak.
        assert!(error.is_err());
        assert!(!saw_a_login(&storage.server));
    }
}

#[test]
fn the_login_of_another_registry_is_of_no_use_here() {
    let registry = registry(basic());
    let mut access = access(&registry, None);
    access.credentials = logins("registry.example", "me", "secret");
    let error = send(&client(&registry, access), &one(&[noise(1, 10)])).unwrap_err();
    insta::assert_snapshot!(error.cause, @"the registry wants a login, and there is none for it");
}

#[test]
fn plain_http_is_not_spoken_unless_it_is_allowed() {
    let registry = registry(basic());
    let mut access = access(&registry, LOGIN);
    access.insecure.clear();
    let error = send(&client(&registry, access), &one(&[noise(1, 10)])).unwrap_err();
    let hint = error
        .hint()
        .unwrap()
        .replace(&registry.address(), "REGISTRY");
    insta::assert_snapshot!(hint, @"if this registry speaks no TLS and the network to it is trusted, say `--insecure-registry REGISTRY`");
    assert!(
        registry
            .server
            .requests()
            .iter()
            .all(|one| one.headers.is_empty())
    );
}
