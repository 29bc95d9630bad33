//! Asks the configured indexes about names, and for the ends of files, without resolving anything.
//!
//! Pages are read as the index sends them ([`crate::page`]), by the resolver's own client. An index in HTML, a
//! directory, several indexes and credentials work as they do there. Start at [`IndexClient::page`].

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use http::header;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use uv_cache::{Cache, CacheEntry};
use uv_client::{
    CacheControl, CachedClientError, Connectivity, ErrorKind, MetadataFormat, OwnedArchive,
    RegistryClient,
};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{IndexCapabilities, IndexUrl};
use uv_normalize::PackageName;
use uv_pypi_types::{ArchivedStatus, Yanked};
use uv_redacted::DisplaySafeUrl;

use crate::cause::{bare_url, mask};
use crate::convert::{sha256, timestamp};
use crate::error::{Cause, FetchError, ResolveError};
use crate::inputs::Inputs;
use crate::kept::Answers;
use crate::resolve::{registry_client, workspace_root};
use crate::settings::Settings;

/// The largest project JSON that is read, in bytes; the largest of 29 that were measured has 5.7 MB.
pub(crate) const MAX_PROJECT: usize = 32 << 20;
/// The longest end of a file that is read, in bytes.
pub(crate) const MAX_TAIL: u64 = 16 << 20;
/// Longest project JSON that is read for the few words at its end, from a server that knows no ranges.
const MAX_WHOLE_PROJECT: u64 = 512 << 10;
/// So many files make no project JSON that is longer than that: of 20 that were measured, each file made 0.8 to 1.8 kB.
const FEW_FILES: usize = 250;
/// The largest page in JSON that is read, in bytes; the largest on the public index has about 30 MB.
const MAX_PAGE: usize = 128 << 20;
/// The kind of pages that is asked for (PEP 691); the rest of the resolver's kinds is for those who have no JSON.
const PAGES: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// What an index has of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPage {
    /// The index that answered, without credentials; `None` where files come from `--find-links` alone.
    pub index: Option<String>,
    /// Another status than active (PEP 792): its name and reason.
    pub status: Option<(String, Option<String>)>,
    /// All files with a version, oldest version first.
    pub files: Vec<IndexFile>,
}

/// A file on an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexFile {
    /// Its name.
    pub filename: String,
    /// Its version, normalised.
    pub version: String,
    /// Where it is, without credentials.
    pub url: String,
    /// Bytes, if stated.
    pub size: Option<u64>,
    /// When it was uploaded, RFC 3339, if stated.
    pub upload_time: Option<String>,
    /// Yanked, for this reason (may be empty).
    pub yanked: Option<String>,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// SHA-256, if stated.
    pub sha256: Option<unheck_base::Digest>,
    /// Its METADATA is beside it, at the URL with `.metadata` after it (PEP 658, PEP 714).
    pub metadata: Option<MetadataFile>,
    /// Where its attestations are (PEP 740).
    pub provenance: Option<String>,
}

/// What an index says of a metadata file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataFile {
    /// SHA-256, if stated.
    pub sha256: Option<unheck_base::Digest>,
}

/// The end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Bytes of the whole file.
    pub total: u64,
    /// Its last bytes.
    pub bytes: Vec<u8>,
}

/// Asks indexes. Its futures must be run on one thread.
pub struct IndexClient {
    client: RegistryClient,
    cache: Cache,
    offline: bool,
    /// The index, where there is one alone and on the network.
    only: Option<url::Url>,
    requests: AtomicU32,
    /// Hosts that sent all of a file when its end was asked for.
    without_ranges: Mutex<BTreeSet<String>>,
}

impl IndexClient {
    /// A client with the index settings of `inputs`; `cache` is the resolver's cache directory. What is in `answers`
    /// is not asked again.
    ///
    /// # Errors
    /// [`ResolveError::Settings`] when a setting is wrong, [`ResolveError::Cache`].
    pub async fn new(
        inputs: &Inputs,
        cache: &Path,
        answers: &Answers,
    ) -> Result<Self, ResolveError> {
        let settings = Settings::load(inputs, &workspace_root(inputs))?;
        let cache = crate::resolve::open_cache(cache).await?;
        Ok(Self {
            client: registry_client(&settings, &cache, answers)?,
            cache,
            offline: settings.connectivity == Connectivity::Offline,
            only: only(&settings),
            requests: AtomicU32::new(0),
            without_ranges: Mutex::default(),
        })
    }

    /// How many requests were made at most; what the cache answered is counted too.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The files of a distribution (normalised name); `None` where no index has it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn page(&self, name: &str) -> Result<Option<IndexPage>, FetchError> {
        let Ok(package) = PackageName::from_str(name) else {
            return Ok(None);
        };
        if let Some(index) = &self.only {
            match self.json(index, &package).await? {
                Json::Page(page) => return Ok(Some(page)),
                Json::Missing => return Ok(None),
                Json::Other => {}
            }
        }
        let found = self.detail(&package).await?;
        let Some(mut found) = found else {
            return Ok(None);
        };
        if self.only.is_none() {
            self.enrich(&mut found, &package).await;
        }
        Ok(Some(found))
    }

    /// The page of an index in JSON, as it is sent. Kept as long as the index allows, else ten minutes.
    async fn json(&self, index: &url::Url, package: &PackageName) -> Result<Json, FetchError> {
        let mut url = index.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().push(package.as_ref()).push(""),
            Err(()) => return Ok(Json::Other),
        };
        let shown = bare_url(&url);
        let entry = self.entry("unheck-page", &url);
        let safe = DisplaySafeUrl::from_url(url.clone());
        let client = self.client.uncached_client(&safe);
        let Ok(request) = client.get(url).header(header::ACCEPT, PAGES).build() else {
            return Ok(Json::Other);
        };
        // Only what is wanted of a page is kept; none where it is no JSON.
        let read = async |response: reqwest::Response| -> Result<Option<IndexPage>, FetchError> {
            let kind = response.headers().get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let is_json = ["application/vnd.pypi.simple.v1+json", "application/json"];
            if !is_json.iter().any(|its| kind.starts_with(its)) {
                return Ok(None);
            }
            // After redirects.
            let from = url::Url::parse(&bare_url(response.url())).ok();
            let bytes = read_bounded(response, &shown, MAX_PAGE).await?;
            Ok(from.and_then(|from| {
                crate::page::parse(&String::from_utf8_lossy(&bytes), &from, package).ok()
            }))
        };
        self.count();
        // Offline, what was asked before will do, however old.
        let fresh = match self.offline {
            true => CacheControl::AllowStale,
            false => CacheControl::Override(http::HeaderValue::from_static("max-age=600")),
        };
        let cached = self.client.cached_client();
        let answer = cached
            .get_serde_with_retry(request, &entry, fresh, read)
            .await;
        match answer {
            Ok(Some(page)) => Ok(Json::Page(IndexPage {
                index: Some(bare_url(index)),
                ..page
            })),
            Ok(None) => Ok(Json::Other),
            Err(CachedClientError::Callback { err, .. }) => Err(err),
            Err(CachedClientError::Client(error)) => self.no_json(&error, shown),
        }
    }

    /// What it means that a page in JSON could not be had.
    fn no_json(&self, error: &uv_client::Error, shown: String) -> Result<Json, FetchError> {
        match status(error) {
            Some(404) => Ok(Json::Missing),
            Some(status @ 500..) => Err(FetchError::Status { url: shown, status }),
            None if !self.offline => Err(FetchError::Transport {
                url: shown,
                transient: false,
                cause: Cause::of(error),
            }),
            // The resolver's client knows what to make of it.
            _ => Ok(Json::Other),
        }
    }

    /// Adds what only the page itself says, where another index or none alone was asked.
    async fn enrich(&self, page: &mut IndexPage, package: &PackageName) {
        let url = page
            .index
            .as_deref()
            .and_then(|text| url::Url::parse(text).ok());
        let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return;
        };
        // What cannot be had stays unknown.
        let Ok(Json::Page(stated)) = self.json(&url, package).await else {
            return;
        };
        page.status = page.status.take().or(stated.status);
        for file in &mut page.files {
            let its = stated
                .files
                .iter()
                .find(|its| its.filename == file.filename);
            if let Some(its) = its.filter(|its| its.sha256 == file.sha256) {
                file.metadata = its.metadata;
                file.provenance.clone_from(&its.provenance);
            }
        }
    }

    /// A small document of an index, such as a metadata file or provenance; at most `most` bytes.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn document(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        let parsed = url::Url::parse(url).map_err(|_| FetchError::Url { url: mask(url) })?;
        let shown = bare_url(&parsed);
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(FetchError::Url { url: shown });
        }
        if self.offline {
            return Err(FetchError::Offline { url: shown });
        }
        self.count();
        let safe = DisplaySafeUrl::from_url(parsed.clone());
        let client = self.client.uncached_client(&safe);
        // An index may show provenance to people too (PEP 740 names the first kind).
        let kinds = "application/vnd.pypi.integrity.v1+json, */*;q=0.5";
        let response = client
            .get(parsed)
            .header(header::ACCEPT, kinds)
            .send()
            .await;
        let response = response.map_err(|error| FetchError::Transport {
            url: shown.clone(),
            transient: true,
            cause: Cause::of(&error),
        })?;
        if !response.status().is_success() {
            return Err(FetchError::Status {
                url: shown,
                status: response.status().as_u16(),
            });
        }
        read_bounded(response, &shown, most).await
    }

    /// The page as the resolver's own reader has it.
    async fn detail(&self, package: &PackageName) -> Result<Option<IndexPage>, FetchError> {
        let name = package.as_ref();
        self.count();
        let one = tokio::sync::Semaphore::new(1);
        let capabilities = IndexCapabilities::default();
        let found = self
            .client
            .simple_detail(package, None, &capabilities, &one)
            .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => match error.kind() {
                ErrorKind::RemotePackageNotFound(_)
                | ErrorKind::LocalPackageNotFound(_)
                | ErrorKind::NoIndex(_) => {
                    return Ok(None);
                }
                ErrorKind::Offline(_) => return Err(FetchError::Offline { url: mask(name) }),
                _ => {
                    return Err(FetchError::Transport {
                        url: mask(name),
                        transient: false,
                        cause: Cause::of(&error),
                    });
                }
            },
        };
        let mut page = IndexPage {
            index: None,
            status: None,
            files: Vec::new(),
        };
        for (index, format) in found {
            add(&mut page, package, index, format);
        }
        Ok(Some(page))
    }

    /// The project JSON (`/pypi/NAME/json`, with a version `/pypi/NAME/VERSION/json`) of the index that
    /// `page` came from; `None` where it has none. Answers are kept for ten minutes.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn project(
        &self,
        name: &str,
        version: Option<&str>,
        page: &IndexPage,
    ) -> Result<Option<String>, FetchError> {
        let Some(url) = page
            .index
            .as_deref()
            .and_then(|index| project_url(index, name, version))
        else {
            return Ok(None);
        };
        let shown = bare_url(&url);
        let entry = self.entry("unheck-project", &url);
        if self.offline {
            return Err(FetchError::Offline { url: shown });
        }
        let safe = DisplaySafeUrl::from_url(url.clone());
        let request = self
            .client
            .uncached_client(&safe)
            .get(url)
            .header(header::ACCEPT, "application/json")
            .build();
        let request = request.map_err(|error| FetchError::Transport {
            url: shown.clone(),
            transient: false,
            cause: Cause::of(&error),
        })?;
        let read = async |response: reqwest::Response| bounded(response, &shown).await;
        self.count();
        let fresh = CacheControl::Override(http::HeaderValue::from_static("max-age=600"));
        let answer = self
            .client
            .cached_client()
            .get_serde_with_retry(request, &entry, fresh, read)
            .await;
        match answer {
            Ok(text) => Ok(Some(text)),
            Err(CachedClientError::Callback { err, .. }) => Err(err),
            Err(CachedClientError::Client(error)) => match status(&error) {
                // An index without this interface may answer so, or with its own pages.
                Some(404 | 405 | 406 | 410) => Ok(None),
                Some(status) => Err(FetchError::Status { url: shown, status }),
                None => Err(FetchError::Transport {
                    url: shown,
                    transient: false,
                    cause: Cause::of(&error),
                }),
            },
        }
    }

    /// The last `count` bytes of the project JSON of the newest version; `None` where the index has none. It may
    /// be many megabytes long, nearly all of it the list of files.
    ///
    /// # Errors
    /// As [`IndexClient::tail`].
    pub async fn project_tail(
        &self,
        name: &str,
        page: &IndexPage,
        count: u64,
    ) -> Result<Option<Tail>, FetchError> {
        let index = page.index.as_deref();
        let Some(url) = index.and_then(|index| project_url(index, name, None)) else {
            return Ok(None);
        };
        if self.offline {
            let url = bare_url(&url);
            return Err(FetchError::Offline { url });
        }
        let kind = "application/json";
        if page.files.len() > FEW_FILES && self.is_too_long(&url, MAX_WHOLE_PROJECT).await {
            let url = bare_url(&url);
            return Err(FetchError::Range { url, offset: 0 });
        }
        match self.http_tail(url, kind, (count, MAX_WHOLE_PROJECT)).await {
            Err(FetchError::Status {
                status: 404 | 405 | 406 | 410,
                ..
            }) => Ok(None),
            tail => tail.map(Some),
        }
    }

    /// The last `count` bytes of a file (RFC 9110, 14.1.2: a suffix range).
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::Range`] where the server sends something else and the file is large.
    pub async fn tail(&self, url: &str, count: u64) -> Result<Tail, FetchError> {
        let count = count.min(MAX_TAIL);
        let parsed = url::Url::parse(url).map_err(|_| FetchError::Url { url: mask(url) })?;
        match parsed.scheme() {
            "file" => file_tail(&parsed, count).await,
            "http" | "https" if self.offline => Err(FetchError::Offline {
                url: bare_url(&parsed),
            }),
            "http" | "https" => self.http_tail(parsed, "*/*", (count, MAX_TAIL)).await,
            _ => Err(FetchError::Url { url: mask(url) }),
        }
    }

    /// The last `count` bytes; all of it where the server knows no ranges and it is not longer than `whole`.
    async fn http_tail(
        &self,
        url: url::Url,
        kind: &'static str,
        (count, whole): (u64, u64),
    ) -> Result<Tail, FetchError> {
        let shown = bare_url(&url);
        let wrong = || FetchError::Range {
            url: shown.clone(),
            offset: 0,
        };
        let safe = DisplaySafeUrl::from_url(url.clone());
        self.count();
        let request = self
            .client
            .uncached_client(&safe)
            .get(url.clone())
            .header(header::ACCEPT, kind)
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::RANGE, format!("bytes=-{count}"));
        let response = request
            .send()
            .await
            .map_err(|error| FetchError::Transport {
                url: shown.clone(),
                transient: true,
                cause: Cause::of(&error),
            })?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::Status {
                url: shown,
                status: status.as_u16(),
            });
        }
        let part = status == http::StatusCode::PARTIAL_CONTENT;
        let range = || {
            let text = response
                .headers()
                .get(header::CONTENT_RANGE)?
                .to_str()
                .ok()?;
            let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
            let (begin, _) = range.split_once('-')?;
            Some((
                begin.trim().parse::<u64>().ok()?,
                total.trim().parse::<u64>().ok()?,
            ))
        };
        let expected = match part {
            true => Some(range().ok_or_else(wrong)?),
            false => {
                self.know_without_ranges(&url);
                None
            }
        };
        // Without ranges a whole small file will do.
        let most = match expected {
            Some((begin, total)) => total.saturating_sub(begin).min(count),
            None if length(&response).is_some_and(|all| all > whole) => return Err(wrong()),
            None => whole,
        };
        let bytes = read_bounded(response, &shown, most as usize).await?;
        match expected {
            Some((begin, total)) if begin + bytes.len() as u64 == total => {
                Ok(Tail { total, bytes })
            }
            Some(_) => Err(wrong()),
            None => Ok(Tail {
                total: bytes.len() as u64,
                bytes,
            }),
        }
    }

    fn know_without_ranges(&self, url: &url::Url) {
        let host = url.origin().ascii_serialization();
        let hosts = self.without_ranges.lock();
        let mut hosts = hosts.unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host);
    }

    /// Whether a file of a server that knows no ranges is longer than `most` bytes. Asked before the file is, for of
    /// one that begins to come in vain up to some megabytes are under way.
    async fn is_too_long(&self, url: &url::Url, most: u64) -> bool {
        let host = url.origin().ascii_serialization();
        let known = {
            let hosts = self.without_ranges.lock();
            hosts
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&host)
        };
        if !known {
            return false;
        }
        self.count();
        let mut request = reqwest::Request::new(http::Method::HEAD, url.clone());
        let identity = http::HeaderValue::from_static("identity");
        request
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, identity);
        let client = self.client.cached_client().uncached();
        // A server that does not say is asked for the file.
        let Ok(response) = client.execute(request).await else {
            return false;
        };
        response.status().is_success() && length(&response).is_some_and(|all| all > most)
    }

    /// Where the answer for a URL is kept: beside the resolver's own buckets.
    fn entry(&self, bucket: &str, url: &url::Url) -> CacheEntry {
        let digest = unheck_base::Digest::of(url.as_str().as_bytes()).hex();
        CacheEntry::new(self.cache.root().join(bucket), format!("{digest}.msgpack"))
    }
}

/// What an index answers to a request for a page in JSON.
enum Json {
    Page(IndexPage),
    Missing,
    /// Something else, such as a page in HTML or an error.
    Other,
}

/// The index, where there is one alone and on the network.
fn only(settings: &Settings) -> Option<url::Url> {
    let locations = settings.locations();
    let mut indexes = locations.indexes();
    let (only, None) = (indexes.next()?, indexes.next()) else {
        return None;
    };
    if locations.flat_indexes().next().is_some() {
        return None;
    }
    let url = only.raw_url().clone();
    let url = url::Url::from(url);
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// Where an index whose simple pages are below `…/simple` has its project JSON.
fn project_url(index: &str, name: &str, version: Option<&str>) -> Option<url::Url> {
    let mut url = url::Url::parse(index).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    let base = path.strip_suffix("/simple")?.to_owned();
    url.set_path(&base);
    {
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty().push("pypi").push(name);
        if let Some(version) = version {
            segments.push(version);
        }
        segments.push("json");
    }
    Some(url)
}

fn add(page: &mut IndexPage, package: &PackageName, index: &IndexUrl, format: MetadataFormat) {
    let MetadataFormat::Simple(archive) = format else {
        return;
    };
    if page.index.is_none() {
        page.index = Some(bare_url(index.url()));
    }
    if page.status.is_none() {
        let status = archive.project_status();
        page.status = word(&status.status).map(|word| {
            let reason = status.reason.as_ref();
            (word.to_owned(), reason.map(|reason| reason.to_string()))
        });
    }
    for datum in OwnedArchive::deserialize(&archive) {
        for (filename, file) in datum.files.all(package) {
            let Ok(url) = file.url.to_url() else {
                continue;
            };
            let version = match &filename {
                DistFilename::WheelFilename(wheel) => wheel.version.to_string(),
                DistFilename::SourceDistFilename(sdist) => sdist.version.to_string(),
            };
            page.files.push(IndexFile {
                filename: file.filename.to_string(),
                version,
                url: bare_url(&url),
                size: file.size,
                upload_time: file.upload_time_utc_ms.and_then(timestamp),
                yanked: file.yanked.and_then(|yanked| reason(&yanked)),
                requires_python: file
                    .requires_python
                    .map(|specifiers| specifiers.to_string()),
                sha256: sha256(file.hashes.as_slice()),
                metadata: file
                    .dist_info_metadata
                    .then_some(MetadataFile { sha256: None }),
                provenance: None,
            });
        }
    }
}

fn reason(yanked: &Yanked) -> Option<String> {
    match yanked {
        Yanked::Bool(false) => None,
        Yanked::Bool(true) => Some(String::new()),
        Yanked::Reason(text) => Some(text.to_string()),
    }
}

fn word(status: &ArchivedStatus) -> Option<&'static str> {
    match status {
        ArchivedStatus::Active => None,
        ArchivedStatus::Archived => Some("archived"),
        ArchivedStatus::Quarantined => Some("quarantined"),
        ArchivedStatus::Deprecated => Some("deprecated"),
    }
}

fn status(error: &uv_client::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::WrappedReqwestError(_, error) => error.status().map(|status| status.as_u16()),
        _ => None,
    }
}

/// The length of an answer's body that its header states.
fn length(response: &reqwest::Response) -> Option<u64> {
    let length = response.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

async fn bounded(response: reqwest::Response, shown: &str) -> Result<String, FetchError> {
    let bytes = read_bounded(response, shown, MAX_PROJECT).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn read_bounded(
    response: reqwest::Response,
    shown: &str,
    most: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| FetchError::Transport {
            url: shown.to_owned(),
            transient: true,
            cause: Cause::of(&error),
        })?;
        if bytes.len() + chunk.len() > most {
            let cause = Cause::text(format!("it is longer than {most} bytes"));
            return Err(FetchError::Transport {
                url: shown.to_owned(),
                transient: false,
                cause,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn file_tail(url: &url::Url, count: u64) -> Result<Tail, FetchError> {
    let failed = |error: &std::io::Error| FetchError::Transport {
        url: bare_url(url),
        transient: false,
        cause: Cause::of(error),
    };
    let path = url
        .to_file_path()
        .map_err(|()| FetchError::Url { url: bare_url(url) })?;
    let mut file = tokio::fs::File::open(&path)
        .await
        .map_err(|error| failed(&error))?;
    let total = file.metadata().await.map_err(|error| failed(&error))?.len();
    let from = total.saturating_sub(count);
    file.seek(std::io::SeekFrom::Start(from))
        .await
        .map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(count)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Tail { total, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_json_is_beside_the_simple_pages() {
        for (index, expected) in [
            (
                "https://x.test/simple",
                Some("https://x.test/pypi/a-b/json"),
            ),
            (
                "https://x.test/root/pypi/simple/",
                Some("https://x.test/root/pypi/pypi/a-b/json"),
            ),
            ("https://x.test/files", None),
        ] {
            let url = project_url(index, "a-b", None).map(String::from);
            assert_eq!(url.as_deref(), expected, "{index}");
        }
        let url = project_url("https://x.test/simple", "a", Some("1.0/../x")).map(String::from);
        assert_eq!(
            url.as_deref(),
            Some("https://x.test/pypi/a/1.0%2F..%2Fx/json")
        );
    }
}
