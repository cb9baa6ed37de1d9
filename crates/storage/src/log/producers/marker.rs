//! The control record that ends a transaction, as it lies in a batch.

use records::batch::BatchHeader;
use records::{EndTxnMarker, RecordsError, record};

/// Reads the marker and its time from the first record of a whole control batch. `None` for an empty batch, which a
/// cleaner has left, and for control records of other types.
pub(super) fn read(
    header: &BatchHeader,
    batch: &[u8],
) -> Result<Option<(EndTxnMarker, i64)>, RecordsError> {
    let mut records = record::Records::new(header, record::body(batch))?;
    let Some(first) = records.next().transpose()? else { return Ok(None) };
    let marker = first.key.zip(first.value).and_then(|(key, value)| EndTxnMarker::read(key, value));
    Ok(marker.map(|marker| (marker, first.timestamp)))
}
