//! Records that a leader appends, and that are committed at once.

use base::{LeaderEpoch, WallMs};
use records::{AppendOrigin, BatchBuilder, ValidationConfig, validate};
use storage::dirs::LogEntry;

pub fn commit(entry: &LogEntry, builder: BatchBuilder, now: WallMs) {
    let config = ValidationConfig::new(AppendOrigin::Client);
    let mut batch = validate::prepare(&builder.build().unwrap()[..], &config, now).unwrap();
    let mut log = entry.log.write();
    log.append_as_leader(&mut batch, LeaderEpoch(0), AppendOrigin::Client, now).unwrap();
    let end = log.end_offset();
    log.set_high_watermark(end);
}
