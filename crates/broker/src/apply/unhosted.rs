//! Replicas that the metadata wants here and whose log could not be opened: there was no space, or its directory had just failed. They
//! are tried again until the log is there, or until the metadata wants it here no more. And those that could not be told yet what the
//! metadata wants of them ([`Late`]).
//!
//! Whoever applies metadata and whoever tries again hold this, one at a time: nobody acts on what the other has overtaken.

use std::collections::BTreeMap;

use base::{MonoMs, NodeId, TopicIdPartition};
use metadata::{Image, LocalPartition};

use super::catch_up::Going;
use super::late::Late;

/// The pause before the next try doubles between these.
const PAUSE_MS_MIN: u64 = 1_000;
const PAUSE_MS_DOUBLINGS_MAX: u32 = 3;

/// One replica without a log.
#[derive(Debug)]
struct Missing {
    /// The partition was just created when it was first tried.
    is_new: bool,
    tries: u32,
    not_before: MonoMs,
}

/// Never more than the node has replicas.
#[derive(Default)]
pub struct Unhosted {
    /// What was applied last; kept only while something is missing or late.
    image: Option<Image>,
    missing: BTreeMap<TopicIdPartition, Missing>,
    pub late: Late<Going>,
}

impl Unhosted {
    /// The log could not be opened. Tells whether it is the first time.
    pub fn failed(&mut self, id: TopicIdPartition, is_new: bool, now: MonoMs) -> bool {
        let fresh = Missing { is_new, tries: 0, not_before: now };
        let missing = self.missing.entry(id).or_insert(fresh);
        missing.not_before = now.plus_ms(PAUSE_MS_MIN << missing.tries.min(PAUSE_MS_DOUBLINGS_MAX));
        missing.tries = missing.tries.saturating_add(1);
        missing.tries == 1
    }

    /// The log is there, or not wanted any more. Tells whether it was missing.
    pub fn settle(&mut self, id: TopicIdPartition) -> bool {
        self.missing.remove(&id).is_some()
    }

    /// Whether the partition was just created when it was first tried, and has had no log since.
    pub fn is_new(&self, id: TopicIdPartition) -> bool {
        self.missing.get(&id).is_some_and(|missing| missing.is_new)
    }

    /// This was applied.
    pub fn applied(&mut self, image: &Image) {
        let is_wanted = !self.missing.is_empty() || self.late.is_any_behind();
        self.image = is_wanted.then(|| image.clone());
    }

    /// What was applied last, if anything is missing or late.
    pub fn image(&self) -> Option<Image> {
        self.image.clone()
    }

    /// What stood in the way of some is gone: all may be tried now.
    pub fn hurry(&mut self, now: MonoMs) {
        for missing in self.missing.values_mut() {
            missing.not_before = now;
        }
    }

    /// Those to be tried now.
    pub fn due(&self, now: MonoMs) -> Vec<TopicIdPartition> {
        let due = self.missing.iter().filter(|(_, missing)| missing.not_before <= now);
        due.map(|(id, _)| *id).collect()
    }

    pub fn len(&self) -> usize {
        self.missing.len()
    }
}

/// The replica of `node` as the image has it.
pub fn local(image: &Image, node: NodeId, id: TopicIdPartition) -> Option<LocalPartition<'_>> {
    let topic = image.topics.by_id(id.topic_id)?;
    let partition = topic.partition(id.partition)?;
    partition.directory(node)?;
    Some(LocalPartition { topic, index: id.partition, partition })
}

#[cfg(test)]
mod tests {
    use base::Uuid;

    use super::*;

    const ID: TopicIdPartition =
        TopicIdPartition { topic_id: Uuid::ONE, partition: base::PartitionIndex(0) };

    #[test]
    fn pauses_grow_up_to_a_limit_and_end_with_success() {
        let mut unhosted = Unhosted::default();
        let (mut now, mut pauses) = (MonoMs(0), Vec::new());
        for n in 0..6 {
            assert_eq!(unhosted.failed(ID, n == 0, now), n == 0);
            assert!(unhosted.is_new(ID), "as at first");
            let began = now;
            while unhosted.due(now).is_empty() {
                now = now.plus_ms(500);
            }
            pauses.push(now.since(began));
        }
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 8000, 8000]);
        unhosted.failed(ID, false, now);
        assert!(unhosted.due(now).is_empty());
        unhosted.hurry(now);
        assert_eq!(unhosted.due(now), [ID]);
        unhosted.applied(&Image::default());
        assert!(unhosted.image().is_some());
        assert!(unhosted.settle(ID) && !unhosted.settle(ID));
        unhosted.applied(&Image::default());
        assert!(unhosted.image().is_none() && unhosted.due(now.plus_ms(60_000)).is_empty());
    }

    #[test]
    fn the_image_is_kept_while_a_replica_is_late() {
        let mut unhosted = Unhosted::default();
        unhosted.late.add(0, ID);
        unhosted.applied(&Image::default());
        assert!(unhosted.image().is_some());
        unhosted.late.settle(ID);
        unhosted.applied(&Image::default());
        assert!(unhosted.image().is_none());
    }
}
