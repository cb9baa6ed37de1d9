//! The transaction coordinators: shards of `__transaction_state`.

use std::sync::Arc;

use base::{LeaderEpoch, PartitionIndex};
use config::BrokerConfig;
use coordinator::Linger;
use metadata::Image;
use records::Compression;
use tracing::debug;
use transaction::{Config, Duty, Request, TimeOut, TransactionShard, View};

use super::{Coordinators, Hosted, Settings};
use crate::node::Node;
use crate::producer_ids;
use crate::transactions::TRANSACTIONS_TOPIC;

pub type TransactionCoordinators = Coordinators<TransactionShard>;

fn ms(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Hosted for TransactionShard {
    const TOPIC: &'static str = TRANSACTIONS_TOPIC;
    const WHAT: &'static str = "transactions";

    fn settings(config: &BrokerConfig) -> Settings {
        let load_bytes = config.transaction.state_log_load_buffer_size;
        Settings {
            linger: Linger::Adaptive,
            compression: Compression::None,
            load_bytes: u32::try_from(load_bytes).unwrap_or(1),
            append_timeout_ms: ms(config.socket.request_timeout_ms),
        }
    }

    fn view(config: &BrokerConfig, image: &Arc<Image>) -> View {
        let config = &config.transaction;
        View {
            config: Config {
                timeout_max_ms: config.max_timeout_ms,
                two_phase_commit: config.two_phase_commit_enable,
                expiration_ms: config.transactional_id_expiration_ms,
                timeout_check_ms: ms(config.abort_timed_out_transaction_cleanup_interval_ms),
                expiry_check_ms: ms(config.remove_expired_transaction_cleanup_interval_ms),
            },
            transaction_version: image.features.level("transaction.version"),
        }
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn carry_out(node: &Arc<Node>, at: PartitionIndex, epoch: LeaderEpoch, duty: Duty) {
        match duty {
            Duty::Markers(markers) => node.markers.begin(node, at, epoch, markers),
            Duty::ProducerId { transactional_id, producer } => {
                let asked = Arc::clone(node);
                node.transactions.runtime().spawn(async move {
                    // The next look at the transaction asks again.
                    let Ok(fresh) = producer_ids::fresh(&asked).await else { return };
                    let time_out = Request::TimeOut(TimeOut { transactional_id, producer, fresh });
                    if let Err(error) = asked.transactions.request_at(at, time_out).await {
                        debug!(error = error.name(), "a transaction is not ended yet");
                    }
                });
            }
        }
    }

    fn forget_duties(node: &Arc<Node>, at: PartitionIndex, epoch: LeaderEpoch) {
        node.markers.forget(node, at, epoch);
    }
}
