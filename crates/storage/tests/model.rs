//! The log against a naive model of it: random histories of appends, rolls, truncations, deletions, flushes and
//! restarts, clean, unclean and torn.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::Offset;
use common::*;
use proptest::prelude::*;
use records::Compression;
use storage::{Log, LogConfig, LogError};

#[derive(Clone, Debug)]
enum Action {
    /// Times (relative) and lengths of the records, codec.
    Append(Vec<(i8, u8)>, Compression),
    Roll,
    Flush,
    /// The work that a log leaves: syncs and removals.
    Work,
    /// Cut at a batch's start, chosen by a fraction of the batches.
    Truncate(u8),
    /// Start over at a later offset.
    StartOver(u8),
    /// Move the log start to a fraction of the log.
    DeleteRecords(u8),
    DeleteOldSegments,
    ReopenClean,
    ReopenUnclean,
    /// A crash that loses this many bytes of the active file.
    Tear(u8),
    /// A crash that leaves these bytes after the last batch.
    Garbage(Vec<u8>),
}

fn action() -> impl Strategy<Value = Action> {
    let codec = prop::sample::select(vec![Compression::None, Compression::None, Compression::Lz4]);
    prop_oneof![
        12 => (prop::collection::vec((any::<i8>(), any::<u8>()), 1..4), codec)
            .prop_map(|(records, codec)| Action::Append(records, codec)),
        1 => Just(Action::Roll),
        1 => Just(Action::Flush),
        1 => Just(Action::Work),
        1 => any::<u8>().prop_map(Action::Truncate),
        1 => any::<u8>().prop_map(Action::StartOver),
        1 => any::<u8>().prop_map(Action::DeleteRecords),
        1 => Just(Action::DeleteOldSegments),
        1 => Just(Action::ReopenClean),
        1 => Just(Action::ReopenUnclean),
        1 => any::<u8>().prop_map(Action::Tear),
        1 => prop::collection::vec(any::<u8>(), 1..80).prop_map(Action::Garbage),
    ]
}

type Record = (i64, i64, Vec<u8>);

/// What the log should hold.
#[derive(Default)]
struct Model {
    batches: Vec<Vec<Record>>,
    start: i64,
    end: i64,
}

impl Model {
    fn records(&self) -> Vec<Record> {
        let records = self.batches.iter().flatten().filter(|(offset, ..)| *offset >= self.start);
        records.cloned().collect()
    }

    fn cut(&mut self, offset: i64) {
        self.batches.retain(|batch| batch.last().is_some_and(|(last, ..)| *last < offset));
        self.end = offset;
        self.start = self.start.min(offset);
    }
}

fn of(fraction: u8, whole: usize) -> usize {
    usize::from(fraction) * whole / 255
}

fn run(actions: Vec<Action>) {
    let mut place = Place::new(LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 64,
        segment_index_bytes: 96,
        retention_ms: -1,
        ..LogConfig::default()
    });
    let mut log = place.open();
    let mut model = Model::default();
    for (step, action) in actions.into_iter().enumerate() {
        let context = format!("step {step}: {action:?}");
        log = apply(&mut place, log, &mut model, action, step);
        compare(&log, &model, &context);
    }
}

fn apply(place: &mut Place, mut log: Log, model: &mut Model, action: Action, step: usize) -> Log {
    match action {
        Action::Append(records, codec) => {
            let values: Vec<(i64, Vec<u8>)> = records
                .iter()
                .map(|(time, len)| (NOW.0 + i64::from(*time), vec![step as u8; usize::from(*len)]))
                .collect();
            let sent: Vec<(i64, &[u8])> = values.iter().map(|(t, v)| (*t, v.as_slice())).collect();
            let mut batch =
                prepared(client_batch(&sent, codec, None), records::AppendOrigin::Client);
            let origin = records::AppendOrigin::Client;
            let info = log.append_as_leader(&mut batch, EPOCH, origin, NOW).unwrap();
            assert_eq!(info.first_offset, Offset(model.end));
            log.set_high_watermark(log.end_offset());
            let stored = values.into_iter().enumerate();
            let stored = stored.map(|(n, (time, value))| (model.end + n as i64, time, value));
            model.batches.push(stored.collect());
            model.end += records.len() as i64;
        }
        Action::Roll => drop(log.roll(NOW).unwrap()),
        Action::Flush => log.flush(NOW).unwrap(),
        Action::Work => run_work(&mut log),
        Action::Truncate(fraction) => {
            let batch = model.batches.get(of(fraction, model.batches.len()));
            let offset = batch.map_or(model.end, |batch| batch[0].0);
            // A log that begins in the middle of a batch keeps that batch only as a whole.
            if offset >= model.start {
                log.truncate_to(Offset(offset), NOW).unwrap();
                model.cut(offset);
            }
        }
        Action::StartOver(more) => {
            let offset = model.end + i64::from(more);
            log.truncate_fully_and_start_at(Offset(offset), None, NOW).unwrap();
            *model = Model { batches: Vec::new(), start: offset, end: offset };
        }
        Action::DeleteRecords(fraction) => {
            let span = (model.end - model.start) as usize;
            let start = model.start + of(fraction, span) as i64;
            log.delete_records(Offset(start)).unwrap();
            model.start = start;
        }
        Action::DeleteOldSegments => drop(log.delete_old_segments(NOW).unwrap()),
        Action::ReopenClean => log = place.reopen_clean(log),
        Action::ReopenUnclean => log = place.reopen_unclean(log),
        Action::Tear(bytes) => {
            let (base, len) = active_file(&log);
            let left = len.saturating_sub(u64::from(bytes));
            let mut position = len;
            while position > left {
                let batch = model.batches.pop().unwrap();
                position = log.position_of(Offset(batch[0].0)).unwrap().position;
            }
            let file = place.file(&format!("{base:020}.log"));
            std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(left).unwrap();
            let end = model.batches.last().map_or(base, |batch| batch.last().unwrap().0 + 1);
            let (start, end) = (model.start, end.max(base));
            log = place.reopen_unclean(log);
            // A log that ends before its start begins anew there.
            model.end = end.max(start);
            if end < start {
                model.batches.clear();
            }
        }
        Action::Garbage(bytes) => {
            let (base, len) = active_file(&log);
            let file = place.file(&format!("{base:020}.log"));
            let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &bytes, len).unwrap();
            log = place.reopen_unclean(log);
        }
    }
    log
}

fn active_file(log: &Log) -> (i64, u64) {
    let base = log.segment_base_offsets().last().unwrap().0;
    (base, log.position_of(log.end_offset()).unwrap().position)
}

fn compare(log: &Log, model: &Model, context: &str) {
    let bounds = (log.start_offset().0, log.end_offset().0);
    assert_eq!(bounds, (model.start, model.end), "{context}");
    let records = model.records();
    assert_eq!(read_all(log, model.start), records, "{context}");
    for batch in &model.batches {
        for (offset, ..) in batch.iter().filter(|(offset, ..)| *offset >= model.start) {
            let data = log.read(Offset(*offset), 1, log.end_offset(), true, false).unwrap();
            let found = records_in(&data.records.unwrap().read().unwrap());
            assert_eq!(&found, batch, "{context}: the batch of offset {offset}");
        }
    }
    let below = log.read(Offset(model.start - 1), 1, log.end_offset(), true, false);
    assert!(matches!(below, Err(LogError::OffsetOutOfRange { .. })), "{context}: {below:?}");
    let beyond = log.read(Offset(model.end + 1), 1, log.end_offset(), true, false);
    assert!(matches!(beyond, Err(LogError::OffsetOutOfRange { .. })), "{context}: {beyond:?}");
    // Deleted records at the front of a segment hide later ones from a search by time, as in Kafka.
    if log.segment_base_offsets()[0].0 == model.start {
        for time in [-200, -100, 0, 50, 127, 128] {
            let time = NOW.0 + time;
            let expected = records.iter().find(|(_, timestamp, _)| *timestamp >= time);
            let expected = expected.map(|(offset, timestamp, _)| (*timestamp, *offset));
            let found = log.offset_for_timestamp(time).unwrap();
            assert_eq!(found.map(|f| (f.timestamp, f.offset.0)), expected, "{context}: {time}");
        }
        let max = records.iter().map(|(_, timestamp, _)| *timestamp).max();
        let expected = records.iter().find(|(_, timestamp, _)| Some(*timestamp) == max);
        let expected = expected.map(|(offset, timestamp, _)| (*timestamp, *offset));
        let found = log.offset_of_max_timestamp().unwrap();
        assert_eq!(found.map(|f| (f.timestamp, f.offset.0)), expected, "{context}: max");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_behaves_as_its_model(actions in prop::collection::vec(action(), 1..60)) {
        run(actions);
    }
}
