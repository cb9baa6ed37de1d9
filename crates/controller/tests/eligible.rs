//! Eligible leaders (KIP-966) under brokers that lose data: one partition whose replicas are no more than the length of
//! their logs, and the real controller that decides who is in sync and who leads. With at most
//! `min.insync.replicas - 1` lossy crashes at a time, every leader has everything that was committed. Without eligible
//! leaders the same lives lose data: the model can tell.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use base::{NodeId, PartitionIndex};
use common::{Seeded, TestContext};
use controller::{ControllerReply, ControllerRequest, ControllerTimer};
use metadata::{MetadataVersion, Partition};
use protocol::messages as m;

const REPLICAS: i32 = 3;
const MIN_ISR: usize = 2;

#[derive(Clone, Copy)]
struct Replica {
    alive: bool,
    log_end: u64,
    generation: u8,
    /// Told at its next registration: the epoch it stopped cleanly with.
    stopped_at: i64,
    heard_ms: u64,
}

struct Model {
    cx: TestContext,
    random: Seeded,
    replicas: [Replica; REPLICAS as usize],
    committed: u64,
    /// Who lost data and is not in sync again.
    weak: Option<usize>,
    lossy_crashes: usize,
    clean_stops: usize,
}

fn id(replica: usize) -> i32 {
    i32::try_from(replica).unwrap()
}

impl Model {
    fn new(seed: u64, elr: bool) -> Self {
        let given = [("min.insync.replicas", "2")];
        let mut cx = TestContext::at_level(MetadataVersion::LATEST_PRODUCTION, elr, &given);
        let replica =
            Replica { alive: true, log_end: 0, generation: 1, stopped_at: -1, heard_ms: 0 };
        for broker in 0..REPLICAS {
            cx.register(broker);
            cx.unfence(broker);
        }
        cx.create_assigned("t", "0,1,2");
        Self {
            cx,
            random: Seeded(seed),
            replicas: [replica; REPLICAS as usize],
            committed: 0,
            weak: None,
            lossy_crashes: 0,
            clean_stops: 0,
        }
    }

    fn partition(&self) -> Partition {
        let topic = self.cx.image().topics.by_name("t").unwrap();
        topic.partition(PartitionIndex(0)).unwrap().clone()
    }

    /// The leader, if its process runs.
    fn leader(&self) -> Option<usize> {
        let leader = usize::try_from(self.partition().leader.0).ok()?;
        self.replicas[leader].alive.then_some(leader)
    }

    fn in_sync(&self) -> Vec<usize> {
        self.partition().isr.iter().map(|id| usize::try_from(id.0).unwrap()).collect()
    }

    fn pick(&mut self) -> usize {
        usize::try_from(self.random.below(3)).unwrap()
    }

    fn step(&mut self) -> Result<(), String> {
        self.pass_time();
        match self.random.below(20) {
            0..=4 => self.produce(),
            5..=9 => self.replicate(),
            10..=12 => self.expand(),
            13 | 14 => self.shrink(),
            15 => self.crash(),
            16 => self.stop(),
            _ => self.start(),
        }
        self.commit();
        self.check()
    }

    /// Who lives sends heartbeats; who does not is fenced in time.
    fn pass_time(&mut self) {
        self.cx.now_ms += self.random.below(2_000);
        for replica in 0..3 {
            let now_ms = self.cx.now_ms;
            let state = &mut self.replicas[replica];
            if state.alive && now_ms - state.heard_ms > 2_000 {
                state.heard_ms = now_ms;
                self.cx.heartbeat(id(replica), |_| {});
            }
        }
        self.cx.fire(ControllerTimer::FenceStaleBrokers);
    }

    fn produce(&mut self) {
        if let Some(leader) = self.leader()
            && self.partition().isr.len() >= MIN_ISR
        {
            self.replicas[leader].log_end += 1 + self.random.below(3);
        }
    }

    /// A follower becomes what its leader is.
    fn replicate(&mut self) {
        let follower = self.pick();
        if let Some(leader) = self.leader()
            && self.replicas[follower].alive
        {
            self.replicas[follower].log_end = self.replicas[leader].log_end;
        }
    }

    fn commit(&mut self) {
        let in_sync = self.in_sync();
        if self.leader().is_some() && in_sync.len() >= MIN_ISR {
            let held = in_sync.iter().map(|replica| self.replicas[*replica].log_end).min().unwrap();
            self.committed = self.committed.max(held);
        }
        if let Some(weak) = self.weak
            && in_sync.len() >= MIN_ISR
            && in_sync.contains(&weak)
            && self.replicas[weak].alive
            && self.replicas[weak].log_end >= self.committed
        {
            self.weak = None;
        }
    }

    fn expand(&mut self) {
        let (replica, in_sync) = (self.pick(), self.in_sync());
        let Some(leader) = self.leader() else { return };
        let caught_up = self.replicas[replica].log_end == self.replicas[leader].log_end;
        if self.replicas[replica].alive && caught_up && !in_sync.contains(&replica) {
            self.alter(leader, in_sync.into_iter().chain([replica]).collect());
        }
    }

    fn shrink(&mut self) {
        let (replica, in_sync) = (self.pick(), self.in_sync());
        if let Some(leader) = self.leader()
            && replica != leader
        {
            self.alter(leader, in_sync.into_iter().filter(|other| *other != replica).collect());
        }
    }

    fn alter(&mut self, leader: usize, isr: Vec<usize>) {
        use m::alter_partition_request::*;
        let partition = self.partition();
        let state = |replica: &usize| BrokerState {
            broker_id: id(*replica),
            broker_epoch: self.cx.epoch(id(*replica)),
            ..Default::default()
        };
        let data = PartitionData {
            leader_epoch: partition.leader_epoch.0,
            partition_epoch: partition.partition_epoch.0,
            new_isr_with_epochs: isr.iter().map(state).collect(),
            ..Default::default()
        };
        let topic_id = self.cx.image().topics.id_of("t").unwrap();
        let request = AlterPartitionRequest {
            broker_id: id(leader),
            broker_epoch: self.cx.epoch(id(leader)),
            topics: vec![TopicData { topic_id, partitions: vec![data], ..Default::default() }],
            ..Default::default()
        };
        self.cx.handle(ControllerRequest::AlterPartition(request, 3));
    }

    /// The power fails: the end of the log is gone, or all of it.
    fn crash(&mut self) {
        let replica = self.pick();
        if !self.replicas[replica].alive || self.weak.is_some_and(|weak| weak != replica) {
            return;
        }
        let log_end = self.replicas[replica].log_end;
        let kept = if self.random.below(2) == 0 { 0 } else { self.random.below(log_end + 1) };
        let state = &mut self.replicas[replica];
        (state.alive, state.log_end, state.stopped_at) = (false, kept, -1);
        self.weak = Some(replica);
        self.lossy_crashes += 1;
    }

    fn stop(&mut self) {
        let replica = self.pick();
        if !self.replicas[replica].alive {
            return;
        }
        let reply = self.cx.heartbeat(id(replica), |request| request.want_shut_down = true);
        if reply.should_shut_down {
            let epoch = self.cx.epoch(id(replica));
            let state = &mut self.replicas[replica];
            (state.alive, state.stopped_at) = (false, epoch);
            self.clean_stops += 1;
        }
    }

    fn start(&mut self) {
        let replica = self.pick();
        let state = self.replicas[replica];
        if state.alive {
            return;
        }
        let mut request = TestContext::registration(id(replica), state.generation + 1);
        request.previous_broker_epoch = state.stopped_at;
        let reply = self.cx.handle(ControllerRequest::BrokerRegistration(request, 4));
        let ControllerReply::BrokerRegistration(reply) = reply else { panic!("{reply:?}") };
        // The session of the process before may still run.
        if reply.error_code == 0 {
            let state = &mut self.replicas[replica];
            (state.alive, state.generation, state.heard_ms) = (true, state.generation + 1, 0);
        }
    }

    fn check(&self) -> Result<(), String> {
        let partition = self.partition();
        let Ok(leader) = usize::try_from(partition.leader.0) else { return Ok(()) };
        // A process that just died leads on until it is fenced.
        let state = self.replicas[leader];
        if !state.alive || state.log_end >= self.committed {
            return Ok(());
        }
        let NodeId(leader) = partition.leader;
        let (has, committed) = (state.log_end, self.committed);
        Err(format!("{leader} leads with {has} of {committed} records: {partition:?}"))
    }
}

/// Lives until data is lost, and what happened in all of them.
fn live(elr: bool) -> (Vec<String>, usize, usize, u64) {
    let (mut losses, mut crashes, mut stops, mut committed) = (Vec::new(), 0, 0, 0);
    for seed in 0..150 {
        let mut model = Model::new(seed, elr);
        for _ in 0..250 {
            if let Err(why) = model.step() {
                losses.push(format!("seed {seed}: {why}"));
                break;
            }
        }
        crashes += model.lossy_crashes;
        stops += model.clean_stops;
        committed += model.committed;
    }
    (losses, crashes, stops, committed)
}

#[test]
fn what_is_committed_outlives_the_loss_of_a_disk() {
    let (losses, crashes, stops, committed) = live(true);
    assert!(losses.is_empty(), "{losses:#?}");
    // Without all of this having happened the test would have shown nothing.
    assert!(crashes > 300 && stops > 300 && committed > 1_000, "{crashes} {stops} {committed}");
}

#[test]
fn without_eligible_leaders_it_does_not() {
    let (losses, ..) = live(false);
    assert!(losses.len() > 5, "the model does not notice losses: {losses:#?}");
}
