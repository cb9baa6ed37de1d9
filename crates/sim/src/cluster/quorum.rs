//! A node's part in the metadata quorum: consensus with its log, as the broker's quorum thread drives it.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::machine::ReplyId;
use base::{MonoMs, NodeId, Offset, Uuid};
use controller::Controller;
use kraft::{
    BatchId, Config, ControlRecord, DataId, Destination, Effect, Endpoint, Event, Raft, ReplicaKey,
    RequestId, SnapshotId, Times, VersionRange, Voter, VoterSet,
};
use metadata::{Image, Loader, Provenance, Update};
use protocol::metadata_records::MetadataRecord;

use super::active::Active;
use super::context::{Context, Out, Timer};
use super::message::{Ask, CallId, Purpose};
use super::meta_log::{Batch, Data, MetaLog, SnapshotFile};
use super::node::PORT;
use super::tamper::Tamper;

pub(super) const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
pub(super) const LISTENER: &str = "CONTROLLER";

pub(super) type Done = Result<(), String>;

/// What the driver keeps of an answer until consensus says what to do with it.
pub(super) enum Kept {
    Batches(Vec<Batch>),
    Piece { len: u64, file: Rc<SnapshotFile> },
}

pub(super) struct Quorum {
    pub raft: Raft,
    pub loader: Loader,
    /// Of a node with the role `controller`.
    pub controller: Option<Controller>,
    pub active: Option<Active>,
    pub bootstrap: Vec<MetadataRecord<'static>>,
    /// Offset of the next record to be replayed into the committed state.
    pub next_commit: Offset,
    /// What the leader of the quorum is, as far as this node knows.
    pub leader: Option<NodeId>,
    /// For the broker beside, in the order of the log.
    pub updates: Vec<Update>,
    pub asked: BTreeMap<ReplyId, CallId>,
    pub kept: BTreeMap<DataId, Kept>,
    pub proposed: Option<Vec<MetadataRecord<'static>>>,
    bootstrap_servers: Vec<NodeId>,
    request_timeout_ms: u64,
    pub elected: Option<i32>,
    flush_to: Option<Offset>,
    flushing: bool,
    raft_timer: MonoMs,
    next_id: u64,
}

/// What a node is started with.
pub(super) struct Start {
    pub local: Voter,
    pub can_be_voter: bool,
    pub auto_join: bool,
    pub static_voters: VoterSet,
    pub bootstrap_servers: Vec<NodeId>,
    pub seed: u64,
    pub controller: Option<controller::Settings>,
}

/// The address of a node's controller listener says which node it is.
pub(super) fn voter(id: NodeId, port: u16, directory: Option<Uuid>) -> Voter {
    Voter {
        key: ReplicaKey { id, directory_id: directory },
        endpoints: vec![Endpoint { name: LISTENER.into(), host: format!("n{id}"), port }],
        kraft_versions: VersionRange { min: 0, max: 1 },
    }
}

/// Who listens there, if anybody still does.
fn node_at(cx: &Context<'_>, endpoints: &[Endpoint]) -> Option<NodeId> {
    let mut ids = endpoints.iter().filter_map(|at| {
        let id = at.host.strip_prefix('n')?.parse().ok().map(NodeId)?;
        (cx.ports.get(&id).copied().unwrap_or(PORT) == at.port).then_some(id)
    });
    ids.next()
}

impl Quorum {
    pub fn start(log: &mut MetaLog, start: Start) -> Result<Self, String> {
        let times = Times::default();
        let config = Config {
            cluster_id: CLUSTER_ID.to_owned(),
            local: start.local,
            can_be_voter: start.can_be_voter,
            bootstrap_servers: start.bootstrap_servers.len(),
            auto_join: start.auto_join,
            times,
            fetch_max_bytes: 1_000,
            fetch_snapshot_max_bytes: 40,
            seed: start.seed,
        };
        let boot = log.boot(start.static_voters);
        let raft = Raft::new(config, boot).map_err(|error| error.to_string())?;
        let mut loader = Loader::default();
        let mut next_commit = log.start();
        let mut bootstrap = Vec::new();
        match log.snapshots.last_key_value() {
            Some((&SnapshotId::BOOTSTRAP, file)) => bootstrap.clone_from(&file.bootstrap),
            Some((id, file)) => {
                loader = Loader::new(at_snapshot(*id, &file.image));
                next_commit = id.offset;
            }
            None => {}
        }
        let image = loader.image().clone();
        let controller = start.controller.map(|mut settings| {
            settings.kraft_version = raft.voters().kraft_version().0;
            Controller::new(settings, image)
        });
        Ok(Self {
            raft,
            loader,
            controller,
            active: None,
            bootstrap,
            next_commit,
            leader: None,
            updates: Vec::new(),
            asked: BTreeMap::new(),
            kept: BTreeMap::new(),
            proposed: None,
            bootstrap_servers: start.bootstrap_servers,
            request_timeout_ms: times.request_timeout_ms,
            elected: None,
            flush_to: None,
            flushing: false,
            raft_timer: MonoMs::NEVER,
            next_id: 0,
        })
    }

    pub fn image(&self) -> &Image {
        self.loader.image()
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn on_raft_timer(&mut self, cx: &mut Context<'_>, log: &mut MetaLog) -> Done {
        if self.raft_timer > cx.now.mono {
            return Ok(());
        }
        self.raft_timer = MonoMs::NEVER;
        self.event(cx, log, Event::Tick)
    }

    /// The disk is done; what was appended meanwhile is flushed with the rest.
    pub fn on_flushed(&mut self, cx: &mut Context<'_>, log: &mut MetaLog) -> Done {
        self.flushing = false;
        if self.flush_to.take().is_none() {
            return Ok(());
        }
        let end = if cx.is(Tamper::MetadataNotFlushed) { log.end() } else { log.flush() };
        self.event(cx, log, Event::Flushed { end })
    }

    /// Lets consensus take an event and executes what it asks for, in order.
    pub fn event(&mut self, cx: &mut Context<'_>, log: &mut MetaLog, event: Event) -> Done {
        let mut effects = Vec::new();
        self.raft.step(cx.now, event, &mut effects);
        for effect in effects {
            if !cx.lives_on() {
                return Ok(());
            }
            self.execute(cx, log, effect)?;
        }
        self.leader = self.raft.leader();
        // One flush for all that was appended; later events may still join it.
        if self.flush_to.is_some() && !self.flushing {
            self.flushing = true;
            cx.timer(cx.now.mono.plus_ms(cx.disk_ms), Timer::MetadataFlushed);
        }
        match self.elected.take() {
            Some(epoch) => self.activate(cx, log, epoch),
            None => Ok(()),
        }
    }

    fn execute(&mut self, cx: &mut Context<'_>, log: &mut MetaLog, effect: Effect) -> Done {
        match effect {
            Effect::SaveQuorumState { mut state, .. } => {
                if cx.is(Tamper::VoteForgotten) {
                    state.voted = None;
                }
                log.quorum_state = Some(state);
            }
            Effect::AppendControl { base, epoch, records } => {
                log.append(Batch::new(base, epoch, Data::Control(records)))?;
            }
            Effect::Append { base, epoch, .. } => self.append_proposed(log, base, epoch)?,
            Effect::Rejected { .. } => {
                self.proposed = None;
                if self.active.is_some() {
                    return Err("the records of an active controller are rejected".to_owned());
                }
            }
            Effect::AppendFetched { data, until } => {
                let Some(Kept::Batches(batches)) = self.kept.remove(&data) else {
                    return Err(format!("{data:?} holds no batches"));
                };
                for batch in batches.into_iter().filter(|batch| batch.base < until) {
                    log.append(batch)?;
                }
            }
            Effect::DropFetched { data } => drop(self.kept.remove(&data)),
            Effect::Truncate { end } => {
                cx.note(|| format!("truncates the metadata log from {} to {end}", log.end()));
                log.truncate(end)?;
            }
            Effect::WriteSnapshot { id, position, data } => {
                let Some(Kept::Piece { len, file }) = self.kept.remove(&data) else {
                    return Err(format!("{data:?} holds no piece of a snapshot"));
                };
                log.write_part(id, position, len, file)?;
            }
            Effect::InstallSnapshot { id } => self.install(cx, log, id)?,
            Effect::Send { id, to, request } => self.send(cx, id, &to, request),
            Effect::LeaderChanged { epoch, leader, .. } => {
                cx.note(|| format!("knows leader {leader:?} of epoch {epoch}"));
            }
            Effect::Flush { end } => {
                if end > log.end() {
                    return Err(format!("is to flush to {end}, the log ends at {}", log.end()));
                }
                self.flush_to = Some(end);
            }
            Effect::CommitAdvanced { high_watermark } => {
                let from = self.next_commit;
                self.commit(cx, log, high_watermark)?;
                cx.wish(Out::MetadataCommitted { from, end: high_watermark });
            }
            Effect::BecameLeader { epoch, .. } => {
                self.elected = Some(epoch);
                cx.wish(Out::Elected { epoch });
            }
            Effect::Resigned { epoch } => self.resigned(cx, epoch),
            Effect::SetTimer { at } => {
                self.raft_timer = at;
                cx.timer(at, Timer::Raft);
            }
            Effect::Reply { reply, body } => self.reply(cx, log, reply, body)?,
        }
        Ok(())
    }

    fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: RequestId,
        to: &Destination,
        request: kraft::Request,
    ) {
        let known = match to {
            Destination::Node { endpoints, .. } => node_at(cx, endpoints),
            Destination::Bootstrap(index) => self.bootstrap_servers.get(*index).copied(),
        };
        // An address where nobody is: the call fails like any other.
        let to = known.unwrap_or(NodeId(i32::MAX));
        let timeout_ms = self.request_timeout_ms;
        cx.call(to, Purpose::Raft(id), Ask::Raft(request), timeout_ms);
    }

    fn install(&mut self, cx: &mut Context<'_>, log: &mut MetaLog, id: SnapshotId) -> Done {
        let file = log.install(id)?;
        cx.note(|| format!("installs the snapshot {id:?}"));
        let control: Vec<ControlRecord> = file.control.clone();
        let after = at_snapshot(id, &file.image);
        let delta = metadata::Delta::between(self.image(), &after);
        let before = self.image().clone();
        self.loader = Loader::new(after.clone());
        self.next_commit = id.offset;
        if let Some(controller) = &mut self.controller {
            controller.reset(after.clone());
        }
        self.updates.push(Update { before, after, delta });
        self.event(cx, log, Event::SnapshotInstalled { id, control })
    }

    /// Writes a snapshot of what is committed, if consensus allows one now.
    pub fn snapshot(&mut self, cx: &mut Context<'_>, log: &mut MetaLog) -> Done {
        let provenance = self.image().provenance;
        let id = SnapshotId {
            epoch: provenance.epoch.get(),
            offset: Offset(provenance.offset.get() + 1),
        };
        let fits = id.offset == self.next_commit && !self.loader.in_transaction();
        if !fits || !self.raft.may_snapshot(id) {
            return Ok(());
        }
        let voters = self.raft.voters();
        let mut control = vec![ControlRecord::KRaftVersion(voters.kraft_version_before(id.offset))];
        control.extend(voters.voters_before(id.offset).cloned().map(ControlRecord::Voters));
        let file = SnapshotFile { image: self.image().clone(), control, bootstrap: Vec::new() };
        log.snapshots.insert(id, Rc::new(file));
        cx.note(|| format!("writes the snapshot {id:?}"));
        self.event(cx, log, Event::SnapshotWritten { id })
    }

    /// Drops all snapshots but the newest, and the log before it.
    pub fn clean(&mut self, cx: &mut Context<'_>, log: &mut MetaLog) -> Done {
        let Some(oldest) = log.snapshots.last_key_value().map(|(id, _)| *id) else { return Ok(()) };
        if oldest.offset <= log.start() {
            return Ok(());
        }
        log.clean(oldest);
        let start = log.start();
        cx.note(|| format!("cleans the metadata log before {start}"));
        self.event(cx, log, Event::Cleaned { start, oldest })
    }

    pub fn propose(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut MetaLog,
        records: Vec<MetadataRecord<'static>>,
        epoch: i32,
    ) -> Done {
        let batch = BatchId(self.fresh_id());
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        self.proposed = Some(records);
        self.event(cx, log, Event::Propose { batch, epoch, records: count })
    }

    fn append_proposed(&mut self, log: &mut MetaLog, base: Offset, epoch: i32) -> Done {
        let records = self.proposed.take().ok_or("nothing is proposed")?;
        if let Some(controller) = &mut self.controller {
            for (index, record) in records.iter().enumerate() {
                let offset = base.plus(index as i64);
                controller.replay(record, offset).map_err(|error| error.to_string())?;
            }
        }
        log.append(Batch::new(base, epoch, Data::Records(records)))
    }

    /// Everything before `high_watermark` is committed: replay it, publish it.
    fn commit(&mut self, cx: &mut Context<'_>, log: &mut MetaLog, high_watermark: Offset) -> Done {
        let is_follower = self.active.is_none();
        for batch in log.read(self.next_commit, high_watermark) {
            if let Data::Records(records) = &*batch.data {
                for (offset, record) in (batch.base.get()..).map(Offset).zip(records) {
                    self.loader.replay(record).map_err(|error| error.to_string())?;
                    if let Some(controller) = self.controller.as_mut().filter(|_| is_follower) {
                        controller.replay(record, offset).map_err(|error| error.to_string())?;
                    }
                }
            }
            self.next_commit = batch.next;
            let provenance = Provenance {
                offset: Offset(batch.next.get() - 1),
                epoch: base::LeaderEpoch(batch.epoch),
                time: cx.now.wall,
            };
            self.updates.extend(self.loader.publish(provenance));
        }
        if self.next_commit != high_watermark {
            return Err(format!("commits {high_watermark}, the log goes to {}", self.next_commit));
        }
        self.release(cx);
        Ok(())
    }
}

fn at_snapshot(id: SnapshotId, image: &Image) -> Image {
    let mut image = image.clone();
    image.provenance.offset = Offset(id.offset.get() - 1);
    image.provenance.epoch = base::LeaderEpoch(id.epoch);
    image
}
