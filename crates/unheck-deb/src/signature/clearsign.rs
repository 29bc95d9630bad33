//! The frame of a cleartext signed message and of armored signatures (RFC 9580, 7 and 6).
//!
//! One strict reading: exactly one message from the first byte to the last, no line that two
//! readers could take differently (CVE-2013-1051 and CVE-2018-0501 were such lines). The packets
//! inside are left to the OpenPGP library. Start at [`split`].

use crate::quote::quote;

/// The largest signed file accepted, in bytes. Debian's are below 200 kB.
pub const MAX_SIGNED: usize = 16 << 20;

/// The largest block of signatures accepted, in bytes of armor.
pub const MAX_SIGNATURE: usize = 1 << 20;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// Why bytes are not one signed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than a limit of this module allows.
    #[error("it has {size} bytes, more than the limit `{limit}`")]
    TooLarge {
        /// How many there are.
        size: usize,
        /// The name of the constant.
        limit: &'static str,
    },
    /// It is no text at all.
    #[error("it is not UTF-8 text without NUL bytes")]
    NotText,
    /// The text does not have the one shape that is accepted.
    #[error("line {line}, `{text}`, {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The text ends too early.
    #[error("it ends before {0}")]
    Ends(&'static str),
}

/// A message taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// The text that the signature covers, dash escapes and blanks at line ends removed, with
    /// `\n` after each line.
    pub(super) text: String,
    /// The signature packets.
    pub(super) signature: Vec<u8>,
}

impl Parts {
    /// The bytes that were hashed: the lines with CR LF between them and none after the last
    /// (RFC 9580, 7.2).
    pub(super) fn hashed(&self) -> Vec<u8> {
        let body = self.text.strip_suffix('\n').unwrap_or(&self.text);
        body.replace('\n', "\r\n").into_bytes()
    }
}

/// The lines of a text, numbered from 1, without LF or CR LF. A CR anywhere else is an error.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self, before: &'static str) -> Result<&'a str, FrameError> {
        if self.rest.is_empty() {
            return Err(FrameError::Ends(before));
        }
        self.line += 1;
        let (line, rest) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line.strip_suffix('\r').unwrap_or(line), rest),
            None => (self.rest, ""),
        };
        self.rest = rest;
        match line.contains('\r') {
            true => Err(self.wrong(line, "has a carriage return inside")),
            false => Ok(line),
        }
    }

    fn wrong(&self, line: &str, problem: &'static str) -> FrameError {
        FrameError::Line {
            line: self.line,
            text: quote(line),
            problem,
        }
    }
}

fn text_of<'a>(bytes: &'a [u8], max: usize, limit: &'static str) -> Result<&'a str, FrameError> {
    if bytes.len() > max {
        return Err(FrameError::TooLarge {
            size: bytes.len(),
            limit,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| FrameError::NotText)?;
    match text.contains('\0') {
        true => Err(FrameError::NotText),
        false => Ok(text),
    }
}

/// Takes an InRelease file apart.
pub(super) fn split(bytes: &[u8]) -> Result<Parts, FrameError> {
    let rest = text_of(bytes, MAX_SIGNED, "MAX_SIGNED")?;
    let mut lines = Lines { rest, line: 0 };
    let first = lines.next("the message")?;
    if first != BEGIN_MESSAGE {
        return Err(lines.wrong(first, "is not the beginning of a signed message"));
    }
    loop {
        let header = lines.next("the empty line after the message header")?;
        if header.is_empty() {
            break;
        }
        let names = header.strip_prefix("Hash: ").unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-, ".contains(&byte);
        if names.is_empty() || !names.bytes().all(plain) {
            return Err(lines.wrong(header, "is no `Hash: ...` header"));
        }
    }
    let mut text = String::with_capacity(lines.rest.len());
    loop {
        let line = lines.next("the signature")?;
        let content = match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            None if line == BEGIN_SIGNATURE => break,
            None if line.starts_with('-') => {
                return Err(lines.wrong(line, "begins with a dash that is not escaped"));
            }
            None => line,
        };
        text.push_str(content.trim_end_matches([' ', '\t']));
        text.push('\n');
    }
    let signature = armor_body(&mut lines)?;
    Ok(Parts { text, signature })
}

/// The packets of a detached signature, armored or binary.
pub(super) fn detached(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
        if bytes.len() > MAX_SIGNATURE {
            return Err(FrameError::TooLarge {
                size: bytes.len(),
                limit: "MAX_SIGNATURE",
            });
        }
        return Ok(bytes.to_vec());
    }
    let rest = text_of(bytes, MAX_SIGNATURE, "MAX_SIGNATURE")?;
    let mut lines = Lines { rest, line: 0 };
    let first = lines.next("the signature")?;
    if first != BEGIN_SIGNATURE {
        return Err(lines.wrong(first, "is not the beginning of a signature"));
    }
    armor_body(&mut lines)
}

/// What follows the first armor line: headers, an empty line, base64, perhaps a checksum, the last
/// armor line, and nothing more.
fn armor_body(lines: &mut Lines<'_>) -> Result<Vec<u8>, FrameError> {
    if lines.rest.len() > MAX_SIGNATURE {
        return Err(FrameError::TooLarge {
            size: lines.rest.len(),
            limit: "MAX_SIGNATURE",
        });
    }
    loop {
        let header = lines.next("the empty line after the signature header")?;
        if header.is_empty() {
            break;
        }
        let named = header.split_once(": ").is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if !named || header.chars().any(char::is_control) {
            return Err(lines.wrong(header, "is no `Name: value` header"));
        }
    }
    let mut base64 = Vec::new();
    let mut checksum = None;
    loop {
        let line = lines.next(END_SIGNATURE)?;
        if line == END_SIGNATURE {
            break;
        }
        if checksum.is_some() {
            return Err(lines.wrong(line, "follows the checksum of the signature"));
        }
        match line.strip_prefix('=') {
            Some(sum) if sum.len() == 4 && !sum.contains('=') => checksum = decode(sum.as_bytes()),
            _ if line.is_empty() || line.len() > 76 => {
                return Err(lines.wrong(line, "is no line of base64"));
            }
            _ => base64.extend_from_slice(line.as_bytes()),
        }
    }
    if !lines.rest.is_empty() {
        let after = lines.rest.lines().next().unwrap_or_default();
        lines.line += 1;
        return Err(lines.wrong(after, "follows the end of the signature"));
    }
    let packets = decode(&base64).ok_or(FrameError::Ends("its base64 makes sense"))?;
    match checksum {
        Some(sum) if sum != crc24(&packets) => Err(FrameError::Ends("its checksum is right")),
        _ => Ok(packets),
    }
}

/// Base64 (RFC 4648, 4) without blanks, padded, and with no bits set that carry no data.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    let spare = bits & ((1 << held) - 1);
    (padding <= 2 && spare == 0).then_some(bytes)
}

/// The checksum of RFC 9580, 6.1.1, as its three bytes.
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc = 0x00b7_04ce_u32;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    [(crc >> 16) as u8, (crc >> 8) as u8, crc as u8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: x \n- -dash\n\nb\n\
        -----BEGIN PGP SIGNATURE-----\nVersion: 1\n\nAAEC\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_text_is_unescaped_trimmed_and_hashed_with_cr_lf() {
        let parts = split(GOOD.as_bytes()).expect("a message");
        assert_eq!(parts.text, "Origin: x\n-dash\n\nb\n");
        assert_eq!(parts.hashed(), b"Origin: x\r\n-dash\r\n\r\nb");
        assert_eq!(parts.signature, [0, 1, 2]);
        let crlf = GOOD.replace('\n', "\r\n");
        assert_eq!(split(crlf.as_bytes()), Ok(parts));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn anything_around_or_inside_that_could_be_read_twice_is_refused() {
        let second = format!("{GOOD}{GOOD}");
        let cases = [
            (
                format!("Origin: evil\n{GOOD}"),
                "is not the beginning of a signed message",
            ),
            (
                format!("\n{GOOD}"),
                "is not the beginning of a signed message",
            ),
            (
                format!("\u{feff}{GOOD}"),
                "is not the beginning of a signed message",
            ),
            (second, "follows the end of the signature"),
            (format!("{GOOD}\n"), "follows the end of the signature"),
            (
                format!("{GOOD}Origin: evil\n"),
                "follows the end of the signature",
            ),
            (
                GOOD.replace("MESSAGE-----\n", "MESSAGE----- \n"),
                "is not the beginning",
            ),
            (
                GOOD.replace("Hash: SHA256\n\n", "Hash: SHA256\n \n"),
                "is no `Hash: ...` header",
            ),
            (
                GOOD.replace("Hash: SHA256\n\n", "Hash: SHA256\nOrigin: evil\n\n"),
                "is no `Hash: ...` header",
            ),
            (
                GOOD.replace("Hash: SHA256\n\n", "Hash: SHA256\n\u{b}\n"),
                "is no `Hash: ...` header",
            ),
            (GOOD.replace("- -dash", "-dash"), "dash that is not escaped"),
            (
                GOOD.replace("- -dash", "-----BEGIN PGP SIGNED MESSAGE-----"),
                "dash that is not escaped",
            ),
            (
                GOOD.replace("SIGNATURE-----\nVer", "SIGNATURE----- \nVer"),
                "dash that is not escaped",
            ),
            (
                GOOD.replace("Origin: x ", "Origin: x\rOrigin: y"),
                "carriage return",
            ),
            (
                GOOD.replace("Origin: x ", "Origin: x\0"),
                "not UTF-8 text without NUL",
            ),
            (
                GOOD.replace("Version: 1\n\n", "\tVersion: 1\n\n"),
                "is no `Name: value` header",
            ),
            (
                GOOD.replace("Version: 1\n\n", "Version: 1\n"),
                "is no `Name: value` header",
            ),
            (
                GOOD.replace("AAEC", "AAE*"),
                "before its base64 makes sense",
            ),
            (GOOD.replace("AAEC", "AAE"), "before its base64 makes sense"),
            (
                GOOD.replace("AAEC", "AAF="),
                "before its base64 makes sense",
            ),
            (
                GOOD.replace("AAEC", "AA=C"),
                "before its base64 makes sense",
            ),
            (GOOD.replace("AAEC", "AAEC\n"), "is no line of base64"),
            (
                GOOD.replace("AAEC", "AAEC\n=AAAA"),
                "before its checksum is right",
            ),
            (GOOD.replace("AAEC", "=AAAA\nAAEC"), "follows the checksum"),
            (
                GOOD.replace("-----END PGP SIGNATURE-----\n", ""),
                "ends before -----END",
            ),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\n".into(),
                "ends before the empty line",
            ),
            (String::new(), "ends before the message"),
        ];
        for (text, expected) in cases {
            let message = split(text.as_bytes()).expect_err(expected).to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        assert_eq!(split(b"\xff"), Err(FrameError::NotText));
        let huge = vec![b'x'; MAX_SIGNED + 1];
        assert!(
            split(&huge)
                .expect_err("huge")
                .to_string()
                .contains("MAX_SIGNED")
        );
    }

    #[test]
    fn a_right_checksum_is_accepted() {
        // The value of RFC 9580's algorithm for the bytes 0, 1, 2, computed by its C sample.
        let sum = crc24(&[0, 1, 2]);
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits = u32::from_be_bytes([0, sum[0], sum[1], sum[2]]);
        let text: String = (0..4)
            .map(|at| char::from(digits[(bits >> (18 - 6 * at)) as usize & 63]))
            .collect();
        split(GOOD.replace("AAEC", &format!("AAEC\n={text}")).as_bytes())
            .expect("a right checksum");
        // Check value of CRC-24/OPENPGP for the usual nine digits.
        assert_eq!(crc24(b"123456789"), [0x21, 0xcf, 0x02]);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0..200_usize) {
            let _ = split(&bytes);
            let _ = detached(&bytes);
            let mut text = GOOD.as_bytes().to_vec();
            let at = at.min(text.len());
            text.splice(at..at, bytes);
            let _ = split(&text);
        }
    }
}
