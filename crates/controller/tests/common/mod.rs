//! A controller with the log it writes: every outcome is appended, replayed and checked against the invariants.
#![allow(dead_code)] // not every test uses everything

pub mod notation;
pub mod world;

use std::sync::Arc;

use base::machine::TimerChange;
use base::seeded::split_mix;
use base::time::Now;
use base::{MonoMs, NodeId, Offset, Uuid, WallMs};
use config::BrokerConfig;
use controller::{
    At, Controller, ControllerReply, ControllerRequest, ControllerTimer, Outcome, Random, Settings,
    invariants,
};
use metadata::{FEATURES, Image, MetadataVersion, record_version};
use protocol::messages as m;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;

/// SplitMix64.
pub struct Seeded(pub u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        split_mix(&mut self.0)
    }
}

impl Seeded {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

pub const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

pub struct TestContext {
    pub controller: Controller,
    /// Every record appended, in order: its position is its offset.
    pub log: Vec<MetadataRecord<'static>>,
    /// Where the records of each decision end in the log.
    pub ends: Vec<usize>,
    pub now_ms: u64,
    pub random: Seeded,
    /// The records in the notation of histories, for those who look.
    pub shown: Vec<String>,
    notes: bool,
}

/// The levels that Kafka 4.4 finalises on a new cluster.
pub fn bootstrap(version: MetadataVersion) -> Vec<MetadataRecord<'static>> {
    let level = |name: &'static str, feature_level: i16| {
        FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() }.into()
    };
    let mut records = vec![level(MetadataVersion::FEATURE_NAME, version.level())];
    let others = FEATURES.iter().filter(|feature| feature.name != "kraft.version");
    let levels = others.map(|feature| (feature.name, feature.default_level(version)));
    records.extend(levels.filter(|(_, at)| *at > 0).map(|(name, at)| level(name, at)));
    records
}

impl TestContext {
    /// A new cluster without brokers; `given` changes the controller's configuration.
    pub fn empty(given: &[(&str, &str)]) -> Self {
        Self::begun_with(given, bootstrap(MetadataVersion::LATEST_PRODUCTION))
    }

    /// A new cluster at an older level, with no feature but `metadata.version` and perhaps eligible leaders; its records
    /// are noted in `shown`.
    pub fn at_level(version: MetadataVersion, elr: bool, given: &[(&str, &str)]) -> Self {
        let mut first = bootstrap(version);
        first.retain(|record| match record {
            MetadataRecord::FeatureLevel(feature) => feature.name == MetadataVersion::FEATURE_NAME,
            _ => true,
        });
        if elr {
            let name = "eligible.leader.replicas.version".into();
            first.push(FeatureLevelRecord { name, feature_level: 1, ..Default::default() }.into());
        }
        Self { notes: true, shown: Vec::new(), ..Self::begun_with(given, first) }
    }

    /// Lets the log reach an offset with records that say nothing.
    pub fn pad_log(&mut self, end: usize) {
        self.log.resize_with(end, || MetadataRecord::NoOp(Default::default()));
    }

    fn begun_with(given: &[(&str, &str)], first: Vec<MetadataRecord<'static>>) -> Self {
        let given: Vec<_> =
            given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let node = BrokerConfig::load(None, &given).unwrap();
        let mut settings = Settings::new(CLUSTER_ID, Arc::new(node), vec![NodeId(1)]);
        settings.features = Settings::all_features(false);
        let controller = Controller::new(settings, Image::default());
        let mut cx = Self {
            controller,
            log: Vec::new(),
            ends: Vec::new(),
            now_ms: 1_000,
            random: Seeded(7),
            shown: Vec::new(),
            notes: false,
        };
        let at = cx.at();
        let outcome = cx.controller.activate(at, first);
        cx.append(&outcome);
        cx
    }

    /// With brokers `0..count` registered and unfenced.
    pub fn with_brokers(count: i32) -> Self {
        Self::with(count, &[])
    }

    pub fn with(count: i32, given: &[(&str, &str)]) -> Self {
        let mut cx = Self::empty(given);
        for id in 0..count {
            cx.register(id);
            cx.unfence(id);
        }
        cx
    }

    pub fn image(&self) -> &Image {
        self.controller.image()
    }

    pub fn at(&self) -> At {
        let wall = WallMs(1_700_000_000_000 + i64::try_from(self.now_ms).unwrap());
        At {
            now: Now { wall, mono: MonoMs(self.now_ms) },
            next_offset: Offset(i64::try_from(self.log.len()).unwrap()),
        }
    }

    pub fn handle(&mut self, request: ControllerRequest) -> ControllerReply {
        let at = self.at();
        let outcome = self.controller.handle(at, request, &mut self.random);
        self.append(&outcome);
        outcome.reply
    }

    /// Fires a timer until nothing is left to do; how many records came of it.
    pub fn fire(&mut self, timer: ControllerTimer) -> usize {
        let before = self.log.len();
        loop {
            let at = self.at();
            let outcome =
                self.controller.handle(at, ControllerRequest::Timer(timer), &mut self.random);
            self.append(&outcome);
            let again = |change: &TimerChange<ControllerTimer>| {
                *change == TimerChange::Set { key: timer, at: at.now.mono }
            };
            if !outcome.timers.iter().any(again) {
                return self.log.len() - before;
            }
        }
    }

    /// Appends and replays as the driver does, through the bytes of the log.
    pub fn append(&mut self, outcome: &Outcome) {
        let start = self.image().clone();
        for record in &outcome.records {
            let version = self.image().features.metadata_version_or_minimum();
            let version = match record {
                MetadataRecord::FeatureLevel(_) => MetadataVersion::LATEST_PRODUCTION,
                _ => version,
            };
            let bytes = record.encode_value(record_version(record, version)).unwrap();
            let decoded = MetadataRecord::decode_value(&bytes).unwrap().into_owned();
            assert_eq!(decoded, *record, "the log does not hold what was meant");
            let offset = self.at().next_offset;
            let before = self.image().clone();
            self.controller.replay(record, offset).unwrap();
            if let Err(why) = invariants::check_record(&before, self.image(), record) {
                panic!("{why}\nafter {record:?}");
            }
            if self.notes {
                self.shown.push(notation::record(self.image(), record));
            }
            self.log.push(decoded);
        }
        self.ends.push(self.log.len());
        if let Err(why) = invariants::check(&start, self.image()) {
            panic!("{why}\nafter {:#?}", outcome.records);
        }
    }

    /// Appends a record that nobody decided on.
    pub fn append_record(&mut self, record: MetadataRecord<'static>) {
        let offset = self.at().next_offset;
        self.controller.replay(&record, offset).unwrap();
        self.log.push(record);
        self.ends.push(self.log.len());
    }

    /// Replays everything appended so far from nothing.
    pub fn replayed(&self) -> Image {
        let mut loader = metadata::Loader::default();
        for record in &self.log {
            loader.replay(record).unwrap();
        }
        let offset = Offset(i64::try_from(self.log.len()).unwrap() - 1);
        let provenance = metadata::Provenance { offset, ..self.image().provenance };
        loader.publish(provenance).unwrap().after
    }

    pub fn incarnation(id: i32, generation: u8) -> Uuid {
        let mut bytes = [generation; 16];
        bytes[0..4].copy_from_slice(&(id + 1).to_be_bytes());
        Uuid(bytes)
    }

    pub fn registration(
        id: i32,
        generation: u8,
    ) -> m::broker_registration_request::BrokerRegistrationRequest<'static> {
        use m::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
        let features = Settings::all_features(false).into_iter().map(|(name, range)| Feature {
            name: name.to_string().into(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        });
        BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: CLUSTER_ID.into(),
            incarnation_id: Self::incarnation(id, generation),
            listeners: vec![Listener {
                name: "PLAINTEXT".into(),
                host: "localhost".into(),
                port: 9092,
                security_protocol: 0,
                ..Default::default()
            }],
            features: features.collect(),
            log_dirs: vec![Self::directory(id)],
            ..Default::default()
        }
    }

    pub fn directory(id: i32) -> Uuid {
        Uuid([u8::try_from(id).unwrap() + 100; 16])
    }

    pub fn register(&mut self, id: i32) -> i64 {
        let request = Self::registration(id, 1);
        match self.handle(ControllerRequest::BrokerRegistration(request, 4)) {
            ControllerReply::BrokerRegistration(reply) => {
                assert_eq!(reply.error_code, 0);
                reply.broker_epoch
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn epoch(&self, id: i32) -> i64 {
        self.image().cluster.broker(NodeId(id)).map_or(-1, |broker| broker.epoch.0)
    }

    pub fn heartbeat(
        &mut self,
        id: i32,
        change: impl FnOnce(&mut m::broker_heartbeat_request::BrokerHeartbeatRequest),
    ) -> m::broker_heartbeat_response::BrokerHeartbeatResponse {
        let mut request = m::broker_heartbeat_request::BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.epoch(id),
            current_metadata_offset: self.at().next_offset.0 - 1,
            ..Default::default()
        };
        change(&mut request);
        match self.handle(ControllerRequest::BrokerHeartbeat(request)) {
            ControllerReply::BrokerHeartbeat(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn unfence(&mut self, id: i32) {
        let reply = self.heartbeat(id, |_| {});
        assert!(!reply.is_fenced, "{reply:?}");
    }

    pub fn create(
        &mut self,
        topic: m::create_topics_request::CreatableTopic<'static>,
    ) -> (i16, String) {
        let request = m::create_topics_request::CreateTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        match self.handle(ControllerRequest::CreateTopics(request)) {
            ControllerReply::CreateTopics(reply) => {
                let topic = &reply.topics[0];
                (topic.error_code, topic.error_message.as_deref().unwrap_or_default().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    /// `assignments` as `0,1 1,2`: the replicas of one partition after the other.
    pub fn create_assigned(&mut self, name: &str, assignments: &str) {
        let topic = assigned(name, assignments);
        assert_eq!(self.create(topic), (0, String::new()));
    }

    /// A partition as `leader 0 isr 0,1 epoch 0/0`: leader epoch and partition epoch.
    pub fn state(&self, topic: &str, index: i32) -> String {
        let topic = self.image().topics.by_name(topic).unwrap();
        let partition = topic.partition(base::PartitionIndex(index)).unwrap();
        let list =
            |ids: &[NodeId]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        let mut text = format!(
            "leader {} isr {} epoch {}/{}",
            partition.leader,
            list(&partition.isr),
            partition.leader_epoch,
            partition.partition_epoch
        );
        let more = [
            ("elr", &partition.elr),
            ("last", &partition.last_known_elr),
            ("adding", &partition.adding_replicas),
            ("removing", &partition.removing_replicas),
        ];
        for (name, ids) in more.iter().filter(|(_, ids)| !ids.is_empty()) {
            text += &format!(" {name} {}", list(ids));
        }
        text
    }
}

pub fn topic(
    name: &str,
    num_partitions: i32,
    replication_factor: i16,
) -> m::create_topics_request::CreatableTopic<'static> {
    m::create_topics_request::CreatableTopic {
        name: name.to_owned().into(),
        num_partitions,
        replication_factor,
        ..Default::default()
    }
}

pub fn assigned(
    name: &str,
    assignments: &str,
) -> m::create_topics_request::CreatableTopic<'static> {
    let replicas = |text: &str| notation::parse_list(text, |id| id.parse().unwrap());
    let assignments = (0..).zip(assignments.split(' ')).map(|(partition_index, ids)| {
        m::create_topics_request::CreatableReplicaAssignment {
            partition_index,
            broker_ids: replicas(ids),
            ..Default::default()
        }
    });
    m::create_topics_request::CreatableTopic {
        assignments: assignments.collect(),
        ..topic(name, -1, -1)
    }
}
