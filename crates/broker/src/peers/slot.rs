//! One place for a connection to one address: opened when needed, one try at a time, with a pause that grows after each failure.

use std::sync::Arc;
use std::time::Duration;

use protocol::{ApiKey, OfferedVersions};
use tokio::time::Instant;

use super::open::{self, OpenPeer};
use super::{Address, Answered, OutRequest, PeerError, PeersConfig};

/// The pause after the first failed try, and the longest. Kafka's connections between nodes wait 50 ms, those of the quorum 500.
const BACKOFF_MS_MIN: u64 = 50;
const BACKOFF_MS_MAX: u64 = 500;

pub(super) struct Slot {
    address: Address,
    client_id: Arc<str>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<OpenPeer>,
    failures: u32,
    not_before: Option<Instant>,
}

impl State {
    fn failed(&mut self) {
        let pause_ms = (BACKOFF_MS_MIN << self.failures.min(8)).min(BACKOFF_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + Duration::from_millis(pause_ms));
    }

    /// The open connection, where there is one.
    fn open(&self) -> Option<&OpenPeer> {
        self.open.as_ref().filter(|open| !open.link.is_closed())
    }
}

impl Slot {
    pub(super) fn new(address: Address, client_id: Arc<str>) -> Self {
        Self { address, client_id, state: tokio::sync::Mutex::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| state.open().is_some())
    }

    /// Ends the connection, unless one is being opened right now.
    pub(super) fn close(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.open = None;
        }
    }

    pub(super) fn known_versions(&self) -> Option<Arc<OfferedVersions>> {
        let state = self.state.try_lock().ok()?;
        state.open().map(|open| Arc::clone(&open.versions))
    }

    pub(super) async fn versions(
        &self,
        config: &PeersConfig,
        deadline: Instant,
    ) -> Result<Arc<OfferedVersions>, PeerError> {
        Ok(self.get(config, deadline).await?.versions)
    }

    pub(super) async fn send<R: OutRequest>(
        &self,
        config: &PeersConfig,
        deadline: Instant,
        cap: i16,
        build: impl FnOnce(i16) -> Result<R, PeerError>,
    ) -> Result<Answered, PeerError> {
        let peer = self.get(config, deadline).await?;
        let unsupported =
            || PeerError::UnsupportedVersion { address: self.address.to_string(), api: R::NAME };
        let api = R::API_KEY.and_then(ApiKey::from_i16).ok_or_else(unsupported)?;
        let version = peer.versions.choose(api, cap, config.unstable).ok_or_else(unsupported)?;
        let request = build(version)?;
        let sent = open::exchange(&peer.link, &self.client_id, api, version, &request, deadline);
        sent.await.map_err(|error| error.into_peer_error::<R>(&self.address))
    }

    /// The open connection; made, or waited for, when there is none.
    async fn get(&self, config: &PeersConfig, deadline: Instant) -> Result<OpenPeer, PeerError> {
        let unreachable = |reason: &str| PeerError::Unreachable {
            address: self.address.to_string(),
            reason: reason.to_owned(),
        };
        let opening = async {
            let mut state = self.state.lock().await;
            if let Some(open) = state.open() {
                return Ok(open.clone());
            }
            state.open = None;
            if let Some(not_before) = state.not_before {
                tokio::time::sleep_until(not_before).await;
            }
            // Noted before the try: one that is given up half way has failed, too.
            state.failed();
            let open = open::open(&self.address, &self.client_id, config, deadline).await?;
            state.failures = 0;
            state.open = Some(open.clone());
            Ok(open)
        };
        match tokio::time::timeout_at(deadline, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(unreachable("no connection in time")),
        }
    }
}
