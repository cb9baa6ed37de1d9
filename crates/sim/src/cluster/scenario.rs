//! A cluster without chance: what goes wrong is told step by step, to play what broke others.

use base::{NodeId, Offset};
use replication::FollowerLog;

use super::coordinator::OFFSETS_TOPIC;
use super::message::Peer;
use super::mood::{Deaths, Mood};
use super::network::Weather;
use super::node::Stimulus;
use super::quorum::Done;
use super::setup::Shape;
use super::world::{Event, World};
use super::{Plan, Stats, failure};
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
        Self::begin(seed, Shape { brokers, dynamic: false }, Deaths::Few)
    }

    /// The same with voters that can change.
    ///
    /// # Errors
    /// As every step.
    pub fn dynamic(seed: u64, brokers: i32) -> Result<Self, Failure> {
        Self::begin(seed, Shape { brokers, dynamic: true }, Deaths::Few)
    }

    /// The same with topics that allow unclean elections: what is acknowledged may be lost by one, and only then.
    ///
    /// # Errors
    /// As every step.
    pub fn unclean(seed: u64, brokers: i32) -> Result<Self, Failure> {
        Self::begin(seed, Shape { brokers, dynamic: false }, Deaths::Unclean)
    }

    fn begin(seed: u64, shape: Shape, deaths: Deaths) -> Result<Self, Failure> {
        let plan = Plan { chaos_ms: 0, rest_ms: 0, ..Plan::new(seed) };
        let world = World::shaped(plan, true, Some(shape));
        let mut world = world.map_err(|what| failure(seed, what, Vec::new()))?;
        world.mood = Mood { deaths, ..Mood::QUIET };
        world.checks.partitions.may_lose = deaths == Deaths::Unclean;
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

    /// The process dies, and its disks are empty ones from then on: that of the records, that of the metadata log, or both.
    pub fn lose_disk(&mut self, id: i32, records: bool, metadata: bool) -> Result<(), Failure> {
        self.told(|world| world.replace_disk(NodeId(id), records, metadata))
    }

    /// The broker stops in good order; it stays away.
    pub fn stop(&mut self, id: i32) -> Result<(), Failure> {
        self.told(|world| world.poke(NodeId(id), Stimulus::Leave))
    }

    pub fn unregister(&mut self, id: i32) {
        self.world.unregister(NodeId(id));
    }

    /// Another broker comes; gives its id.
    pub fn newcomer(&mut self) -> Result<i32, Failure> {
        self.told(World::new_broker)?;
        let brokers = self.world.nodes.values().filter(|node| node.roles.broker);
        Ok(brokers.map(|node| node.id.get()).max().unwrap_or(0))
    }

    /// The first partition of the first topic is to live there; or not to move, after all.
    pub fn reassign(&mut self, replicas: Option<Vec<i32>>) {
        self.world.move_partition("one", 0, replicas);
    }

    /// A controller becomes a voter, or is none any more.
    pub fn change_voters(&mut self, id: i32) {
        self.world.change_voters(NodeId(id));
    }

    /// The controller gets another address, and is started again.
    pub fn move_controller(&mut self, id: i32) -> Result<(), Failure> {
        self.told(|world| world.move_controller(NodeId(id)))?;
        self.restart(id)
    }

    /// The committed voters.
    pub fn voters(&self) -> Vec<i32> {
        self.world.checks.voters.ids().iter().map(|id| id.get()).collect()
    }

    /// The least number of replicas in sync for writing to the first topic.
    pub fn set_min_isr(&mut self, min: usize) {
        self.world.configure("one", "min.insync.replicas", &min.to_string());
    }

    /// Groups with members.
    pub fn add_members(&mut self) {
        for group in ["range", "cooperative", "consumer"] {
            self.world.add_member(group);
            self.world.add_member(group);
        }
    }

    /// Leader of the partition of committed offsets.
    pub fn coordinator(&self) -> Option<i32> {
        let topic = self.world.checks.truth().topics.by_name(OFFSETS_TOPIC)?;
        topic.partitions().next().map(|(_, partition)| partition.leader.get())
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// Writes a snapshot of the metadata and drops the log before it; then the process dies. Whether it starts again without
    /// the snapshot; it gets it back.
    pub fn starts_without_snapshot(&mut self, id: i32) -> Result<bool, Failure> {
        self.told(|world| world.poke(NodeId(id), Stimulus::WriteSnapshot))?;
        self.told(|world| world.poke(NodeId(id), Stimulus::CleanLog))?;
        self.kill(id, false)?;
        let Some(node) = self.world.nodes.get_mut(&NodeId(id)) else { return Ok(true) };
        let snapshots = std::mem::take(&mut node.disk.meta.snapshots);
        let starts = self.told(|world| world.start(NodeId(id))).is_ok();
        if let Some(node) = self.world.nodes.get_mut(&NodeId(id)) {
            node.disk.meta.snapshots = snapshots;
        }
        Ok(starts)
    }

    /// What the first says reaches the second so much later.
    pub fn delay(&mut self, from: i32, to: i32, ms: u64) {
        self.world.network.delay(Peer::Node(NodeId(from)), Peer::Node(NodeId(to)), ms);
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
