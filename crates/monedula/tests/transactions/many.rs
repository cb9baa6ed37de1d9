//! Very many producers: how they write, and what a million of them cost.

use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::produce_response::ProduceResponse;
use protocol::{ApiKey, ErrorCode, encode_to_vec};

use crate::common::{Peer, Place, Reaction, decoded, frame, produce_request, request_bytes};
use crate::producer::Producer;
use crate::single::{MINUTE_MS, started};
use crate::strangers::Said;

/// Requests under way on a connection.
const AT_ONCE: i32 = 100;

fn answer(peer: &mut Peer) -> Vec<u8> {
    let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer") };
    answer[5..].to_vec()
}

/// So many requests, some at once; each is built, and its answer looked at: whether that is the end of it.
fn pipelined(
    address: &str,
    count: i32,
    mut request: impl FnMut(i32) -> Vec<u8>,
    look: impl Fn(&[u8]) -> bool,
    after_first: impl FnOnce(),
) {
    let mut peer = Peer::connect(address);
    let mut after_first = Some(after_first);
    for first in (0..count).step_by(AT_ONCE as usize) {
        let mut these: Vec<i32> = (first..count.min(first + AT_ONCE)).collect();
        while !these.is_empty() {
            these.iter().for_each(|one| peer.send(&frame(&request(*one))));
            these.retain(|_| !look(&answer(&mut peer)));
        }
        if let Some(call) = after_first.take() {
            call();
        }
    }
}

/// Each of many producers writes one batch of this time.
pub fn write_many(address: &str, count: i32, time: i64, after_first: impl FnOnce()) {
    let request = |id| {
        let id = i64::from(id);
        let said = Said { id, epoch: 0, sequence: 0, transactional: false, control: false };
        let batch = said.batch_at(time, &["x"]);
        let body = encode_to_vec(&produce_request("t", 0, &batch), 12).unwrap();
        request_bytes(ApiKey::Produce.code(), 12, &body)
    };
    let look = |body: &[u8]| {
        let response: ProduceResponse<'_> = decoded(body, 12);
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        true
    };
    pipelined(address, count, request, look, after_first);
}

fn init_many(address: &str, count: i32) {
    let request = |id| {
        let request = InitProducerIdRequest {
            transactional_id: Some(format!("transactional-id-{id:07}").into()),
            transaction_timeout_ms: MINUTE_MS,
            ..Default::default()
        };
        request_bytes(ApiKey::InitProducerId.code(), 5, &encode_to_vec(&request, 5).unwrap())
    };
    let look = |body: &[u8]| {
        let response: InitProducerIdResponse = decoded(body, 5);
        // Apache Kafka says so while it fetches the next block of producer ids.
        let again = response.error_code == ErrorCode::CoordinatorLoadInProgress.code();
        assert!(again || response.error_code == 0, "{}", response.error_code);
        !again
    };
    pipelined(address, count, request, look, || ());
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// What a command says, for servers that count for themselves.
fn told_by(command: &str) -> u64 {
    let told = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Prints what each costs. `MONEDULA_IDS=N` takes so many; `MONEDULA_IDS_AT=HOST:PORT` asks a server that runs, and
/// `MONEDULA_IDS_MEMORY=COMMAND` prints its memory in bytes.
#[test]
#[ignore = "a measurement of minutes; docs/benchmarks.md"]
fn a_million_ids() {
    let count = variable("MONEDULA_IDS").map_or(1_000_000, |text| text.parse().unwrap());
    let place = Place::new();
    let other = variable("MONEDULA_IDS_AT");
    let node = other.is_none().then(|| started(&place));
    let address = other.unwrap_or_else(|| node.as_ref().unwrap().address.clone());
    let command = variable("MONEDULA_IDS_MEMORY");
    let memory = || match &command {
        Some(command) => told_by(command),
        None => resident_bytes(node.as_ref().unwrap().pid()),
    };
    create_topic(&address);
    Producer::new(&address, "first", MINUTE_MS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    // What the first thousands cost is no matter of ids.
    write_many(&address, 10_000, now, || ());
    init_many(&address, 10_000);
    let per_id = |what: &str, call: &dyn Fn()| {
        let (before, began) = (memory(), Instant::now());
        call();
        let (took, after) = (began.elapsed(), memory());
        let each = after.saturating_sub(before) / (u64::try_from(count).unwrap() - 10_000);
        println!("{what}: {count} in {took:.1?}, {each} bytes each ({before} to {after})");
    };
    per_id("producers of a partition", &|| write_many(&address, count, now, || ()));
    per_id("transactional ids", &|| init_many(&address, count));
    let Some(node) = node else { return };
    let began = Instant::now();
    assert_eq!(node.stop(), Some(0));
    println!("stopped in {:.1?}", began.elapsed());
    let files = std::fs::read_dir(place.data.join("t-0")).unwrap().map(|file| file.unwrap());
    for file in files.filter(|file| file.file_name().to_string_lossy().ends_with(".snapshot")) {
        println!("{:?}: {} bytes", file.file_name(), file.metadata().unwrap().len());
    }
    let began = Instant::now();
    let node = started(&place);
    let resident = resident_bytes(node.pid());
    println!("started in {:.1?}, {resident} bytes, at most {}", began.elapsed(), node.peak_bytes());
    Producer::new(&node.address, "transactional-id-0000000", MINUTE_MS);
    println!("coordinates after {:.1?}", began.elapsed());
    for line in node.log().lines().filter(|line| line.contains("loaded")) {
        println!("{line}");
    }
    let began = Instant::now();
    println!("{} producers described in {:.1?}", crate::limits::active(&node), began.elapsed());
}

fn create_topic(address: &str) {
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    Peer::connect(address).call(&request, 7);
}
