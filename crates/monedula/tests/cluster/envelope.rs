//! Envelopes as a broker sends them, and as nobody should.

use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use protocol::{Encode, Message, decode_exact, encode_to_vec};

use crate::common::cluster::Cluster;
use crate::common::{Peer, decoded, request_bytes};

/// `User:ANONYMOUS` as Kafka writes it.
const ANONYMOUS: &[u8] = b"\0\0\x05User\x0aANONYMOUS\0\0";

fn inside<Q: Message + Encode>(request: &Q, version: i16) -> Vec<u8> {
    request_bytes(Q::API_KEY.unwrap(), version, &encode_to_vec(request, version).unwrap())
}

fn send(
    cluster: &Cluster,
    request: &[u8],
    principal: &[u8],
    client: &[u8],
) -> (i16, Option<Vec<u8>>) {
    let envelope = EnvelopeRequest {
        request_data: request.into(),
        request_principal: Some(principal.into()),
        client_host_address: client.into(),
        ..Default::default()
    };
    let body = Peer::connect(&cluster.node(1).controller_address).call(&envelope, 0);
    let answer: EnvelopeResponse<'_> = decoded(&body, 0);
    (answer.error_code, answer.response_data.map(|data| data.to_vec()))
}

#[test]
fn what_is_inside_is_answered_as_if_it_had_come_alone() {
    let cluster = Cluster::separate(1, 1, &[]);
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let create = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    for client in [&[127, 0, 0, 1][..], &[0; 16][..]] {
        let (error, data) = send(&cluster, &inside(&create, 7), ANONYMOUS, client);
        let data = data.unwrap();
        assert_eq!(error, 0);
        assert_eq!(data[..4], 7i32.to_be_bytes(), "the correlation id of the request inside");
        let answer: CreateTopicsResponse<'_> = decode_exact(&data[5..], 7).unwrap();
        let expected = if client.len() == 4 { 0 } else { 36 };
        assert_eq!(answer.topics[0].error_code, expected);
    }
}

#[test]
fn bad_envelopes_are_refused_as_kafka_does() {
    let mut cluster = Cluster::separate(1, 1, &[]);
    let create = inside(&CreateTopicsRequest::default(), 7);
    let client = &[127, 0, 0, 1][..];
    let not_forwarded = inside(&DescribeGroupsRequest::default(), 5);
    let unknown_version = request_bytes(19, 99, b"");
    let unreadable = request_bytes(19, 7, b"\xff\xff\xff");
    let cases: [(&str, &[u8], &[u8], &[u8], i16); 7] = [
        ("no principal", &create, b"", client, 97),
        ("a principal of another version", &create, b"\0\x01\x05User\x02a\0\0", client, 97),
        ("three bytes of address", &create, ANONYMOUS, &[1, 2, 3], 42),
        ("an API that is not forwarded", &not_forwarded, ANONYMOUS, client, 42),
        ("an unknown version", &unknown_version, ANONYMOUS, client, 35),
        ("no header", b"\0", ANONYMOUS, client, 35),
        ("a body that cannot be read", &unreadable, ANONYMOUS, client, 35),
    ];
    for (what, request, principal, address, expected) in cases {
        let (error, data) = send(&cluster, request, principal, address);
        assert_eq!((error, data), (expected, None), "{what}");
    }
    assert_eq!(cluster.node(101).create_topic("t", 1, &[]), 0);
    assert_eq!(cluster.stop(101), Some(0));
}
