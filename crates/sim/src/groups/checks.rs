//! The checker beside the world: it reads the log as it grows, hears what clients say, and knows what must never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Offset, TopicPartition};
use coordinator::{LogRecord, Shard};
use group::{GroupShard, Kind, invariants};

use super::turn::Told;
use crate::seeds::counts;

pub type Verdict = Result<(), String>;
type Place = (Arc<str>, TopicPartition);

counts! {
    /// What was seen to happen, to know that a run was worth something.
    pub struct Stats {
        pub steps,
        pub records,
        pub generations,
        pub commits,
        pub fenced,
        pub reloads,
        pub failed_appends,
        pub lost_messages,
        pub groups_ended,
        /// From one protocol to the other, with members.
        pub conversions,
    }
}

#[derive(Default)]
pub struct Checks {
    pub stats: Stats,
    /// The log, replayed as it grew.
    follower: GroupShard,
    next: i64,
    batches: usize,
    /// How many times a group of that name ended.
    lives: BTreeMap<Arc<str>, u64>,
    /// Who was assigned what, by group, its life, and generation.
    claims: BTreeMap<(Arc<str>, u64, i32), BTreeMap<TopicPartition, String>>,
    /// The highest offset in the log or acknowledged, per place.
    highest: BTreeMap<Place, i64>,
    /// Offsets of these groups may do anything for a moment.
    pub reset: BTreeSet<Arc<str>>,
    pub deleted_topics: BTreeSet<Arc<str>>,
    /// Offsets that somebody deleted: an acknowledgement from before may come later.
    forgotten: BTreeSet<Place>,
    /// Offsets may expire.
    pub expiry: bool,
}

fn replay(shard: &mut GroupShard, at: &mut i64, record: &LogRecord) -> Result<(), String> {
    let decoded = GroupShard::decode(&record.key, record.value.as_deref());
    let decoded = decoded.map_err(|error| format!("a record of the log is unreadable: {error}"))?;
    if let Some(decoded) = decoded {
        shard.replay(Offset(*at), None, &decoded);
    }
    *at += 1;
    Ok(())
}

fn has_members(kind: &Kind) -> bool {
    match kind {
        Kind::Classic(group) => group.members().next().is_some(),
        Kind::Consumer(group) => group.members().next().is_some(),
        _ => false,
    }
}

impl Checks {
    /// Reads what the log has got since, and holds the rules against it.
    pub fn follow(&mut self, log: &[Vec<LogRecord>]) -> Verdict {
        for batch in log.get(self.batches..).unwrap_or_default() {
            self.follow_batch(batch)?;
        }
        self.batches = log.len();
        Ok(())
    }

    /// Reads one batch more.
    pub fn follow_batch(&mut self, batch: &[LogRecord]) -> Verdict {
        let (begin, ended) = (self.follower.clone(), self.stats.groups_ended);
        // Before the tombstones that are read: who goes with its members is to come back as another kind.
        let mut solid = self.follower.clone();
        let mut converted = BTreeSet::new();
        for record in batch {
            let before = self.follower.clone();
            if record.value.is_some() {
                solid = before.clone();
            }
            replay(&mut self.follower, &mut self.next, record)?;
            self.stats.records += 1;
            converted.extend(self.note_ends(&before, &solid));
            if record.value.is_some() {
                solid = self.follower.clone();
            }
        }
        if let Some(gone) =
            converted.iter().find(|name| !self.follower.groups().contains_key(*name))
        {
            return Err(format!("{gone} is gone with its members"));
        }
        // A group may end and begin again within a batch.
        if ended == self.stats.groups_ended {
            invariants::epochs_grow(&begin, &self.follower)?;
        }
        invariants::partitions_have_one_owner(&self.follower)?;
        invariants::epochs_are_in_order(&self.follower)?;
        invariants::leaders_assign_once(&self.follower)?;
        self.offsets_grow()
    }

    /// Groups that ended. Those that only change their kind are returned.
    fn note_ends(&mut self, before: &GroupShard, solid: &GroupShard) -> Vec<Arc<str>> {
        let mut converted = Vec::new();
        for name in before.groups().keys() {
            if self.follower.groups().contains_key(name) {
                continue;
            }
            if solid.groups().get(name).is_some_and(has_members) {
                self.stats.conversions += 1;
                converted.push(Arc::clone(name));
            } else {
                *self.lives.entry(Arc::clone(name)).or_default() += 1;
                self.stats.groups_ended += 1;
            }
        }
        converted
    }

    /// Committed offsets go back for nobody who did not ask for it, and do not vanish.
    fn offsets_grow(&mut self) -> Verdict {
        let mut gone = self.highest.clone();
        for ((group, topic, partition), committed) in self.follower.offsets().all() {
            let place = (Arc::clone(group), TopicPartition::new(Arc::clone(topic), *partition));
            gone.remove(&place);
            let highest = self.highest.entry(place).or_insert(committed.offset);
            if committed.offset < *highest && !self.reset.contains(group) {
                return Err(format!(
                    "{group}: {topic}-{partition} was committed at {highest}, then at {}",
                    committed.offset
                ));
            }
            *highest = committed.offset;
        }
        for (place, offset) in gone {
            let allowed = self.expiry
                || self.reset.contains(&place.0)
                || self.deleted_topics.contains(&place.1.topic);
            if !allowed {
                return Err(format!("{}: the offset {offset} of {} vanished", place.0, place.1));
            }
            self.highest.remove(&place);
            self.forgotten.insert(place);
        }
        Ok(())
    }

    /// What the log says.
    pub fn log_state(&self) -> &GroupShard {
        &self.follower
    }

    /// The state in memory is what the log says.
    pub fn live_is_log(&self, live: &GroupShard) -> Verdict {
        invariants::same_durable_state(live, &self.follower)
    }

    /// A log with fewer records takes the place of the one that was followed, and says the same.
    pub fn compacted(&mut self, log: &[Vec<LogRecord>]) -> Verdict {
        let (mut again, mut at) = (GroupShard::default(), 0);
        for record in log.iter().flatten() {
            replay(&mut again, &mut at, record)?;
        }
        invariants::same_durable_state(&self.follower, &again)
            .and_then(|()| invariants::same_durable_state(&again, &self.follower))
            .map_err(|what| format!("after compaction: {what}"))?;
        (self.follower, self.next, self.batches) = (again, at, log.len());
        Ok(())
    }

    /// Holds what clients say against what is known.
    pub fn told(&mut self, group: &Arc<str>, member: &str, told: Told) -> Verdict {
        match told {
            Told::Assigned { generation, partitions } => {
                let life = self.lives.get(group).copied().unwrap_or(0);
                let key = (Arc::clone(group), life, generation);
                if !self.claims.contains_key(&key) {
                    self.stats.generations += 1;
                }
                let owners = self.claims.entry(key).or_default();
                for partition in partitions {
                    let owner = owners.entry(partition.clone()).or_insert(member.to_owned());
                    if owner != member {
                        return Err(format!(
                            "{group}: generation {generation} gave {partition} to {owner} and \
                             {member}"
                        ));
                    }
                }
            }
            Told::Committed { partition, offset } => {
                self.stats.commits += 1;
                let place = (Arc::clone(group), partition);
                let known = self.highest.get(&place).copied();
                // Its topic may have gone before the answer came.
                let gone = self.deleted_topics.contains(&place.1.topic);
                let excused = self.expiry || gone || self.forgotten.contains(&place);
                if known.is_none_or(|known| known < offset) && !excused {
                    return Err(format!(
                        "{group}: {offset} of {} was acknowledged, the log has {known:?}",
                        place.1
                    ));
                }
            }
            Told::Fenced => self.stats.fenced += 1,
        }
        Ok(())
    }
}
