//! Three controllers over one log: one decides, the others replay what is committed, and the lead changes hands with
//! the tail that was not committed kept or lost, now and then inside a metadata transaction. Whoever has replayed the
//! same records knows the same.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use std::sync::Arc;

use base::{NodeId, Offset};
use common::world::World;
use controller::{Controller, Settings};
use metadata::{Image, Loader, Provenance};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::abort_transaction_record::AbortTransactionRecord;
use protocol::metadata_records::begin_transaction_record::BeginTransactionRecord;
use protocol::metadata_records::end_transaction_record::EndTransactionRecord;

fn at(index: usize) -> Offset {
    Offset(i64::try_from(index).unwrap())
}

/// A controller with what its node knows to be committed. That of the leader lives in the `World`.
struct Member {
    controller: Option<Controller>,
    loader: Loader,
    committed: usize,
}

impl Member {
    /// Replays up to `end`, which is committed.
    fn follow(&mut self, log: &[MetadataRecord<'static>], end: usize) {
        for (index, record) in log.iter().enumerate().take(end).skip(self.committed) {
            self.loader.replay(record).unwrap();
            if let Some(controller) = &mut self.controller {
                controller.replay(record, at(index)).unwrap();
            }
        }
        self.committed = self.committed.max(end);
    }
}

struct Quorum {
    world: World,
    members: Vec<Member>,
    leader: usize,
    committed: usize,
    in_transaction: bool,
    /// Records that were cut off at elections.
    lost: usize,
}

impl Quorum {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let member = |id: i32| {
            let settings = Self::settings(&world, id);
            let controller = Some(Controller::new(settings, Image::default()));
            Member { controller, loader: Loader::default(), committed: 0 }
        };
        let mut members: Vec<Member> = (1..=3).map(member).collect();
        members[0].controller = None;
        Self { world, members, leader: 0, committed: 0, in_transaction: false, lost: 0 }
    }

    fn settings(world: &World, id: i32) -> Settings {
        let own = world.cx.controller.settings();
        let mut node = (*own.node).clone();
        node.node_id = NodeId(id);
        Settings { node: Arc::new(node), ..own.clone() }
    }

    /// One that has replayed the first `end` records and nothing else.
    fn replayed(&self, end: usize) -> Controller {
        let settings = Self::settings(&self.world, 9);
        let mut fresh = Controller::new(settings, Image::default());
        for (index, record) in self.world.cx.log[..end].iter().enumerate() {
            fresh.replay(record, at(index)).unwrap();
        }
        fresh
    }

    fn commit(&mut self) {
        if self.world.random.below(3) != 0 {
            return;
        }
        let open = self.world.cx.log.len() - self.committed;
        let more = self.world.random.below(u64::try_from(open).unwrap() + 1);
        self.committed += usize::try_from(more).unwrap();
    }

    /// Each follows as far as it likes; the leader knows of all commits.
    fn follow(&mut self) {
        for (index, member) in self.members.iter_mut().enumerate() {
            let behind = u64::try_from(self.committed - member.committed).unwrap();
            let lag = if index == self.leader { 0 } else { self.world.random.below(behind + 1) };
            let end = self.committed - usize::try_from(lag).unwrap();
            member.follow(&self.world.cx.log, end);
        }
    }

    fn mark_transaction(&mut self) {
        let abort = self.world.random.below(2) == 0;
        let marker: MetadataRecord<'static> = match (self.in_transaction, abort) {
            (false, _) => BeginTransactionRecord::default().into(),
            (true, false) => EndTransactionRecord::default().into(),
            (true, true) => AbortTransactionRecord::default().into(),
        };
        self.in_transaction = !self.in_transaction;
        self.world.cx.append_record(marker);
    }

    /// The old leader falls back to what is committed; a new one takes over with a part of the tail.
    fn elect(&mut self) {
        let (old, new) = (self.leader, (self.leader + 1) % 3);
        let possible: Vec<usize> =
            self.world.cx.ends.iter().copied().filter(|end| *end >= self.committed).collect();
        let pick = self.world.random.below(u64::try_from(possible.len()).unwrap() + 1);
        let kept = possible.get(usize::try_from(pick).unwrap()).copied().unwrap_or(self.committed);

        // Whoever was left in the middle of a decision has its other records, too: they were one batch.
        let kept = kept.max(self.members[new].committed);
        self.members[new].follow(&self.world.cx.log, kept);
        let successor = self.members[new].controller.take().unwrap();
        assert!(successor.agrees_with(&self.replayed(kept)), "a standby differs from replay");

        let mut resigned = std::mem::replace(&mut self.world.cx.controller, successor);
        let known = self.members[old].committed;
        let last = Offset(at(known).0 - 1);
        resigned.resign(self.members[old].loader.committed(last));
        assert!(resigned.agrees_with(&self.replayed(known)), "resigning leads elsewhere");
        self.members[old].controller = Some(resigned);

        self.lost += self.world.cx.log.len() - kept;
        self.world.cx.log.truncate(kept);
        self.world.cx.ends.retain(|end| *end <= kept);
        (self.leader, self.committed) = (new, kept);
        let at = self.world.cx.at();
        for record in self.world.cx.controller.activate(at, Vec::new()).records {
            self.world.cx.append_record(record);
        }
        self.in_transaction = false;
        let reread = self.replayed(self.world.cx.log.len());
        assert!(self.world.cx.controller.agrees_with(&reread), "activation leads elsewhere");
    }
}

#[test]
fn who_replayed_the_same_knows_the_same() {
    let (mut lost, mut aborted, mut elections) = (0, 0, 0);
    for seed in 0..25 {
        let mut quorum = Quorum::new(seed);
        for _ in 0..250 {
            quorum.world.step();
            quorum.commit();
            quorum.follow();
            match quorum.world.random.below(30) {
                0 => {
                    aborted += usize::from(quorum.in_transaction);
                    quorum.elect();
                    elections += 1;
                }
                1 | 2 => quorum.mark_transaction(),
                _ => {}
            }
        }
        lost += quorum.lost;
        if quorum.in_transaction {
            quorum.mark_transaction();
        }
        quorum.committed = quorum.world.cx.log.len();
        let log = &quorum.world.cx.log;
        for member in &mut quorum.members {
            member.follow(log, log.len());
            let provenance = Provenance { offset: at(log.len() - 1), ..Provenance::default() };
            let published = member.loader.publish(provenance);
            assert!(published.is_none_or(|step| step.after.same_state(quorum.world.cx.image())));
            let agrees = |own: &Controller| own.agrees_with(&quorum.world.cx.controller);
            assert!(member.controller.as_ref().is_none_or(agrees), "seed {seed}");
        }
    }
    // Without all of this having happened the test would have shown nothing.
    assert!(lost > 100 && aborted > 20 && elections > 100, "{lost} {aborted} {elections}");
}
