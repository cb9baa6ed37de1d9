//! The tables: which keys exist. One file per area; a row is two lines, the second our own documentation.
//!
//! Columns: name, type, default (`null`, `required`), bounds, importance (`!internal` hides the key), update mode,
//! what Monedula does with it, documentation.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::key::ConfigKey;

/// Declares `KEYS`, one area's rows.
macro_rules! rows {
    ($(
        $name:literal $kind:ident $default:tt $check:tt $importance:ident $(! $internal:ident)?
        $mode:ident $effect:ident $doc:literal;
    )*) => {
        pub(super) const KEYS: &[crate::key::ConfigKey] = &[$(
            crate::key::ConfigKey {
                name: $name,
                kind: crate::key::ConfigType::$kind,
                default: default!($default),
                check: check!($check),
                importance: crate::key::Importance::$importance,
                mode: crate::key::UpdateMode::$mode,
                internal: internal!($($internal)?),
                effect: crate::key::Effect::$effect,
                doc: $doc,
            },
        )*];
    };
}

macro_rules! default {
    (required) => {
        crate::key::Default::Required
    };
    (null) => {
        crate::key::Default::Null
    };
    ($text:literal) => {
        crate::key::Default::Text($text)
    };
}

macro_rules! internal {
    () => {
        false
    };
    (internal) => {
        true
    };
}

macro_rules! check {
    ([any]) => { crate::check::Check::Any };
    ([$low:literal ..]) => { crate::check::Check::AtLeast($low as f64) };
    ([$low:literal to $high:literal]) => { crate::check::Check::Between($low as f64, $high as f64) };
    ([one of $($text:literal),+]) => { crate::check::Check::OneOf(&[$($text),+]) };
    ([one of any case $($text:literal),+]) => { crate::check::Check::OneOfIgnoreCase(&[$($text),+]) };
    ([non empty]) => { crate::check::Check::NonEmptyString };
    ([non null]) => { crate::check::Check::NonNull };
    ([gzip level]) => { crate::check::Check::GzipLevel };
    ([voters]) => { crate::check::Check::Voters };
    ([bootstrap servers]) => { crate::check::Check::BootstrapServers };
    ([throttled replicas]) => { crate::check::Check::ThrottledReplicas };
    ([offset reset]) => { crate::check::Check::OffsetReset };
    ([list]) => { check!(@list [], false, false) };
    ([list empty]) => { check!(@list [], true, false) };
    ([list null]) => { check!(@list [], false, true) };
    ([list empty null]) => { check!(@list [], true, true) };
    ([list of $($text:literal),+]) => { check!(@list [$($text),+], false, false) };
    ([list empty of $($text:literal),+]) => { check!(@list [$($text),+], true, false) };
    (@list $of:tt, $empty:literal, $null:literal) => {
        crate::check::Check::List { of: &$of, empty: $empty, null: $null }
    };
}

mod client_metrics;
mod dynamic_only;
mod group;
mod group_resource;
mod log;
mod metrics;
mod monedula;
mod network;
mod quorum;
mod quota;
mod replication;
mod security;
mod share;
mod streams;
pub mod synonyms;
mod tiered;
mod topic;
mod transaction;

/// All keys of one kind of resource, by name.
#[derive(Debug)]
pub struct Table {
    keys: BTreeMap<&'static str, &'static ConfigKey>,
}

impl Table {
    fn of(areas: &[&'static [ConfigKey]]) -> Self {
        let all = areas.iter().flat_map(|area| area.iter());
        Self { keys: all.map(|key| (key.name, key)).collect() }
    }

    pub fn get(&self, name: &str) -> Option<&'static ConfigKey> {
        self.keys.get(name).copied()
    }

    /// All keys in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &'static ConfigKey> {
        self.keys.values().copied()
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// What `server.properties` may say, by area, for the manual page.
pub const BROKER_AREAS: &[(&str, &[ConfigKey])] = &[
    ("Node and metadata quorum", quorum::KEYS),
    ("Listeners, connections, requests", network::KEYS),
    ("Topics, replication, leaders", replication::KEYS),
    ("Log", log::KEYS),
    ("Groups and committed offsets", group::KEYS),
    ("Transactions and producer ids", transaction::KEYS),
    ("Share groups", share::KEYS),
    ("Streams groups", streams::KEYS),
    ("Tiered storage", tiered::KEYS),
    ("Security", security::KEYS),
    ("Quotas", quota::KEYS),
    ("Metrics and telemetry", metrics::KEYS),
];

/// Keys of the broker as Kafka defines them.
pub static BROKER: LazyLock<Table> =
    LazyLock::new(|| Table::of(&BROKER_AREAS.iter().map(|(_, keys)| *keys).collect::<Vec<_>>()));
/// Broker keys that exist only as dynamic configuration.
pub static BROKER_DYNAMIC_ONLY: LazyLock<Table> =
    LazyLock::new(|| Table::of(&[dynamic_only::KEYS]));
/// Keys of Monedula alone; a Kafka that reads the same file warns and ignores them.
pub static MONEDULA: LazyLock<Table> = LazyLock::new(|| Table::of(&[monedula::KEYS]));
pub static TOPIC: LazyLock<Table> = LazyLock::new(|| Table::of(&[topic::KEYS]));
pub static GROUP: LazyLock<Table> = LazyLock::new(|| Table::of(&[group_resource::KEYS]));
pub static CLIENT_METRICS: LazyLock<Table> = LazyLock::new(|| Table::of(&[client_metrics::KEYS]));
