//! What the members of the metadata quorum ask each other: wrong clusters, epochs, replicas, places.

use base::Uuid;
use protocol::messages as m;

use super::{Book, Facts, METADATA_TOPIC, ask};

const FOREIGN: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

pub fn ask_all(facts: &Facts, book: &mut Book) {
    votes(facts, book);
    leaders(facts, book);
    fetches(facts, book);
    snapshots(facts, book);
    voters(facts, book);
}

fn votes(facts: &Facts, book: &mut Book) {
    use m::vote_request::{PartitionData, TopicData, VoteRequest};
    use m::vote_response::VoteResponse;
    let good = PartitionData {
        replica_epoch: facts.quorum_epoch,
        replica_id: 7,
        replica_directory_id: Uuid([7; 16]),
        last_offset_epoch: 0,
        last_offset: 1,
        pre_vote: true,
        ..Default::default()
    };
    let request = |partition: PartitionData| VoteRequest {
        cluster_id: Some(facts.cluster_id.clone().into()),
        voter_id: 1,
        topics: vec![TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (mut foreign, mut twice) = (request(good.clone()), request(good.clone()));
    foreign.cluster_id = Some(FOREIGN.into());
    twice.topics[0].partitions.push(good.clone());
    let (mut other, mut nobody, mut voter) =
        (request(good.clone()), request(good.clone()), request(good.clone()));
    other.topics[0].topic_name = "t".into();
    nobody.topics.clear();
    voter.voter_id = 2;
    let rows = [
        ("a pre-vote of the same epoch", request(good.clone())),
        ("of another cluster", foreign),
        ("two partitions", twice),
        ("another topic", other),
        ("no topic", nobody),
        ("to another voter", voter),
        ("partition 1", request(PartitionData { partition_index: 1, ..good.clone() })),
        ("an old epoch", request(PartitionData { replica_epoch: 0, ..good.clone() })),
        ("a negative epoch", request(PartitionData { replica_epoch: -1, ..good.clone() })),
        ("of nobody", request(PartitionData { replica_id: -1, ..good.clone() })),
        ("a negative offset", request(PartitionData { last_offset: -1, ..good.clone() })),
        ("a log from later", request(PartitionData { last_offset_epoch: 999, ..good.clone() })),
        ("a vote of the same epoch", request(PartitionData { pre_vote: false, ..good.clone() })),
        ("of this very controller", request(PartitionData { replica_id: 1, ..good.clone() })),
        (
            "of another directory of the voter",
            request(PartitionData { voter_directory_id: Uuid([9; 16]), ..good }),
        ),
    ];
    for (name, request) in rows {
        let name = format!("Vote, {name}");
        ask!(book, name, &facts.controller, request.clone(), 2, VoteResponse<'_>, |answer| {
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let rows = rows.map(|p| {
                format!("{} leader {} granted {}", p.error_code, p.leader_id, p.vote_granted)
            });
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
        let name = format!("{name}, to a broker");
        ask!(book, name, &facts.leader, request, 2, VoteResponse<'_>, |a| a.error_code.to_string());
    }
}

fn leaders(facts: &Facts, book: &mut Book) {
    use m::begin_quorum_epoch_request::{BeginQuorumEpochRequest, LeaderEndpoint};
    use m::begin_quorum_epoch_request::{PartitionData, TopicData};
    use m::begin_quorum_epoch_response::BeginQuorumEpochResponse;
    use m::end_quorum_epoch_request as end;
    use m::end_quorum_epoch_response::EndQuorumEpochResponse;
    let cases = [
        ("another cluster", FOREIGN, facts.quorum_epoch, 1),
        ("an old epoch", facts.cluster_id.as_str(), 0, 7),
        ("a negative epoch", facts.cluster_id.as_str(), -1, 7),
        ("of nobody", facts.cluster_id.as_str(), facts.quorum_epoch, -1),
    ];
    for (name, cluster, epoch, leader) in cases {
        let endpoint = LeaderEndpoint {
            name: "CONTROLLER".into(),
            host: "127.0.0.1".into(),
            port: 9,
            ..Default::default()
        };
        let partition =
            PartitionData { leader_id: leader, leader_epoch: epoch, ..Default::default() };
        let topic = TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let begin = BeginQuorumEpochRequest {
            cluster_id: Some(cluster.to_owned().into()),
            voter_id: 1,
            topics: vec![topic],
            leader_endpoints: vec![endpoint],
            ..Default::default()
        };
        let question = format!("BeginQuorumEpoch, {name}");
        ask!(book, question, &facts.controller, begin, 1, BeginQuorumEpochResponse<'_>, |answer| {
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let rows = rows.map(|p| format!("{} leader {}", p.error_code, p.leader_id));
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
        let partition =
            end::PartitionData { leader_id: leader, leader_epoch: epoch, ..Default::default() };
        let topic = end::TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let end = end::EndQuorumEpochRequest {
            cluster_id: Some(cluster.to_owned().into()),
            topics: vec![topic],
            ..Default::default()
        };
        let question = format!("EndQuorumEpoch, {name}");
        ask!(book, question, &facts.controller, end, 1, EndQuorumEpochResponse<'_>, |answer| {
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let rows = rows.map(|p| format!("{} leader {}", p.error_code, p.leader_id));
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
    }
}

fn fetches(facts: &Facts, book: &mut Book) {
    use m::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
    use m::fetch_response::FetchResponse;
    let good = FetchPartition {
        current_leader_epoch: facts.quorum_epoch,
        fetch_offset: 0,
        last_fetched_epoch: 0,
        ..Default::default()
    };
    let request = |id: i32, partition: FetchPartition| FetchRequest {
        cluster_id: Some(facts.cluster_id.clone().into()),
        replica_state: ReplicaState { replica_id: id, ..Default::default() },
        topics: vec![FetchTopic {
            topic_id: Uuid::METADATA_TOPIC,
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (mut foreign, mut twice, mut other) =
        (request(7, good.clone()), request(7, good.clone()), request(7, good.clone()));
    foreign.cluster_id = Some(FOREIGN.into());
    twice.topics[0].partitions.push(good.clone());
    other.topics[0].topic_id = facts.both;
    let epoch = facts.quorum_epoch;
    let rows = [
        ("an observer nobody knows", request(7, good.clone())),
        ("a consumer", request(-1, good.clone())),
        ("this very controller", request(1, good.clone())),
        ("of another cluster", foreign),
        ("two partitions", twice),
        ("another topic", other),
        ("partition 1", request(7, FetchPartition { partition: 1, ..good.clone() })),
        ("an old epoch", request(7, FetchPartition { current_leader_epoch: 0, ..good.clone() })),
        (
            "a later epoch",
            request(7, FetchPartition { current_leader_epoch: epoch + 5, ..good.clone() }),
        ),
        ("a negative offset", request(7, FetchPartition { fetch_offset: -1, ..good.clone() })),
        ("no last epoch", request(7, FetchPartition { last_fetched_epoch: -1, ..good.clone() })),
        (
            "a last epoch after the leader's",
            request(7, FetchPartition { last_fetched_epoch: epoch + 1, ..good.clone() }),
        ),
        (
            "an offset behind the end",
            request(7, FetchPartition { fetch_offset: 1 << 40, last_fetched_epoch: epoch, ..good }),
        ),
    ];
    for (name, request) in rows {
        let name = format!("Fetch of the metadata log, {name}");
        ask!(book, name, &facts.controller, request, 17, FetchResponse<'_>, |answer| {
            let rows = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let rows = rows.map(|p| {
                let bytes = p.records.as_ref().and_then(|records| records.bytes());
                format!(
                    "{} records {} diverging {} leader {}",
                    p.error_code,
                    bytes.is_some_and(|bytes| !bytes.is_empty()),
                    p.diverging_epoch.epoch >= 0,
                    p.current_leader.leader_id
                )
            });
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
    }
}

fn snapshots(facts: &Facts, book: &mut Book) {
    use m::fetch_snapshot_request::{
        FetchSnapshotRequest, PartitionSnapshot, SnapshotId, TopicSnapshot,
    };
    use m::fetch_snapshot_response::FetchSnapshotResponse;
    let good = PartitionSnapshot {
        current_leader_epoch: facts.quorum_epoch,
        snapshot_id: SnapshotId { end_offset: 5, epoch: 1, ..Default::default() },
        ..Default::default()
    };
    let request = |partition: PartitionSnapshot| FetchSnapshotRequest {
        cluster_id: Some(facts.cluster_id.clone().into()),
        replica_id: 7,
        topics: vec![TopicSnapshot {
            name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (mut foreign, mut other, mut nothing) =
        (request(good.clone()), request(good.clone()), request(good.clone()));
    foreign.cluster_id = Some(FOREIGN.into());
    other.topics[0].name = "t".into();
    nothing.topics.clear();
    let old = PartitionSnapshot { current_leader_epoch: 0, ..good.clone() };
    let later = PartitionSnapshot { current_leader_epoch: 99, ..good.clone() };
    let rows = [
        ("an unknown one", request(good.clone())),
        ("of another cluster", foreign),
        ("another topic", other),
        ("no topic", nothing),
        ("partition 1", request(PartitionSnapshot { partition: 1, ..good.clone() })),
        ("a negative position", request(PartitionSnapshot { position: -1, ..good })),
        ("an old epoch", request(old)),
        ("a later epoch", request(later)),
    ];
    for (name, request) in rows {
        let name = format!("FetchSnapshot, {name}");
        ask!(book, name, &facts.controller, request, 1, FetchSnapshotResponse<'_>, |answer| {
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let rows =
                rows.map(|p| format!("{} leader {}", p.error_code, p.current_leader.leader_id));
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
    }
}

fn voters(facts: &Facts, book: &mut Book) {
    use m::add_raft_voter_request::AddRaftVoterRequest;
    use m::add_raft_voter_response::AddRaftVoterResponse;
    use m::remove_raft_voter_request::RemoveRaftVoterRequest;
    use m::remove_raft_voter_response::RemoveRaftVoterResponse;
    use m::update_raft_voter_request::{KRaftVersionFeature, Listener, UpdateRaftVoterRequest};
    use m::update_raft_voter_response::UpdateRaftVoterResponse;
    let own = facts.cluster_id.as_str();
    for (name, cluster) in [("another cluster", FOREIGN), ("this cluster", own)] {
        let cluster_id = Some(cluster.to_owned().into());
        let add = AddRaftVoterRequest {
            cluster_id: cluster_id.clone(),
            timeout_ms: 1_000,
            voter_id: 7,
            voter_directory_id: Uuid([7; 16]),
            ..Default::default()
        };
        let question = format!("AddRaftVoter, {name}");
        ask!(book, question, &facts.controller, add, 1, AddRaftVoterResponse<'_>, |answer| {
            answer.error_code.to_string()
        });
        let remove = RemoveRaftVoterRequest {
            cluster_id: cluster_id.clone(),
            voter_id: 1,
            voter_directory_id: Uuid([7; 16]),
            ..Default::default()
        };
        let question = format!("RemoveRaftVoter, {name}");
        ask!(book, question, &facts.controller, remove, 0, RemoveRaftVoterResponse<'_>, |answer| {
            answer.error_code.to_string()
        });
        for (epoch, range) in
            [(facts.quorum_epoch, (0, 1)), (0, (0, 1)), (99, (0, 1)), (facts.quorum_epoch, (1, 0))]
        {
            let listener = Listener {
                name: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: 9,
                ..Default::default()
            };
            let feature = KRaftVersionFeature {
                min_supported_version: range.0,
                max_supported_version: range.1,
                ..Default::default()
            };
            let update = UpdateRaftVoterRequest {
                cluster_id: cluster_id.clone(),
                current_leader_epoch: epoch,
                voter_id: 7,
                voter_directory_id: Uuid([7; 16]),
                listeners: vec![listener],
                k_raft_version_feature: feature,
                ..Default::default()
            };
            let epoch = match epoch {
                0 => "an old",
                99 => "a later",
                _ => "the",
            };
            let question = format!("UpdateRaftVoter, {name}, {epoch} epoch, versions {range:?}");
            ask!(
                book,
                question,
                &facts.controller,
                update,
                0,
                UpdateRaftVoterResponse<'_>,
                |answer| {
                    format!("{} leader {}", answer.error_code, answer.current_leader.leader_id)
                }
            );
        }
    }
}
