//! One log directory: its own small files, and which logs are in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base::{Offset, TopicPartition};

use super::Options;
use super::finding::{At, Check, Findings, Severity};
use super::partition::Place;
use crate::dirs::checkpoint::{CLEANER_OFFSETS, HIGH_WATERMARKS, LOG_STARTS, RECOVERY_POINTS};
use crate::dirs::{DirKind, Offsets, clean_shutdown, lock, meta, parse_dir_name, read_offsets};
use crate::disk::{Disk, FileInfo};

/// Not a partition: Kafka's tiered storage keeps indexes there.
const REMOTE_INDEX_CACHE: &str = "remote-log-index-cache";
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Topics that are compacted on every cluster.
const COMPACTED: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// The checkpoints that speak of every log of a directory.
pub(super) struct Checkpoints {
    pub recovery_points: Option<Offsets>,
    pub log_starts: Option<Offsets>,
    pub high_watermarks: Option<Offsets>,
    pub cleaned: Option<Offsets>,
}

/// A directory that was listed.
pub(super) struct Directory {
    pub path: PathBuf,
    pub in_use: bool,
    pub clean: bool,
    pub checkpoints: Checkpoints,
    pub findings: Findings,
    pub files: u64,
    pub places: Vec<(Place, DirKind)>,
}

impl Directory {
    /// Reads what lies beside the logs.
    pub fn open(disk: &dyn Disk, path: &Path, options: &Options<'_>) -> Self {
        let mut findings = Findings::default();
        // The lock first: a process that starts later is noticed by what changes under our eyes, no sooner.
        let in_use = lock::is_held(path).unwrap_or(false);
        let clean = !in_use && clean_shutdown::exists(disk, path).unwrap_or(false);
        let mut read = |name: &str| read_checkpoint(disk, &path.join(name), &mut findings);
        let checkpoints = Checkpoints {
            recovery_points: read(RECOVERY_POINTS),
            log_starts: read(LOG_STARTS),
            high_watermarks: read(HIGH_WATERMARKS),
            cleaned: read(CLEANER_OFFSETS),
        };
        let mut directory = Self {
            path: path.to_path_buf(),
            in_use,
            clean,
            checkpoints,
            findings,
            files: 0,
            places: Vec::new(),
        };
        match disk.list(path) {
            Ok(files) => directory.sort(files, options),
            Err(error) => {
                directory.findings.damage(Check::Unreadable, path, At::FILE, error.to_string());
            }
        }
        directory
    }

    fn sort(&mut self, mut files: Vec<FileInfo>, options: &Options<'_>) {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        for file in files {
            let path = self.path.join(&file.name);
            if file.is_dir {
                self.subdirectory(path, &file.name, options);
            } else {
                self.files += 1;
                self.file(&path, &file.name, file.len, options);
            }
        }
    }

    fn file(&mut self, path: &Path, name: &str, len: u64, options: &Options<'_>) {
        let known = [
            meta::FILE_NAME,
            lock::FILE_NAME,
            clean_shutdown::FILE_NAME,
            RECOVERY_POINTS,
            LOG_STARTS,
            HIGH_WATERMARKS,
            CLEANER_OFFSETS,
        ];
        if known.contains(&name) {
            return;
        }
        match (options.inspect)(path) {
            Some(Ok(())) => {}
            Some(Err(text)) => self.findings.damage(Check::Quorum, path, At::FILE, text),
            None if name.ends_with(".tmp") => {
                let text = format!("was being written; {len} bytes");
                self.findings.note(Check::Leftover, path, At::FILE, text);
            }
            None => self.findings.note(Check::Unknown, path, At::FILE, "nobody knows this file"),
        }
    }

    fn subdirectory(&mut self, path: PathBuf, name: &str, options: &Options<'_>) {
        if name == REMOTE_INDEX_CACHE {
            return;
        }
        let Some((partition, kind)) = parse_dir_name(name) else {
            let text = "it is not named as a partition: the next start is refused";
            return self.findings.damage(Check::Unknown, &path, At::FILE, text);
        };
        let wanted = options.topics.is_empty() || options.topics.contains(&*partition.topic);
        if !wanted {
            return;
        }
        match kind {
            DirKind::Delete => {
                let text = "waits to be removed; it is not looked at";
                return self.findings.note(Check::Leftover, &path, At::FILE, text);
            }
            DirKind::Stray => {
                let text = "a log that was not assigned to this node when it was started";
                self.findings.note(Check::Leftover, &path, At::FILE, text);
            }
            DirKind::Current | DirKind::Future => {}
        }
        let place = self.place(path, partition, kind, options);
        self.places.push((place, kind));
    }

    fn place(
        &self,
        dir: PathBuf,
        name: TopicPartition,
        kind: DirKind,
        options: &Options<'_>,
    ) -> Place {
        let is_metadata = &*name.topic == METADATA_TOPIC;
        let told = options.compacted.contains(&*name.topic);
        let checkpoints = &self.checkpoints;
        let of = |offsets: &Option<Offsets>| {
            let found = offsets.as_ref().and_then(|offsets| offsets.get(&name)).copied();
            found.filter(|_| kind != DirKind::Stray).map_or(0, |Offset(offset)| offset)
        };
        let cleaned = checkpoints.cleaned.as_ref().is_some_and(|of| of.contains_key(&name));
        Place {
            log_start: of(&checkpoints.log_starts),
            recovery_point: of(&checkpoints.recovery_points),
            // The quorum reads its log through at every start, and trusts no marker.
            clean: self.clean && !is_metadata && kind != DirKind::Stray,
            in_use: self.in_use,
            compacted: told || cleaned || COMPACTED.contains(&&*name.topic),
            keys: told || COMPACTED.contains(&&*name.topic),
            quick: options.quick,
            is_metadata,
            dir,
            name,
        }
    }

    /// What the checkpoints say of a log that goes from the first to before the second offset.
    pub fn compare(&self, name: &TopicPartition, range: (i64, i64), findings: &mut Findings) {
        let (first, end) = range;
        let beyond = [
            (
                RECOVERY_POINTS,
                &self.checkpoints.recovery_points,
                Severity::Damage,
                "was flushed up to",
            ),
            (LOG_STARTS, &self.checkpoints.log_starts, Severity::Damage, "starts at"),
            (
                HIGH_WATERMARKS,
                &self.checkpoints.high_watermarks,
                Severity::Damage,
                "is committed up to",
            ),
            (CLEANER_OFFSETS, &self.checkpoints.cleaned, Severity::Repairable, "was cleaned up to"),
        ];
        for (file, offsets, severity, what) in beyond {
            let path = self.path.join(file);
            let said = offsets.as_ref().and_then(|offsets| offsets.get(name));
            let Some(Offset(said)) = said.copied() else { continue };
            if said > end {
                let text = format!("{name} {what} {said}, but the log ends at {end}");
                findings.add(severity, Check::Checkpoint, &path, At::FILE, text);
            } else if said < 0 {
                let text = format!("{name} {what} {said}");
                findings.repairable(Check::Checkpoint, &path, At::FILE, text);
            } else if file == HIGH_WATERMARKS && said < first && self.clean {
                let text = format!("{name} {what} {said}, but the log starts at {first}");
                findings.repairable(Check::Checkpoint, &path, At::FILE, text);
            }
        }
    }

    /// Entries of checkpoints for logs that are not here.
    pub fn entries_without_log(&mut self) {
        if self.in_use {
            return;
        }
        let here: BTreeMap<&TopicPartition, ()> =
            self.places.iter().map(|(place, _)| (&place.name, ())).collect();
        let all = [
            (RECOVERY_POINTS, &self.checkpoints.recovery_points),
            (LOG_STARTS, &self.checkpoints.log_starts),
            (HIGH_WATERMARKS, &self.checkpoints.high_watermarks),
            (CLEANER_OFFSETS, &self.checkpoints.cleaned),
        ];
        for (file, offsets) in all {
            let mut strangers: Vec<_> = offsets
                .iter()
                .flat_map(|o| o.keys())
                .filter(|name| !here.contains_key(name))
                .collect();
            strangers.sort_unstable();
            for name in strangers {
                let path = self.path.join(file);
                let text = format!("it speaks of {name}, which is not here");
                self.findings.note(Check::Checkpoint, &path, At::FILE, text);
            }
        }
        let lacks = [
            (RECOVERY_POINTS, self.checkpoints.recovery_points.is_none()),
            (HIGH_WATERMARKS, self.checkpoints.high_watermarks.is_none()),
        ];
        let has_logs =
            self.places.iter().any(|(place, kind)| *kind == DirKind::Current && !place.is_metadata);
        for (file, lacks) in lacks.into_iter().filter(|_| self.clean && has_logs) {
            let path = self.path.join(file);
            if lacks && matches!(path.try_exists(), Ok(false)) {
                let text = "it is missing, although the directory was stopped cleanly";
                self.findings.repairable(Check::Missing, &path, At::FILE, text);
            }
        }
    }
}

fn read_checkpoint(disk: &dyn Disk, path: &Path, findings: &mut Findings) -> Option<Offsets> {
    match disk.stat(path) {
        Ok(Some(_)) => {}
        Ok(None) => return None,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                findings.damage(Check::Unreadable, path, At::FILE, error.to_string());
            }
            return None;
        }
    }
    match read_offsets(disk, path) {
        Ok(offsets) => Some(offsets),
        Err(fault) if fault.is_disk_failure() => {
            findings.damage(Check::Unreadable, path, At::FILE, fault.to_string());
            None
        }
        Err(fault) => {
            let text = format!("{fault}; the next start does without it");
            findings.repairable(Check::Checkpoint, path, At::FILE, text);
            None
        }
    }
}
