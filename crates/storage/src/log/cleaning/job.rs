//! A pass over the segments of a log, without its lock: first the keys of the dirty section, then group by group what
//! stays.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Offset, WallMs};
use records::AnyBatch;

use super::filter::{Filter, Rules, control_type};
use super::group::{Extent, Limits, group};
use super::keymap::{KeyHash, KeyMap, TOGETHER};
use super::output::Output;
use super::txns::TxnScan;
use super::{CleanError, CleanRequest, CleanStats, Pace};
use crate::disk::DiskFile;
use crate::log::error::{LogError, Result};
use crate::log::files::LogFiles;
use crate::log::scan::Whole;
use crate::log::txn_index::TxnIndex;
use crate::log::{AbortedTxn, LogConfig};
use crate::pool::FileKind;

/// Bytes between two looks at the pace.
const STEP_BYTES: u64 = 256 << 10;

/// A segment as it was when the pass began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub extent: Extent,
    pub modified: WallMs,
}

/// What the log gives to a pass.
pub(super) struct Prepared {
    pub name: String,
    pub files: LogFiles,
    pub config: Arc<LogConfig>,
    pub sources: Vec<Source>,
    /// The transaction indexes of all segments with their base offsets, later ones included.
    pub txn_indexes: Vec<(i64, TxnIndex)>,
    pub rewrites: u64,
}

/// One pass; see [`super::clean`].
pub(in crate::log) struct CleanJob {
    request: CleanRequest,
    given: Prepared,
    groups: VecDeque<Vec<Source>>,
    filter: Filter,
    legacy_horizon_ms: i64,
    stats: CleanStats,
}

/// A group of segments and what takes their place.
pub(super) struct CleanedGroup {
    pub output: Output,
    pub replaced: Vec<Extent>,
    /// The logs of those segments.
    pub logs: Vec<Arc<dyn DiskFile>>,
    pub rewrites: u64,
}

impl CleanJob {
    pub(super) fn new(request: CleanRequest, given: Prepared, rules: Rules) -> Self {
        let before = |source: &&Source| source.extent.base_offset < request.first_dirty.0;
        let clean = given.sources.iter().take_while(before).last();
        let legacy_horizon_ms =
            clean.map_or(0, |last| last.modified.0.saturating_sub(request.delete_retention_ms));
        let stats = CleanStats::begin(request.first_dirty);
        let filter = Filter::new(rules);
        Self { request, given, groups: VecDeque::new(), filter, legacy_horizon_ms, stats }
    }

    /// Topic and partition, as in messages.
    pub fn name(&self) -> &str {
        &self.given.name
    }

    /// What has been done so far.
    pub fn stats(&self) -> CleanStats {
        self.stats
    }

    /// Where what is cleaned ends.
    pub(super) fn until(&self) -> Offset {
        self.request.first_uncleanable
    }

    /// Up to where all lies that the pass goes by: the newest records, and the markers of what was aborted.
    pub(super) fn goes_by(&self) -> Result<Offset, CleanError> {
        let until = self.until();
        let aborted = self.aborted(0, until.0)?;
        let markers = aborted.iter().map(|txn| Offset(txn.last_offset.saturating_add(1)));
        Ok(markers.fold(until, Offset::max))
    }

    pub(super) fn rewrites(&self) -> u64 {
        self.given.rewrites
    }

    pub(super) fn files(&self) -> &LogFiles {
        &self.given.files
    }

    /// Reads the dirty section into the map, as much of it as has room: there the clean part of the log will end.
    pub fn build_map(
        &mut self,
        map: &mut KeyMap,
        pace: &mut dyn Pace,
    ) -> Result<Offset, CleanError> {
        let (start, end) = (self.request.first_dirty.0, self.request.first_uncleanable.0);
        map.start(u64::try_from(end.saturating_sub(start)).unwrap_or(0));
        let first = self.given.sources.partition_point(|s| s.extent.base_offset <= start);
        let first = first.saturating_sub(1);
        let mut txns = TxnScan::default();
        txns.add(self.aborted(start, end)?);
        let sources: Vec<Extent> =
            self.given.sources.iter().skip(first).map(|source| source.extent).collect();
        for source in sources {
            if self.map_segment(&source, &mut txns, map, pace)? {
                break;
            }
            map.set_latest(source.end_offset.saturating_sub(1));
        }
        let upto = Offset(map.latest().saturating_add(1));
        self.stats.upto = upto;
        self.stats.map_utilization = map.utilization();
        self.group_up_to(upto);
        Ok(upto)
    }

    /// Tells whether the map is full.
    fn map_segment(
        &mut self,
        source: &Extent,
        txns: &mut TxnScan,
        map: &mut KeyMap,
        pace: &mut dyn Pace,
    ) -> Result<bool, CleanError> {
        let start = self.request.first_dirty.0;
        let max_bytes = self.given.config.max_decompressed_message_bytes as usize;
        let mut buffer = Vec::new();
        let mut full = false;
        let (files, stats) = (&self.given.files, &mut self.stats);
        walk(files, source, pace, |batch| {
            let read = take_keys(batch, start, txns, map, &mut buffer, max_bytes)?;
            stats.map_bytes_read += batch.size() as u64;
            stats.map_records_read += read.records;
            full = read.full;
            Ok(Step { written: 0, more: !full })
        })?;
        Ok(full)
    }

    fn group_up_to(&mut self, upto: Offset) {
        let below = |source: &&Source| source.extent.base_offset < upto.0;
        let sources: Vec<Source> = self.given.sources.iter().take_while(below).copied().collect();
        let extents: Vec<Extent> = sources.iter().map(|source| source.extent).collect();
        let limits = Limits {
            bytes: self.given.config.segment_bytes.into(),
            index_bytes: self.given.config.segment_index_bytes.into(),
        };
        let mut rest = sources.into_iter();
        self.groups = group(&extents, limits)
            .into_iter()
            .map(|len| rest.by_ref().take(len).collect())
            .collect();
    }

    /// Cleans the next group into a new segment; `None` after the last.
    pub(super) fn clean_next(
        &mut self,
        map: &KeyMap,
        pace: &mut dyn Pace,
    ) -> Result<Option<CleanedGroup>, CleanError> {
        let Some(group) = self.groups.pop_front() else { return Ok(None) };
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(None) };
        let (base_offset, modified) = (first.extent.base_offset, last.modified);
        let now = self.request.now;
        let config = Arc::clone(&self.given.config);
        let mut output = Output::create(&self.given.files, &config, base_offset, now)?;
        for source in &group {
            self.copy(source, map, &mut output, pace)?;
        }
        output.finish(modified)?;
        self.stats.segments_read += group.len();
        self.stats.segments_written += 1;
        let replaced: Vec<Extent> = group.iter().map(|source| source.extent).collect();
        // After the swap they are not found under their names any more.
        let open = |old: &Extent| self.given.files.open(old.base_offset, FileKind::Log);
        let logs = replaced.iter().filter_map(|old| open(old).ok()).collect();
        Ok(Some(CleanedGroup { output, replaced, logs, rewrites: self.given.rewrites }))
    }

    fn copy(
        &mut self,
        source: &Source,
        map: &KeyMap,
        output: &mut Output,
        pace: &mut dyn Pace,
    ) -> Result<(), CleanError> {
        let extent = &source.extent;
        let aborted = self.aborted(extent.base_offset, extent.end_offset)?;
        self.filter.txns.add(aborted);
        let legacy_deletes_stay = source.modified.0 > self.legacy_horizon_ms;
        let (files, filter, stats) = (&self.given.files, &mut self.filter, &mut self.stats);
        walk(files, extent, pace, |batch| {
            let from = output.buffer().len();
            let done = filter.filter(batch, map, legacy_deletes_stay, output.buffer())?;
            let kept = output.added(from)?;
            stats.bytes_read += batch.size() as u64;
            stats.bytes_written += kept;
            stats.records_read += done.records_read;
            stats.records_written += done.records_kept;
            stats.keyless_records += done.keyless;
            if let Some(txn) = &done.aborted {
                output.push_aborted(txn)?;
            }
            let written = if output.is_due() { output.write()? } else { 0 };
            Ok(Step { written, more: true })
        })?;
        let written = output.write()?;
        if !pace.pass(written) {
            return Err(CleanError::Cancelled);
        }
        Ok(())
    }

    /// The aborted transactions that overlap `from..until`, wherever their markers lie.
    fn aborted(&self, from: i64, until: i64) -> Result<Vec<AbortedTxn>, CleanError> {
        let indexes = &self.given.txn_indexes;
        let first = indexes.partition_point(|(base_offset, _)| *base_offset <= from);
        let mut found = Vec::new();
        for (_, index) in indexes.iter().skip(first.saturating_sub(1)) {
            if index.collect(&self.given.files, from, until, &mut found).map_err(gone)? {
                break;
            }
        }
        Ok(found)
    }
}

/// What a visitor of [`walk`] says.
struct Step {
    /// Bytes that were written.
    written: u64,
    more: bool,
}

/// Why a visitor of [`walk`] cannot go on.
enum Fault {
    /// The batch is not what it should be.
    Batch(String),
    Log(LogError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Batch(reason)
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Shows the batches of a segment in their order, each with its checksum checked.
fn walk(
    files: &LogFiles,
    source: &Extent,
    pace: &mut dyn Pace,
    mut visit: impl FnMut(&AnyBatch<'_>) -> Result<Step, Fault>,
) -> Result<(), CleanError> {
    let mut batches = Whole::new(files, source.base_offset, 0, source.bytes);
    let mut passed = 0;
    let mut last = source.base_offset.saturating_sub(1);
    loop {
        let position = batches.position();
        let visited = batches.next(|batch| {
            check(batch, source, &mut last)?;
            visit(batch).map(|step| (step, batch.size() as u64))
        });
        let corrupt = |reason| LogError::Corrupt {
            path: files.path(source.base_offset, crate::pool::FileKind::Log),
            position,
            reason,
        };
        let (step, size) = match visited.map_err(gone)? {
            Ok(Some(Ok(step))) => step,
            Ok(Some(Err(Fault::Batch(reason)))) => return Err(corrupt(reason).into()),
            Ok(Some(Err(Fault::Log(error)))) => return Err(error.into()),
            Ok(None) => break,
            Err(broken) => {
                return Err(broken.into_error(files, source.base_offset, position).into());
            }
        };
        passed += size + step.written;
        if passed >= STEP_BYTES && !pace.pass(std::mem::take(&mut passed)) {
            return Err(CleanError::Cancelled);
        }
        if !step.more {
            break;
        }
    }
    if pace.pass(passed) { Ok(()) } else { Err(CleanError::Cancelled) }
}

/// A batch that may stand at this place.
fn check(batch: &AnyBatch<'_>, source: &Extent, last: &mut i64) -> Result<(), Fault> {
    batch.check_crc().map_err(|fault| fault.to_string())?;
    let first_offset = batch.v2().map_or(batch.last_offset().0, |header| header.base_offset.0);
    let last_offset = batch.last_offset().0;
    if first_offset <= *last || last_offset < first_offset || last_offset >= source.end_offset {
        let last = *last;
        return Err(Fault::Batch(format!(
            "a batch with the offsets {first_offset} to {last_offset} follows offset {last} in the segment from {} to {}",
            source.base_offset, source.end_offset
        )));
    }
    *last = last_offset;
    Ok(())
}

/// What was read of a batch for the map.
struct KeysRead {
    records: u64,
    full: bool,
}

fn take_keys(
    batch: &AnyBatch<'_>,
    start: i64,
    txns: &mut TxnScan,
    map: &mut KeyMap,
    buffer: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<KeysRead, Fault> {
    let text = |fault: records::RecordsError| fault.to_string();
    let (producer_id, last) = (batch.producer_id().0, batch.last_offset().0);
    let mut records = 0;
    if batch.is_control() {
        let _fate = txns.on_control(last, producer_id, control_type(batch).map_err(text)?);
        records = 1;
    } else if txns.on_data(last, producer_id, batch.is_transactional()) {
        records = batch.v2().and_then(|header| u64::try_from(header.count).ok()).unwrap_or(0);
    } else if last >= start {
        let mut rest = batch.records(buffer, max_bytes).map_err(text)?;
        let mut found: Vec<(Option<KeyHash>, i64)> = Vec::with_capacity(TOGETHER);
        loop {
            found.clear();
            for record in rest.by_ref().take(TOGETHER) {
                let record = record.map_err(text)?;
                let key = record.key.filter(|_| record.offset.0 >= start);
                found.push((key.map(|key| map.hash(key)), record.offset.0));
            }
            map.warm(found.iter().filter_map(|(key, _)| *key));
            for (key, offset) in &found {
                if key.is_some_and(|key| !map.insert(key, *offset)) {
                    return Ok(KeysRead { records, full: true });
                }
                records += 1;
            }
            if found.is_empty() {
                break;
            }
        }
    }
    if last >= start {
        map.set_latest(last);
    }
    Ok(KeysRead { records, full: false })
}

/// A file that is not there any more was removed with its segment: the log has changed.
fn gone(error: LogError) -> CleanError {
    match error {
        LogError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            CleanError::Changed
        }
        other => other.into(),
    }
}
