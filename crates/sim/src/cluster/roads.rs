//! Requests and answers on their way: who waits for what, and what reaches whom.

use std::collections::BTreeMap;

use base::NodeId;
use group::Request;

use super::coordinator::GroupAsk;
use super::message::{Ask, CallId, Peer, Purpose, Tell};
use super::node::{Node, Stimulus};
use super::quorum::Done;
use super::world::{Event, World};

/// Who waits for an answer, and what for.
#[derive(Clone, Debug)]
pub(super) struct Call {
    from: Peer,
    life: u64,
    to: NodeId,
    purpose: Purpose,
}

#[derive(Default)]
pub(super) struct Calls {
    waiting: BTreeMap<CallId, Call>,
    next: u64,
    /// The newest call of a client to a coordinator that has arrived, about offsets or about itself.
    newest: BTreeMap<(Peer, bool), CallId>,
}

impl World {
    /// How long the node's process still stands still.
    pub fn asleep(&self, node: NodeId) -> Option<u64> {
        self.nodes.get(&node)?.paused_until_ms.checked_sub(self.now_ms).filter(|ms| *ms > 0)
    }

    pub fn arrive(&mut self, (from, to): (Peer, NodeId), call: CallId, ask: Ask) -> Done {
        if let Some(ms) = self.asleep(to) {
            self.after(ms, Event::Arrive { from, to, call, ask });
            return Ok(());
        }
        if self.nodes.get(&to).is_some_and(Node::is_up) {
            if let Ask::Raft(kraft::Request::Vote(request)) = &ask {
                self.checks.vote_asked(call, request);
            }
            if let Ask::Group(ask) = &ask {
                let outdated = self.is_outdated(from, call, ask);
                self.note(|| format!("n{to} takes {call:?} (outdated: {outdated}): {ask:?}"));
                if outdated {
                    return Ok(());
                }
            }
            return self.poke(to, Stimulus::Asked { call, ask });
        }
        self.tell(to, call, &Tell::Unreachable);
        Ok(())
    }

    /// Whether something newer of the same client, or the same, has arrived. Who gave up a call has closed its connection, and on a
    /// new one nothing older comes any more: a commit without a generation would otherwise undo what was acknowledged later.
    fn is_outdated(
        &mut self,
        from: Peer,
        call: CallId,
        GroupAsk::Request(request): &GroupAsk,
    ) -> bool {
        let of_offsets = matches!(request, Request::OffsetCommit { .. } | Request::OffsetFetch(_));
        match self.calls.newest.insert((from, of_offsets), call) {
            Some(known) if known >= call => {
                self.calls.newest.insert((from, of_offsets), known);
                true
            }
            _ => false,
        }
    }

    /// The process is gone: clients see that their connections close.
    pub fn hang_up(&mut self, id: NodeId) {
        let waiting = self.calls.waiting.iter();
        let lost =
            waiting.filter(|(_, call)| call.to == id && matches!(call.from, Peer::Client(_)));
        for call in lost.map(|(call, _)| *call).collect::<Vec<_>>() {
            let ms = self.rng.range(1, 50);
            self.after(ms, Event::Answer { call, tell: Tell::Unreachable });
        }
    }

    /// The answer is on its way, if anybody waits for it.
    pub fn tell(&mut self, from: NodeId, call: CallId, tell: &Tell) {
        let Some(waiting) = self.calls.waiting.get(&call) else { return };
        let to = waiting.from;
        for ms in self.network.arrivals(&mut self.rng, Peer::Node(from), to) {
            self.after(ms, Event::Answer { call, tell: tell.clone() });
        }
    }

    /// The first answer counts.
    pub fn answer(&mut self, call: CallId, tell: Tell) -> Done {
        let Some(waiting) = self.calls.waiting.get(&call) else { return Ok(()) };
        let id = match waiting.from {
            Peer::Node(id) => id,
            Peer::Client(at) => {
                self.note(|| format!("client {at} hears {tell:?}"));
                self.calls.waiting.remove(&call);
                if self.tell_member(at, call, &tell)? {
                    return self.members_hold();
                }
                return self.tell_client(at, tell);
            }
        };
        if let Some(ms) = self.asleep(id) {
            self.after(ms, Event::Answer { call, tell });
            return Ok(());
        }
        let Some(waiting) = self.calls.waiting.remove(&call) else { return Ok(()) };
        if self.nodes.get(&id).is_none_or(|node| node.life != waiting.life) {
            return Ok(());
        }
        self.note(|| format!("n{id} hears of n{} ({:?}): {tell:?}", waiting.to, waiting.purpose));
        self.poke(id, Stimulus::Answered { purpose: waiting.purpose, tell })
    }

    pub fn call(
        &mut self,
        from: Peer,
        to: NodeId,
        purpose: Purpose,
        ask: Ask,
        timeout_ms: u64,
    ) -> CallId {
        self.calls.next += 1;
        let call = CallId(self.calls.next);
        let life = match from {
            Peer::Node(id) => self.nodes.get(&id).map_or(0, |node| node.life),
            Peer::Client(_) => 0,
        };
        self.note(|| format!("{from:?} asks n{to} ({purpose:?}, {call:?}): {ask:?}"));
        self.calls.waiting.insert(call, Call { from, life, to, purpose });
        if self.nodes.contains_key(&to) {
            for ms in self.network.arrivals(&mut self.rng, from, Peer::Node(to)) {
                self.after(ms, Event::Arrive { from, to, call, ask: ask.clone() });
            }
        } else {
            self.after(1, Event::Answer { call, tell: Tell::Unreachable });
        }
        self.after(timeout_ms, Event::Expire { call });
        call
    }
}
