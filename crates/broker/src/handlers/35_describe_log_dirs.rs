//! DescribeLogDirs (35), versions 1-5: the log directories of this node and the sizes of the logs in them.
//!
//! v3 adds a top-level error, v4 (KIP-827) the sizes of the volumes, v5 (KIP-1066) whether a directory is cordoned.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::TopicPartition;
use protocol::ErrorCode;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use storage::log::Log;

use crate::authorizer::{Operation, Resource};
use crate::partitions::beside;
use crate::request::RequestContext;

crate::handler!(DescribeLogDirs, DescribeLogDirsRequest<'_>, handle);

/// The lag of a copy whose log is not there.
const LAG_UNKNOWN: i64 = -1;

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
    // Every log is looked at, and any of them may be waiting for its disk: one thread does.
    let _one = context.node.describing_dirs.acquire().await;
    beside(|| describe(context, &asked))
}

fn describe(
    context: &RequestContext,
    asked: &dyn Fn(&str, i32) -> bool,
) -> DescribeLogDirsResponse<'static> {
    let logs = &context.node.logs;
    let mut by_dir: BTreeMap<PathBuf, Topics> = BTreeMap::new();
    for (name, entry) in logs.all() {
        if !asked(&name.topic, name.partition.get()) {
            continue;
        }
        let Some((dir, _)) = logs.dir_of(&entry) else { continue };
        let log = entry.log.read();
        let lag = log.high_watermark().get() - log.end_offset().get();
        add(by_dir.entry(dir.to_path_buf()).or_default(), &name, &log, lag.max(0), false);
    }
    for (name, entry) in logs.all_futures() {
        if !asked(&name.topic, name.partition.get()) {
            continue;
        }
        let Some((dir, _)) = logs.dir_of(&entry) else { continue };
        let end = logs.get(&name).map(|current| current.log.read().end_offset().get());
        let log = entry.log.read();
        let lag = end.map_or(LAG_UNKNOWN, |end| end - log.end_offset().get());
        add(by_dir.entry(dir.to_path_buf()).or_default(), &name, &log, lag, true);
    }
    let version = context.node.image().features.metadata_version;
    let can_cordon = version.is_some_and(|version| version.supports_cordoned_log_dirs());
    let results = logs.dirs().into_iter().map(|dir| {
        let path = dir.dir.to_string_lossy().into_owned();
        let topics = by_dir.remove(&dir.dir).unwrap_or_default();
        if dir.failure.is_some() {
            return DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir: path.into(),
                ..Default::default()
            };
        }
        let (total_bytes, usable_bytes) = storage::volume_bytes(&dir.dir).unwrap_or((-1, -1));
        DescribeLogDirsResult {
            log_dir: path.into(),
            topics: topics.into_iter().map(|(name, partitions)| topic(&name, partitions)).collect(),
            total_bytes,
            usable_bytes,
            is_cordoned: can_cordon && logs.is_cordoned(&dir.dir),
            ..Default::default()
        }
    });
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn add(topics: &mut Topics, name: &TopicPartition, log: &Log, lag: i64, is_future: bool) {
    topics.entry(Arc::clone(&name.topic)).or_default().push(DescribeLogDirsPartition {
        partition_index: name.partition.get(),
        partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
        offset_lag: lag,
        is_future_key: is_future,
        ..Default::default()
    });
}

fn topic(
    name: &str,
    mut partitions: Vec<DescribeLogDirsPartition>,
) -> DescribeLogDirsTopic<'static> {
    partitions.sort_by_key(|partition| partition.partition_index);
    DescribeLogDirsTopic { name: name.to_owned().into(), partitions, ..Default::default() }
}
