//! Every API that is served, in every version, cut anywhere and with bits flipped: answered or closed, and the node lives on with flat
//! memory. What is mutated are requests that Apache Kafka encoded with every field set, and requests about a real topic.

use std::io::Read as _;
use std::ops::RangeInclusive;

use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::{ApiKey, Message, Reader, encode_to_vec};

use crate::common::{
    Node, Numbers, Peer, Place, Reaction, batch, decoded, frame, produce_request, request_bytes,
};

const MIB: u64 = 1 << 20;
/// The whole of Kafka's random instances, not those with defaults only.
const FULL: i8 = 1;
const MIXED: i8 = 3;

struct Sample {
    key: i16,
    version: i16,
    body: Vec<u8>,
}

/// The requests among the vectors of the protocol's own tests, for these APIs.
fn kafkas_requests(served: &[(i16, RangeInclusive<i16>)]) -> Vec<Sample> {
    let packed = include_bytes!("../../../protocol/tests/golden/vectors.bin.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    let mut reader = Reader::new(&bytes);
    let mut samples = Vec::new();
    while reader.remaining() > 0 {
        let name = reader.string(false).unwrap();
        let version = reader.i16().unwrap();
        let fill = reader.i8().unwrap();
        let body = reader.bytes(false).unwrap();
        let api = name.strip_suffix("RequestData");
        let api = api.and_then(|api| ApiKey::all().find(|known| known.name() == api));
        let Some(key) = api.map(ApiKey::code) else { continue };
        let wanted = served.iter().any(|(k, versions)| *k == key && versions.contains(&version));
        if wanted && [FULL, MIXED].contains(&fill) {
            samples.push(Sample { key, version, body: body.into_owned() });
        }
    }
    samples
}

fn served(address: &str) -> Vec<(i16, RangeInclusive<i16>)> {
    let body = Peer::connect(address).call(&ApiVersionsRequest::default(), 0);
    let response: ApiVersionsResponse<'_> = decoded(&body, 0);
    let apis = response.api_keys.iter();
    apis.map(|api| (api.api_key, api.min_version..=api.max_version)).collect()
}

fn sample<M: Message + protocol::Encode>(message: &M, version: i16) -> Sample {
    let body = encode_to_vec(message, version).unwrap();
    Sample { key: M::API_KEY.unwrap(), version, body }
}

/// Sends these bytes and nothing more: there is an answer, or an end.
fn answered_or_closed(address: &str, payload: &[u8], case: &str) {
    let mut peer = Peer::connect(address);
    peer.send(&frame(payload));
    peer.finish_sending();
    let reaction = peer.reaction();
    assert_ne!(reaction, Reaction::Silent, "{case}");
}

fn torment(address: &str, samples: &[Sample], numbers: &mut Numbers, rounds: usize) {
    for Sample { key, version, body } in samples {
        let whole = request_bytes(*key, *version, body);
        for round in 0..rounds {
            let cut = numbers.below(whole.len());
            let case = format!("API {key} version {version} cut at {cut} of {}", whole.len());
            answered_or_closed(address, &whole[..cut], &case);
            let mut mutated = whole.clone();
            for _ in 0..=numbers.below(4) {
                // The header stays that of this API more often than not.
                let at = if round % 4 == 0 { 0 } else { whole.len() - body.len() };
                let at = (at + numbers.below(whole.len() - at)).min(whole.len() - 1);
                let interesting = [0, 1, 0x7f, 0x80, 0xff, numbers.next() as u8];
                mutated[at] = interesting[numbers.below(interesting.len())];
            }
            let case = format!("API {key} version {version} as {mutated:02x?}");
            answered_or_closed(address, &mutated, &case);
        }
    }
}

#[test]
fn kafkas_requests_cut_and_mutated() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    node.assert_alive("start");
    let before = node.peak_bytes();
    let mut numbers = Numbers(20_260_101);
    for address in [node.address.clone(), node.controller_address.clone()] {
        let served = served(&address);
        let samples = kafkas_requests(&served);
        let apis = served.iter().filter(|(key, _)| samples.iter().any(|s| s.key == *key)).count();
        assert_eq!(apis, served.len(), "vectors for every API");
        torment(&address, &samples, &mut numbers, 5);
    }
    node.assert_alive("mutated requests");
    let grown = node.peak_bytes() - before;
    assert!(grown < 48 * MIB, "grown by {} KiB", grown >> 10);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn requests_about_a_real_topic_cut_and_mutated() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 2, &[]), 0);
    let good = batch(&[b"one", b"two", b"three"]);
    assert_eq!(node.produce("t", &good).0, 0);
    let before = node.peak_bytes();
    let fetch = FetchRequest {
        topics: vec![FetchTopic {
            topic: "t".into(),
            partitions: vec![FetchPartition { partition_max_bytes: 1000, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let offsets = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
    let metadata = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let samples = [
        sample(&produce_request("t", 0, &good), 8),
        sample(&produce_request("t", 0, &good), 12),
        sample(&fetch, 11),
        sample(&fetch, 12),
        sample(&offsets, 5),
        sample(&offsets, 11),
        sample(&metadata, 8),
        sample(&metadata, 12),
    ];
    let address = node.address.clone();
    torment(&address, &samples, &mut Numbers(5), 60);
    for Sample { key, version, body } in &samples {
        let whole = request_bytes(*key, *version, body);
        for cut in whole.len() - body.len()..whole.len() {
            let mut peer = node.connect();
            peer.send(&frame(&whole[..cut]));
            let case = format!("API {key} version {version} cut at {cut}");
            assert_eq!(peer.reaction(), Reaction::Closed, "{case}");
        }
    }
    node.assert_alive("mutated requests");
    let grown = node.peak_bytes() - before;
    assert!(grown < 48 * MIB, "grown by {} KiB", grown >> 10);
}

#[test]
fn noise() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    let mut numbers = Numbers(11);
    for round in 0..500 {
        let bytes: Vec<u8> = (0..numbers.below(600)).map(|_| numbers.next() as u8).collect();
        let framed = if round % 2 == 0 { frame(&bytes) } else { bytes };
        let mut peer = node.connect();
        peer.send(&framed);
        peer.finish_sending();
        assert_eq!(peer.reaction(), Reaction::Closed, "round {round}");
    }
    node.assert_alive("noise");
}
