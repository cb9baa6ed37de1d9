//! What people ask of the cluster: topics, other places for replicas.

use base::NodeId;
use controller::ControllerRequest;
use metadata::ConfigResourceType;
use protocol::messages::alter_partition_reassignments_request as reassignments;
use protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::coordinator::OFFSETS_TOPIC;
use super::message::{Ask, Purpose};
use super::mood::Deaths;
use super::quorum::Done;
use super::tamper::Tamper;
use super::world::{Event, PEOPLE, World};

fn allows_unclean_elections() -> CreatableTopicConfig<'static> {
    CreatableTopicConfig {
        name: "unclean.leader.election.enable".into(),
        value: Some("true".into()),
        ..Default::default()
    }
}

impl World {
    /// Makes the topics, until they are there.
    pub fn administer(&mut self) -> Done {
        let names = ["one", "two", OFFSETS_TOPIC];
        let missing = names.iter().find(|name| self.checks.truth().topics.by_name(name).is_none());
        let Some(name) = missing else { return Ok(()) };
        self.after(500, Event::Administer);
        let enough = self.checks.truth().cluster.brokers.values().filter(|b| b.is_active()).count();
        if enough < 3 {
            return Ok(());
        }
        let drawn = i32::try_from(self.rng.range(1, 3)).unwrap_or(1);
        let partitions = if *name == OFFSETS_TOPIC { 1 } else { drawn };
        let unclean = self.mood.deaths == Deaths::Unclean
            || self.plan.tamper == Some(Tamper::ElectsUncleanly);
        let topic = CreatableTopic {
            name: (*name).into(),
            num_partitions: partitions,
            replication_factor: 3,
            configs: unclean.then(allows_unclean_elections).into_iter().collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        self.ask_controller(ControllerRequest::CreateTopics(request));
        Ok(())
    }

    pub fn ask_controller(&mut self, request: ControllerRequest) {
        let active = self.nodes.values().find(|node| node.is_active()).map(|node| node.id);
        if let Some(to) = active {
            self.call(PEOPLE, to, Purpose::Client, Ask::Controller(request), 2_000);
        }
    }

    /// Preferred leaders, or anybody where that is allowed.
    pub fn elect_leaders(&mut self) {
        let unclean = self.mood.deaths == Deaths::Unclean && self.rng.chance(30);
        let election_type = i8::from(unclean);
        self.note(|| format!("leaders are to be elected ({election_type})"));
        let request = ElectLeadersRequest { election_type, ..Default::default() };
        self.ask_controller(ControllerRequest::ElectLeaders(request));
    }

    /// A partition's replicas are to live elsewhere.
    pub fn reassign(&mut self) {
        let truth = self.checks.truth().clone();
        let mut brokers: Vec<NodeId> = truth.cluster.brokers.keys().copied().collect();
        let all: Vec<_> = truth
            .topics
            .iter()
            .flat_map(|topic| topic.partitions().map(|(index, _)| (topic.name.clone(), index)))
            .collect();
        let Some((name, index)) = self.rng.pick(&all).cloned() else { return };
        let mut replicas = Vec::new();
        let factor = self.rng.pick(&[2, 3, 3, 3, 4]).copied().unwrap_or(3);
        while replicas.len() < factor && !brokers.is_empty() {
            let at = usize::try_from(self.rng.below(brokers.len() as u64)).unwrap_or(0);
            replicas.push(brokers.swap_remove(at).get());
        }
        let cancel = self.rng.chance(20);
        self.move_partition(&name, index.get(), (!cancel).then_some(replicas));
    }

    /// Gives up what would never end: with a second target before the first is reached, a replica may be one to add and one to
    /// remove, as in Kafka.
    pub fn cancel_reassignments(&mut self) {
        let truth = self.checks.truth();
        let all = truth.topics.iter().flat_map(|topic| {
            let moving = topic.partitions().filter(|(_, known)| known.is_reassigning());
            moving.map(|(index, _)| (topic.name.to_string(), index.get()))
        });
        for (name, index) in all.collect::<Vec<_>>() {
            self.move_partition(&name, index, None);
        }
    }

    /// A partition is to live on these brokers; or not to move, after all.
    pub fn move_partition(&mut self, name: &str, index: i32, replicas: Option<Vec<i32>>) {
        self.note(|| format!("{name}-{index} is to live on {replicas:?}"));
        let partition = reassignments::ReassignablePartition {
            partition_index: index,
            replicas,
            ..Default::default()
        };
        let request = reassignments::AlterPartitionReassignmentsRequest {
            topics: vec![reassignments::ReassignableTopic {
                name: name.to_owned().into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.ask_controller(ControllerRequest::AlterPartitionReassignments(request));
    }

    /// A topic gets another setting.
    pub fn configure(&mut self, topic: &str, key: &'static str, value: &str) {
        let config = AlterableConfig {
            name: key.into(),
            config_operation: 0,
            value: Some(value.to_owned().into()),
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type: ConfigResourceType::Topic.code(),
            resource_name: topic.to_owned().into(),
            configs: vec![config],
            ..Default::default()
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        self.ask_controller(ControllerRequest::IncrementalAlterConfigs(request));
    }
}
