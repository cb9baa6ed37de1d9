//! What classic members tell each other through the coordinator: subscriptions, and the assignment that their leader makes.

use base::Uuid;
use protocol::messages::consumer_protocol_assignment as assignment;
use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use protocol::{Decode, Encode, Reader};

use crate::setup::Failure;

/// As Java's consumer writes them.
const VERSION: i16 = 3;

pub fn subscription(topic: &str) -> Result<Vec<u8>, Failure> {
    let topics = vec![topic.into()];
    versioned(&ConsumerProtocolSubscription { topics, ..Default::default() })
}

/// The leader's share of the work: neighbouring partitions for each member, by the order of their ids (Java's `range`).
pub fn assign(
    topic: &str,
    partitions: i32,
    members: &[JoinGroupResponseMember<'_>],
) -> Result<Vec<SyncGroupRequestAssignment<'static>>, Failure> {
    let mut ids = Vec::with_capacity(members.len());
    for member in members {
        let told: ConsumerProtocolSubscription<'_> = read(&member.metadata)?;
        if told.topics.iter().any(|asked| asked == topic) {
            ids.push(member.member_id.to_string());
        }
    }
    ids.sort_unstable();
    let count = i32::try_from(ids.len())?.max(1);
    let (share, rest) = (partitions / count, partitions % count);
    let mut next = 0;
    let mut assignments = Vec::with_capacity(ids.len());
    for (at, id) in (0..).zip(ids) {
        let size = share + i32::from(at < rest);
        let held = assignment::TopicPartition {
            topic: topic.into(),
            partitions: (next..next + size).collect(),
        };
        next += size;
        let assigned_partitions = if size > 0 { vec![held] } else { Vec::new() };
        let message =
            assignment::ConsumerProtocolAssignment { assigned_partitions, user_data: None };
        let assignment = versioned(&message)?.into();
        assignments.push(SyncGroupRequestAssignment {
            member_id: id.into(),
            assignment,
            ..Default::default()
        });
    }
    Ok(assignments)
}

/// The partitions of an assignment; none in an empty one.
pub fn assigned(bytes: &[u8]) -> Result<Vec<i32>, Failure> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let told: assignment::ConsumerProtocolAssignment<'_> = read(bytes)?;
    Ok(told.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect())
}

/// A member's id as Java's clients make them.
pub fn random_id() -> Result<String, Failure> {
    loop {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        if let Some(id) = Uuid::from_random(random) {
            return Ok(id.to_string());
        }
    }
}

fn versioned<M: Encode>(message: &M) -> Result<Vec<u8>, Failure> {
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend(protocol::encode_to_vec(message, VERSION)?);
    Ok(bytes)
}

fn read<'a, M: Decode<'a>>(bytes: &'a [u8]) -> Result<M, Failure> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    Ok(M::decode(&mut reader, version)?)
}
