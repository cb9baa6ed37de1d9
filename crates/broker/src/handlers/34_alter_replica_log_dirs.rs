//! AlterReplicaLogDirs (34), versions 1-2: moves replicas of this node to other directories, or says where they are to lie one day.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{PartitionIndex, TopicPartition};
use protocol::ErrorCode;
use protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use tracing::error;

use crate::authorizer::{Operation, Resource};
use crate::node::Node;
use crate::request::RequestContext;

crate::handler!(AlterReplicaLogDirs, AlterReplicaLogDirsRequest<'_>, handle);

/// By topic and partition; what is named last counts.
type Wanted = BTreeMap<Arc<str>, BTreeMap<i32, PathBuf>>;

async fn handle(
    context: &RequestContext,
    request: AlterReplicaLogDirsRequest<'_>,
) -> AlterReplicaLogDirsResponse<'static> {
    let mut wanted = Wanted::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            let partitions = wanted.entry((&*topic.name).into()).or_default();
            for index in &topic.partitions {
                partitions.insert(*index, PathBuf::from(&*dir.path));
            }
        }
    }
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return answer(&wanted, |_, _, _| ErrorCode::ClusterAuthorizationFailed);
    }
    let node = Arc::clone(&context.node);
    // Directories are made and synced.
    let done = tokio::task::spawn_blocking(move || {
        answer(&wanted, |topic, index, dir| alter(&node, topic, index, dir))
    });
    done.await.unwrap_or_else(|panic| {
        error!("moving replicas ended: {panic}");
        AlterReplicaLogDirsResponse::default()
    })
}

fn alter(node: &Node, topic: &Arc<str>, index: i32, dir: &Path) -> ErrorCode {
    let index = PartitionIndex(index);
    let partition = TopicPartition { topic: Arc::clone(topic), partition: index };
    if !storage::dirs::fits_future(&partition) {
        return ErrorCode::InvalidTopicException;
    }
    let id = node.image().topics.by_name(topic).map(|topic| topic.id);
    let hosted = id.and_then(|id| node.partitions.get(id, index));
    match node.moves.alter(node, &partition, hosted.as_ref(), dir) {
        Ok(()) => ErrorCode::None,
        Err(error) => error,
    }
}

fn answer(
    wanted: &Wanted,
    mut alter: impl FnMut(&Arc<str>, i32, &Path) -> ErrorCode,
) -> AlterReplicaLogDirsResponse<'static> {
    let results = wanted.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|(index, dir)| AlterReplicaLogDirPartitionResult {
            partition_index: *index,
            error_code: alter(topic, *index, dir).code(),
            ..Default::default()
        });
        AlterReplicaLogDirTopicResult {
            topic_name: topic.to_string().into(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}
