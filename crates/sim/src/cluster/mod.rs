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
mod message;
mod meta_log;
mod network;
mod node;
mod part_log;
mod partition_checks;
mod quorum;
mod raft_wire;
mod replica;
mod replicas;
mod scenario;
mod serve;
mod setup;
mod tamper;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checks::Stats;
pub use scenario::Scenario;
pub use tamper::Tamper;
use world::World;

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

/// A run that went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    pub stats: Stats,
    /// Of everything that happened.
    pub digest: u64,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The last things that happened.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "again: MONEDULA_SIM_SEED={} cargo test -p monedula-sim --test cluster",
            self.seed
        )
    }
}

/// Lets one world live and die.
///
/// # Errors
/// With the rule that was broken; a panic of a machine is a broken rule, too.
pub fn run(plan: Plan) -> Result<Report, Failure> {
    match live(plan, false) {
        // Once more, with somebody who takes notes.
        Err(_) => live(plan, true),
        well => well,
    }
}

fn live(plan: Plan, traced: bool) -> Result<Report, Failure> {
    let failure = |what: String, trace| Failure { seed: plan.seed, what, trace };
    let mut world = World::new(plan, traced).map_err(|what| failure(what, Vec::new()))?;
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let what = match lived {
        Ok(Ok(())) => {
            return Ok(Report { stats: world.checks.stats, digest: world.trace.digest() });
        }
        Ok(Err(what)) => what,
        Err(panic) => match panic.downcast::<String>() {
            Ok(words) => format!("a machine panicked: {words}"),
            Err(_) => "a machine panicked".to_owned(),
        },
    };
    Err(failure(what, world.trace.lines()))
}
