//! Every message in every version: what Apache Kafka wrote reads and writes back to the same bytes.

mod support;

use std::collections::BTreeSet;

use support::{Fill, codecs, singles, vectors};

#[test]
fn kafkas_bytes_come_back_unchanged() {
    let codecs = codecs();
    let mut failures = Vec::new();
    for v in vectors() {
        let codec =
            codecs.get(v.name.as_str()).unwrap_or_else(|| panic!("no codec for {}", v.name));
        let result = (codec.round_trip)(&v.bytes, v.version);
        if result.as_ref() != Ok(&v.bytes) {
            failures.push(format!(
                "{} v{} {:?}: {result:?}\n  kafka {:?}",
                v.name, v.version, v.fill, v.bytes
            ));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn our_defaults_are_kafkas() {
    let codecs = codecs();
    let mut failures = Vec::new();
    for v in vectors().iter().filter(|v| v.fill == Fill::Defaults) {
        let ours = (codecs[v.name.as_str()].default)(v.version);
        if ours.as_ref() != Ok(&v.bytes) {
            failures.push(format!("{} v{}: {ours:?}\n  kafka {:?}", v.name, v.version, v.bytes));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_message_and_version_has_vectors() {
    let mut ours = BTreeSet::new();
    for (name, codec) in codecs() {
        for version in codec.versions {
            ours.insert((name.to_owned(), version));
        }
    }
    for fill in [Fill::Defaults, Fill::Full, Fill::Nulls, Fill::Mixed, Fill::MixedAgain] {
        let kafkas = vectors().into_iter().filter(|v| v.fill == fill).map(|v| (v.name, v.version));
        let kafkas: BTreeSet<_> = kafkas.collect();
        let missing: Vec<_> = ours.difference(&kafkas).collect();
        let unknown: Vec<_> = kafkas.difference(&ours).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{missing:?} {unknown:?}");
    }
}

#[test]
fn fields_that_a_version_lacks_are_dropped_or_refused_as_by_kafka() {
    let codecs = codecs();
    let mut failures = Vec::new();
    let mut refused = 0;
    for single in singles() {
        let codec = &codecs[single.name.as_str()];
        for (version, kafkas) in single.others {
            refused += usize::from(kafkas.is_none());
            let ours = (codec.convert)(&single.bytes, single.version, version);
            if ours.as_ref().ok() != kafkas.as_ref() {
                let (name, from, bytes) = (&single.name, single.version, &single.bytes);
                failures.push(format!(
                    "{name} v{from} {bytes:?} as v{version}: {ours:?}\n  kafka {kafkas:?}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(refused > 500, "only {refused} refusals");
}
