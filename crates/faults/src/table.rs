//! The faults that are on, by name, and what they mean for a frame.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fault::{Fault, Kind, Way};
use crate::frame::Header;

struct Active {
    fault: Fault,
    /// Matching frames so far, and how many of them it was done to.
    seen: u64,
    hits: u64,
}

/// What is done to one frame before it is passed on, or instead.
#[derive(Default, Debug)]
pub struct Verdict {
    pub held_by: Vec<String>,
    pub delay: Duration,
    pub repeat: Vec<(u32, Option<Duration>)>,
    pub lose: Option<Lose>,
    pub reset: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lose {
    Close,
    GoOn,
}

/// How frames go one way over a link.
#[derive(Clone, Copy, Default, Debug)]
pub struct Shape {
    pub latency: Duration,
    pub slice: Option<(usize, Duration)>,
}

pub struct Faults {
    active: Mutex<BTreeMap<String, Active>>,
    /// Until when the bytes of a link with a rate are spoken for.
    busy: Mutex<HashMap<(String, Way), Instant>>,
    changes: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { active: Mutex::default(), busy: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Faults {
    /// Puts a fault in place, instead of the one that had the name.
    pub fn set(&self, name: &str, fault: Fault) {
        self.active.lock().insert(name.to_owned(), Active { fault, seen: 0, hits: 0 });
        self.changes.send_modify(|n| *n += 1);
    }

    /// Ends a fault; says how often it bit.
    pub fn end(&self, name: &str) -> Option<u64> {
        let ended = self.active.lock().remove(name);
        self.changes.send_modify(|n| *n += 1);
        ended.map(|active| active.hits)
    }

    pub fn end_all(&self) {
        self.active.lock().clear();
        self.changes.send_modify(|n| *n += 1);
    }

    /// To how many frames it was done so far; for one of a link that frames do not hit one by one, how many it met.
    pub fn hits(&self, name: &str) -> Option<u64> {
        self.active.lock().get(name).map(|active| active.hits)
    }

    pub(crate) fn shape(&self, link: &str, way: Way) -> Shape {
        let mut shape = Shape::default();
        for active in self.active.lock().values_mut().filter(|a| a.fault.is_on(link, way)) {
            match active.fault.kind {
                Kind::Latency(latency) => shape.latency += latency,
                Kind::Slice { bytes, pause } => shape.slice = Some((bytes, pause)),
                _ => continue,
            }
            active.hits += 1;
        }
        shape
    }

    /// When so many bytes have left, on a link of limited rate.
    pub(crate) fn reserve(&self, link: &str, way: Way, bytes: usize) -> Option<Instant> {
        let mut rate = None;
        for active in self.active.lock().values_mut().filter(|a| a.fault.is_on(link, way)) {
            if let Kind::Rate { bytes_per_s } = active.fault.kind {
                active.hits += 1;
                rate = Some(rate.map_or(bytes_per_s, |least: u64| least.min(bytes_per_s)));
            }
        }
        let takes_ns = (bytes as u64).saturating_mul(1_000_000_000).checked_div(rate?)?;
        let mut busy = self.busy.lock();
        let until = busy.entry((link.to_owned(), way)).or_insert_with(Instant::now);
        *until = (*until).max(Instant::now()) + Duration::from_nanos(takes_ns);
        Some(*until)
    }

    pub(crate) fn refuses(&self, link: &str) -> bool {
        self.meets(link, Way::Request, |kind| kind == Kind::Refuse)
    }

    fn meets(&self, link: &str, way: Way, want: impl Fn(Kind) -> bool) -> bool {
        let mut active = self.active.lock();
        let mut met = false;
        for each in active.values_mut().filter(|a| want(a.fault.kind) && a.fault.is_on(link, way)) {
            each.hits += 1;
            met = true;
        }
        met
    }

    /// Returns when nothing is dropped on this way of the link.
    pub(crate) async fn passable(&self, link: &str, way: Way) {
        let mut changes = self.changes.subscribe();
        while self.meets(link, way, |kind| kind == Kind::Drop) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns when the fault has ended.
    pub(crate) async fn ended(&self, name: &str) {
        let mut changes = self.changes.subscribe();
        while self.active.lock().contains_key(name) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is done to this frame; counts it.
    pub(crate) fn verdict(&self, link: &str, way: Way, header: &Header) -> Verdict {
        let mut verdict = Verdict::default();
        for (name, active) in self.active.lock().iter_mut() {
            let fault = &active.fault;
            if !fault.kind.is_of_frames() || !fault.is_on(link, way) || !fault.matches(header) {
                continue;
            }
            active.seen += 1;
            if active.seen <= fault.skip || active.hits >= fault.count {
                continue;
            }
            active.hits += 1;
            match fault.kind {
                Kind::Hold => verdict.held_by.push(name.clone()),
                Kind::Delay(time) => verdict.delay += time,
                Kind::Repeat { times, after } => verdict.repeat.push((times, after)),
                Kind::Lose { go_on } => {
                    verdict.lose = Some(if go_on { Lose::GoOn } else { Lose::Close });
                }
                Kind::Reset => verdict.reset = true,
                Kind::Latency(_)
                | Kind::Rate { .. }
                | Kind::Slice { .. }
                | Kind::Drop
                | Kind::Refuse => {}
            }
        }
        verdict
    }
}
