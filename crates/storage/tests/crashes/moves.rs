//! Lives of logs that move between two directories, step by step as a broker moves them.

use base::{LeaderEpoch, WallMs};
use storage::Log;
use storage::dirs::NewFuture;

use crate::life::Life;
use crate::world::{ID, partition};

/// The log is our own: its epochs are not measured against a leader's.
const ANY_EPOCH: LeaderEpoch = LeaderEpoch(i32::MAX);

impl Life {
    pub fn begin_move(&mut self, now: WallMs) {
        let other = &self.world.dirs[1 - self.told.assigned];
        let new = NewFuture {
            partition: &partition(),
            topic_id: ID,
            config: self.world.config(),
            dir: other,
        };
        self.manager.create_future(&new, now).unwrap();
    }

    /// Copies at most so many bytes, or one batch. Tells whether the copy holds what the log holds.
    pub fn copy(&mut self, bytes: u32, now: WallMs) -> bool {
        let Some(copy) = self.manager.future(&partition()) else { return false };
        let cut = self.copy_cut.take();
        let (log, mut copy) = (self.entry.log.read(), copy.log.write());
        follow(&log, &mut copy, cut, now);
        let end = log.end_offset();
        if copy.end_offset() == end {
            return true;
        }
        let data = log.read(copy.end_offset(), bytes, end, true, false).unwrap();
        let bytes = data.records.unwrap().read().unwrap();
        copy.append_as_follower(&bytes, ANY_EPOCH, now).unwrap();
        let copied = copy.end_offset();
        copy.set_high_watermark(copied);
        follow(&log, &mut copy, None, now);
        copy.end_offset() == end
    }

    pub fn finish_move(&mut self, now: WallMs) {
        let Some(copy) = self.manager.future(&partition()) else { return };
        while !self.copy(400, now) {}
        let promised = self.entry.log.read().recovery_point();
        if copy.log.read().recovery_point() < promised {
            self.manager.flush(&copy, now);
        }
        assert!(self.manager.keep_start(&partition()));
        let promoted = {
            let changes = self.manager.changes();
            let (mut log, mut copy) = (self.entry.log.write(), copy.log.write());
            self.manager.promote(&changes, &partition(), &mut log, &mut copy).unwrap().unwrap()
        };
        self.manager.finish_move(promoted, 0, now);
        self.entry = self.manager.get(&partition()).unwrap();
    }
}

/// What a mover finds out by epochs and offsets: the log was cut, has begun anew, or starts later.
fn follow(log: &Log, copy: &mut Log, cut: Option<i64>, now: WallMs) {
    if let Some(cut) = cut {
        copy.truncate_to(base::Offset(cut), now).unwrap();
    }
    let start = log.start_offset();
    if copy.end_offset() < start {
        copy.truncate_fully_and_start_at(start, None, now).unwrap();
    }
    if copy.start_offset() < start {
        let copied = copy.end_offset();
        copy.set_high_watermark(copied);
        copy.delete_records(start).unwrap();
    }
}
