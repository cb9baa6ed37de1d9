//! What is committed in a partition, and what was before unclean elections took it away.

use base::{LeaderEpoch, Offset};

use super::part_log::Record;

/// One history, valid from the epoch in which an unclean leader began it.
#[derive(Clone, Debug)]
struct Line {
    from: LeaderEpoch,
    records: Vec<Record>,
}

/// Everything that was ever committed. Who is elected uncleanly ends a history; what it has of it begins the next. A leader that
/// does not know of that yet goes on in the old one.
#[derive(Debug)]
pub(super) struct Truth {
    past: Vec<Line>,
    now: Line,
    /// Epochs of unclean elections whose leaders have not begun.
    awaited: Vec<LeaderEpoch>,
}

impl Default for Truth {
    fn default() -> Self {
        let now = Line { from: LeaderEpoch(0), records: Vec::new() };
        Self { past: Vec::new(), now, awaited: Vec::new() }
    }
}

pub(super) fn index(offset: Offset) -> usize {
    usize::try_from(offset.get()).unwrap_or(usize::MAX)
}

impl Truth {
    /// What is committed now, by offset.
    pub fn records(&self) -> &[Record] {
        &self.now.records
    }

    /// Counts the histories: what was compared with one says nothing of the next.
    pub fn generation(&self) -> usize {
        self.past.len()
    }

    /// Something may have been lost, and rightly.
    pub fn has_forked(&self) -> bool {
        !self.past.is_empty() || !self.awaited.is_empty()
    }

    /// An unclean leader is elected and has not begun: nobody needs to have anything.
    pub fn is_open(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Somebody who need not have everything was elected in this epoch.
    pub fn elected_uncleanly(&mut self, epoch: LeaderEpoch) {
        self.awaited.push(epoch);
    }

    /// A leader begins an epoch with this log, and takes for committed what lies below its watermark; says how many records are lost
    /// by it, if that may be.
    pub fn led(
        &mut self,
        epoch: LeaderEpoch,
        log: &[Record],
        high_watermark: Offset,
    ) -> Option<usize> {
        let from = self.awaited.iter().copied().filter(|awaited| *awaited <= epoch).max()?;
        self.awaited.retain(|awaited| *awaited > epoch);
        let pairs = self.now.records.iter().zip(log);
        let kept = pairs.take_while(|(one, other)| one == other).count();
        let lost = self.now.records.len() - kept;
        let taken = kept.max(index(high_watermark)).min(log.len());
        let records = log.get(..taken).unwrap_or_default().to_vec();
        self.past.push(std::mem::replace(&mut self.now, Line { from, records }));
        Some(lost)
    }

    /// The leader of an epoch says that these are committed; gives how many of them are new.
    pub fn commit(
        &mut self,
        epoch: LeaderEpoch,
        from: Offset,
        records: &[Record],
    ) -> Result<u64, String> {
        let line = match self.past.iter().rposition(|line| line.from <= epoch) {
            Some(at) if self.now.from > epoch => self.past.get_mut(at),
            _ => None,
        };
        let truth = &mut line.unwrap_or(&mut self.now).records;
        let mut new = 0;
        for (offset, record) in (index(from)..).zip(records) {
            match truth.get(offset) {
                Some(known) if known == record => {}
                Some(known) => {
                    return Err(format!("{record:?} at {offset}, committed is {known:?}"));
                }
                None if offset == truth.len() => {
                    new += 1;
                    truth.push(record.clone());
                }
                None => return Err(format!("{offset}, the end was {}", truth.len())),
            }
        }
        Ok(new)
    }

    /// Whether these records follow one another at that place in any history.
    pub fn holds(&self, from: Offset, matches: impl Fn(&[Record]) -> bool) -> bool {
        let lines = self.past.iter().chain([&self.now]);
        let mut lines = lines.filter_map(|line| line.records.get(index(from)..));
        lines.any(matches)
    }
}
