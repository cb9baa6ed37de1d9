//! Logs that a start has found and could not open for want of space: they wait where they are, with all that was written down of
//! them, and are opened when somebody wants them again.

use std::path::PathBuf;
use std::sync::Arc;

use base::{Offset, TopicId, TopicPartition, WallMs};
use parking_lot::RwLock;

use super::checkpoint::{CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, Offsets, RECOVERY_POINTS};
use super::error::{DirError, Result};
use super::manager::{LogEntry, LogManager, NewLog};
use super::names::DirKind;
use super::removals::Removal;
use crate::log::{Log, OpenOptions};

/// A log as a start finds it.
#[derive(Clone)]
pub(super) struct Found {
    pub dir: usize,
    pub path: PathBuf,
    /// Unknown when the log has never had a record.
    pub topic_id: Option<TopicId>,
    pub options: OpenOptions,
    pub high_watermark: Offset,
}

impl Found {
    /// What a checkpoint says of it.
    fn offset_in(&self, checkpoint: &str) -> Option<Offset> {
        match checkpoint {
            RECOVERY_POINTS => Some(self.options.recovery_point),
            LOG_STARTS => Some(self.options.start_offset).filter(|start| *start > Offset::ZERO),
            HIGH_WATERMARKS => Some(self.high_watermark),
            CLEANER_OFFSETS => self.options.cleaned_upto,
            _ => None,
        }
    }
}

impl LogManager {
    pub(super) fn open_found(
        &self,
        partition: &TopicPartition,
        found: &Found,
        now: WallMs,
    ) -> Result<Log> {
        let options = found.options.clone();
        let (path, unknown) = (found.path.clone(), options.checkpoint_lost && !options.clean);
        let mut log = Log::open(&self.pool, path, partition.clone(), options, now)?;
        if unknown {
            // From now on something is known of it, and what it lacks was never there.
            log.flush(now)?;
        }
        log.set_high_watermark(found.high_watermark);
        Ok(log)
    }

    /// The log that a start could not open; `None` when there is none of this topic. To be called by who creates logs.
    pub(super) fn open_at_last(&self, new: &NewLog<'_>, now: WallMs) -> Result<Option<LogEntry>> {
        let found = self.unopened.lock().get(new.partition).cloned();
        let is_online = |found: &Found| self.dirs.get(found.dir).is_some_and(|dir| dir.is_online());
        let Some(mut found) = found.filter(is_online) else { return Ok(None) };
        if found.topic_id.is_some_and(|id| id != new.topic_id) {
            // As a start does it.
            self.mark_unopened(new.partition, DirKind::Stray, 0, now)?;
            return Ok(None);
        }
        found.options.config = Arc::clone(&new.config);
        found.options.producers = *self.producers.lock();
        let opened = self.open_found(new.partition, &found, now);
        let log = opened.inspect_err(|fault| self.note_failure(found.dir, fault))?;
        let (log, topic_id) = (Arc::new(RwLock::new(log)), found.topic_id);
        let entry = LogEntry { log, topic_id, dir: found.dir };
        // In this order: checkpoints always know one of them.
        self.logs.write().insert(new.partition.clone(), entry.clone());
        self.unopened.lock().remove(new.partition);
        tracing::info!(partition = %new.partition, "there is space for the log now");
        if topic_id.is_some() {
            return Ok(Some(entry));
        }
        self.name_topic(new, entry).map(Some)
    }

    fn note_failure(&self, index: usize, fault: &DirError) {
        if fault.is_disk_failure() {
            self.fail_dir(index, fault.to_string());
        }
    }

    /// Gives one that could not be opened another name. Tells in which directory, if there was one.
    pub(super) fn mark_unopened(
        &self,
        partition: &TopicPartition,
        kind: DirKind,
        delay_ms: u64,
        now: WallMs,
    ) -> Result<Option<usize>> {
        let Some(found) = self.unopened.lock().get(partition).cloned() else { return Ok(None) };
        let renamed = self.rename_dir(found.dir, &found.path, partition, kind);
        let path = renamed.inspect_err(|fault| self.note_failure(found.dir, fault))?;
        self.unopened.lock().remove(partition);
        self.sync_names(found.dir);
        if kind == DirKind::Delete {
            self.remove_later(Removal::dir(path, now, delay_ms));
        }
        Ok(Some(found.dir))
    }

    /// The start found a log of this partition and could not open it.
    pub(super) fn is_unopened(&self, partition: &TopicPartition) -> bool {
        self.unopened.lock().contains_key(partition)
    }

    /// Some log in this directory was never recovered.
    pub(super) fn has_unrecovered(&self, index: usize) -> bool {
        let unopened = self.unopened.lock();
        unopened.values().any(|found| found.dir == index && !found.options.clean)
    }

    /// What a checkpoint said of the logs of a directory that are not open goes on to stand there. To be asked for before the
    /// logs are: one of them may be opened meanwhile.
    pub(super) fn unopened_in(&self, index: usize, checkpoint: &str) -> Offsets {
        let unopened = self.unopened.lock();
        let here = unopened.iter().filter(|(_, found)| found.dir == index);
        here.filter_map(|(partition, found)| {
            Some((partition.clone(), found.offset_in(checkpoint)?))
        })
        .collect()
    }
}
