//! Content that is no longer what was written: how it is noticed and named.
//!
//! Start at [`VerifyingReader`]; [`corruption`] finds the fact again in any chain of errors.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};

use unheck_base::{Digest, Hasher};

/// A thing in the store that can be damaged and then has to be removed and made again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A blob.
    Blob(Digest),
    /// A derived file, pack or directory.
    Derived {
        /// Its kind.
        kind: String,
        /// Its key.
        key: Digest,
    },
    /// A state document.
    State(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob `{digest}`"),
            Self::Derived { kind, key } => write!(f, "derived `{kind}/{}`", key.hex()),
            Self::State(name) => write!(f, "state document `{name}`"),
        }
    }
}

/// Something in the store is damaged. Remove it with [`crate::Store::discard`] and do the work again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {object} is damaged in the store: {detail}")]
pub struct Corruption {
    /// What is damaged.
    pub object: Object,
    /// How it was seen.
    pub detail: String,
}

impl Corruption {
    pub(crate) fn new(object: Object, detail: impl Into<String>) -> Self {
        Self {
            object,
            detail: detail.into(),
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

/// The [`Corruption`] in a chain of errors, at whatever depth, also inside of `io::Error`s.
pub fn corruption<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Corruption> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Corruption>() {
            return Some(found);
        }
        // `io::Error::source` skips the error inside, so that one is looked at here.
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Passes content through and hashes it; the read that gives the last byte (or the end) fails
/// with a [`Corruption`] when the digest is not the expected one. Once failed, it stays failed.
///
/// A consumer that stops earlier has checked nothing: read to the end, or call
/// [`VerifyingReader::finish`].
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    left: u64,
    expected: Digest,
    object: Object,
    failure: Option<Corruption>,
}

impl<R: Read> VerifyingReader<R> {
    /// `inner` must give exactly `len` bytes with the digest `expected`; `object` is named otherwise.
    pub fn new(inner: R, len: u64, expected: Digest, object: Object) -> Self {
        Self {
            inner,
            hasher: Some(Hasher::new()),
            left: len,
            expected,
            object,
            failure: None,
        }
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Reads what is left and drops it, for the check.
    ///
    /// # Errors
    /// A [`Corruption`] inside of an `io::Error`, or the failure of the reader below.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop)
    }

    fn fail(&mut self, detail: String) -> io::Error {
        let failure = Corruption::new(self.object.clone(), detail);
        self.failure = Some(failure.clone());
        failure.into_io()
    }

    fn check(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let found = hasher.finish();
        if found == self.expected {
            return Ok(());
        }
        let detail = format!(
            "its content has the digest `{found}`, not `{}`",
            self.expected
        );
        Err(self.fail(detail))
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into_io());
        }
        if self.left == 0 {
            self.check()?;
            return Ok(0);
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.inner.read(&mut buffer[..room])?;
        if read == 0 {
            let detail = format!("its content ends {} bytes too early", self.left);
            return Err(self.fail(detail));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        self.left -= read as u64;
        if self.left == 0 {
            self.check()?;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(content: &'static [u8], len: u64, expected: &[u8]) -> VerifyingReader<&'static [u8]> {
        let expected = Digest::of(expected);
        VerifyingReader::new(content, len, expected, Object::Blob(expected))
    }

    #[test]
    fn good_content_passes_and_the_end_is_repeatable() {
        let mut text = String::new();
        let mut good = reader(b"hello", 5, b"hello");
        good.read_to_string(&mut text).expect("good");
        assert_eq!(text, "hello");
        assert_eq!(good.read(&mut [0; 8]).expect("end"), 0);
        reader(b"", 0, b"").finish().expect("empty");
    }

    #[test]
    fn wrong_short_and_empty_content_fail_with_a_corruption_for_ever() {
        for (content, len) in [
            (&b"hellO"[..], 5),
            (b"hell", 5),
            (b"", 5),
            (b"", 0),
            (b"hell", 4),
        ] {
            let mut bad = reader(content, len, b"hello");
            let error = bad.read_to_end(&mut Vec::new()).expect_err("noticed");
            assert!(corruption(&error).is_some(), "{content:?}");
            let again = bad.read(&mut [0; 1]).expect_err("still");
            assert!(corruption(&again).is_some());
        }
    }

    #[test]
    fn the_check_comes_with_the_last_byte_and_not_only_after_it() {
        let mut bad = reader(b"hellO", 5, b"hello");
        let error = bad.read_exact(&mut [0; 5]).expect_err("noticed");
        let wrapped = io::Error::other(error);
        assert_eq!(
            corruption(&wrapped).map(|found| found.object.clone()),
            Some(Object::Blob(Digest::of(b"hello")))
        );
    }
}
