//! Opening listeners and accepting from them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::connection;
use super::{Connection, ConnectionQuota, ListenerConfig, ServerLimits, Service};

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {name}://{host}:{port}")]
pub struct BindError {
    name: Arc<str>,
    host: String,
    port: u16,
    #[source]
    source: std::io::Error,
}

/// Bound listeners: clients can connect and wait; nothing is answered before [`Server::serve`].
pub struct Server {
    listeners: Vec<(ListenerConfig, TcpListener)>,
    limits: Arc<ServerLimits>,
    quota: Arc<ConnectionQuota>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

static CONNECTION_IDS: AtomicU64 = AtomicU64::new(0);

impl Server {
    /// Binds every listener, or none. Must run within the runtime.
    pub fn bind(listeners: &[ListenerConfig], limits: ServerLimits) -> Result<Self, BindError> {
        let bound = listeners
            .iter()
            .map(|config| {
                let error = |source| BindError {
                    name: Arc::clone(&config.name),
                    host: config.host.clone(),
                    port: config.port,
                    source,
                };
                bind(config, &limits).map(|l| (config.clone(), l)).map_err(error)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let quota = ConnectionQuota::new(limits.connections.clone());
        let (stop, _) = watch::channel(false);
        let limits = Arc::new(limits);
        Ok(Self { listeners: bound, limits, quota, stop, tasks: JoinSet::new() })
    }

    /// The listeners with the addresses they really have (port 0 resolved).
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let address = |(c, l): &(ListenerConfig, TcpListener)| {
            l.local_addr().ok().map(|a| (Arc::clone(&c.name), a))
        };
        self.listeners.iter().filter_map(address).collect()
    }

    pub fn quota(&self) -> Arc<ConnectionQuota> {
        Arc::clone(&self.quota)
    }

    /// Starts to accept on the listeners that `service_of` names a service for; the others keep waiting for a later call.
    pub fn serve<S: Service>(&mut self, service_of: impl Fn(&str) -> Option<Arc<S>>) {
        for (config, listener) in std::mem::take(&mut self.listeners) {
            let Some(service) = service_of(&config.name) else {
                self.listeners.push((config, listener));
                continue;
            };
            let (limits, quota) = (Arc::clone(&self.limits), Arc::clone(&self.quota));
            let stop = self.stop.subscribe();
            self.tasks.spawn(accept(config, listener, service, limits, quota, stop));
        }
    }

    /// Stops accepting and reading, lets owed responses go out for at most `wait_max`, then closes what is left.
    pub async fn shutdown(mut self, wait_max: Duration) {
        self.stop.send_replace(true);
        self.listeners.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(wait_max, all).await.is_err() {
            warn!("closing connections that are still owed responses");
        }
        self.tasks.abort_all();
    }
}

fn bind(config: &ListenerConfig, limits: &ServerLimits) -> std::io::Result<TcpListener> {
    let host = if config.host.is_empty() { "0.0.0.0" } else { &config.host };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = (host, config.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| std::io::Error::other("the host has no address"))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if limits.receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(limits.receive_buffer_bytes as usize)?;
    }
    socket.bind(&address.into())?;
    socket.listen(limits.listen_backlog)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

async fn accept<S: Service>(
    config: ListenerConfig,
    listener: TcpListener,
    service: Arc<S>,
    limits: Arc<ServerLimits>,
    quota: Arc<ConnectionQuota>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let local = listener.local_addr().ok();
    info!(listener = %config.name, address = ?local, "listening");
    loop {
        let next = async {
            let slot = quota.slot().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            next = next => next,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, mostly: wait for some to come back instead of spinning.
                warn!(listener = %config.name, error = %e, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match quota.place(slot, peer.ip()) {
            Ok(place) => place,
            Err(max) => {
                info!(%peer, max, "refused: over max.connections.per.ip");
                continue;
            }
        };
        if let Err(e) = prepare(&stream, &limits) {
            debug!(%peer, error = %e, "connection lost at once");
            continue;
        }
        let info = Arc::new(Connection {
            id: CONNECTION_IDS.fetch_add(1, Ordering::Relaxed),
            listener: Arc::clone(&config.name),
            peer,
            local: stream.local_addr().unwrap_or(peer),
            state: std::sync::OnceLock::new(),
        });
        let (service, limits, stop) = (Arc::clone(&service), Arc::clone(&limits), stop.clone());
        connections.spawn(async move {
            connection::run(stream, info, service, limits, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn prepare(stream: &TcpStream, limits: &ServerLimits) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    if limits.send_buffer_bytes > 0 {
        socket.set_send_buffer_size(limits.send_buffer_bytes as usize)?;
    }
    Ok(())
}
