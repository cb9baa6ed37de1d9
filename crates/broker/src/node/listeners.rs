//! From the configuration to listeners: what is bound, with which limits, for which side of the node.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};

use config::BrokerConfig;
use net::{Budget, ConnectionLimits, ListenerConfig, ServerLimits};
use protocol::Listener;
use tracing::warn;

/// What all frames together may take when `queued.max.request.bytes` sets no limit: as much as two of the largest, at least this.
const BUDGET_BYTES_MIN: usize = 256 << 20;

/// Requests of one connection that may be owed at a time.
const OWED_PER_CONNECTION_MAX: usize = 64;

pub fn to_bind(config: &BrokerConfig) -> Vec<ListenerConfig> {
    let listeners = config.listeners.iter().map(|endpoint| ListenerConfig {
        name: endpoint.listener.as_str().into(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    listeners.collect()
}

/// Which side of the node answers on a listener.
pub fn side(config: &BrokerConfig, listener: &str) -> Listener {
    if config.is_controller_listener(listener) { Listener::Controller } else { Listener::Broker }
}

pub fn limits(config: &BrokerConfig) -> ServerLimits {
    let socket = &config.socket;
    let at_least_zero = |value: i32| usize::try_from(value).unwrap_or(0);
    let request_bytes_max = at_least_zero(socket.request_max_bytes);
    let budget_bytes = match usize::try_from(socket.queued_max_request_bytes) {
        Ok(bytes) if bytes > 0 => bytes,
        _ => request_bytes_max.saturating_mul(2).max(BUDGET_BYTES_MIN),
    };
    ServerLimits {
        request_bytes_max,
        idle_ms_max: u64::try_from(socket.connections_max_idle_ms).unwrap_or(u64::MAX),
        connections: connections(config),
        owed_per_connection_max: OWED_PER_CONNECTION_MAX,
        listen_backlog: socket.listen_backlog_size,
        send_buffer_bytes: socket.send_buffer_bytes,
        receive_buffer_bytes: socket.receive_buffer_bytes,
        budget: Budget::new(budget_bytes),
    }
}

/// How many connections there may be; these limits can change while the node runs.
pub fn connections(config: &BrokerConfig) -> ConnectionLimits {
    let at_least_zero = |value: i32| usize::try_from(value).unwrap_or(0);
    ConnectionLimits {
        max: at_least_zero(config.socket.max_connections),
        per_ip_max: at_least_zero(config.socket.max_connections_per_ip),
        per_ip_overrides: per_ip(config),
    }
}

/// Overrides name hosts; those that have no address are told and left out.
fn per_ip(config: &BrokerConfig) -> HashMap<IpAddr, usize> {
    let mut limits = HashMap::new();
    for (host, max) in &config.max_connections_per_ip_overrides {
        let max = usize::try_from(*max).unwrap_or(0);
        match (host.as_str(), 0).to_socket_addrs() {
            Ok(addresses) => limits.extend(addresses.map(|address| (address.ip(), max))),
            Err(e) => warn!(host, "max.connections.per.ip.overrides: no such host: {e}"),
        }
    }
    limits
}
