//! Groups in a made-up cluster: one shard of the group coordinator with its log, clients of every kind, a bad network, and a checker.

mod chaos;
pub(crate) mod checks;
pub(crate) mod classic;
pub(crate) mod client;
mod compaction;
pub(crate) mod consumer;
mod ending;
mod mixed;
pub(crate) mod network;
pub(crate) mod rest;
mod setup;
mod tamper;
pub(crate) mod turn;
mod work;
mod world;

pub use checks::Stats;
pub use tamper::Tamper;
use world::World;

use crate::seeds::{self, Failure, Report};

/// How one run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How long the world is bad, in its own time.
    pub chaos_ms: u64,
    /// Breaks something, so that the checker has something to find.
    pub tamper: Option<Tamper>,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self { seed, chaos_ms: 180_000, tamper: None }
    }
}

/// Lets one world live and die.
///
/// # Errors
/// With the rule that was broken.
pub fn run(plan: Plan) -> seeds::Run<Stats> {
    let mut world = World::new(plan);
    match seeds::guarded(|| world.live()) {
        Ok(()) => Ok(Report { stats: world.checks.stats, digest: world.digest() }),
        Err(what) => Err(Failure { test: "groups", seed: plan.seed, what, trace: world.trace() }),
    }
}
