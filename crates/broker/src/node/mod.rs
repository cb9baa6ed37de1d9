//! A node: everything that its handlers share, its start, its upkeep and its end.

pub(crate) mod assign;
mod broker;
mod cleaner;
mod dir_upkeep;
mod directories;
mod error;
pub(crate) mod listeners;
pub(crate) mod logs;
mod quorum;
mod registration;
mod start;
mod upkeep;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{BrokerEpoch, NodeId, PartitionIndex};
use config::BrokerConfig;
use metadata::{Image, VersionRange};
use net::{ConnectionQuota, Server};
use parking_lot::Mutex;
use protocol::ErrorCode;
use storage::dirs::{DirLock, LogEntry, LogManager};
use tokio::sync::{Notify, Semaphore, watch};
use tracing::{info, warn};

use crate::apply::{BrokerPublisher, Unhosted};
use crate::authorizer::Authorizer;
use crate::clock::{Clock, random_bytes};
use crate::configs;
use crate::coordinators::{GroupCoordinators, TransactionCoordinators};
use crate::fetch::session::Sessions;
use crate::lifecycle::Lifecycle;
use crate::moves::Moves;
use crate::partitions::{Neighbours, Partition, Partitions};
use crate::peers::Peers;
use crate::producer_ids::ProducerIds;
use crate::quorum::{ControllerHandle, Patience};
use crate::replicas::Replicas;
use crate::road::ControllerRoad;
use crate::transactions::{MarkerSender, Verifier};

use broker::Broker;
pub use error::StartError;
use registration::Registration;
pub use start::{start, start_on};

/// How long owed responses may take at the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What handlers see of their node.
pub struct Node {
    pub cluster_id: String,
    pub clock: Clock,
    pub authorizer: Authorizer,
    /// What this node can do, as ApiVersions and its registration tell.
    pub supported_features: BTreeMap<Arc<str>, VersionRange>,
    pub quorum: ControllerHandle,
    /// With which the metadata log bears a full disk.
    pub(crate) patience: Arc<Patience>,
    /// Connections to other nodes.
    pub peers: Peers,
    /// The way to the active controller.
    pub controller: ControllerRoad,
    pub partitions: Partitions,
    /// Those that ought to be among them, and have no log.
    pub(crate) unhosted: Mutex<Unhosted>,
    pub(crate) neighbours: Arc<Neighbours>,
    pub(crate) replicas: Replicas,
    pub connections: Arc<ConnectionQuota>,
    pub logs: LogManager,
    pub fetch_sessions: Mutex<Sessions>,
    pub producer_ids: ProducerIds,
    pub(crate) coordinators: GroupCoordinators,
    pub(crate) transactions: TransactionCoordinators,
    pub(crate) verifier: Verifier,
    pub(crate) markers: MarkerSender,
    pub(crate) assignments: assign::Assignments,
    pub(crate) moves: Moves,
    /// Whoever looks at all logs.
    pub(crate) describing_dirs: Semaphore,
    /// The broker's, once it has loaded its logs.
    lifecycle: OnceLock<Lifecycle>,
    /// As given at the start.
    pub static_config: BrokerConfig,
    pub(crate) config: ArcSwap<BrokerConfig>,
    image: Arc<ArcSwap<Image>>,
    /// The offset with which the finalised features became what they are; -1 while none are known.
    pub(crate) features_since: AtomicI64,
    /// Something was appended since the last checkpoint of the high watermarks.
    appended: AtomicBool,
    /// Some log may have left work for later since the last look: an idle node does not walk its logs.
    work: AtomicBool,
    /// Logs were marked for removal since the last look.
    deleted: AtomicBool,
    /// The cluster moved to another `metadata.version` since the last look.
    metadata_version_changed: AtomicBool,
    /// Settings changed that the cleaner may follow.
    cleaner_settings: Notify,
    failure: watch::Sender<Option<String>>,
}

impl Node {
    /// The configuration now, dynamic settings included.
    pub fn config(&self) -> arc_swap::Guard<Arc<BrokerConfig>> {
        self.config.load()
    }

    /// The cluster's metadata as this node has taken it over.
    pub fn image(&self) -> arc_swap::Guard<Arc<Image>> {
        self.image.load()
    }

    /// The replica here of a partition that clients name.
    ///
    /// # Errors
    /// Kafka's code, when there is no such partition or it is not here.
    pub(crate) fn replica(
        &self,
        topic: &str,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let image = self.image();
        let known = image.topics.by_name(topic).filter(|topic| topic.partition(index).is_some());
        let topic = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.partitions.get(topic.id, index).ok_or(ErrorCode::NotLeaderOrFollower)
    }

    /// Any live broker, for the fields of old responses that once named the controller: clients send what the controller has to
    /// answer there, and every broker passes it on.
    pub fn some_broker(&self, image: &Image) -> NodeId {
        let alive = image.cluster.brokers.values().filter(|broker| !broker.fenced);
        let alive: Vec<NodeId> = alive.map(|broker| broker.id).collect();
        let count = u64::try_from(alive.len().max(1)).unwrap_or(1);
        let chosen = u64::from_le_bytes(random_bytes()) % count;
        let chosen = usize::try_from(chosen).ok().and_then(|at| alive.get(at));
        chosen.copied().unwrap_or(NodeId::NONE)
    }

    /// The leader of the metadata quorum.
    pub fn controller(&self) -> NodeId {
        self.quorum.status().leader.unwrap_or(NodeId::NONE)
    }

    /// Logs were appended to or cut: upkeep has to look at them.
    pub(crate) fn note_appended(&self) {
        for flag in [&self.appended, &self.work] {
            // Read first: the cache line stays shared between the threads that append all the time.
            if !flag.load(Ordering::Relaxed) {
                flag.store(true, Ordering::Relaxed);
            }
        }
    }

    fn take_work(&self) -> bool {
        self.work.swap(false, Ordering::Relaxed)
    }

    fn take_appended(&self) -> bool {
        self.appended.swap(false, Ordering::Relaxed)
    }

    /// Writes the recovery points of a directory down again if logs were cut there. It blocks.
    pub(crate) fn settle_truncations(&self, dir: &Path) {
        self.neighbours.truncations.settle(dir, || {
            if let Some(index) = self.logs.dirs().iter().position(|known| known.dir == dir) {
                self.logs.checkpoint_durable_of(index);
            }
        });
    }

    pub(crate) fn note_deleted(&self) {
        self.deleted.store(true, Ordering::Relaxed);
    }

    fn take_deleted(&self) -> bool {
        self.deleted.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn note_metadata_version_changed(&self) {
        self.metadata_version_changed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn note_settings_changed(&self) {
        self.cleaner_settings.notify_one();
    }

    fn take_metadata_version_changed(&self) -> bool {
        self.metadata_version_changed.swap(false, Ordering::Relaxed)
    }

    /// The disk of a log failed: its directory goes offline, and upkeep looks at once.
    pub(crate) fn fail_log(&self, log: &LogEntry, cause: &dyn std::fmt::Display) {
        self.logs.fail_log(log, cause);
        self.neighbours.failed.add_dir();
    }

    /// It stops, and has asked the controller to let it go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.lifecycle.get().is_some_and(Lifecycle::is_leaving)
    }

    /// `cordoned.log.dirs` may have changed: where new logs go, and what the controller knows.
    pub(crate) fn cordon(&self) {
        let config = self.config();
        let dirs = configs::cordoned(&config);
        self.logs.set_cordoned(dirs.collect());
        if let Some(lifecycle) = self.lifecycle.get() {
            lifecycle.set_cordoned_dirs(self.logs.cordoned_ids());
        }
    }

    /// The node cannot go on: it stops and exits with an error.
    pub(crate) fn fail(&self, reason: String) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(reason);
            first
        });
    }

    /// Takes over the dynamic settings of an image.
    fn take_dynamic_config(&self, image: &Image) {
        match configs::with_dynamic(&self.static_config, image) {
            Ok(config) => self.config.store(Arc::new(config)),
            Err(error) => warn!("the dynamic configuration cannot be used: {error}"),
        }
    }

    /// A node without broker has settings, too.
    async fn follow_dynamic_config(self: &Arc<Self>) -> Result<(), StartError> {
        let publisher = Box::new(BrokerPublisher::new(self));
        let published = self.quorum.add_publisher(publisher).await;
        published.map_err(|_| StartError::QuorumStopped(self.quorum.status().failure))
    }

    /// Waits until this broker's own metadata says that it is unfenced.
    async fn wait_for_own_unfencing(&self) {
        let id = self.static_config.node_id;
        while !self.image().cluster.is_unfenced(id) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A node that serves.
pub struct RunningNode {
    node: Arc<Node>,
    server: Server,
    broker: Option<Broker>,
    registration: Option<Registration>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    _locks: Vec<DirLock>,
}

impl RunningNode {
    pub fn id(&self) -> NodeId {
        self.node.static_config.node_id
    }

    pub fn cluster_id(&self) -> &str {
        &self.node.cluster_id
    }

    /// Names and addresses of the listeners.
    pub fn listeners(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    /// Completes when the node cannot go on, with the reason.
    pub async fn failed(&self) -> String {
        let mut failure = self.node.failure.subscribe();
        let mut quorum = self.node.quorum.watch_status();
        tokio::select! {
            failed = failure.wait_for(Option::is_some) => {
                failed.ok().and_then(|failed| failed.clone()).unwrap_or_default()
            }
            stopped = quorum.wait_for(|status| status.stopped) => match stopped {
                Ok(status) => status.failure.clone().unwrap_or_else(|| "the quorum stopped".into()),
                Err(_) => "the quorum's thread ended".into(),
            },
        }
    }

    /// The clean end: the controller lets the broker go, the controller resigns, owed responses leave, logs are closed and marked
    /// clean. The other voters choose a leader while this node still answers.
    pub async fn stop(self) {
        let Self { node, server, broker, registration, .. } = self;
        let epoch = match &broker {
            Some(broker) => Some(broker.leave(&node).await),
            None => None,
        };
        if let Some(registration) = registration {
            registration.stop();
        }
        node.quorum.resign();
        node.patience.end();
        server.shutdown(DRAIN_MAX).await;
        if let Some(broker) = broker {
            broker.stop(&node).await;
        }
        node.quorum.shutdown().await;
        if let Some(epoch) = epoch {
            close_logs(node, epoch).await;
        }
        info!("stopped");
    }
}

async fn close_logs(node: Arc<Node>, epoch: BrokerEpoch) {
    let threads = node.config().log.num_recovery_threads_per_data_dir;
    let threads = usize::try_from(threads).unwrap_or(1);
    let close = move || {
        node.unhosted.lock().late.close();
        node.logs.shut_down(epoch, threads, node.clock.wall())
    };
    if let Err(error) = tokio::task::spawn_blocking(close).await {
        warn!("the logs were not closed: {error}");
    }
}
