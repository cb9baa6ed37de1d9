//! Reading snapshot files, one batch after the other: however large a file is, and whoever sent it, no more than one batch of it
//! is in memory.
//!
//! Must not know: what becomes of the records.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::WallMs;
use kraft::ControlRecord;
use protocol::decode_exact;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::metadata_records::MetadataRecord;
use records::batches::PEEK_LEN;
use records::{AnyBatch, ControlType, next_batch_size, record};
use storage::disk::{Disk, DiskFile, OpenMode};

use super::{DECOMPRESSED_MAX, VERSION};
use crate::quorum::{QuorumError, control};

/// What a snapshot holds when it is decompressed. Kafka's files cannot be larger than this either.
const CONTENT_BYTES_MAX: u64 = i32::MAX as u64;

/// What a snapshot says besides its records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Time of the last record that the snapshot stands for.
    pub(crate) last_contained: WallMs,
    pub(crate) control: Vec<ControlRecord>,
}

/// Gives the metadata records of a file, each checked; the last item is an error when the file is no whole snapshot.
pub(crate) struct Reader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Bytes of the file, and how many of them are read.
    len: u64,
    position: u64,
    /// Decompressed bytes so far.
    content: u64,
    /// Records of the batch at hand.
    ready: VecDeque<MetadataRecord<'static>>,
    head: Head,
    seen: u64,
    footer: bool,
    ended: bool,
}

impl Reader {
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, QuorumError> {
        let open = || {
            let file = disk.open(path, OpenMode::ReadOnly)?;
            let len = file.len()?;
            Ok((file, len))
        };
        let (file, len) = open().map_err(QuorumError::io("read", path))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            len,
            position: 0,
            content: 0,
            ready: VecDeque::new(),
            head: Head::default(),
            seen: 0,
            footer: false,
            ended: false,
        })
    }

    /// Complete when the last record was given out.
    pub(crate) fn into_head(self) -> Head {
        self.head
    }

    /// Only as far as the file's first batch goes.
    pub(crate) fn first(mut self) -> Result<Head, QuorumError> {
        self.advance()?;
        Ok(self.head)
    }

    fn damaged(&self, reason: impl Into<String>) -> QuorumError {
        QuorumError::damaged(&self.path, reason)
    }

    fn read(&self, len: usize) -> Result<Vec<u8>, QuorumError> {
        let mut bytes = vec![0; len];
        let count = self.file.read_at(&mut bytes, self.position);
        let count = count.map_err(QuorumError::io("read", &self.path))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The next whole batch; `None` at the end of the file.
    fn next_batch(&mut self) -> Result<Option<Vec<u8>>, QuorumError> {
        if self.position >= self.len {
            return Ok(None);
        }
        let cut = || self.damaged("its last batch is cut");
        let size = next_batch_size(&self.read(PEEK_LEN)?);
        let size = size.map_err(QuorumError::records(&self.path))?.ok_or_else(cut)?;
        if size > DECOMPRESSED_MAX {
            return Err(self.damaged(format!("a batch of {size} bytes is larger than any")));
        }
        if size as u64 > self.len - self.position {
            return Err(cut());
        }
        let bytes = self.read(size)?;
        if bytes.len() < size {
            return Err(cut());
        }
        self.position += size as u64;
        Ok(Some(bytes))
    }

    /// Takes in the next batch. False at the end of a whole snapshot.
    fn advance(&mut self) -> Result<bool, QuorumError> {
        let Some(bytes) = self.next_batch()? else {
            let whole = self.footer.then_some(false);
            return whole.ok_or_else(|| self.damaged("it does not end with a footer"));
        };
        let path = self.path.clone();
        let batch = AnyBatch::parse(&bytes).map_err(QuorumError::records(&path))?;
        let batch = batch.ok_or_else(|| self.damaged("its last batch is cut"))?;
        batch.check_crc().map_err(QuorumError::records(&path))?;
        let header = batch.v2().ok_or_else(|| self.damaged("an old batch"))?;
        let mut buffer = Vec::new();
        let body = record::decompressed(batch.bytes(), &mut buffer, DECOMPRESSED_MAX);
        let body = body.map_err(QuorumError::records(&path))?;
        self.content = self.content.saturating_add(body.len() as u64);
        if self.content > CONTENT_BYTES_MAX {
            return Err(self.damaged(format!("it holds more than {CONTENT_BYTES_MAX} bytes")));
        }
        let is_control = header.attributes.is_control();
        for record in record::Records::new(header, body).map_err(QuorumError::records(&path))? {
            let record = record.map_err(QuorumError::records(&path))?;
            if self.footer {
                return Err(self.damaged("records follow the footer"));
            }
            let value = record.value.unwrap_or_default();
            if is_control {
                self.control(record.key.unwrap_or_default(), value)?;
            } else if self.seen == 0 {
                return Err(self.damaged("it does not begin with a header"));
            } else {
                let record = MetadataRecord::decode_value(value)
                    .map_err(|fault| self.damaged(format!("record {}: {fault}", self.seen)))?;
                self.ready.push_back(record.into_owned());
            }
            self.seen += 1;
        }
        Ok(true)
    }

    fn control(&mut self, key: &[u8], value: &[u8]) -> Result<(), QuorumError> {
        match (ControlType::from_key(key), self.seen) {
            (Some(ControlType::SnapshotHeader), 0) => {
                let header: SnapshotHeaderRecord =
                    decode_exact(value, VERSION).map_err(QuorumError::decode(&self.path))?;
                self.head.last_contained = WallMs(header.last_contained_log_timestamp);
            }
            (_, 0) => return Err(self.damaged("it does not begin with a header")),
            (Some(ControlType::SnapshotFooter), _) => self.footer = true,
            _ => {
                let record = control::decode(key, value);
                let record = record.map_err(QuorumError::decode(&self.path))?;
                self.head.control.extend(record);
            }
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<MetadataRecord<'static>, QuorumError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            if self.ended {
                return None;
            }
            match self.advance() {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    self.ready.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
