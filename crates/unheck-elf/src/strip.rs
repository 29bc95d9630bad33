//! Takes out of an object what no loader reads: the symbol table for linkers, debug sections,
//! `.comment`.
//!
//! Everything that a segment covers keeps its address and its bytes; parts behind a removed one
//! move down in the file by whole pages. The section table keeps its numbering, since dynamic
//! symbols refer to it. The result is read again and compared with the original, and an object
//! that is out of the ordinary is refused instead of risked. Start at [`strip_unneeded`].

use object::elf;

use crate::machine::{Class, Endian};
use crate::object::{ElfError, Object};
use crate::raw::{HeaderLayout, Image, Section, Segment};

/// Why an object was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StripError {
    /// The bytes are no object that unheck reads.
    #[error("cannot strip an object that cannot be read")]
    Read(#[source] ElfError),
    /// The object is unusual.
    #[error("refuse to strip: {reason}")]
    Refused {
        /// What is unusual.
        reason: &'static str,
    },
    /// The result was not the same object: a fault of unheck, or a lie in the object.
    #[error("refuse to strip: the result differs in {what}")]
    Differs {
        /// What differs.
        what: &'static str,
    },
}

/// The object without `.symtab`, `.strtab`, `.debug*`, `.gdb_index`, `.comment` and
/// `.gnu_debug*`, proved to have the same [`Object`] facts and the same bytes in every segment.
///
/// `None` when nothing is saved.
///
/// # Errors
/// The object is no library or program, is malformed, has something appended, or the proof fails.
pub fn strip_unneeded(bytes: &[u8]) -> Result<Option<Vec<u8>>, StripError> {
    let image = Image::open(bytes).map_err(StripError::Read)?;
    let before = Object::parse(bytes).map_err(StripError::Read)?;
    if !matches!(elf::FileType(image.kind), elf::ET_EXEC | elf::ET_DYN) {
        return Err(refused("it is neither a program nor a library"));
    }
    if image.sections.is_empty() {
        return Ok(None);
    }
    check_extent(&image)?;
    let removed = removed_sections(&image)?;
    if !removed.contains(&true) {
        return Ok(None);
    }
    let chunks = chunks(&image, &removed)?;
    let stripped = Writer::new(&image, &chunks)?.write(&removed)?;
    prove(&image, &before, &stripped, &removed)?;
    Ok((stripped.len() < bytes.len()).then_some(stripped))
}

fn refused(reason: &'static str) -> StripError {
    StripError::Refused { reason }
}

/// Whether a section is for linkers and debuggers only.
fn is_unneeded(name: &[u8], section: &Section) -> bool {
    const PREFIXES: [&[u8]; 4] = [b".debug", b".zdebug", b".gnu_debug", b".gdb_index"];
    const NAMES: [&[u8]; 4] = [b".symtab", b".strtab", b".symtab_shndx", b".comment"];
    !section.has(elf::SHF_ALLOC)
        && section.kind != elf::SHT_NULL
        && (matches!(section.kind, elf::SHT_SYMTAB | elf::SHT_SYMTAB_SHNDX)
            // Relocations that a linker was told to keep: they refer to `.symtab`.
            || matches!(section.kind, elf::SHT_REL | elf::SHT_RELA)
            || NAMES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

fn removed_sections(image: &Image<'_>) -> Result<Vec<bool>, StripError> {
    let names = usize::try_from(image.names).unwrap_or(usize::MAX);
    let mut removed: Vec<bool> = image
        .sections
        .iter()
        .map(|section| is_unneeded(image.section_name(section), section))
        .collect();
    // Some linkers keep the names of sections in `.strtab`; they are written anew anyway.
    match removed.get_mut(names) {
        Some(removed) => *removed = true,
        None => return Err(refused("it has no names of sections")),
    }
    if !removed
        .iter()
        .enumerate()
        .any(|(at, &gone)| gone && at != names)
    {
        return Ok(vec![false; removed.len()]);
    }
    for (section, &gone) in image.sections.iter().zip(&removed) {
        let link = usize::try_from(section.link).unwrap_or(usize::MAX);
        if !gone && link != 0 && removed.get(link).copied().unwrap_or(true) {
            return Err(refused("a section that stays refers to one that goes"));
        }
    }
    Ok(removed)
}

/// Refuses bytes behind everything that the headers announce (installers, signatures).
fn check_extent(image: &Image<'_>) -> Result<(), StripError> {
    let layout = HeaderLayout::of(image.class);
    let table = image
        .word(layout.shoff)
        .and_then(|at| at.checked_add((layout.sh_size * image.sections.len()) as u64));
    let stored = image
        .sections
        .iter()
        .filter(|section| section.is_stored())
        .map(|section| section.offset.checked_add(section.size));
    let mapped = image
        .segments
        .iter()
        .map(|segment| segment.offset.checked_add(segment.file_size));
    let mut end = 0;
    for extent in stored.chain(mapped).chain([table]) {
        end = end.max(extent.ok_or(refused("a size overflows"))?);
    }
    let len = image.bytes.len() as u64;
    if end > len {
        return Err(refused("a section or segment leaves the file"));
    }
    // A few zero bytes are padding; more, or anything else, is somebody's content.
    if len - end > 16 || image.bytes[end as usize..].iter().any(|&byte| byte != 0) {
        return Err(refused("something is appended to it"));
    }
    Ok(())
}

/// A part of the file that stays, moved down by `shift`.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: u64,
    end: u64,
    /// The alignment of the moved offset relative to the old one.
    align: u64,
    /// The offset in the result.
    target: u64,
}

/// The parts that stay, in order, not overlapping.
fn chunks(image: &Image<'_>, removed: &[bool]) -> Result<Vec<Chunk>, StripError> {
    let layout = HeaderLayout::of(image.class);
    let chunk = |start: u64, size: u64, align: u64| Chunk {
        start,
        end: start + size,
        align: align.max(1),
        target: 0,
    };
    let mut parts = vec![chunk(0, layout.size as u64, 1)];
    let table = image.word(layout.phoff).unwrap_or_default();
    let table_size = (layout.ph_size * image.segments.len()) as u64;
    parts.push(chunk(table, table_size, 8));
    for segment in &image.segments {
        if segment.file_size > 0 {
            parts.push(chunk(segment.offset, segment.file_size, segment.align));
        }
    }
    for (section, &gone) in image.sections.iter().zip(removed) {
        if section.is_stored() && !gone {
            parts.push(chunk(section.offset, section.size, section.align));
        }
    }
    parts.sort_by_key(|part| (part.start, part.end));
    let mut merged: Vec<Chunk> = Vec::new();
    for part in parts {
        if !part.align.is_power_of_two() || part.align > 1 << 30 {
            return Err(refused("an alignment is no power of two"));
        }
        match merged.last_mut() {
            Some(last) if part.start <= last.end => {
                last.end = last.end.max(part.end);
                last.align = last.align.max(part.align);
            }
            _ => merged.push(part),
        }
    }
    let mut cursor = 0;
    for part in &mut merged {
        // The least place that is not before the cursor and is as far from a page's start.
        let shift = part.start.saturating_sub(cursor) & !(part.align - 1);
        part.target = part.start - shift;
        cursor = part.target + (part.end - part.start);
    }
    Ok(merged)
}

/// Writes the result.
struct Writer<'i, 'a> {
    image: &'i Image<'a>,
    layout: HeaderLayout,
    chunks: &'i [Chunk],
    out: Vec<u8>,
}

impl<'i, 'a> Writer<'i, 'a> {
    fn new(image: &'i Image<'a>, chunks: &'i [Chunk]) -> Result<Self, StripError> {
        let end = chunks
            .last()
            .map_or(0, |chunk| chunk.target + (chunk.end - chunk.start));
        let len = usize::try_from(end).map_err(|_| refused("it is too large"))?;
        let mut out = vec![0; len];
        for chunk in chunks {
            let content = image
                .range(chunk.start, chunk.end - chunk.start)
                .ok_or(refused("a section or segment leaves the file"))?;
            let at = chunk.target as usize;
            out[at..at + content.len()].copy_from_slice(content);
        }
        Ok(Self {
            image,
            layout: HeaderLayout::of(image.class),
            chunks,
            out,
        })
    }

    /// Where an offset of the original is in the result. An offset in no part (a section without
    /// bytes) moves with the part before it.
    fn moved(&self, offset: u64) -> u64 {
        self.chunks
            .iter()
            .rfind(|chunk| chunk.start <= offset)
            .map_or(offset, |chunk| offset - (chunk.start - chunk.target))
    }

    fn write(mut self, removed: &[bool]) -> Result<Vec<u8>, StripError> {
        self.program_headers();
        let keep = removed
            .iter()
            .rposition(|&gone| !gone)
            .map_or(0, |last| last + 1);
        let count = u16::try_from(keep + 1)
            .ok()
            .filter(|&count| count < elf::SHN_LORESERVE)
            .ok_or(refused("it has too many sections"))?;
        // The names go behind the last part, the section table behind the names.
        let (names, offsets) = self.names(&removed[..keep]);
        let names_at = self.out.len();
        self.out.extend_from_slice(&names);
        while !self.out.len().is_multiple_of(8) {
            self.out.push(0);
        }
        let table = self.out.len();
        for (index, &gone) in removed[..keep].iter().enumerate() {
            let at = self.out.len();
            self.out.resize(at + self.layout.sh_size, 0);
            if !gone {
                self.section_header(index, at, offsets[index]);
            }
        }
        self.names_header(names_at, names.len(), offsets[keep]);
        let layout = HeaderLayout::of(self.image.class);
        self.word(layout.phoff, self.moved(self.original(layout.phoff)));
        self.word(layout.shoff, table as u64);
        self.half(layout.shnum, count);
        self.half(layout.shstrndx, count - 1);
        Ok(self.out)
    }

    fn original(&self, at: usize) -> u64 {
        self.image.word(at).unwrap_or_default()
    }

    fn program_headers(&mut self) {
        let table = self.moved(self.original(self.layout.phoff)) as usize;
        let field = if self.image.is_64() { 8 } else { 4 };
        for (index, segment) in self.image.segments.iter().enumerate() {
            let at = table + index * self.layout.ph_size + field;
            if segment.file_size > 0 || segment.kind == elf::PT_LOAD {
                self.word(at, self.moved_segment(segment));
            }
        }
    }

    /// As [`Writer::moved`]; a segment without bytes keeps its distance from a page's start.
    fn moved_segment(&self, segment: &Segment) -> u64 {
        if segment.file_size > 0 {
            return self.moved(segment.offset);
        }
        match segment.align.checked_sub(1) {
            Some(mask) => segment.address & mask,
            None => 0,
        }
    }

    /// The table of names, and the offset of each section's name; the last one is the table's own.
    fn names(&self, removed: &[bool]) -> (Vec<u8>, Vec<u32>) {
        let mut names = vec![0];
        let mut offsets = Vec::new();
        let sections = self.image.sections.iter().zip(removed);
        let kept = sections.map(|(section, &gone)| match gone {
            true => &b""[..],
            false => self.image.section_name(section),
        });
        for name in kept.chain([&b".shstrtab"[..]]) {
            if name.is_empty() {
                offsets.push(0);
            } else {
                offsets.push(names.len() as u32);
                names.extend_from_slice(name);
                names.push(0);
            }
        }
        (names, offsets)
    }

    fn section_header(&mut self, index: usize, at: usize, name: u32) {
        let size = self.layout.sh_size;
        let from = self.original(self.layout.shoff) as usize + index * size;
        let original = self.image.bytes[from..from + size].to_vec();
        self.out[at..at + size].copy_from_slice(&original);
        self.full(at, name);
        let section = self.image.sections[index];
        let offset = self.moved(section.offset);
        let field = if self.image.is_64() { 24 } else { 16 };
        self.word(at + field, offset);
    }

    fn names_header(&mut self, offset: usize, size: usize, name: u32) {
        let at = self.out.len();
        self.out.resize(at + self.layout.sh_size, 0);
        let (offset_at, size_at, align_at) = match self.image.class {
            Class::Elf64 => (24, 32, 48),
            Class::Elf32 => (16, 20, 32),
        };
        self.full(at, name);
        self.full(at + 4, elf::SHT_STRTAB.0);
        self.word(at + offset_at, offset as u64);
        self.word(at + size_at, size as u64);
        self.word(at + align_at, 1);
    }

    fn put(&mut self, at: usize, little: &[u8]) {
        let place = &mut self.out[at..at + little.len()];
        place.copy_from_slice(little);
        if self.image.endian == Endian::Big {
            place.reverse();
        }
    }

    fn half(&mut self, at: usize, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    fn full(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn word(&mut self, at: usize, value: u64) {
        let bytes = value.to_le_bytes();
        let len = if self.image.is_64() { 8 } else { 4 };
        self.put(at, &bytes[..len]);
    }
}

/// Reads the result again, with `object`'s reader too, and compares everything that a loader sees.
fn prove(
    image: &Image<'_>,
    before: &Object,
    stripped: &[u8],
    removed: &[bool],
) -> Result<(), StripError> {
    let differs = |what| StripError::Differs { what };
    let after = Object::parse(stripped).map_err(|_| differs("being readable"))?;
    if after != *before {
        return Err(differs("its facts"));
    }
    object::File::parse(stripped).map_err(|_| differs("being readable by another reader"))?;
    let result = Image::open(stripped).map_err(|_| differs("being readable"))?;
    if result.segments.len() != image.segments.len() {
        return Err(differs("the number of segments"));
    }
    let masks = moving_fields(image);
    for (old, new) in image.segments.iter().zip(&result.segments) {
        let same = Segment {
            offset: new.offset,
            ..*old
        };
        if same != *new {
            return Err(differs("a program header"));
        }
        if old.kind == elf::PT_LOAD
            && old.align > 1
            && new.offset % old.align != new.address % old.align
            && old.offset % old.align == old.address % old.align
        {
            return Err(differs("the alignment of a segment"));
        }
        let (Some(a), Some(b)) = (image.segment_bytes(old), result.segment_bytes(new)) else {
            return Err(differs("the extent of a segment"));
        };
        if !same_but(a, b, old.offset, &masks) {
            return Err(differs("the content of a segment"));
        }
    }
    same_sections(image, &result, removed)
}

/// The fields of the headers that say where things are in the file: they may differ, nothing else.
fn moving_fields(image: &Image<'_>) -> Vec<(u64, u64)> {
    let layout = HeaderLayout::of(image.class);
    let word = if image.is_64() { 8 } else { 4 };
    let table = image.word(layout.phoff).unwrap_or_default();
    let mut masks = vec![
        (layout.phoff as u64, word),
        (layout.shoff as u64, word),
        (layout.shnum as u64, 2),
        (layout.shstrndx as u64, 2),
    ];
    // `p_offset` is the second word of a program header in both classes.
    let headers = (0..image.segments.len()).map(|index| (index * layout.ph_size) as u64);
    masks.extend(headers.map(|at| (table + at + word, word)));
    masks
}

fn same_sections(
    image: &Image<'_>,
    result: &Image<'_>,
    removed: &[bool],
) -> Result<(), StripError> {
    for (index, (old, &gone)) in image.sections.iter().zip(removed).enumerate() {
        if gone {
            continue;
        }
        let facts =
            |section: &Section| (section.kind, section.flags, section.address, section.size);
        let same = result.sections.get(index).is_some_and(|new| {
            facts(old) == facts(new)
                && image.section_name(old) == result.section_name(new)
                && (old.has(elf::SHF_ALLOC)
                    // Loaded sections are part of a segment, whose header fields may have moved.
                    || image.section_bytes(old) == result.section_bytes(new))
        });
        if !same {
            return Err(StripError::Differs { what: "a section" });
        }
    }
    Ok(())
}

/// Whether two contents are the same outside `masks` (offset in the original file and length).
fn same_but(a: &[u8], b: &[u8], start: u64, masks: &[(u64, u64)]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a == b {
        return true;
    }
    a.iter().zip(b).enumerate().all(|(index, (a, b))| {
        let at = start + index as u64;
        a == b
            || masks
                .iter()
                .any(|&(from, len)| at >= from && at < from + len)
    })
}
