//! One node: what survives a crash, and the process that does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::time::{MonoMs, Now, WallMs};
use base::{BrokerEpoch, NodeId, Uuid};
use config::BrokerConfig;
use kraft::{Event, Voter, VoterSet};

use super::broker::Broker;
use super::context::{Context, Timer};
use super::message::{Ask, CallId, Purpose, Tell};
use super::meta_log::MetaLog;
use super::part_log::PartLog;
use super::quorum::{CLUSTER_ID, Done, Quorum, Start, voter};
use super::replicas::Logs;

/// Where controllers listen, until they move.
pub(super) const PORT: u16 = 9093;
/// 2027-01-15.
const EPOCH_MS: i64 = 1_800_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Roles {
    pub controller: bool,
    pub broker: bool,
}

/// What is configured, the same for all nodes.
#[derive(Clone)]
pub(super) struct Setup {
    pub config: Arc<BrokerConfig>,
    /// `controller.quorum.voters`; empty for a dynamic quorum.
    pub static_voters: VoterSet,
    /// `controller.quorum.bootstrap.servers`
    pub bootstrap_servers: Vec<NodeId>,
    pub voters: Vec<NodeId>,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
}

/// The disks of a node: one for the metadata log, one for the rest.
#[derive(Default)]
pub(super) struct Disk {
    /// Of the metadata log.
    pub meta_directory: Uuid,
    pub meta: MetaLog,
    /// Of the records.
    pub directory: Uuid,
    /// The clean-shutdown file of the broker.
    pub shut_down_with: Option<BrokerEpoch>,
    pub logs: Logs,
}

pub(super) struct Process {
    pub quorum: Quorum,
    pub broker: Option<Broker>,
}

pub(super) struct Node {
    pub id: NodeId,
    pub roles: Roles,
    pub disk: Disk,
    /// Of its controller listener.
    pub port: u16,
    /// Counts starts; whatever was meant for an earlier life is void.
    pub life: u64,
    pub process: Option<Process>,
    pub paused_until_ms: u64,
    /// How wrong its wall clock is.
    pub skew_ms: i64,
    /// What a flush takes, at most.
    pub disk_ms: u64,
    /// It dies in the middle of what it does next, after so many effects.
    pub dies_after: Option<usize>,
}

/// What happens to a process.
pub(super) enum Stimulus {
    Timer(Timer),
    Asked {
        call: CallId,
        ask: Ask,
    },
    Answered {
        purpose: Purpose,
        tell: Tell,
    },
    WriteSnapshot,
    CleanLog,
    /// A controlled shutdown begins.
    Leave,
}

impl Node {
    pub fn new(id: NodeId, roles: Roles, disk: Disk) -> Self {
        Self {
            id,
            roles,
            disk,
            port: PORT,
            life: 0,
            process: None,
            paused_until_ms: 0,
            skew_ms: 0,
            disk_ms: 5,
            dies_after: None,
        }
    }

    pub fn now(&self, now_ms: u64) -> Now {
        let wall = EPOCH_MS + i64::try_from(now_ms).unwrap_or(0) + self.skew_ms;
        Now { wall: WallMs(wall), mono: MonoMs(now_ms) }
    }

    /// As the quorum should know it.
    pub fn as_voter(&self) -> Voter {
        voter(self.id, self.port, Some(self.disk.meta_directory))
    }

    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// The process begins.
    pub fn start(&mut self, cx: &mut Context<'_>, setup: &Setup) -> Done {
        self.life += 1;
        let settings =
            controller::Settings::new(CLUSTER_ID, Arc::clone(&setup.config), setup.voters.clone());
        let start = Start {
            local: self.as_voter(),
            auto_join: setup.auto_join,
            can_be_voter: self.roles.controller,
            static_voters: setup.static_voters.clone(),
            bootstrap_servers: setup.bootstrap_servers.clone(),
            seed: cx.rng.draw(),
            controller: self.roles.controller.then_some(settings),
        };
        let quorum = Quorum::start(&mut self.disk.meta, start)?;
        let mut broker = None;
        if self.roles.broker {
            let previous = self.disk.shut_down_with.take();
            self.disk.logs.values_mut().for_each(PartLog::reopen);
            broker = Some(Broker::start(cx, self.disk.directory, previous, &setup.config));
        }
        let process = self.process.insert(Process { quorum, broker });
        process.quorum.event(cx, &mut self.disk.meta, Event::Start)?;
        if let Some(broker) = &mut process.broker {
            broker.speak(cx, &process.quorum);
        }
        self.follow(cx)
    }

    /// Something happens to the process.
    pub fn handle(&mut self, cx: &mut Context<'_>, stimulus: Stimulus) -> Done {
        let Some(Process { quorum, broker }) = &mut self.process else { return Ok(()) };
        let log = &mut self.disk.meta;
        match stimulus {
            Stimulus::Timer(Timer::Raft) => quorum.on_raft_timer(cx, log)?,
            Stimulus::Timer(Timer::MetadataFlushed) => quorum.on_flushed(cx, log)?,
            Stimulus::Timer(Timer::Controller) => quorum.on_controller_timer(cx, log)?,
            Stimulus::Timer(Timer::Lifecycle) => {
                if let Some(broker) = broker {
                    broker.on_lifecycle_timer(cx, quorum);
                }
            }
            Stimulus::Timer(Timer::Replication) => {
                if let Some(broker) = broker {
                    broker.replicas.on_timer(cx, &mut self.disk.logs, quorum.image());
                }
            }
            Stimulus::Asked { call, ask: Ask::Raft(request) } => {
                quorum.asked(cx, log, call, request)?;
            }
            Stimulus::Asked { call, ask: Ask::Controller(request) } => {
                quorum.submit(cx, log, call, request)?;
            }
            Stimulus::Asked { call, ask: Ask::Group(ask) } => {
                if let Some(Broker { coordinator, replicas, .. }) = broker {
                    let partitions = (replicas, &mut self.disk.logs);
                    coordinator.ask(cx, partitions, quorum.image(), call, ask)?;
                }
            }
            Stimulus::Asked { call, ask } => {
                if let Some(broker) = broker {
                    let logs = &mut self.disk.logs;
                    broker.replicas.serve(cx, logs, quorum.image(), call, ask);
                }
            }
            Stimulus::Answered { purpose: Purpose::Raft(id), tell } => {
                quorum.answered(cx, log, id, tell)?;
            }
            Stimulus::Answered { purpose, tell } => {
                if let Some(broker) = broker {
                    let logs = &mut self.disk.logs;
                    broker.answered(cx, quorum, logs, purpose, tell)?;
                }
            }
            Stimulus::WriteSnapshot => quorum.snapshot(cx, log)?,
            Stimulus::CleanLog => quorum.clean(cx, log)?,
            Stimulus::Leave => {
                if let Some(broker) = broker {
                    broker.leave(cx, quorum);
                }
            }
        }
        self.follow(cx)
    }

    /// The broker acts on what was committed.
    fn follow(&mut self, cx: &mut Context<'_>) -> Done {
        let Some(Process { quorum, broker }) = &mut self.process else { return Ok(()) };
        let updates = std::mem::take(&mut quorum.updates);
        let Some(broker) = broker else { return Ok(()) };
        let logs = &mut self.disk.logs;
        broker.publish(cx, logs, quorum.image(), &updates)?;
        let Broker { coordinator, replicas, .. } = broker;
        coordinator.follow(cx, replicas, logs, quorum.image())?;
        replicas.ask_for_isr(cx, logs, quorum.image(), quorum.leader);
        replicas.tell_directories(cx, quorum.image(), quorum.leader);
        replicas.tell_producers(cx, logs);
        if replicas.news {
            replicas.wake(cx, logs, quorum.image());
        }
        Ok(())
    }

    /// The process ends in good order.
    pub fn stop(&mut self, cx: &mut Context<'_>) -> Done {
        if let Some(process) = &mut self.process {
            process.quorum.event(cx, &mut self.disk.meta, Event::Shutdown)?;
            self.disk.meta.flush();
            for log in self.disk.logs.values_mut() {
                log.flush();
                log.write_checkpoint();
            }
            self.disk.shut_down_with = process.broker.as_ref().map(|broker| broker.epoch());
        }
        self.process = None;
        Ok(())
    }

    /// What it knows of the committed metadata.
    pub fn image(&self) -> Option<&metadata::Image> {
        self.process.as_ref().map(|process| process.quorum.image())
    }
}

/// The nodes by their ids.
pub(super) type Nodes = BTreeMap<NodeId, Node>;

impl Node {
    pub fn is_active(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.quorum.active.is_some())
    }

    /// The epoch under which it serves, or left in good order.
    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        match &self.process {
            Some(process) => process.broker.as_ref().map(Broker::epoch),
            None => self.disk.shut_down_with,
        }
    }

    /// The power fails: what was not flushed is gone.
    pub fn lose_unflushed(&mut self, rng: &mut crate::Rng, records: bool) {
        self.disk.meta.lose_unflushed(rng);
        for log in self.disk.logs.values_mut().filter(|_| records) {
            log.lose_unflushed(rng);
        }
    }

    /// The broker has left under control: the process may end.
    pub fn may_end(&self) -> bool {
        let broker = self.process.as_ref().and_then(|process| process.broker.as_ref());
        broker.is_some_and(Broker::is_released)
    }
}
