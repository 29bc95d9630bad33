//! Takes Python deployment out of heck.
fn main() {}
