//! Rebalances: members are awaited, those who came form the next generation.

use std::sync::Arc;

use protocol::ErrorCode;
use rpds::RedBlackTreeSetSync;

use super::Reply;
use super::group::{InitialDelay, State};
use super::member::Member;
use super::turn::Turn;

impl Turn<'_> {
    /// Something changed: all are to join again, or this was the last that had to.
    pub(super) fn rebalance_or_complete(&mut self) {
        match self.group.state() {
            State::PreparingRebalance => self.complete_if_all_joined(),
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare_rebalance(),
        }
    }

    pub(crate) fn prepare_rebalance(&mut self) {
        if self.group.state() == State::CompletingRebalance {
            self.take_back_assignments(ErrorCode::RebalanceInProgress);
        }
        self.group.pending_syncs = RedBlackTreeSetSync::new_sync();
        self.cancel(self.sync_timer());
        let initial = self.group.state() == State::Empty;
        self.group.enter(State::PreparingRebalance, self.now.wall.0);
        if initial {
            let delay_ms = self.config.initial_rebalance_delay_ms;
            let remaining_ms = self.group.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.group.initial = Some(InitialDelay { delay_ms, remaining_ms });
            self.set(self.join_timer(), delay_ms);
        } else if self.group.all_joined() {
            self.complete_join();
        } else {
            self.set(self.join_timer(), self.group.rebalance_timeout_ms());
        }
    }

    /// An empty group waits out its delay even when all are here.
    pub(super) fn complete_if_all_joined(&mut self) {
        let rebalancing = self.group.state() == State::PreparingRebalance;
        if rebalancing && self.group.initial.is_none() && self.group.all_joined() {
            self.complete_join();
        }
    }

    /// The delay of an empty group is over: one more when somebody came meanwhile, as long as members may be kept waiting.
    pub(super) fn extend_or_complete(&mut self, delay: InitialDelay) {
        if !self.group.member_added || delay.remaining_ms == 0 {
            return self.complete_join();
        }
        self.group.member_added = false;
        let next = InitialDelay {
            delay_ms: self.config.initial_rebalance_delay_ms.min(delay.remaining_ms),
            remaining_ms: delay.remaining_ms.saturating_sub(delay.delay_ms).max(0),
        };
        self.group.initial = Some(next);
        self.set(self.join_timer(), next.delay_ms);
    }

    /// Those who joined go on without the others; only static members are kept.
    pub(super) fn complete_join(&mut self) {
        self.cancel(self.join_timer());
        let gone = |member: &&Arc<Member>| member.join.is_none() && member.instance_id.is_none();
        let gone: Vec<_> = self.group.members().filter(gone).cloned().collect();
        for member in gone {
            self.drop_member(&member.id);
            self.cancel(self.session_timer(&member.id));
        }
        if !self.group.members.is_empty() && !self.elect_leader() {
            // Nobody came. Who does not come back is removed by its session's end.
            if let Some(initial) = &mut self.group.initial {
                initial.remaining_ms = 0;
            }
            return self.set(self.join_timer(), self.group.rebalance_timeout_ms());
        }
        self.group.next_generation(self.now.wall.0);
        if self.group.state() == State::Empty {
            self.write = true;
        } else {
            self.tell_all();
            self.set(self.sync_timer(), self.group.rebalance_timeout_ms());
        }
    }

    /// Somebody who joined leads: the leader, or else the first.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &str| self.group.member(id).is_some_and(|member| member.join.is_some());
        if self.group.leader().is_some_and(joined) {
            return true;
        }
        let first = self.group.members().find(|member| member.join.is_some());
        let Some(first) = first.map(|member| Arc::clone(&member.id)) else { return false };
        self.group.leader = Some(first);
        true
    }

    fn tell_all(&mut self) {
        let members: Vec<_> = self.group.members().cloned().collect();
        for member in members {
            let response = self.generation(&member.id, self.group.is_leader(&member.id));
            let waiting = self.group.take_join(&member.id);
            self.replies.extend(waiting.map(|id| (id, Reply::JoinGroup(response))));
            self.renew_session(&member);
            self.group.update(&member.id, |member| member.is_new = false);
            self.group.pending_syncs.insert_mut(Arc::clone(&member.id));
        }
    }

    /// Who waits for an assignment is told why there is none.
    pub(super) fn take_back_assignments(&mut self, error: ErrorCode) {
        let members: Vec<_> = self.group.members().cloned().collect();
        for member in members {
            if !member.assignment.is_empty() {
                self.group.update(&member.id, |member| member.assignment = Arc::from([]));
            }
            if let Some(id) = self.group.take_sync(&member.id) {
                self.refuse_sync(id, error);
                self.renew_session(&member);
            }
        }
    }
}
