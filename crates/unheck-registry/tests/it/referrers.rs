//! Artifacts about an image, with and without the referrers API.

use std::collections::BTreeMap;

use unheck_registry::referrers::Artifact;
use unheck_testkit::{Registry, RegistryOptions};

use crate::support::{access, block_on, client, noise, one, send};

const SBOM: &str = "application/vnd.cyclonedx+json";

fn artifact(text: &str, artifact_type: &str) -> Artifact {
    Artifact {
        artifact_type: artifact_type.to_owned(),
        media_type: artifact_type.to_owned(),
        bytes: text.as_bytes().to_vec(),
        annotations: BTreeMap::from([("org.opencontainers.image.created".into(), "2026".into())]),
    }
}

#[test]
fn artifacts_are_listed_whatever_the_registry_can_do() {
    for referrers in [true, false] {
        let registry = Registry::start(RegistryOptions {
            referrers,
            referrers_page: Some(1),
            ..RegistryOptions::default()
        });
        let client = client(&registry, access(&registry, None));
        let push = one(&[noise(1, 100)]);
        send(&client, &push).unwrap();
        let subject = push.manifests[0].descriptor.clone();
        let attach =
            |artifact: &Artifact| block_on(client.attach(&subject, artifact, &|_| {})).unwrap();
        let list = |kind| block_on(client.referrers(&subject.digest, kind, &|_| {})).unwrap();
        assert_eq!(list(None), []);
        let sbom = attach(&artifact("{}", SBOM));
        let other = attach(&artifact("[]", "text/x"));
        assert_eq!(
            sbom,
            attach(&artifact("{}", SBOM)),
            "the same again is the same"
        );
        let mut all = list(None);
        all.sort_by_key(|one| one.artifact_type.clone());
        assert_eq!(all, [sbom.clone(), other]);
        assert_eq!(list(Some(SBOM)), std::slice::from_ref(&sbom));
        let fallback = format!("sha256-{}", subject.digest.hex());
        assert_eq!(
            registry.manifest("team/web", &fallback).is_some(),
            !referrers
        );

        let read = |limit| block_on(client.artifact(&subject.digest, &sbom, limit, &|_| {}));
        assert_eq!(read(10).unwrap().1, b"{}");
        assert!(
            read(1)
                .unwrap_err()
                .to_string()
                .starts_with("cannot read the artifact")
        );
        let elsewhere = push.blobs[0].digest;
        let wrong = block_on(client.artifact(&elsewhere, &sbom, 10, &|_| {})).unwrap_err();
        assert_eq!(
            wrong.cause.to_string(),
            "the registry's answer makes no sense: it is about another image"
        );
    }
}
