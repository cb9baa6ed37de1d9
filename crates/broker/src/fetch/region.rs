//! Records of a response: few as bytes, many as a range of their file, which leaves without a copy.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use net::{Chunk, FileRegion};
use protocol::Records;
use storage::DiskFile;
use storage::log::FileSlice;

/// Ranges up to this size are copied into the response, so that header and records leave in one system call.
const INLINE_BYTES_MAX: u32 = 16 * 1024;

/// Batches as bytes when there are few, else as a range of their file.
pub fn into_records(
    slice: FileSlice,
    regions: &mut Vec<Option<Chunk>>,
) -> io::Result<Records<'static>> {
    if slice.len <= INLINE_BYTES_MAX {
        return Ok(slice.read()?.into());
    }
    let (slot, len) = (regions.len() as u32, slice.len);
    let file: Arc<dyn FileRegion> = Arc::new(Region(slice.file));
    regions.push(Some(Chunk::File { file, position: slice.position, len: len as usize }));
    Ok(Records::External { slot, len })
}

/// A segment's file as the network sees it.
struct Region(Arc<dyn DiskFile>);

impl FileRegion for Region {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
}
