//! The signed indexes of the day on which a lock was made, and whether they say what the lock says. Start at
//! [`verify_chain`].
//!
//! The chain is that of [`super::Suites`], but every step is also pinned by the lock: nothing is newer or chosen, and
//! that a suite has expired since says nothing against what was locked.

use std::collections::BTreeMap;
use std::io::Read as _;

use unheck_base::{Digest, TreePath};
use unheck_deb::release::{Release, ReleaseError};
use unheck_deb::signature::{Keyring, SignatureError, Signed};
use unheck_store::StoreError;

use super::packages::Table;
use super::suites::{Loaded, MAX_INRELEASE, SuitesError};
use crate::explain::{Class, Explain};
use crate::kit::KitError;
use crate::lock::{Deb, Lock, Suite, Target};
use crate::net::{NetError, Want};
use crate::session::Session;

/// The indexes of a lock; all of them are in the store.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// `InRelease` and `Packages` files, each once.
    pub files: Vec<ChainFile>,
    /// Names of the suites whose signatures are good, sorted.
    pub suites: Vec<String>,
    /// How many Debian packages were found in them.
    pub debs: usize,
}

/// One signed file, or one that a signed file names.
#[derive(Debug, Clone)]
pub struct ChainFile {
    /// Its digest.
    pub digest: Digest,
    /// `trixie/InRelease`.
    pub name: String,
    /// Why it is there.
    pub why: String,
}

/// The chain of a lock does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A file cannot be had.
    #[error("cannot get the signed index of the suite `{suite}`")]
    Net {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// The mirror has another state of the suite.
    #[error(
        "the mirror has another `InRelease` of the suite `{suite}` than the lock, which is of {date}"
    )]
    MovedOn {
        /// The suite.
        suite: String,
        /// Its date in the lock.
        date: String,
    },
    /// The signature is not good.
    #[error("the signature of the suite `{suite}` is not good")]
    Signature {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: SignatureError,
    },
    /// Somebody else signed it.
    #[error("the suite `{suite}` is not signed by a key that the lock names: {signers}")]
    Signers {
        /// The suite.
        suite: String,
        /// Fingerprints of the good signatures.
        signers: String,
    },
    /// The signed text is no Release file, or another suite's.
    #[error("the index of the suite `{suite}` is not one")]
    Release {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: ReleaseError,
    },
    /// The signed text says something else than the lock.
    #[error("the signed index of the suite `{suite}` does not say what the lock says: {what}")]
    Differs {
        /// The suite.
        suite: String,
        /// What differs.
        what: String,
    },
    /// A package is not listed.
    #[error(
        "the Debian package `{package}` of the lock is not listed in the signed index of `{suite}`"
    )]
    NotListed {
        /// Name and version.
        package: String,
        /// The suite that the lock names.
        suite: String,
    },
    /// The kit with the keys is not to be used.
    #[error(transparent)]
    Kit(#[from] KitError),
    /// An index cannot be read.
    #[error("cannot read the indexes of the lock")]
    Index(#[from] Box<SuitesError>),
    /// The store failed.
    #[error("cannot keep the indexes of the lock")]
    Store(#[from] StoreError),
}

impl Explain for ChainError {
    fn class(&self) -> Class {
        match self {
            Self::Net { source, .. } => source.class(),
            Self::Kit(source) => source.class(),
            Self::Index(source) => source.class(),
            Self::Store(source) if source.is_no_space() => Class::Limit,
            Self::Store(_) | Self::MovedOn { .. } => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net { source, .. } => source.hints(),
            Self::Kit(source) => source.hints(),
            Self::Index(source) => source.hints(),
            Self::Store(source) => source.hint().into_iter().collect(),
            Self::MovedOn { .. } => vec![
                "name an archive of old states with `--snapshot-mirror URL`, or choose anew with `unheck lock`".to_owned(),
            ],
            Self::Signature { source, .. } => source
                .hint()
                .into_iter()
                .chain(["trust another archive's keys with `--keyring FILE`".to_owned()])
                .collect(),
            Self::Signers { .. }
            | Self::Release { .. }
            | Self::Differs { .. }
            | Self::NotListed { .. } => vec![
                "somebody changed the lock by hand: find out who and why, then choose anew with `unheck lock`".to_owned(),
            ],
        }
    }
}

/// Brings the signed indexes of a lock into the store and goes along the chain: a good signature by a key of `keyring`
/// that the lock names, the digests of the indexes, and in them each Debian package of the lock with its digest.
///
/// # Errors
/// [`ChainError`] at the first step that does not hold.
pub fn verify_chain(
    session: &Session,
    lock: &Lock,
    keyring: &Keyring,
) -> Result<Chain, ChainError> {
    let mut chain = Chain::default();
    let mut files: BTreeMap<Digest, ChainFile> = BTreeMap::new();
    for target in lock.with_helper() {
        for suite in &target.suites {
            let loaded = signed(session, keyring, suite)?;
            files.entry(suite.inrelease).or_insert_with(|| ChainFile {
                digest: suite.inrelease,
                name: format!("{}/InRelease", suite.name),
                why: format!("signed index of the suite {}", suite.name),
            });
            for (path, digest) in &suite.indexes {
                bring(session, suite, &loaded, (path, *digest))?;
                chain.debs += listed(session, target, suite, (&loaded, path, *digest))?;
                files.entry(*digest).or_insert_with(|| ChainFile {
                    digest: *digest,
                    name: format!("{}/{path}", suite.name),
                    why: format!("packages of the suite {}", suite.name),
                });
            }
            chain.suites.push(suite.name.clone());
        }
        // A package whose suite the lock does not have is listed nowhere.
        let known = |deb: &&Deb| target.suites.iter().any(|suite| suite.name == deb.suite);
        if let Some(deb) = debs(target).find(|deb| !known(deb)) {
            return Err(not_listed(deb));
        }
    }
    chain.suites.sort();
    chain.suites.dedup();
    chain.files = files.into_values().collect();
    Ok(chain)
}

fn debs(target: &Target) -> impl Iterator<Item = &Deb> {
    target.debs.iter().chain(&target.build_debs)
}

fn not_listed(deb: &Deb) -> ChainError {
    ChainError::NotListed {
        package: format!("{} {}", deb.name, deb.version),
        suite: deb.suite.clone(),
    }
}

/// A suite's signed text, checked.
fn signed(session: &Session, keyring: &Keyring, suite: &Suite) -> Result<Loaded, ChainError> {
    let name = || suite.name.clone();
    let bytes = inrelease(session, suite)?;
    let Signed { text, signers } =
        keyring
            .verify_inrelease(&bytes, session.now)
            .map_err(|source| ChainError::Signature {
                suite: name(),
                source,
            })?;
    let signers: Vec<String> = signers
        .into_iter()
        .map(|signer| signer.fingerprint)
        .collect();
    if !signers.iter().any(|one| suite.signed_by.contains(one)) {
        return Err(ChainError::Signers {
            suite: name(),
            signers: signers.join(", "),
        });
    }
    let failed = |source| ChainError::Release {
        suite: name(),
        source,
    };
    let release = Release::parse(&text).map_err(failed)?;
    release.expect_suite(&suite.name).map_err(failed)?;
    if release.date != suite.date {
        return Err(ChainError::Differs {
            suite: name(),
            what: "it has another date".to_owned(),
        });
    }
    Ok(Loaded {
        name: name(),
        archive: suite.archive,
        release,
        inrelease: suite.inrelease,
        signed_by: signers,
    })
}

/// The bytes of the `InRelease` file that the lock names: out of the store or the kit, else from the mirror, where it
/// still is, or from the archive of old states.
fn inrelease(session: &Session, suite: &Suite) -> Result<Vec<u8>, ChainError> {
    let store = session.store();
    let failed = |source| ChainError::Net {
        suite: suite.name.clone(),
        source,
    };
    session.net.take(&[suite.inrelease]).map_err(failed)?;
    if store.has(&suite.inrelease) {
        let mut bytes = Vec::new();
        let mut blob = store.open_verified(&suite.inrelease)?.take(MAX_INRELEASE);
        blob.read_to_end(&mut bytes)
            .map_err(|source| failed(NetError::Read(source)))?;
        return Ok(bytes);
    }
    let path = format!("dists/{}/InRelease", suite.name);
    let mut last = None;
    for url in session
        .mirror
        .package_urls(suite.archive, &path, suite.date)
    {
        match session.net.small(&url, MAX_INRELEASE) {
            Ok(bytes) if Digest::of(&bytes) == suite.inrelease => {
                store.put_bytes(&bytes)?;
                return Ok(bytes);
            }
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if !error.is_not_found() => Err(failed(error)),
        _ => Err(ChainError::MovedOn {
            suite: suite.name.clone(),
            date: jiff::Timestamp::from_second(suite.date)
                .map_or_else(|_| suite.date.to_string(), |date| date.to_string()),
        }),
    }
}

/// Brings an index into the store that the signed text names as the lock does.
fn bring(
    session: &Session,
    suite: &Suite,
    loaded: &Loaded,
    (path, digest): (&str, Digest),
) -> Result<(), ChainError> {
    let place = TreePath::new(path).ok();
    let entry = place
        .as_ref()
        .and_then(|place| loaded.release.files.get(place))
        .filter(|entry| entry.digest == digest);
    let (Some(place), Some(entry)) = (&place, entry) else {
        return Err(ChainError::Differs {
            suite: suite.name.clone(),
            what: format!("`{}` has another digest", path.escape_debug()),
        });
    };
    let mut urls = loaded.index_urls(&session.mirror, place);
    let below = format!("dists/{}/{place}", suite.name);
    urls.extend(
        session
            .mirror
            .package_urls(suite.archive, &below, suite.date)
            .into_iter()
            .skip(1),
    );
    let want = Want {
        label: format!("{} {}", suite.name, place.file_name()),
        urls,
        digest,
        size: Some(entry.size),
        credentials: false,
    };
    session
        .net
        .fetch(vec![want])
        .map_err(|source| ChainError::Net {
            suite: suite.name.clone(),
            source,
        })
}

/// Finds the packages that a target has from a suite in its index; how many there are.
fn listed(
    session: &Session,
    target: &Target,
    suite: &Suite,
    (loaded, path, digest): (&Loaded, &str, Digest),
) -> Result<usize, ChainError> {
    let table = Table::load(session.store(), loaded, path, digest).map_err(Box::new)?;
    let mut count = 0;
    for deb in debs(target).filter(|deb| deb.suite == suite.name) {
        let same = table.package(&deb.name).is_some_and(|package| {
            package.sha256 == deb.sha256
                && package.size == deb.size
                && package.version.to_string() == deb.version
        });
        if !same {
            return Err(not_listed(deb));
        }
        count += 1;
    }
    Ok(count)
}
