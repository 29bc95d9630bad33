//! Commits of git repositories as directories: [`checkout`].

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use uv_cache::CacheBucket;
use uv_client::Connectivity;
use uv_git::{GitHttpSettings, GitResolver};
use uv_git_types::{GitLfs, GitOid, GitReference, GitUrl};
use uv_redacted::DisplaySafeUrl;

use crate::error::{Cause, ResolveError};
use crate::inputs::Inputs;
use crate::resolve::{on_own_thread, open_cache, workspace_root};
use crate::settings::Settings;

/// The directory of a commit in the resolver's `cache`; fetched with the host's `git` when it is not there yet.
///
/// # Errors
/// [`ResolveError::UnsupportedInput`] when address or commit are none, or when git fails.
pub async fn checkout(
    inputs: &Inputs,
    cache: &Path,
    url: &str,
    commit: &str,
) -> Result<PathBuf, ResolveError> {
    let (inputs, cache) = (inputs.clone(), cache.to_owned());
    let (url, commit) = (url.to_owned(), commit.to_owned());
    on_own_thread(move |_| async move { fetch(&inputs, &cache, &url, &commit).await }).await
}

async fn fetch(
    inputs: &Inputs,
    cache: &Path,
    url: &str,
    commit: &str,
) -> Result<PathBuf, ResolveError> {
    let wrong = |cause| ResolveError::UnsupportedInput {
        input: format!("{}@{commit}", crate::cause::mask(url)),
        cause,
    };
    let settings = Settings::load(inputs, &workspace_root(inputs))?;
    let cache = open_cache(cache).await?;
    let parsed = DisplaySafeUrl::parse(url).map_err(|error| wrong(Cause::of(&error)))?;
    let precise = GitOid::from_str(commit).map_err(|error| wrong(Cause::of(&error)))?;
    let reference = GitReference::from_rev(commit.to_owned());
    let git = GitUrl::from_commit(parsed, reference, precise, GitLfs::Disabled)
        .map_err(|error| wrong(Cause::of(&error)))?;
    let offline = settings.connectivity == Connectivity::Offline;
    let http = GitHttpSettings::default().with_offline(offline);
    let fetched = GitResolver::default()
        .fetch(&git, http, cache.bucket(CacheBucket::Git), None)
        .await
        .map_err(|error| wrong(Cause::of(&error)))?;
    Ok(fetched.path().to_owned())
}
