//! The index of aborted transactions beside a walk over a segment's batches: every entry has its marker, every marker its
//! entry.

use std::io;

use super::finding::{At, Check, Findings};
use super::indexes::Rows;

/// An aborted transaction as `.txnindex` has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
    pub last_stable_offset: i64,
}

/// What the log says of an abort marker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    pub producer_id: i64,
    pub offset: i64,
    /// The transaction that it ends; `None` when the log does not tell (any more).
    pub ends: Option<Aborted>,
}

/// `.txnindex`: the aborted transactions, by their markers.
pub(super) struct TxnRows {
    rows: Rows<34>,
    last: i64,
}

impl TxnRows {
    pub fn new(rows: Rows<34>, base_offset: i64, findings: &mut Findings) -> Self {
        rows.check_length(Check::TxnIndex, findings);
        Self { rows, last: base_offset.saturating_sub(1) }
    }

    /// The next entry, or what is wrong with it.
    fn peek(&mut self) -> io::Result<Option<Result<Aborted, String>>> {
        Ok(self.rows.peek()?.map(|row| {
            let number = |at: usize, len: usize| {
                row.iter().skip(at).take(len).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
            };
            let version = number(0, 2);
            if version != 0 {
                return Err(format!("version {version} is not known"));
            }
            let long = |at: usize| number(at, 8) as i64;
            Ok(Aborted {
                producer_id: long(2),
                first_offset: long(10),
                last_offset: long(18),
                last_stable_offset: long(26),
            })
        }))
    }

    fn repairable(&self, findings: &mut Findings, offset: i64, text: String) {
        let at = At::batch(self.rows.position(), offset);
        findings.repairable(Check::TxnIndex, &self.rows.path, at, text);
    }

    /// Compares the entries up to the marker at an offset; with `None` up to the segment's end.
    pub fn marker(&mut self, marker: Option<&Marker>, findings: &mut Findings) -> io::Result<()> {
        while let Some(entry) = self.peek()? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(text) => {
                    self.repairable(findings, self.last, text);
                    self.rows.advance();
                    continue;
                }
            };
            if marker.is_some_and(|marker| entry.last_offset > marker.offset) {
                break;
            }
            if entry.last_offset <= self.last || entry.first_offset > entry.last_offset {
                let text = format!(
                    "a transaction from {} to {} follows one that ends at {}",
                    entry.first_offset, entry.last_offset, self.last
                );
                self.repairable(findings, entry.last_offset, text);
                self.rows.advance();
                continue;
            }
            self.last = entry.last_offset;
            match marker.filter(|marker| marker.offset == entry.last_offset) {
                None => {
                    let text = "no abort marker is there".to_owned();
                    self.repairable(findings, entry.last_offset, text);
                }
                Some(marker) if marker.producer_id != entry.producer_id => {
                    let text = format!(
                        "producer {} is said to abort, the marker is of producer {}",
                        entry.producer_id, marker.producer_id
                    );
                    self.repairable(findings, entry.last_offset, text);
                }
                Some(Marker { ends: Some(ends), .. }) if *ends != entry => {
                    let text = format!("it says {entry:?}, the log {ends:?}");
                    self.repairable(findings, entry.last_offset, text);
                }
                Some(_) => {}
            }
            self.rows.advance();
            if marker.is_some_and(|marker| marker.offset == entry.last_offset) {
                return Ok(());
            }
        }
        if let Some(Marker { ends: Some(ends), .. }) = marker {
            let text = format!(
                "the transaction of producer {} from {} to {} is not in it",
                ends.producer_id, ends.first_offset, ends.last_offset
            );
            self.repairable(findings, ends.last_offset, text);
        }
        Ok(())
    }

    /// Passes what lies before an offset.
    pub fn skip_to(&mut self, offset: i64) -> io::Result<()> {
        while let Some(entry) = self.peek()? {
            match entry {
                Ok(entry) if entry.last_offset >= offset => break,
                Ok(entry) => self.last = self.last.max(entry.last_offset),
                Err(_) => {}
            }
            self.rows.advance();
        }
        Ok(())
    }
}
