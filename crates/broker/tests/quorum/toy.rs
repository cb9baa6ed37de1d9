//! A controller that creates topics.

use std::path::Path;
use std::sync::Arc;

use base::machine::Outcome;
use base::{NodeId, Offset, Uuid};
use broker::clock::Clock;
use broker::quorum::{
    At, Decision, Machine, Quorum, QuorumConfig, QuorumError, QuorumHandle, Random, SubmitError,
    start as start_quorum,
};
use kraft::{Endpoint, ReplicaKey, VersionRange, Voter, VoterSet};
use metadata::{Committed, Delta, Image, ReplayError};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::remove_topic_record::RemoveTopicRecord;
use protocol::metadata_records::topic_record::TopicRecord;
use storage::disk::RealDisk;

#[derive(Debug)]
pub enum Ask {
    Create(String),
    /// That many topics, not atomic.
    CreateMany(usize),
    /// More than a batch can hold, atomic.
    Huge,
    /// A mistake in the controller: it panics.
    Panic,
    /// A mistake in the controller: a record that contradicts the state.
    Contradict,
}

pub type Handle = QuorumHandle<Ask, ()>;

pub struct Toy {
    tip: Image,
}

impl Toy {
    pub fn new(tip: Image) -> Self {
        Self { tip }
    }

    fn topic(name: String, id: u64) -> MetadataRecord<'static> {
        let mut bytes = [9; 16];
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        MetadataRecord::Topic(TopicRecord {
            name: name.into(),
            topic_id: Uuid(bytes),
            ..Default::default()
        })
    }
}

impl Machine for Toy {
    type Request = Ask;
    type Reply = ();
    type Timer = ();

    fn activate(&mut self, _: At, bootstrap: Vec<MetadataRecord<'static>>) -> Decision<Self> {
        let records =
            if self.tip.features.metadata_version.is_none() { bootstrap } else { Vec::new() };
        Outcome::atomic(records, ())
    }

    fn resign(&mut self, committed: Committed) {
        self.tip = committed.image;
    }

    fn handle(&mut self, _: At, request: Ask, random: Random<'_>) -> Decision<Self> {
        match request {
            Ask::Create(name) => Outcome::atomic(vec![Self::topic(name, random())], ()),
            Ask::CreateMany(count) => {
                let records = (0..count).map(|n| Self::topic(format!("many-{n}"), random()));
                Outcome { records: records.collect(), ..Outcome::reply(()) }
            }
            Ask::Huge => {
                let records = (0..1_000).map(|n| Self::topic(format!("{n:9999}"), random()));
                Outcome::atomic(records.collect(), ())
            }
            Ask::Panic => panic!("asked to"),
            Ask::Contradict => {
                let record = RemoveTopicRecord { topic_id: Uuid([1; 16]), ..Default::default() };
                Outcome::atomic(vec![MetadataRecord::RemoveTopic(record)], ())
            }
        }
    }

    fn on_timer(&mut self, _: At, (): (), _: Random<'_>) -> Decision<Self> {
        Outcome::reply(())
    }

    fn replay(&mut self, record: &MetadataRecord<'_>, _: Offset) -> Result<(), ReplayError> {
        self.tip.replay(record, &mut Delta::default())
    }

    fn reset(&mut self, committed: Committed) {
        self.tip = committed.image;
    }

    fn tip(&self) -> &Image {
        &self.tip
    }
}

pub fn config(dir: &Path) -> QuorumConfig {
    let (id, directory) = (NodeId(1), Uuid([7; 16]));
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "localhost".into(), port: 9093 };
    let mut config = QuorumConfig::new(id, "cluster".into(), dir.to_path_buf(), directory);
    config.endpoints = vec![endpoint.clone()];
    config.static_voters = VoterSet::from_iter([Voter {
        key: ReplicaKey { id, directory_id: None },
        endpoints: vec![endpoint],
        kraft_versions: VersionRange { min: 0, max: 0 },
    }]);
    config
}

pub fn start(config: QuorumConfig) -> Result<Quorum<Toy>, QuorumError> {
    start_quorum(Arc::new(RealDisk), config, Clock::new(), None, |tip, _| Toy::new(tip))
}

pub fn started(config: QuorumConfig) -> Handle {
    start(config).expect("it starts").serve().expect("a thread")
}

pub async fn create(handle: &Handle, name: &str) -> Result<(), SubmitError> {
    handle.submit(Ask::Create(name.to_owned())).await
}
