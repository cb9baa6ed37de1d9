//! One decision on a consumer group while it is made: what is there, and what is to come of it.

use std::sync::Arc;

use base::machine::{ReplyId, TimerChange};
use base::time::Now;

use super::member::{Member, MemberState};
use super::memory::{GroupMemory, Memory};
use super::state::Consumer;
use super::{Timer, config};
use crate::classic;
use crate::record::{ConsumerRecord, GroupRecord, MemberAssignment};
use crate::shard;
use crate::view::View;

/// The group as it was before the decision; nothing in `records` has happened yet.
pub(crate) struct Work<'a> {
    pub now: Now,
    pub view: &'a View,
    pub id: Arc<str>,
    pub group: Consumer,
    pub memory: GroupMemory,
    pub shared: &'a mut Memory,
    pub records: Vec<GroupRecord>,
    pub timers: Vec<TimerChange<shard::Timer>>,
    /// To requests that waited for something else.
    pub replies: Vec<(ReplyId, shard::Reply)>,
}

impl Work<'_> {
    pub fn now_ms(&self) -> i64 {
        self.now.wall.0
    }

    pub fn write(&mut self, record: ConsumerRecord) {
        self.records.push(GroupRecord::Consumer { group: Arc::clone(&self.id), record });
    }

    pub fn write_subscription(&mut self, member: &Member) {
        let value = Some(Arc::clone(&member.subscription));
        self.write(ConsumerRecord::Subscription { member: Arc::clone(&member.id), value });
    }

    pub fn write_current(&mut self, member: &Member) {
        self.write(Self::current_record(member));
    }

    pub fn current_record(member: &Member) -> ConsumerRecord {
        let value = Some(MemberAssignment {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            state: member.state,
            assigned: Arc::clone(&member.assigned),
            revoking: Arc::clone(&member.revoking),
        });
        ConsumerRecord::Current { member: Arc::clone(&member.id), value }
    }

    /// The end of all that is known of a member.
    pub fn write_removal(&mut self, member: &Arc<str>) {
        self.write(ConsumerRecord::Current { member: Arc::clone(member), value: None });
        self.write(ConsumerRecord::Target { member: Arc::clone(member), value: None });
        self.write(ConsumerRecord::Subscription { member: Arc::clone(member), value: None });
    }

    /// The member was heard of.
    pub fn set_session(&mut self, member: &Arc<str>) {
        self.set_session_of(member, config::session_timeout_ms(self.view, &self.id));
    }

    pub fn set_session_of(&mut self, member: &Arc<str>, timeout_ms: i32) {
        let timer = Timer::Session { group: Arc::clone(&self.id), member: Arc::clone(member) };
        self.set(timer, timeout_ms);
    }

    /// Time runs for a member that is to give up partitions, and only for such.
    pub fn set_rebalance(&mut self, member: &Member) {
        let timer =
            Timer::Rebalance { group: Arc::clone(&self.id), member: Arc::clone(&member.id) };
        if member.state == MemberState::Unrevoked {
            self.set(timer, member.subscription.rebalance_timeout_ms);
        } else {
            self.cancel(timer);
        }
    }

    pub fn cancel_timers(&mut self, member: &Arc<str>) {
        let (group, member) = (Arc::clone(&self.id), Arc::clone(member));
        self.cancel(Timer::Session { group: Arc::clone(&group), member: Arc::clone(&member) });
        self.cancel(Timer::Join { group: Arc::clone(&group), member: Arc::clone(&member) });
        self.cancel(Timer::Sync { group: Arc::clone(&group), member: Arc::clone(&member) });
        self.memory.joining.remove_mut(&member);
        self.cancel(Timer::Rebalance { group, member });
    }

    pub fn set(&mut self, timer: Timer, delay_ms: i32) {
        let at = self.now.mono.plus_ms(u64::try_from(delay_ms).unwrap_or(0));
        self.timers.push(TimerChange::Set { key: shard::Timer::Consumer(timer), at });
    }

    pub fn cancel_classic(&mut self, timer: classic::Timer) {
        self.timers.push(TimerChange::Cancel { key: shard::Timer::Classic(timer) });
    }

    pub fn reply(&mut self, id: ReplyId, reply: classic::Reply) {
        self.replies.push((id, shard::Reply::Classic(reply)));
    }

    pub fn cancel(&mut self, timer: Timer) {
        self.timers.push(TimerChange::Cancel { key: shard::Timer::Consumer(timer) });
    }
}
