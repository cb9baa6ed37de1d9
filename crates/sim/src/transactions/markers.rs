//! A coordinator's markers on their way, and what comes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{LeaderEpoch, TopicPartition};
use protocol::ErrorCode;
use transaction::{MarkerOutcome, Markers, Request, Verdict, Written};

use super::Tamper;
use super::partition::Marker;
use super::world::{Ask, Event, From, REQUEST_MS, World};

/// Markers that are on their way.
pub struct Sending {
    markers: Markers,
    /// Those that have not answered, or are to be sent to again.
    left: BTreeSet<TopicPartition>,
    /// Handed in, and not judged.
    judged_later: usize,
}

impl Sending {
    pub fn new(markers: Markers) -> Self {
        let left = markers.partitions.iter().cloned().collect();
        Self { markers, left, judged_later: 0 }
    }
}

impl World {
    /// To every partition that has not answered, again and again.
    pub fn send_markers(&mut self, node: usize, epoch: LeaderEpoch, id: &Arc<str>, number: u64) {
        let Some(one) = self.coordinators.get(node).filter(|one| one.epoch == epoch) else {
            return;
        };
        let Some(sending) = one.sending.get(&(Arc::clone(id), number)) else { return };
        let marker = Marker {
            producer: sending.markers.producer,
            commit: sending.markers.commit,
            transaction_version: sending.markers.transaction_version,
            coordinator_epoch: epoch,
        };
        let left: Vec<usize> = sending.left.iter().filter_map(index).collect();
        let sending_nothing = sending.markers.partitions.is_empty();
        for partition in &left {
            let (partition, id) = (*partition, Arc::clone(id));
            let marker = marker.clone();
            self.send(Event::Mark { partition, marker, node, id: Arc::clone(&id), number });
            if self.is(Tamper::TrustTheNetwork) {
                self.hand_in(node, &id, number, Some((partition, Ok(()))));
            }
        }
        if sending_nothing {
            self.hand_in(node, id, number, None);
        }
        self.after(REQUEST_MS, Event::SendAgain { node, epoch, id: Arc::clone(id), number });
    }

    pub fn marked(
        &mut self,
        node: usize,
        epoch: LeaderEpoch,
        id: &Arc<str>,
        number: u64,
        partition: usize,
        result: Result<(), ErrorCode>,
    ) -> Result<(), String> {
        let key = (Arc::clone(id), number);
        let one = self.node(node)?;
        let sending = one.sending.get_mut(&key).filter(|_| one.epoch == epoch);
        // An answer may come twice.
        if sending.is_some_and(|sending| sending.left.remove(&Self::topic_partition(partition))) {
            self.hand_in(node, id, number, Some((partition, result)));
        }
        Ok(())
    }

    fn hand_in(
        &mut self,
        node: usize,
        id: &Arc<str>,
        number: u64,
        answer: Option<(usize, Result<(), ErrorCode>)>,
    ) {
        let key = (Arc::clone(id), number);
        let one = self.coordinators.get_mut(node);
        let Some(sending) = one.and_then(|one| one.sending.get_mut(&key)) else { return };
        sending.judged_later += 1;
        let outcome = |(partition, result): (usize, Result<(), ErrorCode>)| {
            let error = result.err().unwrap_or(ErrorCode::None);
            (Self::topic_partition(partition), MarkerOutcome::Answer(error))
        };
        let outcomes = answer.map(outcome).into_iter().collect();
        let written = Written { transactional_id: Arc::clone(id), number, outcomes };
        let ask = Ask::Request(Request::Markers(vec![written]));
        self.after(1, Event::Asked { node, from: From::Sender, ask });
    }

    pub fn judged(
        &mut self,
        node: usize,
        written: &[Written],
        verdicts: &[Verdict],
    ) -> Result<(), String> {
        let one = self.node(node)?;
        for (written, verdict) in written.iter().zip(verdicts) {
            let key = (Arc::clone(&written.transactional_id), written.number);
            let Some(sending) = one.sending.get_mut(&key) else { continue };
            sending.judged_later = sending.judged_later.saturating_sub(1);
            if let Verdict::Again(again) = verdict {
                sending.left.extend(again.iter().cloned());
            }
            let is_void = matches!(verdict, Verdict::Void | Verdict::Abandoned(_));
            if is_void || (sending.left.is_empty() && sending.judged_later == 0) {
                one.sending.remove(&key);
            }
        }
        Ok(())
    }
}

fn index(partition: &TopicPartition) -> Option<usize> {
    usize::try_from(partition.partition.get()).ok()
}
