//! Walking over the batches of a segment: their heads for lookups, the whole batches for recovery.

use records::AnyBatch;

use super::error::{LogError, Result};
use super::files::LogFiles;
use super::head::{BatchHead, HEAD_LEN};
use crate::pool::FileKind;

/// Bytes read at once when looking for one batch: as far apart as index entries by default.
const LOOKUP_CHUNK: usize = 4096;
/// Bytes read at once when everything is read: few enough to stay in the processor's cache until they were looked at.
const SCAN_CHUNK: usize = 512 << 10;

/// What ends a walk before the end of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// The last batch is not whole.
    Incomplete,
    /// These bytes are no batch.
    Corrupt(String),
}

impl Broken {
    pub fn into_error(self, files: &LogFiles, base_offset: i64, position: u64) -> LogError {
        LogError::Corrupt {
            path: files.path(base_offset, FileKind::Log),
            position,
            reason: match self {
                Self::Incomplete => "the last batch is not whole".into(),
                Self::Corrupt(reason) => reason,
            },
        }
    }
}

/// A batch's head and where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub position: u64,
    pub head: BatchHead,
}

/// Reads the heads of batches from `position` to `end`.
pub(crate) struct Heads<'a> {
    files: &'a LogFiles,
    base_offset: i64,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Position in the file of the buffer's first byte.
    buffered_at: u64,
}

impl<'a> Heads<'a> {
    pub fn new(files: &'a LogFiles, base_offset: i64, position: u64, end: u64) -> Self {
        Self { files, base_offset, position, end, buffer: Vec::new(), buffered_at: 0 }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next whole batch, `None` at the end.
    pub fn next(&mut self) -> Result<Result<Option<Placed>, Broken>> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Ok(None));
        }
        self.fill(left)?;
        let at = (self.position - self.buffered_at) as usize;
        let bytes = self.buffer.get(at..).unwrap_or_default();
        let head = match BatchHead::parse(bytes) {
            Ok(Some(head)) if head.last_offset < head.base_offset => {
                // Passed over, it would hide its records from whoever looks for them.
                let (first, last) = (head.base_offset, head.last_offset);
                return Ok(Err(Broken::Corrupt(format!(
                    "a batch of the offsets {first} to {last}"
                ))));
            }
            Ok(Some(head)) if head.size <= left => head,
            Ok(_) => return Ok(Err(Broken::Incomplete)),
            Err(error) => return Ok(Err(Broken::Corrupt(error.to_string()))),
        };
        let placed = Placed { position: self.position, head };
        self.position += head.size;
        Ok(Ok(Some(placed)))
    }

    /// Has the head at the position in the buffer, as far as the file goes.
    fn fill(&mut self, left: u64) -> Result<()> {
        let need = left.min(HEAD_LEN as u64);
        let buffered_to = self.buffered_at + self.buffer.len() as u64;
        if self.position >= self.buffered_at && self.position + need <= buffered_to {
            return Ok(());
        }
        self.buffer.resize(left.min(LOOKUP_CHUNK as u64) as usize, 0);
        let buffer = &mut self.buffer;
        let read = self.files.read(self.base_offset, FileKind::Log, buffer, self.position)?;
        self.buffer.truncate(read);
        self.buffered_at = self.position;
        Ok(())
    }
}

/// Reads whole batches from the start of a segment to `end`, checksum and all. A batch is as large as the file allows.
pub(crate) struct Whole<'a> {
    files: &'a LogFiles,
    base_offset: i64,
    end: u64,
    /// Never shorter than before: only what was read counts of it.
    buffer: Vec<u8>,
    /// Bytes that were read.
    filled: usize,
    /// Position in the file of the buffer's first byte.
    buffered_at: u64,
    /// Where in the buffer the next batch begins.
    at: usize,
}

impl<'a> Whole<'a> {
    pub fn new(files: &'a LogFiles, base_offset: i64, position: u64, end: u64) -> Self {
        let buffer = Vec::new();
        Self { files, base_offset, end, buffer, filled: 0, buffered_at: position, at: 0 }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.buffered_at + self.at as u64
    }

    /// Shows the next whole batch to `visit`; false at the end. The checksum is the visitor's.
    pub fn next<T>(
        &mut self,
        visit: impl FnOnce(&AnyBatch<'_>) -> T,
    ) -> Result<Result<Option<T>, Broken>> {
        loop {
            let left = self.end.saturating_sub(self.position());
            if left == 0 {
                return Ok(Ok(None));
            }
            let rest = self.buffer.get(self.at..self.filled).unwrap_or_default();
            let need = match records::next_batch_size(rest) {
                Ok(Some(size)) => size,
                Ok(None) => HEAD_LEN.min(left as usize),
                Err(error) => return Ok(Err(Broken::Corrupt(error.to_string()))),
            };
            if need as u64 > left {
                return Ok(Err(Broken::Incomplete));
            }
            if need <= rest.len() {
                match AnyBatch::parse(rest) {
                    Ok(Some(batch)) => {
                        self.at += batch.size();
                        return Ok(Ok(Some(visit(&batch))));
                    }
                    Ok(None) => return Ok(Err(Broken::Incomplete)),
                    Err(error) => return Ok(Err(Broken::Corrupt(error.to_string()))),
                }
            }
            if !self.refill(need.max(SCAN_CHUNK).min(left as usize))? {
                return Ok(Err(Broken::Incomplete));
            }
        }
    }

    /// Reads `want` bytes from the position on; false when the file does not hold more than the buffer has.
    fn refill(&mut self, want: usize) -> Result<bool> {
        let have = self.filled.saturating_sub(self.at);
        let position = self.position();
        self.buffer.copy_within(self.at..self.filled, 0);
        self.buffered_at = position;
        (self.at, self.filled) = (0, have);
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        let target = self.buffer.get_mut(have..want).unwrap_or_default();
        let from = position + have as u64;
        let read = self.files.read(self.base_offset, FileKind::Log, target, from)?;
        self.filled += read;
        Ok(read > 0)
    }
}
