//! Debian binary packages in memory (deb(5), deb-control(5)), right or wrong on purpose.
//!
//! Read [`DebBuilder`] first; [`DebLie::catalogue`] lists every hostile variant by name.

use std::collections::BTreeSet;

use md5::Digest as _;

use crate::tarball::{self, TarEntry, gzip, write_tar, xz, zstd};

/// How a member of a deb is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebCompression {
    /// `.tar`
    None,
    /// `.tar.gz`
    Gzip,
    /// `.tar.xz`, what Debian uses.
    Xz,
    /// `.tar.zst`, what Ubuntu uses.
    Zstd,
}

/// Builds one `.deb`. Paths begin with a slash, as in the installed system.
#[derive(Debug, Clone)]
pub struct DebBuilder {
    package: String,
    version: String,
    architecture: String,
    fields: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    conffiles: Vec<String>,
    entries: Vec<TarEntry>,
    compression: DebCompression,
    lies: Vec<DebLie>,
}

/// One way in which a deb is wrong. Paths name a member that exists, as in the installed system.
#[derive(Debug, Clone)]
pub enum DebLie {
    /// One more member of data.tar, as it stands.
    Data(TarEntry),
    /// One more member of control.tar, as it stands.
    Control(TarEntry),
    /// The member once more, with other content.
    Duplicate(String),
    /// A file of this many zero bytes.
    Bomb(u64),
    /// md5sums has another digest for the member.
    Md5(String),
    /// One more ar member of this name, between the other two.
    ArMember(String),
    /// data.tar comes before control.tar.
    Order,
    /// A second data member.
    TwoData,
    /// No data member.
    NoData,
    /// No control member.
    NoControl,
    /// Another text in `debian-binary`.
    FormatVersion(String),
    /// The control file has another value for the field.
    Field(String, String),
    /// The last member claims this many bytes more than there are.
    ArSize(u64),
    /// Bytes after the last member.
    Trailing(Vec<u8>),
    /// The last this many bytes are missing.
    Truncated(usize),
}

impl DebLie {
    /// Every hostile deb in a small size, by a short name; for [`DebBuilder::demo`].
    pub fn catalogue() -> Vec<(&'static str, DebLie)> {
        let mut list = vec![
            ("duplicate", DebLie::Duplicate(DEMO_FILE.into())),
            ("bomb", DebLie::Bomb(64 << 20)),
            ("md5", DebLie::Md5(DEMO_FILE.into())),
            ("ar-member", DebLie::ArMember("evil".into())),
            ("ar-traversal", DebLie::ArMember("../evil".into())),
            ("order", DebLie::Order),
            ("two-data", DebLie::TwoData),
            ("no-data", DebLie::NoData),
            ("no-control", DebLie::NoControl),
            ("format-version", DebLie::FormatVersion("3.0\n".into())),
            (
                "control-package",
                DebLie::Field("Package".into(), "other".into()),
            ),
            (
                "control-version",
                DebLie::Field("Version".into(), "9.9-9".into()),
            ),
            (
                "control-architecture",
                DebLie::Field("Architecture".into(), "s390x".into()),
            ),
            ("ar-size", DebLie::ArSize(1 << 20)),
            ("trailing", DebLie::Trailing(b"more bytes".to_vec())),
            ("truncated", DebLie::Truncated(40)),
            (
                "control-traversal",
                DebLie::Control(TarEntry::file("../evil", "evil")),
            ),
        ];
        let data = Self::data_members().into_iter();
        list.extend(data.map(|(name, entry)| (name, DebLie::Data(entry))));
        list
    }

    fn data_members() -> Vec<(&'static str, TarEntry)> {
        let through = TarEntry::file("./usr/lib/link/evil", "evil");
        let escape = TarEntry::symlink("./usr/lib/away", "../../../../tmp");
        vec![
            ("traversal", TarEntry::file("./usr/../../evil", "evil")),
            ("absolute", TarEntry::file("/etc/evil", "evil")),
            ("nul", TarEntry::pax(&[("path", "./usr/a\0b")])),
            ("non-utf8", TarEntry::file(b"./usr/\xff", "evil")),
            ("escape-codes", TarEntry::file("./usr/\x1b[31mred", "evil")),
            (
                "char-device",
                TarEntry::new("./dev/null", tarball::CHAR_DEVICE, 0o666),
            ),
            (
                "block-device",
                TarEntry::new("./dev/sda", tarball::BLOCK_DEVICE, 0o660),
            ),
            ("fifo", TarEntry::new("./run/pipe", tarball::FIFO, 0o644)),
            (
                "setuid",
                TarEntry {
                    mode: 0o4755,
                    ..TarEntry::file("./usr/bin/su", "x")
                },
            ),
            ("symlink-escape", escape),
            (
                "symlink-absolute-escape",
                TarEntry::symlink("./usr/lib/away", "/../../etc"),
            ),
            (
                "hardlink-outside",
                TarEntry::hardlink("./usr/lib/hard", "../../etc/passwd"),
            ),
            (
                "hardlink-absolute",
                TarEntry::hardlink("./usr/lib/hard", "/etc/passwd"),
            ),
            (
                "hardlink-missing",
                TarEntry::hardlink("./usr/lib/hard", "./usr/lib/gone"),
            ),
            (
                "size-lie",
                TarEntry {
                    claimed_size: Some(1 << 40),
                    ..TarEntry::file("./usr/big", "x")
                },
            ),
            ("unknown-type", TarEntry::new("./usr/odd", b'Z', 0o644)),
            (
                "file-as-directory",
                TarEntry::file(format!(".{DEMO_FILE}/evil"), "evil"),
            ),
            ("pax-traversal", TarEntry::pax(&[("path", "../../evil")])),
            ("through-link", through),
        ]
    }
}

const DEMO_FILE: &str = "/usr/lib/x86_64-linux-gnu/libdemo.so.1.0";

impl DebBuilder {
    /// A package with no file, xz-compressed. `architecture` is Debian's (`amd64`, `all`).
    pub fn new(package: &str, version: &str, architecture: &str) -> Self {
        Self {
            package: package.into(),
            version: version.into(),
            architecture: architecture.into(),
            fields: Vec::new(),
            scripts: Vec::new(),
            conffiles: Vec::new(),
            entries: Vec::new(),
            compression: DebCompression::Xz,
            lies: Vec::new(),
        }
    }

    /// The honest package that every entry of [`DebLie::catalogue`] can be applied to. For
    /// `through-link` it has a link to a directory that leads outside nowhere else.
    pub fn demo() -> Self {
        Self::new("libdemo1", "1.0-1", "amd64")
            .file(DEMO_FILE, "not really a library")
            .symlink("/usr/lib/x86_64-linux-gnu/libdemo.so.1", "libdemo.so.1.0")
            .symlink("/usr/lib/link", "x86_64-linux-gnu")
            .file("/usr/share/doc/libdemo1/copyright", "none")
            .conffile("/etc/demo.conf", "x = 1\n")
            .depends("libc6 (>= 2.36)")
    }

    /// Adds a file of mode 644.
    #[must_use]
    pub fn file(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(TarEntry::file(inside(path), data))
    }

    /// Adds a file of mode 755.
    #[must_use]
    pub fn executable(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(TarEntry {
            mode: 0o755,
            ..TarEntry::file(inside(path), data)
        })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(TarEntry::symlink(inside(path), target))
    }

    /// Adds a hard link to another file of the package.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(TarEntry::hardlink(inside(path), inside(target)))
    }

    /// Adds a directory; parents of everything are added without asking.
    #[must_use]
    pub fn dir(self, path: &str) -> Self {
        self.entry(TarEntry::dir(format!("{}/", inside(path))))
    }

    /// Adds a configuration file, listed in `conffiles`.
    #[must_use]
    pub fn conffile(mut self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.conffiles.push(path.into());
        self.file(path, data)
    }

    /// Adds a member of data.tar as it stands (but its parents are added).
    #[must_use]
    pub fn entry(mut self, entry: TarEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds to `Depends`, comma-separated relations.
    #[must_use]
    pub fn depends(self, relations: &str) -> Self {
        self.relation("Depends", relations)
    }

    /// Adds to `Pre-Depends`.
    #[must_use]
    pub fn pre_depends(self, relations: &str) -> Self {
        self.relation("Pre-Depends", relations)
    }

    /// Adds to `Provides`.
    #[must_use]
    pub fn provides(self, relations: &str) -> Self {
        self.relation("Provides", relations)
    }

    /// Sets a field of the control file.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sets `Source`.
    #[must_use]
    pub fn source(self, name: &str) -> Self {
        self.field("Source", name)
    }

    /// Adds a maintainer script (`postinst`, …).
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts.push((name.into(), text.into()));
        self
    }

    /// Sets the compression of both members.
    #[must_use]
    pub fn compression(mut self, compression: DebCompression) -> Self {
        self.compression = compression;
        self
    }

    /// Makes the deb wrong in one way. May be called more than once.
    #[must_use]
    pub fn lie(mut self, lie: DebLie) -> Self {
        self.lies.push(lie);
        self
    }

    /// The package's name.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The package's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The package's architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The value of a control field, if it was set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The file name in a pool: the version without its epoch.
    pub fn filename(&self) -> String {
        let version = self
            .version
            .split_once(':')
            .map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.package, self.architecture)
    }

    /// The control paragraph without lies, as Packages repeats it (no final empty line).
    pub fn stanza(&self) -> String {
        let mut text = format!("Package: {}\n", self.package);
        let mut put = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\n"));
        if let Some(source) = self.get("Source") {
            put("Source", source);
        }
        put("Version", &self.version);
        let total: usize = self.entries.iter().map(|entry| entry.data.len()).sum();
        put("Installed-Size", &total.div_ceil(1024).to_string());
        put("Maintainer", "Nobody <nobody@test.invalid>");
        put("Architecture", &self.architecture);
        let known = ["Source", "Section", "Priority", "Description"];
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
        {
            put(name, value);
        }
        put("Section", self.get("Section").unwrap_or("libs"));
        put("Priority", self.get("Priority").unwrap_or("optional"));
        put(
            "Description",
            self.get("Description").unwrap_or("made by a test"),
        );
        text
    }

    /// The paths of files and links (no directories), without leading slash, as a Contents index
    /// has them.
    pub fn paths(&self) -> Vec<String> {
        let files = self
            .entries
            .iter()
            .filter(|entry| entry.kind != tarball::DIR);
        files.map(|entry| shown(&entry.path)).collect()
    }

    /// The package's bytes. The same builder gives the same bytes.
    pub fn build(&self) -> Vec<u8> {
        let format = self.lies.iter().find_map(|lie| match lie {
            DebLie::FormatVersion(text) => Some(text.as_str()),
            _ => None,
        });
        let control = self.member("control", &self.control_entries());
        let data = self.member("data", &self.data_entries());
        let mut members = vec![("debian-binary".to_owned(), format.unwrap_or("2.0\n").into())];
        members.extend([control, data]);
        for lie in &self.lies {
            match lie {
                DebLie::ArMember(name) => members.insert(2, (name.clone(), b"evil".to_vec())),
                DebLie::Order => members.swap(1, 2),
                DebLie::TwoData => members.push(members[2].clone()),
                DebLie::NoData => drop(members.remove(2)),
                DebLie::NoControl => drop(members.remove(1)),
                _ => {}
            }
        }
        self.archive(&members)
    }

    fn relation(self, name: &str, relations: &str) -> Self {
        let value = match self.get(name) {
            Some(known) => format!("{known}, {relations}"),
            None => relations.to_owned(),
        };
        self.field(name, &value)
    }

    fn member(&self, name: &str, entries: &[TarEntry]) -> (String, Vec<u8>) {
        let tar = write_tar(entries);
        match self.compression {
            DebCompression::None => (format!("{name}.tar"), tar),
            DebCompression::Gzip => (format!("{name}.tar.gz"), gzip(&tar)),
            DebCompression::Xz => (format!("{name}.tar.xz"), xz(&tar)),
            DebCompression::Zstd => (format!("{name}.tar.zst"), zstd(&tar)),
        }
    }

    /// The common ar format: global magic, 60-byte headers, members padded to even offsets.
    fn archive(&self, members: &[(String, Vec<u8>)]) -> Vec<u8> {
        let lie = self.lies.iter().find_map(|lie| match lie {
            DebLie::ArSize(more) => Some(*more),
            _ => None,
        });
        let mut out = b"!<arch>\n".to_vec();
        for (place, (name, data)) in members.iter().enumerate() {
            let more = if place + 1 == members.len() {
                lie.unwrap_or(0)
            } else {
                0
            };
            let size = data.len() as u64 + more;
            let mtime = tarball::MTIME;
            out.extend(format!("{name:<16}{mtime:<12}0     0     100644  {size:<10}`\n").bytes());
            out.extend_from_slice(data);
            if out.len() % 2 == 1 {
                out.push(b'\n');
            }
        }
        for lie in &self.lies {
            match lie {
                DebLie::Trailing(bytes) => out.extend_from_slice(bytes),
                DebLie::Truncated(count) => out.truncate(out.len() - count),
                _ => {}
            }
        }
        out
    }

    fn control_entries(&self) -> Vec<TarEntry> {
        let mut control = self.stanza();
        for lie in &self.lies {
            if let DebLie::Field(name, value) = lie {
                let start = control.find(&format!("{name}: ")).unwrap();
                let end = start + control[start..].find('\n').unwrap();
                control.replace_range(start..end, &format!("{name}: {value}"));
            }
        }
        let mut entries = vec![TarEntry::dir("./"), TarEntry::file("./control", control)];
        if !self.conffiles.is_empty() {
            let text: String = self
                .conffiles
                .iter()
                .map(|path| format!("{path}\n"))
                .collect();
            entries.push(TarEntry::file("./conffiles", text));
        }
        entries.push(TarEntry::file("./md5sums", self.md5sums()));
        for (name, text) in &self.scripts {
            let script = TarEntry::file(format!("./{name}"), text);
            entries.push(TarEntry {
                mode: 0o755,
                ..script
            });
        }
        for lie in &self.lies {
            if let DebLie::Control(entry) = lie {
                entries.push(entry.clone());
            }
        }
        entries
    }

    /// Digest, two spaces, path without slash; conffiles are left out, as debhelper does.
    fn md5sums(&self) -> String {
        let mut text = String::new();
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.kind == tarball::FILE)
        {
            let path = shown(&entry.path);
            let absolute = format!("/{path}");
            if self.conffiles.contains(&absolute) {
                continue;
            }
            let wrong = self
                .lies
                .iter()
                .any(|lie| matches!(lie, DebLie::Md5(name) if *name == absolute));
            let digest = if wrong {
                "0".repeat(32)
            } else {
                crate::hex(&md5::Md5::digest(&entry.data))
            };
            text.push_str(&format!("{digest}  {path}\n"));
        }
        text
    }

    fn data_entries(&self) -> Vec<TarEntry> {
        let mut entries = vec![TarEntry::dir("./")];
        let mut dirs: BTreeSet<Vec<u8>> = BTreeSet::from([b"./".to_vec()]);
        for entry in &self.entries {
            let own = entry.path.len() - usize::from(entry.path.ends_with(b"/"));
            for at in (2..own).filter(|at| entry.path[*at] == b'/') {
                let parent = entry.path[..=at].to_vec();
                if dirs.insert(parent.clone()) {
                    entries.push(TarEntry::dir(parent));
                }
            }
            if entry.kind != tarball::DIR || dirs.insert(entry.path.clone()) {
                entries.push(entry.clone());
            }
        }
        for lie in &self.lies {
            match lie {
                DebLie::Data(entry) => {
                    entries.push(entry.clone());
                    if entry.kind == tarball::PAX {
                        entries.push(TarEntry::file("./usr/short", "evil"));
                    }
                }
                DebLie::Duplicate(path) => entries.push(TarEntry::file(inside(path), "evil")),
                DebLie::Bomb(size) => {
                    entries.push(TarEntry::file("./usr/bomb", vec![0; *size as usize]));
                }
                _ => {}
            }
        }
        entries
    }
}

fn inside(path: &str) -> String {
    assert!(path.starts_with('/'), "`{path}` must begin with a slash");
    format!(".{path}")
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path)
        .trim_start_matches("./")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of an ar archive.
    fn members(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut list = Vec::new();
        bytes = bytes.strip_prefix(b"!<arch>\n").unwrap();
        while !bytes.is_empty() {
            let header = String::from_utf8(bytes[..60].to_vec()).unwrap();
            let size: usize = header[48..58].trim().parse().unwrap();
            list.push((
                header[..16].trim().to_owned(),
                bytes[60..60 + size].to_vec(),
            ));
            bytes = &bytes[(60 + size).next_multiple_of(2).min(bytes.len())..];
        }
        list
    }

    #[test]
    fn deb_has_control_md5sums_parents_and_files() {
        for compression in [
            DebCompression::None,
            DebCompression::Gzip,
            DebCompression::Xz,
            DebCompression::Zstd,
        ] {
            let parts = members(&DebBuilder::demo().compression(compression).build());
            assert_eq!(parts[0], ("debian-binary".into(), b"2.0\n".to_vec()));
            let control = crate::dump::tree_dump(&parts[1].1);
            assert_eq!(control.lines().count(), 4, "{control}");
            let data = crate::dump::tree_dump(&parts[2].1);
            let expected = "d 0755 - - ./
d 0755 - - ./usr/
d 0755 - - ./usr/lib/
d 0755 - - ./usr/lib/x86_64-linux-gnu/
f 0644 20 7b1bd3f8 ./usr/lib/x86_64-linux-gnu/libdemo.so.1.0
l 0777 - - ./usr/lib/x86_64-linux-gnu/libdemo.so.1 -> libdemo.so.1.0
l 0777 - - ./usr/lib/link -> x86_64-linux-gnu
d 0755 - - ./usr/share/
d 0755 - - ./usr/share/doc/
d 0755 - - ./usr/share/doc/libdemo1/
f 0644 4 140bedbf ./usr/share/doc/libdemo1/copyright
d 0755 - - ./etc/
f 0644 6 d0fcf2ad ./etc/demo.conf
";
            let digests = |text: &str| text.lines().count();
            assert_eq!(digests(&data), digests(expected), "{data}");
            assert_eq!(strip_digests(&data), strip_digests(expected));
        }
    }

    fn strip_digests(dump: &str) -> Vec<String> {
        let parts = |line: &str| {
            let mut parts: Vec<&str> = line.split(' ').collect();
            parts.remove(3);
            parts.join(" ")
        };
        dump.lines().map(parts).collect()
    }

    #[test]
    fn file_name_drops_the_epoch_and_stanza_orders_its_fields() {
        let deb = DebBuilder::new("zlib1g", "1:1.3-1", "amd64")
            .source("zlib")
            .depends("a")
            .depends("b");
        assert_eq!(deb.filename(), "zlib1g_1.3-1_amd64.deb");
        assert!(
            deb.stanza()
                .starts_with("Package: zlib1g\nSource: zlib\nVersion: 1:1.3-1\n")
        );
        assert!(deb.stanza().contains("\nDepends: a, b\n"));
    }

    #[test]
    fn every_lie_changes_the_bytes_and_the_same_builder_gives_the_same_bytes() {
        let honest = DebBuilder::demo().build();
        assert_eq!(honest, DebBuilder::demo().build());
        let mut names = BTreeSet::new();
        for (name, lie) in DebLie::catalogue() {
            assert!(names.insert(name), "{name} twice");
            let deb = DebBuilder::demo().lie(lie).build();
            assert_ne!(deb, honest, "{name}");
            assert!(deb.len() < 1 << 20, "{name} is {} bytes", deb.len());
        }
    }
}
