//! What came of the markers of decided transactions.

use std::collections::BTreeMap;

use base::time::Now;

use super::{TransactionShard, written};
use crate::errors::{Marked, marked};
use crate::record::TransactionRecord;
use crate::request::{Verdict, Written};
use crate::view::View;

impl TransactionShard {
    pub(super) fn markers_written(
        &mut self,
        now: Now,
        all: &[Written],
        view: &View,
    ) -> (Vec<TransactionRecord>, Vec<Verdict>) {
        // By id: a transaction may be handed in twice, its completion comes once.
        let mut completed = BTreeMap::new();
        let mut verdicts = Vec::with_capacity(all.len());
        for one in all {
            let (record, verdict) = self.marker_written(now, one, view);
            completed.extend(record.map(|record| (&one.transactional_id, record)));
            verdicts.push(verdict);
        }
        (completed.into_values().collect(), verdicts)
    }

    fn marker_written(
        &mut self,
        now: Now,
        one: &Written,
        view: &View,
    ) -> (Option<TransactionRecord>, Verdict) {
        if self.duties.number(&one.transactional_id) != Some(one.number) {
            return (None, Verdict::Void);
        }
        let known = self.transactions.get_mut(&one.transactional_id);
        let decided = known.filter(|transaction| transaction.state.decided().is_some());
        let Some(transaction) = decided else { return (None, Verdict::Void) };
        let (mut again, mut abandoned) = (Vec::new(), None);
        for (partition, outcome) in &one.outcomes {
            if !transaction.partitions.contains(partition) {
                continue;
            }
            match marked(*outcome) {
                Marked::Done => {
                    transaction.partitions.remove_mut(partition);
                }
                Marked::Again => again.push(partition.clone()),
                Marked::Abandoned(error) => abandoned = Some(error),
            }
        }
        let completed =
            transaction.partitions.is_empty().then(|| transaction.completed(now.wall.0)).flatten();
        let record = completed.map(|next| written(&one.transactional_id, next, view));
        let verdict = match abandoned {
            Some(error) => Verdict::Abandoned(error),
            None if again.is_empty() => Verdict::Done,
            None => Verdict::Again(again),
        };
        (record, verdict)
    }
}
