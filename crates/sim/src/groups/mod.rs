//! Groups in a made-up cluster: one shard of the group coordinator with its log, clients of every kind, a bad network, and a checker.

mod chaos;
mod checks;
mod classic;
mod client;
mod compaction;
mod consumer;
mod ending;
mod mixed;
mod network;
mod setup;
mod tamper;
mod turn;
mod work;
mod world;

pub use checks::Stats;
pub use tamper::Tamper;
use world::World;

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
        write!(f, "again: MONEDULA_SIM_SEED={} cargo test -p monedula-sim", self.seed)
    }
}

/// Lets one world live and die.
///
/// # Errors
/// With the rule that was broken.
pub fn run(plan: Plan) -> Result<Report, Failure> {
    let mut world = World::new(plan);
    match world.live() {
        Ok(()) => Ok(Report { stats: world.checks.stats, digest: world.digest() }),
        Err(what) => Err(Failure { seed: plan.seed, what, trace: world.trace() }),
    }
}
