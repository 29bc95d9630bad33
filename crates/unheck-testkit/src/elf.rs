//! ELF64 objects in memory, little endian, for x86-64 and AArch64 (System V gABI chapters 4 and 5;
//! symbol versions as in the LSB core specification, section 10.7).
//!
//! The bytes are laid out by hand and not with the library that the readers use, so that a reader
//! is tested against a second opinion. A result has program and section headers, can be loaded by
//! the real dynamic loader, and its functions return at once. Read [`ElfBuilder`] first.

use crate::elf_parts::{Strings, noise, put16s, put32s, sysv_hash};

/// The processor of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// `EM_X86_64`, Debian's amd64.
    X86_64,
    /// `EM_AARCH64`, Debian's arm64.
    Aarch64,
}

impl Machine {
    /// The loader that a program names: the path fixed by the processor's ABI supplement.
    pub fn loader(self) -> &'static str {
        match self {
            Machine::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Machine::Aarch64 => "/lib/ld-linux-aarch64.so.1",
        }
    }

    /// Debian's multiarch triplet.
    pub fn triplet(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64-linux-gnu",
            Machine::Aarch64 => "aarch64-linux-gnu",
        }
    }

    fn number(self) -> u16 {
        match self {
            Machine::X86_64 => 62,
            Machine::Aarch64 => 183,
        }
    }

    /// Segment alignment: the largest page of the processor.
    fn page(self) -> u64 {
        match self {
            Machine::X86_64 => 0x1000,
            Machine::Aarch64 => 0x10000,
        }
    }
}

/// Builds one object. Order of calls is order in the file.
#[derive(Debug, Clone)]
pub struct ElfBuilder {
    machine: Machine,
    soname: Option<String>,
    needed: Vec<String>,
    rpath: Option<String>,
    runpath: Option<String>,
    interp: Option<String>,
    need_versions: Vec<(String, Vec<String>)>,
    define_versions: Vec<String>,
    exports: Vec<(String, Option<String>)>,
    imports: Vec<(String, Option<(String, String)>)>,
    rodata: Vec<u8>,
    notes: Vec<u8>,
    program: Option<(String, u8)>,
    page: u64,
    sections: bool,
    padding: usize,
}

struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    offset: u64,
    address: u64,
    data: Vec<u8>,
    link: &'static str,
    info: u32,
    align: u64,
    entry_size: u64,
}

const ALLOC: u64 = 2;
const WRITE: u64 = 1;
const EXEC: u64 = 4;

impl ElfBuilder {
    /// A shared object with nothing in it.
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            interp: None,
            need_versions: Vec::new(),
            define_versions: Vec::new(),
            exports: Vec::new(),
            imports: Vec::new(),
            rodata: Vec::new(),
            notes: Vec::new(),
            program: None,
            page: machine.page(),
            sections: true,
            padding: 0,
        }
    }

    /// Sets `DT_SONAME`.
    #[must_use]
    pub fn soname(mut self, name: &str) -> Self {
        self.soname = Some(name.into());
        self
    }

    /// Adds a `DT_NEEDED`.
    #[must_use]
    pub fn needed(mut self, name: &str) -> Self {
        self.needed.push(name.into());
        self
    }

    /// Sets `DT_RPATH`.
    #[must_use]
    pub fn rpath(mut self, path: &str) -> Self {
        self.rpath = Some(path.into());
        self
    }

    /// Sets `DT_RUNPATH`.
    #[must_use]
    pub fn runpath(mut self, path: &str) -> Self {
        self.runpath = Some(path.into());
        self
    }

    /// Sets `PT_INTERP`: the object is a program.
    #[must_use]
    pub fn interp(mut self, path: &str) -> Self {
        self.interp = Some(path.into());
        self
    }

    /// Asks `library` for a symbol version; adds the `DT_NEEDED` where it is missing.
    #[must_use]
    pub fn need_version(mut self, library: &str, version: &str) -> Self {
        if !self.needed.iter().any(|name| name == library) {
            self.needed.push(library.into());
        }
        if !self.need_versions.iter().any(|(name, _)| name == library) {
            self.need_versions.push((library.into(), Vec::new()));
        }
        for (name, versions) in &mut self.need_versions {
            if name == library && !versions.iter().any(|known| known == version) {
                versions.push(version.into());
            }
        }
        self
    }

    /// Offers a symbol version.
    #[must_use]
    pub fn define_version(mut self, version: &str) -> Self {
        self.define_versions.push(version.into());
        self
    }

    /// Exports a function.
    #[must_use]
    pub fn export(mut self, symbol: &str) -> Self {
        self.exports.push((symbol.into(), None));
        self
    }

    /// Exports a function under a version; defines the version where it is missing.
    #[must_use]
    pub fn export_versioned(mut self, symbol: &str, version: &str) -> Self {
        if !self.define_versions.iter().any(|known| known == version) {
            self.define_versions.push(version.into());
        }
        self.exports.push((symbol.into(), Some(version.into())));
        self
    }

    /// Imports a symbol without a version.
    #[must_use]
    pub fn import(mut self, symbol: &str) -> Self {
        self.imports.push((symbol.into(), None));
        self
    }

    /// Imports a symbol of `library` under a version; asks for the version where it is missing.
    #[must_use]
    pub fn import_versioned(self, symbol: &str, library: &str, version: &str) -> Self {
        let mut this = self.need_version(library, version);
        this.imports
            .push((symbol.into(), Some((library.into(), version.into()))));
        this
    }

    /// Appends to `.rodata`; strings need their own NUL.
    #[must_use]
    pub fn rodata(mut self, data: impl AsRef<[u8]>) -> Self {
        self.rodata.extend_from_slice(data.as_ref());
        self
    }

    /// Aligns segments to pages of so many bytes instead of the processor's largest ones.
    #[must_use]
    pub fn page(mut self, size: u64) -> Self {
        self.page = size;
        self
    }

    /// Adds `GNU_PROPERTY_X86_ISA_1_NEEDED` (x86-64 psABI, "Program Property"): bit 0 is the
    /// baseline, bit 3 x86-64-v4.
    #[must_use]
    pub fn note_isa(self, bits: u32) -> Self {
        let mut description = Vec::new();
        put32s(&mut description, &[0xc000_8002, 4, bits, 0]);
        self.note(5, b"GNU\0", &description)
    }

    /// Adds `NT_GNU_ABI_TAG` (LSB core specification): the oldest Linux it runs on.
    #[must_use]
    pub fn note_kernel(self, version: [u32; 3]) -> Self {
        let mut description = Vec::new();
        put32s(&mut description, &[0]);
        put32s(&mut description, &version);
        self.note(1, b"GNU\0", &description)
    }

    /// Adds a `.note.dlopen` note: owner `FDO`, type 0x407c0c0a, a JSON text (the
    /// freedesktop.org ELF dlopen metadata specification).
    #[must_use]
    pub fn note_dlopen(self, json: &str) -> Self {
        self.note_dlopen_raw(&[json.as_bytes(), b"\0"].concat())
    }

    /// As [`ElfBuilder::note_dlopen`], with the description's bytes as they stand.
    #[must_use]
    pub fn note_dlopen_raw(self, description: &[u8]) -> Self {
        self.note(0x407c_0c0a, b"FDO\0", description)
    }

    fn note(mut self, kind: u32, owner: &[u8; 4], description: &[u8]) -> Self {
        put32s(&mut self.notes, &[4, description.len() as u32, kind]);
        self.notes.extend_from_slice(owner);
        self.notes.extend_from_slice(description);
        self.notes.resize(self.notes.len().next_multiple_of(4), 0);
        self
    }

    /// Gives the object an entry point that writes `stdout` and exits with `code`. A fake loader
    /// made so makes every program that names it do just that.
    #[must_use]
    pub fn program(mut self, stdout: &str, code: u8) -> Self {
        self.program = Some((stdout.into(), code));
        self
    }

    /// Leaves the section headers out, as `sstrip` does; the program headers still tell all.
    #[must_use]
    pub fn without_sections(mut self) -> Self {
        self.sections = false;
        self
    }

    /// Appends `size` bytes that nothing refers to, incompressible enough to weigh something.
    #[must_use]
    pub fn padding(mut self, size: usize) -> Self {
        self.padding = size;
        self
    }

    /// The object's bytes. The same builder gives the same bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut strings = Strings::default();
        let mut sections = self.loaded_sections(&mut strings);
        let headers = 64 + 56 * self.segment_count(&sections) as u64;
        let text_end = place(&mut sections, headers, 0);
        let mut tail = vec![self.dynamic_section(&sections, &mut strings)];
        // The string table was laid out before the dynamic section named its strings: their
        // places are fixed in `loaded_sections`, so nothing moves here.
        let end = place(&mut tail, text_end, self.page);
        sections.append(&mut tail);
        self.assemble(&sections, text_end, end)
    }

    fn segment_count(&self, sections: &[Section]) -> usize {
        let notes = sections
            .iter()
            .any(|section| section.name == ".note.dlopen");
        4 + usize::from(notes) + usize::from(self.interp.is_some())
    }

    fn loaded_sections(&self, strings: &mut Strings) -> Vec<Section> {
        let symbols = self.symbols(strings);
        let definitions = self.verdef(strings);
        let needs = self.verneed(strings);
        self.name_dynamic_strings(strings);
        let count = symbols.len() / 24;
        let mut list = Vec::new();
        if let Some(path) = &self.interp {
            let data = [path.as_bytes(), b"\0"].concat();
            list.push(Section {
                data,
                ..section(".interp", 1, ALLOC, 1)
            });
        }
        if !self.notes.is_empty() {
            let data = self.notes.clone();
            list.push(Section {
                data,
                ..section(".note.dlopen", 7, ALLOC, 4)
            });
        }
        let data = self.hash();
        list.push(Section {
            data,
            link: ".dynsym",
            entry_size: 4,
            ..section(".hash", 5, ALLOC, 8)
        });
        list.push(Section {
            data: symbols,
            link: ".dynstr",
            info: 1,
            entry_size: 24,
            ..section(".dynsym", 11, ALLOC, 8)
        });
        list.push(Section {
            data: strings.bytes.clone(),
            ..section(".dynstr", 3, ALLOC, 1)
        });
        if definitions.1 + needs.1 > 0 {
            let data = self.versym(count);
            let versym = section(".gnu.version", 0x6fff_ffff, ALLOC, 2);
            list.push(Section {
                data,
                link: ".dynsym",
                entry_size: 2,
                ..versym
            });
        }
        for (name, kind, (data, info)) in [
            (".gnu.version_d", 0x6fff_fffd, definitions),
            (".gnu.version_r", 0x6fff_fffe, needs),
        ] {
            if info > 0 {
                list.push(Section {
                    data,
                    info,
                    link: ".dynstr",
                    ..section(name, kind, ALLOC, 8)
                });
            }
        }
        list.push(Section {
            data: self.code(),
            ..section(".text", 1, ALLOC | EXEC, 16)
        });
        if !self.rodata.is_empty() {
            let data = self.rodata.clone();
            list.push(Section {
                data,
                ..section(".rodata", 1, ALLOC, 16)
            });
        }
        list
    }

    fn name_dynamic_strings(&self, strings: &mut Strings) {
        let all = [&self.soname, &self.rpath, &self.runpath];
        for text in self.needed.iter().chain(all.into_iter().flatten()) {
            strings.add(text);
        }
    }

    /// `.dynsym`: the null symbol, exports, imports. Exported values are patched by `assemble`.
    fn symbols(&self, strings: &mut Strings) -> Vec<u8> {
        let mut data = vec![0; 24];
        for (name, _) in &self.exports {
            data.extend(strings.add(name).to_le_bytes());
            // STB_GLOBAL | STT_FUNC, default visibility, section and value to be patched.
            data.extend([0x12, 0, 0xff, 0]);
            data.extend([0; 8]);
            data.extend(4_u64.to_le_bytes());
        }
        for (name, _) in &self.imports {
            data.extend(strings.add(name).to_le_bytes());
            data.extend([0x12, 0, 0, 0]);
            data.extend([0; 16]);
        }
        data
    }

    fn versym(&self, count: usize) -> Vec<u8> {
        let mut indexes = vec![0_u16];
        for (_, version) in &self.exports {
            indexes.push(match version {
                None => 1,
                Some(version) => self.defined_index(version),
            });
        }
        for (_, wanted) in &self.imports {
            indexes.push(match wanted {
                None => 1,
                Some((library, version)) => self.needed_index(library, version),
            });
        }
        assert_eq!(indexes.len(), count, "one version index per symbol");
        indexes
            .iter()
            .flat_map(|index| index.to_le_bytes())
            .collect()
    }

    fn defined_index(&self, version: &str) -> u16 {
        2 + self
            .define_versions
            .iter()
            .position(|known| known == version)
            .unwrap() as u16
    }

    /// Index 1 is the object itself, then the versions it defines, then those it needs.
    fn needed_index(&self, library: &str, version: &str) -> u16 {
        let mut index = 2 + self.define_versions.len() as u16;
        for (name, versions) in &self.need_versions {
            for known in versions {
                if name == library && known == version {
                    return index;
                }
                index += 1;
            }
        }
        panic!("`{version}` of `{library}` is not asked for");
    }

    fn verdef(&self, strings: &mut Strings) -> (Vec<u8>, u32) {
        if self.define_versions.is_empty() {
            return (Vec::new(), 0);
        }
        let base = self.soname.clone().unwrap_or_else(|| "base".into());
        let names: Vec<&String> = std::iter::once(&base)
            .chain(&self.define_versions)
            .collect();
        let mut data = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let last = place + 1 == names.len();
            put16s(&mut data, &[1, u16::from(place == 0), place as u16 + 1, 1]);
            put32s(&mut data, &[sysv_hash(name), 20, if last { 0 } else { 28 }]);
            put32s(&mut data, &[strings.add(name), 0]);
        }
        (data, names.len() as u32)
    }

    fn verneed(&self, strings: &mut Strings) -> (Vec<u8>, u32) {
        let mut data = Vec::new();
        for (place, (library, versions)) in self.need_versions.iter().enumerate() {
            let last = place + 1 == self.need_versions.len();
            let size = 16 + 16 * versions.len() as u32;
            put16s(&mut data, &[1, versions.len() as u16]);
            put32s(
                &mut data,
                &[strings.add(library), 16, if last { 0 } else { size }],
            );
            for (rank, version) in versions.iter().enumerate() {
                let last = rank + 1 == versions.len();
                put32s(&mut data, &[sysv_hash(version)]);
                put16s(&mut data, &[0, self.needed_index(library, version)]);
                put32s(
                    &mut data,
                    &[strings.add(version), if last { 0 } else { 16 }],
                );
            }
        }
        (data, self.need_versions.len() as u32)
    }

    /// `.hash` (gABI chapter 5): one bucket per symbol.
    fn hash(&self) -> Vec<u8> {
        let exports = self.exports.iter().map(|(name, _)| name);
        let names: Vec<&String> = exports
            .chain(self.imports.iter().map(|(name, _)| name))
            .collect();
        let count = names.len() as u32 + 1;
        let mut buckets = vec![0_u32; count as usize];
        let mut chains = vec![0_u32; count as usize];
        for (place, name) in names.iter().enumerate() {
            let bucket = (sysv_hash(name) % count) as usize;
            chains[place + 1] = buckets[bucket];
            buckets[bucket] = place as u32 + 1;
        }
        let mut data = Vec::new();
        put32s(&mut data, &[count, count]);
        put32s(&mut data, &buckets);
        put32s(&mut data, &chains);
        data
    }

    /// A `ret`, then the program if there is one, at [`ENTRY`].
    fn code(&self) -> Vec<u8> {
        let ret: &[u8] = match self.machine {
            Machine::X86_64 => &[0xc3],
            Machine::Aarch64 => &[0xc0, 0x03, 0x5f, 0xd6],
        };
        let mut code = ret.to_vec();
        let Some((text, status)) = &self.program else {
            return code;
        };
        code.resize(ENTRY as usize, 0);
        let size = text.len() as u32;
        match self.machine {
            Machine::X86_64 => {
                // mov eax,1; mov edi,1; lea rsi,[rip+19]; mov edx,size; syscall (write)
                code.extend([
                    0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 19, 0, 0, 0, 0xba,
                ]);
                code.extend(size.to_le_bytes());
                // mov eax,231; mov edi,status; syscall (exit_group)
                code.extend([
                    0x0f, 0x05, 0xb8, 231, 0, 0, 0, 0xbf, *status, 0, 0, 0, 0x0f, 0x05,
                ]);
            }
            Machine::Aarch64 => {
                let movz = |register: u32, value: u32| 0xd280_0000 | value << 5 | register;
                let adr = 0x1000_0000 | 8 << 5 | 1; // x1 = here + 4 * 8
                let svc = 0xd400_0001;
                let words = [
                    movz(0, 1),
                    adr,
                    movz(2, size),
                    movz(8, 64),
                    svc,
                    movz(0, u32::from(*status)),
                    movz(8, 94),
                    svc,
                    svc,
                ];
                put32s(&mut code, &words);
            }
        }
        code.extend_from_slice(text.as_bytes());
        code
    }

    fn dynamic_section(&self, sections: &[Section], strings: &mut Strings) -> Section {
        let mut data = Vec::new();
        let mut put = |tag: u64, value: u64| {
            data.extend(tag.to_le_bytes());
            data.extend(value.to_le_bytes());
        };
        for name in &self.needed {
            put(1, strings.add(name).into());
        }
        for (tag, text) in [(14, &self.soname), (15, &self.rpath), (29, &self.runpath)] {
            if let Some(text) = text {
                put(tag, strings.add(text).into());
            }
        }
        let tables = [
            (4, ".hash"),
            (5, ".dynstr"),
            (6, ".dynsym"),
            (0x6fff_fff0, ".gnu.version"),
            (0x6fff_fffc, ".gnu.version_d"),
            (0x6fff_fffe, ".gnu.version_r"),
        ];
        for (tag, name) in tables {
            let Some(table) = sections.iter().find(|section| section.name == name) else {
                continue;
            };
            put(tag, table.address);
            match tag {
                5 => put(10, table.data.len() as u64),
                6 => put(11, 24),
                // DT_VERDEFNUM and DT_VERNEEDNUM follow their table's tag by one.
                0x6fff_fffc | 0x6fff_fffe => put(tag + 1, table.info.into()),
                _ => {}
            }
        }
        if self.interp.is_some() {
            put(0x6fff_fffb, 0x0800_0000); // DT_FLAGS_1: PIE
        }
        put(0, 0);
        Section {
            data,
            link: ".dynstr",
            entry_size: 16,
            ..section(".dynamic", 6, ALLOC | WRITE, 8)
        }
    }

    fn assemble(&self, sections: &[Section], text_end: u64, end: u64) -> Vec<u8> {
        let mut names = Strings::default();
        let offsets: Vec<u32> = sections
            .iter()
            .map(|section| names.add(section.name))
            .collect();
        let own_name = names.add(".shstrtab");
        let names_at = end + self.padding as u64;
        let headers_at = (names_at + names.bytes.len() as u64).next_multiple_of(8);
        let mut out = self.file_header(sections, if self.sections { headers_at } else { 0 });
        out.extend(self.program_headers(sections, text_end));
        for section in sections {
            out.resize(section.offset as usize, 0);
            out.extend_from_slice(&section.data);
        }
        self.patch_exports(&mut out, sections);
        out.extend(noise(self.padding));
        if !self.sections {
            return out;
        }
        out.resize(names_at as usize, 0);
        out.extend_from_slice(&names.bytes);
        out.resize(headers_at as usize, 0);
        out.extend([0; 64]);
        for (section, name) in sections.iter().zip(offsets) {
            out.extend(section.header(name, index_of(sections, section.link)));
        }
        let mut own = section(".shstrtab", 3, 0, 1);
        own.data = names.bytes;
        own.offset = names_at;
        out.extend(own.header(own_name, 0));
        out
    }

    /// Export `st_shndx` and `st_value`: the `ret` at the start of `.text`.
    fn patch_exports(&self, out: &mut [u8], sections: &[Section]) {
        let text = index_of(sections, ".text");
        let address = find(sections, ".text").address;
        let symbols = find(sections, ".dynsym").offset as usize;
        for place in 1..=self.exports.len() {
            let at = symbols + 24 * place;
            out[at + 6..at + 8].copy_from_slice(&(text as u16).to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&address.to_le_bytes());
        }
    }

    fn file_header(&self, sections: &[Section], section_headers: u64) -> Vec<u8> {
        let entry = match self.program {
            Some(_) => find(sections, ".text").address + ENTRY,
            None if self.interp.is_some() => find(sections, ".text").address,
            None => 0,
        };
        let count = if self.sections {
            sections.len() as u16 + 2
        } else {
            0
        };
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        put16s(&mut out, &[3, self.machine.number()]);
        put32s(&mut out, &[1]);
        for value in [entry, 64, section_headers] {
            out.extend(value.to_le_bytes());
        }
        put32s(&mut out, &[0]);
        let segments = self.segment_count(sections) as u16;
        put16s(
            &mut out,
            &[64, 56, segments, 64, count, count.saturating_sub(1)],
        );
        out
    }

    fn program_headers(&self, sections: &[Section], text_end: u64) -> Vec<u8> {
        let page = self.page;
        let mut out = Vec::new();
        let mut put = |kind: u32, flags: u32, offset: u64, address: u64, size: u64, align: u64| {
            put32s(&mut out, &[kind, flags]);
            for value in [offset, address, address, size, size, align] {
                out.extend(value.to_le_bytes());
            }
        };
        if let Some(interp) = sections.iter().find(|section| section.name == ".interp") {
            put(
                3,
                4,
                interp.offset,
                interp.address,
                interp.data.len() as u64,
                1,
            );
        }
        put(1, 5, 0, 0, text_end, page);
        let dynamic = find(sections, ".dynamic");
        let size = dynamic.data.len() as u64;
        put(1, 6, dynamic.offset, dynamic.address, size, page);
        put(2, 6, dynamic.offset, dynamic.address, size, 8);
        if let Some(notes) = sections
            .iter()
            .find(|section| section.name == ".note.dlopen")
        {
            put(
                4,
                4,
                notes.offset,
                notes.address,
                notes.data.len() as u64,
                4,
            );
        }
        put(0x6474_e551, 6, 0, 0, 0, 16); // PT_GNU_STACK: not executable
        out
    }
}

/// Where the program begins in `.text`.
const ENTRY: u64 = 16;

impl Section {
    fn header(&self, name: u32, link: u32) -> Vec<u8> {
        let mut out = Vec::new();
        put32s(&mut out, &[name, self.kind]);
        for value in [
            self.flags,
            self.address,
            self.offset,
            self.data.len() as u64,
        ] {
            out.extend(value.to_le_bytes());
        }
        put32s(&mut out, &[link, self.info]);
        out.extend(self.align.to_le_bytes());
        out.extend(self.entry_size.to_le_bytes());
        out
    }
}

fn section(name: &'static str, kind: u32, flags: u64, align: u64) -> Section {
    let (data, offset, address) = (Vec::new(), 0, 0);
    Section {
        name,
        kind,
        flags,
        offset,
        address,
        data,
        link: "",
        info: 0,
        align,
        entry_size: 0,
    }
}

/// Gives each section its place from `start` on; addresses are `shift` above offsets.
fn place(sections: &mut [Section], start: u64, shift: u64) -> u64 {
    let mut at = start;
    for section in sections {
        section.offset = at.next_multiple_of(section.align);
        section.address = section.offset + shift;
        at = section.offset + section.data.len() as u64;
    }
    at
}

/// The header index of a section (0 is the null section), or 0.
fn index_of(sections: &[Section], name: &str) -> u32 {
    sections
        .iter()
        .position(|section| section.name == name)
        .map_or(0, |at| at as u32 + 1)
}

fn find<'a>(sections: &'a [Section], name: &str) -> &'a Section {
    sections
        .iter()
        .find(|section| section.name == name)
        .unwrap()
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
