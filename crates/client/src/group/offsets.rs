//! Committing offsets at the coordinator, and asking it for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{TopicId, TopicPartition};
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;

use super::member::Identity;
use crate::admin::PerItem;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::transport::{Connection, Reply};

/// The last version of both requests that names topics; later ones carry their ids.
const LAST_BY_NAME: i16 = 9;
/// The first version of OffsetFetch that asks for several groups.
const FIRST_BATCHED: i16 = 8;

/// A committed offset with what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    pub offset: i64,
    /// Of the last record before the offset; -1 when it is not known.
    pub leader_epoch: i32,
    pub metadata: String,
}

impl CommittedOffset {
    pub fn new(offset: i64) -> Self {
        Self { offset, leader_epoch: -1, metadata: String::new() }
    }
}

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

/// Names and ids of topics, both ways, as far as the metadata knows them.
pub(crate) struct TopicIds<'m> {
    metadata: &'m Metadata,
}

impl<'m> TopicIds<'m> {
    pub(crate) fn new(metadata: &'m Metadata) -> Self {
        Self { metadata }
    }

    pub(crate) fn id(&self, name: &str) -> TopicId {
        self.metadata.topic(name).map_or(TopicId::ZERO, |topic| topic.id)
    }

    fn all_known<'a>(&self, mut names: impl Iterator<Item = &'a Arc<str>>) -> bool {
        names.all(|name| !self.id(name).is_zero())
    }
}

/// Commits in one request. The connection is the coordinator's.
pub(crate) async fn commit(
    connection: &Connection,
    group: &str,
    identity: &Identity,
    instance_id: Option<&str>,
    offsets: &Offsets,
    metadata: &Metadata,
) -> Result<PerItem<TopicPartition, ()>> {
    let ids = TopicIds::new(metadata);
    let mut topics: BTreeMap<&Arc<str>, Vec<OffsetCommitRequestPartition<'_>>> = BTreeMap::new();
    for (tp, offset) in offsets {
        topics.entry(&tp.topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: tp.partition.get(),
            committed_offset: offset.offset,
            committed_leader_epoch: offset.leader_epoch,
            committed_metadata: Some(offset.metadata.as_str().into()),
            ..Default::default()
        });
    }
    let cap = if ids.all_known(topics.keys().copied()) { i16::MAX } else { LAST_BY_NAME };
    let names: HashMap<TopicId, Arc<str>> =
        topics.keys().map(|name| (ids.id(name), Arc::clone(name))).collect();
    let topic = |(name, partitions): (&Arc<str>, Vec<_>)| OffsetCommitRequestTopic {
        name: name.to_string().into(),
        topic_id: ids.id(name),
        partitions,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: identity.epoch,
        member_id: (&*identity.member_id).into(),
        group_instance_id: instance_id.map(Into::into),
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    };
    let timeout_ms = connection.request_timeout_ms();
    let reply = connection.call_within(&request, cap, timeout_ms).await?;
    let response: OffsetCommitResponse<'_> = reply.decode()?;
    let mut results = Vec::with_capacity(offsets.len());
    for topic in &response.topics {
        let name = named(&reply, &names, topic.topic_id, &topic.name)?;
        for p in &topic.partitions {
            let tp = TopicPartition::new(Arc::clone(&name), p.partition_index);
            results.push((tp, Error::check(p.error_code, None)));
        }
    }
    Ok(results)
}

/// Who asks, and for what.
pub(crate) struct Wanted<'a> {
    pub(crate) group: &'a str,
    /// Checked by the coordinator in the consumer protocol only.
    pub(crate) identity: Option<&'a Identity>,
    /// None: all that are committed.
    pub(crate) partitions: Option<&'a [TopicPartition]>,
    /// Fails while a transaction may still change them.
    pub(crate) require_stable: bool,
}

/// Asks for offsets in one request. Partitions without one are missing from the answer.
pub(crate) async fn fetch(
    connection: &Connection,
    wanted: &Wanted<'_>,
    metadata: &Metadata,
) -> Result<PerItem<TopicPartition, CommittedOffset>> {
    let ids = TopicIds::new(metadata);
    let mut topics: BTreeMap<&Arc<str>, Vec<i32>> = BTreeMap::new();
    for tp in wanted.partitions.unwrap_or_default() {
        topics.entry(&tp.topic).or_default().push(tp.partition.get());
    }
    // An answer about everything may name topics that nobody here has heard of: only names help then.
    let by_id = wanted.partitions.is_some() && ids.all_known(topics.keys().copied());
    let cap = if by_id { i16::MAX } else { LAST_BY_NAME };
    let names: HashMap<TopicId, Arc<str>> =
        topics.keys().map(|name| (ids.id(name), Arc::clone(name))).collect();
    let version = connection.version_for::<OffsetFetchRequest<'_>>()?.min(cap);
    let mut request =
        OffsetFetchRequest { require_stable: wanted.require_stable, ..Default::default() };
    if version < FIRST_BATCHED {
        request.group_id = wanted.group.into();
        let topic = |(name, indexes): (&Arc<str>, Vec<i32>)| OffsetFetchRequestTopic {
            name: name.to_string().into(),
            partition_indexes: indexes,
            ..Default::default()
        };
        let listed = topics.into_iter().map(topic).collect();
        request.topics = wanted.partitions.is_some().then_some(listed);
    } else {
        let topic = |(name, indexes): (&Arc<str>, Vec<i32>)| OffsetFetchRequestTopics {
            name: name.to_string().into(),
            topic_id: ids.id(name),
            partition_indexes: indexes,
            ..Default::default()
        };
        let listed = topics.into_iter().map(topic).collect();
        request.groups = vec![OffsetFetchRequestGroup {
            group_id: wanted.group.into(),
            member_id: wanted.identity.map(|identity| (&*identity.member_id).into()),
            member_epoch: wanted.identity.map_or(-1, |identity| identity.epoch),
            topics: wanted.partitions.is_some().then_some(listed),
            ..Default::default()
        }];
    }
    let timeout_ms = connection.request_timeout_ms();
    let reply = connection.call_within(&request, cap, timeout_ms).await?;
    answered(&reply, &names)
}

fn answered(
    reply: &Reply,
    names: &HashMap<TopicId, Arc<str>>,
) -> Result<PerItem<TopicPartition, CommittedOffset>> {
    let response: OffsetFetchResponse<'_> = reply.decode()?;
    let mut found = Vec::new();
    let mut take = |name: &Arc<str>, index, code, offset, leader_epoch, metadata: Option<&str>| {
        let committed = CommittedOffset {
            offset,
            leader_epoch,
            metadata: metadata.unwrap_or_default().to_owned(),
        };
        match Error::check(code, None) {
            Ok(()) if offset < 0 => {}
            result => found
                .push((TopicPartition::new(Arc::clone(name), index), result.map(|()| committed))),
        }
    };
    if reply.version < FIRST_BATCHED {
        Error::check(response.error_code, None)?;
        for topic in &response.topics {
            let name: Arc<str> = topic.name.as_ref().into();
            for p in &topic.partitions {
                let (epoch, text) = (p.committed_leader_epoch, p.metadata.as_deref());
                take(&name, p.partition_index, p.error_code, p.committed_offset, epoch, text);
            }
        }
        return Ok(found);
    }
    for group in &response.groups {
        Error::check(group.error_code, None)?;
        for topic in &group.topics {
            let name = named(reply, names, topic.topic_id, &topic.name)?;
            for p in &topic.partitions {
                let (epoch, text) = (p.committed_leader_epoch, p.metadata.as_deref());
                take(&name, p.partition_index, p.error_code, p.committed_offset, epoch, text);
            }
        }
    }
    Ok(found)
}

/// The topic of an answer, by whichever of the two its version carries.
fn named(
    reply: &Reply,
    names: &HashMap<TopicId, Arc<str>>,
    id: TopicId,
    name: &str,
) -> Result<Arc<str>> {
    if reply.version <= LAST_BY_NAME {
        return Ok(name.into());
    }
    names.get(&id).cloned().ok_or_else(|| Error::Incomplete {
        what: format!("the topic with the id {id}, which was not asked for"),
        address: reply.address().to_owned(),
    })
}
