//! The node: takes events, moves between the states, asks for effects.

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, NodeId, Offset};

use crate::handler::fetch::ParkedFetch;
use crate::random::Random;
use crate::state::{Candidate, Leader, Resigned, State, Unattached};
use crate::{
    BatchId, ControlRecord, Effect, Effects, ElectionState, Event, LogView, RaftError, Refusal,
    ReplicaKey, Reply, SnapshotId, StartError, Voter, VoterHistory, VoterSet, invariants,
};

/// Time-outs of the quorum, by the keys `controller.quorum.*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// `election.timeout.ms`
    pub election_timeout_ms: u64,
    /// `election.backoff.max.ms`
    pub election_backoff_max_ms: u64,
    /// `fetch.timeout.ms`
    pub fetch_timeout_ms: u64,
    /// `request.timeout.ms`
    pub request_timeout_ms: u64,
    /// `retry.backoff.ms`
    pub retry_backoff_ms: u64,
}

impl Default for Times {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            election_timeout_ms: 1_000,
            election_backoff_max_ms: 1_000,
            fetch_timeout_ms: 2_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
        }
    }
}

/// What does not change while the process lives.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster_id: String,
    /// This node as a voter: its id, directory, controller listeners and the levels of `kraft.version` it supports.
    pub local: Voter,
    /// `process.roles` has `controller`: this node may vote and lead. Otherwise it only observes.
    pub can_be_voter: bool,
    /// How many `controller.quorum.bootstrap.servers` there are.
    pub bootstrap_servers: usize,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
    pub times: Times,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// Source of the random part of election timeouts.
    pub seed: u64,
}

/// What the driver found on disk.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The `quorum-state` file.
    pub election: Option<ElectionState>,
    /// `controller.quorum.voters`; empty when not set.
    pub static_voters: VoterSet,
    pub log: LogView,
    /// Control records of the latest snapshot (at the offset of the last record it contains) and of the log behind it.
    pub control: Vec<(Offset, ControlRecord)>,
}

/// A node of the quorum.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) log: LogView,
    pub(crate) voters: VoterHistory,
    pub(crate) parked: Vec<ParkedFetch>,
    /// Never goes back, whatever happens to leadership.
    high_watermark: Option<Offset>,
    random: Random,
    timer: MonoMs,
    shutting_down: bool,
}

impl Raft {
    /// # Errors
    /// When what lies on disk is inconsistent, or the quorum is not of this node alone.
    pub fn new(config: Config, boot: Boot) -> Result<Self, StartError> {
        let mut voters = VoterHistory::new(boot.static_voters);
        for (offset, record) in &boot.control {
            voters.add(*offset, record);
        }
        check_voters(&config, voters.last().0)?;
        let (level, range) = (voters.kraft_version().0, config.local.kraft_versions);
        if level < range.min || level > range.max {
            let (min, max) = (range.min, range.max);
            return Err(StartError::UnsupportedKRaftVersion { level, min, max });
        }
        check_log(&boot.log)?;
        let random = Random::new(config.seed);
        let election = boot.election.unwrap_or_else(|| ElectionState::initial(voters.last().0));
        let state = initial_state(config.local.key, &election, boot.log.last_epoch());
        let epoch = state.epoch();
        if epoch < 0 {
            return Err(StartError::NegativeEpoch { epoch });
        }
        if epoch == i32::MAX {
            return Err(StartError::EpochExhausted { epoch });
        }
        Ok(Self {
            config,
            state,
            log: boot.log,
            voters,
            parked: Vec::new(),
            high_watermark: None,
            random,
            timer: MonoMs::NEVER,
            shutting_down: false,
        })
    }

    /// Takes one event; what is to be done because of it is appended to `effects`, to be executed in order.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Effects) {
        let before = invariants::Summary::of(self);
        match event {
            Event::Start => self.on_start(effects),
            Event::Tick => self.on_tick(now, effects),
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
            }
            Event::Vote { reply, request } => {
                let body = Reply::Vote(self.on_vote(now, &request, effects));
                effects.push(Effect::Reply { reply, body });
            }
            Event::BeginQuorumEpoch { reply, request } => {
                let body = Reply::BeginQuorumEpoch(self.on_begin_epoch(&request));
                effects.push(Effect::Reply { reply, body });
            }
            Event::EndQuorumEpoch { reply, request } => {
                let body = Reply::EndQuorumEpoch(self.on_end_epoch(&request));
                effects.push(Effect::Reply { reply, body });
            }
            Event::Fetch { reply, request } => self.on_fetch(now, reply, request, effects),
            Event::FetchSnapshot { reply, request } => {
                let body = Reply::FetchSnapshot(self.on_fetch_snapshot(&request));
                effects.push(Effect::Reply { reply, body });
            }
            Event::DescribeQuorum { reply } => self.on_describe(now, reply, effects),
            // Of a sole voter's effects none is answered by these.
            Event::Response { .. }
            | Event::SnapshotInstalled { .. }
            | Event::SnapshotRefused { .. } => {}
            Event::AddVoter { reply, .. } => {
                let body = Reply::AddVoter(Err(self.unsupported_change()));
                effects.push(Effect::Reply { reply, body });
            }
            Event::RemoveVoter { reply, .. } => {
                let body = Reply::RemoveVoter(Err(self.unsupported_change()));
                effects.push(Effect::Reply { reply, body });
            }
            Event::UpdateVoter { reply, .. } => {
                let body = Reply::UpdateVoter(self.answer(Some(RaftError::UnsupportedVersion)));
                effects.push(Effect::Reply { reply, body });
            }
            Event::UpgradeKRaftVersion { reply, .. } => {
                let body = Reply::UpgradeKRaftVersion(Err(self.unsupported_change()));
                effects.push(Effect::Reply { reply, body });
            }
            Event::Resign { epoch } => {
                if self.is_leader() && epoch == self.epoch() {
                    let next = self.epoch().saturating_add(1);
                    self.become_unattached(now, next, effects);
                }
            }
            Event::Shutdown => self.on_shutdown(now, effects),
        }
        self.update_timer(effects);
        let after = invariants::Summary::of(self);
        if let Err(violation) = invariants::check_step(&before, &after) {
            panic!("consensus would break its promise: {violation}");
        }
    }

    pub fn epoch(&self) -> i32 {
        self.state.epoch()
    }

    pub fn leader(&self) -> Option<NodeId> {
        self.state.leader(self.local_id())
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// All records before this are committed; `None` before the first commit of this process.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
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

    fn unsupported_change(&self) -> Refusal {
        Refusal { error: RaftError::UnsupportedVersion, message: None }
    }

    fn on_start(&mut self, effects: &mut Effects) {
        if matches!(self.state, State::Candidate(_)) {
            // It crashed between its vote and its victory; nothing was written in that epoch.
            self.save(effects);
            self.become_leader(effects);
        } else {
            self.save(effects);
            self.become_candidate(effects);
        }
    }

    fn on_tick(&mut self, now: Now, effects: &mut Effects) {
        if now.mono >= self.state.election_at() {
            if let State::Resigned(resigned) = &self.state {
                let epoch = resigned.epoch.saturating_add(1);
                self.state = State::Unattached(Unattached {
                    epoch,
                    leader: None,
                    voted: None,
                    election_at: now.mono,
                });
                self.save(effects);
            }
            self.become_candidate(effects);
        }
        self.expire_parked(now, effects);
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
                leader.epoch == epoch && leader.high_watermark.is_some() && !self.shutting_down
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
        assert!(end <= self.log.end, "the driver flushed more than there is");
        self.log.flushed = self.log.flushed.max(end);
        let flushed = self.log.flushed;
        let State::Leader(leader) = &mut self.state else { return };
        let first = leader.high_watermark.is_none();
        if !leader.update_high_watermark(flushed) {
            return;
        }
        let (epoch, start) = (leader.epoch, leader.start);
        self.high_watermark = Some(flushed);
        effects.push(Effect::CommitAdvanced { high_watermark: flushed });
        if first {
            effects.push(Effect::BecameLeader { epoch, start });
        }
        self.wake_parked(now, effects);
    }

    fn on_shutdown(&mut self, now: Now, effects: &mut Effects) {
        self.shutting_down = true;
        if let State::Leader(leader) = &self.state {
            let epoch = leader.epoch;
            self.state = State::Resigned(Resigned { epoch, election_at: MonoMs::NEVER });
            effects.push(Effect::Resigned { epoch });
        }
        self.wake_parked(now, effects);
    }

    fn on_describe(&mut self, now: Now, reply: ReplyId, effects: &mut Effects) {
        let (local, end) = (self.config.local.key, self.log.end);
        let answer = match &mut self.state {
            State::Leader(leader) => Ok(crate::Describe {
                leader: local.id,
                epoch: leader.epoch,
                high_watermark: leader.high_watermark.unwrap_or(Offset::NONE),
                voters: leader.voters_progress(now, local, end),
                observers: leader.observers_progress(now),
            }),
            _ => Err(RaftError::NotLeaderOrFollower),
        };
        effects.push(Effect::Reply { reply, body: Reply::DescribeQuorum(answer) });
    }

    /// Gives up any role in an older epoch and waits for an election timeout, as Kafka does when it hears of `epoch`.
    pub(crate) fn become_unattached(&mut self, now: Now, epoch: i32, effects: &mut Effects) {
        assert!(epoch > self.epoch(), "a node never goes back to an older epoch");
        let old_deadline = self.state.election_at();
        if let State::Leader(leader) = &self.state {
            effects.push(Effect::Resigned { epoch: leader.epoch });
        }
        let election_at = if old_deadline == MonoMs::NEVER {
            now.mono.plus_ms(self.random.election_timeout_ms(self.config.times.election_timeout_ms))
        } else {
            old_deadline
        };
        self.state =
            State::Unattached(Unattached { epoch, leader: None, voted: None, election_at });
        self.save(effects);
        self.wake_parked(now, effects);
    }

    /// Gives this node's vote of the current epoch, durably before the answer leaves.
    pub(crate) fn record_vote(&mut self, now: Now, candidate: ReplicaKey, effects: &mut Effects) {
        let timeout = self.random.election_timeout_ms(self.config.times.election_timeout_ms);
        if let State::Unattached(state) = &mut self.state
            && state.voted.is_none()
        {
            state.voted = Some(candidate);
            state.election_at = now.mono.plus_ms(timeout);
            self.save(effects);
        }
    }

    fn become_candidate(&mut self, effects: &mut Effects) {
        if self.shutting_down {
            return;
        }
        // Epochs from disk are checked at start, those from the network in the handlers.
        let Some(epoch) = self.epoch().checked_add(1) else { return };
        self.state = State::Candidate(Candidate { epoch, voted: self.config.local.key });
        self.save(effects);
        self.become_leader(effects);
    }

    fn become_leader(&mut self, effects: &mut Effects) {
        let State::Candidate(candidate) = &self.state else { return };
        let epoch = candidate.epoch;
        let (set, set_offset) = self.voters.last();
        let (set, version) = (set.clone(), self.voters.kraft_version());
        assert!(set.is_only_voter(self.config.local.key), "one vote elects only a sole voter");
        let mut records = vec![ControlRecord::LeaderChange {
            leader: self.local_id(),
            voters: set.ids(),
            granting: set.ids(),
        }];
        let local_changed = set.get(self.local_id()) != Some(&self.config.local);
        // A voter set that only the formatter's snapshot holds, or that names an old address, goes into the log now.
        if version.is_dynamic() && (set_offset.is_none_or(|at| at < Offset::ZERO) || local_changed)
        {
            records.push(ControlRecord::KRaftVersion(version));
            records.push(ControlRecord::Voters(set.updated(self.config.local.clone())));
        }
        let base = self.log.append(epoch, records.len() as i64);
        for (index, record) in records.iter().enumerate() {
            self.voters.add(base.plus(index as i64), record);
        }
        self.state = State::Leader(Leader::new(epoch, base, self.voters.last().0.clone()));
        self.save(effects);
        effects.push(Effect::AppendControl { base, epoch, records });
        effects.push(Effect::Flush { end: self.log.end });
    }

    fn save(&self, effects: &mut Effects) {
        let state = ElectionState {
            epoch: self.state.epoch(),
            leader: self.state.leader(self.local_id()),
            voted: self.state.voted(),
            voters: self.voters.last().0.ids(),
        };
        effects.push(Effect::SaveQuorumState {
            state,
            version: self.voters.kraft_version().quorum_state_version(),
        });
    }

    fn update_timer(&mut self, effects: &mut Effects) {
        let parked =
            self.parked.iter().map(|parked| parked.deadline).min().unwrap_or(MonoMs::NEVER);
        let at = self.state.election_at().min(parked);
        if at != self.timer {
            self.timer = at;
            effects.push(Effect::SetTimer { at });
        }
    }
}

fn check_voters(config: &Config, voters: &VoterSet) -> Result<(), StartError> {
    if voters.is_empty() {
        return Err(StartError::NoVoters);
    }
    let local = config.local.key;
    if !voters.is_only_voter(local) {
        return Err(StartError::NotTheOnlyVoter {
            local: local.id,
            directory: local.directory_id.unwrap_or_default(),
            voters: voters.ids(),
        });
    }
    Ok(())
}

fn check_log(log: &LogView) -> Result<(), StartError> {
    let latest = log.latest_snapshot();
    if log.start > Offset::ZERO && latest.is_none_or(|id| id.offset < log.start) {
        return Err(StartError::SnapshotMissing { log_start: log.start.get(), latest });
    }
    Ok(())
}

/// Kafka's rules for the state after a restart.
fn initial_state(local: ReplicaKey, election: &ElectionState, log_epoch: i32) -> State {
    let unattached = |epoch, leader, voted| {
        State::Unattached(Unattached { epoch, leader, voted, election_at: MonoMs::NEVER })
    };
    if election.epoch < log_epoch {
        unattached(log_epoch, None, None)
    } else if election.leader == Some(local.id) {
        State::Resigned(Resigned { epoch: election.epoch, election_at: MonoMs::NEVER })
    } else if election.voted_for(local) {
        State::Candidate(Candidate { epoch: election.epoch, voted: local })
    } else {
        unattached(election.epoch, election.leader, election.voted)
    }
}
