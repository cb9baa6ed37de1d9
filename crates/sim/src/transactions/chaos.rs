//! What goes wrong: coordinators move, crash and do not hear of it, clocks jump, producers sleep and are replaced; and the end of it.

use super::world::{Event, NODES, World};
use crate::groups::network::Network;

/// How far clocks jump.
const JUMP_MS: u64 = 600_000;

impl World {
    pub fn calm(&mut self) {
        self.chaos = false;
        self.network = Network::CALM;
        self.note("calm");
        // Some leave in the middle of a transaction.
        for at in 0..self.clients.len() {
            if self.rng.chance(50) {
                self.leave(at);
            }
        }
    }

    pub fn chaos(&mut self) -> Result<(), String> {
        if !self.chaos {
            return Ok(());
        }
        let ms = self.rng.range(200, 4_000);
        self.after(ms, Event::Chaos);
        match self.rng.below(7) {
            0 => {
                let to = (self.leader + 1) % NODES;
                let (node, epoch) = (self.leader, self.epoch);
                let ms = self.until_heard();
                self.after(ms, Event::Deposed { node, epoch });
                self.checks.stats.moves += 1;
                self.lead(to)
            }
            1 => {
                self.checks.stats.crashes += 1;
                let node = self.leader;
                self.crash(node);
                self.lead(node)
            }
            2 => {
                let at = usize::try_from(self.rng.below(4)).unwrap_or(0);
                if let Some(partition) = self.partitions.get_mut(at) {
                    partition.restart();
                }
                Ok(())
            }
            // Somebody takes an id that may be in use.
            3 | 4 => {
                if let Some(id) = self.rng.pick(&self.ids).cloned() {
                    self.add_client(&id);
                }
                Ok(())
            }
            5 => {
                let ms = i64::try_from(self.rng.below(JUMP_MS)).unwrap_or(0);
                let ms = if self.rng.chance(50) { ms } else { -ms };
                let node = usize::try_from(self.rng.below(NODES as u64)).unwrap_or(0);
                if let Some(clock) = self.clocks.get_mut(node) {
                    *clock += ms;
                }
                self.checks.stats.jumps += 1;
                self.note(&format!("the clock of {node} jumps by {ms} ms"));
                Ok(())
            }
            _ => {
                self.pause_somebody();
                Ok(())
            }
        }
    }

    /// How long news of another coordinator take.
    pub fn until_heard(&mut self) -> u64 {
        let most_ms = if self.rng.chance(30) { 15_000 } else { 100 };
        1 + self.rng.below(most_ms)
    }
}
