//! Lives of compacted logs: passes of the cleaner, and what they may take away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Offset, WallMs};
use records::Batches;
use storage::dirs::CleanResult;
use storage::log::cleaning::{CleanError, CleanRequest, KeyMap, clean};

use crate::checks::{After, Verdict, ensure};
use crate::life::Life;
use crate::reference::Batch;
use crate::script::Told;
use crate::starts::Found;

/// What a pass has seen does not become old within a life.
const DELETE_RETENTION_MS: i64 = 1_000_000;

/// A record: offset, leader epoch, producer, key, value. A marker has no key.
pub type Row = (i64, i32, i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// The records of a batch, and its marker.
pub fn rows(batch: &Batch) -> Vec<Row> {
    let row =
        |offset, key: Option<Vec<u8>>, value| (offset, batch.epoch, batch.producer, key, value);
    if let Some(marker) = batch.marker {
        return vec![row(batch.base, None, Some(format!("{marker:?}").into_bytes()))];
    }
    let mut found = Vec::new();
    for read in Batches::new(&batch.bytes) {
        let mut buffer = Vec::new();
        for record in read.unwrap().records(&mut buffer, 1 << 20).unwrap() {
            let record = record.unwrap();
            let bytes = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            found.push(row(record.offset.0, bytes(record.key), bytes(record.value)));
        }
    }
    found
}

impl Life {
    /// What is older than a newer one of its key, or was aborted, may go: all that the pass could know of.
    pub fn expect_cleaning(&mut self) {
        let until = self.log(|log| log.dirt(WallMs(i64::MAX)).unwrap().0.first_uncleanable);
        let history = &self.told.history;
        let aborted = aborted(history);
        let below = history.iter().filter(|batch| batch.last < until);
        let mut newest = BTreeMap::new();
        let mut candidates = Vec::new();
        for batch in below {
            for (offset, _, _, key, _) in rows(batch) {
                match key {
                    Some(_) if aborted.contains(&batch.base) => candidates.push((offset, None)),
                    Some(key) => {
                        newest.insert(key.clone(), offset);
                        candidates.push((offset, Some(key)));
                    }
                    None => {}
                }
            }
        }
        let removable = Arc::make_mut(&mut self.told.removable);
        for (offset, key) in candidates {
            if key.as_ref().is_none_or(|key| newest[key] > offset) {
                removable.insert(offset, key);
            }
        }
        self.told.cleaned = self.told.cleaned.max(until);
    }

    /// A pass as the broker's cleaner does it.
    pub fn clean(&mut self, mut steps: u64, now: WallMs) {
        let Some(grabbed) = self.manager.grab_filthiest(now) else { return };
        let request = CleanRequest {
            first_dirty: Offset(grabbed.dirt.first_dirty),
            first_uncleanable: Offset(grabbed.dirt.first_uncleanable),
            now,
            delete_retention_ms: DELETE_RETENTION_MS,
        };
        let mut map = KeyMap::new(1 << 12, 1.0, [3, 4]);
        let mut pace = |_| {
            steps = steps.saturating_sub(1);
            steps > 0
        };
        let mut swapped = || self.manager.run_work(&grabbed.entry, now);
        let log = &grabbed.entry.log;
        let result = match clean(log, &request, &mut map, &mut pace, &mut swapped) {
            Ok(stats) => CleanResult::Upto(stats.upto),
            Err(CleanError::Cancelled | CleanError::Changed) => CleanResult::Void,
            Err(CleanError::Log(fault)) => panic!("{fault}"),
        };
        self.manager.cleaned(&grabbed, result, now);
    }
}

/// First offsets of the batches of aborted transactions.
fn aborted(history: &[Arc<Batch>]) -> BTreeSet<i64> {
    let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut aborted = BTreeSet::new();
    for batch in history.iter().filter(|batch| batch.transactional) {
        match batch.marker {
            None => open.entry(batch.producer).or_default().push(batch.base),
            Some((commit, _)) => {
                let ended = open.remove(&batch.producer).unwrap_or_default();
                aborted.extend(ended.into_iter().filter(|_| !commit));
            }
        }
    }
    aborted
}

/// Every record is one that was appended, offsets and epochs rise, and what is missing had to give way to a newer record of
/// its key that is there, or was aborted.
pub fn only_what_may_go_is_gone(after: &After<'_>) -> Verdict {
    let mut left = BTreeSet::new();
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let (mut last, mut epoch) = (-1, i32::MIN);
    for batch in &after.found.served {
        let rises = batch.base > last && batch.last >= batch.base && batch.epoch >= epoch;
        ensure(rises, || {
            format!("{} of epoch {} follows {last}, {epoch}", batch.base, batch.epoch)
        })?;
        let rewritten = !after.record.given.contains(&batch.bytes);
        for row in rows(batch) {
            ensure(!rewritten || after.record.rows.contains(&row), || {
                format!("{row:?} was never appended")
            })?;
            let inside = (batch.base..=batch.last).contains(&row.0) && left.insert(row.0);
            ensure(inside, || format!("{row:?} in the batch {} to {}", batch.base, batch.last))?;
            newest.extend(row.3.map(|key| (key, row.0)));
        }
        (last, epoch) = (batch.last, batch.epoch);
    }
    let (start, end) = (after.found.start, after.found.end);
    let bases = &after.found.segments;
    // As in Kafka, the lost end of a segment is not told from what a cleaner took.
    let lost = |offset: i64| {
        let next = left.range(offset..).next().copied().unwrap_or(end);
        offset >= after.told.promised && bases.iter().any(|base| *base > offset && *base <= next)
    };
    for offset in (start..end).filter(|offset| !left.contains(offset) && !lost(*offset)) {
        let why = after.told.removable.get(&offset);
        ensure(why.is_some(), || format!("offset {offset} of {start} to {end} is missing"))?;
        let key = why.and_then(Option::as_ref);
        ensure(key.is_none_or(|key| newest.get(key).is_some_and(|at| *at > offset)), || {
            let key = key.map(|key| String::from_utf8_lossy(key));
            format!("offset {offset} is gone, and {key:?} has no newer record: {newest:?}")
        })?;
    }
    Ok(())
}

/// What was flushed is of the branch that it was of.
pub fn flushed_is_there(after: &After<'_>) -> Verdict {
    let (start, promised) = (after.found.start, after.told.promised);
    for batch in
        after.found.served.iter().filter(|batch| batch.last >= start && batch.base < promised)
    {
        let mut known = after.told.history.iter();
        let known = known.find(|known| (known.base..=known.last).contains(&batch.base));
        ensure(known.is_some_and(|known| known.epoch == batch.epoch), || {
            format!("the flushed batch at {} is another", batch.base)
        })?;
    }
    Ok(())
}

/// The history with what is served in its place: what a cleaner took is still known. What is neither here nor had to go was
/// lost.
pub fn merged<'a>(told: &'a Told, found: &'a Found) -> Vec<&'a Batch> {
    let mut whole: BTreeMap<i64, &Batch> = BTreeMap::new();
    let gone = |batch: &Batch| {
        let mut offsets = batch.base..=batch.last;
        offsets.all(|offset| told.removable.contains_key(&offset))
    };
    let history = told.history.iter().filter(|batch| batch.last < found.end);
    for batch in history.filter(|batch| batch.last < found.start || gone(batch)) {
        whole.insert(batch.base, batch);
    }
    for batch in &found.served {
        let before = whole.range(..=batch.last).rev();
        let overlapped: Vec<i64> =
            before.map_while(|(base, known)| (known.last >= batch.base).then_some(*base)).collect();
        for base in overlapped {
            whole.remove(&base);
        }
        whole.insert(batch.base, batch);
    }
    whole.into_values().collect()
}

/// The last batches of a producer were lost before they were flushed: those before may have given way to newer records, since
/// only the last one of a producer is kept for its sake.
pub fn has_lost(after: &After<'_>, producer: i64) -> bool {
    let unflushed =
        |batch: &&Arc<Batch>| batch.producer == producer && batch.last >= after.told.promised;
    let mut unflushed = after.told.history.iter().filter(unflushed);
    unflushed.any(|batch| after.found.served.iter().all(|served| served.base != batch.base))
}
