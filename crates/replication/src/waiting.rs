//! Requests that wait for an offset, as data: a produce with acks=all waits for the high watermark to reach its last record's
//! end.

use std::collections::BTreeMap;

use base::{MonoMs, Offset};

/// What waits at one partition. `T` names the waiting request.
#[derive(Debug)]
pub struct Waiting<T> {
    by_offset: BTreeMap<(Offset, u64), (T, MonoMs)>,
    next_id: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { by_offset: BTreeMap::new(), next_id: 0 }
    }
}

impl<T> Waiting<T> {
    pub fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_offset.len()
    }

    /// Parks `waiter` until the watermark reaches `required`, at most until `deadline`.
    pub fn park(&mut self, required: Offset, deadline: MonoMs, waiter: T) {
        self.by_offset.insert((required, self.next_id), (waiter, deadline));
        self.next_id += 1;
    }

    /// Takes those that `high_watermark` satisfies, in the order of their offsets.
    pub fn release(&mut self, high_watermark: Offset) -> Vec<T> {
        let rest = self.by_offset.split_off(&(high_watermark.plus(1), 0));
        let due = std::mem::replace(&mut self.by_offset, rest);
        due.into_values().map(|(waiter, _)| waiter).collect()
    }

    /// Takes those whose deadline has come.
    pub fn expire(&mut self, now: MonoMs) -> Vec<T> {
        let due = self.by_offset.extract_if(.., |_, (_, deadline)| *deadline <= now);
        due.map(|(_, (waiter, _))| waiter).collect()
    }

    /// Takes all: the partition is no longer led here.
    pub fn drain(&mut self) -> Vec<T> {
        std::mem::take(&mut self.by_offset).into_values().map(|(waiter, _)| waiter).collect()
    }
}
