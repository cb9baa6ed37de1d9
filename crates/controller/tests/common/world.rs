//! Random lives of small clusters.

use base::{NodeId, PartitionIndex};
use controller::{ControllerRequest, ControllerTimer, Random};
use protocol::messages as m;

use super::{Seeded, TestContext, assigned, topic};

const BROKERS: u64 = 5;

/// A cluster and what happens to it.
pub struct World {
    pub cx: TestContext,
    pub random: Seeded,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = Self { cx: TestContext::with_brokers(5), random: Seeded(seed) };
        world.cx.random = Seeded(world.random.next_u64());
        world
    }

    fn pick(&mut self, bound: u64) -> i32 {
        i32::try_from(self.random.below(bound)).unwrap()
    }

    fn name(&mut self) -> String {
        format!("t{}", self.random.below(6))
    }

    /// One to three different brokers, `4,0,2`.
    fn replicas(&mut self) -> String {
        let (first, count) = (self.pick(BROKERS), 1 + self.pick(3));
        let ids = (0..count).map(|step| ((first + step * 2) % 5).to_string());
        ids.collect::<Vec<_>>().join(",")
    }

    /// Something happens.
    pub fn step(&mut self) {
        self.cx.now_ms += self.random.below(1_500);
        match self.random.below(22) {
            0..=5 => self.heartbeat(),
            6 => {
                let (id, generation) =
                    (self.pick(BROKERS), u8::try_from(1 + self.random.below(3)).unwrap());
                let mut request = TestContext::registration(id, generation);
                if self.random.below(2) == 0 {
                    request.previous_broker_epoch = self.cx.epoch(id);
                }
                self.cx.handle(ControllerRequest::BrokerRegistration(request, 4));
            }
            7 => {
                let broker_id = self.pick(BROKERS * 4);
                let request = m::unregister_broker_request::UnregisterBrokerRequest {
                    broker_id,
                    ..Default::default()
                };
                self.cx.handle(ControllerRequest::UnregisterBroker(request));
            }
            8 | 9 => {
                let name = self.name();
                let (partitions, factor) =
                    (1 + self.pick(4), i16::try_from(1 + self.pick(3)).unwrap());
                self.cx.create(topic(&name, partitions, factor));
            }
            10 => {
                let (name, first, second) = (self.name(), self.replicas(), self.replicas());
                self.cx.create(assigned(&name, &format!("{first} {second}")));
            }
            11 => self.delete(),
            12 => self.grow(),
            13..=15 => self.alter_partition(),
            16 => self.reassign(),
            17 => self.elect(),
            18 => self.alter_config(),
            19 => {
                self.cx.fire(ControllerTimer::FenceStaleBrokers);
            }
            20 => {
                self.cx.fire(ControllerTimer::BalanceLeaders);
            }
            _ => {
                self.cx.fire(ControllerTimer::ElectUncleanLeaders);
            }
        }
    }

    fn heartbeat(&mut self) {
        let (id, wish, far) =
            (self.pick(BROKERS), self.random.below(12), self.random.below(3) != 0);
        self.cx.heartbeat(id, |request| {
            request.want_fence = wish == 0;
            request.want_shut_down = wish == 1;
            if wish == 2 {
                request.offline_log_dirs = vec![TestContext::directory(id)];
            }
            if !far {
                request.current_metadata_offset /= 2;
            }
        });
    }

    fn delete(&mut self) {
        use m::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
        let name = Some(self.name().into());
        let topics = vec![DeleteTopicState { name, ..Default::default() }];
        let request = DeleteTopicsRequest { topics, ..Default::default() };
        self.cx.handle(ControllerRequest::DeleteTopics(request));
    }

    fn grow(&mut self) {
        use m::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
        let topics = vec![CreatePartitionsTopic {
            name: self.name().into(),
            count: self.pick(8),
            assignments: None,
            ..Default::default()
        }];
        let request = CreatePartitionsRequest { topics, ..Default::default() };
        self.cx.handle(ControllerRequest::CreatePartitions(request));
    }

    /// A leader tells a random in-sync set, now and then with an outdated epoch.
    fn alter_partition(&mut self) {
        use m::alter_partition_request::*;
        let name = self.name();
        let index = self.pick(4);
        let Some(topic) = self.cx.image().topics.by_name(&name).cloned() else { return };
        let Some(partition) = topic.partition(PartitionIndex(index)) else { return };
        let mut isr = Vec::new();
        for NodeId(broker_id) in &partition.replicas {
            if *broker_id == partition.leader.0 || self.random.below(3) != 0 {
                let (broker_id, broker_epoch) = (*broker_id, self.cx.epoch(*broker_id));
                isr.push(BrokerState { broker_id, broker_epoch, ..Default::default() });
            }
        }
        let data = PartitionData {
            partition_index: index,
            leader_epoch: partition.leader_epoch.0,
            partition_epoch: partition.partition_epoch.0 - i32::from(self.random.below(5) == 0),
            new_isr_with_epochs: isr,
            ..Default::default()
        };
        let request = AlterPartitionRequest {
            broker_id: partition.leader.0,
            broker_epoch: self.cx.epoch(partition.leader.0),
            topics: vec![TopicData {
                topic_id: topic.id,
                partitions: vec![data],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.cx.handle(ControllerRequest::AlterPartition(request, 3));
    }

    fn reassign(&mut self) {
        use m::alter_partition_reassignments_request::*;
        let ids = self.replicas().split(',').map(|id| id.parse().unwrap()).collect();
        let replicas = (self.random.below(3) != 0).then_some(ids);
        let partition =
            ReassignablePartition { partition_index: self.pick(3), replicas, ..Default::default() };
        let topic = ReassignableTopic {
            name: self.name().into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request =
            AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
        self.cx.handle(ControllerRequest::AlterPartitionReassignments(request));
    }

    fn elect(&mut self) {
        let election_type = i8::try_from(self.random.below(2)).unwrap();
        let request = m::elect_leaders_request::ElectLeadersRequest {
            election_type,
            topic_partitions: None,
            ..Default::default()
        };
        self.cx.handle(ControllerRequest::ElectLeaders(request));
    }

    fn alter_config(&mut self) {
        use m::incremental_alter_configs_request::*;
        let (name, value) = match self.random.below(3) {
            0 => ("min.insync.replicas", (1 + self.random.below(3)).to_string()),
            1 => ("unclean.leader.election.enable", (self.random.below(2) == 0).to_string()),
            _ => ("retention.ms", self.random.below(1_000).to_string()),
        };
        let config = AlterableConfig {
            name: name.into(),
            config_operation: i8::try_from(self.random.below(2)).unwrap(),
            value: Some(value.into()),
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type: 2,
            resource_name: self.name().into(),
            configs: vec![config],
            ..Default::default()
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        self.cx.handle(ControllerRequest::IncrementalAlterConfigs(request));
    }
}
