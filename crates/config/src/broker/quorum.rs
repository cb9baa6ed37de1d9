//! `controller.quorum.voters` and `controller.quorum.bootstrap.servers`.

use base::NodeId;

use crate::error::ConfigError;
use crate::value::Value;

const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";

/// A host that means "any": it cannot be dialled.
pub(crate) const NON_ROUTABLE: &str = "0.0.0.0";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

/// One member of a static quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub id: NodeId,
    pub address: HostPort,
}

/// `HOST:PORT`, the host perhaps in brackets, perhaps behind `SCHEME://`. The port is not yet held to 65535.
fn split_host_port(text: &str) -> (Option<&str>, Option<&str>) {
    let host_char = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let scheme_char = |c: char| c != ':' && host_char(c);
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(scheme_char) => rest,
        _ => text,
    };
    let Some((host, port)) = rest.rsplit_once(':') else { return (None, None) };
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if !digits || !host.chars().all(host_char) {
        return (None, None);
    }
    (Some(host), Some(port))
}

fn parse_port(key: &str, text: &str) -> Result<u16, ConfigError> {
    text.parse().map_err(|_| match text.parse::<i32>() {
        Ok(_) => ConfigError::message(key, format!("port out of range:{text}")),
        Err(_) => ConfigError::message(key, format!("For input string: \"{text}\"")),
    })
}

/// The voters in the order written; an id given twice counts once, the last address winning.
pub fn parse_voters(entries: &[String]) -> Result<Vec<Voter>, ConfigError> {
    let form = "Each entry should be in the form `{id}@{host}:{port}`.";
    let fail = |message: String| Err(ConfigError::message(VOTERS, message));
    let mut voters: Vec<Voter> = Vec::new();
    for entry in entries {
        let Some((id, address)) = split_once_only(entry, '@') else {
            return fail(format!("Invalid configuration value for {VOTERS}. {form}"));
        };
        let Ok(id) = id.parse::<i32>() else {
            return fail(format!("Failed to parse voter ID as an integer from {id}"));
        };
        let (Some(host), Some(port)) = split_host_port(address) else {
            return fail(format!(
                "Failed to parse host name from entry {entry} for the configuration {VOTERS}. {form}"
            ));
        };
        let address = HostPort { host: host.to_owned(), port: parse_port(VOTERS, port)? };
        match voters.iter_mut().find(|voter| voter.id == NodeId(id)) {
            Some(voter) => voter.address = address,
            None => voters.push(Voter { id: NodeId(id), address }),
        }
    }
    Ok(voters)
}

/// Splits at `at` when it stands in `text` exactly once and something follows it.
fn split_once_only(text: &str, at: char) -> Option<(&str, &str)> {
    let (left, right) = text.split_once(at)?;
    (!right.is_empty() && !right.contains(at)).then_some((left, right))
}

pub fn parse_bootstrap_servers(entries: &[String]) -> Result<Vec<HostPort>, ConfigError> {
    let parse = |entry: &String| {
        let (Some(host), Some(port)) = split_host_port(entry) else {
            return Err(ConfigError::message(
                BOOTSTRAP,
                format!(
                    "Failed to parse host name from {entry} for the configuration {BOOTSTRAP}. \
                     Each entry should be in the form \"{{host}}:{{port}}\""
                ),
            ));
        };
        Ok(HostPort { host: host.to_owned(), port: parse_port(BOOTSTRAP, port)? })
    };
    entries.iter().map(parse).collect()
}

pub(crate) fn check_voters(key: &str, value: &Value) -> Result<(), ConfigError> {
    match value {
        Value::List(entries) => parse_voters(entries).map(drop),
        _ => Err(ConfigError::invalid(key, value, "")),
    }
}

pub(crate) fn check_bootstrap_servers(key: &str, value: &Value) -> Result<(), ConfigError> {
    match value {
        Value::List(entries) => parse_bootstrap_servers(entries).map(drop),
        _ => Err(ConfigError::invalid(key, value, "")),
    }
}
