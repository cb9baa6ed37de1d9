//! One world after another, each from its seed: what all kinds of worlds have in common when tests run them.
//!
//! The only place here that looks at a real clock, for how long a test may take. Must not know: what happens in a world.

use std::fmt::Debug;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What is counted in a run.
pub trait Counts: Copy + Default + PartialEq + Debug {
    fn add(&mut self, other: &Self);
}

/// Makes a structure of counters that can be added up.
macro_rules! counts {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $crate::seeds::Counts for $name {
            fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}
pub(crate) use counts;

/// A run that went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<S> {
    pub stats: S,
    /// Of everything that happened.
    pub digest: u64,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The test that plays it again.
    pub test: &'static str,
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
        let Self { test, seed, what, .. } = self;
        writeln!(f, "seed {seed}: {what}")?;
        write!(f, "again: MONEDULA_SIM_SEED={seed} cargo test -p monedula-sim --test {test}")
    }
}

/// How one world, made from a seed, has gone.
pub type Run<S> = Result<Report<S>, Failure>;

/// Lets a world live; a panic of a machine is a broken rule, too.
///
/// # Errors
/// With the rule that was broken.
pub fn guarded(live: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(live)) {
        Ok(lived) => lived,
        Err(panic) => Err(match panic.downcast::<String>() {
            Ok(words) => format!("a machine panicked: {words}"),
            Err(_) => "a machine panicked".to_owned(),
        }),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Many worlds. `MONEDULA_SIM_SEED=N` runs that one; `MONEDULA_SIM_SEEDS=N` so many, from `MONEDULA_SIM_FROM` on, and
/// `MONEDULA_SIM_FAILURES=N` goes on until so many have failed. Otherwise as many as fit into `budget`. Gives what was counted in
/// all of them, or nothing when only one seed was asked for.
///
/// # Errors
/// With the last failure.
pub fn survey<S: Counts>(
    budget: Duration,
    run: impl Fn(u64) -> Run<S>,
) -> Result<Option<S>, Failure> {
    if let Some(seed) = number("MONEDULA_SIM_SEED") {
        println!("seed {seed}: {:?}", run(seed)?);
        return Ok(None);
    }
    let first = number("MONEDULA_SIM_FROM").unwrap_or(1);
    let seeds = number("MONEDULA_SIM_SEEDS");
    let mut failures = number("MONEDULA_SIM_FAILURES").unwrap_or(1);
    let begun = Instant::now();
    let (mut all, mut last) = (S::default(), first);
    for seed in first..first + seeds.unwrap_or(1_000) {
        if seeds.is_none() && begun.elapsed() > budget {
            break;
        }
        last = seed;
        match run(seed) {
            Ok(report) => all.add(&report.stats),
            Err(failure) if failures <= 1 => return Err(failure),
            Err(failure) => {
                failures -= 1;
                println!("seed {seed}: {}", failure.what);
            }
        }
    }
    println!("seeds {first} to {last}: {all:?} in {:?}", begun.elapsed());
    Ok(Some(all))
}

/// A seed is a world: each of `seeds` twice is the same, and they are not all one.
///
/// # Errors
/// With the failure of a run, or the seeds that are not as they should be.
pub fn repeatable<S: Counts>(seeds: [u64; 2], run: impl Fn(u64) -> Run<S>) -> Result<(), String> {
    let mut digests = Vec::new();
    for seed in seeds {
        let [first, second] = [run(seed), run(seed)].map(|run| run.map_err(|f| f.to_string()));
        let (first, second) = (first?, second?);
        if first != second {
            return Err(format!("seed {seed} is two worlds: {first:?} and {second:?}"));
        }
        digests.push(first.digest);
    }
    match digests.windows(2).all(|pair| pair.first() != pair.last()) {
        true => Ok(()),
        false => Err(format!("the seeds {seeds:?} are one world")),
    }
}

/// The first world in which something that is broken on purpose is noticed.
///
/// # Errors
/// When nobody notices.
pub fn noticed<S>(
    broken: &impl Debug,
    seeds: Range<u64>,
    run: impl Fn(u64) -> Run<S>,
) -> Result<Failure, String> {
    let found = seeds.clone().find_map(|seed| run(seed).err());
    let found = found.ok_or_else(|| format!("{broken:?} is not noticed in the seeds {seeds:?}"))?;
    println!("{broken:?}: seed {}: {}", found.seed, found.what);
    Ok(found)
}
