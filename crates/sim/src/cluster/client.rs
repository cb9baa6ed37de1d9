//! Producers and consumers: one request at a time each, as long as it takes.

use std::collections::BTreeMap;

use base::{LeaderEpoch, NodeId, Offset, TopicIdPartition};
use metadata::Image;

use super::committer::Committer;
use super::coordinator::OFFSETS_TOPIC;
use super::message::{Ask, Peer, Purpose, Tell};
use super::quorum::Done;
use super::replica::Refused;
use super::world::{Event, World};

const TIMEOUT_MS: u64 = 2_500;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// With acks=all; idempotent ones number their records.
    Producer {
        idempotent: bool,
    },
    /// With acks=1: nothing is promised.
    Careless,
    Consumer,
    Committer,
}

/// What a client waits for.
#[derive(Clone, Debug)]
enum Waits {
    Nothing,
    Metadata,
    Written { partition: TopicIdPartition, value: u64, after: Option<Offset> },
    Read { partition: TopicIdPartition, offset: Offset },
    Group,
}

pub(super) struct Client {
    kind: Kind,
    image: Image,
    waits: Waits,
    /// The record that is to be written, until it is, and what was acknowledged before it was first sent.
    record: Option<(TopicIdPartition, u64, i32, Option<Offset>)>,
    written: u64,
    sequences: BTreeMap<TopicIdPartition, i32>,
    positions: BTreeMap<TopicIdPartition, Offset>,
    stale: bool,
    committer: Committer,
}

impl Client {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            image: Image::default(),
            waits: Waits::Nothing,
            record: None,
            written: 0,
            sequences: BTreeMap::new(),
            positions: BTreeMap::new(),
            stale: true,
            committer: Committer::default(),
        }
    }

    /// It has something to write that is not acknowledged.
    pub fn owes(&self) -> bool {
        (self.record.is_some() && matches!(self.kind, Kind::Producer { .. }))
            || !self.committer.is_settled()
    }

    fn partitions(&self) -> Vec<(TopicIdPartition, NodeId, LeaderEpoch)> {
        let topics = self.image.topics.iter().filter(|topic| *topic.name != *OFFSETS_TOPIC);
        let all = topics.flat_map(|topic| {
            topic.partitions().map(|(partition, known)| {
                let id = TopicIdPartition { topic_id: topic.id, partition };
                (id, known.leader, known.leader_epoch)
            })
        });
        all.collect()
    }
}

impl World {
    /// A client does the next thing.
    pub fn wake_client(&mut self, at: usize) -> Done {
        let next_ms = self.rng.range(20, 300);
        self.after(next_ms, Event::Client { client: at });
        let Some(client) = self.clients.get(at) else { return Ok(()) };
        if !matches!(client.waits, Waits::Nothing) {
            return Ok(());
        }
        if client.stale || client.image.topics.is_empty() {
            return self.ask_for_metadata(at);
        }
        match client.kind {
            Kind::Consumer => self.consume(at),
            Kind::Committer => self.commit(at),
            Kind::Producer { .. } | Kind::Careless => self.produce(at),
        }
    }

    fn ask_for_metadata(&mut self, at: usize) -> Done {
        let brokers: Vec<NodeId> =
            self.nodes.values().filter(|node| node.roles.broker).map(|node| node.id).collect();
        let Some(to) = self.rng.pick(&brokers).copied() else { return Ok(()) };
        self.client_calls(at, to, Waits::Metadata, Ask::Metadata);
        Ok(())
    }

    fn client_calls(&mut self, at: usize, to: NodeId, waits: Waits, ask: Ask) {
        if let Some(client) = self.clients.get_mut(at) {
            client.waits = waits;
            self.call(Peer::Client(at), to, Purpose::Client, ask, TIMEOUT_MS);
        }
    }

    fn produce(&mut self, at: usize) -> Done {
        let done_writing = self.done_writing;
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let all = client.partitions();
        if client.record.is_none() {
            if done_writing {
                return Ok(());
            }
            let Some((partition, ..)) = self.rng.pick(&all).copied() else { return Ok(()) };
            client.written += 1;
            let value = ((at as u64 + 1) << 32) | client.written;
            let next = client.sequences.entry(partition).or_insert(0);
            let after = self.checks.last_acked(partition);
            client.record = Some((partition, value, *next, after));
            *next += 1;
        }
        let Some((partition, value, number, after)) = client.record else { return Ok(()) };
        let leader = all.iter().find(|(id, ..)| *id == partition).map(|(_, leader, _)| *leader);
        let Some(to) = leader.filter(|id| id.is_some()) else {
            client.stale = true;
            return Ok(());
        };
        let sequence = match client.kind {
            // One producer id per partition, so that its numbers are those of the partition.
            Kind::Producer { idempotent: true } => Some((at as i64, number)),
            _ => None,
        };
        let all = client.kind != Kind::Careless;
        let waits = Waits::Written { partition, value, after };
        self.client_calls(at, to, waits, Ask::Produce { partition, value, sequence, all });
        Ok(())
    }

    fn commit(&mut self, at: usize) -> Done {
        let (fetches, done) = (self.rng.chance(40), self.done_writing);
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let topic = client.image.topics.by_name(OFFSETS_TOPIC);
        let leader = topic.and_then(|topic| Some(topic.partitions().next()?.1.leader));
        let Some(to) = leader.filter(|id| id.is_some()) else {
            client.stale = true;
            return Ok(());
        };
        let settled = client.committer.is_settled();
        let ask = if settled && (fetches || done) {
            client.committer.fetch(at)
        } else {
            client.committer.commit(at)
        };
        self.client_calls(at, to, Waits::Group, Ask::Group(ask));
        Ok(())
    }

    fn consume(&mut self, at: usize) -> Done {
        let Some(client) = self.clients.get(at) else { return Ok(()) };
        let all = client.partitions();
        let Some((partition, to, epoch)) = self.rng.pick(&all).copied() else { return Ok(()) };
        if !to.is_some() {
            if let Some(client) = self.clients.get_mut(at) {
                client.stale = true;
            }
            return Ok(());
        }
        let offset = client.positions.get(&partition).copied().unwrap_or(Offset::ZERO);
        let waits = Waits::Read { partition, offset };
        self.client_calls(at, to, waits, Ask::Read { partition, epoch, offset });
        Ok(())
    }

    pub fn tell_client(&mut self, at: usize, tell: Tell) -> Done {
        let Some(client) = self.clients.get_mut(at) else { return Ok(()) };
        let waits = std::mem::replace(&mut client.waits, Waits::Nothing);
        match (waits, tell) {
            (Waits::Metadata, Tell::Metadata(image)) => {
                // What a broker that is behind says is older than what is known.
                if image.provenance.offset >= client.image.provenance.offset {
                    client.image = *image;
                }
                client.stale = false;
            }
            (Waits::Written { partition, value, after }, Tell::Produced(Ok(offset))) => {
                client.record = None;
                if client.kind != Kind::Careless {
                    self.checks.acked(partition, value, offset, after)?;
                }
            }
            (Waits::Written { .. }, Tell::Produced(Err(Refused::OutOfOrder))) => {
                return Err(format!("client {at} is told that its numbers have a gap"));
            }
            (Waits::Read { partition, offset }, Tell::Read(Ok(records))) => {
                let next = offset.plus(records.len() as i64);
                client.positions.insert(partition, next);
                self.checks.consumed(partition, offset, &records)?;
            }
            (Waits::Read { partition, offset }, Tell::Read(Err(Refused::OutOfRange))) => {
                return Err(format!(
                    "client {at} has read {partition:?} up to {offset}, which is now out of range"
                ));
            }
            (Waits::Group, Tell::Group(Ok(reply))) => {
                self.checks.stats.group_replies += 1;
                client.committer.hear(&reply).map_err(|what| format!("client {at}: {what}"))?;
            }
            _ => client.stale = true,
        }
        if let Some(client) = self.clients.get_mut(at)
            && client.kind == Kind::Careless
            && client.stale
        {
            // It does not care.
            client.record = None;
        }
        Ok(())
    }
}
