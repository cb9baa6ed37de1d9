//! What the task of a membership and the application's handle share: who the member is, what it wants, what changes.

use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::error::Error;

/// What a member of a group wants to read.
#[derive(Clone)]
pub enum Subscription {
    Topics(Vec<Arc<str>>),
    /// Topics that this test accepts; the client looks for them.
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    /// A regular expression (RE2) that the coordinator resolves. In the consumer protocol only.
    Regex(Arc<str>),
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topics(topics) => f.debug_tuple("Topics").field(topics).finish(),
            Self::Matching(_) => f.write_str("Matching"),
            Self::Regex(regex) => f.debug_tuple("Regex").field(regex).finish(),
        }
    }
}

/// Who the coordinator knows this member as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub member_id: Arc<str>,
    /// Generation or member epoch; -1 while it is no member.
    pub epoch: i32,
}

impl Identity {
    pub(crate) fn none() -> Self {
        Self { member_id: "".into(), epoch: -1 }
    }
}

/// What happens to the partitions of a member.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Assign(Vec<TopicPartition>),
    /// They are still this member's until it says so.
    Revoke(Vec<TopicPartition>),
    /// They are somebody else's already.
    Lose(Vec<TopicPartition>),
    /// The membership is over.
    Fail(Error),
}

/// A change, and whom to tell when the application has taken notice.
pub(crate) struct Notice {
    pub(crate) change: Change,
    pub(crate) done: oneshot::Sender<()>,
}

/// When the application last asked for records: a member whose application is stuck leaves its partitions to others.
#[derive(Debug)]
pub(crate) struct Polls(Mutex<(u32, Instant)>);

impl Polls {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    /// The application is asking until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Polling {
        self.0.lock().0 += 1;
        Polling(Arc::clone(self))
    }

    /// When the application will have been away for `limit`; None while it is asking.
    pub(crate) fn overdue_at(&self, limit: Duration) -> Option<Instant> {
        let (asking, last) = *self.0.lock();
        if asking > 0 { None } else { last.checked_add(limit) }
    }
}

pub(crate) struct Polling(Arc<Polls>);

impl Drop for Polling {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        *state = (state.0.saturating_sub(1), Instant::now());
    }
}

/// The task's end.
pub(crate) struct Link {
    /// Room for one: the task waits for each change to be taken before it makes the next.
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) identity: watch::Sender<Identity>,
    pub(crate) subscription: watch::Receiver<Subscription>,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) polls: Arc<Polls>,
}

impl Link {
    /// Returns when the application closes its handle, or has dropped it.
    pub(crate) async fn closed(mut closing: watch::Receiver<bool>) {
        let _gone = closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn is(&self, member_id: &str, epoch: i32) {
        self.identity.send_replace(Identity { member_id: member_id.into(), epoch });
    }

    /// Puts a change before the application. The answer comes when it was taken.
    pub(crate) async fn tell(&self, change: Change) -> oneshot::Receiver<()> {
        let (done, taken) = oneshot::channel();
        // Without an application the answer comes at once, as an error that nobody minds.
        let _gone = self.notices.send(Notice { change, done }).await;
        taken
    }
}

/// What a member has to do to get from `owned` to `target`: give up, and take on.
pub fn difference(
    owned: &[TopicPartition],
    target: &[TopicPartition],
) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
    let missing = |from: &[TopicPartition], list: &[TopicPartition]| -> Vec<TopicPartition> {
        let list: std::collections::HashSet<&TopicPartition> = list.iter().collect();
        let mut missing: Vec<_> = from.iter().filter(|tp| !list.contains(tp)).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    };
    (missing(owned, target), missing(target, owned))
}
