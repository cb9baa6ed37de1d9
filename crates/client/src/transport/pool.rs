//! One connection per node, opened when first needed, with a pause that grows after each failure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use parking_lot::Mutex;
use protocol::FinalizedFeatures;
use tokio::time::Instant;

use super::connection::Connection;
use crate::backoff;
use crate::error::{Error, Result};
use crate::options::{Address, ClientOptions};

/// A node of the cluster, or the n-th of the bootstrap list, whose id is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Peer {
    Node(NodeId),
    Bootstrap(usize),
}

struct Slot {
    address: Address,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    failures: u32,
    not_before: Option<Instant>,
}

/// All connections of one client.
pub(crate) struct Pool {
    options: Arc<ClientOptions>,
    slots: Mutex<HashMap<Peer, Arc<Slot>>>,
    /// The newest that any server told.
    finalized: Mutex<FinalizedFeatures>,
}

impl Pool {
    pub(crate) fn new(options: Arc<ClientOptions>) -> Self {
        Self { options, slots: Mutex::default(), finalized: Mutex::default() }
    }

    /// The connection to a peer at this address; opened, or waited for, when there is none.
    pub(crate) async fn get(&self, peer: Peer, address: &Address) -> Result<Connection> {
        let slot = self.slot(peer, address);
        let mut state = slot.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|c| !c.is_closed()) {
            return Ok(connection.clone());
        }
        if state.connection.take().is_some() {
            // Lost after it had worked: the first new try waits as after one failure.
            self.failed(&mut state);
        }
        if let Some(not_before) = state.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        match Connection::open(&slot.address, &self.options).await {
            Ok(connection) => {
                state.failures = 0;
                state.not_before = None;
                state.connection = Some(connection.clone());
                self.learn(connection.versions().finalized());
                Ok(connection)
            }
            Err(error) => {
                self.failed(&mut state);
                tracing::warn!("{error}");
                Err(error)
            }
        }
    }

    fn learn(&self, told: &FinalizedFeatures) {
        let mut known = self.finalized.lock();
        if told.epoch > known.epoch {
            known.clone_from(told);
        }
    }

    /// What the cluster has finalized, as far as its servers told.
    pub(crate) fn finalized(&self) -> FinalizedFeatures {
        self.finalized.lock().clone()
    }

    fn failed(&self, state: &mut State) {
        state.failures = state.failures.saturating_add(1);
        let pause_ms = self.options.reconnect_backoff.after(state.failures, backoff::random());
        state.not_before = Some(Instant::now() + Duration::from_millis(pause_ms));
    }

    fn slot(&self, peer: Peer, address: &Address) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        let known = slots.get(&peer).filter(|slot| slot.address == *address);
        if let Some(slot) = known {
            return Arc::clone(slot);
        }
        // A node that moved gets a new slot; the old connection ends with its last user.
        let slot =
            Arc::new(Slot { address: address.clone(), state: tokio::sync::Mutex::default() });
        slots.insert(peer, Arc::clone(&slot));
        slot
    }

    /// Forgets nodes that are no longer part of the cluster.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.slots.lock().retain(|peer, _| match peer {
            Peer::Node(id) => keep(*id),
            Peer::Bootstrap(_) => true,
        });
    }

    /// The first peer that answers, tried in the order given.
    pub(crate) async fn first(&self, peers: &[(Peer, Address)]) -> Result<Connection> {
        let mut last = None;
        for (peer, address) in peers {
            match self.get(*peer, address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Closed))
    }
}
