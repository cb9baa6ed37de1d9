//! Record batches: headers, records, control records, compression, checksums and their validation.
//!
//! Must not know: files, topics, sockets. Start reading at [`batch`] (the 61 bytes), then
//! [`batches`] (many batches in one slice), [`record`] and [`validate`].

pub mod batch;
pub mod batches;
pub mod builder;
pub mod compress;
pub mod control;
pub mod crc;
pub mod error;
pub mod legacy;
pub mod record;
pub mod validate;
pub mod varint;

pub use batch::{Attributes, BatchHeader, TimestampType};
pub use batches::{AnyBatch, AnyRecords, Batches, Tail, next_batch_size};
pub use builder::{BatchBuilder, BuildError};
pub use compress::{Codec, Compression};
pub use control::{ControlType, EndTxnMarker};
pub use error::RecordsError;
pub use record::{Header, Record};
pub use validate::{AppendFault, AppendOrigin, Prepared, ValidationConfig};
