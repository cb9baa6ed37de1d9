//! Changes of configuration, compared with Kafka's answers to the same requests.

use config::alter::{
    AlterKind, Change, Op, OpKind, Preflight, Refusal, ResourceType, Rules, apply, incremental,
    preflight, preflight_loggers, replacement,
};
use config::broker::BrokerConfig;
use config::properties::Properties;
use config::topic::Overrides;
use config::{Value, keys};

/// The broker that gave the answers.
fn node() -> BrokerConfig {
    let properties = "process.roles=broker,controller\nnode.id=1\n\
        controller.quorum.voters=1@127.0.0.1:19393\n\
        listeners=PLAINTEXT://127.0.0.1:19392,CONTROLLER://127.0.0.1:19393\n\
        advertised.listeners=PLAINTEXT://127.0.0.1:19392\n\
        controller.listener.names=CONTROLLER\n";
    let properties = Properties::parse(properties).expect("well-formed");
    BrokerConfig::parse(&properties).expect("valid")
}

fn parse_op(text: &str) -> Op<'_> {
    let (kind, rest) = text.split_at(1);
    let (name, value) = rest.split_once('=').map_or((rest, None), |(n, v)| (n, Some(v)));
    let kind = match kind {
        "+" | "!" => OpKind::Set,
        "-" => OpKind::Delete,
        "^" | "~" => OpKind::Append,
        "_" => OpKind::Subtract,
        _ => OpKind::Unknown(9),
    };
    Op { name, kind, value }
}

fn state(text: &str) -> Overrides {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

struct Case<'a> {
    kind: AlterKind,
    type_id: i8,
    name: &'a str,
    before: Overrides,
    ops: Vec<Op<'a>>,
}

/// Both doors, one after the other.
fn alter(case: &Case<'_>) -> Result<Vec<Change>, Refusal> {
    let node = node();
    let (cluster, broker) = match (case.type_id, case.name) {
        (4, "") => (case.before.clone(), Overrides::new()),
        (4, _) => (Overrides::new(), case.before.clone()),
        _ => Default::default(),
    };
    let cx = Preflight { file: &node, cluster: &cluster, broker: &broker };
    preflight(&cx, case.kind, case.type_id, case.name, &case.ops)?;
    let resource = ResourceType::from_id(case.type_id).expect("preflight refuses other types");
    if resource == ResourceType::BrokerLogger {
        preflight_loggers(node.node_id, case.name, &case.ops, |name| name == "root")?;
    }
    let rules = Rules { node: &node, elr_enabled: true };
    let changes = match case.kind {
        AlterKind::Incremental => incremental(&rules, resource, case.name, &case.before, &case.ops),
        AlterKind::Replacement => {
            let new: Vec<_> = case.ops.iter().map(|op| (op.name, op.value)).collect();
            replacement(&rules, resource, case.name, &case.before, &new)
        }
    }?;
    match case.name {
        "nosuch" => Err(Refusal { code: 3, message: "The topic 'nosuch' does not exist.".into() }),
        _ => Ok(changes),
    }
}

/// What DescribeConfigs then shows as set, in the fixture's form.
fn shown(type_id: i8, after: &Overrides) -> String {
    let table = match type_id {
        2 => &keys::TOPIC,
        4 => &keys::BROKER,
        16 => &keys::CLIENT_METRICS,
        _ => &keys::GROUP,
    };
    let text = |(name, text): (&String, &String)| {
        let base = keys::synonyms::without_listener_prefix(name).unwrap_or(name);
        let key = table.get(base).or_else(|| keys::BROKER_DYNAMIC_ONLY.get(base));
        let value = key.map(|key| key.parse(text).expect("it was accepted"));
        format!("{name}={}", value.as_ref().and_then(Value::describe).unwrap_or("null".into()))
    };
    after.iter().map(text).collect::<Vec<_>>().join(";")
}

/// Where we answer otherwise, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    // Java's division by zero.
    ("+log.cleaner.threads=0", "42", "at least 1MB per cleaner thread"),
    ("+max.connections.per.ip.overrides=127.0.0.1:x", "42", "Not a number of type INT"),
    // Java classes mean nothing here.
    ("+metric.reporters=no.such.Class", "0", "metric.reporters=no.such.Class"),
    ("+principal.builder.class=no.such", "0", "principal.builder.class=no.such"),
];

#[test]
fn answers_are_those_of_kafka() {
    let fixture = include_str!("fixtures/alter.tsv");
    for line in fixture.lines().filter(|line| !line.starts_with('#')) {
        let [kind, resource, name, before, ops, code, expected] =
            line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        let type_id = match resource {
            "topic" => 2,
            "broker" => 4,
            "logger" => 8,
            "metrics" => 16,
            "group" => 32,
            "odd" => 3,
            _ => 0,
        };
        let kind = if kind == "i" { AlterKind::Incremental } else { AlterKind::Replacement };
        let mut before = state(before);
        if (type_id, name) == (4, "") {
            // Kafka keeps this one for the cluster while eligible leader replicas are on.
            before.insert("min.insync.replicas".into(), "1".into());
        }
        let given = ops;
        let ops = ops.split(';').filter(|op| !op.is_empty()).map(parse_op).collect();
        let case = Case { kind, type_id, name, before, ops };
        let ours = match alter(&case) {
            Ok(changes) => ("0".to_owned(), shown(type_id, &apply(&case.before, &changes))),
            Err(refusal) => (refusal.code.to_string(), refusal.message),
        };
        if let Some((_, code, text)) = OTHERWISE.iter().find(|(ops, _, _)| *ops == given) {
            assert!(ours.0 == *code && ours.1.contains(text), "{line}\n{ours:?}");
            continue;
        }
        if code == "-1" {
            assert_eq!(ours.0, code, "{line}");
            continue;
        }
        assert_eq!(ours, (code.to_owned(), expected.to_owned()), "{line}");
    }
}
