//! The server-side assignors of the consumer protocol: which member of a group is to own which partition.
//!
//! Pure functions; must not know: the shard, records, epochs. The outcome is Kafka's for the same input, which in places hangs on the
//! iteration order of Java's hash tables; `order` says which orders are reproduced and where a set forgot what Kafka's would
//! remember. Like Kafka 4.4, both assignors take no notice of racks.

mod balancer;
mod heterogeneous;
pub mod invariants;
mod order;
mod range;
mod uniform;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

pub type MemberId = Arc<str>;

/// By topic, the partitions.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// What an assignor sees of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSpec {
    pub instance_id: Option<Arc<str>>,
    /// The topics it subscribes to, by name or pattern; only those that exist.
    pub topics: Arc<BTreeSet<Uuid>>,
    /// Its target assignment so far.
    pub assigned: Arc<Partitions>,
}

/// Whether all members subscribe to the same topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SubscriptionType {
    #[default]
    Homogeneous,
    Heterogeneous,
}

/// What an assignor sees of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupSpec {
    pub members: BTreeMap<MemberId, MemberSpec>,
    /// As the group counts its subscriptions: topics that do not exist are part of that.
    pub subscription_type: SubscriptionType,
    /// The member that the group did not have before this request: Kafka puts it behind the others.
    pub joining: Option<MemberId>,
}

/// What an assignor may ask about topics.
pub trait Topics {
    /// How many partitions a topic has; `None` if it does not exist.
    fn partitions(&self, topic: Uuid) -> Option<i32>;
    fn name(&self, topic: Uuid) -> Option<Arc<str>>;
}

/// Why no assignment came about; the texts are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssignError {
    #[error("Members are subscribed to topic {0} which doesn't exist in the topic metadata.")]
    UnknownTopic(Uuid),
    #[error("Member is subscribed to a non-existent topic")]
    UnknownTopicOfRange,
    /// Only when the assignment so far was contradictory.
    #[error("Partitions were left unassigned")]
    LeftUnassigned,
}

/// Kafka's `group.consumer.assignors` by their names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }
}

/// The new target assignment: an entry for every member. Who keeps what they had keeps the `Arc`.
pub fn assign(
    assignor: Assignor,
    spec: &GroupSpec,
    topics: &dyn Topics,
) -> Result<BTreeMap<MemberId, Arc<Partitions>>, AssignError> {
    match (assignor, spec.subscription_type) {
        (Assignor::Range, _) => range::assign(spec, topics),
        (Assignor::Uniform, SubscriptionType::Homogeneous) => uniform::assign(spec, topics),
        (Assignor::Uniform, SubscriptionType::Heterogeneous) => heterogeneous::assign(spec, topics),
    }
}

/// A member's assignment while it changes: copied from the one before at the first change.
struct Draft<'a> {
    before: &'a Arc<Partitions>,
    now: Cow<'a, Partitions>,
}

impl<'a> Draft<'a> {
    fn of(member: &'a MemberSpec) -> Self {
        Self { before: &member.assigned, now: Cow::Borrowed(&*member.assigned) }
    }

    fn add(&mut self, topic: Uuid, partition: i32) {
        self.now.to_mut().entry(topic).or_default().insert(partition);
    }

    fn remove(&mut self, topic: Uuid, partition: i32) {
        let partitions = self.now.to_mut();
        if let Some(of_topic) = partitions.get_mut(&topic) {
            of_topic.remove(&partition);
            if of_topic.is_empty() {
                partitions.remove(&topic);
            }
        }
    }

    /// Drops the topics that are not subscribed to.
    fn keep_topics(&mut self, subscribed: impl Fn(Uuid) -> bool) {
        if self.now.keys().any(|topic| !subscribed(*topic)) {
            self.now.to_mut().retain(|topic, _| subscribed(*topic));
        }
    }

    fn finish(self) -> Arc<Partitions> {
        match self.now {
            Cow::Borrowed(_) => Arc::clone(self.before),
            Cow::Owned(now) => settle(self.before, now),
        }
    }
}

/// The `Arc` of before if nothing changed.
fn settle(before: &Arc<Partitions>, now: Partitions) -> Arc<Partitions> {
    if **before == now { Arc::clone(before) } else { Arc::new(now) }
}

/// Nobody gets anything.
fn nothing(spec: &GroupSpec) -> BTreeMap<MemberId, Arc<Partitions>> {
    let empty = |member: &MemberSpec| settle(&member.assigned, Partitions::new());
    spec.members.iter().map(|(id, member)| (Arc::clone(id), empty(member))).collect()
}
