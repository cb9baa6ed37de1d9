//! The offset and time index of a segment beside a walk over its batches: every entry must be what the log says.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::finding::{At, Check, Findings};
use crate::disk::DiskFile;

/// Rows read at once.
const ROWS: u64 = 8192;
/// Bytes read at once where there may be only zeros.
const ZEROS_CHUNK: usize = 256 << 10;

/// The rows of a file, one after another.
pub(super) struct Rows<const N: usize> {
    file: Option<Arc<dyn DiskFile>>,
    pub path: PathBuf,
    len: u64,
    next: u64,
    /// From this row on there are only zeros.
    zeros_from: Option<u64>,
    buffer: Vec<u8>,
    buffered_at: u64,
}

impl<const N: usize> Rows<N> {
    /// `None` for a file that is not there: no rows.
    pub fn new(file: Option<Arc<dyn DiskFile>>, path: PathBuf) -> io::Result<Self> {
        let len = file.as_ref().map_or(Ok(0), |file| file.len())?;
        let (buffer, buffered_at) = (Vec::new(), 0);
        Ok(Self { file, path, len, next: 0, zeros_from: None, buffer, buffered_at })
    }

    fn count(&self) -> u64 {
        self.len / N as u64
    }

    /// Byte of the next row.
    pub fn position(&self) -> u64 {
        self.next * N as u64
    }

    /// The row after those that were passed; `None` at the end, and where the empty ones begin.
    pub fn peek(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.next >= self.count() || self.zeros_from.is_some_and(|from| self.next >= from) {
            return Ok(None);
        }
        let buffered_rows = (self.buffer.len() / N) as u64;
        if self.next < self.buffered_at || self.next >= self.buffered_at + buffered_rows {
            let rows = ROWS.min(self.count() - self.next);
            self.buffer.resize(rows as usize * N, 0);
            let read = match &self.file {
                Some(file) => file.read_at(&mut self.buffer, self.next * N as u64)?,
                None => 0,
            };
            self.buffer.truncate(read);
            self.buffered_at = self.next;
        }
        let row = (self.next - self.buffered_at) as usize;
        Ok(self.buffer.as_chunks::<N>().0.get(row).copied())
    }

    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// Nothing but zeros from the next row on: room that was set aside. Then there are no more rows.
    fn only_zeros_follow(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(true) };
        let mut chunk = vec![0; ZEROS_CHUNK];
        let mut at = self.position();
        loop {
            let read = file.read_at(&mut chunk, at)?;
            if chunk.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < chunk.len() {
                break;
            }
            at += read as u64;
        }
        self.zeros_from = Some(self.next);
        Ok(true)
    }

    pub fn check_length(&self, check: Check, findings: &mut Findings) {
        let odd = self.len % N as u64;
        if odd != 0 {
            let text = format!("{} bytes are no multiple of {N}: {odd} are too many", self.len);
            findings.repairable(check, &self.path, At::FILE, text);
        }
    }

    /// What is left once the log has ended.
    fn check_rest(
        &mut self,
        check: Check,
        may_be_open: bool,
        out: &mut Findings,
    ) -> io::Result<()> {
        let left = self.count().saturating_sub(self.next);
        let at = At::byte(self.position());
        let zeros = left > 0 && (self.zeros_from.is_some() || self.only_zeros_follow()?);
        if left > 0 && !zeros {
            out.repairable(check, &self.path, at, format!("{left} entries behind the log's end"));
        } else if left > 0 && !may_be_open {
            out.repairable(check, &self.path, at, format!("{left} empty entries at the end"));
        }
        Ok(())
    }
}

/// A batch as the indexes know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexed {
    pub position: u64,
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp: i64,
}

/// `.index`: last offsets and positions of some batches.
pub(super) struct OffsetRows {
    rows: Rows<8>,
    base_offset: i64,
    /// An offset beyond its batch: how Kafka wrote it when several batches came in one append.
    open: Option<(i64, u64)>,
    last: (i64, u64),
}

impl OffsetRows {
    pub fn new(rows: Rows<8>, base_offset: i64, findings: &mut Findings) -> Self {
        rows.check_length(Check::OffsetIndex, findings);
        Self { rows, base_offset, open: None, last: (base_offset.saturating_sub(1), 0) }
    }

    fn peek(&mut self) -> io::Result<Option<(i64, u64)>> {
        Ok(self.rows.peek()?.map(|[a, b, c, d, e, f, g, h]| {
            let relative = i32::from_be_bytes([a, b, c, d]);
            let position = u32::from_be_bytes([e, f, g, h]);
            (self.base_offset.saturating_add(relative.into()), position.into())
        }))
    }

    /// Compares the entries up to this batch.
    pub fn batch(&mut self, batch: &Indexed, findings: &mut Findings) -> io::Result<()> {
        if let Some((offset, at)) = self.open {
            if batch.last_offset >= offset {
                self.open = None;
            }
            if batch.last_offset > offset {
                let text = format!("offset {offset} is not the last one of a batch");
                findings.repairable(Check::OffsetIndex, &self.rows.path, At::byte(at), text);
            } else if batch.last_offset == offset {
                let text = format!(
                    "offset {offset} leads to an earlier batch, as Kafka before 4.0 wrote it when one append had several"
                );
                findings.note(Check::OffsetIndex, &self.rows.path, At::byte(at), text);
            }
        }
        while let Some((offset, position)) = self.peek()? {
            if position > batch.position {
                break;
            }
            let at = self.rows.position();
            let rises = offset > self.last.0 && position > self.last.1;
            let zero = offset == self.base_offset && position == 0;
            if zero && !rises && self.rows.only_zeros_follow()? {
                // Whether room may be left at the end is told with the rest.
                break;
            }
            self.rows.advance();
            let path = &self.rows.path;
            let mut wrong = |text: String| {
                findings.repairable(Check::OffsetIndex, path, At::byte(at), text);
            };
            if !rises {
                let (before, there) = self.last;
                wrong(format!("offset {offset} at {position} follows offset {before} at {there}"));
            } else if position < batch.position {
                wrong(format!("offset {offset} leads to byte {position}, where no batch begins"));
            } else if offset < batch.last_offset {
                wrong(format!(
                    "offset {offset} leads to the batch of {} to {}",
                    batch.base_offset, batch.last_offset
                ));
            } else if offset > batch.last_offset {
                self.open = Some((offset, at));
            }
            if rises {
                self.last = (offset, position);
            }
        }
        Ok(())
    }

    /// Passes the entries up to a position without looking at them.
    pub fn skip_to(&mut self, position: u64) -> io::Result<()> {
        self.open = None;
        while let Some((offset, there)) = self.peek()? {
            if there >= position {
                break;
            }
            self.last = (self.last.0.max(offset), self.last.1.max(there));
            self.rows.advance();
        }
        Ok(())
    }

    pub fn end(&mut self, may_be_open: bool, findings: &mut Findings) -> io::Result<()> {
        if let Some((offset, at)) = self.open {
            let text = format!("offset {offset} is beyond the log's end");
            findings.repairable(Check::OffsetIndex, &self.rows.path, At::byte(at), text);
        }
        self.rows.check_rest(Check::OffsetIndex, may_be_open, findings)
    }
}

/// `.timeindex`: the largest timestamps so far, with the offsets that have them.
pub(super) struct TimeRows {
    rows: Rows<12>,
    base_offset: i64,
    /// The largest timestamp of the log so far, and the batch that has it.
    max: (i64, i64, i64),
    last: (i64, i64),
}

impl TimeRows {
    pub fn new(rows: Rows<12>, base_offset: i64, findings: &mut Findings) -> Self {
        rows.check_length(Check::TimeIndex, findings);
        let before = base_offset.saturating_sub(1);
        Self { rows, base_offset, max: (-1, before, before), last: (-1, before) }
    }

    fn peek(&mut self) -> io::Result<Option<(i64, i64)>> {
        Ok(self.rows.peek()?.map(|[a, b, c, d, e, f, g, h, i, j, k, l]| {
            let timestamp = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
            let relative = i32::from_be_bytes([i, j, k, l]);
            (timestamp, self.base_offset.saturating_add(relative.into()))
        }))
    }

    /// Compares the entries up to this batch.
    pub fn batch(&mut self, batch: &Indexed, findings: &mut Findings) -> io::Result<()> {
        if batch.max_timestamp > self.max.0 {
            self.max = (batch.max_timestamp, batch.base_offset, batch.last_offset);
        }
        while let Some((timestamp, offset)) = self.peek()? {
            if offset > batch.last_offset {
                break;
            }
            let at = self.rows.position();
            let rises = timestamp > self.last.0 && offset >= self.last.1;
            let zero = timestamp == 0 && offset == self.base_offset;
            if zero && (!rises || self.max.0 != 0) && self.rows.only_zeros_follow()? {
                break;
            }
            self.rows.advance();
            let path = &self.rows.path;
            let mut wrong = |text: String| {
                findings.repairable(Check::TimeIndex, path, At::byte(at), text);
            };
            let (max, from, to) = self.max;
            if !rises {
                let (before, there) = self.last;
                wrong(format!(
                    "time {timestamp} at offset {offset} follows time {before} at offset {there}"
                ));
            } else if timestamp != max || !(from..=to).contains(&offset) {
                wrong(format!(
                    "time {timestamp} at offset {offset}, but the largest so far is {max} at offset {to}"
                ));
            } else if offset != to {
                let text = format!(
                    "time {timestamp} at offset {offset} within its batch, as Kafka before 4.0 wrote it"
                );
                findings.note(Check::TimeIndex, path, At::byte(at), text);
            }
            if rises {
                self.last = (timestamp, offset);
            }
        }
        Ok(())
    }

    pub fn end(&mut self, may_be_open: bool, findings: &mut Findings) -> io::Result<()> {
        self.rows.check_rest(Check::TimeIndex, may_be_open, findings)?;
        if !may_be_open && self.max.0 >= 0 && self.last.0 != self.max.0 {
            let text =
                format!("it ends with time {}, the log's largest is {}", self.last.0, self.max.0);
            findings.repairable(Check::TimeIndex, &self.rows.path, At::FILE, text);
        }
        Ok(())
    }
}
