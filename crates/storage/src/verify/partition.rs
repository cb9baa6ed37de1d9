//! One partition's directory: its files by their names, its segments in order, its small files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base::{TopicId, TopicPartition};

use super::finding::{At, Check, Finding, Findings, Severity};
use super::replay::Replay;
use super::segment::{Present, Segment};
use super::{InspectRecord, Options, Totals};
use crate::dirs::partition_metadata;
use crate::disk::{Disk, FileInfo, OpenMode};
use crate::log::epochs::read_entries;
use crate::log::{EpochEntry, LogError, names, producers};
use crate::pool::FileKind;

/// A snapshot of producers larger than this is none.
const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

/// What is known of a log before it is read.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub name: TopicPartition,
    pub dir: PathBuf,
    pub log_start: i64,
    pub recovery_point: i64,
    /// Stopped cleanly: what is in memory only was written.
    pub clean: bool,
    /// A process has the directory open; what it writes is seen half.
    pub in_use: bool,
    /// A cleaner has been here, or is told to be.
    pub compacted: bool,
    /// Every record must have a key.
    pub keys: bool,
    /// Headers and checksums only.
    pub quick: bool,
    /// The quorum's own log.
    pub is_metadata: bool,
}

/// What a look at a log came to.
#[derive(Debug, Default)]
pub(super) struct LogReport {
    pub findings: Vec<Finding>,
    pub totals: Totals,
    /// First offset and the offset after the last batch; `None` when the log's end is lost.
    pub range: Option<(i64, i64)>,
    pub topic_id: Option<TopicId>,
}

/// A walk over one log.
pub(super) struct LogWalk<'a> {
    pub disk: &'a dyn Disk,
    pub dir: &'a Path,
    pub place: &'a Place,
    pub inspect_record: InspectRecord<'a>,
    pub findings: Findings,
    pub totals: Totals,
    pub replay: Replay,
    /// Of the checkpoint; `None` when it cannot be read.
    pub epochs: Option<Vec<EpochEntry>>,
    /// The offset that follows, as far as it is known.
    pub next: Option<i64>,
    /// The largest offset so far.
    pub last: i64,
    pub epoch: i32,
    /// The last thing that was read was a good batch.
    pub end_known: bool,
    pub was_compacted: bool,
    /// For decompressed records.
    pub buffer: Vec<u8>,
    snapshots: BTreeMap<i64, PathBuf>,
}

/// Looks at everything in a partition's directory.
pub(super) fn look_at(disk: &dyn Disk, place: &Place, options: &Options<'_>) -> LogReport {
    let mut walk = LogWalk {
        disk,
        dir: &place.dir,
        place,
        inspect_record: options.inspect_record,
        findings: Findings::default(),
        totals: Totals { logs: 1, ..Totals::default() },
        replay: Replay::new(&place.name, place.log_start, place.compacted),
        epochs: None,
        next: None,
        last: -1,
        epoch: -1,
        end_known: true,
        was_compacted: place.compacted,
        buffer: Vec::new(),
        snapshots: BTreeMap::new(),
    };
    match disk.list(&place.dir) {
        Ok(files) => walk.run(files, options),
        Err(error) => {
            walk.unreadable(&place.dir, &error);
            walk.report(None, None)
        }
    }
}

impl LogWalk<'_> {
    fn run(mut self, files: Vec<FileInfo>, options: &Options<'_>) -> LogReport {
        self.totals.files = files.len() as u64;
        let segments = self.sort(files, options);
        let topic_id = self.topic_id();
        self.read_epochs(!segments.is_empty());
        let first = segments.first().map(|segment| segment.base_offset);
        self.begin(first);
        let mut told = 0;
        for segment in &segments {
            self.check_present(segment);
            if self.next.is_none() && self.end_known {
                self.next = Some(segment.base_offset);
            } else if self.next.is_some_and(|next| next != segment.base_offset) {
                self.segment_gap(segment);
            }
            self.segment(segment);
            options.progress.add_bytes(self.totals.bytes.saturating_sub(told));
            told = self.totals.bytes;
        }
        let end = self.end_known.then(|| self.next.or(first).unwrap_or(0));
        if let Some(end) = end {
            self.compare_snapshots(end);
            self.check_last_epoch(end);
        }
        self.snapshots_behind(end);
        if self.was_compacted {
            // A cleaner leaves holes; whether these are its own cannot be told.
            if !self.place.compacted {
                self.findings.soften(Check::LogGaps, Severity::Note);
            }
        }
        if self.replay.has_given_up() {
            let text = "more producers than are compared";
            self.findings.note(Check::Skipped, self.dir, At::FILE, text);
        }
        self.report(first.zip(end), topic_id)
    }

    fn report(self, range: Option<(i64, i64)>, topic_id: Option<TopicId>) -> LogReport {
        let findings = self.findings.into_all();
        LogReport { findings, totals: self.totals, range, topic_id }
    }

    pub fn unreadable(&mut self, path: &Path, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound && self.place.in_use {
            // Its owner has removed it in the meantime.
            return;
        }
        self.findings.damage(Check::Unreadable, path, At::FILE, error.to_string());
    }

    /// Tells the files apart by their names.
    fn sort(&mut self, files: Vec<FileInfo>, options: &Options<'_>) -> Vec<Segment> {
        let mut segments: BTreeMap<i64, Present> = BTreeMap::new();
        for file in files {
            let path = self.dir.join(&file.name);
            let name = file.name.as_str();
            if let Some((base_offset, kind)) = names::parse_segment_file(name) {
                let present = segments.entry(base_offset).or_default();
                match kind {
                    FileKind::Log => present.log = true,
                    FileKind::OffsetIndex => present.offset_index = true,
                    FileKind::TimeIndex => present.time_index = true,
                    FileKind::TxnIndex => present.txn_index = true,
                }
            } else if let Some(offset) =
                name.strip_suffix(names::SNAPSHOT_SUFFIX).and_then(|digits| digits.parse().ok())
            {
                self.snapshots.insert(offset, path);
            } else if [names::EPOCH_CHECKPOINT, partition_metadata::FILE_NAME].contains(&name) {
            } else if let Some(result) = (options.inspect)(&path) {
                if let Err(text) = result
                    && (!self.place.in_use || path.exists())
                {
                    self.findings.damage(Check::Quorum, &path, At::FILE, text);
                }
            } else {
                self.other(&path, name, file.len);
            }
        }
        let last = segments.iter().filter(|(_, present)| present.log).map(|(base, _)| *base).max();
        let mut found = Vec::new();
        for (base_offset, present) in segments {
            if present.log {
                let is_last = Some(base_offset) == last;
                found.push(Segment { base_offset, present, is_last });
            } else if !self.place.in_use {
                let path = self.dir.join(names::segment_file(base_offset, FileKind::Log));
                let text = "there are index files without a log";
                self.findings.repairable(Check::Missing, &path, At::FILE, text);
            }
        }
        if found.is_empty() && !self.place.in_use {
            self.findings.note(Check::Missing, self.dir, At::FILE, "there is no segment");
        }
        found
    }

    fn other(&mut self, path: &Path, name: &str, len: u64) {
        let kinds = [
            (names::DELETED_SUFFIX, "waits to be removed"),
            (names::CLEANED_SUFFIX, "a cleaner has not finished it; the next start removes it"),
            (names::SWAP_SUFFIX, "takes the place of other segments at the next start"),
            (".tmp", "was being written"),
            (".part", "was being written"),
        ];
        match kinds.into_iter().find(|(suffix, _)| name.ends_with(suffix)) {
            Some((_, what)) if !self.place.in_use => {
                self.findings.note(Check::Leftover, path, At::FILE, format!("{what}; {len} bytes"));
            }
            Some(_) => {}
            None => self.findings.note(Check::Unknown, path, At::FILE, "nobody knows this file"),
        }
    }

    fn topic_id(&mut self) -> Option<TopicId> {
        if self.place.is_metadata {
            return None;
        }
        let path = self.dir.join(partition_metadata::FILE_NAME);
        match partition_metadata::read_topic_id(self.disk, self.dir) {
            Ok(Some(id)) => Some(id),
            Ok(None) => {
                let text =
                    "there is no topic id: Apache Kafka would set the log aside as a stray one";
                self.findings.damage(Check::PartitionMetadata, &path, At::FILE, text);
                None
            }
            Err(fault) => {
                let text = fault.to_string();
                self.findings.damage(Check::PartitionMetadata, &path, At::FILE, text);
                None
            }
        }
    }

    fn read_epochs(&mut self, has_log: bool) {
        let path = self.dir.join(names::EPOCH_CHECKPOINT);
        match read_entries(self.disk, self.dir) {
            Ok(entries) => {
                let there = entries.is_some();
                let entries = entries.unwrap_or_default();
                let rises = entries.windows(2).all(|pair| match pair {
                    [a, b] => a.epoch < b.epoch && a.start_offset < b.start_offset,
                    _ => true,
                });
                if !rises {
                    let text = "its epochs and offsets do not rise";
                    self.findings.damage(Check::LeaderEpochs, &path, At::FILE, text);
                } else if there || has_log {
                    self.epochs = Some(entries);
                }
            }
            Err(fault @ LogError::Io { .. }) => {
                self.findings.damage(Check::Unreadable, &path, At::FILE, fault.to_string());
            }
            Err(fault) => {
                self.findings.damage(Check::LeaderEpochs, &path, At::FILE, fault.to_string());
            }
        }
    }

    fn check_last_epoch(&mut self, end: i64) {
        let Some(entry) = self.epochs.as_ref().and_then(|epochs| epochs.last()).copied() else {
            return;
        };
        if entry.start_offset.0 > end && !self.place.in_use {
            let path = self.dir.join(names::EPOCH_CHECKPOINT);
            let text = format!(
                "epoch {} begins at {}, the log ends at {end}",
                entry.epoch, entry.start_offset
            );
            self.findings.repairable(Check::LeaderEpochs, &path, At::FILE, text);
        }
    }

    fn check_present(&mut self, segment: &Segment) {
        if self.place.in_use && segment.is_last {
            return;
        }
        let kinds = [
            (FileKind::OffsetIndex, segment.present.offset_index),
            (FileKind::TimeIndex, segment.present.time_index),
        ];
        for (kind, present) in kinds {
            if !present {
                let path = self.dir.join(names::segment_file(segment.base_offset, kind));
                let text = "it is missing; the next start builds it";
                self.findings.repairable(Check::Missing, &path, At::FILE, text);
            }
        }
    }

    fn segment_gap(&mut self, segment: &Segment) {
        let Some(next) = self.next else { return };
        let path = self.dir.join(names::segment_file(segment.base_offset, FileKind::Log));
        if segment.base_offset < next {
            let text = format!("the segment before goes up to offset {}", next - 1);
            self.findings.damage(Check::LogOffsets, &path, At::FILE, text);
            self.next = None;
        } else if !self.place.compacted {
            let text = format!("the offsets {next} to {} are missing", segment.base_offset - 1);
            self.findings.damage(Check::LogGaps, &path, At::FILE, text);
            self.next = Some(segment.base_offset);
        }
    }

    /// What the producers are before the first segment.
    fn begin(&mut self, first: Option<i64>) {
        let Some(first) = first else { return };
        if first == 0 {
            return self.replay.begin(Vec::new());
        }
        if let Some(Ok(entries)) = self.snapshot(first) {
            self.replay.begin(entries);
        }
    }

    /// The content of a snapshot; `None` when there is no such file.
    fn snapshot(
        &mut self,
        offset: i64,
    ) -> Option<Result<Vec<(i64, producers::ProducerEntry)>, String>> {
        let path = self.snapshots.get(&offset)?.clone();
        let read = || -> io::Result<Vec<u8>> {
            let file = self.disk.open(&path, OpenMode::ReadOnly)?;
            let len = file.len()?;
            if len > SNAPSHOT_BYTES_MAX {
                return Ok(Vec::new());
            }
            let mut bytes = vec![0; len as usize];
            let read = file.read_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => {
                self.totals.bytes += bytes.len() as u64;
                Some(producers::decode_snapshot(&bytes).map(Iterator::collect))
            }
            Err(error) => {
                self.unreadable(&path, &error);
                None
            }
        }
    }

    /// Compares the snapshots up to an offset with what the log gives there.
    pub fn compare_snapshots(&mut self, until: i64) {
        while let Some((offset, path)) = self.snapshots.first_key_value() {
            let (offset, path) = (*offset, path.clone());
            if offset > until {
                break;
            }
            let content = self.snapshot(offset);
            self.snapshots.remove(&offset);
            match content {
                None => {}
                Some(Err(reason)) => {
                    self.findings.repairable(Check::ProducerSnapshot, &path, At::FILE, reason);
                }
                // Where the log has no record at this place, what was between is not known.
                Some(Ok(_)) if self.next.is_none() && self.last >= 0 => {}
                Some(Ok(entries)) => {
                    for text in self.replay.compare(&entries) {
                        self.findings.repairable(Check::ProducerSnapshot, &path, At::FILE, text);
                    }
                }
            }
        }
    }

    fn snapshots_behind(&mut self, end: Option<i64>) {
        for offset in self.snapshots.keys().copied().collect::<Vec<_>>() {
            let Some(path) = self.snapshots.get(&offset).cloned() else { continue };
            if let Some(Err(reason)) = self.snapshot(offset) {
                self.findings.repairable(Check::ProducerSnapshot, &path, At::FILE, reason);
            } else if let Some(end) = end.filter(|_| !self.place.in_use) {
                let text = format!("it is of offset {offset}, the log ends at {end}");
                self.findings.repairable(Check::ProducerSnapshot, &path, At::FILE, text);
            }
        }
    }
}
