//! How many connections there may be, in all and from one address. The limits can change while the node runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The limits, as Kafka's `max.connections`, `max.connections.per.ip` and its overrides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    pub max: usize,
    pub per_ip_max: usize,
    pub per_ip_overrides: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct State {
    limits: ConnectionLimits,
    slots: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// Counts connections of all listeners of a node.
#[derive(Debug)]
pub struct ConnectionQuota {
    state: Mutex<State>,
    freed: Notify,
}

/// Room for one connection, whoever it will come from; given back on drop.
#[derive(Debug)]
pub struct Slot(Arc<ConnectionQuota>);

/// One connection's place; given back on drop.
#[derive(Debug)]
pub struct Place {
    slot: Slot,
    ip: IpAddr,
}

impl ConnectionQuota {
    pub fn new(limits: ConnectionLimits) -> Arc<Self> {
        let state = State { limits, slots: 0, per_ip: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    /// Takes over changed limits. Connections above them stay; new ones wait or are refused.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.state.lock().limits = limits;
        self.freed.notify_waiters();
    }

    /// Waits for a free slot: at `max.connections` a listener stops accepting, as Kafka's does.
    pub async fn slot(self: &Arc<Self>) -> Slot {
        loop {
            // Asked for before the look, so that what is freed in between is not missed.
            let freed = self.freed.notified();
            {
                let mut state = self.state.lock();
                if state.slots < state.limits.max {
                    state.slots += 1;
                    return Slot(Arc::clone(self));
                }
            }
            freed.await;
        }
    }

    /// A place for a connection from `ip`, or the limit it is over.
    pub fn place(self: &Arc<Self>, slot: Slot, ip: IpAddr) -> Result<Place, usize> {
        let mut state = self.state.lock();
        let limits = &state.limits;
        let max = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip_max);
        let count = state.per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            drop(state); // the slot's drop takes the lock
            return Err(max);
        }
        state.per_ip.insert(ip, count + 1);
        drop(state);
        Ok(Place { slot, ip })
    }

    /// Open connections, for metrics and tests.
    pub fn connections(&self) -> usize {
        self.state.lock().per_ip.values().sum()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state.lock().slots -= 1;
        self.0.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.slot.0.state.lock();
        if let Some(count) = state.per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                state.per_ip.remove(&self.ip);
            }
        }
    }
}
