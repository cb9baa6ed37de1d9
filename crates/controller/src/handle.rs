//! The machine: one entry for requests, one for records.

use base::machine::TimerChange;
use base::time::Now;
use base::{MonoMs, Offset};
use metadata::{Committed, Image, MetadataVersion, ReplayError};
use protocol::metadata_records::MetadataRecord;

use crate::brokers::sessions::Sessions;
use crate::request::{ControllerReply, ControllerRequest, ControllerTimer};
use crate::settings::Settings;
use crate::state::{State, Tip};
use crate::{
    ApiError, Random, activation, brokers, configs, features, partitions, producer_ids, topics,
};

/// Records to append, the reply, timers to set.
pub type Outcome =
    base::machine::Outcome<MetadataRecord<'static>, ControllerReply, ControllerTimer>;

/// When a request is handled, in time and in the log.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub now: Now,
    /// The offset which the first record of the outcome will get.
    pub next_offset: Offset,
}

/// The records of an answer and how they hang together.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) records: Vec<MetadataRecord<'static>>,
    pub(crate) atomic: bool,
}

impl Records {
    pub(crate) fn atomic(records: Vec<MetadataRecord<'static>>) -> Self {
        Self { records, atomic: true }
    }

    pub(crate) fn loose(records: Vec<MetadataRecord<'static>>) -> Self {
        Self { records, atomic: false }
    }

    pub(crate) fn none() -> Self {
        Self::default()
    }
}

/// The active controller, or one that follows the log to become it.
#[derive(Debug)]
pub struct Controller {
    pub(crate) settings: Settings,
    pub(crate) state: State,
    /// What heartbeats told; known to the active controller alone.
    pub(crate) sessions: Sessions,
    /// What the quorum said to the raise of `kraft.version` that the request at hand asks for.
    pub(crate) kraft_upgrade: Option<Result<(), ApiError>>,
}

impl Controller {
    /// Starts from the committed state.
    pub fn new(settings: Settings, committed: impl Into<Committed>) -> Self {
        let timeout_ms = u64::try_from(settings.node.node.broker_session_timeout_ms).unwrap_or(0);
        let state = State::new(committed.into());
        let sessions = Sessions::new(timeout_ms);
        Self { settings, state, sessions, kraft_upgrade: None }
    }

    /// The state with everything appended, committed or not.
    pub fn image(&self) -> &Image {
        &self.state.tip.image
    }

    /// Whether both know the same from the records that they replayed, an open transaction included. What heartbeats
    /// told is left out.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.state.agrees_with(&other.state)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The level of `kraft.version`, which the quorum keeps outside the metadata.
    pub fn set_kraft_version(&mut self, level: i16) {
        self.settings.kraft_version = level;
    }

    pub(crate) fn tip(&self) -> &Tip {
        &self.state.tip
    }

    /// The finalised level, or the oldest one before the first record.
    pub(crate) fn metadata_version(&self) -> MetadataVersion {
        self.image().features.metadata_version_or_minimum()
    }

    /// Takes in a record that was appended (or, on a follower, committed): the only place where state changes.
    pub fn replay(
        &mut self,
        record: &MetadataRecord<'_>,
        offset: Offset,
    ) -> Result<(), ReplayError> {
        self.state.replay(record, offset)?;
        self.sessions.follow(record, &self.state.tip.image);
        Ok(())
    }

    /// Drops what was appended and not committed.
    pub fn reset(&mut self, committed: impl Into<Committed>) {
        self.state.reset(committed.into());
        self.sessions.align(&self.state.tip.image);
    }

    /// Told that this node now leads the quorum: on an empty log the `bootstrap` records come first, an open
    /// transaction is aborted, sessions of unfenced brokers start anew.
    pub fn activate(&mut self, at: At, bootstrap: Vec<MetadataRecord<'static>>) -> Outcome {
        self.sessions.activate(at.now.mono, &self.state.tip.image);
        let records = activation::records(self, bootstrap);
        let mut outcome = outcome(records, ControllerReply::Done);
        outcome.timers = self.all_timers(at.now.mono);
        outcome
    }

    /// Told that another node leads: what was not committed and what only the active controller knows is forgotten,
    /// all timers end.
    pub fn resign(&mut self, committed: impl Into<Committed>) -> Vec<TimerChange<ControllerTimer>> {
        self.sessions.clear();
        self.state.reset(committed.into());
        let timers = [
            ControllerTimer::FenceStaleBrokers,
            ControllerTimer::BalanceLeaders,
            ControllerTimer::ElectUncleanLeaders,
        ];
        timers.into_iter().map(|key| TimerChange::Cancel { key }).collect()
    }

    /// Decides. Nothing but sessions changes here; the records do the rest when they are replayed.
    pub fn handle(
        &mut self,
        at: At,
        request: ControllerRequest,
        random: &mut dyn Random,
    ) -> Outcome {
        use ControllerReply as Reply;
        use ControllerRequest as Request;
        let (records, reply) = match request {
            Request::CreateTopics(r) => {
                map(topics::create::handle(self, &r, random), Reply::CreateTopics)
            }
            Request::DeleteTopics(r) => {
                map(topics::delete::handle(self, &r, random), Reply::DeleteTopics)
            }
            Request::CreatePartitions(r) => {
                map(topics::create_partitions::handle(self, &r, random), Reply::CreatePartitions)
            }
            Request::AlterConfigs(r) => map(configs::legacy(self, &r), Reply::AlterConfigs),
            Request::IncrementalAlterConfigs(r) => {
                map(configs::incremental(self, &r), Reply::IncrementalAlterConfigs)
            }
            Request::BrokerRegistration(r, version) => {
                map(brokers::register::handle(self, at, &r, version), Reply::BrokerRegistration)
            }
            Request::BrokerHeartbeat(r) => {
                map(brokers::heartbeat::handle(self, at, &r), Reply::BrokerHeartbeat)
            }
            Request::UnregisterBroker(r) => {
                map(brokers::unregister::handle(self, &r), Reply::UnregisterBroker)
            }
            Request::AllocateProducerIds(r) => {
                map(producer_ids::handle(self, &r), Reply::AllocateProducerIds)
            }
            Request::UpdateFeatures(r, version) => {
                map(features::handle(self, &r, version), Reply::UpdateFeatures)
            }
            Request::ElectLeaders(r) => {
                map(partitions::elect::handle(self, &r), Reply::ElectLeaders)
            }
            Request::AlterPartition(r, version) => {
                map(partitions::alter::handle(self, &r, version), Reply::AlterPartition)
            }
            Request::AlterPartitionReassignments(r) => {
                map(partitions::reassign::alter(self, &r), Reply::AlterPartitionReassignments)
            }
            Request::ListPartitionReassignments(r) => {
                map(partitions::reassign::list(self, &r), Reply::ListPartitionReassignments)
            }
            Request::AssignReplicasToDirs(r) => {
                map(partitions::directories::handle(self, &r), Reply::AssignReplicasToDirs)
            }
            Request::ControllerRegistration(r) => {
                map(brokers::controllers::register(self, &r), Reply::ControllerRegistration)
            }
            Request::UnregisterController(r) => {
                map(brokers::controllers::unregister(self, &r), Reply::UnregisterController)
            }
            Request::Timer(timer) => return self.timer(at, timer),
        };
        outcome(records, reply)
    }

    fn timer(&mut self, at: At, timer: ControllerTimer) -> Outcome {
        let (records, again) = match timer {
            ControllerTimer::FenceStaleBrokers => brokers::sessions::fence_stale(self, at.now.mono),
            ControllerTimer::BalanceLeaders => partitions::elect::balance(self),
            ControllerTimer::ElectUncleanLeaders => partitions::elect::unclean_where_allowed(self),
        };
        let mut outcome = outcome(Records::loose(records), ControllerReply::Done);
        let at = if again { Some(at.now.mono) } else { self.next_run(timer, at.now.mono) };
        outcome.timers.extend(at.map(|at| TimerChange::Set { key: timer, at }));
        outcome
    }

    fn all_timers(&self, now: MonoMs) -> Vec<TimerChange<ControllerTimer>> {
        let timers = [
            ControllerTimer::FenceStaleBrokers,
            ControllerTimer::BalanceLeaders,
            ControllerTimer::ElectUncleanLeaders,
        ];
        let runs = timers.into_iter().filter_map(|key| Some((key, self.next_run(key, now)?)));
        runs.map(|(key, at)| TimerChange::Set { key, at }).collect()
    }

    /// When periodic work is due again; `None` when it is switched off.
    fn next_run(&self, timer: ControllerTimer, now: MonoMs) -> Option<MonoMs> {
        let node = &self.settings.node.node;
        let period_ms = match timer {
            ControllerTimer::FenceStaleBrokers => self.sessions.timeout_ms() / 8,
            ControllerTimer::BalanceLeaders if !node.auto_leader_rebalance_enable => return None,
            ControllerTimer::BalanceLeaders => {
                u64::try_from(node.leader_imbalance_check_interval_seconds)
                    .ok()?
                    .saturating_mul(1000)
            }
            ControllerTimer::ElectUncleanLeaders => {
                u64::try_from(node.unclean_leader_election_interval_ms).ok()?
            }
        };
        Some(now.plus_ms(period_ms.max(1)))
    }
}

fn map<T>(
    (records, reply): (Records, T),
    wrap: fn(T) -> ControllerReply,
) -> (Records, ControllerReply) {
    (records, wrap(reply))
}

fn outcome(records: Records, reply: ControllerReply) -> Outcome {
    Outcome { records: records.records, reply, timers: Vec::new(), atomic: records.atomic }
}
