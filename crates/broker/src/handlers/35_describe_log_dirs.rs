//! DescribeLogDirs (35), versions 1-5: the log directories of this node and the sizes of the logs in them.
//!
//! v3 adds a top-level error, v4 (KIP-827) the sizes of the volumes, v5 (KIP-1066) whether a directory is cordoned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DescribeLogDirs, DescribeLogDirsRequest<'_>, handle);

type Topics = BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>>;

async fn handle(
    context: &RequestContext,
    request: DescribeLogDirsRequest<'_>,
) -> DescribeLogDirsResponse<'static> {
    if !context.allows(Operation::Describe, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeLogDirsResponse { error_code, ..Default::default() };
    }
    let asked = |topic: &str, index: i32| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|t| t.topic == topic && t.partitions.contains(&index)),
    };
    let mut by_dir: BTreeMap<String, Topics> = BTreeMap::new();
    for partition in context.node.partitions.all() {
        let index = partition.id().partition.get();
        if !asked(partition.topic(), index) {
            continue;
        }
        let (dir, size) = partition.with_log(|log| (parent(log.dir()), log.size()));
        let topics = by_dir.entry(dir).or_default();
        topics.entry(Arc::clone(partition.topic())).or_default().push(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: size as i64,
            offset_lag: partition.lag(),
            is_future_key: false,
            ..Default::default()
        });
    }
    let config = context.node.config();
    let results = context.node.logs.dirs().into_iter().map(|dir| {
        let path = dir.dir.to_string_lossy().into_owned();
        let topics = by_dir.remove(&path).unwrap_or_default();
        let is_cordoned = config.node.cordoned_log_dirs.contains(&path);
        if dir.failure.is_some() {
            return DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir: path.into(),
                is_cordoned,
                ..Default::default()
            };
        }
        let (total_bytes, usable_bytes) = storage::volume_bytes(&dir.dir).unwrap_or((-1, -1));
        DescribeLogDirsResult {
            log_dir: path.into(),
            topics: topics.into_iter().map(|(name, partitions)| topic(&name, partitions)).collect(),
            total_bytes,
            usable_bytes,
            is_cordoned,
            ..Default::default()
        }
    });
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn parent(log_dir: &Path) -> String {
    log_dir.parent().unwrap_or(log_dir).to_string_lossy().into_owned()
}

fn topic(
    name: &str,
    mut partitions: Vec<DescribeLogDirsPartition>,
) -> DescribeLogDirsTopic<'static> {
    partitions.sort_by_key(|partition| partition.partition_index);
    DescribeLogDirsTopic { name: name.to_owned().into(), partitions, ..Default::default() }
}
