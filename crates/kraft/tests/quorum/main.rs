//! A quorum of one to seven voters and some observers in a made-up world: seeds, faults, promises after every step.
//!
//! `KRAFT_SEED=n` runs one seed and prints its trace when it fails, `KRAFT_SEEDS=from..to` a range.

mod dice;
mod disk;
mod history;
mod network;
mod node;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use base::machine::ReplyId;
use kraft::{AddVoterRequest, Event, KRaftVersion, RemoveVoterRequest, VoteRequest};
use node::{Bug, Settings, key, voter};
use world::{Faults, World};

fn settings(seed: u64, bug: Bug) -> Settings {
    let mut dice = dice::Dice(seed ^ 0xabcd);
    let voters = 1 + dice.below(7) as i32;
    let dynamic = dice.one_in(2);
    Settings {
        seed,
        voters,
        observers: dice.below(3) as i32,
        bootstrap_servers: if dynamic { voters as usize } else { 0 },
        auto_join: dynamic && dice.one_in(2),
        bug,
    }
}

fn operator(world: &mut World, id: i32) {
    let Some(leader) = world.leader() else { return };
    let reply = ReplyId(world.fresh());
    let replica = world.nodes.get(&id).map(|node| node.key);
    let Some(replica) = replica else { return };
    let event = if world.voters().contains(&replica.id) {
        let request = RemoveVoterRequest { cluster_id: None, voter: replica };
        Event::RemoveVoter { reply, request }
    } else {
        let request = AddVoterRequest {
            cluster_id: None,
            timeout_ms: 1000,
            voter: replica,
            endpoints: voter(replica).endpoints,
            ack_when_committed: true,
        };
        Event::AddVoter { reply, request }
    };
    world.event(leader, event);
}

/// A static quorum becomes dynamic.
fn upgrade(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let (reply, epoch) = (ReplyId(world.fresh()), world.nodes[&leader].raft.epoch());
    let level = KRaftVersion(1);
    let validate_only = false;
    world.event(leader, Event::UpgradeKRaftVersion { reply, epoch, level, validate_only });
}

/// One thing that goes wrong, or right again, or that somebody does.
fn mishap(world: &mut World, all: &[i32]) {
    let Some(one) = world.dice.pick(all) else { return };
    let Some(other) = world.dice.pick(all) else { return };
    match world.dice.below(24) {
        0 | 1 => world.crash(one),
        2..=4 => world.restart(one),
        5 => drop(world.cut.insert((one, other))),
        6 => {
            for id in all {
                world.cut.insert((one, *id));
                world.cut.insert((*id, one));
            }
        }
        7..=9 => world.cut.clear(),
        10 => {
            let until = world.now + world.dice.below(5_000);
            if let Some(node) = world.nodes.get_mut(&one) {
                node.paused_until = until;
            }
        }
        22 => {
            let skew = world.dice.below(100_000) as i64 - 50_000;
            if let Some(node) = world.nodes.get_mut(&one) {
                node.wall_skew = skew;
            }
        }
        11..=13 => world.take_snapshot(one),
        14..=18 if world.settings.may_change(one) => operator(world, one),
        17 | 18 if world.settings.bootstrap_servers == 0 => upgrade(world),
        23 if world.settings.may_change(one) && world.votes_nowhere(one) => {
            let generation = world.nodes.get(&one).map_or(2, |node| node.generation() + 1);
            world.replace_disk(one, generation);
        }
        19 => {
            world.crash(one);
            world.restart(one);
        }
        20 => {
            if let Some(leader) = world.leader() {
                world.crash(leader);
            }
        }
        21 => {
            if let Some(leader) = world.leader() {
                let epoch = world.nodes[&leader].leads.unwrap_or_default();
                world.event(leader, Event::Resign { epoch });
            }
        }
        _ => {}
    }
}

fn run(seed: u64, bug: Bug, rounds: u64, tracing: bool) -> World {
    let mut world = World::new(settings(seed, bug));
    world.tracing = tracing;
    let all: Vec<i32> = (1..=world.settings.voters + world.settings.observers).collect();
    for _ in 0..rounds {
        world.faults = Faults { lossy: 5 + world.dice.below(60), slow_flushes: 20 };
        mishap(&mut world, &all);
        for _ in 0..world.dice.below(8) {
            world.propose();
            let ms = world.dice.below(60);
            world.run(ms);
        }
        let ms = world.dice.below(900);
        world.run(ms);
    }
    recover(&mut world, &all);
    world
}

/// Without faults there must be a leader soon, whom all others follow to the end.
fn recover(world: &mut World, all: &[i32]) {
    world.faults = Faults::default();
    world.cut.clear();
    for id in all {
        world.restart(*id);
    }
    for node in world.nodes.values_mut() {
        node.paused_until = 0;
    }
    world.run(40_000);
    world.propose();
    world.run(5_000);
    let Some(leader) = world.leader() else { panic!("no leader at the end:{}", world.describe()) };
    let leaders = world.nodes.values().filter(|node| node.raft.is_leader()).count();
    assert_eq!(leaders, 1, "{}", world.describe());
    let (epoch, end) = (world.nodes[&leader].raft.epoch(), world.nodes[&leader].disk.end());
    for node in world.nodes.values() {
        let state = (node.raft.epoch(), node.disk.end(), node.applied);
        assert_eq!(state, (epoch, end, end), "{} is behind:{}", node.key.id, world.describe());
    }
    world.history.compare(&world.nodes);
}

/// The message of the check that failed, if any.
fn outcome(seed: u64, bug: Bug, rounds: u64) -> Result<World, String> {
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, bug, rounds, false)));
    result.map_err(|error| {
        let text = error.downcast_ref::<String>().cloned();
        text.or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

fn range(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse().expect("a number");
    if let Ok(text) = std::env::var("KRAFT_SEED") {
        return number(&text)..number(&text) + 1;
    }
    match std::env::var("KRAFT_SEEDS") {
        Ok(text) => {
            let (from, to) = text.split_once("..").expect("from..to");
            number(from)..number(to)
        }
        Err(_) => default,
    }
}

#[test]
fn promises_hold_whatever_happens() {
    let (mut committed, mut elections, mut installed, mut changes, mut count) = (0, 0, 0, 0, 0);
    for seed in range(0..150) {
        match outcome(seed, Bug::None, 40) {
            Ok(world) => {
                committed += world.history.committed.len();
                elections += world.history.elections;
                installed += world.history.snapshots_installed;
                changes += world.changes();
                count += 1;
            }
            Err(error) => panic!(
                "seed {seed}: {error}\nrepeat: KRAFT_SEED={seed} cargo test -p monedula-kraft --test quorum promises"
            ),
        }
    }
    // The runs must have reached the interesting places.
    assert!(committed > 30 * count, "{committed} records in {count} runs");
    assert!(elections > 2 * count, "{elections} elections in {count} runs");
    assert!(count < 50 || installed > count / 10, "{installed} snapshots in {count} runs");
    assert!(count < 50 || changes > count / 4, "{changes} changes of voters in {count} runs");
    println!(
        "{count} runs: {committed} records, {elections} elections, {installed} snapshots fetched, {changes} changes of voters"
    );
}

#[test]
fn a_run_repeats() {
    for seed in 0..3 {
        let trace = run(seed, Bug::None, 15, true).trace;
        assert!(trace.len() > 100);
        assert_eq!(trace, run(seed, Bug::None, 15, true).trace);
    }
}

#[test]
fn planted_bugs_are_found() {
    for bug in [Bug::FlushIgnored, Bug::RecordsMixed] {
        let found = (0..300).find(|seed| outcome(*seed, bug, 40).is_err());
        assert!(found.is_some(), "{bug:?} was not noticed");
    }
}

/// Two candidates ask the same voter in one epoch, and a power cut lies between.
fn vote_twice(bug: Bug) {
    let mut settings = settings(1, bug);
    (settings.voters, settings.observers, settings.bootstrap_servers) = (3, 0, 0);
    let mut world = World::new(settings);
    for candidate in [2, 3] {
        let request = VoteRequest {
            cluster_id: None,
            voter: None,
            candidate: key(candidate, 1),
            epoch: 7,
            last_epoch: 0,
            last_offset: base::Offset(0),
            pre_vote: false,
        };
        world.ask(candidate, 1, kraft::Request::Vote(request));
        world.crash(1);
        world.restart(1);
    }
}

#[test]
fn a_vote_outlives_a_crash() {
    vote_twice(Bug::None);
    let forgotten = catch_unwind(|| vote_twice(Bug::VoteForgotten));
    assert!(forgotten.is_err(), "the second vote was not noticed");
}

#[test]
fn a_replaced_disk_joins_again_by_itself() {
    let mut settings = settings(1, Bug::None);
    (settings.voters, settings.observers) = (3, 0);
    (settings.bootstrap_servers, settings.auto_join) = (3, true);
    let mut world = World::new(settings);
    world.run(10_000);
    let leader = world.leader().expect("a leader");
    let other = if leader == 1 { 2 } else { 1 };
    world.replace_disk(other, 2);
    world.run(20_000);
    let leader = world.leader().expect("a leader");
    let voters = world.nodes[&leader].raft.voters().last().0;
    assert!(voters.is_voter(key(other, 2)), "{voters:?}");
    assert_eq!(voters.len(), 3);
}
