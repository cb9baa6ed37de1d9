//! `partition.metadata`: the topic id of the log beside it.

use std::path::Path;

use base::TopicId;

use super::error::{DirError, Result};
use super::small_file;
use crate::disk::{Disk, OpenMode};

pub const FILE_NAME: &str = "partition.metadata";
const VERSION: i32 = 0;
const MAX_BYTES: usize = 4096;
const WHAT: &str = "partition metadata";

/// The topic id of the log in `dir`; `None` when the file is missing or was never whole: the log was being created when the
/// power went, and never got its first durable record.
pub fn read_topic_id(disk: &dyn Disk, dir: &Path) -> Result<Option<TopicId>> {
    let path = dir.join(FILE_NAME);
    let text = small_file::read_text(disk, &path, WHAT, MAX_BYTES)?;
    text.filter(|text| !was_never_whole(text))
        .map(|text| parse(&text).map_err(|reason| DirError::invalid(&path, WHAT, reason)))
        .transpose()
}

/// A file whose bytes had not reached the disk: empty, zeros somewhere, or the beginning of one.
fn was_never_whole(text: &str) -> bool {
    let zero = text_of(TopicId::ZERO);
    let same = zero.len() - TopicId::ZERO.to_string().len();
    let beginning = text.get(..same).unwrap_or(text);
    text.contains('\0') || (text.len() < zero.len() && zero.starts_with(beginning))
}

/// Writes the topic id beside a log, durably.
pub fn write_topic_id(disk: &dyn Disk, dir: &Path, id: TopicId) -> Result<()> {
    small_file::write(disk, &dir.join(FILE_NAME), text_of(id).as_bytes())
}

/// Writes the topic id into a directory that was just made, and leaves it to the caller to make it durable.
pub(super) fn write_new(disk: &dyn Disk, dir: &Path, id: TopicId) -> Result<()> {
    let path = dir.join(FILE_NAME);
    let file = disk.open(&path, OpenMode::CreateEmpty).map_err(DirError::io("create", &path))?;
    file.write_at(text_of(id).as_bytes(), 0).map_err(DirError::io("write", &path))
}

fn text_of(id: TopicId) -> String {
    format!("version: {VERSION}\ntopic_id: {id}")
}

fn parse(text: &str) -> Result<TopicId, String> {
    let mut lines = text.lines();
    let mut value = |key: &str| {
        let line = lines.next().ok_or(format!("the line {key:?} is missing"))?;
        let (found, value) = line.split_once(':').ok_or(format!("malformed line {line:?}"))?;
        if found != key {
            return Err(format!("{key:?} is expected, {found:?} found"));
        }
        Ok(value.trim_start())
    };
    let version = value("version")?;
    if version.parse() != Ok(VERSION) {
        return Err(format!("version {version:?} is not {VERSION}"));
    }
    let id: TopicId = value("topic_id")?.parse().map_err(|fault| format!("{fault}"))?;
    if id.is_zero() {
        return Err("the topic id is zero".into());
    }
    Ok(id)
}
