//! The aborted transactions whose markers lie in a segment: entries of 34 bytes, the file made when the first comes.

use base::ProducerId;

use super::error::{LogError, Result};
use super::files::LogFiles;
use crate::pool::FileKind;

const ENTRY_LEN: usize = 34;
/// Entries read at once.
const BLOCK: u32 = 1024;

/// An aborted transaction: its records lie in `first_offset..=last_offset`, the marker at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: i64,
    pub last_offset: i64,
    /// First offset that was still undecided when the marker was written.
    pub last_stable_offset: i64,
}

impl AbortedTxn {
    fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        out[2..10].copy_from_slice(&self.producer_id.0.to_be_bytes());
        out[10..18].copy_from_slice(&self.first_offset.to_be_bytes());
        out[18..26].copy_from_slice(&self.last_offset.to_be_bytes());
        out[26..].copy_from_slice(&self.last_stable_offset.to_be_bytes());
        out
    }

    /// `None` for a version that is not known.
    fn decode(entry: &[u8; ENTRY_LEN]) -> Option<Self> {
        let long = |at: usize| {
            entry[at..at + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)) as i64
        };
        if i16::from_be_bytes([entry[0], entry[1]]) > 0 {
            return None;
        }
        Some(Self {
            producer_id: ProducerId(long(2)),
            first_offset: long(10),
            last_offset: long(18),
            last_stable_offset: long(26),
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TxnIndex {
    base_offset: i64,
    /// Entries in the file.
    count: u32,
    /// There is a file.
    exists: bool,
    /// Those after them, for which the disk had no space.
    pending: Vec<AbortedTxn>,
}

impl TxnIndex {
    /// `file_len` is that of the file, if there is one.
    pub fn new(base_offset: i64, file_len: Option<u64>) -> Self {
        let entries = file_len.unwrap_or(0) / ENTRY_LEN as u64;
        let count = u32::try_from(entries).unwrap_or(u32::MAX);
        Self { base_offset, count, exists: file_len.is_some(), pending: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.pending.is_empty()
    }

    /// There is a file: it was made for the first entry that was written. One that was cut to nothing is to be synced,
    /// too, or else the entries of truncated transactions come back.
    pub fn has_file(&self) -> bool {
        self.exists
    }

    /// Entries are in memory alone.
    pub fn has_unwritten(&self) -> bool {
        !self.pending.is_empty()
    }

    /// On a full disk the entry stays in memory: its marker is in the log already.
    pub fn push(&mut self, files: &LogFiles, txn: &AbortedTxn) -> Result<()> {
        self.pending.push(*txn);
        self.settle(files)
    }

    /// Writes what is still in memory as far as there is space.
    pub fn settle(&mut self, files: &LogFiles) -> Result<()> {
        match self.finish(files) {
            Err(error) if error.is_full() => Ok(()),
            finished => finished,
        }
    }

    /// Writes what is still in memory.
    pub fn finish(&mut self, files: &LogFiles) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let position = u64::from(self.count) * ENTRY_LEN as u64;
        let bytes: Vec<u8> = self.pending.iter().flat_map(AbortedTxn::encode).collect();
        files.write(self.base_offset, FileKind::TxnIndex, &bytes, position)?;
        self.exists = true;
        self.count = self.count.saturating_add(u32::try_from(self.pending.len()).unwrap_or(0));
        self.pending = Vec::new();
        Ok(())
    }

    pub fn clear(&mut self, files: &LogFiles) -> Result<()> {
        self.keep(files, 0)
    }

    /// Drops the transactions that end at or after `offset`.
    pub fn truncate_to(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        let mut keep = 0;
        self.visit(files, |txn| {
            let kept = txn.last_offset < offset;
            keep += usize::from(kept);
            kept
        })?;
        self.keep(files, keep)
    }

    fn keep(&mut self, files: &LogFiles, count: usize) -> Result<()> {
        let written = self.count as usize;
        self.pending.truncate(count.saturating_sub(written));
        if count < written {
            files.set_len(self.base_offset, FileKind::TxnIndex, (count * ENTRY_LEN) as u64)?;
            self.count = count as u32;
        }
        Ok(())
    }

    /// Adds the transactions that overlap `from..until` to `found`; true when no later segment can hold more.
    pub fn collect(
        &self,
        files: &LogFiles,
        from: i64,
        until: i64,
        found: &mut Vec<AbortedTxn>,
    ) -> Result<bool> {
        let mut complete = false;
        self.visit(files, |txn| {
            if txn.last_offset >= from && txn.first_offset < until {
                found.push(txn);
            }
            complete = txn.last_stable_offset >= until;
            !complete
        })?;
        Ok(complete)
    }

    /// False when an entry cannot belong to this segment.
    pub fn is_plausible(&self, files: &LogFiles) -> Result<bool> {
        let mut plausible = true;
        let visited = self.visit(files, |txn| {
            plausible = txn.last_offset >= self.base_offset;
            plausible
        });
        match visited {
            Ok(()) => Ok(plausible),
            Err(LogError::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Shows the entries in order until `visit` says that it has seen enough.
    fn visit(&self, files: &LogFiles, mut visit: impl FnMut(AbortedTxn) -> bool) -> Result<()> {
        let mut next = 0;
        while next < self.count {
            let here = BLOCK.min(self.count - next);
            let position = u64::from(next) * ENTRY_LEN as u64;
            let mut block = vec![0; here as usize * ENTRY_LEN];
            files.read_exact(self.base_offset, FileKind::TxnIndex, &mut block, position)?;
            for entry in block.as_chunks::<ENTRY_LEN>().0 {
                let txn = AbortedTxn::decode(entry).ok_or_else(|| LogError::Corrupt {
                    path: files.path(self.base_offset, FileKind::TxnIndex),
                    position,
                    reason: "unknown version of an aborted transaction".into(),
                })?;
                if !visit(txn) {
                    return Ok(());
                }
            }
            next += here;
        }
        for txn in &self.pending {
            if !visit(*txn) {
                break;
            }
        }
        Ok(())
    }
}
