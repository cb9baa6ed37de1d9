//! The way to the quorum's thread: requests in, answers after their records are committed.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use arc_swap::ArcSwap;
use base::Offset;
use metadata::{Image, Publisher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::wire::{Asker, Heard, QuorumRequest, QuorumResponse};
use crate::peers::Address;

/// Requests that may wait for the quorum's thread or for their commit, of all kinds together.
pub(super) const REQUESTS_MAX: usize = 2_000;

/// Why a request got no answer of the controller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Kafka: NOT_CONTROLLER.
    #[error("this node is not the active controller")]
    NotController,
    /// The controller could not decide, or the records could not be written; nothing was changed.
    #[error("the request cannot be carried out: {0}")]
    Refused(String),
    #[error("the quorum has stopped")]
    Stopped,
    /// The active controller is another node and did not answer in time, or none is known.
    #[error("no answer of the active controller: {0}")]
    NoAnswer(String),
}

/// What the quorum knows of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuorumStatus {
    pub epoch: i32,
    pub leader: Option<base::NodeId>,
    /// This node's controller takes requests.
    pub active: bool,
    /// Where the leader listens, under the first of `controller.listener.names`; this node's own address when it leads.
    pub leader_address: Option<Address>,
    /// The level of `kraft.version`, which stands in the log's control records.
    pub kraft_version: i16,
    /// Why the quorum's thread ended, if it failed. The node must shut down.
    pub failure: Option<String>,
    pub stopped: bool,
}

pub(super) type Answer<T> = oneshot::Sender<T>;

/// What the quorum's thread is told.
pub(super) enum Command<Request, Reply> {
    Controller {
        request: Request,
        answer: Answer<Result<Reply, SubmitError>>,
        permit: Permit,
    },
    Quorum {
        request: QuorumRequest,
        asker: Asker,
        answer: Answer<QuorumResponse>,
        permit: Permit,
    },
    /// What came of a request to another node.
    Heard {
        id: kraft::RequestId,
        result: Result<Heard, kraft::SendFailure>,
    },
    /// Tells the current image as a change from nothing, then every later change.
    AddPublisher {
        publisher: Box<dyn Publisher>,
        done: Answer<()>,
    },
    /// Everything before this offset is published; `None`: publishing has failed.
    Published {
        end: Option<Offset>,
    },
    SnapshotWritten {
        id: kraft::SnapshotId,
        result: Result<u64, String>,
    },
    /// Lead no longer, if somebody else can.
    Resign,
    Shutdown {
        done: Answer<()>,
    },
}

/// Given back when the request is answered.
pub(super) type Permit = OwnedSemaphorePermit;

/// Cheap to clone.
pub struct QuorumHandle<Request, Reply> {
    pub(super) commands: Sender<Command<Request, Reply>>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) status: watch::Receiver<QuorumStatus>,
}

impl<Request, Reply> Clone for QuorumHandle<Request, Reply> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            permits: Arc::clone(&self.permits),
            image: Arc::clone(&self.image),
            status: self.status.clone(),
        }
    }
}

impl<Request, Reply> QuorumHandle<Request, Reply> {
    /// Hands the request to the controller; the reply comes when what it says is committed and published here.
    ///
    /// # Errors
    /// When this node is not the active controller or stops being it before the commit.
    pub async fn submit(&self, request: Request) -> Result<Reply, SubmitError> {
        let permit = self.permit().await?;
        let (answer, reply) = oneshot::channel();
        self.send(Command::Controller { request, answer, permit })?;
        reply.await.map_err(|_| SubmitError::Stopped)?
    }

    /// Answers a request about the quorum itself. A fetch may wait as long as it asks for.
    ///
    /// # Errors
    /// When the quorum has stopped.
    pub async fn ask(
        &self,
        request: QuorumRequest,
        asker: Asker,
    ) -> Result<QuorumResponse, SubmitError> {
        let permit = self.permit().await?;
        let (answer, reply) = oneshot::channel();
        self.send(Command::Quorum { request, asker, answer, permit })?;
        reply.await.map_err(|_| SubmitError::Stopped)
    }

    /// From now on `publisher` is told of every committed change, after those that were added before. Returns when it
    /// knows the current image.
    ///
    /// # Errors
    /// When the quorum has stopped.
    pub async fn add_publisher(&self, publisher: Box<dyn Publisher>) -> Result<(), SubmitError> {
        let (done, told) = oneshot::channel();
        self.send(Command::AddPublisher { publisher, done })?;
        told.await.map_err(|_| SubmitError::Stopped)
    }

    /// The newest published image.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// The pointer to the newest image, for those who read it often.
    pub fn image_pointer(&self) -> Arc<ArcSwap<Image>> {
        Arc::clone(&self.image)
    }

    /// Whether this node's controller takes requests.
    pub fn is_active(&self) -> bool {
        self.status.borrow().active
    }

    pub fn status(&self) -> QuorumStatus {
        self.status.borrow().clone()
    }

    /// Changes of the status can be awaited on this.
    pub fn watch_status(&self) -> watch::Receiver<QuorumStatus> {
        self.status.clone()
    }

    /// Steps down, if other voters can take over, and goes on as a voter: the way to stop while this node can still be reached.
    pub fn resign(&self) {
        // A thread that has ended leads nothing.
        let _ = self.send(Command::Resign);
    }

    /// Steps down, flushes and closes the log. Those who still wait get [`SubmitError::NotController`].
    pub async fn shutdown(&self) {
        let (done, finished) = oneshot::channel();
        if self.send(Command::Shutdown { done }).is_ok() {
            // An error means that the thread ended before: it is closed all the same.
            let _ = finished.await;
        }
    }

    async fn permit(&self) -> Result<Permit, SubmitError> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| SubmitError::Stopped)
    }

    fn send(&self, command: Command<Request, Reply>) -> Result<(), SubmitError> {
        self.commands.send(command).map_err(|_| SubmitError::Stopped)
    }
}
