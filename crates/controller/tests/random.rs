//! Random lives of small clusters: the invariants hold after every step (`TestContext` checks them), what was said
//! about the log is in the log, and replaying it from nothing leads to the same state.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use common::world::World;

#[test]
fn invariants_hold_whatever_happens() {
    let (mut records, mut leaders_lost, mut eligible) = (0, 0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
            for topic in world.cx.image().topics.iter() {
                leaders_lost += topic.partitions().filter(|(_, p)| !p.has_leader()).count();
                eligible += topic.partitions().filter(|(_, p)| !p.elr.is_empty()).count();
            }
        }
        assert!(world.cx.replayed() == *world.cx.image(), "seed {seed}: the log leads elsewhere");
        records += world.cx.log.len();
    }
    // Without all of this having happened the test would have shown nothing.
    assert!(
        records > 10_000 && leaders_lost > 1_000 && eligible > 1_000,
        "{records} {leaders_lost} {eligible}"
    );
}
