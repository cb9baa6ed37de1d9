//! What goes wrong, and what people do.

use base::NodeId;

use super::message::Peer;
use super::mood::Deaths;
use super::network::Weather;
use super::node::Stimulus;
use super::quorum::Done;
use super::world::{Event, World};

impl World {
    /// One more thing happens; the next one later.
    pub fn chaos(&mut self) -> Done {
        if self.calm {
            return Ok(());
        }
        let next_ms = self.rng.range(20, self.mood.faults_ms);
        self.after(next_ms, Event::Chaos);
        let Some(id) = self.somebody() else { return Ok(()) };
        match self.rng.below(143) {
            0..12 => {
                let power = self.rng.chance(50);
                self.kill(id, power)?;
            }
            12..20 => {
                // It dies in the middle of something.
                let after = usize::try_from(self.rng.below(6)).unwrap_or(0);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.dies_after = Some(after);
                }
            }
            20..30 => {
                let ms = self.rng.range(200, 12_000);
                self.note(|| format!("n{id} pauses for {ms} ms"));
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.paused_until_ms = self.now_ms + ms;
                }
            }
            30..50 => self.cut(id),
            50..58 => {
                self.note(|| "bad weather".to_owned());
                self.network.weather = Weather::BAD;
                let ms = self.rng.range(500, 8_000);
                self.after(ms, Event::Heal);
            }
            58..64 => {
                let slow = self.rng.range(100, 3_000);
                self.note(|| format!("the disk of n{id} is slow: {slow} ms"));
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.disk_ms = slow;
                }
                let ms = self.rng.range(1_000, 10_000);
                self.after(ms, Event::DiskHeals { node: id });
            }
            64..68 => {
                let year_ms = 365 * 86_400_000_u64;
                let jump = i64::try_from(self.rng.below(2 * year_ms)).unwrap_or(0);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.skew_ms = jump - i64::try_from(year_ms).unwrap_or(0);
                }
                self.note(|| format!("the clock of n{id} jumps"));
            }
            68..76 => self.ask_to_leave(id)?,
            76..86 => self.poke(id, Stimulus::WriteSnapshot)?,
            86..90 => self.poke(id, Stimulus::CleanLog)?,
            90..94 => self.reassign(),
            94..100 => {
                let node = self.controller();
                self.change_voters(node.unwrap_or(id));
            }
            100..106 => {
                let voter = self.controller().filter(|_| self.rng.chance(40));
                self.lose_disk(voter.unwrap_or(id))?;
            }
            106..109 => self.newcomer()?,
            109..112 => self.unregister(id),
            112..117 => self.elect_leaders(),
            117..120 => {
                let node = self.controller();
                self.move_controller(node.unwrap_or(id))?;
            }
            120..140 => self.trouble_members()?,
            _ => self.heal(),
        }
        Ok(())
    }

    /// Any controller, alive or not.
    fn controller(&mut self) -> Option<NodeId> {
        let all = self.nodes.values().filter(|node| node.roles.controller);
        let all: Vec<NodeId> = all.map(|node| node.id).collect();
        self.rng.pick(&all).copied()
    }

    fn somebody(&mut self) -> Option<NodeId> {
        let up: Vec<NodeId> =
            self.nodes.values().filter(|node| node.is_up()).map(|node| node.id).collect();
        self.rng.pick(&up).copied()
    }

    /// A broker that stops before it is registered leaves no epoch behind, as in Kafka: to the controller that is an unclean end.
    fn ask_to_leave(&mut self, id: NodeId) -> Done {
        let Some(node) = self.nodes.get(&id) else { return Ok(()) };
        let is_clean = self.mood.deaths != Deaths::Few || self.checks.is_sound(node);
        if !is_clean && !self.checks.may_fail(&self.nodes, id) {
            return Ok(());
        }
        self.note(|| format!("n{id} is asked to leave"));
        self.poke(id, Stimulus::Leave)
    }

    /// The process dies; with the power, what was not flushed goes, too.
    pub fn kill(&mut self, id: NodeId, power: bool) -> Done {
        if self.mood.deaths == Deaths::Few && !self.checks.may_fail(&self.nodes, id) {
            return Ok(());
        }
        let records = power && self.mood.deaths != Deaths::KeepRecords;
        self.checks.stats.losses += u64::from(records);
        self.note(|| format!("n{id} is killed (power fails: {power}, records go: {records})"));
        if power && let Some(node) = self.nodes.get_mut(&id) {
            node.lose_unflushed(&mut self.rng, records);
            self.checks.compare_logs(node)?;
        }
        self.crash(id)
    }

    /// Some roads close, in one direction or both.
    fn cut(&mut self, id: NodeId) {
        let clients = (0..self.clients.len()).map(Peer::Client);
        let all: Vec<Peer> = self.nodes.keys().map(|id| Peer::Node(*id)).chain(clients).collect();
        let (this, way) = (Peer::Node(id), self.rng.below(4));
        let whole = self.rng.chance(50);
        for other in all.into_iter().filter(|other| *other != this) {
            if !whole && self.rng.chance(50) {
                continue;
            }
            if way != 1 {
                self.network.cut(this, other);
            }
            if way != 2 {
                self.network.cut(other, this);
            }
        }
        self.note(|| format!("roads of n{id} are cut ({way}, {whole})"));
        let ms = self.rng.range(200, 10_000);
        self.after(ms, Event::Heal);
    }

    pub fn heal(&mut self) {
        self.note(|| "the network heals".to_owned());
        self.network.heal();
        self.network.weather = if self.calm { Weather::CALM } else { Weather::USUAL };
    }

    /// No more faults: everything has to become well.
    pub fn come_to_rest(&mut self) -> Done {
        self.calm = true;
        self.heal();
        for node in self.nodes.values_mut() {
            node.paused_until_ms = node.paused_until_ms.min(self.now_ms);
            node.dies_after = None;
            node.disk_ms = 5;
        }
        self.run_to(self.now_ms + self.plan.rest_ms)?;
        self.cancel_reassignments();
        self.done_writing = true;
        self.run_to(self.now_ms + 5_000)?;
        if self.mood.deaths == Deaths::Few {
            self.groups_come_to_rest()?;
        }
        self.well()?;
        self.voters_are_well()?;
        if self.mood.deaths == Deaths::KeepRecords {
            return Ok(());
        }
        self.checks.partitions_are_well(&self.nodes)?;
        match self.clients.iter().position(super::client::Client::owes) {
            Some(at) => Err(format!("client {at} has still not written its record")),
            None => Ok(()),
        }
    }

    /// Liveness: one controller is active, all brokers serve, everybody has read everything.
    fn well(&self) -> Done {
        let active: Vec<NodeId> =
            self.nodes.values().filter(|n| n.is_active()).map(|n| n.id).collect();
        if active.len() != 1 {
            return Err(format!("after the faults the active controllers are {active:?}"));
        }
        let end = self.checks.committed_end();
        for node in self.nodes.values() {
            let id = node.id;
            let Some(process) = &node.process else { return Err(format!("n{id} is not up")) };
            let read = process.quorum.committed();
            // The last no-op record may still be on its way.
            if read.get() + 5 < end.get() {
                return Err(format!("n{id} has read the metadata to {read} of {end}"));
            }
            if node.roles.broker && !self.checks.truth().cluster.is_active(id) {
                return Err(format!("the broker n{id} does not serve"));
            }
        }
        Ok(())
    }
}
