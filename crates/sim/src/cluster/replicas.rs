//! All replicas of a broker: who leads what, fetching from leaders, asking the controller, serving clients.

use std::collections::{BTreeMap, BTreeSet};

use base::{
    BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset, PartitionEpoch, TopicIdPartition, Uuid,
};
use controller::{ControllerReply, ControllerRequest};
use metadata::{Image, LocalPartition, Update};
use replication::{Ask as Wish, Event, FollowerEvent, IsrAnswer, IsrProposal, Position, Refusal};

use super::context::{Context, Timer};
use super::message::{Ask, CallId, Part, Purpose, Tell};
use super::part_log::PartLog;
use super::quorum::Done;
use super::replica::{Replica, Role};
use super::tamper::Tamper;

/// Between two fetches that brought nothing.
const IDLE_MS: u64 = 150;
/// Between two looks for replicas that lag.
const LOOK_MS: u64 = 500;
const FETCH_TIMEOUT_MS: u64 = 1_500;
const ALTER_TIMEOUT_MS: u64 = 1_500;
const ASK_AGAIN_MS: u64 = 50;

pub(super) type Logs = BTreeMap<TopicIdPartition, PartLog>;

#[derive(Default)]
pub(super) struct Replicas {
    pub by_id: BTreeMap<TopicIdPartition, Replica>,
    /// Where the logs are.
    pub directory: Uuid,
    /// Leaders that are being asked.
    fetching: BTreeSet<NodeId>,
    bounds: BTreeSet<TopicIdPartition>,
    /// Replicas that lie in another directory than the metadata says.
    pub misplaced: BTreeSet<TopicIdPartition>,
    pub assigning: bool,
    pub assign_at: MonoMs,
    altering: bool,
    alter_at: MonoMs,
    look_at: MonoMs,
    timer_at: MonoMs,
    /// Fetches that wait for something new.
    pub parked: BTreeMap<CallId, Parked>,
    /// There is something new.
    pub news: bool,
}

/// A follower's fetch that waits.
pub(super) struct Parked {
    pub replica: NodeId,
    pub broker_epoch: BrokerEpoch,
    pub parts: Vec<(TopicIdPartition, Position)>,
    pub until: MonoMs,
}

impl Replicas {
    pub fn new(directory: Uuid) -> Self {
        Self { directory, ..Self::default() }
    }

    /// Metadata was committed: this broker does as it says.
    pub fn publish(&mut self, cx: &mut Context<'_>, logs: &mut Logs, update: &Update) -> Done {
        let changes = update.local_changes(cx.id);
        for gone in &changes.deletes {
            let id = TopicIdPartition { topic_id: gone.topic.id, partition: gone.index };
            self.by_id.remove(&id);
            logs.remove(&id);
        }
        for local in changes.leaders.iter().chain(&changes.followers) {
            self.follow_metadata(cx, logs, &update.after, local)?;
        }
        for (id, replica) in &mut self.by_id {
            if let Some(log) = logs.get_mut(id) {
                replica.follow_configs(cx, log, &update.after);
            }
        }
        Ok(())
    }

    fn follow_metadata(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        local: &LocalPartition<'_>,
    ) -> Done {
        let id = TopicIdPartition { topic_id: local.topic.id, partition: local.index };
        if local.partition.directory(cx.id) == Some(self.directory) {
            self.misplaced.remove(&id);
        } else {
            self.misplaced.insert(id);
        }
        let log = logs.entry(id).or_default();
        let replica = self.by_id.entry(id).or_insert_with(|| Replica::new(id));
        for call in replica.follow_metadata(cx, log, image, local.partition)? {
            cx.reply(call, Tell::Produced(Err(super::replica::Refused::NotLeader)));
        }
        Ok(())
    }

    /// Time passes: followers ask, leaders look.
    pub fn on_timer(&mut self, cx: &mut Context<'_>, logs: &mut Logs, image: &Image) {
        if self.timer_at > cx.now.mono {
            return;
        }
        self.timer_at = cx.now.mono.plus_ms(IDLE_MS);
        cx.timer(self.timer_at, Timer::Replication);
        if self.look_at <= cx.now.mono {
            self.look_at = cx.now.mono.plus_ms(LOOK_MS);
            for (id, replica) in &mut self.by_id {
                if let Some(log) = logs.get_mut(id) {
                    replica.step(cx, log, image, Event::Tick);
                    if cx.rng.chance(20) {
                        log.flush();
                    }
                    if cx.rng.chance(30) {
                        log.write_checkpoint();
                    }
                }
            }
        }
        self.fetch(cx, logs, image);
        self.wake(cx, logs, image);
    }

    /// Asks every leader that is not being asked.
    fn fetch(&mut self, cx: &mut Context<'_>, logs: &Logs, image: &Image) {
        let mut fetches: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for (id, replica) in &self.by_id {
            let (Role::Follower(follower), Some(log)) = (&replica.role, logs.get(id)) else {
                continue;
            };
            let (leader, epoch) = (follower.leader(), follower.leader_epoch());
            match follower.ask(cx.now.mono, log) {
                Wish::Fetch(at) if !self.fetching.contains(&leader) => {
                    fetches.entry(leader).or_default().push((*id, at));
                }
                bound @ (Wish::LogEnd | Wish::LogStart) if self.bounds.insert(*id) => {
                    let end = bound == Wish::LogEnd;
                    let purpose = Purpose::LogBound { partition: *id, epoch, end };
                    let ask = Ask::LogBound { partition: *id, epoch, end };
                    cx.call(leader, purpose, ask, FETCH_TIMEOUT_MS);
                }
                _ => {}
            }
        }
        let broker = image.cluster.broker(cx.id);
        let broker_epoch = broker.map_or(BrokerEpoch::NONE, |broker| broker.epoch);
        for (leader, parts) in fetches {
            self.fetching.insert(leader);
            let ask = Ask::Replicate { replica: cx.id, broker_epoch, parts };
            cx.call(leader, Purpose::Replicate(leader), ask, FETCH_TIMEOUT_MS);
        }
    }

    /// What a leader said to a fetch.
    pub fn fetched(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        leader: NodeId,
        tell: Tell,
    ) -> Done {
        self.fetching.remove(&leader);
        let Tell::Replicate(parts) = tell else {
            for (id, replica) in &mut self.by_id {
                if let (Role::Follower(follower), Some(log)) = (&replica.role, logs.get_mut(id))
                    && follower.leader() == leader
                    && follower.is_fetching()
                {
                    replica.step_follower(cx, log, FollowerEvent::Unreachable);
                }
            }
            return Ok(());
        };
        let mut more = false;
        for (id, at, part) in parts {
            let (Some(replica), Some(log)) = (self.by_id.get_mut(&id), logs.get_mut(&id)) else {
                continue;
            };
            let current = match &replica.role {
                Role::Follower(follower) => follower.is_fetching() && follower.position(log) == at,
                _ => false,
            };
            if !current {
                continue;
            }
            let event = match part {
                Part::Records { records, high_watermark, log_start } => {
                    more |= !records.is_empty();
                    for record in records {
                        log.append(record)?;
                    }
                    FollowerEvent::Appended { high_watermark, log_start }
                }
                Part::Diverging { epoch, end } => {
                    more = true;
                    FollowerEvent::Diverging { epoch, end }
                }
                Part::Refused(refusal) => FollowerEvent::Refused(refusal),
            };
            replica.step_follower(cx, log, event);
        }
        if more {
            self.fetch(cx, logs, image);
        }
        Ok(())
    }

    pub fn told_bound(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        (id, epoch, end): (TopicIdPartition, LeaderEpoch, bool),
        tell: &Tell,
    ) {
        self.bounds.remove(&id);
        let (Some(replica), Some(log)) = (self.by_id.get_mut(&id), logs.get_mut(&id)) else {
            return;
        };
        if !matches!(&replica.role, Role::Follower(follower) if follower.leader_epoch() == epoch) {
            return;
        }
        let event = match tell {
            Tell::LogBound(Ok(offset)) if end => FollowerEvent::LogEnd { end: *offset },
            Tell::LogBound(Ok(offset)) => FollowerEvent::LogStart { start: *offset },
            Tell::LogBound(Err(_)) => FollowerEvent::Refused(Refusal::Retry),
            _ => FollowerEvent::Unreachable,
        };
        replica.step_follower(cx, log, event);
    }

    /// Asks the controller for what leaders want, all at a time, one request after the other.
    pub fn ask_for_isr(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        leader: Option<NodeId>,
    ) {
        if self.altering || self.alter_at > cx.now.mono {
            return;
        }
        let Some(own) = image.cluster.broker(cx.id) else { return };
        let Some(leader) = leader else { return };
        let (mut proposed, mut asked) = (Vec::new(), Vec::new());
        for (id, replica) in &mut self.by_id {
            let Some(mut proposal) = replica.proposals.pop() else { continue };
            if cx.is(Tamper::TakesAllIn)
                && let Some(all) = image.topics.partition(id.topic_id, id.partition)
            {
                let known = |id: &NodeId| Some((*id, image.cluster.broker(*id)?.epoch));
                proposal.isr = all.replicas.iter().filter_map(known).collect();
            }
            replica.proposals.clear();
            asked.push((*id, proposal.leader_epoch, proposal.id));
            if cx.is(Tamper::ShrinksAlone)
                && let Some(log) = logs.get_mut(id)
            {
                replica.step(cx, log, image, taken_for_granted(&proposal));
            }
            proposed.push((*id, proposal));
        }
        if asked.is_empty() {
            return;
        }
        self.altering = true;
        let proposals = proposed.iter().map(|(id, proposal)| (*id, proposal));
        let request = IsrProposal::request((own.id, own.epoch), proposals);
        let request = ControllerRequest::AlterPartition(request, IsrProposal::VERSION);
        let ask = Ask::Controller(request);
        cx.call(leader, Purpose::AlterPartition(asked), ask, ALTER_TIMEOUT_MS);
    }

    pub fn isr_answered(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        asked: Vec<(TopicIdPartition, LeaderEpoch, u64)>,
        tell: &Tell,
    ) {
        self.altering = false;
        let answers = match tell {
            Tell::Controller(Some(ControllerReply::AlterPartition(response))) => {
                IsrAnswer::all_of(response)
            }
            _ => BTreeMap::new(),
        };
        for (id, epoch, proposal) in asked {
            let answer = answers.get(&id).cloned().unwrap_or(IsrAnswer::Unknown);
            if answer == IsrAnswer::Unknown {
                self.alter_at = cx.now.mono.plus_ms(ASK_AGAIN_MS);
            }
            let (Some(replica), Some(log)) = (self.by_id.get_mut(&id), logs.get_mut(&id)) else {
                continue;
            };
            if replica.leader().map(replication::Leader::epoch) == Some(epoch) {
                replica.step(cx, log, image, Event::IsrAnswered { id: proposal, answer });
            }
        }
    }

    /// Answers producers whose records are committed by now, or too late.
    pub fn tell_producers(&mut self, cx: &mut Context<'_>, logs: &Logs) {
        for (id, replica) in &mut self.by_id {
            let Some(log) = logs.get(id) else { continue };
            let enough = replica.leader().is_some_and(replication::Leader::has_enough_after_append);
            let (served, late): (Vec<(CallId, Offset)>, _) = replica.served(cx.now.mono, log);
            for (call, offset) in served {
                let answer = enough.then_some(offset);
                let answer = answer.ok_or(super::replica::Refused::NotEnoughReplicas);
                cx.reply(call, Tell::Produced(answer));
            }
            for call in late {
                cx.reply(call, Tell::TimedOut);
            }
        }
    }
}

/// As if the controller had said yes.
fn taken_for_granted(proposal: &IsrProposal) -> Event {
    let answer = IsrAnswer::Committed {
        leader_epoch: proposal.leader_epoch,
        partition_epoch: PartitionEpoch(proposal.partition_epoch.0 + 1),
        isr: proposal.isr.iter().map(|(id, _)| *id).collect(),
    };
    Event::IsrAnswered { id: proposal.id, answer }
}
