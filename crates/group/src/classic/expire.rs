//! Time: members that were not heard of, joins and syncs that did not come; and where the clocks start after a load.

use std::sync::Arc;

use super::Timer;
use super::group::State;
use super::turn::Turn;

impl Turn<'_> {
    pub fn on_timer(&mut self, timer: &Timer) {
        match timer {
            Timer::Session { member, .. } => self.session_over(member),
            Timer::Join { .. } => self.join_over(),
            Timer::Sync { .. } => self.sync_over(),
        }
    }

    /// The log was read: every member has the time of its session to come back.
    pub fn on_loaded(&mut self) {
        let members: Vec<_> = self.group.members().cloned().collect();
        for member in &members {
            self.renew_session(member);
        }
        let fits = i32::try_from(members.len()).is_ok_and(|count| count <= self.config.members_max);
        if !fits {
            self.prepare_rebalance();
        }
    }

    fn session_over(&mut self, id: &Arc<str>) {
        let was_pending = self.group.pending_joins.contains(id);
        if !was_pending && self.group.member(id).is_none_or(|member| member.is_excused()) {
            return;
        }
        self.group.pending_joins.remove_mut(id);
        self.drop_member(id);
        match self.group.state() {
            State::PreparingRebalance if self.group.all_joined() => self.complete_join(),
            State::Stable | State::CompletingRebalance if !was_pending => self.prepare_rebalance(),
            _ => {}
        }
    }

    fn join_over(&mut self) {
        match (self.group.state(), self.group.initial) {
            (State::PreparingRebalance, Some(delay)) => self.extend_or_complete(delay),
            (State::PreparingRebalance, None) => self.complete_join(),
            _ => {}
        }
    }

    fn sync_over(&mut self) {
        let awaited = [State::CompletingRebalance, State::Stable].contains(&self.group.state());
        if !awaited || self.group.pending_syncs.is_empty() {
            return;
        }
        let late: Vec<Arc<str>> = self.group.pending_syncs.iter().cloned().collect();
        for id in late {
            self.drop_member(&id);
            self.cancel(self.session_timer(&id));
        }
        self.prepare_rebalance();
    }
}
