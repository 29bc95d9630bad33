//! Registries that fail: each row ends in a right state and a clear message.

use std::time::{Duration, Instant};

use unheck_base::Digest;
use unheck_registry::push::Push;
use unheck_store::Store;
use unheck_testkit::http::Response;
use unheck_testkit::{Fault, Registry, RegistryOptions};

use crate::support::{
    access, client, image, message, noise, one, receive, reference, send_and_listen,
};

/// One way to fail while pushing.
struct Row {
    name: &'static str,
    /// What is broken before the push; the first upload has the id `upload1`.
    fault: fn(&Registry),
    /// How the message ends, or `None` where the push works after all.
    fails: Option<&'static str>,
    /// How a failure that was tried again ends, where there must be one.
    retried: Option<&'static str>,
}

const UPLOADS: &str = "/v2/team/web/blobs/uploads/";
const FIRST: &str = "/v2/team/web/blobs/uploads/upload1";
const TAG: &str = "/v2/team/web/manifests/1";

const PUSHES: &[Row] = &[
    Row {
        name: "the registry is busy twice",
        fault: |r| r.server.fault_times(UPLOADS, 2, Fault::Status(503)),
        fails: None,
        retried: Some("the registry answers `503 Service Unavailable`"),
    },
    Row {
        name: "the registry is busy for ever",
        fault: |r| r.server.fault(UPLOADS, Fault::Status(503)),
        fails: Some("the registry answers `503 Service Unavailable`"),
        retried: Some("the registry answers `503 Service Unavailable`"),
    },
    Row {
        name: "too many requests",
        fault: |r| r.server.fault_times("*", 1, Fault::RetryAfter(429, 0)),
        fails: None,
        retried: Some("the registry answers `429 Too Many Requests`"),
    },
    Row {
        name: "the connection breaks before a piece is taken",
        fault: |r| r.server.fault_times(FIRST, 1, Fault::Close),
        fails: None,
        retried: Some("cannot send"),
    },
    Row {
        name: "a piece is taken in part",
        fault: |r| r.cut_chunk(1234),
        fails: None,
        retried: Some("the disk went away (UNKNOWN)"),
    },
    Row {
        name: "two pieces in a row are taken in part, one of them not at all",
        fault: |r| {
            r.cut_chunk(0);
            r.cut_chunk(3999);
        },
        fails: None,
        retried: Some("the disk went away (UNKNOWN)"),
    },
    Row {
        name: "the upload is lost",
        fault: |r| r.server.fault_times(FIRST, 1, Fault::Status(404)),
        fails: None,
        retried: Some("the registry answers `404 Not Found`"),
    },
    Row {
        name: "the piece is said to be out of order",
        fault: |r| r.server.fault_times(FIRST, 1, Fault::Status(416)),
        fails: None,
        retried: Some("the registry answers `416 Range Not Satisfiable`"),
    },
    Row {
        name: "the bytes are said to be wrong once",
        fault: |r| r.server.fault_times(FIRST, 1, Fault::Status(400)),
        fails: None,
        retried: Some("the registry answers `400 Bad Request`"),
    },
    Row {
        name: "uploads are redirected",
        fault: |r| {
            r.server
                .fault(UPLOADS, Fault::Redirect("http://other.invalid/x".into()));
        },
        fails: Some(
            "the registry sends us to `http://other.invalid/x`: what is written is not redirected",
        ),
        retried: None,
    },
    Row {
        name: "uploads are somewhere that is no HTTP",
        fault: |r| {
            let answer = Response::status(202).header("location", "file:///etc/passwd");
            r.answer_uploads(Some(answer));
        },
        fails: Some("the registry sends us to `file:///etc/passwd`: that is no HTTP"),
        retried: None,
    },
    Row {
        name: "uploads are nowhere",
        fault: |r| r.answer_uploads(Some(Response::status(202))),
        fails: Some("it sends us elsewhere and does not say where"),
        retried: None,
    },
    Row {
        name: "the registry says that it has more than was sent",
        fault: |r| r.overstate(true),
        fails: Some("it says that it has 99999 bytes, 4000 were sent"),
        retried: None,
    },
    Row {
        name: "no answer comes",
        fault: |r| r.server.fault(UPLOADS, Fault::Hang),
        fails: Some("nothing moved for 0 seconds"),
        retried: Some("nothing moved for 0 seconds"),
    },
    Row {
        name: "the tag is refused",
        fault: |r| r.server.fault(TAG, Fault::Status(405)),
        fails: Some(
            "cannot put the manifest `1` of `team/web` at `REGISTRY`: the registry answers `405 Method Not Allowed`",
        ),
        retried: None,
    },
    Row {
        name: "the manifest fails once",
        fault: |r| r.server.fault_times(TAG, 1, Fault::Close),
        fails: None,
        retried: Some("cannot put the manifest `1`"),
    },
];

#[test]
fn pushes_end_well_or_leave_the_old_image() {
    for row in PUSHES {
        let registry = Registry::start(RegistryOptions::default());
        let old = registry.put_manifest("team/web", "1", "text/plain", b"old");
        (row.fault)(&registry);
        let client = client(&registry, access(&registry, None));
        let push = Push {
            blobs: image("amd64", &[noise(1, 9500)]).1,
            ..one(&[noise(1, 9500)])
        };
        let begun = Instant::now();
        let (done, told) = send_and_listen(&client, &push);
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", row.name);
        let told: Vec<String> = told
            .iter()
            .map(|one| one.replace(&registry.address(), "REGISTRY"))
            .collect();
        match row.retried {
            Some(text) => assert!(
                told.iter().any(|one| one.contains(text)),
                "{}: {told:?}",
                row.name
            ),
            None => assert!(told.is_empty(), "{}: {told:?}", row.name),
        }
        let (_, now) = registry.manifest("team/web", "1").unwrap();
        match (done, row.fails) {
            (Ok(_), None) => {
                let expected = push.manifests[0].descriptor.digest;
                assert_eq!(Digest::of(&now), expected, "{}", row.name);
                for blob in &push.blobs {
                    let there = registry.blob(&blob.digest.to_string());
                    assert_eq!(
                        there.map(|bytes| bytes.len() as u64),
                        Some(blob.size),
                        "{}",
                        row.name
                    );
                }
            }
            (Err(error), Some(text)) => {
                let shown = message(&registry, &error);
                assert!(shown.ends_with(text), "{}: {shown}", row.name);
                assert_eq!(Digest::of(&now).to_string(), old, "{}", row.name);
            }
            (Ok(done), Some(_)) => panic!("{} worked: {done:?}", row.name),
            (Err(error), None) => panic!("{} failed: {}", row.name, message(&registry, &error)),
        }
    }
}

#[test]
fn what_is_damaged_here_is_told_from_what_suffered_on_the_way() {
    let registry = Registry::start(RegistryOptions::default());
    let client = client(&registry, access(&registry, None));
    let mut push = one(&[noise(1, 9000)]);
    let other = noise(2, 9000);
    push.blobs[1].content = unheck_registry::Content::Bytes(other.clone().into());
    let (done, _) = send_and_listen(&client, &push);
    let error = done.unwrap_err();
    assert!(error.is_other_content());
    let shown = message(&registry, &error);
    let expected = format!(
        "what is to be sent has the digest `{}`: the local copy is damaged",
        Digest::of(&other)
    );
    assert!(shown.ends_with(&expected), "{shown}");
    assert!(registry.manifest("team/web", "1").is_none());
}

/// One way to fail while pulling: what is broken, and how the message ends, or `None` where it works.
type PullRow = (
    &'static str,
    fn(&Registry, &str, &str),
    Option<&'static str>,
);

const PULLS: &[PullRow] = &[
    (
        "the manifest fails once",
        |r, manifest, _| {
            r.server.fault_times(manifest, 1, Fault::Status(502));
        },
        None,
    ),
    (
        "there is no such tag",
        |r, manifest, _| {
            r.server.fault(manifest, Fault::Status(404));
        },
        Some("the registry answers `404 Not Found`"),
    ),
    (
        "the manifest has another digest than the registry says",
        |r, manifest, _| {
            r.server.fault(manifest, Fault::Flip(3));
        },
        Some(
            "cannot read the manifest `1` of `team/web` at `REGISTRY`: the registry has the digest",
        ),
    ),
    (
        "the manifest never ends",
        |r, manifest, _| {
            r.server.fault(manifest, Fault::Endless);
        },
        Some("the answer has more than 4194304 bytes"),
    ),
    (
        "the manifest comes byte by byte",
        |r, manifest, _| {
            r.server
                .fault(manifest, Fault::Slow(1, Duration::from_millis(50)));
        },
        Some("nothing moved for 1 seconds"),
    ),
    (
        "the manifest is a web page",
        |r, manifest, _| {
            r.server.fault(manifest, Fault::Wrong(b"<html>".to_vec()));
        },
        Some("the manifest is no JSON object, see its line 1"),
    ),
    (
        "the manifest redirects in a circle",
        |r, manifest, _| {
            r.server
                .fault(manifest, Fault::Redirect(manifest.to_owned()));
        },
        Some("it redirects too often"),
    ),
    (
        "the manifest redirects to a file",
        |r, manifest, _| {
            r.server
                .fault(manifest, Fault::Redirect("file:///etc/passwd".to_owned()));
        },
        Some("the registry sends us to `file:///etc/passwd`: that is no HTTP"),
    ),
    (
        "a layer is cut twice",
        |r, _, layer| {
            r.server.fault_times(layer, 2, Fault::Truncate(3000));
        },
        None,
    ),
    (
        "a layer is wrong once",
        |r, _, layer| {
            r.server.fault_times(layer, 1, Fault::Flip(10));
        },
        None,
    ),
    (
        "a layer is wrong",
        |r, _, layer| {
            r.server.fault(layer, Fault::Flip(10));
        },
        Some("gives a file with the digest"),
    ),
    (
        "a layer has another length",
        |r, _, layer| {
            r.server.fault(layer, Fault::Wrong(b"short".to_vec()));
        },
        Some("announces 5 bytes, not 9000"),
    ),
    (
        "a layer never ends",
        |r, _, layer| {
            r.server.fault(layer, Fault::Endless);
        },
        Some("gives more than the 9000 bytes that are allowed"),
    ),
    (
        "a layer stalls",
        |r, _, layer| {
            r.server
                .fault(layer, Fault::Stall(100, Duration::from_secs(5)));
        },
        Some("(400 bytes came): the connection timed out"),
    ),
    (
        "a layer comes slowly, but it comes",
        |r, _, layer| {
            r.server
                .fault(layer, Fault::Slow(1000, Duration::from_millis(50)));
        },
        None,
    ),
    (
        "a layer redirects to a file",
        |r, _, layer| {
            r.server
                .fault(layer, Fault::Redirect("file:///etc/passwd".to_owned()));
        },
        Some("the registry sends us to `file:///etc/passwd`: that is no HTTP"),
    ),
    (
        "a layer fails twice",
        |r, _, layer| {
            r.server.fault_times(layer, 2, Fault::Status(500));
        },
        None,
    ),
    (
        "a layer redirects in a circle",
        |r, _, layer| {
            r.server.fault(layer, Fault::Redirect(layer.to_owned()));
        },
        Some("it redirects too often"),
    ),
    (
        "ranges are ignored after a cut",
        |r, _, layer| {
            r.server.fault_times(layer, 1, Fault::Truncate(3000));
            r.server.fault_times(layer, 1, Fault::NoRange);
        },
        None,
    ),
    (
        "another range comes after a cut",
        |r, _, layer| {
            r.server.fault_times(layer, 1, Fault::Truncate(3000));
            r.server.fault_times(layer, 1, Fault::WrongRange);
        },
        None,
    ),
];

#[test]
fn pulls_end_well_or_keep_nothing_that_is_wrong() {
    let push = one(&[noise(1, 9000)]);
    for (name, fault, fails) in PULLS {
        let registry = Registry::start(RegistryOptions::default());
        let client = client(&registry, access(&registry, None));
        send_and_listen(&client, &push).0.unwrap();
        let layer = push.blobs[1].digest;
        fault(&registry, TAG, &format!("/v2/team/web/blobs/{layer}"));
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let begun = Instant::now();
        let pulled = receive(&client, &reference(&registry, "team/web:1"), &store);
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}");
        let shown = match pulled {
            Err(error) => message(&registry, &error),
            Ok((_, Err(error))) => message(&registry, &error.failures[0]),
            Ok((_, Ok(_))) => {
                assert!(fails.is_none(), "{name} worked");
                store.verify(&layer).unwrap();
                continue;
            }
        };
        let expected = fails.unwrap_or_else(|| panic!("{name} failed: {shown}"));
        let fits = shown.ends_with(expected) || shown.contains(expected);
        assert!(fits, "{name}: {shown}");
        assert!(!store.has(&layer), "{name}");
    }
}
