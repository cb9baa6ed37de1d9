//! The records of `__transaction_state`, in Kafka's formats (`TransactionLog`).

use std::sync::Arc;

use base::{PartitionIndex, ProducerEpoch, ProducerId, TopicPartition};
use coordinator::{LogRecord, Producer};
use protocol::coordinator_records::transaction_log_key::TransactionLogKey;
use protocol::coordinator_records::transaction_log_value::{PartitionsSchema, TransactionLogValue};
use protocol::coordinator_records::{decode_key, decode_value, encode_key, encode_value, key_type};
use protocol::{DecodeError, EncodeError, Reader};

use crate::state::State;
use crate::transaction::{Partitions, Transaction};

const KEY_TYPE: i16 = 0;
/// The newest version of the value; the other is 0, without tagged fields.
const VALUE_VERSION_MAX: i16 = 1;

/// All of one transactional id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionRecord {
    pub transactional_id: Arc<str>,
    /// `None` forgets the id.
    pub transaction: Option<Transaction>,
    /// Of the value.
    pub version: i16,
}

impl TransactionRecord {
    /// # Errors
    /// When a name is too long for its format.
    pub fn encode(&self) -> Result<LogRecord, EncodeError> {
        let key = TransactionLogKey { transactional_id: (&*self.transactional_id).into() };
        let value = self.transaction.as_ref().map(|one| encode(one, self.version)).transpose()?;
        Ok(LogRecord { key: encode_key(&key)?, value })
    }

    /// `None` for records of other types and for values of newer versions, which are skipped.
    ///
    /// # Errors
    /// When key or value are not what they say.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, DecodeError> {
        if key_type(key)? != KEY_TYPE {
            return Ok(None);
        }
        let key: TransactionLogKey<'_> = decode_key(key)?;
        let transactional_id = Arc::from(&*key.transactional_id);
        let Some(value) = value else {
            return Ok(Some(Self { transactional_id, transaction: None, version: 0 }));
        };
        let version = Reader::new(value).i16()?;
        if !(0..=VALUE_VERSION_MAX).contains(&version) {
            return Ok(None);
        }
        let transaction = Some(decode(&decode_value(value)?)?);
        Ok(Some(Self { transactional_id, transaction, version }))
    }
}

fn encode(transaction: &Transaction, version: i16) -> Result<Vec<u8>, EncodeError> {
    let has_partitions = transaction.state != State::Empty;
    let mut value = TransactionLogValue {
        producer_id: transaction.producer.id.get(),
        producer_epoch: transaction.producer.epoch.get(),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state.code(),
        transaction_partitions: has_partitions.then(|| by_topic(&transaction.partitions)),
        transaction_last_update_timestamp_ms: transaction.update_ms,
        transaction_start_timestamp_ms: transaction.start_ms,
        client_transaction_version: transaction.client_version,
        ..Default::default()
    };
    // What version 0 cannot hold is written in the next, whatever the cluster's features say: a transaction must come to its end.
    let version = if transaction.client_version > 0 { VALUE_VERSION_MAX } else { version };
    if version > 0 {
        value.previous_producer_id = transaction.previous_id.get();
        value.next_producer_id = transaction.next_id.get();
    }
    encode_value(&value, version)
}

fn by_topic(partitions: &Partitions) -> Vec<PartitionsSchema<'_>> {
    let mut topics: Vec<PartitionsSchema<'_>> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut().filter(|last| *last.topic == **topic) {
            Some(last) => last.partition_ids.push(partition.get()),
            None => topics.push(PartitionsSchema {
                topic: (&**topic).into(),
                partition_ids: vec![partition.get()],
                ..Default::default()
            }),
        }
    }
    topics
}

fn decode(value: &TransactionLogValue<'_>) -> Result<Transaction, DecodeError> {
    let code = value.transaction_status;
    let state =
        State::from_code(code).ok_or(DecodeError::UnknownRecordType { key: i16::from(code) })?;
    let mut partitions = Partitions::new_sync();
    let told = value.transaction_partitions.iter().flatten();
    for topic in told.filter(|_| state != State::Empty) {
        let name: Arc<str> = Arc::from(&*topic.topic);
        for partition in &topic.partition_ids {
            let (topic, partition) = (Arc::clone(&name), PartitionIndex(*partition));
            partitions.insert_mut(TopicPartition { topic, partition });
        }
    }
    Ok(Transaction {
        state,
        producer: Producer {
            id: ProducerId(value.producer_id),
            epoch: ProducerEpoch(value.producer_epoch),
        },
        previous_id: ProducerId(value.previous_producer_id),
        next_id: ProducerId(value.next_producer_id),
        last_epoch: ProducerEpoch::NONE,
        client_version: value.client_transaction_version,
        timeout_ms: value.transaction_timeout_ms,
        partitions,
        start_ms: value.transaction_start_timestamp_ms,
        update_ms: value.transaction_last_update_timestamp_ms,
    })
}
