//! Requests and timers of classic groups, for the kind of group that there is.

use std::sync::Arc;

use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::Decision;
use protocol::ErrorCode;

use super::{GroupShard, Reply, Timer};
use crate::classic::{self, Classic, State, Turn};
use crate::groups::Kind;
use crate::record::GroupRecord;
use crate::view::View;

impl GroupShard {
    pub(super) fn classic(
        &mut self,
        now: Now,
        id: ReplyId,
        request: &classic::Request,
        view: &View,
    ) -> Decision<Self> {
        let name: Arc<str> = Arc::from(request.group_id());
        if let Some(error) = classic::refusal(&view.classic, request) {
            return answer(id, classic::refuse(request, error));
        }
        match self.groups.get(&name) {
            Some(Kind::Classic(group)) => {
                let group = group.clone();
                self.classic_turn(now, id, request, view, &name, group)
            }
            None if classic::makes_group(request) => {
                self.new_classic_group(now, id, request, view, &name)
            }
            // A consumer group that nobody is in becomes a classic group.
            Some(kind @ Kind::Consumer(_)) if kind.is_empty() && classic::makes_group(request) => {
                let mut records = kind.tombstones(&name);
                let decision = self.new_classic_group(now, id, request, view, &name);
                records.extend(decision.records);
                Outcome { records, ..decision }
            }
            Some(kind @ Kind::Consumer(_)) if !kind.is_empty() => {
                self.classic_in_consumer(now, id, request, view, &name)
            }
            None | Some(Kind::Consumer(_)) => {
                answer(id, classic::refuse(request, ErrorCode::UnknownMemberId))
            }
            Some(Kind::Other) => answer(id, classic::refuse_elsewhere(request)),
        }
    }

    fn classic_turn(
        &mut self,
        now: Now,
        id: ReplyId,
        request: &classic::Request,
        view: &View,
        name: &Arc<str>,
        group: Classic,
    ) -> Decision<Self> {
        let mut turn = Turn::new(now, &view.classic, name, group);
        turn.request(id, request);
        self.conclude(turn, name)
    }

    /// A group that is not there yet is written, whatever comes of the request.
    fn new_classic_group(
        &mut self,
        now: Now,
        id: ReplyId,
        request: &classic::Request,
        view: &View,
        name: &Arc<str>,
    ) -> Decision<Self> {
        let mut group = Classic::default();
        group.enter(State::Empty, now.wall.0);
        let mut turn = Turn::new(now, &view.classic, name, group);
        turn.write = true;
        turn.request(id, request);
        self.conclude(turn, name)
    }

    pub(super) fn classic_timer(
        &mut self,
        now: Now,
        timer: &classic::Timer,
        view: &View,
    ) -> Decision<Self> {
        let name = timer.group();
        let Some(Kind::Classic(group)) = self.groups.get(name) else {
            return coordinator::decision::<Self>();
        };
        let mut turn = Turn::new(now, &view.classic, name, group.clone());
        turn.on_timer(timer);
        self.conclude(turn, name)
    }

    /// After a load: sessions begin anew.
    pub(super) fn classic_loaded(&mut self, now: Now, view: &View) -> Decision<Self> {
        let mut all = coordinator::decision::<Self>();
        let with_members = self.groups.iter().filter_map(|(name, kind)| match kind {
            Kind::Classic(group) if !group.is_memberless() => {
                Some((Arc::clone(name), group.clone()))
            }
            _ => None,
        });
        let with_members: Vec<(Arc<str>, Classic)> = with_members.collect();
        for (name, group) in with_members {
            let mut turn = Turn::new(now, &view.classic, &name, group);
            turn.on_loaded();
            let decision = self.conclude(turn, &name);
            all.records.extend(decision.records);
            all.timers.extend(decision.timers);
        }
        all
    }

    /// Takes over what a turn has made of the group: by its record, or as what no record holds.
    fn conclude(&mut self, turn: Turn<'_>, name: &Arc<str>) -> Decision<Self> {
        let Turn { group, write, touched, replies, timers, .. } = turn;
        let mut records = Vec::new();
        if write {
            records.push(GroupRecord::Classic { group: Arc::clone(name), value: Some(group) });
        } else if touched {
            self.groups.insert_mut(Arc::clone(name), Kind::Classic(group));
        }
        Outcome {
            records,
            reply: replies.into_iter().map(|(id, reply)| (id, Reply::Classic(reply))).collect(),
            timers: timers.into_iter().map(wrap).collect(),
            atomic: true,
        }
    }
}

fn answer(id: ReplyId, reply: classic::Reply) -> Decision<GroupShard> {
    Outcome::reply(vec![(id, Reply::Classic(reply))])
}

pub(crate) fn wrap(change: TimerChange<classic::Timer>) -> TimerChange<Timer> {
    match change {
        TimerChange::Set { key, at } => TimerChange::Set { key: Timer::Classic(key), at },
        TimerChange::Cancel { key } => TimerChange::Cancel { key: Timer::Classic(key) },
    }
}
