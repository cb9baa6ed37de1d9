//! The members of one group: brought in, sent away, killed, and waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::transport::Connection;
use protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use protocol::messages::consumer_group_describe_response::ConsumerGroupDescribeResponse;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::board::{Board, MemberNo, Rest};
use crate::setup::{Failure, Protocol, Setup};
use crate::{classic, consumer};

/// A group that looks at rest and is not by the server's word is asked for again after this.
const ASK_AGAIN_MS: u64 = 200;

struct Living {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub struct Squad {
    setup: Arc<Setup>,
    board: Arc<Board>,
    connected: Vec<Connection>,
    members: BTreeMap<MemberNo, Living>,
    next: MemberNo,
    /// For questions that no member asks.
    asking: Option<Connection>,
}

impl Squad {
    pub fn new(setup: Arc<Setup>) -> Self {
        let board = Arc::default();
        let (connected, members) = (Vec::new(), BTreeMap::new());
        Self { setup, board, connected, members, next: 0, asking: None }
    }

    pub async fn connect(&mut self, count: usize) -> Result<String, Failure> {
        let begin = Instant::now();
        let connections = self.setup.connections(count).await?;
        self.connected.extend(connections);
        if self.asking.is_none() {
            let connection = self.setup.connection().await?;
            self.setup.look(&connection).await?;
            self.asking = Some(connection);
        }
        Ok(format!("ms={}", begin.elapsed().as_millis()))
    }

    pub async fn join(&mut self) -> Result<String, Failure> {
        let begin = Instant::now();
        for connection in std::mem::take(&mut self.connected) {
            let no = self.next;
            self.next += 1;
            let (leave, told) = oneshot::channel();
            let (setup, board) = (&self.setup, Arc::clone(&self.board));
            let task = match setup.protocol {
                Protocol::Classic => {
                    let member = classic::Member::new(setup, &setup.group, connection);
                    tokio::spawn(member.live(no, board, told))
                }
                Protocol::Consumer => {
                    let member = consumer::Member::new(setup, &setup.group, connection)?;
                    tokio::spawn(member.live(no, board, told))
                }
            };
            self.members.insert(no, Living { leave, task });
        }
        self.settle(begin).await
    }

    pub async fn leave(&mut self, count: usize) -> Result<String, Failure> {
        let begin = Instant::now();
        let mut tasks = Vec::new();
        for (no, living) in self.take(count) {
            // One that has failed is found below.
            let _gone = living.leave.send(());
            tasks.push((no, living.task));
        }
        for (no, task) in tasks {
            task.await?;
            self.board.forget(no);
        }
        self.settle(begin).await
    }

    pub async fn kill(&mut self, count: usize) -> Result<String, Failure> {
        let begin = Instant::now();
        let taken = self.take(count);
        for (_, living) in &taken {
            living.task.abort();
        }
        for (no, living) in taken {
            // It ends as one that was told to.
            let _aborted = living.task.await;
            self.board.forget(no);
        }
        self.settle(begin).await
    }

    pub async fn hold(&mut self, seconds: u64) -> Result<String, Failure> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match self.board.failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(self.board.tell()),
        }
    }

    /// The members that came last. Until they have ended they may still write on the board.
    fn take(&mut self, count: usize) -> Vec<(MemberNo, Living)> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(last) = self.members.pop_last()
        {
            taken.push(last);
        }
        taken
    }

    /// Until every member holds its final assignment.
    async fn settle(&self, begin: Instant) -> Result<String, Failure> {
        let limit = begin + Duration::from_millis(self.setup.limit_ms);
        let partitions = self.setup.topic_found().partitions;
        loop {
            if let Some(failure) = self.board.failure() {
                return Err(failure.into());
            }
            let mut wait_until = limit;
            if let Some(rest) = self.board.rest(self.members.len(), partitions) {
                if self.is_final(rest).await? {
                    let ms = rest.since.duration_since(begin).as_secs_f64() * 1e3;
                    let members = self.members.len();
                    return Ok(format!("ms={ms:.1} epoch={} members={members}", rest.epoch));
                }
                wait_until = Instant::now() + Duration::from_millis(ASK_AGAIN_MS);
            }
            if Instant::now() >= limit {
                return Err(format!("not at rest in time: {}", self.board.tell()).into());
            }
            // Time being over is looked at above.
            let _changed = tokio::time::timeout_at(wait_until, self.board.changed.notified()).await;
        }
    }

    /// A classic generation with all partitions is final. In the new protocol the members may agree before the coordinator is
    /// done, so it is asked.
    async fn is_final(&self, rest: Rest) -> Result<bool, Failure> {
        let Some(connection) = &self.asking else { return Ok(false) };
        if self.setup.protocol == Protocol::Classic {
            return Ok(true);
        }
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![self.setup.group.as_str().into()],
            ..Default::default()
        };
        let reply = connection.call(&request).await?;
        let response: ConsumerGroupDescribeResponse<'_> = reply.decode()?;
        Ok(response.groups.first().is_some_and(|group| {
            group.group_state == "Stable"
                && group.group_epoch == rest.epoch
                && group.members.len() == self.members.len()
        }))
    }
}
