//! The bytes of an ELF file by offset and by address: headers, segments, sections.
//!
//! Every read is checked and answers `None` outside the file; nothing is allocated but the two
//! header tables, whose length is bounded by the file's. Start at [`Image::open`].
//! Layout after the System V gABI, chapters 4 and 5.

use object::elf;

use crate::machine::{Class, Endian};
use crate::object::ElfError;

/// Reads integers of one byte order at an offset.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    endian: Endian,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], endian: Endian) -> Self {
        Self { bytes, endian }
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let end = at.checked_add(N)?;
        self.bytes.get(at..end)?.try_into().ok()
    }

    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.array(at)?;
        Some(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.array(at)?;
        Some(match self.endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        })
    }

    pub(crate) fn u64(&self, at: usize) -> Option<u64> {
        let bytes = self.array(at)?;
        Some(match self.endian {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
    }
}

/// A program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: elf::ProgramType,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) align: u64,
}

/// A section header; `name` is still an offset into the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: u32,
    pub(crate) kind: elf::SectionType,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) align: u64,
}

impl Section {
    pub(crate) fn has(&self, flag: elf::SectionFlags) -> bool {
        self.flags & flag.0 != 0
    }

    /// Whether the section has bytes in the file.
    pub(crate) fn is_stored(&self) -> bool {
        self.kind != elf::SHT_NOBITS && self.kind != elf::SHT_NULL && self.size > 0
    }
}

/// Where the fields of the file header are, by class.
pub(crate) struct HeaderLayout {
    pub(crate) phoff: usize,
    pub(crate) shoff: usize,
    pub(crate) phentsize: usize,
    pub(crate) phnum: usize,
    pub(crate) shentsize: usize,
    pub(crate) shnum: usize,
    pub(crate) shstrndx: usize,
    pub(crate) size: usize,
    pub(crate) ph_size: usize,
    pub(crate) sh_size: usize,
}

impl HeaderLayout {
    pub(crate) const fn of(class: Class) -> Self {
        match class {
            Class::Elf32 => Self {
                phoff: 28,
                shoff: 32,
                phentsize: 42,
                phnum: 44,
                shentsize: 46,
                shnum: 48,
                shstrndx: 50,
                size: 52,
                ph_size: 32,
                sh_size: 40,
            },
            Class::Elf64 => Self {
                phoff: 32,
                shoff: 40,
                phentsize: 54,
                phnum: 56,
                shentsize: 58,
                shnum: 60,
                shstrndx: 62,
                size: 64,
                ph_size: 56,
                sh_size: 64,
            },
        }
    }
}

/// An ELF file with its header tables read.
pub(crate) struct Image<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) class: Class,
    pub(crate) endian: Endian,
    pub(crate) machine: u16,
    pub(crate) kind: u16,
    pub(crate) segments: Vec<Segment>,
    /// Empty when the file has no section headers or wrong ones.
    pub(crate) sections: Vec<Section>,
    /// Index of the section with the names of sections.
    pub(crate) names: u32,
}

impl<'a> Image<'a> {
    /// Reads the header tables.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if !crate::is_elf(bytes) {
            return Err(ElfError::NotElf);
        }
        let class = match bytes.get(4) {
            Some(1) => Class::Elf32,
            Some(2) => Class::Elf64,
            _ => return Err(ElfError::Malformed { what: "class" }),
        };
        let endian = match bytes.get(5) {
            Some(1) => Endian::Little,
            Some(2) => Endian::Big,
            _ => return Err(ElfError::Malformed { what: "byte order" }),
        };
        let layout = HeaderLayout::of(class);
        if bytes.len() < layout.size {
            return Err(ElfError::Truncated { what: "header" });
        }
        let reader = Reader::new(bytes, endian);
        let mut image = Self {
            bytes,
            class,
            endian,
            machine: reader.u16(18).unwrap_or_default(),
            kind: reader.u16(16).unwrap_or_default(),
            segments: Vec::new(),
            sections: Vec::new(),
            names: 0,
        };
        // Sections first: section 0 holds the counts that do not fit in 16 bits.
        image.sections = image.read_sections(&layout).unwrap_or_default();
        image.segments = image.read_segments(&layout)?;
        Ok(image)
    }

    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.bytes, self.endian)
    }

    pub(crate) fn is_64(&self) -> bool {
        self.class == Class::Elf64
    }

    /// A word of the class at an offset.
    pub(crate) fn word(&self, at: usize) -> Option<u64> {
        match self.class {
            Class::Elf32 => self.reader().u32(at).map(u64::from),
            Class::Elf64 => self.reader().u64(at),
        }
    }

    /// The bytes of the file in a range of offsets.
    pub(crate) fn range(&self, offset: u64, size: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = usize::try_from(offset.checked_add(size)?).ok()?;
        self.bytes.get(start..end)
    }

    pub(crate) fn segments_of(&self, kind: elf::ProgramType) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(move |segment| segment.kind == kind)
    }

    pub(crate) fn segment_bytes(&self, segment: &Segment) -> Option<&'a [u8]> {
        self.range(segment.offset, segment.file_size)
    }

    /// What the loader would have in memory from `address` to the end of the stored part of the
    /// `PT_LOAD` segment there.
    pub(crate) fn loaded_from(&self, address: u64) -> Option<&'a [u8]> {
        self.segments_of(elf::PT_LOAD).find_map(|segment| {
            let skip = address.checked_sub(segment.address)?;
            let left = segment.file_size.checked_sub(skip)?;
            if left == 0 {
                return None;
            }
            self.range(segment.offset.checked_add(skip)?, left)
        })
    }

    /// The bytes of a section in the file.
    pub(crate) fn section_bytes(&self, section: &Section) -> Option<&'a [u8]> {
        if !section.is_stored() {
            return None;
        }
        self.range(section.offset, section.size)
    }

    /// The name of a section; empty when the names cannot be read.
    pub(crate) fn section_name(&self, section: &Section) -> &'a [u8] {
        let names = usize::try_from(self.names)
            .ok()
            .and_then(|index| self.sections.get(index))
            .and_then(|names| self.section_bytes(names));
        usize::try_from(section.name)
            .ok()
            .and_then(|at| names?.get(at..))
            .and_then(|rest| Some(&rest[..memchr::memchr(0, rest)?]))
            .unwrap_or_default()
    }

    fn read_sections(&mut self, layout: &HeaderLayout) -> Option<Vec<Section>> {
        let reader = self.reader();
        let table = usize::try_from(self.word(layout.shoff)?).ok()?;
        if table == 0 || usize::from(reader.u16(layout.shentsize)?) != layout.sh_size {
            return None;
        }
        let first = self.read_section(table)?;
        // gABI: a count of 0 or a name index of SHN_XINDEX is kept in section 0.
        let count = match reader.u16(layout.shnum)? {
            0 => first.size,
            count => u64::from(count),
        };
        self.names = match reader.u16(layout.shstrndx)? {
            0xffff => first.link,
            index => u32::from(index),
        };
        let count = usize::try_from(count).ok()?;
        // A table that leaves the file is no table: sections are only a hint.
        let end = count.checked_mul(layout.sh_size)?.checked_add(table)?;
        self.bytes.get(table..end)?;
        (0..count)
            .map(|index| self.read_section(table + index * layout.sh_size))
            .collect()
    }

    fn read_section(&self, at: usize) -> Option<Section> {
        let reader = self.reader();
        let word = |index: usize| self.word(at + index);
        let section = if self.is_64() {
            Section {
                name: reader.u32(at)?,
                kind: elf::SectionType(reader.u32(at + 4)?),
                flags: word(8)?,
                address: word(16)?,
                offset: word(24)?,
                size: word(32)?,
                link: reader.u32(at + 40)?,
                align: word(48)?,
            }
        } else {
            Section {
                name: reader.u32(at)?,
                kind: elf::SectionType(reader.u32(at + 4)?),
                flags: word(8)?,
                address: word(12)?,
                offset: word(16)?,
                size: word(20)?,
                link: reader.u32(at + 24)?,
                align: word(32)?,
            }
        };
        Some(section)
    }

    fn read_segments(&self, layout: &HeaderLayout) -> Result<Vec<Segment>, ElfError> {
        const WHAT: &str = "program header table";
        let truncated = || ElfError::Truncated { what: WHAT };
        let reader = self.reader();
        let table = self.word(layout.phoff).ok_or_else(truncated)?;
        let count = match reader.u16(layout.phnum).ok_or_else(truncated)? {
            0xffff => return Err(ElfError::Malformed { what: WHAT }),
            count => usize::from(count),
        };
        if table == 0 || count == 0 {
            return Ok(Vec::new());
        }
        let entry = reader.u16(layout.phentsize).ok_or_else(truncated)?;
        if usize::from(entry) != layout.ph_size {
            return Err(ElfError::Malformed { what: WHAT });
        }
        let table = usize::try_from(table).map_err(|_| truncated())?;
        (0..count)
            .map(|index| {
                index
                    .checked_mul(layout.ph_size)?
                    .checked_add(table)
                    .and_then(|at| self.read_segment(at))
            })
            .collect::<Option<_>>()
            .ok_or_else(truncated)
    }

    fn read_segment(&self, at: usize) -> Option<Segment> {
        at.checked_add(64)?;
        let reader = self.reader();
        let word = |index: usize| self.word(at + index);
        Some(if self.is_64() {
            Segment {
                kind: elf::ProgramType(reader.u32(at)?),
                flags: reader.u32(at + 4)?,
                offset: word(8)?,
                address: word(16)?,
                file_size: word(32)?,
                memory_size: word(40)?,
                align: word(48)?,
            }
        } else {
            Segment {
                kind: elf::ProgramType(reader.u32(at)?),
                offset: word(4)?,
                address: word(8)?,
                file_size: word(16)?,
                memory_size: word(20)?,
                flags: reader.u32(at + 24)?,
                align: word(28)?,
            }
        })
    }
}
