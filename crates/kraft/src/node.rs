//! The node: takes events, moves between the states, asks for effects.

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, NodeId, Offset};

use crate::config::{check_log, check_voters};
use crate::connections::Connections;
use crate::handler::fetch::ParkedFetch;
use crate::random::Random;
use crate::state::{Candidate, Resigned, State, Unattached, Votes};
use crate::{
    BatchId, Boot, Config, Effect, Effects, ElectionState, Endpoint, Event, LogView, RaftError,
    Reply, SnapshotId, StartError, VoterHistory, invariants,
};

/// A node of the quorum.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) log: LogView,
    pub(crate) voters: VoterHistory,
    pub(crate) parked: Vec<ParkedFetch>,
    pub(crate) connections: Connections,
    /// A snapshot that the driver is putting in the place of the log.
    pub(crate) installing: Option<SnapshotId>,
    /// One that turned out to be none, and when it may be tried again.
    pub(crate) refused: Option<(SnapshotId, MonoMs)>,
    /// Never goes back, whatever happens to leadership.
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) random: Random,
    pub(crate) shutting_down: bool,
    timer: MonoMs,
    /// Epoch, leader and its endpoints as last told by [`Effect::LeaderChanged`].
    told: (i32, Option<NodeId>, Vec<Endpoint>),
}

impl Raft {
    /// # Errors
    /// When what lies on disk is inconsistent, or this node can have no part in the quorum.
    pub fn new(config: Config, boot: Boot) -> Result<Self, StartError> {
        let mut voters = VoterHistory::new(boot.static_voters);
        for (offset, record) in &boot.control {
            voters.add(*offset, record);
        }
        check_voters(&config, &voters)?;
        let (level, range) = (voters.kraft_version().0, config.local.kraft_versions);
        if level < range.min || level > range.max {
            let (min, max) = (range.min, range.max);
            return Err(StartError::UnsupportedKRaftVersion { level, min, max });
        }
        check_log(&boot.log)?;
        let election = boot.election.unwrap_or_else(|| ElectionState::initial(voters.last().0));
        let epoch = election.epoch.max(boot.log.last_epoch());
        if election.epoch < 0 {
            return Err(StartError::NegativeEpoch { epoch: election.epoch });
        }
        if epoch == i32::MAX {
            return Err(StartError::EpochExhausted { epoch });
        }
        let times = config.times;
        let mut raft = Self {
            random: Random::new(config.seed),
            connections: Connections::new(times.request_timeout_ms, times.retry_backoff_ms),
            config,
            state: State::Unattached(Unattached {
                epoch,
                leader: None,
                voted: None,
                election_at: MonoMs::NEVER,
            }),
            log: boot.log,
            voters,
            parked: Vec::new(),
            installing: None,
            refused: None,
            high_watermark: None,
            shutting_down: false,
            timer: MonoMs::NEVER,
            told: (0, None, Vec::new()),
        };
        raft.state = raft.restored(election);
        Ok(raft)
    }

    /// Kafka's rules for the state after a restart. Its timers run from [`Event::Start`] on.
    fn restored(&self, election: ElectionState) -> State {
        let (epoch, local) = (election.epoch, self.config.local.key);
        let set = self.voters.last().0;
        let election_at = MonoMs::NEVER;
        if epoch < self.log.last_epoch() {
            let epoch = self.log.last_epoch();
            return State::Unattached(Unattached { epoch, leader: None, voted: None, election_at });
        }
        if election.leader == Some(local.id) {
            let unacked = set.ids().into_iter().filter(|id| *id != local.id).collect();
            let successors = Vec::new();
            return State::Resigned(Resigned { epoch, election_at, unacked, successors });
        }
        if election.voted_for(local) && self.is_electable() {
            // It crashed between its vote and its victory; nothing was written in that epoch.
            let votes = Votes::new(set, local.id);
            return State::Candidate(Candidate { epoch, voted: local, votes, election_at });
        }
        let (leader, voted) = (election.leader, election.voted);
        match leader.and_then(|id| set.get(id)) {
            Some(known) if !known.endpoints.is_empty() => {
                let (id, endpoints) = (known.key.id, &known.endpoints);
                State::Follower(self.follower(MonoMs(0), epoch, id, endpoints, voted))
            }
            _ => State::Unattached(Unattached { epoch, leader, voted, election_at }),
        }
    }

    /// Takes one event; what is to be done because of it is appended to `effects`, to be executed in order.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Effects) {
        let before = invariants::Summary::of(self);
        self.take(now, event, effects);
        let at = self.poll(now, effects);
        self.tell_leader(effects);
        self.set_timer(at, effects);
        let after = invariants::Summary::of(self);
        if let Err(violation) = invariants::check_step(&before, &after) {
            panic!("consensus would break its promise: {violation}");
        }
    }

    fn take(&mut self, now: Now, event: Event, effects: &mut Effects) {
        match event {
            Event::Start => self.on_start(now, effects),
            Event::Tick => self.expire_parked(now, effects),
            Event::Propose { batch, epoch, records } => {
                self.on_propose(batch, epoch, records, now, effects)
            }
            Event::Flushed { end } => self.on_flushed(end, now, effects),
            Event::SnapshotWritten { id } => {
                self.log.snapshots.insert(id);
            }
            Event::Cleaned { start, oldest } => {
                self.log.advance_start(start);
                self.log.snapshots.retain(|id| *id >= oldest);
                self.voters.forget_before(start);
            }
            Event::Response { id, answer } => self.on_response(now, id, answer, effects),
            Event::SnapshotInstalled { id, control } => {
                self.on_snapshot_installed(now, id, &control, effects);
            }
            Event::SnapshotRefused { id } => self.on_snapshot_refused(now, id),
            Event::Vote { reply, request } => {
                let body = Reply::Vote(self.on_vote(now, &request, effects));
                effects.push(Effect::Reply { reply, body });
            }
            Event::BeginQuorumEpoch { reply, request } => {
                let body = Reply::BeginQuorumEpoch(self.on_begin_epoch(now, &request, effects));
                effects.push(Effect::Reply { reply, body });
            }
            Event::EndQuorumEpoch { reply, request } => {
                let body = Reply::EndQuorumEpoch(self.on_end_epoch(now, &request, effects));
                effects.push(Effect::Reply { reply, body });
            }
            Event::Fetch { reply, request } => self.on_fetch(now, reply, request, effects),
            Event::FetchSnapshot { reply, request } => {
                let body = Reply::FetchSnapshot(self.on_fetch_snapshot(now, &request));
                effects.push(Effect::Reply { reply, body });
            }
            Event::DescribeQuorum { reply } => self.on_describe(now, reply, effects),
            Event::AddVoter { reply, request } => self.on_add_voter(now, reply, request, effects),
            Event::RemoveVoter { reply, request } => {
                self.on_remove_voter(now, reply, &request, effects);
            }
            Event::UpdateVoter { reply, request } => {
                let body = Reply::UpdateVoter(self.on_update_voter(now, request, effects));
                effects.push(Effect::Reply { reply, body });
            }
            Event::UpgradeKRaftVersion { reply, epoch, level, validate_only } => {
                self.on_upgrade(now, reply, (epoch, level, validate_only), effects);
            }
            Event::Resign { epoch } => match &mut self.state {
                State::Leader(leader) if leader.epoch == epoch => leader.resign_requested = true,
                _ => {}
            },
            Event::Shutdown => {
                self.shutting_down = true;
                // A leader resigns, right after this.
                self.wake_parked(now, effects);
            }
        }
    }

    pub fn epoch(&self) -> i32 {
        self.state.epoch()
    }

    pub fn leader(&self) -> Option<NodeId> {
        self.state.leader(self.local_id())
    }

    /// Where the leader listens; empty when none is known.
    pub fn leader_endpoints(&self) -> &[Endpoint] {
        self.state.leader_endpoints(&self.config.local.endpoints)
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// All records before this are committed; `None` before the first commit of this process.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// Kafka's name of the state that this node is in.
    pub fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// Whether this very replica is one of the voters, as far as it knows.
    pub fn is_voter(&self) -> bool {
        self.voters.last().0.is_voter(self.config.local.key)
    }

    /// A voter may be elected; and one that was removed, until that is known to be committed: as long as its log may be
    /// the only one with the removal, no other can win against it.
    pub(crate) fn is_electable(&self) -> bool {
        let local = self.config.local.key;
        self.is_voter() || self.voters.was_removed_since(local, self.committed_floor())
    }

    /// Whether, after [`Event::Shutdown`], nobody needs this node any more: another leads, or its part is none.
    pub fn may_stop(&self) -> bool {
        let alone = self.voters.last().0.is_only_voter(self.config.local.key);
        let led = self.leader().is_some_and(|leader| leader != self.local_id());
        alone || led || !self.is_voter()
    }

    pub fn log(&self) -> &LogView {
        &self.log
    }

    pub fn voters(&self) -> &VoterHistory {
        &self.voters
    }

    /// Whether a snapshot of the records before `id.offset` can be made now: committed, of the right epoch, new.
    pub fn may_snapshot(&self, id: SnapshotId) -> bool {
        self.high_watermark.is_some_and(|known| id.offset <= known)
            && id.offset >= self.log.start
            && !self.log.snapshots.contains(&id)
            && self.log.check_position(id.offset, id.epoch) == crate::FetchPosition::Valid
    }

    pub(crate) fn local_id(&self) -> NodeId {
        self.config.local.key.id
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }

    fn on_start(&mut self, now: Now, effects: &mut Effects) {
        let election_at = now.mono.plus_ms(self.election_timeout_ms());
        let only_voter = self.voters.last().0.is_only_voter(self.config.local.key);
        let electable = self.is_electable();
        match &mut self.state {
            State::Unattached(state) if electable => state.election_at = election_at,
            State::Candidate(state) => state.election_at = election_at,
            State::Resigned(state) => state.election_at = election_at,
            State::Follower(state) => {
                let until = now.mono.plus_ms(self.config.times.fetch_timeout_ms);
                (state.fetch_until, state.update_voter_at) = (until, until);
            }
            _ => {}
        }
        self.save(effects);
        match &self.state {
            State::Candidate(_) => self.maybe_become_leader(now, effects),
            _ if only_voter => self.become_prospective(now, effects),
            _ => {}
        }
    }

    fn on_propose(
        &mut self,
        batch: BatchId,
        epoch: i32,
        records: u32,
        now: Now,
        effects: &mut Effects,
    ) {
        let leads = match &self.state {
            State::Leader(leader) => {
                leader.epoch == epoch
                    && leader.high_watermark.is_some()
                    && !leader.resign_requested
                    && !self.shutting_down
            }
            _ => false,
        };
        if !leads || records == 0 {
            effects.push(Effect::Rejected { batch });
            return;
        }
        let base = self.log.append(epoch, i64::from(records));
        effects.push(Effect::Append { batch, base, epoch });
        effects.push(Effect::Flush { end: self.log.end });
        self.wake_parked(now, effects);
    }

    fn on_flushed(&mut self, end: Offset, now: Now, effects: &mut Effects) {
        self.log.flushed = self.log.flushed.max(end.min(self.log.end));
        if self.is_leader() {
            self.advance_high_watermark(now, effects);
        } else {
            self.follow_high_watermark(effects);
        }
    }

    /// As leader: what a majority holds is committed.
    pub(crate) fn advance_high_watermark(&mut self, now: Now, effects: &mut Effects) {
        let flushed = self.log.flushed;
        let State::Leader(leader) = &mut self.state else { return };
        let first = leader.high_watermark.is_none();
        if !leader.update_high_watermark(flushed) {
            return;
        }
        let (epoch, start) = (leader.epoch, leader.start);
        let Some(high_watermark) = leader.high_watermark else { return };
        self.high_watermark = self.high_watermark.max(Some(high_watermark));
        effects.push(Effect::CommitAdvanced { high_watermark });
        if first {
            effects.push(Effect::BecameLeader { epoch, start });
        }
        self.complete_changes(high_watermark, effects);
        self.wake_parked(now, effects);
    }

    /// As follower: what the leader says is committed, as far as it is on this disk.
    pub(crate) fn follow_high_watermark(&mut self, effects: &mut Effects) {
        let State::Follower(state) = &self.state else { return };
        let known = state.high_watermark.min(self.log.flushed);
        if known.is_some() && self.high_watermark < Some(known) {
            self.high_watermark = Some(known);
            effects.push(Effect::CommitAdvanced { high_watermark: known });
        }
    }

    fn on_describe(&mut self, now: Now, reply: ReplyId, effects: &mut Effects) {
        let (local, end) = (self.config.local.key, self.log.end);
        let answer = match &mut self.state {
            State::Leader(leader) => Ok(crate::Describe {
                leader: local.id,
                epoch: leader.epoch,
                high_watermark: leader.high_watermark.unwrap_or(Offset::NONE),
                voters: leader.voters_progress(now, end),
                observers: leader.observers_progress(now, end),
            }),
            _ => Err(RaftError::NotLeaderOrFollower),
        };
        effects.push(Effect::Reply { reply, body: Reply::DescribeQuorum(answer) });
    }

    fn tell_leader(&mut self, effects: &mut Effects) {
        // One who has resigned is named in answers, but leads no more.
        let resigned = matches!(self.state, State::Resigned(_));
        let leader = self.leader().filter(|_| !resigned);
        let endpoints = if leader.is_some() { self.leader_endpoints() } else { &[] };
        let (epoch, known, known_endpoints) = &self.told;
        if (*epoch, *known, &known_endpoints[..]) == (self.epoch(), leader, endpoints) {
            return;
        }
        let (epoch, endpoints) = (self.epoch(), endpoints.to_vec());
        self.told = (epoch, leader, endpoints.clone());
        effects.push(Effect::LeaderChanged { epoch, leader, endpoints });
    }

    fn set_timer(&mut self, at: MonoMs, effects: &mut Effects) {
        let parked =
            self.parked.iter().map(|parked| parked.deadline).min().unwrap_or(MonoMs::NEVER);
        let at = at.min(parked);
        if at != self.timer {
            self.timer = at;
            effects.push(Effect::SetTimer { at });
        }
    }
}
