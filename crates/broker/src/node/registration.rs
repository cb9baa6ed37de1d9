//! This node's controller tells the cluster how it can be reached (KIP-919), now and whenever the metadata has forgotten it.
//!
//! A metadata version that knows no such registration is waited out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Uuid;
use controller::{ControllerReply, ControllerRequest};
use metadata::Image;
use protocol::ErrorCode;
use protocol::messages::controller_registration_request::{
    ControllerRegistrationRequest, Feature, Listener,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Node;
use super::start::advertised;
use crate::clock::random_uuid;

/// How often the metadata is looked at before the registration stands there, and afterwards.
const LOOK_MS_FIRST: u64 = 20;
const LOOK_MS: u64 = 1_000;
/// The pause after a failure doubles between these (Kafka's values).
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 120_000;

/// The task, and whether the metadata has the registration, or cannot have it.
pub struct Registration {
    task: JoinHandle<()>,
    settled: watch::Receiver<bool>,
}

impl Registration {
    pub fn start(node: &Arc<Node>, addresses: &[(Arc<str>, SocketAddr)]) -> Self {
        let request = request(node, addresses);
        let (sender, settled) = watch::channel(false);
        let task = tokio::spawn(run(Arc::clone(node), request, sender));
        Self { task, settled }
    }

    /// Waits until nothing is left to register.
    pub async fn settled(&self) {
        let mut settled = self.settled.clone();
        // The sender ends with its task only, which then registers nothing any more.
        let _ = settled.wait_for(|settled| *settled).await;
    }

    pub fn stop(&self) {
        self.task.abort();
    }
}

fn request(
    node: &Node,
    addresses: &[(Arc<str>, SocketAddr)],
) -> ControllerRegistrationRequest<'static> {
    let endpoints = advertised(&node.static_config.advertised_controller_listeners, addresses);
    let listeners = endpoints.into_iter().map(|endpoint| Listener {
        name: endpoint.name.to_string().into(),
        host: endpoint.host.to_string().into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..Default::default()
    });
    let features = node.supported_features.iter().map(|(name, range)| Feature {
        name: name.to_string().into(),
        min_supported_version: range.min,
        max_supported_version: range.max,
        ..Default::default()
    });
    ControllerRegistrationRequest {
        controller_id: node.static_config.node_id.get(),
        incarnation_id: random_uuid(),
        zk_migration_ready: false,
        listeners: listeners.collect(),
        features: features.collect(),
        ..Default::default()
    }
}

/// What there is to do for the registration.
enum Need {
    /// The metadata is not known yet.
    Wait,
    Register,
    Nothing,
}

fn need(node: &Node, image: &Image, incarnation: Uuid) -> Need {
    let Some(version) = image.features.metadata_version else { return Need::Wait };
    let known = image.cluster.controllers.get(&node.static_config.node_id);
    if !version.supports_controller_registration()
        || known.is_some_and(|known| known.incarnation_id == incarnation)
    {
        return Need::Nothing;
    }
    Need::Register
}

async fn run(
    node: Arc<Node>,
    request: ControllerRegistrationRequest<'static>,
    settled: watch::Sender<bool>,
) {
    let mut backoff_ms = BACKOFF_MS_MIN;
    loop {
        let needed = need(&node, &node.image(), request.incarnation_id);
        let pause_ms = match needed {
            Need::Wait => LOOK_MS_FIRST,
            Need::Nothing => {
                settled.send_replace(true);
                LOOK_MS
            }
            Need::Register => {
                let asked = ControllerRequest::ControllerRegistration(request.clone());
                match node.controller.submit(asked).await {
                    Ok(ControllerReply::ControllerRegistration(reply)) if reply.error_code == 0 => {
                        info!("the controller is registered");
                        backoff_ms = BACKOFF_MS_MIN;
                        LOOK_MS_FIRST
                    }
                    Ok(ControllerReply::ControllerRegistration(reply)) => {
                        let error = ErrorCode::from_code(reply.error_code);
                        warn!("the controller is not registered: {error}");
                        next(&mut backoff_ms)
                    }
                    other => {
                        warn!("the controller is not registered: {:?}", other.err());
                        next(&mut backoff_ms)
                    }
                }
            }
        };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

fn next(backoff_ms: &mut u64) -> u64 {
    let pause_ms = *backoff_ms;
    *backoff_ms = (pause_ms * 2).min(BACKOFF_MS_MAX);
    pause_ms
}
