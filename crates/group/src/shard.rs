//! One partition of `__consumer_offsets` as a state machine.

use std::convert::Infallible;
use std::sync::Arc;

use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use base::{Offset, TopicId};
use coordinator::{Decision, LogRecord, Producer, Shard};
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::list_groups_response::ListedGroup;
use protocol::messages::offset_commit_request::OffsetCommitRequest;
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::OffsetDeleteResponse;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::{DecodeError, EncodeError, ErrorCode};
use rpds::RedBlackTreeMapSync;

pub(crate) use self::classic::wrap as wrap_classic;
use crate::classic::Classic;
use crate::consumer::{self, Memory};
use crate::groups::{Groups, Kind};
use crate::offsets::Offsets;
use crate::record::GroupRecord;
use crate::view::View;

mod classic;
mod commit;
mod consumers;
mod delete;
mod delete_groups;
mod describe_groups;
mod expire;
mod fetch;
mod list;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    pub name: Arc<str>,
    pub id: TopicId,
}

/// What changes state. Topics have names: the broker has looked up ids and left out what does not exist.
#[derive(Clone, Debug)]
pub enum Request {
    OffsetCommit {
        version: i16,
        request: OffsetCommitRequest<'static>,
    },
    /// TxnOffsetCommit in the same words, with its own version; its records are part of the producer's transaction.
    TxnOffsetCommit {
        version: i16,
        request: OffsetCommitRequest<'static>,
    },
    OffsetDelete(OffsetDeleteRequest<'static>),
    /// With `require_stable`, which waits for commits that are on their way.
    OffsetFetch(OffsetFetchRequestGroup<'static>),
    TopicsDeleted(Vec<DeletedTopic>),
    DeleteGroups(Vec<String>),
    Classic(crate::classic::Request),
    Consumer(consumer::Request),
}

#[derive(Clone, Debug)]
pub enum Query {
    OffsetFetch(OffsetFetchRequestGroup<'static>),
    Consumer(consumer::Query),
    ListGroups { states: Vec<String>, types: Vec<String> },
    DescribeGroups { version: i16, groups: Vec<String> },
}

#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    OffsetCommit(Result<OffsetCommitResponse<'static>, ErrorCode>),
    OffsetDelete(OffsetDeleteResponse<'static>),
    OffsetFetch(OffsetFetchResponseGroup<'static>),
    ListGroups(Vec<ListedGroup<'static>>),
    DescribeGroups(Vec<DescribedGroup<'static>>),
    DeleteGroups(Vec<DeletableGroupResult<'static>>),
    Classic(crate::classic::Reply),
    Consumer(consumer::Reply),
    Done,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Expired offsets are looked for.
    Expiry,
    Classic(crate::classic::Timer),
    Consumer(consumer::Timer),
}

#[derive(Clone, PartialEq, Debug)]
pub struct GroupShard {
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    /// Of consumer groups, beside the log.
    pub(crate) consumers: Memory,
}

impl Default for GroupShard {
    fn default() -> Self {
        Self {
            groups: RedBlackTreeMapSync::new_sync(),
            offsets: Offsets::default(),
            consumers: Memory::default(),
        }
    }
}

impl GroupShard {
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

impl Shard for GroupShard {
    type Request = Request;
    type Query = Query;
    type Reply = Reply;
    type Timer = Timer;
    type Record = GroupRecord;
    type Duty = Infallible;
    type View = View;

    fn handle(&mut self, now: Now, id: ReplyId, request: Request, view: &View) -> Decision<Self> {
        let (records, reply, atomic) = match request {
            Request::Consumer(request) => return self.consumer_request(now, id, request, view),
            Request::Classic(request) => return self.classic(now, id, &request, view),
            Request::OffsetCommit { version, request } => {
                return self.commit(now, id, version, &request, view);
            }
            Request::TxnOffsetCommit { version, request } => {
                return self.commit_in_transaction(now, id, version, &request, view);
            }
            Request::OffsetDelete(request) => {
                let (records, reply) = self.delete_offsets(&request);
                (records, Reply::OffsetDelete(reply), true)
            }
            Request::OffsetFetch(request) => {
                (Vec::new(), Reply::OffsetFetch(self.fetch(&request, true)), true)
            }
            Request::TopicsDeleted(topics) => (self.topics_deleted(&topics), Reply::Done, false),
            Request::DeleteGroups(groups) => {
                let (records, results) = self.delete_groups(&groups);
                (records, Reply::DeleteGroups(results), true)
            }
        };
        Outcome { records, reply: vec![(id, reply)], timers: Vec::new(), atomic }
    }

    fn query(&self, query: Query, view: &View) -> Reply {
        match query {
            Query::OffsetFetch(request) => Reply::OffsetFetch(self.fetch(&request, false)),
            Query::Consumer(query) => self.consumer_query(query, view),
            Query::ListGroups { states, types } => Reply::ListGroups(self.list(&states, &types)),
            Query::DescribeGroups { version, groups } => {
                Reply::DescribeGroups(self.describe(version, &groups))
            }
        }
    }

    fn on_timer(&mut self, now: Now, timer: Timer, view: &View) -> Decision<Self> {
        match timer {
            Timer::Consumer(timer) => self.consumer_timer(now, &timer, view),
            Timer::Classic(timer) => self.classic_timer(now, &timer, view),
            Timer::Expiry => Outcome {
                records: self.expired(now, view),
                timers: vec![next_expiry(now, view)],
                reply: Vec::new(),
                atomic: false,
            },
        }
    }

    fn loaded(&mut self, now: Now, view: &View) -> Decision<Self> {
        let mut decision = self.classic_loaded(now, view);
        decision.timers.extend(self.consumers_loaded(now, view));
        decision.timers.push(next_expiry(now, view));
        decision
    }

    fn replay(&mut self, offset: Offset, producer: Option<Producer>, record: &GroupRecord) {
        match record {
            GroupRecord::Offset { place, value: Some(committed) } => {
                if !self.groups.contains_key(&place.0) {
                    let simple = Kind::Classic(Classic::default());
                    self.groups.insert_mut(Arc::clone(&place.0), simple);
                }
                let (place, committed, at) = (place.clone(), committed.clone(), offset.get());
                match producer {
                    None => self.offsets.put(place, committed, at),
                    Some(producer) => self.offsets.put_pending(producer.id, place, committed, at),
                }
            }
            GroupRecord::Offset { place, value: None } => self.offsets.remove(place),
            GroupRecord::Classic { group, value: Some(classic) } => {
                self.groups.insert_mut(Arc::clone(group), Kind::Classic(classic.clone()));
            }
            GroupRecord::Classic { group, value: None } => {
                if let Some(Kind::Classic(_)) = self.groups.get(group) {
                    self.groups.remove_mut(group);
                }
            }
            GroupRecord::Consumer { group, record } => self.replay_consumer(group, record),
            GroupRecord::Other { group, is_there: true } => {
                self.groups.insert_mut(Arc::clone(group), Kind::Other);
            }
            GroupRecord::Other { group, is_there: false } => {
                if let Some(Kind::Other) = self.groups.get(group) {
                    self.groups.remove_mut(group);
                }
            }
        }
    }

    fn replay_marker(&mut self, producer: Producer, commit: bool) {
        self.offsets.end_transaction(producer.id, commit);
    }

    fn encode(record: &GroupRecord) -> Result<LogRecord, EncodeError> {
        record.encode()
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<GroupRecord>, DecodeError> {
        GroupRecord::decode(key, value)
    }
}

fn next_expiry(now: Now, view: &View) -> TimerChange<Timer> {
    TimerChange::Set { key: Timer::Expiry, at: now.mono.plus_ms(view.offsets.check_interval_ms) }
}
