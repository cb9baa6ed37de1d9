//! From what a member has to what the coordinator wants it to have: give up first, take on afterwards. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{TopicId, TopicPartition};

use super::consumer::ById;
use super::member::difference;
use crate::metadata::Metadata;

/// The assignment of the coordinator, which names topics by their ids.
#[derive(Default, Debug)]
pub(crate) struct Target {
    /// None before the first assignment.
    wanted: Option<ById>,
    names: BTreeMap<TopicId, Arc<str>>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Nothing,
    /// Partitions, and what is owned without them.
    GiveUp(Vec<TopicPartition>, Vec<TopicPartition>),
    /// Partitions, and what is owned with them.
    TakeOn(Vec<TopicPartition>, Vec<TopicPartition>),
}

impl Target {
    pub(crate) fn set(&mut self, topics: impl Iterator<Item = (TopicId, Vec<i32>)>) {
        self.wanted = Some(topics.collect());
    }

    /// Takes names from the metadata. Names stay known while partitions of the topic may be owned.
    pub(crate) fn name(&mut self, metadata: &Metadata) {
        let unknown = self.unknown();
        for topic in metadata.topics.values().filter(|topic| unknown.contains(&topic.id)) {
            self.names.insert(topic.id, Arc::clone(&topic.name));
        }
    }

    /// Topics of the target without a name.
    pub(crate) fn unknown(&self) -> Vec<TopicId> {
        let wanted = self.wanted.iter().flat_map(BTreeMap::keys);
        wanted.filter(|id| !self.names.contains_key(id)).copied().collect()
    }

    pub(crate) fn has_unknown(&self) -> bool {
        !self.unknown().is_empty()
    }

    /// Owned partitions by the ids under which they were assigned.
    pub(crate) fn by_id(&self, owned: &[TopicPartition], metadata: &Metadata) -> ById {
        let mut topics = ById::new();
        for tp in owned {
            let wanted = |id: &&TopicId| self.wanted.as_ref().is_some_and(|w| w.contains_key(*id));
            let mut ids =
                self.names.iter().filter(|(_, name)| **name == tp.topic).map(|(id, _)| id);
            // A topic that was deleted and made anew has two ids: the assigned one counts.
            let first = ids.next();
            let id = first.into_iter().chain(ids).find(wanted).or(first);
            let id = id.copied().or_else(|| metadata.topic(&tp.topic).map(|topic| topic.id));
            if let Some(id) = id {
                topics.entry(id).or_default().push(tp.partition.get());
            }
        }
        topics
    }

    /// The next step from `owned`. Topics without a name wait.
    pub(crate) fn step(&self, owned: &[TopicPartition]) -> Step {
        let Some(wanted) = &self.wanted else { return Step::Nothing };
        let named = wanted.iter().filter_map(|(id, list)| Some((self.names.get(id)?, list)));
        let target: Vec<TopicPartition> = named
            .flat_map(|(name, list)| {
                list.iter().map(|index| TopicPartition::new(Arc::clone(name), *index))
            })
            .collect();
        let (revoked, added) = difference(owned, &target);
        if !revoked.is_empty() {
            let left = owned.iter().filter(|tp| !revoked.contains(tp)).cloned().collect();
            return Step::GiveUp(revoked, left);
        }
        if added.is_empty() {
            return Step::Nothing;
        }
        let mut all = owned.to_vec();
        all.extend(added.iter().cloned());
        Step::TakeOn(added, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::TopicMetadata;
    use protocol::ErrorCode;

    fn id(n: u8) -> TopicId {
        base::Uuid([n; 16])
    }

    fn metadata(topics: &[(&str, u8)]) -> Metadata {
        let topic = |(name, n): &(&str, u8)| {
            let name: Arc<str> = (*name).into();
            let topic = TopicMetadata {
                name: Arc::clone(&name),
                id: id(*n),
                internal: false,
                error: ErrorCode::None,
                partitions: Vec::new(),
            };
            (name, topic)
        };
        Metadata { topics: topics.iter().map(topic).collect(), ..Default::default() }
    }

    fn list(text: &str) -> Vec<TopicPartition> {
        let part = |word: &str| {
            let (topic, index) = word.split_at(1);
            TopicPartition::new(topic, index.parse::<i32>().expect("index"))
        };
        text.split_whitespace().map(part).collect()
    }

    #[test]
    fn gives_up_before_it_takes_on() {
        let mut target = Target::default();
        assert_eq!(target.step(&[]), Step::Nothing);
        target.set([(id(1), vec![0, 1]), (id(2), vec![5])].into_iter());
        // No name is known: nothing can be taken on.
        assert_eq!(target.step(&[]), Step::Nothing);
        assert_eq!(target.unknown(), [id(1), id(2)]);
        target.name(&metadata(&[("a", 1)]));
        assert_eq!(target.step(&[]), Step::TakeOn(list("a0 a1"), list("a0 a1")));
        target.name(&metadata(&[("b", 2)]));
        assert!(!target.has_unknown());
        assert_eq!(target.step(&list("a0 a1")), Step::TakeOn(list("b5"), list("a0 a1 b5")));
        target.set([(id(1), vec![1, 2])].into_iter());
        assert_eq!(target.step(&list("a0 a1 b5")), Step::GiveUp(list("a0 b5"), list("a1")));
        assert_eq!(target.step(&list("a1")), Step::TakeOn(list("a2"), list("a1 a2")));
        assert_eq!(target.step(&list("a1 a2")), Step::Nothing);
        target.set(std::iter::empty());
        assert_eq!(target.step(&list("a1")), Step::GiveUp(list("a1"), Vec::new()));
    }

    #[test]
    fn owned_partitions_by_id() {
        let mut target = Target::default();
        target.set([(id(1), vec![0])].into_iter());
        target.name(&metadata(&[("a", 1)]));
        let found = target.by_id(&list("a0 a3 c1"), &metadata(&[("c", 3)]));
        assert_eq!(found, ById::from([(id(1), vec![0, 3]), (id(3), vec![1])]));
        // The topic was made anew: the new id is assigned.
        target.set([(id(4), vec![0])].into_iter());
        target.name(&metadata(&[("a", 4)]));
        assert_eq!(target.by_id(&list("a0"), &metadata(&[])), ById::from([(id(4), vec![0])]));
    }
}
