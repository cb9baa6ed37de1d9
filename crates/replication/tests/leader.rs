//! The high watermark against a naive model, and the waiting list.
#![allow(clippy::unwrap_used)]

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset, PartitionEpoch};
use replication::{
    Brokers, Effect, Event, IsrAnswer, IsrProposal, Leader, LeaderConfig, Waiting, invariants,
};

/// Everyone is there, under epoch 1, except whom the tests say.
struct All {
    gone: Option<NodeId>,
    broken: Option<NodeId>,
}

impl Brokers for All {
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch> {
        (Some(id) != self.gone).then_some(BrokerEpoch(1))
    }

    fn is_leaving(&self, _: NodeId) -> bool {
        false
    }

    fn has_lost_disk(&self, id: NodeId) -> bool {
        Some(id) == self.broken
    }
}

const ALL: All = All { gone: None, broken: None };

fn leader(replicas: &[i32], isr: &[i32], min: usize) -> Leader {
    let ids = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let config = LeaderConfig {
        node_id: NodeId(1),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        epoch_start: Offset::ZERO,
        replicas: ids(replicas),
        isr: ids(isr),
        min_insync_replicas: min,
        lag_time_max_ms: 100,
    };
    Leader::new(config, Offset::ZERO, Offset::ZERO, MonoMs(0))
}

fn fetched(replica: i32, offset: i64) -> Event {
    Event::FollowerFetched {
        replica: NodeId(replica),
        fetch_offset: Offset(offset),
        log_start: Offset::ZERO,
        broker_epoch: BrokerEpoch(1),
    }
}

fn appended(end: i64) -> Event {
    Event::Appended { log_end: Offset(end) }
}

fn metadata(partition_epoch: i32, replicas: &[i32], isr: &[i32]) -> Event {
    let ids = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    Event::Metadata {
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(partition_epoch),
        replicas: ids(replicas),
        isr: ids(isr),
    }
}

/// What the leader asks the controller for on an event.
fn proposed(leader: &mut Leader, now: u64, brokers: &All, event: Event) -> Option<IsrProposal> {
    let mut effects = Vec::new();
    leader.step(MonoMs(now), brokers, event, &mut effects);
    effects.into_iter().find_map(|effect| match effect {
        Effect::Propose(proposal) => Some(proposal),
        Effect::HighWatermarkAdvanced { .. } => None,
    })
}

fn ids(proposal: &IsrProposal) -> Vec<i32> {
    proposal.isr.iter().map(|(id, _)| id.get()).collect()
}

/// Applies events and returns the watermark after each.
fn watermarks(leader: &mut Leader, events: &[Event]) -> Vec<i64> {
    let step = |event: &Event| {
        let before = leader.clone();
        let mut effects = Vec::new();
        leader.step(MonoMs(1), &ALL, event.clone(), &mut effects);
        assert_eq!(invariants::high_watermark_within_log(leader), Ok(()));
        assert_eq!(invariants::high_watermark_monotonic(&before, leader), Ok(()));
        let moved = before.high_watermark() != leader.high_watermark();
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::HighWatermarkAdvanced { from, to } => Some((*from, *to)),
            Effect::Propose(_) => None,
        });
        let expected = moved.then(|| (before.high_watermark(), leader.high_watermark()));
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(expected));
        leader.high_watermark().get()
    };
    events.iter().map(step).collect()
}

#[test]
fn nobody_waits_for_a_replica_whose_disk_is_lost() {
    for (brokers, committed) in [(ALL, 10), (All { broken: Some(NodeId(3)), ..ALL }, 20)] {
        let mut leader = leader(&[1, 2, 3], &[1, 2, 3], 2);
        let before = [appended(10), fetched(2, 10), fetched(3, 10)];
        assert_eq!(watermarks(&mut leader, &before), [0, 0, 10]);
        // The controller has put it out; a moment ago it was caught up, and might have joined again.
        for event in [metadata(1, &[1, 2, 3], &[1, 2]), appended(20), fetched(2, 20)] {
            leader.step(MonoMs(1), &brokers, event, &mut Vec::new());
        }
        assert_eq!(leader.high_watermark(), Offset(committed));
        assert_eq!(proposed(&mut leader, 1, &brokers, fetched(3, 20)).is_some(), committed == 10);
    }
}

#[test]
fn alone_it_commits_what_it_appends() {
    assert_eq!(watermarks(&mut leader(&[1], &[1], 1), &[appended(3), appended(7)]), [3, 7]);
}

#[test]
fn min_insync_replicas_above_the_replicas_does_not_block() {
    assert_eq!(watermarks(&mut leader(&[1], &[1], 2), &[appended(3)]), [3]);
}

#[test]
fn followers_hold_it_back() {
    let events = [appended(10), fetched(2, 4), fetched(3, 10), fetched(2, 10), fetched(9, 1)];
    assert_eq!(watermarks(&mut leader(&[1, 2, 3], &[1, 2, 3], 2), &events), [0, 4 - 4, 4, 10, 10]);
}

#[test]
fn below_min_isr_nothing_is_committed() {
    let mut leader = leader(&[1, 2, 3], &[1], 2);
    assert_eq!(watermarks(&mut leader, &[appended(5)]), [0]);
    assert!(!leader.has_min_isr());
    let isr = metadata(1, &[1, 2, 3], &[1, 2]);
    assert_eq!(watermarks(&mut leader, &[fetched(2, 5), isr]), [0, 5]);
}

#[test]
fn a_fetch_from_before_a_restart_is_ignored() {
    let mut leader = leader(&[1, 2], &[1, 2], 1);
    watermarks(&mut leader, &[appended(5), fetched(2, 3)]);
    let late = Event::FollowerFetched {
        replica: NodeId(2),
        fetch_offset: Offset(5),
        log_start: Offset::ZERO,
        broker_epoch: BrokerEpoch(0),
    };
    assert_eq!(watermarks(&mut leader, &[late]), [3]);
}

#[test]
fn waiting_requests_leave_by_offset_or_deadline() {
    let mut waiting = Waiting::default();
    for (required, deadline, name) in [(5, 100, "a"), (3, 50, "b"), (9, 70, "c"), (5, 10, "d")] {
        waiting.park(Offset(required), MonoMs(deadline), name);
    }
    assert_eq!(waiting.release(Offset(4)), ["b"]);
    assert_eq!(waiting.expire(MonoMs(10)), ["d"]);
    assert_eq!(waiting.release(Offset(5)), ["a"]);
    assert_eq!(waiting.drain(), ["c"]);
    assert!(waiting.is_empty());
}

#[test]
fn one_that_lags_leaves_and_comes_back() {
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3], 1);
    watermarks(&mut leader, &[appended(5), fetched(2, 5), fetched(3, 2)]);
    assert_eq!(proposed(&mut leader, 100, &ALL, Event::Tick), None);
    let shrink = proposed(&mut leader, 101, &ALL, Event::Tick).unwrap();
    assert_eq!((ids(&shrink), shrink.partition_epoch), (vec![1, 2], PartitionEpoch(0)));
    // It may still be in sync: nothing is committed without it until the controller says so.
    assert_eq!(leader.high_watermark(), Offset(2));
    assert_eq!(proposed(&mut leader, 102, &ALL, Event::Tick), None);
    let again = Event::IsrAnswered { id: shrink.id, answer: IsrAnswer::Unknown };
    assert_eq!(proposed(&mut leader, 103, &ALL, again).as_ref(), Some(&shrink));
    let answer = IsrAnswer::Committed {
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(1),
        isr: vec![NodeId(1), NodeId(2)],
    };
    let answered = Event::IsrAnswered { id: shrink.id, answer };
    assert_eq!(proposed(&mut leader, 104, &ALL, answered), None);
    assert_eq!((leader.high_watermark(), leader.isr().len()), (Offset(5), 2));

    assert_eq!(proposed(&mut leader, 105, &ALL, fetched(3, 4)), None);
    let gone = All { gone: Some(NodeId(3)), ..ALL };
    assert_eq!(proposed(&mut leader, 106, &gone, fetched(3, 5)), None, "it is fenced");
    let expand = proposed(&mut leader, 107, &ALL, fetched(3, 5)).unwrap();
    assert_eq!(ids(&expand), [1, 2, 3]);
    // From now on it counts, whether the controller agrees or not.
    assert_eq!(watermarks(&mut leader, &[appended(6), fetched(2, 6)]), [5, 5]);
    let refused = Event::IsrAnswered { id: expand.id, answer: IsrAnswer::Refused };
    assert_eq!(proposed(&mut leader, 108, &ALL, refused), None);
    assert!(!leader.may_be_in_sync(NodeId(3)));
}

#[test]
fn one_that_is_about_to_join_is_waited_for() {
    let mut leader = leader(&[1, 2], &[1], 1);
    assert_eq!(watermarks(&mut leader, &[appended(5), fetched(2, 3)]), [5, 5]);
    assert_eq!(leader.proposal(), None, "it does not have what is committed");
    let fenced = All { gone: Some(NodeId(2)), ..ALL };
    proposed(&mut leader, 2, &fenced, fetched(2, 5));
    // Caught up a moment ago and eligible: its next fetch would let it in.
    assert_eq!(watermarks(&mut leader, &[appended(6)]), [5]);
    let mut effects = Vec::new();
    leader.step(MonoMs(103), &ALL, Event::Tick, &mut effects);
    assert_eq!(leader.high_watermark(), Offset(6), "it did not come in time");
}

#[test]
fn the_metadata_log_overrides_a_proposal() {
    let mut leader = leader(&[1, 2, 3], &[1], 1);
    watermarks(&mut leader, &[appended(5)]);
    let expand = proposed(&mut leader, 1, &ALL, fetched(2, 5)).unwrap();
    assert_eq!(proposed(&mut leader, 2, &ALL, metadata(1, &[1, 2, 3], &[1, 3])), None);
    let late = Event::IsrAnswered { id: expand.id, answer: IsrAnswer::Unknown };
    assert_eq!(proposed(&mut leader, 3, &ALL, late), None);
    assert_eq!(leader.isr(), [NodeId(1), NodeId(3)]);
    assert_eq!(proposed(&mut leader, 4, &ALL, metadata(0, &[1], &[1])), None);
    assert_eq!(leader.isr(), [NodeId(1), NodeId(3)], "an older state changes nothing");
}

#[test]
fn logs_of_brokers_that_are_gone_do_not_hold_back_deletion() {
    let mut leader = leader(&[1, 2, 3], &[1, 2, 3], 1);
    let fetched = |replica, log_start| Event::FollowerFetched {
        replica: NodeId(replica),
        fetch_offset: Offset(9),
        log_start: Offset(log_start),
        broker_epoch: BrokerEpoch(1),
    };
    watermarks(&mut leader, &[appended(9), fetched(2, 4), fetched(3, 2)]);
    assert_eq!(leader.low_watermark(Offset(7), &ALL), Offset(2));
    assert_eq!(leader.low_watermark(Offset(7), &All { gone: Some(NodeId(3)), ..ALL }), Offset(4));
}
