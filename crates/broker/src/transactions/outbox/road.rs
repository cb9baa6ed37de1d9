//! What waits for one broker, and in which of its lanes requests are under way.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use base::{MonoMs, NodeId, PartitionIndex, TopicPartition};

use super::{Job, RequestNo};

/// A request that takes longer is slow: the next one does not wait for it.
pub(super) const PATIENCE_MS: u64 = 100;
/// Partitions in one request.
pub(super) const PARTITIONS_MAX: usize = 20_000;
/// Of each kind.
const LANES: u8 = 4;

/// A connection to a broker: one request at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::transactions) struct Lane(pub u8);

/// Which partitions a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Usual,
    /// Those that did not commit their last markers in time.
    Late,
}

impl Kind {
    fn lanes(self) -> impl Iterator<Item = Lane> {
        let first = match self {
            Self::Usual => 0,
            Self::Late => LANES,
        };
        (first..first + LANES).map(Lane)
    }
}

pub(super) struct Request {
    pub broker: NodeId,
    pub lane: Lane,
    pub since: MonoMs,
    pub jobs: Arc<[Job]>,
}

impl Request {
    pub fn is_slow(&self, now: MonoMs) -> bool {
        now.since(self.since) >= PATIENCE_MS
    }
}

struct Taken {
    request: RequestNo,
    /// For partitions that are in this request.
    behind: Vec<Job>,
}

#[derive(Default)]
pub(super) struct Road {
    usual: VecDeque<Job>,
    late: VecDeque<Job>,
    lanes: BTreeMap<Lane, Taken>,
    /// Where partitions are under way.
    in_lane: HashMap<TopicPartition, Lane>,
}

impl Road {
    pub fn is_empty(&self) -> bool {
        self.usual.is_empty() && self.late.is_empty() && self.lanes.is_empty()
    }

    /// Waits for a request.
    pub fn join(&mut self, mut job: Job, late: &HashSet<TopicPartition>) {
        let apart: Vec<_> = job.partitions.extract_if(.., |one| late.contains(one)).collect();
        if !apart.is_empty() {
            self.late.push_back(job.with(apart));
        }
        if !job.partitions.is_empty() {
            self.usual.push_back(job);
        }
    }

    fn queue(&mut self, kind: Kind) -> &mut VecDeque<Job> {
        match kind {
            Kind::Usual => &mut self.usual,
            Kind::Late => &mut self.late,
        }
    }

    /// The request that can go now, if there is one.
    pub fn depart(
        &mut self,
        number: RequestNo,
        now: MonoMs,
        under_way: &BTreeMap<RequestNo, Request>,
    ) -> Option<(Lane, Arc<[Job]>)> {
        for kind in [Kind::Usual, Kind::Late] {
            let Some(lane) = self.free_lane(kind) else { continue };
            let waits = self.newest(kind, under_way).is_some_and(|newest| !newest.is_slow(now));
            if waits || self.queue(kind).is_empty() {
                continue;
            }
            let jobs = self.fill(kind, lane);
            if !jobs.is_empty() {
                self.lanes.insert(lane, Taken { request: number, behind: Vec::new() });
                return Some((lane, jobs.into()));
            }
        }
        None
    }

    fn free_lane(&self, kind: Kind) -> Option<Lane> {
        kind.lanes().find(|lane| !self.lanes.contains_key(lane))
    }

    fn newest<'a>(
        &self,
        kind: Kind,
        under_way: &'a BTreeMap<RequestNo, Request>,
    ) -> Option<&'a Request> {
        let taken = kind.lanes().filter_map(|lane| self.lanes.get(&lane));
        taken.filter_map(|taken| under_way.get(&taken.request)).max_by_key(|one| one.since)
    }

    /// Takes what fits into a request. What is for partitions in another one waits for that one's answer.
    fn fill(&mut self, kind: Kind, lane: Lane) -> Vec<Job> {
        let (mut jobs, mut room) = (Vec::new(), PARTITIONS_MAX);
        while let Some(mut job) = self.queue(kind).pop_front() {
            let mut behind: BTreeMap<Lane, Vec<TopicPartition>> = BTreeMap::new();
            job.partitions.retain(|one| match self.in_lane.get(one) {
                Some(other) if *other != lane => {
                    behind.entry(*other).or_default().push(one.clone());
                    false
                }
                _ => true,
            });
            for (other, partitions) in behind {
                if let Some(taken) = self.lanes.get_mut(&other) {
                    taken.behind.push(job.with(partitions));
                }
            }
            let count = job.partitions.len();
            if count == 0 {
                continue;
            }
            if count > room && !jobs.is_empty() {
                self.queue(kind).push_front(job);
                break;
            }
            room = room.saturating_sub(count);
            self.in_lane.extend(job.partitions.iter().map(|one| (one.clone(), lane)));
            jobs.push(job);
        }
        jobs
    }

    /// A request in this lane is over; what waited behind it.
    pub fn end(&mut self, number: RequestNo, lane: Lane, jobs: &[Job]) -> Vec<Job> {
        if self.lanes.get(&lane).is_none_or(|taken| taken.request != number) {
            return Vec::new();
        }
        for partition in jobs.iter().flat_map(|job| &job.partitions) {
            self.in_lane.remove(partition);
        }
        self.lanes.remove(&lane).map(|taken| taken.behind).unwrap_or_default()
    }

    /// All that is not under way.
    pub fn take_waiting(&mut self) -> Vec<Job> {
        let behind = self.lanes.values_mut().flat_map(|taken| taken.behind.drain(..));
        self.usual.drain(..).chain(self.late.drain(..)).chain(behind).collect()
    }

    /// When the next request may go although the one before it is not answered.
    pub fn patience_ends(
        &self,
        now: MonoMs,
        under_way: &BTreeMap<RequestNo, Request>,
    ) -> Option<MonoMs> {
        let queues = [(Kind::Usual, &self.usual), (Kind::Late, &self.late)];
        let waiting = queues
            .into_iter()
            .filter(|(kind, queue)| !queue.is_empty() && self.free_lane(*kind).is_some());
        let newest = waiting.filter_map(|(kind, _)| self.newest(kind, under_way));
        newest.filter(|one| !one.is_slow(now)).map(|one| one.since.plus_ms(PATIENCE_MS)).min()
    }

    pub fn forget(&mut self, at: PartitionIndex) {
        self.usual.retain(|job| job.at != at);
        self.late.retain(|job| job.at != at);
        for taken in self.lanes.values_mut() {
            taken.behind.retain(|job| job.at != at);
        }
    }
}
