//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections of all listeners of a node.
#[derive(Debug)]
pub struct ConnectionQuota {
    slots: Arc<Semaphore>,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    per_ip_max: usize,
    overrides: HashMap<IpAddr, usize>,
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub struct Place {
    quota: Arc<ConnectionQuota>,
    ip: IpAddr,
    _slot: OwnedSemaphorePermit,
}

impl ConnectionQuota {
    pub fn new(max: usize, per_ip_max: usize, overrides: HashMap<IpAddr, usize>) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            per_ip: Mutex::new(HashMap::new()),
            per_ip_max,
            overrides,
        })
    }

    /// Waits for a free slot: at `max.connections` a listener stops accepting, as Kafka's does.
    pub async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// A place for a connection from `ip`, or the limit it is over.
    pub fn place(self: &Arc<Self>, slot: OwnedSemaphorePermit, ip: IpAddr) -> Result<Place, usize> {
        let max = self.overrides.get(&ip).copied().unwrap_or(self.per_ip_max);
        let mut per_ip = self.per_ip.lock();
        let count = per_ip.entry(ip).or_insert(0);
        if *count >= max {
            if *count == 0 {
                per_ip.remove(&ip);
            }
            return Err(max);
        }
        *count += 1;
        Ok(Place { quota: Arc::clone(self), ip, _slot: slot })
    }

    /// Open connections by address, for metrics and tests.
    pub fn connections(&self) -> usize {
        self.per_ip.lock().values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut per_ip = self.quota.per_ip.lock();
        if let Some(count) = per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&self.ip);
            }
        }
    }
}
