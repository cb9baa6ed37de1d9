//! All logs of a broker by partition, and the directories they lie in.
//!
//! Every method takes `&self` and may block on the disk; none starts a thread except for loading and closing many logs
//! at once, and for logs of a failed disk that stand still. The broker decides when. A directory whose disk fails goes
//! offline with all its logs and stays so; what failed is told by [`LogManager::take_failures`].

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{DirectoryId, TopicId, TopicPartition, WallMs};
use parking_lot::{Mutex, RwLock};

use super::checkpoint::Offsets;
use super::error::{DirError, Result};
use super::lock::DirLock;
use super::meta::{DirMeta, MetaEnsemble};
use super::names::{DirKind, dir_name, marked_dir_name};
use super::partition_metadata;
use super::removals::Removal;
use super::small_file;
use super::unopened::Found;
use crate::disk::{Disk, OpenMode, is_full};
use crate::log::{Log, LogConfig, OpenOptions, ProducerConfig};
use crate::pool::FilePool;
use crate::space::DirSpace;

/// Logs to sync above which one sync of the whole file system takes less time than theirs: closing a log takes about six syncs of
/// a millisecond or two each, a new directory two.
pub(super) const SYNCED_ONE_BY_ONE: usize = 64;

/// One partition's log, shared by all who use it.
pub type SharedLog = Arc<RwLock<Log>>;

/// Gives 128 random bits for the names of directories on their way out.
pub type Unique = Arc<dyn Fn() -> u128 + Send + Sync>;

/// One log directory.
pub(super) struct Dir {
    pub path: PathBuf,
    pub id: Option<DirectoryId>,
    pub lock: Mutex<Option<DirLock>>,
    /// Why it is offline.
    pub failure: Mutex<Option<String>>,
    /// Its last stop was clean.
    pub was_clean: AtomicBool,
    /// All its logs are loaded.
    pub loaded: AtomicBool,
    /// What is left of its volume.
    pub space: Arc<DirSpace>,
    /// A checkpoint could not be written for want of space: said once.
    pub unwritten: AtomicBool,
    /// Held while checkpoints are collected and written, so that an older one never replaces a newer one.
    pub checkpoints: Mutex<()>,
    /// What the cleaner's checkpoint holds.
    pub cleaned: Mutex<Offsets>,
    /// What the checkpoint of log starts holds.
    pub starts: Mutex<Offsets>,
}

impl Dir {
    pub fn is_online(&self) -> bool {
        self.failure.lock().is_none()
    }
}

/// A log and where it is.
#[derive(Clone)]
pub struct LogEntry {
    pub log: SharedLog,
    /// Unknown when the log has never had a record.
    pub topic_id: Option<TopicId>,
    pub(super) dir: usize,
}

/// A directory that went offline.
#[derive(Clone, Debug)]
pub struct DirFailure {
    pub dir: PathBuf,
    pub id: Option<DirectoryId>,
    pub cause: String,
    /// The partitions that are gone with it.
    pub partitions: Vec<TopicPartition>,
    /// Those whose copy was being made there.
    pub futures: Vec<TopicPartition>,
}

/// What is known of one configured directory.
#[derive(Clone, Debug)]
pub struct DirStatus {
    pub dir: PathBuf,
    pub id: Option<DirectoryId>,
    /// Why it is offline.
    pub failure: Option<String>,
}

/// A partition that is to have a log here.
#[derive(Clone, Debug)]
pub struct NewLog<'a> {
    pub partition: &'a TopicPartition,
    pub topic_id: TopicId,
    pub config: Arc<LogConfig>,
    /// The directory that the controller assigned; chosen here when it is unassigned, unknown or offline.
    pub target: Option<DirectoryId>,
    /// The partition was just created: it cannot have a log in an offline directory.
    pub is_new: bool,
}

pub struct LogManager {
    pub(super) pool: Arc<FilePool>,
    pub(super) unique: Unique,
    pub(super) producers: Mutex<ProducerConfig>,
    pub(super) dirs: Vec<Dir>,
    pub(super) logs: RwLock<HashMap<TopicPartition, LogEntry>>,
    /// Replicas that are being moved to another directory.
    pub(super) futures: RwLock<HashMap<TopicPartition, LogEntry>>,
    /// Creating and deleting happen one at a time.
    pub(super) changes: Mutex<()>,
    /// Directories that get no new logs.
    pub(super) cordoned: RwLock<Vec<PathBuf>>,
    /// Where logs are to lie that are not there yet.
    pub(super) preferred: Mutex<HashMap<TopicPartition, usize>>,
    pub(super) removals: Mutex<VecDeque<Removal>>,
    /// Logs that the start had no space for.
    pub(super) unopened: Mutex<HashMap<TopicPartition, Found>>,
    /// Directories that were created and are not yet durable.
    pub(super) created: Mutex<Vec<PathBuf>>,
    /// Choosing the next log to clean happens one at a time.
    pub(super) grabs: Mutex<()>,
    pub(super) failures: Mutex<Vec<DirFailure>>,
}

impl LogManager {
    /// Creates the missing directories and locks all; reads no logs yet. A directory at fault goes offline; it is an
    /// error when none is left, when one is named twice, or when another process holds one.
    pub fn new(
        pool: Arc<FilePool>,
        dirs: &[PathBuf],
        producers: ProducerConfig,
        unique: Unique,
    ) -> Result<Self> {
        let disk = Arc::clone(pool.disk());
        let manager = Self {
            pool,
            unique,
            producers: Mutex::new(producers),
            dirs: open_dirs(disk.as_ref(), dirs)?,
            logs: RwLock::default(),
            futures: RwLock::default(),
            changes: Mutex::default(),
            cordoned: RwLock::default(),
            preferred: Mutex::default(),
            removals: Mutex::default(),
            unopened: Mutex::default(),
            created: Mutex::default(),
            grabs: Mutex::default(),
            failures: Mutex::default(),
        };
        for dir in &manager.dirs {
            if let Some(cause) = dir.failure.lock().clone() {
                manager.failures.lock().push(DirFailure {
                    dir: dir.path.clone(),
                    id: dir.id,
                    cause,
                    partitions: Vec::new(),
                    futures: Vec::new(),
                });
            }
        }
        manager.check_any_online()?;
        Ok(manager)
    }

    /// The log of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<LogEntry> {
        self.logs.read().get(partition).cloned()
    }

    /// All logs, in no order.
    pub fn all(&self) -> Vec<(TopicPartition, LogEntry)> {
        let logs = self.logs.read();
        logs.iter().map(|(partition, entry)| (partition.clone(), entry.clone())).collect()
    }

    /// The replicas that are being moved here from another directory.
    pub fn all_futures(&self) -> Vec<(TopicPartition, LogEntry)> {
        let logs = self.futures.read();
        logs.iter().map(|(partition, entry)| (partition.clone(), entry.clone())).collect()
    }

    pub fn dirs(&self) -> Vec<DirStatus> {
        let status = |dir: &Dir| DirStatus {
            dir: dir.path.clone(),
            id: dir.id,
            failure: dir.failure.lock().clone(),
        };
        self.dirs.iter().map(status).collect()
    }

    /// Ids of the directories that are online, as a broker registers them.
    pub fn online_ids(&self) -> Vec<DirectoryId> {
        self.dirs.iter().filter(|dir| dir.is_online()).filter_map(|dir| dir.id).collect()
    }

    pub fn has_offline_dirs(&self) -> bool {
        self.dirs.iter().any(|dir| !dir.is_online())
    }

    /// Path and id of the directory in which a log lies.
    pub fn dir_of(&self, entry: &LogEntry) -> Option<(&Path, Option<DirectoryId>)> {
        self.dirs.get(entry.dir).map(|dir| (dir.path.as_path(), dir.id))
    }

    /// Directories that went offline since the last call.
    pub fn take_failures(&self) -> Vec<DirFailure> {
        std::mem::take(&mut self.failures.lock())
    }

    /// Applies to logs that are opened from now on; those that are open take [`Log::set_producer_config`].
    pub fn set_producer_config(&self, config: ProducerConfig) {
        *self.producers.lock() = config;
    }

    /// The log of a partition, created if there is none. The new directory becomes durable with
    /// [`Self::sync_created`], or at once when the topic flushes by record count.
    pub fn get_or_create(&self, new: &NewLog<'_>, now: WallMs) -> Result<LogEntry> {
        let _changes = self.changes.lock();
        if let Some(entry) = self.get(new.partition) {
            return match entry.topic_id {
                Some(found) if found != new.topic_id => Err(DirError::TopicId {
                    partition: new.partition.clone(),
                    wanted: new.topic_id,
                    found,
                }),
                Some(_) => Ok(entry),
                None => self.name_topic(new, entry),
            };
        }
        if let Some(entry) = self.open_at_last(new, now)? {
            return Ok(entry);
        }
        if !new.is_new && self.has_offline_dirs() {
            return Err(self.maybe_offline(new.partition));
        }
        self.look_at_dirs();
        let mut last_fault = None;
        for index in self.candidates(new) {
            match self.create_in(index, new, now) {
                Ok(entry) => {
                    self.preferred.lock().remove(new.partition);
                    self.logs.write().insert(new.partition.clone(), entry.clone());
                    return Ok(entry);
                }
                Err(fault) if fault.is_disk_failure() => {
                    self.fail_dir(index, fault.to_string());
                    last_fault = Some(fault);
                }
                Err(fault) if fault.is_full() => last_fault = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Err(last_fault.unwrap_or_else(|| self.none_online()))
    }

    /// A log that was being made when the power went has no topic id yet.
    pub(super) fn name_topic(&self, new: &NewLog<'_>, mut entry: LogEntry) -> Result<LogEntry> {
        let path = entry.log.read().dir().to_path_buf();
        partition_metadata::write_topic_id(self.pool.disk().as_ref(), &path, new.topic_id)?;
        entry.topic_id = Some(new.topic_id);
        self.logs.write().insert(new.partition.clone(), entry.clone());
        Ok(entry)
    }

    fn create_in(&self, index: usize, new: &NewLog<'_>, now: WallMs) -> Result<LogEntry> {
        let dir = self.dirs.get(index).ok_or_else(|| self.none_online())?;
        let disk = self.pool.disk().as_ref();
        let path = dir.path.join(dir_name(new.partition));
        let mut was_there = disk.stat(&path).map_err(DirError::io("read", &path))?.is_some();
        if was_there {
            let found = partition_metadata::read_topic_id(disk, &path)?;
            if found.is_some_and(|found| found != new.topic_id) {
                // Another topic's, which a start had no space to set aside.
                self.set_aside(dir, &path, new.partition)?;
                was_there = false;
            }
        }
        let made = self.make(dir, &path, new, now);
        if made.is_err() && !was_there {
            // A start would take it for a log, and this one may be made elsewhere next time. A disk that failed may keep it.
            let _failing = disk.remove_dir_all(&path);
        }
        let log = Arc::new(RwLock::new(made?));
        Ok(LogEntry { log, topic_id: Some(new.topic_id), dir: index })
    }

    fn make(&self, dir: &Dir, path: &Path, new: &NewLog<'_>, now: WallMs) -> Result<Log> {
        let disk = self.pool.disk().as_ref();
        disk.create_dir(path).map_err(DirError::io("create", path))?;
        partition_metadata::write_new(disk, path, new.topic_id)?;
        if new.config.flush_messages < i64::MAX {
            // Only this one: what other directories have not made durable is theirs, and their disks may fail or stand still.
            self.sync_new(&[path.to_path_buf()])?;
        } else {
            self.created.lock().push(path.to_path_buf());
        }
        let options = OpenOptions {
            config: Arc::clone(&new.config),
            producers: *self.producers.lock(),
            clean: true,
            space: Some(Arc::clone(&dir.space)),
            ..OpenOptions::default()
        };
        let log = Log::open(&self.pool, path.to_path_buf(), new.partition.clone(), options, now)?;
        tracing::info!(partition = %new.partition, dir = %dir.path.display(), "log created");
        Ok(log)
    }

    /// Where a new log may go, the best place first: where somebody wants it, else the target, else the directories with the
    /// fewest logs, cordoned ones only when there are no others.
    fn candidates(&self, new: &NewLog<'_>) -> Vec<usize> {
        let online = |(index, dir): (usize, &Dir)| dir.is_online().then_some(index);
        let preferred = self.preferred.lock().get(new.partition).copied();
        if let Some(index) =
            preferred.filter(|index| self.dirs.get(*index).is_some_and(Dir::is_online))
        {
            return vec![index];
        }
        let target = new.target.filter(|id| !id.is_reserved() && !id.is_zero());
        if let Some(id) = target
            && let Some(index) =
                self.dirs.iter().enumerate().filter(|(_, dir)| dir.id == Some(id)).find_map(online)
        {
            return vec![index];
        }
        let mut counts: Vec<(usize, usize)> =
            self.dirs.iter().enumerate().filter_map(online).map(|index| (0, index)).collect();
        for logs in [&self.logs, &self.futures] {
            for entry in logs.read().values() {
                if let Some((count, _)) = counts.iter_mut().find(|(_, index)| *index == entry.dir) {
                    *count += 1;
                }
            }
        }
        let cordoned =
            |index: usize| self.dirs.get(index).is_some_and(|d| self.is_cordoned(&d.path));
        if counts.iter().any(|(_, index)| !cordoned(*index)) {
            counts.retain(|(_, index)| !cordoned(*index));
        }
        counts.sort_unstable();
        counts.into_iter().map(|(_, index)| index).collect()
    }

    /// Takes logs away: their directories are renamed at once and removed after `file.delete.delay.ms`. Gives the
    /// partitions that had none, or whose directory's disk failed.
    pub fn delete(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        delay_ms: u64,
        now: WallMs,
    ) -> Vec<TopicPartition> {
        self.take_away(partitions, DirKind::Delete, delay_ms, now)
    }

    /// Sets logs aside under a name that tells that nobody assigned them here; nothing is removed.
    pub fn mark_stray(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        now: WallMs,
    ) -> Vec<TopicPartition> {
        self.take_away(partitions, DirKind::Stray, 0, now)
    }

    fn take_away(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        kind: DirKind,
        delay_ms: u64,
        now: WallMs,
    ) -> Vec<TopicPartition> {
        let _changes = self.changes.lock();
        let mut missing = Vec::new();
        let mut touched = vec![false; self.dirs.len()];
        for partition in partitions {
            let current = self.logs.write().remove(&partition);
            let future = self.futures.write().remove(&partition);
            if current.is_none() && future.is_none() {
                match self.mark_unopened(&partition, kind, delay_ms, now) {
                    Ok(Some(index)) => self.checkpoint_dir(index),
                    Ok(None) | Err(_) => missing.push(partition.clone()),
                }
            }
            for entry in [current, future].into_iter().flatten() {
                match self.rename_away(&partition, &entry, kind) {
                    Ok(path) => {
                        if kind == DirKind::Delete {
                            self.remove_later(Removal::dir(path, now, delay_ms));
                        }
                        if let Some(touched) = touched.get_mut(entry.dir) {
                            *touched = true;
                        }
                    }
                    Err(fault) => {
                        self.fail_dir(entry.dir, fault.to_string());
                        missing.push(partition.clone());
                    }
                }
            }
        }
        // Once for all of them: a directory of 10,000 logs must not be written 10,000 times.
        for (index, _) in touched.into_iter().enumerate().filter(|(_, touched)| *touched) {
            self.sync_names(index);
            self.checkpoint_dir(index);
        }
        missing
    }

    /// Makes the names in a directory durable; one that cannot be synced goes offline.
    pub(super) fn sync_names(&self, index: usize) {
        let Some(dir) = self.dirs.get(index) else { return };
        if let Err(error) = self.pool.disk().sync_dir(&dir.path) {
            self.fail_dir(index, DirError::io("sync", &dir.path)(error).to_string());
        }
    }

    /// The new name is durable after [`Self::sync_names`] only.
    pub(super) fn rename_away(
        &self,
        partition: &TopicPartition,
        entry: &LogEntry,
        kind: DirKind,
    ) -> Result<PathBuf> {
        // Under the log's lock: nobody opens a file by a name that is about to change.
        let mut log = entry.log.write();
        let target = self.rename_dir(entry.dir, log.dir(), partition, kind)?;
        log.moved_to(target.clone());
        log.fail("it was deleted".into());
        Ok(target)
    }

    /// The directory of a log that nobody uses any more.
    pub(super) fn rename_dir(
        &self,
        index: usize,
        path: &Path,
        partition: &TopicPartition,
        kind: DirKind,
    ) -> Result<PathBuf> {
        let dir = self.dirs.get(index).ok_or_else(|| self.none_online())?;
        let target = dir.path.join(marked_dir_name(partition, kind, (self.unique)()));
        let disk = self.pool.disk();
        match disk.rename(path, &target) {
            // A longer name may need a block more for the directory: what is on its way out goes at once.
            Err(error) if is_full(&error) && kind == DirKind::Delete => {
                disk.remove_dir_all(path).map_err(DirError::io("remove", path))?;
            }
            renamed => renamed.map_err(DirError::io("rename", path))?,
        }
        tracing::info!(%partition, to = %target.display(), "log renamed");
        Ok(target)
    }

    /// Fails when no directory is online any more: the broker cannot go on.
    pub fn check_any_online(&self) -> Result<()> {
        if self.dirs.iter().any(Dir::is_online) { Ok(()) } else { Err(self.none_online()) }
    }

    pub(super) fn maybe_offline(&self, partition: &TopicPartition) -> DirError {
        let dirs = self.list_dirs(|dir| !dir.is_online());
        DirError::MaybeOffline { partition: partition.clone(), dirs }
    }

    pub(super) fn none_online(&self) -> DirError {
        DirError::NoneOnline { dirs: self.list_dirs(|_| true) }
    }

    fn list_dirs(&self, which: impl Fn(&Dir) -> bool) -> String {
        let paths: Vec<String> = self
            .dirs
            .iter()
            .filter(|dir| which(dir))
            .map(|dir| dir.path.display().to_string())
            .collect();
        paths.join(", ")
    }
}

fn open_dirs(disk: &dyn Disk, paths: &[PathBuf]) -> Result<Vec<Dir>> {
    let mut dirs: Vec<Dir> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for path in paths {
        let opened = open_dir(disk, path);
        let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if seen.contains(&canonical) {
            return Err(DirError::DuplicateDir { dir: path.clone() });
        }
        seen.push(canonical);
        let (lock, id, failure) = match opened {
            Ok((lock, id)) => (Some(lock), id, None),
            Err(fault @ DirError::Locked { .. }) => return Err(fault),
            Err(fault) => {
                tracing::error!(dir = %path.display(), %fault, "log directory is offline");
                (None, None, Some(fault.to_string()))
            }
        };
        dirs.push(Dir {
            path: path.clone(),
            id,
            lock: Mutex::new(lock),
            failure: Mutex::new(failure),
            was_clean: AtomicBool::new(false),
            loaded: AtomicBool::new(false),
            space: Arc::new(DirSpace::new(path)),
            unwritten: AtomicBool::new(false),
            checkpoints: Mutex::default(),
            cleaned: Mutex::default(),
            starts: Mutex::default(),
        });
    }
    Ok(dirs)
}

fn open_dir(disk: &dyn Disk, path: &Path) -> Result<(DirLock, Option<DirectoryId>)> {
    match disk.stat(path).map_err(DirError::io("read", path))? {
        Some(info) if info.is_dir => {}
        Some(_) => return Err(DirError::NotADirectory { path: path.to_path_buf() }),
        None => {
            disk.create_dir(path).map_err(DirError::io("create", path))?;
            small_file::sync_parent(disk, path)?;
        }
    }
    disk.list(path).map_err(DirError::io("list", path))?;
    let lock = DirLock::acquire(path)?;
    let mut id = None;
    for (_, meta) in MetaEnsemble::load(disk, [path]).into_dirs() {
        match meta {
            DirMeta::Missing => {}
            DirMeta::Unreadable(fault) => return Err(fault),
            DirMeta::Present(meta) => id = meta.directory_id,
        }
    }
    Ok((lock, id))
}

impl LogManager {
    /// Makes the directories durable that were created since the last call. Cheap for many at once.
    pub fn sync_created(&self) -> Result<()> {
        let created = std::mem::take(&mut *self.created.lock());
        self.sync_new(&created)
    }

    /// The same in one log directory, which goes offline when its disk fails.
    pub fn sync_created_of(&self, index: usize) {
        let Some(dir) = self.dirs.get(index) else { return };
        let created: Vec<PathBuf> =
            self.created.lock().extract_if(.., |path| path.starts_with(&dir.path)).collect();
        if let Err(fault) = self.sync_new(&created) {
            self.fail_dir(index, fault.to_string());
        }
    }

    fn sync_new(&self, created: &[PathBuf]) -> Result<()> {
        let disk = self.pool.disk().as_ref();
        let mut parents: Vec<&Path> = Vec::new();
        for parent in created.iter().filter_map(|path| path.parent()) {
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
        if created.len() > SYNCED_ONE_BY_ONE {
            for parent in parents {
                disk.sync_file_system(parent).map_err(DirError::io("sync", parent))?;
            }
            return Ok(());
        }
        for path in created {
            let file = path.join(partition_metadata::FILE_NAME);
            match disk.open(&file, OpenMode::Existing) {
                Ok(file) => file.sync_data().map_err(DirError::io("sync", path))?,
                // It was deleted meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(DirError::io("open", &file)(error)),
            }
            match disk.sync_dir(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                synced => synced.map_err(DirError::io("sync", path))?,
            }
        }
        for parent in parents {
            disk.sync_dir(parent).map_err(DirError::io("sync", parent))?;
        }
        Ok(())
    }

    /// Whether a directory's last stop was clean; known once its logs are loaded.
    pub fn was_clean(&self, dir: &Path) -> bool {
        self.dirs.iter().any(|known| known.path == dir && known.was_clean.load(Ordering::Relaxed))
    }
}
