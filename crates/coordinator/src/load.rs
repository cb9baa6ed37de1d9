//! Rebuilding a shard's state from its log, in Kafka's own batches.

use base::Offset;
use protocol::DecodeError;
use records::control::EndTxnMarker;
use records::{AnyBatch, Batches, RecordsError, Tail};

use crate::runtime::ShardRuntime;
use crate::shard::{Producer, Shard};

/// Decompressed bytes of one batch: Kafka's limit of a message is far below.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// Why a log cannot be replayed. The shard then does not serve.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("a batch after offset {after} cannot be read: {source}")]
    Batch { after: Offset, source: RecordsError },
    #[error("the record at offset {offset} has no key")]
    NoKey { offset: Offset },
    #[error("the record at offset {offset} cannot be read: {source}")]
    Record { offset: Offset, source: DecodeError },
    #[error("no whole batch was found at offset {at}")]
    Stuck { at: Offset },
}

impl<S: Shard> ShardRuntime<S> {
    /// Replays the whole batches in `bytes`, which were read from offset `from` on; the offset to read on from. Records below
    /// `from` are skipped: a read begins with the batch that holds its offset.
    ///
    /// # Errors
    /// See [`LoadError`]; the caller sends [`crate::Event::LoadFailed`].
    pub fn load(
        &mut self,
        bytes: &[u8],
        from: Offset,
        high_watermark: Offset,
    ) -> Result<Offset, LoadError> {
        let mut at = from;
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            let batch = batch.map_err(|source| LoadError::Batch { after: at, source })?;
            self.note_loading(at, high_watermark);
            self.load_batch(&batch, at)?;
            at = at.max(batch.next_offset());
        }
        if matches!(batches.tail(), Tail::Corrupt) || at == from {
            return Err(LoadError::Stuck { at });
        }
        Ok(at)
    }

    fn load_batch(&mut self, batch: &AnyBatch<'_>, from: Offset) -> Result<(), LoadError> {
        let fault = |source| LoadError::Batch { after: from, source };
        batch.check_crc().map_err(fault)?;
        let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
        let mut buffer = Vec::new();
        let records = batch.records(&mut buffer, DECOMPRESSED_BYTES_MAX).map_err(fault)?;
        for record in records {
            let record = record.map_err(fault)?;
            let offset = record.offset;
            if offset < from {
                continue;
            }
            let Some(key) = record.key else { return Err(LoadError::NoKey { offset }) };
            if batch.is_control() {
                if let Some(marker) = EndTxnMarker::read(key, record.value.unwrap_or_default()) {
                    self.tip_mut().replay_marker(producer, marker.commit);
                }
                continue;
            }
            let decoded = S::decode(key, record.value)
                .map_err(|source| LoadError::Record { offset, source })?;
            let Some(decoded) = decoded else {
                self.pass_over();
                continue;
            };
            let open = batch.is_transactional().then_some(producer);
            self.tip_mut().replay(offset, open, &decoded);
        }
        Ok(())
    }
}
