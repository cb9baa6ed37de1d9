//! A disk in memory that forgets what was not synced, tears what was being written, and fails on demand.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::WallMs;
use parking_lot::Mutex;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};
use storage::space::Volume;

use crate::file::Geometry;
use crate::image::{Image, gone, no_dir, parts};
use crate::loss::Loss;
use crate::names::{Entry, Id, Names, Place, ROOT};

struct State {
    image: Image,
    operations: u64,
    /// The operation that fails, and every one after it.
    crash_at: Option<u64>,
    fail_syncs: bool,
    fail_writes: bool,
    /// Bytes that fit.
    capacity: Option<u64>,
    photos: Option<Vec<Photo>>,
    now: WallMs,
}

/// The disk as it was at one moment: everything that a crash there could leave.
#[derive(Clone)]
pub struct Photo {
    /// Operations that were complete.
    pub operation: u64,
    /// The last one, which may be half done.
    pub what: String,
    image: Image,
}

/// A file system in memory. Clones are the same disk.
///
/// Every change (a write, a new length, a sync, a change of a name) is an operation with a number. A crash is either made
/// to happen ([`SimDisk::crash_at`]: the operation fails, and all later ones), or looked at afterwards, for every operation
/// of one run ([`SimDisk::take_photos`]). [`Loss`] says what it takes away.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    id: Id,
}

fn stopped() -> io::Error {
    io::Error::other("the machine has stopped")
}

fn size(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(io::Error::other)
}

impl Default for SimDisk {
    /// With pages of 4 KiB and sectors of 512 bytes.
    fn default() -> Self {
        Self::with_pages(4096, 512)
    }
}

impl Photo {
    /// What is found after a crash at this moment.
    pub fn after_crash(&self, loss: Loss) -> SimDisk {
        SimDisk::of(self.image.after_crash(loss))
    }
}

impl State {
    /// Counts a change; fails if it is not to happen.
    fn change(&mut self) -> io::Result<()> {
        if self.crash_at.is_some_and(|at| self.operations >= at) {
            return Err(stopped());
        }
        self.operations += 1;
        Ok(())
    }

    fn photo(&mut self, what: impl FnOnce() -> String) {
        let operation = self.operations;
        if let Some(photos) = &mut self.photos {
            photos.push(Photo { operation, what: what(), image: self.image.clone() });
        }
    }

    /// The last operation is half done.
    fn photo_of(&mut self, image: &Image, what: impl FnOnce() -> String) {
        let operation = self.operations.saturating_sub(1);
        if let Some(photos) = &mut self.photos {
            photos.push(Photo { operation, what: what(), image: image.clone() });
        }
    }

    /// The name of a file, for photos.
    fn name(&self, id: Id) -> String {
        let mut names = self.image.names.now().all().filter(|_| self.photos.is_some());
        let found = names.find(|(_, entry)| *entry == Entry::File(id));
        found.map_or_else(|| "a file without a name".into(), |(name, _)| name.to_owned())
    }

    fn names(
        &mut self,
        places: Vec<(Place, Option<Entry>)>,
        what: impl FnOnce() -> String,
    ) -> io::Result<()> {
        self.change()?;
        self.image.names.change(places);
        self.photo(what);
        Ok(())
    }

    /// How many of `len` bytes from `at` on fit into the file.
    fn room(&self, id: Id, at: usize, len: usize) -> io::Result<usize> {
        let Some(capacity) = self.capacity else { return Ok(len) };
        let grows = (at + len).saturating_sub(self.image.content(id)?.len());
        let free = capacity.saturating_sub(self.image.used());
        let missing = (grows as u64).saturating_sub(free);
        Ok(len.saturating_sub(size(missing)?))
    }
}

impl SimDisk {
    /// An empty disk. Small pages and sectors tear small files in more places.
    pub fn with_pages(page: usize, sector: usize) -> Self {
        let geometry = Geometry { page: page.max(1), sector: sector.max(1) };
        Self::of(Image { names: Names::default(), files: BTreeMap::new(), next_id: ROOT, geometry })
    }

    fn of(image: Image) -> Self {
        Self(Arc::new(Mutex::new(State {
            image,
            operations: 0,
            crash_at: None,
            fail_syncs: false,
            fail_writes: false,
            capacity: None,
            photos: None,
            now: WallMs(0),
        })))
    }

    /// Changes so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Lets the change with this number and all later ones fail. A write that is hit leaves its first half.
    pub fn crash_at(&self, operation: u64) {
        self.0.lock().crash_at = Some(operation);
    }

    pub fn fail_syncs(&self, fail: bool) {
        self.0.lock().fail_syncs = fail;
    }

    /// Writes fail for another reason than want of space.
    pub fn fail_writes(&self, fail: bool) {
        self.0.lock().fail_writes = fail;
    }

    /// So many bytes of files fit; a write that does not fit leaves the part that does.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Bytes in all files that have a name.
    pub fn used(&self) -> u64 {
        self.0.lock().image.used()
    }

    /// The time of modification of all files from now on.
    pub fn set_time(&self, now: WallMs) {
        self.0.lock().now = now;
    }

    /// Keeps, from now on, the disk as it is after every change and in the midst of every write.
    pub fn take_photos(&self) {
        let mut state = self.0.lock();
        state.photos = Some(Vec::new());
        state.photo(|| "nothing".into());
    }

    /// The photos so far; no more are taken.
    pub fn photos(&self) -> Vec<Photo> {
        self.0.lock().photos.take().unwrap_or_default()
    }

    /// What is found after a crash right now.
    pub fn after_crash(&self, loss: Loss) -> Self {
        let image = self.0.lock().image.after_crash(loss);
        Self::of(image)
    }

    /// Stands for all names and contents as they are now: disks with the same hold the same.
    pub fn fingerprint(&self) -> u64 {
        self.0.lock().image.fingerprint()
    }

    /// All files with their content.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        self.0.lock().image.walk(ROOT, Path::new("/"), &mut found);
        found
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let id = match (state.image.find(path), mode) {
            (Some(Entry::Dir(_)), _) => {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "a directory"));
            }
            (Some(Entry::File(id)), OpenMode::CreateEmpty) => {
                state.change()?;
                state.image.content_mut(id)?.set_len(0);
                state.photo(|| format!("empty {}", path.display()));
                id
            }
            (Some(Entry::File(id)), _) => id,
            (None, OpenMode::Existing | OpenMode::ReadOnly) => return Err(gone(path)),
            (None, _) => {
                let place = state.image.place(path)?;
                let id = state.image.new_id();
                let created = vec![(place, Some(Entry::File(id)))];
                state.image.files.insert(id, Arc::default());
                state.names(created, || format!("create {}", path.display()))?;
                id
            }
        };
        drop(state);
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let mut parent = ROOT;
        for name in parts(path) {
            parent = match state.image.names.get(parent, name) {
                Some(Entry::Dir(id)) => id,
                Some(Entry::File(_)) => return Err(no_dir(path)),
                None => {
                    let id = state.image.new_id();
                    let created = vec![((parent, name.into()), Some(Entry::Dir(id)))];
                    state.names(created, || format!("create directory {}", path.display()))?;
                    id
                }
            };
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        let state = self.0.lock();
        let dir = state.image.dir(path)?;
        let inside = state.image.names.inside(dir);
        Ok(inside.map(|(name, entry)| state.image.info(name, entry, state.now)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        let state = self.0.lock();
        let name = parts(path).last().unwrap_or_default();
        let found = state.image.find(path);
        Ok(found.map(|entry| state.image.info(name, entry, state.now)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let entry = state.image.find(from).ok_or_else(|| gone(from))?;
        if let Some(Entry::Dir(target)) = state.image.find(to)
            && state.image.names.inside(target).next().is_some()
        {
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, "not empty"));
        }
        let (old, new) = (state.image.place(from)?, state.image.place(to)?);
        let what = || format!("rename {} to {}", from.display(), to.display());
        state.names(vec![(old, None), (new, Some(entry))], what)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.0.lock();
        match state.image.find(path) {
            Some(Entry::File(_)) => {
                let place = state.image.place(path)?;
                state.names(vec![(place, None)], || format!("remove {}", path.display()))?;
                Ok(true)
            }
            Some(Entry::Dir(_)) => Err(io::Error::new(io::ErrorKind::IsADirectory, "a directory")),
            None => Ok(false),
        }
    }

    /// File by file: a crash in the midst leaves some of them.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let dir = state.image.dir(path)?;
        let mut places = Vec::new();
        state.image.below(dir, &mut places);
        places.push(state.image.place(path)?);
        for place in places {
            let what = format!("remove {} in {}", place.1, path.display());
            state.names(vec![(place, None)], || what)?;
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let dir = state.image.dir(path)?;
        state.change()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.image.names.sync_dir(dir);
        state.photo(|| format!("sync directory {}", path.display()));
        Ok(())
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.image.dir(path)?;
        state.change()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.image.names.sync_all();
        for content in state.image.files.values_mut() {
            Arc::make_mut(content).sync();
        }
        state.photo(|| format!("sync all of {}", path.display()));
        Ok(())
    }

    fn volume(&self, _: &Path) -> io::Result<Option<Volume>> {
        let state = self.0.lock();
        Ok(state.capacity.map(|total_bytes| Volume {
            total_bytes,
            free_bytes: total_bytes.saturating_sub(state.image.used()),
        }))
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().image.content(self.id)?.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.0.lock();
        let now = state.image.content(self.id)?.now();
        let rest = now.get(size(position)?..).unwrap_or_default();
        let len = buf.len().min(rest.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let name = state.name(self.id);
        let at = size(position)?;
        let half = buf.get(..buf.len() / 2).unwrap_or_default();
        if let Err(stopped) = state.change() {
            state.image.content_mut(self.id)?.write(at, half);
            return Err(stopped);
        }
        if state.fail_writes {
            return Err(io::Error::other("write failed"));
        }
        let room = state.room(self.id, at, buf.len())?;
        let fits = buf.get(..room).unwrap_or(buf);
        if state.photos.is_some() && !half.is_empty() {
            let mut image = state.image.clone();
            image.content_mut(self.id)?.write(at, half);
            state.photo_of(&image, || format!("half of write {name} at {at}, {} bytes", buf.len()));
        }
        state.image.content_mut(self.id)?.write(at, fits);
        state.photo(|| format!("write {name} at {at}, {} bytes", buf.len()));
        if fits.len() < buf.len() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let name = state.name(self.id);
        let len = size(len)?;
        let old = state.image.content(self.id)?.len();
        if state.room(self.id, old, len.saturating_sub(old))? < len.saturating_sub(old) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        state.change()?;
        state.image.content_mut(self.id)?.set_len(len);
        state.photo(|| format!("set length of {name} to {len}"));
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let name = state.name(self.id);
        state.change()?;
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.image.content_mut(self.id)?.sync();
        state.photo(|| format!("sync {name}"));
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
