//! Looking at what the directories' volumes have left.

use super::manager::{Dir, LogManager};
use crate::space::Claim;

impl LogManager {
    /// Looks at all volumes; logs take and refuse appends by it until the next look. `reserve_bytes` is kept back on each,
    /// negative: a part of it that suits its size.
    pub fn look_at_space(&self, reserve_bytes: i64) {
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            match self.pool.disk().volume(&dir.path) {
                Ok(Some(volume)) => dir.space.look(volume, reserve_bytes),
                Ok(None) => {}
                // A disk that fails is found by whoever reads or writes it.
                Err(error) => {
                    tracing::debug!(dir = %dir.path.display(), "its volume tells no sizes: {error}");
                }
            }
        }
    }

    /// Some directory refuses appends for want of space.
    pub fn is_short_of_space(&self) -> bool {
        self.dirs.iter().any(|dir| dir.is_online() && dir.space.is_short())
    }

    /// Whether compaction may write a copy of this size into the directory of a log.
    pub fn may_compact(&self, entry: &super::LogEntry, bytes: u64) -> bool {
        let space = self.dirs.get(entry.dir).map(|dir: &Dir| &dir.space);
        space.is_none_or(|space| space.allows_bytes(Claim::Compaction, bytes))
    }
}
