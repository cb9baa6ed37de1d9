//! Responses as gather lists, and how they reach the socket.
//!
//! A file range goes out by `sendfile` in calls of at most [`SENDFILE_BYTES_MAX`]: measured on loopback, larger calls cost
//! more CPU per byte, not less (docs/decisions/0003), and small ones let other connections in between.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::TcpStream;

const SENDFILE_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;
/// So much of a file range is asked for at a time, before it is sent.
const READY_BYTES: usize = 1024 * 1024;
/// At most so many chunks are handed to one `writev`.
const SLICES_MAX: usize = 64;

/// A file that stays readable while it is referenced, even after its name is gone.
pub trait FileRegion: Send + Sync {
    /// The descriptor, where there is a real one; without it the bytes are read and written.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Completes when the range can be read without waiting for a disk; `None` when it can be now.
    fn ready(&self, _position: u64, _len: usize) -> Option<Ready> {
        None
    }
}

/// See [`FileRegion::ready`].
pub type Ready = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
pub enum Chunk {
    Bytes(Bytes),
    File { file: Arc<dyn FileRegion>, position: u64, len: usize },
}

impl Chunk {
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File { position, len, .. } => write!(f, "File({position}, {len})"),
        }
    }
}

/// One response without its length prefix, which the connection adds.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub chunks: Vec<Chunk>,
}

impl Response {
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { chunks: vec![Chunk::Bytes(bytes.into())] }
    }

    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Writes length prefix and chunks; returns the bytes written. A peer that takes nothing for `stall_max` is given up. A file range that ends early is an error, since the length is
/// promised already: the connection must then be closed.
pub async fn write_response(
    stream: &TcpStream,
    response: Response,
    stall_max: Duration,
) -> io::Result<usize> {
    let len = response.len();
    let prefix = u32::try_from(len).ok().filter(|len| *len <= i32::MAX as u32);
    let prefix = prefix.ok_or_else(|| io::Error::other("response over 2 GiB"))?.to_be_bytes();
    let mut pending: Vec<Bytes> = vec![Bytes::copy_from_slice(&prefix)];
    for chunk in response.chunks {
        match chunk {
            Chunk::Bytes(bytes) => pending.push(bytes),
            Chunk::File { file, position, len } => {
                write_bytes(stream, &mut pending, stall_max).await?;
                write_file(stream, &*file, position, len, stall_max).await?;
            }
        }
    }
    write_bytes(stream, &mut pending, stall_max).await?;
    Ok(4 + len)
}

async fn writable(stream: &TcpStream, stall_max: Duration) -> io::Result<()> {
    let stalled =
        |_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its responses");
    tokio::time::timeout(stall_max, stream.writable()).await.map_err(stalled)?
}

async fn write_bytes(
    stream: &TcpStream,
    pending: &mut Vec<Bytes>,
    stall_max: Duration,
) -> io::Result<()> {
    use bytes::Buf;
    let mut first = 0;
    while first < pending.len() {
        if pending[first].is_empty() {
            first += 1;
            continue;
        }
        let slices: Vec<IoSlice<'_>> =
            pending[first..].iter().take(SLICES_MAX).map(|b| IoSlice::new(b)).collect();
        let mut written = match stream.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                writable(stream, stall_max).await?;
                continue;
            }
            Err(e) => return Err(e),
        };
        while written > 0 && first < pending.len() {
            let step = written.min(pending[first].len());
            pending[first].advance(step);
            written -= step;
            if pending[first].is_empty() {
                first += 1;
            }
        }
    }
    pending.clear();
    Ok(())
}

async fn write_file(
    stream: &TcpStream,
    file: &dyn FileRegion,
    mut position: u64,
    mut len: usize,
    stall_max: Duration,
) -> io::Result<()> {
    let mut ready = 0;
    while len > 0 {
        if ready == 0 {
            ready = len.min(READY_BYTES);
            if let Some(reading) = file.ready(position, ready) {
                reading.await;
            }
        }
        let sent = match file.fd() {
            Some(fd) => {
                let step = ready.min(SENDFILE_BYTES_MAX);
                let send = || {
                    let mut offset = position;
                    Ok(rustix::fs::sendfile(stream, fd, Some(&mut offset), step)?)
                };
                match stream.try_io(Interest::WRITABLE, send) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        writable(stream, stall_max).await?;
                        continue;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    other => other?,
                }
            }
            None => copy_file(stream, file, position, ready.min(READ_BYTES_MAX), stall_max).await?,
        };
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("a file range ends {len} bytes early, at position {position}"),
            ));
        }
        position += sent as u64;
        len -= sent;
        ready = ready.saturating_sub(sent);
    }
    Ok(())
}

async fn copy_file(
    stream: &TcpStream,
    file: &dyn FileRegion,
    position: u64,
    len: usize,
    stall_max: Duration,
) -> io::Result<usize> {
    let mut buffer = vec![0; len];
    let read = file.read_at(&mut buffer, position)?;
    buffer.truncate(read);
    write_bytes(stream, &mut vec![buffer.into()], stall_max).await?;
    Ok(read)
}
