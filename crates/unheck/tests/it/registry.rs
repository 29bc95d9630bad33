//! `push`, `pull` and verbs that take references, against the registry of the test kit.

use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unheck_testkit::registry::Auth;
use unheck_testkit::{Registry, RegistryOptions};

use crate::kit::{Kit, PROJECT, Ran};
use crate::schema::check;

/// A project that was built, and a registry beside it.
struct World {
    kit: Kit,
    registry: Registry,
    host: String,
}

impl World {
    fn new(options: RegistryOptions) -> Self {
        let kit = Kit::new(PROJECT);
        let built = kit.build(&["-o", "a.oci.tar"]);
        assert_eq!(built.code, 0, "{}", built.stderr);
        let registry = Registry::start(options);
        let host = registry.address();
        Self {
            kit,
            registry,
            host,
        }
    }

    /// Runs a verb that may speak plain HTTP with the registry; `@/` stands for its host.
    fn run(&self, words: &[&str]) -> Ran {
        let words: Vec<String> = words
            .iter()
            .map(|word| match word.strip_prefix("@/") {
                Some(name) => format!("{}/{name}", self.host),
                None => (*word).to_owned(),
            })
            .collect();
        let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
        all.extend(["--insecure-registry", &self.host]);
        self.kit.plain(&all)
    }

    /// The JSON of a verb that works, held against its schema.
    fn json(&self, schema: &str, words: &[&str]) -> serde_json::Value {
        let ran = self.run(&[words, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stdout);
        check(schema, &ran.stdout)
    }

    fn shown(&self, text: &str) -> String {
        self.kit.redacted(&text.replace(&self.host, "[REGISTRY]"))
    }

    /// Writes the file that `docker login` writes.
    fn log_in(&self, user: &str, password: &str) {
        let host = &self.host;
        let text = format!(
            r#"{{"auths": {{"{host}": {{"username": "{user}", "password": "{password}"}}}}}}"#
        );
        let place = self.kit.path(".docker");
        fs_err::create_dir_all(&place).expect("directory");
        fs_err::write(place.join("config.json"), text).expect("file");
    }
}

#[test]
fn what_is_pushed_is_asked_pulled_and_told_by_digest_alone() {
    let world = World::new(RegistryOptions::default());
    let pushed = world.run(&["push", "a.oci.tar", "@/team/shop:1.0", "@/team/shop:latest"]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let reference = pushed.stdout.trim_end();
    let begin = format!("{}/team/shop@sha256:", world.host);
    assert!(
        reference.starts_with(&begin) && !reference.contains('\n'),
        "{reference}"
    );
    assert_eq!(world.registry.tags("team/shop"), ["1.0", "latest"]);

    let value = world.json("push", &["push", "a.oci.tar", "@/team/shop:1.0"]);
    assert_eq!(value["pushed"][0]["sent"], 0);
    assert_eq!(value["pushed"][0]["reference"], reference);
    let value = world.json(
        "push",
        &["push", "a.oci.tar", "@/team/other:1", "--no-attach"],
    );
    let sent = value["pushed"][0]["sent"].as_u64().expect("bytes");
    let there = value["pushed"][0]["there"].as_u64().expect("bytes");
    assert!(
        sent < 65536 * 8,
        "large layers are mounted: {sent} of {there}"
    );

    let why = world.run(&["why", "@/team/shop:1.0", "hello-lib"]);
    assert_eq!(
        why.stdout,
        world.kit.plain(&["why", "a.oci.tar", "hello-lib"]).stdout
    );
    let value = world.json("size", &["size", reference, "--against", "a.oci.tar"]);
    assert_eq!(value["platforms"][0]["update"]["transferred"], 0);
    let value = world.json("sbom", &["sbom", reference, "-o", "shop.spdx.json"]);
    assert_eq!(value["media_type"], "application/spdx+json");
    let pulled_bill = world.run(&["sbom", reference]).stdout;
    let local_bill = world.kit.plain(&["sbom", "a.oci.tar"]).stdout;
    assert_eq!(pulled_bill, local_bill);
    assert!(
        local_bill.contains("pkg:pypi/hello-lib@1.0"),
        "{local_bill}"
    );
    assert!(
        local_bill.contains("pkg:deb/debian/zlib1g@"),
        "{local_bill}"
    );
    // By its digest it needs no network any more.
    let offline = world.run(&["why", reference, "hello-lib", "--offline"]);
    assert_eq!(offline.stdout, why.stdout, "{}", offline.stderr);
    let offline = world.run(&["why", "@/team/shop:1.0", "hello-lib", "--offline"]);
    assert_eq!(offline.code, 3);

    let value = world.json("pull", &["pull", "@/team/shop:1.0"]);
    assert_eq!(
        (&value["path"], &value["reference"]),
        (&"shop-1.0.oci.tar".into(), &reference.into())
    );
    let back = world.run(&["push", "shop-1.0.oci.tar", "@/team/back:1"]);
    assert_eq!(
        back.stdout.trim_end().rsplit('@').next(),
        reference.rsplit('@').next()
    );
    let folder = world.run(&["pull", reference, "-o", "shop.oci"]);
    assert_eq!(
        (folder.code, folder.stdout.as_str()),
        (0, "shop.oci\n"),
        "{}",
        folder.stderr
    );
}

/// Made for this test alone, by `openssl genpkey -algorithm ed25519`, and the public key of another.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILNNeChX0qQoS2B5+FgMYKdy4dz+eWQNNCxy5EhIUA6G\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAi48iMgn5q4nDdP8CLkqYlwq5LnfPD+2PlcwB8kvt8EM=\n-----END PUBLIC KEY-----\n";
const OTHER: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzP+GZavdsg+30PneFLgBrf+sM2Wa\nQ9ir6JoZF9pTjNbY0gxLaC5VIfT83yAy5OYE3h5g8uXO8oJ7NzOAvJ0W8g==\n-----END PUBLIC KEY-----\n";

/// What `verify` finds of attestations: severity, rule and evidence.
fn attested(world: &World, words: &[&str]) -> Vec<String> {
    let ran = world.run(&[&["verify", "--json"], words].concat());
    let value = check("verify", &ran.stdout);
    let findings = value["findings"].as_array().expect("findings").iter();
    let mine = findings.filter(|one| {
        let rule = one["rule"].as_str().unwrap_or_default();
        rule.starts_with("attestation") || rule.starts_with("sbom")
    });
    mine.map(|one| {
        format!("{} {}: {}", one["severity"], one["rule"], one["evidence"]).replace('"', "")
    })
    .collect()
}

#[test]
fn bills_and_provenance_are_attached_and_verified_with_the_key() {
    // Without the API: both ways are tested where it is spoken.
    let world = World::new(RegistryOptions {
        referrers: false,
        ..RegistryOptions::default()
    });
    for (name, text) in [("key.pem", KEY), ("key.pub", PUBLIC), ("other.pub", OTHER)] {
        fs_err::write(world.kit.project().join(name), text).expect("key");
    }
    let image = "@/team/shop:1";
    let push = |words: &[&str]| {
        let ran = world.run(&[&["push", "a.oci.tar", image], words].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    let key = [image, "--key", "key.pub"];
    push(&["--no-attach"]);
    assert_eq!(
        attested(&world, &key),
        ["error attestation-missing: no signed provenance is attached"]
    );
    push(&[]);
    assert_eq!(attested(&world, &[image]), [""; 0]);
    assert_eq!(
        attested(&world, &key),
        ["error attestation-missing: no signed provenance is attached"]
    );
    push(&["--sign-key", "key.pem"]);
    let good = attested(&world, &key);
    assert_eq!(good.len(), 1, "{good:?}");
    assert!(
        good[0].starts_with("info attestation-verified: its provenance is signed by the key "),
        "{good:?}"
    );
    // Another key has signed nothing; and what is signed is not signed twice.
    let other = attested(&world, &[image, "--key", "other.pub"]);
    assert_eq!(
        other,
        ["error attestation-refused: none of its 1 signatures is of this key"]
    );
    let blobs = world.registry.blobs("team/shop").len();
    push(&["--sign-key", "key.pem"]);
    assert_eq!(world.registry.blobs("team/shop").len(), blobs);
}

/// What the key of these tests signs `message` with, as a program would answer it.
fn signature(message: &[u8]) -> Vec<u8> {
    let der = KEY
        .lines()
        .find(|line| !line.starts_with('-'))
        .expect("a key");
    let der = STANDARD.decode(der).expect("base64");
    let key = Ed25519KeyPair::from_pkcs8(&der).expect("a key");
    key.sign(message).as_ref().to_vec()
}

/// A registry, and what a key's program is asked to sign there.
struct Signing {
    world: World,
    asked: Vec<u8>,
    /// What a program that fails is told with.
    failed: String,
}

impl Signing {
    fn new() -> Self {
        let world = World::new(RegistryOptions::default());
        for (name, text) in [("key.pub", PUBLIC), ("other.pub", OTHER)] {
            fs_err::write(world.kit.project().join(name), text).expect("key");
        }
        let mut signing = Self {
            world,
            asked: Vec::new(),
            failed: String::new(),
        };
        // A program of a few words: it keeps what it was given, and fails.
        let keep = "sh -c 'cat > asked; echo no token in the slot >&2; exit 9'";
        let failed = signing.push(&["--sign-command", keep]);
        assert_eq!(failed.code, 3);
        assert!(
            signing.world.registry.tags("team/shop").is_empty(),
            "what cannot be signed is not pushed"
        );
        signing.failed = signing.world.shown(&failed.stderr);
        let project = signing.world.kit.project();
        signing.asked = fs_err::read(project.join("asked")).expect("the bytes");
        // The statement has no times: what is signed is the same each time.
        let signed = signature(&signing.asked);
        fs_err::write(project.join("raw"), &signed).expect("file");
        let text = format!("{}\n", STANDARD.encode(&signed));
        fs_err::write(project.join("text"), text).expect("file");
        signing
    }

    fn push(&self, words: &[&str]) -> Ran {
        let all = [&["push", "a.oci.tar", "@/team/shop:1"], words].concat();
        self.world.run(&all)
    }

    /// What `verify` says with the key.
    fn verified(&self) -> String {
        let found = attested(&self.world, &["@/team/shop:1", "--key", "key.pub"]);
        found.first().cloned().unwrap_or_default()
    }
}

/// A program that reads what it is given and answers a file.
fn answering(file: &str) -> String {
    format!("sh -c 'cat > /dev/null; cat {file}'")
}

#[test]
fn a_command_signs_what_is_attached() {
    let signing = Signing::new();
    insta::assert_snapshot!(signing.failed, @r"
    signing with the command `sh`
    error: cannot sign what is attached
      caused by: the signing command `sh` ended with exit status: 9:
        no token in the slot
    hint: try it alone: it gets bytes on standard input and must write the signature to standard output
    ");
    let framed = b"DSSEv1 28 application/vnd.in-toto+json ";
    assert!(signing.asked.starts_with(framed), "{:?}", signing.asked);
    let words = [
        "--sign-command",
        &answering("text"),
        "--sign-public-key",
        "key.pub",
    ];
    let good = signing.push(&words);
    assert_eq!(good.code, 0, "{}", good.stderr);
    let verified = signing.verified();
    assert!(
        verified.starts_with("info attestation-verified"),
        "{verified}"
    );
    let again = signing.push(&[
        "--sign-command",
        &answering("raw"),
        "--sign-key-id",
        "slot-9c",
    ]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    // From the configuration of a project.
    let command = answering("raw");
    let config = format!("sign-command = \"{command}\"\nsign-public-key = \"other.pub\"\n");
    signing.world.kit.write("unheck.toml", &config);
    let configured = signing.push(&["--project", "."]);
    assert_eq!(configured.code, 2, "{}", configured.stderr);
    let words = ["--project", ".", "--sign-public-key", "key.pub"];
    assert_eq!(signing.push(&words).code, 0);
}

#[test]
fn what_a_command_answers_is_checked_before_it_is_attached() {
    let signing = Signing::new();
    let wrong = [
        "--sign-command",
        &answering("key.pub"),
        "--sign-public-key",
        "key.pub",
    ];
    let wrong = signing.push(&wrong);
    assert_eq!(wrong.code, 2);
    let said = "what the signing command `sh` answered is no signature of the public key ";
    assert!(wrong.stderr.contains(said), "{}", wrong.stderr);
    let other = [
        "--sign-command",
        &answering("raw"),
        "--sign-public-key",
        "other.pub",
    ];
    assert_eq!(signing.push(&other).code, 2);
    assert_eq!(signing.push(&[]).code, 0);
    let verified = signing.verified();
    assert!(
        verified.starts_with("error attestation-missing"),
        "{verified}"
    );
}

#[test]
fn keys_that_cannot_be_used_are_the_users_input() {
    let world = World::new(RegistryOptions::default());
    fs_err::write(world.kit.project().join("key.pub"), PUBLIC).expect("key");
    let signed = world.run(&[
        "push",
        "a.oci.tar",
        "@/team/shop:1",
        "--sign-key",
        "key.pub",
    ]);
    assert_eq!(signed.code, 2);
    insta::assert_snapshot!(world.shown(&signed.stderr), @r"
    error: cannot use the key `key.pub`
      caused by: it is a `PUBLIC KEY`, wanted is a `PRIVATE KEY`
    hint: make one with `openssl genpkey -algorithm ed25519`, its public half with `openssl pkey -pubout`
    ");
    assert!(world.registry.server.requests().is_empty());
}

#[test]
fn build_pushes_what_it_built() {
    let world = World::new(RegistryOptions::default());
    let reference = format!("{}/team/shop:1", world.host);
    let words = [
        "-o",
        "b.oci.tar",
        "--push",
        &reference,
        "--insecure-registry",
        &world.host,
    ];
    let built = world.kit.build(&words);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(
        built
            .stdout
            .starts_with(&format!("{}/team/shop@sha256:", world.host)),
        "{}",
        built.stdout
    );
    let json = world.kit.build(&[&words[..], &["--json"]].concat());
    let value = check("build", &json.stdout);
    assert_eq!(value["pushed"][0]["sent"], 0);
    let refused = world
        .kit
        .build(&["--format", "dir", "-o", "dir", "--push", &reference]);
    insta::assert_snapshot!(refused.stderr, @r"
        error: cannot push `dir`: only images are kept in registries, this is a `dir`
        hint: build an image: `unheck build --format image`
        ");
    assert_eq!(refused.code, 2);
    assert!(!world.kit.project().join("dir").exists());
}

#[test]
fn logins_come_from_docker_s_file_and_from_its_helpers() {
    let auth = Auth::Token("me".into(), "secret".into());
    let world = World::new(RegistryOptions {
        auth,
        ..RegistryOptions::default()
    });
    let push = || world.run(&["push", "a.oci.tar", "@/team/shop:1.0"]);
    let refused = push();
    assert_eq!(refused.code, 3);
    insta::assert_snapshot!(world.shown(&refused.stderr), @r"
        error: cannot look for the blob `[DIGEST]` at `[REGISTRY]`
          caused by: the registry wants a login, and there is none for it
        hint: log in with `docker login [REGISTRY]` or `podman login [REGISTRY]`, or point `REGISTRY_AUTH_FILE` to the file with the login
        ");
    world.log_in("me", "wrong");
    let refused = push();
    insta::assert_snapshot!(world.shown(&refused.stderr), @r"
        error: cannot look for the blob `[DIGEST]` at `[REGISTRY]`
          caused by: the registry refuses user `me`
        hint: log in with `docker login [REGISTRY]` or `podman login [REGISTRY]`, or point `REGISTRY_AUTH_FILE` to the file with the login
        ");
    world.log_in("me", "secret");
    assert_eq!(push().code, 0);

    // A helper answers what docker's own do.
    let bin = world.kit.path("bin");
    fs_err::create_dir_all(&bin).expect("directory");
    let host = &world.host;
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get {host}\" ] || exit 1\necho '{{\"ServerURL\":\"{host}\",\"Username\":\"me\",\"Secret\":\"secret\"}}'\n"
    );
    let helper = bin.join("docker-credential-test");
    fs_err::write(&helper, script).expect("file");
    fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let config = world.kit.path(".docker/config.json");
    fs_err::write(&config, r#"{"credsStore": "test"}"#).expect("file");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let command = |extra: &[(&str, &str)]| {
        let mut command = assert_cmd::Command::cargo_bin("unheck").expect("program");
        command
            .env_clear()
            .env("HOME", world.kit.path(""))
            .env("PATH", &path);
        command
            .envs(extra.iter().copied())
            .current_dir(world.kit.project());
        command.args([
            "push",
            "a.oci.tar",
            &format!("{host}/team/x:1"),
            "--insecure-registry",
            host,
        ]);
        command.output().expect("output").status.code()
    };
    assert_eq!(command(&[]), Some(0));
    // A file that is named must be there, and is the only one.
    let empty = world.kit.path("empty.json");
    fs_err::write(&empty, "{}").expect("file");
    let empty = empty.display().to_string();
    assert_eq!(command(&[("REGISTRY_AUTH_FILE", &empty)]), Some(3));
    assert_eq!(command(&[("REGISTRY_AUTH_FILE", "/none.json")]), Some(2));
}

#[test]
fn what_exists_is_a_file_and_what_names_no_host_is_no_reference() {
    let world = World::new(RegistryOptions::default());
    let missing = world.run(&["why", "dist/none.oci.tar", "x"]);
    assert_eq!(missing.code, 2);
    assert!(world.registry.server.requests().is_empty());
    let unknown = world.run(&["why", "@/team/none:1", "x"]);
    assert_eq!(unknown.code, 3);
    insta::assert_snapshot!(world.shown(&unknown.stderr), @r"
        error: cannot read the manifest `1` of `team/none` at `[REGISTRY]`
          caused by: the registry answers `404 Not Found`: 1 (MANIFEST_UNKNOWN)
        hint: check the name: a repository that does not exist or that the login may not see looks the same
        ");
    let wrong = world.run(&["push", "a.oci.tar", "@/Team/Shop"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("is not a reference"),
        "{}",
        wrong.stderr
    );
}
