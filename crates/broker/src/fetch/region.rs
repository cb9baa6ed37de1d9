//! Records of a response: few as bytes, many as a range of their file, which leaves without a copy.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use net::{Chunk, FileRegion, Ready};
use protocol::Records;
use storage::log::FileSlice;

use crate::partitions::Lane;

/// Ranges up to this size are copied into the response, so that header and records leave in one system call.
const INLINE_BYTES_MAX: u32 = 16 * 1024;
/// What the system may read on its own while a range that was not in memory is sent.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// The bytes of a range that is small; `None` for others, which stay files. Waits without a thread for what is not in memory.
pub async fn read_small(slice: &FileSlice, lane: &Lane) -> io::Result<Option<Vec<u8>>> {
    if slice.len > INLINE_BYTES_MAX {
        return Ok(None);
    }
    if let Some(bytes) = slice.read_cached()? {
        return Ok(Some(bytes));
    }
    lane.load(slice.clone(), AHEAD_BYTES).await;
    slice.read().map(Some)
}

/// Batches as a range of their file.
pub fn into_records(
    slice: FileSlice,
    lane: Arc<Lane>,
    regions: &mut Vec<Option<Chunk>>,
) -> Records<'static> {
    let (slot, len, position) = (regions.len() as u32, slice.len, slice.position);
    let file: Arc<dyn FileRegion> = Arc::new(Region { slice, lane });
    regions.push(Some(Chunk::File { file, position, len: len as usize }));
    Records::External { slot, len }
}

/// A range of a segment's file as the network sees it.
struct Region {
    slice: FileSlice,
    lane: Arc<Lane>,
}

impl FileRegion for Region {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.slice.file.fd()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.slice.file.read_at(buffer, position)
    }

    fn ready(&self, position: u64, len: usize) -> Option<Ready> {
        let part = self.slice.part(position, len);
        if part.is_cached() {
            return None;
        }
        let lane = Arc::clone(&self.lane);
        Some(Box::pin(async move { lane.load(part, AHEAD_BYTES).await }))
    }
}
