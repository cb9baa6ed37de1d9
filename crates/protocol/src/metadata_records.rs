//! The records of the metadata log, and the frame around each.

use crate::{Decode, DecodeError, Encode, EncodeError, Reader, Writer, varint};

include!(concat!(env!("OUT_DIR"), "/metadata_records.rs"));
include!(concat!(env!("OUT_DIR"), "/metadata_record.rs"));

/// The only version of the frame: varints of this number, the type of the record and its version, then the record.
const FRAME_VERSION: u32 = 1;

impl<'a> MetadataRecord<'a> {
    /// Reads the value of a record of the metadata log.
    pub fn decode_value(value: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode_versioned(value).map(|(record, _)| record)
    }

    /// The same, and the version in which the record was written.
    pub fn decode_versioned(value: &'a [u8]) -> Result<(Self, i16), DecodeError> {
        let mut r = Reader::new(value);
        let frame = r.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::UnknownFrameVersion { version: frame });
        }
        let key = short(&mut r)?;
        let version = short(&mut r)?;
        let record = Self::decode_body(key, &mut r, version)?;
        r.finish()?;
        Ok((record, version))
    }

    /// Bytes of [`Self::encode_value`].
    pub fn value_len(&self, version: i16) -> Result<usize, EncodeError> {
        let head = 1
            + varint::unsigned_len(self.api_key().unsigned_abs().into())
            + varint::unsigned_len(version.unsigned_abs().into());
        Ok(head + self.body_len(version)?)
    }

    /// The value for a record of the metadata log.
    pub fn encode_value(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::with_capacity(self.value_len(version)?);
        w.unsigned_varint(FRAME_VERSION);
        w.unsigned_varint(self.api_key().unsigned_abs().into());
        w.unsigned_varint(version.unsigned_abs().into());
        self.encode_body(&mut w, version)?;
        w.into_vec()
    }
}

fn short(r: &mut Reader<'_>) -> Result<i16, DecodeError> {
    let at = r.position();
    let value = r.unsigned_varint()?;
    i16::try_from(value).map_err(|_| DecodeError::InvalidLength { at, length: value.into() })
}
