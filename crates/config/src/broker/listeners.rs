//! Listeners: what is bound, what is told to clients, and which security protocol each speaks.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::ConfigError;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i16)]
pub enum SecurityProtocol {
    Plaintext = 0,
    Ssl = 1,
    SaslPlaintext = 2,
    SaslSsl = 3,
}

impl SecurityProtocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in registrations and voter records.
    pub const fn id(self) -> i16 {
        self as i16
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn parse(name: &str, key: &str) -> Result<Self, ConfigError> {
        Self::from_name(name).ok_or_else(|| {
            let message = format!("Invalid security protocol `{name}` defined in {key}");
            ConfigError::message(key, message)
        })
    }

    pub const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// One listener, bound or advertised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// In capitals.
    pub listener: String,
    pub protocol: SecurityProtocol,
    /// Empty: every interface when bound, this machine's own name when advertised.
    pub host: String,
    /// 0 when bound: any free port.
    pub port: u16,
}

/// Name of a listener to what it speaks.
pub type ProtocolMap = BTreeMap<String, SecurityProtocol>;

/// `NAME:PROTOCOL,...`; of a name given twice the last counts.
pub(crate) fn parse_protocol_map(key: &str, text: &str) -> Result<ProtocolMap, ConfigError> {
    let mut map = ProtocolMap::new();
    for (name, protocol) in parse_map(key, text)? {
        map.insert(name.to_uppercase(), SecurityProtocol::parse(&protocol, key)?);
    }
    Ok(map)
}

/// `KEY:VALUE,...`, split at the last colon of each entry.
pub(crate) fn parse_map(key: &str, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut entries = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some((left, right)) = entry.rsplit_once(':') else {
            let message = format!(
                "Error parsing configuration property '{key}': Invalid entry {entry:?}, expected NAME:VALUE"
            );
            return Err(ConfigError::message(key, message));
        };
        entries.push((left.trim().to_owned(), right.trim().to_owned()));
    }
    Ok(entries)
}

/// `NAME://HOST:PORT` each, names unique, and ports too when `distinct_ports`.
pub(crate) fn parse_endpoints(
    key: &str,
    entries: &[String],
    protocols: &ProtocolMap,
    distinct_ports: bool,
) -> Result<Vec<Endpoint>, ConfigError> {
    let text = format!("[{}]", entries.join(", "));
    let fail = |reason: String| {
        let message = format!("Error creating broker listeners from '{text}': {reason}");
        ConfigError::message(key, message)
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for entry in entries {
        let parsed = parse_endpoint(entry);
        let (listener, host, port) =
            parsed.ok_or_else(|| fail(format!("Unable to parse {entry} to a broker endpoint")))?;
        if listener.is_empty() {
            return Err(fail("The provided listener name is null or empty string".to_owned()));
        }
        let Some(protocol) = protocols.get(&listener) else {
            return Err(fail(format!("No security protocol defined for listener {listener}")));
        };
        endpoints.push(Endpoint { listener, protocol: *protocol, host: host.to_owned(), port });
    }
    check_distinct(&endpoints, &text, distinct_ports).map_err(fail)?;
    Ok(endpoints)
}

/// The name in capitals, host and port of `NAME://HOST:PORT`.
fn parse_endpoint(entry: &str) -> Option<(String, &str, u16)> {
    let host_char = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let (name, address) = entry.trim().rsplit_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    host.chars().all(host_char).then_some(())?;
    Some((name.to_uppercase(), host, port.parse().ok()?))
}

/// The name before `:`, as written; `None` without a colon.
pub(crate) fn listener_name(entry: &str) -> Option<&str> {
    entry.split_once(':').map(|(name, _)| name)
}

/// Names differ, and ports too unless one host is of IPv4 and the other of IPv6.
fn check_distinct(endpoints: &[Endpoint], text: &str, distinct_ports: bool) -> Result<(), String> {
    for (at, endpoint) in endpoints.iter().enumerate() {
        if endpoints.iter().take(at).any(|other| other.listener == endpoint.listener) {
            return Err(format!("Each listener must have a different name, listeners: {text}"));
        }
    }
    if !distinct_ports {
        return Ok(());
    }
    let is_ip = |endpoint: &&&Endpoint| {
        endpoint.host.parse::<Ipv4Addr>().is_ok() || endpoint.host.parse::<Ipv6Addr>().is_ok()
    };
    for port in endpoints.iter().map(|endpoint| endpoint.port).filter(|port| *port != 0) {
        let same: Vec<&Endpoint> = endpoints.iter().filter(|other| other.port == port).collect();
        if same.len() < 2 {
            continue;
        }
        let (with_ip, without_ip): (Vec<&Endpoint>, Vec<&Endpoint>) =
            same.iter().partition(|endpoint| is_ip(endpoint));
        if without_ip.len() > 1 {
            return Err(format!("Each listener must have a different port, listeners: {text}"));
        }
        match with_ip.as_slice() {
            [] => {}
            [first, second] => {
                let v4 = |endpoint: &Endpoint| endpoint.host.parse::<Ipv4Addr>().is_ok();
                if v4(first) == v4(second) || !without_ip.is_empty() {
                    return Err(format!(
                        "If you have two listeners on the same port then one needs to be IPv4 and \
                         the other IPv6, listeners: {text}, port: {port}"
                    ));
                }
            }
            _ => {
                return Err(format!(
                    "Each listener must have a different port unless exactly one listener has an \
                     IPv4 address and the other IPv6 address, listeners: {text}, port: {port}"
                ));
            }
        }
    }
    Ok(())
}
