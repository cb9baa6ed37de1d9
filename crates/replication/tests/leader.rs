//! The high watermark against a naive model, and the waiting list.
#![allow(clippy::unwrap_used)]

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};
use replication::{Effect, Event, Leader, LeaderConfig, Waiting, invariants};

fn leader(replicas: &[i32], isr: &[i32], min: usize) -> Leader {
    let ids = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let config = LeaderConfig {
        node_id: NodeId(1),
        leader_epoch: LeaderEpoch(0),
        epoch_start: Offset::ZERO,
        replicas: ids(replicas),
        isr: ids(isr),
        min_insync_replicas: min,
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

/// Applies events and returns the watermark after each.
fn watermarks(leader: &mut Leader, events: &[Event]) -> Vec<i64> {
    let step = |event: &Event| {
        let before = leader.clone();
        let mut effects = Vec::new();
        leader.step(MonoMs(1), event.clone(), &mut effects);
        assert_eq!(invariants::high_watermark_within_log(leader), Ok(()));
        assert_eq!(invariants::high_watermark_monotonic(&before, leader), Ok(()));
        let moved = before.high_watermark() != leader.high_watermark();
        assert_eq!(moved, !effects.is_empty());
        for Effect::HighWatermarkAdvanced { from, to } in effects {
            assert_eq!((from, to), (before.high_watermark(), leader.high_watermark()));
        }
        leader.high_watermark().get()
    };
    events.iter().map(step).collect()
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
    let isr = Event::IsrCommitted { isr: vec![NodeId(1), NodeId(2)] };
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
