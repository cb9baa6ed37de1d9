//! Peers that are slow on purpose.

use std::io::Write as _;
use std::time::Duration;

use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::{encode_to_vec, messages::api_versions_request::ApiVersionsRequest};

use crate::common::{Node, Place, Reaction, batch, frame, request_bytes};

const MIB: u64 = 1 << 20;

#[test]
fn one_byte_at_a_time() {
    let place = Place::new();
    let node = Node::start(&place.data);
    let mut peer = node.connect();
    for byte in frame(&request_bytes(18, 0, &[])) {
        peer.send(&[byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(matches!(peer.reaction(), Reaction::Answer(_)));
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let place = Place::new();
    let node = Node::start(&place.data);
    let mut peer = node.connect();
    let mut requests = Vec::new();
    for number in 0..100_i32 {
        let mut request = request_bytes(18, 0, &[]);
        request[4..8].copy_from_slice(&number.to_be_bytes());
        requests.extend(frame(&request));
    }
    peer.send(&requests);
    for number in 0..100_i32 {
        let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer {number}") };
        assert_eq!(answer[..4], number.to_be_bytes());
    }
}

/// Sends `request` for as long as the server takes it, and reads nothing.
fn never_reads(node: &mut Node, request: &[u8], name: &str) {
    node.assert_alive("start");
    let before = node.peak_bytes();
    let mut peers = Vec::new();
    let requests = request.repeat(64 * 1024 / request.len() + 1);
    for _ in 0..8 {
        let mut peer = node.connect();
        peer.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        // Back-pressure is what ends this: 64 MiB are more than the kernel's buffers hold.
        let taken = (0..1024).take_while(|_| peer.stream.write_all(&requests).is_ok()).count();
        assert!(taken < 1024, "{name}: the server goes on reading");
        peers.push(peer);
    }
    node.assert_alive(name);
    let grown = node.peak_bytes() - before;
    assert!(grown < 32 * MIB, "{name}: grown by {} KiB", grown >> 10);
}

#[test]
fn a_client_that_never_reads_costs_its_buffers_only() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    let request = encode_to_vec(&ApiVersionsRequest::default(), 0).unwrap();
    never_reads(&mut node, &frame(&request_bytes(18, 0, &request)), "ApiVersions");
}

#[test]
fn fetched_records_that_nobody_reads_stay_on_disk() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    for n in 0..8 {
        assert_eq!(node.produce("t", &batch(&[&[n; 900_000]])).0, 0);
    }
    let partition = FetchPartition { partition_max_bytes: 8 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { topics: vec![topic], ..Default::default() };
    let body = encode_to_vec(&request, 12).unwrap();
    never_reads(&mut node, &frame(&request_bytes(1, 12, &body)), "Fetch");
}
