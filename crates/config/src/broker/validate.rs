//! Kafka's checks across keys, in Kafka's order and words.

use std::collections::BTreeSet;

use super::listeners::{
    Endpoint, ProtocolMap, SecurityProtocol, listener_name, parse_endpoints, parse_map,
    parse_protocol_map,
};
use super::quorum::NON_ROUTABLE;
use super::{BrokerConfig, Roles};
use crate::error::ConfigError;
use crate::properties::Properties;
use crate::value::{java_trim, split_list};
use crate::values::Values;

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const CONTROLLER_NAMES: &str = "controller.listener.names";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";
const INTER_BROKER: &str = "inter.broker.listener.name";
const INTER_BROKER_PROTOCOL: &str = "security.inter.broker.protocol";
const PER_IP_OVERRIDES: &str = "max.connections.per.ip.overrides";

/// Roles and listeners, resolved.
pub(super) struct Network {
    pub roles: Roles,
    pub protocols: ProtocolMap,
    pub listeners: Vec<Endpoint>,
    pub advertised: Vec<Endpoint>,
    pub advertised_controllers: Vec<Endpoint>,
    pub inter_broker_listener: String,
    pub inter_broker_protocol: SecurityProtocol,
    pub early_start: Vec<String>,
    pub per_ip_overrides: Vec<(String, i32)>,
}

fn require(holds: bool, key: &str, message: impl Into<String>) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::assertion(key, message)) }
}

/// The same for what Kafka raises without an assertion.
fn demand(holds: bool, key: &str, message: impl Into<String>) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::message(key, message)) }
}

pub(super) fn network(values: &Values, given: &Properties) -> Result<Network, ConfigError> {
    let role = |name: &str| values.list("process.roles").iter().any(|role| role == name);
    let roles = Roles { broker: role("broker"), controller: role("controller") };
    let controller_names = values.list(CONTROLLER_NAMES);
    let per_ip_overrides = per_ip_overrides(values)?;
    let protocols = protocols(values, given, &controller_names)?;
    let listeners = parse_endpoints(LISTENERS, &values.list(LISTENERS), &protocols, true)?;
    let is_controller = |endpoint: &&Endpoint| controller_names.contains(&endpoint.listener);

    let told = match values.opt_list(ADVERTISED) {
        Some(entries) => Some(parse_endpoints(ADVERTISED, &entries, &protocols, false)?),
        None => None,
    };
    let advertised = told.as_deref().unwrap_or(&listeners).iter();
    let advertised = advertised.filter(|endpoint| !is_controller(endpoint)).cloned().collect();
    let told_controller = |name: &String| {
        let told = told.iter().flatten().find(|endpoint| endpoint.listener == *name).cloned();
        told.or_else(|| {
            let mut bound = listeners.iter().find(|endpoint| endpoint.listener == *name)?.clone();
            if bound.host == NON_ROUTABLE {
                bound.host.clear();
            }
            Some(bound)
        })
    };
    let advertised_controllers = controller_names.iter().filter_map(told_controller).collect();
    let early_start = early_start(values, &listeners, &controller_names)?;
    let (inter_broker_listener, inter_broker_protocol) = inter_broker(values, given, &protocols)?;
    Ok(Network {
        roles,
        protocols,
        listeners,
        advertised,
        advertised_controllers,
        inter_broker_listener,
        inter_broker_protocol,
        early_start,
        per_ip_overrides,
    })
}

fn per_ip_overrides(values: &Values) -> Result<Vec<(String, i32)>, ConfigError> {
    let entries = parse_map(PER_IP_OVERRIDES, &values.string(PER_IP_OVERRIDES))?;
    let parse = |(host, count): (String, String)| match count.parse() {
        Ok(count) => Ok((host, count)),
        Err(_) => Err(ConfigError::invalid(PER_IP_OVERRIDES, count, "Not a number of type INT")),
    };
    entries.into_iter().map(parse).collect()
}

/// The map as given; without one, controller listeners of any name speak PLAINTEXT as long as no listener is named
/// after a protocol that is safer.
fn protocols(
    values: &Values,
    given: &Properties,
    controller_names: &[String],
) -> Result<ProtocolMap, ConfigError> {
    let mut map = parse_protocol_map(PROTOCOL_MAP, &values.string(PROTOCOL_MAP))?;
    if given.contains(PROTOCOL_MAP) {
        return Ok(map);
    }
    let safer = |name: &str| ["SSL", "SASL_SSL", "SASL_PLAINTEXT"].contains(&name);
    let mut any_safer = controller_names.iter().any(|name| safer(name));
    for entry in values.list(LISTENERS) {
        let message = || format!("Unable to parse a listener name from {entry}");
        let name =
            listener_name(&entry).ok_or_else(|| ConfigError::message(LISTENERS, message()))?;
        any_safer |= safer(name);
    }
    if !any_safer {
        for name in controller_names.iter().filter(|name| *name != "PLAINTEXT") {
            map.insert(name.clone(), SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

fn early_start(
    values: &Values,
    listeners: &[Endpoint],
    controller_names: &[String],
) -> Result<Vec<String>, ConfigError> {
    let key = "early.start.listeners";
    let bound = |name: &str| listeners.iter().any(|endpoint| endpoint.listener == name);
    let Some(names) = values.opt_list(key) else {
        return Ok(controller_names.iter().filter(|name| bound(name)).cloned().collect());
    };
    for name in &names {
        let message = format!(
            "{key} contains listener {name}, but this is not contained in {LISTENERS} or {CONTROLLER_NAMES}"
        );
        demand(bound(name) || controller_names.contains(name), key, message)?;
    }
    Ok(names)
}

fn inter_broker(
    values: &Values,
    given: &Properties,
    protocols: &ProtocolMap,
) -> Result<(String, SecurityProtocol), ConfigError> {
    let Some(name) = values.opt_string(INTER_BROKER) else {
        let protocol = values.string(INTER_BROKER_PROTOCOL);
        let protocol = SecurityProtocol::parse(&protocol, INTER_BROKER_PROTOCOL)?;
        return Ok((protocol.name().to_owned(), protocol));
    };
    let both = format!("Only one of {INTER_BROKER} and {INTER_BROKER_PROTOCOL} should be set.");
    demand(!given.contains(INTER_BROKER_PROTOCOL), INTER_BROKER, both)?;
    let name = name.to_uppercase();
    let Some(protocol) = protocols.get(&name).copied() else {
        let message = format!(
            "Listener with name {name} defined in {INTER_BROKER} not found in {PROTOCOL_MAP}."
        );
        return Err(ConfigError::message(INTER_BROKER, message));
    };
    Ok((name, protocol))
}

/// Everything that concerns more than one key.
pub(super) fn whole(config: &BrokerConfig) -> Result<(), ConfigError> {
    let values = &config.values;
    demand(
        values.int("node.id") == values.int("broker.id"),
        "node.id",
        "`node.id` and `broker.id` must be set to the same value. `broker.id` is deprecated, please \
         use `node.id` instead.",
    )?;
    times(config)?;
    quorum(config)?;
    if config.roles.broker {
        broker_listeners(config)?;
        sasl(config)?;
    }
    cordoned(config)?;
    codecs(config)?;
    limits(config)?;
    super::group_limits::check(&config.values)
}

fn times(config: &BrokerConfig) -> Result<(), ConfigError> {
    let topic = &config.topic_defaults;
    require(
        topic.segment_ms >= 1,
        "log.roll.ms",
        "log.roll.ms must be greater than or equal to 1",
    )?;
    require(
        topic.segment_jitter_ms >= 0,
        "log.roll.jitter.ms",
        "log.roll.jitter.ms must be greater than or equal to 0",
    )?;
    require(
        topic.retention_ms >= 1 || topic.retention_ms == -1,
        "log.retention.ms",
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    )?;
    require(
        !config.log_dirs.is_empty(),
        "log.dirs",
        "At least one log directory must be defined via log.dirs or log.dir.",
    )?;
    let threads = i64::from(config.cleaner.threads);
    let buffer = config.cleaner.dedupe_buffer_size;
    require(
        buffer.checked_div(threads).is_some_and(|share| share > 1024 * 1024),
        "log.cleaner.dedupe.buffer.size",
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )?;
    let replication = &config.replication;
    require(
        replication.fetch_wait_max_ms <= replication.socket_timeout_ms,
        "replica.socket.timeout.ms",
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent \
         unnecessary socket timeouts",
    )?;
    require(
        i64::from(replication.fetch_wait_max_ms) <= replication.lag_time_max_ms,
        "replica.fetch.wait.max.ms",
        "replica.fetch.wait.max.ms should always be less than or equal to \
         replica.lag.time.max.ms to prevent frequent changes in ISR",
    )
}

fn quorum(config: &BrokerConfig) -> Result<(), ConfigError> {
    let key = "controller.quorum.voters";
    let id = config.node_id;
    demand(
        !config.voters.is_empty() || !config.bootstrap_servers.is_empty(),
        key,
        "If using process.roles, either controller.quorum.bootstrap.servers must contain the set \
         of bootstrap controllers or controller.quorum.voters must contain a parseable set of \
         controllers.",
    )?;
    let is_voter = config.voters.iter().any(|voter| voter.id == id);
    let ids =
        config.voters.iter().map(|voter| voter.id.0.to_string()).collect::<Vec<_>>().join(", ");
    if !config.roles.controller {
        return broker_only(config, is_voter, &ids);
    }
    if !config.roles.broker {
        require(
            config.advertised_controller_listeners.len() == config.listeners.len(),
            LISTENERS,
            format!(
                "The {LISTENERS} config must only contain KRaft controller listeners from \
                 {CONTROLLER_NAMES} when process.roles=controller"
            ),
        )?;
        require(
            !(config.given.contains(INTER_BROKER)
                && config.values.list(CONTROLLER_NAMES).contains(&config.inter_broker_listener)),
            INTER_BROKER,
            format!(
                "{CONTROLLER_NAMES} must not contain an explicitly set {INTER_BROKER} \
                 configuration value when process.roles=controller'"
            ),
        )?;
    }
    require(
        config.voters.is_empty() || is_voter,
        key,
        format!(
            "If process.roles contains the 'controller' role, the node id {id} must be included \
             in the set of voters {key}=Set({ids})"
        ),
    )?;
    require(
        !config.advertised_controller_listeners.is_empty(),
        CONTROLLER_NAMES,
        format!(
            "{CONTROLLER_NAMES} must contain at least one value appearing in the '{LISTENERS}' \
             configuration when running the KRaft controller role"
        ),
    )?;
    let bound = |name: &String| config.listeners.iter().any(|endpoint| endpoint.listener == *name);
    require(
        config.controller_listener_names.iter().all(bound),
        CONTROLLER_NAMES,
        format!(
            "{CONTROLLER_NAMES} must only contain values appearing in the '{LISTENERS}' \
             configuration when running the KRaft controller role"
        ),
    )
}

fn broker_only(config: &BrokerConfig, is_voter: bool, ids: &str) -> Result<(), ConfigError> {
    let id = config.node_id;
    require(
        !is_voter,
        "controller.quorum.voters",
        format!(
            "If process.roles contains just the 'broker' role, the node id {id} must not be \
             included in the set of voters controller.quorum.voters=Set({ids})"
        ),
    )?;
    require(
        config.controller_listeners().next().is_none(),
        CONTROLLER_NAMES,
        format!(
            "{CONTROLLER_NAMES} must not contain a value appearing in the '{LISTENERS}' \
             configuration when running KRaft with just the broker role"
        ),
    )?;
    for name in &config.controller_listener_names {
        let name = name.to_uppercase();
        demand(
            config.protocols.contains_key(&name),
            CONTROLLER_NAMES,
            format!(
                "Controller listener with name {name} defined in {CONTROLLER_NAMES} not found in \
                 {PROTOCOL_MAP}  (an explicit security mapping for each controller listener is \
                 required if {PROTOCOL_MAP} is non-empty, or if there are security protocols \
                 other than PLAINTEXT in use)"
            ),
        )?;
    }
    require(
        !config.quorum.auto_join_enable,
        "controller.quorum.auto.join.enable",
        "controller.quorum.auto.join.enable is only supported when process.roles contains the \
         'controller' role.",
    )
}

fn broker_listeners(config: &BrokerConfig) -> Result<(), ConfigError> {
    let names = |endpoints: &[Endpoint]| -> BTreeSet<String> {
        endpoints.iter().map(|endpoint| endpoint.listener.clone()).collect()
    };
    let joined = |endpoints: &[Endpoint]| {
        endpoints.iter().map(|endpoint| endpoint.listener.as_str()).collect::<Vec<_>>().join(",")
    };
    let advertised = names(&config.advertised_listeners);
    require(
        !advertised.is_empty(),
        ADVERTISED,
        format!(
            "There must be at least one broker advertised listener. Perhaps all listeners appear \
             in {CONTROLLER_NAMES}?"
        ),
    )?;
    require(
        advertised.contains(&config.inter_broker_listener),
        INTER_BROKER,
        format!(
            "{INTER_BROKER} must be a listener name defined in {ADVERTISED}. The valid options \
             based on currently configured listeners are {}",
            joined(&config.advertised_listeners)
        ),
    )?;
    let bound = names(&config.listeners);
    require(
        advertised.is_subset(&bound),
        ADVERTISED,
        format!(
            "{ADVERTISED} listener names must be equal to or a subset of the ones defined in \
             {LISTENERS}. Found {}. The valid options based on the current configuration are {}",
            joined(&config.advertised_listeners),
            joined(&config.listeners)
        ),
    )?;
    require(
        config.advertised_listeners.iter().all(|endpoint| endpoint.host != NON_ROUTABLE),
        ADVERTISED,
        format!(
            "{ADVERTISED} cannot use the nonroutable meta-address {NON_ROUTABLE}. Use a routable \
             IP address."
        ),
    )
}

/// The mechanism among brokers must be one that their listener offers.
fn sasl(config: &BrokerConfig) -> Result<(), ConfigError> {
    if !config.inter_broker_protocol.is_sasl() {
        return Ok(());
    }
    let key = "sasl.enabled.mechanisms";
    let prefixed = format!("listener.name.{}.{key}", config.inter_broker_listener.to_lowercase());
    let enabled = match config.given.get(&prefixed) {
        Some(text) => split_list(java_trim(text)),
        None => config.values.list(key),
    };
    require(
        enabled.contains(&config.token.sasl_mechanism_inter_broker_protocol),
        key,
        "sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms when \
         SASL is used for inter-broker communication",
    )
}

fn cordoned(config: &BrokerConfig) -> Result<(), ConfigError> {
    let key = "cordoned.log.dirs";
    let dirs = &config.node.cordoned_log_dirs;
    if dirs.iter().any(|dir| dir == "*") {
        let message = format!("When {key} is set to *, it must not contain other values");
        return require(dirs.len() == 1, key, message);
    }
    let missing: Vec<&str> =
        dirs.iter().filter(|dir| !config.log_dirs.contains(dir)).map(String::as_str).collect();
    let message = format!(
        "All entries in {key} must be present in log.dirs or log.dir. Missing entries : {}",
        missing.join(", ")
    );
    require(missing.is_empty(), key, message)
}

/// Codecs of internal topics are numbers.
fn codecs(config: &BrokerConfig) -> Result<(), ConfigError> {
    let codecs = [
        ("offsets.topic.compression.codec", config.offsets.topic_compression_codec),
        (
            "share.coordinator.state.topic.compression.codec",
            config.share_coordinator.state_topic_compression_codec,
        ),
    ];
    for (key, id) in codecs {
        demand((0..=4).contains(&id), key, format!("Unknown compression type id: {id}"))?;
    }
    Ok(())
}

fn limits(config: &BrokerConfig) -> Result<(), ConfigError> {
    let socket = &config.socket;
    require(
        socket.queued_max_request_bytes <= 0
            || socket.queued_max_request_bytes >= i64::from(socket.request_max_bytes),
        "queued.max.request.bytes",
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
    )?;
    require(
        socket.max_connections_per_ip != 0 || !config.max_connections_per_ip_overrides.is_empty(),
        "max.connections.per.ip",
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides \
         property is set.",
    )?;
    let delay = socket.connection_failed_authentication_delay_ms;
    let idle = socket.connections_max_idle_ms;
    require(
        idle <= 0 || i64::from(delay) < idle,
        "connection.failed.authentication.delay.ms",
        format!(
            "connection.failed.authentication.delay.ms={delay} should always be less than \
             connections.max.idle.ms={idle} to prevent failed authentication responses from timing \
             out"
        ),
    )?;
    demand(
        config.group.coordinator_rebalance_protocols.iter().any(|name| name == "classic"),
        "group.coordinator.rebalance.protocols",
        "Disabling the 'classic' protocol is not supported.",
    )
}
