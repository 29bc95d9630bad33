//! Reads tar archives of others with limits: ustar, GNU long names, PAX.
//!
//! The `tar` crate decodes headers. What spans several entries (long names, PAX records, sizes in
//! them) is done here, because the crate puts no limit on it. Refuses sparse files, wrong
//! checksums, bytes after the end. Start at [`TarReader::next_entry`].

use std::io::{self, Read};

use unheck_base::TreePath;

use crate::tar_writer::{BLOCK, padding};

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TarReadError {
    /// The bytes did not come, or the compressed stream is damaged.
    #[error("cannot read the tar archive at byte {offset}")]
    Read {
        /// Where in the uncompressed archive.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// A header or record that is none.
    #[error("the tar archive is malformed at byte {offset}: {what}")]
    Malformed {
        /// Where in the uncompressed archive.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A limit was reached.
    #[error("the tar archive has more than {limit} {name}")]
    Limit {
        /// What there is too much of.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// An entry with the names as they stand, longer ones already put in place.
#[derive(Debug, Default)]
pub(crate) struct RawEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// The type flag of the header; `0` for all kinds of regular files.
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: i64,
    pub(crate) len: u64,
    pub(crate) device: (u32, u32),
    /// Where the content begins.
    pub(crate) offset: u64,
}

/// The longest long name or set of PAX records that is taken.
const MAX_EXTENSION: u64 = 1 << 20;

/// Reads entry after entry; the content of the last one by [`Read`].
pub(crate) struct TarReader<R> {
    reader: R,
    offset: u64,
    /// Content of the current entry not read yet, without padding.
    left: u64,
    padding: usize,
    max_entries: u64,
    entries: u64,
    ended: bool,
}

/// What the entries before an entry say about it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax_name: Option<Vec<u8>>,
    pax_link: Option<Vec<u8>>,
    len: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(reader: R, max_entries: u64) -> Self {
        Self {
            reader,
            offset: 0,
            left: 0,
            padding: 0,
            max_entries,
            entries: 0,
            ended: false,
        }
    }

    /// The next entry, `None` at the end. Skips what was not read of the one before.
    pub(crate) fn next_entry(&mut self) -> Result<Option<RawEntry>, TarReadError> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            self.skip_content()?;
            let Some(block) = self.header_block()? else {
                if extended {
                    return Err(self.malformed("a long name or PAX record without an entry"));
                }
                return Ok(None);
            };
            self.entries += 1;
            if self.entries > self.max_entries {
                return Err(TarReadError::Limit {
                    name: "entries",
                    limit: self.max_entries,
                });
            }
            let header = tar::Header::from_byte_slice(&block);
            let len = header.entry_size();
            let len = self.optional(&block[124..136], len, "the size is not a number")?;
            match block[156] {
                kind @ (b'x' | b'g' | b'L' | b'K') => {
                    let bytes = self.extension(len)?;
                    extended |= kind != b'g';
                    self.take_extension(kind, bytes, &mut extensions)?;
                }
                _ => return self.entry(header, len, extensions).map(Some),
            }
        }
    }

    /// Whether all was read: no byte other than zero may follow the end.
    pub(crate) fn finish(mut self) -> Result<(), TarReadError> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read_some(&mut buffer)? {
                0 => return Ok(()),
                read if buffer[..read].iter().all(|&byte| byte == 0) => {}
                _ => return Err(self.malformed("there are bytes after the end of the archive")),
            }
        }
    }

    fn malformed(&self, what: &'static str) -> TarReadError {
        TarReadError::Malformed {
            offset: self.offset,
            what,
        }
    }

    fn number<T>(&self, value: io::Result<T>, what: &'static str) -> Result<T, TarReadError> {
        value.map_err(|_| self.malformed(what))
    }

    /// A number that some writers leave out: a field of NULs or spaces is 0.
    fn optional<T: Default>(
        &self,
        field: &[u8],
        value: io::Result<T>,
        what: &'static str,
    ) -> Result<T, TarReadError> {
        if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            return Ok(T::default());
        }
        self.number(value, what)
    }

    fn read_some(&mut self, to: &mut [u8]) -> Result<usize, TarReadError> {
        loop {
            match self.reader.read(to) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset;
                    return Err(TarReadError::Read { offset, source });
                }
            }
        }
    }

    /// How many bytes of `to` could be filled before the end.
    fn read_full(&mut self, to: &mut [u8]) -> Result<usize, TarReadError> {
        let mut filled = 0;
        while filled < to.len() {
            match self.read_some(&mut to[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn skip_content(&mut self) -> Result<(), TarReadError> {
        let mut left = self.left + self.padding as u64;
        (self.left, self.padding) = (0, 0);
        let mut buffer = vec![0; left.min(64 * 1024) as usize];
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            match self.read_some(&mut buffer[..want])? {
                0 => return Err(self.malformed("it ends inside an entry")),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    /// A header with a right checksum; `None` at a zero block or the end of the bytes.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarReadError> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        match self.read_full(&mut block)? {
            BLOCK if block != [0; BLOCK] => {}
            0 | BLOCK => {
                self.ended = true;
                return Ok(None);
            }
            _ => return Err(self.malformed("it ends inside a header")),
        }
        let spaces = 8 * u32::from(b' ');
        let others = block[..148].iter().chain(&block[156..]);
        let sum = spaces + others.map(|&byte| u32::from(byte)).sum::<u32>();
        let stated = tar::Header::from_byte_slice(&block).cksum();
        if self.number(stated, "the checksum is not a number")? != sum {
            return Err(self.malformed("the checksum of a header is wrong"));
        }
        Ok(Some(block))
    }

    fn extension(&mut self, len: u64) -> Result<Vec<u8>, TarReadError> {
        if len > MAX_EXTENSION {
            return Err(TarReadError::Limit {
                name: "bytes in one long name or PAX record",
                limit: MAX_EXTENSION,
            });
        }
        let mut bytes = vec![0; len as usize];
        if self.read_full(&mut bytes)? != bytes.len() {
            return Err(self.malformed("it ends inside an entry"));
        }
        self.padding = padding(len);
        Ok(bytes)
    }

    fn take_extension(
        &self,
        kind: u8,
        mut bytes: Vec<u8>,
        extensions: &mut Extensions,
    ) -> Result<(), TarReadError> {
        match kind {
            b'L' | b'K' => {
                // GNU tar closes the name with a NUL.
                bytes.truncate(bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()));
                let place = if kind == b'L' {
                    &mut extensions.name
                } else {
                    &mut extensions.link
                };
                *place = Some(bytes);
                Ok(())
            }
            _ => {
                let mut rest = &bytes[..];
                while let Some((key, value, after)) =
                    pax_record(rest).map_err(|what| self.malformed(what))?
                {
                    let taken = extensions.take(key, value);
                    let taken = taken.map_err(|what| self.malformed(what))?;
                    // What one name or size for all entries should mean nobody agrees on.
                    if taken && kind == b'g' {
                        return Err(self.malformed("a global PAX record names one entry"));
                    }
                    rest = after;
                }
                Ok(())
            }
        }
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        len: u64,
        extensions: Extensions,
    ) -> Result<RawEntry, TarReadError> {
        let flag = header.as_bytes()[156];
        let len = extensions.len.unwrap_or(len);
        let mut name = extensions.pax_name.or(extensions.name);
        let name = name.get_or_insert_with(|| header.path_bytes().into_owned());
        let kind = match flag {
            // Before POSIX a directory was a file with a slash at the end.
            0 if name.ends_with(b"/") => b'5',
            0 | b'0' | b'7' => b'0',
            b'1'..=b'6' => flag,
            b'S' => return Err(self.malformed("it has a sparse file")),
            _ => return Err(self.malformed("it has an entry of an unknown type")),
        };
        let link = header.link_name_bytes().map(|link| link.into_owned());
        let has_content = kind == b'0';
        let len = if has_content { len } else { 0 };
        (self.left, self.padding) = (len, padding(len));
        let device = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
        let bytes = header.as_bytes();
        let mode = self.optional(&bytes[100..108], header.mode(), "the mode is not a number")?;
        let uid = self.optional(&bytes[108..116], header.uid(), "the owner is not a number")?;
        let gid = self.optional(&bytes[116..124], header.gid(), "the group is not a number")?;
        let mtime = self.optional(&bytes[136..148], header.mtime(), "the time is not a number")?;
        Ok(RawEntry {
            name: std::mem::take(name),
            link: extensions
                .pax_link
                .or(extensions.link)
                .or(link)
                .unwrap_or_default(),
            kind,
            mode: mode & 0o7777,
            uid: extensions.uid.unwrap_or(uid),
            gid: extensions.gid.unwrap_or(gid),
            mtime: extensions.mtime.unwrap_or(mtime.cast_signed()),
            len,
            device: (device(header.device_major()), device(header.device_minor())),
            offset: self.offset,
        })
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let want = self.left.min(to.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        match self.read_some(&mut to[..want]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(TarReadError::Read { source, .. }) => Err(source),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Extensions {
    /// Takes a PAX record; whether it is one that matters here.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<bool, &'static str> {
        fn number<T: std::str::FromStr>(value: &[u8]) -> Result<Option<T>, &'static str> {
            let text = std::str::from_utf8(value).ok();
            let number = text.and_then(|text| text.parse().ok());
            number.map(Some).ok_or("a PAX record is not a number")
        }
        match key {
            b"path" => self.pax_name = Some(value.to_vec()),
            b"linkpath" => self.pax_link = Some(value.to_vec()),
            b"size" => self.len = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            // Fractions of a second are dropped.
            b"mtime" => self.mtime = number(value.split(|&b| b == b'.').next().unwrap_or(value))?,
            key if key.starts_with(b"GNU.sparse.") => return Err("it has a sparse file"),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits off `length key=value\n`: key, value and the rest. `None` at the end.
fn pax_record(bytes: &[u8]) -> Result<Option<Record<'_>>, &'static str> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong = "a PAX record is malformed";
    let space = bytes.iter().take(8).position(|&b| b == b' ').ok_or(wrong)?;
    let len = std::str::from_utf8(&bytes[..space]).map_err(|_| wrong)?;
    let len: usize = len.parse().map_err(|_| wrong)?;
    let record = bytes.get(space + 1..len).ok_or(wrong)?;
    let record = record.strip_suffix(b"\n").ok_or(wrong)?;
    let equals = record.iter().position(|&b| b == b'=').ok_or(wrong)?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    if value.contains(&0) {
        return Err("a PAX record has a NUL byte");
    }
    Ok(Some((key, value, &bytes[len..])))
}

/// The name of an entry without leading `./` and trailing `/`; `None` for the root itself.
pub(crate) fn tree_path(name: &[u8]) -> Result<Option<TreePath>, unheck_base::TreePathError> {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || name == b"." {
        return Ok(None);
    }
    TreePath::from_bytes(name).map(Some)
}
