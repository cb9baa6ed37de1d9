//! A node that ends itself, as `kill -9` does, at a named change of its disk: for tests of crashes.
//!
//! `killed_node SERVER_PROPERTIES ACTION:PATTERN:COUNT:MOMENT [KEY=VALUE]...`, for example `rename:*.swap:2:before`; see
//! `simdisk::kill`. The point `never` is none. Otherwise it behaves as `monedula start`.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use config::BrokerConfig;
use config::properties::Properties;
use simdisk::KillDisk;
use simdisk::kill::Point;
use storage::{Disk, RealDisk};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: killed_node SERVER_PROPERTIES POINT [KEY=VALUE]...";
    let (file, point) = arguments.next().zip(arguments.next()).ok_or(usage)?;
    let set: Option<Vec<(String, String)>> = arguments
        .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let properties = Properties::from_bytes(&std::fs::read(&file)?)?;
    let config = BrokerConfig::load(Some(&properties), &set.ok_or(usage)?)?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if point != "never" {
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
