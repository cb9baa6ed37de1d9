//! A second opinion: crate kafka-protocol (made from the schemas of Kafka 4.1) reads what Apache Kafka 4.4 wrote and
//! writes the same bytes, as our codecs do in `golden.rs`.

mod support;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use support::{Vector, vectors};

/// Requests that the other crate refuses: versions that were unstable in Kafka 4.1, so that it does not read them.
const REFUSED: [(&str, i16); 3] =
    [("InitProducerIdRequest", 6), ("OffsetCommitRequest", 10), ("OffsetFetchRequest", 10)];

/// What the crate writes after reading the vector; `None` when it does not know the message or version.
fn other(v: &Vector) -> Option<Result<Vec<u8>, String>> {
    let (name, is_request) = match (v.name.strip_suffix("Request"), v.name.strip_suffix("Response"))
    {
        (Some(name), _) => (name, true),
        (_, Some(name)) => (name, false),
        _ => return None,
    };
    let key = protocol::ApiKey::all().find(|key| key.name() == name)?;
    let key = ApiKey::try_from(key.code()).ok()?;
    let versions = key.valid_versions();
    if !(versions.min..=versions.max).contains(&v.version) {
        return None;
    }
    let mut bytes = Bytes::copy_from_slice(&v.bytes);
    let mut out = BytesMut::new();
    let result = if is_request {
        RequestKind::decode(key, &mut bytes, v.version).and_then(|m| m.encode(&mut out, v.version))
    } else {
        ResponseKind::decode(key, &mut bytes, v.version).and_then(|m| m.encode(&mut out, v.version))
    };
    Some(match result {
        Ok(()) if bytes.is_empty() => Ok(out.to_vec()),
        Ok(()) => Err(format!("{} bytes left", bytes.len())),
        Err(e) => Err(e.to_string()),
    })
}

#[test]
fn another_implementation_agrees() {
    let mut checked = 0;
    let mut failures = Vec::new();
    for v in vectors() {
        let Some(result) = other(&v) else { continue };
        checked += 1;
        let refused = REFUSED.contains(&(v.name.as_str(), v.version));
        if refused != result.is_err() || result.as_ref().is_ok_and(|bytes| *bytes != v.bytes) {
            failures.push(format!("{} v{} {:?}: {result:?}", v.name, v.version, v.fill));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(checked > 2000, "only {checked} vectors were compared");
}
