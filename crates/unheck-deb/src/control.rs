//! Control data (deb822(5), Debian Policy 5.1) and the indexes made of it: Packages and Sources.
//!
//! Streams: one stanza is in memory at a time. Refuses comments, duplicate fields, lines of
//! blanks only, and anything that dpkg would read differently. Start at [`packages`].

use std::error::Error;
use std::io::{self, BufRead};
use std::ops::{ControlFlow, Range};

use unheck_base::{Digest, TreePath};

use crate::quote::{quote, quote_bytes};
use crate::relation::{RelationField, is_package_name, is_word};
use crate::version::DebVersion;

/// The longest stanza accepted, in bytes. The longest of Debian's Sources has about 1 MB.
pub const MAX_STANZA: usize = 16 << 20;

/// The most fields in one stanza.
pub const MAX_FIELDS: usize = 512;

/// Reads stanzas one after the other from a stream.
pub struct StanzaReader<R> {
    reader: R,
    buffer: Vec<u8>,
    fields: Vec<FieldAt>,
    line: u64,
}

/// Where one field lies in the text of its stanza.
#[derive(Debug, Clone)]
struct FieldAt {
    name: Range<u32>,
    value: Range<u32>,
}

/// One stanza: named fields, each name at most once in any case.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    text: &'a str,
    fields: &'a [FieldAt],
    line: u64,
}

/// Why control data cannot be read. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The reader gave up.
    #[error("cannot read control data near line {line}")]
    Read {
        /// The line that the stanza began at.
        line: u64,
        /// The reader's own error.
        #[source]
        source: io::Error,
    },
    /// A stanza is longer than [`MAX_STANZA`] bytes or has more than [`MAX_FIELDS`] fields.
    #[error("the stanza at line {line} is over the limit `{limit}`")]
    TooLong {
        /// The line that the stanza began at.
        line: u64,
        /// The name of the constant.
        limit: &'static str,
    },
    /// A line is no field, no continuation and no separator.
    #[error("line {line}, `{text}`, {problem}")]
    Syntax {
        /// The line.
        line: u64,
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A field that must be there is not.
    #[error("the stanza of `{package}` at line {line} lacks the field `{field}`")]
    Missing {
        /// The package, or `?` when even that is missing.
        package: String,
        /// The line that the stanza began at.
        line: u64,
        /// The field.
        field: &'static str,
    },
    /// A field has a value that cannot be right.
    #[error("the stanza of `{package}` at line {line} has a bad `{field}`: `{value}`")]
    Value {
        /// The package.
        package: String,
        /// The line that the stanza began at.
        line: u64,
        /// The field.
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// Why, where another parser refused it.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl<R: BufRead> StanzaReader<R> {
    /// A reader at the start of `reader`.
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            fields: Vec::new(),
            line: 1,
        }
    }

    /// The next stanza, or `None` at the end.
    ///
    /// # Errors
    /// [`ControlError::Read`], [`ControlError::TooLong`] or [`ControlError::Syntax`].
    pub fn next_stanza(&mut self) -> Result<Option<Stanza<'_>>, ControlError> {
        self.buffer.clear();
        let mut start = self.line;
        loop {
            let line_at = self.buffer.len();
            self.read_line(start)?;
            match &self.buffer[line_at..] {
                [] if self.buffer.is_empty() => return Ok(None),
                [] => break,
                [b'\n'] => {
                    self.line += 1;
                    self.buffer.truncate(line_at);
                    if line_at != 0 {
                        break;
                    }
                    start = self.line;
                }
                _ => self.line += 1,
            }
        }
        self.index(start)?;
        // `index` has checked that the buffer is UTF-8.
        let text = std::str::from_utf8(&self.buffer).unwrap_or_default();
        Ok(Some(Stanza {
            text,
            fields: &self.fields,
            line: start,
        }))
    }

    /// Appends one line, newline included, to the buffer.
    fn read_line(&mut self, start: u64) -> Result<(), ControlError> {
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(ControlError::Read {
                        line: start,
                        source,
                    });
                }
            };
            let newline = memchr::memchr(b'\n', chunk);
            let used = newline.map_or(chunk.len(), |at| at + 1);
            if self.buffer.len() + used > MAX_STANZA {
                return Err(ControlError::TooLong {
                    line: start,
                    limit: "MAX_STANZA",
                });
            }
            self.buffer.extend_from_slice(&chunk[..used]);
            self.reader.consume(used);
            if newline.is_some() || used == 0 {
                return Ok(());
            }
        }
    }

    /// Finds the fields of the stanza in the buffer and checks the whole of it.
    fn index(&mut self, start: u64) -> Result<(), ControlError> {
        self.fields.clear();
        let wrong = |line: u64, bytes: &[u8], problem| ControlError::Syntax {
            line,
            text: quote_bytes(bytes),
            problem,
        };
        let Ok(text) = std::str::from_utf8(&self.buffer) else {
            return Err(wrong(
                start,
                &self.buffer,
                "begins a stanza that is not UTF-8",
            ));
        };
        if memchr::memchr(0, &self.buffer).is_some() {
            return Err(wrong(
                start,
                &self.buffer,
                "begins a stanza with a NUL byte",
            ));
        }
        let mut at = 0;
        for (number, line) in (start..).zip(text.split_inclusive('\n')) {
            let end = at + line.len();
            let content = line.trim_end();
            if content.is_empty() {
                return Err(wrong(number, line.as_bytes(), "consists of blanks only"));
            }
            if line.starts_with([' ', '\t']) {
                let Some(last) = self.fields.last_mut() else {
                    return Err(wrong(number, line.as_bytes(), "continues no field"));
                };
                last.value.end = (at + content.len()) as u32;
            } else {
                let field = field_at(content, at)
                    .ok_or_else(|| wrong(number, line.as_bytes(), "is no `Name: value` field"))?;
                let name = &text[field.name.start as usize..field.name.end as usize];
                let same = |other: &FieldAt| {
                    text[other.name.start as usize..other.name.end as usize]
                        .eq_ignore_ascii_case(name)
                };
                if self.fields.iter().any(same) {
                    return Err(wrong(
                        number,
                        line.as_bytes(),
                        "repeats a field of the same stanza",
                    ));
                }
                self.fields.push(field);
            }
            if self.fields.len() > MAX_FIELDS {
                return Err(ControlError::TooLong {
                    line: start,
                    limit: "MAX_FIELDS",
                });
            }
            at = end;
        }
        Ok(())
    }
}

/// Splits the first line of a field that begins `at` bytes into the stanza. Names are printable
/// ASCII without `:`, and begin with neither `#` nor `-` (Policy 5.1).
fn field_at(line: &str, at: usize) -> Option<FieldAt> {
    let colon = memchr::memchr(b':', line.as_bytes())?;
    let name = &line[..colon];
    if name.is_empty()
        || name.starts_with(['#', '-'])
        || !name.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return None;
    }
    let value = line[colon + 1..].trim_start();
    let value_at = line.len() - value.len();
    let offset = |inside: usize| (at + inside) as u32;
    Some(FieldAt {
        name: offset(0)..offset(colon),
        value: offset(value_at)..offset(line.len()),
    })
}

impl<'a> Stanza<'a> {
    /// The value of a field by its name in any case: without outer blanks, folded lines and their
    /// indentation included.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields()
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    /// All fields in the order of the text.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        let slice = move |range: &Range<u32>| &text[range.start as usize..range.end as usize];
        self.fields
            .iter()
            .map(move |field| (slice(&field.name), slice(&field.value)))
    }

    /// The text of the stanza without the empty line after it.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The line that the stanza begins at, from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    fn required(&self, field: &'static str) -> Result<&'a str, ControlError> {
        match self.get(field) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(ControlError::Missing {
                package: quote(self.get("Package").unwrap_or("?")),
                line: self.line,
                field,
            }),
        }
    }

    fn parsed<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, Box<dyn Error + Send + Sync>>,
    ) -> Result<T, ControlError> {
        let value = self.required(field)?;
        parse(value).map_err(|source| self.bad(field, value, Some(source)))
    }

    fn bad(
        &self,
        field: &'static str,
        value: &str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> ControlError {
        ControlError::Value {
            package: quote(self.get("Package").unwrap_or("?")),
            line: self.line,
            field,
            value: quote(value),
            source,
        }
    }

    /// The package name, checked.
    pub(crate) fn package(&self) -> Result<&'a str, ControlError> {
        let name = self.required("Package")?;
        match is_package_name(name) {
            true => Ok(name),
            false => Err(self.bad("Package", name, None)),
        }
    }

    /// The version, checked.
    pub(crate) fn version(&self) -> Result<DebVersion, ControlError> {
        self.parsed("Version", |text| Ok(text.parse()?))
    }

    /// The architecture of a binary package, checked.
    pub(crate) fn architecture(&self) -> Result<&'a str, ControlError> {
        let name = self.required("Architecture")?;
        match is_word(name) {
            true => Ok(name),
            false => Err(self.bad("Architecture", name, None)),
        }
    }

    fn relation(&self, field: &str) -> RelationField {
        RelationField::new(self.get(field).unwrap_or_default())
    }

    fn text_of(&self, field: &str) -> String {
        self.get(field).unwrap_or_default().into()
    }
}

/// The `Multi-Arch` field (deb-control(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiArch {
    /// `no`, or no field.
    #[default]
    No,
    /// `same`: several architectures can be installed side by side.
    Same,
    /// `foreign`: satisfies dependencies of packages of any architecture.
    Foreign,
    /// `allowed`: the depending package may say `:any`.
    Allowed,
}

/// One stanza of a Packages index.
#[derive(Debug, Clone)]
pub struct BinaryPackage {
    /// The name.
    pub name: String,
    /// The version.
    pub version: DebVersion,
    /// The architecture, or `all`.
    pub architecture: String,
    /// Name and version of the source package; its own where the `Source` field says nothing.
    pub source: (String, DebVersion),
    /// `Depends`.
    pub depends: RelationField,
    /// `Pre-Depends`.
    pub pre_depends: RelationField,
    /// `Recommends`.
    pub recommends: RelationField,
    /// `Provides`.
    pub provides: RelationField,
    /// `Conflicts`.
    pub conflicts: RelationField,
    /// `Breaks`.
    pub breaks: RelationField,
    /// `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Priority`, empty when missing.
    pub priority: String,
    /// `Section`, empty when missing.
    pub section: String,
    /// The path of the `.deb`, counted from the root of the repository.
    pub filename: TreePath,
    /// The size of the `.deb` in bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub sha256: Digest,
    /// `Installed-Size` in KiB, an estimate of the maintainer.
    pub installed_size: Option<u64>,
    /// The first line of the description.
    pub description: String,
    /// `Homepage`.
    pub homepage: Option<String>,
}

/// One stanza of a Sources index.
#[derive(Debug, Clone)]
pub struct SourcePackage {
    /// The name.
    pub name: String,
    /// The version.
    pub version: DebVersion,
    /// The architectures or wildcards it builds for.
    pub architectures: Vec<String>,
    /// `Build-Depends`.
    pub build_depends: RelationField,
    /// `Build-Depends-Arch`.
    pub build_depends_arch: RelationField,
    /// `Build-Depends-Indep`.
    pub build_depends_indep: RelationField,
    /// The binary packages that it can build.
    pub binaries: Vec<String>,
    /// The directory of its files, counted from the root of the repository.
    pub directory: TreePath,
    /// Its files, from `Checksums-Sha256`.
    pub files: Vec<SourceFile>,
}

/// One file of a source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file name inside the directory of the package.
    pub name: TreePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// Reads a Packages index (Debian repository format) and gives every package to `each`, in the
/// order of the file, until it breaks.
///
/// # Errors
/// The first stanza that cannot be read; those before it were given.
pub fn packages(
    reader: impl BufRead,
    mut each: impl FnMut(BinaryPackage) -> ControlFlow<()>,
) -> Result<(), ControlError> {
    let mut stanzas = StanzaReader::new(reader);
    while let Some(stanza) = stanzas.next_stanza()? {
        if each(BinaryPackage::from_stanza(&stanza)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads a Sources index, as [`packages`] does for binary packages.
///
/// # Errors
/// The first stanza that cannot be read; those before it were given.
pub fn sources(
    reader: impl BufRead,
    mut each: impl FnMut(SourcePackage) -> ControlFlow<()>,
) -> Result<(), ControlError> {
    let mut stanzas = StanzaReader::new(reader);
    while let Some(stanza) = stanzas.next_stanza()? {
        if each(SourcePackage::from_stanza(&stanza)?).is_break() {
            break;
        }
    }
    Ok(())
}

impl BinaryPackage {
    /// Reads one stanza of a Packages index.
    ///
    /// # Errors
    /// [`ControlError::Missing`] and [`ControlError::Value`].
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, ControlError> {
        let name = stanza.package()?;
        let version = stanza.version()?;
        let description = stanza.get("Description").unwrap_or_default();
        let yes_or_no = |field| match stanza.get(field) {
            Some("yes") => Ok(true),
            None | Some("no") => Ok(false),
            Some(other) => Err(stanza.bad(field, other, None)),
        };
        Ok(Self {
            source: source_of(stanza, name, &version)?,
            name: name.into(),
            version,
            architecture: stanza.architecture()?.into(),
            depends: stanza.relation("Depends"),
            pre_depends: stanza.relation("Pre-Depends"),
            recommends: stanza.relation("Recommends"),
            provides: stanza.relation("Provides"),
            conflicts: stanza.relation("Conflicts"),
            breaks: stanza.relation("Breaks"),
            multi_arch: match stanza.get("Multi-Arch") {
                None | Some("no") => MultiArch::No,
                Some("same") => MultiArch::Same,
                Some("foreign") => MultiArch::Foreign,
                Some("allowed") => MultiArch::Allowed,
                Some(other) => return Err(stanza.bad("Multi-Arch", other, None)),
            },
            essential: yes_or_no("Essential")?,
            priority: stanza.text_of("Priority"),
            section: stanza.text_of("Section"),
            filename: stanza.parsed("Filename", |text| {
                Ok(TreePath::new(text.strip_prefix("./").unwrap_or(text))?)
            })?,
            size: stanza.parsed("Size", decimal)?,
            sha256: stanza.parsed("SHA256", |text| Ok(text.parse()?))?,
            installed_size: match stanza.get("Installed-Size") {
                None | Some("") => None,
                Some(_) => Some(stanza.parsed("Installed-Size", decimal)?),
            },
            description: description.lines().next().unwrap_or_default().into(),
            homepage: stanza.get("Homepage").map(Into::into),
        })
    }
}

/// The `Source` field, `name` or `name (version)`.
fn source_of(
    stanza: &Stanza<'_>,
    name: &str,
    version: &DebVersion,
) -> Result<(String, DebVersion), ControlError> {
    let Some(text) = stanza.get("Source") else {
        return Ok((name.into(), version.clone()));
    };
    let (source, source_version) = match text.split_once('(') {
        None => (text, version.clone()),
        Some((source, rest)) => {
            let inside = rest.strip_suffix(')');
            let inside = inside.ok_or_else(|| stanza.bad("Source", text, None))?;
            let parsed = inside.trim().parse::<DebVersion>();
            let parsed = parsed.map_err(|error| stanza.bad("Source", text, Some(error.into())))?;
            (source.trim_end(), parsed)
        }
    };
    if !is_package_name(source) {
        return Err(stanza.bad("Source", text, None));
    }
    Ok((source.into(), source_version))
}

fn decimal(text: &str) -> Result<u64, Box<dyn Error + Send + Sync>> {
    // `parse` alone would take a leading plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is not a decimal number".into());
    }
    Ok(text.parse()?)
}

impl SourcePackage {
    /// Reads one stanza of a Sources index.
    ///
    /// # Errors
    /// [`ControlError::Missing`] and [`ControlError::Value`].
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, ControlError> {
        let words = |field| stanza.get(field).unwrap_or_default();
        let listed = words("Binary").split([',', '\n']).map(str::trim);
        Ok(Self {
            name: stanza.package()?.into(),
            version: stanza.version()?,
            architectures: words("Architecture")
                .split_ascii_whitespace()
                .map(Into::into)
                .collect(),
            build_depends: stanza.relation("Build-Depends"),
            build_depends_arch: stanza.relation("Build-Depends-Arch"),
            build_depends_indep: stanza.relation("Build-Depends-Indep"),
            binaries: listed
                .filter(|name| !name.is_empty())
                .map(Into::into)
                .collect(),
            directory: stanza.parsed("Directory", |text| Ok(TreePath::new(text)?))?,
            files: stanza.parsed("Checksums-Sha256", |text| {
                text.lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(source_file)
                    .collect()
            })?,
        })
    }
}

fn source_file(line: &str) -> Result<SourceFile, Box<dyn Error + Send + Sync>> {
    let mut words = line.split_ascii_whitespace();
    let (Some(digest), Some(size), Some(name), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a line is not `digest size name`".into());
    };
    if name.contains('/') {
        return Err("a file name has a slash".into());
    }
    Ok(SourceFile {
        name: TreePath::new(name)?,
        size: decimal(size)?,
        sha256: digest.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STANZA: &str = "Package: libpython3.13-minimal\nSource: python3.13 (3.13.5-2)\nVersion: 3.13.5-2+b1\n\
        Installed-Size: 5132\nArchitecture: amd64\nMulti-Arch: same\nDepends: libc6 (>= 2.14),\n libssl3t64 (>= 3.0.0)\n\
        Description: Minimal subset of the Python language (version 3.13)\n More text.\nHomepage: https://www.python.org/\n\
        Section: libs\nPriority: optional\nFilename: pool/main/p/python3.13/libpython3.13-minimal_3.13.5-2_amd64.deb\n\
        Size: 862032\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

    fn all(text: &str) -> Result<Vec<BinaryPackage>, String> {
        let mut found = Vec::new();
        // A tiny buffer, so that lines cross its end.
        let reader = io::BufReader::with_capacity(7, text.as_bytes());
        packages(reader, |package| {
            found.push(package);
            ControlFlow::Continue(())
        })
        .map_err(|error| error.to_string())?;
        Ok(found)
    }

    fn changed(from: &str, to: &str) -> String {
        assert!(STANZA.contains(from), "{from}");
        all(&STANZA.replacen(from, to, 1)).expect_err(to)
    }

    #[test]
    fn a_stanza_of_packages_is_read_whole() {
        let found = all(&format!("\n{STANZA}\n\n\n{STANZA}")).expect("two packages");
        assert_eq!(found.len(), 2);
        let package = &found[1];
        assert_eq!(package.name, "libpython3.13-minimal");
        assert_eq!(package.version.as_str(), "3.13.5-2+b1");
        assert_eq!(package.source.0, "python3.13");
        assert_eq!(package.source.1.as_str(), "3.13.5-2");
        assert_eq!(package.multi_arch, MultiArch::Same);
        assert_eq!(package.depends.parse().expect("relations").len(), 2);
        assert!(package.provides.is_empty());
        assert_eq!(package.size, 862_032);
        assert_eq!(package.installed_size, Some(5132));
        assert_eq!(
            package.description,
            "Minimal subset of the Python language (version 3.13)"
        );
        assert_eq!(package.homepage.as_deref(), Some("https://www.python.org/"));
        assert!(!package.essential);
    }

    #[test]
    fn reading_stops_when_the_caller_breaks() {
        let mut seen = 0;
        let text = format!("{STANZA}\n{STANZA}\nnot a field\n");
        packages(text.as_bytes(), |_| {
            seen += 1;
            ControlFlow::Break(())
        })
        .expect("the rest is never read");
        assert_eq!(seen, 1);
    }

    #[test]
    fn hostile_and_broken_stanzas_are_refused_with_the_reason() {
        let cases = [
            ("Package: lib", "Package: ../lib", "has a bad `Package`"),
            (
                "Filename: pool",
                "Filename: ../pool",
                "has a bad `Filename`",
            ),
            ("Filename: pool", "Filename: /pool", "has a bad `Filename`"),
            ("Size: 862032", "Size: +862032", "has a bad `Size`"),
            (
                "Size: 862032",
                "Size: 99999999999999999999",
                "has a bad `Size`",
            ),
            ("SHA256: e3", "SHA256: zz", "has a bad `SHA256`"),
            ("SHA256: ", "SHA1: ", "lacks the field `SHA256`"),
            ("Version: 3.13.5-2+b1\n", "", "lacks the field `Version`"),
            (
                "Version: 3.13.5-2+b1",
                "Version: x y",
                "has a bad `Version`",
            ),
            (
                "Multi-Arch: same",
                "Multi-Arch: maybe",
                "has a bad `Multi-Arch`",
            ),
            (
                "Architecture: amd64",
                "Architecture: a/b",
                "has a bad `Architecture`",
            ),
            ("(3.13.5-2)", "(3.13.5-2", "has a bad `Source`"),
            ("Section: libs", "size: 1", "repeats a field"),
            ("Section: libs", "# comment", "is no `Name: value` field"),
            ("Section: libs", "   \t", "consists of blanks only"),
            ("Section: libs", "Section\0: libs", "NUL byte"),
        ];
        for (from, to, expected) in cases {
            let message = changed(from, to);
            assert!(message.contains(expected), "{to:?}: {message}");
        }
        assert!(
            all(" continues nothing\n")
                .expect_err("no field")
                .contains("continues no field")
        );
    }

    #[test]
    fn stanzas_without_end_hit_the_named_limits() {
        let endless = io::BufReader::new(io::Read::take(io::repeat(b'x'), 1 << 30));
        let error = StanzaReader::new(endless)
            .next_stanza()
            .expect_err("too long");
        assert!(error.to_string().contains("MAX_STANZA"), "{error}");
        let many: String = (0..600).map(|number| format!("F{number}: x\n")).collect();
        assert!(all(&many).expect_err("many").contains("MAX_FIELDS"));
    }

    #[test]
    fn a_stanza_of_sources_is_read_whole() {
        let text = "Package: six\nBinary: python3-six, six-doc\nVersion: 1.17.0-1\nArchitecture: all linux-any\n\
            Build-Depends: debhelper-compat (= 13), python3:any <!nocheck>\nDirectory: pool/main/s/six\n\
            Checksums-Sha256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 5 six_1.dsc\n";
        let mut found = Vec::new();
        sources(text.as_bytes(), |source| {
            found.push(source);
            ControlFlow::Continue(())
        })
        .expect("a source package");
        assert_eq!(found[0].binaries, ["python3-six", "six-doc"]);
        assert_eq!(found[0].architectures, ["all", "linux-any"]);
        assert_eq!(found[0].files[0].name.as_str(), "six_1.dsc");
        let hostile = text.replace("six_1.dsc", "../six_1.dsc");
        sources(hostile.as_bytes(), |_| ControlFlow::Continue(())).expect_err("a slash in a name");
    }

    proptest! {
        #[test]
        fn never_panics(text in "([A-C]{1,3}: ?[a-z]{0,4}\n| [a-z.]{0,3}\n|\n|\\PC{0,6}){0,12}") {
            let mut reader = StanzaReader::new(text.as_bytes());
            while let Ok(Some(stanza)) = reader.next_stanza() {
                prop_assert!(stanza.fields().count() > 0);
            }
            let _ = all(&text);
        }
    }
}
