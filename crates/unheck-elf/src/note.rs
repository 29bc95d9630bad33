//! ELF notes: build id, x86 properties, the kernel that is asked for and the dlopen notes of the
//! FDO specification.
//!
//! A note that is not in the form of its specification is left out: no loader refuses an object
//! for it. Start at [`Notes::read`].

use object::elf;
use serde::{Deserialize, Serialize};

use crate::machine::{Endian, IsaLevel};
use crate::raw::{Image, Reader};

/// Owner and type of a dlopen note (UAPI/systemd "ELF dlopen metadata" specification).
const DLOPEN_OWNER: &[u8] = b"FDO";
const DLOPEN_TYPE: u32 = 0x407c_0c0a;

/// The largest text of one dlopen note that is read, in bytes.
const MAX_DLOPEN_TEXT: usize = 64 * 1024;
/// How many dlopen entries are kept.
const MAX_DLOPEN_NOTES: usize = 256;
/// How many notes of one object are looked at.
const MAX_NOTES: usize = 4096;

/// One thing that an object says it may `dlopen` (UAPI/systemd "ELF dlopen metadata").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DlopenNote {
    /// Alternatives, the preferred one first: any of them will do.
    #[serde(rename = "soname")]
    pub sonames: Vec<String>,
    /// A short name of what needs it, such as `bpf`.
    #[serde(default)]
    pub feature: Option<String>,
    /// A sentence for people.
    #[serde(default)]
    pub description: Option<String>,
    /// How much the object needs it; the specification's default is `recommended`.
    #[serde(default)]
    pub priority: Priority,
}

/// How much an object needs what it may `dlopen`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The object fails without it.
    Required,
    /// Wanted in all but minimal installations.
    #[default]
    Recommended,
    /// For a seldom used feature.
    Suggested,
}

/// What the notes of one object say.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) build_id: Option<String>,
    pub(crate) isa_level: Option<IsaLevel>,
    pub(crate) kernel: Option<(u32, u32, u32)>,
    pub(crate) dlopen: Vec<DlopenNote>,
}

impl Notes {
    /// Reads every `PT_NOTE` segment.
    pub(crate) fn read(image: &Image<'_>) -> Self {
        let mut notes = Self::default();
        let mut left = MAX_NOTES;
        for segment in image.segments_of(elf::PT_NOTE) {
            let Some(content) = image.segment_bytes(segment) else {
                continue;
            };
            // gABI: 4-byte alignment, except segments of 8 (`.note.gnu.property`).
            let align = if segment.align == 8 { 8 } else { 4 };
            notes.read_segment(image, content, align, &mut left);
        }
        notes
    }

    fn read_segment(&mut self, image: &Image<'_>, content: &[u8], align: usize, left: &mut usize) {
        let reader = Reader::new(content, image.endian);
        let mut at = 0;
        while *left > 0 {
            *left -= 1;
            let (Some(name_len), Some(desc_len), Some(kind)) =
                (reader.u32(at), reader.u32(at + 4), reader.u32(at + 8))
            else {
                return;
            };
            let name_at = at + 12;
            let Some(name) = slice(content, name_at, name_len) else {
                return;
            };
            let desc_at = (name_at + name.len()).next_multiple_of(align);
            let Some(desc) = slice(content, desc_at, desc_len) else {
                return;
            };
            let owner = name.strip_suffix(b"\0").unwrap_or(name);
            self.take(image, owner, kind, desc);
            at = (desc_at + desc.len()).next_multiple_of(align);
        }
    }

    fn take(&mut self, image: &Image<'_>, owner: &[u8], kind: u32, desc: &[u8]) {
        match (owner, kind) {
            // 20 bytes is usual (SHA-1), 64 more than any linker writes.
            (b"GNU", kind) if kind == elf::NT_GNU_BUILD_ID.0 && (1..=64).contains(&desc.len()) => {
                self.build_id = Some(hex(desc));
            }
            (b"GNU", kind) if kind == elf::NT_GNU_PROPERTY_TYPE_0.0 => {
                let step = if image.is_64() { 8 } else { 4 };
                self.isa_level = self.isa_level.max(isa_level(desc, image.endian, step));
            }
            (b"GNU", kind) if kind == elf::NT_GNU_ABI_TAG.0 => {
                self.kernel = self.kernel.max(linux_version(desc, image.endian));
            }
            (DLOPEN_OWNER, DLOPEN_TYPE) => self.take_dlopen(desc),
            _ => {}
        }
    }

    fn take_dlopen(&mut self, desc: &[u8]) {
        let end = memchr::memchr(0, desc).unwrap_or(desc.len());
        if end > MAX_DLOPEN_TEXT {
            return;
        }
        let Ok(entries) = serde_json::from_slice::<Vec<DlopenNote>>(&desc[..end]) else {
            return;
        };
        let room = MAX_DLOPEN_NOTES.saturating_sub(self.dlopen.len());
        self.dlopen.extend(
            entries
                .into_iter()
                .filter(|entry| !entry.sonames.is_empty())
                .take(room),
        );
    }
}

/// The oldest Linux of `NT_GNU_ABI_TAG` (LSB core specification, "ABI note tag"): four words, the
/// first one 0 for Linux.
fn linux_version(desc: &[u8], endian: Endian) -> Option<(u32, u32, u32)> {
    let reader = Reader::new(desc, endian);
    let version = (reader.u32(4)?, reader.u32(8)?, reader.u32(12)?);
    (reader.u32(0)? == 0).then_some(version)
}

/// `GNU_PROPERTY_X86_ISA_1_NEEDED` (x86-64 psABI, "Program Property").
fn isa_level(desc: &[u8], endian: Endian, step: usize) -> Option<IsaLevel> {
    let reader = Reader::new(desc, endian);
    let mut at = 0;
    loop {
        let kind = reader.u32(at)?;
        let size = usize::try_from(reader.u32(at + 4)?).ok()?;
        if kind == elf::GNU_PROPERTY_X86_ISA_1_NEEDED.0 {
            let bits = reader.u32(at + 8)?;
            return match bits {
                bits if bits & 8 != 0 => Some(IsaLevel::V4),
                bits if bits & 4 != 0 => Some(IsaLevel::V3),
                bits if bits & 2 != 0 => Some(IsaLevel::V2),
                bits if bits & 1 != 0 => Some(IsaLevel::Baseline),
                _ => None,
            };
        }
        at = at.checked_add(8)?.checked_add(size)?.next_multiple_of(step);
    }
}

fn slice(content: &[u8], at: usize, len: u32) -> Option<&[u8]> {
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    content.get(at..end)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
