//! Raising `kraft.version`: consensus writes it into the log, then the controller answers the request that wanted it.

use base::machine::ReplyId;
use kraft::{Event, KRaftVersion, Refusal};

use super::QuorumError;
use super::commit::Waiter;
use super::driver::Driver;
use super::handle::SubmitError;
use super::machine::Machine;

/// A request that waits for consensus, or for the controller after that.
pub(super) struct Upgrade<M: Machine> {
    reply: ReplyId,
    request: M::Request,
    waiter: Waiter<M::Reply>,
    decided: Option<Result<(), Refusal>>,
}

impl<M: Machine> Driver<M> {
    /// Takes a request to the machine, by way of consensus when it raises `kraft.version`.
    pub(super) fn take_request(
        &mut self,
        request: M::Request,
        waiter: Waiter<M::Reply>,
    ) -> Result<(), QuorumError> {
        let Some(epoch) = self.active.filter(|_| !self.is_stopping()) else {
            // The client may have gone away.
            let _ = waiter.0.send(Err(SubmitError::NotController));
            return Ok(());
        };
        let Some((level, validate_only)) = self.machine.kraft_upgrade(&request) else {
            let decided = self.decide(|machine, at, random| machine.handle(at, request, random))?;
            return self.answer_decided(decided, waiter);
        };
        let reply = ReplyId(self.fresh_id());
        self.upgrades.push(Upgrade { reply, request, waiter, decided: None });
        let level = KRaftVersion(level);
        self.event(Event::UpgradeKRaftVersion { reply, epoch, level, validate_only })
    }

    pub(super) fn upgrade_decided(&mut self, reply: ReplyId, decided: Result<(), Refusal>) {
        if let Some(upgrade) = self.upgrades.iter_mut().find(|upgrade| upgrade.reply == reply) {
            upgrade.decided = Some(decided);
        }
    }

    /// Hands the next request that consensus has decided to the machine. False when there is none.
    pub(super) fn finish_upgrade(&mut self) -> Result<bool, QuorumError> {
        let Some(at) = self.upgrades.iter().position(|upgrade| upgrade.decided.is_some()) else {
            return Ok(false);
        };
        let Upgrade { request, waiter, decided, .. } = self.upgrades.swap_remove(at);
        if self.active.is_none() {
            let _ = waiter.0.send(Err(SubmitError::NotController));
            return Ok(true);
        }
        let upgraded = decided.unwrap_or(Ok(()));
        let decided = self
            .decide(|machine, at, random| machine.handle_decided(at, request, upgraded, random))?;
        self.answer_decided(decided, waiter)?;
        Ok(true)
    }

    /// Tells the machine and the status of another level of `kraft.version`.
    pub(super) fn note_kraft_version(&mut self) {
        let level = self.raft.voters().kraft_version().0;
        if self.kraft_version != level {
            self.kraft_version = level;
            self.machine.set_kraft_version(level);
            self.update_status();
        }
    }
}
