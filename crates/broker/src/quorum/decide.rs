//! Decisions of the machine, and what happens when it fails on one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kraft::Event;

use super::QuorumError;
use super::commit::Waiter;
use super::driver::Driver;
use super::handle::SubmitError;
use super::machine::{At, Decision, Machine, Random};
use crate::clock::random_bytes;

impl<M: Machine> Driver<M> {
    /// Lets the machine decide. `None`: it failed. What it had in mind is void, nothing of it was appended; it gives up the lead,
    /// and another controller, or this one after an election, goes on from what is committed.
    pub(super) fn decide(
        &mut self,
        decide: impl FnOnce(&mut M, At, Random<'_>) -> Decision<M>,
    ) -> Result<Option<Decision<M>>, QuorumError> {
        let at = self.at();
        let mut random = || u64::from_le_bytes(random_bytes());
        let machine = &mut self.machine;
        let decided = catch_unwind(AssertUnwindSafe(|| decide(machine, at, &mut random)));
        if decided.is_err() {
            tracing::error!("the controller has failed on a request and gives up the lead");
            if let Some(epoch) = self.active {
                self.event(Event::Resign { epoch })?;
            }
        }
        Ok(decided.ok())
    }

    pub(super) fn answer_decided(
        &mut self,
        decided: Option<Decision<M>>,
        waiter: Waiter<M::Reply>,
    ) -> Result<(), QuorumError> {
        if let Some(decision) = decided {
            return self.carry_out(decision, Some(waiter));
        }
        // The client may have gone away.
        let failed = SubmitError::Refused("the controller has failed on it".into());
        let _ = waiter.0.send(Err(failed));
        Ok(())
    }
}
