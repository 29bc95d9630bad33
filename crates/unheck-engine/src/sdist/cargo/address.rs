//! Where `.crate` files are downloaded from. Start at [`Address`].
//!
//! A registry says so in the `dl` of its `config.json` (the Cargo book, "Index Format"); the
//! host's cargo may be told to use another registry in place of crates.io ("Source Replacement").

use serde::Deserialize;
use url::Url;

use super::CargoError;
use super::lockfile::LockedCrate;
use crate::net::Net;

/// The `dl` of crates.io itself, for hosts that name no other. A tool that works without
/// configuration needs one address that is always there.
pub const CRATES_IO: &str = "https://static.crates.io/crates";

/// Longest `config.json` that is read, in bytes.
const MAX_CONFIG: u64 = 64 << 10;

/// Most sources that are followed from one to the next.
const MAX_HOPS: usize = 8;

/// Where crates are downloaded from: a `dl` of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// An address as a registry's `config.json` gives it: with markers such as `{crate}`, or the
    /// beginning of `…/{crate}/{version}/download`.
    ///
    /// # Errors
    /// [`CargoError::Address`] when it is no URL.
    pub fn new(text: &str) -> Result<Self, CargoError> {
        let address = Self(text.to_owned());
        let probe = LockedCrate {
            name: "probe".to_owned(),
            version: "1.0.0".to_owned(),
            checksum: unheck_base::Digest::of(b""),
        };
        address.url(&probe).map(|_| address)
    }

    /// The address of a crate.
    ///
    /// # Errors
    /// [`CargoError::Address`] when it is no URL.
    pub fn url(&self, one: &LockedCrate) -> Result<Url, CargoError> {
        let lower = prefix(&one.name.to_ascii_lowercase());
        let markers = [
            ("{crate}", one.name.clone()),
            ("{version}", one.version.clone()),
            ("{prefix}", prefix(&one.name)),
            ("{lowerprefix}", lower),
            ("{sha256-checksum}", one.checksum.hex()),
        ];
        let text = if markers.iter().any(|(marker, _)| self.0.contains(marker)) {
            let mut text = self.0.clone();
            for (marker, value) in &markers {
                text = text.replace(marker, value);
            }
            text
        } else {
            let base = self.0.trim_end_matches('/');
            format!("{base}/{}/{}/download", one.name, one.version)
        };
        Url::parse(&text).map_err(|source| CargoError::Address {
            text: self.0.clone(),
            source,
        })
    }

    /// Asks a sparse index for its downloads.
    ///
    /// # Errors
    /// [`CargoError::Index`] when it does not answer or says something else.
    pub fn of_index(net: &Net, index: &Url) -> Result<Self, CargoError> {
        #[derive(Deserialize)]
        struct Config {
            dl: String,
        }
        let failed = |why: String| CargoError::Index {
            url: index.to_string(),
            why,
        };
        let url = Url::parse(&format!(
            "{}/config.json",
            index.as_str().trim_end_matches('/')
        ))
        .map_err(|error| failed(error.to_string()))?;
        let bytes = net.small(&url, MAX_CONFIG).map_err(CargoError::Net)?;
        let config: Config =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        Self::new(&config.dl)
    }
}

/// The directory of a crate in an index: `1`, `2`, `3/a`, `ab/cd`.
fn prefix(name: &str) -> String {
    match name.len() {
        0..=2 => name.len().to_string(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

/// The sparse index that the text of a cargo configuration (`config.toml`) puts in place of
/// crates.io; `None` where it puts none, or one that is no sparse index.
pub fn replaced_index(config: &str) -> Option<Url> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        source: std::collections::BTreeMap<String, Source>,
        #[serde(default)]
        registries: std::collections::BTreeMap<String, Registry>,
    }
    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "replace-with")]
        replace_with: Option<String>,
        registry: Option<String>,
    }
    #[derive(Deserialize)]
    struct Registry {
        index: Option<String>,
    }
    let config: Config = toml::from_str(config).ok()?;
    let mut name = config.source.get("crates-io")?.replace_with.clone()?;
    for _ in 0..MAX_HOPS {
        let source = config.source.get(&name);
        match source.and_then(|source| source.replace_with.clone()) {
            Some(next) => name = next,
            None => {
                let own = source.and_then(|source| source.registry.clone());
                let named = || config.registries.get(&name)?.index.clone();
                let index = own.or_else(named)?;
                return Url::parse(index.strip_prefix("sparse+")?).ok();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(address: &str, name: &str) -> String {
        let one = LockedCrate {
            name: name.to_owned(),
            version: "1.2.3+x".to_owned(),
            checksum: unheck_base::Digest::of(b""),
        };
        Address::new(address)
            .expect("address")
            .url(&one)
            .expect("url")
            .to_string()
    }

    #[test]
    fn markers_are_replaced_and_else_cargos_path_is_added() {
        assert_eq!(
            url("https://c.invalid/api/", "itoa"),
            "https://c.invalid/api/itoa/1.2.3+x/download"
        );
        assert_eq!(
            url(
                "https://c.invalid/{lowerprefix}/{crate}-{version}.crate",
                "Inflector"
            ),
            "https://c.invalid/in/fl/Inflector-1.2.3+x.crate"
        );
        assert_eq!(
            url("https://c.invalid/{prefix}", "abc"),
            "https://c.invalid/3/a"
        );
        assert!(Address::new("no url").is_err());
        assert!(Address::new(CRATES_IO).is_ok());
    }

    #[test]
    fn a_replacement_is_followed_to_its_index() {
        let index = |text: &str| replaced_index(text).map(|url| url.to_string());
        let config = "[source.crates-io]\nreplace-with = 'a'\n[source.a]\nreplace-with = 'b'\n";
        let found = Some("https://i.invalid/x/".to_owned());
        let own = format!("{config}[source.b]\nregistry = 'sparse+https://i.invalid/x/'\n");
        assert_eq!(index(&own), found);
        let named = format!("{config}[registries.b]\nindex = 'sparse+https://i.invalid/x/'\n");
        assert_eq!(index(&named), found);
        let circle = "[source.crates-io]\nreplace-with = 'a'\n[source.a]\nreplace-with = 'a'\n";
        let git = format!("{config}[source.b]\nregistry = 'https://i.invalid/git'\n");
        for none in ["", "[net]\noffline = true\n", circle, git.as_str(), "]"] {
            assert_eq!(index(none), None, "{none}");
        }
    }
}
