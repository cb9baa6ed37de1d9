//! A member of a consumer group: who it is, what it wants, what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use crate::Caller;

/// The epoch that a leaving member sends.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch that a static member sends when it will come back.
pub const LEAVE_STATIC_EPOCH: i32 = -2;

/// By topic and partition, the member epoch at which the partition was assigned.
pub type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// How far a member has come to its target assignment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberState {
    Stable,
    /// It must give up partitions first.
    Unrevoked,
    /// It waits for partitions of others.
    Unreleased,
    /// Of a newer version.
    Unknown,
}

impl MemberState {
    pub fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::Unrevoked => 1,
            Self::Unreleased => 2,
            Self::Unknown => 127,
        }
    }

    pub fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::Unrevoked,
            2 => Self::Unreleased,
            _ => Self::Unknown,
        }
    }
}

/// A protocol that a classic member offers, with its subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicProtocol {
    pub name: Arc<str>,
    pub metadata: Arc<[u8]>,
}

/// What a member has that speaks the classic protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMember {
    pub session_timeout_ms: i32,
    pub protocols: Vec<ClassicProtocol>,
}

/// What a member told of itself: the record of its subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    pub instance_id: Option<Arc<str>>,
    pub rack_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub topics: Arc<BTreeSet<Arc<str>>>,
    /// Empty for none, too.
    pub regex: Option<Arc<str>>,
    /// -1 when not told.
    pub rebalance_timeout_ms: i32,
    pub assignor: Option<Arc<str>>,
    pub classic: Option<Arc<ClassicMember>>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: Arc::from(""),
            client_host: Arc::from(""),
            topics: Arc::default(),
            regex: Some(Arc::from("")),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

impl Subscription {
    /// The pattern, when there is one.
    pub fn pattern(&self) -> Option<&Arc<str>> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }

    /// The same from this client.
    pub fn with_client(mut self, caller: &Caller) -> Self {
        keep_or_take(&mut self.client_id, &caller.client_id);
        keep_or_take(&mut self.client_host, &caller.client_host);
        self
    }
}

/// Keeps the old text when it is the same: one allocation for as long as it holds.
fn keep_or_take(old: &mut Arc<str>, new: &Arc<str>) {
    if **old != **new {
        *old = Arc::clone(new);
    }
}

/// A member as the log knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: Arc<str>,
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub subscription: Arc<Subscription>,
    pub assigned: Arc<Owned>,
    /// To be given up before the member moves on.
    pub revoking: Arc<Owned>,
}

impl Member {
    /// Nothing is known of it yet.
    pub fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            subscription: Arc::default(),
            assigned: Arc::default(),
            revoking: Arc::default(),
        }
    }

    pub fn is_reconciled_to(&self, assignment_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == assignment_epoch
    }

    pub fn uses_classic_protocol(&self) -> bool {
        self.subscription.classic.is_some()
    }

    /// The epoch at which a partition came to it, also while it is to give it up.
    pub fn assignment_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let find =
            |owned: &Owned| owned.get(&topic).and_then(|epochs| epochs.get(&partition)).copied();
        find(&self.assigned).or_else(|| find(&self.revoking))
    }

    /// Moves to an epoch, and remembers the one before.
    #[must_use]
    pub fn at(mut self, epoch: i32) -> Self {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
        self
    }
}
