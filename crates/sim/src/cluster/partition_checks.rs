//! The rules of partitions: what is committed once stays at its offset, on everybody who may lead.

use std::collections::BTreeMap;

use base::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicIdPartition};
use metadata::{Image, LeaderRecoveryState, Partition, Topic};
use replication::FollowerLog;

use super::checks::Checks;
use super::node::{Node, Nodes};
use super::part_log::Record;
use super::quorum::Done;
use super::truth::Truth;

/// What is known of all partitions.
#[derive(Default)]
pub(super) struct Partitions {
    pub truth: BTreeMap<TopicIdPartition, Truth>,
    acked: BTreeMap<TopicIdPartition, Offset>,
    /// Whoever may lead may lose what it has: unclean elections are allowed to lose what was acknowledged.
    pub may_lose: bool,
    /// Something has changed since the rules were held the last time.
    pub changed: bool,
    /// Unclean elections of this decision, and what the partition was before.
    unclean: Vec<(TopicIdPartition, Partition)>,
}

/// Who may lead without loss. A replica that was taken away may still stand among the eligible, but cannot be elected.
fn candidates(partition: &Partition) -> impl Iterator<Item = &NodeId> {
    let all = partition.isr.iter().chain(&partition.elr);
    all.filter(|id| partition.replicas.contains(id))
}

/// A reassignment is cancelled with none of the original replicas in sync: one of them is put there, if unclean elections are
/// allowed.
fn is_reverted(old: &Partition, new: &Partition) -> bool {
    let ends = old.is_reassigning() && !new.is_reassigning();
    ends && new.isr.iter().any(|id| !old.isr.contains(id)) && new.isr.len() == 1
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
        (id, epoch): (TopicIdPartition, LeaderEpoch),
        from: Offset,
        records: &[Record],
    ) -> Done {
        let truth = self.partitions.truth.entry(id).or_default();
        let new = truth.commit(epoch, from, records);
        let new = new.map_err(|what| format!("n{node} commits of {}: {what}", id.partition))?;
        self.stats.committed += new;
        self.partitions.changed |= new > 0;
        Ok(())
    }

    /// The metadata names another leader. One that is elected though it need not have everything begins another history; and
    /// nobody does so while somebody lives who has everything.
    pub fn partition_led_by(&mut self, before: &Image, topic: &Topic, index: PartitionIndex) {
        let Some(new) = topic.partition(index) else { return };
        let Some(old) = before.topics.partition(topic.id, index) else { return };
        if !self.partitions.may_lose || old == new {
            return;
        }
        let elected = new.has_leader() && new.leader_epoch > old.leader_epoch;
        let complete = old.isr.contains(&new.leader) || old.elr.contains(&new.leader);
        let recovers = new.leader_recovery_state == LeaderRecoveryState::Recovering;
        if (elected && recovers && !complete) || is_reverted(old, new) {
            let id = TopicIdPartition { topic_id: topic.id, partition: index };
            self.stats.unclean_elections += 1;
            self.partitions.unclean.push((id, old.clone()));
            let truth = self.partitions.truth.entry(id).or_default();
            truth.elected_uncleanly(new.leader_epoch);
        }
    }

    /// After a decision: who was elected uncleanly was not elected over somebody who has everything.
    pub fn elections_were_needed(&mut self) -> Done {
        for (id, old) in std::mem::take(&mut self.partitions.unclean) {
            let Some(new) = self.truth().topics.partition(id.topic_id, id.partition) else {
                continue;
            };
            let online = |id: &NodeId| {
                let broker = self.truth().cluster.broker(*id).filter(|broker| broker.is_active());
                broker.is_some_and(|broker| {
                    let directory = new.directory(*id);
                    directory.is_some_and(|directory| broker.has_online_directory(directory))
                })
            };
            let mut others = candidates(&old).filter(|id| **id != new.leader);
            if let Some(better) = others.find(|id| online(id)).filter(|_| !is_reverted(&old, new)) {
                return Err(format!(
                    "n{} is elected uncleanly for {} though n{better} has everything: {old:?}",
                    new.leader, id.partition
                ));
            }
        }
        Ok(())
    }

    /// A broker begins to lead, in this epoch.
    pub fn leads(&mut self, node: &Node, id: TopicIdPartition, epoch: LeaderEpoch) {
        let Some(log) = node.disk.logs.get(&id) else { return };
        let truth = self.partitions.truth.entry(id).or_default();
        if let Some(lost) = truth.led(epoch, log.records(), log.high_watermark()) {
            self.stats.lost += lost as u64;
            self.partitions.changed = true;
        }
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
        let truth = self.partitions.truth.entry(id).or_default();
        let is_it = |line: &[Record]| line.first().is_some_and(|record| record.value == value);
        if !truth.holds(offset, is_it) {
            let known = truth.records().get(super::truth::index(offset));
            return Err(format!("{value:x} is acknowledged at {offset}, committed is {known:?}"));
        }
        if after.is_some_and(|after| offset <= after) && !truth.has_forked() {
            return Err(format!(
                "{value:x} is written at {offset}, after {after:?} was acknowledged"
            ));
        }
        let last = self.partitions.acked.entry(id).or_insert(offset);
        *last = offset.max(*last);
        Ok(())
    }

    /// A consumer sees only what is committed, and behind what it has read before.
    pub fn consumed(
        &mut self,
        id: TopicIdPartition,
        (from, last_epoch): (Offset, LeaderEpoch),
        records: &[Record],
    ) -> Done {
        self.stats.consumed += records.len() as u64;
        let truth = self.partitions.truth.entry(id).or_default();
        let known = |line: &[Record]| match line.split_first() {
            _ if !last_epoch.is_some() => line.starts_with(records),
            Some((last, line)) => last.epoch == last_epoch && line.starts_with(records),
            None => false,
        };
        let begin = if last_epoch.is_some() { from.plus(-1) } else { from };
        if records.is_empty() || truth.holds(begin, known) {
            return Ok(());
        }
        Err(format!("{records:?} are read at {from} of {}, which is not committed", id.partition))
    }

    /// Something of the partition may have been lost, and rightly.
    pub fn has_forked(&self, id: TopicIdPartition) -> bool {
        self.partitions.truth.get(&id).is_some_and(Truth::has_forked)
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
            if log.high_watermark() > log.end() {
                return Err(format!("n{} has its watermark behind its end: {log:?}", node.id));
            }
            let Some(truth) = self.partitions.truth.get(id) else { continue };
            let same = |at: usize| {
                let both = log.records().get(at).zip(truth.records().get(at));
                both.is_some_and(|(one, other)| one == other)
            };
            let (history, mut compared) = log.compared;
            if history != truth.generation() {
                compared = 0;
            }
            while same(compared) {
                compared += 1;
            }
            log.compared = (truth.generation(), compared);
        }
        Ok(())
    }

    /// LeaderCandidateCompleteness: whoever may lead without loss has everything that is committed. Left out is who was killed
    /// since: the controller learns it when the broker comes back.
    pub fn candidates_are_complete(&self, nodes: &Nodes) -> Done {
        for topic in self.truth().topics.iter() {
            for (partition, known) in topic.partitions() {
                let id = TopicIdPartition { topic_id: topic.id, partition };
                let truth = self.partitions.truth.get(&id).filter(|truth| !truth.is_open());
                let Some(truth) = truth.map(Truth::records) else { continue };
                for member in candidates(known) {
                    let Some(node) = nodes.get(member).filter(|node| self.is_sound(node)) else {
                        continue;
                    };
                    let has = node.disk.logs.get(&id).map_or(0, |log| log.compared.1);
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
                let in_sync = known.isr.len() == known.replicas.len() && !known.is_reassigning();
                if !known.has_leader() || !in_sync {
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
        for record in self.partitions.truth.get(id).map_or(&[][..], Truth::records) {
            let Some((producer, number)) = record.sequence else { continue };
            let before = last.insert(producer, number).unwrap_or(-1);
            if number != before + 1 {
                return Err(format!("producer {producer} has {number} after {before}"));
            }
        }
        Ok(())
    }
}
