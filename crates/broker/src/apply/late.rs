//! Replicas that are late: what the metadata wants of them is known, but one who writes holds their locks, and his disk stands still. They
//! stay as an earlier image wanted them until somebody gets the locks; everybody else goes on.
//!
//! To be late is to be like a broker that has not heard of the newest metadata yet, which every protocol here bears. A leader that
//! should lead no more still believes in its old epoch. Its locks are held, so nobody can append but the one whose write stands, and
//! those few who are before us at the locks when it ends. What they write with acks=all is answered when the high watermark passes it, and
//! for that all in-sync replicas of the old epoch must have fetched it in that epoch. The new leader is one of these (or the election was
//! unclean, which promises nothing), and fetches from nobody since it leads: what it has not fetched is never committed here. To go on without
//! it the old leader would have to take it out of the in-sync replicas, which the controller refuses in an old epoch. A new
//! leader that is late serves nobody yet: who asks in the new epoch hears that it is not known here, and asks again. A replica that
//! skips what is between two images is no other than one whose broker was told both at once.
//!
//! It knows neither locks nor threads: a number stands for each log directory. (Who does the work: [`super::catch_up`].)

use std::collections::{BTreeMap, BTreeSet};

use base::{TopicIdPartition, TopicPartition};

/// What is late in all directories; never more than the node has replicas. `G` is what it takes to take one away.
#[derive(Debug)]
pub struct Late<G> {
    dirs: BTreeMap<u16, Dir<G>>,
    /// The node ends.
    is_closed: bool,
}

/// What is late in one.
#[derive(Debug)]
struct Dir<G> {
    behind: BTreeSet<TopicIdPartition>,
    /// Those whose logs are to be deleted; nobody finds them any more.
    going: BTreeMap<TopicPartition, G>,
    /// Somebody is at it.
    has_worker: bool,
}

impl<G> Default for Dir<G> {
    fn default() -> Self {
        Self { behind: BTreeSet::new(), going: BTreeMap::new(), has_worker: false }
    }
}

impl<G> Default for Late<G> {
    fn default() -> Self {
        Self { dirs: BTreeMap::new(), is_closed: false }
    }
}

/// What the worker of a directory is to try next.
#[derive(Debug)]
pub struct Tasks<G> {
    pub behind: Vec<TopicIdPartition>,
    pub going: Vec<(TopicPartition, G)>,
}

impl<G: Clone> Late<G> {
    /// The replica could not be told what the metadata wants.
    pub fn add(&mut self, dir: u16, id: TopicIdPartition) {
        if !self.is_closed && !self.is_behind(id) {
            self.dirs.entry(dir).or_default().behind.insert(id);
        }
    }

    /// It has been told, or is not here any more. Tells whether it was late.
    pub fn settle(&mut self, id: TopicIdPartition) -> bool {
        self.dirs.values_mut().any(|dir| dir.behind.remove(&id))
    }

    pub fn is_behind(&self, id: TopicIdPartition) -> bool {
        self.dirs.values().any(|dir| dir.behind.contains(&id))
    }

    /// The log is to be deleted when that is possible.
    pub fn add_going(&mut self, dir: u16, name: TopicPartition, going: G) {
        if !self.is_closed {
            self.dirs.entry(dir).or_default().going.insert(name, going);
        }
    }

    /// A log of this name waits to be deleted: no other one can take its place before.
    pub fn is_going(&self, name: &TopicPartition) -> bool {
        self.dirs.values().any(|dir| dir.going.contains_key(name))
    }

    pub fn gone(&mut self, dir: u16, names: &[TopicPartition]) {
        if let Some(dir) = self.dirs.get_mut(&dir) {
            for name in names {
                dir.going.remove(name);
            }
        }
    }

    /// Whether anything in this directory is.
    pub fn is_any_in(&self, dir: u16) -> bool {
        self.dirs.get(&dir).is_some_and(|dir| !dir.is_done())
    }

    /// Whether any replica anywhere waits for what an image says.
    pub fn is_any_behind(&self) -> bool {
        self.dirs.values().any(|dir| !dir.behind.is_empty())
    }

    /// Directories with something to do and nobody at it; from now on somebody is.
    pub fn take_on(&mut self) -> Vec<u16> {
        let idle = self.dirs.iter_mut().filter(|(_, dir)| !dir.has_worker);
        let taken = idle.map(|(index, dir)| {
            dir.has_worker = true;
            *index
        });
        taken.collect()
    }

    /// What is to be tried in a directory; `None` when there is nothing left, and its worker may go.
    pub fn tasks(&mut self, dir: u16) -> Option<Tasks<G>> {
        let known = self.dirs.get(&dir)?;
        if known.is_done() {
            self.dirs.remove(&dir);
            return None;
        }
        let going = known.going.iter().map(|(name, going)| (name.clone(), going.clone()));
        Some(Tasks { behind: known.behind.iter().copied().collect(), going: going.collect() })
    }

    /// The worker of a directory ended before its time.
    pub fn abandon(&mut self, dir: u16) {
        if let Some(dir) = self.dirs.get_mut(&dir) {
            dir.has_worker = false;
        }
    }

    /// The node ends: whatever is late stays as it is.
    pub fn close(&mut self) {
        self.dirs.clear();
        self.is_closed = true;
    }
}

impl<G> Dir<G> {
    fn is_done(&self) -> bool {
        self.behind.is_empty() && self.going.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use base::{PartitionIndex, Uuid};

    use super::*;

    const fn id(n: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: Uuid::ONE, partition: PartitionIndex(n) }
    }

    const IDS: [TopicIdPartition; 3] = [id(0), id(1), id(2)];

    fn name(n: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: PartitionIndex(n) }
    }

    #[test]
    fn each_directory_has_one_worker_until_nothing_is_left_in_it() {
        let mut late = Late::<()>::default();
        assert!(late.take_on().is_empty());
        late.add(3, IDS[0]);
        late.add(5, IDS[1]);
        assert_eq!(late.take_on(), [3, 5]);
        late.add(3, IDS[2]);
        assert!(late.take_on().is_empty(), "somebody is at it");
        assert_eq!(late.tasks(3).unwrap().behind, [IDS[0], IDS[2]]);
        assert!(late.settle(IDS[0]) && !late.settle(IDS[0]));
        assert!(late.is_any_in(3) && late.is_behind(IDS[2]) && !late.is_behind(IDS[0]));
        assert!(late.settle(IDS[2]));
        late.add(3, IDS[0]);
        assert!(late.tasks(3).is_some(), "more has come for the same worker");
        late.settle(IDS[0]);
        assert!(!late.is_any_in(3) && late.tasks(3).is_none());
        late.add(3, IDS[0]);
        assert_eq!(late.take_on(), [3], "the one before has gone");
        late.abandon(5);
        assert_eq!(late.take_on(), [5]);
        assert!(late.is_any_behind());
    }

    #[test]
    fn a_replica_is_late_once_however_often_it_moves() {
        let mut late = Late::<()>::default();
        late.add(1, IDS[0]);
        late.add(2, IDS[0]);
        assert!(!late.is_any_in(2));
        assert!(late.settle(IDS[0]) && !late.is_behind(IDS[0]));
    }

    #[test]
    fn names_are_taken_until_their_logs_are_gone() {
        let mut late = Late::default();
        late.add_going(1, name(0), "a");
        late.add_going(1, name(1), "b");
        assert!(late.is_going(&name(0)) && !late.is_going(&name(2)) && !late.is_any_behind());
        assert_eq!(late.take_on(), [1]);
        assert_eq!(late.tasks(1).unwrap().going, [(name(0), "a"), (name(1), "b")]);
        late.gone(1, &[name(0)]);
        assert!(!late.is_going(&name(0)) && late.is_going(&name(1)));
        late.gone(1, &[name(1)]);
        assert!(late.tasks(1).is_none());
    }

    #[test]
    fn at_the_end_nothing_is_late() {
        let mut late = Late::default();
        late.add(1, IDS[0]);
        late.add_going(1, name(0), ());
        assert_eq!(late.take_on(), [1]);
        late.close();
        late.add(1, IDS[1]);
        late.add_going(1, name(1), ());
        assert!(late.tasks(1).is_none() && late.take_on().is_empty());
        assert!(!late.is_behind(IDS[1]) && !late.is_going(&name(1)));
    }
}
