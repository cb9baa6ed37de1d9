//! One partition under faults, by seeds: what was committed stays, on every replica that counts.
#![allow(clippy::unwrap_used)]

mod controller;
mod log;
mod roles;
mod world;

use world::{Plant, World};

/// Runs a seed; the error names what did not hold.
fn run(seed: u64, unclean: bool, plant: Plant) -> Result<World, String> {
    let mut world = World::new(seed, unclean, plant);
    for step in 0..3000 {
        world.step().map_err(|error| format!("seed {seed} step {step}: {error}"))?;
    }
    Ok(world)
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok());
    0..count.unwrap_or(60)
}

#[test]
fn nothing_committed_is_lost() {
    let (mut acked, mut elections) = (0, 0);
    for seed in seeds() {
        let mut world = run(seed, false, Plant::Nothing).unwrap();
        world.heal();
        let settled = (0..30_000).any(|_| {
            world.step().map_err(|error| format!("seed {seed} healing: {error}")).unwrap();
            world.is_settled()
        });
        assert!(settled, "seed {seed} does not settle:\n{}", world.describe());
        acked += world.acked;
        elections += world.elections;
    }
    let runs = seeds().end as usize;
    assert!(acked > runs as u64 * 20, "hardly anything was written: {acked}");
    assert!(elections > runs * 5, "hardly anybody was elected: {elections}");
}

#[test]
fn unclean_elections_leave_equal_logs() {
    for seed in seeds() {
        let mut world = run(seed, true, Plant::Nothing).unwrap();
        world.heal();
        let settled = (0..30_000).any(|_| {
            world.step().map_err(|error| format!("seed {seed} healing: {error}")).unwrap();
            world.is_settled()
        });
        assert!(settled, "seed {seed} does not settle:\n{}", world.describe());
    }
}

#[test]
fn planted_mistakes_are_found() {
    // The last one needs a rare turn of events: its seeds begin where one is known to take it.
    let plants = [
        (Plant::UnknownIsRefused, 0..100),
        (Plant::NoComparison, 0..100),
        (Plant::NoBrokerEpochs, 3790..3830),
    ];
    for (plant, mut seeds) in plants {
        let found = seeds.find_map(|seed| run(seed, false, plant).err());
        assert!(found.is_some(), "{plant:?} is not found");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..5 {
        let (a, b) = (run(seed, false, Plant::Nothing), run(seed, false, Plant::Nothing));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.describe(), a.committed, a.now), (b.describe(), b.committed, b.now));
    }
}
