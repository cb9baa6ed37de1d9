//! Many clusters, one after another: each seed is one. `MONEDULA_SIM_SEED=N` runs that one; `MONEDULA_SIM_SEEDS=N` so many, from
//! `MONEDULA_SIM_FROM` on.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use sim::cluster::{Plan, Stats, Tamper, run};

/// How long all seeds of a usual run may take.
const BUDGET: Duration = Duration::from_secs(6);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn clusters_keep_their_promises() {
    if let Some(seed) = number("MONEDULA_SIM_SEED") {
        let report = run(Plan::new(seed)).unwrap_or_else(|failure| panic!("\n{failure}"));
        println!("seed {seed}: {report:?}");
        return;
    }
    let first = number("MONEDULA_SIM_FROM").unwrap_or(1);
    let seeds = number("MONEDULA_SIM_SEEDS");
    let begun = Instant::now();
    let mut all = Stats::default();
    for seed in first..first + seeds.unwrap_or(1_000) {
        if seeds.is_none() && begun.elapsed() > BUDGET {
            println!("{} seeds", seed - first);
            break;
        }
        let report = run(Plan::new(seed)).unwrap_or_else(|failure| panic!("\n{failure}"));
        all.add(&report.stats);
    }
    println!("{all:?} in {:?}", begun.elapsed());
}

#[test]
fn a_seed_is_a_world() {
    for seed in [7, 8] {
        let reports = [0, 0].map(|_| run(Plan::new(seed)).unwrap_or_else(|f| panic!("\n{f}")));
        assert_eq!(reports[0], reports[1]);
    }
    let digests = [9, 10].map(|seed| run(Plan::new(seed)).unwrap().digest);
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn every_rule_fires_when_something_is_broken() {
    for tamper in Tamper::ALL {
        let plan = |seed| Plan { tamper: Some(tamper), ..Plan::new(seed) };
        let found = (1..40).find_map(|seed| run(plan(seed)).err());
        let found = found.unwrap_or_else(|| panic!("{tamper:?} is not noticed"));
        println!("{tamper:?}: seed {}: {}", found.seed, found.what);
    }
}
