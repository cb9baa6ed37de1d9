//! What must come of it when the world is left alone, and when everybody has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use group::classic::State;
use group::{Kind, Timer};

use super::checks::Verdict;
use super::client::{Client, Member};
use super::network::Network;
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
            let clients: Vec<&Client> = self.clients.iter().collect();
            let living = |client: &&&Client| client.lives() && client.group() == group;
            let clients: Vec<&Client> = clients.iter().filter(living).copied().collect();
            if clients.is_empty() {
                continue;
            }
            self.group_is_at_rest(group, &clients)?;
        }
        Ok(())
    }

    fn group_is_at_rest(&self, group: &Arc<str>, clients: &[&Client]) -> Verdict {
        let kind = self.server.runtime.tip().groups().get(group);
        let known: BTreeSet<String> = match kind {
            Some(Kind::Classic(classic)) if classic.state() == State::Stable => {
                classic.members().map(|member| member.id.to_string()).collect()
            }
            Some(Kind::Consumer(consumer)) if consumer.state() == "Stable" => {
                consumer.members().map(|member| member.id.to_string()).collect()
            }
            other => return Err(format!("{group} is {other:?}")),
        };
        let alive: BTreeSet<String> = clients.iter().map(|one| one.id().to_owned()).collect();
        if known != alive {
            return Err(format!("{group} has members {known:?}, alive are {alive:?}"));
        }
        let mut wanted: BTreeSet<TopicPartition> = BTreeSet::new();
        let mut owners: BTreeMap<TopicPartition, &str> = BTreeMap::new();
        for client in clients {
            let topics = self.subscribed(client);
            for topic in topics.iter().filter_map(|name| self.cluster.topics.get(name)) {
                let all = 0..topic.partitions;
                wanted.extend(all.map(|index| TopicPartition::new(Arc::clone(&topic.name), index)));
            }
            for one in client.owned() {
                if !topics.contains(&one.topic) {
                    return Err(format!("{group}: {} did not want {one}", client.id()));
                }
                if let Some(other) = owners.insert(one.clone(), client.id()) {
                    return Err(format!("{group}: {one} of {} and {other}", client.id()));
                }
            }
        }
        let owned: BTreeSet<TopicPartition> = owners.into_keys().collect();
        if owned != wanted {
            return Err(format!("{group}: {owned:?} are owned of {wanted:?}"));
        }
        Ok(())
    }

    fn subscribed(&self, client: &Client) -> BTreeSet<Arc<str>> {
        match &client.member {
            Member::Consumer(member) if member.regex.is_some() => self.topic_names(),
            _ => client.topics().clone(),
        }
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
