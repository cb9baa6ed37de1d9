//! The links: each listens at an address and connects to another one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::connection;
use crate::table::Faults;

/// All links, and the faults on them.
#[derive(Default)]
pub struct Proxy {
    pub faults: Arc<Faults>,
    resets: Mutex<HashMap<String, watch::Sender<u64>>>,
}

impl Proxy {
    /// Adds a link and serves it from now on; returns where it listens (port 0 takes any).
    pub async fn link(
        &self,
        name: &str,
        listen: SocketAddr,
        target: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let resets = watch::Sender::new(0);
        self.resets.lock().insert(name.to_owned(), resets.clone());
        let (link, faults) = (Arc::from(name), Arc::clone(&self.faults));
        tokio::spawn(accept(listener, link, target, faults, resets));
        Ok(address)
    }

    /// Resets the connections of a link; says how many there were.
    pub fn reset(&self, link: &str) -> Option<usize> {
        let resets = self.resets.lock();
        let sender = resets.get(link)?;
        let connections = sender.receiver_count();
        sender.send_modify(|n| *n += 1);
        Some(connections)
    }
}

async fn accept(
    listener: TcpListener,
    link: Arc<str>,
    target: SocketAddr,
    faults: Arc<Faults>,
    resets: watch::Sender<u64>,
) {
    loop {
        // Too many open files, or a client that has gone: the next one may be luckier.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let (link, faults) = (Arc::clone(&link), Arc::clone(&faults));
        tokio::spawn(connection::run(link, target, faults, client, resets.subscribe()));
    }
}
