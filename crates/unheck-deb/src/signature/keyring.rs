//! Keyrings: certificates that are trusted because the user, or this program, names them.

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

use super::policy;

/// The keys of the Debian archive, as `keys/README.md` describes them.
static DEBIAN: &[u8] = include_bytes!("../../keys/debian-archive-keyring.pgp");

/// When the embedded Debian keyring was made: Unix seconds of the package's changelog.
pub const DEBIAN_KEYRING_DATE: i64 = 1_744_236_346;

/// The largest keyring accepted, in bytes.
pub const MAX_KEYRING: usize = 8 << 20;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// A set of trusted certificates.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// One certificate of a keyring, as it stands at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The fingerprint of the primary key, upper-case hexadecimal.
    pub fingerprint: String,
    /// The newest valid user id, or why the certificate is of no use.
    pub name: Result<String, super::Reason>,
    /// When it expires, Unix seconds.
    pub expires: Option<i64>,
    /// Whether the primary key may sign data.
    pub primary_signs: bool,
    /// Its subkeys.
    pub subkeys: Vec<SubkeyStanding>,
}

/// One subkey, as it stands at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubkeyStanding {
    /// Its fingerprint, upper-case hexadecimal.
    pub fingerprint: String,
    /// Until when it may sign (`None` inside: for ever), or why it may not.
    pub signs_until: Result<Option<i64>, super::Reason>,
}

/// Why bytes are not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// More than [`MAX_KEYRING`] bytes.
    #[error("the keyring has {size} bytes, more than the limit `MAX_KEYRING`")]
    TooLarge {
        /// How many there are.
        size: usize,
    },
    /// Neither armored nor binary OpenPGP keys.
    #[error("the keyring is neither a binary nor an armored set of OpenPGP public keys")]
    Form,
    /// One of the keys cannot be read.
    #[error("cannot read key {number} of the keyring")]
    Key {
        /// Which one, from 1.
        number: usize,
        /// The OpenPGP library's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no key in it.
    #[error("the keyring has no key")]
    Empty,
}

impl Keyring {
    /// The keys of the Debian archive for bullseye and later, shipped in this program.
    pub fn debian() -> Self {
        // A test reads them; an empty keyring, should that test ever be gone, trusts nobody.
        Self::from_bytes(DEBIAN).unwrap_or_default()
    }

    /// The bytes of [`Keyring::debian`], as `gpgv` and other tools read them too.
    pub const fn debian_bytes() -> &'static [u8] {
        DEBIAN
    }

    /// Reads a keyring: binary, or one or more armored blocks one after the other with any text
    /// around them.
    ///
    /// # Errors
    /// [`KeyringError`]; a keyring with one bad key is refused whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > MAX_KEYRING {
            return Err(KeyringError::TooLarge { size: bytes.len() });
        }
        let mut keyring = Self::default();
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            keyring.read(SignedPublicKey::from_bytes_many(bytes))?;
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| KeyringError::Form)?;
            let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
            for (number, start) in starts.iter().enumerate() {
                let end = starts.get(number + 1).copied().unwrap_or(text.len());
                let block = &text.as_bytes()[*start..end];
                let keys = SignedPublicKey::from_armor_many_buf(block);
                keyring.read(keys.map(|(keys, _headers)| keys))?;
            }
            if starts.is_empty() && !bytes.is_empty() {
                return Err(KeyringError::Form);
            }
        }
        match keyring.certificates.is_empty() {
            true => Err(KeyringError::Empty),
            false => Ok(keyring),
        }
    }

    fn read<'a>(
        &mut self,
        keys: pgp::errors::Result<
            Box<dyn Iterator<Item = pgp::errors::Result<SignedPublicKey>> + 'a>,
        >,
    ) -> Result<(), KeyringError> {
        let number = self.certificates.len() + 1;
        let wrong = |number, source: pgp::errors::Error| KeyringError::Key {
            number,
            source: source.into(),
        };
        for (count, key) in keys.map_err(|error| wrong(number, error))?.enumerate() {
            self.add(key.map_err(|error| wrong(number + count, error))?);
        }
        Ok(())
    }

    /// Adds the keys of another keyring.
    pub fn merge(&mut self, other: Self) {
        for certificate in other.certificates {
            self.add(certificate);
        }
    }

    /// A certificate that is there already gains what is new, revocations above all.
    fn add(&mut self, new: SignedPublicKey) {
        let same = |old: &&mut SignedPublicKey| old.primary_key == new.primary_key;
        let Some(old) = self.certificates.iter_mut().find(same) else {
            self.certificates.push(new);
            return;
        };
        let details = &mut old.details;
        details
            .revocation_signatures
            .extend(new.details.revocation_signatures);
        details
            .direct_signatures
            .extend(new.details.direct_signatures);
        details.users.extend(new.details.users);
        for subkey in new.public_subkeys {
            match old
                .public_subkeys
                .iter_mut()
                .find(|known| known.key == subkey.key)
            {
                Some(known) => known.signatures.extend(subkey.signatures),
                None => old.public_subkeys.push(subkey),
            }
        }
    }

    /// Every certificate, as it stands at `now` (Unix seconds), in the order of the keyring.
    pub fn certificates(&self, now: i64) -> Vec<Certificate> {
        let one = |certificate: &SignedPublicKey| {
            let standing = policy::standing(certificate, now);
            let subkeys = certificate
                .public_subkeys
                .iter()
                .map(|subkey| SubkeyStanding {
                    fingerprint: format!("{:X}", subkey.key.fingerprint()),
                    signs_until: policy::subkey_signs(certificate, subkey, now),
                });
            Certificate {
                fingerprint: format!("{:X}", certificate.primary_key.fingerprint()),
                expires: standing.as_ref().ok().and_then(|standing| standing.expires),
                primary_signs: standing
                    .as_ref()
                    .is_ok_and(|standing| standing.primary_signs),
                name: standing.map(|standing| standing.name),
                subkeys: subkeys.collect(),
            }
        };
        self.certificates.iter().map(one).collect()
    }

    pub(super) fn signed_keys(&self) -> &[SignedPublicKey] {
        &self.certificates
    }
}
