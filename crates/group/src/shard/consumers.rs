//! Consumer groups within the shard: finds or makes the group, and takes over what was decided.

use std::sync::Arc;

use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::{Decision, decision};

use super::{GroupShard, Reply};
use crate::classic::{self, Classic};
use crate::consumer::{self, Consumer, Refusal, Request, Timer, Work};
use crate::groups::Kind;
use crate::record::{ConsumerRecord, GroupRecord};
use crate::view::View;

/// What comes of a decision on a group.
struct Decided<T> {
    records: Vec<GroupRecord>,
    timers: Vec<TimerChange<super::Timer>>,
    /// To requests that had waited.
    others: Vec<(ReplyId, Reply)>,
    reply: T,
}

impl<T> Decided<T> {
    fn answer(self, id: ReplyId, reply: impl FnOnce(T) -> Reply) -> Decision<GroupShard> {
        let mut replies = self.others;
        replies.push((id, reply(self.reply)));
        Outcome { records: self.records, reply: replies, timers: self.timers, atomic: true }
    }
}

/// How a group is found that is to be a consumer group.
enum Start {
    New,
    There(Consumer),
    /// Of another kind, and nobody is in it.
    Empty {
        tombstones: Vec<GroupRecord>,
    },
    Upgrade(Classic),
}

/// What the request is to a group that may not be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Join,
    GoOn,
    Leave,
}

impl GroupShard {
    pub(super) fn consumer_request(
        &mut self,
        now: Now,
        id: ReplyId,
        request: Request,
        view: &View,
    ) -> Decision<Self> {
        let (caller, request) = match request {
            Request::Heartbeat { caller, request } => (caller, request),
            Request::MetadataChanged { version, topics, new } => {
                self.metadata_changed(version, &topics, new);
                return Outcome { reply: vec![(id, Reply::Done)], ..decision::<Self>() };
            }
        };
        let group = Arc::from(&*request.group_id);
        let leaves = consumer::is_leave(&request);
        let asks = match request.member_epoch {
            _ if leaves => Asks::Leave,
            0 => Asks::Join,
            _ => Asks::GoOn,
        };
        let decided = self.consumer_work(now, &group, asks, view, |work| {
            if leaves { work.leave(&request) } else { work.heartbeat(&caller, &request) }
        });
        let wrap = |response| Reply::Consumer(consumer::Reply::Heartbeat(response));
        match decided {
            Ok(decided) => decided.answer(id, wrap),
            Err(refusal) => Outcome {
                reply: vec![(id, wrap(consumer::refused(refusal)))],
                ..decision::<Self>()
            },
        }
    }

    /// A request of the classic protocol to a consumer group with members.
    pub(super) fn classic_in_consumer(
        &mut self,
        now: Now,
        id: ReplyId,
        request: &classic::Request,
        view: &View,
        name: &Arc<str>,
    ) -> Decision<Self> {
        let decided = self.consumer_work(now, name, Asks::GoOn, view, |work| {
            Ok(match request {
                classic::Request::JoinGroup { caller, request } => {
                    classic::Reply::JoinGroup(work.classic_join(caller, request)?)
                }
                classic::Request::SyncGroup { request, .. } => {
                    classic::Reply::SyncGroup(work.classic_sync(request)?)
                }
                classic::Request::Heartbeat { request, .. } => {
                    classic::Reply::Heartbeat(work.classic_heartbeat(request)?)
                }
                classic::Request::LeaveGroup { request, .. } => {
                    classic::Reply::LeaveGroup(work.classic_leave(request))
                }
            })
        });
        match decided {
            Ok(decided) => decided.answer(id, Reply::Classic),
            Err(refusal) => {
                let mut reply = classic::refuse(request, refusal.error);
                if let classic::Reply::JoinGroup(response) = &mut reply {
                    response.member_id = "".into();
                }
                Outcome { reply: vec![(id, Reply::Classic(reply))], ..decision::<Self>() }
            }
        }
    }

    pub(super) fn consumer_query(&self, query: consumer::Query, view: &View) -> Reply {
        let consumer::Query::Describe { groups } = query;
        let groups = groups.iter().map(|id| match self.groups.get(id.as_str()) {
            Some(Kind::Consumer(group)) => consumer::describe(id, group, view),
            other => consumer::undescribed(id, not_a_consumer_group(id, other.is_some())),
        });
        Reply::Consumer(consumer::Reply::Described(groups.collect()))
    }

    pub(super) fn consumer_timer(
        &mut self,
        now: Now,
        timer: &Timer,
        view: &View,
    ) -> Decision<Self> {
        let group = timer.group();
        if !matches!(self.groups.get(group), Some(Kind::Consumer(_))) {
            return decision::<Self>();
        }
        let decided = self.consumer_work(now, group, Asks::GoOn, view, |work| {
            work.on_timer(timer);
            Ok(())
        });
        match decided {
            Ok(Decided { records, timers, others, .. }) => {
                Outcome { records, reply: others, timers, atomic: true }
            }
            Err(_refused) => decision::<Self>(),
        }
    }

    /// The timers of the consumer groups that the log held.
    pub(super) fn consumers_loaded(
        &mut self,
        now: Now,
        view: &View,
    ) -> Vec<TimerChange<super::Timer>> {
        self.consumers.new_topics = view.metadata.version();
        let consumers = self.groups.iter().filter(|(_, kind)| matches!(kind, Kind::Consumer(_)));
        let ids: Vec<Arc<str>> = consumers.map(|(id, _)| Arc::clone(id)).collect();
        let mut timers = Vec::new();
        for id in ids {
            let decided = self.consumer_work(now, &id, Asks::GoOn, view, |work| {
                work.loaded();
                Ok(())
            });
            timers.extend(decided.into_iter().flat_map(|decided| decided.timers));
        }
        timers
    }

    /// Decides with a group; what the shard remembers besides the log changes only when the decision stands.
    fn consumer_work<T>(
        &mut self,
        now: Now,
        id: &Arc<str>,
        asks: Asks,
        view: &View,
        decide: impl FnOnce(&mut Work<'_>) -> Result<T, Refusal>,
    ) -> Result<Decided<T>, Refusal> {
        let (id, start) = self.consumer_group(id, asks)?;
        let mut work = Work {
            now,
            view,
            group: Consumer::default(),
            memory: self.consumers.of(&id),
            id,
            shared: &mut self.consumers,
            records: Vec::new(),
            timers: Vec::new(),
            replies: Vec::new(),
        };
        match start {
            Start::New => {}
            Start::There(group) => work.group = group,
            Start::Empty { tombstones } => work.records = tombstones,
            Start::Upgrade(classic) => work.upgrade(&classic)?,
        }
        let reply = decide(&mut work)?;
        let Work { id, memory, records, timers, replies: others, .. } = work;
        self.consumers.put(&id, memory);
        Ok(Decided { records, timers, others, reply })
    }

    /// The group by its id; one that is not there, or of another kind, may become a consumer group for who joins.
    fn consumer_group(&self, id: &Arc<str>, asks: Asks) -> Result<(Arc<str>, Start), Refusal> {
        let Some((known, kind)) = self.groups.get_key_value(id) else {
            return match asks {
                Asks::Join => Ok((Arc::clone(id), Start::New)),
                Asks::Leave => Err(not_a_consumer_group(id, false)),
                Asks::GoOn => {
                    Err(Refusal::group_not_found(format!("Consumer group {id} not found.")))
                }
            };
        };
        let start = match kind {
            Kind::Consumer(group) => Start::There(group.clone()),
            Kind::Classic(_) if asks == Asks::Join && kind.is_empty() => {
                Start::Empty { tombstones: kind.tombstones(known) }
            }
            Kind::Classic(classic) if asks == Asks::Join => Start::Upgrade(classic.clone()),
            Kind::Classic(_) | Kind::Other => return Err(not_a_consumer_group(id, true)),
        };
        Ok((Arc::clone(known), start))
    }

    /// Groups that subscribe to these topics look at them again.
    fn metadata_changed(&mut self, version: i64, topics: &[Arc<str>], new: bool) {
        self.consumers.topics_changed(version, topics, new);
        for (id, kind) in self.groups.iter() {
            if let Kind::Consumer(group) = kind
                && topics.iter().any(|topic| group.is_subscribed_to(topic))
            {
                self.consumers.want(id, version);
            }
        }
    }

    pub(super) fn replay_consumer(&mut self, id: &Arc<str>, record: &ConsumerRecord) {
        if let Some(Kind::Consumer(group)) = self.groups.get_mut(id) {
            if matches!(record, ConsumerRecord::EpochTombstone) {
                self.groups.remove_mut(id);
                self.consumers.forget(id);
            } else {
                group.replay(record);
            }
            return;
        }
        // The end of something that is not there.
        if record.is_tombstone() || matches!(self.groups.get(id), Some(Kind::Other)) {
            return;
        }
        let mut group = Consumer::default();
        group.replay(record);
        self.groups.insert_mut(Arc::clone(id), Kind::Consumer(group));
    }
}

/// Kafka's words on a group that is none of consumers.
fn not_a_consumer_group(id: &str, exists: bool) -> Refusal {
    Refusal::group_not_found(if exists {
        format!("Group {id} is not a consumer group.")
    } else {
        format!("Group {id} not found.")
    })
}
