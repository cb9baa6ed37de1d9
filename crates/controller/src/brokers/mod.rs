//! The life of brokers and controllers in the cluster.

pub(crate) mod controllers;
pub(crate) mod heartbeat;
pub(crate) mod register;
pub(crate) mod sessions;
pub(crate) mod unregister;

use base::{BrokerEpoch, NodeId};
use protocol::ErrorCode;

use crate::error::{ApiError, Result};
use crate::handle::Controller;

/// Refuses a request of a broker that is not registered, or not with this epoch.
pub(crate) fn check_epoch(controller: &Controller, broker: i32, epoch: i64) -> Result<()> {
    let stale = |message: String| Err(ApiError::new(ErrorCode::StaleBrokerEpoch, message));
    match controller.image().cluster.broker(NodeId(broker)) {
        None => stale(format!("No broker registration found for broker id {broker}")),
        Some(registration) if registration.epoch != BrokerEpoch(epoch) => stale(format!(
            "Expected broker epoch {}, but got broker epoch {epoch}",
            registration.epoch
        )),
        Some(_) => Ok(()),
    }
}
