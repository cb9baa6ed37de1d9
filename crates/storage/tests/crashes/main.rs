//! Lives of a partition, a crash after every operation of the disk, with any loss: what was promised is there.
//!
//! The usual form takes a few seconds. `MONEDULA_CRASH_LIVES=50 cargo test --release -p monedula-storage --test crashes --
//! --nocapture` looks at so many lives of 200 steps with every kind of loss and some second crashes in recoveries, in a few seconds each;
//! `MONEDULA_CRASH_SEED` is that of the first, `MONEDULA_CRASH_KIND` (`usual`, `compacted`, `moving`, `both`) is what they are
//! like, all in turn by default, `MONEDULA_CRASH_OPERATION` looks at one operation alone, `MONEDULA_CRASH_SHOW`
//! lists them.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod checks;
#[path = "../common/mod.rs"]
mod common;
mod compacted;
mod life;
mod moves;
mod reference;
mod script;
mod sloppy;
mod starts;
mod successors;
mod world;

use std::panic;
use std::path::Path;
use std::sync::Arc;

use checks::{Crashes, Depth};
use life::Life;
use script::{Record, Step, script};
use simdisk::{Loss, Photo, SimDisk};
use sloppy::{MISTAKES, Mistake, Sloppy};
use storage::Disk;
use world::{Kind, World};

/// One life: its photos, and what was told.
fn live(
    root: &Path,
    kind: Kind,
    seed: u64,
    steps: usize,
    mistake: Option<Mistake>,
) -> (Vec<Photo>, Record) {
    live_script(root, kind, seed, &script(seed, steps, kind), mistake)
}

fn live_script(
    root: &Path,
    kind: Kind,
    seed: u64,
    script: &[Step],
    mistake: Option<Mistake>,
) -> (Vec<Photo>, Record) {
    let sim = if seed.is_multiple_of(2) { SimDisk::default() } else { SimDisk::with_pages(64, 16) };
    let disk: Arc<dyn Disk> = match mistake {
        Some(mistake) => Arc::new(Sloppy::new(sim.clone(), mistake)),
        None => Arc::new(sim.clone()),
    };
    let record = Life::new(disk, sim.clone(), World::new(root, kind)).live(script);
    (sim.photos(), record)
}

struct Looked {
    crashes: usize,
    starts: usize,
}

/// Looks at crashes of a life: all of them, or at first the fault.
fn look(
    seed: u64,
    photos: &[Photo],
    record: &Record,
    choose: impl Fn(usize) -> Vec<(Loss, Depth)>,
) -> Result<Looked, String> {
    let (mut crashes, mut looked) = (Crashes::new(record), 0);
    if std::env::var("MONEDULA_CRASH_SHOW").is_ok() {
        photos.iter().for_each(|photo| println!("{} {}", photo.operation, photo.what));
    }
    let only = std::env::var("MONEDULA_CRASH_OPERATION").ok().map(|n| n.parse::<u64>().unwrap());
    for (n, photo) in photos.iter().enumerate() {
        if only.is_some_and(|only| only != photo.operation) {
            continue;
        }
        let told = record.at(photo.operation);
        for (loss, depth) in choose(n) {
            looked += 1;
            crashes.check(photo.after_crash(loss), told, depth).map_err(|reason| {
                let (at, step, _) = &record.told[told];
                format!(
                    "seed {seed}, {:?}, {step:?} since operation {at}, crash after operation {} ({}), {loss:?}: {reason}",
                    record.world.kind, photo.operation, photo.what
                )
            })?;
        }
    }
    Ok(Looked { crashes: looked, starts: crashes.starts() })
}

/// Every crash with one loss, and now and then another in its recovery.
fn usual(n: usize) -> Vec<(Loss, Depth)> {
    let losses = Loss::every(n as u64);
    let depth = Depth { second_crash: n.is_multiple_of(32), all_losses: false };
    vec![(losses[n % losses.len()], depth)]
}

#[test]
fn a_crash_after_every_operation_keeps_what_was_promised() {
    let lives = [(1, Kind::USUAL), (2, Kind::USUAL), (1, Kind::COMPACTED), (1, Kind::MOVING)];
    for (seed, kind) in lives {
        let root = tempfile::tempdir().unwrap();
        let (photos, record) = live(root.path(), kind, seed, 60, None);
        assert!(photos.len() > 150, "{} operations", photos.len());
        let looked = look(seed, &photos, &record, usual);
        let looked = looked.unwrap_or_else(|fault| panic!("{fault}"));
        println!("seed {seed}, {kind:?}: {} crashes, {} starts", looked.crashes, looked.starts);
    }
}

/// The start of a log that was written down for the directory that it leaves holds in the one it comes to.
#[test]
fn what_was_deleted_does_not_come_back_with_a_move() {
    let copied_before = [Step::BeginMove, Step::Copy(1 << 20), Step::DeleteRecords(2)];
    let copied_after = [Step::DeleteRecords(2), Step::BeginMove, Step::Copy(1 << 20)];
    for (seed, copied) in (1..).zip([copied_before, copied_after]) {
        let mut script = vec![Step::SyncCreated];
        script.extend([Step::Plain; 5]);
        script.push(Step::Flush);
        script.extend(copied);
        script.extend([Step::CheckpointStarts, Step::FinishMove, Step::Plain, Step::Flush]);
        let root = tempfile::tempdir().unwrap();
        let (photos, record) = live_script(root.path(), Kind::MOVING, seed, &script, None);
        let (_, _, told) = record.told.last().unwrap();
        assert!(told.start_least > 0 && told.assigned == 1, "{told:?}");
        let every = |n: usize| {
            let depth = Depth { second_crash: false, all_losses: false };
            Loss::every(n as u64).map(|loss| (loss, depth)).to_vec()
        };
        look(seed, &photos, &record, every).unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// A copy that starts over with its log takes nothing of what it held before into its new place.
#[test]
fn what_started_over_does_not_come_back_with_a_move() {
    let mut script = vec![Step::SyncCreated, Step::Plain, Step::BeginMove, Step::Copy(1 << 20)];
    script.extend([Step::Plain, Step::Plain, Step::Flush, Step::StartOver, Step::FinishMove]);
    let root = tempfile::tempdir().unwrap();
    let (photos, record) = live_script(root.path(), Kind::MOVING, 2, &script, None);
    let depth = Depth { second_crash: false, all_losses: false };
    let many = |n: usize| {
        (0..4).flat_map(|k| Loss::every((n * 4 + k) as u64)).map(|loss| (loss, depth)).collect()
    };
    look(2, &photos, &record, many).unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn many_lives_when_asked_for() {
    let lives = std::env::var("MONEDULA_CRASH_LIVES").ok();
    let Some(lives) = lives.map(|lives| lives.parse::<u64>().unwrap()) else { return };
    let first = std::env::var("MONEDULA_CRASH_SEED").ok().map_or(100, |seed| seed.parse().unwrap());
    let kind = std::env::var("MONEDULA_CRASH_KIND").ok();
    let kinds: Vec<Kind> = Kind::ALL
        .iter()
        .filter(|(name, _)| kind.as_ref().is_none_or(|kind| kind == name))
        .map(|(_, kind)| *kind)
        .collect();
    let mut faults = Vec::new();
    for seed in first..first + lives {
        let kind = kinds[seed as usize % kinds.len()];
        let root = tempfile::tempdir().unwrap();
        let (photos, record) = live(root.path(), kind, seed, 200, None);
        let thorough = |n: usize| {
            let losses = (n..).zip(Loss::every(seed << 20 | n as u64));
            let depth = |n: usize| Depth {
                second_crash: n.is_multiple_of(24),
                all_losses: n.is_multiple_of(192),
            };
            losses.map(|(n, loss)| (loss, depth(n))).collect()
        };
        match look(seed, &photos, &record, thorough) {
            Ok(looked) => println!(
                "seed {seed}, {kind:?}: {} operations, {} crashes, {} starts",
                photos.len(),
                looked.crashes,
                looked.starts
            ),
            Err(fault) => {
                println!("{fault}");
                faults.push(fault);
            }
        }
    }
    assert!(faults.is_empty(), "{} faults, the first: {}", faults.len(), faults[0]);
}

/// The checks bite: a disk under the log that leaves out one thing is found out.
#[test]
fn what_is_left_out_is_found() {
    let mut missed = Vec::new();
    for (mistake, kind, seed) in MISTAKES {
        let root = tempfile::tempdir().unwrap();
        // What goes wrong in the life itself is found, too.
        let lived = panic::catch_unwind(|| live(root.path(), kind, seed, 120, Some(mistake)));
        let Ok((photos, record)) = lived else { continue };
        let quick = |n: usize| {
            let (loss, _) = usual(n)[0];
            let loss = if n.is_multiple_of(2) { Loss::All } else { loss };
            vec![(loss, Depth { second_crash: false, all_losses: false })]
        };
        match look(seed, &photos, &record, quick) {
            Ok(_) => missed.push(mistake),
            Err(fault) => println!("{mistake:?}: {fault}"),
        }
    }
    assert_eq!(missed, []);
}
