//! One segment: its batches one after another, and beside them what the indexes, epochs and producers say.

use std::io;
use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset};
use records::{AnyBatch, BatchHeader};

use super::batch::{self, Contents};
use super::finding::{At, Check};
use super::indexes::{Indexed, OffsetRows, Rows, TimeRows};
use super::partition::LogWalk;
use super::reader::{Batches, Step};
use super::txns::{Marker, TxnRows};
use crate::disk::OpenMode;
use crate::log::head::BatchHead;
use crate::log::names::segment_file;
use crate::pool::FileKind;

/// Which files of a segment are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present {
    pub log: bool,
    pub offset_index: bool,
    pub time_index: bool,
    pub txn_index: bool,
}

/// What is known of the segment beside its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub base_offset: i64,
    pub present: Present,
    /// The one that is written to.
    pub is_last: bool,
}

/// The files of a segment while it is walked over.
struct Files {
    path: PathBuf,
    offsets: OffsetRows,
    times: TimeRows,
    txns: TxnRows,
    /// Every batch so far could be read.
    all_known: bool,
}

impl LogWalk<'_> {
    /// Walks over a segment.
    pub fn segment(&mut self, segment: &Segment) {
        let path = self.dir.join(segment_file(segment.base_offset, FileKind::Log));
        if let Err(error) = self.try_segment(segment, &path) {
            self.unreadable(&path, &error);
            self.replay.lost_track();
        }
    }

    fn try_segment(&mut self, segment: &Segment, path: &Path) -> io::Result<()> {
        let base = segment.base_offset;
        let file = self.disk.open(path, OpenMode::ReadOnly)?;
        let len = file.len()?;
        self.totals.bytes += len;
        let mut files = Files {
            path: path.to_path_buf(),
            offsets: OffsetRows::new(
                self.rows(base, FileKind::OffsetIndex, segment.present.offset_index)?,
                base,
                &mut self.findings,
            ),
            times: TimeRows::new(
                self.rows(base, FileKind::TimeIndex, segment.present.time_index)?,
                base,
                &mut self.findings,
            ),
            txns: TxnRows::new(
                self.rows(base, FileKind::TxnIndex, segment.present.txn_index)?,
                base,
                &mut self.findings,
            ),
            all_known: true,
        };
        let may_be_open = segment.is_last && !self.place.clean;
        let mut batches = Batches::new(file, len);
        let mut step = batches.next()?;
        loop {
            let torn = matches!(step, Step::Incomplete);
            let broken = match step {
                Step::End => break,
                Step::Batch => match AnyBatch::parse(batches.bytes()) {
                    Ok(Some(found)) => {
                        self.batch(segment, &mut files, batches.position(), &found)?;
                        None
                    }
                    Ok(None) => Some("it is not whole".to_owned()),
                    Err(fault) => Some(fault.to_string()),
                },
                Step::Large { header, crc } => {
                    self.large(segment, &mut files, batches.position(), &header, crc)?;
                    None
                }
                Step::Incomplete => Some("the batch is not whole".to_owned()),
                Step::Corrupt(reason) => Some(reason),
            };
            step = match broken {
                None => batches.next()?,
                Some(reason) => {
                    match self.broken(segment, &mut files, &mut batches, torn, &reason)? {
                        Some(next) => next,
                        None => break,
                    }
                }
            };
        }
        let all_known = files.all_known;
        if all_known {
            files.txns.marker(None, &mut self.findings)?;
            files.offsets.end(may_be_open, &mut self.findings)?;
            if segment.present.time_index {
                files.times.end(may_be_open, &mut self.findings)?;
            }
        }
        Ok(())
    }

    fn rows<const N: usize>(
        &mut self,
        base: i64,
        kind: FileKind,
        present: bool,
    ) -> io::Result<Rows<N>> {
        let path = self.dir.join(segment_file(base, kind));
        let file = match present.then(|| self.disk.open(&path, OpenMode::ReadOnly)).transpose() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.place.in_use => None,
            Err(error) => {
                self.unreadable(&path, &error);
                None
            }
        };
        if let Some(file) = &file {
            self.totals.bytes += file.len()?;
        }
        Rows::new(file, path)
    }

    /// A whole batch of any format.
    fn batch(
        &mut self,
        segment: &Segment,
        files: &mut Files,
        position: u64,
        found: &AnyBatch<'_>,
    ) -> io::Result<()> {
        let head = BatchHead::of(found);
        // In the old formats the first offset is inside.
        let base_offset = if head.v2.is_some() {
            head.base_offset
        } else {
            found.base_offset().map_or(head.base_offset, |offset| offset.0)
        };
        let indexed = Indexed {
            position,
            base_offset,
            last_offset: head.last_offset,
            max_timestamp: head.max_timestamp,
        };
        if let Err(fault) = found.check_crc() {
            return self.wrong_crc(segment, files, &indexed, &fault.to_string());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let place = self.place;
        let inspect = place.is_metadata.then_some(self.inspect_record);
        let contents = batch::look_at(found, place.keys, !place.quick, inspect, &mut buffer);
        if buffer.capacity() <= 8 << 20 {
            self.buffer = buffer;
        }
        self.tell(&files.path, &indexed, contents);
        self.placed(segment, files, &indexed, found.v2())?;
        self.compare_snapshots(base_offset);
        match self.replay.batch(found) {
            Ok(None) => {}
            Ok(Some(marker)) => self.abort(files, &marker)?,
            Err(text) => {
                let at = At::batch(position, base_offset);
                self.findings.damage(Check::LogControl, &files.path, at, text);
            }
        }
        Ok(())
    }

    fn abort(&mut self, files: &mut Files, marker: &Marker) -> io::Result<()> {
        files.txns.marker(Some(marker), &mut self.findings)
    }

    /// A batch that is too large to be held.
    fn large(
        &mut self,
        segment: &Segment,
        files: &mut Files,
        position: u64,
        header: &BatchHeader,
        crc: Result<(), records::RecordsError>,
    ) -> io::Result<()> {
        let indexed = Indexed {
            position,
            base_offset: header.base_offset.0,
            last_offset: header.last_offset().0,
            max_timestamp: header.max_timestamp,
        };
        if let Err(fault) = crc {
            return self.wrong_crc(segment, files, &indexed, &fault.to_string());
        }
        let mut contents = Contents::default();
        batch::check_header(header, &mut contents);
        contents.records = u64::try_from(header.count).unwrap_or(0);
        let text = format!("{} bytes in one batch: its records are not looked at", header.size());
        contents.notes.push((Check::Skipped, text));
        self.tell(&files.path, &indexed, contents);
        self.placed(segment, files, &indexed, Some(header))?;
        self.replay.lost_track();
        Ok(())
    }

    fn tell(&mut self, path: &Path, at: &Indexed, contents: Contents) {
        self.totals.batches += 1;
        self.totals.records += contents.records;
        if contents.was_compacted {
            self.was_compacted = true;
            self.replay.is_compacted();
        }
        let at = At::batch(at.position, at.base_offset);
        for (check, text) in contents.faults {
            self.findings.damage(check, path, at, text);
        }
        for (check, text) in contents.notes {
            self.findings.note(check, path, at, text);
        }
    }

    /// The bytes are not those that were written. Where the batch ends may still be true: the walk goes on there.
    fn wrong_crc(
        &mut self,
        segment: &Segment,
        files: &mut Files,
        batch: &Indexed,
        fault: &str,
    ) -> io::Result<()> {
        let text = format!("{fault}{}", self.consequence(segment, batch.base_offset));
        let at = At::batch(batch.position, batch.base_offset);
        self.findings.damage(Check::LogCrc, &files.path, at, text);
        self.lost(files);
        files.offsets.skip_to(batch.position.saturating_add(1))
    }

    /// From here on less can be said about what comes.
    fn lost(&mut self, files: &mut Files) {
        files.all_known = false;
        self.next = None;
        self.end_known = false;
        self.replay.lost_track();
    }

    fn consequence(&self, segment: &Segment, offset: i64) -> &'static str {
        let recovered = !self.place.clean && !self.place.in_use;
        if recovered && (segment.is_last || offset >= self.place.recovery_point) {
            "; the next start cuts the log here"
        } else {
            ""
        }
    }

    /// Where a good batch stands in the log.
    fn placed(
        &mut self,
        segment: &Segment,
        files: &mut Files,
        batch: &Indexed,
        header: Option<&BatchHeader>,
    ) -> io::Result<()> {
        let at = At::batch(batch.position, batch.base_offset);
        let path = files.path.clone();
        let fits = |offset: i64| {
            let relative = offset.checked_sub(segment.base_offset);
            relative.is_some_and(|relative| (0..=i64::from(i32::MAX)).contains(&relative))
        };
        if batch.base_offset <= self.last || batch.last_offset < batch.base_offset {
            let text = format!(
                "the offsets {} to {} follow offset {}{}",
                batch.base_offset,
                batch.last_offset,
                self.last,
                self.consequence(segment, batch.base_offset)
            );
            self.findings.damage(Check::LogOffsets, &path, at, text);
        } else if !fits(batch.base_offset) || !fits(batch.last_offset) {
            let text = format!(
                "the offsets {} to {} do not belong into this segment",
                batch.base_offset, batch.last_offset
            );
            self.findings.damage(Check::LogOffsets, &path, at, text);
        } else if let Some(next) = self.missing_before(batch.base_offset) {
            let text = format!("the offsets {next} to {} are missing", batch.base_offset - 1);
            self.findings.damage(Check::LogGaps, &path, at, text);
        }
        self.last = self.last.max(batch.last_offset);
        self.next = Some(self.last.saturating_add(1));
        self.end_known = true;
        if let Some(header) = header {
            self.check_epoch(&path, batch, header);
        }
        if files.all_known {
            files.offsets.batch(batch, &mut self.findings)?;
            files.times.batch(batch, &mut self.findings)?;
        } else {
            // Whether the largest timestamp so far was in what could not be read is open.
            files.offsets.skip_to(batch.position)?;
            files.offsets.batch(batch, &mut self.findings)?;
            files.txns.skip_to(batch.base_offset)?;
        }
        Ok(())
    }

    /// The first of the offsets that should be there before this one.
    fn missing_before(&self, offset: i64) -> Option<i64> {
        self.next.filter(|next| !self.place.compacted && offset > *next)
    }

    fn check_epoch(&mut self, path: &Path, batch: &Indexed, header: &BatchHeader) {
        let epoch = header.partition_leader_epoch.0;
        let at = At::batch(batch.position, batch.base_offset);
        if epoch < LeaderEpoch::NONE.0 {
            self.findings.damage(Check::LogEpochs, path, at, format!("leader epoch {epoch}"));
        }
        if epoch < 0 {
            return;
        }
        if epoch < self.epoch {
            let text = format!("leader epoch {epoch} follows epoch {}", self.epoch);
            self.findings.damage(Check::LogEpochs, path, at, text);
            return;
        }
        self.epoch = epoch;
        let place = &self.place;
        let offset = batch.base_offset.max(place.log_start);
        if offset > batch.last_offset {
            return;
        }
        let Some(epochs) = &self.epochs else { return };
        let after = epochs.partition_point(|entry| entry.start_offset <= Offset(offset));
        let said = after.checked_sub(1).and_then(|slot| epochs.get(slot));
        let said = said.map_or(-1, |entry| entry.epoch.0);
        let later = !place.clean
            && (place.in_use || offset >= place.recovery_point)
            && epochs.last().is_none_or(|entry| entry.epoch.0 < epoch);
        if said != epoch && !later {
            let text = format!(
                "the batch is of leader epoch {epoch}, leader-epoch-checkpoint says {said}"
            );
            self.findings.damage(Check::LeaderEpochs, path, at, text);
        }
    }

    /// What stands here is no batch. Looks for a later place where one begins.
    fn broken(
        &mut self,
        segment: &Segment,
        files: &mut Files,
        batches: &mut Batches,
        torn: bool,
        reason: &str,
    ) -> io::Result<Option<Step>> {
        let position = batches.position();
        let left = batches.end() - position;
        let at = At { position: Some(position), offset: self.next };
        let zeros = batches.only_zeros_follow()?;
        let found = if zeros { None } else { batches.find_next(self.last)? };
        if let Some(step) = found {
            self.lost(files);
            let text = format!("{reason}; {} bytes cannot be read", batches.position() - position);
            self.findings.damage(Check::LogStructure, &files.path, at, text);
            return Ok(Some(step));
        }
        if segment.is_last && !self.place.clean && (torn || zeros) {
            if !self.place.in_use {
                let what = if zeros { "zeros" } else { "a batch that is not whole" };
                let text = format!("{left} bytes of {what}; the next start cuts them off");
                self.findings.repairable(Check::LogTail, &files.path, at, text);
            }
            return Ok(None);
        }
        let ends = self.consequence(segment, self.last.saturating_add(1));
        self.lost(files);
        let what = if zeros { ", all zero," } else { "" };
        let text = format!("{reason}; {left} bytes{what} up to the end cannot be read{ends}");
        self.findings.damage(Check::LogStructure, &files.path, at, text);
        Ok(None)
    }
}
