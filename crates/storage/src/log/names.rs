//! The names of the files of one log: twenty digits of the base offset and a suffix.

use crate::pool::FileKind;

pub const LOG_SUFFIX: &str = ".log";
pub const INDEX_SUFFIX: &str = ".index";
pub const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub const TXN_INDEX_SUFFIX: &str = ".txnindex";
pub const SNAPSHOT_SUFFIX: &str = ".snapshot";
/// Marks a file that goes once nobody can be reading it any more.
pub const DELETED_SUFFIX: &str = ".deleted";
/// Marks a file that a cleaner was still writing.
pub const CLEANED_SUFFIX: &str = ".cleaned";
/// Marks a finished file that is to take the place of others.
pub const SWAP_SUFFIX: &str = ".swap";
/// A metadata snapshot on its way out: left to the owner of the metadata log.
pub const DELETED_METADATA_SNAPSHOT_SUFFIX: &str = ".checkpoint.deleted";
pub const EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";

/// All files of a segment.
pub const KINDS: [FileKind; 4] =
    [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex];

pub const fn suffix(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Log => LOG_SUFFIX,
        FileKind::OffsetIndex => INDEX_SUFFIX,
        FileKind::TimeIndex => TIME_INDEX_SUFFIX,
        FileKind::TxnIndex => TXN_INDEX_SUFFIX,
    }
}

pub fn segment_file(base_offset: i64, kind: FileKind) -> String {
    format!("{base_offset:020}{}", suffix(kind))
}

pub fn snapshot_file(offset: i64) -> String {
    format!("{offset:020}{SNAPSHOT_SUFFIX}")
}

/// The kind of a segment's file, `None` for everything else.
pub fn kind_of(name: &str) -> Option<FileKind> {
    KINDS.into_iter().find(|kind| name.ends_with(suffix(*kind)))
}

/// The offset at the start of a name, `None` where there is none.
pub fn offset_of(name: &str) -> Option<i64> {
    let digits = name.split('.').next()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Base offset and kind of a segment's file with exactly its own suffix.
pub fn parse_segment_file(name: &str) -> Option<(i64, FileKind)> {
    let kind = kind_of(name)?;
    let digits = name.strip_suffix(suffix(kind))?;
    if digits.contains('.') {
        return None;
    }
    Some((offset_of(name)?, kind))
}
