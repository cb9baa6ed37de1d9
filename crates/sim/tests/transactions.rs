//! Many worlds, one after another: each seed is one. `sim::seeds` says which variables choose them.

use std::time::Duration;

use sim::seeds;
use sim::transactions::{Plan, Tamper, run};

/// How long all seeds of a usual run may take.
const BUDGET: Duration = Duration::from_secs(6);

#[test]
fn worlds_go_well() {
    let all = seeds::survey(BUDGET, |seed| run(Plan::new(seed)));
    let Some(all) = all.unwrap_or_else(|failure| panic!("\n{failure}")) else { return };
    // Worlds in which nothing happens go well, too.
    assert!(all.committed > 20 && all.aborted > 5 && all.fenced > 0, "{all:?}");
    assert!(all.moves > 2 && all.crashes > 2 && all.failed_appends > 2, "{all:?}");
    assert!(all.forgotten > 0 && all.jumps > 2, "{all:?}");
    assert!(all.vain_appends > 0 && all.stale_askings > 0, "{all:?}");
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
        // What shows in one world of a hundred is looked for close to where it is found.
        let first = match tamper {
            Tamper::TrustMarkers => 85,
            _ => 1,
        };
        let found = seeds::noticed(&tamper, first..first + 150, broken);
        found.unwrap_or_else(|what| panic!("{what}"));
    }
}
