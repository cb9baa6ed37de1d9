//! Loading all logs at start, many at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base::{DirectoryId, TopicId, TopicPartition, WallMs};
use parking_lot::{Mutex, RwLock};

use super::checkpoint::{
    self, CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, Offsets, RECOVERY_POINTS,
};
use super::error::{DirError, Result};
use super::manager::{Dir, LogEntry, LogManager};
use super::names::{DirKind, marked_dir_name, parse_dir_name};
use super::progress::Progress;
use super::removals::Removal;
use super::unopened::Found;
use super::{clean_shutdown, partition_metadata, small_file};
use crate::log::{LogConfig, OpenOptions};

/// Not a partition: Kafka's tiered storage keeps indexes there.
const REMOTE_INDEX_CACHE: &str = "remote-log-index-cache";
/// The quorum's own log, opened by its owner.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// How logs are loaded.
pub struct LoadOptions<'a> {
    /// The settings of a topic.
    pub config: &'a (dyn Fn(&str) -> Arc<LogConfig> + Sync),
    /// Whether the metadata has no replica here for a log; without an id the log never had a record.
    pub is_stray: &'a (dyn Fn(&TopicPartition, Option<TopicId>) -> bool + Sync),
    /// `num.recovery.threads.per.data.dir`.
    pub threads_per_dir: usize,
    /// `file.delete.delay.ms`, for directories that were marked before the stop.
    pub delete_delay_ms: u64,
}

/// The directory in which the metadata has a replica of this node, if it has one.
pub type Assigned<'a> = dyn Fn(&TopicPartition, Option<TopicId>) -> Option<DirectoryId> + Sync + 'a;

/// What loading found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadReport {
    pub logs: usize,
    /// Directories that were not stopped cleanly, whose logs were recovered.
    pub unclean_dirs: usize,
    pub stray: usize,
    pub marked_for_removal: usize,
}

/// What all threads that load share.
struct Loading<'a> {
    options: &'a LoadOptions<'a>,
    assigned: &'a Assigned<'a>,
    now: WallMs,
    report: Mutex<LoadReport>,
    fault: Mutex<Option<DirError>>,
}

/// One directory's share of the work.
struct DirJob<'a> {
    index: usize,
    dir: &'a Dir,
    clean: bool,
    /// `None`: nothing is known of any log.
    recovery_points: Option<Offsets>,
    starts: Offsets,
    high_watermarks: Offsets,
    cleaned: Offsets,
    logs: Vec<(PathBuf, TopicPartition, DirKind)>,
    next: AtomicUsize,
    /// There was no space to load all of them.
    is_full: AtomicBool,
    progress: Progress,
}

impl LogManager {
    /// Opens every log in the directories that are online; after an unclean stop the logs recover. A disk that fails
    /// takes its directory offline; any other fault (a name that is no partition's, one partition in two places, a
    /// file that is not what it should be) is the answer, with the file's name.
    pub fn load(&self, options: &LoadOptions<'_>, now: WallMs) -> Result<LoadReport> {
        self.load_assigned(options, &|_, _| None, now)
    }

    /// The same for one who knows where the logs are to lie: moves between directories that a crash interrupted are completed. Of
    /// two logs of one partition the one in the assigned directory counts, the other is set aside.
    pub fn load_assigned(
        &self,
        options: &LoadOptions<'_>,
        assigned: &Assigned<'_>,
        now: WallMs,
    ) -> Result<LoadReport> {
        let mut jobs = Vec::new();
        for (index, dir) in self.dirs.iter().enumerate() {
            if !dir.is_online() {
                continue;
            }
            match self.prepare_dir(index, dir) {
                Ok(job) => jobs.push(job),
                Err(fault) if fault.is_disk_failure() => self.fail_dir(index, fault.to_string()),
                Err(fault) => return Err(fault),
            }
        }
        let (fault, report) = (Mutex::new(None), Mutex::default());
        let loading = Loading { options, assigned, now, report, fault };
        let mut shares = jobs.iter().flat_map(|job| {
            let threads = options.threads_per_dir.clamp(1, job.logs.len().max(1));
            std::iter::repeat_n(job, threads)
        });
        // This thread has nothing else to do.
        let own = shares.next();
        std::thread::scope(|scope| {
            for job in shares {
                scope.spawn(|| self.run_job(job, &loading));
            }
            own.into_iter().for_each(|job| self.run_job(job, &loading));
        });
        if let Some(fault) = loading.fault.into_inner() {
            return Err(fault);
        }
        let mut report = loading.report.into_inner();
        for job in &jobs {
            report.unclean_dirs += usize::from(!job.clean && !job.logs.is_empty());
            job.dir.loaded.store(true, Ordering::Relaxed);
        }
        self.promote_orphans(assigned)?;
        for job in &jobs {
            let unknown = job.recovery_points.is_none();
            if unknown || (!job.clean && !job.logs.is_empty()) {
                // A log that ends before its old recovery point must not grow over it unnoticed.
                self.checkpoint_recovery_points_of(job.index);
            }
            let is_gone = |partition: &TopicPartition| !self.is_here(job.index, partition);
            if !job.is_full.load(Ordering::Relaxed) && job.starts.keys().any(is_gone) {
                // What has this name next begins at 0.
                self.checkpoint_log_starts_of(job.index);
            }
        }
        self.check_any_online()?;
        Ok(report)
    }

    fn prepare_dir<'a>(&self, index: usize, dir: &'a Dir) -> Result<DirJob<'a>> {
        let disk = self.pool.disk().as_ref();
        // From here on a stop is unclean until the marker is written anew.
        let clean = clean_shutdown::remove(disk, &dir.path)?;
        dir.was_clean.store(clean, Ordering::Relaxed);
        let try_read = |name: &str| {
            let path = dir.path.join(name);
            match checkpoint::read_offsets(disk, &path) {
                Err(fault) if !fault.is_disk_failure() => {
                    tracing::warn!(%fault, "the checkpoint is ignored");
                    Ok(None)
                }
                other => other.map(Some),
            }
        };
        let read = |name: &str| try_read(name).map(Option::unwrap_or_default);
        let path = dir.path.join(RECOVERY_POINTS);
        let there = disk.stat(&path).map_err(DirError::io("look at", &path))?.is_some();
        let recovery_points = try_read(RECOVERY_POINTS)?.filter(|_| there);
        let mut logs = Vec::new();
        for entry in disk.list(&dir.path).map_err(DirError::io("list", &dir.path))? {
            if !entry.is_dir || entry.name == REMOTE_INDEX_CACHE {
                continue;
            }
            let path = dir.path.join(&entry.name);
            let Some((partition, kind)) = parse_dir_name(&entry.name) else {
                return Err(DirError::NotAPartition { path, name: entry.name });
            };
            if &*partition.topic != METADATA_TOPIC {
                logs.push((path, partition, kind));
            }
        }
        let cleaned = read(CLEANER_OFFSETS)?;
        let starts = read(LOG_STARTS)?;
        dir.cleaned.lock().clone_from(&cleaned);
        dir.starts.lock().clone_from(&starts);
        let (dir_path, count) = (dir.path.display(), logs.len());
        tracing::info!(dir = %dir_path, logs = count, clean, "loading logs");
        let progress = Progress::new(&dir.path, count);
        Ok(DirJob {
            index,
            dir,
            clean,
            recovery_points,
            starts,
            high_watermarks: read(HIGH_WATERMARKS)?,
            cleaned,
            logs,
            next: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            progress,
        })
    }

    fn run_job(&self, job: &DirJob<'_>, loading: &Loading<'_>) {
        while job.dir.is_online() && loading.fault.lock().is_none() {
            let next = job.next.fetch_add(1, Ordering::Relaxed);
            let Some((path, partition, kind)) = job.logs.get(next) else { break };
            match self.load_one(job, path, partition, *kind, loading) {
                Ok(()) => job.progress.one_more(),
                Err(error) if error.is_disk_failure() => {
                    self.fail_dir(job.index, error.to_string());
                }
                // The others can be loaded, and this one when there is space again.
                Err(error) if error.is_full() => {
                    tracing::error!(%partition, "the log is not loaded yet: {error}");
                    job.is_full.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    loading.fault.lock().get_or_insert(error);
                }
            }
        }
    }

    fn load_one(
        &self,
        job: &DirJob<'_>,
        path: &Path,
        partition: &TopicPartition,
        kind: DirKind,
        loading: &Loading<'_>,
    ) -> Result<()> {
        let Loading { options, now, report, .. } = loading;
        let (disk, now) = (self.pool.disk().as_ref(), *now);
        match kind {
            DirKind::Delete => {
                self.remove_later(Removal::dir(path.to_path_buf(), now, options.delete_delay_ms));
                report.lock().marked_for_removal += 1;
                return Ok(());
            }
            DirKind::Stray => {
                tracing::warn!(dir = %path.display(), "a stray log is left alone");
                report.lock().stray += 1;
                return Ok(());
            }
            DirKind::Current | DirKind::Future => {}
        }
        let topic_id = partition_metadata::read_topic_id(disk, path)?;
        if (options.is_stray)(partition, topic_id) {
            self.set_aside(job.dir, path, partition)?;
            report.lock().stray += 1;
            return Ok(());
        }
        let offset = |of: &Offsets| of.get(partition).copied().unwrap_or(base::Offset::ZERO);
        let options = OpenOptions {
            config: (options.config)(&partition.topic),
            producers: *self.producers.lock(),
            start_offset: offset(&job.starts),
            recovery_point: job.recovery_points.as_ref().map_or(base::Offset::ZERO, offset),
            checkpoint_lost: job.recovery_points.is_none(),
            clean: job.clean,
            space: Some(Arc::clone(&job.dir.space)),
            cleaned_upto: job.cleaned.get(partition).copied(),
        };
        let (path_there, high_watermark) = (path.to_path_buf(), offset(&job.high_watermarks));
        let found = Found { dir: job.index, path: path_there, topic_id, options, high_watermark };
        let log = self.open_found(partition, &found, now).inspect_err(|fault| {
            if fault.is_full() && kind == DirKind::Current {
                self.unopened.lock().insert(partition.clone(), found);
            }
        })?;
        let log = Arc::new(RwLock::new(log));
        let entry = LogEntry { log, topic_id, dir: job.index };
        report.lock().logs += 1;
        if kind == DirKind::Future {
            let other = self.futures.write().insert(partition.clone(), entry);
            return other.map_or(Ok(()), |other| Err(duplicate(partition, &other, path)));
        }
        let mut logs = self.logs.write();
        let Some(other) = logs.get(partition).cloned() else {
            logs.insert(partition.clone(), entry);
            return Ok(());
        };
        let wanted = (loading.assigned)(partition, topic_id);
        let is_wanted =
            |dir: Option<&Dir>| wanted.is_some() && wanted == dir.and_then(|dir| dir.id);
        let other_dir = self.dirs.get(other.dir);
        let loser = match (is_wanted(other_dir), is_wanted(Some(job.dir))) {
            (true, false) => entry,
            (false, true) => {
                logs.insert(partition.clone(), entry);
                other
            }
            _ => return Err(duplicate(partition, &other, path)),
        };
        drop(logs);
        report.lock().stray += 1;
        let dir = self.dirs.get(loser.dir).ok_or_else(|| self.none_online())?;
        let path = loser.log.read().dir().to_path_buf();
        if let Err(fault) = self.set_aside(dir, &path, partition) {
            self.fail_dir(loser.dir, fault.to_string());
        }
        Ok(())
    }

    /// Whether a log of the partition lies in this directory, or its copy.
    fn is_here(&self, index: usize, partition: &TopicPartition) -> bool {
        [self.get(partition), self.future(partition)].iter().flatten().any(|log| log.dir == index)
    }

    /// Under a name that tells that nobody serves it; nothing is removed.
    pub(super) fn set_aside(
        &self,
        dir: &Dir,
        path: &Path,
        partition: &TopicPartition,
    ) -> Result<()> {
        let disk = self.pool.disk().as_ref();
        let target = marked_dir_name(partition, DirKind::Stray, (self.unique)());
        let target = dir.path.join(target);
        disk.rename(path, &target).map_err(DirError::io("rename", path))?;
        small_file::sync_parent(disk, &target)?;
        tracing::warn!(
            from = %path.display(), to = %target.display(),
            "a log that is not assigned to this node or directory is set aside"
        );
        Ok(())
    }
}

fn duplicate(partition: &TopicPartition, first: &LogEntry, second: &Path) -> DirError {
    DirError::DuplicateLog {
        partition: partition.clone(),
        first: first.log.read().dir().to_path_buf(),
        second: second.to_path_buf(),
    }
}
