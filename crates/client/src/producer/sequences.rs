//! The sequence numbers of one partition: with them a server stores a batch once that is sent twice.
//!
//! An epoch's numbers have no gaps. When one is certain, because a server refused a batch for good or misses the one before,
//! the producer goes on under its next epoch, from zero. As long as the fate of a batch is unknown nothing new may leave:
//! under another epoch the server could not tell that it has those behind it already.

use base::{ProducerEpoch, ProducerId};
use records::batch::increment_sequence;

/// Who a producer is to the servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

impl Identity {
    /// The same producer in its next epoch; None when there is none left.
    pub fn bumped(self) -> Option<Self> {
        let epoch = self.epoch.0.checked_add(1)?;
        Some(Self { epoch: ProducerEpoch(epoch), ..self })
    }
}

/// Where one partition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sequences {
    /// Whose numbers they are; the producer's own may be newer while batches of this one are not answered.
    pub(super) identity: Option<Identity>,
    next: i32,
    last_acknowledged: Option<i32>,
    unresolved: bool,
    gap: bool,
}

impl Sequences {
    /// Counts from zero, for this one.
    pub(super) fn of(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    /// The first number of a batch of so many records.
    pub(super) fn assign(&mut self, records: i32) -> i32 {
        let first = self.next;
        self.next = increment_sequence(first, records);
        first
    }

    pub(super) fn acknowledged(&mut self, first: i32, records: i32) {
        self.last_acknowledged = Some(increment_sequence(first, records - 1));
    }

    /// A batch was given up whose fate nobody knows.
    pub(super) fn lost_sight(&mut self) {
        self.unresolved = true;
    }

    pub(super) fn found_gap(&mut self) {
        self.gap = true;
    }

    pub(super) const fn has_gap(&self) -> bool {
        self.gap
    }

    /// Whether a batch that never left may leave.
    pub(super) const fn open(&self) -> bool {
        !self.unresolved && !self.gap
    }

    /// All batches are answered or given up: now it shows whether the server has all. True when a gap came to light.
    pub(super) fn settle(&mut self) -> bool {
        if !self.unresolved {
            return false;
        }
        self.unresolved = false;
        let expected = self.last_acknowledged.map_or(0, |last| increment_sequence(last, 1));
        self.gap |= expected != self.next;
        self.gap
    }
}
