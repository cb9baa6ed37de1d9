//! Who belongs to the cluster: nodes come, are let go, move, and lose their disks.

use base::NodeId;
use controller::ControllerRequest;
use kraft::{AddVoterRequest, ControlRecord, RemoveVoterRequest, ReplicaKey, Request, VoterSet};
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;

use super::message::{Ask, Purpose};
use super::mood::Deaths;
use super::node::{Disk, Node, Roles};
use super::quorum::{CLUSTER_ID, Done, voter};
use super::setup::format;
use super::tamper::Tamper;
use super::world::{Event, PEOPLE, World};

/// Nodes that come later, at most.
const NEWCOMERS_MAX: usize = 2;

impl World {
    /// A node that was never there: a broker, or a controller that is no voter yet.
    pub fn newcomer(&mut self) -> Done {
        if self.newcomers == NEWCOMERS_MAX {
            return Ok(());
        }
        self.newcomers += 1;
        if self.is_dynamic() && self.rng.chance(30) {
            self.new_node(true)
        } else {
            self.new_broker()
        }
    }

    pub fn new_broker(&mut self) -> Done {
        self.new_node(false)
    }

    fn new_node(&mut self, controller: bool) -> Done {
        let range = if controller { 100..200 } else { 0..100 };
        let known = self.nodes.keys().filter(|id| range.contains(&id.get())).max();
        let id = NodeId(known.map_or(range.start, |id| id.get()) + 1);
        let roles = Roles { controller, broker: !controller };
        self.note(|| format!("n{id} is new: {roles:?}"));
        let mut node = Node::new(id, roles, format(&mut self.rng));
        node.port = *self.ports.get(&id).unwrap_or(&node.port);
        self.nodes.insert(id, node);
        self.checks.stats.newcomers += 1;
        self.after(1, Event::Start { node: id });
        Ok(())
    }

    /// People say that the broker will not come back. It may.
    pub fn unregister(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id).filter(|node| node.roles.broker) else { return };
        if self.mood.deaths == Deaths::Few && !self.checks.may_fail(&self.nodes, node.id) {
            return;
        }
        self.note(|| format!("n{id} is unregistered"));
        self.checks.stats.unregistered += 1;
        let request = UnregisterBrokerRequest { broker_id: id.get(), ..Default::default() };
        self.ask_controller(ControllerRequest::UnregisterBroker(request));
    }

    /// The process dies, and a disk with it: another one takes its place, empty. As far as nothing may be lost by that.
    pub fn lose_disk(&mut self, id: NodeId) -> Done {
        let Some(node) = self.nodes.get(&id) else { return Ok(()) };
        let Roles { controller, broker } = node.roles;
        if broker && self.mood.deaths == Deaths::Few && !self.checks.may_fail(&self.nodes, id) {
            return Ok(());
        }
        let data = broker && self.mood.deaths != Deaths::KeepRecords;
        let metadata = !controller || self.may_replace_voter();
        let metadata = metadata && (!data || self.rng.chance(50));
        if !data && !metadata {
            return Ok(());
        }
        self.replace_disk(id, data, metadata)
    }

    /// The process dies; the disk of the records, or of the metadata log, or both, are empty ones from then on.
    pub fn replace_disk(&mut self, id: NodeId, data: bool, metadata: bool) -> Done {
        self.note(|| format!("n{id} loses its disks (records: {data}, metadata: {metadata})"));
        self.checks.stats.disks_lost += 1;
        let fresh = format(&mut self.rng);
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let old = std::mem::take(&mut node.disk);
        node.disk = Disk {
            directory: if data { fresh.directory } else { old.directory },
            logs: if data { Default::default() } else { old.logs },
            meta_directory: if metadata { fresh.meta_directory } else { old.meta_directory },
            meta: if metadata { fresh.meta } else { old.meta },
            shut_down_with: None,
        };
        match self.plan.tamper {
            Some(Tamper::DirectoryCopied) => node.disk.meta_directory = old.meta_directory,
            Some(Tamper::LossUnnoticed) => {
                // As if it had been shut down in good order, with what it had.
                let known = self.checks.truth().cluster.broker(id).map(|broker| broker.epoch);
                (node.disk.shut_down_with, node.disk.directory) = (known, old.directory);
            }
            _ => {}
        }
        self.crash(id)
    }

    /// The node gets another address, of which the quorum has to be told.
    pub fn move_controller(&mut self, id: NodeId) -> Done {
        let Some(node) = self.nodes.get(&id).filter(|node| node.roles.controller) else {
            return Ok(());
        };
        let may_end = !node.roles.broker
            || self.mood.deaths != Deaths::Few
            || self.checks.may_fail(&self.nodes, id);
        if !may_end || !self.may_replace_voter() {
            return Ok(());
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.port += 1;
            std::rc::Rc::make_mut(&mut self.ports).insert(id, node.port);
        }
        self.note(|| format!("n{id} moves"));
        self.checks.stats.moves += 1;
        self.crash(id)
    }

    pub fn is_dynamic(&self) -> bool {
        self.setup.static_voters.is_empty()
    }

    /// A voter leaves the quorum, or comes back to it (KIP-853).
    pub fn change_voters(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id).filter(|node| node.roles.controller) else { return };
        let Some(leader) = self.nodes.values().find(|node| node.is_active()) else { return };
        if !self.is_dynamic() {
            return;
        }
        let to = leader.id;
        let key = ReplicaKey { id, directory_id: Some(node.disk.meta_directory) };
        let cluster_id = Some(CLUSTER_ID.to_owned());
        let request = match self.checks.voters.get(id) {
            Some(known) if !known.is(key) => {
                let request = RemoveVoterRequest { cluster_id, voter: known.key };
                Request::RemoveVoter(request)
            }
            // One voter more could not be missed, or the others are not what they were.
            Some(_) if !self.may_replace_voter() => return,
            Some(_) => Request::RemoveVoter(RemoveVoterRequest { cluster_id, voter: key }),
            None => Request::AddVoter(AddVoterRequest {
                cluster_id,
                timeout_ms: 2_000,
                voter: key,
                endpoints: voter(id, node.port, None).endpoints,
                ack_when_committed: true,
            }),
        };
        self.note(|| format!("the voters are to change: {request:?}"));
        self.checks.stats.voter_changes += 1;
        self.call(PEOPLE, to, Purpose::Client, Ask::Raft(request), 3_000);
    }

    /// One of the voters is not needed: there are enough, all are what they say, and no change is on its way anywhere.
    fn may_replace_voter(&self) -> bool {
        let committed = &self.checks.voters;
        let controllers = self.nodes.values().filter(|node| node.roles.controller);
        let mut sets = controllers.filter_map(|node| node.disk.meta.last_voters());
        self.is_dynamic()
            && committed.len() >= 3
            && sets.all(|set| set == committed)
            && self.are_current(committed)
            && !self.has_under_way(|ask| matches!(ask, Ask::Raft(Request::RemoveVoter(_))))
    }

    /// Every voter has the disk and the address that the set names.
    fn are_current(&self, voters: &VoterSet) -> bool {
        voters.iter().all(|known| {
            let node = self.nodes.get(&known.key.id);
            node.is_some_and(|node| *known == node.as_voter())
        })
    }

    /// ReconfigurationCompletes: in the end the quorum knows where its voters are, and has everybody who joins by itself.
    pub fn voters_are_well(&self) -> Done {
        if !self.is_dynamic() {
            return Ok(());
        }
        let voters = &self.checks.voters;
        for node in self.nodes.values().filter(|node| node.roles.controller) {
            let known = voters.get(node.id);
            let is_current = known == Some(&node.as_voter());
            // A directory that is no more stays a voter until somebody removes it.
            let may_differ = known.is_none_or(|known| known.key != node.as_voter().key);
            if !is_current && (self.setup.auto_join || !may_differ) {
                return Err(format!("after the faults n{} is the voter {known:?}", node.id));
            }
        }
        Ok(())
    }
}

impl super::meta_log::MetaLog {
    /// The newest voters on this disk, committed or not.
    pub fn last_voters(&self) -> Option<&VoterSet> {
        let of_snapshot = self.snapshots.values().flat_map(|file| &file.control);
        let all = of_snapshot.chain(self.control());
        let sets = all.filter_map(|record| match record {
            ControlRecord::Voters(set) => Some(set),
            _ => None,
        });
        sets.last()
    }
}
