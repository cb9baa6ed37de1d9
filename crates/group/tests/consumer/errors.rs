//! Requests that no group can serve, with Kafka's words.

use group::consumer::{Refusal, validate};
use protocol::ErrorCode;

use crate::harness::{Heartbeat, alive, join};

#[test]
fn requests_are_refused_with_kafkas_words() {
    let config = group::testing::view(group::testing::Cluster::default()).consumer;
    let invalid = ErrorCode::InvalidRequest;
    let with = |change: fn(&mut Heartbeat)| {
        let mut request = join("m", &["a"]);
        change(&mut request);
        request
    };
    let cases: [(i16, Heartbeat, ErrorCode, &str); 14] = [
        (1, with(|r| r.member_id = "".into()), invalid, "MemberId can't be empty."),
        (1, with(|r| r.member_id = " \t".into()), invalid, "MemberId can't be empty."),
        (0, alive("", 1), invalid, "MemberId can't be empty."),
        (1, with(|r| r.group_id = "".into()), invalid, "GroupId can't be empty."),
        (1, with(|r| r.instance_id = Some("".into())), invalid, "InstanceId can't be empty."),
        (1, with(|r| r.rack_id = Some(" ".into())), invalid, "RackId can't be empty."),
        (
            1,
            with(|r| r.rebalance_timeout_ms = -1),
            invalid,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            1,
            with(|r| r.topic_partitions = None),
            invalid,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            1,
            with(|r| r.topic_partitions = Some(vec![Default::default()])),
            invalid,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            1,
            with(|r| r.subscribed_topic_names = None),
            invalid,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (1, alive("m", -2), invalid, "InstanceId can't be null."),
        (1, alive("m", -3), invalid, "MemberEpoch is invalid."),
        (
            1,
            with(|r| r.server_assignor = Some("best".into())),
            ErrorCode::UnsupportedAssignor,
            "ServerAssignor best is not supported. Supported assignors: uniform, range.",
        ),
        (1, with(|r| r.member_epoch = -3), invalid, "MemberEpoch is invalid."),
    ];
    for (version, request, error, message) in cases {
        let refused = validate(&request, version, &config);
        assert_eq!(refused, Err(Refusal::new(error, message)), "{request:?}");
    }
    let served = [
        (0, with(|r| r.member_id = "".into())),
        (1, with(|r| r.server_assignor = Some("range".into()))),
        (
            1,
            with(|r| {
                (r.subscribed_topic_names, r.subscribed_topic_regex) = (None, Some("a".into()))
            }),
        ),
        (1, alive("m", -1)),
        (1, alive("m", 7)),
    ];
    for (version, request) in served {
        assert_eq!(validate(&request, version, &config), Ok(()), "{request:?}");
    }
}
