//! Random lives of transactional ids: appends that fail, commits that wait, coordinators that start anew, requests and answers that
//! get lost or come twice. What must hold is looked at after every step, and in the end everything must come to rest.
#![allow(clippy::unwrap_used)]

mod hear;
mod world;

use world::{EXPIRATION_MS, World};

fn live(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.settle();
    for (id, transaction) in world.test.runtime.committed().transactions() {
        assert!(transaction.state.is_at_rest(), "seed {seed}: {id} is {transaction:?}");
    }
    world.test.advance(u64::try_from(EXPIRATION_MS).unwrap() + 1);
    assert!(world.test.runtime.committed().is_empty(), "seed {seed}");
    world
}

#[test]
fn lives_with_failures_keep_what_must_hold() {
    let mut records = 0;
    for seed in 0..200 {
        records += live(seed, 150).log().len();
    }
    // They do live.
    assert!(records > 5_000, "{records}");
}
