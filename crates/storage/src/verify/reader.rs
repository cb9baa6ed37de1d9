//! Reading the batches of a segment from one end to the other in bounded memory, whatever the sizes in it claim.

use std::io;
use std::sync::Arc;

use records::batch::{BatchHeader, HEADER_LEN, MAGIC_V2};
use records::batches::PEEK_LEN;
use records::crc::Crc32c;
use records::{AnyBatch, RecordsError};

use crate::disk::DiskFile;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// A batch that is larger has its checksum taken in pieces and its records are not looked at.
const WHOLE_MAX: u64 = 64 << 20;
/// Where the checksum of a v2 batch stands, and where the bytes begin that it covers.
const CRC_COVERS_FROM: usize = 21;

/// What stands next in a segment.
#[derive(Debug)]
pub(super) enum Step {
    End,
    /// A batch whose bytes are at hand: [`Batches::bytes`].
    Batch,
    /// A batch that is too large to hold.
    Large {
        header: BatchHeader,
        crc: Result<(), RecordsError>,
    },
    /// The file ends before the batch does.
    Incomplete,
    /// No batch.
    Corrupt(String),
}

/// The batches of one file.
pub(super) struct Batches {
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Where the batch at hand begins.
    position: u64,
    /// Its size, 0 before the first.
    size: u64,
    buffer: Vec<u8>,
    /// Position in the file of the buffer's first byte.
    buffered_at: u64,
}

impl Batches {
    pub fn new(file: Arc<dyn DiskFile>, end: u64) -> Self {
        Self { file, end, position: 0, size: 0, buffer: Vec::new(), buffered_at: 0 }
    }

    /// Where what [`Self::next`] told of begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes of a [`Step::Batch`].
    pub fn bytes(&self) -> &[u8] {
        let from = usize::try_from(self.position.saturating_sub(self.buffered_at)).ok();
        let size = usize::try_from(self.size).ok();
        let range = from.zip(size).and_then(|(from, size)| Some(from..from.checked_add(size)?));
        range.and_then(|range| self.buffer.get(range)).unwrap_or_default()
    }

    /// Goes on at another place: what stands at the old one cannot be passed.
    pub fn jump(&mut self, position: u64) {
        self.position = position;
        self.size = 0;
    }

    /// Goes to the next batch. After [`Step::Incomplete`] and [`Step::Corrupt`] the place stays the same.
    pub fn next(&mut self) -> io::Result<Step> {
        self.position = self.position.saturating_add(self.size);
        self.size = 0;
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Step::End);
        }
        let head = self.fill(left.min(HEADER_LEN as u64))?;
        let size = match records::next_batch_size(head) {
            Ok(Some(size)) => size as u64,
            Ok(None) => return Ok(Step::Incomplete),
            Err(fault) => return Ok(Step::Corrupt(fault.to_string())),
        };
        if size > left {
            return Ok(if (left as usize) < PEEK_LEN || self.is_plausible() {
                Step::Incomplete
            } else {
                Step::Corrupt(format!("a size of {size} bytes where {left} are left"))
            });
        }
        if size > WHOLE_MAX {
            return self.large(size);
        }
        if (self.fill(size)?.len() as u64) < size {
            // The file has become shorter.
            return Ok(Step::Incomplete);
        }
        self.size = size;
        Ok(Step::Batch)
    }

    /// The header before a batch that is cut looks like one.
    fn is_plausible(&self) -> bool {
        let from = usize::try_from(self.position.saturating_sub(self.buffered_at)).unwrap_or(0);
        let header = BatchHeader::parse(self.buffer.get(from..).unwrap_or_default());
        header.map_or(true, |header| {
            header.base_offset.is_some() && header.count >= 0 && header.last_offset_delta >= 0
        })
    }

    fn large(&mut self, size: u64) -> io::Result<Step> {
        let header = match BatchHeader::parse(self.fill(HEADER_LEN as u64)?) {
            Ok(header) => header,
            Err(fault) => return Ok(Step::Corrupt(fault.to_string())),
        };
        let mut crc = Crc32c::default();
        let mut at = self.position + CRC_COVERS_FROM as u64;
        let end = self.position + size;
        let mut chunk = vec![0; CHUNK];
        while at < end {
            let want = (end - at).min(CHUNK as u64) as usize;
            let target = chunk.get_mut(..want).unwrap_or_default();
            let read = self.file.read_at(target, at)?;
            if read == 0 {
                return Ok(Step::Incomplete);
            }
            crc.update(target.get(..read).unwrap_or_default());
            at += read as u64;
        }
        let (stored, computed) = (header.crc, crc.finish());
        let same = stored == computed;
        self.size = size;
        let crc = if same { Ok(()) } else { Err(RecordsError::WrongCrc { stored, computed }) };
        Ok(Step::Large { header, crc })
    }

    /// Has `want` bytes from the position on in the buffer, fewer only at the end of the file.
    fn fill(&mut self, want: u64) -> io::Result<&[u8]> {
        let have_to = self.buffered_at + self.buffer.len() as u64;
        if self.position < self.buffered_at || self.position + want > have_to {
            let left = self.end.saturating_sub(self.position);
            let chunk = want.max(CHUNK as u64).min(left) as usize;
            if self.buffer.capacity() > 4 * CHUNK && chunk <= CHUNK {
                self.buffer = Vec::new();
            }
            self.buffer.resize(chunk, 0);
            let read = self.file.read_at(&mut self.buffer, self.position)?;
            self.buffer.truncate(read);
            self.buffered_at = self.position;
        }
        let from = (self.position - self.buffered_at) as usize;
        let rest = self.buffer.get(from..).unwrap_or_default();
        Ok(rest.get(..want as usize).unwrap_or(rest))
    }

    /// The next place behind the position where a batch begins whose checksum is right and whose offset is larger than
    /// `after`; goes there. What lies between cannot be told.
    pub fn find_next(&mut self, after: i64) -> io::Result<Option<Step>> {
        let mut chunk = vec![0; CHUNK];
        let mut at = self.position.saturating_add(1);
        while at.saturating_add(HEADER_LEN as u64) <= self.end {
            let want = (self.end - at).min(CHUNK as u64) as usize;
            let target = chunk.get_mut(..want).unwrap_or_default();
            let read = self.file.read_at(target, at)?;
            let bytes = target.get(..read).unwrap_or_default();
            if bytes.len() < HEADER_LEN {
                break;
            }
            for (from, head) in bytes.windows(HEADER_LEN).enumerate() {
                let place = at + from as u64;
                if !may_begin(head, after, self.end - place) {
                    continue;
                }
                let before = self.position;
                self.jump(place);
                match self.next()? {
                    step @ Step::Batch if self.is_sound() => return Ok(Some(step)),
                    step @ Step::Large { crc: Ok(()), .. } => return Ok(Some(step)),
                    _ => self.jump(before),
                }
            }
            // The last bytes may be the beginning of a header.
            at += (bytes.len() - HEADER_LEN + 1) as u64;
        }
        Ok(None)
    }

    fn is_sound(&self) -> bool {
        matches!(AnyBatch::parse(self.bytes()), Ok(Some(batch)) if batch.check_crc().is_ok())
    }

    /// There are only zeros from the position to the end.
    pub fn only_zeros_follow(&self) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK];
        let mut at = self.position;
        while at < self.end {
            let want = (self.end - at).min(CHUNK as u64) as usize;
            let target = chunk.get_mut(..want).unwrap_or_default();
            let read = self.file.read_at(target, at)?;
            if read == 0 {
                break;
            }
            if target.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += read as u64;
        }
        Ok(true)
    }
}

/// A first look, before the checksum is taken.
fn may_begin(head: &[u8], after: i64, left: u64) -> bool {
    if head.get(PEEK_LEN - 1) != Some(&(MAGIC_V2 as u8)) {
        return false;
    }
    let Ok(header) = BatchHeader::parse(head) else { return false };
    let far = header.base_offset.0.checked_sub(after);
    far.is_some_and(|far| (1..=i64::from(i32::MAX)).contains(&far))
        && header.count >= 0
        && header.last_offset_delta >= 0
        && header.size() as u64 <= left
}
