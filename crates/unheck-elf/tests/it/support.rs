//! Builds small ELF files in memory: one mapped segment, a dynamic segment, notes, and on demand
//! sections with symbols to strip. Every table is written by hand, so that the tests do not
//! depend on the code under test.

/// What to build. Offsets are addresses: the only `PT_LOAD` maps the file at 0.
#[derive(Clone)]
pub(crate) struct Spec<'a> {
    pub(crate) is_64: bool,
    pub(crate) big: bool,
    pub(crate) machine: u16,
    pub(crate) kind: u16,
    pub(crate) soname: Option<&'a str>,
    pub(crate) needed: &'a [&'a str],
    pub(crate) rpath: Option<&'a str>,
    pub(crate) runpath: Option<&'a str>,
    pub(crate) interp: Option<&'a str>,
    /// (library, version, weak)
    pub(crate) versions: &'a [(&'a str, &'a str, bool)],
    pub(crate) defines: &'a [&'a str],
    pub(crate) imports: &'a [&'a str],
    pub(crate) exports: &'a [&'a str],
    /// (owner with its NUL, type, content)
    pub(crate) notes: &'a [(&'a [u8], u32, &'a [u8])],
    pub(crate) rodata: &'a [u8],
    pub(crate) stack_flags: Option<u32>,
    pub(crate) sections: bool,
    pub(crate) hash: Hash,
    pub(crate) flags_1: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Hash {
    SysV,
    Gnu,
    None,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            is_64: true,
            big: false,
            machine: 62,
            kind: 3,
            soname: None,
            needed: &[],
            rpath: None,
            runpath: None,
            interp: None,
            versions: &[],
            defines: &[],
            imports: &[],
            exports: &[],
            notes: &[],
            rodata: b"",
            stack_flags: Some(6),
            sections: false,
            hash: Hash::SysV,
            flags_1: 0,
        }
    }
}

struct Out {
    bytes: Vec<u8>,
    is_64: bool,
    big: bool,
}

impl Out {
    fn put(&mut self, value: u64, len: usize) {
        let little = value.to_le_bytes();
        let mut part = little[..len].to_vec();
        if self.big {
            part.reverse();
        }
        self.bytes.extend(part);
    }
    fn h(&mut self, value: u64) {
        self.put(value, 2);
    }
    fn w(&mut self, value: u64) {
        self.put(value, 4);
    }
    fn x(&mut self, value: u64) {
        self.put(value, if self.is_64 { 8 } else { 4 });
    }
    fn align(&mut self, to: usize) -> u64 {
        while !self.bytes.len().is_multiple_of(to) {
            self.bytes.push(0);
        }
        self.bytes.len() as u64
    }
}

#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u64 {
        if self.0.is_empty() {
            self.0.push(0);
        }
        let at = self.0.len() as u64;
        self.0.extend(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// The finished file.
#[expect(
    clippy::too_many_lines,
    reason = "one table after another, in the order of the file"
)]
pub(crate) fn build(spec: &Spec<'_>) -> Vec<u8> {
    let out = |bytes: Vec<u8>| Out {
        bytes,
        is_64: spec.is_64,
        big: spec.big,
    };
    let (header, ph_size, sh_size) = if spec.is_64 {
        (64, 56, 64)
    } else {
        (52, 32, 40)
    };
    let ph_count = 3 + usize::from(spec.interp.is_some()) + usize::from(spec.stack_flags.is_some());
    let mut body = out(vec![0; header + ph_count * ph_size]);
    let mut strings = Strings::default();

    let interp_at = body.align(8);
    if let Some(interp) = spec.interp {
        body.bytes.extend(interp.as_bytes());
        body.bytes.push(0);
    }
    let interp_len = body.bytes.len() as u64 - interp_at;

    let notes_at = body.align(8);
    for (owner, kind, content) in spec.notes {
        body.w(owner.len() as u64);
        body.w(content.len() as u64);
        body.w(u64::from(*kind));
        body.bytes.extend(*owner);
        body.align(4);
        body.bytes.extend(*content);
        body.align(4);
    }
    let notes_len = body.bytes.len() as u64 - notes_at;

    let rodata_at = body.align(8);
    body.bytes.extend(spec.rodata);

    let verneed_at = body.align(8);
    for (index, (library, version, weak)) in spec.versions.iter().enumerate() {
        let last = index + 1 == spec.versions.len();
        let (library, version) = (strings.add(library), strings.add(version));
        body.h(1);
        body.h(1);
        body.w(library);
        body.w(16);
        body.w(if last { 0 } else { 32 });
        body.w(0);
        body.h(u64::from(*weak) * 2);
        body.h(2 + index as u64);
        body.w(version);
        body.w(0);
    }
    let verdef_at = body.align(8);
    for (index, version) in spec.defines.iter().enumerate() {
        let last = index + 1 == spec.defines.len();
        let name = strings.add(version);
        body.h(1);
        body.h(u64::from(index == 0)); // the first is the file's own (VER_FLG_BASE)
        body.h(1 + index as u64);
        body.h(1);
        body.w(0);
        body.w(20);
        body.w(if last { 0 } else { 28 });
        body.w(name);
        body.w(0);
    }

    let symtab_at = body.align(8);
    let names: Vec<(u64, bool)> = (spec.imports.iter().map(|name| (name, false)))
        .chain(spec.exports.iter().map(|name| (name, true)))
        .map(|(name, defined)| (strings.add(name), defined))
        .collect();
    for (name, defined) in std::iter::once((0, false)).chain(names.iter().copied()) {
        let info = if name == 0 { 0 } else { 0x12 };
        let section = u64::from(defined);
        body.w(name);
        if spec.is_64 {
            body.put(info, 1);
            body.put(0, 1);
            body.h(section);
            body.x(0);
            body.x(0);
        } else {
            body.x(0);
            body.x(0);
            body.put(info, 1);
            body.put(0, 1);
            body.h(section);
        }
    }
    let symtab_len = body.bytes.len() as u64 - symtab_at;
    let count = 1 + names.len() as u64;

    let mut entries: Vec<(u64, u64)> = Vec::new();
    entries.extend(spec.needed.iter().map(|name| (1, strings.add(name))));
    entries.extend(spec.soname.iter().map(|name| (14, strings.add(name))));
    entries.extend(spec.rpath.iter().map(|name| (15, strings.add(name))));
    entries.extend(spec.runpath.iter().map(|name| (29, strings.add(name))));
    let strtab_at = body.bytes.len() as u64;
    strings.add("");
    body.bytes.extend(&strings.0);
    let hash_at = body.align(8);
    match spec.hash {
        Hash::SysV => {
            entries.push((4, hash_at));
            for value in [1, count, 0].into_iter().chain((0..count).map(|_| 0)) {
                body.w(value);
            }
        }
        Hash::Gnu => {
            entries.push((0x6fff_fef5, hash_at));
            let base = 1 + spec.imports.len() as u64;
            body.w(1);
            body.w(base);
            body.w(1);
            body.w(0);
            body.x(0);
            body.w(if spec.exports.is_empty() { 0 } else { base });
            for index in 0..spec.exports.len() {
                body.w(u64::from(index + 1 == spec.exports.len()));
            }
        }
        Hash::None => {}
    }
    entries.extend([(5, strtab_at), (10, strings.0.len() as u64), (6, symtab_at)]);
    if !spec.versions.is_empty() {
        entries.extend([
            (0x6fff_fffe, verneed_at),
            (0x6fff_ffff, spec.versions.len() as u64),
        ]);
    }
    if !spec.defines.is_empty() {
        entries.extend([
            (0x6fff_fffc, verdef_at),
            (0x6fff_fffd, spec.defines.len() as u64),
        ]);
    }
    if spec.flags_1 != 0 {
        entries.push((0x6fff_fffb, spec.flags_1));
    }
    entries.push((0, 0));
    let dynamic_at = body.align(8);
    for (tag, value) in entries {
        body.x(tag);
        body.x(value);
    }
    let dynamic_len = body.bytes.len() as u64 - dynamic_at;
    let loaded = body.bytes.len() as u64;

    let mut sections = Vec::new();
    if spec.sections {
        let debug_at = body.bytes.len() as u64;
        body.bytes.extend([0xdb; 9000]);
        let names = b"\0.rodata\0.dynsym\0.debug_info\0.dynstr\0.shstrtab\0";
        let names_at = body.bytes.len() as u64;
        body.bytes.extend(names);
        // (name, type, flags, address, offset, size, link)
        let rodata_len = spec.rodata.len() as u64;
        let strings_len = strings.0.len() as u64;
        sections = vec![
            (0, 0, 0, 0, 0, 0, 0),
            (1, 1, 2, rodata_at, rodata_at, rodata_len, 0),
            (9, 11, 2, symtab_at, symtab_at, symtab_len, 4),
            (17, 1, 0, 0, debug_at, 9000, 0),
            (29, 3, 2, strtab_at, strtab_at, strings_len, 0),
            (37, 3, 0, 0, names_at, names.len() as u64, 0),
        ];
    }
    let table_at = body.align(8);
    for (name, kind, flags, address, offset, size, link) in &sections {
        body.w(*name);
        body.w(*kind);
        for value in [flags, address, offset, size] {
            body.x(*value);
        }
        body.w(*link);
        body.w(0);
        body.x(1);
        body.x(0);
    }

    let mut head = out(Vec::new());
    head.bytes.extend(b"\x7fELF");
    head.bytes
        .extend([1 + u8::from(spec.is_64), 1 + u8::from(spec.big), 1]);
    head.align(16);
    head.h(u64::from(spec.kind));
    head.h(u64::from(spec.machine));
    head.w(1);
    head.x(0);
    head.x(header as u64);
    head.x(if spec.sections { table_at } else { 0 });
    head.w(0);
    head.h(header as u64);
    head.h(ph_size as u64);
    head.h(ph_count as u64);
    head.h(sh_size);
    head.h(sections.len() as u64);
    head.h(sections.len().saturating_sub(1) as u64);
    // (type, flags, offset, size, align)
    let mut segments = vec![
        (1, 5, 0, loaded, 4096),
        (2, 6, dynamic_at, dynamic_len, 8),
        (4, 4, notes_at, notes_len, 4),
    ];
    segments.extend(spec.interp.map(|_| (3, 4, interp_at, interp_len, 1)));
    segments.extend(
        spec.stack_flags
            .map(|flags| (0x6474_e551, u64::from(flags), 0, 0, 16)),
    );
    for (kind, flags, offset, size, align) in segments {
        head.w(kind);
        if spec.is_64 {
            head.w(flags);
        }
        for value in [offset, offset, offset, size, size] {
            head.x(value);
        }
        if !spec.is_64 {
            head.w(flags);
        }
        head.x(align);
    }
    body.bytes[..head.bytes.len()].copy_from_slice(&head.bytes);
    body.bytes
}
