//! What a member does with its partitions: fetches where to begin, reads on, commits how far it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use group::{Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::turn::{Ask, Lane, Told, Turn, Waiting};

/// How long an answer about offsets is waited for.
const PATIENCE_MS: u64 = 5_000;

/// As whom a member commits.
#[derive(Clone, Debug)]
pub struct Who {
    pub member_id: String,
    /// Generation or member epoch.
    pub epoch: i32,
    pub instance_id: Option<Arc<str>>,
    pub consumer_protocol: bool,
}

#[derive(Clone, Debug)]
struct Progress {
    /// Which time it was assigned: answers from before are not for this one.
    since: u64,
    position: Option<i64>,
    committed: i64,
}

#[derive(Clone, Debug)]
enum Errand {
    Fetch(Vec<(TopicPartition, u64)>),
    Commit(Vec<(TopicPartition, u64, i64)>),
}

#[derive(Clone, Debug)]
pub struct Work {
    group: Arc<str>,
    owned: BTreeMap<TopicPartition, Progress>,
    times: u64,
    waiting: Option<(Waiting, Errand)>,
}

impl Work {
    pub fn new(group: &Arc<str>) -> Self {
        Self { group: Arc::clone(group), owned: BTreeMap::new(), times: 0, waiting: None }
    }

    pub fn owned(&self) -> BTreeSet<TopicPartition> {
        self.owned.keys().cloned().collect()
    }

    /// Takes over what is new, and forgets what is not there.
    pub fn own(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.owned.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            self.times += 1;
            let fresh = Progress { since: self.times, position: None, committed: -1 };
            self.owned.entry(partition.clone()).or_insert(fresh);
        }
    }

    pub fn lose_all(&mut self) {
        self.owned.clear();
    }

    /// Reads on, and sometimes commits.
    pub fn go_on(&mut self, turn: &mut Turn<'_>, who: &Who) {
        self.give_up_waiting(turn);
        for progress in self.owned.values_mut() {
            if let Some(position) = &mut progress.position {
                *position += i64::try_from(turn.rng.below(4)).unwrap_or(0);
            }
        }
        if self.waiting.is_none() && self.owned.values().any(|one| one.position.is_none()) {
            self.fetch(turn, who);
        } else if turn.rng.chance(30) {
            self.commit(turn, who);
        }
    }

    fn give_up_waiting(&mut self, turn: &Turn<'_>) {
        if self.waiting.as_ref().is_some_and(|(waiting, _)| waiting.until_ms <= turn.now_ms) {
            self.waiting = None;
        }
    }

    pub fn waits_for(&self, call: u64) -> bool {
        self.waiting.as_ref().is_some_and(|(waiting, _)| waiting.call == call)
    }

    /// No answer is awaited any more: what is given up now was committed, or could not be.
    pub fn is_done(&mut self, turn: &Turn<'_>) -> bool {
        self.give_up_waiting(turn);
        self.waiting.is_none()
    }

    fn fetch(&mut self, turn: &mut Turn<'_>, who: &Who) {
        let unknown = self.owned.iter().filter(|(_, progress)| progress.position.is_none());
        let asked: Vec<_> = unknown.map(|(one, progress)| (one.clone(), progress.since)).collect();
        let topics = asked.iter().map(|(one, _)| OffsetFetchRequestTopics {
            name: one.topic.to_string().into(),
            partition_indexes: vec![one.partition.get()],
            ..Default::default()
        });
        let request = OffsetFetchRequestGroup {
            group_id: self.group.to_string().into(),
            member_id: who.consumer_protocol.then(|| who.member_id.clone().into()),
            member_epoch: if who.consumer_protocol { who.epoch } else { -1 },
            topics: Some(topics.collect()),
            ..Default::default()
        };
        let ask = if turn.rng.chance(50) {
            Ask::Request(Request::OffsetFetch(request))
        } else {
            Ask::Query(Query::OffsetFetch(request))
        };
        self.wait(turn, ask, Errand::Fetch(asked));
    }

    /// Commits what is new, unless an answer is still awaited.
    pub fn commit(&mut self, turn: &mut Turn<'_>, who: &Who) {
        let mut done = Vec::new();
        let mut topics = Vec::new();
        for (one, progress) in &self.owned {
            let Some(position) = progress.position.filter(|at| *at > progress.committed) else {
                continue;
            };
            let Some(topic) = turn.cluster.topics.get(&one.topic) else { continue };
            done.push((one.clone(), progress.since, position));
            topics.push(OffsetCommitRequestTopic {
                name: one.topic.to_string().into(),
                topic_id: topic.id,
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: one.partition.get(),
                    committed_offset: position,
                    committed_leader_epoch: -1,
                    committed_metadata: Some("".into()),
                    ..Default::default()
                }],
                ..Default::default()
            });
        }
        if done.is_empty() || self.waiting.is_some() {
            return;
        }
        let request = OffsetCommitRequest {
            group_id: self.group.to_string().into(),
            generation_id_or_member_epoch: who.epoch,
            member_id: who.member_id.clone().into(),
            group_instance_id: who.instance_id.as_ref().map(|id| id.to_string().into()),
            retention_time_ms: -1,
            topics,
            ..Default::default()
        };
        let ask = Ask::Request(Request::OffsetCommit { version: 9, request });
        self.wait(turn, ask, Errand::Commit(done));
    }

    fn wait(&mut self, turn: &mut Turn<'_>, ask: Ask, errand: Errand) {
        let call = turn.send(Lane::Offsets, ask);
        self.waiting = Some((Waiting { call, until_ms: turn.now_ms + PATIENCE_MS }, errand));
    }

    /// Takes an answer; those that nobody waits for any more are nobody's.
    pub fn answered(&mut self, turn: &mut Turn<'_>, call: u64, reply: Result<Reply, ErrorCode>) {
        if self.waiting.as_ref().is_none_or(|(waiting, _)| waiting.call != call) {
            return;
        }
        match (self.waiting.take(), reply) {
            (Some((_, Errand::Fetch(asked))), Ok(Reply::OffsetFetch(reply)))
                if reply.error_code == 0 =>
            {
                let mut rows = BTreeMap::new();
                for topic in &reply.topics {
                    let good = topic.partitions.iter().filter(|row| row.error_code == 0);
                    rows.extend(good.map(|row| {
                        (
                            TopicPartition::new(&*topic.name, row.partition_index),
                            row.committed_offset,
                        )
                    }));
                }
                for (one, since) in asked {
                    if let Some(offset) = rows.get(&one) {
                        self.start(&one, since, *offset);
                    }
                }
            }
            (Some((_, Errand::Commit(done))), Ok(Reply::OffsetCommit(Ok(reply)))) => {
                let mut rows = BTreeSet::new();
                for topic in &reply.topics {
                    let good = topic.partitions.iter().filter(|row| row.error_code == 0);
                    rows.extend(
                        good.map(|row| TopicPartition::new(&*topic.name, row.partition_index)),
                    );
                    let refused = topic.partitions.iter().map(|row| row.error_code);
                    let refused = refused.map(ErrorCode::from_code).find(|error| is_fenced(*error));
                    turn.told.extend(refused.map(|_| Told::Fenced));
                }
                for (one, since, offset) in done {
                    if rows.contains(&one) {
                        self.committed(turn, one, since, offset);
                    }
                }
            }
            (_, Ok(Reply::OffsetCommit(Err(error)))) if is_fenced(error) => {
                turn.told.push(Told::Fenced);
            }
            _ => {}
        }
    }

    fn start(&mut self, one: &TopicPartition, since: u64, committed: i64) {
        let Some(progress) = self.owned.get_mut(one).filter(|own| own.since == since) else {
            return;
        };
        progress.position = Some(committed.max(0));
        progress.committed = committed;
    }

    fn committed(&mut self, turn: &mut Turn<'_>, one: TopicPartition, since: u64, offset: i64) {
        if let Some(progress) = self.owned.get_mut(&one).filter(|own| own.since == since) {
            progress.committed = offset;
        }
        turn.told.push(Told::Committed { partition: one, offset });
    }
}

/// An answer that says: you are not, or not any more.
pub fn is_fenced(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::FencedInstanceId
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::UnreleasedInstanceId
    )
}
