//! `monedula verify DIRECTORY...`: looks through data directories and tells, file by file, what is wrong. Writes nothing.
//!
//! Findings go to standard output, how far it has come and a summary to standard error.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use storage::RealDisk;
use storage::verify::{Check, Finding, Options, Progress, Severity, Totals, verify};

use crate::tools::args::{Args, HELP, Opt, flag, value};

const ABOUT: &str = "\
usage: monedula verify [OPTIONS] DIRECTORY...

Looks through data directories (log.dirs) and tells, file by file, what is wrong. Reads only; give all directories of a node together. \
What a running node has open is looked at, too: files that it is writing to are looked at several times before they are said to be wrong.

Exit code: 0 nothing is wrong; 1 something is; 2 something could not be looked at.";

const DIR_HELP: &str = "Directories to look through; words without an option are directories, too.";

static OPTIONS: &[Opt] = &[
    value("dir", "DIRECTORY", DIR_HELP),
    value("topic", "TOPIC", "Only the logs of this topic. May be given several times."),
    value(
        "compacted",
        "TOPIC",
        "This topic is compacted: its records must have keys, offsets may be missing.",
    ),
    flag("quick", "Headers and checksums only, do not open records."),
    value(
        "threads",
        "NUMBER",
        "How many logs are looked at at a time. (default: one for each core)",
    ),
    flag("json", "One JSON object a line: the findings, then a summary."),
    flag("no-notes", "Do not tell what is only worth knowing."),
    flag("quiet", "Do not tell how far it has come."),
    flag("checks", "List the checks and end."),
    HELP,
];

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);
const BAD_USAGE: u8 = 2;
const WRONG: u8 = 1;
const NOT_ALL: u8 = 2;

/// What was asked for.
struct Asked {
    dirs: Vec<PathBuf>,
    topics: HashSet<String>,
    compacted: HashSet<String>,
    quick: bool,
    threads: usize,
    json: bool,
    notes: bool,
    quiet: bool,
}

pub fn run(words: &[String]) -> ExitCode {
    let asked = match ask(words) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("monedula verify: {reason}\n\n{ABOUT}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let progress = Progress::default();
    let began = Instant::now();
    let done = (Mutex::new(false), Condvar::new());
    let totals = std::thread::scope(|scope| {
        if !asked.quiet {
            scope.spawn(|| tell_progress(&progress, &done, began));
        }
        let totals = look(&asked, &progress);
        *done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        done.1.notify_all();
        totals
    });
    let Some(totals) = totals else { return ExitCode::from(NOT_ALL) };
    summarize(&asked, &totals, began);
    ExitCode::from(if totals.unreadable > 0 {
        NOT_ALL
    } else if totals.repairable + totals.damage > 0 {
        WRONG
    } else {
        0
    })
}

fn ask(words: &[String]) -> Result<Option<Asked>, String> {
    let (dirs, words) = split(words);
    let args = Args::parse(OPTIONS, &words)?;
    if args.has("help") {
        println!("{ABOUT}\n");
        for option in OPTIONS {
            println!("  --{:<12} {}", option.name, option.help);
        }
        return Ok(None);
    }
    if args.has("checks") {
        Check::ALL.iter().for_each(|check| println!("{}", check.name()));
        return Ok(None);
    }
    let dirs: Vec<PathBuf> =
        args.values("dir").map(PathBuf::from).chain(dirs.iter().map(PathBuf::from)).collect();
    if dirs.is_empty() {
        return Err("no directory is given".into());
    }
    if let Some(dir) = dirs.iter().find(|dir| !dir.is_dir()) {
        return Err(format!("{} is no directory", dir.display()));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let set = |name| args.values(name).map(str::to_owned).collect();
    Ok(Some(Asked {
        dirs,
        topics: set("topic"),
        compacted: set("compacted"),
        quick: args.has("quick"),
        threads: args.number("threads")?.unwrap_or(cores).clamp(1, 256),
        json: args.has("json"),
        notes: !args.has("no-notes"),
        quiet: args.has("quiet"),
    }))
}

/// Tells the words that are directories from options and their values.
fn split(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut dirs, mut options) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            dirs.extend(words.by_ref().cloned());
        } else if let Some(name) = word.strip_prefix("--") {
            options.push(word.clone());
            let takes = OPTIONS.iter().find(|option| option.name == name);
            if takes.is_some_and(|option| option.takes != crate::tools::args::Takes::Nothing) {
                options.extend(words.next().cloned());
            }
        } else if word.starts_with('-') && word.len() > 1 {
            options.push(word.clone());
        } else {
            dirs.push(word.clone());
        }
    }
    (dirs, options)
}

/// `None` when nobody reads what is found.
fn look(asked: &Asked, progress: &Progress) -> Option<Totals> {
    let disk = RealDisk;
    let inspect = |path: &std::path::Path| broker::quorum::inspect(&disk, path);
    let options = Options {
        topics: asked.topics.clone(),
        compacted: asked.compacted.clone(),
        quick: asked.quick,
        threads: asked.threads,
        inspect: &inspect,
        inspect_record: &broker::quorum::inspect_record,
        progress,
    };
    let unheard = AtomicBool::new(false);
    let tell = |finding: Finding| {
        if finding.severity == Severity::Note && !asked.notes {
            return;
        }
        let line = if asked.json { as_json(&finding) } else { finding.to_string() };
        if writeln!(std::io::stdout(), "{line}").is_err() {
            unheard.store(true, Ordering::Relaxed);
        }
    };
    let totals = verify(&disk, &asked.dirs, &options, &tell);
    (!unheard.load(Ordering::Relaxed)).then_some(totals)
}

fn as_json(finding: &Finding) -> String {
    json!({
        "severity": finding.severity.name(),
        "path": finding.path.to_string_lossy(),
        "check": finding.check.name(),
        "position": finding.position,
        "offset": finding.offset,
        "text": finding.text,
    })
    .to_string()
}

fn summarize(asked: &Asked, totals: &Totals, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    if asked.json {
        let line = json!({
            "summary": {
                "directories": totals.dirs,
                "directories_in_use": totals.dirs_in_use,
                "logs": totals.logs,
                "files": totals.files,
                "bytes": totals.bytes,
                "batches": totals.batches,
                "records": totals.records,
                "notes": totals.notes,
                "repairable": totals.repairable,
                "damage": totals.damage,
                "unreadable": totals.unreadable,
                "seconds": (seconds * 1000.0).round() / 1000.0,
            }
        });
        let _unread = writeln!(std::io::stdout(), "{line}");
    }
    if asked.quiet {
        return;
    }
    if totals.dirs_in_use > 0 {
        complain(format_args!(
            "{} of {} directories are open in a running process",
            totals.dirs_in_use, totals.dirs
        ));
    }
    complain(format_args!(
        "{} logs, {} files, {}, {} batches, {} records in {seconds:.1} s: {} damaged, {} repairable, {} notes",
        totals.logs,
        totals.files,
        bytes(totals.bytes),
        totals.batches,
        totals.records,
        totals.damage,
        totals.repairable,
        totals.notes
    ));
}

fn tell_progress(progress: &Progress, done: &(Mutex<bool>, Condvar), began: Instant) {
    let (ended, wake) = done;
    let mut guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        guard = wake.wait_timeout(guard, TELL_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        let (logs, logs_done, read) = progress.get();
        let end = if std::io::stderr().is_terminal() { "\r" } else { "\n" };
        if *guard {
            return;
        }
        let seconds = began.elapsed().as_secs_f64();
        let _unread = write!(
            std::io::stderr(),
            "{logs_done} of {logs} logs, {} in {seconds:.0} s{end}",
            bytes(read)
        );
    }
}

/// To standard error, which may be closed.
fn complain(message: std::fmt::Arguments<'_>) {
    let _unread = writeln!(std::io::stderr(), "{message}");
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut shown, mut unit) = (count as f64, 0);
    while shown >= 1024.0 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{count} B") } else { format!("{shown:.1} {name}") }
}
