//! A buffered view into the archive that seeks only when it must.

use std::io::{self, Read, Seek, SeekFrom};

/// A buffer over a part of `reader`; neighbouring small members are served from one read.
pub(crate) struct Window<'r, R> {
    reader: &'r mut R,
    buffer: Vec<u8>,
    /// Where in the archive `buffer[0]` is.
    start: u64,
    filled: usize,
    position: usize,
}

impl<'r, R: Read + Seek> Window<'r, R> {
    /// A window that holds up to `capacity` bytes.
    pub(crate) fn new(reader: &'r mut R, capacity: usize) -> Self {
        Self {
            reader,
            buffer: vec![0; capacity],
            // No offset is in the window before the first read: `filled` is 0.
            start: u64::MAX,
            filled: 0,
            position: 0,
        }
    }

    /// The offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.start.saturating_add(self.position as u64)
    }

    /// Goes to an offset; reads nothing unless it lies outside the window.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<()> {
        if offset >= self.start && offset - self.start <= self.filled as u64 {
            self.position = (offset - self.start) as usize;
            return Ok(());
        }
        self.reader.seek(SeekFrom::Start(offset))?;
        self.start = offset;
        self.filled = 0;
        self.position = 0;
        Ok(())
    }

    /// Some next bytes; none at the end of the archive.
    pub(crate) fn available(&mut self) -> io::Result<&[u8]> {
        if self.position == self.filled {
            self.start = self.start.saturating_add(self.filled as u64);
            (self.filled, self.position) = (0, 0);
            self.filled = loop {
                match self.reader.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        Ok(&self.buffer[self.position..self.filled])
    }

    /// Moves on by `count` bytes of what [`Window::available`] gave.
    pub(crate) fn consume(&mut self, count: usize) {
        self.position = (self.position + count).min(self.filled);
    }

    /// Fills `out` or fails.
    pub(crate) fn read_exact(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let available = self.available()?;
            if available.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = available.len().min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&available[..count]);
            self.consume(count);
            out = later;
        }
        Ok(())
    }
}
