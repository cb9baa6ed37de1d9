//! Loading all logs at start, many at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{TopicId, TopicPartition, WallMs};
use parking_lot::{Mutex, RwLock};

use super::checkpoint::{
    self, CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, Offsets, RECOVERY_POINTS,
};
use super::error::{DirError, Result};
use super::manager::{Dir, LogEntry, LogManager};
use super::names::{DirKind, marked_dir_name, parse_dir_name};
use super::upkeep::Removal;
use super::{clean_shutdown, partition_metadata, small_file};
use crate::log::{Log, LogConfig, OpenOptions};

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

/// What loading found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadReport {
    pub logs: usize,
    /// Directories that were not stopped cleanly, whose logs were recovered.
    pub unclean_dirs: usize,
    pub stray: usize,
    pub marked_for_removal: usize,
}

/// One directory's share of the work.
struct DirJob<'a> {
    index: usize,
    dir: &'a Dir,
    clean: bool,
    recovery_points: Offsets,
    starts: Offsets,
    high_watermarks: Offsets,
    cleaned: Offsets,
    logs: Vec<(PathBuf, TopicPartition, DirKind)>,
    next: AtomicUsize,
}

impl LogManager {
    /// Opens every log in the directories that are online; after an unclean stop the logs recover. A disk that fails
    /// takes its directory offline; any other fault (a name that is no partition's, one partition in two places, a
    /// file that is not what it should be) is the answer, with the file's name.
    pub fn load(&self, options: &LoadOptions<'_>, now: WallMs) -> Result<LoadReport> {
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
        let fault: Mutex<Option<DirError>> = Mutex::new(None);
        let report = Mutex::new(LoadReport::default());
        std::thread::scope(|scope| {
            for job in &jobs {
                for _ in 0..options.threads_per_dir.clamp(1, job.logs.len().max(1)) {
                    scope.spawn(|| self.run_job(job, options, now, &report, &fault));
                }
            }
        });
        if let Some(fault) = fault.into_inner() {
            return Err(fault);
        }
        let mut report = report.into_inner();
        for job in &jobs {
            report.unclean_dirs += usize::from(!job.clean && !job.logs.is_empty());
            job.dir.loaded.store(true, Ordering::Relaxed);
        }
        self.check_any_online()?;
        Ok(report)
    }

    fn prepare_dir<'a>(&self, index: usize, dir: &'a Dir) -> Result<DirJob<'a>> {
        let disk = self.pool.disk().as_ref();
        // From here on a stop is unclean until the marker is written anew.
        let clean = clean_shutdown::remove(disk, &dir.path)?;
        dir.was_clean.store(clean, Ordering::Relaxed);
        let read = |name: &str| {
            let path = dir.path.join(name);
            match checkpoint::read_offsets(disk, &path) {
                Err(fault) if !fault.is_disk_failure() => {
                    tracing::warn!(%fault, "the checkpoint is ignored");
                    Ok(Offsets::new())
                }
                other => other,
            }
        };
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
        dir.cleaned.lock().clone_from(&cleaned);
        let (dir_path, count) = (dir.path.display(), logs.len());
        tracing::info!(dir = %dir_path, logs = count, clean, "loading logs");
        Ok(DirJob {
            index,
            dir,
            clean,
            recovery_points: read(RECOVERY_POINTS)?,
            starts: read(LOG_STARTS)?,
            high_watermarks: read(HIGH_WATERMARKS)?,
            cleaned,
            logs,
            next: AtomicUsize::new(0),
        })
    }

    fn run_job(
        &self,
        job: &DirJob<'_>,
        options: &LoadOptions<'_>,
        now: WallMs,
        report: &Mutex<LoadReport>,
        fault: &Mutex<Option<DirError>>,
    ) {
        while job.dir.is_online() && fault.lock().is_none() {
            let next = job.next.fetch_add(1, Ordering::Relaxed);
            let Some((path, partition, kind)) = job.logs.get(next) else { break };
            let loaded = self.load_one(job, path, partition, *kind, options, now, report);
            match loaded {
                Ok(()) => {}
                Err(error) if error.is_disk_failure() => {
                    self.fail_dir(job.index, error.to_string());
                }
                // The others can be loaded, and this one when there is space again.
                Err(error) if error.is_full() => {
                    tracing::error!(%partition, "the log is not loaded yet: {error}");
                }
                Err(error) => {
                    fault.lock().get_or_insert(error);
                }
            }
        }
    }

    fn load_one(
        &self,
        job: &DirJob<'_>,
        path: &PathBuf,
        partition: &TopicPartition,
        kind: DirKind,
        options: &LoadOptions<'_>,
        now: WallMs,
        report: &Mutex<LoadReport>,
    ) -> Result<()> {
        let disk = self.pool.disk().as_ref();
        match kind {
            DirKind::Delete => {
                self.remove_later(Removal::dir(path.clone(), now, options.delete_delay_ms));
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
            let target = marked_dir_name(partition, DirKind::Stray, (self.unique)());
            let target = job.dir.path.join(target);
            disk.rename(path, &target).map_err(DirError::io("rename", path))?;
            small_file::sync_parent(disk, &target)?;
            tracing::warn!(
                from = %path.display(), to = %target.display(),
                "a log that is not assigned to this node is set aside"
            );
            report.lock().stray += 1;
            return Ok(());
        }
        let offset = |of: &Offsets| of.get(partition).copied().unwrap_or(base::Offset::ZERO);
        let open = OpenOptions {
            config: (options.config)(&partition.topic),
            producers: *self.producers.lock(),
            start_offset: offset(&job.starts),
            recovery_point: offset(&job.recovery_points),
            clean: job.clean,
            space: Some(Arc::clone(&job.dir.space)),
            cleaned_upto: job.cleaned.get(partition).copied(),
        };
        let mut log = Log::open(&self.pool, path.clone(), partition.clone(), open, now)?;
        log.set_high_watermark(offset(&job.high_watermarks));
        let log = Arc::new(RwLock::new(log));
        let entry = LogEntry { log, topic_id, dir: job.index };
        let logs = if kind == DirKind::Future { &self.futures } else { &self.logs };
        let other = logs.write().insert(partition.clone(), entry);
        report.lock().logs += 1;
        match other {
            None => Ok(()),
            Some(other) => Err(DirError::DuplicateLog {
                partition: partition.clone(),
                first: other.log.read().dir().to_path_buf(),
                second: path.clone(),
            }),
        }
    }
}
