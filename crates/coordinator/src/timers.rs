//! Timers as data, in persistent maps: a failed append takes back what was set and cancelled with it.

use base::MonoMs;
use base::machine::TimerChange;
use rpds::RedBlackTreeMapSync;

/// One deadline per key.
#[derive(Clone, Debug)]
pub struct Timers<K: Ord> {
    by_key: RedBlackTreeMapSync<K, MonoMs>,
    by_time: RedBlackTreeMapSync<(MonoMs, K), ()>,
}

impl<K: Ord + Clone> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: RedBlackTreeMapSync::new_sync(), by_time: RedBlackTreeMapSync::new_sync() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    pub fn apply(&mut self, change: TimerChange<K>) {
        match change {
            TimerChange::Set { key, at } => {
                self.cancel(&key);
                self.by_key.insert_mut(key.clone(), at);
                self.by_time.insert_mut((at, key), ());
            }
            TimerChange::Cancel { key } => self.cancel(&key),
        }
    }

    fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.get(key).copied() {
            self.by_key.remove_mut(key);
            self.by_time.remove_mut(&(at, key.clone()));
        }
    }

    /// When a timer is due, if it is set.
    pub fn get(&self, key: &K) -> Option<MonoMs> {
        self.by_key.get(key).copied()
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    /// When the next one is due.
    pub fn next(&self) -> MonoMs {
        self.by_time.first().map_or(MonoMs::NEVER, |((at, _), ())| *at)
    }

    /// Takes the first that is due.
    pub fn take_due(&mut self, now: MonoMs) -> Option<K> {
        let (at, key) = self.by_time.first().map(|(first, ())| first.clone())?;
        if at > now {
            return None;
        }
        self.cancel(&key);
        Some(key)
    }
}
