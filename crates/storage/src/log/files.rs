//! The files of one log: opened through the pool by segment and kind, renamed and removed by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{LogError, Result};
use super::names;
use super::read::FileSlice;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::pool::{FileKey, FileKind, FilePool};

/// A log's directory and its place in the pool.
pub(crate) struct LogFiles {
    pool: Arc<FilePool>,
    log: u64,
    dir: PathBuf,
    /// Behind the name of each file; empty for those that are the log.
    suffix: &'static str,
    /// The segment whose files still have the names that tell a start to put them in place of others.
    swapped: Option<i64>,
    /// Reads do not wait for the disk, but say what they would wait for.
    cached_only: AtomicBool,
    /// Writes end at multiples of this.
    write_step: u64,
}

/// While it lives, reads do not wait for the disk.
pub(crate) struct CachedOnly<'a>(&'a AtomicBool);

impl Drop for CachedOnly<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl LogFiles {
    pub fn new(pool: Arc<FilePool>, dir: PathBuf) -> Self {
        Self::with_suffix(pool, dir, "")
    }

    /// Files beside those of the log, under the same names with a suffix.
    pub fn with_suffix(pool: Arc<FilePool>, dir: PathBuf, suffix: &'static str) -> Self {
        let log = pool.new_log();
        let cached_only = AtomicBool::new(false);
        Self { pool, log, dir, suffix, swapped: None, cached_only, write_step: u64::MAX }
    }

    /// From now on what is written goes to the system in pieces that end at multiples of this.
    pub fn set_write_step(&mut self, step: u64) {
        self.write_step = step.max(1);
    }

    /// From now on reads do not wait for the disk: [`LogError::NotCached`] says what they would wait for.
    pub fn cached_only(&self) -> CachedOnly<'_> {
        self.cached_only.store(true, Ordering::Relaxed);
        CachedOnly(&self.cached_only)
    }

    pub fn pool(&self) -> &Arc<FilePool> {
        &self.pool
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the names of files durable.
    pub fn sync_dir(&self) -> Result<()> {
        self.disk().sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))
    }

    /// From now on the files of this segment are found under names that end in `.swap`; `None`: all have their own.
    pub fn set_swapped(&mut self, base_offset: Option<i64>) {
        self.swapped = base_offset;
    }

    pub fn set_dir(&mut self, dir: PathBuf) {
        self.dir = dir;
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.pool.disk()
    }

    pub fn path(&self, base_offset: i64, kind: FileKind) -> PathBuf {
        let name = names::segment_file(base_offset, kind);
        let swapped = self.swapped == Some(base_offset);
        let suffix = if swapped { names::SWAP_SUFFIX } else { self.suffix };
        if suffix.is_empty() { self.dir.join(name) } else { self.dir.join(name + suffix) }
    }

    /// Opens an existing file of a segment.
    pub fn open(&self, base_offset: i64, kind: FileKind) -> Result<Arc<dyn DiskFile>> {
        self.open_as(base_offset, kind, OpenMode::Existing)
    }

    /// Opens a file of a segment, created empty when missing.
    pub fn open_or_create(&self, base_offset: i64, kind: FileKind) -> Result<Arc<dyn DiskFile>> {
        self.open_as(base_offset, kind, OpenMode::CreateIfMissing)
    }

    fn open_as(
        &self,
        base_offset: i64,
        kind: FileKind,
        mode: OpenMode,
    ) -> Result<Arc<dyn DiskFile>> {
        let key = FileKey { log: self.log, base_offset, kind };
        self.pool
            .get(key, mode, || self.path(base_offset, kind))
            .map_err(|source| self.error("open", base_offset, kind, source))
    }

    /// Creates a file empty without keeping it open; cuts what was there.
    pub fn create_empty(&self, base_offset: i64, kind: FileKind) -> Result<Arc<dyn DiskFile>> {
        self.forget(base_offset, kind);
        self.disk()
            .open(&self.path(base_offset, kind), OpenMode::CreateEmpty)
            .map_err(|source| self.error("create", base_offset, kind, source))
    }

    pub fn forget(&self, base_offset: i64, kind: FileKind) {
        self.pool.forget(FileKey { log: self.log, base_offset, kind });
    }

    pub fn forget_segment(&self, base_offset: i64) {
        for kind in names::KINDS {
            self.forget(base_offset, kind);
        }
    }

    pub fn forget_all(&self) {
        self.pool.forget_log(self.log);
    }

    pub fn error(
        &self,
        action: &'static str,
        base_offset: i64,
        kind: FileKind,
        source: std::io::Error,
    ) -> LogError {
        LogError::Io { action, path: self.path(base_offset, kind), source }
    }

    /// Reads exactly `buf.len()` bytes.
    pub fn read_exact(
        &self,
        base_offset: i64,
        kind: FileKind,
        buf: &mut [u8],
        position: u64,
    ) -> Result<()> {
        let read = self.read(base_offset, kind, buf, position)?;
        if read < buf.len() {
            return Err(LogError::Corrupt {
                path: self.path(base_offset, kind),
                position,
                reason: format!("ends after {read} of {} bytes", buf.len()),
            });
        }
        Ok(())
    }

    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    pub fn read(
        &self,
        base_offset: i64,
        kind: FileKind,
        buf: &mut [u8],
        position: u64,
    ) -> Result<usize> {
        let file = self.open(base_offset, kind)?;
        if !self.cached_only.load(Ordering::Relaxed) {
            let read = file.read_at(buf, position);
            return read.map_err(|source| self.error("read", base_offset, kind, source));
        }
        match file.read_cached_at(buf, position) {
            Ok(Some(read)) => Ok(read),
            Ok(None) => Err(LogError::NotCached(FileSlice {
                file,
                position,
                len: u32::try_from(buf.len()).unwrap_or(u32::MAX),
                fresh: false,
            })),
            Err(source) => Err(self.error("read", base_offset, kind, source)),
        }
    }

    pub fn write(
        &self,
        base_offset: i64,
        kind: FileKind,
        bytes: &[u8],
        position: u64,
    ) -> Result<()> {
        let file = self.open_or_create(base_offset, kind)?;
        pieces(bytes, position, self.write_step)
            .try_for_each(|(piece, at)| file.write_at(piece, at))
            .map_err(|source| self.error("write", base_offset, kind, source))
    }

    pub fn set_len(&self, base_offset: i64, kind: FileKind, len: u64) -> Result<()> {
        self.open_or_create(base_offset, kind)?
            .set_len(len)
            .map_err(|source| self.error("truncate", base_offset, kind, source))
    }
}

/// What is to be written at `position`, cut at multiples of `step`.
fn pieces(mut rest: &[u8], mut position: u64, step: u64) -> impl Iterator<Item = (&[u8], u64)> {
    std::iter::from_fn(move || {
        let len = usize::try_from(step - position % step).unwrap_or(usize::MAX).min(rest.len());
        let (piece, after) = rest.split_at_checked(len).filter(|_| len > 0)?;
        let at = position;
        (rest, position) = (after, position.saturating_add(len as u64));
        Some((piece, at))
    })
}

impl Drop for LogFiles {
    fn drop(&mut self) {
        self.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_multiples_of_the_step() {
        let cut = |bytes: &[u8], position, step| -> Vec<(u64, usize)> {
            let mut found = Vec::new();
            let mut whole = Vec::new();
            for (piece, at) in pieces(bytes, position, step) {
                found.push((at, piece.len()));
                whole.extend_from_slice(piece);
            }
            assert_eq!(whole, bytes);
            found
        };
        let bytes: Vec<u8> = (0..100).collect();
        assert_eq!(cut(&bytes, 5, u64::MAX), [(5, 100)]);
        assert_eq!(cut(&bytes, 5, 40), [(5, 35), (40, 40), (80, 25)]);
        assert_eq!(cut(&bytes, 40, 50), [(40, 10), (50, 50), (100, 40)]);
        assert_eq!(cut(&bytes, 0, 100), [(0, 100)]);
        assert_eq!(cut(&[], 7, 10), []);
    }
}
