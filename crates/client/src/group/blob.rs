//! The bytes that members of classic groups give each other: subscriptions and assignments behind their version. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::TopicPartition;
use protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition as AssignedTopic,
};
use protocol::messages::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as OwnedTopic,
};
use protocol::{Decode, DecodeError, Encode, EncodeError, Message, Reader, encode_to_vec};

/// What a member wants and has, as it tells the leader of its group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberSubscription {
    pub topics: Vec<Arc<str>>,
    pub owned: Vec<TopicPartition>,
    /// The generation that `owned` is from; -1 when it is not told.
    pub generation: i32,
    pub user_data: Option<Vec<u8>>,
    pub rack: Option<String>,
}

impl MemberSubscription {
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let owned = |(topic, partitions): (&str, Vec<i32>)| OwnedTopic {
            topic: topic.to_owned().into(),
            partitions,
        };
        let message = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(|topic| topic.to_string().into()).collect(),
            user_data: self.user_data.as_deref().map(Into::into),
            owned_partitions: by_topic(&self.owned).into_iter().map(owned).collect(),
            generation_id: self.generation,
            rack_id: self.rack.as_deref().map(Into::into),
        };
        versioned(&message)
    }

    /// Versions newer than ours start as ours do.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: ConsumerProtocolSubscription<'_> = unversioned(bytes)?;
        let owned = message
            .owned_partitions
            .iter()
            .flat_map(|topic| partitions(&topic.topic, &topic.partitions));
        Ok(Self {
            topics: message.topics.iter().map(|topic| topic.as_ref().into()).collect(),
            owned: owned.collect(),
            generation: message.generation_id,
            user_data: message.user_data.map(|data| data.into_owned()),
            rack: message.rack_id.map(|rack| rack.into_owned()),
        })
    }
}

/// The partitions that the leader gave to a member.
pub fn encode_assignment(assigned: &[TopicPartition]) -> Result<Vec<u8>, EncodeError> {
    let topic = |(topic, partitions): (&str, Vec<i32>)| AssignedTopic {
        topic: topic.to_owned().into(),
        partitions,
    };
    versioned(&ConsumerProtocolAssignment {
        assigned_partitions: by_topic(assigned).into_iter().map(topic).collect(),
        user_data: None,
    })
}

/// No bytes at all are no partitions: a group whose leader did not mention this member.
pub fn decode_assignment(bytes: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let message: ConsumerProtocolAssignment<'_> = unversioned(bytes)?;
    let assigned = message.assigned_partitions.iter();
    Ok(assigned.flat_map(|topic| partitions(&topic.topic, &topic.partitions)).collect())
}

/// User data of the eager sticky assignor: what was owned, and in which generation.
pub fn encode_sticky(owned: &[TopicPartition], generation: i32) -> Result<Vec<u8>, EncodeError> {
    let topic = |(topic, partitions): (&str, Vec<i32>)| AssignedTopic {
        topic: topic.to_owned().into(),
        partitions,
    };
    let previous = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(owned).into_iter().map(topic).collect(),
        user_data: None,
    };
    // The list is laid out as that of an assignment; its user data (a length of -1) makes room for the generation.
    let mut bytes = encode_to_vec(&previous, 0)?;
    bytes.truncate(bytes.len().saturating_sub(4));
    bytes.extend_from_slice(&generation.to_be_bytes());
    Ok(bytes)
}

/// The opposite of [`encode_sticky`]; None for bytes that are something else.
pub fn decode_sticky(bytes: &[u8]) -> Option<(Vec<TopicPartition>, i32)> {
    let (list, generation) = bytes.split_last_chunk::<4>()?;
    let mut padded = list.to_vec();
    padded.extend_from_slice(&(-1i32).to_be_bytes());
    let message: ConsumerProtocolAssignment<'_> = protocol::decode_exact(&padded, 0).ok()?;
    let owned = message.assigned_partitions.iter();
    let owned = owned.flat_map(|topic| partitions(&topic.topic, &topic.partitions)).collect();
    Some((owned, i32::from_be_bytes(*generation)))
}

/// Partitions under their topics, both sorted.
pub fn by_topic(list: &[TopicPartition]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for tp in list {
        topics.entry(&tp.topic).or_default().push(tp.partition.get());
    }
    for partitions in topics.values_mut() {
        partitions.sort_unstable();
    }
    topics
}

fn partitions(topic: &str, indexes: &[i32]) -> impl Iterator<Item = TopicPartition> {
    let topic: Arc<str> = topic.into();
    indexes.iter().map(move |index| TopicPartition::new(Arc::clone(&topic), *index))
}

fn versioned<M: Message + Encode>(message: &M) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = M::MAX_VERSION.to_be_bytes().to_vec();
    bytes.extend(encode_to_vec(message, M::MAX_VERSION)?);
    Ok(bytes)
}

fn unversioned<'a, M: Message + Decode<'a>>(bytes: &'a [u8]) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    M::decode(&mut reader, version.min(M::MAX_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<TopicPartition> {
        let part = |word: &str| {
            let (topic, index) = word.rsplit_once('-').expect("topic-index");
            TopicPartition::new(topic, index.parse::<i32>().expect("index"))
        };
        text.split_whitespace().map(part).collect()
    }

    #[test]
    fn subscriptions_and_assignments_come_back() {
        let subscription = MemberSubscription {
            topics: vec!["a".into(), "b".into()],
            owned: list("a-0 a-2 b-1"),
            generation: 7,
            user_data: Some(vec![1, 2]),
            rack: Some("r".to_owned()),
        };
        let bytes = subscription.encode().expect("encodes");
        assert_eq!(bytes[..2], [0, 3]);
        assert_eq!(MemberSubscription::decode(&bytes), Ok(subscription.clone()));
        // A version that we do not know is read as ours, whatever follows.
        let mut newer = bytes.clone();
        newer[1] = 9;
        newer.extend([1, 2, 3]);
        assert_eq!(MemberSubscription::decode(&newer), Ok(subscription));
        assert!(MemberSubscription::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(MemberSubscription::decode(&[]).is_err());

        let assigned = list("a-1 b-0");
        let bytes = encode_assignment(&assigned).expect("encodes");
        assert_eq!(decode_assignment(&bytes), Ok(assigned));
        assert_eq!(decode_assignment(&[]), Ok(Vec::new()));
    }

    #[test]
    fn user_data_of_the_sticky_assignor() {
        let bytes = encode_sticky(&list("t-1 t-0"), 5).expect("encodes");
        let expected = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5];
        assert_eq!(bytes, expected);
        assert_eq!(decode_sticky(&bytes), Some((list("t-0 t-1"), 5)));
        assert_eq!(decode_sticky(&bytes[1..]), None);
        assert_eq!(decode_sticky(&[0, 0, 0]), None);
    }
}
