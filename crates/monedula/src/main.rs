//! The one binary: starts a node, formats directories, and holds the command-line tools.

fn main() {}
