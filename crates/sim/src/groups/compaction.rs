//! What the log cleaner may leave of a log.

use std::collections::HashMap;

use coordinator::LogRecord;

use crate::Rng;

/// Batches without some records that a later record of their key replaces. The cleaner looks at the log up to some point, goes from the
/// start of the log on, may end before that point, and drops tombstones only in the oldest part.
pub fn compacted(rng: &mut Rng, log: &[Vec<LogRecord>]) -> Vec<Vec<LogRecord>> {
    let seen_to = rng.below(log.len() as u64 + 1);
    let written_to = rng.below(seen_to + 1);
    let tombstones_to = rng.below(written_to + 1);
    let mut last: HashMap<&[u8], (u64, usize)> = HashMap::new();
    for (at, batch) in (0..seen_to).zip(log) {
        for (index, record) in batch.iter().enumerate() {
            last.insert(&record.key, (at, index));
        }
    }
    let keeps = |at: u64, index: usize, record: &LogRecord| {
        if at >= written_to {
            return true;
        }
        let is_last = last.get(&*record.key) == Some(&(at, index));
        is_last && (record.value.is_some() || at >= tombstones_to)
    };
    let mut out = Vec::new();
    for (at, batch) in (0..).zip(log) {
        let kept = batch.iter().enumerate();
        let kept = kept.filter(|(index, record)| keeps(at, *index, record));
        let kept: Vec<LogRecord> = kept.map(|(_, record)| record.clone()).collect();
        if !kept.is_empty() {
            out.push(kept);
        }
    }
    out
}
