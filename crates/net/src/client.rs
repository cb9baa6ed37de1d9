//! The asking side: an outbound connection on which frames go out and their answers come back, matched by correlation id.
//!
//! Many requests may be under way. They leave in the order of the calls; a peer that answers out of order, too much or too late
//! loses the connection, and everyone who waits on it learns why.
//!
//! Must not know: what requests mean, which peers there are, when to try again.

mod pump;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::budget::{Budget, BudgetPermit};

/// What an outbound connection may take.
#[derive(Clone, Debug)]
pub struct LinkLimits {
    /// The largest answer.
    pub answer_bytes_max: usize,
    /// Charged by answers while they are read and held.
    pub budget: Budget,
    /// Requests that may be under way; more wait.
    pub in_flight_max: usize,
    pub connect_timeout_ms: u64,
    /// A connection on which nothing is asked is closed after this.
    pub idle_ms_max: u64,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    #[error("cannot connect: {0}")]
    Connect(Arc<str>),
    /// Whether the request was carried out is not known.
    #[error("disconnected: {0}")]
    Disconnected(Arc<str>),
    /// As [`Self::Disconnected`]: the connection is closed, as its order is lost.
    #[error("no answer in time")]
    TimedOut,
}

/// One answer, header included, and the budget that it holds.
#[derive(Debug)]
pub struct Answer {
    pub bytes: Bytes,
    pub permit: BudgetPermit,
}

type Outcome = Result<Answer, LinkError>;

struct Pending {
    correlation_id: i32,
    answer: oneshot::Sender<Outcome>,
    _place: OwnedSemaphorePermit,
}

struct Outgoing {
    frame: Vec<u8>,
    /// Who waits for the answer, with its place among those under way; `None` for a request that gets none.
    answer: Option<(oneshot::Sender<Outcome>, OwnedSemaphorePermit)>,
}

/// An answer that is under way.
pub struct Awaited {
    link: Link,
    answer: oneshot::Receiver<Outcome>,
}

/// What both tasks and all callers of a connection share.
struct Shared {
    pending: Mutex<VecDeque<Pending>>,
    reason: Mutex<Option<LinkError>>,
    closed: watch::Sender<bool>,
}

impl Shared {
    /// Ends the connection and everyone who waits on it; only the first reason counts.
    fn close(&self, reason: &str) {
        let error = self
            .reason
            .lock()
            .get_or_insert_with(|| LinkError::Disconnected(reason.into()))
            .clone();
        self.closed.send_replace(true);
        for pending in std::mem::take(&mut *self.pending.lock()) {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }

    async fn until_closed(&self) {
        // The sender lives in `self`, so the wait ends only by the value.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn error(&self) -> LinkError {
        let known = self.reason.lock().clone();
        known.unwrap_or_else(|| LinkError::Disconnected("the connection has ended".into()))
    }
}

/// An open connection. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    places: Arc<Semaphore>,
}

impl Link {
    /// Connects; `host` is a name or an address, and every address of a name is tried.
    pub async fn connect(host: &str, port: u16, limits: &LinkLimits) -> Result<Self, LinkError> {
        let failed = |error: io::Error| LinkError::Connect(error.to_string().into());
        let connect = TcpStream::connect((host, port));
        let wait_max = Duration::from_millis(limits.connect_timeout_ms);
        let stream = match tokio::time::timeout(wait_max, connect).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(failed)?;
        socket2::SockRef::from(&stream).set_keepalive(true).map_err(failed)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            reason: Mutex::default(),
            closed: watch::Sender::new(false),
        });
        // Who has a place need not wait for room.
        let (outgoing, queue) = mpsc::channel(limits.in_flight_max.max(1));
        tokio::spawn(pump::write_requests(write, queue, Arc::clone(&shared)));
        tokio::spawn(pump::read_answers(read, Arc::clone(&shared), limits.clone()));
        let places = Arc::new(Semaphore::new(limits.in_flight_max.max(1)));
        Ok(Self { shared, outgoing, places })
    }

    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Sends a whole frame, size included, and waits for its answer. The correlation id is filled in here.
    pub async fn exchange(&self, frame: Vec<u8>, deadline: Instant) -> Outcome {
        match tokio::time::timeout_at(deadline, self.start(frame)).await {
            Ok(started) => started?.until(deadline).await,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Puts a frame in line, as [`Self::exchange`]; frames leave in the order of these calls.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn start(&self, frame: Vec<u8>) -> Result<Awaited, LinkError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| self.shared.error())?;
        let (sender, answer) = oneshot::channel();
        self.put(Outgoing { frame, answer: Some((sender, place)) }).await?;
        Ok(Awaited { link: self.clone(), answer })
    }

    /// Puts a frame in line that gets no answer.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_only(&self, frame: Vec<u8>) -> Result<(), LinkError> {
        self.put(Outgoing { frame, answer: None }).await
    }

    async fn put(&self, outgoing: Outgoing) -> Result<(), LinkError> {
        if self.is_closed() {
            return Err(self.shared.error());
        }
        self.outgoing.send(outgoing).await.map_err(|_| self.shared.error())
    }

    fn timed_out(&self) -> LinkError {
        self.shared.close("a request was not answered in time");
        LinkError::TimedOut
    }
}

impl Awaited {
    /// Waits for the answer. A peer that does not answer in time loses the connection.
    pub async fn until(self, deadline: Instant) -> Outcome {
        match tokio::time::timeout_at(deadline, self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(self.link.shared.error()),
            Err(_) => Err(self.link.timed_out()),
        }
    }
}
