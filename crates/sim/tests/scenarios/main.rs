//! What broke others, played step by step in a whole cluster; the rules of the simulation are held after every step.
//!
//! Which known bug is played where:
//!
//! - Truncation: at the high watermark (KIP-101), after two quick elections (KIP-279): `two_quick_elections_without_writes`, and the
//!   planted `TruncatesToWatermark`. Epochs that stay behind a cut (KAFKA-10706): the rule that a log's epochs fit its records, after
//!   every step; on disks, `storage`. A watermark behind a full cut (KAFKA-9491): `a_broker_returns_with_an_empty_disk`. What is late
//!   by an epoch: `what_is_late_by_an_epoch_is_refused`, and the planted `ForgetsEpochs`.
//! - Eligible leaders (KIP-966): the last replica standing, `the_last_replica_in_sync_loses_its_power`; a controlled shutdown of it,
//!   `the_last_replica_in_sync_leaves_in_good_order`; a minimum changed meanwhile (KAFKA-16540), `a_lower_minimum_makes_nobody_eligible`;
//!   who registers again after an unclean end (KAFKA-18106, 18635), `a_leader_returns_at_once_without_its_records`.
//! - Unclean elections: `all_brokers_lose_their_power`.
//! - Log directories (KAFKA-16234, 16814): that one is not made anew on a broken disk is up to `storage` and `broker`; here, the
//!   replaced disk: `a_broker_returns_with_an_empty_disk`.
//! - The metadata log: a log that begins late without its snapshot (KAFKA-14240), `a_log_without_its_snapshot_is_refused`; elections
//!   without end (KIP-996), `a_deaf_voter_starts_no_storm_of_elections`; voters and their disks (KIP-853),
//!   `the_disk_of_a_controller_is_replaced`, `a_controller_moves`.
//! - Group coordinators: order of what is replayed (KAFKA-17306) and expiry while a group rebalances (KAFKA-13636) are played in the
//!   worlds of `groups` and on permutations in `group`; loading and unloading (KAFKA-4704), `members_go_on_when_their_coordinator_moves`.
//! - Transactions, compaction and remote storage are not played in these worlds; producers' buffers (KAFKA-19012) are up to `client`.

mod membership;
mod quorum;

use sim::cluster::Scenario;
use sim::seeds::Failure;

type Played = Result<(), Failure>;

/// Fails with the trace.
fn play(scenario: impl Fn() -> Played) {
    if let Err(failure) = scenario() {
        panic!("\n{failure}");
    }
}

fn partition(cluster: &Scenario) -> (i32, Vec<i32>) {
    cluster.partition().expect("the topic is there")
}

/// Two elections with nothing written between them: a follower that missed both cuts its log by epochs (KIP-101, KIP-279).
#[test]
fn two_quick_elections_without_writes() {
    play(|| {
        let mut cluster = Scenario::start(11, 3)?;
        let (first, _) = partition(&cluster);
        // What the first leader takes now reaches nobody.
        for other in [1, 2, 3, 101, 102, 103] {
            cluster.cut(other, first);
        }
        cluster.run(1_000)?;
        cluster.hush(true);
        for controller in [101, 102, 103] {
            cluster.cut(first, controller);
        }
        cluster.run(7_000)?;
        let (second, _) = partition(&cluster);
        assert_ne!(second, first, "a leader that nobody hears is replaced");
        cluster.pause(second, 4_500);
        cluster.run(5_000)?;
        cluster.heal();
        cluster.run(3_000)?;
        cluster.hush(false);
        cluster.end()
    });
}

/// The last replica in sync loses its power and what it had not flushed: somebody eligible leads, nothing committed is cut off
/// (KIP-966).
#[test]
fn the_last_replica_in_sync_loses_its_power() {
    play(|| {
        let mut cluster = Scenario::start(12, 3)?;
        let (last, _) = partition(&cluster);
        let others: Vec<i32> = (1..=3).filter(|id| *id != last).collect();
        // The followers fall behind the leader and out of sync, one after the other.
        for other in &others {
            cluster.cut(*other, last);
            cluster.run(3_500)?;
        }
        let (_, in_sync) = partition(&cluster);
        assert_eq!(in_sync, [last], "the leader is alone");
        let acked = cluster.acked();
        cluster.kill(last, true)?;
        cluster.heal();
        cluster.run(5_000)?;
        let (leader, _) = partition(&cluster);
        assert!(others.contains(&leader), "somebody eligible leads, not {leader}");
        cluster.restart(last)?;
        cluster.run(6_000)?;
        assert!(cluster.acked() > acked, "writing goes on");
        cluster.end()
    });
}

/// A leader that hears no controller any more goes on believing in itself: nothing it takes is acknowledged after another leads.
#[test]
fn a_leader_without_controllers_acknowledges_nothing() {
    play(|| {
        let mut cluster = Scenario::start(13, 3)?;
        let (old, _) = partition(&cluster);
        for controller in 101..=103 {
            cluster.cut(controller, old);
            cluster.cut(old, controller);
        }
        cluster.run(10_000)?;
        let (new, in_sync) = partition(&cluster);
        assert_ne!(new, old);
        assert!(!in_sync.contains(&old));
        cluster.heal();
        cluster.run(3_000)?;
        cluster.end()
    });
}

/// Leader and controller die together, in the middle of whatever they do, after any number of effects.
#[test]
fn controller_and_leader_die_together_anywhere() {
    for effects in 0..8 {
        play(|| {
            let mut cluster = Scenario::start(15 + effects as u64, 3)?;
            let controller = cluster.controller().expect("somebody leads");
            let (leader, _) = partition(&cluster);
            let acked = cluster.acked();
            cluster.kill_after(controller, effects);
            cluster.kill(leader, true)?;
            cluster.run(9_000)?;
            assert_ne!(cluster.controller(), Some(controller));
            assert_ne!(partition(&cluster).0, leader);
            assert!(cluster.acked() > acked, "writing goes on");
            cluster.end()
        });
    }
}

/// A broker that was away for long comes back with old metadata, in which it led: it does not act on that.
#[test]
fn a_broker_returns_with_old_metadata() {
    play(|| {
        let mut cluster = Scenario::start(16, 4)?;
        let (old, _) = partition(&cluster);
        cluster.kill(old, false)?;
        cluster.run(5_000)?;
        // A second time the others change places.
        let (new, _) = partition(&cluster);
        cluster.pause(new, 4_500);
        cluster.run(6_000)?;
        let held = cluster.records_of(old);
        cluster.restart(old)?;
        cluster.run(5_000)?;
        assert!(cluster.records_of(old) > held, "it follows");
        cluster.end()
    });
}
