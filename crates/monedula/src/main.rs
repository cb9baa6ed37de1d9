//! The one binary: starts a node, formats directories, and holds the command-line tools.

mod commands;
mod format;
mod memory;
mod tools;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    commands::run(&args)
}
