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
use crate::groups::client::Client as Member;

pub(super) const TIMEOUT_MS: u64 = 2_500;
/// More than there are clients: the next producer id of the same one.
const PRODUCERS_MAX: i64 = 1_000;

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
    Member,
}

/// What a client waits for.
#[derive(Clone, Debug)]
enum Waits {
    Nothing,
    Metadata,
    Written { partition: TopicIdPartition, value: u64, after: Option<Offset> },
    Read { partition: TopicIdPartition, at: (Offset, LeaderEpoch) },
    Group,
}

pub(super) struct Client {
    kind: Kind,
    image: Image,
    waits: Waits,
    /// The record that is to be written, until it is, and what was acknowledged before it was first sent.
    record: Option<(TopicIdPartition, u64, (i64, i32), Option<Offset>)>,
    written: u64,
    /// For each partition a producer id, and the number of the next record.
    sequences: BTreeMap<TopicIdPartition, (i64, i32)>,
    /// Where it reads on, and the epoch of the record before.
    positions: BTreeMap<TopicIdPartition, (Offset, LeaderEpoch)>,
    pub stale: bool,
    committer: Committer,
    member: Option<Box<Member>>,
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
            member: None,
        }
    }

    /// A member of a group.
    pub fn of_group(member: Member) -> Self {
        Self { member: Some(Box::new(member)), ..Self::new(Kind::Member) }
    }

    pub fn member(&self) -> Option<&Member> {
        self.member.as_deref()
    }

    pub fn member_mut(&mut self) -> Option<&mut Member> {
        self.member.as_deref_mut()
    }

    /// Who coordinates groups, as far as this client knows.
    pub fn coordinator(&self) -> Option<NodeId> {
        let topic = self.image.topics.by_name(OFFSETS_TOPIC)?;
        let (_, partition) = topic.partitions().next()?;
        partition.has_leader().then_some(partition.leader)
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
            Kind::Member => self.wake_member(at),
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
            let next = client.sequences.entry(partition).or_insert((at as i64, 0));
            let after = self.checks.last_acked(partition);
            client.record = Some((partition, value, *next, after));
            next.1 += 1;
        }
        let Some((partition, value, number, after)) = client.record else { return Ok(()) };
        let leader = all.iter().find(|(id, ..)| *id == partition).map(|(_, leader, _)| *leader);
        let Some(to) = leader.filter(|id| id.is_some()) else {
            client.stale = true;
            return Ok(());
        };
        let sequence = match client.kind {
            Kind::Producer { idempotent: true } => Some(number),
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
        let Some(to) = client.coordinator() else {
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
        let place = client.positions.get(&partition).copied();
        let place = place.unwrap_or((Offset::ZERO, LeaderEpoch::NONE));
        let (offset, last_epoch) = place;
        let waits = Waits::Read { partition, at: place };
        self.client_calls(at, to, waits, Ask::Read { partition, epoch, offset, last_epoch });
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
                let Some((partition, value, (producer, _), after)) = client.record else {
                    return Ok(());
                };
                if !self.checks.has_forked(partition) {
                    return Err(format!("client {at} is told that its numbers have a gap"));
                }
                // What it wrote before is lost: it begins anew, under another id.
                let next = (producer + PRODUCERS_MAX, 0);
                client.record = Some((partition, value, next, after));
                client.sequences.insert(partition, (next.0, 1));
            }
            (Waits::Read { partition, at }, Tell::Read(Ok(records))) => {
                if let Some(last) = records.last() {
                    let next = at.0.plus(records.len() as i64);
                    client.positions.insert(partition, (next, last.epoch));
                }
                self.checks.consumed(partition, at, &records)?;
            }
            // KIP-320: what it has read is gone, and it is told.
            (
                Waits::Read { partition, .. },
                Tell::Read(Err(Refused::OutOfRange | Refused::Diverging(_))),
            ) if self.checks.has_forked(partition) => {
                client.positions.remove(&partition);
                client.stale = true;
            }
            (
                Waits::Read { partition, at: (offset, _) },
                Tell::Read(Err(error @ (Refused::OutOfRange | Refused::Diverging(_)))),
            ) => {
                return Err(format!(
                    "client {at} has read {partition:?} up to {offset}, which is now {error:?}"
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
