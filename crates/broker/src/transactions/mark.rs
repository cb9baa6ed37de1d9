//! Ending transactions in the partitions that this node leads: markers written, committed, and answered.
//!
//! A marker in `__consumer_offsets` goes by way of the group coordinator, who makes offsets visible with it.

use std::time::Duration;

use base::{LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId};
use group::Reply;
use protocol::ErrorCode;
use protocol::messages::write_txn_markers_request::{WritableTxnMarker, WriteTxnMarkersRequest};
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use records::control::EndTxnMarker;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use crate::coordinators::{GroupCoordinators, OFFSETS_TOPIC, Owed};
use crate::node::Node;
use crate::partitions::{TxnMarker, Written};

/// What is owed for one partition.
enum Begun {
    Done(ErrorCode),
    Appended(oneshot::Receiver<Written>),
    Group(Owed<Reply>),
}

/// One partition of one marker.
struct Row {
    producer_id: i64,
    topic: String,
    index: i32,
    begun: Begun,
}

/// Writes all markers, then waits until they are committed.
pub async fn mark(
    node: &Node,
    request: &WriteTxnMarkersRequest<'_>,
) -> WriteTxnMarkersResponse<'static> {
    let timeout_ms = u64::try_from(node.config().socket.request_timeout_ms).unwrap_or(0);
    let mut rows = Vec::new();
    for marker in &request.markers {
        let end = marker_of(marker);
        for topic in &marker.topics {
            for index in &topic.partition_indexes {
                let begun = begin(node, &topic.name, *index, &end, timeout_ms).await;
                let (producer_id, topic) = (marker.producer_id, topic.name.to_string());
                rows.push(Row { producer_id, topic, index: *index, begun });
            }
        }
    }
    node.note_appended();
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let mut response = WriteTxnMarkersResponse::default();
    for Row { producer_id, topic, index, begun } in rows {
        let error = outcome(begun, deadline).await;
        tell(&mut response, producer_id, &topic, index, error);
    }
    response
}

/// The same error for all.
pub fn marks_failed(
    request: &WriteTxnMarkersRequest<'_>,
    error: ErrorCode,
) -> WriteTxnMarkersResponse<'static> {
    let mut response = WriteTxnMarkersResponse::default();
    for marker in &request.markers {
        for topic in &marker.topics {
            for index in &topic.partition_indexes {
                tell(&mut response, marker.producer_id, &topic.name, *index, error);
            }
        }
    }
    response
}

fn marker_of(marker: &WritableTxnMarker<'_>) -> TxnMarker {
    TxnMarker {
        producer_id: ProducerId(marker.producer_id),
        producer_epoch: ProducerEpoch(marker.producer_epoch),
        end: EndTxnMarker {
            commit: marker.transaction_result,
            coordinator_epoch: marker.coordinator_epoch,
        },
        transaction_version: marker.transaction_version.into(),
    }
}

async fn begin(node: &Node, topic: &str, index: i32, marker: &TxnMarker, timeout_ms: u64) -> Begun {
    let index = PartitionIndex(index);
    let id = node.image().topics.id_of(topic);
    let partition = id.and_then(|id| node.partitions.get(id, index));
    let Some(partition) = partition.filter(|partition| !partition.is_offline()) else {
        return Begun::Done(ErrorCode::UnknownTopicOrPartition);
    };
    if topic == OFFSETS_TOPIC {
        return match node.coordinators.end_transaction(index, *marker).await {
            Ok(owed) => Begun::Group(owed),
            Err(error) => Begun::Done(of_group(error)),
        };
    }
    let now = node.clock.now();
    let deadline = now.mono.plus_ms(timeout_ms);
    match partition.append_marker(marker, LeaderEpoch::NONE, now, deadline) {
        Ok(appended) => appended.committed.map_or(Begun::Done(ErrorCode::None), Begun::Appended),
        Err(failure) => {
            info!(partition = %format_args!("{topic}-{index}"), "no marker is written: {failure}");
            Begun::Done(failure.code())
        }
    }
}

async fn outcome(begun: Begun, deadline: Instant) -> ErrorCode {
    match begun {
        Begun::Done(error) => error,
        Begun::Appended(committed) => match tokio::time::timeout_at(deadline, committed).await {
            Ok(Ok(written)) => written.error(),
            Ok(Err(_closed)) => ErrorCode::NotLeaderOrFollower,
            Err(_late) => ErrorCode::RequestTimedOut,
        },
        Begun::Group(owed) => {
            match tokio::time::timeout_at(deadline, GroupCoordinators::answer(owed)).await {
                Ok(answered) => answered.err().map_or(ErrorCode::None, of_group),
                Err(_late) => ErrorCode::RequestTimedOut,
            }
        }
    }
}

/// A transaction's coordinator knows nothing of groups: it shall look who leads the partition, and try again.
fn of_group(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator => ErrorCode::NotLeaderOrFollower,
        other => other,
    }
}

/// One row for each producer, in it one for each topic; of a partition the last answer counts.
fn tell(
    response: &mut WriteTxnMarkersResponse<'static>,
    producer_id: i64,
    topic: &str,
    index: i32,
    error: ErrorCode,
) {
    let row = WritableTxnMarkerPartitionResult {
        partition_index: index,
        error_code: error.code(),
        ..Default::default()
    };
    let markers = &mut response.markers;
    let at = markers.iter().position(|known| known.producer_id == producer_id);
    let at = at.unwrap_or_else(|| {
        markers.push(WritableTxnMarkerResult { producer_id, ..Default::default() });
        markers.len() - 1
    });
    let Some(marker) = markers.get_mut(at) else { return };
    let Some(known) = marker.topics.iter_mut().find(|known| known.name == topic) else {
        return marker.topics.push(WritableTxnMarkerTopicResult {
            name: topic.to_owned().into(),
            partitions: vec![row],
            ..Default::default()
        });
    };
    match known.partitions.iter_mut().find(|known| known.partition_index == index) {
        Some(known) => *known = row,
        None => known.partitions.push(row),
    }
}
