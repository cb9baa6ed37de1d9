//! Requests of consensus on their way: each is a task of its own, its outcome comes back as a command.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use kraft::{DataId, Destination, Event, Request, RequestId, SendFailure};

use super::QuorumError;
use super::driver::Driver;
use super::handle::Command;
use super::machine::Machine;
use super::wire::{self, Expected, Heard};
use crate::peers::{Address, Peers};

/// The way to the other nodes of the quorum.
pub struct Network {
    pub peers: Peers,
    /// Where the exchanges run.
    pub runtime: tokio::runtime::Handle,
}

/// Owes the outcome of a request; dropped without one, it tells that nobody answered.
struct Owed<Request, Reply> {
    id: RequestId,
    commands: Option<Sender<Command<Request, Reply>>>,
}

impl<Request, Reply> Owed<Request, Reply> {
    fn pay(mut self, result: Result<Heard, SendFailure>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<Heard, SendFailure>) {
        if let Some(commands) = self.commands.take() {
            // Without a driver there is nobody to tell.
            let _ = commands.send(Command::Heard { id: self.id, result });
        }
    }
}

impl<Request, Reply> Drop for Owed<Request, Reply> {
    fn drop(&mut self) {
        self.tell(Err(SendFailure::Unreachable));
    }
}

impl<M: Machine> Driver<M> {
    pub(super) fn send(&mut self, id: RequestId, to: &Destination, request: Request) {
        if matches!(request, Request::EndQuorumEpoch(_)) {
            self.farewells.insert(id);
        }
        let owed = Owed { id, commands: Some(self.commands.clone()) };
        let (Some(address), Some(network)) = (self.address(to), &self.network) else {
            return owed.pay(Err(SendFailure::Unreachable));
        };
        let within = Duration::from_millis(self.config.times.request_timeout_ms);
        let listener = self.config.listener.clone();
        let (peers, refused) = (network.peers.clone(), Arc::clone(&self.refused));
        network.runtime.spawn(async move {
            let expected = Expected { listener: &listener, data: DataId(id.0), refused: &refused };
            let result = wire::ask(&peers, &address, within, request, expected).await;
            owed.pay(result);
        });
    }

    /// Nodes are reached through the listener whose name stands first in `controller.listener.names`.
    fn address(&self, to: &Destination) -> Option<Address> {
        match to {
            Destination::Node { endpoints, .. } => self.config.address_of(endpoints),
            Destination::Bootstrap(index) => self.config.bootstrap_servers.get(*index).cloned(),
        }
    }

    pub(super) fn heard(
        &mut self,
        id: RequestId,
        result: Result<Heard, SendFailure>,
    ) -> Result<(), QuorumError> {
        self.farewells.remove(&id);
        let answer = result.map(|heard| {
            if !heard.data.is_empty() {
                self.arrived.keep(DataId(id.0), heard.data);
            }
            heard.answer
        });
        self.event(Event::Response { id, answer })
    }
}
