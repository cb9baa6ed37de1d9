//! Record batches: headers, records, control records, compression, checksums and their validation.
//!
//! Must not know: files, topics, sockets.
