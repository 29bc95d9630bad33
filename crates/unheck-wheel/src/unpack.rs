//! The content of a wheel as streams, each checked against the archive and RECORD as it flows.
//!
//! Holds one buffer, never a file. Start at [`Wheel::unpack`].

use std::io::{self, Read, Seek};

use unheck_base::{Digest, Hasher};

use crate::wheel::Wheel;
use crate::zip::{Member, MemberReader, Streams, ZipError};

/// Why unpacking stopped.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The content is not as the archive says.
    #[error(transparent)]
    Archive(#[from] ZipError),
    /// The content is not as RECORD says.
    #[error("`{file}` has the digest `{found}`, but `RECORD` says `{expected}`")]
    Digest {
        /// The member, escaped.
        file: String,
        /// The digest of its content.
        found: Digest,
        /// The digest in RECORD.
        expected: Digest,
    },
    /// The receiver of a member failed.
    #[error("cannot store the member `{file}`")]
    Sink {
        /// The member, escaped.
        file: String,
        /// Its answer.
        source: io::Error,
    },
}

/// The receiver of [`Wheel::unpack`]: index, member and content of one file.
pub type Sink<'s> = dyn FnMut(usize, &Member, &mut dyn Read) -> io::Result<()> + 's;

impl Wheel {
    /// One sequential pass over all files in the order of the archive. Each goes to `sink` as a
    /// stream; its size, CRC and RECORD digest are checked while it flows, and the stream fails
    /// before its end when one of them lies. What `sink` leaves unread is checked too, so what
    /// `sink` has stored may be trusted when this function returns `Ok`, not earlier. `sink`
    /// should read into a large buffer (64 KiB or more): the content is inflated right into it.
    ///
    /// # Errors
    /// When the content is not as the archive and RECORD say, or `sink` fails.
    pub fn unpack<R: Read + Seek>(
        &self,
        reader: &mut R,
        sink: &mut Sink<'_>,
    ) -> Result<(), UnpackError> {
        let mut streams = Streams::new(reader, 256 * 1024);
        let mut rest = vec![0; 64 * 1024];
        for (index, member) in self.members().iter().enumerate() {
            let mut checked = Checked {
                stream: streams.open(member)?,
                hasher: Hasher::new(),
                expected: self.digest(index),
                wrong: None,
            };
            let mut outcome = Ok(());
            if !member.is_dir {
                outcome = sink(index, member, &mut checked);
            }
            while outcome.is_ok() {
                match checked.read(&mut rest) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => outcome = Err(error),
                }
            }
            checked.finish(member, outcome)?;
        }
        Ok(())
    }
}

/// A member's content under its digest in RECORD.
struct Checked<'s, 'r, R> {
    stream: MemberReader<'s, 'r, R>,
    hasher: Hasher,
    expected: Option<Digest>,
    wrong: Option<Digest>,
}

impl<R: Read + Seek> Checked<'_, '_, R> {
    fn finish(self, member: &Member, outcome: io::Result<()>) -> Result<(), UnpackError> {
        if let (Some(found), Some(expected)) = (self.wrong, self.expected) {
            return Err(UnpackError::Digest {
                file: member.shown(),
                found,
                expected,
            });
        }
        match outcome {
            Err(source) if !self.stream.has_failed() => Err(UnpackError::Sink {
                file: member.shown(),
                source,
            }),
            outcome => Ok(self.stream.finish(outcome)?),
        }
    }
}

impl<R: Read + Seek> Read for Checked<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.wrong.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a wrong digest"));
        }
        let count = self.stream.read(out)?;
        if self.expected.is_none() || out.is_empty() {
            return Ok(count);
        }
        self.hasher.update(&out[..count]);
        if self.stream.is_at_end() {
            let found = self.hasher.clone().finish();
            if Some(found) != self.expected {
                self.wrong = Some(found);
                return self.read(out);
            }
        }
        Ok(count)
    }
}
