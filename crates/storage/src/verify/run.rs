//! The whole look: directories listed, logs looked at by several threads, what they say of each other compared.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::{TopicId, TopicPartition};
use parking_lot::Mutex;

use super::directory::Directory;
use super::finding::{At, Check, Finding, Findings};
use super::partition::{self, LogReport, Place};
use super::{Options, Totals};
use crate::dirs::{DirError, DirKind, DirMeta, MetaEnsemble, meta};
use crate::disk::Disk;

/// A log that is being written is looked at again this often before it is said to be wrong.
const LOOKS_AGAIN: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// What several logs say of the same things.
#[derive(Default)]
struct Common {
    totals: Totals,
    topic_ids: HashMap<String, (TopicId, PathBuf)>,
}

/// Looks through directories; everything that is found goes to `tell`, from several threads.
pub fn verify(
    disk: &dyn Disk,
    dirs: &[PathBuf],
    options: &Options<'_>,
    tell: &(dyn Fn(Finding) + Sync),
) -> Totals {
    let common = Mutex::new(Common::default());
    let mut directories: Vec<Directory> =
        dirs.iter().map(|dir| Directory::open(disk, dir, options)).collect();
    let give = |findings: Findings| give(findings.into_all(), &common, tell);
    for directory in &mut directories {
        if options.topics.is_empty() {
            directory.entries_without_log();
        }
        let mut common = common.lock();
        common.totals.dirs += 1;
        common.totals.dirs_in_use += u64::from(directory.in_use);
        common.totals.files += directory.files;
        drop(common);
        give(std::mem::take(&mut directory.findings));
    }
    give(check_meta(disk, dirs, &directories));
    give(check_twice(&directories));
    let jobs: Vec<(&Directory, &Place, DirKind)> = directories
        .iter()
        .flat_map(|dir| dir.places.iter().map(move |(place, kind)| (dir, place, *kind)))
        .collect();
    options.progress.add_logs(jobs.len() as u64);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((dir, place, kind)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = look_at(disk, dir, place, *kind, options);
            take(report, place, *kind, &common, tell);
            options.progress.log_done();
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    common.into_inner().totals
}

fn give(findings: Vec<Finding>, common: &Mutex<Common>, tell: &(dyn Fn(Finding) + Sync)) {
    for finding in findings {
        common.lock().totals.count(&finding);
        tell(finding);
    }
}

/// Looks at one log; where somebody writes, only what stays is told.
fn look_at(
    disk: &dyn Disk,
    dir: &Directory,
    place: &Place,
    kind: DirKind,
    options: &Options<'_>,
) -> LogReport {
    let look = || {
        let mut report = partition::look_at(disk, place, options);
        if let Some(range) = report.range.filter(|_| kind == DirKind::Current && !place.is_metadata)
        {
            let mut findings = Findings::default();
            dir.compare(&place.name, range, &mut findings);
            report.findings.extend(findings.into_all());
        }
        report
    };
    let mut report = look();
    for _ in 0..LOOKS_AGAIN {
        if report.findings.is_empty() || !place.in_use {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
        let again = look();
        let same = |a: &Finding, b: &Finding| {
            (&a.path, a.check, a.position) == (&b.path, b.check, b.position)
        };
        report.findings.retain(|old| again.findings.iter().any(|new| same(old, new)));
    }
    report
}

fn take(
    report: LogReport,
    place: &Place,
    kind: DirKind,
    common: &Mutex<Common>,
    tell: &(dyn Fn(Finding) + Sync),
) {
    let mut findings = Findings::default();
    {
        let mut common = common.lock();
        common.totals.add(&report.totals);
        if let Some(id) = report.topic_id.filter(|_| kind != DirKind::Stray) {
            let first = common.topic_ids.entry(place.name.topic.to_string());
            let (known, at) = first.or_insert_with(|| (id, place.dir.clone()));
            if *known != id {
                let text = format!("the topic id is {id}, but {known} in {}", at.display());
                let path = place.dir.join(crate::dirs::partition_metadata::FILE_NAME);
                findings.damage(Check::PartitionMetadata, &path, At::FILE, text);
            }
        }
    }
    give(report.findings, common, tell);
    give(findings.into_all(), common, tell);
}

/// Do all directories belong to one node?
fn check_meta(disk: &dyn Disk, dirs: &[PathBuf], directories: &[Directory]) -> Findings {
    let mut findings = Findings::default();
    let ensemble = MetaEnsemble::load(disk, dirs.iter().map(PathBuf::as_path));
    let mut whole = true;
    for ((dir, meta), directory) in ensemble.dirs().iter().zip(directories) {
        let path = dir.join(meta::FILE_NAME);
        match meta {
            DirMeta::Present(meta) if meta.node_id.is_none() && meta.cluster_id.is_none() => {
                let text = "it names neither a node nor a cluster";
                findings.damage(Check::MetaProperties, &path, At::FILE, text);
            }
            DirMeta::Present(_) => continue,
            DirMeta::Missing if directory.places.is_empty() => {
                let text = "it is missing: the directory is not formatted";
                findings.note(Check::MetaProperties, &path, At::FILE, text);
            }
            DirMeta::Missing => {
                let text = "it is missing beside logs: the next start is refused";
                findings.damage(Check::MetaProperties, &path, At::FILE, text);
            }
            DirMeta::Unreadable(fault) => {
                findings.damage(Check::MetaProperties, &path, At::FILE, fault.to_string());
            }
        }
        whole = false;
    }
    if whole && let Err(fault) = ensemble.verify(None, None, None) {
        let path = match &fault {
            DirError::WrongClusterId { path, .. }
            | DirError::WrongNodeId { path, .. }
            | DirError::ReservedDirectoryId { path, .. } => path.clone(),
            _ => dirs
                .first()
                .map_or_else(|| Path::new(".").to_path_buf(), |dir| dir.join(meta::FILE_NAME)),
        };
        findings.damage(Check::MetaProperties, &path, At::FILE, fault.to_string());
    }
    findings
}

/// No partition may be in two places.
fn check_twice(directories: &[Directory]) -> Findings {
    let mut findings = Findings::default();
    let mut seen: HashMap<(&TopicPartition, bool), &Path> = HashMap::new();
    for (place, kind) in directories.iter().flat_map(|dir| &dir.places) {
        let is_future = match kind {
            DirKind::Current => false,
            DirKind::Future => true,
            DirKind::Stray | DirKind::Delete => continue,
        };
        if let Some(other) = seen.insert((&place.name, is_future), &place.dir) {
            let text = format!("{} is in {}, too", place.name, other.display());
            findings.damage(Check::Duplicate, &place.dir, At::FILE, text);
        }
    }
    findings
}
