//! Which topics a member reads, and how many partitions they have, as the metadata tells it.

use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;
use tokio::time::Instant;

use super::assignor::PartitionCounts;
use super::member::Subscription;
use crate::cluster::{Client, Topics as Asked};
use crate::error::{Error, Result};
use crate::metadata::Metadata;

/// Between two looks while a topic is missing.
const MISSING_MS: u64 = 500;

pub(crate) struct Topics {
    client: Client,
    create: bool,
    names: Vec<Arc<str>>,
    counts: PartitionCounts,
    looked: Option<Instant>,
}

impl Topics {
    pub(crate) fn new(client: Client, create: bool) -> Self {
        Self { client, create, names: Vec::new(), counts: PartitionCounts::new(), looked: None }
    }

    /// Subscribed topics, sorted; those that do not exist yet, too, when they were named.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(crate) fn counts(&self) -> &PartitionCounts {
        &self.counts
    }

    /// Looks the subscription up.
    pub(crate) async fn resolve(&mut self, subscription: &Subscription) -> Result<()> {
        self.looked = Some(Instant::now());
        let (mut names, metadata) = match subscription {
            Subscription::Topics(names) => (names.clone(), self.ask(names).await?),
            Subscription::Matching(accepts) => {
                let metadata = self.client.refresh_once(&Asked::All, false).await?;
                let fits = metadata.topics.values().filter(|t| !t.internal && accepts(&t.name));
                (fits.map(|topic| Arc::clone(&topic.name)).collect(), metadata)
            }
            Subscription::Regex(_) => (Vec::new(), self.client.metadata()),
        };
        names.sort_unstable();
        names.dedup();
        self.counts = counts(&names, &metadata);
        self.names = names;
        Ok(())
    }

    /// The numbers of partitions of these topics, of those that exist.
    pub(crate) async fn counts_for(&self, names: &[Arc<str>]) -> Result<PartitionCounts> {
        if names.iter().all(|name| self.counts.contains_key(name)) {
            let known = names.iter().filter_map(|name| self.counts.get_key_value(name));
            return Ok(known.map(|(name, count)| (Arc::clone(name), *count)).collect());
        }
        let metadata = self.ask(names).await?;
        Ok(counts(names, &metadata))
    }

    async fn ask(&self, names: &[Arc<str>]) -> Result<Arc<Metadata>> {
        if names.is_empty() {
            return Ok(self.client.metadata());
        }
        let asked = Asked::Named(names.to_vec());
        let metadata = match self.client.refresh_once(&asked, self.create).await {
            // Said of the one topic asked for.
            Err(Error::Api { code, .. }) if code.retriable() => self.client.metadata(),
            result => result?,
        };
        for name in names {
            let code = metadata.topic(name).map_or(ErrorCode::None, |topic| topic.error);
            if code != ErrorCode::None && !code.retriable() {
                return Err(Error::api(code, Some(&format!("{name}: {}", code.message()))));
            }
        }
        Ok(metadata)
    }

    /// When to look again: soon while something is missing, else when the metadata is old.
    pub(crate) fn look_at(&self) -> Instant {
        let missing = self.names.is_empty() || self.names.len() > self.counts.len();
        let max_age_ms = self.client.options().metadata_max_age_ms;
        let wait_ms = if missing { MISSING_MS.min(max_age_ms.max(1)) } else { max_age_ms };
        let now = Instant::now();
        let wait = Duration::from_millis(wait_ms);
        self.looked.unwrap_or(now).checked_add(wait).unwrap_or(now + Duration::from_secs(3600))
    }
}

fn counts(names: &[Arc<str>], metadata: &Metadata) -> PartitionCounts {
    let count = |name: &Arc<str>| {
        let count = metadata.topic(name)?.partitions.len();
        let count = i32::try_from(count).ok().filter(|count| *count > 0)?;
        Some((Arc::clone(name), count))
    };
    names.iter().filter_map(count).collect()
}
