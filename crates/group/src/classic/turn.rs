//! One decision on one classic group: the group as it becomes, and what follows.

use std::sync::Arc;

use base::machine::{ReplyId, TimerChange};
use base::time::Now;
use protocol::ErrorCode;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::group::Classic;
use super::member::Member;
use super::{Config, Reply, Request, Timer};

/// Changes a copy of the group; the shard takes it over, through a record if there is to be one.
pub(crate) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) config: &'a Config,
    pub(super) name: &'a Arc<str>,
    pub group: Classic,
    /// The log is to hold what the group has become.
    pub write: bool,
    /// The group may have changed.
    pub touched: bool,
    pub replies: Vec<(ReplyId, Reply)>,
    pub timers: Vec<TimerChange<Timer>>,
}

impl<'a> Turn<'a> {
    pub fn new(now: Now, config: &'a Config, name: &'a Arc<str>, group: Classic) -> Self {
        Self {
            now,
            config,
            name,
            group,
            write: false,
            touched: true,
            replies: Vec::new(),
            timers: Vec::new(),
        }
    }

    pub fn request(&mut self, id: ReplyId, request: &Request) {
        match request {
            Request::JoinGroup { caller, request } => self.join(id, caller, request),
            Request::SyncGroup { request, .. } => self.sync(id, request),
            Request::Heartbeat { request, .. } => {
                self.touched = false;
                self.heartbeat(id, request);
            }
            Request::LeaveGroup { request, .. } => self.leave(id, request),
        }
    }

    pub(super) fn set(&mut self, key: Timer, after_ms: i32) {
        let at = self.now.mono.plus_ms(u64::try_from(after_ms).unwrap_or(0));
        self.timers.push(TimerChange::Set { key, at });
    }

    pub(super) fn cancel(&mut self, key: Timer) {
        self.timers.push(TimerChange::Cancel { key });
    }

    pub(super) fn session_timer(&self, member: &Arc<str>) -> Timer {
        Timer::Session { group: Arc::clone(self.name), member: Arc::clone(member) }
    }

    pub(super) fn join_timer(&self) -> Timer {
        Timer::Join { group: Arc::clone(self.name) }
    }

    pub(super) fn sync_timer(&self) -> Timer {
        Timer::Sync { group: Arc::clone(self.name) }
    }

    /// The member was heard of.
    pub(crate) fn renew_session(&mut self, member: &Member) {
        self.set(self.session_timer(&member.id), member.session_timeout_ms);
    }

    pub(super) fn refuse_join(&mut self, id: ReplyId, member_id: &str, error: ErrorCode) {
        let response = JoinGroupResponse {
            error_code: error.code(),
            member_id: member_id.to_owned().into(),
            protocol_name: None,
            ..Default::default()
        };
        self.replies.push((id, Reply::JoinGroup(response)));
    }

    pub(super) fn refuse_sync(&mut self, id: ReplyId, error: ErrorCode) {
        let response = SyncGroupResponse { error_code: error.code(), ..Default::default() };
        self.replies.push((id, Reply::SyncGroup(response)));
    }

    pub(super) fn answer_heartbeat(&mut self, id: ReplyId, error: ErrorCode) {
        let response = HeartbeatResponse { error_code: error.code(), ..Default::default() };
        self.replies.push((id, Reply::Heartbeat(response)));
    }

    /// Takes out a member and tells its waiting requests that it is none any more.
    pub(super) fn drop_member(&mut self, id: &str) {
        let Some(member) = self.group.remove(id) else { return };
        if let Some(waiting) = member.join {
            self.refuse_join(waiting, "", ErrorCode::UnknownMemberId);
        }
        if let Some(waiting) = member.sync {
            self.refuse_sync(waiting, ErrorCode::UnknownMemberId);
        }
    }
}
