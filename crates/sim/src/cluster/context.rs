//! What a node sees of the world while something happens to it, and what it wants of the world.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::time::{MonoMs, Now};
use base::{LeaderEpoch, NodeId, Offset, TopicIdPartition};

use super::message::{Ask, CallId, Purpose, Tell};
use super::part_log::Record;
use super::tamper::Tamper;
use crate::Rng;

/// Something that a node does to the world, in this order.
#[derive(Clone, Debug)]
pub(super) enum Out {
    Call {
        to: NodeId,
        purpose: Purpose,
        ask: Ask,
        timeout_ms: u64,
    },
    Reply {
        call: CallId,
        tell: Tell,
    },
    Timer {
        at: MonoMs,
        timer: Timer,
    },
    /// Everything before `end` of the metadata log is committed here.
    MetadataCommitted {
        from: Offset,
        end: Offset,
    },
    Elected {
        epoch: i32,
    },
    /// This broker begins to lead a partition in an epoch.
    Leads {
        partition: TopicIdPartition,
        epoch: LeaderEpoch,
    },
    /// The leader of a partition says that these are committed, from `from` on.
    Committed {
        partition: TopicIdPartition,
        epoch: LeaderEpoch,
        from: Offset,
        records: Vec<Record>,
    },
    Note(String),
}

/// What wakes a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    Raft,
    /// The metadata log is flushed.
    MetadataFlushed,
    Controller,
    Lifecycle,
    /// Followers fetch, leaders look at their followers.
    Replication,
}

pub(super) struct Context<'a> {
    pub id: NodeId,
    pub now: Now,
    pub rng: &'a mut Rng,
    pub out: Vec<Out>,
    pub tamper: Option<Tamper>,
    /// Where controllers listen that have moved.
    pub ports: Rc<BTreeMap<NodeId, u16>>,
    pub traced: bool,
    /// How long the disk takes.
    pub disk_ms: u64,
    /// So many effects are still carried out before the process dies.
    pub effects_left: usize,
    /// It has died: what it goes on to do has never happened.
    pub dead: bool,
}

impl Context<'_> {
    pub fn wish(&mut self, out: Out) {
        if !self.dead {
            self.out.push(out);
        }
    }

    /// A line of the trace, if anybody reads it.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if self.traced {
            self.wish(Out::Note(what()));
        }
    }

    pub fn call(&mut self, to: NodeId, purpose: Purpose, ask: Ask, timeout_ms: u64) {
        self.wish(Out::Call { to, purpose, ask, timeout_ms });
    }

    pub fn reply(&mut self, call: CallId, tell: Tell) {
        self.wish(Out::Reply { call, tell });
    }

    pub fn timer(&mut self, at: MonoMs, timer: Timer) {
        if at != MonoMs::NEVER {
            self.wish(Out::Timer { at, timer });
        }
    }

    /// One more effect; false when the process is dead by now.
    pub fn lives_on(&mut self) -> bool {
        match self.effects_left.checked_sub(1) {
            Some(left) => self.effects_left = left,
            None => self.dead = true,
        }
        !self.dead
    }

    pub fn is(&self, tamper: Tamper) -> bool {
        self.tamper == Some(tamper)
    }
}
