//! Beginning a new segment.

use base::{Offset, WallMs};

use super::error::{LogError, Result};
use super::segment::Segment;
use super::work::sync_all;
use super::{Log, LogWork, names};
use crate::pool::FileKind;

impl Log {
    /// Begins a new segment at the log's end, whatever is in the active one. Nothing happens when that is empty.
    pub fn roll(&mut self, now: WallMs) -> Result<Offset> {
        self.change_if_space(|log| {
            log.roll_to(log.end_offset, now)?;
            Ok(Offset(log.active().base_offset))
        })
    }

    /// Begins a new segment at `base_offset`, at or beyond the log's end. The old one and the producers' state at this
    /// point are to be synced by the flush in [`Log::take_work`].
    pub(super) fn roll_to(&mut self, base_offset: i64, now: WallMs) -> Result<()> {
        if self.active().base_offset == base_offset {
            return Ok(());
        }
        if base_offset < self.active().base_offset {
            return Err(LogError::InvalidAppend {
                log: self.name.to_string(),
                reason: format!("a segment at {base_offset} would lie before the active one"),
            });
        }
        let config = std::sync::Arc::clone(&self.config);
        let segment = self.segments.last_mut().expect("a log has an active segment");
        segment.finish(&self.files, &config)?;
        if self.recovery_point >= base_offset {
            self.sync_rolled()?;
        }
        self.add_segment(base_offset, now)?;
        self.producers.set_end_offset(base_offset);
        self.producers.take_snapshot(&self.files)?;
        if let Some(flush) = self.flush_to(base_offset)? {
            // It covers what waits already: a log that rolls faster than it is flushed keeps no more files open than it has.
            self.work.retain(|work| !matches!(work, LogWork::Flush(_)));
            self.work.push(LogWork::Flush(flush));
        }
        tracing::debug!(log = %self.name, base_offset, "new segment");
        Ok(())
    }

    /// When all records are durable already, no flush covers the segment again, and recovery begins behind it: its
    /// indexes are made durable before there is another.
    fn sync_rolled(&self) -> Result<()> {
        let mut files = Vec::new();
        let rolled = self.active();
        self.add_files(rolled.base_offset, false, rolled.txn_index.has_file(), &mut files)?;
        sync_all(&files)?;
        self.files.sync_dir()
    }

    /// Creates the files of a segment; what lies there under their names is of no log any more. On a full disk none of them stays.
    pub(super) fn add_segment(&mut self, base_offset: i64, now: WallMs) -> Result<()> {
        self.remove_file(base_offset, FileKind::TxnIndex)?;
        match Segment::create(&self.files, &self.config, base_offset, now) {
            Ok(segment) => {
                self.segments.push(segment);
                Ok(())
            }
            Err(error) => {
                if error.is_full() {
                    self.take_back(base_offset)?;
                }
                Err(error)
            }
        }
    }

    /// The log may go on in the segment before: at a start, the empty file of a segment at `base_offset` would cut that one there.
    fn take_back(&self, base_offset: i64) -> Result<()> {
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.remove_file(base_offset, kind)?;
        }
        self.files.sync_dir()
    }

    fn remove_file(&self, base_offset: i64, kind: FileKind) -> Result<()> {
        let path = self.path(&names::segment_file(base_offset, kind));
        self.files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        Ok(())
    }
}
