//! Loading the logs of a node, which the metadata already names.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{NodeId, TopicId, TopicPartition};
use config::BrokerConfig;
use metadata::Image;
use storage::FilePool;
use storage::dirs::{LoadOptions, LogManager};
use storage::disk::Disk;
use storage::log::ProducerConfig;
use tracing::{info, warn};

use super::directories::Directories;
use super::{Node, StartError, start};
use crate::apply::is_real;
use crate::clock::random_bytes;
use crate::configs;

/// Files of segments that are open at a time; more partitions than that share them.
const OPEN_FILES_MAX: usize = 4096;

/// The directories, locked; their logs are loaded later, when the metadata tells which there should be.
pub fn open(
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    directories: &Directories,
) -> Result<LogManager, StartError> {
    let pool = FilePool::new(Arc::clone(disk), OPEN_FILES_MAX);
    let unique = Arc::new(|| u128::from_be_bytes(random_bytes()));
    Ok(LogManager::new(pool, &directories.data, producers(config), unique)?)
}

/// Loads every log, recovering those that were not stopped cleanly.
pub async fn load(node: &Arc<Node>, image: &Arc<Image>) -> Result<(), StartError> {
    let (node, image) = (Arc::clone(node), Arc::clone(image));
    start::blocking(move || {
        let config = node.config();
        let threads = usize::try_from(config.log.num_recovery_threads_per_data_dir).unwrap_or(1);
        let delay_ms = config.topic_defaults.file_delete_delay_ms;
        let options = LoadOptions {
            config: &|topic| Arc::clone(&configs::partition_settings(&config, &image, topic).log),
            is_stray: &|partition, id| is_stray(&image, config.node_id, partition, id),
            threads_per_dir: threads,
            delete_delay_ms: u64::try_from(delay_ms).unwrap_or(0),
        };
        node.logs.look_at_space(config.reserve_bytes);
        let assigned = |partition: &TopicPartition, id: Option<TopicId>| {
            let topic = image.topics.by_name(&partition.topic)?;
            let known = topic.partition(partition.partition)?;
            let directory = known.directory(config.node_id)?;
            id.is_none_or(|id| id == topic.id).then_some(directory)
        };
        let report = node.logs.load_assigned(&options, &assigned, node.clock.wall())?;
        info!(
            logs = report.logs,
            recovered_dirs = report.unclean_dirs,
            stray = report.stray,
            "logs loaded"
        );
        tell_of_lost(&node, &image);
        Ok(())
    })
    .await
}

/// Replicas in directories that this node does not have, whose logs are in no other one either, begin anew: that is said. While a
/// directory is offline nothing begins anew.
fn tell_of_lost(node: &Node, image: &Image) {
    if node.logs.has_offline_dirs() {
        return;
    }
    let (known, own) = (node.logs.online_ids(), node.static_config.node_id);
    let (mut replicas, mut lost) = (0, BTreeSet::new());
    for topic in image.topics.iter() {
        for (index, partition) in topic.partitions() {
            let directory = partition.directory(own);
            let strange = directory.filter(|id| is_real(*id) && !known.contains(id));
            let name = TopicPartition { topic: Arc::clone(&topic.name), partition: index };
            if let Some(id) = strange.filter(|_| node.logs.get(&name).is_none()) {
                replicas += 1;
                lost.insert(id);
            }
        }
    }
    if lost.is_empty() {
        return;
    }
    let ids = lost.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    warn!(
        replicas,
        directories = ids,
        "the metadata has replicas of this node in log directories that it does not have: they begin anew, empty, and are copied from other \
         brokers; those without another replica in sync have lost their records. If their disk is not lost, stop this node and give it back"
    );
}

/// What the logs remember of producers, and for how long.
pub fn producers(config: &BrokerConfig) -> ProducerConfig {
    ProducerConfig {
        id_expiration_ms: config.transaction.producer_id_expiration_ms.into(),
        max_transaction_timeout_ms: config.transaction.max_timeout_ms.into(),
        verify_transactions: config.transaction.partition_verification_enable,
    }
}

/// Whether the metadata has no replica on this node for a log that was found.
fn is_stray(
    image: &Image,
    node: NodeId,
    partition: &TopicPartition,
    topic_id: Option<TopicId>,
) -> bool {
    let Some(topic) = image.topics.by_name(&partition.topic) else { return true };
    let registered = topic.partition(partition.partition);
    topic_id.is_some_and(|id| id != topic.id)
        || registered.is_none_or(|registered| !registered.replicas.contains(&node))
}
