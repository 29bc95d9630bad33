//! What the program says, and the exit codes with which it ends by itself.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;

use crate::sys;

/// The verdict of a self-check is no.
pub(crate) const NO: i32 = 1;
/// A bug of the launcher.
pub(crate) const BROKEN: i32 = 70;
/// The launcher cannot do its part: damage, no place to unpack to, no description.
pub(crate) const FAILED: i32 = 125;
/// The host cannot run the program: it lacks libraries, or refuses to execute.
pub(crate) const CANNOT: i32 = 126;
/// What should be started is not there.
pub(crate) const NOT_FOUND: i32 = 127;

/// Says why on standard error and ends.
pub(crate) fn fail(code: i32, message: &str) -> ! {
    warn(message);
    sys::exit(code)
}

/// One message on standard error.
pub(crate) fn warn(message: &str) {
    sys::print(2, alloc::format!("unheck launcher: {message}\n").as_bytes());
}

/// A path for a message: what is no printable text is escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() {
                text.extend(char.escape_default());
            } else {
                text.push(char);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&alloc::format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The parts in one string for the kernel. Parts with a NUL cannot come here: they are from the kernel or were checked.
pub(crate) fn c_string(parts: &[&[u8]]) -> CString {
    let bytes: Vec<u8> = parts.concat();
    match CString::new(bytes) {
        Ok(string) => string,
        Err(_) => fail(FAILED, "a path or value has a NUL byte"),
    }
}

/// One line on standard output.
pub(crate) fn tell(message: &str) {
    sys::print(1, alloc::format!("{message}\n").as_bytes());
}
