//! A follower of a partition: what it asks its leader next, and where it cuts its own log (KIP-101, KIP-279, KIP-320).
//!
//! Its place is its log: it asks for what follows the log's end and says which epoch the last record has. A leader whose log parts
//! from that answers where. Only this, or a leader whose log does not reach that far, makes a follower cut its log; records are never
//! removed for a mere answer that cannot be read.

use base::{LeaderEpoch, MonoMs, NodeId, Offset};

/// The pause after the first refusal; it doubles with each that follows, up to `replica.fetch.backoff.ms`. The leader is mostly
/// about to learn that it is one, and what is written with acks=all waits for its followers.
const REFUSED_MS_FIRST: u64 = 10;
const REFUSED_MS_DOUBLINGS_MAX: u32 = 16;

/// The follower's log.
pub trait FollowerLog {
    fn start(&self) -> Offset;
    fn end(&self) -> Offset;
    fn high_watermark(&self) -> Offset;
    fn latest_epoch(&self) -> Option<LeaderEpoch>;
    /// The largest epoch up to `epoch` and where it ends; `None` when it is newer than all, or older than the log.
    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)>;
}

/// What is to be asked of the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Records from the log's end on.
    Fetch(Position),
    /// Where its log ends (ListOffsets, latest, up to the log's end).
    LogEnd,
    /// Where its log starts (ListOffsets, earliest).
    LogStart,
    /// Nothing before this time.
    Wait { until: MonoMs },
    /// Nothing until the metadata says something new.
    Nothing,
}

/// What a fetch says of the follower's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    pub last_fetched_epoch: LeaderEpoch,
    pub log_start: Offset,
}

impl Position {
    /// An answer to the one is good for the other: retention may have moved the log's start meanwhile. (The leader tells of a
    /// change once; an answer that is thrown away is never repeated.)
    pub fn is_answered_by(&self, asked: &Self) -> bool {
        let moved = Self { log_start: asked.log_start, ..*self };
        moved == *asked
    }
}

/// Why the leader gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// OFFSET_OUT_OF_RANGE
    OutOfRange,
    /// FENCED_LEADER_EPOCH: the metadata here is behind.
    Fenced,
    /// Anything that time may heal: another leader, a leader that is behind, a topic that is not there yet.
    Retry,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The leader's records, perhaps none, were appended.
    Appended {
        high_watermark: Offset,
        log_start: Offset,
    },
    /// They could not be used: damaged on the way. They are fetched again.
    Damaged,
    /// They could not be appended, and will not be next time.
    Failed,
    /// The leader's log parts from ours: its largest epoch up to our last one ends there.
    Diverging {
        epoch: LeaderEpoch,
        end: Offset,
    },
    /// To [`Ask::LogEnd`].
    LogEnd {
        end: Offset,
    },
    /// To [`Ask::LogStart`].
    LogStart {
        start: Offset,
    },
    Refused(Refusal),
    /// The leader cannot be reached or makes no sense.
    Unreachable,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Remove what is at `end` and after it.
    Truncate { end: Offset },
    /// Remove everything and begin at `start`.
    StartOver { start: Offset },
    /// What is committed, as far as it is here. It may be less than before: the leader did not hear the last word of the one
    /// before it.
    HighWatermark(Offset),
    /// The leader removed what is before.
    LogStart(Offset),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Fetching,
    /// Our place is not in the leader's log.
    OutOfRange,
    /// Nor is its end before ours.
    Behind,
    Failed,
}

/// One leader epoch of one partition, from a follower's side.
#[derive(Clone, Debug)]
pub struct Follower {
    leader: NodeId,
    leader_epoch: LeaderEpoch,
    backoff_ms: u64,
    phase: Phase,
    not_before: MonoMs,
    /// How often the leader refused since it last gave something.
    refusals: u32,
    /// Where the leader's log last parted from ours.
    diverged_at: Option<Position>,
}

impl Follower {
    /// Begins to follow. `backoff_ms` is `replica.fetch.backoff.ms`.
    pub fn new(
        leader: NodeId,
        leader_epoch: LeaderEpoch,
        backoff_ms: u64,
        log: &dyn FollowerLog,
        effects: &mut Vec<Effect>,
    ) -> Self {
        // Without epochs there is nothing to compare by: only what is committed can be kept.
        if log.latest_epoch().is_none() && log.end() > log.high_watermark() {
            effects.push(Effect::Truncate { end: log.high_watermark().max(log.start()) });
        }
        Self {
            leader,
            leader_epoch,
            backoff_ms,
            phase: Phase::Fetching,
            not_before: MonoMs(0),
            refusals: 0,
            diverged_at: None,
        }
    }

    pub fn leader(&self) -> NodeId {
        self.leader
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn is_fetching(&self) -> bool {
        self.phase == Phase::Fetching
    }

    /// What to ask the leader now.
    pub fn ask(&self, now: MonoMs, log: &dyn FollowerLog) -> Ask {
        match self.phase {
            Phase::Failed => Ask::Nothing,
            _ if now < self.not_before => Ask::Wait { until: self.not_before },
            Phase::Fetching => Ask::Fetch(self.position(log)),
            Phase::OutOfRange => Ask::LogEnd,
            Phase::Behind => Ask::LogStart,
        }
    }

    /// Where the next fetch begins; an answer to another place is out of date.
    pub fn position(&self, log: &dyn FollowerLog) -> Position {
        Position {
            leader_epoch: self.leader_epoch,
            offset: log.end(),
            last_fetched_epoch: log.latest_epoch().unwrap_or(LeaderEpoch::NONE),
            log_start: log.start(),
        }
    }

    /// Takes an answer to the last [`Ask`]. What the effects say is to be done before the next one.
    pub fn step(
        &mut self,
        now: MonoMs,
        log: &dyn FollowerLog,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        match event {
            Event::Appended { high_watermark, log_start } => {
                self.phase = Phase::Fetching;
                self.refusals = 0;
                let known = high_watermark.clamp(log.start(), log.end());
                if known != log.high_watermark() {
                    effects.push(Effect::HighWatermark(known));
                }
                // What is not committed here is not removed either.
                if log_start > log.start() && log_start <= known {
                    effects.push(Effect::LogStart(log_start));
                }
            }
            Event::Damaged | Event::Unreachable => self.back_off(now),
            Event::Failed => self.phase = Phase::Failed,
            Event::Diverging { epoch, end } => {
                effects.push(Effect::Truncate { end: common_end(log, epoch, end) });
                // The next fetch compares again, by the epoch that is the last one then.
                self.phase = Phase::Fetching;
                let here = self.position(log);
                if self.diverged_at.replace(here) == Some(here) {
                    self.back_off(now); // cutting did not help: the leader makes no sense
                }
            }
            Event::LogEnd { end } if end < log.end() => {
                effects.push(Effect::Truncate { end: end.max(Offset::ZERO) });
                self.phase = Phase::Fetching;
            }
            Event::LogEnd { .. } => self.phase = Phase::Behind,
            Event::LogStart { start } => {
                if start > log.end() {
                    effects.push(Effect::StartOver { start });
                }
                self.phase = Phase::Fetching;
                if start <= log.end() {
                    // The place is in the leader's log after all: it has moved meanwhile.
                    self.back_off(now);
                }
            }
            Event::Refused(Refusal::OutOfRange) => self.phase = Phase::OutOfRange,
            Event::Refused(Refusal::Fenced) => self.back_off(now),
            Event::Refused(Refusal::Retry) => {
                let pause_ms = REFUSED_MS_FIRST << self.refusals.min(REFUSED_MS_DOUBLINGS_MAX);
                self.refusals = self.refusals.saturating_add(1);
                self.not_before = now.plus_ms(pause_ms.min(self.backoff_ms));
            }
        }
    }

    fn back_off(&mut self, now: MonoMs) {
        self.not_before = now.plus_ms(self.backoff_ms);
    }
}

/// Up to where our log can be the leader's, whose largest epoch up to our last one is `epoch` and ends at `end`.
fn common_end(log: &dyn FollowerLog, epoch: LeaderEpoch, end: Offset) -> Offset {
    let end = end.max(Offset::ZERO).min(log.end());
    match log.end_of_epoch(epoch) {
        Some((ours, our_end)) if ours == epoch => our_end.min(end),
        // We do not have that epoch: what we have after the one before it is not the leader's.
        Some((_, our_end)) => our_end.min(log.end()),
        None => end,
    }
}
