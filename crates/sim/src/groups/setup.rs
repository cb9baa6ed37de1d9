//! Who lives in the world: groups of one kind each, clients with random habits, topics.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::group::assignor::Assignor;

use super::classic::ClassicMember;
use super::client::{Client, Member};
use super::consumer::ConsumerMember;
use super::mixed;
use super::world::{Event, World};

/// Names that clients subscribe to, whether they exist or not.
const TOPICS: u8 = 5;

/// What the clients of a group have in common, by the group's name.
fn style(group: &str) -> Option<Assignor> {
    match group {
        "range" => Some(Assignor::Range),
        "roundrobin" => Some(Assignor::RoundRobin),
        "sticky" => Some(Assignor::Sticky),
        "cooperative" => Some(Assignor::CooperativeSticky),
        _ => None,
    }
}

const GROUPS: [&str; 9] = [
    "range",
    "roundrobin",
    "sticky",
    "cooperative",
    "consumer",
    "consumer2",
    "mixed-range",
    "mixed-sticky",
    "mixed-cooperative",
];

impl World {
    pub fn set_up(&mut self) {
        for _ in 0..self.rng.range(1, 3) {
            if let Some(name) = self.rng.pick(&GROUPS).copied()
                && !self.groups.iter().any(|known| **known == *name)
            {
                self.groups.push(Arc::from(name));
            }
        }
        for _ in 0..self.rng.range(1, 3) {
            self.create_topic();
        }
        for group in self.groups.clone() {
            for _ in 0..self.rng.range(1, 5) {
                self.add_client(&group, None);
            }
        }
    }

    /// A new client; when another one is given, with its instance id, and as it was configured.
    pub fn add_client(&mut self, group: &Arc<str>, successor_of: Option<usize>) {
        let at = self.clients.len();
        let mut topics: BTreeSet<Arc<str>> = BTreeSet::new();
        for _ in 0..self.rng.range(1, 3) {
            topics.insert(Arc::from(format!("t{}", self.rng.below(u64::from(TOPICS)))));
        }
        let mut instance_id = self.rng.chance(25).then(|| Arc::from(format!("i{at}")));
        if let Some(other) = successor_of.and_then(|other| self.clients.get(other)) {
            (instance_id, topics) = (other.instance_id().cloned(), other.topics().clone());
        }
        let rebalance_timeout_ms = i32::try_from(self.rng.range(8_000, 20_000)).unwrap_or(20_000);
        let style = match mixed::assignor(group) {
            Some(assignor) => self.draws_classic(group).then_some(assignor),
            None => style(group),
        };
        let member = match style {
            Some(assignor) => {
                let mut member = ClassicMember::new(group, assignor, topics);
                member.instance_id = instance_id;
                member.rebalance_timeout_ms = rebalance_timeout_ms;
                member.session_timeout_ms =
                    i32::try_from(self.rng.range(6_000, 15_000)).unwrap_or(6_000);
                // Before v4 nobody needs an id to join; before v9 a static member does not know that it leads.
                let versions: &[i16] = if member.instance_id.is_some() { &[9] } else { &[3, 5, 9] };
                member.version = self.rng.pick(versions).copied().unwrap_or(9);
                Member::Classic(member)
            }
            None => {
                let id = self.rng.uuid().to_string();
                let mut member = ConsumerMember::new(group, id, topics);
                member.instance_id = instance_id;
                member.rebalance_timeout_ms = rebalance_timeout_ms;
                member.server_assignor =
                    self.rng.pick(&[None, Some("uniform"), Some("range")]).copied().flatten();
                member.regex = self.rng.chance(20).then(|| Arc::from("t[0-9]"));
                Member::Consumer(member)
            }
        };
        self.note(&format!("client {at} comes to {group}"));
        self.clients.push(Client::new(member));
        let ms = self.rng.below(500);
        self.after(ms, Event::Wake { client: at });
    }

    pub fn create_topic(&mut self) {
        if self.next_topic >= TOPICS {
            return;
        }
        let name = format!("t{}", self.next_topic);
        self.next_topic += 1;
        let partitions = i32::try_from(self.rng.range(1, 6)).unwrap_or(1);
        self.cluster.put_topic(&name, self.next_topic, partitions);
        self.note(&format!("topic {name} with {partitions}"));
        self.tell_metadata(&[Arc::from(name)], true);
    }
}
