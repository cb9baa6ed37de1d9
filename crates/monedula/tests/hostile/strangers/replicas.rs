//! Fetches of clients that say they are a broker's replica: who is believed, and whose place moves the watermark.

use base::Uuid;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use protocol::messages::offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use protocol::{Records, encode_to_vec};
use rustix::process::Signal;

use super::{Book, FOLLOWER, Facts, LEADER, ask};
use crate::common::batch;

/// With the broker's epoch since 15.
const VERSION: i16 = 17;
/// Topics by id, the replica by its number alone.
const VERSION_WITHOUT_EPOCH: i16 = 14;

/// Who reads, and from where.
#[derive(Clone, Copy)]
struct Reader {
    id: i32,
    broker_epoch: i64,
    topic: Uuid,
    leader_epoch: i32,
    last_epoch: i32,
    offset: i64,
}

impl Reader {
    fn request(self, version: i16) -> FetchRequest<'static> {
        let partition = FetchPartition {
            current_leader_epoch: self.leader_epoch,
            fetch_offset: self.offset,
            last_fetched_epoch: self.last_epoch,
            log_start_offset: 0,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic =
            FetchTopic { topic_id: self.topic, partitions: vec![partition], ..Default::default() };
        let mut request = FetchRequest { topics: vec![topic], ..Default::default() };
        if version >= 15 {
            request.replica_state = ReplicaState {
                replica_id: self.id,
                replica_epoch: self.broker_epoch,
                ..Default::default()
            };
        } else {
            request.replica_id = self.id;
        }
        request
    }

    fn ask(self, facts: &Facts, book: &mut Book, name: &str, version: i16) {
        let request = self.request(version);
        assert!(encode_to_vec(&request, version).is_ok());
        let name = format!("Fetch, {name}");
        macro_rules! fetch {
            ($version:expr) => {
                ask!(book, name, &facts.leader, request, $version, FetchResponse<'_>, |answer| {
                    let rows = answer.responses.iter().flat_map(|topic| &topic.partitions);
                    let rows = rows.map(|p| {
                        let bytes = p.records.as_ref().and_then(|records| records.bytes());
                        format!(
                            "{} watermark {} start {} records {} diverging {}",
                            p.error_code,
                            p.high_watermark,
                            p.log_start_offset,
                            bytes.is_some_and(|bytes| !bytes.is_empty()),
                            p.diverging_epoch.end_offset,
                        )
                    });
                    format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
                })
            };
        }
        if version == VERSION { fetch!(VERSION) } else { fetch!(VERSION_WITHOUT_EPOCH) }
    }
}

pub fn ask_all(facts: &Facts, book: &mut Book) {
    // The follower sees nothing of what is written now: every move of the watermark is a stranger's doing.
    facts.signal(Signal::STOP);
    // A fetch of its that waits at the leader is over.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let good = Reader {
        id: FOLLOWER,
        broker_epoch: facts.broker_epochs[&FOLLOWER],
        topic: facts.both,
        leader_epoch: 0,
        last_epoch: -1,
        offset: 0,
    };
    produce(facts, book, "both");
    produce(facts, book, "solo");
    watermark(facts, book, "the follower has not fetched");
    let end = Reader { offset: 1, last_epoch: 0, ..good };
    let rows = [
        ("of a broker that does not exist", Reader { id: 999, ..end }),
        (
            "of a broker that does not exist, no leader epoch",
            Reader { id: 999, leader_epoch: -1, ..end },
        ),
        ("of a broker without a replica", Reader { topic: facts.solo, ..end }),
        (
            "of the leader itself",
            Reader { id: LEADER, broker_epoch: facts.broker_epochs[&LEADER], ..end },
        ),
        ("an old broker epoch", Reader { broker_epoch: good.broker_epoch - 1, ..end }),
        ("an old leader epoch", Reader { leader_epoch: -2, ..end }),
        ("a later leader epoch", Reader { leader_epoch: 5, ..end }),
        ("behind the end", Reader { offset: 100, ..end }),
        ("a negative offset", Reader { offset: -1, ..end }),
        ("a later last epoch", Reader { last_epoch: 5, ..end }),
        ("an unknown topic", Reader { topic: Uuid([9; 16]), ..end }),
        ("the debugging consumer", Reader { id: -2, broker_epoch: -1, ..good }),
        ("the future replica", Reader { id: -3, broker_epoch: -1, ..good }),
    ];
    for (name, reader) in rows {
        reader.ask(facts, book, name, VERSION);
        watermark(facts, book, name);
    }
    // The place is believed: whoever says the right things is the follower.
    good.ask(facts, book, "as the follower, from the start", VERSION);
    watermark(facts, book, "as the follower, from the start");
    end.ask(facts, book, "as the follower, at the end", VERSION);
    watermark(facts, book, "as the follower, at the end");
    produce(facts, book, "both");
    let without = Reader { offset: 2, ..end };
    without.ask(facts, book, "as the follower, without an epoch", VERSION_WITHOUT_EPOCH);
    watermark(facts, book, "as the follower, without an epoch");
    // From now on the follower is one that comes with that epoch.
    produce(facts, book, "both");
    let later = Reader { broker_epoch: good.broker_epoch + 100, offset: 3, ..end };
    later.ask(facts, book, "as the follower, a later epoch", VERSION);
    watermark(facts, book, "as the follower, a later epoch");
    let again = Reader { offset: 2, ..end };
    again.ask(facts, book, "as the follower, its own epoch after a later one", VERSION);
    watermark(facts, book, "as the follower, its own epoch after a later one");
    facts.signal(Signal::CONT);
    of_replicas(facts, book);
}

fn produce(facts: &Facts, book: &mut Book, topic: &'static str) {
    let records = batch(&[b"value"]);
    let partition =
        PartitionProduceData { records: Some(Records::from(records)), ..Default::default() };
    let topic_data = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: 1,
        timeout_ms: 5_000,
        topic_data: vec![topic_data],
        ..Default::default()
    };
    let name = format!("Produce to {topic}, acks=1");
    ask!(book, name, &facts.leader, request, 12, ProduceResponse<'_>, |answer| {
        let partition = &answer.responses[0].partition_responses[0];
        format!("{} at {}", partition.error_code, partition.base_offset)
    });
}

/// What consumers may read up to.
fn watermark(facts: &Facts, book: &mut Book, name: &str) {
    list_offsets(facts, book, -1, "both", &format!("watermark after: {name}"));
}

fn list_offsets(facts: &Facts, book: &mut Book, replica_id: i32, topic: &'static str, name: &str) {
    let partition =
        ListOffsetsPartition { timestamp: -1, current_leader_epoch: -1, ..Default::default() };
    let topic =
        ListOffsetsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id, topics: vec![topic], ..Default::default() };
    ask!(book, name, &facts.leader, request, 7, ListOffsetsResponse<'_>, |answer| {
        let partition = &answer.topics[0].partitions[0];
        format!("{} offset {}", partition.error_code, partition.offset)
    });
}

fn of_replicas(facts: &Facts, book: &mut Book) {
    for (name, id, topic) in [
        ("of the follower", FOLLOWER, "both"),
        ("of a broker that does not exist", 999, "both"),
        ("of a broker without a replica", FOLLOWER, "solo"),
    ] {
        list_offsets(facts, book, id, topic, &format!("ListOffsets, {name}"));
        let partition = OffsetForLeaderPartition {
            current_leader_epoch: -1,
            leader_epoch: 0,
            ..Default::default()
        };
        let topic = OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetForLeaderEpochRequest {
            replica_id: id,
            topics: vec![topic],
            ..Default::default()
        };
        let name = format!("OffsetForLeaderEpoch, {name}");
        ask!(book, name, &facts.leader, request, 4, OffsetForLeaderEpochResponse<'_>, |answer| {
            let partition = &answer.topics[0].partitions[0];
            format!("{} end {}", partition.error_code, partition.end_offset)
        });
    }
}
