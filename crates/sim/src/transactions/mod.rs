//! Transactions in a made-up cluster: the coordinator's shard with its log, which moves between nodes; partitions that keep the state
//! of producers as Kafka does; producers of both generations; a bad network; and a checker.
//!
//! Must not know: brokers. Partitions are a model, the coordinator is the product.

mod chaos;
mod checks;
mod client;
mod coordinator;
mod markers;
mod partition;
mod serve;
mod tamper;
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
        Self { seed, chaos_ms: 90_000, tamper: None }
    }
}

/// Lets one world live and come to rest.
///
/// # Errors
/// With the rule that was broken.
pub fn run(plan: Plan) -> seeds::Run<Stats> {
    let mut world = World::new(plan);
    match seeds::guarded(|| world.live()) {
        Ok(()) => Ok(Report { stats: world.checks.stats, digest: world.digest() }),
        Err(what) => {
            Err(Failure { test: "transactions", seed: plan.seed, what, trace: world.trace() })
        }
    }
}
