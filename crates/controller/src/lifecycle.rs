//! The broker's half of its session: what it says to the controller, and what the answers mean for it.

use std::collections::BTreeMap;

use base::{BrokerEpoch, DirectoryId, NodeId, Offset, Uuid};
use metadata::{Endpoint, VersionRange};
use protocol::ErrorCode;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;

/// While the broker catches up it asks this often (Kafka's value).
const CATCH_UP_INTERVAL_MS: u64 = 10;
/// The second heartbeat of a controlled shutdown follows the first after this (Kafka's value).
const SHUTDOWN_INTERVAL_MS: u64 = 50;

/// What does not change while the process lives.
#[derive(Clone, Debug)]
pub struct LifecycleConfig {
    pub node_id: NodeId,
    pub cluster_id: String,
    /// Random, new at every start.
    pub incarnation: Uuid,
    /// Advertised.
    pub listeners: Vec<Endpoint>,
    /// Levels this broker supports of every feature.
    pub features: BTreeMap<String, VersionRange>,
    pub rack: Option<String>,
    pub log_dirs: Vec<DirectoryId>,
    /// From the clean-shutdown file; none after an unclean stop.
    pub previous_epoch: BrokerEpoch,
    /// `broker.heartbeat.interval.ms`
    pub heartbeat_interval_ms: u64,
    /// `initial.broker.registration.timeout.ms`
    pub registration_timeout_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Not registered, or registered and still reading the metadata log.
    Starting,
    /// Has read the metadata log; loads its own logs, fenced.
    Recovery,
    /// Unfenced.
    Running,
    /// Waits for the controller to let it go.
    PendingControlledShutdown,
    /// Says nothing any more.
    ShuttingDown,
    /// Could not register in time.
    Failed,
}

#[derive(Debug)]
/// What is to be said next.
pub enum Say {
    Register(BrokerRegistrationRequest<'static>),
    Heartbeat(BrokerHeartbeatRequest),
}

#[derive(Debug)]
/// A broker in the eyes of the controller: register, catch up, be unfenced, send heartbeats, leave.
pub struct Steps {
    config: LifecycleConfig,
    stage: Stage,
    epoch: BrokerEpoch,
    registered: bool,
    was_registered: bool,
    ready: bool,
    asked_to_leave: bool,
    offline: Vec<DirectoryId>,
    cordoned: Vec<DirectoryId>,
}

impl Steps {
    pub fn new(config: LifecycleConfig) -> Self {
        Self {
            config,
            stage: Stage::Starting,
            epoch: BrokerEpoch::NONE,
            registered: false,
            was_registered: false,
            ready: false,
            asked_to_leave: false,
            offline: Vec::new(),
            cordoned: Vec::new(),
        }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.epoch
    }

    pub fn was_registered(&self) -> bool {
        self.was_registered
    }

    pub fn registration_timeout_ms(&self) -> u64 {
        self.config.registration_timeout_ms
    }

    /// The broker is ready to serve; the broker wants to leave. Only one that serves needs anybody's leave.
    pub fn wish(&mut self, ready: bool, leave: bool) {
        self.ready |= ready;
        if !leave {
            return;
        }
        match self.stage {
            Stage::Running => self.stage = Stage::PendingControlledShutdown,
            Stage::Starting | Stage::Recovery => self.stage = Stage::ShuttingDown,
            Stage::PendingControlledShutdown | Stage::ShuttingDown | Stage::Failed => {}
        }
    }

    pub fn set_dirs(&mut self, offline: &[DirectoryId], cordoned: &[DirectoryId]) {
        if self.offline != offline {
            self.offline = offline.to_vec();
        }
        if self.cordoned != cordoned {
            self.cordoned = cordoned.to_vec();
        }
    }

    pub fn register_again(&mut self) {
        self.registered = false;
    }

    pub fn end(&mut self) {
        self.stage = Stage::ShuttingDown;
    }

    pub fn fail(&mut self) {
        self.stage = Stage::Failed;
    }

    /// What to say now; `None`: nothing any more. `read`: the last offset of the metadata log that is known here.
    pub fn next(&self, read: Offset) -> Option<Say> {
        match self.stage {
            Stage::ShuttingDown | Stage::Failed => None,
            _ if self.registered => Some(Say::Heartbeat(self.heartbeat(read))),
            _ => Some(Say::Register(self.registration())),
        }
    }

    fn registration(&self) -> BrokerRegistrationRequest<'static> {
        let config = &self.config;
        let listener = |endpoint: &Endpoint| Listener {
            name: endpoint.name.to_string().into(),
            host: endpoint.host.to_string().into(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
            ..Default::default()
        };
        let feature = |(name, range): (&String, &VersionRange)| Feature {
            name: name.clone().into(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        };
        let mut log_dirs = config.log_dirs.clone();
        log_dirs.sort_unstable();
        BrokerRegistrationRequest {
            broker_id: config.node_id.get(),
            cluster_id: config.cluster_id.clone().into(),
            incarnation_id: config.incarnation,
            listeners: config.listeners.iter().map(listener).collect(),
            features: config.features.iter().map(feature).collect(),
            rack: config.rack.clone().map(Into::into),
            log_dirs,
            previous_broker_epoch: config.previous_epoch.get(),
            ..Default::default()
        }
    }

    fn heartbeat(&self, read: Offset) -> BrokerHeartbeatRequest {
        let started = self.stage != Stage::Starting;
        BrokerHeartbeatRequest {
            broker_id: self.config.node_id.get(),
            broker_epoch: self.epoch.get(),
            current_metadata_offset: read.get(),
            want_fence: !self.ready,
            want_shut_down: self.stage == Stage::PendingControlledShutdown,
            offline_log_dirs: self.offline.clone(),
            cordoned_log_dirs: started.then(|| self.cordoned.clone()),
            ..Default::default()
        }
    }

    /// Takes the answer, `None` when there is none; returns after how many milliseconds to speak again.
    pub fn on_registration(&mut self, answer: Option<&BrokerRegistrationResponse>) -> u64 {
        match answer {
            Some(answer) if answer.error_code == ErrorCode::None.code() => {
                self.epoch = BrokerEpoch(answer.broker_epoch);
                (self.registered, self.was_registered) = (true, true);
                0
            }
            _ => self.config.heartbeat_interval_ms,
        }
    }

    /// Takes the answer, `None` when there is none; returns after how many milliseconds to speak again.
    pub fn on_heartbeat(&mut self, answer: Option<&BrokerHeartbeatResponse>) -> u64 {
        let interval = self.config.heartbeat_interval_ms;
        let Some(answer) = answer else { return interval };
        let error = ErrorCode::from_code(answer.error_code);
        if error != ErrorCode::None {
            // An unknown or stale registration does not heal by itself.
            if matches!(error, ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) {
                self.registered = false;
            }
            return interval;
        }
        match self.stage {
            Stage::Starting if answer.is_caught_up => {
                self.stage = Stage::Recovery;
                // Those who are ready at once need not wait.
                if self.ready { 0 } else { interval }
            }
            Stage::Starting => CATCH_UP_INTERVAL_MS,
            Stage::Recovery if !answer.is_fenced => {
                self.stage = Stage::Running;
                interval
            }
            Stage::Recovery if self.ready => CATCH_UP_INTERVAL_MS,
            Stage::Recovery | Stage::Running => interval,
            Stage::PendingControlledShutdown if answer.should_shut_down => {
                self.stage = Stage::ShuttingDown;
                0
            }
            Stage::PendingControlledShutdown => {
                let again = std::mem::replace(&mut self.asked_to_leave, true);
                if again { interval } else { SHUTDOWN_INTERVAL_MS }
            }
            Stage::ShuttingDown | Stage::Failed => interval,
        }
    }
}
