//! Starts on what a crash has left: what each finds, looked at once for every state of the disk.
//!
//! Most crashes leave what another one has left already, and most recoveries end in the same place. What a start finds and
//! leaves hangs on nothing but the files, so that it need not be done twice. Which state was told is no matter here.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use base::{LeaderEpoch, Offset};
use records::AppendOrigin;
use simdisk::{Loss, Photo, SimDisk};
use storage::dirs::LogManager;
use storage::log::{AbortedTxn, ActiveProducer, EpochEntry};
use storage::{Disk, Log};

use crate::checks::{Verdict, ensure};
use crate::common::{NOW, client_batch, idempotent, prepared};
use crate::life::served;
use crate::reference::{Aborted, Batch};
use crate::world::{World, partition};

/// So many states of the disk are remembered; crashes that leave the same are near each other.
const REMEMBERED_MAX: usize = 1024;

/// Stands for the files of a disk and the directory in which the metadata has the replica.
pub type State = (u64, usize);

/// A disk that nobody changes any more.
pub struct Files {
    disk: SimDisk,
    pub state: State,
}

impl Files {
    pub fn new(disk: SimDisk, assigned: usize) -> Self {
        let state = (disk.fingerprint(), assigned);
        Self { disk, state }
    }

    /// The same, for one who changes it.
    fn copy(&self) -> SimDisk {
        self.disk.after_crash(Loss::None)
    }
}

/// What a log tells of itself.
pub struct Found {
    pub start: i64,
    pub end: i64,
    pub served: Vec<Batch>,
    /// Of each batch that is served: the epochs of its first and its last offset, with these.
    pub epochs_of: Vec<[(i64, Option<LeaderEpoch>); 2]>,
    pub epochs: Vec<EpochEntry>,
    pub producers: Vec<ActiveProducer>,
    pub aborted: Vec<Aborted>,
    pub first_unstable: Option<i64>,
    pub segments: Vec<i64>,
    /// Everything but the records.
    digest: String,
}

impl Found {
    fn of(log: &Log) -> Result<Self, String> {
        let (start, end) = (log.start_offset(), log.end_offset());
        let served = served(log)?;
        let epoch_of = |offset: i64| (offset, log.epoch_for_offset(Offset(offset)));
        let epochs_of = |batch: &Batch| [batch.base.max(start.0), batch.last].map(epoch_of);
        let mut producers = log.active_producers();
        producers.sort_by_key(|producer| producer.producer_id);
        let aborted = log.aborted_transactions(start, end).map_err(|error| error.to_string())?;
        let aborted =
            aborted.iter().map(|AbortedTxn { producer_id, first_offset, last_offset, .. }| {
                (producer_id.0, *first_offset, *last_offset)
            });
        let mut found = Self {
            start: start.0,
            end: end.0,
            epochs_of: served.iter().map(epochs_of).collect(),
            served,
            epochs: log.epochs().to_vec(),
            producers,
            aborted: aborted.collect(),
            first_unstable: log.first_unstable_offset().map(|offset| offset.0),
            segments: log.segment_base_offsets().iter().map(|base| base.0).collect(),
            digest: String::new(),
        };
        let Self { producers, aborted, segments, .. } = &found;
        // As in Kafka, a clean start forgets an epoch of which no record is left, and a recovery finds it.
        let epochs = found.epochs.partition_point(|entry| entry.start_offset < end);
        let epochs = &found.epochs[..epochs];
        found.digest = format!(
            "{start} to {end}, {epochs:?}, {producers:?}, {aborted:?}, segments {segments:?}"
        );
        Ok(found)
    }

    /// The first offset that the files hold.
    pub fn first_left(&self) -> i64 {
        self.served.first().map_or(self.end, |batch| batch.base)
    }
}

/// A start that was made.
pub struct Started {
    /// `None` without the partition.
    pub found: Option<Found>,
    /// What it has left on the disk.
    pub left: Files,
}

impl Started {
    pub fn digest(&self) -> Option<&str> {
        self.found.as_ref().map(|found| found.digest.as_str())
    }
}

/// The starts of a life's crashes.
pub struct Starts<'a> {
    world: &'a World,
    known: HashMap<State, Rc<Started>>,
    going_on: HashSet<State>,
    /// So many were made.
    pub made: usize,
}

impl<'a> Starts<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, known: HashMap::new(), going_on: HashSet::new(), made: 0 }
    }

    /// What a start finds.
    pub fn on(&mut self, files: &Files) -> Result<Rc<Started>, String> {
        if let Some(known) = self.known.get(&files.state) {
            return Ok(Rc::clone(known));
        }
        let started = Rc::new(self.start(&files.copy(), files.state.1)?);
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(files.state, Rc::clone(&started));
        Ok(started)
    }

    /// The moments of a start.
    pub fn photos(&mut self, files: &Files) -> Result<Vec<Photo>, String> {
        let disk = files.copy();
        disk.take_photos();
        self.start(&disk, files.state.1)?;
        Ok(disk.photos())
    }

    fn start(&mut self, disk: &SimDisk, assigned: usize) -> Result<Started, String> {
        let manager = self.manager(disk, assigned)?;
        let failures = manager.take_failures();
        ensure(failures.is_empty(), || format!("{failures:?}"))?;
        let found = manager.get(&partition()).map(|entry| {
            let mut log = entry.log.write();
            let end = log.end_offset();
            log.set_high_watermark(end);
            Found::of(&log)
        });
        let left = Files::new(disk.after_crash(Loss::None), assigned);
        Ok(Started { found: found.transpose()?, left })
    }

    fn manager(&mut self, disk: &SimDisk, assigned: usize) -> Result<LogManager, String> {
        self.made += 1;
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let started = self.world.start(&disk, assigned);
        started.map_err(|error| format!("it does not start: {error}"))
    }

    /// It goes on: a new batch is taken at the log's end, and its repetition is seen to be one.
    pub fn goes_on(&mut self, files: &Files) -> Verdict {
        if self.going_on.contains(&files.state) {
            return Ok(());
        }
        let manager = self.manager(&files.copy(), files.state.1)?;
        if let Some(entry) = manager.get(&partition()) {
            takes_more(&mut entry.log.write())?;
        }
        self.going_on.insert(files.state);
        Ok(())
    }
}

fn takes_more(log: &mut Log) -> Verdict {
    let end = log.end_offset();
    for duplicate in [false, true] {
        let bytes =
            client_batch(&[(NOW.0, b"after")], records::Compression::None, idempotent(99, 0, 0));
        let mut batch = prepared(bytes, AppendOrigin::Client);
        let epoch = LeaderEpoch(1000);
        let info = log
            .append_as_leader(&mut batch, epoch, AppendOrigin::Client, NOW)
            .map_err(|error| error.to_string())?;
        let as_expected = info.first_offset == end && info.duplicate == duplicate;
        ensure(as_expected, || format!("{info:?} at {end}"))?;
    }
    let last = served(log)?.pop().map(|batch| batch.base);
    ensure(last == Some(end.0), || format!("the last batch is at {last:?}"))
}
