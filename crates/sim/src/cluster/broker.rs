//! A node's part as a broker: its session with the controller, and the replicas it holds.

use std::sync::Arc;

use base::{BrokerEpoch, MonoMs, Uuid};
use config::BrokerConfig;
use controller::lifecycle::{LifecycleConfig, Say, Stage, Steps};
use controller::{ControllerReply, ControllerRequest, Settings};
use metadata::{Endpoint, Image, Update};

use super::context::{Context, Timer};
use super::coordinator::Coordinator;
use super::message::{Ask, Purpose, Tell};
use super::quorum::{CLUSTER_ID, Done, Quorum};
use super::replicas::{Logs, Replicas};

/// The version in which brokers register: the newest.
const REGISTRATION_VERSION: i16 = 4;
/// How long a broker looks for the active controller before it tries again.
const NO_LEADER_MS: u64 = 100;

pub(super) struct Broker {
    steps: Steps,
    /// What is said and not answered.
    speaking: bool,
    speak_at: MonoMs,
    request_timeout_ms: u64,
    pub replicas: Replicas,
    pub coordinator: Coordinator,
    /// The replicas know the metadata.
    introduced: bool,
}

impl Broker {
    pub fn start(
        cx: &mut Context<'_>,
        directory: Uuid,
        previous: Option<BrokerEpoch>,
        config: &BrokerConfig,
    ) -> Self {
        let features = Settings::all_features(false).into_iter();
        let interval = config.node.broker_heartbeat_interval_ms;
        let steps = Steps::new(LifecycleConfig {
            node_id: cx.id,
            cluster_id: CLUSTER_ID.to_owned(),
            incarnation: cx.rng.uuid(),
            listeners: vec![Endpoint {
                name: Arc::from("PLAINTEXT"),
                host: Arc::from(format!("n{}", cx.id)),
                port: 9092,
                security_protocol: 0,
            }],
            features: features.map(|(name, range)| (name.to_string(), range)).collect(),
            rack: None,
            log_dirs: vec![directory],
            previous_epoch: previous.unwrap_or(BrokerEpoch::NONE),
            heartbeat_interval_ms: u64::try_from(interval).unwrap_or(0),
            registration_timeout_ms: u64::MAX,
        });
        Self {
            steps,
            speaking: false,
            speak_at: MonoMs(0),
            request_timeout_ms: 2 * u64::try_from(interval).unwrap_or(0),
            replicas: Replicas::new(directory),
            coordinator: Coordinator::new(),
            introduced: false,
        }
    }

    /// Metadata was committed. The replicas learn of it once the broker has caught up with its own registration: older metadata
    /// would make it lead in epochs of its former life.
    pub fn publish(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        updates: &[Update],
    ) -> Done {
        let knows = matches!(self.steps.stage(), Stage::Recovery | Stage::Running);
        if !self.introduced && !knows {
            return Ok(());
        }
        if !self.introduced {
            self.introduced = true;
            let (before, after) = (Image::default(), image.clone());
            let delta = metadata::Delta::between(&before, &after);
            cx.timer(cx.now.mono.plus_ms(1), Timer::Replication);
            return self.replicas.publish(cx, logs, &Update { before, after, delta });
        }
        updates.iter().try_for_each(|update| self.replicas.publish(cx, logs, update))
    }

    pub fn epoch(&self) -> BrokerEpoch {
        self.steps.broker_epoch()
    }

    /// Says to the controller what is to be said now.
    pub fn speak(&mut self, cx: &mut Context<'_>, quorum: &Quorum) {
        if self.speaking || cx.now.mono < self.speak_at {
            return;
        }
        let Some(leader) = quorum.leader else {
            return self.speak_in(cx, NO_LEADER_MS);
        };
        // The logs are loaded as soon as the metadata is known.
        if matches!(self.steps.stage(), Stage::Recovery) {
            self.steps.wish(true, false);
        }
        let (purpose, request) = match self.steps.next(quorum.image().provenance.offset) {
            Some(Say::Register(request)) => (
                Purpose::Register,
                ControllerRequest::BrokerRegistration(request, REGISTRATION_VERSION),
            ),
            Some(Say::Heartbeat(request)) => {
                (Purpose::Heartbeat, ControllerRequest::BrokerHeartbeat(request))
            }
            None => return,
        };
        self.speaking = true;
        cx.call(leader, purpose, Ask::Controller(request), self.request_timeout_ms);
    }

    fn speak_in(&mut self, cx: &mut Context<'_>, ms: u64) {
        self.speak_at = cx.now.mono.plus_ms(ms);
        cx.timer(self.speak_at, Timer::Lifecycle);
    }

    pub fn on_lifecycle_timer(&mut self, cx: &mut Context<'_>, quorum: &Quorum) {
        self.speak(cx, quorum);
    }

    pub fn leave(&mut self, cx: &mut Context<'_>, quorum: &Quorum) {
        self.steps.wish(false, true);
        self.speak_at = cx.now.mono;
        self.speak(cx, quorum);
    }

    pub fn answered(
        &mut self,
        cx: &mut Context<'_>,
        quorum: &Quorum,
        logs: &mut Logs,
        purpose: Purpose,
        tell: Tell,
    ) -> Done {
        let image = quorum.image();
        match purpose {
            Purpose::Replicate(leader) => {
                return self.replicas.fetched(cx, logs, image, leader, tell);
            }
            Purpose::LogBound { partition, epoch, end } => {
                self.replicas.told_bound(cx, logs, (partition, epoch, end), &tell);
                return Ok(());
            }
            Purpose::AlterPartition(asked) => {
                self.replicas.isr_answered(cx, logs, image, asked, &tell);
                return Ok(());
            }
            Purpose::AssignDirectories => {
                self.replicas.directories_answered(cx, &tell);
                return Ok(());
            }
            _ => {}
        }
        let reply = match tell {
            Tell::Controller(reply) => reply,
            _ => None,
        };
        let wait_ms = match (purpose, reply) {
            (Purpose::Register, Some(ControllerReply::BrokerRegistration(reply))) => {
                self.steps.on_registration(Some(&reply))
            }
            (Purpose::Register, _) => self.steps.on_registration(None),
            (Purpose::Heartbeat, Some(ControllerReply::BrokerHeartbeat(reply))) => {
                self.steps.on_heartbeat(Some(&reply))
            }
            (Purpose::Heartbeat, _) => self.steps.on_heartbeat(None),
            _ => return Ok(()),
        };
        self.speaking = false;
        self.speak_in(cx, wait_ms);
        if wait_ms == 0 {
            self.speak(cx, quorum);
        }
        Ok(())
    }

    /// Whether the process may end: the controller lets it go.
    pub fn is_released(&self) -> bool {
        matches!(self.steps.stage(), Stage::ShuttingDown | Stage::Failed)
    }
}
