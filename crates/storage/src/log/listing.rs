//! The segments and snapshots that lie in a log's directory.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{LogError, Result};
use super::files::LogFiles;
use super::names;
use super::segment::FileLengths;
use crate::pool::FileKind;

/// What the names in a log's directory tell.
pub(super) struct Listed {
    pub segments: BTreeMap<i64, FileLengths>,
    pub snapshots: BTreeSet<i64>,
}

impl Listed {
    /// Base offset of the first segment.
    pub fn first(&self) -> Option<i64> {
        let mut segments = self.segments.iter();
        segments.find(|(_, lengths)| lengths.log.is_some()).map(|(base_offset, _)| *base_offset)
    }
}

pub(super) fn list(files: &LogFiles) -> Result<Listed> {
    let mut listed = Listed { segments: BTreeMap::new(), snapshots: BTreeSet::new() };
    let found = files.disk().list(files.dir()).map_err(LogError::io("list", files.dir()))?;
    for file in found.into_iter().filter(|file| !file.is_dir) {
        if let Some(digits) = file.name.strip_suffix(names::SNAPSHOT_SUFFIX) {
            listed.snapshots.extend(digits.parse::<i64>().ok().filter(|offset| *offset >= 0));
        }
        let Some((base_offset, kind)) = names::parse_segment_file(&file.name) else { continue };
        let lengths = listed.segments.entry(base_offset).or_default();
        match kind {
            FileKind::Log => {
                lengths.log = Some(file.len);
                lengths.modified = file.modified;
            }
            FileKind::OffsetIndex => lengths.offset_index = Some(file.len),
            FileKind::TimeIndex => lengths.time_index = Some(file.len),
            FileKind::TxnIndex => lengths.txn_index = Some(file.len),
        }
    }
    Ok(listed)
}
