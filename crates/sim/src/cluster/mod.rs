//! Whole clusters in a made-up world: controllers and brokers made of the product's pure machines, on a virtual clock, network and
//! disk. One seed decides the cluster, its faults and everything else that happens.

mod active;
mod admin;
mod broker;
mod chaos;
mod checks;
mod client;
mod committer;
mod context;
mod coordinator;
mod directories;
mod members;
mod membership;
mod message;
mod meta_log;
mod mood;
mod network;
mod node;
mod part_log;
mod partition_checks;
mod quorum;
mod raft_wire;
mod replica;
mod replicas;
mod roads;
mod scenario;
mod serve;
mod setup;
mod tamper;
mod trace;
mod truth;
mod world;

pub use checks::Stats;
pub use scenario::Scenario;
pub use tamper::Tamper;
use world::World;

use crate::seeds::{self, Failure, Report};

/// How one run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How long the world is bad, in its own time.
    pub chaos_ms: u64,
    /// How long it then has to become well.
    pub rest_ms: u64,
    /// Breaks something, so that the rules have something to find.
    pub tamper: Option<Tamper>,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self { seed, chaos_ms: 40_000, rest_ms: 25_000, tamper: None }
    }
}

/// Lets one world live and die.
///
/// # Errors
/// With the rule that was broken; a panic of a machine is a broken rule, too.
pub fn run(plan: Plan) -> seeds::Run<Stats> {
    match live(plan, false) {
        // Once more, with somebody who takes notes.
        Err(_) => live(plan, true),
        well => well,
    }
}

fn live(plan: Plan, traced: bool) -> seeds::Run<Stats> {
    let mut world =
        World::new(plan, traced).map_err(|what| failure(plan.seed, what, Vec::new()))?;
    match seeds::guarded(|| world.live()) {
        Ok(()) => Ok(Report { stats: world.stats(), digest: world.trace.digest() }),
        Err(what) => Err(failure(plan.seed, what, world.trace.lines())),
    }
}

fn failure(seed: u64, what: String, trace: Vec<String>) -> Failure {
    Failure { test: "cluster", seed, what, trace }
}
