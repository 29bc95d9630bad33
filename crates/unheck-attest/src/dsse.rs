//! Envelopes that are signed: DSSE v1 (`secure-systems-lab/dsse`, `protocol.md`, `envelope.md`).
//!
//! Keys are Ed25519 or ECDSA on P-256 with SHA-256, in PEM as `openssl genpkey` and `openssl pkey -pubout` write
//! them. Start at [`SigningKey::sign`] and [`VerifyingKey::open`].

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ED25519,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use unheck_base::Digest;

/// The media type of an envelope.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The longest envelope that is read, in bytes.
pub const MAX_ENVELOPE: usize = 24 << 20;
/// The most signatures that are tried.
const MAX_SIGNATURES: usize = 16;
/// No signature of a known kind is shorter, in bytes.
const MIN_SIGNATURE: usize = 32;
/// SubjectPublicKeyInfo of RFC 8410 before the 32 bytes of an Ed25519 key.
const ED25519_SPKI: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// SubjectPublicKeyInfo of RFC 5480 before the 65 bytes of an uncompressed point on P-256.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A private key. `Debug` shows its kind only.
pub enum SigningKey {
    /// Ed25519 (RFC 8032).
    Ed25519(Box<Ed25519KeyPair>),
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5).
    P256(Box<EcdsaKeyPair>),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    kind: Kind,
    point: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
}

/// A key cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM with one block of the right kind.
    #[error("it has no `{wanted}` in PEM")]
    Pem {
        /// The label that is wanted.
        wanted: &'static str,
    },
    /// It is a PEM file of another kind.
    #[error("it is a `{found}`, wanted is a `{wanted}`")]
    Label {
        /// The label that it has.
        found: String,
        /// The label that is wanted.
        wanted: &'static str,
    },
    /// It is of a kind that is not known.
    #[error("it is neither an Ed25519 key nor one on the curve P-256")]
    Kind,
}

/// An envelope cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is far too long.
    #[error("it has {size} bytes, an envelope may have {MAX_ENVELOPE}")]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// It is no such JSON.
    #[error("it is no DSSE envelope")]
    Json(#[from] serde_json::Error),
    /// Its payload is no base64.
    #[error("its payload is not base64")]
    Payload,
    /// It holds something else.
    #[error("it holds `{0}`")]
    PayloadType(String),
    /// No signature is good.
    #[error("none of its {0} signatures is of this key")]
    Signature(usize),
}

/// Signing failed; a key that could be read does not do that.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot sign")]
pub struct SignError;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl SigningKey {
    /// Reads a `PRIVATE KEY` in PEM (PKCS #8, not encrypted).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem(text, "PRIVATE KEY")?;
        if let Ok(key) = Ed25519KeyPair::from_pkcs8(&der) {
            return Ok(Self::Ed25519(Box::new(key)));
        }
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der) {
            Ok(key) => Ok(Self::P256(Box::new(key))),
            Err(_) => Err(KeyError::Kind),
        }
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Ed25519(key) => VerifyingKey {
                kind: Kind::Ed25519,
                point: key.public_key().as_ref().to_vec(),
            },
            Self::P256(key) => VerifyingKey {
                kind: Kind::P256,
                point: key.public_key().as_ref().to_vec(),
            },
        }
    }

    /// An envelope around `payload`. With Ed25519 the same payload gives the same bytes.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> Result<Vec<u8>, SignError> {
        let message = pre_authentication(payload_type, payload);
        let signature = match self {
            Self::Ed25519(key) => key.sign(&message).as_ref().to_vec(),
            Self::P256(key) => {
                let signed = key.sign(&SystemRandom::new(), &message);
                signed.map_err(|_| SignError)?.as_ref().to_vec()
            }
        };
        envelope(
            (payload_type, payload),
            &signature,
            &self.verifying_key().id(),
        )
    }
}

/// An envelope around a payload that somebody else signed: `signature` is over its [`pre_authentication`], `key_id` is a
/// hint for who verifies and may be empty.
///
/// # Errors
/// [`SignError`], which no text makes happen.
pub fn envelope(
    (payload_type, payload): (&str, &[u8]),
    signature: &[u8],
    key_id: &str,
) -> Result<Vec<u8>, SignError> {
    let envelope = Envelope {
        payload_type: payload_type.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature {
            keyid: key_id.to_owned(),
            sig: STANDARD.encode(signature),
        }],
    };
    serde_json::to_vec(&envelope).map_err(|_| SignError)
}

/// The signatures that a program's output may mean: its bytes, and what they are in base64 (RFC 4648, either alphabet,
/// line ends and padding or not). The likelier one is first.
pub fn readings(output: &[u8]) -> Vec<Vec<u8>> {
    let text: Vec<u8> = output
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    let decoded = STANDARD_NO_PAD.decode(&text).ok();
    let decoded = decoded.filter(|bytes| bytes.len() >= MIN_SIGNATURE);
    decoded.into_iter().chain([output.to_vec()]).collect()
}

impl VerifyingKey {
    /// Reads a `PUBLIC KEY` in PEM (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem(text, "PUBLIC KEY")?;
        let key = |prefix: &[u8], len: usize, kind| {
            let point = der
                .strip_prefix(prefix)
                .filter(|point| point.len() == len)?;
            Some(Self {
                kind,
                point: point.to_vec(),
            })
        };
        key(ED25519_SPKI, 32, Kind::Ed25519)
            .or_else(|| key(P256_SPKI, 65, Kind::P256))
            .ok_or(KeyError::Kind)
    }

    /// SHA-256 of the key as SubjectPublicKeyInfo, in hexadecimal digits.
    pub fn id(&self) -> String {
        let prefix = match self.kind {
            Kind::Ed25519 => ED25519_SPKI,
            Kind::P256 => P256_SPKI,
        };
        Digest::of(&[prefix, &self.point].concat()).hex()
    }

    /// The payload of an envelope that this key signed.
    ///
    /// # Errors
    /// [`EnvelopeError`]; a payload without a good signature is never given out.
    pub fn open(&self, payload_type: &str, envelope: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        if envelope.len() > MAX_ENVELOPE {
            let size = envelope.len();
            return Err(EnvelopeError::TooLong { size });
        }
        let envelope: Envelope = serde_json::from_slice(envelope)?;
        if envelope.payload_type != payload_type {
            let other: String = envelope.payload_type.chars().take(100).collect();
            return Err(EnvelopeError::PayloadType(other.escape_debug().to_string()));
        }
        let payload = STANDARD
            .decode(&envelope.payload)
            .map_err(|_| EnvelopeError::Payload)?;
        let message = pre_authentication(payload_type, &payload);
        let signatures = envelope.signatures.iter().take(MAX_SIGNATURES);
        // The id is a hint and may be wrong or missing: only the mathematics count.
        let good = signatures.into_iter().any(|one| {
            STANDARD
                .decode(&one.sig)
                .is_ok_and(|signature| self.is_of(&message, &signature))
        });
        match good {
            true => Ok(payload),
            false => Err(EnvelopeError::Signature(envelope.signatures.len())),
        }
    }

    /// A signature in the form that envelopes have, where it is this key's over `message`. Of P-256 the two bare numbers
    /// (IEEE P1363), which many devices answer, are taken too.
    pub fn accept(&self, message: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        if self.is_of(message, signature) {
            return Some(signature.to_vec());
        }
        let bare = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point);
        let is_bare = self.kind == Kind::P256 && bare.verify(message, signature).is_ok();
        is_bare.then(|| der(signature))
    }

    fn is_of(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self.kind {
            Kind::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, &self.point).verify(message, signature)
            }
            Kind::P256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
                .verify(message, signature),
        };
        verified.is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "SigningKey(Ed25519)",
            Self::P256(_) => "SigningKey(P256)",
        })
    }
}

/// What is signed: type and payload with their lengths (protocol.md, "PAE").
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// Two numbers of equal length as `ECDSA-Sig-Value` (RFC 3279, clause 2.2.3).
fn der(numbers: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros.min(number.len() - 1)..];
        // A number whose first bit is set would be read as negative.
        let sign: &[u8] = if number[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = (sign.len() + number.len()) as u8;
        [&[0x02, length], sign, number].concat()
    };
    let (r, s) = numbers.split_at(numbers.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

/// The bytes of the one block with a label (RFC 7468).
fn pem(text: &str, wanted: &'static str) -> Result<Vec<u8>, KeyError> {
    let missing = || KeyError::Pem { wanted };
    let mut lines = text.lines().map(str::trim);
    let begin = lines
        .find_map(|line| line.strip_prefix("-----BEGIN "))
        .ok_or_else(missing)?;
    let found = begin.strip_suffix("-----").ok_or_else(missing)?;
    if found != wanted {
        let found = found.chars().take(50).collect::<String>();
        return Err(KeyError::Label {
            found: found.escape_debug().to_string(),
            wanted,
        });
    }
    let body: String = lines
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    STANDARD.decode(body).map_err(|_| missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for these tests alone, by `openssl genpkey`.
    const ED25519_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILNNeChX0qQoS2B5+FgMYKdy4dz+eWQNNCxy5EhIUA6G\n-----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAi48iMgn5q4nDdP8CLkqYlwq5LnfPD+2PlcwB8kvt8EM=\n-----END PUBLIC KEY-----\n";
    const P256_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/b+lmH3bu1fPJ2DZ\n3AK8bfTq3U3Yr+pe2sUWqQybDzShRANCAATM/4Zlq92yD7fQ+d4UuAGt/6wzZZpD\n2KvomhkX2lOM1tjSDEtoLlUh9PzfIDLk5gTeHmDy5c7ygns3M4C8nRby\n-----END PRIVATE KEY-----\n";
    const P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzP+GZavdsg+30PneFLgBrf+sM2Wa\nQ9ir6JoZF9pTjNbY0gxLaC5VIfT83yAy5OYE3h5g8uXO8oJ7NzOAvJ0W8g==\n-----END PUBLIC KEY-----\n";
    const TYPE: &str = "application/x";

    #[test]
    fn what_is_signed_is_framed_as_the_protocol_has_it() {
        // The example of protocol.md.
        let framed = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            framed,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn both_kinds_of_keys_sign_and_verify_and_nothing_else_passes() {
        for (private, public) in [(ED25519_KEY, ED25519_PUBLIC), (P256_KEY, P256_PUBLIC)] {
            let key = SigningKey::from_pem(private).unwrap();
            let verifying = VerifyingKey::from_pem(public).unwrap();
            assert_eq!(key.verifying_key(), verifying);
            let envelope = key.sign(TYPE, b"payload").unwrap();
            assert_eq!(verifying.open(TYPE, &envelope).unwrap(), b"payload");
            let other = match private == ED25519_KEY {
                true => P256_PUBLIC,
                false => ED25519_PUBLIC,
            };
            let other = VerifyingKey::from_pem(other).unwrap();
            let refused = other.open(TYPE, &envelope).unwrap_err();
            assert_eq!(
                refused.to_string(),
                "none of its 1 signatures is of this key"
            );
            let text = String::from_utf8(envelope).unwrap();
            let changed = text.replace(&STANDARD.encode("payload"), &STANDARD.encode("payloae"));
            assert!(verifying.open(TYPE, changed.as_bytes()).is_err());
            let retyped = text.replace(TYPE, "application/y");
            assert!(verifying.open(TYPE, retyped.as_bytes()).is_err());
            assert!(verifying.open("application/y", retyped.as_bytes()).is_err());
        }
        let key = SigningKey::from_pem(ED25519_KEY).unwrap();
        assert_eq!(key.sign(TYPE, b"x").unwrap(), key.sign(TYPE, b"x").unwrap());
        assert!(!format!("{key:?}").contains("MC4"));
    }

    #[test]
    fn signatures_of_others_are_taken_in_the_forms_that_programs_answer() {
        let message = pre_authentication(TYPE, b"payload");
        for (private, public) in [(ED25519_KEY, ED25519_PUBLIC), (P256_KEY, P256_PUBLIC)] {
            let key = SigningKey::from_pem(private).unwrap();
            let verifying = VerifyingKey::from_pem(public).unwrap();
            let signed: Envelope =
                serde_json::from_slice(&key.sign(TYPE, b"payload").unwrap()).unwrap();
            let raw = STANDARD.decode(&signed.signatures[0].sig).unwrap();
            let wrapped = format!("{}\n", signed.signatures[0].sig);
            let url = wrapped.replace('+', "-").replace('/', "_").replace('=', "");
            for output in [raw.clone(), wrapped.into_bytes(), url.into_bytes()] {
                let found = readings(&output)
                    .into_iter()
                    .find_map(|one| verifying.accept(&message, &one));
                assert_eq!(found.as_deref(), Some(raw.as_slice()));
            }
            let packed = envelope((TYPE, b"payload"), &raw, "").unwrap();
            assert_eq!(verifying.open(TYPE, &packed).unwrap(), b"payload");
            assert_eq!(verifying.accept(b"other", &raw), None);
        }
        let numbers = [&[0x80; 32][..], &[0, 0, 1], &[7; 29]].concat();
        let asn1 = der(&numbers);
        assert_eq!(asn1[..6], [0x30, 67, 0x02, 33, 0, 0x80]);
        assert_eq!(asn1[37..41], [0x02, 30, 1, 7]);
        assert_eq!(readings(b"short"), [b"short"]);
    }

    #[test]
    fn a_bare_pair_of_numbers_is_a_signature_of_p256() {
        use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = pem(P256_KEY, "PRIVATE KEY").unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
        let verifying = VerifyingKey::from_pem(P256_PUBLIC).unwrap();
        for round in 0..50_u8 {
            let message = pre_authentication(TYPE, &[round]);
            let bare = key.sign(&SystemRandom::new(), &message).unwrap();
            let taken = verifying.accept(&message, bare.as_ref()).unwrap();
            assert!(verifying.is_of(&message, &taken));
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_told_apart() {
        let error = |text: &str| SigningKey::from_pem(text).unwrap_err().to_string();
        assert_eq!(
            error(ED25519_PUBLIC),
            "it is a `PUBLIC KEY`, wanted is a `PRIVATE KEY`"
        );
        assert_eq!(error("nothing"), "it has no `PRIVATE KEY` in PEM");
        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(
            error(garbage),
            "it is neither an Ed25519 key nor one on the curve P-256"
        );
        let encrypted = garbage.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(
            error(&encrypted),
            "it is a `ENCRYPTED PRIVATE KEY`, wanted is a `PRIVATE KEY`"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_fail(text in "\\PC{0,200}") {
            let key = VerifyingKey::from_pem(ED25519_PUBLIC).unwrap();
            drop(key.open(TYPE, text.as_bytes()));
            drop(VerifyingKey::from_pem(&format!("-----BEGIN PUBLIC KEY-----\n{text}")));
        }
    }
}
