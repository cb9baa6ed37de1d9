//! The active controller on its node: requests become records, replies wait for their commit, timers come.

use std::collections::{BTreeMap, VecDeque};

use base::machine::TimerChange;
use base::{MonoMs, Offset};
use controller::{At, ControllerReply, ControllerRequest, ControllerTimer, Outcome, Random};

use super::context::{Context, Timer};
use super::message::{CallId, Tell};
use super::meta_log::MetaLog;
use super::quorum::{Done, Quorum};
use super::tamper::Tamper;
use crate::Rng;

/// An epoch in which this node's controller decides.
pub(super) struct Active {
    pub epoch: i32,
    timers: BTreeMap<ControllerTimer, MonoMs>,
    /// Replies by the end of the log that they wait for.
    pending: VecDeque<(Offset, ControllerReply, CallId)>,
}

struct Numbers<'a>(&'a mut Rng);

impl Random for Numbers<'_> {
    fn next_u64(&mut self) -> u64 {
        self.0.draw()
    }
}

impl Quorum {
    fn at(&self, cx: &Context<'_>) -> At {
        At { now: cx.now, next_offset: self.raft.log().end }
    }

    pub(super) fn activate(&mut self, cx: &mut Context<'_>, log: &mut MetaLog, epoch: i32) -> Done {
        let (at, bootstrap) = (self.at(cx), self.bootstrap.clone());
        let Some(controller) = &mut self.controller else {
            return Err("a node without the role was elected".to_owned());
        };
        cx.note(|| format!("is the active controller of epoch {epoch}"));
        self.active = Some(Active { epoch, timers: BTreeMap::new(), pending: VecDeque::new() });
        let outcome = controller.activate(at, bootstrap);
        self.carry_out(cx, log, outcome, None)
    }

    pub(super) fn resigned(&mut self, cx: &mut Context<'_>, epoch: i32) {
        cx.note(|| format!("is no longer the active controller of epoch {epoch}"));
        // Elected and out again in one step: the machine never hears of it.
        self.elected = None;
        for (_, _, call) in self.active.take().into_iter().flat_map(|active| active.pending) {
            cx.reply(call, Tell::Controller(None));
        }
        let committed = self.loader.committed(Offset(self.next_commit.get() - 1));
        if let Some(controller) = &mut self.controller {
            controller.resign(committed);
        }
    }

    /// Somebody asks the active controller.
    pub fn submit(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut MetaLog,
        call: CallId,
        request: ControllerRequest,
    ) -> Done {
        let at = self.at(cx);
        let Some(controller) = self.controller.as_mut().filter(|_| self.active.is_some()) else {
            cx.reply(call, Tell::Controller(None));
            return Ok(());
        };
        let outcome = controller.handle(at, request, &mut Numbers(cx.rng));
        self.carry_out(cx, log, outcome, Some(call))
    }

    fn carry_out(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut MetaLog,
        outcome: Outcome,
        call: Option<CallId>,
    ) -> Done {
        let Some(active) = &mut self.active else { return Ok(()) };
        for change in outcome.timers {
            match change {
                TimerChange::Set { key, at } => {
                    active.timers.insert(key, at);
                    cx.timer(at, Timer::Controller);
                }
                TimerChange::Cancel { key } => drop(active.timers.remove(&key)),
            }
        }
        let epoch = active.epoch;
        if !outcome.records.is_empty() {
            self.propose(cx, log, outcome.records, epoch)?;
        }
        let end = self.raft.log().end;
        let early = cx.is(Tamper::ControllerTellsEarly);
        match (call, &mut self.active) {
            (Some(call), Some(active)) if !early => {
                active.pending.push_back((end, outcome.reply, call));
            }
            (Some(call), Some(_)) => cx.reply(call, Tell::Controller(Some(outcome.reply))),
            (Some(call), None) => cx.reply(call, Tell::Controller(None)),
            (None, _) => {}
        }
        self.release(cx);
        Ok(())
    }

    /// Sends what waited for the commit of what is committed.
    pub(super) fn release(&mut self, cx: &mut Context<'_>) {
        let committed = self.next_commit;
        let Some(active) = &mut self.active else { return };
        while active.pending.front().is_some_and(|(after, ..)| *after <= committed) {
            if let Some((_, reply, call)) = active.pending.pop_front() {
                cx.reply(call, Tell::Controller(Some(reply)));
            }
        }
    }

    pub fn on_controller_timer(&mut self, cx: &mut Context<'_>, log: &mut MetaLog) -> Done {
        let Some(active) = &mut self.active else { return Ok(()) };
        let now = cx.now.mono;
        let due: Vec<ControllerTimer> =
            active.timers.extract_if(.., |_, at| *at <= now).map(|(timer, _)| timer).collect();
        for timer in due {
            let at = self.at(cx);
            let Some(controller) = self.controller.as_mut().filter(|_| self.active.is_some())
            else {
                return Ok(());
            };
            let request = ControllerRequest::Timer(timer);
            let outcome = controller.handle(at, request, &mut Numbers(cx.rng));
            self.carry_out(cx, log, outcome, None)?;
        }
        Ok(())
    }
}
