//! Nodes follow a leader of the metadata quorum whose answers are changed on the way: an observer, and a voter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Uuid;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData, SnapshotId,
};
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::{
    FetchSnapshotResponse, LeaderIdAndEpoch as SnapshotLeader, PartitionSnapshot,
    SnapshotId as SentId, TopicSnapshot,
};
use protocol::messages::metadata_response::MetadataResponse;
use protocol::{ApiKey, Records, decode_exact};
use records::Batches;

use crate::common::cluster::{Cluster, free_port, until};
use crate::controller_lies::{self, LIES, PIECES, contradiction, refused_record};
use crate::fake::{Asked, Fake, Reply, within};

pub const METADATA_TOPIC: &str = "__cluster_metadata";
const BROKER: i32 = 101;
const MIB: u64 = 1 << 20;
/// So long each lie is told, to one follower, with pauses of 20 ms after each mistake.
const LIE_FOR: Duration = Duration::from_millis(100);
const ANSWERS_MAX: usize = 8;
/// Fetches wait with the honest leader no longer: to those no lie is told.
const WAIT_MS: i32 = 20;
/// Errors of the whole that the wire knows.
const SNAPSHOT_AHEAD: i64 = 1_000;

/// What the follower asks for.
#[derive(Clone, Copy)]
pub struct Place {
    pub offset: i64,
    pub epoch: i32,
    pub leader: i32,
}

pub type Row = PartitionData<'static>;

/// How the leader lies.
#[derive(Clone, Copy)]
pub enum Lie {
    None,
    /// In its row of an answer to Fetch, which has nothing new before.
    Row(fn(&Place, &mut Row)),
    Whole(fn(&mut FetchResponse<'static>)),
    Raw(fn(&Asked) -> Reply),
    /// In place of the first record that comes alone, it gives this one, once.
    Swap(fn() -> Vec<u8>),
    /// It has a snapshot ahead of the follower's log, of which this is a piece.
    Snapshot(fn(&Place, i64, &mut PartitionSnapshot<'static>)),
}

struct Mind {
    lie: Mutex<Lie>,
    told: AtomicUsize,
    leader: Mutex<i32>,
}

impl Mind {
    /// What comes from node `id`, whose real address is this, to those who ask it.
    fn reply(&self, id: i32, address: &str, asked: &Asked) -> Reply {
        let lie = *self.lie.lock().unwrap();
        let is_leader = *self.leader.lock().unwrap() == id;
        match (asked.api, lie) {
            (ApiKey::Fetch, Lie::Swap(value)) if is_leader => self.swap(asked, value(), address),
            (ApiKey::Fetch, lie) if is_leader && !matches!(lie, Lie::None) => {
                self.told.fetch_add(1, Ordering::SeqCst);
                self.fetch(asked, lie, id)
            }
            (ApiKey::FetchSnapshot, Lie::Snapshot(piece)) if is_leader => {
                snapshot(asked, piece, id)
            }
            _ => match asked.forward(address) {
                Some(body) => Reply::Body(asked.correlation_id, body),
                None => Reply::Close,
            },
        }
    }

    fn swap(&self, asked: &Asked, value: Vec<u8>, address: &str) -> Reply {
        let Some(body) = asked.forward(address) else { return Reply::Close };
        let mut answer: FetchResponse<'_> = decode_exact(&body, asked.version).unwrap();
        let rows = answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        for row in rows {
            let bytes =
                row.records.as_ref().and_then(|records| records.bytes()).unwrap_or_default();
            if let Some(swapped) = swapped(bytes, value.clone()) {
                row.records = Some(Records::from(swapped));
                self.told.fetch_add(1, Ordering::SeqCst);
                *self.lie.lock().unwrap() = Lie::None;
            }
        }
        asked.answer(&answer)
    }

    fn fetch(&self, asked: &Asked, lie: Lie, leader: i32) -> Reply {
        if let Lie::Raw(lie) = lie {
            return lie(asked);
        }
        let request: FetchRequest<'_> = asked.decode();
        let wanted = &request.topics[0].partitions[0];
        let (offset, epoch) = (wanted.fetch_offset, wanted.current_leader_epoch);
        let place = Place { offset, epoch, leader };
        let mut row = PartitionData {
            high_watermark: offset,
            log_start_offset: 0,
            current_leader: LeaderIdAndEpoch {
                leader_id: leader,
                leader_epoch: epoch,
                ..Default::default()
            },
            records: Some(Records::from(Vec::new())),
            ..Default::default()
        };
        match lie {
            Lie::Row(lie) => lie(&place, &mut row),
            Lie::Snapshot(_) => {
                let end_offset = snapshot_end(offset);
                row.snapshot_id = SnapshotId { end_offset, epoch, ..Default::default() };
            }
            Lie::None | Lie::Whole(_) | Lie::Raw(_) | Lie::Swap(_) => {}
        }
        let topic = FetchableTopicResponse {
            topic_id: Uuid::METADATA_TOPIC,
            partitions: vec![row],
            ..Default::default()
        };
        let mut answer = FetchResponse { responses: vec![topic], ..Default::default() };
        if let Lie::Whole(lie) = lie {
            lie(&mut answer);
        }
        asked.answer(&answer)
    }
}

/// The batches, the first that has one record with another value; `None` when there is none.
fn swapped(bytes: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
    let (mut before, mut batches) = (0, Batches::new(bytes));
    let found = batches.find_map(|batch| {
        let batch = batch.unwrap();
        let header = *batch.v2().unwrap();
        if header.count == 1 && !header.attributes.is_control() {
            return Some((header, batch.size()));
        }
        before += batch.size();
        None
    });
    let (header, size) = found?;
    let epoch = header.partition_leader_epoch.get();
    let other = controller_lies::batch(header.base_offset.get(), epoch, &[value]);
    Some([&bytes[..before], &other, &bytes[before + size..]].concat())
}

fn snapshot_end(offset: i64) -> i64 {
    offset - offset % SNAPSHOT_AHEAD + 2 * SNAPSHOT_AHEAD
}

fn snapshot(
    asked: &Asked,
    piece: fn(&Place, i64, &mut PartitionSnapshot<'static>),
    leader: i32,
) -> Reply {
    let request: FetchSnapshotRequest<'_> = asked.decode();
    let wanted = &request.topics[0].partitions[0];
    let (id, epoch) = (&wanted.snapshot_id, wanted.current_leader_epoch);
    let mut row = PartitionSnapshot {
        snapshot_id: SentId { end_offset: id.end_offset, epoch: id.epoch, ..Default::default() },
        current_leader: SnapshotLeader {
            leader_id: leader,
            leader_epoch: epoch,
            ..Default::default()
        },
        position: wanted.position,
        ..Default::default()
    };
    piece(&Place { offset: id.end_offset, epoch, leader }, wanted.position, &mut row);
    let topic =
        TopicSnapshot { name: METADATA_TOPIC.into(), partitions: vec![row], ..Default::default() };
    asked.answer(&FetchSnapshotResponse { topics: vec![topic], ..Default::default() })
}

struct World {
    cluster: Cluster,
    mind: Arc<Mind>,
    /// Who is looked at.
    follower: i32,
    /// How many are lied to.
    followers: usize,
    topics: usize,
}

impl World {
    /// All that others hear of controllers comes through the fakes.
    fn new(controllers: i32) -> Self {
        let nodes = (1..=controllers).map(|id| (id, "controller")).chain([(BROKER, "broker")]);
        let settings = [("controller.quorum.request.timeout.ms", "1000")];
        let mut cluster = Cluster::new(nodes, &settings);
        let mind = Arc::new(Mind {
            lie: Mutex::new(Lie::None),
            told: AtomicUsize::new(0),
            leader: Mutex::new(1),
        });
        let mut real = Vec::new();
        for id in 1..=controllers {
            let (port, mind) = (free_port(), Arc::clone(&mind));
            let address = format!("127.0.0.1:{port}");
            Fake::start_at(cluster.controller_port(id), move |asked| {
                mind.reply(id, &address, &asked.waiting(WAIT_MS))
            });
            real.push((port, cluster.controller_port(id)));
        }
        cluster.start_all_with(|id| {
            let index = usize::try_from(id).unwrap() - 1;
            let Some((own, faked)) = real.get(index) else { return Vec::new() };
            vec![
                ("listeners", format!("CONTROLLER://127.0.0.1:{own}")),
                ("advertised.listeners", format!("CONTROLLER://127.0.0.1:{faked}")),
            ]
        });
        let followers = real.len();
        Self { cluster, mind, follower: BROKER, followers, topics: 0 }
    }

    fn of_observer() -> Self {
        Self::new(1)
    }

    fn of_voter() -> Self {
        let mut world = Self::new(2);
        let mut leader = 0;
        until("a leader", || {
            leader = world.quorum_leader();
            leader > 0
        });
        *world.mind.leader.lock().unwrap() = leader;
        world.follower = 3 - leader;
        world
    }

    fn quorum_leader(&self) -> i32 {
        use protocol::messages::describe_cluster_request::DescribeClusterRequest;
        use protocol::messages::describe_cluster_response::DescribeClusterResponse;
        let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
        let address = format!("127.0.0.1:{}", self.cluster.controller_port(1));
        let body = crate::common::Peer::connect(&address).call(&request, 1);
        let answer: DescribeClusterResponse<'_> = crate::common::decoded(&body, 1);
        answer.controller_id
    }

    fn told(&self) -> usize {
        self.mind.told.load(Ordering::SeqCst)
    }

    fn tell(&self, lie: Lie) {
        *self.mind.lie.lock().unwrap() = lie;
        self.mind.told.store(0, Ordering::SeqCst);
    }

    /// The leader lies so for a while, and is not asked without pauses.
    fn lie(&self, name: &str, lie: Lie) {
        self.tell(lie);
        until(&format!("{name}: the follower is lied to"), || self.told() >= 1);
        let (before, begin) = (self.told(), Instant::now());
        std::thread::sleep(LIE_FOR);
        let (answers, most) = (self.told() - before, within(begin, LIE_FOR, ANSWERS_MAX));
        assert!(answers <= most * self.followers, "{name}: asked {answers} times without pauses");
    }

    /// Then it follows again: a change of the metadata reaches it. In a quorum of two nothing is committed without it.
    fn be_honest(&mut self, name: &str) {
        self.tell(Lie::None);
        let topic = format!("topic-{}", self.topics);
        self.topics += 1;
        assert_eq!(self.cluster.node(BROKER).create_topic(&topic, 1, &[]), 0, "{name}");
        let knows = |metadata: &MetadataResponse<'_>| {
            metadata.topics.iter().any(|t| t.name.as_deref() == Some(&topic))
        };
        until(&format!("{name}: then it follows again"), || self.cluster.metadata(BROKER, knows));
        until(&format!("{name}: nothing is left of snapshots"), || !self.has_pieces());
    }

    fn has_pieces(&self) -> bool {
        let dir = self.cluster.data(self.follower).join("__cluster_metadata-0");
        let mut files = std::fs::read_dir(dir).unwrap();
        files.any(|file| file.unwrap().file_name().to_string_lossy().ends_with(".part"))
    }

    fn all_lies(mut self) {
        self.be_honest("before");
        let peak = self.cluster.node(self.follower).peak_bytes();
        let pieces = PIECES.iter().map(|(name, piece)| (name, Lie::Snapshot(*piece)));
        for (name, lie) in LIES.iter().map(|(name, lie)| (name, *lie)).chain(pieces) {
            self.lie(name, lie);
            self.be_honest(name);
        }
        let grown = self.cluster.node(self.follower).peak_bytes() - peak;
        assert!(grown < 64 * MIB, "grown by {} KiB", grown >> 10);
        let log = self.cluster.node(self.follower).log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn lies_to_an_observer_change_nothing() {
    World::of_observer().all_lies();
}

#[test]
fn lies_to_a_voter_change_nothing() {
    World::of_voter().all_lies();
}

/// 1 MiB of a snapshot that never ends.
fn endless(_: &Place, _: i64, row: &mut PartitionSnapshot<'static>) {
    row.size = i64::from(i32::MAX);
    row.unaligned_records = Some(Records::from(vec![0; 1 << 20]));
}

#[test]
fn a_snapshot_without_end_is_not_kept_in_memory() {
    let mut world = World::of_observer();
    world.be_honest("before");
    let peak = world.cluster.node(BROKER).peak_bytes();
    world.tell(Lie::Snapshot(endless));
    until("pieces are written", || world.has_pieces());
    std::thread::sleep(Duration::from_secs(1));
    let grown = world.cluster.node(BROKER).peak_bytes() - peak;
    assert!(grown < 64 * MIB, "grown by {} KiB", grown >> 10);
    // The honest leader knows no such snapshot: what there is of it goes.
    world.be_honest("after");
}

#[test]
fn a_broker_goes_on_without_a_record_that_cannot_be_applied() {
    let mut world = World::of_observer();
    world.be_honest("before");
    // An idle controller writes a NoOp from time to time.
    world.tell(Lie::Swap(contradiction));
    until("it is told", || world.told() >= 1);
    world.be_honest("after");
    let log = world.cluster.node(BROKER).log();
    assert!(log.contains("cannot be applied and is left out"), "{log}");
    assert_eq!(world.cluster.stop(BROKER), Some(0));
}

#[test]
fn a_controller_ends_at_a_record_that_cannot_be_applied() {
    let mut world = World::of_voter();
    world.be_honest("before");
    world.tell(Lie::Row(refused_record));
    let follower = world.follower;
    until("it says why it ends", || {
        world.cluster.node(follower).log().contains("cannot be applied")
    });
    assert_eq!(world.cluster.wait(follower), Some(1));
}
