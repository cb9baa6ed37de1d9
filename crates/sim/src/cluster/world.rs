//! The world: one clock, one queue of what is to happen, nodes, the roads between them, and the rules.

use std::collections::BTreeMap;

use base::NodeId;
use base::time::MonoMs;

use super::Plan;
use super::checks::Checks;
use super::client::{Client, Kind};
use super::context::{Context, Out, Timer};
use super::message::{Ask, CallId, Peer, Purpose, RaftTell, Tell};
use super::network::Network;
use super::node::{Node, Nodes, Setup, Stimulus};
use super::quorum::Done;
use super::trace::Trace;
use crate::Rng;

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A request reaches a node.
    Arrive {
        from: Peer,
        to: NodeId,
        call: CallId,
        ask: Ask,
    },
    /// An answer reaches who asked.
    Answer {
        call: CallId,
        tell: Tell,
    },
    /// Who asked gives up.
    Expire {
        call: CallId,
    },
    Timer {
        node: NodeId,
        life: u64,
        timer: Timer,
    },
    /// Something goes wrong, or people do something.
    Chaos,
    Heal,
    Start {
        node: NodeId,
    },
    Client {
        client: usize,
    },
    /// People make topics, if there are too few.
    Administer,
    DiskHeals {
        node: NodeId,
    },
}

/// Who waits for an answer, and what for.
#[derive(Clone, Debug)]
struct Call {
    from: Peer,
    life: u64,
    to: NodeId,
    purpose: Purpose,
}

pub(super) struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    calls: BTreeMap<CallId, Call>,
    next_call: u64,
    /// The newest call of a client to a coordinator that has arrived.
    newest: BTreeMap<Peer, CallId>,
    pub setup: Setup,
    pub nodes: Nodes,
    pub network: Network,
    pub checks: Checks,
    pub trace: Trace,
    pub calm: bool,
    pub mood: Mood,
    pub clients: Vec<Client>,
    /// Producers have nothing new to say.
    pub done_writing: bool,
}

/// How the world treats its nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    /// Between two faults, at most.
    pub faults_ms: u64,
    /// Until the dead are started again, at most.
    pub restart_ms: u64,
    /// All may die at once, but keep what they have written. Otherwise power fails, too, and somebody sound always stays.
    pub rough: bool,
}

impl Mood {
    /// Whoever dies stays dead, until somebody says otherwise.
    pub const QUIET: Self = Self { faults_ms: u64::MAX, restart_ms: u64::MAX, rough: false };
    const ALL: [Self; 4] = [
        Self { faults_ms: 6_000, restart_ms: 8_000, rough: false },
        Self { faults_ms: 2_000, restart_ms: 4_000, rough: false },
        Self { faults_ms: 3_000, restart_ms: 4_000, rough: true },
        // A storm in which nobody is given time.
        Self { faults_ms: 300, restart_ms: 300, rough: true },
    ];
}

impl World {
    pub fn new(plan: Plan, traced: bool) -> Result<Self, String> {
        Self::shaped(plan, traced, None)
    }

    /// With a shape that is not left to chance: how many controllers, brokers, and nodes that are both.
    pub fn shaped(
        plan: Plan,
        traced: bool,
        shape: Option<(i32, i32, i32)>,
    ) -> Result<Self, String> {
        let mut rng = Rng::new(plan.seed);
        let (setup, nodes) = super::setup::draw(&mut rng, shape)?;
        let mood = rng.pick(&Mood::ALL).copied().unwrap_or(Mood::ALL[0]);
        Ok(Self {
            plan,
            rng,
            now_ms: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            calls: BTreeMap::new(),
            next_call: 0,
            newest: BTreeMap::new(),
            setup,
            nodes,
            network: Network::new(),
            checks: Checks::default(),
            trace: Trace::new(traced),
            calm: false,
            mood,
            clients: Vec::new(),
            done_writing: false,
        })
    }

    /// All of it.
    pub fn live(&mut self) -> Done {
        self.begin(true)?;
        self.run_to(self.plan.chaos_ms)?;
        self.come_to_rest()
    }

    /// Everybody starts.
    pub fn begin(&mut self, chaos: bool) -> Done {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let ms = self.rng.below(1_000);
            self.after(ms, Event::Start { node });
        }
        if chaos {
            self.after(3_000, Event::Chaos);
        }
        self.after(2_000, Event::Administer);
        let kinds = [
            Kind::Producer { idempotent: true },
            Kind::Producer { idempotent: true },
            Kind::Producer { idempotent: false },
            Kind::Careless,
            Kind::Consumer,
            Kind::Committer,
        ];
        for (client, kind) in kinds.into_iter().enumerate() {
            self.clients.push(Client::new(kind));
            self.after(2_500, Event::Client { client });
        }
        Ok(())
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now_ms + ms, self.next_event), event);
    }

    /// Lets everything happen until then.
    pub fn run_to(&mut self, end_ms: u64) -> Done {
        loop {
            let next_ms = self.queue.keys().next().map_or(u64::MAX, |(at, _)| *at);
            if next_ms > end_ms {
                self.now_ms = end_ms;
                return Ok(());
            }
            let Some(((at, _), event)) = self.queue.pop_first() else { return Ok(()) };
            self.now_ms = at;
            self.checks.stats.events += 1;
            self.trace.mix(&[at, self.rng.clone().draw()]);
            self.happen(event)?;
        }
    }

    fn happen(&mut self, event: Event) -> Done {
        match event {
            Event::Arrive { from, to, call, ask } => self.arrive((from, to), call, ask),
            Event::Answer { call, tell } => self.answer(call, tell),
            Event::Expire { call } => self.answer(call, Tell::TimedOut),
            Event::Timer { node, life, timer } => {
                if self.nodes.get(&node).is_none_or(|known| known.life != life) {
                    return Ok(());
                }
                if let Some(ms) = self.asleep(node) {
                    self.after(ms, Event::Timer { node, life, timer });
                    return Ok(());
                }
                self.poke(node, Stimulus::Timer(timer))
            }
            Event::Chaos => self.chaos(),
            Event::Heal => {
                self.heal();
                Ok(())
            }
            Event::Start { node } => self.start(node),
            Event::Client { client } => self.wake_client(client),
            Event::Administer => self.administer(),
            Event::DiskHeals { node } => {
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.disk_ms = 5;
                }
                Ok(())
            }
        }
    }

    /// How long the node's process still stands still.
    fn asleep(&self, node: NodeId) -> Option<u64> {
        self.nodes.get(&node)?.paused_until_ms.checked_sub(self.now_ms).filter(|ms| *ms > 0)
    }

    fn arrive(&mut self, (from, to): (Peer, NodeId), call: CallId, ask: Ask) -> Done {
        if let Some(ms) = self.asleep(to) {
            self.after(ms, Event::Arrive { from, to, call, ask });
            return Ok(());
        }
        if self.nodes.get(&to).is_some_and(Node::is_up) {
            if let Ask::Raft(kraft::Request::Vote(request)) = &ask {
                self.checks.vote_asked(call, request);
            }
            if let Ask::Group(ask) = &ask {
                let outdated = self.is_outdated(from, call);
                self.note(|| format!("n{to} takes {call:?} (outdated: {outdated}): {ask:?}"));
                if outdated {
                    return Ok(());
                }
            }
            return self.poke(to, Stimulus::Asked { call, ask });
        }
        self.tell(to, call, &Tell::Unreachable);
        Ok(())
    }

    /// Whether something newer of the same client has arrived. Who gave up a call has closed its connection, and on a new one
    /// nothing older comes any more: a commit without a generation would otherwise undo what was acknowledged later.
    fn is_outdated(&mut self, from: Peer, call: CallId) -> bool {
        let newest = self.newest.entry(from).or_insert(call);
        *newest = call.max(*newest);
        call < *newest
    }

    /// The answer is on its way, if anybody waits for it.
    fn tell(&mut self, from: NodeId, call: CallId, tell: &Tell) {
        let Some(waiting) = self.calls.get(&call) else { return };
        let to = waiting.from;
        for ms in self.network.arrivals(&mut self.rng, Peer::Node(from), to) {
            self.after(ms, Event::Answer { call, tell: tell.clone() });
        }
    }

    /// The first answer counts.
    fn answer(&mut self, call: CallId, tell: Tell) -> Done {
        let Some(waiting) = self.calls.get(&call) else { return Ok(()) };
        let id = match waiting.from {
            Peer::Node(id) => id,
            Peer::Client(at) => {
                self.note(|| format!("client {at} hears {tell:?}"));
                self.calls.remove(&call);
                return self.tell_client(at, tell);
            }
        };
        if let Some(ms) = self.asleep(id) {
            self.after(ms, Event::Answer { call, tell });
            return Ok(());
        }
        let Some(waiting) = self.calls.remove(&call) else { return Ok(()) };
        if self.nodes.get(&id).is_none_or(|node| node.life != waiting.life) {
            return Ok(());
        }
        self.note(|| format!("n{id} hears of n{} ({:?}): {tell:?}", waiting.to, waiting.purpose));
        self.poke(id, Stimulus::Answered { purpose: waiting.purpose, tell })
    }

    pub fn call(&mut self, from: Peer, to: NodeId, purpose: Purpose, ask: Ask, timeout_ms: u64) {
        self.next_call += 1;
        let call = CallId(self.next_call);
        let life = match from {
            Peer::Node(id) => self.nodes.get(&id).map_or(0, |node| node.life),
            Peer::Client(_) => 0,
        };
        self.note(|| format!("{from:?} asks n{to} ({purpose:?}, {call:?}): {ask:?}"));
        self.calls.insert(call, Call { from, life, to, purpose });
        if self.nodes.contains_key(&to) {
            for ms in self.network.arrivals(&mut self.rng, from, Peer::Node(to)) {
                self.after(ms, Event::Arrive { from, to, call, ask: ask.clone() });
            }
        } else {
            self.after(1, Event::Answer { call, tell: Tell::Unreachable });
        }
        self.after(timeout_ms, Event::Expire { call });
    }

    /// Lets a node take something, and does what it wants.
    pub fn poke(&mut self, id: NodeId, stimulus: Stimulus) -> Done {
        self.with(id, |node, cx| node.handle(cx, stimulus))
    }

    fn start(&mut self, id: NodeId) -> Done {
        if self.nodes.get(&id).is_none_or(Node::is_up) {
            return Ok(());
        }
        self.note(|| format!("n{id} starts"));
        let setup = self.setup.clone();
        self.with(id, |node, cx| node.start(cx, &setup))
    }

    pub fn with(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&mut Node, &mut Context<'_>) -> Done,
    ) -> Done {
        let dies = self.nodes.get(&id).is_some_and(|node| node.dies_after.is_some());
        let allowed = self.mood.rough || self.mood.restart_ms == u64::MAX;
        let may_die = dies && (allowed || self.checks.may_fail(&self.nodes, id));
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let mut cx = Context {
            id,
            now: node.now(self.now_ms),
            disk_ms: 1 + self.rng.below(node.disk_ms),
            rng: &mut self.rng,
            out: Vec::new(),
            tamper: self.plan.tamper,
            traced: self.trace.wanted,
            effects_left: node.dies_after.filter(|_| may_die).unwrap_or(usize::MAX),
            dead: false,
        };
        let done = act(node, &mut cx);
        let (out, dead) = (cx.out, cx.dead);
        if may_die {
            node.dies_after = Some(cx.effects_left);
        }
        if !dead {
            done.map_err(|what| format!("n{id}: {what}"))?;
        }
        for wish in out {
            self.fulfil(id, wish)?;
        }
        if dead {
            return self.crash(id);
        }
        self.checks.after_step(&mut self.nodes, id)?;
        if self.nodes.get(&id).is_some_and(Node::may_end) {
            self.note(|| format!("n{id} has left and stops"));
            self.stop(id)?;
        }
        Ok(())
    }

    fn fulfil(&mut self, id: NodeId, wish: Out) -> Done {
        match wish {
            Out::Call { to, purpose, ask, timeout_ms } => {
                self.call(Peer::Node(id), to, purpose, ask, timeout_ms);
            }
            Out::Reply { call, tell } => {
                if let Tell::Raft(RaftTell::Vote(answer)) = &tell {
                    let Some(node) = self.nodes.get(&id) else { return Ok(()) };
                    self.checks.voted(node, call, answer.granted)?;
                }
                self.tell(id, call, &tell);
            }
            Out::Timer { at: MonoMs(at), timer } => {
                let life = self.nodes.get(&id).map_or(0, |node| node.life);
                let ms = at.saturating_sub(self.now_ms);
                self.after(ms, Event::Timer { node: id, life, timer });
            }
            Out::MetadataCommitted { from, end } => {
                let Some(node) = self.nodes.get(&id) else { return Ok(()) };
                self.checks.metadata_committed(node, from, end)?;
            }
            Out::Elected { epoch } => {
                let Some(node) = self.nodes.get(&id) else { return Ok(()) };
                self.checks.elected(node, epoch)?;
            }
            Out::Committed { partition, from, records } => {
                self.note(|| {
                    format!(
                        "n{id} commits {} of {} from {from}",
                        records.len(),
                        partition.partition
                    )
                });
                self.checks.partition_committed(id, partition, from, &records)?;
            }
            Out::Note(what) => self.note(|| format!("n{id} {what}")),
        }
        Ok(())
    }

    pub fn stop(&mut self, id: NodeId) -> Done {
        self.with(id, |node, cx| node.stop(cx))?;
        let ms = self.rng.range(500, 5_000);
        self.after(ms, Event::Start { node: id });
        Ok(())
    }

    /// The process is gone, with whatever it held; the files stay as they are.
    pub fn crash(&mut self, id: NodeId) -> Done {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        node.process = None;
        node.dies_after = None;
        node.paused_until_ms = 0;
        self.checks.stats.crashes += 1;
        self.note(|| format!("n{id} is dead"));
        if self.mood.restart_ms == u64::MAX && !self.calm {
            return Ok(());
        }
        let ms = if self.calm { 100 } else { self.rng.range(20, self.mood.restart_ms) };
        self.after(ms, Event::Start { node: id });
        Ok(())
    }

    /// A line of the trace, if anybody reads it.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.wanted {
            self.trace.line(self.now_ms, &what());
        }
    }
}
