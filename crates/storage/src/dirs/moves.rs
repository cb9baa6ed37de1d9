//! Logs that move to another directory of the same broker: the copy beside the log, and the moment in which it takes its place.
//!
//! The copy lies in `topic-0.UNIQUE-future` and is filled by somebody else. When both hold the same it gets the log's name, and
//! only then the old directory is marked for removal: whatever a crash interrupts, a whole log is there, and the start finds it
//! by what the metadata says ([`LogManager::load_assigned`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{DirectoryId, Offset, TopicId, TopicPartition, WallMs};
use parking_lot::{MutexGuard, RwLock};

use super::error::{DirError, Result};
use super::manager::{LogEntry, LogManager};
use super::names::{DirKind, dir_name, marked_dir_name};
use super::removals::Removal;
use super::{partition_metadata, small_file};
use crate::log::{Log, LogConfig, OpenOptions};

/// Partitions that this broker may get later, with the directory that was chosen for them; more are not remembered.
const PREFERRED_MAX: usize = 10_000;

/// While this lives nobody else creates or deletes logs, or lets them change places. To be taken before any log's lock.
pub struct Changes<'a>(#[expect(dead_code, reason = "held")] pub(super) MutexGuard<'a, ()>);

/// A log that has taken another's place; what is left to do goes to [`LogManager::finish_move`].
#[must_use]
pub struct Promoted {
    from: usize,
    to: usize,
    /// Where the old log lies now, or why it could not be marked.
    old: Result<PathBuf>,
}

/// The copy of a log that is to be made.
pub struct NewFuture<'a> {
    pub partition: &'a TopicPartition,
    pub topic_id: TopicId,
    pub config: Arc<LogConfig>,
    /// A configured directory.
    pub dir: &'a Path,
}

impl LogManager {
    /// Directories that get no new logs unless somebody names them.
    pub fn set_cordoned(&self, dirs: Vec<PathBuf>) {
        *self.cordoned.write() = dirs;
    }

    pub fn is_cordoned(&self, dir: &Path) -> bool {
        self.cordoned.read().iter().any(|cordoned| cordoned == dir)
    }

    /// Ids of the cordoned directories, as a broker tells its controller.
    pub fn cordoned_ids(&self) -> Vec<DirectoryId> {
        let cordoned = self.dirs.iter().filter(|dir| self.is_cordoned(&dir.path));
        cordoned.filter_map(|dir| dir.id).collect()
    }

    /// Whether a log may be moved to this directory.
    pub fn check_target(&self, dir: &Path) -> Result<()> {
        let index = self.index_of(dir)?;
        match self.dirs.get(index).and_then(|dir| dir.failure.lock().clone()) {
            Some(cause) => Err(DirError::Offline { dir: dir.to_path_buf(), cause }),
            None if self.is_cordoned(dir) => Err(DirError::Cordoned { dir: dir.to_path_buf() }),
            None => Ok(()),
        }
    }

    fn index_of(&self, dir: &Path) -> Result<usize> {
        let found = self.dirs.iter().position(|known| known.path == dir);
        found.ok_or_else(|| DirError::UnknownDir { dir: dir.display().to_string() })
    }

    /// Should the partition get a log here, it is to lie in this directory.
    pub fn prefer(&self, partition: &TopicPartition, dir: &Path) {
        let Ok(index) = self.index_of(dir) else { return };
        let mut preferred = self.preferred.lock();
        if preferred.len() < PREFERRED_MAX || preferred.contains_key(partition) {
            preferred.insert(partition.clone(), index);
        }
    }

    /// The copy of a log that is being moved.
    pub fn future(&self, partition: &TopicPartition) -> Option<LogEntry> {
        self.futures.read().get(partition).cloned()
    }

    /// Begins the copy of a log in another directory; gives the one that is there already.
    ///
    /// # Errors
    /// While any directory is offline: the log might be there.
    pub fn create_future(&self, new: &NewFuture<'_>, now: WallMs) -> Result<LogEntry> {
        let _changes = self.changes();
        let index = self.index_of(new.dir)?;
        self.look_at_dirs();
        if self.has_offline_dirs() {
            return Err(self.maybe_offline(new.partition));
        }
        if let Some(known) = self.future(new.partition).filter(|known| known.dir == index) {
            return Ok(known);
        }
        let entry = self.open_future(index, new, now).inspect_err(|fault| {
            if fault.is_disk_failure() {
                self.fail_dir(index, fault.to_string());
            }
        })?;
        self.futures.write().insert(new.partition.clone(), entry.clone());
        Ok(entry)
    }

    fn open_future(&self, index: usize, new: &NewFuture<'_>, now: WallMs) -> Result<LogEntry> {
        let disk = self.pool.disk().as_ref();
        let name = marked_dir_name(new.partition, DirKind::Future, (self.unique)());
        let path = new.dir.join(name);
        disk.create_dir(&path).map_err(DirError::io("create", &path))?;
        partition_metadata::write_topic_id(disk, &path, new.topic_id)?;
        small_file::sync_parent(disk, &path)?;
        let options = OpenOptions {
            config: Arc::clone(&new.config),
            producers: *self.producers.lock(),
            clean: true,
            space: self.dirs.get(index).map(|dir| Arc::clone(&dir.space)),
            ..OpenOptions::default()
        };
        let mut log = Log::open(&self.pool, path, new.partition.clone(), options, now)?;
        // What is clean when the copy begins is copied clean; what is cleaned later may have been copied before.
        let current = self.get(new.partition);
        if let Some(upto) = current.and_then(|current| current.log.read().cleaned_upto()) {
            log.set_cleaned_upto(upto);
        }
        tracing::info!(partition = %new.partition, to = %new.dir.display(), "a move between directories begins");
        Ok(LogEntry { log: Arc::new(RwLock::new(log)), topic_id: Some(new.topic_id), dir: index })
    }

    /// Gives up a move: the copy is marked for removal. Tells whether there was one.
    pub fn remove_future(&self, partition: &TopicPartition, delay_ms: u64, now: WallMs) -> bool {
        let _changes = self.changes();
        let Some(entry) = self.futures.write().remove(partition) else { return false };
        match self.rename_away(partition, &entry, DirKind::Delete) {
            Ok(path) => {
                self.remove_later(Removal::dir(path, now, delay_ms));
                self.sync_names(entry.dir);
                self.checkpoint_dir(entry.dir);
            }
            Err(fault) => self.fail_dir(entry.dir, fault.to_string()),
        }
        true
    }

    /// Before [`Self::promote`], and before the locks of its logs.
    pub fn changes(&self) -> Changes<'_> {
        Changes(self.changes.lock())
    }

    /// Before [`Self::promote`], and before the locks of its logs: writes down where the copy starts. Nothing else would tell, after
    /// a crash, that the records before were deleted. Tells whether it is written.
    pub fn keep_start(&self, partition: &TopicPartition) -> bool {
        let Some(entry) = self.future(partition) else { return false };
        let is_kept = || self.is_start_kept(entry.dir, partition, &entry.log.read());
        if !is_kept() {
            self.checkpoint_log_starts_of(entry.dir);
        }
        is_kept()
    }

    /// Whether a log in this directory would start at the same place after a crash.
    fn is_start_kept(&self, index: usize, partition: &TopicPartition, log: &Log) -> bool {
        let Some(dir) = self.dirs.get(index) else { return false };
        let written = dir.starts.lock().get(partition).copied().unwrap_or(Offset::ZERO);
        let first = log.segment_base_offsets().first().copied().unwrap_or(Offset::ZERO);
        written.max(first) == log.start_offset()
    }

    /// The copy takes the log's place, under the locks of both; they must hold the same. The old log serves no more. `None`: not
    /// before its start is written down ([`Self::keep_start`]).
    ///
    /// # Errors
    /// Nothing has changed then; the copy's directory has failed, or the copy is gone.
    pub fn promote(
        &self,
        _changes: &Changes<'_>,
        partition: &TopicPartition,
        current: &mut Log,
        future: &mut Log,
    ) -> Result<Option<Promoted>> {
        let entry = self.future(partition).ok_or_else(|| self.maybe_offline(partition))?;
        if !self.is_start_kept(entry.dir, partition, future) {
            return Ok(None);
        }
        let from = self.get(partition).ok_or_else(|| self.maybe_offline(partition))?.dir;
        let (source, target) = (self.path_of(from)?, self.path_of(entry.dir)?);
        let disk = self.pool.disk();
        let path = target.join(dir_name(partition));
        disk.rename(future.dir(), &path).map_err(DirError::io("rename", future.dir()))?;
        for removal in self.removals.lock().iter_mut() {
            removal.renamed(future.dir(), &path);
        }
        future.moved_to(path);
        future.succeed(current);
        let to = entry.dir;
        self.logs.write().insert(partition.clone(), entry);
        self.futures.write().remove(partition);
        let away = source.join(marked_dir_name(partition, DirKind::Delete, (self.unique)()));
        let old = disk.rename(current.dir(), &away).map_err(DirError::io("rename", current.dir()));
        if old.is_ok() {
            current.moved_to(away.clone());
        }
        current.fail("it moved to another directory".into());
        tracing::info!(%partition, from = %source.display(), to = %target.display(), "log moved");
        Ok(Some(Promoted { from, to, old: old.map(|()| away) }))
    }

    /// Makes the change of places durable, writes it down, and lets the old log go after a while.
    pub fn finish_move(&self, promoted: Promoted, delay_ms: u64, now: WallMs) {
        let Promoted { from, to, old } = promoted;
        let sync = |index: usize| {
            let path = self.path_of(index)?;
            let disk = self.pool.disk();
            disk.sync_dir(path).map_err(DirError::io("sync", path))
        };
        if let Err(fault) = sync(to) {
            // The old log stays: it may be the only one after a crash.
            return self.fail_dir(to, fault.to_string());
        }
        self.checkpoint_dir(to);
        self.checkpoint_high_watermarks_of(to);
        match old.and_then(|path| sync(from).map(|()| path)) {
            Ok(path) => {
                self.remove_later(Removal::dir(path, now, delay_ms));
                self.checkpoint_dir(from);
            }
            Err(fault) => self.fail_dir(from, fault.to_string()),
        }
    }

    /// Copies whose log is gone, in the directory that the metadata names: a crash came between the two renames of a move.
    /// With a directory offline nobody knows whether the log is gone.
    pub(super) fn promote_orphans(
        &self,
        assigned: &dyn Fn(&TopicPartition, Option<TopicId>) -> Option<DirectoryId>,
    ) -> Result<()> {
        if self.has_offline_dirs() {
            return Ok(());
        }
        for (partition, entry) in self.all_futures() {
            let here = self.dirs.get(entry.dir).and_then(|dir| dir.id);
            let wanted = assigned(&partition, entry.topic_id);
            let is_there = self.get(&partition).is_some() || self.is_unopened(&partition);
            if is_there || wanted.is_none() || wanted != here {
                continue;
            }
            match self.promote_orphan(&partition, &entry) {
                Err(fault) if fault.is_disk_failure() => {
                    self.fail_dir(entry.dir, fault.to_string());
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn promote_orphan(&self, partition: &TopicPartition, entry: &LogEntry) -> Result<()> {
        let path = self.path_of(entry.dir)?.join(dir_name(partition));
        let disk = self.pool.disk().as_ref();
        {
            let mut log = entry.log.write();
            disk.rename(log.dir(), &path).map_err(DirError::io("rename", log.dir()))?;
            log.moved_to(path.clone());
        }
        small_file::sync_parent(disk, &path)?;
        tracing::warn!(%partition, dir = %path.display(), "an interrupted move is complete");
        self.futures.write().remove(partition);
        self.logs.write().insert(partition.clone(), entry.clone());
        Ok(())
    }

    fn path_of(&self, index: usize) -> Result<&Path> {
        let dir = self.dirs.get(index).ok_or_else(|| self.none_online())?;
        Ok(&dir.path)
    }
}
