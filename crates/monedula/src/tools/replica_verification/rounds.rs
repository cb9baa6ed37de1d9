//! Comparing what the replicas of partitions answer, batch by batch up to the high watermark. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use base::{NodeId, TopicPartition};
use client::{Error, Result};
use records::AnyBatch;

/// A batch as far as replicas must agree on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    pub last_offset: i64,
    pub checksum: u32,
}

/// What one replica has from the offset of this round on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub high_watermark: i64,
    pub batches: Vec<Batch>,
}

impl Default for Answer {
    fn default() -> Self {
        Self { high_watermark: -1, batches: Vec::new() }
    }
}

impl Answer {
    /// The last batch may be cut.
    pub fn read(high_watermark: i64, mut bytes: &[u8]) -> Result<Self> {
        let mut batches = Vec::new();
        let corrupt = |error: records::RecordsError| {
            let code = protocol::ErrorCode::CorruptMessage;
            Error::api(code, Some(&format!("Error in processing replica: {error}")))
        };
        while let Some(batch) = AnyBatch::parse(bytes).map_err(corrupt)? {
            let v2 = batch.v2().map(|header| header.crc);
            let checksum = v2.or_else(|| batch.legacy().map(|header| header.crc)).unwrap_or(0);
            batches.push(Batch { last_offset: batch.last_offset().get(), checksum });
            bytes = bytes.get(batch.size()..).unwrap_or_default();
        }
        Ok(Self { high_watermark, batches })
    }
}

/// A difference between two replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The logs have different batches: nothing more can be said.
    Offsets {
        partition: TopicPartition,
        first: (NodeId, i64),
        other: (NodeId, i64),
    },
    Checksum {
        partition: TopicPartition,
        offset: i64,
        first: (NodeId, u32),
        other: (NodeId, u32),
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offsets { partition, first, other } => write!(
                f,
                "partition {partition}: replica {}'s offset {} doesn't match replica {}'s offset {}",
                first.0, first.1, other.0, other.1
            ),
            Self::Checksum { partition, offset, first, other } => write!(
                f,
                "partition {partition} has unmatched checksum at offset {offset}; replica {}'s checksum {}; replica \
                 {}'s checksum {}",
                first.0, first.1, other.0, other.1
            ),
        }
    }
}

/// How far all replicas agree, and the answers of the round that goes on.
#[derive(Debug)]
pub struct Rounds {
    offsets: BTreeMap<TopicPartition, i64>,
    answers: BTreeMap<TopicPartition, BTreeMap<NodeId, Answer>>,
    /// The partition that is farthest behind its high watermark: by how much, and where it is.
    slowest: Option<(i64, TopicPartition, i64)>,
}

impl Rounds {
    pub fn new(offsets: BTreeMap<TopicPartition, i64>) -> Self {
        Self { offsets, answers: BTreeMap::new(), slowest: None }
    }

    /// Where each partition is read next.
    pub fn offsets(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.offsets
    }

    /// The answer of one broker.
    pub fn take(&mut self, broker: NodeId, answers: Vec<(TopicPartition, Answer)>) {
        for (partition, answer) in answers {
            self.answers.entry(partition).or_default().insert(broker, answer);
        }
    }

    /// Ends a round.
    pub fn compare(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.slowest = None;
        for (partition, answers) in std::mem::take(&mut self.answers) {
            let Some(offset) = self.offsets.get_mut(&partition) else { continue };
            let high_watermark = answers.values().map(|a| a.high_watermark).max().unwrap_or(-1);
            compare_partition(&partition, &answers, offset, &mut findings);
            let lag = high_watermark.saturating_sub(*offset);
            if lag > self.slowest.as_ref().map_or(-1, |(lag, ..)| *lag) {
                self.slowest = Some((lag, partition, *offset));
            }
        }
        findings
    }

    pub fn report(&self) -> String {
        let count = self.offsets.len();
        let (lag, partition, offset) = match &self.slowest {
            Some((lag, partition, offset)) => (*lag, partition.to_string(), *offset),
            None => (-1, String::from("null"), -1),
        };
        format!(
            "max lag is {lag} for partition {partition} at offset {offset} among {count} partitions"
        )
    }
}

/// Moves the offset over all batches that every replica has below its high watermark.
fn compare_partition(
    partition: &TopicPartition,
    answers: &BTreeMap<NodeId, Answer>,
    offset: &mut i64,
    findings: &mut Vec<Finding>,
) {
    for at in 0.. {
        let mut first: Option<(NodeId, Batch)> = None;
        let mut everywhere = true;
        for (broker, answer) in answers {
            let batch = answer.batches.get(at);
            let Some(batch) = batch.filter(|batch| batch.last_offset < answer.high_watermark)
            else {
                everywhere = false;
                continue;
            };
            let Some((known, expected)) = first else {
                first = Some((*broker, *batch));
                continue;
            };
            if expected.last_offset != batch.last_offset {
                findings.push(Finding::Offsets {
                    partition: partition.clone(),
                    first: (known, expected.last_offset),
                    other: (*broker, batch.last_offset),
                });
                return;
            }
            if expected.checksum != batch.checksum {
                findings.push(Finding::Checksum {
                    partition: partition.clone(),
                    offset: batch.last_offset,
                    first: (known, expected.checksum),
                    other: (*broker, batch.checksum),
                });
            }
        }
        match first {
            Some((_, batch)) if everywhere => *offset = batch.last_offset.saturating_add(1),
            _ => return,
        }
    }
}
