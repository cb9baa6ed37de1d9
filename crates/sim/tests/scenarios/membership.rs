//! Brokers, their disks, and the members of groups come and go.

use sim::cluster::Scenario;

use super::{partition, play};

/// A follower's disk is replaced: it is not in sync until it has everything again, and the controller learns of its new directory
/// (KIP-858).
#[test]
fn a_broker_returns_with_an_empty_disk() {
    play(|| {
        let mut cluster = Scenario::start(17, 3)?;
        let (leader, _) = partition(&cluster);
        let lost = (1..=3).find(|id| *id != leader).expect("there are three");
        let held = cluster.records_of(lost);
        cluster.lose_disk(lost, true, true)?;
        assert_eq!(cluster.records_of(lost), 0);
        cluster.run(5_000)?;
        assert!(!partition(&cluster).1.contains(&lost), "who is dead is not in sync");
        cluster.restart(lost)?;
        cluster.run(6_000)?;
        assert!(cluster.records_of(lost) > held, "it has everything again");
        assert_eq!(partition(&cluster).1.len(), 3);
        cluster.end()
    });
}

/// The leader dies with its disk and is started again before its session is over: it does not lead with nothing.
#[test]
fn a_leader_returns_at_once_without_its_records() {
    play(|| {
        let mut cluster = Scenario::start(18, 3)?;
        let (old, _) = partition(&cluster);
        cluster.lose_disk(old, true, false)?;
        cluster.restart(old)?;
        cluster.run(3_600)?;
        assert_ne!(partition(&cluster).0, old);
        cluster.run(5_000)?;
        assert_eq!(partition(&cluster).1.len(), 3, "it is in sync again");
        cluster.end()
    });
}

/// The last replica in sync is shut down under control: nobody else may lead, and it may when it comes back.
#[test]
fn the_last_replica_in_sync_leaves_in_good_order() {
    play(|| {
        let mut cluster = Scenario::start(19, 3)?;
        let (last, _) = partition(&cluster);
        for other in (1..=3).filter(|id| *id != last) {
            cluster.kill(other, true)?;
            cluster.run(5_000)?;
        }
        assert_eq!(partition(&cluster).1, [last], "the leader is alone");
        cluster.stop(last)?;
        cluster.run(3_000)?;
        for other in (1..=3).filter(|id| *id != last) {
            cluster.restart(other)?;
        }
        cluster.run(5_000)?;
        assert_eq!(partition(&cluster).0, -1, "nobody has what it has");
        cluster.restart(last)?;
        cluster.run(5_000)?;
        assert_eq!(partition(&cluster).0, last);
        cluster.end()
    });
}

/// With a lower minimum a leader commits alone: those that were eligible are so no more.
#[test]
fn a_lower_minimum_makes_nobody_eligible() {
    play(|| {
        let mut cluster = Scenario::start(20, 3)?;
        let (last, _) = partition(&cluster);
        for other in (1..=3).filter(|id| *id != last) {
            cluster.cut(other, last);
            cluster.run(3_500)?;
        }
        assert_eq!(partition(&cluster).1, [last], "the leader is alone");
        let acked = cluster.acked();
        cluster.set_min_isr(1);
        cluster.run(4_000)?;
        assert!(cluster.acked() > acked, "it writes alone");
        cluster.heal();
        cluster.run(4_000)?;
        cluster.set_min_isr(2);
        cluster.run(1_000)?;
        cluster.end()
    });
}

/// Everybody's power fails, with all that was not flushed, where unclean elections are allowed: somebody leads, what it does not
/// have is lost, and all agree on the rest.
#[test]
fn all_brokers_lose_their_power() {
    for seed in 21..25 {
        play(|| {
            let mut cluster = Scenario::unclean(seed, 3)?;
            cluster.hush(true);
            for broker in 1..=3 {
                cluster.kill(broker, true)?;
            }
            cluster.run(1_000)?;
            for broker in 1..=3 {
                cluster.restart(broker)?;
                cluster.run(200)?;
            }
            cluster.run(6_000)?;
            assert!(cluster.stats().unclean_elections > 0);
            cluster.hush(false);
            cluster.run(3_000)?;
            cluster.end()
        });
    }
}

/// What was asked under an old epoch and arrives under a new one changes nothing.
#[test]
fn what_is_late_by_an_epoch_is_refused() {
    play(|| {
        let mut cluster = Scenario::start(25, 3)?;
        let (old, _) = partition(&cluster);
        let others: Vec<i32> = (1..=3).filter(|id| *id != old).collect();
        // What the old leader asks of the controllers, and its followers of it, arrives when another leads.
        for controller in 101..=103 {
            cluster.delay(old, controller, 9_000);
        }
        for other in &others {
            cluster.delay(*other, old, 7_000);
        }
        cluster.run(12_000)?;
        assert_ne!(partition(&cluster).0, old);
        cluster.heal();
        cluster.run(10_000)?;
        assert_eq!(partition(&cluster).1.len(), 3);
        cluster.end()
    });
}

/// A broker is let go and comes back; another one comes, and replicas move to it, or do not after all.
#[test]
fn brokers_come_and_go() {
    play(|| {
        let mut cluster = Scenario::start(26, 3)?;
        let (leader, _) = partition(&cluster);
        let gone = (1..=3).find(|id| *id != leader).expect("there are three");
        cluster.kill(gone, true)?;
        cluster.run(5_000)?;
        cluster.unregister(gone);
        cluster.run(1_000)?;
        let fresh = cluster.newcomer()?;
        cluster.run(3_000)?;
        cluster.reassign(Some(vec![leader, gone, fresh]));
        cluster.run(3_000)?;
        cluster.reassign(None);
        cluster.run(1_000)?;
        let rest: Vec<i32> = (1..=3).filter(|id| *id != gone).collect();
        cluster.reassign(Some(vec![rest[0], rest[1], fresh]));
        cluster.run(5_000)?;
        let mut in_sync = partition(&cluster).1;
        in_sync.sort_unstable();
        assert_eq!(in_sync, [rest[0], rest[1], fresh]);
        cluster.restart(gone)?;
        cluster.run(4_000)?;
        cluster.end()
    });
}

/// The coordinator of groups dies, again and again: members of both protocols keep what they have, and go on.
#[test]
fn members_go_on_when_their_coordinator_moves() {
    play(|| {
        let mut cluster = Scenario::start(30, 4)?;
        cluster.add_members();
        cluster.run(20_000)?;
        for power in [true, false, true] {
            let (before, old) = (cluster.stats().commits, cluster.coordinator());
            let old = old.expect("somebody coordinates");
            cluster.kill(old, power)?;
            cluster.run(9_000)?;
            cluster.restart(old)?;
            cluster.run(9_000)?;
            assert!(cluster.stats().commits > before, "members commit");
        }
        assert!(cluster.stats().generations > 0, "{:?}", cluster.stats());
        cluster.end()
    });
}
