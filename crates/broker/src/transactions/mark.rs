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

use super::grouped::grouped;
use crate::coordinators::{GroupCoordinators, OFFSETS_TOPIC, Owed};
use crate::node::Node;
use crate::partitions::{TxnMarker, Use, Written};

/// What is owed for one partition.
enum Begun {
    Done(ErrorCode),
    Appended(oneshot::Receiver<Written>),
    Group(Owed<Reply>),
}

/// One partition of one marker.
struct Row<'a> {
    producer_id: i64,
    topic: &'a str,
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
                let (producer_id, topic) = (marker.producer_id, &*topic.name);
                rows.push(Row { producer_id, topic, index: *index, begun });
            }
        }
    }
    node.note_appended();
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let mut outcomes = Vec::with_capacity(rows.len());
    for Row { producer_id, topic, index, begun } in rows {
        outcomes.push((producer_id, (topic, index, outcome(begun, deadline).await)));
    }
    told(outcomes)
}

/// The same error for all.
pub fn marks_failed(
    request: &WriteTxnMarkersRequest<'_>,
    error: ErrorCode,
) -> WriteTxnMarkersResponse<'static> {
    told(request.markers.iter().flat_map(|marker| {
        marker.topics.iter().flat_map(move |topic| {
            let indexes = topic.partition_indexes.iter();
            indexes.map(move |index| (marker.producer_id, (&*topic.name, *index, error)))
        })
    }))
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
    let Some(partition) = partition else {
        return Begun::Done(ErrorCode::UnknownTopicOrPartition);
    };
    if partition.enter(Use::Read, || partition.is_offline()).await {
        return Begun::Done(ErrorCode::UnknownTopicOrPartition);
    }
    if topic == OFFSETS_TOPIC {
        return match node.coordinators.end_transaction(index, *marker).await {
            Ok(owed) => Begun::Group(owed),
            Err(error) => Begun::Done(of_group(error)),
        };
    }
    let now = node.clock.now();
    let deadline = now.mono.plus_ms(timeout_ms);
    let append = || partition.append_marker(marker, LeaderEpoch::NONE, now, deadline);
    match partition.enter(Use::Write, append).await {
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
fn told<'a>(
    outcomes: impl IntoIterator<Item = (i64, (&'a str, i32, ErrorCode))>,
) -> WriteTxnMarkersResponse<'static> {
    let markers = grouped(outcomes).into_iter().map(|(producer_id, rows)| {
        let rows = rows.into_iter().map(|(topic, index, error)| (topic, (index, error)));
        let topics = grouped(rows).into_iter().map(|(name, rows)| WritableTxnMarkerTopicResult {
            name: name.to_owned().into(),
            partitions: grouped(rows).into_iter().filter_map(partition_told).collect(),
            ..Default::default()
        });
        WritableTxnMarkerResult { producer_id, topics: topics.collect(), ..Default::default() }
    });
    WriteTxnMarkersResponse { markers: markers.collect(), ..Default::default() }
}

fn partition_told(
    (partition_index, errors): (i32, Vec<ErrorCode>),
) -> Option<WritableTxnMarkerPartitionResult> {
    let error_code = errors.last()?.code();
    let result =
        WritableTxnMarkerPartitionResult { partition_index, error_code, ..Default::default() };
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_once_for_each_partition() {
        use ErrorCode::{None as Written, NotLeaderOrFollower as Elsewhere};
        let outcomes = [
            (7, ("b", 0, Written)),
            (5, ("b", 0, Elsewhere)),
            (7, ("a", 1, Elsewhere)),
            (7, ("b", 2, Written)),
            (7, ("a", 1, Written)),
        ];
        let rows: Vec<_> = told(outcomes)
            .markers
            .iter()
            .flat_map(|marker| marker.topics.iter().map(move |topic| (marker.producer_id, topic)))
            .map(|(id, topic)| {
                let partitions = topic.partitions.iter();
                let partitions = partitions.map(|one| (one.partition_index, one.error_code));
                (id, topic.name.to_string(), partitions.collect::<Vec<_>>())
            })
            .collect();
        let elsewhere = Elsewhere.code();
        let expected = [
            (7, "b".to_owned(), vec![(0, 0), (2, 0)]),
            (7, "a".to_owned(), vec![(1, 0)]),
            (5, "b".to_owned(), vec![(0, elsewhere)]),
        ];
        assert_eq!(rows, expected);
    }
}
