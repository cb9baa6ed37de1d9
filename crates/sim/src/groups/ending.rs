//! What must come of it when the world is left alone, and when everybody has gone.

use group::Timer;

use super::checks::Verdict;
use super::client::Client;
use super::network::Network;
use super::rest;
use super::world::{Event, World};

/// How long groups may need to become stable when nothing goes wrong any more.
const REST_MS: u64 = 400_000;
const STEP_MS: u64 = 5_000;

impl World {
    pub fn calm_down(&mut self) -> Verdict {
        self.calm = true;
        self.network = Network::CALM;
        self.note("calm");
        self.happen(Event::AppendsHeal)?;
        self.happen(Event::CommitsHeal)?;
        for client in &mut self.clients {
            client.paused_until_ms = client.paused_until_ms.min(self.now_ms + 1_000);
        }
        Ok(())
    }

    /// In the end every group is stable, and every partition somebody's.
    pub fn come_to_rest(&mut self) -> Verdict {
        let end_ms = self.now_ms + REST_MS;
        loop {
            self.run_to(self.now_ms + STEP_MS)?;
            self.ask_for_rebalances()?;
            match self.is_at_rest() {
                Ok(()) => return Ok(()),
                Err(what) if self.now_ms >= end_ms => {
                    return Err(format!("left alone for {REST_MS} ms: {what}"));
                }
                Err(_) => {}
            }
        }
    }

    fn is_at_rest(&self) -> Verdict {
        for group in &self.groups {
            let living = |client: &&Client| client.lives() && client.group() == group;
            let clients: Vec<&Client> = self.clients.iter().filter(living).collect();
            let kind = self.server.runtime.tip().groups().get(group);
            rest::is_at_rest(group, kind, &clients, &self.cluster)?;
        }
        Ok(())
    }

    /// All leave. Groups vanish with their offsets, and nothing is left of them.
    pub fn end(&mut self) -> Verdict {
        self.note("all leave");
        for at in 0..self.clients.len() {
            if self.clients[at].lives() {
                self.act(at, |client, turn| client.leave(turn))?;
            }
        }
        self.run_to(self.now_ms + 120_000)?;
        self.checks.expiry = true;
        for client in &mut self.clients {
            client.crashed = true;
        }
        let retention_ms = self.server.view.offsets.retention_ms;
        let interval_ms = self.server.view.offsets.check_interval_ms;
        self.run_to(self.now_ms + retention_ms + 3 * interval_ms)?;
        let shard = self.server.runtime.tip();
        if let Some((name, kind)) = shard.groups().iter().next() {
            return Err(format!("{name} is still there: {kind:?}"));
        }
        if let Some(left) = shard.offsets().all().next() {
            return Err(format!("{left:?} is still there"));
        }
        let timers = self.server.runtime.timers();
        if let Some(timer) = timers.keys().find(|timer| **timer != Timer::Expiry) {
            return Err(format!("{timer:?} is still set"));
        }
        match self.outstanding.values().next() {
            Some(origin) => Err(format!("{origin:?} is still waiting")),
            None => Ok(()),
        }
    }
}
