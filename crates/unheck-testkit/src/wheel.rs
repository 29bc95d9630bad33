//! Wheels in memory (binary distribution format, PEP 427 and PEP 491), right or wrong on purpose.
//!
//! Read [`WheelBuilder`] first; [`Lie::catalogue`] lists every hostile variant by name.

use crate::zip::{Claims, ZipEntry, ZipFile};

/// Builds one wheel. Without a [`Lie`] the result is one that a strict reader takes.
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    name: String,
    version: String,
    tags: Vec<String>,
    files: Vec<ZipEntry>,
    metadata: Vec<String>,
    description: String,
    scripts: Vec<(String, String)>,
    lies: Vec<Lie>,
}

/// One way in which a wheel is wrong, or right but unusual. Paths name a member that exists.
#[derive(Debug, Clone)]
pub enum Lie {
    /// RECORD has another sha256 for the member.
    RecordDigest(String),
    /// RECORD has another size for the member.
    RecordSize(String),
    /// RECORD has no row for the member.
    RecordMissing(String),
    /// RECORD has a row for a file that is not there.
    RecordExtra(String),
    /// RECORD has an md5 where sha256 belongs.
    RecordMd5(String),
    /// RECORD is not there at all.
    NoRecord,
    /// METADATA is not there.
    NoMetadata,
    /// WHEEL is not there.
    NoWheel,
    /// METADATA has another name.
    MetadataName(String),
    /// METADATA has another version.
    MetadataVersion(String),
    /// WHEEL has another tag than the file name.
    WheelTag(String),
    /// WHEEL has another `Wheel-Version`.
    WheelVersion(String),
    /// One more dist-info directory, for this `name-version`.
    SecondDistInfo(String),
    /// The dist-info directory is spelled for this `name-version`.
    DistInfoName(String),
    /// One more member with this name, with a right RECORD row: `../x`, `/etc/x`, `a\\b`.
    Member(Vec<u8>),
    /// Two more members with these names, each with a right RECORD row.
    Pair(Vec<u8>, Vec<u8>),
    /// One more console script: name, target.
    Script(String, String),
    /// The member once more, with other content; RECORD speaks of the first.
    Duplicate(String),
    /// A symbolic link member with this target.
    Symlink(String),
    /// One more member of this Unix mode, type included: `0o104755` is setuid, `0o020666` a device.
    Mode(u32),
    /// Bytes before the archive; its offsets count them, as in a self-extracting archive.
    Prefix(Vec<u8>),
    /// Bytes before the archive; its offsets do not count them, as if files were concatenated.
    Front(Vec<u8>),
    /// Bytes after the archive.
    Trailing(Vec<u8>),
    /// An archive comment.
    Comment(Vec<u8>),
    /// The end record counts this many members.
    Count(u16),
    /// The member's local record says this.
    Local(String, Claims),
    /// The member's central record says this.
    Central(String, Claims),
    /// The member's sizes follow in a data descriptor, which says this.
    Descriptor(String, Claims),
    /// The member has a zip64 extra field.
    Zip64(String),
    /// The member is under this compression method.
    Method(String, u16),
    /// The member has the encryption flag.
    Encrypted(String),
    /// The member has an Info-ZIP Unicode path extra field (0x7075) with another name.
    UnicodePath(String, String),
    /// One more member: this many zero bytes, deflated.
    Bomb(u64),
    /// One more member: this many zero bytes, deflated, declared as 10.
    LyingBomb(u64),
}

impl Lie {
    /// Every hostile wheel in a small size, by a short name. A strict reader refuses each one;
    /// `zip64` and `descriptor` are legal and only unusual: see [`Lie::is_legal`].
    pub fn catalogue() -> Vec<(&'static str, Lie)> {
        let file = || "demo/__init__.py".to_owned();
        let mut list = vec![
            ("record-digest", Lie::RecordDigest(file())),
            ("record-size", Lie::RecordSize(file())),
            ("record-missing", Lie::RecordMissing(file())),
            ("record-extra", Lie::RecordExtra("demo/gone.py".into())),
            (
                "record-outside",
                Lie::RecordExtra("../../etc/passwd".into()),
            ),
            ("record-md5", Lie::RecordMd5(file())),
            ("no-record", Lie::NoRecord),
            ("no-metadata", Lie::NoMetadata),
            ("no-wheel", Lie::NoWheel),
            ("metadata-name", Lie::MetadataName("other".into())),
            ("metadata-version", Lie::MetadataVersion("9.9".into())),
            ("wheel-tag", Lie::WheelTag("cp399-cp399-win_amd64".into())),
            ("wheel-version", Lie::WheelVersion("2.0".into())),
            ("second-dist-info", Lie::SecondDistInfo("other-2.0".into())),
            ("dist-info-name", Lie::DistInfoName("other-1.0".into())),
            ("duplicate", Lie::Duplicate(file())),
            ("symlink", Lie::Symlink("/etc/passwd".into())),
            ("setuid", Lie::Mode(0o104_755)),
            ("device", Lie::Mode(0o020_666)),
            ("fifo", Lie::Mode(0o010_644)),
            ("prefix", Lie::Prefix(b"#!/bin/sh\n".to_vec())),
            ("trailing", Lie::Trailing(b"more".to_vec())),
            ("comment", Lie::Comment(b"hello".to_vec())),
            ("count", Lie::Count(1)),
        ];
        let other = || {
            WheelBuilder::new("demo", "1.0")
                .file("demo/__init__.py", "evil = 1\n")
                .build()
        };
        list.extend([
            ("archive-in-front", Lie::Front(other())),
            ("archive-in-comment", Lie::Comment(other())),
            ("archive-behind", Lie::Trailing(other())),
            (
                "script-traversal",
                Lie::Script("../../evil".into(), "demo:main".into()),
            ),
            (
                "script-absolute",
                Lie::Script("/usr/bin/evil".into(), "demo:main".into()),
            ),
            (
                "script-code",
                Lie::Script("evil".into(), "demo:main(__import__('os'))".into()),
            ),
            (
                "nfc-collision",
                Lie::Pair("demo/\u{e9}.py".into(), "demo/e\u{301}.py".into()),
            ),
        ]);
        list.extend(Self::record_lies(&file()));
        list.extend(Self::name_lies());
        list
    }

    /// Whether a reader may take the wheel all the same (valid zip, merely unusual).
    pub fn is_legal(&self) -> bool {
        match self {
            Lie::Zip64(_) => true,
            Lie::Descriptor(_, claims) => {
                claims.crc.is_none() && claims.size.is_none() && claims.compressed.is_none()
            }
            _ => false,
        }
    }

    fn record_lies(file: &str) -> Vec<(&'static str, Lie)> {
        let claim = |size: u64| Claims {
            size: Some(size),
            ..Claims::default()
        };
        let crc = || Claims {
            crc: Some(0x1234_5678),
            ..Claims::default()
        };
        let name = || Claims {
            name: Some(b"demo/other.py".to_vec()),
            ..Claims::default()
        };
        let method = || Claims {
            method: Some(0),
            ..Claims::default()
        };
        let compressed = || Claims {
            compressed: Some(3),
            ..Claims::default()
        };
        vec![
            ("local-name", Lie::Local(file.into(), name())),
            ("local-size", Lie::Local(file.into(), claim(1))),
            ("local-crc", Lie::Local(file.into(), crc())),
            ("local-method", Lie::Local(file.into(), method())),
            ("local-compressed", Lie::Local(file.into(), compressed())),
            ("central-size", Lie::Central(file.into(), claim(1))),
            ("central-crc", Lie::Central(file.into(), crc())),
            (
                "central-compressed",
                Lie::Central(file.into(), compressed()),
            ),
            ("descriptor-lies", Lie::Descriptor(file.into(), crc())),
            (
                "descriptor",
                Lie::Descriptor(file.into(), Claims::default()),
            ),
            ("zip64", Lie::Zip64(file.into())),
            ("method", Lie::Method(file.into(), 12)),
            ("encrypted", Lie::Encrypted(file.into())),
            (
                "unicode-path",
                Lie::UnicodePath(file.into(), "demo/evil.py".into()),
            ),
            ("bomb", Lie::Bomb(128 << 20)),
            ("lying-bomb", Lie::LyingBomb(64 << 20)),
        ]
    }

    fn name_lies() -> Vec<(&'static str, Lie)> {
        let names: [(&'static str, &[u8]); 15] = [
            ("traversal", b"../evil.py"),
            ("traversal-inside", b"demo/../../evil.py"),
            ("absolute", b"/tmp/evil.py"),
            ("backslash", b"demo\\evil.py"),
            ("drive", b"C:/evil.py"),
            ("non-utf8", b"demo/\xff\xfe.py"),
            ("nul", b"demo/a\0.py"),
            ("newline", b"demo/a\nb.py"),
            ("escape-codes", b"demo/\x1b[31mred.py"),
            ("data-traversal", b"demo-1.0.data/scripts/../../evil"),
            ("data-scheme", b"demo-1.0.data/elsewhere/evil"),
            ("empty-part", b"demo//evil.py"),
            ("dot-part", b"demo/./evil.py"),
            ("case-collision", b"demo/__INIT__.py"),
            ("file-as-directory", b"demo/__init__.py/evil.py"),
        ];
        names
            .into_iter()
            .map(|(label, name)| (label, Lie::Member(name.to_vec())))
            .collect()
    }
}

impl WheelBuilder {
    /// A wheel of `name` and `version`, tag `py3-none-any` until one is given, with no file.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            tags: Vec::new(),
            files: Vec::new(),
            metadata: Vec::new(),
            description: String::new(),
            scripts: Vec::new(),
            lies: Vec::new(),
        }
    }

    /// The honest wheel that every entry of [`Lie::catalogue`] can be applied to.
    pub fn demo() -> Self {
        Self::new("demo", "1.0")
            .file("demo/__init__.py", "def main():\n    print(\"demo\")\n")
            .file("demo/core.py", "VALUE = 1\n".repeat(20))
            .entry_point("demo", "demo:main")
    }

    /// Adds a compatibility tag, `python-abi-platform`; parts may be compressed sets (`py2.py3`).
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a file of mode 644.
    #[must_use]
    pub fn file(mut self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.files.push(ZipEntry::file(path, data));
        self
    }

    /// Adds a file of mode 755.
    #[must_use]
    pub fn executable(mut self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.files.push(ZipEntry {
            mode: 0o100_755,
            ..ZipEntry::file(path, data)
        });
        self
    }

    /// Adds a file of the `.data` directory; `path` begins with the scheme (`scripts/x`,
    /// `purelib/…`, `data/share/…`).
    #[must_use]
    pub fn data(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        let path = format!("{}.data/{path}", self.stem());
        self.file(&path, data)
    }

    /// Adds a file to the dist-info directory, such as `licenses/LICENSE`.
    #[must_use]
    pub fn dist_info(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        let path = format!("{}.dist-info/{path}", self.stem());
        self.file(&path, data)
    }

    /// Adds a member as it stands, with a right RECORD row.
    #[must_use]
    pub fn entry(mut self, entry: ZipEntry) -> Self {
        self.files.push(entry);
        self
    }

    /// Adds a `Requires-Dist` (PEP 508).
    #[must_use]
    pub fn requires(self, requirement: &str) -> Self {
        self.metadata_line(&format!("Requires-Dist: {requirement}"))
    }

    /// Sets `Requires-Python`.
    #[must_use]
    pub fn requires_python(self, specifier: &str) -> Self {
        self.metadata_line(&format!("Requires-Python: {specifier}"))
    }

    /// Adds a `Provides-Extra`.
    #[must_use]
    pub fn extra(self, extra: &str) -> Self {
        self.metadata_line(&format!("Provides-Extra: {extra}"))
    }

    /// Adds a line to METADATA as it stands.
    #[must_use]
    pub fn metadata_line(mut self, line: &str) -> Self {
        self.metadata.push(line.into());
        self
    }

    /// Sets the body of METADATA.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        self.description = text.into();
        self
    }

    /// Adds a console script, `module:attribute`.
    #[must_use]
    pub fn entry_point(mut self, name: &str, target: &str) -> Self {
        self.scripts.push((name.into(), target.into()));
        self
    }

    /// Makes the wheel wrong in one way. May be called more than once.
    #[must_use]
    pub fn lie(mut self, lie: Lie) -> Self {
        self.lies.push(lie);
        self
    }

    /// The distribution's name as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as given.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file name by PEP 427: escaped name, version, tags as a compressed set.
    pub fn filename(&self) -> String {
        let tags = self.all_tags();
        let mut parts = [Vec::new(), Vec::new(), Vec::new()];
        for tag in &tags {
            for (set, part) in parts.iter_mut().zip(tag.split('-')) {
                if !set.contains(&part) {
                    set.push(part);
                }
            }
        }
        format!(
            "{}-{}.whl",
            self.stem(),
            parts.map(|set| set.join(".")).join("-")
        )
    }

    /// The METADATA file (core metadata 2.1), as the wheel has it.
    pub fn metadata_text(&self) -> String {
        let (mut name, mut version) = (self.name.clone(), self.version.clone());
        for lie in &self.lies {
            match lie {
                Lie::MetadataName(other) => name.clone_from(other),
                Lie::MetadataVersion(other) => version.clone_from(other),
                _ => {}
            }
        }
        let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for line in &self.metadata {
            text.push_str(line);
            text.push('\n');
        }
        if !self.description.is_empty() {
            text.push('\n');
            text.push_str(&self.description);
        }
        text
    }

    /// The wheel's bytes. The same builder gives the same bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut entries = self.files.clone();
        entries.extend(self.dist_info_entries());
        let mut zip = ZipFile::default();
        for lie in &self.lies {
            lie.change_members(&mut entries);
            lie.change_archive(&mut zip);
        }
        if !self.lies.iter().any(|lie| matches!(lie, Lie::NoRecord)) {
            let path = format!("{}/RECORD", self.dist_info_dir());
            let record = self.record(&entries, &path);
            entries.push(ZipEntry::file(path, record));
        }
        for lie in &self.lies {
            lie.change_records(&mut entries);
        }
        zip.entries = entries;
        zip.build()
    }

    fn stem(&self) -> String {
        let escaped = self.name.replace(['-', '.'], "_").to_lowercase();
        format!("{escaped}-{}", self.version.replace('-', "_"))
    }

    fn all_tags(&self) -> Vec<String> {
        match self.tags.is_empty() {
            true => vec!["py3-none-any".into()],
            false => self.tags.clone(),
        }
    }

    fn dist_info_dir(&self) -> String {
        let other = self.lies.iter().find_map(|lie| match lie {
            Lie::DistInfoName(stem) => Some(stem.clone()),
            _ => None,
        });
        format!("{}.dist-info", other.unwrap_or_else(|| self.stem()))
    }

    fn dist_info_entries(&self) -> Vec<ZipEntry> {
        let dir = self.dist_info_dir();
        let has = |wanted: fn(&Lie) -> bool| self.lies.iter().any(wanted);
        let mut entries = Vec::new();
        if !has(|lie| matches!(lie, Lie::NoMetadata)) {
            entries.push(ZipEntry::file(
                format!("{dir}/METADATA"),
                self.metadata_text(),
            ));
        }
        if !has(|lie| matches!(lie, Lie::NoWheel)) {
            entries.push(ZipEntry::file(format!("{dir}/WHEEL"), self.wheel_text()));
        }
        let more = self.lies.iter().filter_map(|lie| match lie {
            Lie::Script(name, target) => Some((name.clone(), target.clone())),
            _ => None,
        });
        let scripts: Vec<(String, String)> = self.scripts.iter().cloned().chain(more).collect();
        if !scripts.is_empty() {
            let mut text = "[console_scripts]\n".to_owned();
            for (name, target) in &scripts {
                text.push_str(&format!("{name} = {target}\n"));
            }
            entries.push(ZipEntry::file(format!("{dir}/entry_points.txt"), text));
        }
        entries
    }

    fn wheel_text(&self) -> String {
        let (mut version, mut tags) = ("1.0".to_owned(), self.all_tags());
        for lie in &self.lies {
            match lie {
                Lie::WheelVersion(other) => version.clone_from(other),
                Lie::WheelTag(other) => tags = vec![other.clone()],
                _ => {}
            }
        }
        let pure = tags.iter().all(|tag| tag.ends_with("-none-any"));
        let mut text = format!(
            "Wheel-Version: {version}\nGenerator: unheck-testkit\nRoot-Is-Purelib: {pure}\n"
        );
        for tag in tags.iter().flat_map(|tag| expand(tag)) {
            text.push_str(&format!("Tag: {tag}\n"));
        }
        text
    }

    /// RECORD: path, `sha256=` with unpadded URL-safe base64, size; none for RECORD itself.
    fn record(&self, entries: &[ZipEntry], own_path: &str) -> String {
        let mut rows: Vec<[String; 3]> = Vec::new();
        for entry in entries {
            let path = String::from_utf8_lossy(&entry.name).into_owned();
            if path.ends_with('/') || rows.iter().any(|row| row[0] == path) {
                continue;
            }
            let (digest, size) = digest_of(entry);
            rows.push([
                path,
                format!("sha256={}", base64url(&digest)),
                size.to_string(),
            ]);
        }
        for lie in &self.lies {
            lie.change_rows(&mut rows);
        }
        rows.push([own_path.to_owned(), String::new(), String::new()]);
        rows.iter()
            .map(|row| format!("{},{},{}\n", quote(&row[0]), row[1], row[2]))
            .collect()
    }
}

impl Lie {
    fn change_rows(&self, rows: &mut Vec<[String; 3]>) {
        let wrong = format!("sha256={}", base64url(&[7; 32]));
        match self {
            Lie::RecordDigest(path) => row(rows, path)[1] = wrong,
            Lie::RecordSize(path) => row(rows, path)[2] = "7".into(),
            Lie::RecordMissing(path) => rows.retain(|row| row[0] != *path),
            Lie::RecordExtra(path) => rows.push([path.clone(), wrong, "3".into()]),
            Lie::RecordMd5(path) => row(rows, path)[1] = format!("md5={}", base64url(&[7; 16])),
            _ => {}
        }
    }

    /// Before RECORD is written: what it will cover.
    fn change_members(&self, entries: &mut Vec<ZipEntry>) {
        match self {
            Lie::Member(name) => entries.push(ZipEntry::file(name, "evil = 1\n")),
            Lie::Pair(first, second) => {
                let names = [first, second].into_iter();
                entries.extend(names.map(|name| ZipEntry::file(name, "evil = 1\n")));
            }
            Lie::Symlink(target) => entries.push(ZipEntry::symlink("demo/link", target)),
            Lie::Mode(mode) => {
                entries.push(ZipEntry {
                    mode: *mode,
                    ..ZipEntry::file("demo/special", "")
                });
            }
            Lie::SecondDistInfo(stem) => {
                let (name, version) = stem.split_once('-').unwrap();
                let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
                entries.push(ZipEntry::file(format!("{stem}.dist-info/METADATA"), text));
            }
            Lie::Bomb(size) => entries.push(ZipEntry::zeros("demo/bomb.bin", *size)),
            Lie::LyingBomb(size) => {
                let mut bomb = ZipEntry::zeros("demo/bomb.bin", *size);
                bomb.local.size = Some(10);
                bomb.central.size = Some(10);
                entries.push(bomb);
            }
            _ => {}
        }
    }

    /// After RECORD is written: what only the zip level shows.
    fn change_records(&self, entries: &mut Vec<ZipEntry>) {
        match self {
            Lie::Duplicate(path) => {
                entry(entries, path);
                entries.push(ZipEntry::file(path, "evil = 1\n"));
            }
            Lie::Local(path, claims) => entry(entries, path).local = claims.clone(),
            Lie::Central(path, claims) => entry(entries, path).central = claims.clone(),
            Lie::Descriptor(path, claims) => {
                let entry = entry(entries, path);
                entry.descriptor = true;
                entry.local = claims.clone();
            }
            Lie::Zip64(path) => entry(entries, path).zip64 = true,
            Lie::Method(path, method) => entry(entries, path).method = *method,
            Lie::Encrypted(path) => entry(entries, path).flags |= 1,
            Lie::UnicodePath(path, other) => {
                let entry = entry(entries, path);
                let mut crc = flate2::Crc::new();
                crc.update(&entry.name);
                entry.extra.extend(0x7075_u16.to_le_bytes());
                entry.extra.extend((other.len() as u16 + 5).to_le_bytes());
                entry.extra.push(1);
                entry.extra.extend(crc.sum().to_le_bytes());
                entry.extra.extend_from_slice(other.as_bytes());
            }
            _ => {}
        }
    }

    fn change_archive(&self, zip: &mut ZipFile) {
        match self {
            Lie::Prefix(bytes) => {
                zip.prefix.clone_from(bytes);
                zip.shift_offsets = true;
            }
            Lie::Front(bytes) => zip.prefix.clone_from(bytes),
            Lie::Trailing(bytes) => zip.trailing.clone_from(bytes),
            Lie::Comment(bytes) => zip.comment.clone_from(bytes),
            Lie::Count(count) => zip.claimed_count = Some(*count),
            _ => {}
        }
    }
}

fn row<'a>(rows: &'a mut [[String; 3]], path: &str) -> &'a mut [String; 3] {
    rows.iter_mut().find(|row| row[0] == path).unwrap()
}

fn entry<'a>(entries: &'a mut [ZipEntry], path: &str) -> &'a mut ZipEntry {
    entries
        .iter_mut()
        .find(|entry| entry.name == path.as_bytes())
        .unwrap()
}

fn digest_of(entry: &ZipEntry) -> ([u8; 32], u64) {
    use sha2::Digest as _;
    let Some(raw) = &entry.raw else {
        return (
            sha2::Sha256::digest(&entry.data).into(),
            entry.data.len() as u64,
        );
    };
    let mut hasher = sha2::Sha256::new();
    let mut decoder = flate2::read::DeflateDecoder::new(raw.bytes.as_slice());
    let mut part = vec![0; 1 << 16];
    loop {
        let read = std::io::Read::read(&mut decoder, &mut part).unwrap();
        if read == 0 {
            return (hasher.finalize().into(), raw.size);
        }
        hasher.update(&part[..read]);
    }
}

/// `a.b-c-d.e` as the plain tags that it stands for (PEP 425, compressed tag sets).
fn expand(tag: &str) -> Vec<String> {
    let mut tags = vec![String::new()];
    for part in tag.split('-') {
        let longer = |tag: &String, one: &str| match tag.is_empty() {
            true => one.to_owned(),
            false => format!("{tag}-{one}"),
        };
        tags = tags
            .iter()
            .flat_map(|tag| part.split('.').map(move |one| longer(tag, one)))
            .collect();
    }
    tags
}

/// A CSV field (RFC 4180): quoted where it has to be.
fn quote(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

/// URL-safe base64 without padding (RFC 4648 section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(
                ALPHABET[(word >> (18 - 6 * place)) as usize & 63],
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_escapes_the_name_and_compresses_the_tags() {
        let wheel = WheelBuilder::new("My-Demo.x", "1.0")
            .tag("cp313-cp313-manylinux_2_17_x86_64")
            .tag("cp313-cp313-manylinux2014_x86_64");
        let expected = "my_demo_x-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        assert_eq!(wheel.filename(), expected);
        assert_eq!(expand("py2.py3-none-any"), ["py2-none-any", "py3-none-any"]);
        assert!(
            WheelBuilder::demo()
                .tag("py2.py3-none-any")
                .filename()
                .ends_with("-py2.py3-none-any.whl")
        );
    }

    #[test]
    fn record_matches_the_known_vector() {
        // RFC 4648 vectors, and SHA-256 of nothing.
        assert_eq!(base64url(b"foob"), "Zm9vYg");
        let empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let wheel = WheelBuilder::new("demo", "1.0").file("a,b.py", "");
        let record = wheel.record(&wheel.files, "demo-1.0.dist-info/RECORD");
        assert_eq!(
            record,
            format!("\"a,b.py\",sha256={empty},0\ndemo-1.0.dist-info/RECORD,,\n")
        );
    }

    #[test]
    fn every_lie_changes_the_bytes_and_the_same_builder_gives_the_same_bytes() {
        let honest = WheelBuilder::demo().build();
        assert_eq!(honest, WheelBuilder::demo().build());
        let mut names = std::collections::BTreeSet::new();
        for (name, lie) in Lie::catalogue() {
            assert!(names.insert(name), "{name} twice");
            let shown = format!("{lie:?}");
            let wheel = WheelBuilder::demo().lie(lie).build();
            assert_ne!(wheel, honest, "{name}: {shown}");
            assert!(wheel.len() < 2 << 20, "{name} is {} bytes", wheel.len());
        }
    }
}
