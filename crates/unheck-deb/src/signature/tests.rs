//! The embedded keys, and certificates made for each rule of the policy.

use std::sync::LazyLock;

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedKeyDetails, SignedPublicKey, SignedPublicSubKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, SecretKey, SecretSubkey, SignatureConfig, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, Password, SignedUser, SigningKey, Tag, Timestamp};
use proptest::prelude::*;
use rand::SeedableRng as _;

use super::*;

const MADE: u32 = 1_700_000_000;
const SIGNED: u32 = MADE + 1000;
const NOW: i64 = MADE as i64 + 2000;
const TEXT: &str = "Origin: Test\n-dashed\nSuite: x";

/// How a certificate and a message of the tests deviate from good ones.
#[derive(Clone)]
struct Plan {
    self_hash: HashAlgorithm,
    primary_signs: bool,
    primary_expires: u32,
    revoke_primary: bool,
    revoke_name: bool,
    subkey_signs: bool,
    subkey_expires: u32,
    revoke_subkey: bool,
    back_signature: bool,
    message_hash: HashAlgorithm,
    message_type: SignatureType,
    message_created: Option<u32>,
    message_expires: u32,
    by_primary: bool,
    critical: bool,
    direct: bool,
}

const GOOD: Plan = Plan {
    self_hash: HashAlgorithm::Sha512,
    primary_signs: true,
    primary_expires: 0,
    revoke_primary: false,
    revoke_name: false,
    subkey_signs: true,
    subkey_expires: 0,
    revoke_subkey: false,
    back_signature: true,
    message_hash: HashAlgorithm::Sha256,
    message_type: SignatureType::Text,
    message_created: Some(SIGNED),
    message_expires: 0,
    by_primary: false,
    critical: false,
    direct: false,
};

/// Keys from seed 100 on are RSA: the library makes weak signatures with no other.
fn generate(seed: u64) -> SignedSecretKey {
    let kind = match seed {
        100.. => KeyType::Rsa(2048),
        _ => KeyType::Ed25519Legacy,
    };
    let subkey = SubkeyParamsBuilder::default()
        .key_type(kind.clone())
        .can_sign(true)
        .created_at(Timestamp::from_secs(MADE))
        .build()
        .expect("a subkey");
    let mut builder = SecretKeyParamsBuilder::default();
    builder
        .key_type(kind)
        .can_certify(true)
        .created_at(Timestamp::from_secs(MADE))
        .primary_user_id("Test <test@example.org>".into())
        .subkeys(vec![subkey]);
    let parameters = builder.build().expect("parameters");
    parameters
        .generate(rand::rngs::StdRng::seed_from_u64(seed))
        .expect("a key")
}

/// The key of a seed; the two that most tests use are made once.
fn secret(seed: u64) -> SignedSecretKey {
    static STRONG: LazyLock<SignedSecretKey> = LazyLock::new(|| generate(7));
    static WEAK: LazyLock<SignedSecretKey> = LazyLock::new(|| generate(107));
    match seed {
        7 => STRONG.clone(),
        107 => WEAK.clone(),
        other => generate(other),
    }
}

fn config(
    typ: SignatureType,
    hash: HashAlgorithm,
    key: &impl SigningKey,
    more: Vec<SubpacketData>,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(typ, key.algorithm(), hash);
    let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
    config.hashed_subpackets = std::iter::once(issuer)
        .chain(more)
        .map(|data| Subpacket::regular(data).expect("a subpacket"))
        .collect();
    config
}

fn made() -> SubpacketData {
    SubpacketData::SignatureCreationTime(Timestamp::from_secs(MADE))
}

fn flags(sign: bool) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(sign);
    SubpacketData::KeyFlags(flags)
}

fn expires(seconds: u32) -> SubpacketData {
    SubpacketData::KeyExpirationTime(Duration::from_secs(seconds))
}

fn certificate(plan: &Plan, primary: &SecretKey, subkey: &SecretSubkey) -> SignedPublicKey {
    let password = Password::empty();
    let hash = plan.self_hash;
    let public = primary.public_key();
    let public_subkey = subkey.public_key();
    let user = UserId::from_str(Default::default(), "Test <test@example.org>").expect("a name");
    let certify = |typ| {
        let more = vec![
            made(),
            flags(plan.primary_signs),
            expires(plan.primary_expires),
        ];
        config(typ, hash, primary, more)
            .sign_certification(primary, public, &password, Tag::UserId, &user)
            .expect("certified")
    };
    let mut names = vec![certify(SignatureType::CertPositive)];
    if plan.revoke_name {
        names.push(certify(SignatureType::CertRevocation));
    }
    let mut more = vec![
        made(),
        flags(plan.subkey_signs),
        expires(plan.subkey_expires),
    ];
    if plan.back_signature {
        let back = config(SignatureType::KeyBinding, hash, subkey, vec![made()])
            .sign_primary_key_binding(subkey, public_subkey, &password, public)
            .expect("bound back");
        more.push(SubpacketData::EmbeddedSignature(Box::new(back)));
    }
    let bind = |typ, more| {
        config(typ, hash, primary, more)
            .sign_subkey_binding(primary, public, &password, public_subkey)
            .expect("bound")
    };
    let mut bindings = vec![bind(SignatureType::SubkeyBinding, more)];
    if plan.revoke_subkey {
        bindings.push(bind(SignatureType::SubkeyRevocation, vec![made()]));
    }
    let mut revocations = Vec::new();
    if plan.revoke_primary {
        let revocation = config(SignatureType::KeyRevocation, hash, primary, vec![made()])
            .sign_key(primary, &password, public)
            .expect("revoked");
        revocations.push(revocation);
    }
    let mut direct = Vec::new();
    if plan.direct {
        let signature = config(SignatureType::Key, hash, primary, vec![made()])
            .sign_key(primary, &password, public)
            .expect("signed");
        direct.push(signature);
    }
    let users = vec![SignedUser::new(user, names)];
    SignedPublicKey::new(
        public.clone(),
        SignedKeyDetails::new(revocations, direct, users, Vec::new()),
        vec![SignedPublicSubKey::new(public_subkey.clone(), bindings)],
    )
}

fn message_config(plan: &Plan, key: &impl SigningKey) -> SignatureConfig {
    let mut more = Vec::new();
    if let Some(created) = plan.message_created {
        more.push(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            created,
        )));
    }
    if plan.message_expires != 0 {
        let duration = Duration::from_secs(plan.message_expires);
        more.push(SubpacketData::SignatureExpirationTime(duration));
    }
    let mut config = config(plan.message_type, plan.message_hash, key, more);
    if plan.critical {
        let odd = SubpacketData::Experimental(101, b"?".to_vec().into());
        config
            .hashed_subpackets
            .push(Subpacket::critical(odd).expect("a subpacket"));
    }
    config
}

/// A keyring and an InRelease file made after the plan.
fn scenario(plan: &Plan) -> (Keyring, String) {
    let weak = [plan.self_hash, plan.message_hash]
        .iter()
        .any(|hash| matches!(hash, HashAlgorithm::Sha1 | HashAlgorithm::Sha224));
    let key = secret(if weak { 107 } else { 7 });
    let (primary, subkey) = (&key.primary_key, &key.secret_subkeys[0].key);
    let certificate = certificate(plan, primary, subkey);
    let keyring = Keyring::from_bytes(&certificate.to_bytes().expect("bytes")).expect("a keyring");
    let password = Password::empty();
    let message = match plan.by_primary {
        true => {
            CleartextSignedMessage::new(TEXT, message_config(plan, primary), primary, &password)
        }
        false => CleartextSignedMessage::new(TEXT, message_config(plan, subkey), subkey, &password),
    };
    let message = message.expect("a message");
    (
        keyring,
        message
            .to_armored_string(ArmorOptions::default())
            .expect("armor"),
    )
}

fn verdict(plan: &Plan) -> String {
    let (keyring, message) = scenario(plan);
    match keyring.verify_inrelease(message.as_bytes(), NOW) {
        Ok(signed) => {
            assert_eq!(signed.text, format!("{TEXT}\n"));
            format!("good, subkey {}", signed.signers[0].subkey.is_some())
        }
        Err(SignatureError::NoneGood { rejected }) => rejected[0].reason.to_string(),
        Err(other) => other.to_string(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_rule_of_the_policy_is_kept() {
    let good = || GOOD.clone();
    let cases = [
        (good(), "good, subkey true"),
        (
            Plan {
                by_primary: true,
                ..good()
            },
            "good, subkey false",
        ),
        (
            Plan {
                by_primary: true,
                primary_signs: false,
                ..good()
            },
            "its key may not sign data",
        ),
        (
            Plan {
                primary_signs: false,
                ..good()
            },
            "good, subkey true",
        ),
        (
            Plan {
                subkey_signs: false,
                ..good()
            },
            "its key may not sign data",
        ),
        (
            Plan {
                back_signature: false,
                ..good()
            },
            "its key has no valid self-signature",
        ),
        (
            Plan {
                primary_expires: 3000,
                subkey_expires: 3000,
                ..good()
            },
            "good, subkey true",
        ),
        (
            Plan {
                primary_expires: 1500,
                ..good()
            },
            "its key expired 2023-11-14 22:38:20 UTC, and it is 2023-11-14 22:46:40 UTC now",
        ),
        (
            Plan {
                subkey_expires: 1500,
                ..good()
            },
            "its key expired 2023-11-14 22:38:20 UTC, and it is 2023-11-14 22:46:40 UTC now",
        ),
        (
            Plan {
                direct: true,
                primary_expires: 1500,
                ..good()
            },
            "its key expired 2023-11-14 22:38:20 UTC, and it is 2023-11-14 22:46:40 UTC now",
        ),
        (
            Plan {
                direct: true,
                by_primary: true,
                primary_signs: false,
                ..good()
            },
            "its key may not sign data",
        ),
        (
            Plan {
                revoke_primary: true,
                ..good()
            },
            "its key was revoked",
        ),
        (
            Plan {
                revoke_subkey: true,
                ..good()
            },
            "its key was revoked",
        ),
        (
            Plan {
                revoke_subkey: true,
                by_primary: true,
                ..good()
            },
            "good, subkey false",
        ),
        (
            Plan {
                revoke_name: true,
                ..good()
            },
            "its key has no valid self-signature",
        ),
        (
            Plan {
                self_hash: HashAlgorithm::Sha1,
                ..good()
            },
            "its key has no valid self-signature",
        ),
        (
            Plan {
                message_hash: HashAlgorithm::Sha1,
                ..good()
            },
            "it uses the weak hash SHA1",
        ),
        (
            Plan {
                message_hash: HashAlgorithm::Sha224,
                ..good()
            },
            "it uses the weak hash SHA224",
        ),
        (
            Plan {
                message_type: SignatureType::Binary,
                ..good()
            },
            "it is not a signature over such a file",
        ),
        (
            Plan {
                message_created: None,
                ..good()
            },
            "it has no date",
        ),
        (
            Plan {
                message_created: Some(MADE - 1),
                ..good()
            },
            "it was made 2023-11-14 22:13:19 UTC, before its key",
        ),
        (
            Plan {
                message_created: Some(MADE + 200_000),
                ..good()
            },
            "it was made 2023-11-17 05:46:40 UTC, and it is only 2023-11-14 22:46:40 UTC now",
        ),
        (
            Plan {
                message_expires: 900,
                ..good()
            },
            "it expired 2023-11-14 22:45:00 UTC, and it is 2023-11-14 22:46:40 UTC now",
        ),
        (
            Plan {
                message_expires: 1100,
                ..good()
            },
            "good, subkey true",
        ),
        (
            Plan {
                critical: true,
                ..good()
            },
            "it uses a feature that is not supported",
        ),
    ];
    for (number, (plan, expected)) in cases.into_iter().enumerate() {
        assert_eq!(verdict(&plan), expected, "case {number}");
    }
}

#[test]
fn changed_text_and_unknown_keys_are_refused_by_name() {
    let (keyring, message) = scenario(&GOOD);
    let changed = message.replace("Suite: x", "Suite: y");
    let error = keyring
        .verify_inrelease(changed.as_bytes(), NOW)
        .expect_err("changed");
    assert!(
        error.to_string().ends_with("it does not match the text"),
        "{error}"
    );
    let error = Keyring::debian()
        .verify_inrelease(message.as_bytes(), NOW)
        .expect_err("unknown");
    assert!(
        error.to_string().ends_with("the keyring has no such key"),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("--keyring"));
    let crlf = message.replace('\n', "\r\n");
    let signed = keyring
        .verify_inrelease(crlf.as_bytes(), NOW)
        .expect("CR LF is the same text");
    assert_eq!(signed.text, format!("{TEXT}\n"));
    let blanks = message.replace("Suite: x\n", "Suite: x \t\n");
    let signed = keyring
        .verify_inrelease(blanks.as_bytes(), NOW)
        .expect("blanks do not count");
    assert_eq!(signed.text, format!("{TEXT}\n"));
}

#[test]
fn one_good_signature_is_enough_beside_unknown_ones() {
    let (ours, other) = (secret(7), secret(8));
    let subkey = &ours.secret_subkeys[0].key;
    let foreign = &other.secret_subkeys[0].key;
    let password = Password::empty();
    let message = CleartextSignedMessage::new_many(TEXT, |text| {
        let first = message_config(&GOOD, foreign).sign(foreign, &password, text.as_bytes())?;
        let second = message_config(&GOOD, subkey).sign(subkey, &password, text.as_bytes())?;
        Ok(vec![first, second])
    });
    let message = message
        .expect("a message")
        .to_armored_string(ArmorOptions::default())
        .expect("armor");
    let certificate = certificate(&GOOD, &ours.primary_key, subkey);
    let keyring = Keyring::from_bytes(&certificate.to_bytes().expect("bytes")).expect("a keyring");
    let signed = keyring
        .verify_inrelease(message.as_bytes(), NOW)
        .expect("ours is good");
    assert_eq!(signed.signers.len(), 1);
    let signer = &signed.signers[0];
    assert_eq!(signer.key_name, "Test <test@example.org>");
    assert_eq!(signer.created, i64::from(SIGNED));
    assert_eq!(
        signer.fingerprint,
        format!("{:X}", ours.primary_key.fingerprint())
    );
    assert_eq!(signer.subkey, Some(format!("{:X}", subkey.fingerprint())));
}

#[test]
fn a_subkey_stolen_from_another_certificate_signs_nothing() {
    let (ours, other) = (secret(7), secret(8));
    let stolen = &other.secret_subkeys[0].key;
    let mut mixed = certificate(&GOOD, &ours.primary_key, &ours.secret_subkeys[0].key);
    let theirs = certificate(&GOOD, &other.primary_key, stolen);
    mixed.public_subkeys = theirs.public_subkeys;
    let keyring = Keyring::from_bytes(&mixed.to_bytes().expect("bytes")).expect("a keyring");
    let config = message_config(&GOOD, stolen);
    let message =
        CleartextSignedMessage::new(TEXT, config, stolen, &Password::empty()).expect("a message");
    let message = message
        .to_armored_string(ArmorOptions::default())
        .expect("armor");
    let error = keyring
        .verify_inrelease(message.as_bytes(), NOW)
        .expect_err("not bound");
    assert!(
        error
            .to_string()
            .contains("its key has no valid self-signature"),
        "{error}"
    );
}

#[test]
fn detached_signatures_verify_armored_and_binary() {
    let key = secret(7);
    let subkey = &key.secret_subkeys[0].key;
    let certificate = certificate(&GOOD, &key.primary_key, subkey);
    let keyring = Keyring::from_bytes(&certificate.to_bytes().expect("bytes")).expect("a keyring");
    let plan = Plan {
        message_type: SignatureType::Binary,
        ..GOOD.clone()
    };
    let signature = message_config(&plan, subkey).sign(subkey, &Password::empty(), TEXT.as_bytes());
    let signature = DetachedSignature::new(signature.expect("a signature"));
    let binary = signature.to_bytes().expect("bytes");
    let armored = signature
        .to_armored_bytes(ArmorOptions::default())
        .expect("armor");
    for form in [&binary, &armored] {
        let signed = keyring
            .verify_detached(TEXT.as_bytes(), form, NOW)
            .expect("good");
        assert_eq!(signed.text, TEXT);
        keyring
            .verify_detached(b"Origin: evil", form, NOW)
            .expect_err("other text");
    }
    keyring
        .verify_detached(TEXT.as_bytes(), b"", NOW)
        .expect_err("nothing");
    let certificate = certificate.to_bytes().expect("bytes");
    let error = keyring
        .verify_detached(TEXT.as_bytes(), &certificate, NOW)
        .expect_err("a key");
    assert!(matches!(error, SignatureError::OtherPacket), "{error}");
    let many = binary.repeat(MAX_SIGNATURES + 1);
    let error = keyring
        .verify_detached(TEXT.as_bytes(), &many, NOW)
        .expect_err("many");
    assert!(error.to_string().contains("MAX_SIGNATURES"));
}

#[test]
fn merging_a_revocation_takes_the_key_away() {
    let (mut keyring, message) = scenario(&GOOD);
    keyring
        .verify_inrelease(message.as_bytes(), NOW)
        .expect("good before");
    let (revoked, _) = scenario(&Plan {
        revoke_primary: true,
        ..GOOD.clone()
    });
    keyring.merge(revoked);
    assert_eq!(keyring.certificates(NOW).len(), 1);
    keyring
        .verify_inrelease(message.as_bytes(), NOW)
        .expect_err("revoked now");
}

#[test]
fn keyrings_are_read_in_every_form_and_junk_is_refused() {
    let armored = |seed| {
        let key = secret(seed);
        let certificate = certificate(&GOOD, &key.primary_key, &key.secret_subkeys[0].key);
        certificate
            .to_armored_string(ArmorOptions::default())
            .expect("armor")
    };
    let both = format!("comment\n{}\n{}", armored(7), armored(8));
    let keyring = Keyring::from_bytes(both.as_bytes()).expect("two blocks");
    assert_eq!(keyring.certificates(NOW).len(), 2);
    for junk in [
        &b""[..],
        b"junk",
        b"\xff\xff\xff",
        b"\x99\x01",
        BEGIN_ONLY.as_bytes(),
    ] {
        assert!(Keyring::from_bytes(junk).is_err(), "{junk:?}");
    }
}

const BEGIN_ONLY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n";

#[test]
fn the_embedded_keyring_has_the_keys_of_bullseye_to_trixie() {
    let lines: Vec<String> = Keyring::debian()
        .certificates(DEBIAN_KEYRING_DATE)
        .iter()
        .map(|certificate| {
            let name = certificate.name.as_ref().expect("usable");
            let subkeys = certificate.subkeys.iter().map(|subkey| {
                let until = subkey.signs_until.as_ref().expect("signs").expect("ends");
                format!(" {} until {}", subkey.fingerprint, &date::show(until)[..10])
            });
            let until = &date::show(certificate.expires.expect("ends"))[..10];
            format!(
                "{} {name} until {until}{}",
                certificate.fingerprint,
                subkeys.collect::<String>()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "1F89983E0081FDE018F3CC9673A4F27B8DD47936 Debian Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org> until 2029-01-15 A7236886F3CCCAAD148A27F80E98404D386FA1D9 until 2029-01-15",
            "AC530D520F2F3269F5E98313A48449044AAD5C5D Debian Security Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org> until 2029-01-15 ED541312A33F1128F10B1C6C54404762BBB6E853 until 2029-01-15",
            "A4285295FC7B1A81600062A9605C66F00D6C9793 Debian Stable Release Key (11/bullseye) <debian-release@lists.debian.org> until 2029-02-11",
            "4D64FEC119C2029067D6E791F8D2585B8783D481 Debian Stable Release Key (12/bookworm) <debian-release@lists.debian.org> until 2031-01-21",
            "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8 Debian Archive Automatic Signing Key (12/bookworm) <ftpmaster@debian.org> until 2031-01-19 4CB50190207B4758A3F73A796ED0E7B82643E131 until 2031-01-19",
            "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0 Debian Security Archive Automatic Signing Key (12/bookworm) <ftpmaster@debian.org> until 2031-01-19 B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8 until 2031-01-19",
            "04B54C3CDCA79751B16BC6B5225629DF75B188BD Debian Archive Automatic Signing Key (13/trixie) <ftpmaster@debian.org> until 2035-03-28 B8E5F13176D2A7A75220028078DBA3BC47EF2265 until 2035-03-28",
            "5E04A1E3223A19A20706E20F9904613D4CCE68C6 Debian Security Archive Automatic Signing Key (13/trixie) <ftpmaster@debian.org> until 2035-03-28 89C87ACEA5DD6B8E6A7068808E9F831205B4BA95 until 2035-03-28",
            "41587F7DB8C774BCCF131416762F67A0B2C39DE4 Debian Stable Release Key (13/trixie) <debian-release@lists.debian.org> until 2033-03-22",
        ]
    );
}

#[test]
fn no_key_that_trixie_needs_ends_soon_after_the_keyring_was_made() {
    let limit = DEBIAN_KEYRING_DATE + 90 * 24 * 60 * 60;
    let trixie = Keyring::debian().certificates(limit);
    let needed: Vec<_> = trixie
        .iter()
        .filter(|certificate| {
            certificate
                .name
                .as_ref()
                .is_ok_and(|name| name.contains("(13/trixie)"))
        })
        .collect();
    assert_eq!(needed.len(), 3);
    for certificate in needed {
        assert!(
            certificate.expires.is_none_or(|end| end > limit),
            "{certificate:?}"
        );
        assert!(
            certificate
                .subkeys
                .iter()
                .all(|subkey| subkey.signs_until.is_ok())
        );
        assert!(certificate.primary_signs || !certificate.subkeys.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn broken_packets_never_panic_and_never_verify(at in 0..4000_usize, bytes in proptest::collection::vec(any::<u8>(), 1..4)) {
        let key = secret(7);
        let subkey = &key.secret_subkeys[0].key;
        let certificate = certificate(&GOOD, &key.primary_key, subkey);
        let plan = Plan { message_type: SignatureType::Binary, ..GOOD.clone() };
        let signature = message_config(&plan, subkey).sign(subkey, &Password::empty(), TEXT.as_bytes());
        let mut packets = DetachedSignature::new(signature.expect("a signature")).to_bytes().expect("bytes");
        let mut keys = certificate.to_bytes().expect("bytes");
        let keyring = Keyring::from_bytes(&keys).expect("a keyring");
        let place = at % packets.len();
        packets.splice(place.., bytes.clone());
        prop_assert!(keyring.verify_detached(TEXT.as_bytes(), &packets, NOW).is_err());
        let place = at % keys.len();
        keys[place] ^= bytes[0];
        if let Ok(keyring) = Keyring::from_bytes(&keys) {
            let _ = keyring.certificates(NOW);
        }
    }
}
