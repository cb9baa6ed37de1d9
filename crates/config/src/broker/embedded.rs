//! The configuration without a file: one node, both roles, on this machine only.

use super::listeners::listener_name;
use crate::properties::Properties;

const CONTROLLER: &str = "CONTROLLER";

/// The default lines under `overrides`. When these change the listeners or the node's id and leave the quorum alone,
/// the controller's listener (the first port plus one) and the voter follow.
pub(super) fn properties(overrides: &[(String, String)]) -> Properties {
    let mut properties: Properties = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", "PLAINTEXT://127.0.0.1:9092"),
        ("controller.listener.names", CONTROLLER),
        ("log.dirs", "./monedula-data"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]
    .into_iter()
    .collect();
    for (key, value) in overrides {
        properties.set(key, value);
    }
    follow(&mut properties);
    properties
}

fn follow(properties: &mut Properties) {
    let text = |key: &str| properties.get(key).unwrap_or_default().to_owned();
    if text("controller.listener.names") != CONTROLLER
        || text("process.roles") != "broker,controller"
    {
        return;
    }
    let mut listeners = text("listeners");
    let entries = || listeners.split(',').map(str::trim);
    let port_of =
        |entry: &str| entry.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let own = entries().find(|entry| {
        listener_name(entry).is_some_and(|name| name.eq_ignore_ascii_case(CONTROLLER))
    });
    let port = match own {
        Some(entry) => port_of(entry),
        None => entries().next().and_then(port_of).map(|port| match port {
            0 => 0,
            port => port.saturating_add(1),
        }),
    };
    // What cannot be read is left for the checks that follow.
    let Some(port) = port else { return };
    if own.is_none() {
        listeners = format!("{listeners},{CONTROLLER}://127.0.0.1:{port}");
        properties.set("listeners", listeners);
    }
    if !properties.contains("controller.quorum.voters")
        && !properties.contains("controller.quorum.bootstrap.servers")
    {
        let id = properties.get("node.id").unwrap_or_default().to_owned();
        properties.set("controller.quorum.voters", format!("{id}@127.0.0.1:{port}"));
    }
}
