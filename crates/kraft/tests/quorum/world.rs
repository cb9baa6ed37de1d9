//! The world around the nodes: a clock, a network that loses, delays, doubles and reorders, power cuts, slow disks.

use std::collections::{BTreeMap, BTreeSet};

use base::machine::ReplyId;
use base::{NodeId, Offset};
use kraft::{
    Answer, ControlRecord, Event, KRaftVersion, ReplicaKey, Request, RequestId, SendFailure,
    SnapshotId, VersionRange, VoterSet,
};

use crate::dice::Dice;
use crate::disk::{Disk, Snapshot};
use crate::history::History;
use crate::network::data_of;
use crate::node::{Node, Output, Payload, Settings, key, voter};

#[derive(Debug)]
pub(crate) enum Action {
    Deliver { from: i32, life: u64, to: i32, id: RequestId, request: Request },
    Answered { to: i32, life: u64, id: RequestId, answer: Result<(Answer, Payload), SendFailure> },
    Flushed { node: i32, life: u64, end: i64, serial: u64 },
    Installed { node: i32, life: u64, id: SnapshotId },
}

/// Who asked what, for the answer's way back.
pub(crate) type Asked = (i32, u64, RequestId);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// One message in so many is lost, doubled, late; 0: none.
    pub lossy: u64,
    /// One flush in so many takes seconds.
    pub slow_flushes: u64,
}

pub struct World {
    pub settings: Settings,
    pub dice: Dice,
    pub now: u64,
    pub nodes: BTreeMap<i32, Node>,
    /// Nodes without power.
    pub down: BTreeMap<i32, (ReplicaKey, Disk, u64)>,
    /// One-way roads that are cut.
    pub cut: BTreeSet<(i32, i32)>,
    pub faults: Faults,
    pub history: History,
    pub trace: Vec<String>,
    pub tracing: bool,
    actions: BTreeMap<(u64, u64), Action>,
    pub(crate) open: BTreeMap<(i32, u64, RequestId), u64>,
    replies: BTreeMap<(i32, ReplyId), Asked>,
    serial: u64,
    /// The flush that counts, of each node.
    flushes: BTreeMap<i32, u64>,
    pub answers: Vec<kraft::Reply>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let voters: VoterSet = (1..=settings.voters).map(|id| voter(key(id, 1))).collect();
        let mut world = Self {
            dice: Dice(settings.seed),
            now: 0,
            nodes: BTreeMap::new(),
            down: BTreeMap::new(),
            cut: BTreeSet::new(),
            faults: Faults::default(),
            history: History::default(),
            trace: Vec::new(),
            tracing: false,
            actions: BTreeMap::new(),
            open: BTreeMap::new(),
            replies: BTreeMap::new(),
            serial: 0,
            flushes: BTreeMap::new(),
            answers: Vec::new(),
            settings,
        };
        for id in 1..=world.settings.voters + world.settings.observers {
            let mut disk = Disk::default();
            if world.settings.bootstrap_servers == 0 {
                let nameless = voters.iter().map(|voter| {
                    let key = ReplicaKey { directory_id: None, ..voter.key };
                    kraft::Voter { key, ..voter.clone() }
                });
                disk.static_voters = nameless.collect();
            } else if id <= world.settings.voters {
                let level = ControlRecord::KRaftVersion(KRaftVersion(1));
                let control = vec![level, ControlRecord::Voters(voters.clone())];
                let snapshot = Snapshot { records: Vec::new(), control };
                disk.snapshots.insert(SnapshotId::BOOTSTRAP, snapshot);
            }
            world.down.insert(id, (key(id, 1), disk, 0));
        }
        for id in 1..=world.settings.voters + world.settings.observers {
            world.restart(id);
        }
        world
    }

    pub fn restart(&mut self, id: i32) {
        let Some((key, disk, life)) = self.down.remove(&id) else { return };
        let node = Node::boot(key, disk, &self.settings, life + 1);
        self.nodes.insert(id, node);
        self.event(id, Event::Start);
    }

    /// The power of this node fails.
    pub fn crash(&mut self, id: i32) {
        let Some(node) = self.nodes.remove(&id) else { return };
        let (key, life) = (node.key, node.life);
        let lucky = self.dice.below(1000);
        let disk = node.wreck(lucky);
        self.flushes.remove(&id);
        self.replies.retain(|(node, _), _| *node != id);
        self.down.insert(id, (key, disk, life));
    }

    /// The node comes back with an empty disk, as another replica.
    pub fn replace_disk(&mut self, id: i32, generation: u8) {
        self.crash(id);
        if let Some((replica, disk, _)) = self.down.get_mut(&id) {
            let static_voters = disk.static_voters.clone();
            *disk = Disk { static_voters, ..Disk::default() };
            *replica = key(id, generation);
        }
        self.restart(id);
    }

    /// Lets `ms` pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.next_time().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.one_thing();
        }
        self.now = end;
    }

    fn next_time(&self) -> Option<u64> {
        let action = self.actions.first_key_value().map(|((at, _), _)| *at);
        let timer = self.nodes.values().map(|node| node.timer.max(node.paused_until)).min();
        action.into_iter().chain(timer).chain(self.open.values().copied()).min()
    }

    fn one_thing(&mut self) {
        let now = self.now;
        let late = self.open.iter().find(|(_, until)| **until <= now).map(|(asked, _)| *asked);
        if let Some((to, life, id)) = late {
            return self.answered(to, life, id, Err(SendFailure::TimedOut));
        }
        let due = |node: &&Node| node.timer.max(node.paused_until) <= now;
        if let Some(id) = self.nodes.values().find(due).map(|node| node.key.id.get()) {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.timer = u64::MAX;
            }
            return self.event(id, Event::Tick);
        }
        let Some((_, action)) = self.actions.pop_first() else { return };
        let to = match &action {
            Action::Deliver { to, .. } | Action::Answered { to, .. } => *to,
            Action::Flushed { node, .. } | Action::Installed { node, .. } => *node,
        };
        if let Some(until) =
            self.nodes.get(&to).map(|node| node.paused_until).filter(|at| *at > now)
        {
            return self.schedule(until - now, action);
        }
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver { from, life, to, id, request } => {
                self.deliver((from, life, id), to, request)
            }
            Action::Answered { to, life, id, answer } => self.answered(to, life, id, answer),
            Action::Flushed { node: id, life, end, serial } => {
                if self.flushes.get(&id) != Some(&serial) {
                    return;
                }
                let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life) else {
                    return;
                };
                if !node.is_sloppy() {
                    node.disk.flushed = node.disk.flushed.max(end.min(node.disk.end()));
                }
                self.flushes.remove(&id);
                self.event(id, Event::Flushed { end: Offset(end) });
            }
            Action::Installed { node: id, life, id: snapshot } => {
                let node = self.nodes.get_mut(&id).filter(|node| node.life == life);
                let Some(node) = node else { return };
                let control = node.install(snapshot);
                self.history.snapshots_installed += 1;
                self.event(id, Event::SnapshotInstalled { id: snapshot, control });
            }
        }
    }

    /// A request of one node arrives at another, whatever the sender's consensus knows of it.
    pub fn ask(&mut self, from: i32, to: i32, request: Request) {
        let id = RequestId(u64::MAX - self.fresh());
        self.deliver((from, 0, id), to, request);
    }

    fn deliver(&mut self, asked: Asked, to: i32, request: Request) {
        let reply = ReplyId(self.fresh());
        if let Request::ApiVersions = request {
            let versions = Answer::ApiVersions(Ok(Some(VersionRange { min: 0, max: 1 })));
            return self.send_answer(to, asked, versions, Payload::default());
        }
        let Some(node) = self.nodes.get(&to) else { return };
        let event = match request {
            Request::Vote(request) => Event::Vote { reply, request },
            Request::BeginQuorumEpoch(request) => Event::BeginQuorumEpoch { reply, request },
            Request::EndQuorumEpoch(request) => Event::EndQuorumEpoch { reply, request },
            Request::Fetch(request) => Event::Fetch { reply, request },
            Request::FetchSnapshot(mut request) => {
                request.size = node.disk.snapshots.get(&request.id).map(Snapshot::size);
                Event::FetchSnapshot { reply, request }
            }
            Request::UpdateVoter(request) => Event::UpdateVoter { reply, request },
            Request::AddVoter(request) => Event::AddVoter { reply, request },
            Request::RemoveVoter(request) => Event::RemoveVoter { reply, request },
            Request::ApiVersions => return,
        };
        self.replies.insert((to, reply), asked);
        self.event(to, event);
    }

    fn answered(
        &mut self,
        to: i32,
        life: u64,
        id: RequestId,
        answer: Result<(Answer, Payload), SendFailure>,
    ) {
        // Each request has one outcome; what comes twice or too late is thrown away by the driver.
        if self.open.remove(&(to, life, id)).is_none() {
            return;
        }
        let Some(node) = self.nodes.get_mut(&to).filter(|node| node.life == life) else { return };
        let answer = answer.map(|(mut answer, payload)| {
            if let Some(name) = data_of(&mut answer) {
                *name = node.keep(payload);
            }
            answer
        });
        self.event(to, Event::Response { id, answer });
        assert_eq!(self.nodes.get(&to).map_or(0, Node::kept), 0, "data is kept for ever");
    }

    /// Lets a node take an event, and the world whatever comes out of it.
    pub fn event(&mut self, id: i32, event: Event) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if self.tracing {
            self.trace.push(format!("{} {id} {event:?}", self.now));
        }
        let vote = self.history.vote_asked(&event);
        let mut out = Vec::new();
        let limit = if self.faults.lossy > 0 && self.dice.one_in(700) {
            self.dice.below(4)
        } else {
            u64::MAX
        };
        let finished =
            node.step(self.now, event, usize::try_from(limit).unwrap_or(usize::MAX), &mut out);
        self.history.voted(node.key, vote, &out);
        self.take(id, out);
        if finished { self.history.observe(&self.nodes, id) } else { self.crash(id) }
    }

    pub fn take(&mut self, id: i32, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send { id: request_id, to, request } => {
                    self.send(id, request_id, &to, request)
                }
                Output::Answer { reply, answer, payload } => {
                    match self.replies.remove(&(id, reply)) {
                        Some(asked) => self.send_answer(id, asked, answer, payload),
                        None => panic!("an answer to nobody"),
                    }
                }
                Output::Reply { reply, body } => self.client_answer(id, reply, body),
                Output::Flush { end } => {
                    let serial = self.fresh();
                    let slow =
                        self.faults.slow_flushes > 0 && self.dice.one_in(self.faults.slow_flushes);
                    let delay = if slow { self.dice.below(4_000) } else { self.dice.below(3) };
                    let life = self.nodes.get(&id).map_or(0, |node| node.life);
                    // One flush for all before it.
                    self.flushes.insert(id, serial);
                    self.schedule(delay, Action::Flushed { node: id, life, end, serial });
                }
                Output::Installed { id: snapshot } => {
                    self.flushes.remove(&id);
                    let life = self.nodes.get(&id).map_or(0, |node| node.life);
                    let delay = self.dice.below(20);
                    self.schedule(delay, Action::Installed { node: id, life, id: snapshot });
                }
                Output::Committed => {}
            }
        }
    }

    /// AddVoter and RemoveVoter of a node are answered over the network, those of an operator here.
    fn client_answer(&mut self, id: i32, reply: ReplyId, body: kraft::Reply) {
        let answer = match &body {
            kraft::Reply::AddVoter(result) => {
                Answer::AddVoter(result.clone().err().map(|r| r.error))
            }
            kraft::Reply::RemoveVoter(result) => {
                Answer::RemoveVoter(result.clone().err().map(|r| r.error))
            }
            _ => return self.answers.push(body),
        };
        match self.replies.remove(&(id, reply)) {
            Some(asked) => self.send_answer(id, asked, answer, Payload::default()),
            None => self.answers.push(body),
        }
    }

    pub(crate) fn schedule(&mut self, delay: u64, action: Action) {
        let serial = self.fresh();
        self.actions.insert((self.now + delay, serial), action);
    }

    pub fn fresh(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The leader of the highest epoch, of those that say so.
    pub fn leader(&self) -> Option<i32> {
        let leaders = self.nodes.values().filter(|node| node.leads.is_some());
        leaders.max_by_key(|node| node.leads).map(|node| node.key.id.get())
    }

    pub fn propose(&mut self) {
        let leading = self.nodes.values().filter(|node| node.leads.is_some());
        let leading: Vec<i32> = leading.map(|node| node.key.id.get()).collect();
        let Some(id) = self.dice.pick(&leading) else { return };
        let batch = self.fresh();
        let mut out = Vec::new();
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.paused_until <= now) {
            node.propose(now, batch, &mut out);
        }
        self.take(id, out);
        self.history.observe(&self.nodes, id);
    }

    pub fn take_snapshot(&mut self, id: i32) {
        let mut out = Vec::new();
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.take_snapshot(now, &mut out);
        }
        self.take(id, out);
    }

    /// Whether no node, up or down, counts this one among the voters: then its disk may be lost.
    pub fn votes_nowhere(&self, id: i32) -> bool {
        let no_vote = |node: &Node| node.raft.voters().last().0.get(NodeId(id)).is_none();
        self.down.is_empty() && self.nodes.values().all(no_vote)
    }

    /// How many changes of the voters were made and committed.
    pub fn changes(&self) -> usize {
        let done = |reply: &&kraft::Reply| {
            use kraft::Reply::{AddVoter, RemoveVoter, UpgradeKRaftVersion};
            matches!(reply, AddVoter(Ok(())) | RemoveVoter(Ok(())) | UpgradeKRaftVersion(Ok(())))
        };
        self.answers.iter().filter(done).count()
    }

    /// The newest voter set of a leader.
    pub fn voters(&self) -> Vec<NodeId> {
        let leader = self.leader().and_then(|id| self.nodes.get(&id));
        leader.map(|node| node.raft.voters().last().0.ids()).unwrap_or_default()
    }
}
