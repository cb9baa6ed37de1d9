//! Frames and headers that are none: the connection is closed and nothing is allocated for what was promised.

use std::time::Duration;

use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::{ApiKey, ErrorCode, encode_to_vec};

use crate::common::{Node, Peer, Place, Reaction, decoded, frame, request_bytes};

const MIB: u64 = 1 << 20;

fn check(address: &str, name: &str, bytes: &[u8], expected: &Reaction) {
    let mut peer = Peer::connect(address);
    peer.send(bytes);
    let wait = if *expected == Reaction::Silent { 300 } else { 60_000 };
    assert_eq!(peer.reaction_within(Duration::from_millis(wait)), *expected, "{name}");
}

fn length(length: i32) -> Vec<u8> {
    [&length.to_be_bytes()[..], &[b'x'; 64]].concat()
}

#[test]
fn lengths_of_frames() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    for address in [node.address.clone(), node.controller_address.clone()] {
        for bad in [-1, i32::MIN, i32::MAX, 104_857_601] {
            check(&address, &format!("length {bad}"), &length(bad), &Reaction::Closed);
        }
        check(&address, "length 0", &0_i32.to_be_bytes(), &Reaction::Closed);
        check(&address, "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &Reaction::Closed);
        let hello = [&[0x16, 3, 1, 2, 0, 1][..], &[0; 300]].concat();
        check(&address, "TLS", &hello, &Reaction::Closed);
        check(&address, "incomplete", &length(1000), &Reaction::Silent);
    }
    node.assert_alive("bad lengths");
}

#[test]
fn a_frame_cut_off_is_dropped() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    let whole = frame(&request_bytes(3, 8, &[0; 8]));
    for len in 1..whole.len() {
        let mut peer = node.connect();
        peer.send(&whole[..len]);
        peer.finish_sending();
        assert_eq!(peer.reaction(), Reaction::Closed, "{len} bytes");
    }
    node.assert_alive("frames that were cut");
}

#[test]
fn headers_that_are_none() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    let whole = request_bytes(3, 8, &[0; 8]);
    for len in 0..10 {
        check(&node.address, &format!("{len} bytes"), &frame(&whole[..len]), &Reaction::Closed);
    }
    let header = [0, 3, 0, 8, 0, 0, 0, 7];
    let client_id = |id: &[u8]| frame(&[&header[..], id].concat());
    let long = client_id(&[0x75, 0x30, b'x']);
    check(&node.address, "client id longer than the frame", &long, &Reaction::Closed);
    let tags = [&[0, 3, 0, 12, 0, 0, 0, 7, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff, 7][..], &[0; 20]];
    check(&node.address, "too many tags", &frame(&tags.concat()), &Reaction::Closed);
    node.assert_alive("bad headers");
}

#[test]
fn unknown_apis_and_versions_are_closed() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    for address in [node.address.clone(), node.controller_address.clone()] {
        let body = Peer::connect(&address).call(&ApiVersionsRequest::default(), 0);
        let served = decoded::<ApiVersionsResponse<'_>>(&body, 0).api_keys;
        assert!(served.len() > 10, "{address} serves {}", served.len());
        let unserved = (-2..=130).chain([9999, i16::MIN, i16::MAX]);
        for key in unserved.filter(|key| !served.iter().any(|api| api.api_key == *key)) {
            let version = ApiKey::from_i16(key).map_or(0, |api| *api.versions().start());
            let request = frame(&request_bytes(key, version.max(0), &[0; 40]));
            check(&address, &format!("API key {key}"), &request, &Reaction::Closed);
        }
        for api in served.iter().filter(|api| api.api_key != ApiKey::ApiVersions.code()) {
            for version in [-1, api.min_version - 1, api.max_version + 1, 99, i16::MIN, i16::MAX] {
                let request = frame(&request_bytes(api.api_key, version, &[0; 40]));
                let name = format!("API key {} version {version}", api.api_key);
                check(&address, &name, &request, &Reaction::Closed);
            }
        }
    }
    node.assert_alive("unknown APIs and versions");
}

/// KIP-511: the answer is one of version 0, names the versions, and the connection goes on.
#[test]
fn api_versions_of_an_unknown_version_are_answered() {
    let place = Place::new();
    let node = Node::start(&place.data);
    let request = ApiVersionsRequest {
        client_software_name: "a".into(),
        client_software_version: "b".into(),
        ..Default::default()
    };
    let newest = encode_to_vec(&request, 5).unwrap();
    let header = [0, 18, 0, 99, 0, 0, 0, 7, 0, 1, b'x', 0];
    for address in [&node.address, &node.controller_address] {
        let mut peer = Peer::connect(address);
        peer.send(&frame(&[&header[..], &newest].concat()));
        let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer") };
        let response: ApiVersionsResponse<'_> = decoded(&answer[4..], 0);
        assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::UnsupportedVersion);
        let versions: Vec<_> = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version))
            .collect();
        assert_eq!(versions, [(18, 0, 5)]);
        assert!(peer.call(&request, 5).len() > 100);
    }
}

#[test]
fn promised_bytes_cost_nothing_until_they_come() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    node.assert_alive("start");
    let before = node.peak_bytes();
    let promise = [&(100_i32 << 20).to_be_bytes()[..], &[b'x'; 1000]].concat();
    let peers: Vec<Peer> = (0..200)
        .map(|_| {
            let mut peer = node.connect();
            peer.send(&promise);
            peer
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    node.assert_alive("200 promises of 100 MiB");
    let grown = node.peak_bytes() - before;
    assert!(grown < 16 * MIB, "grown by {} KiB", grown >> 10);
    drop(peers);
}
