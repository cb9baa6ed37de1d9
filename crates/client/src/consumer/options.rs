//! The consumer's settings; keys and defaults are Kafka's.

use crate::error::{Error, Result};
use crate::options::{boolean, number};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

/// What happens when an offset is not in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetReset {
    Earliest,
    Latest,
    None,
}

/// Sizes in bytes, times in milliseconds.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    pub isolation_level: IsolationLevel,
    pub offset_reset: OffsetReset,
    pub fetch_min_bytes: i32,
    pub fetch_max_bytes: i32,
    pub max_partition_fetch_bytes: i32,
    pub fetch_max_wait_ms: i32,
    pub check_crcs: bool,
    /// One batch may not grow beyond this when it is decompressed.
    pub max_decompressed_bytes: usize,
    pub client_rack: String,
    pub allow_auto_create_topics: bool,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            isolation_level: IsolationLevel::ReadUncommitted,
            offset_reset: OffsetReset::Latest,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            fetch_max_wait_ms: 500,
            check_crcs: true,
            max_decompressed_bytes: 256 << 20,
            client_rack: String::new(),
            allow_auto_create_topics: true,
        }
    }
}

impl ConsumerOptions {
    /// Takes one setting by its Kafka key. `Ok(false)` when the key is not a consumer's.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        let invalid = |key, expected: &str| Error::InvalidOption {
            key,
            value: value.to_owned(),
            expected: expected.to_owned(),
        };
        match key {
            "isolation.level" => {
                self.isolation_level = match value.to_ascii_lowercase().as_str() {
                    "read_uncommitted" => IsolationLevel::ReadUncommitted,
                    "read_committed" => IsolationLevel::ReadCommitted,
                    _ => {
                        let one_of = "String must be one of: read_committed, read_uncommitted";
                        return Err(invalid("isolation.level", one_of));
                    }
                }
            }
            "auto.offset.reset" => {
                self.offset_reset = match value.to_ascii_lowercase().as_str() {
                    "earliest" => OffsetReset::Earliest,
                    "latest" => OffsetReset::Latest,
                    "none" => OffsetReset::None,
                    _ => {
                        return Err(invalid(
                            "auto.offset.reset",
                            "expected earliest, latest or none",
                        ));
                    }
                }
            }
            "fetch.min.bytes" => self.fetch_min_bytes = number("fetch.min.bytes", value)?,
            "fetch.max.bytes" => self.fetch_max_bytes = number("fetch.max.bytes", value)?,
            "max.partition.fetch.bytes" => {
                self.max_partition_fetch_bytes = number("max.partition.fetch.bytes", value)?;
            }
            "fetch.max.wait.ms" => self.fetch_max_wait_ms = number("fetch.max.wait.ms", value)?,
            "check.crcs" => self.check_crcs = boolean("check.crcs", value)?,
            "client.rack" => self.client_rack = value.to_owned(),
            "allow.auto.create.topics" => {
                self.allow_auto_create_topics = boolean("allow.auto.create.topics", value)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
