//! Many clusters, one after another: each seed is one. `sim::seeds` says which variables choose them.

use std::time::Duration;

use sim::cluster::{Plan, Tamper, run};
use sim::seeds;

/// How long all seeds of a usual run may take.
const BUDGET: Duration = Duration::from_secs(6);

#[test]
fn clusters_keep_their_promises() {
    let all = seeds::survey(BUDGET, |seed| run(Plan::new(seed)));
    all.unwrap_or_else(|failure| panic!("\n{failure}"));
}

#[test]
fn a_seed_is_a_world() {
    let repeated = seeds::repeatable([7, 8], |seed| run(Plan::new(seed)));
    repeated.unwrap_or_else(|what| panic!("\n{what}"));
}

#[test]
fn every_rule_fires_when_something_is_broken() {
    let missed = Tamper::ALL.map(|tamper| {
        let broken = |seed| run(Plan { tamper: Some(tamper), ..Plan::new(seed) });
        seeds::noticed(&tamper, 1..40, broken).err()
    });
    assert_eq!(missed.iter().flatten().next(), None, "{missed:?}");
}
