//! The offline table: which distribution has which module, taken from Debian's signed indexes.
//!
//! `xtask names` writes it, see [`Sources`] for what it was made of. It holds what Debian calls the
//! distributions (their `.dist-info`), which is nearly always, but not surely, their name on an index.
//! Debian forbids two packages to own one path, so of several distributions that bring a module it
//! names the one that people mean. Start at [`Table::shipped`] and [`Table::module`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::OnceLock;

use crate::label::squash;

/// The table that comes with the program.
static SHIPPED: &[u8] = include_bytes!("../data/names.zst");

/// The first line of the table's text.
const HEAD: &str = "unheck names 1";

/// The largest text that a table may unpack to, in bytes.
const MAX_TEXT: u64 = 16 << 20;

/// What a table was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The suite's codename.
    pub suite: String,
    /// The `Date` of its Release file, RFC 3339.
    pub date: String,
    /// Path below the suite's directory and SHA-256 of each index read.
    pub indexes: BTreeMap<String, String>,
}

/// A distribution that Debian has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'t> {
    /// The normalised name.
    pub name: &'t str,
    /// How many binary packages of other sources depend on it.
    pub dependents: u32,
    /// Its Debian source builds libraries too: it is the binding of a C or C++ project, and the index
    /// may have something else, or nothing, by this name.
    pub is_binding: bool,
}

/// The table. Opening it costs the decompression and one pass for the ends of lines; a line is read when it is
/// looked at, so that a call for one label pays for one.
#[derive(Debug)]
pub struct Table {
    text: String,
    sources: Sources,
    /// Ranges of the lines in `text`, in the order of the names.
    distributions: Vec<(u32, u32)>,
    modules: Vec<(u32, u32)>,
}

/// Why bytes are no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// They cannot be decompressed, or unpack to too much.
    #[error("cannot decompress the table of names")]
    Compressed(#[source] std::io::Error),
    /// A line is not as it should be.
    #[error("line {0} of the table of names is malformed")]
    Line(usize),
}

/// What [`encode`] writes.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// By normalised name: dependents, whether it is a binding.
    pub distributions: BTreeMap<String, (u32, bool)>,
    /// By dotted module: normalised names of its distributions.
    pub modules: BTreeMap<String, BTreeSet<String>>,
}

/// The text of a table, uncompressed. Names that `rows.distributions` lacks are left out.
pub fn encode(sources: &Sources, rows: &Rows) -> String {
    let mut text = format!("{HEAD}\nsuite {}\ndate {}\n", sources.suite, sources.date);
    for (path, digest) in &sources.indexes {
        text.push_str(&format!("sha256 {digest} {path}\n"));
    }
    text.push('\n');
    let mut at = BTreeMap::new();
    for (name, (dependents, binding)) in &rows.distributions {
        at.insert(name.as_str(), at.len());
        let flag = if *binding { " b" } else { "" };
        text.push_str(&format!("{name} {dependents}{flag}\n"));
    }
    text.push('\n');
    for (module, names) in &rows.modules {
        let numbers: Vec<String> = names
            .iter()
            .filter_map(|name| at.get(name.as_str()))
            .map(usize::to_string)
            .collect();
        if !numbers.is_empty() {
            text.push_str(&format!("{module} {}\n", numbers.join(" ")));
        }
    }
    text
}

impl Table {
    /// The table that comes with the program. Its lines are not checked again: the tests read them all.
    pub fn shipped() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            let text = unpack(SHIPPED).and_then(Self::open);
            text.expect("the shipped table is read by the tests")
        })
    }

    /// Reads a table, zstd-compressed, and checks every line.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        Self::parse(unpack(bytes)?)
    }

    /// Reads the text of a table and checks every line.
    ///
    /// # Errors
    /// [`TableError::Line`].
    pub fn parse(text: String) -> Result<Self, TableError> {
        let table = Self::open(text)?;
        let before = |range: &(u32, u32)| table.text[..range.0 as usize].lines().count();
        for range in &table.distributions {
            let count = table.line(*range).split(' ').nth(1);
            if count.is_none_or(|count| count.parse::<u32>().is_err()) {
                return Err(TableError::Line(before(range) + 1));
            }
        }
        for range in &table.modules {
            let mut numbers = table.line(*range).split(' ').skip(1).peekable();
            let known = |at: &str| {
                let at = at.parse::<usize>();
                at.is_ok_and(|at| at < table.distributions.len())
            };
            if numbers.peek().is_none() || !numbers.all(known) {
                return Err(TableError::Line(before(range) + 1));
            }
        }
        Ok(table)
    }

    /// Reads the head and finds the lines.
    fn open(text: String) -> Result<Self, TableError> {
        let mut sources = Sources::default();
        let mut sections = [Vec::new(), Vec::new()];
        let (mut section, mut start) = (0, 0);
        for (number, (end, _)) in text.match_indices('\n').enumerate() {
            let range = (start as u32, end as u32);
            let line = &text[start..end];
            start = end + 1;
            match (line, section) {
                ("", _) => section += 1,
                (line, 0) if head(line, number, &mut sources) => {}
                (_, 1 | 2) => sections[section - 1].push(range),
                _ => return Err(TableError::Line(number + 1)),
            }
        }
        let [distributions, modules] = sections;
        Ok(Self {
            text,
            sources,
            distributions,
            modules,
        })
    }

    /// What it was made of.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// How many distributions and modules it has.
    pub const fn len(&self) -> (usize, usize) {
        (self.distributions.len(), self.modules.len())
    }

    /// Whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.distributions.is_empty()
    }

    /// The distribution of this normalised name.
    pub fn distribution(&self, name: &str) -> Option<Known<'_>> {
        self.find(&self.distributions, name)
            .map(|at| self.known(at))
    }

    /// All distributions, by name.
    pub fn distributions(&self) -> impl Iterator<Item = Known<'_>> {
        (0..self.distributions.len()).map(|at| self.known(at))
    }

    /// The distributions that have this dotted module, best used first.
    pub fn module(&self, module: &str) -> Vec<Known<'_>> {
        self.find(&self.modules, module)
            .map(|at| self.providers(at))
            .unwrap_or_default()
    }

    /// The modules that are spelled so in any case, such as `bs4` for `BS4`.
    pub fn module_in_any_case(&self, module: &str) -> Vec<&str> {
        let names = self.modules.iter().map(|range| first(self.line(*range)));
        names
            .filter(|name| name.eq_ignore_ascii_case(module))
            .collect()
    }

    /// The distributions whose names are equal to `text` without separators and case.
    pub fn squashed(&self, text: &str) -> Vec<Known<'_>> {
        let wanted = squash(text);
        let letters = |name: &str| name.bytes().filter(|b| *b != b'-').count();
        self.distributions()
            .filter(|known| letters(known.name) == wanted.len() && squash(known.name) == wanted)
            .collect()
    }

    /// The modules of namespace `prefix` (`google` has `google.protobuf`), with their distributions.
    pub fn below(&self, prefix: &str) -> Vec<(&str, Vec<Known<'_>>)> {
        let prefix = format!("{prefix}.");
        let from = self
            .modules
            .partition_point(|range| first(self.line(*range)) < prefix.as_str());
        let lines = self.modules[from..].iter().zip(from..);
        lines
            .map(|(range, at)| (first(self.line(*range)), at))
            .take_while(|(module, _)| module.starts_with(&prefix))
            .map(|(module, at)| (module, self.providers(at)))
            .collect()
    }

    fn providers(&self, at: usize) -> Vec<Known<'_>> {
        let numbers = self.line(self.modules[at]).split(' ').skip(1);
        let mut known: Vec<Known<'_>> = numbers
            .filter_map(|number| number.parse::<usize>().ok())
            .map(|at| self.known(at))
            .collect();
        known.sort_by_key(|known| (std::cmp::Reverse(known.dependents), known.name));
        known
    }

    fn find(&self, lines: &[(u32, u32)], name: &str) -> Option<usize> {
        lines
            .binary_search_by(|range| first(self.line(*range)).cmp(name))
            .ok()
    }

    fn known(&self, at: usize) -> Known<'_> {
        let mut words = self.line(self.distributions[at]).split(' ');
        Known {
            name: words.next().unwrap_or_default(),
            dependents: words
                .next()
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            is_binding: words.next() == Some("b"),
        }
    }

    fn line(&self, (from, to): (u32, u32)) -> &str {
        self.text
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }
}

fn unpack(bytes: &[u8]) -> Result<String, TableError> {
    let decoder = zstd::stream::read::Decoder::new(bytes).map_err(TableError::Compressed)?;
    let mut text = String::new();
    let read = decoder.take(MAX_TEXT).read_to_string(&mut text);
    read.map_err(TableError::Compressed)?;
    Ok(text)
}

fn head(line: &str, number: usize, sources: &mut Sources) -> bool {
    match line.split_once(' ') {
        Some(_) if number == 0 => line == HEAD,
        Some(("suite", suite)) => {
            suite.clone_into(&mut sources.suite);
            true
        }
        Some(("date", date)) => {
            date.clone_into(&mut sources.date);
            true
        }
        Some(("sha256", rest)) => match rest.split_once(' ') {
            Some((digest, path)) => {
                sources.indexes.insert(path.to_owned(), digest.to_owned());
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn first(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Table {
        let sources = Sources {
            suite: "sid".into(),
            date: "2026-01-01T00:00:00Z".into(),
            indexes: BTreeMap::from([("main/x.gz".into(), "ab".into())]),
        };
        let mut rows = Rows::default();
        for (name, count, binding) in [
            ("beautifulsoup4", 9, false),
            ("rpm", 3, true),
            ("zope-interface", 7, false),
        ] {
            rows.distributions.insert(name.into(), (count, binding));
        }
        for (module, names) in [
            ("bs4", &["beautifulsoup4"][..]),
            ("rpm", &["rpm"]),
            ("shared", &["rpm", "beautifulsoup4", "gone"]),
            ("zope.interface", &["zope-interface"]),
            ("zopez", &["gone"]),
        ] {
            rows.modules.insert(
                module.into(),
                names.iter().map(|name| (*name).to_owned()).collect(),
            );
        }
        let text = encode(&sources, &rows);
        let table = Table::parse(text).unwrap();
        assert_eq!(table.sources(), &sources);
        table
    }

    #[test]
    fn what_was_written_is_found() {
        let table = small();
        assert_eq!(table.len(), (3, 4));
        assert_eq!(table.module("bs4")[0].name, "beautifulsoup4");
        assert!(table.module("bs").is_empty() && table.module("zopez").is_empty());
        let shared: Vec<&str> = table
            .module("shared")
            .iter()
            .map(|known| known.name)
            .collect();
        assert_eq!(
            shared,
            ["beautifulsoup4", "rpm"],
            "the better used one is first"
        );
        assert!(table.distribution("rpm").unwrap().is_binding);
        assert_eq!(table.module_in_any_case("BS4"), ["bs4"]);
        assert_eq!(table.squashed("Zope.Interface")[0].name, "zope-interface");
        let below: Vec<&str> = table
            .below("zope")
            .iter()
            .map(|(module, _)| *module)
            .collect();
        assert_eq!(below, ["zope.interface"]);
    }

    #[test]
    fn malformed_tables_are_refused() {
        for text in [
            "other\n",
            "unheck names 1\nwhat\n",
            "unheck names 1\n\na\n",
            "unheck names 1\n\na 1\n\nm 1\n",
            "unheck names 1\n\na 1\n\nm\n",
        ] {
            assert!(
                matches!(Table::parse(text.to_owned()), Err(TableError::Line(_))),
                "{text:?}"
            );
        }
        assert!(matches!(
            Table::decode(b"no zstd"),
            Err(TableError::Compressed(_))
        ));
    }

    #[test]
    fn the_shipped_table_says_what_it_is_made_of() {
        let table = Table::decode(SHIPPED).expect("every line is well-formed");
        let (distributions, modules) = table.len();
        assert!(
            distributions > 5000 && modules > 5000,
            "{distributions} {modules}"
        );
        let sources = table.sources();
        assert_eq!(sources.indexes.len(), 3, "{sources:?}");
        assert!(sources.indexes.values().all(|digest| digest.len() == 64));
        for (module, name) in [
            ("jwt", "pyjwt"),
            ("serial", "pyserial"),
            ("docx", "python-docx"),
            ("bson", "pymongo"),
            ("pkg_resources", "setuptools"),
        ] {
            assert_eq!(
                table.module(module).first().map(|known| known.name),
                Some(name),
                "{module}"
            );
        }
        assert!(table.distribution("requests").unwrap().dependents > 100);
    }
}
