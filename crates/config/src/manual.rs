//! `docs/configuration.md`, written from the tables.

use std::fmt::Write as _;

use crate::check::Check;
use crate::key::{ConfigKey, Default, Effect};
use crate::keys::{self, synonyms};

const HEAD: &str = "\
# Configuration

Written by `cargo run -p monedula-config --example manual > docs/configuration.md`; a test holds it up to date.

Monedula reads Kafka's `server.properties`. Every key of Kafka 4.4 is known, with Kafka's type, default and bounds, and a
file that Kafka refuses is refused with the same words. Keys marked *no effect* are accepted and change nothing, since
what they tune does not exist here; keys marked *later* belong to a part that is not built yet. Both are told at start,
and unknown keys too. Internal keys, which exist for tests, are left out here but work.

`monedula start --set KEY=VALUE` overrides a line of the file. Without a file a node runs on the embedded default: both
roles, node 1, clients on `127.0.0.1:9092`, the controller on the next port, data in `./monedula-data`, replication
factors of internal topics at 1. When `--set listeners=` moves the clients' port, the controller's follows.

A key can be read-only, or be changed while the broker runs (`kafka-configs --alter`) per-broker, or cluster-wide: for
one broker or as the default of all. A key may be set for one listener with the prefix `listener.name.NAME.`.
";

/// The whole page.
pub fn manual() -> String {
    let mut page = HEAD.to_owned();
    for (title, keys) in keys::BROKER_AREAS {
        section(&mut page, title, keys.iter(), &|key| format!(", {}", key.mode.name()));
    }
    section(&mut page, "Brokers, over the wire only", keys::BROKER_DYNAMIC_ONLY.iter(), &|key| {
        format!(", {}", key.mode.name())
    });
    section(&mut page, "Monedula only", keys::MONEDULA.iter(), &|_| String::new());
    section(&mut page, "Topics", keys::TOPIC.iter(), &|key| {
        let behind: Vec<String> =
            synonyms::of_topic(key.name).iter().map(|(name, _)| format!("`{name}`")).collect();
        if behind.is_empty() {
            String::new()
        } else {
            format!(", default from {}", behind.join(", "))
        }
    });
    section(&mut page, "Groups", keys::GROUP.iter(), &|key| {
        synonyms::of_group(key.name)
            .map_or(String::new(), |name| format!(", default from `{name}`"))
    });
    section(&mut page, "Client metrics subscriptions", keys::CLIENT_METRICS.iter(), &|_| {
        String::new()
    });
    page
}

fn section(
    page: &mut String,
    title: &str,
    keys: impl Iterator<Item = &'static ConfigKey>,
    extra: &dyn Fn(&ConfigKey) -> String,
) {
    let mut rows: Vec<&ConfigKey> = keys.filter(|key| !key.internal).collect();
    rows.sort_by_key(|key| key.name);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## {title}\n\n| key | type, default, bounds | what it does |\n|---|---|---|\n"
    );
    for key in rows {
        let default = match key.default {
            Default::Required => "required".to_owned(),
            Default::Null => "not set".to_owned(),
            Default::Text("") => "empty".to_owned(),
            Default::Text(text) => format!("`{text}`"),
        };
        let bounds = bounds(&key.check);
        let separator = if bounds.is_empty() { "" } else { ", " };
        let effect = match key.effect {
            Effect::Acts => "",
            Effect::None => " *No effect.*",
            Effect::Later => " *Later.*",
        };
        let _ = writeln!(
            page,
            "| `{}` | {}, {default}{separator}{bounds}{} | {}{effect} |",
            key.name,
            key.kind.name().to_lowercase(),
            extra(key),
            key.doc
        );
    }
}

fn bounds(check: &Check) -> String {
    match check {
        Check::AtLeast(low) => format!("from {low}"),
        Check::Between(low, high) => format!("{low} to {high}"),
        Check::OneOf(items) | Check::OneOfIgnoreCase(items) => items.join(" or "),
        Check::List { of, .. } if !of.is_empty() => format!("of {}", of.join(", ")),
        Check::GzipLevel => "1 to 9, or -1".to_owned(),
        _ => String::new(),
    }
}
