//! State that follows from the records: the image with what is quick to look up beside it.

use std::sync::Arc;

use base::{NodeId, Offset};
use metadata::{Committed, Delta, Image, ReplayError, Transaction};
use protocol::metadata_records::MetadataRecord;
use rpds::RedBlackTreeMapSync;

use crate::topics::names::{has_collision_chars, unify_collision_chars};

/// The state up to the last record appended, committed or not. O(1) to clone.
///
/// Which partitions a broker leads or holds in sync is found by walking all partitions: only a change of a broker's
/// life asks for it, and an index would cost more memory than all else here.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) image: Image,
    /// Topics whose names hold `.` or `_`, by the name with all of them as `_`, and then by name.
    collisions: RedBlackTreeMapSync<(Arc<str>, Arc<str>), ()>,
    /// Where the registration of each broker stands in the log: it must have read that far to be unfenced.
    registrations: RedBlackTreeMapSync<NodeId, Offset>,
}

impl Tip {
    pub(crate) fn new(image: Image) -> Self {
        let mut tip = Self {
            image: image.clone(),
            collisions: RedBlackTreeMapSync::new_sync(),
            registrations: RedBlackTreeMapSync::new_sync(),
        };
        for topic in image.topics.iter() {
            tip.add_name(&topic.name);
        }
        for id in image.cluster.brokers.keys() {
            tip.registrations.insert_mut(*id, image.provenance.offset);
        }
        tip
    }

    /// An earlier state than `after`: what is known of registrations that both have stays.
    fn going_back(image: Image, after: &Self) -> Self {
        let mut tip = Self::new(image);
        let end = tip.image.provenance.offset;
        for id in tip.image.cluster.brokers.keys() {
            let known = after.registrations.get(id).filter(|offset| **offset <= end);
            if let Some(offset) = known {
                tip.registrations.insert_mut(*id, *offset);
            }
        }
        tip
    }

    /// The same image and the same beside it. Where the registrations stand may differ: who lost records, or loaded a
    /// snapshot, knows only before which offset they do.
    fn agrees_with(&self, other: &Self) -> bool {
        self.image.same_state(&other.image)
            && self.collisions == other.collisions
            && self.registrations.keys().eq(other.registrations.keys())
    }

    /// Whose registration stands at which offset of the log.
    pub(crate) fn registration_offset(&self, broker: NodeId) -> Offset {
        self.registrations.get(&broker).copied().unwrap_or(Offset::NONE)
    }

    /// An existing topic whose name differs from `name` in nothing but dots and underscores.
    pub(crate) fn colliding_topic(&self, name: &str) -> Option<&str> {
        if !has_collision_chars(name) {
            return None;
        }
        let unified = unify_collision_chars(name);
        let first: (Arc<str>, Arc<str>) = (unified.as_str().into(), Arc::from(""));
        let ((found, topic), ()) = self.collisions.range(first..).next()?;
        (**found == *unified).then_some(&**topic)
    }

    fn add_name(&mut self, name: &Arc<str>) {
        if has_collision_chars(name) {
            self.collisions.insert_mut((unify_collision_chars(name).into(), Arc::clone(name)), ());
        }
    }

    pub(crate) fn replay(
        &mut self,
        record: &MetadataRecord<'_>,
        offset: Offset,
    ) -> Result<(), ReplayError> {
        let removed = match record {
            MetadataRecord::RemoveTopic(r) => {
                self.image.topics.by_id(r.topic_id).map(|topic| topic.name.clone())
            }
            _ => None,
        };
        self.image.replay(record, &mut Delta::default())?;
        match record {
            MetadataRecord::Topic(r) => self.add_name(&Arc::from(&*r.name)),
            MetadataRecord::RegisterBroker(r) => {
                self.registrations.insert_mut(NodeId(r.broker_id), offset)
            }
            MetadataRecord::UnregisterBroker(r) => {
                self.registrations.remove_mut(&NodeId(r.broker_id));
            }
            _ => {}
        }
        if let Some(name) = removed {
            self.collisions.remove_mut(&(unify_collision_chars(&name).into(), name));
        }
        Ok(())
    }
}

/// The tip with the way back out of an open metadata transaction.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tip: Tip,
    transaction: Transaction<Tip>,
}

impl State {
    pub(crate) fn new(committed: Committed) -> Self {
        Self::from(committed, Tip::new)
    }

    fn from(committed: Committed, tip: impl Fn(Image) -> Tip) -> Self {
        let transaction = committed
            .before_transaction
            .map_or_else(Transaction::default, |before| Transaction::opened(tip(before)));
        Self { tip: tip(committed.image), transaction }
    }

    /// Goes back to what is committed.
    pub(crate) fn reset(&mut self, committed: Committed) {
        let before = self.tip.clone();
        *self = Self::from(committed, |image| Tip::going_back(image, &before));
    }

    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let before = (self.transaction.saved(), other.transaction.saved());
        let same_transaction = match before {
            (Some(own), Some(other)) => own.agrees_with(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        same_transaction && self.tip.agrees_with(&other.tip)
    }

    /// The state that an abort of an open transaction leads to; without one the tip.
    pub(crate) fn settled(&self) -> &Tip {
        self.transaction.saved().unwrap_or(&self.tip)
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_open()
    }

    pub(crate) fn replay(
        &mut self,
        record: &MetadataRecord<'_>,
        offset: Offset,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction(_) => self.transaction.begin(self.tip.clone())?,
            MetadataRecord::EndTransaction(_) => drop(self.transaction.finish()?),
            MetadataRecord::AbortTransaction(_) => self.tip = self.transaction.finish()?,
            record => self.tip.replay(record, offset)?,
        }
        self.tip.image.provenance.offset = offset;
        Ok(())
    }
}
