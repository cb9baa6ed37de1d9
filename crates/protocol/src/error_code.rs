//! Kafka's error codes.

use std::fmt;

pub use crate::tables::ErrorCode;
use crate::tables::errors;

impl ErrorCode {
    /// The error with this code; codes that Kafka 4.4 does not know are `UnknownServerError`, as in Kafka's clients.
    pub fn from_code(code: i16) -> Self {
        let index = usize::try_from(i32::from(code) + 1).ok();
        let row = index.and_then(|i| errors().get(i));
        row.map_or(Self::UnknownServerError, |row| row.0)
    }

    pub const fn code(self) -> i16 {
        self as i16
    }

    /// All errors by code, from -1.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        errors().iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, bool, &'static str) {
        // Codes number the rows from -1 without a gap: the generator checks it.
        &errors()[(self as i16 + 1) as usize]
    }

    /// As Kafka prints it: `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether clients try again.
    pub fn retriable(self) -> bool {
        self.row().2
    }

    /// Kafka's default message.
    pub fn message(self) -> &'static str {
        self.row().3
    }

    pub fn is_none(self) -> bool {
        self == Self::None
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}
