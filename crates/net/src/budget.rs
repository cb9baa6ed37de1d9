//! One budget of bytes for all frames that are being read or worked on.
//!
//! Every connection charges what its buffer may grow to before it grows. When the budget is used up, connections stop
//! reading (back-pressure on the socket) until others give back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The semaphore counts in units of this many bytes, since one request for permits is at most `u32::MAX`.
const UNIT_BYTES: usize = 1024;

/// Shared by all listeners of a node.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// Bytes held; given back on drop.
#[derive(Debug, Default)]
pub struct BudgetPermit(Option<OwnedSemaphorePermit>);

impl Budget {
    pub fn new(bytes_max: usize) -> Self {
        let units = (bytes_max / UNIT_BYTES).clamp(1, u32::MAX as usize >> 1) as u32;
        Self { units: Arc::new(Semaphore::new(units as usize)), units_max: units }
    }

    /// Bytes that nobody holds now.
    pub fn available_bytes(&self) -> usize {
        self.units.available_permits() * UNIT_BYTES
    }

    /// Adds `bytes` to what `permit` holds, waiting at most `wait_max` for others to give back; false on time-out.
    /// A demand above the whole budget is served by the whole budget, so that a legal frame is never refused for ever.
    pub async fn grow(&self, permit: &mut BudgetPermit, bytes: usize, wait_max: Duration) -> bool {
        let held = permit.0.as_ref().map_or(0, |p| p.num_permits() as u32);
        let wanted =
            (bytes.div_ceil(UNIT_BYTES) as u64).min(u64::from(self.units_max - held)) as u32;
        if wanted == 0 {
            return true;
        }
        let more = match Arc::clone(&self.units).try_acquire_many_owned(wanted) {
            Ok(more) => more,
            Err(_) => {
                let acquire = Arc::clone(&self.units).acquire_many_owned(wanted);
                match tokio::time::timeout(wait_max, acquire).await {
                    Ok(Ok(more)) => more,
                    _ => return false,
                }
            }
        };
        match &mut permit.0 {
            Some(held) => held.merge(more),
            None => permit.0 = Some(more),
        }
        true
    }
}
