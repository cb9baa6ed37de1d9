//! Consumer groups within the shard: finds or makes the group, and takes over what was decided.

use std::sync::Arc;

use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::{Decision, decision};

use super::{GroupShard, Reply};
use crate::consumer::{self, Consumer, Refusal, Request, Timer, Work};
use crate::groups::Kind;
use crate::record::{ConsumerRecord, GroupRecord};
use crate::view::View;

/// Records, and timers to set or cancel.
type Effects = (Vec<GroupRecord>, Vec<TimerChange<super::Timer>>);

impl GroupShard {
    pub(super) fn consumer_request(
        &mut self,
        now: Now,
        id: ReplyId,
        request: Request,
        view: &View,
    ) -> Decision<Self> {
        let (records, timers, reply) = match request {
            Request::Heartbeat { caller, request } => {
                let group = Arc::from(&*request.group_id);
                let create = request.member_epoch == 0;
                let leaves = consumer::is_leave(&request);
                let decided = self.consumer_work(now, &group, create, leaves, view, |work| {
                    if leaves { work.leave(&request) } else { work.heartbeat(&caller, &request) }
                });
                match decided {
                    Ok(((records, timers), response)) => (records, timers, response),
                    Err(refusal) => (Vec::new(), Vec::new(), consumer::refused(refusal)),
                }
            }
            Request::MetadataChanged { version, topics, new } => {
                self.metadata_changed(version, &topics, new);
                return Outcome { reply: vec![(id, Reply::Done)], ..decision::<Self>() };
            }
        };
        let reply = Reply::Consumer(consumer::Reply::Heartbeat(reply));
        Outcome { records, reply: vec![(id, reply)], timers, atomic: true }
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
        let (Timer::Session { group, .. }
        | Timer::Rebalance { group, .. }
        | Timer::Regex { group }) = timer;
        if !matches!(self.groups.get(group), Some(Kind::Consumer(_))) {
            return decision::<Self>();
        }
        let decided = self.consumer_work(now, group, false, false, view, |work| {
            work.on_timer(timer);
            Ok(())
        });
        match decided {
            Ok(((records, timers), ())) => {
                Outcome { records, timers, atomic: true, reply: Vec::new() }
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
        let mut all = Vec::new();
        for id in ids {
            let decided = self.consumer_work(now, &id, false, false, view, |work| {
                work.loaded();
                Ok(())
            });
            if let Ok(((_, timers), ())) = decided {
                all.extend(timers);
            }
        }
        all
    }

    /// Decides with a group; what the shard remembers besides the log changes only when the decision stands.
    fn consumer_work<T>(
        &mut self,
        now: Now,
        id: &Arc<str>,
        create: bool,
        leaves: bool,
        view: &View,
        decide: impl FnOnce(&mut Work<'_>) -> Result<T, Refusal>,
    ) -> Result<(Effects, T), Refusal> {
        let mut records = Vec::new();
        let (id, group) = self.consumer_group(id, create, leaves, &mut records)?;
        let memory = self.consumers.of(&id);
        let shared = &mut self.consumers;
        let mut work = Work { now, view, id, group, memory, shared, records, timers: Vec::new() };
        let reply = decide(&mut work)?;
        let Work { id, memory, records, timers, .. } = work;
        self.consumers.put(&id, memory);
        Ok(((records, timers), reply))
    }

    /// The group by its id; one that is not there yet, or that nobody is in, may become a consumer group.
    fn consumer_group(
        &self,
        id: &Arc<str>,
        create: bool,
        leaves: bool,
        records: &mut Vec<GroupRecord>,
    ) -> Result<(Arc<str>, Consumer), Refusal> {
        match self.groups.get_key_value(id) {
            Some((known, Kind::Consumer(group))) => Ok((Arc::clone(known), group.clone())),
            None if create => Ok((Arc::clone(id), Consumer::default())),
            None if leaves => Err(not_a_consumer_group(id, false)),
            None => Err(Refusal::group_not_found(format!("Consumer group {id} not found."))),
            Some((known, kind @ Kind::Classic(_))) if create && kind.is_empty() => {
                records.extend(kind.tombstones(known));
                Ok((Arc::clone(known), Consumer::default()))
            }
            Some(_) => Err(not_a_consumer_group(id, true)),
        }
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
