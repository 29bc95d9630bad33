//! The environment as it was given, and the one that the program gets.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};

/// What the process was started with.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(pub(crate) &'a [&'static CStr]);

fn name_and_value(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|byte| *byte == b'=')?;
    Some((&entry[..at], &entry[at + 1..]))
}

impl Environment<'_> {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&'static [u8]> {
        self.0
            .iter()
            .find_map(|entry| match name_and_value(entry.to_bytes()) {
                Some((found, value)) if found == name.as_bytes() => Some(value),
                _ => None,
            })
    }

    /// The value of a variable that is there and not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&'static [u8]> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

/// The variables of a program that will be started.
pub(crate) struct Changed<'a> {
    kept: Vec<&'a CStr>,
    added: Vec<CString>,
}

impl<'a> Changed<'a> {
    pub(crate) fn new(environment: Environment<'a>) -> Self {
        Self {
            kept: environment.0.to_vec(),
            added: Vec::new(),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.kept.iter().any(|entry| is(entry, name))
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.kept.retain(|entry| !is(entry, name));
    }

    /// Sets a variable that was not set through this before.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.added
            .push(crate::say::c_string(&[name.as_bytes(), b"=", value]));
    }

    /// The list for the kernel; valid as long as `self`.
    pub(crate) fn pointers(&self) -> Vec<*const c_char> {
        let kept = self.kept.iter().map(|entry| entry.as_ptr());
        let added = self.added.iter().map(|entry| entry.as_ptr());
        kept.chain(added).chain([core::ptr::null()]).collect()
    }
}

fn is(entry: &CStr, name: &str) -> bool {
    name_and_value(entry.to_bytes()).is_some_and(|(found, _)| found == name.as_bytes())
}
