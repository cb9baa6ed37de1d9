//! The life of this broker in the eyes of the controller: register, catch up, be unfenced, send heartbeats, leave.
//!
//! [`Steps`] decides what to say next and what an answer means, without clock or network; [`start`] is the task that
//! says it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{BrokerEpoch, DirectoryId};
use metadata::Image;
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use tokio::sync::{Notify, watch};

pub use controller::lifecycle::{LifecycleConfig, Stage};
use controller::lifecycle::{Say, Steps};

use crate::quorum::SubmitError;

/// The way to the active controller.
pub trait ControllerChannel: Send + Sync + 'static {
    fn register(
        &self,
        request: BrokerRegistrationRequest<'static>,
    ) -> impl Future<Output = Result<BrokerRegistrationResponse, SubmitError>> + Send;

    fn heartbeat(
        &self,
        request: BrokerHeartbeatRequest,
    ) -> impl Future<Output = Result<BrokerHeartbeatResponse, SubmitError>> + Send;
}

/// What the rest of the broker tells the lifecycle and learns from it. Cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    wishes: Arc<Mutex<Wishes>>,
    changed: Arc<Notify>,
    stage: watch::Receiver<(Stage, BrokerEpoch)>,
    /// Counts the controller's answers.
    heard: watch::Receiver<u64>,
}

#[derive(Default)]
struct Wishes {
    ready: bool,
    leave: bool,
    stop: bool,
    register_again: bool,
    offline: Vec<DirectoryId>,
    /// Of these the controller has heard.
    told: Vec<DirectoryId>,
    cordoned: Vec<DirectoryId>,
}

impl Lifecycle {
    pub fn stage(&self) -> Stage {
        self.stage.borrow().0
    }

    /// None before the first registration.
    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.stage.borrow().1
    }

    /// Waits until the broker has read the metadata log up to its registration. False: it never will.
    pub async fn caught_up(&self) -> bool {
        self.reached(|stage| matches!(stage, Stage::Recovery | Stage::Running)).await
    }

    /// The broker has loaded its logs and may serve.
    pub fn ready_to_unfence(&self) {
        self.wish(|wishes| wishes.ready = true);
    }

    /// Waits until the controller has unfenced the broker. False: it never will.
    pub async fn unfenced(&self) -> bool {
        self.reached(|stage| stage == Stage::Running).await
    }

    /// Asks the controller to move leaderships away and to let the broker go.
    pub fn begin_controlled_shutdown(&self) {
        self.wish(|wishes| wishes.leave = true);
    }

    /// It has asked, or been let go.
    pub fn is_leaving(&self) -> bool {
        self.wishes.lock().leave
    }

    /// Waits until the controller lets the broker go, or there is nobody to ask.
    pub async fn released(&self) {
        self.reached(|stage| matches!(stage, Stage::ShuttingDown | Stage::Failed)).await;
    }

    /// Waits until no controller has answered for so long.
    pub async fn silence(&self, at_least: Duration) {
        let mut heard = self.heard.clone();
        while let Ok(heard) = tokio::time::timeout(at_least, heard.changed()).await {
            if heard.is_err() {
                // It has ended, and tells so in other ways.
                return std::future::pending().await;
            }
        }
    }

    /// Log directories that have failed so far.
    pub fn set_offline_dirs(&self, dirs: Vec<DirectoryId>) {
        self.wish(|wishes| wishes.offline = dirs);
    }

    /// A failed log directory of which the controller has not heard.
    pub fn untold_dir(&self) -> Option<DirectoryId> {
        let wishes = self.wishes.lock();
        wishes.offline.iter().find(|dir| !wishes.told.contains(dir)).copied()
    }

    /// Log directories that take no new partitions.
    pub fn set_cordoned_dirs(&self, dirs: Vec<DirectoryId>) {
        self.wish(|wishes| wishes.cordoned = dirs);
    }

    /// The controller must learn anew what this broker is: after a change of `metadata.version`.
    pub fn register_again(&self) {
        self.wish(|wishes| wishes.register_again = true);
    }

    /// Ends the task at once.
    pub fn stop(&self) {
        self.wish(|wishes| wishes.stop = true);
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock());
        self.changed.notify_one();
    }

    async fn reached(&self, wanted: impl Fn(Stage) -> bool) -> bool {
        let mut stage = self.stage.clone();
        let end = |stage: Stage| matches!(stage, Stage::ShuttingDown | Stage::Failed);
        match stage.wait_for(|(stage, _)| wanted(*stage) || end(*stage)).await {
            Ok(reached) => wanted(reached.0),
            Err(_) => false,
        }
    }
}

/// Starts the task. `image` tells how far this broker has read the metadata log.
pub fn start(
    config: LifecycleConfig,
    channel: impl ControllerChannel,
    image: Arc<ArcSwap<Image>>,
) -> Lifecycle {
    let steps = Steps::new(config);
    let (sender, stage) = watch::channel((steps.stage(), steps.broker_epoch()));
    let (hear, heard) = watch::channel(0);
    let (wishes, changed) = (Arc::default(), Arc::new(Notify::new()));
    let lifecycle = Lifecycle { wishes, changed, stage, heard };
    tokio::spawn(run(steps, channel, image, lifecycle.clone(), sender, hear));
    lifecycle
}

async fn run(
    mut steps: Steps,
    channel: impl ControllerChannel,
    image: Arc<ArcSwap<Image>>,
    lifecycle: Lifecycle,
    stage: watch::Sender<(Stage, BrokerEpoch)>,
    hear: watch::Sender<u64>,
) {
    let registration_deadline =
        tokio::time::sleep(Duration::from_millis(steps.registration_timeout_ms()));
    tokio::pin!(registration_deadline);
    loop {
        let stop = {
            let mut wishes = lifecycle.wishes.lock();
            steps.wish(wishes.ready, wishes.leave);
            steps.set_dirs(&wishes.offline, &wishes.cordoned);
            if std::mem::take(&mut wishes.register_again) {
                steps.register_again();
            }
            wishes.stop
        };
        if stop {
            steps.end();
        }
        let said = steps.next(image.load().provenance.offset);
        let wait_ms = match said {
            None => {
                stage.send_replace((steps.stage(), steps.broker_epoch()));
                return;
            }
            Some(Say::Register(request)) => {
                let answer = channel.register(request).await;
                log("registration", answer.as_ref().map(|answer| answer.error_code));
                steps.on_registration(answer.ok().as_ref())
            }
            Some(Say::Heartbeat(request)) => {
                let offline = request.offline_log_dirs.clone();
                let answer = channel.heartbeat(request).await;
                log("heartbeat", answer.as_ref().map(|answer| answer.error_code));
                if answer.as_ref().is_ok_and(|answer| answer.error_code == 0) {
                    lifecycle.wishes.lock().told = offline;
                }
                if answer.is_ok() {
                    hear.send_modify(|answers| *answers += 1);
                }
                steps.on_heartbeat(answer.ok().as_ref())
            }
        };
        stage.send_if_modified(|known| {
            let now = (steps.stage(), steps.broker_epoch());
            let before = std::mem::replace(known, now);
            if before != now {
                tracing::info!(stage = ?now.0, broker_epoch = %now.1, "this broker's life goes on");
            }
            before != now
        });
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            () = lifecycle.changed.notified() => {}
            () = &mut registration_deadline, if !steps.was_registered() => {
                tracing::error!("unable to register with the controller quorum in time");
                steps.fail();
            }
        }
    }
}

/// Tells of what went wrong.
fn log(what: &str, answer: Result<i16, &SubmitError>) {
    match answer.map(ErrorCode::from_code) {
        Ok(ErrorCode::None) => {}
        Ok(error) => tracing::warn!(what, error = error.name(), "the controller refuses"),
        Err(error) => tracing::warn!(what, %error, "the controller does not answer"),
    }
}
