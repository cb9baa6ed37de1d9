//! What every client needs to know before it connects; names and defaults are Kafka's.

use crate::backoff::Backoff;
use crate::error::{Error, Result};

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// `host:port`, `[v6]:port`, either with a `LISTENER://` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.rsplit_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = rest.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let valid = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(valid) {
            return None;
        }
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

/// The part of a client's configuration that its connections share. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub bootstrap_servers: Vec<Address>,
    /// The addresses are those of controllers (`bootstrap.controllers`): only administration works there.
    pub controllers: bool,
    pub client_id: String,
    pub request_timeout_ms: u64,
    /// Limit of a whole call with its retries (`default.api.timeout.ms`).
    pub api_timeout_ms: u64,
    pub connection_setup_timeout_ms: u64,
    pub reconnect_backoff: Backoff,
    pub retry_backoff: Backoff,
    pub metadata_max_age_ms: u64,
    /// Largest answer taken from a server; a longer one closes the connection.
    pub max_response_bytes: usize,
    /// Requests on one connection without an answer (`max.in.flight.requests.per.connection` bounds the producer's).
    pub max_in_flight: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            controllers: false,
            client_id: String::from("monedula"),
            request_timeout_ms: 30_000,
            api_timeout_ms: 60_000,
            connection_setup_timeout_ms: 10_000,
            reconnect_backoff: Backoff { initial_ms: 50, max_ms: 1_000 },
            retry_backoff: Backoff { initial_ms: 100, max_ms: 1_000 },
            metadata_max_age_ms: 300_000,
            max_response_bytes: 256 << 20,
            max_in_flight: 100,
        }
    }
}

impl ClientOptions {
    /// The list of `bootstrap.servers`, comma-separated.
    pub fn bootstrap(servers: &str) -> Result<Vec<Address>> {
        let invalid = |value: &str| Error::InvalidOption {
            key: "bootstrap.servers",
            value: value.to_owned(),
            expected: String::from("expected HOST:PORT, comma-separated"),
        };
        let addresses: Vec<Address> = servers
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| Address::parse(part).ok_or_else(|| invalid(part)))
            .collect::<Result<_>>()?;
        if addresses.is_empty() { Err(invalid(servers)) } else { Ok(addresses) }
    }

    /// Takes one setting by its Kafka key. `Ok(false)` when the key is not one of the connection's.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "bootstrap.servers" => self.bootstrap_servers = Self::bootstrap(value)?,
            "bootstrap.controllers" => {
                self.bootstrap_servers = Self::bootstrap(value)?;
                self.controllers = true;
            }
            "client.id" => self.client_id = value.to_owned(),
            "request.timeout.ms" => self.request_timeout_ms = number("request.timeout.ms", value)?,
            "default.api.timeout.ms" => {
                self.api_timeout_ms = number("default.api.timeout.ms", value)?
            }
            "socket.connection.setup.timeout.ms" => {
                self.connection_setup_timeout_ms =
                    number("socket.connection.setup.timeout.ms", value)?;
            }
            "reconnect.backoff.ms" => {
                self.reconnect_backoff.initial_ms = number("reconnect.backoff.ms", value)?;
            }
            "reconnect.backoff.max.ms" => {
                self.reconnect_backoff.max_ms = number("reconnect.backoff.max.ms", value)?;
            }
            "retry.backoff.ms" => {
                self.retry_backoff.initial_ms = number("retry.backoff.ms", value)?
            }
            "retry.backoff.max.ms" => {
                self.retry_backoff.max_ms = number("retry.backoff.max.ms", value)?;
            }
            "metadata.max.age.ms" => {
                self.metadata_max_age_ms = number("metadata.max.age.ms", value)?
            }
            "security.protocol" => {
                if value != "PLAINTEXT" {
                    return Err(Error::InvalidOption {
                        key: "security.protocol",
                        value: value.to_owned(),
                        expected: String::from("only PLAINTEXT is built in so far"),
                    });
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A number that is not negative.
pub(crate) fn number<N: TryFrom<i64>>(key: &'static str, value: &str) -> Result<N> {
    let parsed = value.trim().parse::<i64>().ok().and_then(|number| N::try_from(number).ok());
    parsed.ok_or_else(|| Error::InvalidOption {
        key,
        value: value.to_owned(),
        expected: String::from("expected a number in its range"),
    })
}

pub(crate) fn boolean(key: &'static str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::InvalidOption {
            key,
            value: value.to_owned(),
            expected: String::from("expected true or false"),
        }),
    }
}
