//! The road to the active controller: straight to this node's own when it is active, else over the network to the one that is.
//!
//! What a node asks for itself goes as the request that it is; what clients ask travels in an Envelope with their names. An answer
//! NOT_CONTROLLER, a lost connection or no known controller is tried again until the deadline, as Kafka's brokers do; a change of
//! the leader ends a try at once.

mod ask;
mod envelope;

use std::future::Future;
use std::time::Duration;

use config::BrokerConfig;
use controller::{ControllerReply, ControllerRequest};
use protocol::ErrorCode;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

pub(crate) use envelope::{Envelope, ForwardError, read_principal};

use crate::lifecycle::ControllerChannel;
use crate::peers::{Address, Peers};
use crate::quorum::{ControllerHandle, QuorumStatus, SubmitError};

/// The pause between two tries, Kafka's.
const BACKOFF_MS: u64 = 50;
/// How long what has no time of its own is tried (Kafka's value for forwarded requests and assignments).
const TRY_MS_MAX: u64 = 60_000;

/// How long the active controller may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// One try: `controller.socket.timeout.ms`
    try_ms: u64,
    /// Registrations and heartbeats of this broker: half of `broker.session.timeout.ms`, as in Kafka. A road that is slow is
    /// no reason to be fenced.
    heartbeat_ms: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct ControllerRoad {
    quorum: ControllerHandle,
    peers: Peers,
    times: Times,
}

/// Where the active controller is.
enum Target {
    Here,
    There(Address),
    /// No leader is known, or none with an address.
    Nowhere,
}

/// What one try led to.
enum Outcome<T> {
    Done(T),
    /// Try again; why, for the case that it was the last time.
    Again(String),
}

impl ControllerRoad {
    pub fn new(config: &BrokerConfig, quorum: ControllerHandle, peers: Peers) -> Self {
        let ms = |value: i32| u64::try_from(value).unwrap_or(0);
        let times = Times {
            try_ms: ms(config.node.controller_socket_timeout_ms),
            heartbeat_ms: ms(config.node.broker_session_timeout_ms) / 2,
        };
        Self { quorum, peers, times }
    }

    /// Whether this node's own controller is the active one.
    pub fn is_here(&self) -> bool {
        self.quorum.is_active()
    }

    /// Where the active controller listens, when it is another node.
    pub fn address(&self) -> Option<Address> {
        match target(&seen(&self.quorum.status())) {
            Target::There(address) => Some(address),
            Target::Here | Target::Nowhere => None,
        }
    }

    /// Asks the active controller for what this node itself needs, as long as such requests are worth it.
    ///
    /// # Errors
    /// When there is no answer in that time, or the request is not one that a node sends for itself.
    pub async fn submit(&self, request: ControllerRequest) -> Result<ControllerReply, SubmitError> {
        let within_ms = match &request {
            ControllerRequest::BrokerRegistration(..) | ControllerRequest::BrokerHeartbeat(_) => {
                self.times.heartbeat_ms
            }
            _ => TRY_MS_MAX,
        };
        self.submit_within(request, Duration::from_millis(within_ms)).await
    }

    /// As [`Self::submit`], with a time of its own.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_within(
        &self,
        request: ControllerRequest,
        within: Duration,
    ) -> Result<ControllerReply, SubmitError> {
        let request = &request;
        let tried = self.until(within, |target, deadline| async move {
            match target {
                Target::Nowhere => Outcome::Again("no active controller is known".into()),
                Target::Here => match self.quorum.submit(request.clone()).await {
                    Err(SubmitError::NotController) => {
                        Outcome::Again(SubmitError::NotController.to_string())
                    }
                    answered => Outcome::Done(answered),
                },
                Target::There(address) => self.ask_there(&address, request, deadline).await,
            }
        });
        tried.await.unwrap_or_else(|why| Err(SubmitError::NoAnswer(why)))
    }

    async fn ask_there(
        &self,
        address: &Address,
        request: &ControllerRequest,
        deadline: Instant,
    ) -> Outcome<Result<ControllerReply, SubmitError>> {
        let within = self.one_try(deadline);
        match ask::ask(&self.peers, address, within, request).await {
            Ok(reply) if ask::error(&reply) == ErrorCode::NotController => {
                Outcome::Again(format!("{address} is not the active controller"))
            }
            Ok(reply) => Outcome::Done(Ok(reply)),
            Err(error) if error.is_final() => {
                Outcome::Done(Err(SubmitError::Refused(error.to_string())))
            }
            Err(error) => Outcome::Again(error.to_string()),
        }
    }

    fn one_try(&self, deadline: Instant) -> Duration {
        let left = deadline.saturating_duration_since(Instant::now());
        left.min(Duration::from_millis(self.times.try_ms))
    }

    /// Tries until something comes of it or the time is over; then the last reason.
    async fn until<T, F: Future<Output = Outcome<T>>>(
        &self,
        within: Duration,
        attempt: impl Fn(Target, Instant) -> F,
    ) -> Result<T, String> {
        let deadline = Instant::now() + within;
        let mut status = self.quorum.watch_status();
        loop {
            let seen = seen(&status.borrow_and_update());
            let target = target(&seen);
            let here = matches!(target, Target::Here);
            let why = tokio::select! {
                biased;
                outcome = attempt(target, deadline) => match outcome {
                    Outcome::Done(done) => return Ok(done),
                    Outcome::Again(why) => why,
                },
                // What this node's own controller took is answered by it, whatever happens.
                () = moved(&mut status, &seen), if !here => "the active controller changed".to_owned(),
            };
            if Instant::now() >= deadline || status.borrow().stopped {
                return Err(why);
            }
            debug!("asking the active controller again: {why}");
            let pause = Instant::now() + Duration::from_millis(BACKOFF_MS);
            tokio::select! {
                () = tokio::time::sleep_until(pause.min(deadline)) => {}
                () = moved(&mut status, &seen) => {}
            }
        }
    }
}

/// Who leads, as far as this road is concerned: whether this node does, and where the leader listens.
type Seen = (bool, Option<Address>);

fn seen(status: &QuorumStatus) -> Seen {
    (status.active, status.leader_address.clone())
}

fn target((active, address): &Seen) -> Target {
    match address {
        _ if *active => Target::Here,
        Some(address) => Target::There(address.clone()),
        None => Target::Nowhere,
    }
}

/// Waits until another leader is known than the one seen last, or none.
async fn moved(status: &mut watch::Receiver<QuorumStatus>, before: &Seen) {
    if status.wait_for(|now| seen(now) != *before).await.is_err() {
        // The quorum is gone: nothing will change.
        std::future::pending::<()>().await;
    }
}

/// The version in which this broker registers with a controller of its own node: the newest.
const REGISTRATION_VERSION: i16 = 4;

/// Only wrong when this node's own controller answers something else than it was asked.
fn foreign(reply: &ControllerReply) -> SubmitError {
    SubmitError::Refused(format!("an answer to another question: {reply:?}"))
}

impl ControllerChannel for ControllerRoad {
    async fn register(
        &self,
        request: BrokerRegistrationRequest<'static>,
    ) -> Result<BrokerRegistrationResponse, SubmitError> {
        let request = ControllerRequest::BrokerRegistration(request, REGISTRATION_VERSION);
        match self.submit(request).await? {
            ControllerReply::BrokerRegistration(reply) => Ok(reply),
            other => Err(foreign(&other)),
        }
    }

    async fn heartbeat(
        &self,
        request: BrokerHeartbeatRequest,
    ) -> Result<BrokerHeartbeatResponse, SubmitError> {
        match self.submit(ControllerRequest::BrokerHeartbeat(request)).await? {
            ControllerReply::BrokerHeartbeat(reply) => Ok(reply),
            other => Err(foreign(&other)),
        }
    }
}
