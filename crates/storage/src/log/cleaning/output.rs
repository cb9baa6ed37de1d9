//! The segment that a group becomes, written beside the log under names that end in `.cleaned`.

use std::sync::Arc;

use base::WallMs;

use crate::log::error::{LogError, Result};
use crate::log::files::LogFiles;
use crate::log::head::BatchHead;
use crate::log::segment::Segment;
use crate::log::{AbortedTxn, LogConfig, names};
use crate::pool::FileKind;

/// Bytes that are written together.
const WRITE_BYTES: usize = 1 << 20;
/// The system takes memory for a write in pieces as large as the write. Small ones are lying about from before; large ones
/// may be new, which costs a virtual machine ten times the copying.
const WRITE_STEP: u64 = 64 << 10;

/// A cleaned segment. Its files go when it is dropped, unless they were given away.
pub(super) struct Output {
    files: LogFiles,
    config: Arc<LogConfig>,
    segment: Option<Segment>,
    base_offset: i64,
    /// Batches to be written.
    buffer: Vec<u8>,
    heads: Vec<BatchHead>,
    now: WallMs,
    /// The files are ours to remove.
    owned: bool,
}

impl Output {
    pub fn create(
        log: &LogFiles,
        config: &LogConfig,
        base_offset: i64,
        now: WallMs,
    ) -> Result<Self> {
        let dir = log.dir().to_path_buf();
        let mut files = LogFiles::with_suffix(Arc::clone(log.pool()), dir, names::CLEANED_SUFFIX);
        files.set_write_step(WRITE_STEP);
        // What is written is smaller than what it replaces: reserving space for more would be in vain.
        let config = Arc::new(LogConfig { preallocate: false, ..config.clone() });
        let mut output = Self {
            files,
            config,
            segment: None,
            base_offset,
            buffer: Vec::new(),
            heads: Vec::new(),
            now,
            owned: true,
        };
        output.remove(FileKind::TxnIndex)?;
        let segment = Segment::create(&output.files, &output.config, base_offset, now)?;
        output.segment = Some(segment);
        Ok(output)
    }

    fn remove(&self, kind: FileKind) -> Result<()> {
        let path = self.files.path(self.base_offset, kind);
        self.files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        Ok(())
    }

    /// Where batches are added; [`Self::added`] takes note of them.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Takes note of the batch that was added at `from` in the buffer, if any. Gives the bytes that were written.
    pub fn added(&mut self, from: usize) -> Result<u64, String> {
        let Some(bytes) = self.buffer.get(from..).filter(|bytes| !bytes.is_empty()) else {
            return Ok(0);
        };
        let head = BatchHead::parse(bytes).map_err(|fault| fault.to_string())?;
        let head = head.ok_or("a batch was not written whole")?;
        let segment = self.segment.as_ref().ok_or("the segment is gone")?;
        if segment.relative(head.last_offset).is_none() {
            return Err(format!(
                "offset {} is too far from the segment's first offset {}",
                head.last_offset, self.base_offset
            ));
        }
        self.heads.push(head);
        Ok(head.size)
    }

    pub fn is_due(&self) -> bool {
        self.buffer.len() >= WRITE_BYTES
    }

    /// Writes what has been added. Gives the bytes.
    pub fn write(&mut self) -> Result<u64> {
        let bytes = self.buffer.len() as u64;
        let Some(segment) = self.segment.as_mut().filter(|_| bytes > 0) else { return Ok(0) };
        let heads = self.heads.drain(..);
        segment.append(&self.files, &self.config, &self.buffer, heads, self.now)?;
        self.buffer.clear();
        self.buffer.shrink_to(2 * WRITE_BYTES);
        Ok(bytes)
    }

    pub fn push_aborted(&mut self, txn: &AbortedTxn) -> Result<()> {
        let Some(segment) = self.segment.as_mut() else { return Ok(()) };
        segment.txn_index.push(&self.files, txn)
    }

    /// Ends the segment and makes what is in it durable, with the time of the newest of those that it replaces. Its names
    /// become durable with the next that they get.
    pub fn finish(&mut self, modified: WallMs) -> Result<()> {
        self.write()?;
        let Some(segment) = self.segment.as_mut() else { return Ok(()) };
        segment.finish(&self.files, &self.config)?;
        segment.set_modified(modified);
        let has_txns = !segment.txn_index.is_empty();
        for kind in names::KINDS {
            if kind == FileKind::TxnIndex && !has_txns {
                continue;
            }
            let file = self.files.open(self.base_offset, kind)?;
            let error = |action| move |source| (action, source);
            file.sync_data()
                .map_err(error("sync"))
                .and_then(|()| file.set_modified(modified).map_err(error("set the time of")))
                .map_err(|(action, source)| {
                    self.files.error(action, self.base_offset, kind, source)
                })?;
        }
        self.files.forget_all();
        Ok(())
    }

    pub fn has_txns(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| !segment.txn_index.is_empty())
    }

    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The segment, whose files are now the caller's.
    pub fn take(mut self) -> Option<Segment> {
        self.owned = false;
        self.segment.take()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        for kind in names::KINDS {
            // What stays is removed at the next start, or written over by the next pass.
            if let Err(fault) = self.remove(kind) {
                tracing::debug!(%fault, "a file of an unfinished cleaning stays");
            }
        }
    }
}
