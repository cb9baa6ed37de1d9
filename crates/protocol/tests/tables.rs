//! API keys and error codes: rows of Kafka's tables that differ in every column.

use std::ops::RangeInclusive;

use protocol::messages::produce_request::ProduceRequest;
use protocol::{ApiKey, ErrorCode, Listener, Message as _};

#[test]
fn api_keys() {
    assert_eq!(ApiKey::all().len(), 95);
    for (i, key) in ApiKey::all().enumerate() {
        assert_eq!((key.code(), ApiKey::from_i16(i as i16)), (i as i16, Some(key)));
    }
    assert_eq!(ApiKey::from_i16(-1), None);
    assert_eq!(ApiKey::from_i16(95), None);
    assert_eq!(ProduceRequest::API_KEY, Some(ApiKey::Produce.code()));

    let none = RangeInclusive::new(0, -1);
    let both = &[Listener::Broker, Listener::Controller][..];
    let broker = &[Listener::Broker][..];
    let controller = &[Listener::Controller][..];
    let cases = [
        (ApiKey::Fetch, "Fetch", 4..=18, both, false),
        (ApiKey::ControlledShutdown, "ControlledShutdown", none, &[], false),
        (ApiKey::SaslHandshake, "SaslHandshake", 0..=1, both, false),
        (ApiKey::CreateTopics, "CreateTopics", 2..=7, both, true),
        (ApiKey::InitProducerId, "InitProducerId", 0..=6, broker, false),
        (ApiKey::AllocateProducerIds, "AllocateProducerIds", 0..=0, controller, true),
        (ApiKey::UnregisterController, "UnregisterController", 0..=0, both, true),
    ];
    for (key, name, versions, listeners, forwarded) in cases {
        assert_eq!(key.name(), name);
        assert_eq!((key.versions(), key.listeners()), (versions, listeners), "{name}");
        assert_eq!(key.forwarded_to_controller(), forwarded, "{name}");
    }
    let unstable: Vec<_> = ApiKey::all().filter(|key| key.latest_unstable()).collect();
    assert_eq!(unstable, [ApiKey::InitProducerId]);
    assert_eq!(ApiKey::InitProducerId.stable_versions(), 0..=5);
}

#[test]
fn versions_of_headers() {
    let cases = [
        (ApiKey::Produce, 8, 1, 0),
        (ApiKey::Produce, 9, 2, 1),
        (ApiKey::SaslHandshake, 1, 1, 0),
        (ApiKey::ApiVersions, 2, 1, 0),
        (ApiKey::ApiVersions, 3, 2, 0),
        (ApiKey::Vote, 0, 2, 1),
    ];
    for (key, version, request, response) in cases {
        let headers = (key.request_header_version(version), key.response_header_version(version));
        assert_eq!(headers, (request, response), "{key:?} v{version}");
    }
}

#[test]
fn error_codes() {
    assert_eq!(ErrorCode::all().len(), 138);
    for (i, error) in ErrorCode::all().enumerate() {
        let code = i as i16 - 1;
        assert_eq!((error.code(), ErrorCode::from_code(code)), (code, error));
    }
    for code in [i16::MIN, -2, 137, i16::MAX] {
        assert_eq!(ErrorCode::from_code(code), ErrorCode::UnknownServerError, "{code}");
    }
    let cases = [
        (ErrorCode::None, 0, "NONE", false, "NONE"),
        (
            ErrorCode::UnknownTopicOrPartition,
            3,
            "UNKNOWN_TOPIC_OR_PARTITION",
            true,
            "This server does not host this topic-partition.",
        ),
        (
            ErrorCode::TopicAlreadyExists,
            36,
            "TOPIC_ALREADY_EXISTS",
            false,
            "Topic with this name already exists.",
        ),
    ];
    for (error, code, name, retriable, message) in cases {
        assert_eq!(
            (error.code(), error.name(), error.retriable(), error.message()),
            (code, name, retriable, message)
        );
        assert_eq!(error.to_string(), name);
    }
}
