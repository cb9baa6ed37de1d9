//! The rules of partitions: what is committed once stays at its offset, on everybody who may lead.

use std::collections::BTreeMap;

use base::{NodeId, Offset, TopicIdPartition};
use replication::FollowerLog;

use super::checks::Checks;
use super::node::{Node, Nodes};
use super::part_log::Record;
use super::quorum::Done;

/// What is known of all partitions.
#[derive(Default)]
pub(super) struct Partitions {
    /// Everything that was ever committed, by its offset.
    pub truth: BTreeMap<TopicIdPartition, Vec<Record>>,
    acked: BTreeMap<TopicIdPartition, Offset>,
    /// Something has changed since the rules were held the last time.
    pub changed: bool,
}

/// Who may lead without loss. A replica that was taken away may still stand among the eligible, but cannot be elected.
fn candidates(partition: &metadata::Partition) -> impl Iterator<Item = &NodeId> {
    let all = partition.isr.iter().chain(&partition.elr);
    all.filter(|id| partition.replicas.contains(id))
}

fn index(offset: Offset) -> usize {
    usize::try_from(offset.get()).unwrap_or(usize::MAX)
}

impl Checks {
    /// The largest offset that was acknowledged.
    pub fn last_acked(&self, id: TopicIdPartition) -> Option<Offset> {
        self.partitions.acked.get(&id).copied()
    }

    /// A leader says that these records are committed.
    pub fn partition_committed(
        &mut self,
        node: NodeId,
        id: TopicIdPartition,
        from: Offset,
        records: &[Record],
    ) -> Done {
        let truth = self.partitions.truth.entry(id).or_default();
        for (offset, record) in (index(from)..).zip(records) {
            match truth.get(offset) {
                Some(known) if known == record => {}
                Some(known) => {
                    return Err(format!(
                        "n{node} commits {record:?} at {offset} of {}, committed is {known:?}",
                        id.partition
                    ));
                }
                None if offset == truth.len() => {
                    self.stats.committed += 1;
                    self.partitions.changed = true;
                    truth.push(record.clone());
                }
                None => {
                    return Err(format!("n{node} commits {offset}, the end was {}", truth.len()));
                }
            }
        }
        Ok(())
    }

    /// AckedNotLost: what a producer is told is committed, at that offset, behind what was acknowledged before it was sent.
    pub fn acked(
        &mut self,
        id: TopicIdPartition,
        value: u64,
        offset: Offset,
        after: Option<Offset>,
    ) -> Done {
        self.stats.acked += 1;
        let known = self.partitions.truth.get(&id).and_then(|truth| truth.get(index(offset)));
        if known.is_none_or(|record| record.value != value) {
            return Err(format!("{value:x} is acknowledged at {offset}, committed is {known:?}"));
        }
        if after.is_some_and(|after| offset <= after) {
            return Err(format!(
                "{value:x} is written at {offset}, after {after:?} was acknowledged"
            ));
        }
        let last = self.partitions.acked.entry(id).or_insert(offset);
        *last = offset.max(*last);
        Ok(())
    }

    /// A consumer sees only what is committed.
    pub fn consumed(&mut self, id: TopicIdPartition, from: Offset, records: &[Record]) -> Done {
        let truth = self.partitions.truth.get(&id).map_or(&[][..], |truth| &truth[..]);
        self.stats.consumed += records.len() as u64;
        for (offset, record) in (index(from)..).zip(records) {
            let known = truth.get(offset);
            if known != Some(record) {
                return Err(format!("{record:?} is read at {offset}, committed is {known:?}"));
            }
        }
        Ok(())
    }

    /// After a step of this node.
    pub fn hold_for_partitions(&mut self, nodes: &mut Nodes, id: NodeId) -> Done {
        let this = nodes.get_mut(&id);
        let moved = this.is_some_and(|node| node.disk.logs.values_mut().any(|log| log.changed));
        if !moved && !self.partitions.changed {
            return Ok(());
        }
        self.partitions.changed = false;
        for node in nodes.values_mut() {
            self.compare_logs(node)?;
        }
        self.candidates_are_complete(nodes)
    }

    /// How much of a node's logs is what is committed.
    pub fn compare_logs(&self, node: &mut Node) -> Done {
        for (id, log) in &mut node.disk.logs {
            log.changed = false;
            if !log.epochs_fit() {
                return Err(format!("n{} has other epochs than records: {log:?}", node.id));
            }
            let Some(truth) = self.partitions.truth.get(id) else { continue };
            let same = |at: usize| {
                let both = log.records().get(at).zip(truth.get(at));
                both.is_some_and(|(one, other)| one == other)
            };
            let mut compared = log.compared;
            while same(compared) {
                compared += 1;
            }
            log.compared = compared;
        }
        Ok(())
    }

    /// LeaderCandidateCompleteness: whoever may lead without loss has everything that is committed. Left out is who was killed
    /// since: the controller learns it when the broker comes back.
    pub fn candidates_are_complete(&self, nodes: &Nodes) -> Done {
        for topic in self.truth().topics.iter() {
            for (partition, known) in topic.partitions() {
                let id = TopicIdPartition { topic_id: topic.id, partition };
                let Some(truth) = self.partitions.truth.get(&id) else { continue };
                for member in candidates(known) {
                    let Some(node) = nodes.get(member).filter(|node| self.is_sound(node)) else {
                        continue;
                    };
                    let has = node.disk.logs.get(&id).map_or(0, |log| log.compared);
                    if has < truth.len() {
                        return Err(format!(
                            "n{member} is in sync or eligible for {partition} with {has} of {} committed \
                             records: {known:?}",
                            truth.len()
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The process that the controller has registered.
    pub fn is_sound(&self, node: &Node) -> bool {
        let registered = self.truth().cluster.broker(node.id).map(|broker| broker.epoch);
        registered.is_some() && registered == node.broker_epoch()
    }

    /// Whether the promise covers an unclean end of this node, with the loss of all that was not flushed: of those who may lead
    /// a partition only one at a time may have failed (`min.insync.replicas` is two), until the controller knows of it.
    pub fn may_fail(&self, nodes: &Nodes, id: NodeId) -> bool {
        let sound = |other: &NodeId| nodes.get(other).is_some_and(|node| self.is_sound(node));
        let mut partitions = self.truth().topics.iter().flat_map(metadata::Topic::partitions);
        partitions.all(|(_, known)| {
            let mut others = candidates(known).filter(|other| **other != id).peekable();
            !known.replicas.contains(&id) || (others.peek().is_some() && others.all(sound))
        })
    }

    /// With no more faults: every partition is led, all replicas are in sync and the same.
    pub fn partitions_are_well(&self, nodes: &Nodes) -> Done {
        for topic in self.truth().topics.iter() {
            for (partition, known) in topic.partitions() {
                let id = TopicIdPartition { topic_id: topic.id, partition };
                if !known.has_leader() || known.isr.len() != known.replicas.len() {
                    return Err(format!("after the faults {partition} is {known:?}"));
                }
                let log = |node: &NodeId| nodes.get(node).and_then(|node| node.disk.logs.get(&id));
                let Some(leaders) = log(&known.leader) else {
                    return Err(format!("the leader of {partition} has no log"));
                };
                for replica in &known.replicas {
                    let same = log(replica).is_some_and(|log| log.records() == leaders.records());
                    if !same {
                        return Err(format!(
                            "n{replica} has another log of {partition} than n{}",
                            known.leader
                        ));
                    }
                }
                if leaders.high_watermark() != leaders.end() {
                    return Err(format!("not all of {partition} is committed"));
                }
                self.numbers_are_in_order(&id)?;
            }
        }
        Ok(())
    }

    /// No duplicate and no gap of an idempotent producer.
    fn numbers_are_in_order(&self, id: &TopicIdPartition) -> Done {
        let mut last: BTreeMap<i64, i32> = BTreeMap::new();
        for record in self.partitions.truth.get(id).into_iter().flatten() {
            let Some((producer, number)) = record.sequence else { continue };
            let before = last.insert(producer, number).unwrap_or(-1);
            if number != before + 1 {
                return Err(format!("producer {producer} has {number} after {before}"));
            }
        }
        Ok(())
    }
}
