//! Committed offsets, and those of transactions that are still open.

use std::sync::Arc;

use base::{ProducerId, Uuid};
use rpds::RedBlackTreeMapSync;

/// Group, topic, partition.
pub type Place = (Arc<str>, Arc<str>, i32);

/// What was committed for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub offset: i64,
    /// Of the record before `offset`; -1 when not told.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub commit_ms: i64,
    /// The end that an old client asked for; otherwise the broker's retention rules.
    pub expire_ms: Option<i64>,
    /// Zero when not known.
    pub topic_id: Uuid,
}

type ByPlace<V> = RedBlackTreeMapSync<Place, V>;

/// With the offset of its record: within a transaction and after it, the later record wins.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    committed: Committed,
    record_offset: i64,
}

/// Persistent: cloning costs nothing.
#[derive(Clone, Debug)]
pub struct Offsets {
    committed: ByPlace<Entry>,
    /// By producer, what its open transaction would commit.
    pending: RedBlackTreeMapSync<ProducerId, ByPlace<Entry>>,
    /// How many open transactions would commit a place.
    open: ByPlace<u32>,
}

impl Default for Offsets {
    fn default() -> Self {
        Self {
            committed: RedBlackTreeMapSync::new_sync(),
            pending: RedBlackTreeMapSync::new_sync(),
            open: RedBlackTreeMapSync::new_sync(),
        }
    }
}

impl PartialEq for Offsets {
    fn eq(&self, other: &Self) -> bool {
        self.committed == other.committed
            && self.pending == other.pending
            && self.open == other.open
    }
}

impl Offsets {
    pub fn get(&self, place: &Place) -> Option<&Committed> {
        self.committed.get(place).map(|entry| &entry.committed)
    }

    /// An open transaction would change it.
    pub fn is_pending(&self, place: &Place) -> bool {
        self.open.contains_key(place)
    }

    /// All of a group, by topic and partition.
    pub fn of_group<'a>(
        &'a self,
        group: &'a Arc<str>,
    ) -> impl Iterator<Item = (&'a Place, &'a Committed)> + 'a {
        let from: Place = (Arc::clone(group), Arc::from(""), i32::MIN);
        let entries = self.committed.range(from..).take_while(move |(place, _)| place.0 == *group);
        entries.map(|(place, entry)| (place, &entry.committed))
    }

    /// All, by group, topic and partition.
    pub fn all(&self) -> impl Iterator<Item = (&Place, &Committed)> {
        self.committed.iter().map(|(place, entry)| (place, &entry.committed))
    }

    /// What open transactions would commit, by producer.
    pub fn all_pending(&self) -> impl Iterator<Item = (&Place, &Committed)> {
        let all = self.pending.values().flat_map(|own| own.iter());
        all.map(|(place, entry)| (place, &entry.committed))
    }

    /// Places of a group that open transactions would change.
    pub fn pending_of_group<'a>(
        &'a self,
        group: &'a Arc<str>,
    ) -> impl Iterator<Item = &'a Place> + 'a {
        let from: Place = (Arc::clone(group), Arc::from(""), i32::MIN);
        let places = self.open.range(from..).map(|(place, _)| place);
        places.take_while(move |place| place.0 == *group)
    }

    pub(crate) fn put(&mut self, place: Place, committed: Committed, record_offset: i64) {
        self.committed.insert_mut(place, Entry { committed, record_offset });
    }

    /// A commit inside of a transaction.
    pub(crate) fn put_pending(
        &mut self,
        producer: ProducerId,
        place: Place,
        committed: Committed,
        record_offset: i64,
    ) {
        if !self.pending.contains_key(&producer) {
            self.pending.insert_mut(producer, RedBlackTreeMapSync::new_sync());
        }
        let Some(own) = self.pending.get_mut(&producer) else { return };
        if !own.contains_key(&place) {
            let others = self.open.get(&place).copied().unwrap_or(0);
            self.open.insert_mut(place.clone(), others + 1);
        }
        own.insert_mut(place, Entry { committed, record_offset });
    }

    /// A tombstone: also for what open transactions would bring back.
    pub(crate) fn remove(&mut self, place: &Place) {
        self.committed.remove_mut(place);
        if !self.open.remove_mut(place) {
            return;
        }
        let holds =
            |(id, own): (&ProducerId, &ByPlace<Entry>)| own.contains_key(place).then_some(*id);
        let producers: Vec<ProducerId> = self.pending.iter().filter_map(holds).collect();
        for producer in producers {
            if let Some(own) = self.pending.get_mut(&producer) {
                own.remove_mut(place);
                if own.is_empty() {
                    self.pending.remove_mut(&producer);
                }
            }
        }
    }

    /// The end of a producer's transaction.
    pub(crate) fn end_transaction(&mut self, producer: ProducerId, commit: bool) {
        let Some(own) = self.pending.get(&producer).cloned() else { return };
        self.pending.remove_mut(&producer);
        for (place, entry) in own.iter() {
            match self.open.get(place).copied() {
                Some(others) if others > 1 => self.open.insert_mut(place.clone(), others - 1),
                _ => {
                    self.open.remove_mut(place);
                }
            }
            let newer =
                self.committed.get(place).is_none_or(|now| now.record_offset < entry.record_offset);
            if commit && newer {
                self.committed.insert_mut(place.clone(), entry.clone());
            }
        }
    }
}
