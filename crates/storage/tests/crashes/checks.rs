//! What must hold after a crash, each as a function with a name.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use base::LeaderEpoch;
use simdisk::{Loss, SimDisk};

use crate::compacted::{self, has_lost, merged};
use crate::reference::{self, Batch};
use crate::script::{Record, Told};
use crate::starts::{Files, Found, Started, Starts, State};

pub type Verdict = Result<(), String>;

/// What a start after a crash has found, and what was told before.
pub struct After<'a> {
    pub record: &'a Record,
    pub told: &'a Told,
    pub found: &'a Found,
    /// The batches of the whole history, and those that the files hold.
    pub histories: [Vec<&'a Batch>; 2],
    /// What each of them leads to.
    pub states: [reference::State; 2],
}

impl<'a> After<'a> {
    fn new(record: &'a Record, told: &'a Told, found: &'a Found) -> Self {
        let left: Vec<&Batch> = found.served.iter().collect();
        let whole = if record.world.kind.compacted {
            merged(told, found)
        } else {
            let first = found.first_left();
            let before = told.history.iter().map(AsRef::as_ref);
            before.filter(|batch| batch.last < first).chain(left.iter().copied()).collect()
        };
        let histories = [whole, left];
        let states =
            [0, 1].map(|which: usize| reference::State::after(histories[which].iter().copied()));
        Self { record, told, found, histories, states }
    }

    fn is_compacted(&self) -> bool {
        self.record.world.kind.compacted
    }
}

pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(reason()) }
}

/// Batches below the last flush, those that were not deleted, are as they were.
pub fn everything_flushed_is_there(after: &After<'_>) -> Verdict {
    let (start, end, promised) = (after.found.start, after.found.end, after.told.promised);
    ensure(end >= promised, || format!("ends at {end}, {promised} was flushed"))?;
    if after.is_compacted() {
        return compacted::flushed_is_there(after);
    }
    let promised = |batch: &&Batch| batch.last >= start && batch.last < promised;
    for batch in after.told.history.iter().map(AsRef::as_ref).filter(promised) {
        // Whatever is served lies in order.
        let served = &after.found.served;
        let place = served.binary_search_by_key(&batch.base, |served| served.base);
        if place.map(|slot| &served[slot]) != Ok(batch) {
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
    for batch in &after.found.served {
        let known = after.record.given.contains(&batch.bytes);
        ensure(known, || format!("the batch at {} was never appended", batch.base))?;
        let follows = next.is_none_or(|next| next == batch.base);
        ensure(follows, || format!("{} follows {next:?}", batch.base))?;
        ensure(batch.epoch >= epoch, || {
            format!("epoch {} at {} follows epoch {epoch}", batch.epoch, batch.base)
        })?;
        (next, epoch) = (Some(batch.last + 1), batch.epoch);
    }
    let end = after.found.end;
    let served_end = next.unwrap_or(after.found.start);
    ensure(served_end == end, || format!("served up to {served_end}, the log's end is {end}"))
}

/// Neither before what was written down nor beyond what was asked for.
pub fn log_start_agrees(after: &After<'_>) -> Verdict {
    let start = after.found.start;
    let (least, most) = (after.told.start_least, after.told.start_most);
    ensure((least..=most).contains(&start), || {
        format!("the log starts at {start}, not in {least}..={most}")
    })
}

/// Each offset has the epoch of its batch, and no epoch begins where nothing is. The epochs of deleted records may be gone
/// before their bytes are.
pub fn epochs_agree(after: &After<'_>) -> Verdict {
    for (batch, looked_up) in after.found.served.iter().zip(&after.found.epochs_of) {
        for (offset, epoch) in looked_up {
            let deleted = epoch.is_none() && *offset < after.told.start_most;
            ensure(deleted || *epoch == Some(LeaderEpoch(batch.epoch)), || {
                format!("epoch of {offset}: {epoch:?}, its batch says {}", batch.epoch)
            })?;
        }
    }
    let (start, end) = (after.found.start, after.found.end);
    // A log with nothing in it keeps the epoch of what was deleted last.
    let beyond = |offset: i64| offset > end || offset == end && start != end;
    let beyond = after.found.epochs.iter().find(|entry| beyond(entry.start_offset.0));
    ensure(beyond.is_none(), || format!("{beyond:?} in a log that ends at {end}"))
}

/// Each producer is as the history leaves it, the whole or what an earlier recovery found of it; none is made up, and none is
/// forgotten whose batches are there.
pub fn producers_agree(after: &After<'_>) -> Verdict {
    let first_left = after.found.first_left();
    let [whole, _] = &after.states;
    for producer in &after.found.producers {
        let id = producer.producer_id.0;
        let found = reference::Producer {
            epoch: producer.producer_epoch.0,
            coordinator_epoch: producer.coordinator_epoch,
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp,
            open_since: producer.txn_start_offset.map(|offset| offset.0),
        };
        if whole.producers.get(&id) == Some(&found) {
            continue;
        }
        let told_by = |batches: &[&Batch]| {
            let deleted = batches.partition_point(|batch| batch.base < first_left);
            (0..=deleted).any(|from| {
                let state = reference::State::after(batches[from..].iter().copied());
                state.producers.get(&id) == Some(&found)
            })
        };
        let [whole, left] = [0, 1].map(|which: usize| -> Vec<&Batch> {
            let batches = after.histories[which].iter().copied();
            batches.filter(|batch| batch.producer == id).collect()
        });
        // A compacted log may end beyond what it lost: of what was not flushed any part may be known.
        let flushed = whole.partition_point(|batch| batch.last < after.told.promised);
        let lost = || {
            let a_part = || (flushed..whole.len()).any(|to| told_by(&whole[..to]));
            // Or what a snapshot knew, and from there on what is left.
            let with_rest = |known: &[&Batch]| {
                let seam = known.last().map_or(-1, |batch| batch.last);
                let rest = left.iter().filter(|batch| batch.base > seam);
                told_by(&known.iter().chain(rest).copied().collect::<Vec<_>>())
            };
            let a_snapshot = || (0..=whole.len()).any(|to| with_rest(&whole[..to]));
            after.is_compacted() && (a_part() || has_lost(after, id) && a_snapshot())
        };
        ensure(told_by(&whole) || lost(), || {
            let expected = after.states[0].producers.get(&id);
            format!("producer {id} is {found:?}, not {expected:?}")
        })?;
    }
    let active = &after.found.producers;
    for id in after.states[1].producers.keys() {
        ensure(active.iter().any(|producer| producer.producer_id.0 == *id), || {
            format!("producer {id} is forgotten")
        })?;
    }
    Ok(())
}

/// Every aborted transaction that a reader can meet is in the index, and nothing else.
pub fn transaction_index_agrees(after: &After<'_>) -> Verdict {
    let [whole, left] = [0, 1].map(|which: usize| &after.states[which].aborted);
    let found = &after.found.aborted;
    // A copy may have begun in the midst of it; or the end of the one before is in a hole.
    let rest = |txn: &reference::Aborted| {
        let began = |batch: &&Batch| batch.producer == txn.0 && batch.base == txn.1;
        let lost = after.is_compacted() && has_lost(after, txn.0);
        let of_copy =
            |known: &reference::Aborted| after.record.world.kind.moving && known.1 < txn.1;
        let ends_so = |known: &&reference::Aborted| known.0 == txn.0 && known.2 == txn.2;
        whole.iter().filter(ends_so).any(|known| lost || of_copy(known))
            && after.histories[0].iter().any(began)
    };
    for txn in found {
        ensure(whole.contains(txn) || left.contains(txn) || rest(txn), || {
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
    let missing = left.iter().find(|txn| txn.2 >= after.found.start && !covered(txn));
    ensure(missing.is_none(), || format!("{missing:?} is missing in the index"))
}

/// Below the first open transaction, and not before it.
pub fn stable_offset_agrees(after: &After<'_>) -> Verdict {
    let (start, found) = (after.found.start, after.found.first_unstable);
    let expected = [0, 1].map(|which: usize| {
        let producers = after.states[which].producers.values();
        let first = producers.filter_map(|producer| producer.open_since).min();
        first.map(|first| first.max(start))
    });
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

/// How thoroughly one crash is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth {
    /// Crash again after every operation of the recovery.
    pub second_crash: bool,
    /// With every kind of loss.
    pub all_losses: bool,
}

/// The crashes of one life. The same files after the same that was told are looked at once.
pub struct Crashes<'a> {
    record: &'a Record,
    starts: Starts<'a>,
    passed: HashSet<(State, usize)>,
    done: HashMap<(State, usize), Depth>,
}

impl<'a> Crashes<'a> {
    pub fn new(record: &'a Record) -> Self {
        let starts = Starts::new(&record.world);
        Self { record, starts, passed: HashSet::new(), done: HashMap::new() }
    }

    /// Starts that were made.
    pub fn starts(&self) -> usize {
        self.starts.made
    }

    /// All checks for one crash: the start after it, one more start, and a crash in the midst of the first. `told` is the place
    /// of what was told in the record.
    pub fn check(&mut self, crashed: SimDisk, told: usize, depth: Depth) -> Verdict {
        let assigned = self.record.told[told].2.assigned;
        let crashed = Files::new(crashed, assigned);
        let key = (crashed.state, told);
        if self.done.get(&key).is_some_and(|done| *done >= depth) {
            return Ok(());
        }
        let first = self.check_start(&crashed, told)?;
        let again =
            self.check_start(&first.left, told).map_err(|e| format!("second start: {e}"))?;
        let [digest, again] = [&first, &again].map(|start| start.digest());
        // A directory that holds nothing yet may only now get its first file.
        ensure(again == digest, || format!("recovered twice: {digest:?}, then {again:?}"))?;
        if depth.second_crash {
            self.check_second_crashes(&crashed, told, depth)?;
        }
        self.starts.goes_on(&first.left)?;
        self.done.insert(key, depth);
        Ok(())
    }

    fn check_second_crashes(&mut self, crashed: &Files, told: usize, depth: Depth) -> Verdict {
        for (n, photo) in self.starts.photos(crashed)?.into_iter().enumerate() {
            let losses = Loss::every(n as u64);
            let some = [losses[n % losses.len()]];
            let losses: &[Loss] = if depth.all_losses { &losses } else { &some };
            for loss in losses {
                let crashed = Files::new(photo.after_crash(*loss), crashed.state.1);
                self.check_start(&crashed, told).map_err(|reason| {
                    format!("crash after {} of the recovery, {loss:?}: {reason}", photo.what)
                })?;
            }
        }
        Ok(())
    }

    /// Starts on what a crash has left and checks it.
    fn check_start(&mut self, crashed: &Files, told: usize) -> Result<Rc<Started>, String> {
        let started = self.starts.on(crashed)?;
        if !self.passed.insert((crashed.state, told)) {
            return Ok(started);
        }
        let told = &self.record.told[told].2;
        let Some(found) = &started.found else {
            ensure(!told.exists, || "the partition is gone".into())?;
            return Ok(started);
        };
        let after = After::new(self.record, told, found);
        for (name, check) in CHECKS {
            check(&after).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(started)
    }
}
