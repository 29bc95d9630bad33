//! The client against the registry of the test kit.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod faults;
mod live;
mod logins;
mod referrers;
mod support;
mod tags;
mod transfer;
