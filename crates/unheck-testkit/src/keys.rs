//! OpenPGP test keys, the same on every run, and cleartext signatures made with them.
//!
//! Ed25519 version 4 keys (RFC 9580 section 12; `gpgv` knows them as EdDSA). The secret halves come
//! from a published seed: they protect nothing. Read [`TestKey::good`] first.

use std::sync::LazyLock;

use pgp::composed::{ArmorOptions, CleartextSignedMessage};
use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait as _, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey,
    Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{
    Duration, KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams,
    PublicParams, SecretParams, SigningKey, Timestamp,
};
use sha2::Digest as _;

/// When every test key was made: 2024-01-01T00:00:00Z, seconds since 1970.
pub const KEY_CREATED: u32 = 1_704_067_200;

/// A key that can sign, with its public certificate.
pub struct TestKey {
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
    certificate: Vec<u8>,
}

/// How a [`TestKey`] differs from a plain one.
#[derive(Clone, Copy, Default)]
struct Shape {
    expires_after: Option<u32>,
    subkey: bool,
    revoked: bool,
}

static GOOD: LazyLock<TestKey> = LazyLock::new(|| TestKey::make("good", Shape::default()));
static OTHER: LazyLock<TestKey> = LazyLock::new(|| TestKey::make("other", Shape::default()));
static EXPIRED: LazyLock<TestKey> = LazyLock::new(|| {
    TestKey::make(
        "expired",
        Shape {
            expires_after: Some(366 * 86_400),
            ..Shape::default()
        },
    )
});
static SUBKEY: LazyLock<TestKey> = LazyLock::new(|| {
    TestKey::make(
        "subkey",
        Shape {
            subkey: true,
            ..Shape::default()
        },
    )
});
static REVOKED: LazyLock<TestKey> = LazyLock::new(|| {
    TestKey::make(
        "revoked",
        Shape {
            revoked: true,
            ..Shape::default()
        },
    )
});

/// The keyring of a test world: the certificates of [`TestKey::good`], [`TestKey::subkey`],
/// [`TestKey::expired`] and [`TestKey::revoked`], binary, one after the other. Not
/// [`TestKey::other`]: that is the unknown key.
pub fn test_keyring() -> Vec<u8> {
    let keys = [
        TestKey::good(),
        TestKey::subkey(),
        TestKey::expired(),
        TestKey::revoked(),
    ];
    keys.iter()
        .flat_map(|key| key.certificate().to_vec())
        .collect()
}

/// `text` with one cleartext signature message that has a signature by each key.
pub fn clearsign_by(keys: &[&TestKey], text: &str, time: u32) -> String {
    if let [key] = keys {
        return key.clearsign(text, time);
    }
    // One message, several signatures (RFC 9580 section 7.1): the hash header names SHA-256 once.
    let message = CleartextSignedMessage::new_many(text, |normal| {
        keys.iter()
            .map(|key| match &key.subkey {
                Some(subkey) => sign_text(subkey, normal, time),
                None => sign_text(&key.primary, normal, time),
            })
            .collect()
    });
    message
        .unwrap()
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

fn sign_text<K: SigningKey>(key: &K, text: &str, time: u32) -> pgp::errors::Result<Signature> {
    base_config(key, SignatureType::Text, time).sign(key, &Password::empty(), text.as_bytes())
}

impl TestKey {
    /// The key that signs suites unless told otherwise. Never expires.
    pub fn good() -> &'static Self {
        &GOOD
    }

    /// A key that is in no keyring.
    pub fn other() -> &'static Self {
        &OTHER
    }

    /// A key of the keyring that expired on 2025-01-01T00:00:00Z.
    pub fn expired() -> &'static Self {
        &EXPIRED
    }

    /// A key of the keyring whose primary key only certifies; a bound subkey signs, as most of
    /// Debian's own keys do.
    pub fn subkey() -> &'static Self {
        &SUBKEY
    }

    /// A key of the keyring with a revocation by itself.
    pub fn revoked() -> &'static Self {
        &REVOKED
    }

    /// The public certificate, binary (RFC 9580 section 10.1).
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate in ASCII armor (RFC 9580 section 6.2).
    pub fn armored(&self) -> String {
        let key = <pgp::composed::SignedPublicKey as pgp::composed::Deserializable>::from_bytes(
            self.certificate.as_slice(),
        );
        key.unwrap()
            .to_armored_string(ArmorOptions::default())
            .unwrap()
    }

    /// Fingerprint of the primary key, 40 lower-case hex digits.
    pub fn fingerprint(&self) -> String {
        crate::hex(self.primary.fingerprint().as_bytes())
    }

    /// Fingerprint of the key that makes the signatures: the subkey where there is one.
    pub fn signing_fingerprint(&self) -> String {
        match &self.subkey {
            Some(subkey) => crate::hex(subkey.fingerprint().as_bytes()),
            None => self.fingerprint(),
        }
    }

    /// `text` with a cleartext signature (RFC 9580 section 7) made at `time`, seconds since 1970.
    pub fn clearsign(&self, text: &str, time: u32) -> String {
        self.clearsign_with(text, time, HashAlgorithm::Sha256)
    }

    /// As [`TestKey::clearsign`], with SHA-512 as the hash.
    pub fn clearsign_sha512(&self, text: &str, time: u32) -> String {
        self.clearsign_with(text, time, HashAlgorithm::Sha512)
    }

    fn clearsign_with(&self, text: &str, time: u32, hash: HashAlgorithm) -> String {
        let password = Password::empty();
        let message = match &self.subkey {
            Some(key) => CleartextSignedMessage::new(
                text,
                config(key, SignatureType::Text, time, hash),
                key,
                &password,
            ),
            None => CleartextSignedMessage::new(
                text,
                config(&self.primary, SignatureType::Text, time, hash),
                &self.primary,
                &password,
            ),
        };
        message
            .unwrap()
            .to_armored_string(ArmorOptions::default())
            .unwrap()
    }

    fn make(name: &str, shape: Shape) -> Self {
        let (primary_inner, primary_secret) = key_pair(&format!("unheck test key {name}"));
        let public = PublicKey::from_inner(primary_inner).unwrap();
        let primary = SecretKey::new(public.clone(), primary_secret).unwrap();
        let mut certificate = packet(&public);
        if shape.revoked {
            let mut revocation =
                base_config(&primary, SignatureType::KeyRevocation, KEY_CREATED + 86_400);
            revocation.hashed_subpackets.push(
                Subpacket::regular(SubpacketData::RevocationReason(
                    pgp::packet::RevocationCode::KeyCompromised,
                    Vec::new().into(),
                ))
                .unwrap(),
            );
            let signature = revocation
                .sign_key(&primary, &Password::empty(), &public)
                .unwrap();
            certificate.extend(packet(&signature));
        }
        certificate.extend(user_id(name, &primary, &public, shape));
        let subkey = shape.subkey.then(|| {
            let (inner, secret) = key_pair(&format!("unheck test subkey {name}"));
            let public_subkey = PublicSubkey::from_inner(inner).unwrap();
            let subkey = SecretSubkey::new(public_subkey.clone(), secret).unwrap();
            certificate.extend(bound_subkey(&primary, &public, &subkey, &public_subkey));
            subkey
        });
        Self {
            primary,
            subkey,
            certificate,
        }
    }
}

/// A deterministic key pair: Ed25519's secret half is any 32 bytes.
fn key_pair(seed: &str) -> (PubKeyInner, SecretParams) {
    let bytes: [u8; 32] = sha2::Sha256::digest(seed.as_bytes()).into();
    let secret = Ed25519::try_from_bytes(bytes, Mode::EdDSALegacy).unwrap();
    let public = PublicParams::EdDSALegacy((&secret).into());
    let inner = PubKeyInner::new(
        KeyVersion::V4,
        PublicKeyAlgorithm::EdDSALegacy,
        Timestamp::from_secs(KEY_CREATED),
        None,
        public,
    )
    .unwrap();
    let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
    (inner, SecretParams::Plain(secret))
}

fn config<K: SigningKey>(
    key: &K,
    kind: SignatureType,
    time: u32,
    hash: HashAlgorithm,
) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::EdDSALegacy, hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            time,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    config
}

fn base_config<K: SigningKey>(key: &K, kind: SignatureType, time: u32) -> SignatureConfig {
    config(key, kind, time, HashAlgorithm::Sha256)
}

fn user_id(name: &str, primary: &SecretKey, public: &PublicKey, shape: Shape) -> Vec<u8> {
    let text = format!("unheck test key ({name}) <{name}@test.invalid>");
    let id = UserId::from_str(PacketHeaderVersion::New, &text).unwrap();
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(!shape.subkey);
    let mut config = base_config(primary, SignatureType::CertPositive, KEY_CREATED);
    config
        .hashed_subpackets
        .push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    config
        .hashed_subpackets
        .push(Subpacket::regular(SubpacketData::IsPrimary(true)).unwrap());
    if let Some(seconds) = shape.expires_after {
        let life = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        config
            .hashed_subpackets
            .push(Subpacket::regular(life).unwrap());
    }
    let signature = config
        .sign_certification(primary, public, &Password::empty(), id.tag(), &id)
        .unwrap();
    [packet(&id), packet(&signature)].concat()
}

fn bound_subkey(
    primary: &SecretKey,
    public: &PublicKey,
    subkey: &SecretSubkey,
    public_subkey: &PublicSubkey,
) -> Vec<u8> {
    let password = Password::empty();
    let back = base_config(subkey, SignatureType::KeyBinding, KEY_CREATED)
        .sign_primary_key_binding(subkey, public_subkey, &password, public)
        .unwrap();
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let mut config = base_config(primary, SignatureType::SubkeyBinding, KEY_CREATED);
    config
        .hashed_subpackets
        .push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    config
        .hashed_subpackets
        .push(Subpacket::regular(SubpacketData::EmbeddedSignature(Box::new(back))).unwrap());
    let signature = config
        .sign_subkey_binding(primary, public, &password, public_subkey)
        .unwrap();
    [packet(public_subkey), packet(&signature)].concat()
}

fn packet<P: pgp::packet::PacketTrait>(value: &P) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use pgp::composed::{Deserializable as _, SignedPublicKey};

    use super::*;

    #[test]
    fn keys_are_the_same_on_every_run() {
        assert_eq!(TestKey::good().fingerprint().len(), 40);
        let again = TestKey::make("good", Shape::default());
        assert_eq!(again.certificate, TestKey::good().certificate());
        assert_eq!(
            again.clearsign("a\n", 7),
            TestKey::good().clearsign("a\n", 7)
        );
    }

    #[test]
    fn signatures_verify_and_tampered_text_does_not() {
        for key in [TestKey::good(), TestKey::subkey(), TestKey::expired()] {
            let (public, _) = (SignedPublicKey::from_bytes(key.certificate()).unwrap(), ());
            public.verify_bindings().unwrap();
            let text = key.clearsign("Origin: Debian\n- dash\n", KEY_CREATED + 5);
            let check = |text: &str| {
                let (message, _) = CleartextSignedMessage::from_string(text).unwrap();
                match public.public_subkeys.first() {
                    Some(subkey) => message.verify(&subkey.key).is_ok(),
                    None => message.verify(&public.primary_key).is_ok(),
                }
            };
            assert!(check(&text));
            assert!(!check(&text.replace("Debian", "Debiam")));
        }
    }
}
