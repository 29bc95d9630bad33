//! OpenPGP signatures of a suite: `InRelease` and `Release` with `Release.gpg` (RFC 9580).
//!
//! The library does the mathematics; frame, key expiry, revocation, capability and hash policy are
//! checked here (`clearsign`, `policy`). The caller gives the time. Web of trust, key servers and
//! designated revokers are not looked at: a certificate is trusted because it is in the
//! [`Keyring`]. Start at [`Keyring::verify_inrelease`].

mod clearsign;
mod keyring;
mod policy;

pub use clearsign::{FrameError, MAX_SIGNATURE, MAX_SIGNED};
pub use keyring::{
    Certificate, DEBIAN_KEYRING_DATE, Keyring, KeyringError, MAX_KEYRING, SubkeyStanding,
};

use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

use crate::date;

/// The most signatures on one file. Debian's carry up to four.
pub const MAX_SIGNATURES: usize = 32;

/// A text whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Exactly what was signed; of a cleartext message in the form that is hashed: dash escapes
    /// and blanks at line ends removed, `\n` at the line ends.
    pub text: String,
    /// Who signed it, in the order of the signatures; never empty.
    pub signers: Vec<Signer>,
}

/// One good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprint of the primary key, upper-case hexadecimal.
    pub fingerprint: String,
    /// The fingerprint of the subkey that made the signature, if it was one.
    pub subkey: Option<String>,
    /// The user id of the certificate.
    pub key_name: String,
    /// When the signature was made, Unix seconds.
    pub created: i64,
}

/// Why a file is not taken as signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is not one well-formed signed message.
    #[error("the signed file has the wrong form")]
    Frame(#[source] FrameError),
    /// The packets of the signature cannot be read.
    #[error("cannot read the OpenPGP packets of the signature")]
    Packets(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something other than a signature is in the signature block.
    #[error("the signature block has a packet that is no signature")]
    OtherPacket,
    /// More than [`MAX_SIGNATURES`].
    #[error("the file has more signatures than the limit `MAX_SIGNATURES`")]
    TooMany,
    /// No signature at all.
    #[error("the file has no signature")]
    None,
    /// There are signatures, but not one of them is good and from a known key.
    #[error("no good signature by a key of the keyring: {}", list(.rejected))]
    NoneGood {
        /// Every signature and what is wrong with it.
        rejected: Vec<Rejected>,
    },
}

impl SignatureError {
    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let Self::NoneGood { rejected } = self else {
            return None;
        };
        let only = |test: fn(&Reason) -> bool| rejected.iter().all(|one| test(&one.reason));
        if only(|reason| matches!(reason, Reason::UnknownKey)) {
            return Some(
                "if you trust that key, give a keyring that has it with `--keyring FILE`".into(),
            );
        }
        if only(|reason| matches!(reason, Reason::Future { .. })) {
            return Some("set the clock of this machine".into());
        }
        Some("use another mirror, or a newer version of this program for newer keys".into())
    }
}

fn list(rejected: &[Rejected]) -> String {
    let all: Vec<String> = rejected
        .iter()
        .map(|one| format!("signature by `{}`: {}", one.issuer, one.reason))
        .collect();
    all.join("; ")
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The fingerprint or key id that the signature names, `unknown` when it names none.
    pub issuer: String,
    /// What is wrong.
    pub reason: Reason,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The keyring has no such key.
    #[error("the keyring has no such key")]
    UnknownKey,
    /// The text or the signature was changed.
    #[error("it does not match the text")]
    Mismatch,
    /// Not a signature of this kind of file.
    #[error("it is not a signature over such a file")]
    WrongType,
    /// A version, algorithm or critical subpacket that is not supported.
    #[error("it uses a feature that is not supported")]
    Unsupported,
    /// MD5, SHA-1, RIPEMD-160 and the like.
    #[error("it uses the weak hash {0}")]
    WeakHash(String),
    /// DSA, or RSA with less than 2048 bits, or a key that cannot sign.
    #[error("its key is too weak or of an unsuitable algorithm")]
    WeakKey,
    /// It does not say when it was made.
    #[error("it has no date")]
    Undated,
    /// It was made later than now, by more than a day.
    #[error("it was made {}, and it is only {} now", date::show(*.created), date::show(*.now))]
    Future {
        /// Unix seconds.
        created: i64,
        /// Unix seconds.
        now: i64,
    },
    /// It was made before its key.
    #[error("it was made {}, before its key", date::show(*.created))]
    BeforeKey {
        /// Unix seconds.
        created: i64,
    },
    /// The signature itself has expired.
    #[error("it expired {}, and it is {} now", date::show(*.expired), date::show(*.now))]
    SignatureExpired {
        /// Unix seconds.
        expired: i64,
        /// Unix seconds.
        now: i64,
    },
    /// The key has expired.
    #[error("its key expired {}, and it is {} now", date::show(*.expired), date::show(*.now))]
    KeyExpired {
        /// Unix seconds.
        expired: i64,
        /// Unix seconds.
        now: i64,
    },
    /// The key or its certificate was revoked.
    #[error("its key was revoked")]
    Revoked,
    /// The key is not validly bound to its certificate.
    #[error("its key has no valid self-signature")]
    NotBound,
    /// The key is not meant for signing data.
    #[error("its key may not sign data")]
    MayNotSign,
}

impl Keyring {
    /// Verifies an `InRelease` file at `now` (Unix seconds): exactly one cleartext signed message,
    /// with at least one good signature by a key of this keyring that was neither expired nor
    /// revoked. Signatures by unknown keys are passed over.
    ///
    /// # Errors
    /// [`SignatureError`]; when no signature is good, it names each of them with the reason.
    pub fn verify_inrelease(&self, bytes: &[u8], now: i64) -> Result<Signed, SignatureError> {
        let parts = clearsign::split(bytes).map_err(SignatureError::Frame)?;
        let signers = self.signers(&parts.signature, &parts.hashed(), SignatureType::Text, now)?;
        Ok(Signed {
            text: parts.text,
            signers,
        })
    }

    /// Verifies a `Release` file with its detached `Release.gpg`, armored or binary. As
    /// [`Keyring::verify_inrelease`].
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_detached(
        &self,
        release: &[u8],
        signature: &[u8],
        now: i64,
    ) -> Result<Signed, SignatureError> {
        if release.len() > MAX_SIGNED {
            return Err(SignatureError::Frame(FrameError::TooLarge {
                size: release.len(),
                limit: "MAX_SIGNED",
            }));
        }
        let packets = clearsign::detached(signature).map_err(SignatureError::Frame)?;
        let text =
            std::str::from_utf8(release).map_err(|_| SignatureError::Frame(FrameError::NotText))?;
        let signers = self.signers(&packets, release, SignatureType::Binary, now)?;
        Ok(Signed {
            text: text.into(),
            signers,
        })
    }

    fn signers(
        &self,
        packets: &[u8],
        hashed: &[u8],
        wanted: SignatureType,
        now: i64,
    ) -> Result<Vec<Signer>, SignatureError> {
        let mut signers = Vec::new();
        let mut rejected = Vec::new();
        for (count, packet) in PacketParser::new(packets).enumerate() {
            let signature = match packet {
                _ if count >= MAX_SIGNATURES => return Err(SignatureError::TooMany),
                Ok(Packet::Signature(signature)) => signature,
                Ok(_) => return Err(SignatureError::OtherPacket),
                // A kind of signature of the future stands beside one that is known.
                Err(pgp::errors::Error::Unsupported { .. }) => {
                    rejected.push(Rejected {
                        issuer: "unknown".into(),
                        reason: Reason::Unsupported,
                    });
                    continue;
                }
                Err(error) => return Err(SignatureError::Packets(error.into())),
            };
            match self.judge(&signature, hashed, wanted, now) {
                Ok(signer) => signers.push(signer),
                Err(reason) => rejected.push(Rejected {
                    issuer: issuer(&signature),
                    reason,
                }),
            }
        }
        match (signers.is_empty(), rejected.is_empty()) {
            (false, _) => Ok(signers),
            (true, true) => Err(SignatureError::None),
            (true, false) => Err(SignatureError::NoneGood { rejected }),
        }
    }

    /// Looks for the key that a signature names and asks whether it may sign and did.
    fn judge(
        &self,
        signature: &Signature,
        hashed: &[u8],
        wanted: SignatureType,
        now: i64,
    ) -> Result<Signer, Reason> {
        let mut reason = Reason::UnknownKey;
        for certificate in self.signed_keys() {
            let primary = &certificate.primary_key;
            let subkeys = certificate.public_subkeys.iter();
            let Some(subkey) = std::iter::once(None)
                .chain(subkeys.map(Some))
                .find(|subkey| match subkey {
                    None => names(signature, primary),
                    Some(subkey) => names(signature, &subkey.key),
                })
            else {
                continue;
            };
            let verdict = (|| {
                let created = policy::sane(signature, now)?;
                if signature.typ() != Some(wanted) {
                    return Err(Reason::WrongType);
                }
                let standing = policy::standing(certificate, now)?;
                match subkey {
                    Some(subkey) => {
                        policy::subkey_signs(certificate, subkey, now)?;
                        matches(signature, &subkey.key, hashed, created)?;
                    }
                    None if standing.primary_signs => matches(signature, primary, hashed, created)?,
                    None => return Err(Reason::MayNotSign),
                }
                Ok(Signer {
                    fingerprint: format!("{:X}", primary.fingerprint()),
                    subkey: subkey.map(|subkey| format!("{:X}", subkey.key.fingerprint())),
                    key_name: standing.name,
                    created,
                })
            })();
            match verdict {
                Ok(signer) => return Ok(signer),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }
}

fn matches(
    signature: &Signature,
    key: &impl VerifyingKey,
    hashed: &[u8],
    created: i64,
) -> Result<(), Reason> {
    if created < i64::from(key.created_at().as_secs()) {
        return Err(Reason::BeforeKey { created });
    }
    signature.verify(key, hashed).map_err(|_| Reason::Mismatch)
}

/// Whether a signature says that this key made it. One that names nobody matches no key.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let prints = signature.issuer_fingerprint();
    match prints.is_empty() {
        false => prints.iter().all(|print| **print == key.fingerprint()),
        true => (signature.issuer_key_id().iter()).any(|id| **id == key.legacy_key_id()),
    }
}

fn issuer(signature: &Signature) -> String {
    if let Some(print) = signature.issuer_fingerprint().first() {
        return format!("{print:X}");
    }
    match signature.issuer_key_id().first() {
        Some(id) => id.to_string().to_uppercase(),
        None => "unknown".into(),
    }
}

#[cfg(test)]
mod tests;
