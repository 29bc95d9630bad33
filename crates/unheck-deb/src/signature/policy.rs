//! Which keys of a certificate may sign, and which signatures count at all: everything that the
//! OpenPGP library leaves to its user (RFC 9580, 5.2.3 and 10.1).
//!
//! Strict: any valid revocation is for ever, SHA-1 and older never count, and a signing subkey
//! must have signed its own binding. Start at [`standing`].

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag};

use super::Reason;
use crate::release::FUTURE_TOLERANCE;

/// What the self-signatures of a certificate say at some time.
pub(super) struct Standing {
    /// The name: the newest valid user id.
    pub(super) name: String,
    /// When the certificate ends, Unix seconds.
    pub(super) expires: Option<i64>,
    /// Whether the primary key itself may sign data.
    pub(super) primary_signs: bool,
}

/// Whether a signature is of a kind that counts at `now`, before any mathematics.
pub(super) fn sane(signature: &Signature, now: i64) -> Result<i64, Reason> {
    let config = signature.config().ok_or(Reason::Unsupported)?;
    if !matches!(
        signature.version(),
        SignatureVersion::V4 | SignatureVersion::V6
    ) {
        return Err(Reason::Unsupported);
    }
    let strong = matches!(
        config.hash_alg,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    );
    if !strong {
        return Err(Reason::WeakHash(config.hash_alg.to_string()));
    }
    // RFC 9580, 5.2.3.7: a critical subpacket that is not understood voids the signature.
    let unknown = config.hashed_subpackets().any(|packet| {
        let strange = matches!(
            packet.data,
            SubpacketData::Other(..)
                | SubpacketData::Experimental(..)
                | SubpacketData::Notation(..)
        );
        packet.is_critical && strange
    });
    if unknown {
        return Err(Reason::Unsupported);
    }
    let created = config.created().ok_or(Reason::Undated)?;
    let created = i64::from(created.as_secs());
    if created > now.saturating_add(FUTURE_TOLERANCE) {
        return Err(Reason::Future { created, now });
    }
    match after(created, signature.signature_expiration_time()) {
        Some(expired) if expired <= now => Err(Reason::SignatureExpired { expired, now }),
        _ => Ok(created),
    }
}

/// Start plus duration; none, or zero, means never (RFC 9580, 5.2.3.13).
fn after(start: i64, duration: Option<pgp::types::Duration>) -> Option<i64> {
    let seconds = duration?.as_secs();
    (seconds != 0).then(|| start.saturating_add(i64::from(seconds)))
}

/// The newest of some signatures that are sane and pass `valid`.
fn newest<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
    now: i64,
    valid: impl Fn(&Signature) -> bool,
) -> Option<(i64, &'a Signature)> {
    signatures
        .filter_map(|signature| Some((sane(signature, now).ok()?, signature)))
        .filter(|(_, signature)| valid(signature))
        .max_by_key(|(created, _)| *created)
}

/// Judges the certificate as a whole.
pub(super) fn standing(certificate: &SignedPublicKey, now: i64) -> Result<Standing, Reason> {
    let primary = &certificate.primary_key;
    let details = &certificate.details;
    strong_key(primary)?;
    // A revocation counts even when its own hash is weak or its date odd.
    if details
        .revocation_signatures
        .iter()
        .any(|one| one.verify_key(primary).is_ok())
    {
        return Err(Reason::Revoked);
    }
    let mut own: Vec<&Signature> = Vec::new();
    let direct = newest(details.direct_signatures.iter(), now, |one| {
        one.typ() == Some(SignatureType::Key) && one.verify_key(primary).is_ok()
    });
    own.extend(direct.map(|(_, signature)| signature));
    let mut name: Option<(i64, String)> = None;
    for user in &details.users {
        let mine = |one: &Signature| {
            one.verify_certification(primary, Tag::UserId, &user.id)
                .is_ok()
        };
        let found = newest(user.signatures.iter(), now, |one| {
            certifies(one) && mine(one)
        });
        let Some((created, signature)) = found else {
            continue;
        };
        let revokes = |one: &Signature| one.typ() == Some(SignatureType::CertRevocation);
        if user.signatures.iter().any(|one| revokes(one) && mine(one)) {
            continue;
        }
        own.push(signature);
        if name.as_ref().is_none_or(|(before, _)| created > *before) {
            let text = String::from_utf8_lossy(user.id.id());
            name = Some((created, crate::quote::quote(&text)));
        }
    }
    if own.is_empty() {
        return Err(Reason::NotBound);
    }
    // Debian's direct signatures name a revoker and no expiry, their user ids do: the earliest
    // date that any of them names counts.
    let start = i64::from(primary.created_at().as_secs());
    let ends = own
        .iter()
        .filter_map(|one| after(start, one.key_expiration_time()));
    let expires = ends.min();
    if let Some(expired) = expires.filter(|at| *at <= now) {
        return Err(Reason::KeyExpired { expired, now });
    }
    let primary_signs = match own.iter().any(|one| has_flags(one)) {
        true => own.iter().any(|one| one.key_flags().sign()),
        false => true,
    };
    Ok(Standing {
        name: name.map_or_else(|| "(no name)".into(), |(_, name)| name),
        expires,
        primary_signs,
    })
}

/// Whether a signature vouches for a user id. The library's own `is_certification` also counts
/// revocations.
fn certifies(signature: &Signature) -> bool {
    use SignatureType::{CertCasual, CertGeneric, CertPersona, CertPositive};
    matches!(
        signature.typ(),
        Some(CertGeneric | CertPersona | CertCasual | CertPositive)
    )
}

/// Old version 4 certificates carry no flags; their primary key may then do everything
/// (RFC 9580, 10.1.3 leaves it to the reader, GnuPG does so).
fn has_flags(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
        config
            .hashed_subpackets()
            .any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    })
}

/// Whether a subkey may sign data at `now`, and until when.
pub(super) fn subkey_signs(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: i64,
) -> Result<Option<i64>, Reason> {
    let primary = &certificate.primary_key;
    strong_key(&subkey.key)?;
    let valid = |one: &Signature| one.verify_subkey_binding(primary, &subkey.key).is_ok();
    let of_type = |one: &Signature, wanted| one.typ() == Some(wanted);
    let revoked = |one: &Signature| of_type(one, SignatureType::SubkeyRevocation) && valid(one);
    if subkey.signatures.iter().any(revoked) {
        return Err(Reason::Revoked);
    }
    let binding = newest(subkey.signatures.iter(), now, |one| {
        of_type(one, SignatureType::SubkeyBinding) && valid(one)
    });
    let (_, binding) = binding.ok_or(Reason::NotBound)?;
    if !binding.key_flags().sign() {
        return Err(Reason::MayNotSign);
    }
    let back = binding.embedded_signature().ok_or(Reason::NotBound)?;
    sane(back, now)?;
    if back
        .verify_primary_key_binding(&subkey.key, primary)
        .is_err()
    {
        return Err(Reason::NotBound);
    }
    let created = i64::from(subkey.key.created_at().as_secs());
    match after(created, binding.key_expiration_time()) {
        Some(expired) if expired <= now => Err(Reason::KeyExpired { expired, now }),
        expires => Ok(expires),
    }
}

/// RSA from 2048 bits, ECDSA and EdDSA; nothing else has a place in an archive keyring.
fn strong_key(key: &impl KeyDetails) -> Result<(), Reason> {
    let strong = match key.public_params() {
        // Two length bytes and the modulus, two length bytes and the exponent.
        params @ PublicParams::RSA(_) => params.write_len() > 2 + 256 + 2,
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => true,
        _ => false,
    };
    match strong {
        true => Ok(()),
        false => Err(Reason::WeakKey),
    }
}
