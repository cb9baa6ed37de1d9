//! How tools end that have nothing of their own to say at the end.

use std::process::ExitCode;

use super::args::{Opt, usage};

/// Why a tool ends with exit code 1.
pub enum Failure {
    /// On standard error, followed by the list of options.
    Usage(String),
    /// On standard error.
    Plain(String),
    /// It was said already.
    Told,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Plain(error.to_string())
    }
}

/// Says why, if it failed.
pub fn end(options: &[Opt], result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => eprintln!("{text}\n{}", usage(options).trim_end()),
        Err(Failure::Plain(text)) => eprintln!("{text}"),
        Err(Failure::Told) => {}
    }
    ExitCode::FAILURE
}
