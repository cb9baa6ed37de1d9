//! A slow second opinion on what files hold: reads every batch, byte by byte, with no code of the product.

use std::collections::BTreeMap;

const HEAD: usize = 61;

/// One batch as its bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub base: i64,
    pub last: i64,
    pub epoch: i32,
    pub producer: i64,
    pub producer_epoch: i16,
    pub sequence: i32,
    pub max_timestamp: i64,
    pub transactional: bool,
    /// A marker: commit or abort, and the coordinator's epoch.
    pub marker: Option<(bool, i32)>,
    pub bytes: Vec<u8>,
}

fn number(bytes: &[u8], at: usize, len: usize) -> i64 {
    let signed = i64::from(bytes[at] as i8);
    bytes[at + 1..at + len].iter().fold(signed, |sum, byte| sum << 8 | i64::from(*byte))
}

/// CRC-32C of every byte.
const CRCS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| crc >> 8 ^ CRCS[(crc as u8 ^ byte) as usize];
    !bytes.iter().fold(!0, step)
}

/// The batch at the start of these bytes; `None` when there is no whole and valid one.
pub fn batch(bytes: &[u8]) -> Option<Batch> {
    if bytes.len() < HEAD {
        return None;
    }
    let size = usize::try_from(number(bytes, 8, 4)).ok()? + 12;
    let valid = size >= HEAD && size <= bytes.len() && bytes[16] == 2;
    if !valid || crc(&bytes[21..size]) != number(bytes, 17, 4) as u32 {
        return None;
    }
    let base = number(bytes, 0, 8);
    let attributes = number(bytes, 21, 2);
    Some(Batch {
        base,
        last: base + number(bytes, 23, 4),
        epoch: number(bytes, 12, 4) as i32,
        producer: number(bytes, 43, 8),
        producer_epoch: number(bytes, 51, 2) as i16,
        sequence: number(bytes, 53, 4) as i32,
        max_timestamp: number(bytes, 35, 8),
        transactional: attributes & 0x10 != 0,
        marker: (attributes & 0x20 != 0).then(|| marker(&bytes[HEAD..size])).flatten(),
        bytes: bytes[..size].to_vec(),
    })
}

/// The only record of a marker: length, attributes, time, offset, key of 4 bytes, value of 6. Lengths and differences take as
/// many bytes as they need.
fn marker(record: &[u8]) -> Option<(bool, i32)> {
    let after_number = |at: usize| {
        let len = record.get(at..)?.iter().position(|byte| byte & 0x80 == 0)?;
        Some(at + len + 1)
    };
    let time = after_number(0)? + 1;
    let key = after_number(after_number(after_number(time)?)?)?;
    let value = after_number(key + 4)?;
    let (key, value) = (record.get(key..key + 4)?, record.get(value..value + 6)?);
    let kind = number(key, 2, 2);
    (kind == 0 || kind == 1).then(|| (kind == 1, number(value, 2, 4) as i32))
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub epoch: i16,
    pub coordinator_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub open_since: Option<i64>,
}

/// An aborted transaction: producer, first offset, offset of the marker.
pub type Aborted = (i64, i64, i64);

/// The state after all these batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub producers: BTreeMap<i64, Producer>,
    pub aborted: Vec<Aborted>,
}

impl State {
    pub fn after<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut state = Self::default();
        for batch in batches {
            state.take(batch);
        }
        state
    }

    fn take(&mut self, batch: &Batch) {
        if batch.producer < 0 {
            return;
        }
        let producer = self.producers.entry(batch.producer).or_insert(Producer {
            epoch: -1,
            coordinator_epoch: -1,
            last_sequence: -1,
            last_timestamp: -1,
            open_since: None,
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.last_sequence = -1;
        }
        producer.last_timestamp = batch.max_timestamp;
        match batch.marker {
            Some((commit, coordinator_epoch)) => {
                producer.coordinator_epoch = coordinator_epoch;
                if let Some(first) = producer.open_since.take()
                    && !commit
                {
                    self.aborted.push((batch.producer, first, batch.last));
                }
            }
            None => {
                producer.last_sequence = batch.sequence + (batch.last - batch.base) as i32;
                if batch.transactional && producer.open_since.is_none() {
                    producer.open_since = Some(batch.base);
                }
            }
        }
    }
}
