//! The metadata quorum: elections, voters, their disks.

use sim::cluster::Scenario;

use super::play;

/// A voter that hears nobody but is heard keeps asking: with pre-votes the others' leader stays, epochs stand still (KIP-996).
#[test]
fn a_deaf_voter_starts_no_storm_of_elections() {
    play(|| {
        let mut cluster = Scenario::start(14, 3)?;
        let leader = cluster.controller().expect("somebody leads");
        let deaf = (101..=103).find(|id| *id != leader).expect("there are three");
        let before = cluster.quorum_epoch();
        for other in (1..=3).chain(101..=103).filter(|id| *id != deaf) {
            cluster.cut(other, deaf);
        }
        cluster.run(30_000)?;
        assert_eq!(cluster.controller(), Some(leader));
        assert!(cluster.quorum_epoch() <= before + 1, "{} epochs", cluster.quorum_epoch() - before);
        cluster.heal();
        cluster.end()
    });
}

/// A voter loses its disk: the quorum goes on, forgets the old one and takes in the new one, and can then miss another.
#[test]
fn the_disk_of_a_controller_is_replaced() {
    play(|| {
        let mut cluster = Scenario::dynamic(27, 3)?;
        let leader = cluster.controller().expect("somebody leads");
        let lost = (101..=103).find(|id| *id != leader).expect("there are three");
        cluster.lose_disk(lost, false, true)?;
        cluster.restart(lost)?;
        cluster.run(3_000)?;
        cluster.change_voters(lost);
        cluster.run(2_000)?;
        assert_eq!(cluster.voters().len(), 2, "the old one votes no more");
        cluster.change_voters(lost);
        cluster.run(3_000)?;
        assert_eq!(cluster.voters().len(), 3);
        cluster.kill(leader, true)?;
        cluster.run(6_000)?;
        let next = cluster.controller().expect("two of three are there");
        assert_ne!(next, leader);
        cluster.end()
    });
}

/// A voter is started elsewhere: the quorum learns where, and finds it there.
#[test]
fn a_controller_moves() {
    play(|| {
        let mut cluster = Scenario::dynamic(28, 3)?;
        for controller in 101..=103 {
            cluster.move_controller(controller)?;
            cluster.run(6_000)?;
        }
        assert_eq!(cluster.stats().moves, 3, "each waits for the one before to be known");
        cluster.end()
    });
}

/// The log of a controller begins behind its start and the snapshot is gone: it does not serve with half a cluster.
#[test]
fn a_log_without_its_snapshot_is_refused() {
    play(|| {
        let mut cluster = Scenario::start(29, 3)?;
        let leader = cluster.controller().expect("somebody leads");
        let broken = (101..=103).find(|id| *id != leader).expect("there are three");
        assert!(!cluster.starts_without_snapshot(broken)?);
        cluster.restart(broken)?;
        cluster.run(2_000)?;
        cluster.end()
    });
}
