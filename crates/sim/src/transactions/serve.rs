//! The brokers that lead the partitions: they ask the coordinator before they write, and answer.

use std::sync::Arc;

use protocol::ErrorCode;
use transaction::{AddPartitions, Added, Query, Reply, Request, Verify};

use super::partition::{Marker, Step, Write};
use super::world::{Answer, Ask, Event, From, World};

impl World {
    pub fn write(&mut self, at: usize, write: Write) {
        let (Some(partition), Some((node, epoch))) =
            (self.partitions.get_mut(at), self.known.get(at).copied())
        else {
            return;
        };
        let (client, call) = (write.client, write.call);
        let ask = ask_of(at, &write);
        match partition.write(write, epoch) {
            Step::Answer(result) => {
                let is_stale = result == Err(ErrorCode::NotEnoughReplicas);
                self.checks.stats.stale_askings += u64::from(is_stale);
                self.send(Event::Wrote { client, call, result });
            }
            Step::Ask(number) => {
                let from = From::Partition { partition: at, number };
                self.send(Event::Asked { node, from, ask });
            }
        }
    }

    pub fn verified(&mut self, at: usize, number: u64, answer: &Answer) {
        let result = verdict(answer);
        let Some(partition) = self.partitions.get_mut(at) else { return };
        if let Some((write, result)) = partition.verified(number, result) {
            let (client, call) = (write.client, write.call);
            self.send(Event::Wrote { client, call, result });
        }
    }

    pub fn mark(&mut self, at: usize, marker: &Marker, node: usize, id: Arc<str>, number: u64) {
        let Some(partition) = self.partitions.get_mut(at) else { return };
        let result = partition.mark(marker);
        self.note(&format!("{id} {number} marker in {at}: {marker:?} {result:?}"));
        let epoch = marker.coordinator_epoch;
        self.send(Event::Marked { node, epoch, id, number, partition: at, result });
    }
}

/// What a partition asks the coordinator of a write.
fn ask_of(at: usize, write: &Write) -> Ask {
    let partitions = vec![World::topic_partition(at)];
    let (transactional_id, producer) = (Arc::clone(&write.transactional_id), write.producer);
    if write.adds {
        let added = Added::Partitions { version: 5 };
        let ask = AddPartitions { transactional_id, producer, partitions, added };
        Ask::Request(Request::AddPartitions(ask))
    } else {
        let ask = Verify { transactional_id, producer, partitions };
        Ask::Query(Query::Verify(ask))
    }
}

/// `AddPartitionsToTxnManager`.
fn verdict(answer: &Answer) -> Result<(), ErrorCode> {
    let error = match answer {
        Ok(Reply::AddPartitions(error)) => *error,
        Ok(Reply::Verify(all)) => all.first().map_or(ErrorCode::UnknownServerError, |one| one.1),
        Ok(_) => ErrorCode::UnknownServerError,
        Err(error) => *error,
    };
    match error {
        ErrorCode::None => Ok(()),
        ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::ConcurrentTransactions => Err(ErrorCode::NotEnoughReplicas),
        ErrorCode::ProducerFenced => Err(ErrorCode::InvalidProducerEpoch),
        error => Err(error),
    }
}
