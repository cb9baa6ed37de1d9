//! The quorum's thread: takes requests, lets consensus and the controller decide, does what they ask for.
//!
//! Decide, append, commit, tell: all requests that wait are handled and appended one after the other, made durable by
//! one flush, then committed, published and answered. Nothing is told before it is committed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::machine::ReplyId;
use base::{LeaderEpoch, MonoMs, Offset};
use kraft::{BatchId, Effect, Effects, Event, Raft, RequestId};
use metadata::{Image, Loader};
use protocol::metadata_records::MetadataRecord;
use tokio::sync::watch;

use super::batches::Chunk;
use super::commit::{Pending, Uncommitted};
use super::follow::Arrived;
use super::handle::{Answer, Command, QuorumStatus, SubmitError};
use super::log::MetadataLog;
use super::machine::{At, Machine};
use super::publishing::Publishing;
use super::reply::Asked;
use super::send::Network;
use super::snapshots::Snapshots;
use super::upgrade::Upgrade;
use super::{QuorumConfig, QuorumError};
use crate::clock::Clock;
use crate::peers::Address;

/// Commands taken before the log is flushed, so that one flush serves many and none waits long.
const COMMANDS_PER_FLUSH: usize = 500;
/// The thread looks around at least this often.
const WAIT_MS_MAX: u64 = 60_000;

/// Everything the thread owns.
pub(super) struct Driver<M: Machine> {
    pub(super) config: QuorumConfig,
    pub(super) clock: Clock,
    pub(super) raft: Raft,
    pub(super) log: MetadataLog,
    pub(super) machine: M,
    /// The committed state.
    pub(super) loader: Loader,
    pub(super) publishing: Publishing,
    pub(super) status: watch::Sender<QuorumStatus>,
    pub(super) commands: Sender<Command<M::Request, M::Reply>>,
    /// Feature levels and more from formatting, for an empty log.
    pub(super) bootstrap: Vec<MetadataRecord<'static>>,
    /// Offset of the next record to be replayed into the committed state.
    pub(super) next_commit: Offset,
    pub(super) uncommitted: Uncommitted,
    pub(super) pending: Pending<M::Reply>,
    pub(super) snapshots: Snapshots,
    pub(super) timers: BTreeMap<M::Timer, MonoMs>,
    /// The batch that consensus is asked to place right now.
    pub(super) proposed: Option<Chunk>,
    pub(super) asked: HashMap<ReplyId, Asked>,
    pub(super) network: Option<Network>,
    pub(super) arrived: Arrived,
    /// The leader's newest records were no good.
    pub(super) refused: Arc<AtomicBool>,
    /// Where the leader listens, once it is known.
    pub(super) leader_address: Option<Address>,
    next_id: u64,
    /// End of what a flush was asked for.
    flush_to: Option<Offset>,
    raft_timer: MonoMs,
    noop_at: MonoMs,
    clean_at: MonoMs,
    /// The epoch in which the machine is active.
    pub(super) active: Option<i32>,
    /// Consensus says that this node leads; the machine is to be told once all effects are executed.
    elected: Option<i32>,
    /// What is to be told to consensus when the effects at hand are executed.
    pub(super) later: VecDeque<Event>,
    /// Goodbyes of a leader that stops, on their way to the other voters.
    pub(super) farewells: HashSet<RequestId>,
    /// Requests that wait for consensus to raise `kraft.version`.
    pub(super) upgrades: Vec<Upgrade<M>>,
    /// The level of `kraft.version` that the machine knows.
    pub(super) kraft_version: i16,
    shutdown: Option<Answer<()>>,
    /// The stop does not wait longer for the goodbyes.
    stop_at: MonoMs,
}

/// What [`Driver::new`] is made of.
pub(super) struct Parts<M: Machine> {
    pub(super) config: QuorumConfig,
    pub(super) clock: Clock,
    pub(super) raft: Raft,
    pub(super) log: MetadataLog,
    pub(super) machine: M,
    pub(super) loader: Loader,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) status: watch::Sender<QuorumStatus>,
    pub(super) commands: Sender<Command<M::Request, M::Reply>>,
    pub(super) bootstrap: Vec<MetadataRecord<'static>>,
    pub(super) next_commit: Offset,
    pub(super) network: Option<Network>,
}

impl<M: Machine> Driver<M> {
    pub(super) fn new(parts: Parts<M>) -> Self {
        let now = parts.clock.mono();
        Self {
            snapshots: Snapshots::new(now),
            clean_at: now.plus_ms(parts.config.clean_interval_ms),
            config: parts.config,
            clock: parts.clock,
            raft: parts.raft,
            log: parts.log,
            machine: parts.machine,
            loader: parts.loader,
            publishing: Publishing::new(parts.image),
            status: parts.status,
            commands: parts.commands,
            bootstrap: parts.bootstrap,
            next_commit: parts.next_commit,
            uncommitted: Uncommitted::default(),
            pending: Pending::default(),
            timers: BTreeMap::new(),
            proposed: None,
            asked: HashMap::new(),
            network: parts.network,
            arrived: Arrived::default(),
            refused: Arc::default(),
            leader_address: None,
            next_id: 0,
            flush_to: None,
            raft_timer: MonoMs::NEVER,
            noop_at: MonoMs::NEVER,
            active: None,
            elected: None,
            later: VecDeque::new(),
            farewells: HashSet::new(),
            upgrades: Vec::new(),
            kraft_version: 0,
            shutdown: None,
            stop_at: MonoMs::NEVER,
        }
    }

    /// Elects itself; returns when all that the log holds is committed.
    pub(super) fn start(&mut self) -> Result<(), QuorumError> {
        self.event(Event::Start)?;
        self.flush_and_commit()
    }

    /// Runs until it is told to stop, or fails.
    pub(super) fn run(mut self, commands: &Receiver<Command<M::Request, M::Reply>>) {
        // A broken promise of consensus is a panic: the node must learn of it like of any other failure.
        let served = catch_unwind(AssertUnwindSafe(|| self.serve(commands)));
        let failure = match served {
            Ok(result) => result.err().map(|error| error.to_string()),
            Err(_) => Some("the thread of the metadata quorum has panicked".to_owned()),
        };
        if let Some(error) = &failure {
            tracing::error!(error, "the metadata quorum has failed");
        }
        self.pending.fail_after(Offset::NONE, &SubmitError::Stopped);
        self.asked.clear();
        self.status.send_modify(|status| {
            status.active = false;
            status.stopped = true;
            status.failure = failure;
        });
        if let Some(done) = self.shutdown.take() {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
    }

    fn serve(
        &mut self,
        commands: &Receiver<Command<M::Request, M::Reply>>,
    ) -> Result<(), QuorumError> {
        loop {
            match commands.recv_timeout(self.time_to_next()) {
                Ok(command) => self.command(command)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            for _ in 1..COMMANDS_PER_FLUSH {
                match commands.try_recv() {
                    Ok(command) => self.command(command)?,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.run_timers()?;
            self.flush_and_commit()?;
            let goodbye = self.farewells.is_empty() || self.stop_at <= self.clock.mono();
            if self.shutdown.is_some() && goodbye {
                return self.close();
            }
        }
    }

    fn time_to_next(&self) -> Duration {
        let machine = self.timers.values().copied().min().unwrap_or(MonoMs::NEVER);
        let next = self.raft_timer.min(self.noop_at).min(self.clean_at).min(machine);
        let next = next.min(self.stop_at);
        Duration::from_millis(next.since(self.clock.mono()).min(WAIT_MS_MAX))
    }

    fn command(&mut self, command: Command<M::Request, M::Reply>) -> Result<(), QuorumError> {
        match command {
            Command::Controller { request, answer, permit } => {
                self.take_request(request, (answer, permit))
            }
            Command::Quorum { request, asker, answer, permit } => {
                self.asked_by_another(request, asker, answer, permit)
            }
            Command::Heard { id, result } => self.heard(id, result),
            Command::AddPublisher { publisher, done } => {
                self.publishing.introduce(publisher, self.loader.image().clone(), done);
                Ok(())
            }
            Command::Published { end: Some(end) } => {
                self.publishing.told(end);
                Ok(())
            }
            Command::Published { end: None } => Err(QuorumError::Publishing),
            Command::SnapshotWritten { id, result } => self.snapshot_written(id, result),
            Command::Resign if self.raft.is_leader() && !self.raft.may_stop() => {
                // Who asked before is answered.
                self.flush_and_commit()?;
                self.event(Event::Resign { epoch: self.raft.epoch() })
            }
            Command::Resign => Ok(()),
            Command::Shutdown { done } => {
                self.shutdown = Some(done);
                self.stop_at = self.clock.mono().plus_ms(self.config.times.request_timeout_ms);
                // Who asked before is answered.
                self.flush_and_commit()?;
                self.event(Event::Shutdown)
            }
        }
    }

    fn run_timers(&mut self) -> Result<(), QuorumError> {
        let now = self.clock.mono();
        if self.raft_timer <= now {
            self.raft_timer = MonoMs::NEVER;
            self.event(Event::Tick)?;
        }
        if self.clean_at <= now {
            self.clean_at = now.plus_ms(self.config.clean_interval_ms);
            self.clean()?;
        }
        if self.active.is_none() {
            return Ok(());
        }
        if self.noop_at <= now {
            self.noop_at = now.plus_ms(self.config.idle_interval_ms);
            self.append_noop()?;
        }
        for (timer, _) in self.timers.extract_if(.., |_, at| *at <= now).collect::<Vec<_>>() {
            if self.active.is_none() {
                break;
            }
            let decided = self.decide(|machine, at, random| machine.on_timer(at, timer, random))?;
            if let Some(decision) = decided {
                self.carry_out(decision, None)?;
            }
        }
        Ok(())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Where the next decision of the machine stands.
    pub(super) fn at(&self) -> At {
        At { now: self.clock.now(), next_offset: self.raft.log().end }
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Lets consensus take an event and executes what it asks for, in order.
    pub(super) fn event(&mut self, event: Event) -> Result<(), QuorumError> {
        let mut next = Some(event);
        while let Some(event) = next {
            let mut effects = Effects::new();
            self.raft.step(self.clock.now(), event, &mut effects);
            for effect in effects {
                self.execute(effect)?;
            }
            self.log.drop_abandoned(self.raft.fetching_snapshot())?;
            self.note_kraft_version();
            next = self.later.pop_front();
        }
        Ok(())
    }

    fn execute(&mut self, effect: Effect) -> Result<(), QuorumError> {
        let now = self.clock.now();
        match effect {
            Effect::SaveQuorumState { state, version } => self.log.save_state(&state, version)?,
            Effect::AppendControl { base, epoch, records } => {
                self.log.append_control(base, LeaderEpoch(epoch), &records, now)?;
            }
            Effect::Append { batch, base, epoch } => self.append_proposed(batch, base, epoch)?,
            Effect::Rejected { batch } => {
                tracing::warn!(batch = batch.0, "consensus takes no records: this node steps down");
            }
            Effect::Flush { end } => self.flush_to = Some(end),
            Effect::CommitAdvanced { high_watermark } => self.commit(high_watermark)?,
            Effect::BecameLeader { epoch, start } => {
                tracing::info!(epoch, %start, "this node is the active controller");
                self.elected = Some(epoch);
            }
            Effect::Resigned { epoch } => self.resigned(epoch),
            Effect::SetTimer { at } => self.raft_timer = at,
            Effect::Reply { reply, body } => self.reply(reply, body)?,
            Effect::LeaderChanged { epoch, leader, endpoints } => {
                self.leader_changed(epoch, leader, &endpoints);
            }
            Effect::AppendFetched { data, until } => self.append_fetched(data, until)?,
            Effect::DropFetched { data } => drop(self.arrived.take(data)),
            Effect::Truncate { end } => self.truncate(end)?,
            Effect::WriteSnapshot { id, position, data } => {
                self.write_snapshot(id, position, data)?;
            }
            Effect::InstallSnapshot { id } => self.install_snapshot(id)?,
            Effect::Send { id, to, request } => self.send(id, &to, request),
        }
        Ok(())
    }

    /// One flush for all appends since the last one; what that commits may ask for more.
    fn flush_and_commit(&mut self) -> Result<(), QuorumError> {
        loop {
            if self.flush_to.take().is_some() {
                let end = self.log.flush(self.clock.now())?;
                self.event(Event::Flushed { end })?;
            } else if let Some(epoch) = self.elected.take() {
                self.activate(epoch)?;
            } else if !self.finish_upgrade()? {
                break;
            }
        }
        self.pending.release(self.publishing.reached(self.next_commit));
        Ok(())
    }

    fn activate(&mut self, epoch: i32) -> Result<(), QuorumError> {
        self.active = Some(epoch);
        if self.config.idle_interval_ms > 0 {
            self.noop_at = self.clock.mono().plus_ms(self.config.idle_interval_ms);
        }
        self.update_status();
        let bootstrap = self.bootstrap.clone();
        let decision = self.machine.activate(self.at(), bootstrap);
        self.carry_out(decision, None)
    }

    fn resigned(&mut self, epoch: i32) {
        tracing::info!(epoch, "this node is no longer the active controller");
        (self.active, self.elected) = (None, None);
        self.noop_at = MonoMs::NEVER;
        self.timers.clear();
        // What is committed stays true, and is answered when it is published.
        self.pending.fail_after(self.next_commit, &SubmitError::NotController);
        // What was appended stays in the log until the next leader commits or cuts it: it is read from there.
        self.uncommitted.clear();
        self.machine.resign(self.loader.committed(self.last_committed()));
        self.update_status();
    }

    /// Asks consensus for a place in the log. Whether there was one: a batch that is not taken is still here afterwards.
    pub(super) fn propose(&mut self, chunk: Chunk, epoch: i32) -> Result<bool, QuorumError> {
        let batch = BatchId(self.fresh_id());
        let records = u32::try_from(chunk.values.len()).unwrap_or(u32::MAX);
        self.proposed = Some(chunk);
        self.event(Event::Propose { batch, epoch, records })?;
        Ok(self.proposed.take().is_none())
    }

    fn close(&mut self) -> Result<(), QuorumError> {
        if self.shutdown.is_none() {
            self.event(Event::Shutdown)?;
        }
        self.flush_and_commit()?;
        self.publishing.finish();
        self.pending.release(self.next_commit);
        self.snapshots.wait();
        self.log.close(self.clock.now())
    }
}
