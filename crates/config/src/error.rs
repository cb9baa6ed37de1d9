//! The one error of this crate, worded as Kafka words it: clients see these texts.

use std::fmt;

/// A value that a key does not take, or keys that do not fit together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The key at fault; empty when several are.
    pub key: String,
    /// The value given, as Kafka prints it; `None` when there is none to show.
    pub value: Option<String>,
    /// What was expected, or the whole message when `value` is `None`.
    pub expected: String,
    /// Kafka raises this one by an assertion, which puts its own words before the message.
    asserted: bool,
}

impl ConfigError {
    /// "Invalid value VALUE for configuration KEY: EXPECTED", Kafka's usual form.
    pub fn invalid(
        key: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: Some(value.to_string()),
            expected: expected.into(),
            asserted: false,
        }
    }

    /// A message of its own; `key` only tells which line to look at.
    pub fn message(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, expected: message.into(), asserted: false }
    }

    /// The same, of the kind that Kafka asserts.
    pub(crate) fn assertion(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { asserted: true, ..Self::message(key, message) }
    }

    /// The text that Kafka sends to clients; `Display` leaves out what only tells of Kafka's insides.
    pub fn kafka_message(&self) -> String {
        if self.asserted { format!("requirement failed: {self}") } else { self.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&self.expected),
            Some(value) => {
                write!(f, "Invalid value {value} for configuration {}", self.key)?;
                if self.expected.is_empty() { Ok(()) } else { write!(f, ": {}", self.expected) }
            }
        }
    }
}

impl std::error::Error for ConfigError {}
