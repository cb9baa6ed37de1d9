//! Commits and committed offsets of one member, again until they succeed, fail for good or time is up.

use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use protocol::ErrorCode;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::coordinator::{self, Coordinator};
use super::member::Identity;
use super::offsets::{self, Offsets, Wanted};
use super::options::{GroupOptions, GroupProtocol};
use crate::cluster::Client;
use crate::error::{Error, Result};

/// How long a commit with an old member epoch waits for the next one.
const EPOCH_WAIT_MS: u64 = 5_000;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer {
    client: Client,
    coordinator: Arc<Coordinator>,
    options: Arc<GroupOptions>,
    identity: watch::Receiver<Identity>,
}

impl Committer {
    pub(crate) fn new(
        client: Client,
        coordinator: Arc<Coordinator>,
        options: Arc<GroupOptions>,
        identity: watch::Receiver<Identity>,
    ) -> Self {
        Self { client, coordinator, options, identity }
    }

    pub(crate) async fn commit(&self, offsets: &Offsets) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.coordinator
            .retry("offsetCommit", || self.in_epoch(|identity| self.once(identity, offsets)))
            .await
    }

    async fn once(&self, identity: Identity, offsets: &Offsets) -> Result<()> {
        let connection = self.coordinator.connection().await?;
        let group = self.coordinator.group();
        let instance = self.options.instance_id.as_deref();
        let metadata = self.client.metadata();
        let answers =
            offsets::commit(&connection, group, &identity, instance, offsets, &metadata).await;
        let answers = answers.inspect_err(|error| self.coordinator.lost(error))?;
        for (_, result) in answers {
            if let Err(error) = result {
                if error.code().is_some_and(coordinator::moved) {
                    self.coordinator.forget();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is committed for these partitions; those without anything are missing.
    pub(crate) async fn committed(&self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.coordinator
            .retry("offsetFetch", || {
                self.in_epoch(|identity| async move {
                    let connection = self.coordinator.connection().await?;
                    let told = self.options.protocol == GroupProtocol::Consumer;
                    let wanted = Wanted {
                        group: self.coordinator.group(),
                        identity: Some(&identity).filter(|identity| told && identity.epoch > 0),
                        partitions: Some(partitions),
                        require_stable: true,
                    };
                    let metadata = self.client.metadata();
                    let found = offsets::fetch(&connection, &wanted, &metadata).await;
                    let found = found.inspect_err(|error| self.coordinator.lost(error))?;
                    found.into_iter().map(|(tp, result)| Ok((tp, result?))).collect()
                })
            })
            .await
    }

    /// Tries with who the member is now; an epoch that has passed meanwhile is no failure.
    async fn in_epoch<T, F, Fut>(&self, attempt: F) -> Result<T>
    where
        F: Fn(Identity) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        loop {
            let mut current = self.identity.clone();
            let identity = current.borrow_and_update().clone();
            match attempt(identity.clone()).await {
                Err(error) if error.code() == Some(ErrorCode::StaleMemberEpoch) => {
                    let wait = Duration::from_millis(EPOCH_WAIT_MS);
                    let newer = current.wait_for(|now| *now != identity && now.epoch > 0);
                    if !matches!(tokio::time::timeout(wait, newer).await, Ok(Ok(_))) {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }
}

/// Commits behind the application's back: one is under way, the rest is merged into the next.
#[derive(Default)]
pub(crate) struct Background {
    under_way: Option<JoinHandle<()>>,
    waiting: Offsets,
}

impl Background {
    pub(crate) fn put(&mut self, committer: &Committer, offsets: Offsets) {
        self.waiting.extend(offsets);
        self.start(committer);
    }

    /// Starts the next one when the last has ended.
    pub(crate) fn start(&mut self, committer: &Committer) {
        if self.waiting.is_empty()
            || self.under_way.as_ref().is_some_and(|task| !task.is_finished())
        {
            return;
        }
        let (committer, offsets) = (committer.clone(), std::mem::take(&mut self.waiting));
        self.under_way = Some(tokio::spawn(async move {
            // A rebalance passed it: whoever has the partitions now goes on from the last commit.
            let failed = committer.commit(&offsets).await.err().filter(|error| !fenced(error));
            if let Some(error) = failed {
                tracing::warn!(group = %committer.coordinator.group(), %error, "offsets were not committed");
            }
        }));
    }

    /// Waits for the one under way, so that a commit that follows is the last one. What only waited is dropped: the
    /// commit that follows is newer.
    pub(crate) async fn settle(&mut self) {
        self.waiting.clear();
        if let Some(task) = &mut self.under_way
            && let Err(error) = task.await
        {
            tracing::debug!(%error, "a commit ended early");
        }
        self.under_way = None;
    }
}

/// Whether the member is no longer one: what it has not committed, somebody else reads again.
pub fn fenced(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration
                | ErrorCode::FencedInstanceId
                | ErrorCode::FencedMemberEpoch
                | ErrorCode::RebalanceInProgress
                | ErrorCode::StaleMemberEpoch
        )
    )
}
