//! Control records of the quorum as bytes in the log and in snapshots.

use std::borrow::Cow;

use base::NodeId;
use kraft::{ControlRecord, Endpoint, KRaftVersion, ReplicaKey, VersionRange, Voter, VoterSet};
use protocol::messages::k_raft_version_record::KRaftVersionRecord;
use protocol::messages::leader_change_message::{self, LeaderChangeMessage};
use protocol::messages::voters_record::{self, VotersRecord};
use protocol::{DecodeError, EncodeError, decode_exact, encode_to_vec};
use records::ControlType;

/// The version in which Kafka 4.4 writes all of them.
const VERSION: i16 = 0;

/// Type of the record's key, and its value.
pub(super) fn encode(record: &ControlRecord) -> Result<(ControlType, Vec<u8>), EncodeError> {
    match record {
        ControlRecord::LeaderChange { leader, voters, granting } => {
            let voter = |id: &NodeId| leader_change_message::Voter {
                voter_id: id.get(),
                ..Default::default()
            };
            let body = LeaderChangeMessage {
                version: VERSION,
                leader_id: leader.get(),
                voters: voters.iter().map(voter).collect(),
                granting_voters: granting.iter().map(voter).collect(),
                ..Default::default()
            };
            Ok((ControlType::LeaderChange, encode_to_vec(&body, VERSION)?))
        }
        ControlRecord::KRaftVersion(level) => {
            let body = KRaftVersionRecord {
                version: VERSION,
                k_raft_version: level.0,
                ..Default::default()
            };
            Ok((ControlType::KRaftVersion, encode_to_vec(&body, VERSION)?))
        }
        ControlRecord::Voters(set) => {
            Ok((ControlType::KRaftVoters, encode_to_vec(&voters_record(set), VERSION)?))
        }
    }
}

/// The record when it matters to the quorum; leader changes do not: the epoch of their batch says it all.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Option<ControlRecord>, DecodeError> {
    match ControlType::from_key(key) {
        Some(ControlType::KRaftVersion) => {
            let body: KRaftVersionRecord = decode_exact(value, VERSION)?;
            Ok(Some(ControlRecord::KRaftVersion(KRaftVersion(body.k_raft_version))))
        }
        Some(ControlType::KRaftVoters) => {
            let body: VotersRecord<'_> = decode_exact(value, VERSION)?;
            Ok(Some(ControlRecord::Voters(voter_set(&body))))
        }
        _ => Ok(None),
    }
}

/// Whether the record can be read, whatever it is for. Types that are not known are passed over, as by the quorum.
pub(super) fn check(key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
    match ControlType::from_key(key) {
        Some(ControlType::LeaderChange) => {
            decode_exact::<LeaderChangeMessage>(value, VERSION).map(|_| ())
        }
        _ => decode(key, value).map(|_| ()),
    }
}

fn voters_record(set: &VoterSet) -> VotersRecord<'_> {
    let endpoint = |endpoint: &Endpoint| voters_record::Endpoint {
        name: Cow::Owned(endpoint.name.clone()),
        host: Cow::Owned(endpoint.host.clone()),
        port: endpoint.port,
        ..Default::default()
    };
    let voter = |voter: &Voter| voters_record::Voter {
        voter_id: voter.key.id.get(),
        voter_directory_id: voter.key.directory_id.unwrap_or_default(),
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        k_raft_version_feature: voters_record::KRaftVersionFeature {
            min_supported_version: voter.kraft_versions.min,
            max_supported_version: voter.kraft_versions.max,
            ..Default::default()
        },
        ..Default::default()
    };
    VotersRecord { version: VERSION, voters: set.iter().map(voter).collect(), ..Default::default() }
}

fn voter_set(record: &VotersRecord<'_>) -> VoterSet {
    let endpoint = |endpoint: &voters_record::Endpoint<'_>| Endpoint {
        name: endpoint.name.to_string(),
        host: endpoint.host.to_string(),
        port: endpoint.port,
    };
    let voter = |voter: &voters_record::Voter<'_>| Voter {
        key: ReplicaKey::new(NodeId(voter.voter_id), voter.voter_directory_id),
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_versions: VersionRange {
            min: voter.k_raft_version_feature.min_supported_version,
            max: voter.k_raft_version_feature.max_supported_version,
        },
    };
    record.voters.iter().map(voter).collect()
}
