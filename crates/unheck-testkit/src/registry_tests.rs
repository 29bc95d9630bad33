use super::*;

/// One request to a registry's state: method, path with query, headers, body.
struct Client<'a>(&'a Registry);

impl Client<'_> {
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let request = Request {
            method: method.into(),
            path: path.into(),
            target: path.into(),
            query: query.into(),
            headers,
            body: body.to_vec(),
        };
        lock(&self.0.state).answer(&request)
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers
        .iter()
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_blob_goes_up_in_chunks_and_only_whole() {
    let registry = Registry::start(RegistryOptions::default());
    let client = Client(&registry);
    let start = client.ask("POST", "/v2/a/b/blobs/uploads/", &[], b"");
    assert_eq!(start.status, 202);
    let place = header(&start, "location").to_owned();
    assert!(place.contains('?'), "{place}");
    assert_eq!(
        client
            .ask("PATCH", &place, &[("content-range", "0-2")], b"abc")
            .status,
        202
    );
    let wrong = client.ask("PATCH", &place, &[("content-range", "5-6")], b"xx");
    assert_eq!((wrong.status, header(&wrong, "range")), (416, "0-2"));
    let digest = digest_of(b"abcdef");
    let end = format!("{place}&digest={}", digest.replace(':', "%3A"));
    assert_eq!(client.ask("PUT", &end, &[], b"xyz").status, 400);
    assert_eq!(client.ask("PUT", &end, &[], b"def").status, 201);
    assert_eq!(registry.blob(&digest).as_deref(), Some(&b"abcdef"[..]));
    assert_eq!(
        client
            .ask("GET", &format!("/v2/a/b/blobs/{digest}"), &[], b"")
            .status,
        200
    );
    assert_eq!(
        client
            .ask("GET", &format!("/v2/other/blobs/{digest}"), &[], b"")
            .status,
        404
    );
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=a/b");
    assert_eq!(client.ask("POST", &mount, &[], b"").status, 201);
    assert_eq!(
        client
            .ask("GET", &format!("/v2/other/blobs/{digest}"), &[], b"")
            .status,
        200
    );
}

#[test]
fn a_manifest_needs_its_blobs_and_is_found_by_tag_and_as_referrer() {
    let registry = Registry::start(RegistryOptions::default());
    let client = Client(&registry);
    let config = digest_of(b"{}");
    let subject = "sha256:00";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/x",
        "config": { "digest": config }, "layers": [], "subject": { "digest": subject },
    });
    let bytes = manifest.to_string().into_bytes();
    let put = |tag: &str| {
        client.ask(
            "PUT",
            &format!("/v2/a/manifests/{tag}"),
            &[("content-type", MANIFEST)],
            &bytes,
        )
    };
    assert_eq!(put("one").status, 404);
    registry.put_blob("a", b"{}".to_vec());
    let done = put("one");
    assert_eq!((done.status, header(&done, "oci-subject")), (201, subject));
    put("two");
    assert_eq!(registry.tags("a"), ["one", "two"]);
    let page = client.ask("GET", "/v2/a/tags/list?n=1", &[], b"");
    assert!(header(&page, "link").starts_with("</v2/a/tags/list?n=1&last=one>"));
    let found = client.ask(
        "GET",
        "/v2/a/referrers/sha256:00?artifactType=text/x",
        &[],
        b"",
    );
    let index: Value = serde_json::from_slice(&found.body).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest_of(&bytes));
    let refused = client.ask(
        "GET",
        "/v2/a/manifests/one",
        &[("accept", "text/plain")],
        b"",
    );
    assert_eq!(refused.status, 404);
    assert_eq!(
        client.ask("DELETE", "/v2/a/manifests/one", &[], b"").status,
        202
    );
    assert_eq!(registry.tags("a"), ["two"]);
}

#[test]
fn tokens_are_for_one_repository_and_its_actions() {
    let auth = Auth::Token("u".into(), "p".into());
    let registry = Registry::start(RegistryOptions {
        auth,
        ..RegistryOptions::default()
    });
    let client = Client(&registry);
    let refused = client.ask("POST", "/v2/a/blobs/uploads/", &[("host", "h:1")], b"");
    assert_eq!(refused.status, 401);
    let expected =
        "Bearer realm=\"http://h:1/token\",service=\"test\",scope=\"repository:a:pull,push\"";
    assert_eq!(header(&refused, "www-authenticate"), expected);
    let token = |scope: &str| {
        let target = format!("/token?service=test&scope={scope}");
        let answer = client.ask("GET", &target, &[("authorization", "Basic dTpw")], b"");
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Bearer {}", value["token"].as_str().unwrap_or_default())
    };
    let post = |token: &str| {
        client
            .ask(
                "POST",
                "/v2/a/blobs/uploads/",
                &[("authorization", token)],
                b"",
            )
            .status
    };
    assert_eq!(post(&token("repository:a:pull,push")), 202);
    assert_eq!(post(&token("repository:a:pull")), 401);
    assert_eq!(post(&token("repository:b:pull,push")), 401);
    assert_eq!(
        client
            .ask("GET", "/token", &[("authorization", "Basic eDp5")], b"")
            .status,
        401
    );
}
