//! Timers of consumer groups, and which of them a loaded group needs.

use std::sync::Arc;

use super::Timer;
use super::member::{LEAVE_STATIC_EPOCH, MemberState};
use super::work::Work;

impl Work<'_> {
    pub(crate) fn on_timer(&mut self, timer: &Timer) {
        match timer {
            Timer::Session { member, .. }
            | Timer::Join { member, .. }
            | Timer::Sync { member, .. } => {
                if let Some(member) = self.group.member(member).cloned() {
                    self.fence(&[member]);
                }
            }
            Timer::Rebalance { member, .. } => {
                let member = self.group.member(member).cloned();
                // A static member that is away has no time to keep but its session.
                let late = member.filter(|member| {
                    member.state == MemberState::Unrevoked && member.epoch != LEAVE_STATIC_EPOCH
                });
                if let Some(member) = late {
                    self.fence(&[member]);
                }
            }
            Timer::Regex { .. } => self.resolve(),
        }
    }

    /// The group was read from the log: its members have a session's time to show up.
    pub(crate) fn loaded(&mut self) {
        for (id, member) in self.group.members.clone().iter() {
            self.set_session(&Arc::clone(id));
            if member.state == MemberState::Unrevoked {
                self.set_rebalance(member);
            }
        }
    }
}
