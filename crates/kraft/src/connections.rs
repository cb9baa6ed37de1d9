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

/// A peer that is not listed is ready.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    peers: BTreeMap<Peer, Connection>,
    last_id: u64,
    timeout_ms: u64,
    backoff_ms: u64,
}

impl Connections {
    pub(crate) fn new(timeout_ms: u64, backoff_ms: u64) -> Self {
        Self { peers: BTreeMap::new(), last_id: 0, timeout_ms, backoff_ms }
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

    pub(crate) fn reset(&mut self, peer: Peer) {
        self.peers.remove(&peer);
    }

    /// Answers to all that is under way are of no interest any more.
    pub(crate) fn reset_all(&mut self) {
        self.peers.clear();
    }

    /// Drops what ended by itself, and tells when the next one will.
    pub(crate) fn next_change(&mut self, now: MonoMs) -> MonoMs {
        self.peers.retain(|_, connection| connection.until() > now);
        self.peers.values().map(|connection| connection.until()).min().unwrap_or(MonoMs::NEVER)
    }
}
