//! The sticky assignments: everyone keeps what it has as far as the balance allows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::TopicPartition;

use super::{Assignment, GroupMember, PartitionCounts, wanted};
use crate::group::blob;

/// What a member had, and in which generation.
pub type Owned = (Vec<TopicPartition>, i32);

/// Eager members own nothing while they join: what they had stands in their user data.
pub fn from_user_data(member: &GroupMember) -> Owned {
    let data = member.subscription.user_data.as_deref();
    data.and_then(blob::decode_sticky).unwrap_or((Vec::new(), -1))
}

/// Cooperative members go on reading what they have, and tell it. Before version 2 the generation stood in the user data.
pub fn from_subscription(member: &GroupMember) -> Owned {
    let subscription = &member.subscription;
    let told = subscription.user_data.as_deref().and_then(|data| data.first_chunk::<4>());
    let generation = match (subscription.generation, told) {
        (-1, Some(told)) => i32::from_be_bytes(*told),
        (generation, _) => generation,
    };
    (subscription.owned.clone(), generation)
}

/// Members by their place in the list, and what each has.
struct Balance<'m> {
    members: &'m [&'m GroupMember],
    lists: Vec<BTreeSet<TopicPartition>>,
    /// Who may read a topic, by place.
    takers: BTreeMap<Arc<str>, Vec<usize>>,
}

pub fn assign(
    members: &[&GroupMember],
    counts: &PartitionCounts,
    owned: fn(&GroupMember) -> Owned,
) -> Assignment {
    let places: HashMap<&str, usize> =
        members.iter().enumerate().map(|(place, m)| (m.id.as_str(), place)).collect();
    let takers = wanted(members, counts).into_iter().map(|(topic, members)| {
        (topic, members.iter().filter_map(|m| places.get(m.id.as_str()).copied()).collect())
    });
    let mut balance =
        Balance { members, lists: vec![BTreeSet::new(); members.len()], takers: takers.collect() };
    let kept = balance.keep(owned, counts);
    balance.fill(&kept, counts);
    balance.level();
    let lists = balance.lists.into_iter().map(|list| list.into_iter().collect());
    members.iter().map(|member| member.id.clone()).zip(lists).collect()
}

impl Balance<'_> {
    fn load(&self, place: usize) -> usize {
        self.lists.get(place).map_or(0, BTreeSet::len)
    }

    /// Leaves everyone what it had, if it still wants it and it still exists. The newest generation is believed; of two
    /// who claim a partition in the same generation nobody is.
    fn keep(
        &mut self,
        owned: fn(&GroupMember) -> Owned,
        counts: &PartitionCounts,
    ) -> BTreeSet<TopicPartition> {
        let mut claims: BTreeMap<TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
        for (place, member) in self.members.iter().enumerate() {
            let (list, generation) = owned(member);
            let list: BTreeSet<TopicPartition> = list.into_iter().collect();
            for tp in list {
                let exists = counts.get(&tp.topic).is_some_and(|n| tp.partition.get() < *n);
                let may = self.takers.get(&tp.topic).is_some_and(|takers| takers.contains(&place));
                if !exists || !may || tp.partition.get() < 0 {
                    continue;
                }
                let claim = claims.entry(tp).or_insert((generation, Some(place)));
                if claim.0 < generation {
                    *claim = (generation, Some(place));
                } else if claim.0 == generation && claim.1 != Some(place) {
                    claim.1 = None;
                }
            }
        }
        let mut kept = BTreeSet::new();
        for (tp, (_, place)) in claims {
            if let Some(list) = place.and_then(|place| self.lists.get_mut(place)) {
                kept.insert(tp.clone());
                list.insert(tp);
            }
        }
        kept
    }

    /// Gives the rest away, those with the fewest takers first, each to the taker with the least.
    fn fill(&mut self, kept: &BTreeSet<TopicPartition>, counts: &PartitionCounts) {
        let mut topics: Vec<(Arc<str>, Vec<usize>)> =
            self.takers.iter().map(|(topic, takers)| (Arc::clone(topic), takers.clone())).collect();
        topics.sort_by_key(|(_, takers)| takers.len());
        for (topic, takers) in topics {
            for index in 0..counts.get(&topic).copied().unwrap_or(0) {
                let tp = TopicPartition::new(Arc::clone(&topic), index);
                if kept.contains(&tp) {
                    continue;
                }
                let least = takers.iter().copied().min_by_key(|place| (self.load(*place), *place));
                if let Some(list) = least.and_then(|place| self.lists.get_mut(place)) {
                    list.insert(tp);
                }
            }
        }
    }

    /// Moves partitions from those with more to those with less, as long as a move makes it more even.
    fn level(&mut self) {
        // Every move lowers the sum of the squares of all loads: it ends.
        while let Some((tp, from, to)) = self.improvement() {
            if let Some(list) = self.lists.get_mut(from) {
                list.remove(&tp);
            }
            if let Some(list) = self.lists.get_mut(to) {
                list.insert(tp);
            }
        }
    }

    /// A partition of the fullest member that has one to give, and who should get it.
    fn improvement(&self) -> Option<(TopicPartition, usize, usize)> {
        // Per topic the taker with the least: the same for all partitions of the topic.
        let least: BTreeMap<&Arc<str>, usize> = self
            .takers
            .iter()
            .filter_map(|(topic, takers)| {
                let least = takers.iter().copied().min_by_key(|place| (self.load(*place), *place));
                Some((topic, least?))
            })
            .collect();
        let mut givers: Vec<usize> = (0..self.lists.len()).collect();
        givers.sort_by_key(|place| (std::cmp::Reverse(self.load(*place)), *place));
        givers.into_iter().find_map(|from| {
            let gives = |topic: &Arc<str>| {
                least.get(topic).copied().filter(|to| self.load(*to) + 1 < self.load(from))
            };
            let list = self.lists.get(from)?;
            // The last one of a list: the first ones are where everyone expects them.
            list.iter().rev().find_map(|tp| Some((tp.clone(), from, gives(&tp.topic)?)))
        })
    }
}

/// Takes back what still belongs to somebody else: its owner gives it up first, and joins again.
pub fn give_up_first(mut wanted: Assignment, members: &[&GroupMember]) -> Assignment {
    let owners: HashMap<TopicPartition, &str> = members
        .iter()
        .flat_map(|m| m.subscription.owned.iter().map(|tp| (tp.clone(), m.id.as_str())))
        .collect();
    for (member, list) in &mut wanted {
        list.retain(|tp| owners.get(tp).is_none_or(|owner| owner == member));
    }
    wanted
}
