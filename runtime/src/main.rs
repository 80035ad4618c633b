//! The `opml` command.

fn main() {}
