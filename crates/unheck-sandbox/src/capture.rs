//! Output of a sandboxed command: bounded, its beginning and its end kept.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

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

    #[test]
    fn text_says_what_is_missing() {
        let kept = drain(&b"0123456789"[..], 4, None, |_| ());
        assert_eq!(kept.text(), "01\n[6 bytes left out]\n89");
    }
}
