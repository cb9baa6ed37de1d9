//! A client that commits offsets, one after the other, and now and then asks for the last one.

use base::Offset;
use group::{Reply, Request};
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::coordinator::GroupAsk;

/// What it has committed.
#[derive(Default)]
pub(super) struct Committer {
    /// The last one that was sent, acknowledged or not.
    sent: i64,
    acked: i64,
}

impl Committer {
    /// Everything sent is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.sent == self.acked
    }

    /// The next commit; the last one again, if nobody said that it was done.
    pub fn commit(&mut self, group: usize) -> GroupAsk {
        self.sent = self.acked + 1;
        let partition =
            OffsetCommitRequestPartition { committed_offset: self.sent, ..Default::default() };
        let topic = OffsetCommitRequestTopic {
            name: "one".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        GroupAsk::Request(Request::OffsetCommit {
            version: 9,
            request: OffsetCommitRequest {
                group_id: format!("g{group}").into(),
                generation_id_or_member_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            },
        })
    }

    pub fn fetch(&self, group: usize) -> GroupAsk {
        let topic = OffsetFetchRequestTopics {
            name: "one".into(),
            partition_indexes: vec![0],
            ..Default::default()
        };
        // With require_stable, as clients ask: without it a new leader may tell what was committed a moment earlier, as in Kafka.
        GroupAsk::Request(Request::OffsetFetch(OffsetFetchRequestGroup {
            group_id: format!("g{group}").into(),
            topics: Some(vec![topic]),
            ..Default::default()
        }))
    }

    /// CommittedNeverBack: what is fetched is not older than what was acknowledged, nor ahead of what was sent.
    pub fn hear(&mut self, reply: &Reply) -> Result<(), String> {
        match reply {
            Reply::OffsetCommit(Ok(reply)) => {
                let rows = reply.topics.iter().flat_map(|topic| &topic.partitions);
                if rows.clone().count() == 1 && rows.clone().all(|row| row.error_code == 0) {
                    self.acked = self.sent;
                }
            }
            Reply::OffsetFetch(reply) if reply.error_code == 0 => {
                let rows = reply.topics.iter().flat_map(|topic| &topic.partitions);
                let found = rows.map(|row| row.committed_offset).max().unwrap_or(-1).max(0);
                if found < self.acked || found > self.sent {
                    return Err(format!(
                        "{} is fetched, {} was acknowledged, {} sent",
                        Offset(found),
                        self.acked,
                        self.sent
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
