//! Debian's chain of trust: signature, freshness, index, package; and a mirror that moved on.

use unheck_testkit::debian::{self, TZDATA_NEW};
use unheck_testkit::keys::TestKey;
use unheck_testkit::suite::DATE;
use unheck_testkit::{Mirror, SuiteBuilder, SuiteLie};

use crate::support::*;

/// Publishes another `trixie-updates`, the smallest of the suites, in place of the one there.
fn publish(fixture: &Fixture, change: impl FnOnce(SuiteBuilder) -> SuiteBuilder) {
    let server = &fixture.scenario.mirror;
    for path in server.paths() {
        if path.starts_with("/debian/dists/trixie-updates/") || path.contains(TZDATA_NEW) {
            server.remove(&path);
        }
    }
    let suite = change(SuiteBuilder::updates("trixie").deb(&debian::tzdata(TZDATA_NEW)));
    Mirror::new().suite("debian", &suite).put_into(server);
}

fn lying(lie: SuiteLie) -> Fixture {
    let fixture = Fixture::new().requirements("");
    publish(&fixture, |suite| suite.lie(lie));
    fixture
}

fn refused_with(lie: SuiteLie) -> String {
    let fixture = lying(lie);
    let text = fixture.refused(&fixture.run);
    fixture.assert_nothing_written();
    text
}

#[test]
fn an_index_without_a_good_signature_is_refused() {
    insta::assert_snapshot!(refused_with(SuiteLie::Unsigned), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the signature of the suite `trixie-updates` is not good
    the signed file has the wrong form
    line 1, `Origin: Debian`, is not the beginning of a signed message
    hint: trust another archive's keys with `--keyring FILE`
    ");
    insta::assert_snapshot!(refused_with(SuiteLie::Tampered), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the signature of the suite `trixie-updates` is not good
    no good signature by a key of the keyring: signature by `3671C079135947401891240504DD11B2CBE261CA`: it does not match the text
    hint: use another mirror, or a newer version of this program for newer keys
    hint: trust another archive's keys with `--keyring FILE`
    ");
    for lie in [
        SuiteLie::TextBefore,
        SuiteLie::TextAfter,
        SuiteLie::TwoMessages,
    ] {
        let text = refused_with(lie);
        assert!(
            text.starts_with("Outside\n")
                && text.contains("the signature of the suite `trixie-updates` is not good"),
            "{text}"
        );
    }
}

#[test]
fn a_key_that_nobody_trusts_or_that_expired_does_not_sign() {
    let fixture = Fixture::new().requirements("");
    publish(&fixture, |suite| suite.signed_by(&[TestKey::other()]));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
        Outside
        cannot lock
        cannot use the Debian suite
        the signature of the suite `trixie-updates` is not good
        no good signature by a key of the keyring: signature by `9CBAACBF0C39D92CEA0DD8C172DD506E21F7AC43`: the keyring has no such key
        hint: if you trust that key, give a keyring that has it with `--keyring FILE`
        hint: trust another archive's keys with `--keyring FILE`
        ");
    publish(&fixture, |suite| suite.signed_by(&[TestKey::expired()]));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the signature of the suite `trixie-updates` is not good
    no good signature by a key of the keyring: signature by `295A6DDE88C644CB5C13696860679FEE05BD2EA3`: its key expired 2025-01-01 00:00:00 UTC, and it is 2026-01-11 08:00:00 UTC now
    hint: use another mirror, or a newer version of this program for newer keys
    hint: trust another archive's keys with `--keyring FILE`
    ");
    publish(&fixture, |suite| suite.signed_by(&[TestKey::revoked()]));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the signature of the suite `trixie-updates` is not good
    no good signature by a key of the keyring: signature by `1FBE128432DAC5B941DF09DE822C60ECAF7DF55B`: its key was revoked
    hint: use another mirror, or a newer version of this program for newer keys
    hint: trust another archive's keys with `--keyring FILE`
    ");
    fixture.assert_nothing_written();
    // One good signature beside a foreign one is enough, and the lock names who signed.
    publish(&fixture, |suite| {
        suite.signed_by(&[TestKey::other(), TestKey::good()])
    });
    fixture.build();
    let lock = fixture.run.lock_text();
    let signed = |key: &TestKey| lock.contains(&key.signing_fingerprint().to_uppercase());
    assert!(signed(TestKey::good()) && !signed(TestKey::other()));
}

#[test]
fn an_index_that_says_other_things_than_asked_is_refused() {
    insta::assert_snapshot!(refused_with(SuiteLie::Codename("evil".to_owned())), @r"
        Outside
        cannot lock
        cannot use the Debian suite
        the index of the suite `trixie-updates` is not one
        asked for suite `trixie-updates`, but the Release file is of suite `stable-updates`, codename `evil`
        ");
    insta::assert_snapshot!(refused_with(SuiteLie::NoDate), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the index of the suite `trixie-updates` is not one
    the Release file lacks the field `Date`
    ");
    insta::assert_snapshot!(refused_with(SuiteLie::Md5Only), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the index of the suite `trixie-updates` is not one
    the Release file has no `SHA256` section (MD5 and SHA-1 are not trusted)
    ");
}

#[test]
fn an_expired_index_is_refused_unless_allowed() {
    let fixture = Fixture::new().requirements("");
    publish(&fixture, |suite| suite.valid_until(DATE + 3600));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the index of the suite `trixie-updates` is not current
    the Release file of `trixie-updates` was valid until 2026-01-10 09:00:00 UTC, and it is 2026-01-11 08:00:00 UTC now
    hint: use a mirror that is current (`--mirror URL`), or accept it with `--allow-expired-suite trixie-updates`
    ");
    fixture.assert_nothing_written();
    for allowed in ["trixie", "trixie-updates"] {
        fixture.built(&fixture.with(|run| run.allow_expired = vec![allowed.to_owned()]));
        fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    }
    assert!(
        fixture
            .refused(&fixture.with(|run| run.allow_expired = vec!["sid".to_owned()]))
            .contains("trixie-updates")
    );
}

#[test]
fn an_index_never_goes_back() {
    let fixture = Fixture::new().requirements("");
    publish(&fixture, |suite| suite.date(DATE + 7200));
    fixture.build();
    fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    publish(&fixture, |suite| suite.date(DATE));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the index of the suite `trixie-updates` is not current
    the Release file of `trixie-updates` is of 2026-01-10 08:00:00 UTC, older than the one of 2026-01-10 10:00:00 UTC seen before
    hint: use another mirror: this one went back in time, or somebody replays an old archive
    ");
    // One from the future is refused too.
    publish(&fixture, |suite| suite.date(DATE + 40 * 86_400));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    the signature of the suite `trixie-updates` is not good
    no good signature by a key of the keyring: signature by `3671C079135947401891240504DD11B2CBE261CA`: it was made 2026-02-19 08:00:00 UTC, and it is only 2026-01-11 08:00:00 UTC now
    hint: set the clock of this machine
    hint: trust another archive's keys with `--keyring FILE`
    ");
    publish(&fixture, |suite| suite.date(DATE + 7201));
    fixture.build();
}

#[test]
fn wrong_digests_of_indexes_and_packages_are_refused() {
    insta::assert_snapshot!(refused_with(SuiteLie::PackagesHash), @r"
    Input
    cannot lock
    cannot use the Debian suite
    cannot fetch the index of the suite `trixie`
    a download failed
    - cannot fetch `trixie-updates amd64` from `[mirror]/debian/dists/trixie-updates/main/binary-amd64/Packages.gz`
    `[mirror]/debian/dists/trixie-updates/main/binary-amd64/Packages.gz` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
    cannot fetch 1 of 3 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
    insta::assert_snapshot!(refused_with(SuiteLie::DebHash("tzdata".to_owned())), @r"
    Input
    cannot lock
    cannot look into a Debian package
    cannot fetch Debian packages
    a download failed
    - cannot fetch `tzdata 2025b-4+deb13u1` from `[mirror]/debian/pool/main/t/tzdata/tzdata_2025b-4+deb13u1_all.deb`
    `[mirror]/debian/pool/main/t/tzdata/tzdata_2025b-4+deb13u1_all.deb` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
    cannot fetch 1 of 1 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
    for lie in [
        SuiteLie::PackagesSize,
        SuiteLie::DebSize("tzdata".to_owned()),
    ] {
        let text = refused_with(lie);
        assert!(
            text.starts_with("Outside\n") || text.starts_with("Input\n"),
            "{text}"
        );
    }
    insta::assert_snapshot!(refused_with(SuiteLie::DebMissing("tzdata".to_owned())), @r"
    Outside
    cannot lock
    cannot look into a Debian package
    cannot fetch Debian packages
    a download failed
    - cannot fetch `tzdata 2025b-4+deb13u1` from `[mirror]/debian/pool/main/t/tzdata/tzdata_2025b-4+deb13u1_all.deb`
    cannot read from `[mirror]` (0 bytes came)
    the server answers `404 Not Found`
    cannot fetch 1 of 1 files
    hint: the mirror or index has moved on and no longer has it: name an archive of old states with `--snapshot-mirror URL`, or choose anew with `unheck lock`
    ");
}

#[test]
fn a_pool_path_that_leads_away_is_refused() {
    for path in [
        "../../etc/passwd",
        "/etc/passwd",
        "http://other.invalid/x.deb",
    ] {
        let field = SuiteLie::Field("tzdata".to_owned(), "Filename".to_owned(), path.to_owned());
        let fixture = lying(field);
        // Such a paragraph counts as none: the older package of the main suite is taken.
        fixture.build();
        assert!(
            fixture.run.lock_text().contains("tzdata_2025b-4_all.deb"),
            "{path}"
        );
        assert!(
            fixture
                .scenario
                .mirror
                .requests()
                .iter()
                .all(|request| !request.target.contains("passwd"))
        );
    }
}

#[test]
fn index_files_are_found_with_and_without_their_digest_in_the_name() {
    for lie in [
        SuiteLie::MissingByHash,
        SuiteLie::NoByHash,
        SuiteLie::NoContents,
    ] {
        let name = format!("{lie:?}");
        let fixture = lying(lie);
        fixture.build();
        assert!(fixture.run.lock_text().contains(TZDATA_NEW), "{name}");
    }
}

#[test]
fn a_suite_that_is_not_there_is_named() {
    let fixture = Fixture::new().requirements("");
    let unknown = fixture.with(|run| run.suite = "trixxie".to_owned());
    insta::assert_snapshot!(fixture.refused(&unknown), @r"
    Input
    cannot lock
    cannot use the Debian suite
    cannot fetch the index of the suite `trixxie`
    cannot read `[mirror]/debian/dists/trixxie/InRelease`
    cannot read from `[mirror]` (0 bytes came)
    the server answers `404 Not Found`
    hint: the mirror has no such suite: choose `bullseye`, `bookworm`, `trixie`, `forky` or `sid` with `--suite`, or a mirror that has it with `--mirror URL`
    ");
    let odd = fixture.with(|run| run.suite = "../../secret".to_owned());
    let text = fixture.refused(&odd);
    assert!(
        fixture
            .scenario
            .mirror
            .requests()
            .iter()
            .all(|request| !request.target.starts_with("/secret")),
        "{text}"
    );
    fixture.assert_nothing_written();
}

#[test]
fn a_package_that_left_the_mirror_comes_from_the_store_or_a_snapshot() {
    let fixture = Fixture::new().requirements("");
    let first = fixture.build();
    let path = fixture.scenario.pool_path("zlib1g", "amd64");
    let bytes = fixture.scenario.mirror.get(&path).unwrap();
    fixture.scenario.mirror.remove(&path);
    fs_err::remove_file(&fixture.run.output).unwrap();
    // The store has it.
    let locked = fixture.with(|run| run.mode = "locked".to_owned());
    assert_eq!(
        fixture.built(&locked).built.image.digest,
        first.built.image.digest
    );
    // Nobody has it.
    fs_err::remove_dir_all(&fixture.run.store).unwrap();
    fs_err::remove_file(&fixture.run.output).unwrap();
    insta::assert_snapshot!(fixture.refused(&locked), @r"
    Outside
    cannot fetch what the lock names
    a download failed
    - cannot fetch `zlib1g 1:1.3.dfsg+really1.3.1-1+b1` from `[mirror]/debian/pool/main/z/zlib/zlib1g_1.3.dfsg+really1.3.1-1+b1_amd64.deb`
    cannot read from `[mirror]` (0 bytes came)
    the server answers `404 Not Found`
    cannot fetch 1 of 25 files
    hint: the mirror or index has moved on and no longer has it: name an archive of old states with `--snapshot-mirror URL`, or choose anew with `unheck lock`
    ");
    assert!(!fixture.run.output.exists());
    // A snapshot of the suite's date has it.
    let rest = path.strip_prefix("/debian/").unwrap();
    fixture.scenario.mirror.put(
        &format!("/snapshot/archive/debian/20260110T080000Z/{rest}"),
        bytes,
    );
    let snapshot = fixture.with(|run| {
        run.mode = "locked".to_owned();
        run.snapshot = Some(fixture.scenario.mirror.url("/snapshot"));
    });
    assert_eq!(
        fixture.built(&snapshot).built.image.digest,
        first.built.image.digest
    );
}

#[test]
fn a_mirror_that_moved_on_does_not_change_a_locked_build() {
    let fixture = Fixture::new().requirements("");
    let first = fixture.build();
    let before = fixture.run.lock_text();
    publish(&fixture, |_| {
        SuiteBuilder::updates("trixie")
            .deb(&debian::tzdata("2026a-1"))
            .date(DATE + 60)
    });
    assert_eq!(fixture.build().built.image.digest, first.built.image.digest);
    assert_eq!(fixture.run.lock_text(), before);
    fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    assert_ne!(fixture.build().built.image.digest, first.built.image.digest);
    assert!(fixture.run.lock_text().contains("tzdata_2026a-1_all.deb"));
}
