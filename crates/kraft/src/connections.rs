//! Requests under way: at most one to each node, a pause after each that failed.

use std::collections::BTreeMap;

use base::{MonoMs, NodeId};

use crate::RequestId;

/// To whom a request went: a known node, or a bootstrap server of which only the address is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Peer {
    Node(NodeId),
    Bootstrap(usize),
}

#[derive(Clone, Copy, Debug)]
enum Connection {
    Awaiting { id: RequestId, until: MonoMs },
    BackingOff { until: MonoMs },
}

impl Connection {
    /// When it counts as ready again, whatever happens.
    fn until(self) -> MonoMs {
        match self {
            Self::Awaiting { until, .. } | Self::BackingOff { until } => until,
        }
    }
}

/// A peer may name ever new leaders that do not exist: of so many is remembered that they are silent.
const SILENT_MAX: usize = 1_000;

/// A peer that is not listed is ready.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    peers: BTreeMap<Peer, Connection>,
    /// Those that gave no answer the last time, and when that was known.
    silent: BTreeMap<Peer, MonoMs>,
    last_id: u64,
    timeout_ms: u64,
    backoff_ms: u64,
}

impl Connections {
    pub(crate) fn new(timeout_ms: u64, backoff_ms: u64) -> Self {
        Self { peers: BTreeMap::new(), silent: BTreeMap::new(), last_id: 0, timeout_ms, backoff_ms }
    }

    pub(crate) fn is_ready(&self, peer: Peer, now: MonoMs) -> bool {
        self.peers.get(&peer).is_none_or(|connection| connection.until() <= now)
    }

    pub(crate) fn has_timed_out(&self, peer: Peer, now: MonoMs) -> bool {
        matches!(self.peers.get(&peer), Some(Connection::Awaiting { until, .. }) if *until <= now)
    }

    pub(crate) fn is_backing_off(&self, peer: Peer, now: MonoMs) -> bool {
        matches!(self.peers.get(&peer), Some(Connection::BackingOff { until }) if *until > now)
    }

    pub(crate) fn any_in_flight(&self, now: MonoMs) -> bool {
        let in_flight = |connection: &Connection| matches!(connection, Connection::Awaiting { until, .. } if *until > now);
        self.peers.values().any(in_flight)
    }

    pub(crate) fn sent(&mut self, peer: Peer, now: MonoMs) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.peers.insert(peer, Connection::Awaiting { id, until: now.plus_ms(self.timeout_ms) });
        id
    }

    /// Who was asked, when the answer is still of interest.
    pub(crate) fn asked(&self, id: RequestId) -> Option<Peer> {
        let is_it = |connection: &Connection| matches!(connection, Connection::Awaiting { id: known, .. } if *known == id);
        self.peers.iter().find(|(_, connection)| is_it(connection)).map(|(peer, _)| *peer)
    }

    /// The request was answered: well, or in a way that makes a pause necessary.
    pub(crate) fn answered(&mut self, id: RequestId, well: bool, now: MonoMs) {
        let Some(peer) = self.asked(id) else { return };
        if well {
            self.peers.remove(&peer);
        } else {
            let until = now.plus_ms(self.backoff_ms);
            self.peers.insert(peer, Connection::BackingOff { until });
        }
    }

    /// Any answer shows that somebody is there.
    pub(crate) fn heard(&mut self, peer: Peer) {
        self.silent.remove(&peer);
    }

    pub(crate) fn not_heard(&mut self, peer: Peer, now: MonoMs) {
        note_silent(&mut self.silent, peer, now);
    }

    /// Since when a peer is silent; those that answered come before all others.
    pub(crate) fn silent_since(&self, peer: Peer) -> Option<MonoMs> {
        self.silent.get(&peer).copied()
    }

    /// No longer waits for an answer that is late.
    pub(crate) fn give_up(&mut self, peer: Peer, now: MonoMs) {
        self.peers.remove(&peer);
        self.not_heard(peer, now);
    }

    /// Answers to all that is under way are of no interest any more.
    pub(crate) fn reset_all(&mut self) {
        self.peers.clear();
    }

    /// Drops what ended by itself, and tells when the next one will.
    pub(crate) fn next_change(&mut self, now: MonoMs) -> MonoMs {
        self.expire(now);
        self.peers.values().map(|connection| connection.until()).min().unwrap_or(MonoMs::NEVER)
    }

    /// Drops what ended by itself; who was awaited in vain is silent.
    pub(crate) fn expire(&mut self, now: MonoMs) {
        let Self { peers, silent, .. } = self;
        peers.retain(|peer, connection| {
            let keep = connection.until() > now;
            if !keep && matches!(connection, Connection::Awaiting { .. }) {
                note_silent(silent, *peer, now);
            }
            keep
        });
    }
}

/// When there is no room, who is silent for longest is forgotten.
fn note_silent(silent: &mut BTreeMap<Peer, MonoMs>, peer: Peer, now: MonoMs) {
    if silent.len() >= SILENT_MAX
        && !silent.contains_key(&peer)
        && let Some(oldest) = silent.iter().min_by_key(|(_, since)| **since).map(|(peer, _)| *peer)
    {
        silent.remove(&oldest);
    }
    silent.insert(peer, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_without_end_are_not_remembered_without_end() {
        let mut connections = Connections::new(1_000, 20);
        for id in 0..3_000 {
            connections.not_heard(Peer::Node(NodeId(id)), MonoMs(id as u64));
        }
        assert_eq!(connections.silent.len(), SILENT_MAX);
        assert_eq!(connections.silent_since(Peer::Node(NodeId(1_999))), None);
        assert_eq!(connections.silent_since(Peer::Node(NodeId(2_000))), Some(MonoMs(2_000)));
    }

    const ONE: Peer = Peer::Node(NodeId(1));
    const TWO: Peer = Peer::Node(NodeId(2));

    #[test]
    fn who_gave_no_answer_is_asked_last_until_heard_again() {
        let mut connections = Connections::new(2_000, 20);
        connections.sent(ONE, MonoMs(0));
        assert!(connections.has_timed_out(ONE, MonoMs(2_000)));
        connections.next_change(MonoMs(2_000));
        assert_eq!(connections.silent_since(ONE), Some(MonoMs(2_000)));
        assert!(connections.is_ready(ONE, MonoMs(2_000)), "it may be asked all the same");
        connections.sent(TWO, MonoMs(2_000));
        connections.give_up(TWO, MonoMs(4_000));
        let order = |connections: &Connections| {
            let mut peers = [TWO, ONE, Peer::Bootstrap(0)];
            peers.sort_by_key(|peer| connections.silent_since(*peer));
            peers
        };
        assert_eq!(order(&connections), [Peer::Bootstrap(0), ONE, TWO]);
        connections.heard(TWO);
        assert_eq!(order(&connections), [TWO, Peer::Bootstrap(0), ONE]);
    }
}
