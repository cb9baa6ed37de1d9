//! What people ask of the cluster: topics, other places for replicas.

use base::NodeId;
use controller::ControllerRequest;
use kraft::{AddVoterRequest, RemoveVoterRequest, ReplicaKey};
use protocol::messages::alter_partition_reassignments_request as reassignments;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};

use super::coordinator::OFFSETS_TOPIC;
use super::message::{Ask, Peer, Purpose};
use super::quorum::{CLUSTER_ID, Done, voter};
use super::world::{Event, World};

/// Nobody reads the answers.
const PEOPLE: Peer = Peer::Client(usize::MAX);

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
        let topic = CreatableTopic {
            name: (*name).into(),
            num_partitions: partitions,
            replication_factor: 3,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        self.ask_controller(ControllerRequest::CreateTopics(request));
        Ok(())
    }

    fn ask_controller(&mut self, request: ControllerRequest) {
        let active = self.nodes.values().find(|node| node.is_active()).map(|node| node.id);
        if let Some(to) = active {
            self.call(PEOPLE, to, Purpose::Client, Ask::Controller(request), 2_000);
        }
    }

    /// A voter leaves the quorum, or comes back to it (KIP-853).
    pub fn change_voters(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id).filter(|node| node.roles.controller) else { return };
        let Some(leader) = self.nodes.values().find(|node| node.is_active()) else { return };
        let (to, key) = (leader.id, ReplicaKey { id, directory_id: Some(node.disk.directory) });
        let Some(process) = &leader.process else { return };
        let (voters, _) = process.quorum.raft.voters().last();
        let is_voter = voters.is_voter(key);
        let cluster_id = Some(CLUSTER_ID.to_owned());
        if !self.setup.static_voters.is_empty() || (is_voter && voters.ids().len() < 3) {
            return;
        }
        self.note(|| format!("n{id} is to be a voter: {}", !is_voter));
        let request = if is_voter {
            kraft::Request::RemoveVoter(RemoveVoterRequest { cluster_id, voter: key })
        } else {
            kraft::Request::AddVoter(AddVoterRequest {
                cluster_id,
                timeout_ms: 2_000,
                voter: key,
                endpoints: voter(id, None).endpoints,
                ack_when_committed: true,
            })
        };
        self.checks.stats.voter_changes += 1;
        self.call(PEOPLE, to, Purpose::Client, Ask::Raft(request), 3_000);
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
        while replicas.len() < 3 && !brokers.is_empty() {
            let at = usize::try_from(self.rng.below(brokers.len() as u64)).unwrap_or(0);
            replicas.push(brokers.swap_remove(at).get());
        }
        self.note(|| format!("{name}-{index} is to live on {replicas:?}"));
        let cancel = self.rng.chance(20);
        let partition = reassignments::ReassignablePartition {
            partition_index: index.get(),
            replicas: (!cancel).then_some(replicas),
            ..Default::default()
        };
        let request = reassignments::AlterPartitionReassignmentsRequest {
            topics: vec![reassignments::ReassignableTopic {
                name: name.to_string().into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.ask_controller(ControllerRequest::AlterPartitionReassignments(request));
    }
}
