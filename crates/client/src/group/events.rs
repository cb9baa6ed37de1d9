//! The application's side of a membership: takes changes, positions what came, hands out records.

use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use protocol::ErrorCode;
use tokio::time::Instant;

use super::member::Change;
use super::offsets::Offsets;
use super::{Event, GroupConsumer};
use crate::admin::OffsetSpec;
use crate::consumer::{OffsetReset, Start};
use crate::error::{Error, Result};

impl GroupConsumer {
    /// What happens next; None when nothing does within `wait`. Partitions told as revoked go with this call.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Event>> {
        let polls = Arc::clone(&self.polls);
        let _polling = polls.enter();
        self.note_identity();
        let event = self.next_event(wait).await;
        self.note_identity();
        event
    }

    fn note_identity(&mut self) {
        let identity = self.identity();
        if identity.epoch >= 0 {
            self.last_identity = identity;
        }
    }

    async fn next_event(&mut self, wait: Duration) -> Result<Option<Event>> {
        if let Some((taken, _)) = self.revoking.take() {
            let _gone = taken.send(());
        }
        let deadline = Instant::now().checked_add(wait);
        loop {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if self.current.is_none() {
                self.current = self.notices.try_recv().ok();
            }
            if self.current.is_some() {
                return self.take_change().await.map(Some);
            }
            self.start_positioning();
            self.commit_when_due();
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            let mut wait = deadline.map_or(Duration::MAX, left);
            if self.options.auto_commit {
                wait = wait.min(left(self.next_commit).max(Duration::from_millis(1)));
            }
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    Some(notice) => self.current = Some(notice),
                    None => self.failed = Some(Error::Closed),
                },
                result = positioned(&mut self.positioning) => self.place(result)?,
                records = self.consumer.poll(wait) => {
                    let records = records?;
                    if !records.is_empty() {
                        return Ok(Some(Event::Records(records)));
                    }
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes the current change. It stays the current one until it is done.
    async fn take_change(&mut self) -> Result<Event> {
        let change = self.current.as_ref().map(|notice| match &notice.change {
            // The membership ended before the application could give anything up.
            Change::Revoke(partitions) if self.identity.borrow().epoch < 0 => {
                Change::Lose(partitions.clone())
            }
            change => change.clone(),
        });
        if matches!(change, Some(Change::Revoke(_)))
            && self.options.auto_commit
            && let Err(error) = self.commit_positions().await
        {
            let group = &self.options.group_id;
            tracing::warn!(%group, %error, "offsets were not committed before partitions went");
        }
        let (Some(notice), Some(change)) = (self.current.take(), change) else {
            return Err(Error::Closed);
        };
        match change {
            Change::Assign(partitions) => {
                self.assigned.extend(partitions.iter().cloned());
                self.unpositioned.extend(partitions.iter().cloned());
                let _gone = notice.done.send(());
                Ok(Event::Assigned(partitions))
            }
            Change::Revoke(partitions) => {
                let mut positions = self.positions();
                positions.retain(|tp, _| partitions.contains(tp));
                self.drop_partitions(&partitions);
                self.revoking = Some((notice.done, positions));
                Ok(Event::Revoked(partitions))
            }
            Change::Lose(partitions) => {
                self.drop_partitions(&partitions);
                let _gone = notice.done.send(());
                Ok(Event::Lost(partitions))
            }
            Change::Fail(error) => {
                let all: Vec<TopicPartition> = self.assigned.iter().cloned().collect();
                self.drop_partitions(&all);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn drop_partitions(&mut self, partitions: &[TopicPartition]) {
        self.consumer.remove(partitions);
        for tp in partitions {
            self.assigned.remove(tp);
            self.unpositioned.remove(tp);
        }
    }

    /// Asks for the committed offsets of partitions that came, one request at a time.
    fn start_positioning(&mut self) {
        if self.positioning.is_some() || self.unpositioned.is_empty() {
            return;
        }
        let partitions: Vec<TopicPartition> = self.unpositioned.iter().cloned().collect();
        let (committer, asked) = (self.committer.clone(), partitions.clone());
        let task = tokio::spawn(async move { committer.committed(&asked).await });
        self.positioning = Some((partitions, task));
    }

    /// Begins to read where the group left off, or where `auto.offset.reset` says.
    fn place(&mut self, result: Result<Offsets>) -> Result<()> {
        let Some((asked, _)) = self.positioning.take() else { return Ok(()) };
        let mut committed = match result {
            Ok(committed) => committed,
            // Not a member any more, or too slow: the partitions go, or are asked for again.
            Err(error)
                if super::fenced(&error)
                    || error.retriable()
                    || matches!(error, Error::Expired { .. }) =>
            {
                tracing::debug!(%error, "committed offsets are not known yet");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut nowhere = Vec::new();
        for tp in asked {
            // Gone meanwhile, or sought by the application.
            if !self.unpositioned.remove(&tp) {
                continue;
            }
            let mut leader_epoch = -1;
            let start = match (committed.remove(&tp), self.reset) {
                (Some(committed), _) => {
                    leader_epoch = committed.leader_epoch;
                    Start::Offset(committed.offset)
                }
                (None, OffsetReset::Earliest) => Start::At(OffsetSpec::Earliest),
                (None, OffsetReset::Latest) => Start::At(OffsetSpec::Latest),
                (None, OffsetReset::None) => {
                    nowhere.push(tp.to_string());
                    self.unpositioned.insert(tp);
                    continue;
                }
            };
            self.consumer.add([(tp.clone(), start)]);
            self.consumer.note_leader_epoch(&tp, leader_epoch);
        }
        if nowhere.is_empty() {
            return Ok(());
        }
        let text = format!(
            "Undefined offset with no reset policy for partitions: [{}]",
            nowhere.join(", ")
        );
        Err(Error::api(ErrorCode::OffsetOutOfRange, Some(&text)))
    }

    fn commit_when_due(&mut self) {
        self.background.start(&self.committer);
        if !self.options.auto_commit || Instant::now() < self.next_commit {
            return;
        }
        let interval = Duration::from_millis(self.options.auto_commit_interval_ms.into());
        self.next_commit = Instant::now() + interval;
        let positions = self.positions();
        self.background.put(&self.committer, positions);
    }
}

/// The answer to the request for offsets; waits for ever when there is none.
async fn positioned(
    positioning: &mut Option<(Vec<TopicPartition>, tokio::task::JoinHandle<Result<Offsets>>)>,
) -> Result<Offsets> {
    match positioning {
        // A task that ended early is like an answer that never came: asked again.
        Some((_, task)) => {
            task.await.unwrap_or_else(|_| Err(Error::api(ErrorCode::CoordinatorNotAvailable, None)))
        }
        None => std::future::pending().await,
    }
}
