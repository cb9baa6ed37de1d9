//! The options of `configs`, and the entity that they name.

use client::admin::ConfigResource;

use crate::tools::args::{Args, HELP, Opt, VERSION, flag, value};

pub const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("command-config", "file", "Properties file with settings of the client."),
    flag("describe", "Show the settings of an entity, or of all of a kind."),
    flag("alter", "Change settings of an entity."),
    flag("all", "With --describe: also settings that are not the entity's own."),
    value(
        "entity-type",
        "type",
        "Kind of entity: topics, brokers, broker-loggers, client-metrics, groups (clients, users, ips: not yet).",
    ),
    value("entity-name", "name", "Name of the entity."),
    flag("entity-default", "The default of all brokers."),
    value("topic", "name", "Short for --entity-type topics --entity-name."),
    value("broker", "id", "Short for --entity-type brokers --entity-name."),
    flag("broker-defaults", "Short for --entity-type brokers --entity-default."),
    value("broker-logger", "id", "Short for --entity-type broker-loggers --entity-name."),
    value("client-metrics", "name", "Short for --entity-type client-metrics --entity-name."),
    value("group", "id", "Short for --entity-type groups --entity-name."),
    value(
        "add-config",
        "key=value,...",
        "Settings to add or replace. A value with commas stands in square brackets: k1=v1,k2=[v1,v2].",
    ),
    value("add-config-file", "file", "Properties file with settings to add or replace."),
    value("delete-config", "key,...", "Settings to take back."),
    flag("force", "Without effect: nothing is asked."),
    HELP,
    VERSION,
];

/// What settings belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Topics,
    Brokers,
    BrokerLoggers,
    ClientMetrics,
    Groups,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Topics, Self::Brokers, Self::BrokerLoggers, Self::ClientMetrics, Self::Groups];

    pub fn plural(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Brokers => "brokers",
            Self::BrokerLoggers => "broker-loggers",
            Self::ClientMetrics => "client-metrics",
            Self::Groups => "groups",
        }
    }

    /// As Kafka's tool makes it: without the last letter.
    pub fn singular(self) -> &'static str {
        let plural = self.plural();
        plural.get(..plural.len() - 1).unwrap_or(plural)
    }

    pub fn resource(self, name: &str) -> ConfigResource {
        let name = name.to_owned();
        match self {
            Self::Topics => ConfigResource::Topic(name),
            Self::Brokers => ConfigResource::Broker(name),
            Self::BrokerLoggers => ConfigResource::BrokerLogger(name),
            Self::ClientMetrics => ConfigResource::ClientMetrics(name),
            Self::Groups => ConfigResource::Group(name),
        }
    }
}

/// One entity, or all of its kind. The empty name is the default of all brokers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entity {
    pub kind: Kind,
    pub name: Option<String>,
}

const SHORT: [(&str, Kind); 5] = [
    ("topic", Kind::Topics),
    ("broker", Kind::Brokers),
    ("broker-logger", Kind::BrokerLoggers),
    ("client-metrics", Kind::ClientMetrics),
    ("group", Kind::Groups),
];

/// Kinds of Kafka's whose settings are quotas and credentials.
const LATER: [&str; 3] = ["clients", "users", "ips"];

pub fn check_actions(args: &Args) -> Result<(), String> {
    if args.has("alter") == args.has("describe") {
        return Err(String::from("Command must include exactly one action: --describe, --alter"));
    }
    args.check_alone("describe", &["add-config", "delete-config"])
}

/// The entity, and Kafka's rules about it in its order, with its texts.
pub fn entity(args: &Args) -> Result<Entity, String> {
    if !args.has("bootstrap-server") {
        return Err(String::from(
            "Either --bootstrap-server or --bootstrap-controller must be specified.",
        ));
    }
    let mut kinds = Vec::new();
    for text in args.values("entity-type") {
        kinds.push(kind(text)?);
    }
    let short: Vec<(&str, Kind)> = SHORT.into_iter().filter(|(name, _)| args.has(name)).collect();
    kinds.extend(short.iter().map(|(_, kind)| *kind));
    if args.has("broker-defaults") {
        kinds.push(Kind::Brokers);
    }
    let Some(kind) = kinds.first().copied() else {
        return Err(String::from("At least one entity type must be specified"));
    };
    let before = |at: usize, kind: &Kind| kinds.iter().take(at).any(|other| other == kind);
    if let Some((_, twice)) = kinds.iter().enumerate().find(|(at, kind)| before(*at, kind)) {
        return Err(format!("Duplicate entity type(s) specified: {}", twice.plural()));
    }
    if kinds.len() > 1 {
        let text = "Only 'users' and 'clients' entity types may be specified together";
        return Err(text.to_owned());
    }
    let long = ["entity-name", "entity-type", "entity-default"].iter().any(|name| args.has(name));
    if long && (!short.is_empty() || args.has("broker-defaults")) {
        return Err(String::from(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
        ));
    }
    let name = match short.first() {
        Some((option, _)) => args.value(option)?.map(str::to_owned),
        None if args.has("entity-default") || args.has("broker-defaults") => Some(String::new()),
        None => args.value("entity-name")?.map(str::to_owned),
    };
    let entity = Entity { kind, name };
    check_name(args, &entity)?;
    if args.has("alter") {
        check_alter(args, &entity)?;
    }
    Ok(entity)
}

fn kind(text: &str) -> Result<Kind, String> {
    if LATER.contains(&text) {
        return Err(format!("Settings of {text} are not built in yet"));
    }
    let known = Kind::ALL.into_iter().find(|kind| kind.plural() == text);
    known.ok_or_else(|| {
        format!(
            "Invalid entity type {text}, the entity type must be one of topics, clients, users, brokers, ips, \
             client-metrics, groups, broker-loggers with a --bootstrap-server or --bootstrap-controller argument"
        )
    })
}

fn check_name(args: &Args, entity: &Entity) -> Result<(), String> {
    let kind = entity.kind;
    let named = entity.name.as_deref().filter(|name| !name.is_empty());
    let of_broker = matches!(kind, Kind::Brokers | Kind::BrokerLoggers);
    if let Some(name) = named.filter(|name| of_broker && name.parse::<i32>().is_err()) {
        let kind = kind.plural();
        return Err(format!(
            "The entity name for {kind} must be a valid integer broker id, but it is: {name}"
        ));
    }
    if args.has("describe") {
        if kind != Kind::Brokers && args.has("entity-default") {
            return Err(format!(
                "--entity-default must not be specified with --describe of {}",
                kind.plural()
            ));
        }
        if kind == Kind::BrokerLoggers && named.is_none() {
            return Err(format!(
                "An entity name must be specified with --describe of {}",
                kind.plural()
            ));
        }
    }
    Ok(())
}

fn check_alter(args: &Args, entity: &Entity) -> Result<(), String> {
    let named = entity.name.as_deref().is_some_and(|name| !name.is_empty());
    if entity.kind == Kind::Brokers {
        if entity.name.is_none() {
            return Err(String::from(
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
            ));
        }
    } else if !named {
        let kind = entity.kind.plural();
        return Err(format!("An entity name must be specified with --alter of {kind}"));
    }
    if args.has("add-config") && args.has("add-config-file") {
        return Err(String::from(
            "Only one of --add-config or --add-config-file must be specified",
        ));
    }
    if !["add-config", "add-config-file", "delete-config"].iter().any(|name| args.has(name)) {
        return Err(String::from(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ));
    }
    Ok(())
}
