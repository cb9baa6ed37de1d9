//! The world: one clock, one queue of what is to happen, nodes, the roads between them, and the rules.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::NodeId;
use base::time::MonoMs;

use super::Plan;
use super::checks::Checks;
use super::client::{Client, Kind};
use super::context::{Context, Out, Timer};
use super::members::Members;
use super::message::{Ask, CallId, Peer, RaftTell, Tell};
use super::mood::{Deaths, Mood};
use super::network::Network;
use super::node::{Node, Nodes, Setup, Stimulus};
use super::quorum::Done;
use super::roads::Calls;
use super::setup::Shape;
use super::trace::Trace;
use crate::Rng;

/// Nobody reads the answers.
pub(super) const PEOPLE: Peer = Peer::Client(usize::MAX);

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

pub(super) struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub calls: Calls,
    pub setup: Setup,
    pub nodes: Nodes,
    pub network: Network,
    pub checks: Checks,
    pub trace: Trace,
    pub calm: bool,
    pub mood: Mood,
    pub clients: Vec<Client>,
    /// Nodes that have come since the beginning.
    pub newcomers: usize,
    /// Where controllers listen that have moved.
    pub ports: Rc<BTreeMap<NodeId, u16>>,
    pub members: Members,
    /// Producers have nothing new to say.
    pub done_writing: bool,
}

impl World {
    pub fn new(plan: Plan, traced: bool) -> Result<Self, String> {
        Self::shaped(plan, traced, None)
    }

    /// With a shape that is perhaps not left to chance.
    pub fn shaped(plan: Plan, traced: bool, shape: Option<Shape>) -> Result<Self, String> {
        let mut rng = Rng::new(plan.seed);
        let (setup, nodes) = super::setup::draw(&mut rng, shape)?;
        let mood = rng.pick(&Mood::ALL).copied().unwrap_or(Mood::QUIET);
        let mut checks = Checks::default();
        checks.partitions.may_lose = mood.deaths == Deaths::Unclean;
        checks.voters = super::setup::first_voters(&nodes);
        Ok(Self {
            plan,
            rng,
            now_ms: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            calls: Calls::default(),
            setup,
            nodes,
            network: Network::new(),
            checks,
            trace: Trace::new(traced),
            calm: false,
            mood,
            clients: Vec::new(),
            newcomers: 0,
            ports: Rc::default(),
            members: Members::default(),
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
        // Where anything may be lost, commits may be, too.
        let promised = self.mood.deaths != Deaths::Unclean;
        let kinds = kinds.into_iter().filter(|kind| promised || *kind != Kind::Committer);
        for (client, kind) in kinds.enumerate() {
            self.clients.push(Client::new(kind));
            self.after(2_500, Event::Client { client });
        }
        if promised && chaos {
            self.add_members();
        }
        Ok(())
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now_ms + ms, self.next_event), event);
    }

    /// Whether such a request has not arrived yet.
    pub fn has_under_way(&self, is_it: impl Fn(&Ask) -> bool) -> bool {
        self.queue.values().any(|event| matches!(event, Event::Arrive { ask, .. } if is_it(ask)))
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

    /// Lets a node take something, and does what it wants.
    pub fn poke(&mut self, id: NodeId, stimulus: Stimulus) -> Done {
        self.with(id, |node, cx| node.handle(cx, stimulus))
    }

    pub fn start(&mut self, id: NodeId) -> Done {
        let Some(node) = self.nodes.get(&id).filter(|node| !node.is_up()) else { return Ok(()) };
        self.checks.starts(node)?;
        let log = &node.disk.meta;
        let disk = format!("metadata {} to {}, {:?}", log.start(), log.end(), log.snapshots.keys());
        self.note(|| format!("n{id} starts ({disk})"));
        let setup = self.setup.clone();
        self.with(id, |node, cx| node.start(cx, &setup))
    }

    pub fn with(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&mut Node, &mut Context<'_>) -> Done,
    ) -> Done {
        let dies = self.nodes.get(&id).is_some_and(|node| node.dies_after.is_some());
        let allowed = self.mood.deaths != Deaths::Few || self.mood.restart_ms == u64::MAX;
        let may_die = dies && (allowed || self.checks.may_fail(&self.nodes, id));
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let mut cx = Context {
            id,
            now: node.now(self.now_ms),
            disk_ms: 1 + self.rng.below(node.disk_ms),
            rng: &mut self.rng,
            out: Vec::new(),
            tamper: self.plan.tamper,
            ports: Rc::clone(&self.ports),
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
            Out::Leads { partition, epoch } => {
                let Some(node) = self.nodes.get(&id) else { return Ok(()) };
                self.checks.leads(node, partition, epoch);
            }
            Out::Committed { partition, epoch, from, records } => {
                self.note(|| {
                    format!(
                        "n{id} commits {} of {} from {from}",
                        records.len(),
                        partition.partition
                    )
                });
                self.checks.partition_committed(id, (partition, epoch), from, &records)?;
                self.checks.follow_groups(partition)?;
            }
            Out::Note(what) => self.note(|| format!("n{id} {what}")),
        }
        Ok(())
    }

    pub fn stop(&mut self, id: NodeId) -> Done {
        self.with(id, |node, cx| node.stop(cx))?;
        self.hang_up(id);
        if self.mood.restart_ms == u64::MAX && !self.calm {
            return Ok(());
        }
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
        self.hang_up(id);
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
