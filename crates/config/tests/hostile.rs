//! Random changes of configuration: never a panic, and what is accepted can be lived with.

use config::alter::{
    AlterKind, Op, OpKind, Preflight, ResourceType, Rules, apply, incremental, preflight,
    replacement,
};
use config::topic::Overrides;
use config::{BrokerConfig, keys};
use proptest::prelude::*;
use proptest::sample::select;

fn names() -> Vec<String> {
    let tables = [&keys::BROKER, &keys::TOPIC, &keys::GROUP, &keys::CLIENT_METRICS];
    let known = tables.iter().flat_map(|table| table.iter().map(|key| key.name.to_owned()));
    let prefixed = keys::BROKER.iter().map(|key| format!("listener.name.x.{}", key.name));
    known.chain(prefixed).collect()
}

fn values() -> impl Strategy<Value = String> {
    let odd = [
        "",
        ",",
        " , ",
        "*",
        "true",
        "-1",
        "0",
        "1",
        "5",
        "2147483647",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "NaN",
        "0:1,1:2",
        "compact,delete",
        "PLAINTEXT://:1",
        "A:B",
        "by_duration:PT1S",
        "client_id=(",
        "\u{0}",
        "é,\u{2028}",
    ];
    prop_oneof![3 => select(odd.to_vec()).prop_map(str::to_owned), 1 => ".{0,20}"]
}

fn names_or_noise() -> impl Strategy<Value = String> {
    prop_oneof![9 => select(names()), 1 => ".{0,12}"]
}

fn resource() -> impl Strategy<Value = ResourceType> {
    use ResourceType::*;
    select(vec![Topic, Broker, BrokerLogger, ClientMetrics, Group])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn changes(
        resource in resource(),
        name in select(vec!["", "1", "t", "..", "-5"]),
        before in prop::collection::btree_map(names_or_noise(), values(), 0..4),
        ops in prop::collection::vec((names_or_noise(), 0_i8..5, prop::option::of(values())), 0..5),
    ) {
        let node = BrokerConfig::default();
        let ops: Vec<Op<'_>> = ops
            .iter()
            .map(|(name, kind, value)| Op {
                name,
                kind: OpKind::from_id(*kind),
                value: value.as_deref(),
            })
            .collect();
        let none = Overrides::new();
        let cx = Preflight { file: &node, cluster: &none, broker: &none };
        let rules = Rules { node: &node, elr_enabled: true };
        let passes = |kind| preflight(&cx, kind, resource.id(), name, &ops).is_ok();
        let new: Vec<_> = ops.iter().map(|op| (op.name, op.value)).collect();
        let outcomes = [
            (AlterKind::Incremental, incremental(&rules, resource, name, &before, &ops)),
            (AlterKind::Replacement, replacement(&rules, resource, name, &before, &new)),
        ];
        for (kind, changes) in outcomes {
            let Ok(changes) = changes else { continue };
            let after = apply(&before, &changes);
            match resource {
                ResourceType::Topic => prop_assert!(node.topic(&after).is_ok()),
                ResourceType::Group => prop_assert!(node.group(&after).is_ok()),
                // The controller leaves brokers to the first door.
                ResourceType::Broker if before.is_empty() && passes(kind) => {
                    let after = apply(&none, &changes);
                    prop_assert!(node.with_dynamic(&none, &after).is_ok());
                }
                _ => {}
            }
        }
    }

    #[test]
    fn properties(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        use config::properties::Properties;
        if let Ok(properties) = Properties::parse(&text) {
            let _ = BrokerConfig::parse(&properties);
        }
        prop_assert!(Properties::from_bytes(&bytes).is_ok() || bytes.contains(&b'u'));
    }
}
