//! Before records of a transaction are appended: does its coordinator know that they belong to it?

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{PartitionIndex, ProducerEpoch, ProducerId, TopicId, WallMs};
use protocol::ErrorCode;
use storage::log::{VerificationGuard, Verify};

use super::{Joining, Support};
use crate::authorizer::{Operation, Resource};
use crate::partitions::{Partition, Use};
use crate::produce::Parts;
use crate::request::RequestContext;

/// What comes of one partition.
#[derive(Debug)]
pub enum Verdict {
    /// With this guard, when its transaction begins with these records.
    Append(Option<VerificationGuard>),
    Refused {
        error: ErrorCode,
        message: Option<String>,
    },
}

pub type Verdicts = HashMap<(TopicId, i32), Verdict>;

/// A batch of a transaction.
struct Batch {
    topic: Arc<str>,
    partition: Arc<Partition>,
    sequence: i32,
}

impl Batch {
    fn place(&self) -> (TopicId, i32) {
        let id = self.partition.id();
        (id.topic_id, id.partition.get())
    }
}

/// Looks at all batches of transactions; of a partition without a verdict nothing is known that forbids to append.
///
/// # Errors
/// When nothing of the request may be appended.
pub async fn verify_produce(
    context: &RequestContext,
    transactional_id: &str,
    parts: &Parts,
    timeout_ms: u64,
) -> Result<Verdicts, ErrorCode> {
    let Some((producer, batches)) = batches(context, parts)? else {
        return Ok(Verdicts::new());
    };
    let node = &context.node;
    let support = Support::of_produce(context.version);
    let config = node.config().transaction.clone();
    if !support.is_implicit() && !config.partition_verification_enable {
        return Ok(Verdicts::new());
    }
    let ms = |value: i32| u64::try_from(value).unwrap_or(0);
    let pause = Duration::from_millis(ms(config.add_partitions_to_txn_retry_backoff_ms));
    let retry_ms = ms(config.add_partitions_to_txn_retry_backoff_max_ms).min(timeout_ms);
    let begun = node.clock.mono();
    loop {
        let told = ask(context, transactional_id, producer, &batches, support).await;
        let concurrent =
            told.values().any(|told| matches!(told, Err(ErrorCode::ConcurrentTransactions)));
        // The end of the transaction before is mostly a matter of milliseconds.
        let again = concurrent && support.is_implicit();
        if !again || node.clock.mono().since(begun) >= retry_ms {
            let verdicts = told.into_iter().map(|(place, told)| (place, verdict(support, told)));
            return Ok(verdicts.collect());
        }
        tokio::time::sleep(pause).await;
    }
}

/// The batches of transactions that could be appended here, all of one producer.
fn batches(
    context: &RequestContext,
    parts: &Parts,
) -> Result<Option<(Producer, Vec<Batch>)>, ErrorCode> {
    let image = context.node.image();
    let mut producer: Option<Producer> = None;
    let mut batches = Vec::new();
    for topic in &parts.topics {
        let known = match &topic.name {
            Some(name) => image.topics.by_name(name),
            None => image.topics.by_id(topic.id),
        };
        let Some(known) = known else { continue };
        if !context.allows(Operation::Write, Resource::Topic(&known.name)) {
            continue;
        }
        for part in &topic.parts {
            let Some(header) = part.transactional_batch() else { continue };
            let index = PartitionIndex(part.index);
            if known.partition(index).is_none() {
                continue;
            }
            let own = Producer { id: header.producer_id, epoch: header.producer_epoch };
            if *producer.get_or_insert(own) != own {
                return Err(ErrorCode::InvalidProducerIdMapping);
            }
            let Some(partition) = context.node.partitions.get(known.id, index) else { continue };
            let sequence = header.base_sequence;
            batches.push(Batch { topic: Arc::clone(&known.name), partition, sequence });
        }
    }
    Ok(producer.map(|producer| (producer, batches)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Producer {
    id: ProducerId,
    epoch: ProducerEpoch,
}

type Told = Result<Option<VerificationGuard>, ErrorCode>;

/// One round: guards from the partitions, then the coordinator.
async fn ask(
    context: &RequestContext,
    transactional_id: &str,
    producer: Producer,
    batches: &[Batch],
    support: Support,
) -> HashMap<(TopicId, i32), Told> {
    let now: WallMs = context.node.clock.wall();
    let mut told = HashMap::with_capacity(batches.len());
    let mut asked = Vec::new();
    for batch in batches {
        let verify = Verify {
            producer_id: producer.id.get(),
            epoch: producer.epoch.get(),
            sequence: batch.sequence,
            bumps_epoch: support.is_implicit(),
        };
        let begin = || batch.partition.begin_verification(&verify, now);
        match batch.partition.enter(Use::Write, begin).await {
            Ok(None) => {}
            Ok(Some(unverified)) => asked.push((batch, unverified)),
            Err(failure) => {
                told.insert(batch.place(), Err(failure.code()));
            }
        }
    }
    if asked.is_empty() {
        return told;
    }
    let partitions = asked.iter().map(|(batch, _)| (Arc::clone(&batch.topic), batch.place().1));
    let epochs = asked.iter().map(|(_, unverified)| unverified.coordinator_epoch);
    let joining = Joining {
        coordinator_epoch: epochs.max().unwrap_or(-1),
        transactional_id: transactional_id.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        partitions: partitions.collect(),
        support,
    };
    let errors = context.node.verifier.ask(&context.node, joining).await;
    for ((batch, unverified), error) in asked.into_iter().zip(errors) {
        let one = if error.is_none() { Ok(Some(unverified.guard)) } else { Err(error) };
        told.insert(batch.place(), one);
    }
    told
}

/// What a producer is told instead of what coordinators say.
fn verdict(support: Support, told: Told) -> Verdict {
    let error = match told {
        Ok(guard) => return Verdict::Append(guard),
        Err(error) => error,
    };
    match error {
        ErrorCode::InvalidTxnState => Verdict::Refused {
            error,
            message: Some("Partition was not added to the transaction".to_owned()),
        },
        ErrorCode::ConcurrentTransactions if support.is_implicit() => {
            Verdict::Refused { error, message: None }
        }
        // Every producer tries again on this one, and does not ask for metadata first.
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::ConcurrentTransactions => Verdict::Refused {
            error: ErrorCode::NotEnoughReplicas,
            message: Some(format!(
                "Unable to verify the partition has been added to the transaction. Underlying error: {}",
                error.name()
            )),
        },
        _ => Verdict::Refused { error, message: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_are_told_what_they_can_retry() {
        let cases = [
            (ErrorCode::InvalidTxnState, Support::Old, ErrorCode::InvalidTxnState, true),
            (ErrorCode::NetworkException, Support::Old, ErrorCode::NotEnoughReplicas, true),
            (ErrorCode::NotCoordinator, Support::Implicit, ErrorCode::NotEnoughReplicas, true),
            (
                ErrorCode::ConcurrentTransactions,
                Support::Abortable,
                ErrorCode::NotEnoughReplicas,
                true,
            ),
            (
                ErrorCode::ConcurrentTransactions,
                Support::Implicit,
                ErrorCode::ConcurrentTransactions,
                false,
            ),
            (
                ErrorCode::TransactionAbortable,
                Support::Implicit,
                ErrorCode::TransactionAbortable,
                false,
            ),
            (ErrorCode::InvalidProducerEpoch, Support::Old, ErrorCode::InvalidProducerEpoch, false),
        ];
        for (said, support, expected, worded) in cases {
            match verdict(support, Err(said)) {
                Verdict::Refused { error, message } => {
                    assert_eq!((error, message.is_some()), (expected, worded), "{said:?}");
                }
                Verdict::Append(_) => panic!("{said:?} does not allow to append"),
            }
        }
    }
}
