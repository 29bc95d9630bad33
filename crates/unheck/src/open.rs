//! Opens what a verb works with: [`session`] for a project, [`plain`] and [`artifact()`] for an artifact.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use unheck_deb::signature::Keyring;
use unheck_engine::credentials::IndexTransport;
use unheck_engine::debian::Mirror;
use unheck_engine::event::{Reporter, Stage};
use unheck_engine::input::{Mirrors, Project};
use unheck_engine::kit::{KitFile, check_lock};
use unheck_engine::lock::LOCK_FILE;
use unheck_engine::net::Net;
use unheck_engine::publish::{Pulled, Reference, pull};
use unheck_engine::session::Session;
use unheck_registry::{Access, Credentials};
use unheck_resolve::{Answers, IndexSettings, Inputs, Source};
use unheck_sandbox::HelperExe;
use unheck_store::Store;

use crate::cli::{Common, DebianArgs, RegistryArgs};
use crate::failure::{CliError, Failure};
use crate::settings::{Cache, Settings};
use crate::surroundings::{Logins, Surroundings};
use crate::ui::Progress;
use crate::verbs::Context;

/// The store of a cache; made if it is not there.
pub(crate) fn store(cache: &Cache) -> Result<Store, CliError> {
    Store::open(&cache.store()).map_err(CliError::Cache)
}

/// A session for a project.
pub(crate) fn session(
    settings: &Settings,
    project: &Project,
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let root = std::path::absolute(&project.root).unwrap_or_else(|_| project.root.clone());
    let mut inputs = Inputs::new(root.clone(), Source::Pyproject(root.join("pyproject.toml")));
    inputs.index = settings.index.clone();
    inputs.environment = surroundings.resolver.clone();
    let index = IndexTransport::new(inputs, settings.cache.resolver());
    let mut session = plain(&settings.cache, settings.offline, surroundings, reporter)?;
    session.mirror = Mirror::new(&settings.mirrors, &crate::apt::mirrors(&surroundings.apt))?;
    session.keyring = keyring(settings.keyring.as_deref())?;
    session.net = session.net.with_credentials(Arc::new(index));
    session.allow_expired.clone_from(&settings.allow_expired);
    session.index = settings.index.clone();
    session.crates.clone_from(&settings.crates);
    session.source_date_epoch = settings.source_date_epoch;
    Ok(session)
}

/// The kit that a project is made from, if its lock is the project's; what only the kit knows goes into the settings.
pub(crate) fn kit(
    settings: &mut Settings,
    project: &Project,
) -> Result<Option<Arc<KitFile>>, Box<Failure>> {
    let Some(path) = &settings.kit else {
        return Ok(None);
    };
    let kit = KitFile::open(path)?;
    check_lock(&kit, &project.root.join(LOCK_FILE))?;
    settings.adopt(kit.manifest());
    Ok(Some(Arc::new(kit)))
}

/// A session for a verb on an artifact, which neither resolves nor locks.
pub(crate) fn plain(
    cache: &Cache,
    offline: bool,
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let net = Net::new(store(cache)?, Arc::clone(&reporter), offline)?;
    Ok(Session {
        net,
        mirror: Mirror::new(&Mirrors::default(), &crate::apt::mirrors(&surroundings.apt))?,
        keyring: Keyring::default(),
        reporter,
        now: surroundings.now,
        allow_expired: Vec::new(),
        helper: HelperExe::current(),
        resolver_cache: cache.resolver(),
        answers: Answers::default(),
        index: IndexSettings::default(),
        environment: surroundings.resolver.clone(),
        crates: unheck_engine::session::CrateSource::default(),
        source_date_epoch: None,
    })
}

/// The same with the progress that it is shown by.
pub(crate) fn shown(context: Context<'_>) -> Result<(Session, Arc<Progress>), Box<Failure>> {
    let cache = Cache::find(context.common, context.surroundings)?;
    let progress = context.ui.progress();
    let session = plain(
        &cache,
        context.common.offline,
        context.surroundings,
        progress.clone(),
    )?;
    Ok((session, progress))
}

/// A session for a verb that asks the index and fetches from it; `directory` is whose index settings count.
pub(crate) fn with_index(
    common: &Common,
    index: IndexSettings,
    directory: &Path,
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let cache = Cache::find(common, surroundings)?;
    let root = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut inputs = Inputs::new(root.clone(), Source::Pyproject(root.join("pyproject.toml")));
    inputs.index = index.clone();
    inputs.environment = surroundings.resolver.clone();
    let transport = IndexTransport::new(inputs, cache.resolver());
    let mut session = plain(&cache, common.offline, surroundings, reporter)?;
    session.net = session.net.with_credentials(Arc::new(transport));
    session.index = index;
    Ok(session)
}

/// A session for a verb on an artifact that asks Debian's indexes.
pub(crate) fn with_debian(
    common: &Common,
    debian: &DebianArgs,
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let mirrors = Mirrors {
        debian: debian.mirror.clone(),
        security: debian.security_mirror.clone(),
        snapshot: debian.snapshot_mirror.clone(),
    };
    let archive = (&mirrors, debian.keyring.as_deref());
    let mut session = of_archive(common, archive, surroundings, reporter)?;
    session
        .allow_expired
        .clone_from(&debian.allow_expired_suite);
    Ok(session)
}

/// The same with what a project configures, for a verb that has no options about Debian.
pub(crate) fn configured(
    common: &Common,
    project: &Project,
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let config = &project.config;
    let more = config.keyring.as_ref().map(|path| project.root.join(path));
    let archive = (&config.mirrors, more.as_deref());
    of_archive(common, archive, surroundings, reporter)
}

/// A session that asks these mirrors, else those of the host, and trusts the keys of a file besides its own.
fn of_archive(
    common: &Common,
    (mirrors, more): (&Mirrors, Option<&Path>),
    surroundings: &Surroundings,
    reporter: Arc<dyn Reporter>,
) -> Result<Session, Box<Failure>> {
    let cache = Cache::find(common, surroundings)?;
    let mut session = plain(&cache, common.offline, surroundings, reporter)?;
    session.mirror = Mirror::new(mirrors, &crate::apt::mirrors(&surroundings.apt))?;
    session.keyring = keyring(more)?;
    Ok(session)
}

/// An artifact that a verb was given: a file or directory, or an image that was pulled for it.
#[derive(Debug)]
pub(crate) struct Artifact {
    path: PathBuf,
    /// Where it was pulled from, by digest; the layout stays in the store as long as this lives.
    pulled: Option<(Reference, Pulled)>,
}

impl Artifact {
    /// Where it is on disk.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The image in its registry, by digest, where it was pulled.
    pub(crate) fn reference(&self) -> Option<&Reference> {
        self.pulled.as_ref().map(|(reference, _)| reference)
    }
}

/// Opens what the user named. A text that is no file and begins with a registry's host is a reference, and
/// its image is pulled into the store.
pub(crate) fn artifact(
    named: &Path,
    registry: &RegistryArgs,
    context: Context<'_>,
) -> Result<Artifact, Box<Failure>> {
    let local = || Artifact {
        path: named.to_owned(),
        pulled: None,
    };
    let text = named.to_str().filter(|text| Reference::names_a_host(text));
    let Some(text) = text.filter(|_| named.symlink_metadata().is_err()) else {
        return Ok(local());
    };
    let Ok(reference) = text.parse::<Reference>() else {
        return Ok(local());
    };
    let (session, progress) = shown(context)?;
    let access = access(registry, context.surroundings)?;
    let pulled = session.stage(Stage::Pull, text, || pull(&session, &access, &reference));
    progress.finish();
    let pulled = pulled?;
    let exact = reference.repository().at(pulled.digest);
    Ok(Artifact {
        path: pulled.path(),
        pulled: Some((exact, pulled)),
    })
}

/// Logins and exceptions for registries.
pub(crate) fn access(args: &RegistryArgs, surroundings: &Surroundings) -> Result<Access, CliError> {
    let (files, needed) = match &surroundings.logins {
        Logins::Only(file) => (std::slice::from_ref(file), true),
        Logins::Usual(files) => (files.as_slice(), false),
    };
    let mut credentials = Credentials::default();
    for file in files {
        match fs_err::read(file) {
            Ok(bytes) => credentials
                .add_file(file, &bytes)
                .map_err(CliError::Logins)?,
            Err(error) if !needed && error.kind() == std::io::ErrorKind::NotFound => {}
            // A home that is not one's own, as under sudo, holds no logins of one's own.
            Err(error) if !needed && error.kind() == std::io::ErrorKind::PermissionDenied => {}
            Err(error) if !needed && error.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(CliError::ReadLogins(error)),
        }
    }
    Ok(Access {
        credentials,
        insecure: args.insecure_registry.iter().cloned().collect(),
        token_servers: args.token_server.iter().cloned().collect(),
    })
}

/// The bytes of the keyring that the user names.
pub(crate) fn keyring_bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    fs_err::read(path).map_err(CliError::ReadKeyring)
}

/// Debian's keys and those that the user names.
fn keyring(more: Option<&Path>) -> Result<Keyring, CliError> {
    let mut keyring = Keyring::debian();
    if let Some(path) = more {
        let bytes = keyring_bytes(path)?;
        let more = Keyring::from_bytes(&bytes).map_err(|source| CliError::Keyring {
            path: path.to_owned(),
            source,
        })?;
        keyring.merge(more);
    }
    Ok(keyring)
}
