//! A node that ends itself, as `kill -9` does, at a named change of its disk: for tests of crashes.
//!
//! `DIE_AT=ACTION:PATTERN:COUNT:MOMENT killed_node start SERVER_PROPERTIES [--set KEY=VALUE]...`, for example
//! `DIE_AT=rename:*.swap:2:before`; see `simdisk::kill`. Without it, it lives as `monedula start` does.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use config::BrokerConfig;
use config::properties::Properties;
use simdisk::KillDisk;
use simdisk::kill::Point;
use storage::{Disk, RealDisk};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: killed_node start SERVER_PROPERTIES [--set KEY=VALUE]...";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [start, file, rest @ ..] = words.as_slice() else { return Err(USAGE.into()) };
    let mut set = Vec::new();
    for pair in rest.chunks(2) {
        let ("start", [flag, pair]) = (start.as_str(), pair) else { return Err(USAGE.into()) };
        let (key, value) = pair.split_once('=').filter(|_| flag == "--set").ok_or(USAGE)?;
        set.push((key.to_owned(), value.to_owned()));
    }
    let properties = Properties::from_bytes(&std::fs::read(file)?)?;
    let config = BrokerConfig::load(Some(&properties), &set)?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if let Ok(point) = std::env::var("DIE_AT") {
        disk = Arc::new(KillDisk::new(disk, Point::parse(&point)?, KillDisk::kill_process));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let node = broker::start_on(config, disk).await?;
        writeln!(std::io::stdout(), "monedula ready node.id={}", node.id())?;
        tokio::select! {
            _ = terminate.recv() => {}
            reason = node.failed() => return Err(reason.to_string().into()),
        }
        node.stop().await;
        Ok(())
    })
}
