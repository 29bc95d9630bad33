//! A registry, an image and a client of both.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use unheck_base::Digest;
use unheck_oci::image::{
    CONFIG, Descriptor, INDEX, Index, LayerMediaType, MANIFEST, Manifest, Platform,
};
use unheck_registry::pull::{self, BlobTransport, Remote};
use unheck_registry::push::{self, Push, Pushed};
use unheck_registry::{
    Access, Blob, Client, Credentials, Document, Options, Purpose, Reference, RegistryError,
};
use unheck_store::Store;
use unheck_store::fetch::{FetchError, FetchOptions, HttpOptions, fetch_all};
use unheck_testkit::Registry;

/// No test waits longer than it must.
pub(crate) fn options() -> Options {
    Options {
        web: HttpOptions {
            idle_timeout: Duration::from_millis(400),
            connect_timeout: Duration::from_millis(400),
            ..Options::default().web
        },
        digesting: Duration::from_millis(800),
        document: Duration::from_millis(1500),
        retries: 3,
        backoff: Duration::from_millis(5),
        whole: 1000,
        chunk: 4000,
        ..Options::default()
    }
}

/// Access to a registry over plain HTTP, with a login where one is named.
pub(crate) fn access(registry: &Registry, login: Option<(&str, &str)>) -> Access {
    let mut access = Access {
        insecure: [registry.address()].into(),
        ..Access::default()
    };
    if let Some((user, password)) = login {
        access.credentials = logins(&registry.address(), user, password);
    }
    access
}

pub(crate) fn logins(host: &str, user: &str, password: &str) -> Credentials {
    let mut credentials = Credentials::default();
    let text =
        format!(r#"{{"auths": {{"{host}": {{"username": "{user}", "password": "{password}"}}}}}}"#);
    credentials
        .add_file(Path::new("auth.json"), text.as_bytes())
        .unwrap();
    credentials
}

pub(crate) fn reference(registry: &Registry, name: &str) -> Reference {
    format!("{}/{name}", registry.address()).parse().unwrap()
}

/// A client for pushing to `team/web`.
pub(crate) fn client(registry: &Registry, access: Access) -> Client {
    client_of(registry, "team/web", Purpose::Push, access)
}

pub(crate) fn client_of(
    registry: &Registry,
    name: &str,
    purpose: Purpose,
    access: Access,
) -> Client {
    Client::new(
        reference(registry, name).repository(),
        purpose,
        access,
        options(),
    )
    .unwrap()
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Bytes that look like nothing else with the same seed.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let step = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// An image of one platform: its manifest, and its blobs with the config first.
pub(crate) fn image(architecture: &str, layers: &[Vec<u8>]) -> (Document, Vec<Blob>) {
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let mut blobs = vec![Blob::bytes(config.into_bytes())];
    blobs.extend(layers.iter().map(|layer| Blob::bytes(layer.clone())));
    let describe =
        |blob: &Blob, media_type: &str| Descriptor::new(media_type, blob.digest, blob.size);
    let config = describe(&blobs[0], CONFIG);
    let layers = blobs[1..]
        .iter()
        .map(|blob| describe(blob, LayerMediaType::Zstd.as_str()));
    let manifest = Manifest::new(config, layers.collect());
    let bytes = unheck_oci::image::canonical_json(&manifest).unwrap();
    (Document::new(MANIFEST, bytes), blobs)
}

/// A push of an image of one platform under the tag `1`.
pub(crate) fn one(layers: &[Vec<u8>]) -> Push {
    let (manifest, blobs) = image("amd64", layers);
    Push {
        blobs,
        manifests: vec![manifest],
        tags: vec!["1".to_owned()],
        ..Push::default()
    }
}

/// A push of two platforms with one common layer.
pub(crate) fn two() -> Push {
    let (mut amd, blobs) = image("amd64", &[noise(1, 9000), noise(2, 100)]);
    let (mut arm, more) = image("arm64", &[noise(1, 9000), noise(3, 200)]);
    amd.descriptor.platform = Some(Platform::linux("amd64"));
    arm.descriptor.platform = Some(Platform::linux("arm64"));
    let index = Index::new(vec![amd.descriptor.clone(), arm.descriptor.clone()]);
    let bytes = unheck_oci::image::canonical_json(&index).unwrap();
    Push {
        blobs: blobs.into_iter().chain(more).collect(),
        manifests: vec![amd, arm, Document::new(INDEX, bytes)],
        tags: vec!["1".to_owned(), "latest".to_owned()],
        ..Push::default()
    }
}

pub(crate) fn send(client: &Client, what: &Push) -> Result<Pushed, RegistryError> {
    block_on(push::push(client, what, &|_| {}))
}

/// The failures that were tried again, as they were told.
pub(crate) fn send_and_listen(
    client: &Client,
    what: &Push,
) -> (Result<Pushed, RegistryError>, Vec<String>) {
    let told = Mutex::new(Vec::new());
    let tell = |event: unheck_registry::Progress<'_>| {
        if let unheck_registry::Progress::Retry { why, .. } = event {
            told.lock().unwrap().push(chain(why));
        }
    };
    let done = block_on(push::push(client, what, &tell));
    (done, told.into_inner().unwrap())
}

/// Pulls an image into a store: what it consists of, and how the download of its blobs went.
pub(crate) fn receive(
    client: &Client,
    reference: &Reference,
    store: &Store,
) -> Result<(Remote, Result<Vec<Digest>, FetchError>), RegistryError> {
    // The client's own clock is to be the first that runs out, on a busy machine too.
    let patient = FetchOptions {
        retries: 3,
        backoff: Duration::from_millis(5),
        stall: Duration::from_secs(4),
        give_up: Duration::from_secs(8),
        ..FetchOptions::default()
    };
    block_on(async {
        let remote = pull::image(client, reference, None, &|_| {}).await?;
        let wants = pull::wants(client, &remote.blobs);
        let fetched = fetch_all(store, &BlobTransport(client), &wants, &patient, &|_| {}).await;
        Ok((remote, fetched))
    })
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The same without what differs from run to run.
pub(crate) fn message(registry: &Registry, error: &dyn std::error::Error) -> String {
    chain(error).replace(&registry.address(), "REGISTRY")
}
