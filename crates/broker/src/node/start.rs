//! Starting a node, in the order in which its parts need each other.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use config::BrokerConfig;
use config::broker::Endpoint as ConfigEndpoint;
use controller::{Controller, ControllerReply, ControllerRequest, Settings};
use metadata::{Endpoint, Image};
use net::{ConnectionQuota, Server};
use parking_lot::Mutex;
use protocol::Listener;
use storage::RealDisk;
use storage::disk::Disk;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::info;

use super::assign::Assignments;
use super::broker::Broker;
use super::directories::{self, Directories};
use super::registration::Registration;
use super::{Node, RunningNode, StartError, listeners, logs, quorum};
use crate::authorizer::Authorizer;
use crate::clock::{Clock, random_uuid};
use crate::coordinators::{GroupCoordinators, TransactionCoordinators};
use crate::fetch::session::Sessions;
use crate::moves::Moves;
use crate::partitions::{Neighbours, Partitions};
use crate::peers::{Peers, PeersConfig};
use crate::producer_ids::ProducerIds;
use crate::quorum::{ControllerHandle, Machine, Network, NoController, Patience, QuorumConfig};
use crate::replicas::Replicas;
use crate::request::NodeService;
use crate::road::ControllerRoad;
use crate::transactions::{MarkerSender, Verifier};

/// How long the registration of this node's own active controller may keep the start waiting.
const REGISTRATION_MAX: Duration = Duration::from_secs(5);

/// Starts a node; when it returns, every listener answers, and the broker is unfenced where there is one.
pub async fn start(config: BrokerConfig) -> Result<RunningNode, StartError> {
    start_on(config, Arc::new(RealDisk)).await
}

/// The same on another disk than that of this machine.
pub async fn start_on(
    config: BrokerConfig,
    disk: Arc<dyn Disk>,
) -> Result<RunningNode, StartError> {
    check_supported(&config)?;
    let clock = Clock::new();
    let mut server = Server::bind(&listeners::to_bind(&config), listeners::limits(&config))?;
    let addresses = server.addresses();

    let opening = (Arc::clone(&disk), config.clone());
    let directories = blocking(move || directories::open(&*opening.0, &opening.1, &clock)).await?;
    let patience = Patience::new(Arc::clone(&disk), &directories.metadata);
    patience.set_aside(config.reserve_bytes);
    let incarnation = random_uuid();
    let settings = quorum::settings(&config, &directories, &addresses);
    let peers = Peers::new(PeersConfig::new(&config));
    let network = Network { peers: peers.clone(), runtime: Handle::current() };
    let quorum = if config.roles.controller {
        let settings_of =
            quorum::controller_settings(&config, &directories.cluster_id, incarnation);
        let make = move |image, kraft_version| {
            Controller::new(Settings { kraft_version, ..settings_of }, image)
        };
        start_quorum(patience.disk(), settings, clock, network, make).await?
    } else {
        start_quorum(patience.disk(), settings, clock, network, |_, _| NoController::default())
            .await?
    };
    let node =
        make_node(config, &directories, clock, quorum, server.quota(), &disk, patience, peers)?;
    let roles = node.static_config.roles;
    let registration = roles.controller.then(|| {
        serve(&mut server, &node, Listener::Controller);
        Registration::start(&node, &addresses)
    });
    let broker = if roles.broker {
        let starting = Broker::start(&node, &directories, &addresses, incarnation);
        let broker = unless_stopped(&node, starting).await??;
        if let Some(registration) = &registration
            && node.controller.is_here()
        {
            // Others may take longer: what a broker does needs no registration of controllers.
            let _late = tokio::time::timeout(REGISTRATION_MAX, registration.settled()).await;
        }
        serve(&mut server, &node, Listener::Broker);
        Some(broker)
    } else {
        node.follow_dynamic_config().await?;
        None
    };
    info!(node = %node.config().node_id, cluster = node.cluster_id, "started");
    Ok(RunningNode { node, server, broker, registration, addresses, _locks: directories.locks })
}

/// Opens the listeners of one side.
fn serve(server: &mut Server, node: &Arc<Node>, side: Listener) {
    let service = Arc::new(NodeService { node: Arc::clone(node), side });
    server.serve(|name: &str| {
        let is_of_side = listeners::side(&node.static_config, name) == side;
        is_of_side.then(|| Arc::clone(&service))
    });
}

/// What a start waits for, unless the quorum's thread ends before.
async fn unless_stopped<T>(node: &Node, waiting: impl Future<Output = T>) -> Result<T, StartError> {
    let mut status = node.quorum.watch_status();
    tokio::select! {
        done = waiting => Ok(done),
        stopped = status.wait_for(|status| status.stopped) => {
            let failure = stopped.ok().and_then(|status| status.failure.clone());
            Err(StartError::QuorumStopped(failure))
        }
    }
}

/// What this release cannot run although Kafka can.
fn check_supported(config: &BrokerConfig) -> Result<(), StartError> {
    let unsupported =
        |key, value: String, expected| Err(StartError::Unsupported { key, value, expected });
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

async fn start_quorum<M>(
    disk: Arc<dyn Disk>,
    settings: QuorumConfig,
    clock: Clock,
    network: Network,
    make: impl FnOnce(Image, i16) -> M + Send + 'static,
) -> Result<ControllerHandle, StartError>
where
    M: Machine<Request = ControllerRequest, Reply = ControllerReply>,
{
    let started = blocking(move || {
        crate::quorum::start(disk, settings, clock, Some(network), make).map_err(StartError::from)
    })
    .await?;
    started.serve().map_err(StartError::Thread)
}

fn make_node(
    config: BrokerConfig,
    directories: &Directories,
    clock: Clock,
    quorum: ControllerHandle,
    connections: Arc<ConnectionQuota>,
    disk: &Arc<dyn Disk>,
    patience: Arc<Patience>,
    peers: Peers,
) -> Result<Arc<Node>, StartError> {
    let logs = logs::open(disk, &config, directories)?;
    let slots = config.fetch.max_incremental_fetch_session_cache_slots;
    Ok(Arc::new(Node {
        cluster_id: directories.cluster_id.clone(),
        clock,
        authorizer: Authorizer,
        supported_features: Settings::all_features(config.node.unstable_feature_versions_enable),
        image: quorum.image_pointer(),
        controller: ControllerRoad::new(&config, quorum.clone(), peers.clone()),
        peers,
        partitions: Partitions::default(),
        unhosted: Mutex::default(),
        neighbours: Arc::new(Neighbours::new(config.node_id, quorum.image_pointer(), clock)),
        replicas: Replicas::new(),
        quorum,
        patience,
        connections,
        logs,
        fetch_sessions: Mutex::new(Sessions::new(usize::try_from(slots).unwrap_or(0))),
        producer_ids: ProducerIds::default(),
        coordinators: GroupCoordinators::new(),
        transactions: TransactionCoordinators::new(),
        verifier: Verifier::new(),
        markers: MarkerSender::new(),
        assignments: Assignments::default(),
        moves: Moves::new(),
        describing_dirs: tokio::sync::Semaphore::new(1),
        lifecycle: OnceLock::new(),
        config: ArcSwap::from_pointee(config.clone()),
        static_config: config,
        features_since: AtomicI64::new(-1),
        appended: AtomicBool::new(true),
        work: AtomicBool::new(true),
        deleted: AtomicBool::new(false),
        metadata_version_changed: AtomicBool::new(false),
        cleaner_settings: tokio::sync::Notify::new(),
        failure: watch::Sender::new(None),
    }))
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

/// Runs what blocks beside the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
