//! What a transactional producer's application calls.

use std::time::Duration;

use tokio::time::Instant;

use super::Producer;
use super::ask::Transactional;
use super::transaction::{GroupMetadata, Operation, State, Transaction};
use crate::error::{Error, Result};
use crate::group::Offsets;

/// The feature that says which version of transactions the cluster speaks.
const FEATURE: &str = "transaction.version";

impl Producer {
    /// Asks for this producer's identity. Older producers with the same transactional id can write no more, and what they
    /// have not committed is aborted. Once, before the first transaction.
    pub async fn init_transactions(&self) -> Result<()> {
        let operation = self.transactional()?.machine.lock().init()?;
        self.wait_for(operation, "initTransactions").await?;
        self.look_at_features(&mut self.transactional()?.machine.lock(), true);
        Ok(())
    }

    pub fn begin_transaction(&self) -> Result<()> {
        self.transactional()?.machine.lock().begin()
    }

    /// Makes these offsets the group's when, and only if, the transaction is committed.
    pub async fn send_offsets_to_transaction(
        &self,
        offsets: Offsets,
        group: GroupMetadata,
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let operation = self.transactional()?.machine.lock().send_offsets(group, offsets)?;
        self.wait_for(operation, "sendOffsetsToTransaction").await
    }

    /// Sends all that waits and commits. After an error that [`Error::fault`] does not class it may be called again, and
    /// must be.
    pub async fn commit_transaction(&self) -> Result<()> {
        let operation = self.end(Transaction::commit)?;
        self.wait_for(operation, "commitTransaction").await
    }

    /// Gives up the transaction: what was sent in it will never be seen by readers of committed records.
    pub async fn abort_transaction(&self) -> Result<()> {
        let operation = self.end(Transaction::abort)?;
        self.wait_for(operation, "abortTransaction").await
    }

    /// What it is doing.
    pub fn transaction_state(&self) -> Result<State> {
        Ok(self.transactional()?.machine.lock().state())
    }

    fn end(&self, end: impl Fn(&mut Transaction) -> Result<Operation>) -> Result<Operation> {
        let mut machine = self.transactional()?.machine.lock();
        let operation = end(&mut machine)?;
        self.look_at_features(&mut machine, false);
        Ok(operation)
    }

    fn look_at_features(&self, machine: &mut Transaction, initializing: bool) {
        let finalized = self.shared.client.finalized_features();
        machine.features(finalized.epoch, finalized.level(FEATURE), initializing);
    }

    fn transactional(&self) -> Result<&Transactional> {
        self.shared.transactional.as_ref().ok_or_else(|| {
            Error::IllegalState(
                "Transactional method invoked on a non-transactional producer.".into(),
            )
        })
    }

    /// Waits at most `max.block.ms`.
    async fn wait_for(&self, operation: Operation, what: &'static str) -> Result<()> {
        let transactional = self.transactional()?;
        let after_ms = self.shared.options.max_block_ms;
        let deadline = Instant::now() + Duration::from_millis(after_ms);
        self.shared.wake.notify_one();
        loop {
            let mut changed = std::pin::pin!(transactional.changed.notified());
            // Registered before looking: a change between the two is not missed.
            changed.as_mut().enable();
            if let Some(outcome) = transactional.machine.lock().take_outcome(operation) {
                return outcome;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(Error::Expired { what, after_ms, last: None });
            }
        }
    }
}
