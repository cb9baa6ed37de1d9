//! The broker that lives a script, on a log of one partition.

use std::sync::Arc;

use base::{BrokerEpoch, LeaderEpoch, Offset, WallMs};
use records::{AppendOrigin, BatchBuilder, Compression, EndTxnMarker};
use simdisk::SimDisk;
use storage::dirs::{LogEntry, LogManager};
use storage::log::ActiveProducer;
use storage::{Disk, Log};

use crate::common::{self, NOW, Producer, client_batch, idempotent, prepared, transactional};
use crate::compacted::rows;
use crate::reference::{Batch, State, batch};
use crate::script::{Record, Step, Told};
use crate::world::{World, partition};

/// Of compacted logs: how many keys there are.
const KEYS: i64 = 5;

pub struct Life {
    disk: Arc<dyn Disk>,
    sim: SimDisk,
    pub world: World,
    pub manager: LogManager,
    pub entry: LogEntry,
    leader_epoch: i32,
    coordinator_epoch: i32,
    steps: i64,
    pub told: Told,
    record: Record,
    /// Where the log was cut since its copy last looked.
    pub copy_cut: Option<i64>,
}

impl Life {
    /// `disk` is `sim`, or something in front of it.
    pub fn new(disk: Arc<dyn Disk>, sim: SimDisk, world: World) -> Self {
        world.make(&sim);
        sim.take_photos();
        let manager = world.start(&disk, 0).unwrap();
        let entry = world.create(&manager);
        let told = Told { assigned: world.index_of(&manager, &entry), ..Told::default() };
        Self {
            disk,
            sim,
            manager,
            entry,
            leader_epoch: 1,
            coordinator_epoch: 1,
            steps: 0,
            told: told.clone(),
            record: Record {
                world: world.clone(),
                told: vec![(0, Step::SyncCreated, told)],
                ..Record::default()
            },
            world,
            copy_cut: None,
        }
    }

    pub fn live(mut self, script: &[Step]) -> Record {
        for step in script {
            self.expect(*step);
            self.note(*step);
            self.take(*step);
            self.learn(*step);
            self.note(*step);
        }
        self.record
    }

    fn note(&mut self, step: Step) {
        self.record.told.push((self.sim.operations(), step, self.told.clone()));
    }

    pub fn log<T>(&self, run: impl FnOnce(&mut Log) -> T) -> T {
        run(&mut self.entry.log.write())
    }

    fn now(&self) -> WallMs {
        WallMs(NOW.0 + self.steps)
    }

    /// What can no longer be counted on once a step has begun.
    fn expect(&mut self, step: Step) {
        match step {
            Step::Clean(_) => return self.expect_cleaning(),
            Step::FinishMove if self.manager.future(&partition()).is_some() => {
                // The controller is asked before.
                self.told.assigned = 1 - self.told.assigned;
            }
            _ => {}
        }
        let told = &mut self.told;
        match step {
            Step::Truncate(_) => {
                let offset = cut(told, step);
                told.promised = told.promised.min(offset);
                told.start_least = told.start_least.min(offset);
            }
            Step::StartOver => {
                (told.promised, told.start_least, told.start_most) = (0, 0, i64::MAX);
                // What an older record has given way to goes with the rest, and before it.
                Arc::make_mut(&mut told.removable).values_mut().for_each(|newer| *newer = None);
            }
            Step::DeleteRecords(_) | Step::DeleteSegments => told.start_most = i64::MAX,
            Step::Recreate => {
                (told.exists, told.promised) = (false, 0);
                (told.start_least, told.start_most) = (0, i64::MAX);
            }
            _ => {}
        }
    }

    fn take(&mut self, step: Step) {
        self.steps += 1;
        let now = self.now();
        match step {
            Step::Plain => self.append(None, false),
            Step::Idempotent(id) | Step::NewProducerEpoch(id) if id < 20 => {
                self.append(Some(id), matches!(step, Step::NewProducerEpoch(_)));
            }
            Step::Idempotent(id) | Step::Transactional(id) => self.append(Some(id), false),
            Step::NewProducerEpoch(id) => self.append(Some(id), true),
            Step::EndTransaction(id, commit) => self.end(id, commit),
            Step::Roll => drop(self.log(|log| log.roll(now)).unwrap()),
            Step::Flush => {
                self.manager.flush(&self.entry, now);
                self.log(|log| assert_eq!(log.recovery_point(), log.end_offset()));
            }
            Step::Work => {
                self.manager.run_work(&self.entry, now);
                if let Some(copy) = self.manager.future(&partition()) {
                    self.manager.run_work(&copy, now);
                }
            }
            Step::Truncate(_) => {
                let offset = cut(&self.told, step);
                self.log(|log| log.truncate_to(Offset(offset), now)).unwrap();
                self.told.history.retain(|batch| batch.base < offset);
                self.leader_epoch += 1;
                self.copy_cut = Some(self.copy_cut.map_or(offset, |cut| cut.min(offset)));
                // Before the log grows again, as a broker's fetchers do.
                self.manager.checkpoint_recovery_points();
            }
            Step::StartOver => {
                let offset = self.log(|log| log.end_offset().0) + 5;
                self.log(|log| log.truncate_fully_and_start_at(Offset(offset), None, now)).unwrap();
                self.told.history.clear();
                self.leader_epoch += 1;
                self.manager.checkpoint_recovery_points();
            }
            Step::DeleteRecords(keep) => {
                let history = &self.told.history;
                let kept = history.len().checked_sub(keep).and_then(|slot| history.get(slot));
                let offset = kept.map_or(0, |batch| batch.base);
                self.log(|log| log.delete_records(Offset(offset))).unwrap();
            }
            Step::DeleteSegments => {
                self.manager.delete_old_segments(now);
                self.manager.delete_old_compacted(now);
            }
            Step::CheckpointRecoveryPoints => self.manager.checkpoint_recovery_points(),
            Step::CheckpointStarts => self.manager.checkpoint_log_starts(),
            Step::CheckpointWatermarks => self.manager.checkpoint_high_watermarks(),
            Step::SyncCreated => self.manager.sync_created().unwrap(),
            Step::Removals => drop(self.manager.run_removals(WallMs(i64::MAX))),
            Step::CleanRestart => self.restart(now),
            Step::Recreate => {
                assert!(self.manager.delete([partition()], 0, now).is_empty());
                self.entry = self.world.create(&self.manager);
                self.told.history.clear();
                self.told.assigned = self.world.index_of(&self.manager, &self.entry);
                self.told.cleaned = 0;
            }
            Step::Clean(steps) => self.clean(steps, now),
            Step::BeginMove => self.begin_move(now),
            Step::Copy(bytes) => drop(self.copy(bytes, now)),
            Step::FinishMove => self.finish_move(now),
            Step::CancelMove => drop(self.manager.remove_future(&partition(), 0, now)),
        }
        assert_eq!(self.manager.take_failures().len(), 0, "{step:?}");
    }

    /// What the log has told by the end of a step.
    fn learn(&mut self, step: Step) {
        let told = &mut self.told;
        let log = self.entry.log.read();
        let start = log.start_offset().0;
        let first = log.segment_base_offsets()[0].0;
        told.promised = told.promised.max(log.recovery_point().0);
        // What went with its segment may come back when that does: a start counts once it is written down.
        told.start_most =
            if told.start_most == i64::MAX { start } else { told.start_most.max(start) };
        match step {
            Step::SyncCreated => told.exists = true,
            Step::CleanRestart => {
                told.exists = true;
                told.start_least = start;
            }
            Step::CheckpointStarts if start > first => told.start_least = start,
            _ => {}
        }
    }

    fn restart(&mut self, now: WallMs) {
        self.manager.run_work(&self.entry, now);
        self.manager.shut_down(BrokerEpoch(1), 1, now);
        self.manager = self.world.start(&self.disk, self.told.assigned).unwrap();
        let was = self.log(|log| (log.start_offset(), log.end_offset()));
        self.entry = self.manager.get(&partition()).unwrap();
        self.log(|log| {
            assert_eq!((log.start_offset(), log.end_offset()), was);
            log.set_high_watermark(log.end_offset());
        });
    }

    fn append(&mut self, producer: Option<i64>, new_epoch: bool) {
        let known = producer.and_then(|id| {
            State::after(self.told.history.iter().map(Arc::as_ref)).producers.remove(&id)
        });
        // Of one whose last records were deleted a copy knows no sequence: it begins anew.
        let of_id = |active: &ActiveProducer| Some(active.producer_id.0) == producer;
        let active = self.log(|log| log.active_producers()).into_iter().find(of_id);
        let new_epoch = new_epoch || active.is_some_and(|active| active.last_sequence < 0);
        let (epoch, sequence) = match &known {
            None => (0, 0),
            Some(known) if new_epoch => (known.epoch + 1, 0),
            Some(known) => (known.epoch, known.last_sequence + 1),
        };
        if new_epoch && known.is_some_and(|known| known.open_since.is_some()) {
            return;
        }
        let producer = producer.and_then(|id| match id {
            ..20 => idempotent(id, epoch, sequence),
            _ => transactional(id, epoch, sequence),
        });
        let mut given = prepared(self.new_batch(producer), AppendOrigin::Client);
        self.log_append(|log, epoch| {
            log.append_as_leader(&mut given, epoch, AppendOrigin::Client, NOW).unwrap();
            given.bytes().to_vec()
        });
    }

    fn new_batch(&self, producer: Option<Producer>) -> Vec<u8> {
        let count = 1 + self.steps % 3;
        let values: Vec<Vec<u8>> =
            (0..count).map(|n| vec![self.steps as u8; 10 + 9 * n as usize]).collect();
        let codec = if self.steps % 4 == 0 { Compression::Zstd } else { Compression::None };
        if !self.world.kind.compacted {
            let values = values.iter().map(|value| (NOW.0 + self.steps, value.as_slice()));
            return client_batch(&values.collect::<Vec<_>>(), codec, producer);
        }
        let mut builder = BatchBuilder::new(codec);
        if let Some(p) = producer {
            let (id, epoch) = (base::ProducerId(p.id), base::ProducerEpoch(p.epoch));
            builder = builder.producer(id, epoch, p.sequence);
            builder = if p.transactional { builder.transactional() } else { builder };
        }
        for (n, value) in (0..).zip(&values) {
            let key = format!("key{}", (self.steps * 3 + n) % KEYS);
            // Now and then one that says that the key is gone.
            let value = Some(value.as_slice()).filter(|_| (self.steps + n) % 6 != 0);
            builder.append(NOW.0 + self.steps, Some(key.as_bytes()), value, &[]).unwrap();
        }
        builder.build().unwrap()
    }

    fn end(&mut self, id: i64, commit: bool) {
        let state = State::after(self.told.history.iter().map(Arc::as_ref));
        let Some(producer) = state.producers.get(&id).filter(|p| p.open_since.is_some()) else {
            return;
        };
        let marker = EndTxnMarker { commit, coordinator_epoch: self.coordinator_epoch };
        let ids = (base::ProducerId(id), base::ProducerEpoch(producer.epoch));
        let epoch = LeaderEpoch(self.leader_epoch);
        let bytes = marker.batch(Offset::ZERO, epoch, NOW.0, ids.0, ids.1).unwrap();
        let mut given = prepared(bytes, AppendOrigin::Coordinator);
        self.coordinator_epoch += i32::from(self.steps % 2 == 0);
        self.log_append(|log, epoch| {
            log.append_marker(&mut given, epoch, 1, NOW).unwrap();
            given.bytes().to_vec()
        });
    }

    fn log_append(&mut self, append: impl FnOnce(&mut Log, LeaderEpoch) -> Vec<u8>) {
        let epoch = LeaderEpoch(self.leader_epoch);
        let bytes = self.log(|log| {
            let bytes = append(log, epoch);
            log.set_high_watermark(log.end_offset());
            bytes
        });
        let batch = batch(&bytes).unwrap();
        if self.world.kind.compacted {
            let removable = Arc::make_mut(&mut self.told.removable);
            removable.retain(|offset, _| !(batch.base..=batch.last).contains(offset));
            self.record.rows.extend(rows(&batch));
        }
        self.record.given.insert(bytes);
        self.told.history.push(Arc::new(batch));
    }
}

/// Where a truncation cuts; a leader's log is not cut where it was cleaned.
fn cut(told: &Told, step: Step) -> i64 {
    let Step::Truncate(batches) = step else { return i64::MAX };
    let slot = told.history.len().saturating_sub(batches);
    let least = told.start_most.max(told.cleaned);
    told.history.get(slot).map_or(0, |batch| batch.base.max(least))
}

/// Reads what the log serves, in small reads, as raw batches.
pub fn served(log: &Log) -> Result<Vec<Batch>, String> {
    let mut found: Vec<Batch> = Vec::new();
    let mut next = log.start_offset().0;
    while next < log.end_offset().0 {
        let data = common::read(log, next, 300).map_err(|error| error.to_string())?;
        let Some(slice) = data.records else { break };
        let bytes = slice.read().map_err(|error| error.to_string())?;
        let mut at = 0;
        while let Some(batch) = batch(&bytes[at..]) {
            at += batch.bytes.len();
            next = batch.last + 1;
            found.push(batch);
        }
        if at == 0 {
            return Err(format!("what is served at {next} is no valid batch"));
        }
    }
    Ok(found)
}
