//! docs/compatibility.md lists every API of Kafka 4.4 with what is served here: the table is held to the code.
#![allow(clippy::unwrap_used)]

use protocol::ApiKey;

/// Why an API is not served yet.
fn missing(api: ApiKey) -> &'static str {
    match api.code() {
        8..=16 | 42 | 47 | 68 | 69 => "consumer groups",
        17 | 36 | 38..=41 | 50 | 51 => "security",
        24..=28 | 65 | 66 => "transactions",
        29..=31 => "ACLs",
        34 => "moving replicas between directories",
        48 | 49 => "quotas",
        56 | 58 | 80..=82 | 94 => "several nodes",
        71 | 72 => "client metrics",
        76..=79 | 83..=87 | 90..=92 => "share groups",
        88 | 89 | 93 => "Streams groups",
        _ => "",
    }
}

fn table() -> String {
    let served = broker::served_apis();
    let mut out = String::from("| key | API | Kafka 4.4 | here |\n|---|---|---|---|\n");
    for api in ApiKey::all().filter(|api| !api.versions().is_empty()) {
        let (low, high) = (*api.versions().start(), *api.versions().end());
        let here = match served.iter().find(|(served, _)| *served == api) {
            Some((_, versions)) => format!("{}-{}", versions.start(), versions.end()),
            None => format!("not yet: {}", missing(api)),
        };
        let unstable = if api.latest_unstable() { " (latest unstable)" } else { "" };
        out.push_str(&format!(
            "| {} | {} | {low}-{high}{unstable} | {here} |\n",
            api.code(),
            api.name()
        ));
    }
    out
}

#[test]
fn the_page_lists_what_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    let page = std::fs::read_to_string(path).unwrap();
    let expected = table();
    if page.contains(&expected) {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let begin = page.find("| key | API |").unwrap();
        let end = begin + page[begin..].find("\n\n").unwrap() + 1;
        std::fs::write(path, [&page[..begin], &expected, &page[end..]].concat()).unwrap();
        return;
    }
    panic!("docs/compatibility.md is out of date: run this test again with UPDATE_DOCS=1");
}

#[test]
fn every_missing_api_has_a_reason() {
    let served = broker::served_apis();
    for api in ApiKey::all().filter(|api| !api.versions().is_empty()) {
        let is_served = served.iter().any(|(served, _)| *served == api);
        assert!(is_served || !missing(api).is_empty(), "{}", api.name());
    }
}
