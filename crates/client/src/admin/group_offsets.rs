//! Committed offsets of groups: list, set, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::TopicPartition;
use protocol::ErrorCode;
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_delete_response::OffsetDeleteResponse;

use super::{Admin, PerItem};
use crate::cluster::Topics;
use crate::error::{Error, Result};
use crate::group::coordinator::moved;
use crate::group::offsets::{self, Wanted};
use crate::group::{Identity, Offsets};

impl Admin {
    /// What a group has committed: for these partitions, or for all.
    pub async fn group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Offsets> {
        let attempt = || async move {
            let (connection, _) = self.coordinator(group).await?;
            let wanted = Wanted { group, identity: None, partitions, require_stable: false };
            let metadata = self.client.metadata();
            let found = offsets::fetch(&connection, &wanted, &metadata).await?;
            found.into_iter().map(|(tp, result)| Ok((tp, result?))).collect()
        };
        self.client.retry("listGroupOffsets", self.client.deadline(), attempt).await
    }

    /// Sets offsets of a group without members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &Offsets,
    ) -> Result<PerItem<TopicPartition, ()>> {
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        let mut names: Vec<Arc<str>> = offsets.keys().map(|tp| Arc::clone(&tp.topic)).collect();
        names.dedup();
        let names = &names;
        let attempt = || async move {
            let metadata =
                match self.client.refresh_once(&Topics::Named(names.clone()), false).await {
                    // What is wrong with a topic the coordinator says of its partitions.
                    Err(Error::Api { .. }) => self.client.metadata(),
                    metadata => metadata?,
                };
            let (connection, _) = self.coordinator(group).await?;
            let nobody = Identity { member_id: "".into(), epoch: -1 };
            let results =
                offsets::commit(&connection, group, &nobody, None, offsets, &metadata).await?;
            // An error of the coordinator stands at every partition.
            match results.iter().find_map(|(_, result)| result.as_ref().err()) {
                Some(error) if error.code().is_some_and(of_coordinator) => Err(error.clone()),
                _ => Ok(results),
            }
        };
        self.client.retry("alterGroupOffsets", self.client.deadline(), attempt).await
    }

    /// Deletes offsets of topics that no member subscribes to.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, ()>> {
        let mut topics: BTreeMap<&Arc<str>, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for tp in partitions {
            topics
                .entry(&tp.topic)
                .or_default()
                .push(OffsetDeleteRequestPartition { partition_index: tp.partition.get() });
        }
        let topic = |(name, partitions): (&Arc<str>, Vec<_>)| OffsetDeleteRequestTopic {
            name: name.to_string().into(),
            partitions,
        };
        let request = OffsetDeleteRequest {
            group_id: group.into(),
            topics: topics.into_iter().map(topic).collect(),
        };
        let request = &request;
        let attempt = || async move {
            let (connection, _) = self.coordinator(group).await?;
            let reply = connection.call(request).await?;
            let response: OffsetDeleteResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let mut results = Vec::new();
            for topic in &response.topics {
                let name: Arc<str> = topic.name.as_ref().into();
                for p in &topic.partitions {
                    let tp = TopicPartition::new(Arc::clone(&name), p.partition_index);
                    results.push((tp, Error::check(p.error_code, None)));
                }
            }
            Ok(results)
        };
        self.client.retry("deleteGroupOffsets", self.client.deadline(), attempt).await
    }
}

fn of_coordinator(code: ErrorCode) -> bool {
    moved(code) || code == ErrorCode::CoordinatorLoadInProgress
}
