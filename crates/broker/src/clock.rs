//! The only place of the broker that reads clocks and the system's randomness; everything else gets them as arguments.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::time::Now;
use base::{MonoMs, Uuid, WallMs};

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub fn mono(&self) -> MonoMs {
        MonoMs(self.start.elapsed().as_millis() as u64)
    }

    pub fn wall(&self) -> WallMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        WallMs(since.map_or(0, |d| d.as_millis() as i64))
    }

    pub fn now(&self) -> Now {
        Now { wall: self.wall(), mono: self.mono() }
    }

    /// The moment of the runtime's timers that `at` stands for.
    pub fn instant(&self, at: MonoMs) -> Instant {
        let far = std::time::Duration::from_millis(at.0.min(1 << 42));
        self.start + far
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes from the system's generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

/// A new id that Kafka, too, could have handed out.
pub fn random_uuid() -> Uuid {
    loop {
        if let Some(id) = Uuid::from_random(random_bytes()) {
            return id;
        }
    }
}
