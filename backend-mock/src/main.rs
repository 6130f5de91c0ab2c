//! The `hvpci` command.
fn main() {}
