//! The world: one clock, one queue of what is to happen, one coordinator.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::machine::ReplyId;
use base::time::{MonoMs, Now, WallMs};
use coordinator::testing::TestContext;
use coordinator::{Event as ShardEvent, Linger, RuntimeConfig};
use group::testing::Cluster;
use group::{GroupShard, Reply, Request, invariants};
use protocol::ErrorCode;

use super::checks::{Checks, Verdict};
use super::client::{Client, Member};
use super::network::Network;
use super::tamper::Tamper;
use super::turn::{Ask, Call, Lane, Turn};
use super::{Plan, compaction, mixed};
use crate::Rng;

const TRACE_LINES: usize = 2000;
const TRACE_CHARS: usize = 400;
/// 2027-01-15.
const EPOCH_MS: i64 = 1_800_000_000_000;
/// Longer than any wait that the timeouts of the clients allow.
const PATIENCE_MS: u64 = 120_000;

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A request reaches the coordinator.
    Arrive {
        client: usize,
        call: Call,
    },
    /// An answer reaches its client.
    Answer {
        client: usize,
        lane: Lane,
        call: u64,
        reply: Result<Reply, ErrorCode>,
    },
    Wake {
        client: usize,
    },
    /// Something goes wrong.
    Chaos,
    AppendsHeal,
    CommitsHeal,
    NetworkHeals,
}

/// Whose request the coordinator has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub client: usize,
    pub lane: Lane,
    pub call: u64,
    pub since_ms: u64,
}

pub(super) struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub server: TestContext<GroupShard>,
    pub cluster: Cluster,
    pub clients: Vec<Client>,
    next_call: u64,
    pub outstanding: BTreeMap<ReplyId, Origin>,
    /// Answered with the error of an append. The state from before it may still owe them an answer; nobody hears that.
    failed: BTreeSet<ReplyId>,
    /// The newest call of a client on a lane that has arrived: on a new connection, nothing older comes any more.
    newest: BTreeMap<(usize, Lane), u64>,
    pub network: Network,
    /// Appends work and commits come, since then.
    pub healthy_since_ms: u64,
    pub checks: Checks,
    pub calm: bool,
    trace: VecDeque<String>,
    digest: u64,
    pub groups: Vec<Arc<str>>,
    pub next_topic: u8,
    /// How many of a hundred newcomers to a mixed group speak the classic protocol.
    pub classic_percent: BTreeMap<Arc<str>, u64>,
    /// What a classic member of a consumer group was told last, for who mixes that up.
    pub last_told: Cow<'static, [u8]>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let linger = [Linger::Adaptive, Linger::Ms(0), Linger::Ms(5)];
        let linger = rng.pick(&linger).copied().unwrap_or(Linger::Adaptive);
        let config = RuntimeConfig { linger, batch_bytes_max: 1 << 20 };
        let mut view = group::testing::view(Cluster::default());
        view.offsets.retention_ms = 3_600_000;
        view.classic.initial_rebalance_delay_ms = if rng.chance(50) { 0 } else { 3_000 };
        let now = Now { wall: WallMs(EPOCH_MS), mono: MonoMs(0) };
        let mut server = TestContext::new(GroupShard::default(), config, view);
        server.now = now;
        server.reload();
        let mut world = Self {
            plan,
            rng,
            now_ms: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            server,
            cluster: Cluster::default(),
            clients: Vec::new(),
            next_call: 0,
            outstanding: BTreeMap::new(),
            failed: BTreeSet::new(),
            newest: BTreeMap::new(),
            network: Network::USUAL,
            healthy_since_ms: 0,
            checks: Checks::default(),
            calm: false,
            trace: VecDeque::new(),
            digest: 0xcbf2_9ce4_8422_2325,
            groups: Vec::new(),
            next_topic: 0,
            classic_percent: BTreeMap::new(),
            last_told: Cow::Borrowed(&[]),
        };
        world.settle();
        world
    }

    /// All of it.
    pub fn live(&mut self) -> Verdict {
        self.after(0, Event::Chaos);
        self.run_to(self.plan.chaos_ms)?;
        self.calm_down()?;
        self.come_to_rest()?;
        self.end()
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now_ms + ms, self.next_event), event);
    }

    /// Lets everything happen until then.
    pub fn run_to(&mut self, end_ms: u64) -> Verdict {
        loop {
            let next_ms = self.queue.keys().next().map_or(u64::MAX, |(at, _)| *at);
            let timers = self.plan.tamper != Some(Tamper::StopTimers);
            let deadline = if timers { self.server.runtime.deadline().0 } else { u64::MAX };
            let at = next_ms.min(deadline).max(self.now_ms);
            if at > end_ms {
                break;
            }
            self.set_time(at);
            if deadline <= at {
                self.server.event(ShardEvent::Tick);
            } else if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event)?;
            }
            self.checks.stats.steps += 1;
            self.after_step()?;
        }
        self.set_time(end_ms);
        Ok(())
    }

    fn set_time(&mut self, ms: u64) {
        self.now_ms = ms;
        let wall = WallMs(EPOCH_MS.saturating_add_unsigned(ms));
        self.server.now = Now { wall, mono: MonoMs(ms) };
    }

    pub fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Arrive { client, call } => self.arrive(client, call),
            Event::Answer { client, lane, call, reply } => {
                return self.answer(client, lane, call, reply);
            }
            Event::Wake { client } => {
                let Some(one) = self.clients.get(client) else { return Ok(()) };
                if one.crashed {
                    return Ok(());
                }
                let pause_ms = one.paused_until_ms.saturating_sub(self.now_ms);
                if pause_ms == 0 {
                    self.act(client, |client, turn| client.wake(turn))?;
                }
                let next_ms = pause_ms + self.rng.range(200, 1_500);
                self.after(next_ms, Event::Wake { client });
            }
            Event::Chaos => return self.chaos(),
            Event::AppendsHeal => {
                self.server.append_error = None;
                self.healthy_since_ms = self.now_ms;
                self.note("appends work again");
            }
            Event::CommitsHeal => {
                self.server.hold_commits = false;
                self.server.commit();
                self.healthy_since_ms = self.now_ms;
                self.note("commits come again");
            }
            Event::NetworkHeals => {
                self.network = if self.calm { Network::CALM } else { Network::USUAL };
            }
        }
        Ok(())
    }

    /// Lets a client do something, and takes what it sends and says.
    pub fn act(&mut self, at: usize, how: impl FnOnce(&mut Client, &mut Turn<'_>)) -> Verdict {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let mut turn = Turn {
            now_ms: self.now_ms,
            rng: &mut self.rng,
            cluster: &self.cluster,
            calls: Vec::new(),
            told: Vec::new(),
            next_call: &mut self.next_call,
        };
        how(client, &mut turn);
        let Turn { calls, told, .. } = turn;
        let (group, id) = (Arc::clone(client.group()), client.id().to_owned());
        // A static member's successor has what it had.
        let identity = client.instance_id().map_or(id.clone(), |instance| instance.to_string());
        for one in told {
            self.note(&format!("client {at} {id} of {group}: {one:?}"));
            self.checks.told(&group, &identity, one)?;
        }
        for call in calls {
            self.send(at, call);
        }
        Ok(())
    }

    fn send(&mut self, client: usize, call: Call) {
        self.note(&format!("client {client} sends {} {}", call.id, short(&call.ask)));
        let arrivals = self.network.arrivals(&mut self.rng);
        if arrivals.is_empty() {
            self.checks.stats.lost_messages += 1;
        }
        for ms in arrivals {
            let call = again(&call, &mut self.rng);
            self.after(ms, Event::Arrive { client, call });
        }
    }

    fn arrive(&mut self, client: usize, mut call: Call) {
        if self.is_given_up(client, &call) {
            return;
        }
        let in_order = call.lane == Lane::Offsets
            || self.clients.get(client).is_some_and(|client| {
                matches!(client.member, Member::Consumer(_))
                    || mixed::assignor(client.group()).is_some()
            });
        let newest = self.newest.entry((client, call.lane)).or_default();
        if in_order && call.id < *newest {
            return;
        }
        let repeated = in_order && call.id == *newest;
        *newest = call.id.max(*newest);
        let mut asker = client;
        if repeated && call.lane == Lane::Group && self.is_of_consumer_protocol(client) {
            // It is said again only where no answer came, and on a connection of its own: the later answer is heard.
            let same = |origin: &&mut Origin| origin.client == client && origin.call == call.id;
            let Some(earlier) = self.outstanding.values_mut().find(same) else { return };
            earlier.client = usize::MAX;
        } else if repeated {
            // Of a message that came twice on a connection that is gone, nobody hears the second answer.
            asker = usize::MAX;
        }
        self.note(&format!("{} of client {client} arrives", call.id));
        if self.plan.tamper == Some(Tamper::TrustCommits) {
            Tamper::trust(&mut call.ask, self.server.runtime.tip());
        }
        if self.plan.tamper == Some(Tamper::AssignTwice) {
            Tamper::assign_twice(&mut call.ask);
        }
        self.leave_out_what_does_not_exist(&mut call.ask);
        self.tell_forgotten_member(client, &call.ask);
        let id = match call.ask {
            Ask::Request(request) => self.server.request(request),
            Ask::Query(query) => self.server.query(query),
        };
        let (lane, since_ms) = (call.lane, self.now_ms);
        self.outstanding.insert(id, Origin { client: asker, lane, call: call.id, since_ms });
    }

    fn is_of_consumer_protocol(&self, client: usize) -> bool {
        let member = self.clients.get(client).map(|client| &client.member);
        matches!(member, Some(Member::Consumer(_)))
    }

    /// As the broker does before it asks a coordinator.
    fn leave_out_what_does_not_exist(&self, ask: &mut Ask) {
        let Ask::Request(Request::OffsetCommit { request, .. }) = ask else { return };
        request.topics.retain(|topic| {
            let known = self.cluster.topics.get(&*topic.name);
            known.is_some_and(|known| known.id == topic.topic_id)
        });
    }

    fn answer(
        &mut self,
        at: usize,
        lane: Lane,
        call: u64,
        reply: Result<Reply, ErrorCode>,
    ) -> Verdict {
        let Some(client) = self.clients.get(at) else { return Ok(()) };
        if client.crashed {
            return Ok(());
        }
        let pause_ms = client.paused_until_ms.saturating_sub(self.now_ms);
        if pause_ms > 0 {
            self.after(pause_ms, Event::Answer { client: at, lane, call, reply });
            return Ok(());
        }
        self.act(at, |client, turn| client.answered(turn, lane, call, reply))
    }

    /// After everything that happens: replies go out, rules are held.
    fn after_step(&mut self) -> Verdict {
        let settles = self.rng.chance(80);
        if settles {
            self.settle();
        }
        self.checks.follow(&self.server.log)?;
        if settles {
            self.checks.live_is_log(self.server.runtime.tip())?;
        }
        self.give_replies()?;
        let timers = self.server.runtime.timers();
        invariants::timers_are_set(self.server.runtime.tip(), |timer| timers.get(timer))?;
        invariants::partitions_have_one_owner(self.server.runtime.tip())?;
        invariants::epochs_are_in_order(self.server.runtime.tip())?;
        self.clients_own_what_is_theirs()?;
        self.nobody_waits_for_ever()
    }

    /// All that was decided lies in the log, if appends work.
    pub fn settle(&mut self) {
        let before = self.server.log.len();
        self.server.event(ShardEvent::Drained);
        if self.plan.tamper == Some(Tamper::LoseRecords)
            && self.server.log.len() > before
            && self.rng.chance(5)
        {
            Tamper::lose(&mut self.server.log);
        }
        if self.plan.tamper == Some(Tamper::RepeatRecords) && self.rng.chance(1) {
            let batch = self.rng.pick(&self.server.log).cloned();
            self.server.log.extend(batch);
        }
    }

    fn give_replies(&mut self) -> Verdict {
        while let Some((id, mut reply)) = self.server.replies.pop_first() {
            if self.plan.tamper == Some(Tamper::ForgetAnswers) && self.rng.chance(1) {
                continue;
            }
            let Some(origin) = self.outstanding.remove(&id) else {
                if self.failed.contains(&id) {
                    continue;
                }
                return Err(format!("{id:?} is answered twice: {reply:?}"));
            };
            if reply.is_err() && self.server.append_error.is_some() {
                self.failed.insert(id);
                self.checks.stats.failed_appends += 1;
            }
            self.note(&format!("{} of client {} gets {reply:?}", origin.call, origin.client));
            let Origin { client, lane, call, .. } = origin;
            if self.plan.tamper == Some(Tamper::TellAnother) {
                self.tell_another(client, &mut reply);
            }
            for ms in self.network.arrivals(&mut self.rng) {
                let reply = reply.clone();
                self.after(ms, Event::Answer { client, lane, call, reply });
            }
        }
        Ok(())
    }

    fn tell_another(&mut self, client: usize, reply: &mut Result<Reply, ErrorCode>) {
        let Some(client) = self.clients.get(client) else { return };
        let Ok(Reply::Classic(group::classic::Reply::SyncGroup(reply))) = reply else { return };
        let groups = self.server.runtime.tip().groups();
        let mixed = matches!(groups.get(client.group()), Some(group::Kind::Consumer(_)));
        if mixed && reply.error_code == 0 {
            std::mem::swap(&mut reply.assignment, &mut self.last_told);
        }
    }

    fn nobody_waits_for_ever(&self) -> Verdict {
        if self.server.append_error.is_some() || self.server.hold_commits {
            return Ok(());
        }
        let late = self.outstanding.iter().find(|(_, origin)| {
            let since_ms = origin.since_ms.max(self.healthy_since_ms);
            since_ms + PATIENCE_MS < self.now_ms
        });
        match late {
            Some((id, origin)) => Err(format!("{id:?} is not answered: {origin:?}")),
            None => Ok(()),
        }
    }

    /// The coordinator moves: a new one reads the log, and nobody is answered.
    pub fn reload(&mut self, compact: bool) -> Verdict {
        self.settle();
        self.checks.follow(&self.server.log)?;
        self.give_replies()?;
        if compact {
            self.server.log = compaction::compacted(&mut self.rng, &self.server.log);
            if self.plan.tamper == Some(Tamper::CompactWrongly) {
                for batch in &mut self.server.log {
                    batch.retain(|_| self.rng.chance(80));
                }
                self.server.log.retain(|batch| !batch.is_empty());
            }
            self.checks.compacted(&self.server.log)?;
        }
        self.checks.stats.reloads += 1;
        self.note(if compact {
            "the coordinator moves, compacted"
        } else {
            "the coordinator moves"
        });
        for (_, origin) in std::mem::take(&mut self.outstanding) {
            let Origin { client, lane, call, .. } = origin;
            let reply = Err(ErrorCode::NotCoordinator);
            let ms = self.rng.range(1, 500);
            self.after(ms, Event::Answer { client, lane, call, reply });
        }
        self.server.reload();
        Ok(())
    }

    /// Asks the coordinator as its broker.
    pub fn tell(&mut self, request: Request) {
        let id = self.server.request(request);
        let nobody =
            Origin { client: usize::MAX, lane: Lane::Group, call: 0, since_ms: self.now_ms };
        self.outstanding.insert(id, nobody);
    }

    /// Topics that exist.
    pub fn topic_names(&self) -> BTreeSet<Arc<str>> {
        self.cluster.topics.keys().cloned().collect()
    }

    pub fn note(&mut self, what: &str) {
        for byte in what.bytes().chain(self.now_ms.to_be_bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        let what: String = what.chars().take(TRACE_CHARS).collect();
        self.trace.push_back(format!("{:>7} {what}", self.now_ms));
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace.iter().cloned().collect()
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// The same message once more, with what a broker would make anew.
fn again(call: &Call, rng: &mut Rng) -> Call {
    let mut call = call.clone();
    if let Ask::Request(Request::Classic(group::classic::Request::JoinGroup { caller, .. })) =
        &mut call.ask
    {
        caller.fresh_id = rng.uuid();
    }
    call
}

fn short(ask: &Ask) -> String {
    format!("{ask:?}")
}
