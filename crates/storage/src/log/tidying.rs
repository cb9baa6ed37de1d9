//! What a crash has left half done in a log's directory: removals, cleanings, replacements.

use super::error::{LogError, Result};
use super::files::LogFiles;
use super::head::{BatchHead, HEAD_LEN};
use super::names;
use crate::disk::OpenMode;

/// Finishes what a crash has interrupted: removes what was to be removed or was half written by a cleaner, and puts
/// finished replacements in place of the segments they replace.
pub(super) fn tidy_up(files: &LogFiles) -> Result<()> {
    let (disk, dir) = (files.disk(), files.dir());
    let found = disk.list(dir).map_err(LogError::io("list", dir))?;
    let present: Vec<&str> =
        found.iter().filter(|file| !file.is_dir).map(|file| file.name.as_str()).collect();
    let remove = |name: &str| {
        let path = dir.join(name);
        disk.remove_file(&path).map_err(LogError::io("remove", &path))
    };
    let with_suffix = |suffix| present.iter().filter(move |name| name.ends_with(suffix));
    let cleaned = with_suffix(names::CLEANED_SUFFIX);
    let min_cleaned = cleaned.filter_map(|name| names::offset_of(name)).min().unwrap_or(i64::MAX);
    // Beside a half-written file of its own offset, or a lower one, this is a part of what is not finished.
    let (mut swaps, unfinished): (Vec<_>, Vec<_>) = with_suffix(names::SWAP_SUFFIX)
        .map(|name| (names::offset_of(name).unwrap_or(i64::MAX), *name))
        .partition(|(offset, _)| *offset < min_cleaned);
    for (_, name) in &unfinished {
        remove(name)?;
    }
    if !unfinished.is_empty() {
        // A crash must not leave them without what tells that they are not finished.
        files.sync_dir()?;
    }
    for name in &present {
        let deleted = name.ends_with(names::DELETED_SUFFIX)
            && !name.ends_with(names::DELETED_METADATA_SNAPSHOT_SUFFIX);
        if deleted || name.ends_with(names::CLEANED_SUFFIX) {
            remove(name)?;
        }
    }
    if swaps.is_empty() {
        return Ok(());
    }
    let (mut first, mut end) = (i64::MAX, i64::MIN);
    for (offset, name) in &swaps {
        if name.strip_suffix(names::SWAP_SUFFIX).is_some_and(|n| n.ends_with(names::LOG_SUFFIX)) {
            first = first.min(*offset);
            end = end.max(end_of_swap(files, name, *offset)?);
        }
    }
    for name in &present {
        let replaced = names::offset_of(name).is_some_and(|offset| offset >= first && offset < end);
        if replaced && !name.ends_with(names::SWAP_SUFFIX) {
            tracing::info!(dir = %dir.display(), name, "removing a file that was replaced");
            remove(name)?;
        }
    }
    // A crash here must not leave what was replaced beside what replaces it.
    files.sync_dir()?;
    // The log first: as long as it has not its name, what has is taken for old.
    let is_log =
        |name: &str| name.strip_suffix(names::SWAP_SUFFIX).map(|n| n.ends_with(names::LOG_SUFFIX));
    swaps.sort_by_key(|(_, name)| is_log(name) != Some(true));
    for (_, name) in &swaps {
        if let Some(target) = name.strip_suffix(names::SWAP_SUFFIX) {
            let (from, to) = (dir.join(name), dir.join(target));
            disk.rename(&from, &to).map_err(LogError::io("rename", &from))?;
        }
    }
    files.sync_dir()
}

/// The offset after the last batch of a replacement.
fn end_of_swap(files: &LogFiles, name: &str, base_offset: i64) -> Result<i64> {
    let path = files.dir().join(name);
    let file = files.disk().open(&path, OpenMode::ReadOnly).map_err(LogError::io("open", &path))?;
    let mut end = base_offset;
    let mut position = 0;
    loop {
        let mut head = [0; HEAD_LEN];
        let read = file.read_at(&mut head, position).map_err(LogError::io("read", &path))?;
        match BatchHead::parse(head.get(..read).unwrap_or_default()) {
            Ok(Some(batch)) => {
                end = batch.next_offset();
                position += batch.size;
            }
            Ok(None) => return Ok(end),
            Err(fault) => {
                return Err(LogError::Corrupt { path, position, reason: fault.to_string() });
            }
        }
    }
}
