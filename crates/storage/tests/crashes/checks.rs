//! What must hold after a crash, each as a function with a name.

use std::sync::Arc;

use base::{LeaderEpoch, Offset};
use records::AppendOrigin;
use simdisk::{Loss, SimDisk};
use storage::dirs::LogManager;
use storage::log::AbortedTxn;
use storage::{Disk, Log};

use crate::common::{NOW, client_batch, idempotent, prepared};
use crate::compacted::{self, has_lost, merged};
use crate::life::served;
use crate::reference::{self, Batch, State};
use crate::script::{Record, Told};
use crate::world::partition;

pub type Verdict = Result<(), String>;

/// A disk, started on after a crash.
pub struct After<'a> {
    pub record: &'a Record,
    pub told: &'a Told,
    pub log: &'a Log,
    pub served: Vec<Batch>,
}

impl After<'_> {
    fn is_compacted(&self) -> bool {
        self.record.world.kind.compacted
    }
}

pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(reason()) }
}

/// Batches below the last flush, those that were not deleted, are as they were.
pub fn everything_flushed_is_there(after: &After<'_>) -> Verdict {
    let (start, promised) = (after.log.start_offset().0, after.told.promised);
    let end = after.log.end_offset().0;
    ensure(end >= promised, || format!("ends at {end}, {promised} was flushed"))?;
    if after.is_compacted() {
        return compacted::flushed_is_there(after);
    }
    for batch in &after.told.history {
        if batch.last >= start && batch.last < promised && !after.served.contains(batch) {
            return Err(format!("the flushed batch at {} is gone or different", batch.base));
        }
    }
    Ok(())
}

/// Every batch is one that was appended, at its place, without gaps, and no older epoch follows a newer one.
pub fn nothing_invalid_is_served(after: &After<'_>) -> Verdict {
    if after.is_compacted() {
        return compacted::only_what_may_go_is_gone(after);
    }
    let mut next = None;
    let mut epoch = i32::MIN;
    for batch in &after.served {
        let known = after.record.given.contains(&batch.bytes);
        ensure(known, || format!("the batch at {} was never appended", batch.base))?;
        let follows = next.is_none_or(|next| next == batch.base);
        ensure(follows, || format!("{} follows {next:?}", batch.base))?;
        ensure(batch.epoch >= epoch, || {
            format!("epoch {} at {} follows epoch {epoch}", batch.epoch, batch.base)
        })?;
        (next, epoch) = (Some(batch.last + 1), batch.epoch);
    }
    let end = after.log.end_offset().0;
    let served_end = next.unwrap_or_else(|| after.log.start_offset().0);
    ensure(served_end == end, || format!("served up to {served_end}, the log's end is {end}"))
}

/// Neither before what was written down nor beyond what was asked for.
pub fn log_start_agrees(after: &After<'_>) -> Verdict {
    let start = after.log.start_offset().0;
    let (least, most) = (after.told.start_least, after.told.start_most);
    ensure((least..=most).contains(&start), || {
        format!("the log starts at {start}, not in {least}..={most}")
    })
}

/// Each offset has the epoch of its batch, and no epoch begins where nothing is. The epochs of deleted records may be gone
/// before their bytes are.
pub fn epochs_agree(after: &After<'_>) -> Verdict {
    for batch in &after.served {
        let from = batch.base.max(after.log.start_offset().0);
        for offset in [from, batch.last] {
            let epoch = after.log.epoch_for_offset(Offset(offset));
            let deleted = epoch.is_none() && offset < after.told.start_most;
            ensure(deleted || epoch == Some(LeaderEpoch(batch.epoch)), || {
                format!("epoch of {offset}: {epoch:?}, its batch says {}", batch.epoch)
            })?;
        }
    }
    let end = after.log.end_offset();
    // A log with nothing in it keeps the epoch of what was deleted last.
    let is_empty = after.log.start_offset() == end;
    let beyond = |offset: Offset| offset > end || offset == end && !is_empty;
    let beyond = after.log.epochs().iter().find(|entry| beyond(entry.start_offset));
    ensure(beyond.is_none(), || format!("{beyond:?} in a log that ends at {end}"))
}

/// The batches of the whole history, and those that the files hold.
fn histories(after: &After<'_>) -> [Vec<Batch>; 2] {
    if after.is_compacted() {
        return [merged(after), after.served.clone()];
    }
    let first = first_left(after);
    let before = after.told.history.iter().filter(|batch| batch.last < first);
    let whole = before.map(|batch| (**batch).clone()).chain(after.served.iter().cloned());
    [whole.collect(), after.served.clone()]
}

/// The first offset that the files hold.
fn first_left(after: &After<'_>) -> i64 {
    after.served.first().map_or(after.log.end_offset().0, |batch| batch.base)
}

/// Each producer is as the history leaves it, the whole or what an earlier recovery found of it; none is made up, and none is
/// forgotten whose batches are there.
pub fn producers_agree(after: &After<'_>) -> Verdict {
    let [whole, left] = histories(after);
    let active = after.log.active_producers();
    for producer in &active {
        let id = producer.producer_id.0;
        let found = reference::Producer {
            epoch: producer.producer_epoch.0,
            coordinator_epoch: producer.coordinator_epoch,
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp,
            open_since: producer.txn_start_offset.map(|offset| offset.0),
        };
        let told_by = |batches: &[Batch]| {
            let deleted = batches.partition_point(|batch| batch.base < first_left(after));
            (0..=deleted)
                .any(|from| State::after(&batches[from..]).producers.get(&id) == Some(&found))
        };
        // A compacted log may end beyond what it lost: of what was not flushed any part may be known.
        let flushed = whole.partition_point(|batch| batch.last < after.told.promised);
        let lost = || {
            let a_part = || (flushed..whole.len()).any(|to| told_by(&whole[..to]));
            after.is_compacted() && (a_part() || has_lost(after, id) && told_by(&left))
        };
        ensure(told_by(&whole) || lost(), || {
            let expected = State::after(&whole).producers.remove(&id);
            format!("producer {id} is {found:?}, not {expected:?}")
        })?;
    }
    let left = State::after(&left);
    for id in left.producers.keys() {
        ensure(active.iter().any(|producer| producer.producer_id.0 == *id), || {
            format!("producer {id} is forgotten")
        })?;
    }
    Ok(())
}

/// Every aborted transaction that a reader can meet is in the index, and nothing else.
pub fn transaction_index_agrees(after: &After<'_>) -> Verdict {
    let (start, end) = (after.log.start_offset(), after.log.end_offset());
    let [whole, left] = histories(after).map(|batches| State::after(&batches).aborted);
    let found = after.log.aborted_transactions(start, end).map_err(|error| error.to_string())?;
    let found: Vec<reference::Aborted> = found
        .iter()
        .map(|AbortedTxn { producer_id, first_offset, last_offset, .. }| {
            (producer_id.0, *first_offset, *last_offset)
        })
        .collect();
    for txn in &found {
        ensure(whole.contains(txn) || left.contains(txn), || {
            format!("{txn:?} is in the index and was not aborted: {whole:?}, {left:?}")
        })?;
        ensure(found.iter().filter(|other| *other == txn).count() == 1, || {
            format!("{txn:?} is twice in the index")
        })?;
    }
    // One that began in what is deleted may still be known whole.
    let covered = |txn: &reference::Aborted| {
        found.iter().any(|known| known.0 == txn.0 && known.1 <= txn.1 && known.2 == txn.2)
    };
    let missing = left.iter().find(|txn| txn.2 >= start.0 && !covered(txn));
    ensure(missing.is_none(), || format!("{missing:?} is missing in the index"))
}

/// Below the first open transaction, and not before it.
pub fn stable_offset_agrees(after: &After<'_>) -> Verdict {
    let [whole, left] = histories(after).map(|batches| {
        let state = State::after(&batches);
        state.producers.values().filter_map(|producer| producer.open_since).min()
    });
    let found = after.log.first_unstable_offset().map(|offset| offset.0);
    let start = after.log.start_offset().0;
    let expected = [whole, left].map(|first| first.map(|first| first.max(start)));
    ensure(expected.contains(&found), || {
        format!("the first open transaction begins at {found:?}, not at one of {expected:?}")
    })
}

const CHECKS: [(&str, fn(&After<'_>) -> Verdict); 7] = [
    ("everything flushed is there", everything_flushed_is_there),
    ("nothing invalid is served", nothing_invalid_is_served),
    ("log start agrees", log_start_agrees),
    ("epochs agree", epochs_agree),
    ("producers agree", producers_agree),
    ("transaction index agrees", transaction_index_agrees),
    ("stable offset agrees", stable_offset_agrees),
];

/// Everything that a log tells of itself.
fn digest(log: &Log) -> String {
    let mut producers = log.active_producers();
    producers.sort_by_key(|producer| producer.producer_id);
    format!(
        "{} to {}, {:?}, {:?}, {:?}, segments {:?}",
        log.start_offset(),
        log.end_offset(),
        log.epochs(),
        producers,
        log.aborted_transactions(log.start_offset(), log.end_offset()).map_err(|e| e.to_string()),
        log.segment_base_offsets(),
    )
}

fn start(disk: &Arc<dyn Disk>, record: &Record, told: &Told) -> Result<LogManager, String> {
    let started = record.world.start(disk, told.assigned);
    started.map_err(|error| format!("it does not start: {error}"))
}

/// Starts on what a crash has left and checks it; gives the digest of the log, `None` without one.
fn check_start(
    disk: &Arc<dyn Disk>,
    record: &Record,
    told: &Told,
) -> Result<Option<String>, String> {
    let manager = start(disk, record, told)?;
    let failures = manager.take_failures();
    ensure(failures.is_empty(), || format!("{failures:?}"))?;
    let Some(entry) = manager.get(&partition()) else {
        ensure(!told.exists, || "the partition is gone".into())?;
        return Ok(None);
    };
    let mut log = entry.log.write();
    let end = log.end_offset();
    log.set_high_watermark(end);
    let after = After { record, told, log: &log, served: served(&log)? };
    for (name, check) in CHECKS {
        check(&after).map_err(|reason| format!("{name}: {reason}"))?;
    }
    Ok(Some(digest(&log)))
}

/// It goes on: a new batch is taken at the log's end, and its repetition is seen to be one.
fn goes_on(disk: &Arc<dyn Disk>, record: &Record, told: &Told) -> Verdict {
    let manager = start(disk, record, told)?;
    let Some(entry) = manager.get(&partition()) else { return Ok(()) };
    let mut log = entry.log.write();
    let end = log.end_offset();
    for duplicate in [false, true] {
        let bytes =
            client_batch(&[(NOW.0, b"after")], records::Compression::None, idempotent(99, 0, 0));
        let mut batch = prepared(bytes, AppendOrigin::Client);
        let epoch = LeaderEpoch(1000);
        let info = log
            .append_as_leader(&mut batch, epoch, AppendOrigin::Client, NOW)
            .map_err(|error| error.to_string())?;
        let as_expected = info.first_offset == end && info.duplicate == duplicate;
        ensure(as_expected, || format!("{info:?} at {end}"))?;
    }
    let last = served(&log)?.pop().map(|batch| batch.base);
    ensure(last == Some(end.0), || format!("the last batch is at {last:?}"))
}

/// How thoroughly one crash is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Crash again after every operation of the recovery.
    pub second_crash: bool,
    /// With every kind of loss.
    pub all_losses: bool,
}

/// All checks for one crash: the start after it, one more start, and a crash in the midst of the first.
pub fn check(
    crashed: &SimDisk,
    record: &Record,
    told: &Told,
    depth: Depth,
) -> Result<usize, String> {
    let mut starts = 0;
    let mut run = |disk: &SimDisk| {
        starts += 1;
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        check_start(&disk, record, told)
    };
    let first = crashed.after_crash(Loss::None);
    if depth.second_crash {
        first.take_photos();
    }
    let digest = run(&first)?;
    let again = run(&first.after_crash(Loss::None)).map_err(|e| format!("second start: {e}"))?;
    // A directory that holds nothing yet may only now get its first file.
    ensure(again == digest, || format!("recovered twice: {digest:?}, then {again:?}"))?;
    for (n, photo) in first.photos().into_iter().enumerate() {
        let seed = n as u64;
        let losses = Loss::every(seed);
        let some = [losses[n % losses.len()]];
        let losses: &[Loss] = if depth.all_losses { &losses } else { &some };
        for loss in losses {
            run(&photo.after_crash(*loss)).map_err(|reason| {
                format!("crash after {} of the recovery, {loss:?}: {reason}", photo.what)
            })?;
        }
    }
    let last: Arc<dyn Disk> = Arc::new(first.after_crash(Loss::None));
    goes_on(&last, record, told)?;
    Ok(starts + 1)
}
