//! A fetch session from the follower's side (KIP-227): what the leader remembers, so that a request names only what changed.

use std::collections::{HashMap, HashSet};

use base::TopicIdPartition;
use replication::Position;

use crate::fetch::session::{EPOCH_INITIAL, next_epoch};

/// What the leader of a session knows.
#[derive(Debug, Default)]
pub struct Session {
    id: i32,
    epoch: i32,
    told: HashMap<TopicIdPartition, Position>,
}

/// What a request says.
#[derive(Debug, PartialEq)]
pub struct Words {
    pub session_id: i32,
    pub epoch: i32,
    pub partitions: Vec<(TopicIdPartition, Position)>,
    pub forgotten: Vec<TopicIdPartition>,
}

impl Session {
    /// The next request, for all of `wanted`; `touched` are those that may differ from what was told.
    pub fn next(
        &mut self,
        wanted: &HashMap<TopicIdPartition, Position>,
        touched: &[TopicIdPartition],
    ) -> Words {
        if self.epoch == EPOCH_INITIAL {
            self.told = wanted.clone();
            return Words {
                session_id: self.id,
                epoch: EPOCH_INITIAL,
                partitions: wanted.iter().map(|(id, at)| (*id, *at)).collect(),
                forgotten: Vec::new(),
            };
        }
        let mut words = Words {
            session_id: self.id,
            epoch: self.epoch,
            partitions: Vec::new(),
            forgotten: Vec::new(),
        };
        for id in touched {
            match wanted.get(id) {
                Some(at) => {
                    if self.told.insert(*id, *at) != Some(*at) {
                        words.partitions.push((*id, *at));
                    }
                }
                None => {
                    if self.told.remove(id).is_some() {
                        words.forgotten.push(*id);
                    }
                }
            }
        }
        words
    }

    /// What was told of a partition, which its answer is about.
    pub fn told(&self, id: TopicIdPartition) -> Option<Position> {
        self.told.get(&id).copied()
    }

    /// Whether these are partitions that can be in the answer: all, to a full request; else some of those that the leader knows.
    pub fn is_answered_by(&self, mut named: impl Iterator<Item = TopicIdPartition>) -> bool {
        let mut seen = HashSet::new();
        let known = named.all(|id| self.told.contains_key(&id) && seen.insert(id));
        known && (self.epoch != EPOCH_INITIAL || seen.len() == self.told.len())
    }

    /// The leader answered under this session id; 0: it keeps none.
    pub fn answered(&mut self, id: i32) {
        if id <= 0 {
            *self = Self::default();
        } else if self.epoch == EPOCH_INITIAL || id == self.id {
            self.id = id;
            self.epoch = next_epoch(self.epoch);
        } else {
            self.restart();
        }
    }

    /// The next request is a full one; the leader closes this session with it.
    pub fn restart(&mut self) {
        self.epoch = EPOCH_INITIAL;
    }

    /// The leader does not know the session.
    pub fn lost(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use base::{LeaderEpoch, Offset, Uuid};

    use super::*;

    fn at(offset: i64) -> Position {
        Position {
            leader_epoch: LeaderEpoch(1),
            offset: Offset(offset),
            last_fetched_epoch: LeaderEpoch(1),
            log_start: Offset(0),
        }
    }

    fn id(partition: i32) -> TopicIdPartition {
        TopicIdPartition::new(Uuid::ONE, partition)
    }

    #[test]
    fn only_what_changed_is_named() {
        let mut session = Session::default();
        let mut wanted = HashMap::from([(id(0), at(0)), (id(1), at(5))]);
        let all = [id(0), id(1), id(2)];
        let full = session.next(&wanted, &all);
        assert_eq!((full.session_id, full.epoch, full.partitions.len()), (0, 0, 2));
        session.answered(7);
        wanted.insert(id(0), at(3));
        let next = session.next(&wanted, &all);
        assert_eq!((next.session_id, next.epoch), (7, 1));
        assert_eq!(next.partitions, [(id(0), at(3))]);
        session.answered(7);
        wanted.remove(&id(1));
        wanted.insert(id(2), at(0));
        let next = session.next(&wanted, &all);
        assert_eq!(
            (next.epoch, next.partitions, next.forgotten),
            (2, vec![(id(2), at(0))], vec![id(1)])
        );
        session.restart();
        let full = session.next(&wanted, &[]);
        assert_eq!((full.session_id, full.epoch, full.partitions.len()), (7, 0, 2));
    }

    #[test]
    fn an_answer_names_what_was_asked_for() {
        let mut session = Session::default();
        let wanted = HashMap::from([(id(0), at(0)), (id(1), at(5))]);
        let fits = |session: &Session, named: &[i32]| {
            session.is_answered_by(named.iter().map(|partition| id(*partition)))
        };
        session.next(&wanted, &[id(0), id(1)]);
        assert!(fits(&session, &[1, 0]));
        for wrong in [&[0][..], &[], &[0, 1, 2], &[0, 0], &[0, 1, 1]] {
            assert!(!fits(&session, wrong), "{wrong:?}");
        }
        session.answered(7);
        session.next(&wanted, &[]);
        for right in [&[0][..], &[], &[1, 0]] {
            assert!(fits(&session, right), "{right:?}");
        }
        assert!(!fits(&session, &[2]));
    }

    #[test]
    fn a_leader_without_sessions_is_told_everything_every_time() {
        let mut session = Session::default();
        let wanted = HashMap::from([(id(0), at(0))]);
        for _ in 0..3 {
            let words = session.next(&wanted, &[]);
            assert_eq!((words.session_id, words.epoch, words.partitions.len()), (0, 0, 1));
            session.answered(0);
        }
    }
}
