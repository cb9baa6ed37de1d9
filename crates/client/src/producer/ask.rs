//! The requests of a transaction on their way: to the coordinator of the transactional id, or of a group whose offsets
//! belong to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{ProducerEpoch, ProducerId, TopicId, TopicPartition};
use parking_lot::Mutex;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use protocol::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use protocol::{Encode, ErrorCode, Message};
use tokio::sync::Notify;

use super::sequences::Identity;
use super::transaction::{Answer, Ask, GroupMetadata, Request, Transaction};
use crate::cluster::Client;
use crate::error::{Error, Result};
use crate::group::Offsets;
use crate::group::coordinator::{Coordinator, CoordinatorKind};
use crate::metadata::Metadata;
use crate::transport::{Connection, Reply};

/// The last version of InitProducerId that asks for nothing that is unstable in Kafka.
const INIT_CAP: i16 = 5;
/// Later versions of AddPartitionsToTxn are for brokers.
const ADD_PARTITIONS_CAP: i16 = 3;
/// The last versions of the first generation of transactions.
const END_CAP_V1: i16 = 4;
const OFFSETS_CAP_V1: i16 = 4;
/// The last version of TxnOffsetCommit that names topics; later ones carry their ids.
const OFFSETS_CAP_BY_NAME: i16 = 5;

/// What a transactional producer has that others have not.
pub(crate) struct Transactional {
    pub(crate) machine: Mutex<Transaction>,
    /// Whoever waits for a call looks again.
    pub(crate) changed: Notify,
    timeout_ms: i32,
    client: Client,
    coordinator: Coordinator,
    /// Of the group whose offsets were sent last.
    group: Mutex<Option<Arc<Coordinator>>>,
}

/// Why there is no answer to a request.
enum Failure {
    NotFound(Error),
    Lost(Error),
}

impl Transactional {
    pub(crate) fn new(client: Client, transactional_id: &str, timeout_ms: i32) -> Self {
        let kind = CoordinatorKind::Transaction;
        Self {
            machine: Mutex::new(Transaction::new(transactional_id)),
            changed: Notify::new(),
            timeout_ms,
            coordinator: Coordinator::with(client.clone(), kind, transactional_id.into()),
            group: Mutex::default(),
            client,
        }
    }

    /// Whoever answered is not the coordinator.
    pub(crate) fn look_up(&self, ask: &Ask) {
        match ask {
            Ask::CommitOffsets { .. } => {
                self.group.lock().take();
            }
            _ => self.coordinator.forget(),
        }
    }

    /// One request, one try.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        let answer = match &request.ask {
            Ask::Init { bump } => self.init(request, *bump).await,
            Ask::AddPartitions(partitions) => self.add_partitions(request, partitions).await,
            Ask::AddOffsets { group, .. } => self.add_offsets(request, group).await,
            Ask::CommitOffsets { group, offsets } => {
                self.commit_offsets(request, group, offsets).await
            }
            Ask::End { commit } => self.end(request, *commit).await,
        };
        match answer {
            Ok(answer) => answer,
            Err(Failure::NotFound(error)) => match error.code() {
                Some(code) => Answer::NotFound(error, code),
                None => lost(error),
            },
            Err(Failure::Lost(error)) => lost(error),
        }
    }

    async fn init(&self, request: &Request, bump: bool) -> Result<Answer, Failure> {
        let mut wanted = InitProducerIdRequest {
            transactional_id: Some(self.id()),
            transaction_timeout_ms: self.timeout_ms,
            ..Default::default()
        };
        if let (true, Some(identity)) = (bump, request.identity) {
            (wanted.producer_id, wanted.producer_epoch) = (identity.id.0, identity.epoch.0);
        }
        let reply = self.call(&wanted, INIT_CAP).await?;
        let response: InitProducerIdResponse = decode(&reply)?;
        Ok(identified(response.error_code, response.producer_id, response.producer_epoch))
    }

    async fn add_partitions(
        &self,
        request: &Request,
        partitions: &[TopicPartition],
    ) -> Result<Answer, Failure> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for tp in partitions {
            topics.entry(&tp.topic).or_default().push(tp.partition.get());
        }
        let topic = |(name, partitions): (&str, Vec<i32>)| AddPartitionsToTxnTopic {
            name: name.to_owned().into(),
            partitions,
            ..Default::default()
        };
        let (producer_id, producer_epoch) = numbers(request);
        let wanted = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id(),
            v3_and_below_producer_id: producer_id,
            v3_and_below_producer_epoch: producer_epoch,
            v3_and_below_topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let reply = self.call(&wanted, ADD_PARTITIONS_CAP).await?;
        let response: AddPartitionsToTxnResponse<'_> = decode(&reply)?;
        let codes = response.results_by_topic_v3_and_below.iter().flat_map(|topic| {
            topic.results_by_partition.iter().map(|p| {
                let tp = TopicPartition::new(&*topic.name, p.partition_index);
                (tp, ErrorCode::from_code(p.partition_error_code))
            })
        });
        Ok(Answer::Partitions(codes.collect()))
    }

    async fn add_offsets(
        &self,
        request: &Request,
        group: &GroupMetadata,
    ) -> Result<Answer, Failure> {
        let (producer_id, producer_epoch) = numbers(request);
        let wanted = AddOffsetsToTxnRequest {
            transactional_id: self.id(),
            producer_id,
            producer_epoch,
            group_id: (&*group.group_id).into(),
            ..Default::default()
        };
        let reply = self.call(&wanted, i16::MAX).await?;
        let response: AddOffsetsToTxnResponse = decode(&reply)?;
        Ok(plain(response.error_code))
    }

    async fn commit_offsets(
        &self,
        request: &Request,
        group: &GroupMetadata,
        offsets: &Offsets,
    ) -> Result<Answer, Failure> {
        let metadata = self.client.metadata();
        let id = |name: &str| metadata.topic(name).map_or(TopicId::ZERO, |topic| topic.id);
        let mut topics: BTreeMap<&str, Vec<TxnOffsetCommitRequestPartition<'_>>> = BTreeMap::new();
        for (tp, offset) in offsets {
            topics.entry(&tp.topic).or_default().push(TxnOffsetCommitRequestPartition {
                partition_index: tp.partition.get(),
                committed_offset: offset.offset,
                committed_leader_epoch: offset.leader_epoch,
                committed_metadata: Some(offset.metadata.as_str().into()),
                ..Default::default()
            });
        }
        let by_id = topics.keys().all(|name| !id(name).is_zero());
        let cap = match (request.v2, by_id) {
            (false, _) => OFFSETS_CAP_V1,
            (true, false) => OFFSETS_CAP_BY_NAME,
            (true, true) => i16::MAX,
        };
        let topic = |(name, partitions): (&str, Vec<_>)| TxnOffsetCommitRequestTopic {
            name: name.to_owned().into(),
            topic_id: id(name),
            partitions,
            ..Default::default()
        };
        let (producer_id, producer_epoch) = numbers(request);
        let wanted = TxnOffsetCommitRequest {
            transactional_id: self.id(),
            group_id: (&*group.group_id).into(),
            producer_id,
            producer_epoch,
            generation_id_or_member_epoch: group.generation,
            member_id: (&*group.member_id).into(),
            group_instance_id: group.instance_id.as_deref().map(Into::into),
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let connection = self.group_coordinator(group).connection().await;
        let connection = connection.map_err(Failure::NotFound)?;
        let reply = call(&connection, &wanted, cap).await?;
        let response: TxnOffsetCommitResponse<'_> = decode(&reply)?;
        let mut codes = Vec::with_capacity(offsets.len());
        for topic in &response.topics {
            let name = if reply.version > OFFSETS_CAP_BY_NAME {
                name_of(topic.topic_id, offsets, &metadata)
            } else {
                Some(topic.name.as_ref().into())
            };
            let Some(name) = name else { continue };
            codes.extend(topic.partitions.iter().map(|p| {
                let tp = TopicPartition::new(Arc::clone(&name), p.partition_index);
                (tp, ErrorCode::from_code(p.error_code))
            }));
        }
        Ok(Answer::Partitions(codes))
    }

    async fn end(&self, request: &Request, commit: bool) -> Result<Answer, Failure> {
        let (producer_id, producer_epoch) = numbers(request);
        let wanted = EndTxnRequest {
            transactional_id: self.id(),
            producer_id,
            producer_epoch,
            committed: commit,
            ..Default::default()
        };
        let cap = if request.v2 { i16::MAX } else { END_CAP_V1 };
        let reply = self.call(&wanted, cap).await?;
        let response: EndTxnResponse = decode(&reply)?;
        Ok(identified(response.error_code, response.producer_id, response.producer_epoch))
    }

    fn id<'a>(&self) -> std::borrow::Cow<'a, str> {
        self.coordinator.group().to_string().into()
    }

    fn group_coordinator(&self, group: &GroupMetadata) -> Arc<Coordinator> {
        let mut last = self.group.lock();
        match last.as_ref().filter(|known| *known.group() == group.group_id) {
            Some(known) => Arc::clone(known),
            None => {
                let id = Arc::clone(&group.group_id);
                let found = Coordinator::with(self.client.clone(), CoordinatorKind::Group, id);
                Arc::clone(last.insert(Arc::new(found)))
            }
        }
    }

    async fn call<R: Message + Encode>(&self, request: &R, cap: i16) -> Result<Reply, Failure> {
        let connection = self.coordinator.connection().await.map_err(Failure::NotFound)?;
        call(&connection, request, cap).await
    }
}

async fn call<R: Message + Encode>(
    connection: &Connection,
    request: &R,
    cap: i16,
) -> Result<Reply, Failure> {
    let timeout_ms = connection.request_timeout_ms();
    connection.call_within(request, cap, timeout_ms).await.map_err(Failure::Lost)
}

fn decode<'a, M: Message + protocol::Decode<'a>>(reply: &'a Reply) -> Result<M, Failure> {
    reply.decode().map_err(Failure::Lost)
}

fn lost(error: Error) -> Answer {
    if error.retriable() { Answer::Lost(error) } else { Answer::Impossible(error) }
}

fn numbers(request: &Request) -> (i64, i16) {
    let none = Identity { id: ProducerId::NONE, epoch: ProducerEpoch::NONE };
    let identity = request.identity.unwrap_or(none);
    (identity.id.0, identity.epoch.0)
}

fn plain(code: i16) -> Answer {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Answer::Done,
        code => Answer::Refused(Error::api(code, None), code),
    }
}

/// An answer that may bring an identity.
fn identified(code: i16, id: i64, epoch: i16) -> Answer {
    match plain(code) {
        Answer::Done if id >= 0 => {
            Answer::Identified(Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) })
        }
        answer => answer,
    }
}

/// The topic among those asked for that has this id.
fn name_of(id: TopicId, offsets: &Offsets, metadata: &Metadata) -> Option<Arc<str>> {
    let known = |name: &Arc<str>| metadata.topic(name).is_some_and(|topic| topic.id == id);
    offsets.keys().map(|tp| &tp.topic).find(|name| known(name)).cloned()
}
