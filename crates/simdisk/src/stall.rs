//! A disk of which one part stands still for as long as a test wants: reads, writes, syncs and opens below a path wait at a gate.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::WallMs;
use parking_lot::{Condvar, Mutex};
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};
use storage::space::Volume;

/// How long [`Gate::until_waiting`] waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is below a path passes here.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    shut: bool,
    /// What is in memory can be read all the same.
    memory: bool,
    waiting: usize,
}

impl Gate {
    /// From now on everything stands still here.
    pub fn shut(&self) {
        let mut state = self.state.lock();
        (state.shut, state.memory) = (true, false);
    }

    /// The same, but everything is in memory for those who do not wait.
    pub fn shut_behind_memory(&self) {
        let mut state = self.state.lock();
        (state.shut, state.memory) = (true, true);
    }

    pub fn open(&self) {
        self.state.lock().shut = false;
        self.changed.notify_all();
    }

    /// How many stand here now.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Returns when so many stand here.
    ///
    /// # Panics
    /// When they do not come.
    pub fn until_waiting(&self, count: usize) {
        let begin = Instant::now();
        while self.waiting() < count {
            assert!(begin.elapsed() < PATIENCE, "{} of {count} stand at the gate", self.waiting());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_shut(&self) -> bool {
        self.state.lock().shut
    }

    fn hides_memory(&self) -> bool {
        let state = self.state.lock();
        state.shut && !state.memory
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        while state.shut {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate(shut {}, waiting {})", self.is_shut(), self.waiting())
    }
}

/// Passes everything on to another disk; what lies below a path through a gate.
pub struct StallDisk {
    disk: Arc<dyn Disk>,
    below: PathBuf,
    gate: Arc<Gate>,
}

struct StallFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl StallDisk {
    pub fn new(disk: Arc<dyn Disk>, below: PathBuf) -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (Self { disk, below, gate: Arc::clone(&gate) }, gate)
    }

    fn pass(&self, path: &Path) {
        if path.starts_with(&self.below) {
            self.gate.pass();
        }
    }
}

impl Disk for StallDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.pass(path);
        let file = self.disk.open(path, mode)?;
        if !path.starts_with(&self.below) {
            return Ok(file);
        }
        Ok(Arc::new(StallFile { file, gate: Arc::clone(&self.gate) }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(path);
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        self.pass(path);
        self.disk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.pass(path);
        self.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(to);
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.pass(path);
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.pass(path);
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(path);
        self.disk.sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.pass(path);
        self.disk.sync_file_system(path)
    }

    fn volume(&self, path: &Path) -> io::Result<Option<Volume>> {
        self.disk.volume(path)
    }
}

impl DiskFile for StallFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.gate.pass();
        self.file.read_at(buf, position)
    }

    /// Nothing is in memory while the disk stands still, unless the test says so.
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        if self.gate.hides_memory() { Ok(None) } else { self.file.read_at(buf, position).map(Some) }
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.gate.pass();
        self.file.write_at(buf, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.gate.pass();
        self.file.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.gate.pass();
        self.file.preallocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }

    fn set_modified(&self, time: WallMs) -> io::Result<()> {
        self.gate.pass();
        self.file.set_modified(time)
    }

    /// None: everything is to come through here.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
