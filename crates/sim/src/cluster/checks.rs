//! The rules of the metadata quorum, and what is counted.

use std::collections::BTreeMap;

use base::{NodeId, Offset, PartitionIndex, Uuid};
use controller::invariants;
use kraft::{ControlRecord, ReplicaKey, VoteRequest, VoterSet};
use metadata::{Delta, Image};
use protocol::metadata_records::MetadataRecord;

use super::message::CallId;
use super::meta_log::{Batch, Data};
use super::node::{Node, Nodes};
use super::partition_checks::Partitions;
use super::quorum::Done;
use crate::groups;
use crate::seeds::counts;

counts! {
    /// How much happened.
    pub struct Stats {
        pub events,
        pub crashes,
        pub elections,
        pub metadata_batches,
        pub committed,
        pub acked,
        pub consumed,
        /// Losses of power that took records with them.
        pub losses,
        pub partition_elections,
        pub unclean_elections,
        /// Records that were committed and went with an unclean election.
        pub lost,
        /// Voters that were to come or to go.
        pub voter_changes,
        /// Nodes that came later.
        pub newcomers,
        pub unregistered,
        pub disks_lost,
        /// Controllers that got another address.
        pub moves,
        /// Answers of group coordinators.
        pub group_replies,
        /// Generations of groups, commits of members, and members that were told that they are none any more.
        pub generations,
        pub commits,
        pub fenced,
    }
}

#[derive(Default)]
pub(super) struct Checks {
    pub stats: Stats,
    /// Everything that was ever committed in the metadata log, from offset 0 on.
    truth: Vec<Batch>,
    /// What it leads to, record by record.
    image: Image,
    before_transaction: Option<Image>,
    /// The newest committed voters; none of a static quorum.
    pub voters: VoterSet,
    /// Who led each epoch of the quorum, in which life.
    leaders: BTreeMap<i32, (NodeId, u64)>,
    /// Up to where a controller's directory holds what is committed, for certain.
    held: BTreeMap<(NodeId, Uuid), Offset>,
    /// Published images by their offset, to compare.
    published: BTreeMap<Offset, Image>,
    /// Who asks for whose vote in which epoch, by the request.
    candidates: BTreeMap<CallId, (i32, ReplicaKey)>,
    votes: BTreeMap<(NodeId, i32), ReplicaKey>,
    pub partitions: Partitions,
    /// The rules of groups, and how much of the coordinators' log they have read.
    pub groups: groups::checks::Checks,
    pub groups_read: usize,
}

/// After so many events coordinators are looked at.
const LOOK_EVERY: u64 = 16;
/// Images that are kept to be compared.
const IMAGES_MAX: usize = 300;

fn log_of(node: &Node) -> Uuid {
    node.disk.meta_directory
}

impl Checks {
    /// End of what is committed.
    pub fn committed_end(&self) -> Offset {
        self.truth.last().map_or(Offset::ZERO, |last| last.next)
    }

    /// The committed metadata as it really is.
    pub fn truth(&self) -> &Image {
        &self.image
    }

    /// NoLogDivergence and AckedValueNotLost: what is committed once is committed everywhere, for ever.
    pub fn metadata_committed(&mut self, node: &Node, from: Offset, end: Offset) -> Done {
        let first = self.truth.partition_point(|batch| batch.next <= from);
        for (known, batch) in (first..).zip(node.disk.meta.read(from, end)) {
            match self.truth.get(known) {
                Some(truth) if truth == batch => {}
                Some(truth) => {
                    return Err(format!("n{} commits {batch:?}, committed is {truth:?}", node.id));
                }
                None => self.learn(batch)?,
            }
        }
        let log = &node.disk.meta;
        self.held.insert((node.id, log_of(node)), end.min(log.flushed()));
        self.images_agree(node)
    }

    /// A controller starts: a directory by which it is known holds what was committed and flushed there.
    pub fn starts(&self, node: &Node) -> Done {
        let held = self.held.get(&(node.id, log_of(node))).copied().unwrap_or(Offset::ZERO);
        let end = node.disk.meta.end();
        if node.roles.controller && end < held {
            return Err(format!("n{} starts with {end} of {held} committed records", node.id));
        }
        Ok(())
    }

    fn learn(&mut self, batch: &Batch) -> Done {
        if batch.base != self.committed_end() {
            return Err(format!("a gap before {batch:?}, the end was {}", self.committed_end()));
        }
        if let Data::Records(records) = &*batch.data {
            let before = self.image.clone();
            for record in records {
                self.replay(record)?;
            }
            // A decision is one batch here.
            invariants::check(&before, &self.image)?;
            self.elections_were_needed()?;
        }
        for (_, record) in batch.control() {
            if let ControlRecord::Voters(voters) = record {
                self.voters = voters;
            }
        }
        self.stats.metadata_batches += 1;
        self.partitions.changed = true;
        self.truth.push(batch.clone());
        Ok(())
    }

    fn replay(&mut self, record: &MetadataRecord<'static>) -> Done {
        match record {
            MetadataRecord::BeginTransaction(_) => {
                self.before_transaction = Some(self.image.clone());
            }
            MetadataRecord::EndTransaction(_) => self.before_transaction = None,
            MetadataRecord::AbortTransaction(_) => {
                self.image = self.before_transaction.take().ok_or("no transaction is open")?;
            }
            record => {
                if let MetadataRecord::PartitionChange(change) = record {
                    self.stats.partition_elections += u64::from(change.leader >= 0);
                }
                let before = self.image.clone();
                let replayed = self.image.replay(record, &mut Delta::default());
                replayed.map_err(|error| error.to_string())?;
                invariants::check_record(&before, &self.image, record)?;
                if let MetadataRecord::PartitionChange(change) = record
                    && let Some(topic) = self.image.topics.by_id(change.topic_id).cloned()
                {
                    self.partition_led_by(&before, &topic, PartitionIndex(change.partition_id));
                }
            }
        }
        Ok(())
    }

    /// Every node that has read the same has the same state.
    fn images_agree(&mut self, node: &Node) -> Done {
        let Some(image) = node.image() else { return Ok(()) };
        let offset = image.provenance.offset;
        match self.published.get(&offset) {
            Some(known) if !known.same_state(image) => {
                Err(format!("n{} has another state than others at offset {offset}", node.id))
            }
            Some(_) => Ok(()),
            None => {
                self.published.insert(offset, image.clone());
                if self.published.len() > IMAGES_MAX {
                    self.published.pop_first();
                }
                Ok(())
            }
        }
    }

    /// NeverTwoLeadersInSameEpoch and LeaderHasAllAckedValues.
    pub fn elected(&mut self, node: &Node, epoch: i32) -> Done {
        self.stats.elections += 1;
        let this = (node.id, node.life);
        let first = *self.leaders.entry(epoch).or_insert(this);
        if first != this {
            return Err(format!("epoch {epoch} is led by {first:?} and by {this:?}"));
        }
        // It may learn late that it was elected: what later leaders committed meanwhile it need not have.
        let log = &node.disk.meta;
        let first = self.truth.partition_point(|batch| batch.next <= log.start());
        let last = self.truth.partition_point(|batch| batch.epoch < epoch);
        let committed = self.truth.get(first..last.max(first)).unwrap_or_default();
        let end = committed.last().map_or(log.start(), |last| last.next);
        let mut held = log.read(log.start(), end).iter();
        for truth in committed {
            if held.next() != Some(truth) {
                return Err(format!("n{} leads epoch {epoch} without {truth:?}", node.id));
            }
        }
        Ok(())
    }

    pub fn vote_asked(&mut self, call: CallId, request: &VoteRequest) {
        if !request.pre_vote {
            self.candidates.insert(call, (request.epoch, request.candidate));
        }
    }

    /// One vote per epoch, over restarts, too: it lies on the disk before it is told.
    pub fn voted(&mut self, node: &Node, call: CallId, granted: bool) -> Done {
        let id = node.id;
        let Some((epoch, candidate)) = self.candidates.get(&call).filter(|_| granted) else {
            return Ok(());
        };
        let saved = node.disk.meta.quorum_state.as_ref();
        let remembers = saved.is_some_and(|saved| {
            saved.epoch > *epoch
                || (saved.epoch == *epoch && saved.voted.map(|key| key.id) == Some(candidate.id))
        });
        if !remembers {
            return Err(format!("n{id} tells its vote in epoch {epoch}, its disk says {saved:?}"));
        }
        let first = *self.votes.entry((id, *epoch)).or_insert(*candidate);
        if first == *candidate {
            return Ok(());
        }
        Err(format!("n{id} votes in epoch {epoch} for {first:?} and for {candidate:?}"))
    }

    /// After everything that happens to a node.
    pub fn after_step(&mut self, nodes: &mut Nodes, id: NodeId) -> Done {
        self.hold_for_partitions(nodes, id)?;
        let Some(process) = nodes.get(&id).and_then(|node| node.process.as_ref()) else {
            return Ok(());
        };
        if let Some(broker) = &process.broker
            && let Some(runtime) = broker.coordinator.serving()
            && self.stats.events.is_multiple_of(LOOK_EVERY)
        {
            self.hold_for_coordinator(runtime)?;
        }
        let quorum = &process.quorum;
        // A standby controller's state is what replay leads to.
        if let (Some(controller), None) = (&quorum.controller, &quorum.active)
            && !quorum.loader.in_transaction()
            && !controller.image().topics.iter().eq(quorum.image().topics.iter())
        {
            return Err(format!("the standby controller n{id} has another state than its log"));
        }
        Ok(())
    }
}
