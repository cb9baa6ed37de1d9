//! What was touched between two images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{NodeId, PartitionIndex, TopicId, Uuid};

use crate::configs::ConfigResource;
use crate::quotas::QuotaEntity;
use crate::scram::ScramMechanism;
use crate::{Image, MetadataVersion};

/// Names of everything that records touched. What became of it stands in the images before and after: absent from
/// both (created and deleted at once) or equal in both are possible.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Delta {
    /// `metadata.version` among them.
    pub features: BTreeSet<Arc<str>>,
    pub brokers: BTreeSet<NodeId>,
    pub controllers: BTreeSet<NodeId>,
    /// Created, deleted and changed topics with the partitions that records named.
    pub topics: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    pub configs: BTreeSet<ConfigResource>,
    pub client_quotas: BTreeSet<QuotaEntity>,
    pub producer_ids: bool,
    pub acls: BTreeSet<Uuid>,
    pub scram: BTreeSet<(ScramMechanism, Arc<str>)>,
    pub delegation_tokens: BTreeSet<Arc<str>>,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn topic(&mut self, id: TopicId) -> &mut BTreeSet<PartitionIndex> {
        self.topics.entry(id).or_default()
    }

    /// Adds what another delta touched after this one.
    pub fn merge(&mut self, mut later: Self) {
        self.features.append(&mut later.features);
        self.brokers.append(&mut later.brokers);
        self.controllers.append(&mut later.controllers);
        for (id, mut partitions) in later.topics {
            self.topic(id).append(&mut partitions);
        }
        self.configs.append(&mut later.configs);
        self.client_quotas.append(&mut later.client_quotas);
        self.producer_ids |= later.producer_ids;
        self.acls.append(&mut later.acls);
        self.scram.append(&mut later.scram);
        self.delegation_tokens.append(&mut later.delegation_tokens);
    }

    /// Everything in which two images differ: what a snapshot in place of many records amounts to.
    pub fn between(before: &Image, after: &Image) -> Self {
        let mut delta = Self {
            features: differing(before.features.levels.iter(), after.features.levels.iter()),
            brokers: differing(before.cluster.brokers.iter(), after.cluster.brokers.iter()),
            controllers: differing(
                before.cluster.controllers.iter(),
                after.cluster.controllers.iter(),
            ),
            topics: BTreeMap::new(),
            configs: differing(before.configs.iter(), after.configs.iter()),
            client_quotas: differing(before.client_quotas.iter(), after.client_quotas.iter()),
            producer_ids: before.producer_ids != after.producer_ids,
            acls: differing(before.acls.iter(), after.acls.iter()),
            scram: differing(before.scram.iter(), after.scram.iter()),
            delegation_tokens: differing(
                before.delegation_tokens.iter(),
                after.delegation_tokens.iter(),
            ),
        };
        if before.features.metadata_version != after.features.metadata_version {
            delta.features.insert(MetadataVersion::FEATURE_NAME.into());
        }
        let (old, new) = (&before.topics, &after.topics);
        let topics = differing(old.iter().map(|t| (&t.id, t)), new.iter().map(|t| (&t.id, t)));
        for id in topics {
            let changed = match (old.by_id(id), new.by_id(id)) {
                // Nobody names the partitions of a topic that is gone.
                (_, None) => BTreeSet::new(),
                (None, Some(topic)) => topic.partitions().map(|(index, _)| index).collect(),
                (Some(old), Some(new)) => {
                    let changed =
                        new.partitions().filter(|(index, now)| old.partition(*index) != Some(now));
                    changed.map(|(index, _)| index).collect()
                }
            };
            delta.topics.insert(id, changed);
        }
        delta
    }
}

/// Keys whose values differ, or which only one side has.
fn differing<'a, K: Ord + Clone + 'a, V: PartialEq + 'a>(
    before: impl Iterator<Item = (&'a K, &'a V)>,
    after: impl Iterator<Item = (&'a K, &'a V)>,
) -> BTreeSet<K> {
    let mut old: BTreeMap<&K, &V> = before.collect();
    let mut keys = BTreeSet::new();
    for (key, value) in after {
        if old.remove(key) != Some(value) {
            keys.insert(key.clone());
        }
    }
    keys.extend(old.into_keys().cloned());
    keys
}
