//! The engine's way to the network: small files and blobs into the store. Start at [`Net`].

use std::sync::Arc;

use rayon::prelude::*;
use unheck_base::Digest;
use unheck_store::fetch::{
    FetchError, FetchEvent, FetchOptions, FetchStep, HttpOptions, SourceError, Transport,
    WebTransport, fetch_all, get_small,
};
use unheck_store::{Store, StoreError};
use url::Url;

use crate::event::{Event, Reporter};
use crate::explain::{Class, Explain};
use crate::kit::{KitError, KitFile};

/// A file that must be in the store.
#[derive(Debug, Clone)]
pub struct Want {
    /// What it is called in progress and messages.
    pub label: String,
    /// Where it may be, the first first.
    pub urls: Vec<Url>,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes, where known.
    pub size: Option<u64>,
    /// Whether the index's credentials may be needed for it.
    pub credentials: bool,
}

/// The network did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The network is switched off and the store lacks something.
    #[error("{} that the store lacks cannot be fetched offline: {}", plural(labels.len()), labels.join(", "))]
    Offline {
        /// What is lacking.
        labels: Vec<String>,
    },
    /// A download failed.
    #[error("a download failed")]
    Fetch(#[from] FetchError),
    /// A small file cannot be read.
    #[error("cannot read `{url}`")]
    Small {
        /// Its address, without credentials.
        url: String,
        /// Why not.
        #[source]
        source: Box<SourceError>,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A file of the store cannot be read.
    #[error("cannot read from the store")]
    Read(#[source] std::io::Error),
    /// What a kit has of it is not to be used.
    #[error(transparent)]
    Kit(#[from] KitError),
    /// The HTTP client cannot be made.
    #[error("cannot set up the network client: {0}")]
    Client(String),
}

fn plural(count: usize) -> String {
    if count == 1 {
        "a file".to_owned()
    } else {
        format!("{count} files")
    }
}

impl Explain for NetError {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Fetch(error) if error.is_no_space() => Class::Limit,
            Self::Kit(error) => error.class(),
            // The file came, and it is not the one that was locked or listed: it is refused.
            Self::Fetch(error) if error.failures.iter().any(is_other_file) => Class::Input,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Offline { .. } => vec!["run once without `--offline`".to_owned()],
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Kit(error) => error.hints(),
            Self::Fetch(error) if error.is_no_space() => vec!["free some space, or choose another place with `--cache-dir`".to_owned()],
            Self::Fetch(error) if error.failures.iter().any(|failure| failure.reason.is_not_found()) => vec![
                "the mirror or index has moved on and no longer has it: name an archive of old states with `--snapshot-mirror URL`, or choose anew with `unheck lock`".to_owned(),
            ],
            Self::Fetch(error) if error.failures.iter().any(is_other_file) => vec![
                "the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`".to_owned(),
            ],
            Self::Fetch(_) | Self::Small { .. } => vec!["check the network and the addresses, then run the same command again: what arrived is kept".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Whether a download came whole and was another file than the one wanted.
pub(crate) fn is_other_file(failure: &unheck_store::fetch::FetchFailure) -> bool {
    matches!(
        failure.reason,
        SourceError::WrongDigest { .. } | SourceError::WrongSize { .. }
    )
}

/// The network, the store it fills and the reporter it tells.
pub struct Net {
    runtime: Runtime,
    plain: Arc<dyn Transport>,
    authenticated: Option<Arc<dyn Transport>>,
    kit: Option<Arc<KitFile>>,
    store: Store,
    reporter: Arc<dyn Reporter>,
    offline: bool,
    options: FetchOptions,
}

/// The runtime of all downloads. When it is dropped every download has ended one way or the other;
/// what is left are idle connections and lookups of names, seconds of them, which nobody waits for.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.0.as_ref().expect("taken when it is dropped only");
        runtime.block_on(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl NetError {
    /// Whether the server answered that there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Small { source, .. } if source.is_not_found())
    }
}

impl Net {
    /// A client over `store`.
    ///
    /// # Errors
    /// [`NetError::Client`] when its threads cannot be made.
    pub fn new(store: Store, reporter: Arc<dyn Reporter>, offline: bool) -> Result<Self, NetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| NetError::Client(error.to_string()))?;
        let plain = WebTransport::new(&HttpOptions::default());
        Ok(Self {
            runtime: Runtime(Some(runtime)),
            plain: Arc::new(plain),
            authenticated: None,
            kit: None,
            store,
            reporter,
            offline,
            options: FetchOptions::default(),
        })
    }

    /// The same with a client that knows the index's credentials.
    #[must_use]
    pub fn with_credentials(mut self, transport: Arc<dyn Transport>) -> Self {
        self.authenticated = Some(transport);
        self
    }

    /// The same with a kit, which is asked before the network.
    #[must_use]
    pub fn with_kit(mut self, kit: Arc<KitFile>) -> Self {
        self.kit = Some(kit);
        self
    }

    /// The kit, where there is one.
    pub fn kit(&self) -> Option<&KitFile> {
        self.kit.as_deref()
    }

    /// Whether a blob can be had without the network.
    pub fn is_near(&self, digest: &Digest) -> bool {
        self.store.has(digest) || self.kit().is_some_and(|kit| kit.has(digest))
    }

    /// Brings those of the blobs that the kit has into the store.
    ///
    /// # Errors
    /// [`NetError::Kit`].
    pub(crate) fn take(&self, digests: &[Digest]) -> Result<(), NetError> {
        let Some(kit) = self.kit() else {
            return Ok(());
        };
        let missing = digests.par_iter().filter(|digest| !self.store.has(digest));
        missing.try_for_each(|digest| kit.take(&self.store, digest).map(drop))?;
        Ok(())
    }

    /// Brings what the kit has into the store; the wants that are left.
    fn rest_after_kit(
        &self,
        wants: Vec<Want>,
        ready: &(dyn Fn(&Digest) + Sync),
    ) -> Result<Vec<Want>, NetError> {
        let Some(kit) = self.kit() else {
            return Ok(wants);
        };
        let (here, others): (Vec<Want>, Vec<Want>) =
            wants.into_iter().partition(|want| kit.has(&want.digest));
        here.par_iter().try_for_each(|want| {
            let bytes = kit.take(&self.store, &want.digest)?;
            self.reporter.event(Event::Download {
                label: &want.label,
                done: bytes,
                total: Some(bytes),
            });
            ready(&want.digest);
            Ok::<_, KitError>(())
        })?;
        Ok(others)
    }

    /// The same with other limits on time and retries.
    #[must_use]
    pub fn with_options(mut self, options: FetchOptions) -> Self {
        self.options = options;
        self
    }

    /// The store that downloads go to.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the network is switched off.
    pub const fn is_offline(&self) -> bool {
        self.offline
    }

    /// Runs a future of the resolver, which must stay on this thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The bytes of a file of at most `max` bytes; nothing is kept.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn small(&self, url: &Url, max: u64) -> Result<Vec<u8>, NetError> {
        if self.offline && url.scheme() != "file" {
            return Err(NetError::Offline {
                labels: vec![url.path().to_owned()],
            });
        }
        let options = self.options.clone();
        let read = get_small(self.plain.as_ref(), url, max, &options);
        let bytes = self
            .runtime
            .block_on(read)
            .map_err(|source| NetError::Small {
                url: unheck_store::fetch::redacted(url),
                source: Box::new(source),
            })?;
        Ok(bytes.to_vec())
    }

    /// Brings every wanted file into the store; those that are there cost nothing.
    ///
    /// # Errors
    /// [`NetError`], with all failures.
    pub fn fetch(&self, wants: Vec<Want>) -> Result<(), NetError> {
        self.fetch_each(wants, &|_| {})
    }

    /// The same, telling `ready` of each file that came as soon as it is in the store.
    ///
    /// # Errors
    /// [`NetError`], with all failures.
    pub fn fetch_each(
        &self,
        wants: Vec<Want>,
        ready: &(dyn Fn(&Digest) + Sync),
    ) -> Result<(), NetError> {
        let missing: Vec<Want> = wants
            .into_iter()
            .filter(|want| !self.store.has(&want.digest))
            .collect();
        let missing = self.rest_after_kit(missing, ready)?;
        if missing.is_empty() {
            return Ok(());
        }
        let (local, remote): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|want| want.urls.iter().any(|url| url.scheme() == "file"));
        if self.offline && !remote.is_empty() {
            return Err(NetError::Offline {
                labels: remote.into_iter().map(|want| want.label).collect(),
            });
        }
        let (private, public): (Vec<_>, Vec<_>) = local
            .into_iter()
            .chain(remote)
            .partition(|want| want.credentials);
        let authenticated = self.authenticated.as_ref().unwrap_or(&self.plain);
        let options = self.options.clone();
        let (public, private) = (convert(public), convert(private));
        let told = |wants: &[unheck_store::fetch::Want], event: &FetchEvent<'_>| {
            self.progress(event);
            if let FetchStep::Done { .. } | FetchStep::Cached { .. } = event.what
                && let Some(digest) = &wants[event.index].digest
            {
                ready(digest);
            }
        };
        let public_told = |event: FetchEvent<'_>| told(&public, &event);
        let private_told = |event: FetchEvent<'_>| told(&private, &event);
        self.runtime.block_on(async {
            let public = fetch_all(
                &self.store,
                self.plain.as_ref(),
                &public,
                &options,
                &public_told,
            );
            let private = fetch_all(
                &self.store,
                authenticated.as_ref(),
                &private,
                &options,
                &private_told,
            );
            let (one, other) = tokio::join!(public, private);
            one.and(other)
        })?;
        Ok(())
    }

    /// Fetches a file of which no digest is known; its digest is the answer.
    ///
    /// # Errors
    /// [`NetError`].
    pub fn fetch_unknown(
        &self,
        label: &str,
        url: Url,
        size: Option<u64>,
    ) -> Result<Digest, NetError> {
        if self.offline && url.scheme() != "file" {
            return Err(NetError::Offline {
                labels: vec![label.to_owned()],
            });
        }
        let want = unheck_store::fetch::Want {
            label: label.to_owned(),
            sources: vec![url],
            digest: None,
            size,
            max_size: MAX_FILE,
        };
        let transport = self.authenticated.as_ref().unwrap_or(&self.plain);
        let progress = |event: FetchEvent<'_>| self.progress(&event);
        let options = self.options.clone();
        let digests = self.runtime.block_on(fetch_all(
            &self.store,
            transport.as_ref(),
            &[want],
            &options,
            &progress,
        ))?;
        Ok(digests[0])
    }

    /// Brings files into the store by a transport of the caller's, who has looked whether the network is
    /// switched off.
    ///
    /// # Errors
    /// [`NetError`], with all failures.
    pub(crate) fn fetch_by(
        &self,
        transport: &dyn Transport,
        wants: &[unheck_store::fetch::Want],
    ) -> Result<(), NetError> {
        let told = |event: FetchEvent<'_>| self.progress(&event);
        let fetched = fetch_all(&self.store, transport, wants, &self.options, &told);
        self.runtime.block_on(fetched)?;
        Ok(())
    }

    fn progress(&self, event: &FetchEvent<'_>) {
        let label = event.label;
        match event.what {
            FetchStep::Progress { got, total } => {
                self.reporter.event(Event::Download {
                    label,
                    done: got,
                    total,
                });
            }
            FetchStep::Done { bytes } => {
                self.reporter.event(Event::Download {
                    label,
                    done: bytes,
                    total: Some(bytes),
                });
            }
            FetchStep::Retry { reason, .. } => {
                self.reporter.event(Event::Retry {
                    label,
                    why: &reason.to_string(),
                });
            }
            _ => {}
        }
    }
}

/// Largest file that is fetched when nothing says how long it is.
const MAX_FILE: u64 = 16 << 30;

fn convert(wants: Vec<Want>) -> Vec<unheck_store::fetch::Want> {
    wants
        .into_iter()
        .map(|want| unheck_store::fetch::Want {
            label: want.label,
            sources: want.urls,
            digest: Some(want.digest),
            size: want.size,
            max_size: MAX_FILE,
        })
        .collect()
}
