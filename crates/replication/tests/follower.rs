//! How long a follower leaves a leader alone that refuses, and which answers it takes.
#![allow(clippy::unwrap_used)]

use base::{LeaderEpoch, MonoMs, NodeId, Offset};
use replication::{Ask, Follower, FollowerEvent, FollowerLog, Position, Refusal};

/// Ten records of one epoch, all committed.
struct Ten;

impl FollowerLog for Ten {
    fn start(&self) -> Offset {
        Offset::ZERO
    }

    fn end(&self) -> Offset {
        Offset(10)
    }

    fn high_watermark(&self) -> Offset {
        Offset(10)
    }

    fn latest_epoch(&self) -> Option<LeaderEpoch> {
        Some(LeaderEpoch(3))
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        (epoch == LeaderEpoch(3)).then_some((epoch, Offset(10)))
    }
}

const BACKOFF_MS: u64 = 1_000;

/// Tells it `event` at `now`; when it will ask again.
fn told(follower: &mut Follower, now: MonoMs, event: FollowerEvent) -> MonoMs {
    let mut effects = Vec::new();
    follower.step(now, &Ten, event, &mut effects);
    assert!(effects.is_empty(), "{effects:?}");
    match follower.ask(now, &Ten) {
        Ask::Wait { until } => until,
        Ask::Fetch(_) => now,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leader_that_does_not_know_yet_is_asked_again_soon() {
    let mut follower = Follower::new(NodeId(2), LeaderEpoch(4), BACKOFF_MS, &Ten, &mut Vec::new());
    let refused = FollowerEvent::Refused(Refusal::Retry);
    let given = FollowerEvent::Appended { high_watermark: Offset(10), log_start: Offset::ZERO };
    for _ in 0..2 {
        let mut now = MonoMs(5_000);
        let mut pauses = Vec::new();
        for _ in 0..30 {
            let until = told(&mut follower, now, refused);
            pauses.push(until.since(now));
            now = until;
        }
        assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 640, BACKOFF_MS]);
        assert!(pauses[8..].iter().all(|pause| *pause == BACKOFF_MS), "{pauses:?}");
        assert_eq!(told(&mut follower, now, given), now, "an answer ends it");
    }
}

#[test]
fn who_is_behind_itself_or_hears_nothing_waits_for_the_whole_pause() {
    let refused = FollowerEvent::Refused(Refusal::Fenced);
    for event in [refused, FollowerEvent::Unreachable, FollowerEvent::Damaged] {
        let mut follower =
            Follower::new(NodeId(2), LeaderEpoch(4), BACKOFF_MS, &Ten, &mut Vec::new());
        assert_eq!(told(&mut follower, MonoMs(7), event), MonoMs(7 + BACKOFF_MS));
    }
}

#[test]
fn an_answer_is_good_although_the_log_start_has_moved_since() {
    let asked = Position {
        leader_epoch: LeaderEpoch(3),
        offset: Offset(10),
        last_fetched_epoch: LeaderEpoch(2),
        log_start: Offset::ZERO,
    };
    assert!(Position { log_start: Offset(4), ..asked }.is_answered_by(&asked));
    assert!(!Position { offset: Offset(11), ..asked }.is_answered_by(&asked));
    assert!(!Position { leader_epoch: LeaderEpoch(4), ..asked }.is_answered_by(&asked));
    assert!(!Position { last_fetched_epoch: LeaderEpoch(3), ..asked }.is_answered_by(&asked));
}
