//! Many worlds, one after another: each seed is one. `sim::seeds` says which variables choose them.

use std::time::Duration;

use sim::groups::{Plan, Tamper, run};
use sim::seeds;

/// How long all seeds of a usual run may take.
const BUDGET: Duration = Duration::from_secs(10);

#[test]
fn worlds_go_well() {
    let all = seeds::survey(BUDGET, |seed| run(Plan::new(seed)));
    let Some(all) = all.unwrap_or_else(|failure| panic!("\n{failure}")) else { return };
    // Worlds in which nothing happens go well, too.
    assert!(all.generations > 20 && all.commits > 100 && all.fenced > 5, "{all:?}");
    assert!(all.reloads > 5 && all.failed_appends > 5 && all.groups_ended > 5, "{all:?}");
    assert!(all.conversions > 5, "{all:?}");
}

#[test]
fn a_seed_is_a_world() {
    let repeated = seeds::repeatable([7, 8], |seed| run(Plan::new(seed)));
    repeated.unwrap_or_else(|what| panic!("\n{what}"));
}

#[test]
fn every_rule_fires_when_something_is_broken() {
    for tamper in Tamper::ALL {
        let broken = |seed| run(Plan { tamper: Some(tamper), ..Plan::new(seed) });
        let found = seeds::noticed(&tamper, 1..30, broken);
        found.unwrap_or_else(|what| panic!("{what}"));
    }
}
