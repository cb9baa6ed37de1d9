//! Who reads what in a classic group: Kafka's assignors as pure functions of what the members told their leader.

mod sticky;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use protocol::EncodeError;

use super::blob::{self, MemberSubscription};

/// A member as the leader sees it.
#[derive(Clone, Debug, Default)]
pub struct GroupMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub subscription: MemberSubscription,
}

/// How many partitions each topic has.
pub type PartitionCounts = BTreeMap<Arc<str>, i32>;
/// What each member gets, by its id. Every member is named.
pub type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// One of Kafka's assignors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignor {
    /// Each topic on its own, in consecutive pieces.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// Balanced, and as little moves as possible.
    Sticky,
    /// As sticky; what moves is given up one rebalance before somebody else gets it.
    CooperativeSticky,
}

impl Assignor {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Range, "range", "org.apache.kafka.clients.consumer.RangeAssignor"),
        (Self::RoundRobin, "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor"),
        (Self::Sticky, "sticky", "org.apache.kafka.clients.consumer.StickyAssignor"),
        (
            Self::CooperativeSticky,
            "cooperative-sticky",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        ),
    ];

    /// By its name in the protocol, or the name of Kafka's class.
    pub fn parse(text: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(_, name, class)| *name == text || *class == text);
        known.map(|(assignor, ..)| *assignor)
    }

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(assignor, ..)| *assignor == self);
        known.map_or("", |(_, name, _)| name)
    }

    /// Whether members keep what they have while they rebalance.
    pub fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }

    /// What a member tells besides its subscription: what it had, for assignors that want to know.
    pub fn user_data(
        self,
        owned: &[TopicPartition],
        generation: i32,
    ) -> Result<Option<Vec<u8>>, EncodeError> {
        Ok(match self {
            Self::Range | Self::RoundRobin => None,
            Self::Sticky => {
                (generation >= 0).then(|| blob::encode_sticky(owned, generation)).transpose()?
            }
            Self::CooperativeSticky => Some(generation.to_be_bytes().to_vec()),
        })
    }

    /// Assigns all partitions of the topics that somebody subscribed to.
    pub fn assign(self, members: &[GroupMember], counts: &PartitionCounts) -> Assignment {
        let mut sorted: Vec<&GroupMember> = members.iter().collect();
        // Static members come first, by the id that outlives their restarts.
        sorted.sort_by(|a, b| {
            let key = |m: &GroupMember| (m.instance_id.is_none(), m.instance_id.clone());
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        let mut assignment = match self {
            Self::Range => range(&sorted, counts),
            Self::RoundRobin => round_robin(&sorted, counts),
            Self::Sticky => sticky::assign(&sorted, counts, sticky::from_user_data),
            Self::CooperativeSticky => {
                let wanted = sticky::assign(&sorted, counts, sticky::from_subscription);
                sticky::give_up_first(wanted, &sorted)
            }
        };
        for member in members {
            assignment.entry(member.id.clone()).or_default();
        }
        assignment
    }
}

/// Topics that exist, each with those who want it, in their order.
fn wanted<'m>(
    members: &[&'m GroupMember],
    counts: &PartitionCounts,
) -> BTreeMap<Arc<str>, Vec<&'m GroupMember>> {
    let mut topics: BTreeMap<Arc<str>, Vec<&GroupMember>> = BTreeMap::new();
    for member in members {
        let names: BTreeSet<&Arc<str>> = member.subscription.topics.iter().collect();
        for topic in names.into_iter().filter(|topic| counts.contains_key(*topic)) {
            topics.entry(Arc::clone(topic)).or_default().push(member);
        }
    }
    topics
}

fn range(members: &[&GroupMember], counts: &PartitionCounts) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, members) in wanted(members, counts) {
        let count = usize::try_from(counts.get(&topic).copied().unwrap_or(0)).unwrap_or(0);
        let (each, more) = (count / members.len().max(1), count % members.len().max(1));
        let mut next = 0i32;
        for (place, member) in members.iter().enumerate() {
            let list = assignment.entry(member.id.clone()).or_default();
            for _ in 0..each + usize::from(place < more) {
                list.push(TopicPartition::new(Arc::clone(&topic), next));
                next += 1;
            }
        }
    }
    assignment
}

fn round_robin(members: &[&GroupMember], counts: &PartitionCounts) -> Assignment {
    let mut assignment = Assignment::new();
    let mut turn = members.iter().cycle();
    for topic in wanted(members, counts).into_keys() {
        for index in 0..counts.get(&topic).copied().unwrap_or(0) {
            // Somebody wants the topic, so the search ends within one round.
            let taker = turn.find(|member| member.subscription.topics.contains(&topic));
            if let Some(member) = taker {
                let list = assignment.entry(member.id.clone()).or_default();
                list.push(TopicPartition::new(Arc::clone(&topic), index));
            }
        }
    }
    assignment
}

#[cfg(test)]
mod tests;
