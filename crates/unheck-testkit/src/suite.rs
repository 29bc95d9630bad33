//! Signed Debian suites in memory: InRelease, Packages, Contents, by-hash copies and the pool.
//!
//! Layout and fields as Debian serves them (the repository format page of Debian's wiki). Read
//! [`SuiteBuilder`] first; a [`Mirror`] holds one or more suites and can be served.

use std::collections::BTreeMap;

use md5::Digest as _;

use crate::deb::DebBuilder;
use crate::keys::TestKey;
use crate::tarball::{gzip, xz};

/// When a suite was made unless told otherwise: 2026-01-10T08:00:00Z, seconds since 1970.
pub const DATE: u32 = 1_768_032_000;

/// Builds one suite. Without a [`SuiteLie`] the result passes every check of apt's chain.
#[derive(Clone)]
pub struct SuiteBuilder {
    codename: String,
    suite: String,
    version: String,
    label: String,
    date: u32,
    valid_until: Option<u32>,
    architectures: Vec<String>,
    component_prefix: String,
    debs: Vec<(String, DebBuilder)>,
    sources: String,
    keys: Vec<&'static TestKey>,
    lies: Vec<SuiteLie>,
}

/// One way in which a suite is wrong.
#[derive(Debug, Clone)]
pub enum SuiteLie {
    /// InRelease has another SHA-256 for every Packages file.
    PackagesHash,
    /// InRelease has another size for every Packages file.
    PackagesSize,
    /// InRelease has another SHA-256 for every Contents file.
    ContentsHash,
    /// One letter of InRelease was changed after it was signed.
    Tampered,
    /// InRelease has no signature.
    Unsigned,
    /// Text stands before the signed message.
    TextBefore,
    /// Text stands after the signature.
    TextAfter,
    /// A second signed message follows the first.
    TwoMessages,
    /// The codename in InRelease is another.
    Codename(String),
    /// InRelease has no Date.
    NoDate,
    /// InRelease has MD5 sums and no SHA-256.
    Md5Only,
    /// InRelease promises by-hash copies and there are none.
    MissingByHash,
    /// InRelease does not promise by-hash copies, and there are none.
    NoByHash,
    /// There are no Contents files.
    NoContents,
    /// Packages has another SHA-256 for this package.
    DebHash(String),
    /// Packages has another size for this package.
    DebSize(String),
    /// The pool does not have this package's file.
    DebMissing(String),
    /// Packages has this package's field as given: package, field, value.
    Field(String, String, String),
    /// This text is appended to every Packages file.
    PackagesText(String),
}

/// A directory of files by URL path (with a leading slash), such as `/debian/dists/…`.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    /// Path → bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Mirror {
    /// An empty mirror.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a suite below `root` (`debian`, `debian-security`).
    #[must_use]
    pub fn suite(mut self, root: &str, suite: &SuiteBuilder) -> Self {
        let files = suite.build();
        self.files.extend(
            files
                .into_iter()
                .map(|(path, data)| (format!("/{root}/{path}"), data)),
        );
        self
    }

    /// Serves all files on loopback until the server is dropped.
    pub fn serve(&self) -> crate::http::Server {
        let server = crate::http::Server::start();
        self.put_into(&server);
        server
    }

    /// Puts all files into a running server, over those it has: the mirror moved on.
    pub fn put_into(&self, server: &crate::http::Server) {
        for (path, data) in &self.files {
            server.put(path, data.clone());
        }
    }
}

impl SuiteBuilder {
    /// A suite of this codename, for amd64 and arm64, signed by [`TestKey::good`].
    pub fn new(codename: &str) -> Self {
        Self {
            codename: codename.into(),
            suite: "stable".into(),
            version: "13.1".into(),
            label: "Debian".into(),
            date: DATE,
            valid_until: None,
            architectures: vec!["amd64".into(), "arm64".into()],
            component_prefix: String::new(),
            debs: Vec::new(),
            sources: String::new(),
            keys: vec![TestKey::good()],
            lies: Vec::new(),
        }
    }

    /// The sibling `CODENAME-updates`.
    pub fn updates(codename: &str) -> Self {
        Self {
            suite: "stable-updates".into(),
            ..Self::new(&format!("{codename}-updates"))
        }
    }

    /// The sibling `CODENAME-security`: another label, `updates/` before components and in the
    /// pool, and a Valid-Until (2100-01-01).
    pub fn security(codename: &str) -> Self {
        Self {
            suite: "stable-security".into(),
            version: "13".into(),
            label: "Debian-Security".into(),
            component_prefix: "updates/".into(),
            valid_until: Some(4_102_444_800),
            ..Self::new(&format!("{codename}-security"))
        }
    }

    /// Adds a package to `main`.
    #[must_use]
    pub fn deb(self, deb: &DebBuilder) -> Self {
        self.deb_in("main", deb)
    }

    /// Adds a package to a component. Packages of `all` appear under every architecture.
    #[must_use]
    pub fn deb_in(mut self, component: &str, deb: &DebBuilder) -> Self {
        self.debs.push((component.into(), deb.clone()));
        self
    }

    /// Adds a source package to the Sources index of `main`, which only suites with one have: its
    /// name, the binary packages and `Build-Depends`. There are no files of it.
    #[must_use]
    pub fn source(mut self, name: &str, binaries: &str, build_depends: &str) -> Self {
        let letter = &name[..1];
        self.sources.push_str(&format!(
            "Package: {name}\nBinary: {binaries}\nVersion: 1.0-1\nArchitecture: any\n\
             Build-Depends: {build_depends}\nDirectory: pool/main/{letter}/{name}\n\n"
        ));
        self
    }

    /// Adds packages to `main`.
    #[must_use]
    pub fn debs<'a>(self, debs: impl IntoIterator<Item = &'a DebBuilder>) -> Self {
        debs.into_iter().fold(self, |this, deb| this.deb(deb))
    }

    /// Sets Date, seconds since 1970; the signature is made then.
    #[must_use]
    pub fn date(mut self, seconds: u32) -> Self {
        self.date = seconds;
        self
    }

    /// Sets Valid-Until, seconds since 1970.
    #[must_use]
    pub fn valid_until(mut self, seconds: u32) -> Self {
        self.valid_until = Some(seconds);
        self
    }

    /// Sets the Suite and Version fields.
    #[must_use]
    pub fn named(mut self, suite: &str, version: &str) -> Self {
        self.suite = suite.into();
        self.version = version.into();
        self
    }

    /// Sets the architectures (without `all`).
    #[must_use]
    pub fn architectures(mut self, list: &[&str]) -> Self {
        self.architectures = list.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Signs with these keys instead, each its own signature in the one message.
    #[must_use]
    pub fn signed_by(mut self, keys: &[&'static TestKey]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    /// Makes the suite wrong in one way. May be called more than once.
    #[must_use]
    pub fn lie(mut self, lie: SuiteLie) -> Self {
        self.lies.push(lie);
        self
    }

    /// All files, path relative to the mirror's root (`dists/…`, `pool/…`).
    pub fn build(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let built: Vec<Built> = self
            .debs
            .iter()
            .map(|(component, deb)| self.built(component, deb))
            .collect();
        for deb in &built {
            let gone =
                |lie: &SuiteLie| matches!(lie, SuiteLie::DebMissing(name) if *name == deb.package);
            if !self.lies.iter().any(gone) {
                files.insert(deb.path.clone(), deb.bytes.clone());
            }
        }
        let indexes = self.indexes(&built);
        let dir = format!("dists/{}", self.codename);
        let has = |wanted: fn(&SuiteLie) -> bool| self.lies.iter().any(wanted);
        let by_hash = !has(|lie| matches!(lie, SuiteLie::MissingByHash | SuiteLie::NoByHash));
        for (path, bytes) in &indexes {
            // As Debian does: the uncompressed files are listed but not served.
            if !path.ends_with(".gz") && !path.ends_with(".xz") {
                continue;
            }
            if by_hash {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let hash = crate::sha256_hex(bytes);
                files.insert(
                    format!("{dir}/{parent}/by-hash/SHA256/{hash}"),
                    bytes.clone(),
                );
            }
            files.insert(format!("{dir}/{path}"), bytes.clone());
        }
        files.insert(
            format!("{dir}/InRelease"),
            self.in_release(&indexes).into_bytes(),
        );
        files
    }

    fn built(&self, component: &str, deb: &DebBuilder) -> Built {
        let bytes = deb.build();
        let source = deb
            .get("Source")
            .and_then(|source| source.split(' ').next());
        let source = source.unwrap_or(deb.package());
        let letter = match source.strip_prefix("lib") {
            Some(_) => &source[..source.len().min(4)],
            None => &source[..1],
        };
        let path = format!(
            "pool/{}{component}/{letter}/{source}/{}",
            self.component_prefix,
            deb.filename()
        );
        let mut stanza = deb.stanza();
        let (mut size, mut hash) = (bytes.len(), crate::sha256_hex(&bytes));
        let mut overrides = Vec::new();
        for lie in &self.lies {
            match lie {
                SuiteLie::DebHash(name) if name == deb.package() => {
                    hash = crate::sha256_hex(b"other")
                }
                SuiteLie::DebSize(name) if name == deb.package() => size += 1,
                SuiteLie::Field(name, field, value) if name == deb.package() => {
                    overrides.push((field.clone(), value.clone()));
                }
                _ => {}
            }
        }
        let md5 = crate::hex(&md5::Md5::digest(&bytes));
        stanza.push_str(&format!(
            "Filename: {path}\nSize: {size}\nMD5sum: {md5}\nSHA256: {hash}\n"
        ));
        for (field, value) in overrides {
            let others = stanza
                .lines()
                .filter(|line| !line.starts_with(&format!("{field}: ")));
            stanza = others.map(|line| format!("{line}\n")).collect();
            stanza.push_str(&format!("{field}: {value}\n"));
        }
        Built {
            package: deb.package().into(),
            component: component.into(),
            architecture: deb.architecture().into(),
            section: deb.get("Section").unwrap_or("libs").into(),
            paths: deb.paths(),
            path,
            bytes,
            stanza,
        }
    }

    fn components(&self) -> Vec<String> {
        let mut list = vec!["main".to_owned()];
        for (component, _) in &self.debs {
            if !list.contains(component) {
                list.push(component.clone());
            }
        }
        list
    }

    /// Packages and Contents files by path below the suite's directory.
    fn indexes(&self, built: &[Built]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        if !self.sources.is_empty() {
            let path = "main/source/Sources";
            files.insert(format!("{path}.gz"), gzip(self.sources.as_bytes()));
            files.insert(format!("{path}.xz"), xz(self.sources.as_bytes()));
            files.insert(path.into(), self.sources.clone().into_bytes());
        }
        for component in self.components() {
            for architecture in self.architectures.iter().map(String::as_str).chain(["all"]) {
                let mine = || built.iter().filter(|deb| deb.component == component);
                if architecture != "all" {
                    let fits = |deb: &&Built| {
                        deb.architecture == architecture || deb.architecture == "all"
                    };
                    let mut text: String = mine()
                        .filter(fits)
                        .map(|deb| format!("{}\n", deb.stanza))
                        .collect();
                    for lie in &self.lies {
                        if let SuiteLie::PackagesText(more) = lie {
                            text.push_str(more);
                        }
                    }
                    let path = format!("{component}/binary-{architecture}/Packages");
                    files.insert(format!("{path}.gz"), gzip(text.as_bytes()));
                    files.insert(format!("{path}.xz"), xz(text.as_bytes()));
                    files.insert(path, text.into_bytes());
                }
                if self
                    .lies
                    .iter()
                    .any(|lie| matches!(lie, SuiteLie::NoContents))
                {
                    continue;
                }
                let text = contents(mine().filter(|deb| deb.architecture == architecture));
                let path = format!("{component}/Contents-{architecture}");
                files.insert(format!("{path}.gz"), gzip(text.as_bytes()));
                files.insert(path, text.into_bytes());
            }
        }
        files
    }

    fn in_release(&self, indexes: &BTreeMap<String, Vec<u8>>) -> String {
        let text = self.release_text(indexes);
        let has = |wanted: fn(&SuiteLie) -> bool| self.lies.iter().any(wanted);
        if has(|lie| matches!(lie, SuiteLie::Unsigned)) {
            return text;
        }
        let sign = |text: &str| crate::keys::clearsign_by(&self.keys, text, self.date);
        let mut signed = sign(&text);
        for lie in &self.lies {
            match lie {
                SuiteLie::Tampered => {
                    signed = signed.replacen("Origin: Debian", "Origin: Debiam", 1)
                }
                SuiteLie::TextBefore => signed.insert_str(0, "Origin: Evil\n\n"),
                SuiteLie::TextAfter => signed.push_str("Origin: Evil\n"),
                SuiteLie::TwoMessages => signed.push_str(&sign("Origin: Debian\nCodename: evil\n")),
                _ => {}
            }
        }
        signed
    }

    fn release_text(&self, indexes: &BTreeMap<String, Vec<u8>>) -> String {
        let has = |wanted: fn(&SuiteLie) -> bool| self.lies.iter().any(wanted);
        let codename = self.lies.iter().find_map(|lie| match lie {
            SuiteLie::Codename(name) => Some(name),
            _ => None,
        });
        let mut text = String::new();
        let mut put = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\n"));
        put("Origin", "Debian");
        put("Label", &self.label);
        put("Suite", &self.suite);
        put("Version", &self.version);
        put("Codename", codename.unwrap_or(&self.codename));
        if !has(|lie| matches!(lie, SuiteLie::NoDate)) {
            put("Date", &rfc2822(self.date));
        }
        if let Some(time) = self.valid_until {
            put("Valid-Until", &rfc2822(time));
        }
        if !has(|lie| matches!(lie, SuiteLie::NoByHash)) {
            put("Acquire-By-Hash", "yes");
        }
        put("No-Support-for-Architecture-all", "Packages");
        put(
            "Architectures",
            &format!("all {}", self.architectures.join(" ")),
        );
        let components = self.components();
        let components: Vec<String> = components
            .iter()
            .map(|name| format!("{}{name}", self.component_prefix))
            .collect();
        put("Components", &components.join(" "));
        put("Description", "a suite made by a test");
        text.push_str(&self.hash_section("MD5Sum", indexes, |bytes| {
            crate::hex(&md5::Md5::digest(bytes))
        }));
        if !has(|lie| matches!(lie, SuiteLie::Md5Only)) {
            text.push_str(&self.hash_section("SHA256", indexes, crate::sha256_hex));
        }
        text
    }

    fn hash_section(
        &self,
        name: &str,
        indexes: &BTreeMap<String, Vec<u8>>,
        digest: fn(&[u8]) -> String,
    ) -> String {
        let mut text = format!("{name}:\n");
        for (path, bytes) in indexes {
            let (mut hash, mut size) = (digest(bytes), bytes.len());
            for lie in &self.lies {
                match lie {
                    SuiteLie::PackagesHash if path.contains("/Packages") => hash = digest(b"other"),
                    SuiteLie::PackagesSize if path.contains("/Packages") => size += 1,
                    SuiteLie::ContentsHash if path.contains("/Contents-") => {
                        hash = digest(b"other")
                    }
                    _ => {}
                }
            }
            text.push_str(&format!(" {hash} {size:>8} {path}\n"));
        }
        text
    }
}

/// A package as it goes into the indexes.
struct Built {
    package: String,
    component: String,
    architecture: String,
    section: String,
    paths: Vec<String>,
    path: String,
    bytes: Vec<u8>,
    stanza: String,
}

/// A Contents index: path, padding, `section/package` of each package that has it.
fn contents<'a>(debs: impl Iterator<Item = &'a Built>) -> String {
    let mut owners: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for deb in debs {
        for path in &deb.paths {
            let names = owners.entry(path).or_default();
            let name = format!("{}/{}", deb.section, deb.package);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    owners
        .iter()
        .map(|(path, names)| format!("{path:<55} {}\n", names.join(",")))
        .collect()
}

/// The date format of Release files: `Sat, 10 Jan 2026 08:00:00 UTC`.
pub fn rfc2822(seconds: u32) -> String {
    let time = jiff::Timestamp::from_second(seconds.into()).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> SuiteBuilder {
        let tzdata =
            DebBuilder::new("tzdata", "2025b-1", "all").file("/usr/share/zoneinfo/UTC", "TZif");
        SuiteBuilder::new("trixie")
            .deb(&DebBuilder::demo())
            .deb(&tzdata)
    }

    fn text(files: &BTreeMap<String, Vec<u8>>, path: &str) -> String {
        String::from_utf8(crate::dump::decompress(&files[path])).unwrap()
    }

    #[test]
    fn every_listed_hash_is_the_hash_of_what_is_served() {
        let files = suite().build();
        let release = text(&files, "dists/trixie/InRelease");
        let listed = release.split("SHA256:\n").nth(1).unwrap();
        let mut seen = 0;
        for line in listed.lines().take_while(|line| line.starts_with(' ')) {
            let [hash, size, path] = *line.split_whitespace().collect::<Vec<_>>() else {
                panic!("{line}")
            };
            let Some(bytes) = files.get(&format!("dists/trixie/{path}")) else {
                continue;
            };
            assert_eq!(
                (
                    crate::sha256_hex(bytes).as_str(),
                    bytes.len().to_string().as_str()
                ),
                (hash, size)
            );
            let dir = path.rsplit_once('/').unwrap().0;
            assert_eq!(
                &files[&format!("dists/trixie/{dir}/by-hash/SHA256/{hash}")],
                bytes
            );
            seen += 1;
        }
        assert_eq!(seen, 7); // Packages.gz and .xz for two, Contents.gz for three architectures
    }

    #[test]
    fn packages_and_contents_name_the_pool_file_and_its_paths() {
        let files = suite().build();
        let packages = text(&files, "dists/trixie/main/binary-arm64/Packages.xz");
        assert!(packages.contains("Package: tzdata\n") && !packages.contains("libdemo1"));
        let packages = text(&files, "dists/trixie/main/binary-amd64/Packages.gz");
        let pool = "pool/main/libd/libdemo1/libdemo1_1.0-1_amd64.deb";
        assert!(packages.contains(&format!("\nFilename: {pool}\n")));
        assert!(packages.contains(&crate::sha256_hex(&files[pool])));
        let contents = text(&files, "dists/trixie/main/Contents-all.gz");
        assert_eq!(
            contents.split_whitespace().collect::<Vec<_>>(),
            ["usr/share/zoneinfo/UTC", "libs/tzdata"]
        );
    }

    #[test]
    fn security_looks_as_debian_serves_it() {
        let files = SuiteBuilder::security("trixie")
            .deb(&DebBuilder::demo())
            .build();
        let release = text(&files, "dists/trixie-security/InRelease");
        for line in [
            "Label: Debian-Security",
            "Codename: trixie-security",
            "Components: updates/main",
        ] {
            assert!(release.contains(line), "{line}");
        }
        assert!(release.contains("Valid-Until: Fri, 01 Jan 2100 00:00:00 UTC\n"));
        assert!(files.contains_key("pool/updates/main/libd/libdemo1/libdemo1_1.0-1_amd64.deb"));
    }

    #[test]
    fn lies_change_only_what_they_say() {
        let honest = suite().build();
        let changed = |lie: SuiteLie| {
            let files = suite().lie(lie).build();
            let all = honest
                .keys()
                .chain(files.keys())
                .collect::<std::collections::BTreeSet<_>>();
            let changed = all
                .into_iter()
                .filter(|path| honest.get(*path) != files.get(*path));
            changed.cloned().collect::<Vec<_>>()
        };
        let release = ["dists/trixie/InRelease".to_owned()];
        for lie in [
            SuiteLie::PackagesHash,
            SuiteLie::Tampered,
            SuiteLie::Unsigned,
            SuiteLie::TextBefore,
        ] {
            assert_eq!(changed(lie), release);
        }
        let gone = ["pool/main/libd/libdemo1/libdemo1_1.0-1_amd64.deb".to_owned()];
        assert_eq!(changed(SuiteLie::DebMissing("libdemo1".into())), gone);
        assert_eq!(changed(SuiteLie::MissingByHash).len(), 7);
    }
}
