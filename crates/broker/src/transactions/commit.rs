//! Before offsets are committed in a transaction: does its coordinator know that the group's partition belongs to it?

use base::PartitionIndex;
use coordinator::{Producer, error_for_client};
use protocol::ErrorCode;
use storage::log::{VerificationGuard, Verify};

use super::{Joining, Support};
use crate::coordinators::OFFSETS_TOPIC;
use crate::partitions::Use;
use crate::request::RequestContext;

/// Records of coordinators have no sequences.
const NO_SEQUENCE: i32 = -1;

/// The guard to commit with, when the transaction begins there with this commit.
///
/// # Errors
/// What the client is told.
pub async fn verify_commit(
    context: &RequestContext,
    at: PartitionIndex,
    transactional_id: &str,
    producer: Producer,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    let node = &context.node;
    let topic = node.image().topics.id_of(OFFSETS_TOPIC);
    let partition = topic.and_then(|topic| node.partitions.get(topic, at));
    let partition = partition.ok_or(ErrorCode::NotCoordinator)?;
    if producer.id.get() < 0 {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let support = Support::of_offset_commit(context.version);
    if !support.is_implicit() && !node.config().transaction.partition_verification_enable {
        return Ok(None);
    }
    let verify = Verify {
        producer_id: producer.id.get(),
        epoch: producer.epoch.get(),
        sequence: NO_SEQUENCE,
        bumps_epoch: support.is_implicit(),
    };
    let begin = || partition.begin_verification(&verify, node.clock.wall());
    let begun = partition.enter(Use::Write, begin).await;
    let Some(unverified) = begun.map_err(|failure| error_for_client(failure.code()))? else {
        return Ok(None);
    };
    let joining = Joining {
        transactional_id: transactional_id.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        partitions: vec![(OFFSETS_TOPIC.into(), at.get())],
        coordinator_epoch: unverified.coordinator_epoch,
        support,
    };
    let error = node.verifier.ask(node, joining).await.pop().unwrap_or(ErrorCode::NetworkException);
    match error {
        ErrorCode::None => Ok(Some(unverified.guard)),
        // Old clients do not retry on the first; the second they understand.
        ErrorCode::NetworkException => Err(ErrorCode::CoordinatorLoadInProgress),
        error => Err(error_for_client(error)),
    }
}
