//! The producer's settings; keys and defaults are Kafka's.

use records::{Codec, Compression};

use crate::error::{Error, Result};
use crate::options::{boolean, number};

/// Who must have a record before it counts as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    pub const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Sizes in bytes, times in milliseconds.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub batch_size: usize,
    pub linger_ms: u64,
    pub codec: Codec,
    pub buffer_memory: usize,
    pub max_block_ms: u64,
    pub max_request_size: usize,
    pub max_in_flight: usize,
    pub idempotence: bool,
    pub retries: u32,
    pub request_timeout_ms: u64,
    pub delivery_timeout_ms: u64,
    /// Makes the producer transactional, and fences older ones of the same id.
    pub transactional_id: Option<String>,
    /// After this long without an end the coordinator aborts a transaction.
    pub transaction_timeout_ms: i32,
    /// Set by the user, not by default: a conflict is then an error.
    idempotence_asked: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            batch_size: 16_384,
            linger_ms: 5,
            codec: Codec::None,
            buffer_memory: 32 << 20,
            max_block_ms: 60_000,
            max_request_size: 1 << 20,
            max_in_flight: 5,
            idempotence: true,
            retries: i32::MAX as u32,
            request_timeout_ms: 30_000,
            delivery_timeout_ms: 120_000,
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            idempotence_asked: false,
        }
    }
}

fn invalid(key: &'static str, value: &str, expected: &str) -> Error {
    Error::InvalidOption { key, value: value.to_owned(), expected: expected.to_owned() }
}

impl ProducerOptions {
    /// Takes one setting by its Kafka key. `Ok(false)` when the key is not a producer's.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "acks" => {
                self.acks = match value.trim() {
                    "0" => Acks::None,
                    "1" => Acks::Leader,
                    "-1" | "all" => Acks::All,
                    _ => {
                        return Err(invalid("acks", value, "String must be one of: all, -1, 0, 1"));
                    }
                }
            }
            "batch.size" => self.batch_size = number("batch.size", value)?,
            "linger.ms" => self.linger_ms = number("linger.ms", value)?,
            "compression.type" => {
                let one_of = "String must be one of: none, gzip, snappy, lz4, zstd";
                let parsed: Compression =
                    value.parse().map_err(|_| invalid("compression.type", value, one_of))?;
                self.codec = parsed.into();
            }
            "compression.gzip.level" => {
                if let Codec::Gzip { level } = &mut self.codec {
                    *level = level_of("compression.gzip.level", value)?;
                }
            }
            "compression.lz4.level" => {
                if let Codec::Lz4 { level } = &mut self.codec {
                    *level = level_of("compression.lz4.level", value)?;
                }
            }
            "compression.zstd.level" => {
                if let Codec::Zstd { level } = &mut self.codec {
                    *level = level_of("compression.zstd.level", value)?;
                }
            }
            "buffer.memory" => self.buffer_memory = number("buffer.memory", value)?,
            "max.block.ms" => self.max_block_ms = number("max.block.ms", value)?,
            "max.request.size" => self.max_request_size = number("max.request.size", value)?,
            "max.in.flight.requests.per.connection" => {
                self.max_in_flight = number("max.in.flight.requests.per.connection", value)?;
            }
            "enable.idempotence" => {
                self.idempotence = boolean("enable.idempotence", value)?;
                self.idempotence_asked = self.idempotence;
            }
            "retries" => self.retries = number("retries", value)?,
            "request.timeout.ms" => self.request_timeout_ms = number("request.timeout.ms", value)?,
            "delivery.timeout.ms" => {
                self.delivery_timeout_ms = number("delivery.timeout.ms", value)?
            }
            "transactional.id" if value.is_empty() => {
                return Err(invalid("transactional.id", value, "String must be non-empty"));
            }
            "transactional.id" => self.transactional_id = Some(value.to_owned()),
            "transaction.timeout.ms" => {
                self.transaction_timeout_ms = number("transaction.timeout.ms", value)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Kafka's rules between settings: idempotence needs acks=all, retries and at most five requests in flight; it
    /// is switched off when it was not asked for and something else rules it out.
    pub fn resolve(mut self) -> Result<Self> {
        let conflict = if self.acks != Acks::All {
            Some("acks must be set to all")
        } else if self.retries == 0 {
            Some("retries must be set to non-zero")
        } else if self.max_in_flight > 5 {
            Some("max.in.flight.requests.per.connection must be set to at most 5")
        } else {
            None
        };
        if let (true, Some(conflict)) = (self.idempotence, conflict) {
            if self.idempotence_asked {
                return Err(invalid("enable.idempotence", "true", conflict));
            }
            self.idempotence = false;
        }
        if self.transactional_id.is_some() && !self.idempotence {
            let why = "Cannot set a transactional.id without also enabling idempotence.";
            return Err(invalid("enable.idempotence", "false", why));
        }
        self.check()?;
        Ok(self)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.max_in_flight == 0 {
            return Err(invalid(
                "max.in.flight.requests.per.connection",
                "0",
                "Value must be at least 1",
            ));
        }
        if self.max_request_size > i32::MAX as usize / 2 {
            let value = self.max_request_size.to_string();
            return Err(invalid("max.request.size", &value, "Value must be at most 1073741823"));
        }
        Ok(())
    }
}

fn level_of(key: &'static str, value: &str) -> Result<i32> {
    value.trim().parse().map_err(|_| invalid(key, value, "expected a number"))
}
