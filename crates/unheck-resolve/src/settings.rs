//! Index and resolver settings, merged as uv merges them: options, then environment, then files.
//!
//! Files: the nearest `uv.toml` or `[tool.uv]` upwards from the workspace root, then the user's and the
//! system's `uv.toml`. Read [`Settings::load`] first.

use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use unheck_store::fetch::HttpOptions;
use uv_client::Connectivity;
use uv_configuration::{
    BuildOptions, ExcludeDependency, IndexStrategy, KeyringProviderType, NoBinary, NoBuild,
    NoSources, ProxyUrlKind, TrustedHost,
};
use uv_distribution_types::{
    DependencyMetadata, Index, IndexCacheControl, IndexLocations, IndexUrl, Requirement,
};
use uv_normalize::PackageName;
use uv_pypi_types::VerbatimParsedUrl;
use uv_resolver::{ExcludeNewer, ExcludeNewerOverride, Prerelease, ResolutionMode};
use uv_settings::{Combine, FilesystemOptions, IndexOptions, Options, ResolverOptions};
use uv_workspace::pyproject::OverrideDependency;

use crate::error::{Cause, ResolveError};
use crate::inputs::{Environment, IndexSettings, Inputs, Purpose};
use crate::nesting::toml_too_deep;
use crate::{MAX_NESTING, inputs};

/// How long index pages stay fresh where nothing else is configured, in seconds; the public index says the same.
const PAGE_FRESHNESS: &str = "max-age=600";
/// Files are named by their hash, so they never change.
const FILE_FRESHNESS: &str = "max-age=365000000, immutable";

/// Everything that steers the resolver and its client.
pub(crate) struct Settings {
    indexes: Vec<Index>,
    flat: Vec<Index>,
    no_index: bool,
    pub(crate) index_strategy: IndexStrategy,
    pub(crate) keyring: KeyringProviderType,
    pub(crate) trusted_hosts: Vec<TrustedHost>,
    pub(crate) connectivity: Connectivity,
    pub(crate) system_certs: bool,
    pub(crate) http_timeout: Option<std::time::Duration>,
    pub(crate) resolution: ResolutionMode,
    pub(crate) prerelease: Prerelease,
    pub(crate) exclude_newer: ExcludeNewer,
    pub(crate) build_options: BuildOptions,
    pub(crate) no_sources: NoSources,
    pub(crate) dependency_metadata: DependencyMetadata,
    pub(crate) constraints: Vec<uv_pep508::Requirement<VerbatimParsedUrl>>,
    pub(crate) build_constraints: Vec<uv_pep508::Requirement<VerbatimParsedUrl>>,
    pub(crate) overrides: Vec<OverrideDependency>,
    pub(crate) excludes: Vec<ExcludeDependency>,
    proxies: Proxies,
    /// Whether uv's client shows a certificate of its own.
    client_certificate: bool,
}

/// Proxies of `uv.toml`; those of the environment are read by the HTTP client.
struct Proxies {
    http: Option<uv_configuration::ProxyUrl>,
    https: Option<uv_configuration::ProxyUrl>,
    none: Option<Vec<String>>,
}

impl Settings {
    /// Reads and merges the settings for `inputs`; `workspace` is where files are looked for, upwards.
    pub(crate) fn load(inputs: &Inputs, workspace: &Path) -> Result<Self, ResolveError> {
        // Several libraries behind this crate panic without it; a second call is harmless.
        let _ = uv_preview::set(uv_preview::Preview::default());
        let environment = &inputs.environment;
        let options = files(environment, workspace)?;
        let globals = options.globals;
        let files = ResolverOptions::from(options.top_level);
        let flags = &inputs.index;
        let offline = flags.offline
            || switch(environment, "UV_OFFLINE")?
                .or(globals.offline)
                .unwrap_or(false);
        let Places {
            indexes,
            flat,
            no_index,
        } = places(flags, environment, files.indexes, &inputs.root)?;
        let timeout = environment.get("UV_HTTP_TIMEOUT");
        Ok(Self {
            indexes,
            flat,
            no_index,
            index_strategy: word(environment, "UV_INDEX_STRATEGY")?
                .or(files.index_strategy)
                .unwrap_or_default(),
            keyring: word(environment, "UV_KEYRING_PROVIDER")?
                .or(files.keyring_provider)
                .unwrap_or_default(),
            trusted_hosts: trusted_hosts(environment, globals.allow_insecure_host)?,
            connectivity: if offline {
                Connectivity::Offline
            } else {
                Connectivity::Online
            },
            system_certs: globals.system_certs.unwrap_or(true),
            http_timeout: timeout
                .map(|text| text.parse().map(std::time::Duration::from_secs))
                .transpose()
                .map_err(|error| wrong("`UV_HTTP_TIMEOUT`", &error))?,
            resolution: resolution(inputs, files.resolution)?,
            prerelease: Prerelease {
                global: match inputs.prerelease {
                    Some(mode) => uv_prerelease(mode),
                    None => word(environment, "UV_PRERELEASE")?
                        .or(files.prerelease)
                        .unwrap_or_default(),
                },
                package: files.prerelease_package.unwrap_or_default(),
            },
            exclude_newer: ExcludeNewer {
                global: exclude_newer(inputs, files.exclude_newer)?
                    .and_then(ExcludeNewerOverride::into_value),
                package: files.exclude_newer_package.unwrap_or_default(),
            },
            build_options: build_options(
                inputs,
                (files.no_binary, files.no_binary_package),
                (files.no_build, files.no_build_package),
            )?,
            no_sources: NoSources::from_args(
                switch(environment, "UV_NO_SOURCES")?.or(files.no_sources),
                files.no_sources_package.unwrap_or_default(),
            ),
            dependency_metadata: DependencyMetadata::from_entries(
                files.dependency_metadata.into_iter().flatten(),
            ),
            constraints: options.constraint_dependencies.unwrap_or_default(),
            build_constraints: options.build_constraint_dependencies.unwrap_or_default(),
            overrides: options.override_dependencies.unwrap_or_default(),
            excludes: options.exclude_dependencies.unwrap_or_default(),
            client_certificate: environment.get("SSL_CLIENT_CERT").is_some(),
            proxies: Proxies {
                http: globals.http_proxy,
                https: globals.https_proxy,
                none: globals.no_proxy,
            },
        })
    }

    /// A client builder with all of it, whose connections share their look-ups of hosts with all others of this
    /// process. For clients that follow redirects by themselves, as uv's registry client does.
    ///
    /// uv's own client has no place for that, so it is made here; where uv does more than this does (hosts whose
    /// certificate need not be valid, roots of its own, a certificate of the client), it is uv's.
    pub(crate) fn registry_client_builder(
        &self,
    ) -> Result<uv_client::BaseClientBuilder<'static>, ResolveError> {
        let builder = self.client_builder();
        let needs_uv =
            !self.trusted_hosts.is_empty() || !self.system_certs || self.client_certificate;
        if needs_uv {
            return Ok(builder);
        }
        let client = self
            .shared_client()
            .map_err(|error| ResolveError::Settings {
                place: "the client's settings".to_owned(),
                cause: Cause::of(&error),
            })?;
        Ok(builder.custom_client(client))
    }

    fn shared_client(&self) -> reqwest::Result<reqwest::Client> {
        let options = HttpOptions::default();
        let mut client = options
            .connecting()
            .read_timeout(self.http_timeout.unwrap_or(options.idle_timeout))
            .redirect(reqwest::redirect::Policy::none());
        let except = self.proxies.none.as_ref();
        let except = except.and_then(|hosts| reqwest::NoProxy::from_string(&hosts.join(",")));
        let proxies = [
            (&self.proxies.http, ProxyUrlKind::Http),
            (&self.proxies.https, ProxyUrlKind::Https),
        ];
        for (proxy, kind) in proxies {
            if let Some(proxy) = proxy {
                client = client.proxy(proxy.as_proxy(kind).no_proxy(except.clone()));
            }
        }
        client.build()
    }

    /// A client builder with all of it.
    pub(crate) fn client_builder(&self) -> uv_client::BaseClientBuilder<'static> {
        let builder = uv_client::BaseClientBuilder::default()
            .connectivity(self.connectivity)
            .with_system_certs(self.system_certs)
            .keyring(self.keyring)
            .allow_insecure_host(self.trusted_hosts.clone())
            .http_proxy(self.proxies.http.clone())
            .https_proxy(self.proxies.https.clone())
            .no_proxy(self.proxies.none.clone());
        match self.http_timeout {
            Some(timeout) => builder.read_timeout(timeout),
            None => builder,
        }
    }

    /// Adds the index options of a requirements file or script, after everything configured.
    pub(crate) fn add_indexes(&mut self, indexes: Vec<Index>, flat: Vec<Index>, no_index: bool) {
        self.indexes.extend(indexes);
        self.flat.extend(flat);
        self.no_index |= no_index;
    }

    /// The indexes as the resolver wants them.
    ///
    /// Every index without a `cache-control` setting gets one: mirrors that send no such header are asked
    /// again on every run otherwise.
    pub(crate) fn locations(&self) -> IndexLocations {
        #[derive(Deserialize)]
        struct Wrapper {
            cache_control: IndexCacheControl,
        }
        let text =
            format!("cache_control = {{ api = '{PAGE_FRESHNESS}', files = '{FILE_FRESHNESS}' }}");
        let fresh: Option<IndexCacheControl> = toml::from_str::<Wrapper>(&text)
            .ok()
            .map(|wrapper| wrapper.cache_control);
        let mut indexes = self.indexes.clone();
        if !indexes.iter().any(|index| index.default) {
            indexes.extend(IndexLocations::default().default_index().cloned());
        }
        let indexes = indexes.into_iter().map(|mut index| {
            if index.cache_control.is_none() {
                index.cache_control.clone_from(&fresh);
            }
            index
        });
        IndexLocations::new(indexes.collect(), self.flat.clone(), self.no_index)
    }

    /// The constraints as the resolver wants them.
    pub(crate) fn constraint_requirements(
        &self,
        purpose: Purpose,
    ) -> impl Iterator<Item = Requirement> {
        let constraints = match purpose {
            Purpose::Install => &self.constraints,
            Purpose::Build => &self.build_constraints,
        };
        constraints.iter().cloned().map(Requirement::from)
    }
}

/// The merged configuration files.
fn files(environment: &Environment, workspace: &Path) -> Result<Options, ResolveError> {
    if switch(environment, "UV_NO_CONFIG")?.unwrap_or(false) {
        return Ok(Options::default());
    }
    if let Some(path) = environment.get("UV_CONFIG_FILE") {
        let file = FilesystemOptions::from_file(path).map_err(|error| wrong(path, &error))?;
        return Ok(file.into_options());
    }
    let mut project = None;
    for directory in workspace.ancestors() {
        project = directory_options(directory)?;
        if project.is_some() {
            break;
        }
    }
    let user = FilesystemOptions::user().map_err(|error| wrong("the user's `uv.toml`", &error))?;
    let system =
        FilesystemOptions::system().map_err(|error| wrong("the system's `uv.toml`", &error))?;
    Ok(project
        .combine(user)
        .combine(system)
        .map(FilesystemOptions::into_options)
        .unwrap_or_default())
}

/// The `uv.toml` of a directory, else the `[tool.uv]` of its `pyproject.toml`. Unlike uv, which goes on with a warning, an unreadable table is an error.
fn directory_options(directory: &Path) -> Result<Option<FilesystemOptions>, ResolveError> {
    #[derive(Deserialize)]
    struct Document {
        tool: Option<Tool>,
    }
    #[derive(Deserialize)]
    struct Tool {
        uv: Option<Options>,
    }
    for name in ["uv.toml", "pyproject.toml"] {
        let path = directory.join(name);
        let Ok(text) = fs_err::read_to_string(&path) else {
            continue;
        };
        let place = path.display().to_string();
        if toml_too_deep(&text) {
            return Err(ResolveError::TooDeep {
                input: place,
                limit: MAX_NESTING,
            });
        }
        if name == "uv.toml" {
            let options = FilesystemOptions::from_file(&path);
            return options.map(Some).map_err(|error| wrong(&place, &error));
        }
        let document: Document = toml::from_str(&text).map_err(|error| wrong(&place, &error))?;
        if let Some(options) = document.tool.and_then(|tool| tool.uv) {
            let options = FilesystemOptions::from(options).relative_to(directory);
            return options.map(Some).map_err(|error| wrong(&place, &error));
        }
    }
    Ok(None)
}

/// Where distributions are looked for.
struct Places {
    indexes: Vec<Index>,
    flat: Vec<Index>,
    no_index: bool,
}

/// Indexes of options and environment, then those of the files.
fn places(
    flags: &IndexSettings,
    environment: &Environment,
    files: IndexOptions,
    root: &Path,
) -> Result<Places, ResolveError> {
    let index = |text: &str| -> Result<Index, ResolveError> {
        let place = format!("index `{}`", crate::cause::mask(text));
        let index = Index::from_str(text).map_err(|error| wrong(&place, &error))?;
        index
            .relative_to(root)
            .map_err(|error| wrong(&place, &error))
    };
    let url = |text: &str| -> Result<IndexUrl, ResolveError> {
        IndexUrl::parse(text, Some(root))
            .map_err(|error| wrong(&format!("`{}`", crate::cause::mask(text)), &error))
    };
    let mut indexes = Vec::new();
    let default = flags
        .default_url
        .as_deref()
        .or(environment.get("UV_DEFAULT_INDEX"));
    if let Some(text) = default {
        indexes.push(Index {
            default: true,
            ..index(text)?
        });
    }
    let extra = flags.extra.iter().map(String::as_str);
    for text in extra.chain(list(environment, "UV_INDEX", char::is_whitespace)) {
        indexes.push(index(text)?);
    }
    for text in list(environment, "UV_EXTRA_INDEX_URL", char::is_whitespace) {
        indexes.push(Index::from_extra_index_url(url(text)?));
    }
    if let Some(text) = environment.get("UV_INDEX_URL") {
        indexes.push(Index::from_index_url(url(text)?));
    }
    indexes.extend(files.index.into_iter().flatten());
    indexes.extend(files.extra_index_url.into_iter().flatten().map(Index::from));
    indexes.extend(files.index_url.map(Index::from));
    let mut flat = Vec::new();
    let links = flags.find_links.iter().map(String::as_str);
    for text in links.chain(list(environment, "UV_FIND_LINKS", |c| c == ',')) {
        flat.push(Index::from_find_links(url(text)?));
    }
    flat.extend(files.find_links.into_iter().flatten().map(Index::from));
    let no_index = flags.no_index
        || switch(environment, "UV_NO_INDEX")?
            .or(files.no_index)
            .unwrap_or(false);
    Ok(Places {
        indexes,
        flat,
        no_index,
    })
}

/// The cut-off of options, environment or files.
fn exclude_newer(
    inputs: &Inputs,
    files: Option<ExcludeNewerOverride>,
) -> Result<Option<ExcludeNewerOverride>, ResolveError> {
    let (place, text) = match (
        &inputs.exclude_newer,
        inputs.environment.get("UV_EXCLUDE_NEWER"),
    ) {
        (Some(text), _) => ("the option `exclude-newer`", text.as_str()),
        (None, Some(text)) => ("`UV_EXCLUDE_NEWER`", text),
        (None, None) => return Ok(files),
    };
    ExcludeNewerOverride::from_str(text)
        .map(Some)
        .map_err(|message| ResolveError::Settings {
            place: place.to_owned(),
            cause: Cause::text(message),
        })
}

/// The option, else the environment, else the file; builds are always made of the newest.
fn resolution(
    inputs: &Inputs,
    file: Option<ResolutionMode>,
) -> Result<ResolutionMode, ResolveError> {
    match (inputs.resolution, inputs.purpose) {
        (Some(mode), _) => Ok(uv_resolution(mode)),
        (None, Purpose::Build) => Ok(ResolutionMode::default()),
        (None, Purpose::Install) => {
            let named = word(&inputs.environment, "UV_RESOLUTION")?;
            Ok(named.or(file).unwrap_or_default())
        }
    }
}

/// `no-binary` and `no-build` of options, environment and files.
fn build_options(
    inputs: &Inputs,
    (no_binary, no_binary_package): (Option<bool>, Option<Vec<PackageName>>),
    (no_build, no_build_package): (Option<bool>, Option<Vec<PackageName>>),
) -> Result<BuildOptions, ResolveError> {
    let environment = &inputs.environment;
    let mut never_wheel = names(
        inputs.index.no_binary.iter().map(String::as_str),
        "the option `no-binary`",
    )?;
    never_wheel.extend(names(
        list(environment, "UV_NO_BINARY_PACKAGE", char::is_whitespace),
        "`UV_NO_BINARY_PACKAGE`",
    )?);
    never_wheel.extend(no_binary_package.into_iter().flatten());
    let mut never_build = names(
        list(environment, "UV_NO_BUILD_PACKAGE", char::is_whitespace),
        "`UV_NO_BUILD_PACKAGE`",
    )?;
    never_build.extend(no_build_package.into_iter().flatten());
    Ok(BuildOptions::new(
        NoBinary::from_args(
            switch(environment, "UV_NO_BINARY")?.or(no_binary),
            never_wheel,
        ),
        NoBuild::from_args(
            inputs
                .index
                .no_build
                .then_some(true)
                .or(switch(environment, "UV_NO_BUILD")?)
                .or(no_build),
            never_build,
        ),
    ))
}

fn names<'t>(
    texts: impl Iterator<Item = &'t str>,
    place: &str,
) -> Result<Vec<PackageName>, ResolveError> {
    texts
        .map(|text| PackageName::from_str(text).map_err(|error| wrong(place, &error)))
        .collect()
}

fn trusted_hosts(
    environment: &Environment,
    files: Option<Vec<TrustedHost>>,
) -> Result<Vec<TrustedHost>, ResolveError> {
    let mut hosts = list(environment, "UV_INSECURE_HOST", char::is_whitespace)
        .map(TrustedHost::from_str)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong("`UV_INSECURE_HOST`", &error))?;
    hosts.extend(files.into_iter().flatten());
    Ok(hosts)
}

/// The parts of a variable with a list.
fn list<'e>(
    environment: &'e Environment,
    name: &str,
    separator: fn(char) -> bool,
) -> impl Iterator<Item = &'e str> {
    environment
        .get(name)
        .unwrap_or_default()
        .split(separator)
        .filter(|part| !part.is_empty())
}

/// A variable that is on or off.
fn switch(environment: &Environment, name: &str) -> Result<Option<bool>, ResolveError> {
    match environment
        .get(name)
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        None => Ok(None),
        Some("1" | "true" | "t" | "yes" | "y" | "on") => Ok(Some(true)),
        Some("0" | "false" | "f" | "no" | "n" | "off") => Ok(Some(false)),
        Some(other) => Err(ResolveError::Settings {
            place: format!("`{name}`"),
            cause: Cause::text(format!("`{other}` is neither `true` nor `false`")),
        }),
    }
}

/// A variable with one of several words.
fn word<T: DeserializeOwned>(
    environment: &Environment,
    name: &str,
) -> Result<Option<T>, ResolveError> {
    environment
        .get(name)
        .map(|text| T::deserialize(toml::Value::String(text.to_owned())))
        .transpose()
        .map_err(|error| wrong(&format!("`{name}`"), &error))
}

fn wrong(place: &str, error: &(dyn std::error::Error + 'static)) -> ResolveError {
    ResolveError::Settings {
        place: place.to_owned(),
        cause: Cause::of(error),
    }
}

fn uv_resolution(mode: inputs::ResolutionMode) -> ResolutionMode {
    match mode {
        inputs::ResolutionMode::Highest => ResolutionMode::Highest,
        inputs::ResolutionMode::Lowest => ResolutionMode::Lowest,
        inputs::ResolutionMode::LowestDirect => ResolutionMode::LowestDirect,
    }
}

fn uv_prerelease(mode: inputs::PrereleaseMode) -> uv_resolver::PrereleaseMode {
    match mode {
        inputs::PrereleaseMode::Disallow => uv_resolver::PrereleaseMode::Disallow,
        inputs::PrereleaseMode::Allow => uv_resolver::PrereleaseMode::Allow,
        inputs::PrereleaseMode::IfNecessary => uv_resolver::PrereleaseMode::IfNecessary,
        inputs::PrereleaseMode::Explicit => uv_resolver::PrereleaseMode::Explicit,
    }
}
