//! A member of the consumer protocol (KIP-848), as Java's consumer is one: heartbeats that carry what it owns, and reconciliation.

use std::sync::Arc;
use std::time::Duration;

use client::transport::Connection;
use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use tokio::sync::oneshot;

use crate::board::{Board, Holding, MemberNo};
use crate::setup::{Failure, Setup, check, is_passing, pause};
use crate::subscription;

const REBALANCE_TIMEOUT_MS: i32 = 300_000;
const LEAVE_EPOCH: i32 = -1;

pub struct Member {
    setup: Arc<Setup>,
    group: String,
    connection: Connection,
    id: String,
    pub epoch: i32,
    owned: Vec<i32>,
    /// What is owned has changed, and the coordinator was not told.
    unconfirmed: bool,
    interval_ms: u64,
}

impl Member {
    pub fn new(setup: &Arc<Setup>, group: &str, connection: Connection) -> Result<Self, Failure> {
        Ok(Self {
            setup: Arc::clone(setup),
            group: group.to_owned(),
            connection,
            id: subscription::random_id()?,
            epoch: 0,
            owned: Vec::new(),
            unconfirmed: false,
            interval_ms: 0,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Until told to leave.
    pub async fn live(mut self, no: MemberNo, board: Arc<Board>, leave: oneshot::Receiver<()>) {
        if let Err(failure) = self.run(no, &board, leave).await {
            board.fail(no, &failure.to_string());
        }
    }

    async fn run(
        &mut self,
        no: MemberNo,
        board: &Board,
        mut leave: oneshot::Receiver<()>,
    ) -> Result<(), Failure> {
        loop {
            self.heartbeat().await?;
            board.put(
                no,
                Holding {
                    epoch: self.epoch,
                    partitions: self.owned.clone(),
                    settled: self.epoch > 0 && !self.unconfirmed,
                },
            );
            if self.unconfirmed {
                continue;
            }
            tokio::select! {
                _ = &mut leave => return self.leave().await,
                () = tokio::time::sleep(Duration::from_millis(self.interval_ms)) => {}
            }
        }
    }

    /// One heartbeat that counts: tells what changed, and takes over what comes back.
    pub async fn heartbeat(&mut self) -> Result<(), Failure> {
        loop {
            let reply = self.connection.call(&self.request()).await?;
            let told: ConsumerGroupHeartbeatResponse<'_> = reply.decode()?;
            let fenced = [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId];
            if fenced.iter().any(|code| code.code() == told.error_code) {
                (self.epoch, self.unconfirmed) = (0, false);
                self.owned.clear();
                continue;
            }
            if is_passing(told.error_code) {
                pause().await;
                continue;
            }
            check("ConsumerGroupHeartbeat", told.error_code)?;
            self.epoch = told.member_epoch;
            self.interval_ms = u64::try_from(told.heartbeat_interval_ms)?;
            self.unconfirmed = false;
            if let Some(target) = told.assignment {
                // Revoking and assigning take no time here: the next heartbeat confirms both.
                let mut target: Vec<i32> = target
                    .topic_partitions
                    .into_iter()
                    .flat_map(|topic| topic.partitions)
                    .collect();
                target.sort_unstable();
                self.unconfirmed = target != self.owned;
                self.owned = target;
            }
            return Ok(());
        }
    }

    pub fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest<'static> {
        let joins = self.epoch == 0;
        let owned = TopicPartitions {
            topic_id: self.setup.topic_found().id,
            partitions: self.owned.clone(),
            ..Default::default()
        };
        let owned = if self.owned.is_empty() { Vec::new() } else { vec![owned] };
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone().into(),
            member_id: self.id.clone().into(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topic_names: joins.then(|| vec![self.setup.topic.clone().into()]),
            topic_partitions: (joins || self.unconfirmed).then_some(owned),
            ..Default::default()
        }
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone().into(),
            member_id: self.id.clone().into(),
            member_epoch: LEAVE_EPOCH,
            ..Default::default()
        };
        let reply = self.connection.call(&request).await?;
        check("leaving", reply.decode::<ConsumerGroupHeartbeatResponse<'_>>()?.error_code)
    }
}
