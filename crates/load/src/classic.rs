//! A member of the classic protocol, as Java's consumer is one: join, sync, heartbeat, join again when told to.

use std::sync::Arc;
use std::time::Duration;

use client::transport::Connection;
use protocol::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::LeaveGroupResponse;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;
use tokio::sync::oneshot;

use crate::board::{Board, Holding, MemberNo};
use crate::setup::{Failure, Setup, check, is_passing, pause};
use crate::subscription;

const PROTOCOL_TYPE: &str = "consumer";
const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// A join is answered when all have joined: the client waits a little longer than the coordinator.
const JOIN_LIMIT_MS: u64 = 305_000;

pub struct Member {
    pub setup: Arc<Setup>,
    pub group: String,
    pub connection: Connection,
    pub id: String,
    pub generation: i32,
}

/// What a step of the protocol says about the next one.
enum Next {
    Go(Vec<i32>),
    Again,
}

impl Member {
    pub fn new(setup: &Arc<Setup>, group: &str, connection: Connection) -> Self {
        let (setup, group, id) = (Arc::clone(setup), group.to_owned(), String::new());
        Self { setup, group, connection, id, generation: -1 }
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
        let interval = Duration::from_millis(self.setup.heartbeat_ms);
        loop {
            let partitions = self.rejoin().await?;
            board.put(no, Holding { epoch: self.generation, partitions, settled: true });
            loop {
                tokio::select! {
                    _ = &mut leave => return self.leave().await,
                    () = tokio::time::sleep(interval) => {}
                }
                if !self.heartbeat().await? {
                    board.unsettle(no);
                    break;
                }
            }
        }
    }

    /// Joins until an assignment is there.
    pub async fn rejoin(&mut self) -> Result<Vec<i32>, Failure> {
        loop {
            if let Next::Go(partitions) = self.join_once().await? {
                return Ok(partitions);
            }
        }
    }

    async fn join_once(&mut self) -> Result<Next, Failure> {
        let metadata = subscription::subscription(&self.setup.topic)?.into();
        let range =
            JoinGroupRequestProtocol { name: "range".into(), metadata, ..Default::default() };
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: self.setup.session_timeout_ms,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.id.as_str().into(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![range],
            ..Default::default()
        };
        let reply = self.connection.call_within(&request, i16::MAX, JOIN_LIMIT_MS).await?;
        let joined: JoinGroupResponse<'_> = reply.decode()?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            self.id = joined.member_id.to_string();
            return Ok(Next::Again);
        }
        if self.again("JoinGroup", joined.error_code).await? {
            return Ok(Next::Again);
        }
        self.id = joined.member_id.to_string();
        self.generation = joined.generation_id;
        let assignments = if joined.leader == self.id && !joined.skip_assignment {
            let partitions = self.setup.topic_found().partitions;
            subscription::assign(&self.setup.topic, partitions, &joined.members)?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            protocol_type: joined.protocol_type.clone(),
            protocol_name: joined.protocol_name.clone(),
            assignments,
            ..Default::default()
        };
        let reply = self.connection.call_within(&request, i16::MAX, JOIN_LIMIT_MS).await?;
        let synced: SyncGroupResponse<'_> = reply.decode()?;
        if self.again("SyncGroup", synced.error_code).await? {
            return Ok(Next::Again);
        }
        Ok(Next::Go(subscription::assigned(&synced.assignment)?))
    }

    /// Whether the member still belongs to the generation.
    async fn heartbeat(&mut self) -> Result<bool, Failure> {
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            ..Default::default()
        };
        let reply = self.connection.call(&request).await?;
        let response: HeartbeatResponse = reply.decode()?;
        Ok(is_passing(response.error_code) || !self.again("Heartbeat", response.error_code).await?)
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        let member = MemberIdentity { member_id: self.id.as_str().into(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: self.group.as_str().into(),
            members: vec![member],
            ..Default::default()
        };
        let reply = self.connection.call(&request).await?;
        let response: LeaveGroupResponse<'_> = reply.decode()?;
        check("LeaveGroup", response.error_code)
    }

    /// Whether the code means to join again; prepares for it.
    async fn again(&mut self, what: &str, code: i16) -> Result<bool, Failure> {
        if code == ErrorCode::UnknownMemberId.code() || code == ErrorCode::IllegalGeneration.code()
        {
            if code == ErrorCode::UnknownMemberId.code() {
                self.id.clear();
            }
            self.generation = -1;
            return Ok(true);
        }
        if code == ErrorCode::RebalanceInProgress.code() {
            return Ok(true);
        }
        if is_passing(code) {
            pause().await;
            return Ok(true);
        }
        check(what, code)?;
        Ok(false)
    }
}
