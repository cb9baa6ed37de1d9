//! The broker of a node: registered, caught up with the metadata, its logs loaded, unfenced; and let go at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerEpoch, Uuid};
use metadata::VersionRange;
use tokio::task::JoinHandle;
use tracing::warn;

use super::cleaner::{self, Cleaner};
use super::directories::Directories;
use super::start::advertised;
use super::{Node, StartError, assign, logs, upkeep};
use crate::apply::BrokerPublisher;
use crate::lifecycle::{self, Lifecycle, LifecycleConfig};

/// How long the controller may take to let the broker go.
const RELEASE_MAX: Duration = Duration::from_secs(30);

/// A broker that may serve.
pub struct Broker {
    lifecycle: Lifecycle,
    upkeep: JoinHandle<()>,
    cleaner: Option<Cleaner>,
    assign: JoinHandle<()>,
}

impl Broker {
    /// When it returns, the broker is unfenced, and its own metadata says so.
    pub async fn start(
        node: &Arc<Node>,
        directories: &Directories,
        addresses: &[(Arc<str>, SocketAddr)],
        incarnation: Uuid,
    ) -> Result<Self, StartError> {
        let lifecycle = start_lifecycle(node, directories, addresses, incarnation);
        if !lifecycle.caught_up().await {
            return Err(StartError::NotRegistered);
        }
        let image = node.quorum.image();
        node.take_dynamic_config(&image);
        logs::load(node, &image).await?;
        let offline = node.logs.dirs().into_iter().filter(|dir| dir.failure.is_some());
        lifecycle.set_offline_dirs(offline.filter_map(|dir| dir.id).collect());
        // Once: a broker starts once.
        let _ = node.lifecycle.set(lifecycle.clone());
        node.cordon();
        let assign = tokio::spawn(assign::run(Arc::clone(node), lifecycle.clone()));
        node.moves.start(node);
        let publisher = Box::new(BrokerPublisher::new(node));
        let published = node.quorum.add_publisher(publisher).await;
        published.map_err(|_| StartError::QuorumStopped(node.quorum.status().failure))?;
        node.replicas.start(node);
        lifecycle.ready_to_unfence();
        if !lifecycle.unfenced().await {
            return Err(StartError::NotRegistered);
        }
        node.wait_for_own_unfencing().await;
        let upkeep = upkeep::start(node, &lifecycle);
        let cleaner = cleaner::start(node);
        Ok(Self { lifecycle, upkeep, cleaner, assign })
    }

    /// The controller moves leaderships away and lets the broker go; its epoch, for the marker of a clean stop.
    pub async fn leave(&self, node: &Node) -> BrokerEpoch {
        let config = node.config();
        if config.node.controlled_shutdown_enable {
            self.lifecycle.begin_controlled_shutdown();
            let session_ms = u64::try_from(config.node.broker_session_timeout_ms).unwrap_or(0);
            let mut quorum = node.quorum.watch_status();
            tokio::select! {
                () = self.lifecycle.released() => {}
                // Who the active controller is nobody tells this node any more. (An error: its thread has ended.)
                _ended = quorum.wait_for(|status| status.stopped) => {
                    warn!("no controller is asked to let this broker go: its part of the quorum has failed");
                }
                () = tokio::time::sleep(RELEASE_MAX) => {
                    warn!("the controller did not let this broker go in time");
                }
                // A controller that did not hear of it either has fenced it by then.
                () = self.lifecycle.silence(Duration::from_millis(session_ms)) => {
                    warn!("no controller let this broker go: none answers");
                }
            }
        }
        self.lifecycle.stop();
        self.lifecycle.broker_epoch()
    }

    /// Ends what it does beside requests.
    pub async fn stop(self, node: &Node) {
        node.coordinators.stop();
        node.transactions.stop();
        node.replicas.stop();
        if let Some(cleaner) = self.cleaner {
            cleaner.stop().await;
        }
        node.moves.stop();
        self.assign.abort();
        self.upkeep.abort();
        if let Err(error) = self.upkeep.await
            && error.is_panic()
        {
            warn!("upkeep had ended before: {error}");
        }
    }
}

fn start_lifecycle(
    node: &Arc<Node>,
    directories: &Directories,
    addresses: &[(Arc<str>, SocketAddr)],
    incarnation: Uuid,
) -> Lifecycle {
    let config = &node.static_config;
    let features = node
        .supported_features
        .iter()
        .map(|(name, range)| (name.to_string(), VersionRange { min: range.min, max: range.max }));
    let positive = |ms: i32| u64::try_from(ms).unwrap_or(0);
    let settings = LifecycleConfig {
        node_id: config.node_id,
        cluster_id: node.cluster_id.clone(),
        incarnation,
        listeners: advertised(&config.advertised_listeners, addresses),
        features: features.collect(),
        rack: config.rack.clone(),
        log_dirs: node.logs.online_ids(),
        previous_epoch: directories.previous_epoch,
        heartbeat_interval_ms: positive(config.node.broker_heartbeat_interval_ms),
        registration_timeout_ms: positive(config.node.initial_broker_registration_timeout_ms),
    };
    lifecycle::start(settings, node.controller.clone(), node.quorum.image_pointer())
}
