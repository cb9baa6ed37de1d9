//! The two contracts of the pure cores.
//!
//! Consensus and replication: `step(now, event, &mut effects)`, never fails, never waits.
//! Controller and coordinators: `handle(now, request, view) -> Outcome`, and `replay(record)`, the only place where
//! their state changes. Replies are named by [`ReplyId`], timers by a key: plain data, so that a log of events replays
//! bit for bit. A driver awaits and executes: decide, append, commit, tell.

/// Names a request whose reply is still owed; the driver keeps the road back to the client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplyId(pub u64);

/// What a record machine answers: records to append, the reply to release once they are committed, timers to set.
#[derive(Debug)]
pub struct Outcome<Record, Reply, Timer = ()> {
    pub records: Vec<Record>,
    pub reply: Reply,
    pub timers: Vec<TimerChange<Timer>>,
    /// All records are committed together or not at all.
    pub atomic: bool,
}

impl<Record, Reply, Timer> Outcome<Record, Reply, Timer> {
    pub fn reply(reply: Reply) -> Self {
        Self { records: Vec::new(), reply, timers: Vec::new(), atomic: false }
    }

    pub fn atomic(records: Vec<Record>, reply: Reply) -> Self {
        Self { records, reply, timers: Vec::new(), atomic: true }
    }
}

/// Set or cancel the timer named by `key`; setting an existing one moves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TimerChange<Key> {
    Set { key: Key, at: crate::MonoMs },
    Cancel { key: Key },
}
