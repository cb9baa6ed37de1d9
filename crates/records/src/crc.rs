//! The two checksums of record batches: CRC-32C for magic 2, CRC-32 (IEEE) for magic 0 and 1.
//! Why crc-fast: docs/decisions/0002-crc.md.

/// CRC-32C (Castagnoli), as in the header of a v2 batch.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32 (IEEE 802.3), as in magic 0 and 1 records and gzip trailers.
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}
