//! Output of a sandboxed command: bounded, its beginning and its end kept.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest line given to a [`LineSink`], in bytes; a longer one comes in pieces.
const LINE_BYTES: usize = 64 << 10;

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Called for each line of output, without its newline, while the command runs; from two threads.
pub type LineSink = Arc<dyn Fn(Stream, &[u8]) + Send + Sync>;

/// Writes the output of a command to a file, within a limit: the beginning, which has the first error.
///
/// Lines of both streams come in the order in which they are read, which need not be that of writing. Bytes are
/// written as they are: who shows the file on a terminal escapes control characters.
pub struct Log {
    inner: Arc<Mutex<LogState>>,
}

struct LogState {
    to: Box<dyn Write + Send>,
    left: u64,
    dropped: u64,
    result: io::Result<()>,
}

impl Log {
    /// A log of at most `limit` bytes, and a line that says how much is missing.
    pub fn new(to: impl Write + Send + 'static, limit: u64) -> Self {
        let state = LogState {
            to: Box::new(to),
            left: limit,
            dropped: 0,
            result: Ok(()),
        };
        Self {
            inner: Arc::new(Mutex::new(state)),
        }
    }

    /// The sink for [`crate::spawn`]; another sink may call it in turn, to show the lines besides.
    #[must_use]
    pub fn sink(&self) -> LineSink {
        let inner = Arc::clone(&self.inner);
        Arc::new(move |_, line: &[u8]| {
            let mut state = inner.lock().unwrap_or_else(PoisonError::into_inner);
            state.put(line);
        })
    }

    /// Completes the log when the command has ended; how many bytes were left out.
    ///
    /// # Errors
    /// The first failed write. The command is not disturbed by it.
    pub fn finish(self) -> io::Result<u64> {
        let mut state = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = state.dropped;
        if dropped > 0 && state.result.is_ok() {
            writeln!(state.to, "[{dropped} bytes left out]")?;
        }
        std::mem::replace(&mut state.result, Ok(()))?;
        state.to.flush()?;
        Ok(dropped)
    }
}

impl LogState {
    fn put(&mut self, line: &[u8]) {
        let size = line.len() as u64 + 1;
        // What comes behind a gap would look as if it followed.
        if size > self.left || self.dropped > 0 {
            self.dropped += size;
        } else if self.result.is_ok() {
            self.left -= size;
            let written = self.to.write_all(line);
            self.result = written.and_then(|()| self.to.write_all(b"\n"));
        }
    }
}

/// What was kept of one output stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// How many bytes between head and tail were not kept.
    pub dropped: u64,
    /// The last bytes; empty when all fitted into the head.
    pub tail: Vec<u8>,
}

impl Captured {
    /// The text, with a line that says how much is missing; bytes that are no UTF-8 are replaced. Control
    /// characters stay: who prints to a terminal escapes them.
    #[must_use]
    pub fn text(&self) -> String {
        if self.dropped == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), &self.tail].concat())
                .into_owned();
        }
        let (head, tail) = (
            String::from_utf8_lossy(&self.head),
            String::from_utf8_lossy(&self.tail),
        );
        format!("{head}\n[{} bytes left out]\n{tail}", self.dropped)
    }

    /// Bytes that the command wrote.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.head.len() as u64 + self.dropped + self.tail.len() as u64
    }
}

/// Collects one stream within a limit.
pub(crate) struct Keeper {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Keeper {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            half: limit / 2,
            head: Vec::new(),
            tail: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let useful = &rest[rest.len().saturating_sub(self.half)..];
        let surplus = (self.tail.len() + useful.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(useful);
        self.dropped += (rest.len() - useful.len() + surplus) as u64;
    }

    pub(crate) fn finish(self) -> Captured {
        Captured {
            head: self.head,
            dropped: self.dropped,
            tail: self.tail.into(),
        }
    }
}

/// Cuts a stream into lines for a sink.
pub(crate) struct Lines {
    sink: LineSink,
    stream: Stream,
    partial: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(sink: LineSink, stream: Stream) -> Self {
        Self {
            sink,
            stream,
            partial: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.partial.extend_from_slice(piece);
            let ended = self.partial.last() == Some(&b'\n');
            if ended {
                self.partial.pop();
            }
            if ended || self.partial.len() >= LINE_BYTES {
                (self.sink)(self.stream, &self.partial);
                self.partial.clear();
            }
        }
    }

    pub(crate) fn finish(self) {
        if !self.partial.is_empty() {
            (self.sink)(self.stream, &self.partial);
        }
    }
}

/// Reads to the end; `counted` learns of every piece and is where an output limit lives.
pub(crate) fn drain(
    mut from: impl Read,
    limit: usize,
    mut lines: Option<Lines>,
    counted: impl Fn(u64),
) -> Captured {
    let mut keeper = Keeper::new(limit);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                counted(n as u64);
                keeper.push(&buffer[..n]);
                if let Some(lines) = &mut lines {
                    lines.push(&buffer[..n]);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if let Some(lines) = lines {
        lines.finish();
    }
    keeper.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_are_those_of_the_whole(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12), limit in 0usize..64) {
            let whole = pieces.concat();
            let mut keeper = Keeper::new(limit);
            pieces.iter().for_each(|p| keeper.push(p));
            let kept = keeper.finish();
            let half = limit / 2;
            prop_assert_eq!(kept.total(), whole.len() as u64);
            prop_assert_eq!(&kept.head[..], &whole[..whole.len().min(half)]);
            let rest = &whole[whole.len().min(half)..];
            prop_assert_eq!(&kept.tail[..], &rest[rest.len().saturating_sub(half)..]);
        }
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_pieces() {
        let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
        let to = Arc::clone(&seen);
        let sink: LineSink = Arc::new(move |_, line| to.lock().unwrap().push(line.len()));
        let mut lines = Lines::new(sink, Stream::Stdout);
        lines.push(b"ab");
        lines.push(b"c\n\nxy");
        lines.push(&vec![b'z'; LINE_BYTES]);
        lines.push(b"q");
        lines.finish();
        assert_eq!(*seen.lock().unwrap(), [3, 0, LINE_BYTES + 2, 1]);
    }

    /// A file that fails after so many writes.
    struct Shared(Arc<Mutex<Vec<u8>>>, usize);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(lines: &[&[u8]], limit: u64, writes: usize) -> (io::Result<u64>, String) {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let log = Log::new(Shared(Arc::clone(&text), writes), limit);
        let sink = log.sink();
        for line in lines {
            sink(Stream::Stderr, line);
        }
        let result = log.finish();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        (result, text)
    }

    #[test]
    fn log_keeps_whole_lines_from_the_beginning() {
        let lines: [&[u8]; 4] = [b"first", b"", b"too long for it", b"x"];
        let (result, text) = logged(&lines, 10, 100);
        assert_eq!(result.unwrap(), 18);
        assert_eq!(text, "first\n\n[18 bytes left out]\n");
        let (result, text) = logged(&lines, 25, 100);
        assert_eq!(
            (result.unwrap(), text.as_str()),
            (0, "first\n\ntoo long for it\nx\n")
        );
    }

    #[test]
    fn log_that_cannot_be_written_is_told_at_the_end() {
        let (result, text) = logged(&[b"a", b"b", b"c"], 100, 2);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(text, "a\n");
    }

    #[test]
    fn text_says_what_is_missing() {
        let kept = drain(&b"0123456789"[..], 4, None, |_| ());
        assert_eq!(kept.text(), "01\n[6 bytes left out]\n89");
    }
}
