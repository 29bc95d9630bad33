//! The configured index as `unheck-names` asks it. Start at [`LiveIndex`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use unheck_base::Digest;
use unheck_names::facts::{
    File, Index, IndexError, MetadataFile, Page, Project, Status, Wheel, owners_at_end,
};
use unheck_resolve::{Fault, FetchError, IndexClient, IndexPage, Inputs, ResolveError, Source};
use unheck_wheel::{Glance, Glanced, Limits, Metadata, ModuleKind, TAIL, glance};

use crate::explain::{Class, Explain};
use crate::session::Session;

/// Questions that are asked side by side.
const PARALLEL: usize = 8;
/// How much of a project JSON's end is read, in bytes.
const PROJECT_TAIL: u64 = 16 << 10;

/// An index behind the session's network.
pub struct LiveIndex<'a> {
    session: &'a Session,
    client: IndexClient,
    /// Pages that were read: they say where the project JSON is.
    pages: Mutex<BTreeMap<String, Arc<IndexPage>>>,
}

/// The index cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a client for the index")]
pub struct OpenIndexError(#[source] Box<ResolveError>);

impl Explain for OpenIndexError {
    fn class(&self) -> Class {
        match self.0.fault() {
            Fault::Input => Class::Input,
            Fault::World => Class::Outside,
            Fault::Bug => Class::Bug,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.0.hints().to_vec()
    }
}

impl<'a> LiveIndex<'a> {
    /// The index that a project in `directory` is locked from.
    ///
    /// # Errors
    /// [`OpenIndexError`] when a setting is wrong or the cache cannot be opened.
    pub fn open(session: &'a Session, directory: &Path) -> Result<Self, OpenIndexError> {
        let root = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let mut inputs = Inputs::new(root.clone(), Source::Pyproject(root.join("pyproject.toml")));
        inputs.index = session.index.clone();
        inputs.index.offline = session.net.is_offline();
        inputs.environment = session.environment.clone();
        let client = session.net.block_on(IndexClient::new(
            &inputs,
            &session.resolver_cache,
            &session.answers,
        ));
        let client = client.map_err(|error| OpenIndexError(Box::new(error)))?;
        Ok(Self {
            session,
            client,
            pages: Mutex::default(),
        })
    }

    async fn page(&self, name: &str) -> Result<Option<Page>, IndexError> {
        let page = self
            .client
            .page(name)
            .await
            .map_err(|error| failed(name, error))?;
        let Some(page) = page else {
            return Ok(None);
        };
        let known = convert(name, &page);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(name.to_owned(), Arc::new(page));
        Ok(Some(known))
    }

    /// The project JSON of a version, or of the newest.
    pub(super) async fn project(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Project>, IndexError> {
        let Some(page) = self.known(name) else {
            return Ok(None);
        };
        let text = self
            .client
            .project(name, version, &page)
            .await
            .map_err(|error| failed(name, error))?;
        match text.map(|text| Project::parse(text.as_bytes())) {
            None => Ok(None),
            Some(Ok(project)) => Ok(Some(project)),
            Some(Err(error)) => Err(IndexError {
                what: name.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    /// The page and the project JSON of one version, and whether the index has that version's own. What it says of
    /// the newest version alone, such as who owns the name, is taken from there.
    pub(super) async fn about(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<(Option<Page>, Option<Project>, bool), IndexError> {
        let page = self.page(name).await?;
        let exact = self.project(name, version).await?;
        let is_there = exact.is_some();
        let is_whole = exact.as_ref().is_some_and(|exact| exact.owners.is_some());
        let Some(version) = version.filter(|_| !is_whole) else {
            return Ok((page, exact, is_there));
        };
        let newest = self.newest(name).await;
        let is_newest = newest
            .as_ref()
            .is_some_and(|newest| unheck_wheel::same_version(&newest.version, version));
        Ok((
            page,
            completed(exact, newest, version),
            is_there || is_newest,
        ))
    }

    /// What the index says of the newest version: all of a short project JSON; of a long one the end is read alone,
    /// which tells the owners. A failure, or a long one of a server that knows no ranges, leaves it unknown.
    async fn newest(&self, name: &str) -> Option<Project> {
        let page = self.known(name)?;
        let tail = self.client.project_tail(name, &page, PROJECT_TAIL).await;
        let tail = tail.ok()??;
        if tail.total <= tail.bytes.len() as u64 {
            return Project::parse(&tail.bytes).ok();
        }
        Some(Project {
            name: name.to_owned(),
            owners: Some(owners_at_end(&tail.bytes)?),
            ..Project::default()
        })
    }

    /// A page that was asked for.
    fn known(&self, name: &str) -> Option<Arc<IndexPage>> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(name).map(Arc::clone)
    }

    /// A small document that a page names, such as provenance; at most `most` bytes.
    pub(super) async fn document(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        self.client.document(url, most).await
    }

    /// All that the index has of a distribution, with digests; `None` where it has no such name.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(crate) fn files(&self, name: &str) -> Result<Option<Arc<IndexPage>>, IndexError> {
        let known = self.session.net.block_on(self.page(name))?;
        Ok(known.and_then(|_| self.known(name)))
    }

    /// The project JSON of several versions, in their order; `None` where it cannot be had.
    pub(crate) fn versions(&self, name: &str, versions: &[&str]) -> Vec<Option<Project>> {
        let each = versions
            .iter()
            .map(|version| self.project(name, Some(version)));
        let answers = self.session.net.block_on(futures::future::join_all(each));
        let known = |answer: Result<Option<Project>, IndexError>| answer.ok().flatten();
        answers.into_iter().map(known).collect()
    }

    /// The list of files in a wheel's end, and its METADATA: from there, or from beside it where the end is too
    /// short for it and the index offers that.
    async fn glance(&self, file: &File, most: u32) -> Result<Wheel, IndexError> {
        let what = || file.filename.clone();
        let mut count = TAIL;
        let mut left = most;
        while left > 0 {
            left -= 1;
            let tail = self
                .client
                .tail(&file.url, count)
                .await
                .map_err(|error| failed(&file.filename, error))?;
            let read = glance(&tail.bytes, tail.total, &Limits::default());
            match read.map_err(|error| IndexError {
                what: what(),
                source: Box::new(error),
            })? {
                Glanced::NeedsFrom(offset) => count = tail.total - offset,
                Glanced::Done(mut glance) => {
                    if glance.metadata.is_none() && left > 0 {
                        glance.metadata = self.metadata(file).await;
                    }
                    return Ok(facts_of(&file.filename, *glance, tail.total));
                }
            }
        }
        Err(IndexError {
            what: what(),
            source: "its central directory cannot be had in so few requests".into(),
        })
    }

    /// The metadata file of a wheel (PEP 658), by its digest where the index states one; a file that is not what
    /// the index says, or no METADATA, tells nothing.
    async fn metadata(&self, file: &File) -> Option<Metadata> {
        let offered = file.metadata.as_ref()?;
        let limits = Limits::default();
        let url = format!("{}.metadata", file.url);
        let most = usize::try_from(limits.metadata).unwrap_or(usize::MAX);
        let bytes = self.client.document(&url, most).await.ok()?;
        let is_right = offered
            .sha256
            .as_ref()
            .is_none_or(|stated| Digest::of(&bytes).hex() == *stated);
        is_right
            .then(|| Metadata::parse(&bytes, &limits).ok())
            .flatten()
    }
}

impl Index for LiveIndex<'_> {
    fn pages(&self, names: &[String]) -> Vec<Result<Option<Page>, IndexError>> {
        let each = futures::stream::iter(names)
            .map(|name| self.page(name))
            .buffered(PARALLEL);
        self.session.net.block_on(each.collect())
    }

    fn projects(&self, names: &[String]) -> Vec<Result<Option<Project>, IndexError>> {
        let each = futures::stream::iter(names)
            .map(|name| self.project(name, None))
            .buffered(PARALLEL);
        self.session.net.block_on(each.collect())
    }

    fn wheel(&self, file: &File, most: u32) -> Result<Wheel, IndexError> {
        self.session.net.block_on(self.glance(file, most))
    }

    fn requests(&self) -> u32 {
        self.client.requests()
    }
}

/// What is said of one version, with what is only said of the newest one; vulnerabilities and requirements are
/// those of a version.
fn completed(exact: Option<Project>, newest: Option<Project>, version: &str) -> Option<Project> {
    let Some(newest) = newest else {
        return exact;
    };
    match exact {
        Some(exact) => Some(Project {
            owners: newest.owners,
            ..exact
        }),
        None if unheck_wheel::same_version(&newest.version, version) => Some(newest),
        None => Some(Project {
            version: version.to_owned(),
            requires_dist: Vec::new(),
            vulnerabilities: Vec::new(),
            ..newest
        }),
    }
}

fn failed(what: &str, error: FetchError) -> IndexError {
    IndexError {
        what: what.to_owned(),
        source: Box::new(error),
    }
}

fn convert(name: &str, page: &IndexPage) -> Page {
    let file = |file: &unheck_resolve::IndexFile| File {
        filename: file.filename.clone(),
        url: file.url.clone(),
        version: file.version.clone(),
        size: file.size,
        uploaded: file.upload_time.clone(),
        yanked: file.yanked.clone(),
        requires_python: file.requires_python.clone(),
        metadata: file.metadata.map(|its| MetadataFile {
            sha256: its.sha256.map(|digest| digest.hex()),
        }),
        provenance: file.provenance.clone(),
    };
    Page {
        name: name.to_owned(),
        files: page.files.iter().map(file).collect(),
        status: page
            .status
            .clone()
            .map(|(state, reason)| Status { state, reason }),
    }
}

/// What the end of a wheel says, as facts; `size` is that of the wheel in bytes.
pub(super) fn facts_of(filename: &str, glance: Glance, size: u64) -> Wheel {
    let real = glance
        .modules
        .into_iter()
        .filter(|(_, kind)| *kind != ModuleKind::Namespace);
    let modules = real.map(|(name, _)| name).collect();
    let metadata = glance.metadata;
    let requires = metadata
        .as_ref()
        .map(|metadata| metadata.requires_dist.clone());
    let (names, namespaces, summary) = match metadata {
        Some(metadata) => (
            metadata.import_names,
            metadata.import_namespaces,
            metadata.summary,
        ),
        None => Default::default(),
    };
    Wheel {
        filename: filename.to_owned(),
        modules,
        import_names: names,
        import_namespaces: namespaces,
        requires_dist: requires,
        summary: summary.map(|text| unheck_names::facts::one_line(&text)),
        size,
    }
}
