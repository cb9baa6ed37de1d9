//! Which batches belong to aborted transactions, and which markers have nothing left to mark. Pure: fed with the batches
//! of a pass in their order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use records::ControlType;

use crate::log::AbortedTxn;

/// The transactions around the place that a pass has reached.
#[derive(Default)]
pub(super) struct TxnScan {
    /// Producers with data in a transaction that was not aborted and whose marker has not come yet.
    committed: HashSet<i64>,
    aborted: HashMap<i64, Aborted>,
    /// Aborted transactions that begin later, the earliest first.
    ahead: BinaryHeap<Reverse<Ahead>>,
}

struct Aborted {
    txn: AbortedTxn,
    /// A batch of it was met in this pass.
    has_data: bool,
}

#[derive(PartialEq, Eq)]
struct Ahead(AbortedTxn);

impl Ord for Ahead {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |ahead: &Self| (ahead.0.first_offset, ahead.0.last_offset, ahead.0.producer_id.0);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Ahead {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What is known of a marker once it is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MarkerFate {
    /// No data of its transaction was met in this pass.
    pub obsolete: bool,
    /// The entry that the transaction index goes on to need.
    pub aborted: Option<AbortedTxn>,
}

impl TxnScan {
    /// Makes known the aborted transactions that overlap what comes next; those that are known already do no harm.
    pub fn add(&mut self, aborted: Vec<AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| Reverse(Ahead(txn))));
    }

    fn advance(&mut self, offset: i64) {
        while let Some(next) = self.ahead.peek_mut() {
            if next.0.0.first_offset > offset {
                break;
            }
            let txn = std::collections::binary_heap::PeekMut::pop(next).0.0;
            self.aborted.entry(txn.producer_id.0).or_insert(Aborted { txn, has_data: false });
        }
    }

    /// A data batch; tells whether it belongs to an aborted transaction.
    pub fn on_data(&mut self, last_offset: i64, producer_id: i64, transactional: bool) -> bool {
        self.advance(last_offset);
        if !transactional {
            return false;
        }
        match self.aborted.get_mut(&producer_id) {
            Some(aborted) => {
                aborted.has_data = true;
                true
            }
            None => {
                self.committed.insert(producer_id);
                false
            }
        }
    }

    /// A control batch; `kind` of its first record, `None` when it has none.
    pub fn on_control(
        &mut self,
        last_offset: i64,
        producer_id: i64,
        kind: Option<ControlType>,
    ) -> MarkerFate {
        self.advance(last_offset);
        let obsolete = |obsolete| MarkerFate { obsolete, aborted: None };
        match kind {
            // Cleaned before, kept for its producer.
            None => obsolete(true),
            Some(ControlType::Commit) => obsolete(!self.committed.remove(&producer_id)),
            Some(ControlType::Abort) => match self.aborted.remove(&producer_id) {
                Some(aborted) if aborted.has_data => {
                    MarkerFate { obsolete: false, aborted: Some(aborted.txn) }
                }
                _ => obsolete(true),
            },
            // Nothing is known about it: it stays.
            Some(_) => obsolete(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::ProducerId;

    use super::*;

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTxn {
        let producer_id = ProducerId(producer_id);
        AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    #[test]
    fn tells_aborted_data_from_committed() {
        let mut scan = TxnScan::default();
        scan.add(vec![aborted(7, 3, 9), aborted(7, 12, 14)]);
        assert!(!scan.on_data(1, 7, true), "a transaction before the aborted one");
        let commit = Some(ControlType::Commit);
        assert_eq!(scan.on_control(2, 7, commit), MarkerFate { obsolete: false, aborted: None });
        assert!(scan.on_data(3, 7, true));
        assert!(!scan.on_data(4, 8, true), "another producer");
        assert!(!scan.on_data(5, 7, false), "not in a transaction");
        let fate = scan.on_control(9, 7, Some(ControlType::Abort));
        assert_eq!(fate, MarkerFate { obsolete: false, aborted: Some(aborted(7, 3, 9)) });
        assert!(!scan.on_data(11, 7, true), "between the aborted ones");
        assert!(scan.on_data(12, 7, true));
    }

    #[test]
    fn a_marker_without_data_is_obsolete() {
        let mut scan = TxnScan::default();
        scan.add(vec![aborted(7, 3, 9)]);
        let obsolete = MarkerFate { obsolete: true, aborted: None };
        assert_eq!(scan.on_control(9, 7, Some(ControlType::Abort)), obsolete);
        assert_eq!(scan.on_control(10, 8, Some(ControlType::Commit)), obsolete);
        assert_eq!(scan.on_control(11, 8, None), obsolete);
        assert!(!scan.on_data(11, 9, true));
        assert!(!scan.on_control(11, 9, Some(ControlType::Commit)).obsolete);
        assert_eq!(scan.on_control(11, 9, Some(ControlType::Commit)), obsolete, "the next one");
        let unknown = scan.on_control(12, 8, Some(ControlType::Unknown(9)));
        assert_eq!(unknown, MarkerFate { obsolete: false, aborted: None });
    }

    #[test]
    fn transactions_that_are_told_twice_count_once() {
        let mut scan = TxnScan::default();
        scan.add(vec![aborted(7, 3, 9)]);
        assert!(scan.on_data(3, 7, true));
        scan.add(vec![aborted(7, 3, 9)]);
        assert!(scan.on_data(5, 7, true));
        assert!(scan.on_control(9, 7, Some(ControlType::Abort)).aborted.is_some());
        assert!(!scan.on_data(10, 7, true));
    }
}
