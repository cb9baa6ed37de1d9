//! The cleaning of one log: its memory, its pace, and what the log file says about it.

use std::time::{Duration, Instant};

use base::Offset;
use config::broker::CleanerConfig;
use storage::dirs::{CleanResult, Grabbed};
use storage::log::cleaning::{self, CleanError, CleanRequest, CleanStats, KeyMap};
use tracing::info;

use super::{PAUSE_MAX, Shared};
use crate::clock::random_bytes;
use crate::node::Node;

pub(super) fn clean(
    node: &Node,
    shared: &Shared,
    config: &CleanerConfig,
    grabbed: &Grabbed,
) -> CleanResult {
    let log = &grabbed.entry.log;
    let request = CleanRequest {
        first_dirty: Offset(grabbed.dirt.first_dirty),
        first_uncleanable: Offset(grabbed.dirt.first_uncleanable),
        now: node.clock.wall(),
        delete_retention_ms: log.read().config().delete_retention_ms,
    };
    let hash_key = [random_bytes(), random_bytes()].map(u64::from_le_bytes);
    let mut map = KeyMap::new(memory_bytes(config), config.io_buffer_load_factor, hash_key);
    let mut pace = |bytes| shared.pass(node, grabbed, bytes);
    let mut swapped = || node.logs.run_work(&grabbed.entry, node.clock.wall());
    let begin = Instant::now();
    match cleaning::clean(log, &request, &mut map, &mut pace, &mut swapped) {
        Ok(stats) => {
            tell(grabbed, &stats, begin.elapsed());
            CleanResult::Upto(stats.upto)
        }
        Err(CleanError::Cancelled | CleanError::Changed) => CleanResult::Void,
        Err(CleanError::Log(fault)) => CleanResult::Failed(fault),
    }
}

/// One cleaner's share of `log.cleaner.dedupe.buffer.size`.
fn memory_bytes(config: &CleanerConfig) -> u64 {
    let share = config.dedupe_buffer_size / i64::from(config.threads.max(1));
    u64::try_from(share).unwrap_or(0)
}

fn tell(grabbed: &Grabbed, stats: &CleanStats, took: Duration) {
    let read = stats.bytes_read;
    let dirt = &grabbed.dirt;
    info!(
        log = %grabbed.partition,
        dirty = format_args!("{:.1} %", dirt.ratio() * 100.0),
        late_ms = dirt.delay_ms,
        from = dirt.first_dirty,
        upto = %stats.upto,
        took_ms = took.as_millis(),
        bytes = read,
        bytes_left = stats.bytes_written,
        records = stats.records_read,
        records_left = stats.records_written,
        segments = stats.segments_read,
        segments_left = stats.segments_written,
        map_used = format_args!("{:.1} %", stats.map_utilization * 100.0),
        "log cleaned"
    );
}

impl Shared {
    /// Bytes were read or written: waits until they have had their time. False when the cleaning is to end.
    fn pass(&self, node: &Node, grabbed: &Grabbed, bytes: u64) -> bool {
        let rate = || node.config().cleaner.io_max_bytes_per_second;
        self.pace.lock().charge(bytes, rate(), self.elapsed_us());
        loop {
            if self.is_stopped() || grabbed.entry.log.read().failure().is_some() {
                return false;
            }
            let pause_us = self.pace.lock().pause_us(rate(), self.elapsed_us());
            if pause_us == 0 {
                return true;
            }
            std::thread::sleep(Duration::from_micros(pause_us).min(PAUSE_MAX));
        }
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
