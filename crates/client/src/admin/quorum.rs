//! The quorum of the metadata log: who votes, who follows, how far they are; adding and removing controllers.

use std::collections::BTreeMap;

use base::{DirectoryId, NodeId};
use protocol::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use protocol::messages::describe_quorum_response::{DescribeQuorumResponse, ReplicaState};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;

use super::Admin;
use crate::error::{Error, Result};
use crate::options::Address;

const METADATA_TOPIC: &str = "__cluster_metadata";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumDescription {
    pub leader: NodeId,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
    /// Where voters listen.
    pub endpoints: BTreeMap<NodeId, Vec<VoterEndpoint>>,
}

/// A follower of the metadata log; times in milliseconds since 1970, None when unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumReplica {
    pub id: NodeId,
    /// Zero from servers that do not tell it.
    pub directory: DirectoryId,
    pub log_end_offset: i64,
    pub last_fetch_ms: Option<i64>,
    pub last_caught_up_ms: Option<i64>,
}

/// Where a controller listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterEndpoint {
    pub listener: String,
    pub address: Address,
}

impl Admin {
    pub async fn describe_quorum(&self) -> Result<QuorumDescription> {
        let request = DescribeQuorumRequest {
            topics: vec![TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![PartitionData::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        self.ask("describeMetadataQuorum", self.decider(), &request, |reply| {
            let response: DescribeQuorumResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let found = response.topics.iter().find(|topic| topic.topic_name == METADATA_TOPIC);
            let found = found.and_then(|topic| topic.partitions.first());
            let partition = found.ok_or_else(|| Error::Incomplete {
                what: METADATA_TOPIC.to_owned(),
                address: reply.address().to_owned(),
            })?;
            Error::check(partition.error_code, partition.error_message.as_deref())?;
            let mut endpoints: BTreeMap<NodeId, Vec<VoterEndpoint>> = BTreeMap::new();
            for node in &response.nodes {
                let listeners = node.listeners.iter().map(|listener| VoterEndpoint {
                    listener: listener.name.to_string(),
                    address: Address { host: listener.host.to_string(), port: listener.port },
                });
                endpoints.entry(NodeId(node.node_id)).or_default().extend(listeners);
            }
            Ok(QuorumDescription {
                leader: NodeId(partition.leader_id),
                leader_epoch: partition.leader_epoch,
                high_watermark: partition.high_watermark,
                voters: partition.current_voters.iter().map(replica).collect(),
                observers: partition.observers.iter().map(replica).collect(),
                endpoints,
            })
        })
        .await
    }

    /// Makes a controller that follows the metadata log a voter.
    pub async fn add_voter(
        &self,
        id: NodeId,
        directory: DirectoryId,
        endpoints: &[VoterEndpoint],
    ) -> Result<()> {
        let listener = |endpoint: &VoterEndpoint| Listener {
            name: endpoint.listener.clone().into(),
            host: endpoint.address.host.clone().into(),
            port: endpoint.address.port,
            ..Default::default()
        };
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: i32::try_from(self.client.options().request_timeout_ms).unwrap_or(i32::MAX),
            voter_id: id.0,
            voter_directory_id: directory,
            listeners: endpoints.iter().map(listener).collect(),
            ..Default::default()
        };
        self.ask("addRaftVoter", self.decider(), &request, |reply| {
            let response: AddRaftVoterResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())
        })
        .await
    }

    /// Takes the vote from a controller.
    pub async fn remove_voter(&self, id: NodeId, directory: DirectoryId) -> Result<()> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: id.0,
            voter_directory_id: directory,
            ..Default::default()
        };
        self.ask("removeRaftVoter", self.decider(), &request, |reply| {
            let response: RemoveRaftVoterResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())
        })
        .await
    }
}

fn replica(state: &ReplicaState) -> QuorumReplica {
    let known = |time_ms: i64| Some(time_ms).filter(|time_ms| *time_ms >= 0);
    QuorumReplica {
        id: NodeId(state.replica_id),
        directory: state.replica_directory_id,
        log_end_offset: state.log_end_offset,
        last_fetch_ms: known(state.last_fetch_timestamp),
        last_caught_up_ms: known(state.last_caught_up_timestamp),
    }
}
