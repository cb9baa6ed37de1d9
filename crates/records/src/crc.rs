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

/// CRC-32C of bytes that come in pieces.
pub struct Crc32c(crc_fast::Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(&self) -> u32 {
        // The digest is as wide as the widest CRC; this one has 32 bits.
        (self.0.finalize() & u64::from(u32::MAX)) as u32
    }
}
