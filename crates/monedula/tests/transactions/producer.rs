//! A transactional producer and a reader of committed records, as raw requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base::{ProducerEpoch, ProducerId};
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::DescribeTransactionsResponse;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use protocol::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use protocol::{ErrorCode, Records};
use records::{BatchBuilder, Batches, Compression, control::EndTxnMarker};

use crate::common::{Peer, decoded, produce_request};

/// Every wait ends.
const PATIENCE: Duration = Duration::from_secs(60);
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The first version whose producers leave it to the broker to add partitions.
const PRODUCE_V2: i16 = 12;

/// What clients try again.
fn is_passing(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::LeaderNotAvailable
    )
}

/// Again, until it is something else than "try again".
pub fn patiently<T>(mut ask: impl FnMut() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(error) if is_passing(error) && began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answered => return answered,
        }
    }
}

pub fn checked(code: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}

/// Where the coordinator of a key is.
fn coordinator(seed: &str, kind: i8, key: &str) -> Result<String, ErrorCode> {
    let request = FindCoordinatorRequest {
        key_type: kind,
        coordinator_keys: vec![key.into()],
        ..Default::default()
    };
    let body = Peer::connect(seed).call(&request, 4);
    let response: FindCoordinatorResponse<'_> = decoded(&body, 4);
    let found = &response.coordinators[0];
    checked(found.error_code).map(|()| format!("{}:{}", found.host, found.port))
}

/// The node and address of the leader.
pub fn leader(seed: &str, topic: &str, partition: i32) -> Result<(i32, String), ErrorCode> {
    let topics =
        vec![MetadataRequestTopic { name: Some(topic.to_owned().into()), ..Default::default() }];
    let request = MetadataRequest { topics: Some(topics), ..Default::default() };
    let body = Peer::connect(seed).call(&request, 12);
    let response: MetadataResponse<'_> = decoded(&body, 12);
    let topic = &response.topics[0];
    checked(topic.error_code)?;
    let known = topic.partitions.iter().find(|p| p.partition_index == partition);
    let id = known.ok_or(ErrorCode::UnknownTopicOrPartition)?.leader_id;
    let broker = response.brokers.iter().find(|broker| broker.node_id == id);
    let broker = broker.ok_or(ErrorCode::LeaderNotAvailable)?;
    Ok((id, format!("{}:{}", broker.host, broker.port)))
}

/// The coordinator of a transactional id, as node.
pub fn coordinator_node(seed: &str, id: &str) -> i32 {
    let request = FindCoordinatorRequest {
        key_type: TRANSACTION,
        coordinator_keys: vec![id.into()],
        ..Default::default()
    };
    let found = patiently(|| {
        let body = Peer::connect(seed).call(&request, 4);
        let response: FindCoordinatorResponse<'_> = decoded(&body, 4);
        let found = &response.coordinators[0];
        checked(found.error_code).map(|()| found.node_id)
    });
    found.unwrap()
}

/// The state of a transaction, as its coordinator names it.
pub fn state(seed: &str, id: &str) -> String {
    let request = DescribeTransactionsRequest {
        transactional_ids: vec![id.to_owned().into()],
        ..Default::default()
    };
    let described = patiently(|| {
        let address = coordinator(seed, TRANSACTION, id)?;
        let body = Peer::connect(&address).call(&request, 0);
        let response: DescribeTransactionsResponse<'_> = decoded(&body, 0);
        let state = &response.transaction_states[0];
        checked(state.error_code).map(|()| state.transaction_state.to_string())
    });
    described.unwrap()
}

/// A producer with a transactional id.
pub struct Producer {
    seed: String,
    pub name: String,
    pub id: i64,
    pub epoch: i16,
    sequences: BTreeMap<(String, i32), i32>,
}

impl Producer {
    pub fn new(seed: &str, name: &str, timeout_ms: i32) -> Self {
        let request = InitProducerIdRequest {
            transactional_id: Some(name.to_owned().into()),
            transaction_timeout_ms: timeout_ms,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let given = patiently(|| {
            let address = coordinator(seed, TRANSACTION, name)?;
            let body = Peer::connect(&address).call(&request, 5);
            let response: InitProducerIdResponse = decoded(&body, 5);
            checked(response.error_code).map(|()| (response.producer_id, response.producer_epoch))
        });
        let (id, epoch) = given.unwrap();
        let (seed, name) = (seed.to_owned(), name.to_owned());
        Self { seed, name, id, epoch, sequences: BTreeMap::new() }
    }

    /// The cluster is found elsewhere.
    pub fn moved_to(&mut self, seed: &str) {
        self.seed = seed.to_owned();
    }

    /// The batch that comes next in a partition.
    fn batch(&self, topic: &str, partition: i32, values: &[&str]) -> Vec<u8> {
        let sequence = self.sequences.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(ProducerId(self.id), ProducerEpoch(self.epoch), sequence)
            .transactional();
        for value in values {
            builder.append(1_700_000_000_000, None, Some(value.as_bytes()), &[]).unwrap();
        }
        builder.build().unwrap()
    }

    /// Writes in the second generation of transactions.
    pub fn send(&mut self, topic: &str, partition: i32, values: &[&str]) -> Result<(), ErrorCode> {
        self.send_as(PRODUCE_V2, topic, partition, values)
    }

    pub fn send_as(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        values: &[&str],
    ) -> Result<(), ErrorCode> {
        let batch = self.batch(topic, partition, values);
        let mut request = produce_request(topic, partition, &batch);
        request.transactional_id = Some(self.name.clone().into());
        patiently(|| {
            let (_, address) = leader(&self.seed, topic, partition)?;
            let body = Peer::connect(&address).call(&request, version);
            let response: ProduceResponse<'_> = decoded(&body, version);
            checked(response.responses[0].partition_responses[0].error_code)
        })?;
        let next = self.sequences.entry((topic.to_owned(), partition)).or_default();
        *next += i32::try_from(values.len()).unwrap();
        Ok(())
    }

    /// Tells the coordinator of a partition, as the first generation does.
    pub fn add(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        let topics = vec![AddPartitionsToTxnTopic {
            name: topic.to_owned().into(),
            partitions: vec![partition],
            ..Default::default()
        }];
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.name.clone().into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: topics,
            ..Default::default()
        };
        patiently(|| {
            let address = coordinator(&self.seed, TRANSACTION, &self.name)?;
            let body = Peer::connect(&address).call(&request, 3);
            let response: AddPartitionsToTxnResponse<'_> = decoded(&body, 3);
            let row = &response.results_by_topic_v3_and_below[0].results_by_partition[0];
            checked(row.partition_error_code)
        })
    }

    /// Ends the transaction in the second generation: there is a new epoch afterwards.
    pub fn end(&mut self, commit: bool) -> Result<(), ErrorCode> {
        self.end_as(5, commit)
    }

    pub fn end_as(&mut self, version: i16, commit: bool) -> Result<(), ErrorCode> {
        let request = EndTxnRequest {
            transactional_id: self.name.clone().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed: commit,
            ..Default::default()
        };
        let (id, epoch) = patiently(|| {
            let address = coordinator(&self.seed, TRANSACTION, &self.name)?;
            let body = Peer::connect(&address).call(&request, version);
            let response: EndTxnResponse = decoded(&body, version);
            checked(response.error_code).map(|()| (response.producer_id, response.producer_epoch))
        })?;
        if version >= 5 {
            (self.id, self.epoch) = (id, epoch);
            self.sequences.clear();
        }
        Ok(())
    }

    /// Commits an offset of a group within the transaction.
    pub fn commit_offset(&self, group: &str, topic: &str, offset: i64) -> Result<(), ErrorCode> {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            committed_leader_epoch: -1,
            ..Default::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: topic.to_owned().into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.name.clone().into(),
            group_id: group.to_owned().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        patiently(|| {
            let address = coordinator(&self.seed, GROUP, group)?;
            let body = Peer::connect(&address).call(&request, 5);
            let response: TxnOffsetCommitResponse<'_> = decoded(&body, 5);
            checked(response.topics[0].partitions[0].error_code)
        })
    }
}

/// A group's offset in partition 0, only when no transaction is about to change it.
pub fn stable_offset(seed: &str, group: &str, topic: &str) -> Result<i64, ErrorCode> {
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.to_owned().into(),
        partition_indexes: vec![0],
        ..Default::default()
    }];
    let asked = OffsetFetchRequestGroup {
        group_id: group.to_owned().into(),
        topics: Some(topics),
        ..Default::default()
    };
    let request =
        OffsetFetchRequest { groups: vec![asked], require_stable: true, ..Default::default() };
    patiently(|| {
        let address = coordinator(seed, GROUP, group)?;
        let body = Peer::connect(&address).call(&request, 8);
        let response: OffsetFetchResponse<'_> = decoded(&body, 8);
        checked(response.groups[0].error_code)?;
        let partition = &response.groups[0].topics[0].partitions[0];
        checked(partition.error_code).map(|()| partition.committed_offset)
    })
}

/// What a consumer of committed records gets from a partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub values: Vec<String>,
    pub stable: i64,
    pub high_watermark: i64,
    next: i64,
    /// Whose records are left out.
    aborted: BTreeSet<i64>,
}

/// Reads a partition from its start as far as it is decided.
pub fn committed(seed: &str, topic: &str, partition: i32) -> Seen {
    let mut seen = Seen::default();
    loop {
        let before = seen.next;
        let read = patiently(|| fetch(seed, topic, partition, &mut seen));
        read.unwrap();
        if seen.next >= seen.stable || seen.next == before {
            return seen;
        }
    }
}

fn fetch(seed: &str, topic: &str, partition: i32, seen: &mut Seen) -> Result<(), ErrorCode> {
    let asked = FetchPartition {
        partition,
        current_leader_epoch: -1,
        fetch_offset: seen.next,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let asked = FetchTopic {
        topic: topic.to_owned().into(),
        partitions: vec![asked],
        ..Default::default()
    };
    let request = FetchRequest {
        replica_id: -1,
        max_bytes: 1 << 20,
        isolation_level: 1,
        session_epoch: -1,
        topics: vec![asked],
        ..Default::default()
    };
    let (_, address) = leader(seed, topic, partition)?;
    let body = Peer::connect(&address).call(&request, 12);
    let response: FetchResponse<'_> = decoded(&body, 12);
    checked(response.error_code)?;
    let data = &response.responses[0].partitions[0];
    checked(data.error_code)?;
    seen.take(data);
    Ok(())
}

impl Seen {
    /// As consumers do it: records of aborted transactions are left out, from their first offset to their marker.
    fn take(&mut self, data: &PartitionData<'_>) {
        (self.stable, self.high_watermark) = (data.last_stable_offset, data.high_watermark);
        let mut to_come = data.aborted_transactions.clone().unwrap_or_default();
        let bytes = data.records.as_ref().and_then(Records::bytes).unwrap_or_default();
        for batch in Batches::new(bytes).map(Result::unwrap) {
            let header = batch.v2().unwrap();
            let producer = header.producer_id.0;
            to_come.retain(|one| {
                let begins = one.first_offset <= header.last_offset().get();
                if begins {
                    self.aborted.insert(one.producer_id);
                }
                !begins
            });
            let mut buffer = Vec::new();
            for record in batch.records(&mut buffer, 1 << 20).unwrap() {
                let record = record.unwrap();
                if batch.is_control() {
                    let marker = EndTxnMarker::read(record.key.unwrap(), record.value.unwrap());
                    if !marker.unwrap().commit {
                        self.aborted.remove(&producer);
                    }
                } else if !self.aborted.contains(&producer) {
                    self.values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                }
            }
            self.next = header.last_offset().get() + 1;
        }
    }
}

/// Waits until all of a partition is decided, and these are its records. Nothing else may be seen on the way.
pub fn decides(seed: &str, topic: &str, partition: i32, wanted: &[&str]) {
    let began = Instant::now();
    loop {
        let seen = committed(seed, topic, partition);
        let got: Vec<&str> = seen.values.iter().map(String::as_str).collect();
        assert!(wanted.starts_with(&got), "{topic}-{partition}: {seen:?}");
        if seen.stable == seen.high_watermark && got == wanted {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{topic}-{partition} stays undecided: {seen:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
