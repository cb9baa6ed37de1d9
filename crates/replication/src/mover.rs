//! A replica that moves to another directory of its node: the copy follows the log beside it, and takes its place when the
//! controller knows (KIP-113, KIP-858).
//!
//! The copy is a follower of its own node's log: that can be cut, too, while it is copied. The controller is told where the replica
//! will be before it is there: should the new directory fail a moment later, the controller knows what is lost.

use base::{LeaderEpoch, MonoMs, NodeId};

use crate::follower::{Ask, Effect, Event, Follower, FollowerLog};

/// How far the controller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    /// Nothing was said yet.
    Unsaid,
    /// It was said; nobody knows whether it was heard.
    Said,
    /// It stands in the metadata.
    Taken,
}

/// What a copy that has all its log has is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Tell the controller of the new directory.
    Tell,
    /// The controller has not answered yet.
    Wait,
    /// Take the log's place.
    Swap,
}

/// One replica on its way.
#[derive(Clone, Debug)]
pub struct Mover {
    follower: Follower,
    word: Word,
}

impl Mover {
    /// Begins, or goes on after a restart, with what the copy holds. `backoff_ms` is `replica.fetch.backoff.ms`.
    pub fn new(
        own: NodeId,
        backoff_ms: u64,
        copy: &dyn FollowerLog,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let follower = Follower::new(own, LeaderEpoch::NONE, backoff_ms, copy, effects);
        Self { follower, word: Word::Unsaid }
    }

    /// What to look for in the log now.
    pub fn ask(&self, now: MonoMs, copy: &dyn FollowerLog) -> Ask {
        self.follower.ask(now, copy)
    }

    /// Takes what was found. What the effects say is to be done to the copy before the next look.
    pub fn step(
        &mut self,
        now: MonoMs,
        copy: &dyn FollowerLog,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        self.follower.step(now, copy, event, effects);
    }

    /// The copy has all that the log has. After [`Next::Tell`] the answer is [`Next::Wait`] until the controller has spoken.
    pub fn caught_up(&mut self) -> Next {
        match self.word {
            Word::Unsaid => {
                self.word = Word::Said;
                Next::Tell
            }
            Word::Said => Next::Wait,
            Word::Taken => Next::Swap,
        }
    }

    /// The controller has taken the new directory, or will never answer to what was said: then it is told anew.
    pub fn told(&mut self, taken: bool) {
        self.word = if taken { Word::Taken } else { Word::Unsaid };
    }

    /// The controller may believe that the replica is in the new directory: to be taken back when the move ends here.
    pub fn is_announced(&self) -> bool {
        self.word != Word::Unsaid
    }
}
