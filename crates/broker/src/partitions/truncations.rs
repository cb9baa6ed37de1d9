//! Recovery points that have fallen and stand higher on disk: until they are written down again, a crash would make the next
//! start trust what is written below them.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counts truncations, and knows up to which of them recovery points are written down.
#[derive(Default)]
pub struct Truncations {
    count: AtomicU64,
    written: AtomicU64,
    writing: Mutex<()>,
}

impl Truncations {
    /// A log was cut below its recovery point.
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    /// There are some that are not written down yet.
    pub fn is_due(&self) -> bool {
        self.written.load(Ordering::Acquire) < self.count.load(Ordering::Acquire)
    }

    /// Writes with `write` unless there is nothing new; waits for who is writing. It blocks.
    pub fn settle(&self, write: impl FnOnce()) {
        let _writing = self.writing.lock();
        let count = self.count.load(Ordering::Acquire);
        if self.written.load(Ordering::Acquire) < count {
            write();
            self.written.store(count, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_truncations_are_written_down_together_and_once() {
        let truncations = Truncations::default();
        let mut writes = 0;
        truncations.settle(|| writes += 1);
        assert_eq!((truncations.is_due(), writes), (false, 0));
        truncations.add();
        truncations.add();
        assert!(truncations.is_due());
        truncations.settle(|| writes += 1);
        truncations.settle(|| writes += 1);
        assert_eq!((truncations.is_due(), writes), (false, 1));
        truncations.add();
        truncations.settle(|| truncations.add());
        assert!(truncations.is_due(), "one that came while others were written counts");
    }
}
