//! A log directory that fails while no controller can be told of it: the broker ends after `log.dir.failure.timeout.ms`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::cluster::{Cluster, until};

const TIMEOUT_MS: u64 = 2_000;
const SETTINGS: [(&str, &str); 3] = [
    ("log.dir.failure.timeout.ms", "2000"),
    ("broker.session.timeout.ms", "2000"),
    ("broker.heartbeat.interval.ms", "200"),
];

#[test]
fn a_broker_ends_that_cannot_tell_of_a_failed_directory() {
    let mut cluster = Cluster::new([(1, "controller"), (101, "broker")], &SETTINGS);
    let dirs = ["data", "told", "untold"].map(|name| cluster.data(101).with_file_name(name));
    let names = dirs.clone().map(|dir| dir.display().to_string()).join(",");
    cluster.start_all_with(|id| match id {
        101 => vec![("log.dirs", names.clone())],
        _ => Vec::new(),
    });
    // As when its disk is unmounted.
    let lose = |dir: &PathBuf| std::fs::rename(dir, dir.with_extension("lost")).unwrap();
    let is_offline = |dir: &PathBuf| {
        let (log, path) = (cluster.node(101).log(), dir.display().to_string());
        log.lines().any(|line| line.contains("log directory is offline") && line.contains(&path))
    };
    lose(&dirs[1]);
    until("the directory is offline", || is_offline(&dirs[1]));
    std::thread::sleep(Duration::from_millis(2 * TIMEOUT_MS));
    assert_eq!(cluster.brokers(), [101]);
    // On a busy machine its session may have been over for a moment.
    until("the controller knows, all is well", || cluster.node(101).create_topic("t", 1, &[]) == 0);

    cluster.kill(1);
    lose(&dirs[2]);
    let began = Instant::now();
    let log = cluster.node(101).stderr_path();
    assert_eq!(cluster.wait(101), Some(1));
    assert!(began.elapsed() >= Duration::from_millis(TIMEOUT_MS), "{:?}", began.elapsed());
    let said = std::fs::read_to_string(log).unwrap();
    let words = "the controllers cannot be told of the failed log directory";
    assert_eq!(said.matches(words).count(), 1, "{said}");
}
