//! What a simulated client sees when it acts, and what it does.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::TopicPartition;
use client::group::assignor::PartitionCounts;
use group::testing::Cluster;
use group::{Caller, Query, Request};

use crate::Rng;

#[derive(Clone, Debug)]
pub enum Ask {
    Request(Request),
    Query(Query),
}

/// Calls on one lane are answered in any order, but a client waits for one at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    Group,
    Offsets,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub id: u64,
    pub lane: Lane,
    pub ask: Ask,
}

/// What a client tells the checker; nobody in the simulated world hears it.
#[derive(Clone, Debug)]
pub enum Told {
    /// A generation gave it these partitions.
    Assigned { generation: i32, partitions: BTreeSet<TopicPartition> },
    /// A commit was acknowledged.
    Committed { partition: TopicPartition, offset: i64 },
    /// It was told that it is no member any more, or that another took its place.
    Fenced,
}

/// One moment of a client.
pub struct Turn<'a> {
    pub now_ms: u64,
    pub rng: &'a mut Rng,
    pub cluster: &'a Cluster,
    pub calls: Vec<Call>,
    pub told: Vec<Told>,
    pub next_call: &'a mut u64,
}

impl Turn<'_> {
    pub fn send(&mut self, lane: Lane, ask: Ask) -> u64 {
        *self.next_call += 1;
        self.calls.push(Call { id: *self.next_call, lane, ask });
        *self.next_call
    }

    pub fn caller(&mut self, version: i16) -> Caller {
        Caller {
            version,
            client_id: Arc::from("sim"),
            client_host: Arc::from("/127.0.0.1"),
            fresh_id: self.rng.uuid(),
        }
    }

    /// Of those topics that exist.
    pub fn counts(&self, topics: &BTreeSet<Arc<str>>) -> PartitionCounts {
        let known = topics.iter().filter_map(|name| self.cluster.topics.get(name));
        known.map(|topic| (Arc::clone(&topic.name), topic.partitions)).collect()
    }
}

/// A call whose answer is awaited until then.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub call: u64,
    pub until_ms: u64,
}
