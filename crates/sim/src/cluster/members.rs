//! Members of groups in a whole cluster: they look for the coordinator where the partition of committed offsets is led, and
//! everything they are told has to survive its moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{NodeId, TopicIdPartition};
use client::group::assignor::Assignor;
use group::testing::Cluster;
use group::{Kind, Query, Reply, Request};
use metadata::Image;
use protocol::ErrorCode;

use super::checks::Checks;
use super::client::{self as clients, Client};
use super::coordinator::{GroupAsk, OFFSETS_TOPIC};
use super::message::{Ask, CallId, Peer, Purpose, Tell};
use super::quorum::Done;
use super::world::{Event, World};
use crate::groups::classic::ClassicMember;
use crate::groups::client::{Client as Member, Member as Protocol};
use crate::groups::consumer::ConsumerMember;
use crate::groups::turn::{Ask as MemberAsk, Call, Lane, Turn};
use crate::groups::{checks, rest};

/// A JoinGroup waits for the others.
const PATIENCE_MS: u64 = 12_000;
const REBALANCE_MS: i32 = 5_000;
const SESSION_MS: i32 = 6_000;
/// Members that are there at a time, at most.
const MEMBERS_MAX: usize = 6;
/// How long groups may need to become stable once nothing goes wrong any more.
const REST_MS: u64 = 60_000;

/// What members of a cluster share.
#[derive(Default)]
pub(super) struct Members {
    /// Topics as everybody knows them.
    topics: Cluster,
    known_topics: usize,
    next_call: u64,
    /// Whose calls they are, and whether they are commits of somebody who is no member any more.
    lanes: BTreeMap<CallId, (Lane, u64, bool)>,
    /// They do nothing any more.
    pub quiet: bool,
}

/// The topics that groups read, as the coordinators and the members see them.
pub(super) fn topics_of(image: &Image) -> Cluster {
    let mut topics = Cluster { version: image.provenance.offset.get(), ..Cluster::default() };
    for topic in image.topics.iter().filter(|topic| *topic.name != *OFFSETS_TOPIC) {
        let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
        let known = group::Topic { id: topic.id, name: Arc::clone(&topic.name), partitions };
        topics.topics.insert(Arc::clone(&topic.name), known);
    }
    topics
}

impl World {
    /// Some groups come into being.
    pub fn add_members(&mut self) {
        for _ in 0..2 {
            let groups = ["range", "cooperative", "consumer"];
            let Some(group) = self.rng.pick(&groups).copied() else { return };
            for _ in 0..self.rng.range(1, 3) {
                self.add_member(group);
            }
        }
    }

    pub fn add_member(&mut self, group: &str) {
        let living = self.clients.iter().filter_map(Client::member).filter(|one| one.lives());
        if living.count() >= MEMBERS_MAX {
            return;
        }
        let at = self.clients.len();
        let all: BTreeSet<Arc<str>> = ["one", "two"].map(Arc::from).into();
        let one = self.rng.chance(30);
        let topics = all.into_iter().take(if one { 1 } else { 2 }).collect();
        let instance_id = self.rng.chance(20).then(|| Arc::from(format!("i{at}")));
        let name: Arc<str> = Arc::from(group);
        let assignor = match group {
            "range" => Some(Assignor::Range),
            "cooperative" => Some(Assignor::CooperativeSticky),
            _ => None,
        };
        let member = match assignor {
            Some(assignor) => {
                let mut member = ClassicMember::new(&name, assignor, topics);
                member.instance_id = instance_id;
                member.rebalance_timeout_ms = REBALANCE_MS;
                member.session_timeout_ms = SESSION_MS;
                Protocol::Classic(member)
            }
            None => {
                let id = self.rng.uuid().to_string();
                let mut member = ConsumerMember::new(&name, id, topics);
                member.instance_id = instance_id;
                member.rebalance_timeout_ms = REBALANCE_MS;
                Protocol::Consumer(member)
            }
        };
        self.note(|| format!("client {at} comes to {group}"));
        self.clients.push(Client::of_group(Member::new(member)));
        let ms = self.rng.range(20, 500);
        self.after(ms, Event::Client { client: at });
    }

    /// Something happens to a member: it dies, stands still, leaves, or another one comes.
    pub fn trouble_members(&mut self) -> Done {
        let living = |client: &Client| client.member().is_some_and(Member::lives);
        let all: Vec<usize> = (0..self.clients.len())
            .filter(|at| self.clients.get(*at).is_some_and(living))
            .collect();
        let Some(at) = self.rng.pick(&all).copied() else { return Ok(()) };
        let Some(member) = self.clients.get_mut(at).and_then(Client::member_mut) else {
            return Ok(());
        };
        let group = Arc::clone(member.group());
        match self.rng.below(6) {
            0 => {
                member.crashed = true;
                self.note(|| format!("client {at} crashes"));
            }
            // For longer than its session, mostly.
            1..4 => {
                member.paused_until_ms = self.now_ms + self.rng.range(3_000, 18_000);
                self.note(|| format!("client {at} pauses"));
            }
            4 => {
                self.note(|| format!("client {at} leaves"));
                self.member_acts(at, |member, turn| member.leave(turn))?;
            }
            _ => {}
        }
        self.add_member(&group);
        Ok(())
    }

    /// A member goes on, unless it stands still.
    pub fn wake_member(&mut self, at: usize) -> Done {
        if self.members.quiet {
            return Ok(());
        }
        let image = self.checks.truth();
        if image.topics.len() != self.members.known_topics {
            self.members.known_topics = image.topics.len();
            self.members.topics = topics_of(image);
        }
        match self.clients.get(at).and_then(Client::member) {
            Some(member) if !member.crashed && member.paused_until_ms <= self.now_ms => {
                self.member_acts(at, |member, turn| member.wake(turn))
            }
            _ => Ok(()),
        }
    }

    fn member_acts(&mut self, at: usize, how: impl FnOnce(&mut Member, &mut Turn<'_>)) -> Done {
        let Some(member) = self.clients.get_mut(at).and_then(Client::member_mut) else {
            return Ok(());
        };
        let mut turn = Turn {
            now_ms: self.now_ms,
            rng: &mut self.rng,
            cluster: &self.members.topics,
            calls: Vec::new(),
            told: Vec::new(),
            next_call: &mut self.members.next_call,
        };
        how(member, &mut turn);
        let Turn { calls, told, .. } = turn;
        let group = Arc::clone(member.group());
        // A static member's successor has what it had.
        let identity = member.instance_id().map_or(member.id(), |instance| &**instance).to_owned();
        for one in told {
            self.note(|| format!("client {at} {identity} of {group}: {one:?}"));
            self.checks.groups.told(&group, &identity, one)?;
        }
        for call in calls {
            self.member_calls(at, call);
        }
        Ok(())
    }

    fn member_calls(&mut self, at: usize, call: Call) {
        let coordinator = self.clients.get(at).and_then(Client::coordinator);
        // Where nobody is known to be, nobody answers.
        let to = coordinator.unwrap_or(NodeId(i32::MAX));
        let request = match call.ask {
            MemberAsk::Request(request) => request,
            // With require_stable, as clients ask.
            MemberAsk::Query(Query::OffsetFetch(request)) => Request::OffsetFetch(request),
            MemberAsk::Query(_) => return,
        };
        let is_void = self.checks.is_void(&request);
        let ask = Ask::Group(GroupAsk::Request(request));
        let waits_ms = if call.lane == Lane::Group { PATIENCE_MS } else { clients::TIMEOUT_MS };
        let id = self.call(Peer::Client(at), to, Purpose::Client, ask, waits_ms);
        self.members.lanes.insert(id, (call.lane, call.id, is_void));
    }

    /// An answer for a member; false when the call is none of a member's.
    pub fn tell_member(&mut self, at: usize, call: CallId, tell: &Tell) -> Result<bool, String> {
        let Some((lane, id, is_void)) = self.members.lanes.remove(&call) else { return Ok(false) };
        let now_ms = self.now_ms;
        let Some(client) = self.clients.get_mut(at) else { return Ok(true) };
        let reply: Result<Reply, ErrorCode> = match tell {
            Tell::Group(reply) => reply.clone(),
            _ => Err(ErrorCode::NotCoordinator),
        };
        if let Ok(Reply::OffsetCommit(Ok(reply))) = &reply
            && is_void
            && reply
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .any(|row| row.error_code == 0)
        {
            return Err(format!("client {at} is no member any more, and its commit is taken"));
        }
        client.stale |= reply.is_err();
        let hears =
            client.member().is_some_and(|one| !one.crashed && one.paused_until_ms <= now_ms);
        // Of a call that took too long its member thinks as it likes; what comes to one that stands still, comes too late.
        if hears && !matches!(tell, Tell::TimedOut) {
            self.checks.stats.group_replies += u64::from(reply.is_ok());
            self.member_acts(at, |member, turn| member.answered(turn, lane, id, reply))?;
        }
        Ok(true)
    }

    /// In the end every group is stable, and every partition somebody's; and the coordinator says what its log says.
    pub fn groups_come_to_rest(&mut self) -> Done {
        for client in self.clients.iter_mut().filter_map(Client::member_mut) {
            client.paused_until_ms = client.paused_until_ms.min(self.now_ms);
        }
        let end_ms = self.now_ms + REST_MS;
        while let Err(what) = self.groups_are_at_rest() {
            if self.now_ms >= end_ms {
                return Err(format!("left alone for {REST_MS} ms: {what}"));
            }
            self.run_to(self.now_ms + 2_500)?;
        }
        // Not for so long that sessions end.
        self.members.quiet = true;
        self.run_to(self.now_ms + 2_000)?;
        self.coordinator_is_log()
    }

    fn groups_are_at_rest(&self) -> Done {
        let members = || self.clients.iter().filter_map(Client::member).filter(|one| one.lives());
        let groups: BTreeSet<Arc<str>> = members().map(|one| Arc::clone(one.group())).collect();
        for group in groups {
            let own: Vec<&Member> = members().filter(|one| *one.group() == group).collect();
            let kind = self.coordinator_state().and_then(|state| state.groups().get(&group));
            rest::is_at_rest(&group, kind, &own, &self.members.topics)?;
        }
        Ok(())
    }

    fn coordinator_state(&self) -> Option<&group::GroupShard> {
        let topic = self.checks.truth().topics.by_name(OFFSETS_TOPIC)?;
        let (_, partition) = topic.partitions().next()?;
        let process = self.nodes.get(&partition.leader)?.process.as_ref()?;
        Some(process.broker.as_ref()?.coordinator.state())
    }

    fn coordinator_is_log(&self) -> Done {
        let state = self.coordinator_state().ok_or("nobody coordinates groups")?;
        self.checks.groups.live_is_log(state)
    }
}

impl Checks {
    /// Records of coordinators were committed: the rules of groups hold of what the log says.
    pub fn follow_groups(&mut self, id: TopicIdPartition) -> Done {
        let offsets = self.truth().topics.by_name(OFFSETS_TOPIC).map(|topic| topic.id);
        if offsets != Some(id.topic_id) || self.partitions.may_lose {
            return Ok(());
        }
        let Some(truth) = self.partitions.truth.get(&id) else { return Ok(()) };
        let new = truth.records().get(self.groups_read..).unwrap_or_default();
        let mut batch = Vec::new();
        for record in new {
            self.groups_read += 1;
            batch.extend(record.payload.as_deref().cloned());
            if !record.more {
                self.groups.follow_batch(&std::mem::take(&mut batch))?;
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => Err(format!("of a coordinator's batch only {batch:?} is committed")),
        }
    }

    /// Whether this is a commit of a member that the log does not know any more, or of a generation before the one it knows: none
    /// is taken, whoever coordinates.
    fn is_void(&self, request: &Request) -> bool {
        let Request::OffsetCommit { request, .. } = request else { return false };
        match self.groups.log_state().groups().get(&*request.group_id) {
            Some(Kind::Classic(group)) => {
                (0..group.generation()).contains(&request.generation_id_or_member_epoch)
            }
            Some(Kind::Consumer(group)) => group.member(&request.member_id).is_none(),
            _ => false,
        }
    }

    /// After a step of a coordinator.
    pub fn hold_for_coordinator(&self, runtime: &super::coordinator::Runtime) -> Done {
        use group::invariants;
        let timers = runtime.timers();
        invariants::timers_are_set(runtime.tip(), |timer| timers.get(timer))?;
        invariants::partitions_have_one_owner(runtime.tip())?;
        invariants::epochs_are_in_order(runtime.tip())
    }

    /// A member of a consumer group never reads what the log does not count as its: nobody takes anything from it that it has
    /// not given up.
    pub fn members_own_what_is_theirs(&self, clients: &[Client], topics: &Cluster) -> Done {
        for member in clients.iter().filter_map(Client::member) {
            let Protocol::Consumer(_) = &member.member else { continue };
            if !member.lives() || !member.is_member() {
                continue;
            }
            let groups = self.groups.log_state().groups();
            let Some(Kind::Consumer(group)) = groups.get(member.group()) else { continue };
            let Some(known) = group.member(member.id()) else { continue };
            for one in member.owned() {
                let Some(topic) = topics.topics.get(&one.topic) else { continue };
                if known.assignment_epoch(topic.id, one.partition.get()).is_none() {
                    let (group, id) = (member.group(), member.id());
                    return Err(format!("{group}: {id} reads {one}, which is not its"));
                }
            }
        }
        Ok(())
    }
}

impl World {
    pub fn members_hold(&self) -> Done {
        self.checks.members_own_what_is_theirs(&self.clients, &self.members.topics)
    }

    /// What was counted, with what groups did.
    pub fn stats(&self) -> super::Stats {
        let checks::Checks { stats, .. } = &self.checks.groups;
        super::Stats {
            generations: stats.generations,
            commits: stats.commits,
            fenced: stats.fenced,
            ..self.checks.stats
        }
    }
}
