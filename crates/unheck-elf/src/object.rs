//! The facts of one object, read the way the loader reads it: through program headers and the
//! dynamic segment (System V gABI chapter 5, "GNU symbol versioning" of the LSB core part 10.7).
//!
//! Nothing is resolved here; see [`crate::search`]. Start at [`Object::parse`].

use std::collections::{BTreeMap, BTreeSet};

use object::elf;
use serde::{Deserialize, Serialize};

use crate::machine::{Class, Endian, IsaLevel, Kind, Machine};
use crate::note::{DlopenNote, Notes};
use crate::raw::{Image, Reader};

/// How many entries the dynamic segment may have.
const MAX_DYNAMIC: usize = 65_536;
/// How long one name (soname, search path, symbol version) may be, in bytes.
const MAX_NAME: usize = 4096;
/// How much text one object may bring along, in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// The undefined symbols that [`Object::imported`] reports: those that tell which files outside
/// the needed closure an object opens at run time. Sorted.
pub const INTERESTING: &[&str] = &[
    "bindtextdomain",
    "dlmopen",
    "dlopen",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "getaddrinfo",
    "getgrgid",
    "getgrgid_r",
    "getgrnam",
    "getgrnam_r",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname2",
    "gethostbyname_r",
    "getlogin",
    "getprotobyname",
    "getpwnam",
    "getpwnam_r",
    "getpwuid",
    "getpwuid_r",
    "getservbyname",
    "getservbyname_r",
    "getservbyport",
    "iconv_open",
    "newlocale",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "pthread_cancel",
    "pthread_exit",
    "res_init",
    "res_query",
    "setlocale",
    "setupterm",
    "syslog",
    "system",
    "tgetent",
    "tzset",
    "wordexp",
];

/// What an ELF object says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The instruction set.
    pub machine: Machine,
    /// The size of addresses.
    pub class: Class,
    /// The order of bytes.
    pub endian: Endian,
    /// Program, library, linker input or dump.
    pub kind: Kind,
    /// `DT_SONAME`: the name that other objects need it by.
    pub soname: Option<String>,
    /// `DT_NEEDED`, in the loader's order.
    pub needed: Vec<String>,
    /// `DT_RPATH` split at `:`, tokens such as `$ORIGIN` not expanded.
    pub rpath: Vec<String>,
    /// `DT_RUNPATH` split at `:`, tokens not expanded.
    pub runpath: Vec<String>,
    /// `DF_1_NODEFLIB`: the default directories are not searched for its needed names.
    pub no_default_dirs: bool,
    /// `PT_INTERP`: the loader of a program, an absolute path.
    pub interp: Option<String>,
    /// Soname → symbol versions that must be in that library (`DT_VERNEED`). Versions marked weak
    /// are left out: the loader only warns about them.
    pub needs_versions: BTreeMap<String, BTreeSet<String>>,
    /// The symbol versions that it defines (`DT_VERDEF`), without the one of the file itself.
    pub offers_versions: BTreeSet<String>,
    /// Those of [`INTERESTING`] that it takes from other objects.
    pub imported: BTreeSet<String>,
    /// What it says it may `dlopen`.
    pub dlopen_notes: Vec<DlopenNote>,
    /// `NT_GNU_BUILD_ID` in hexadecimal digits.
    pub build_id: Option<String>,
    /// `NAME` of the only exported `PyInit_NAME` or `PyInitU_NAME` (PEP 489); `None` when there is
    /// none or more than one, as in libpython.
    pub python_module: Option<String>,
    /// The x86-64 level below which the loader refuses it; `None` when it does not say.
    pub isa_level_needed: Option<IsaLevel>,
    /// The oldest Linux that the loader may start it on (`NT_GNU_ABI_TAG`); `None` when it does
    /// not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_needed: Option<(u32, u32, u32)>,
    /// The largest memory page, in bytes, that its `PT_LOAD` segments can be mapped with; `None`
    /// when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_page_size: Option<u64>,
    /// `PT_GNU_STACK` asks for an executable stack.
    pub executable_stack: bool,
}

/// Why bytes were refused as an ELF object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The first four bytes are not the ELF magic.
    #[error("not an ELF object: it does not begin with `\\x7fELF`")]
    NotElf,
    /// The file ends before what a header announces.
    #[error("truncated ELF object: the {what} leaves the file")]
    Truncated {
        /// Which part.
        what: &'static str,
    },
    /// A value that no loader accepts.
    #[error("malformed ELF object: wrong {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// More than unheck is willing to read.
    #[error("ELF object over the limit `{limit}` ({maximum})")]
    TooMuch {
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        maximum: usize,
    },
}

/// Whether a file that begins with these bytes claims to be ELF; four bytes are enough.
pub fn is_elf(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&elf::ELFMAG)
}

impl Object {
    /// Reads the facts from a whole file.
    ///
    /// Section headers are not needed. Objects without a dynamic segment (static programs, `.o`
    /// files) have empty facts.
    ///
    /// # Errors
    /// The bytes are no ELF, tables leave the file, or a limit is passed.
    pub fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        let image = Image::open(bytes)?;
        let notes = Notes::read(&image);
        let mut object = Self {
            machine: Machine::from_code(image.machine),
            class: image.class,
            endian: image.endian,
            kind: Kind::from_code(image.kind),
            soname: None,
            needed: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            no_default_dirs: false,
            interp: interpreter(&image)?,
            needs_versions: BTreeMap::new(),
            offers_versions: BTreeSet::new(),
            imported: BTreeSet::new(),
            dlopen_notes: notes.dlopen,
            build_id: notes.build_id,
            python_module: None,
            isa_level_needed: notes.isa_level,
            kernel_needed: notes.kernel,
            max_page_size: max_page_size(&image),
            executable_stack: image
                .segments_of(elf::PT_GNU_STACK)
                .any(|segment| segment.flags & elf::PF_X.0 != 0),
        };
        if let Some(mut dynamic) = Dynamic::read(&image)? {
            dynamic.names(&mut object)?;
            dynamic.needed_versions(&mut object)?;
            dynamic.offered_versions(&mut object)?;
            dynamic.symbols(&mut object)?;
        }
        Ok(object)
    }

    /// Whether any of `names` is among [`Object::imported`]; only names of [`INTERESTING`] can be.
    pub fn imports_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.imported.contains(*name))
    }
}

/// The loader refuses a segment whose alignment is no multiple of the page size, and one whose
/// address and offset differ within a page cannot be mapped (gABI chapter 5, `p_align`).
fn max_page_size(image: &Image<'_>) -> Option<u64> {
    image
        .segments_of(elf::PT_LOAD)
        .map(|segment| {
            let apart = segment.address.wrapping_sub(segment.offset);
            // The largest power of two that divides both; 0 divides by all, 1 by nothing else.
            let bits = segment.align | apart;
            1 << bits.trailing_zeros().min(63)
        })
        .min()
}

fn interpreter(image: &Image<'_>) -> Result<Option<String>, ElfError> {
    const WHAT: &str = "interpreter segment";
    let Some(segment) = image.segments_of(elf::PT_INTERP).next() else {
        return Ok(None);
    };
    let bytes = image
        .segment_bytes(segment)
        .ok_or(ElfError::Truncated { what: WHAT })?;
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) if text.len() <= MAX_NAME => Ok(Some(text.to_owned())),
        _ => Err(ElfError::Malformed { what: WHAT }),
    }
}

/// The dynamic segment, with its string table at hand.
struct Dynamic<'i, 'a> {
    image: &'i Image<'a>,
    entries: Vec<(elf::DynamicTag, u64)>,
    strings: &'a [u8],
    /// What is left of [`MAX_TEXT`].
    budget: usize,
}

impl<'i, 'a> Dynamic<'i, 'a> {
    fn read(image: &'i Image<'a>) -> Result<Option<Self>, ElfError> {
        let Some(segment) = image.segments_of(elf::PT_DYNAMIC).next() else {
            return Ok(None);
        };
        if segment.file_size == 0 {
            // A separate debug file keeps the header without the content.
            return Ok(None);
        }
        let truncated = ElfError::Truncated {
            what: "dynamic segment",
        };
        let content = image.segment_bytes(segment).ok_or(truncated)?;
        let reader = Reader::new(content, image.endian);
        let step = if image.is_64() { 8 } else { 4 };
        let word = |at: usize| match image.class {
            Class::Elf32 => reader.u32(at).map(u64::from),
            Class::Elf64 => reader.u64(at),
        };
        let mut entries = Vec::new();
        for at in (0..content.len()).step_by(2 * step) {
            let (Some(tag), Some(value)) = (word(at), word(at + step)) else {
                break;
            };
            let tag = elf::DynamicTag(tag.cast_signed());
            if tag == elf::DT_NULL {
                break;
            }
            if entries.len() == MAX_DYNAMIC {
                return Err(ElfError::TooMuch {
                    limit: "dynamic entries",
                    maximum: MAX_DYNAMIC,
                });
            }
            entries.push((tag, value));
        }
        let mut dynamic = Self {
            image,
            entries,
            strings: &[],
            budget: MAX_TEXT,
        };
        if let Some(address) = dynamic.value(elf::DT_STRTAB) {
            let table = image.loaded_from(address).ok_or(ElfError::Truncated {
                what: "dynamic string table",
            })?;
            let size = dynamic
                .value(elf::DT_STRSZ)
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(usize::MAX);
            dynamic.strings = &table[..table.len().min(size)];
        }
        Ok(Some(dynamic))
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.entries
            .iter()
            .find(|entry| entry.0 == tag)
            .map(|entry| entry.1)
    }

    fn table(
        &self,
        tag: elf::DynamicTag,
        what: &'static str,
    ) -> Result<Option<&'a [u8]>, ElfError> {
        match self.value(tag) {
            None | Some(0) => Ok(None),
            Some(address) => match self.image.loaded_from(address) {
                Some(table) => Ok(Some(table)),
                None => Err(ElfError::Truncated { what }),
            },
        }
    }

    fn bytes_at(&self, offset: u64) -> Result<&'a [u8], ElfError> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.strings.get(offset..))
            .ok_or(ElfError::Truncated {
                what: "name in the dynamic string table",
            })?;
        let window = &rest[..rest.len().min(MAX_NAME + 1)];
        match memchr::memchr(0, window) {
            Some(end) => Ok(&rest[..end]),
            None if window.len() > MAX_NAME => Err(ElfError::TooMuch {
                limit: "bytes in a name",
                maximum: MAX_NAME,
            }),
            None => Err(ElfError::Truncated {
                what: "name in the dynamic string table",
            }),
        }
    }

    fn text(&mut self, offset: u64) -> Result<String, ElfError> {
        let bytes = self.bytes_at(offset)?;
        let text = std::str::from_utf8(bytes).map_err(|_| ElfError::Malformed {
            what: "name in the dynamic string table (not UTF-8)",
        })?;
        self.budget = self
            .budget
            .checked_sub(text.len() + 1)
            .ok_or(ElfError::TooMuch {
                limit: "bytes of names in all",
                maximum: MAX_TEXT,
            })?;
        Ok(text.to_owned())
    }

    fn names(&mut self, object: &mut Object) -> Result<(), ElfError> {
        for index in 0..self.entries.len() {
            let (tag, value) = self.entries[index];
            match tag {
                elf::DT_NEEDED => {
                    let name = self.text(value)?;
                    object.needed.push(name);
                }
                elf::DT_SONAME => object.soname = Some(self.text(value)?),
                elf::DT_RPATH => object.rpath = split_path(&self.text(value)?),
                elf::DT_RUNPATH => object.runpath = split_path(&self.text(value)?),
                elf::DT_FLAGS_1 => {
                    object.no_default_dirs = value & elf::DF_1_NODEFLIB.0 != 0;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn needed_versions(&mut self, object: &mut Object) -> Result<(), ElfError> {
        const WHAT: &str = "table of needed versions";
        const WRONG: ElfError = ElfError::Truncated { what: WHAT };
        let Some(table) = self.table(elf::DT_VERNEED, WHAT)? else {
            return Ok(());
        };
        let reader = Reader::new(table, self.image.endian);
        let mut at = 0;
        loop {
            let entries = reader.u16(at + 2).ok_or(WRONG)?;
            let library = self.text(reader.u32(at + 4).ok_or(WRONG)?.into())?;
            let mut aux = step(at, reader.u32(at + 8)).ok_or(WRONG)?;
            let mut versions = BTreeSet::new();
            for _ in 0..entries {
                let flags = reader.u16(aux + 4).ok_or(WRONG)?;
                let name = self.text(reader.u32(aux + 8).ok_or(WRONG)?.into())?;
                if flags & elf::VER_FLG_WEAK.0 == 0 {
                    versions.insert(name);
                }
                match reader.u32(aux + 12).ok_or(WRONG)? {
                    0 => break,
                    next => aux = step(aux, Some(next)).ok_or(WRONG)?,
                }
            }
            object
                .needs_versions
                .entry(library)
                .or_default()
                .extend(versions);
            match reader.u32(at + 12).ok_or(WRONG)? {
                0 => return Ok(()),
                next => at = step(at, Some(next)).ok_or(WRONG)?,
            }
        }
    }

    fn offered_versions(&mut self, object: &mut Object) -> Result<(), ElfError> {
        const WHAT: &str = "table of offered versions";
        const WRONG: ElfError = ElfError::Truncated { what: WHAT };
        let Some(table) = self.table(elf::DT_VERDEF, WHAT)? else {
            return Ok(());
        };
        let reader = Reader::new(table, self.image.endian);
        let mut at = 0;
        loop {
            let flags = reader.u16(at + 2).ok_or(WRONG)?;
            let count = reader.u16(at + 6).ok_or(WRONG)?;
            // The first name is the version, any further ones are its parents.
            if count > 0 && flags & elf::VER_FLG_BASE.0 == 0 {
                let aux = step(at, reader.u32(at + 12)).ok_or(WRONG)?;
                let name = self.text(reader.u32(aux).ok_or(WRONG)?.into())?;
                object.offers_versions.insert(name);
            }
            match reader.u32(at + 16).ok_or(WRONG)? {
                0 => return Ok(()),
                next => at = step(at, Some(next)).ok_or(WRONG)?,
            }
        }
    }

    fn symbols(&mut self, object: &mut Object) -> Result<(), ElfError> {
        const WHAT: &str = "dynamic symbol table";
        let Some(table) = self.table(elf::DT_SYMTAB, WHAT)? else {
            return Ok(());
        };
        let (size, section_at) = if self.image.is_64() {
            (24, 6)
        } else {
            (16, 14)
        };
        let info_at = if self.image.is_64() { 4 } else { 12 };
        let count = self.symbol_count(size).min(table.len() / size);
        let reader = Reader::new(table, self.image.endian);
        let mut modules = BTreeSet::new();
        for at in (0..count * size).step_by(size) {
            let (Some(name), Some(section)) = (reader.u32(at), reader.u16(at + section_at)) else {
                break;
            };
            let local = table[at + info_at] >> 4 == elf::STB_LOCAL.0;
            // The count can be a guess that runs past the table: a wrong name is then no fault.
            let Ok(name) = self.bytes_at(name.into()) else {
                continue;
            };
            if section == elf::SHN_UNDEF.0 {
                if let Ok(at) = INTERESTING.binary_search_by(|known| known.as_bytes().cmp(name)) {
                    object.imported.insert(INTERESTING[at].to_owned());
                }
            } else if !local && modules.len() < 2 {
                modules.extend(python_module(name));
            }
        }
        if modules.len() == 1 {
            object.python_module = modules.pop_first();
        }
        Ok(())
    }

    /// The length of the dynamic symbol table, which the dynamic segment does not give outright.
    fn symbol_count(&self, size: usize) -> usize {
        self.count_by_hash()
            .or_else(|| self.count_by_section(size))
            .into_iter()
            .chain(self.count_by_gnu_hash())
            .max()
            .or_else(|| self.count_by_gap(size))
            .unwrap_or(0)
    }

    /// `DT_HASH`: the chain has one entry for each symbol.
    fn count_by_hash(&self) -> Option<usize> {
        let table = self.image.loaded_from(self.value(elf::DT_HASH)?)?;
        let count = Reader::new(table, self.image.endian).u32(4)?;
        usize::try_from(count).ok()
    }

    /// The section that the symbol table is in, where there are sections.
    fn count_by_section(&self, size: usize) -> Option<usize> {
        let address = self.value(elf::DT_SYMTAB)?;
        let section = self
            .image
            .sections
            .iter()
            .find(|section| section.kind == elf::SHT_DYNSYM && section.address == address)?;
        Some(usize::try_from(section.size).ok()? / size)
    }

    /// `DT_GNU_HASH`: the end of the last chain; `None` when nothing is exported.
    fn count_by_gnu_hash(&self) -> Option<usize> {
        let table = self.image.loaded_from(self.value(elf::DT_GNU_HASH)?)?;
        let reader = Reader::new(table, self.image.endian);
        let field = |at: usize| reader.u32(at).and_then(|value| usize::try_from(value).ok());
        let (buckets, base, words) = (field(0)?, field(4)?, field(8)?);
        let word_size = if self.image.is_64() { 8 } else { 4 };
        let first = words.checked_mul(word_size)?.checked_add(16)?;
        let chains = buckets.checked_mul(4)?.checked_add(first)?;
        table.get(first..chains)?;
        let last = (0..buckets)
            .filter_map(|bucket| field(first + 4 * bucket))
            .max()?;
        if last == 0 {
            return None;
        }
        let mut index = last.checked_sub(base)?;
        loop {
            let at = index.checked_mul(4)?.checked_add(chains)?;
            index += 1;
            if reader.u32(at)? & 1 == 1 {
                return index.checked_add(base);
            }
        }
    }

    /// Linkers put the strings right behind the symbols.
    fn count_by_gap(&self, size: usize) -> Option<usize> {
        let gap = self
            .value(elf::DT_STRTAB)?
            .checked_sub(self.value(elf::DT_SYMTAB)?)?;
        Some(usize::try_from(gap).ok()? / size)
    }
}

/// The module of an initialisation function (PEP 489); names that are not ASCII are left in the
/// punycode of the symbol.
fn python_module(symbol: &[u8]) -> Option<String> {
    let name = symbol
        .strip_prefix(b"PyInit_")
        .or_else(|| symbol.strip_prefix(b"PyInitU_"))?;
    let text = std::str::from_utf8(name).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn split_path(text: &str) -> Vec<String> {
    text.split(':')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The offset of the next record; a zero step has been ruled out by the caller or is an end.
fn step(at: usize, by: Option<u32>) -> Option<usize> {
    at.checked_add(usize::try_from(by?).ok()?)
}
