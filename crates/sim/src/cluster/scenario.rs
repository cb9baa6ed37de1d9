//! A cluster without chance: what goes wrong is told step by step, to play what broke others.

use base::{NodeId, Offset};
use replication::FollowerLog;

use super::message::Peer;
use super::network::Weather;
use super::quorum::Done;
use super::world::{Event, Mood, World};
use super::{Plan, failure};
use crate::seeds::Failure;

/// A world under direction. Every step holds the rules.
pub struct Scenario {
    world: World,
}

impl Scenario {
    /// Three controllers, the nodes 101 to 103, and so many brokers, from 1 on, with their topics and clients, all well.
    ///
    /// # Errors
    /// As every step: with the rule that is broken, and what happened.
    pub fn start(seed: u64, brokers: i32) -> Result<Self, Failure> {
        let plan = Plan { chaos_ms: 0, rest_ms: 0, ..Plan::new(seed) };
        let world = World::shaped(plan, true, Some((3, brokers, 0)));
        let mut world = world.map_err(|what| failure(seed, what, Vec::new()))?;
        world.mood = Mood::QUIET;
        world.network.weather = Weather::CALM;
        let mut scenario = Self { world };
        scenario.told(|world| world.begin(false))?;
        scenario.run(8_000)?;
        Ok(scenario)
    }

    fn told(&mut self, act: impl FnOnce(&mut World) -> Done) -> Result<(), Failure> {
        let seed = self.world.plan.seed;
        act(&mut self.world).map_err(|what| failure(seed, what, self.world.trace.lines()))
    }

    /// Time passes.
    pub fn run(&mut self, ms: u64) -> Result<(), Failure> {
        self.told(|world| world.run_to(world.now_ms + ms))
    }

    /// The process dies; with the power, what its broker has not flushed goes. It stays dead.
    pub fn kill(&mut self, id: i32, power: bool) -> Result<(), Failure> {
        self.told(|world| {
            let id = NodeId(id);
            if power && let Some(node) = world.nodes.get_mut(&id) {
                node.lose_unflushed(&mut world.rng, true);
            }
            world.crash(id)
        })
    }

    /// The process dies after so many effects of what it does next.
    pub fn kill_after(&mut self, id: i32, effects: usize) {
        if let Some(node) = self.world.nodes.get_mut(&NodeId(id)) {
            node.dies_after = Some(effects);
        }
    }

    pub fn restart(&mut self, id: i32) -> Result<(), Failure> {
        self.world.after(0, Event::Start { node: NodeId(id) });
        self.run(1)
    }

    pub fn pause(&mut self, id: i32, ms: u64) {
        if let Some(node) = self.world.nodes.get_mut(&NodeId(id)) {
            node.paused_until_ms = self.world.now_ms + ms;
        }
    }

    /// Nothing passes from the first to the second.
    pub fn cut(&mut self, from: i32, to: i32) {
        self.world.network.cut(Peer::Node(NodeId(from)), Peer::Node(NodeId(to)));
    }

    pub fn heal(&mut self) {
        self.world.network.heal();
    }

    /// Producers begin nothing new.
    pub fn hush(&mut self, quiet: bool) {
        self.world.done_writing = quiet;
    }

    /// The active controller.
    pub fn controller(&self) -> Option<i32> {
        let mut nodes = self.world.nodes.values();
        nodes.find(|node| node.is_active()).map(|node| node.id.get())
    }

    /// The epoch of the quorum, as far as any node has come.
    pub fn quorum_epoch(&self) -> i32 {
        let epochs = self.world.nodes.values().filter_map(|node| node.process.as_ref());
        epochs.map(|process| process.quorum.raft.epoch()).max().unwrap_or(0)
    }

    /// Leader and in-sync replicas of the first partition of the first topic, as committed.
    pub fn partition(&self) -> Option<(i32, Vec<i32>)> {
        let topic = self.world.checks.truth().topics.by_name("one")?;
        let (_, first) = topic.partitions().next()?;
        Some((first.leader.get(), first.isr.iter().map(|id| id.get()).collect()))
    }

    /// Records acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.world.checks.stats.acked
    }

    /// Where the broker's replicas end, all of them together.
    pub fn records_of(&self, id: i32) -> i64 {
        let node = self.world.nodes.get(&NodeId(id));
        let logs = node.into_iter().flat_map(|node| node.disk.logs.values());
        logs.map(|log| log.end().get() - Offset::ZERO.get()).sum()
    }

    /// All faults end, the dead are started again; everything has to become well.
    pub fn end(mut self) -> Result<(), Failure> {
        for id in self.world.nodes.keys().copied().collect::<Vec<_>>() {
            self.world.after(0, Event::Start { node: id });
        }
        self.world.done_writing = false;
        self.world.plan.rest_ms = 20_000;
        self.told(World::come_to_rest)
    }
}
