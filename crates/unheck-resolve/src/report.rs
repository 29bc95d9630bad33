//! Passes the resolver's progress on as [`Event`]s.

use std::sync::Arc;

use uv_distribution_types::{BuildableSource, VersionOrUrlRef};
use uv_normalize::PackageName;
use uv_redacted::DisplaySafeUrl;

use crate::inputs::{Event, Reporter};

/// Our reporter in the resolver's terms.
pub(crate) struct Adapter(pub(crate) Arc<dyn Reporter>);

impl Adapter {
    fn building(&self, source: &BuildableSource) {
        self.0.event(Event::Building {
            source: &crate::cause::clean(&source.to_string()),
        });
    }

    fn checking_out(&self, url: &DisplaySafeUrl, revision: &str) {
        self.0.event(Event::CheckingOut {
            url: &crate::cause::bare_url(url),
            revision,
        });
    }
}

impl uv_resolver::ResolverReporter for Adapter {
    fn on_progress(&self, name: &PackageName, version: &VersionOrUrlRef) {
        self.0.event(Event::Considering {
            name: name.as_ref(),
            version: &crate::cause::clean(&version.to_string()),
        });
    }

    fn on_complete(&self) {}

    fn on_build_start(&self, source: &BuildableSource) -> usize {
        self.building(source);
        0
    }

    fn on_build_complete(&self, _: &BuildableSource, _: usize) {}

    fn on_download_start(&self, _: &PackageName, _: Option<u64>) -> usize {
        0
    }

    fn on_download_progress(&self, _: usize, _: u64) {}

    fn on_download_complete(&self, _: &PackageName, _: usize) {}

    fn on_checkout_start(&self, url: &DisplaySafeUrl, revision: &str) -> usize {
        self.checking_out(url, revision);
        0
    }

    fn on_checkout_complete(&self, _: &DisplaySafeUrl, _: &str, _: usize) {}
}

impl uv_distribution::Reporter for Adapter {
    fn on_build_start(&self, source: &BuildableSource) -> usize {
        self.building(source);
        0
    }

    fn on_build_complete(&self, _: &BuildableSource, _: usize) {}

    fn on_download_start(&self, _: &PackageName, _: Option<u64>) -> usize {
        0
    }

    fn on_download_progress(&self, _: usize, _: u64) {}

    fn on_download_complete(&self, _: &PackageName, _: usize) {}

    fn on_checkout_start(&self, url: &DisplaySafeUrl, revision: &str) -> usize {
        self.checking_out(url, revision);
        0
    }

    fn on_checkout_complete(&self, _: &DisplaySafeUrl, _: &str, _: usize) {}
}
