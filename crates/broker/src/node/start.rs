//! Starting a node, in the order in which its parts need each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::Uuid;
use config::BrokerConfig;
use config::broker::Endpoint as ConfigEndpoint;
use controller::{Controller, ControllerReply, ControllerRequest, Settings};
use metadata::{Endpoint, VersionRange};
use net::{ConnectionQuota, Server};
use parking_lot::Mutex;
use protocol::messages::controller_registration_request::{self, ControllerRegistrationRequest};
use protocol::{ErrorCode, Listener};
use storage::RealDisk;
use storage::disk::Disk;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{info, warn};

use super::assign::Assignments;
use super::directories::{self, Directories};
use super::{Node, RunningNode, StartError, listeners, logs, quorum, upkeep};
use crate::apply::BrokerPublisher;
use crate::authorizer::Authorizer;
use crate::clock::{Clock, random_uuid};
use crate::coordinators::Coordinators;
use crate::fetch::session::Sessions;
use crate::lifecycle::{self, LifecycleConfig};
use crate::partitions::Partitions;
use crate::peers::{Peers, PeersConfig};
use crate::producer_ids::ProducerIds;
use crate::quorum::{ControllerHandle, Network, QuorumConfig};
use crate::request::NodeService;
use crate::road::ControllerRoad;

/// How long a node may take to lead its own quorum. Longer than any election of one voter.
const ACTIVATION_MS_MAX: u64 = 30_000;

/// Starts a node; when it returns, every listener answers and the broker is unfenced.
pub async fn start(config: BrokerConfig) -> Result<RunningNode, StartError> {
    check_supported(&config)?;
    let clock = Clock::new();
    let mut server = Server::bind(&listeners::to_bind(&config), listeners::limits(&config))?;
    let addresses = server.addresses();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);

    let opening = (Arc::clone(&disk), config.clone());
    let directories = blocking(move || directories::open(&*opening.0, &opening.1, &clock)).await?;
    let incarnation = random_uuid();
    let settings = quorum::settings(&config, &directories, &addresses);
    let controller = quorum::controller_settings(&config, &directories.cluster_id, incarnation);
    let peers = Peers::new(PeersConfig::new(&config));
    let quorum = start_quorum(&disk, settings, controller, clock, &peers).await?;
    activated(&quorum).await?;

    let node = make_node(config, &directories, clock, quorum, server.quota(), &disk, peers).await?;
    let service = |side| Arc::new(NodeService { node: Arc::clone(&node), side });
    let controllers = service(Listener::Controller);
    let by_side = |wanted: Listener, service: &Arc<NodeService>| {
        let (node, service) = (Arc::clone(&node), Arc::clone(service));
        move |name: &str| {
            let side = listeners::side(&node.static_config, name);
            (side == wanted).then(|| Arc::clone(&service))
        }
    };
    server.serve(by_side(Listener::Controller, &controllers));
    register_controller(&node, &addresses).await?;

    node.quorum
        .add_publisher(Box::new(BrokerPublisher::new(&node)))
        .await
        .map_err(|_| StartError::QuorumStopped(node.quorum.status().failure))?;
    let lifecycle = start_lifecycle(&node, &directories, &addresses, incarnation);
    if !lifecycle.caught_up().await {
        return Err(StartError::NotRegistered);
    }
    lifecycle.ready_to_unfence();
    if !lifecycle.unfenced().await {
        return Err(StartError::NotRegistered);
    }
    node.wait_for_own_unfencing().await;
    server.serve(by_side(Listener::Broker, &service(Listener::Broker)));
    let upkeep = upkeep::start(&node, &lifecycle);
    info!(node = %node.config().node_id, cluster = node.cluster_id, "started");
    Ok(RunningNode { node, server, lifecycle, upkeep, addresses, _locks: directories.locks })
}

/// What this release cannot run although Kafka can.
fn check_supported(config: &BrokerConfig) -> Result<(), StartError> {
    let unsupported =
        |key, value: String, expected| Err(StartError::Unsupported { key, value, expected });
    if !config.roles.combined() {
        let role = if config.roles.broker { "broker" } else { "controller" };
        let expected = "a node is broker and controller (process.roles=broker,controller)";
        return unsupported("process.roles", role.into(), expected);
    }
    if config.voters.len() > 1 {
        let voters: Vec<String> = config
            .voters
            .iter()
            .map(|voter| format!("{}@{}:{}", voter.id, voter.address.host, voter.address.port))
            .collect();
        let expected = "this node alone is the quorum";
        return unsupported("controller.quorum.voters", voters.join(","), expected);
    }
    let secure = config
        .listeners
        .iter()
        .find(|endpoint| endpoint.protocol != config::broker::SecurityProtocol::Plaintext);
    if let Some(endpoint) = secure {
        let value = format!("{}:{:?}", endpoint.listener, endpoint.protocol);
        return unsupported("listener.security.protocol.map", value, "PLAINTEXT listeners");
    }
    Ok(())
}

async fn start_quorum(
    disk: &Arc<dyn Disk>,
    settings: QuorumConfig,
    controller: Settings,
    clock: Clock,
    peers: &Peers,
) -> Result<ControllerHandle, StartError> {
    let disk = Arc::clone(disk);
    let network = Network { peers: peers.clone(), runtime: Handle::current() };
    let started = blocking(move || {
        let make =
            |image, kraft_version| Controller::new(Settings { kraft_version, ..controller }, image);
        crate::quorum::start(disk, settings, clock, Some(network), make).map_err(StartError::from)
    })
    .await?;
    started.serve().map_err(StartError::Thread)
}

async fn activated(quorum: &ControllerHandle) -> Result<(), StartError> {
    let mut status = quorum.watch_status();
    let reached = status.wait_for(|status| status.active || status.stopped);
    let reached = tokio::time::timeout(Duration::from_millis(ACTIVATION_MS_MAX), reached).await;
    match reached {
        Ok(Ok(status)) if status.active => Ok(()),
        Ok(Ok(status)) => Err(StartError::QuorumStopped(status.failure.clone())),
        Ok(Err(_)) => Err(StartError::QuorumStopped(None)),
        Err(_) => Err(StartError::NoController(ACTIVATION_MS_MAX)),
    }
}

async fn make_node(
    config: BrokerConfig,
    directories: &Directories,
    clock: Clock,
    quorum: ControllerHandle,
    connections: Arc<ConnectionQuota>,
    disk: &Arc<dyn Disk>,
    peers: Peers,
) -> Result<Arc<Node>, StartError> {
    let image = quorum.image();
    let logs = logs::load(disk, &config, directories, &image, clock).await?;
    let slots = config.fetch.max_incremental_fetch_session_cache_slots;
    let dynamic = crate::configs::with_dynamic(&config, &image).unwrap_or_else(|error| {
        warn!("the dynamic configuration cannot be used: {error}");
        config.clone()
    });
    Ok(Arc::new(Node {
        cluster_id: directories.cluster_id.clone(),
        clock,
        authorizer: Authorizer,
        supported_features: Settings::all_features(config.node.unstable_feature_versions_enable),
        image: quorum.image_pointer(),
        controller: ControllerRoad::new(&config, quorum.clone(), peers.clone()),
        quorum,
        peers,
        partitions: Partitions::default(),
        connections,
        logs,
        fetch_sessions: Mutex::new(Sessions::new(usize::try_from(slots).unwrap_or(0))),
        producer_ids: ProducerIds::default(),
        coordinators: Coordinators::new(),
        assignments: Assignments::default(),
        config: ArcSwap::from_pointee(dynamic),
        static_config: config,
        appended: AtomicBool::new(true),
        work: AtomicBool::new(true),
        deleted: AtomicBool::new(false),
        metadata_version_changed: AtomicBool::new(false),
        failure: watch::Sender::new(None),
    }))
}

fn start_lifecycle(
    node: &Arc<Node>,
    directories: &Directories,
    addresses: &[(Arc<str>, SocketAddr)],
    incarnation: Uuid,
) -> lifecycle::Lifecycle {
    let config = node.config();
    let features = node
        .supported_features
        .iter()
        .map(|(name, range)| (name.to_string(), VersionRange { min: range.min, max: range.max }));
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

fn positive(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// Endpoints as clients are told: a port 0 has become the one that was bound, an empty host this machine's name.
pub(super) fn advertised(
    endpoints: &[ConfigEndpoint],
    addresses: &[(Arc<str>, SocketAddr)],
) -> Vec<Endpoint> {
    let endpoints = endpoints.iter().map(|endpoint| {
        let bound = addresses.iter().find(|(name, _)| **name == *endpoint.listener);
        let port = match (endpoint.port, bound) {
            (0, Some((_, address))) => address.port(),
            (port, _) => port,
        };
        let host = if endpoint.host.is_empty() { host_name() } else { endpoint.host.clone() };
        Endpoint {
            name: endpoint.listener.as_str().into(),
            host: host.into(),
            port,
            security_protocol: endpoint.protocol as i16,
        }
    });
    endpoints.collect()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The controller tells the cluster how it can be reached (KIP-919).
async fn register_controller(
    node: &Arc<Node>,
    addresses: &[(Arc<str>, SocketAddr)],
) -> Result<(), StartError> {
    let config = node.config();
    let endpoints = advertised(&config.advertised_controller_listeners, addresses);
    let request = ControllerRegistrationRequest {
        controller_id: config.node_id.get(),
        incarnation_id: random_uuid(),
        zk_migration_ready: false,
        listeners: endpoints
            .into_iter()
            .map(|endpoint| controller_registration_request::Listener {
                name: endpoint.name.to_string().into(),
                host: endpoint.host.to_string().into(),
                port: endpoint.port,
                security_protocol: endpoint.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: node
            .supported_features
            .iter()
            .map(|(name, range)| controller_registration_request::Feature {
                name: name.to_string().into(),
                min_supported_version: range.min,
                max_supported_version: range.max,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let reply = node.controller.submit(ControllerRequest::ControllerRegistration(request)).await;
    match reply {
        Ok(ControllerReply::ControllerRegistration(reply)) if reply.error_code == 0 => {}
        // Old metadata versions have no such registration; nothing depends on it there.
        Ok(ControllerReply::ControllerRegistration(reply)) => {
            let error = ErrorCode::from_code(reply.error_code);
            info!("the controller is not registered: {error}");
        }
        Ok(_) => {}
        Err(_) => return Err(StartError::QuorumStopped(node.quorum.status().failure)),
    }
    Ok(())
}

/// Runs what blocks beside the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
