//! A disk that ends the process, as `kill -9` does, at a named point: the n-th change of a kind to files of a name.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::WallMs;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};
use storage::space::Volume;

/// A kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Create,
    Write,
    SetLen,
    Sync,
    SyncDir,
    Rename,
    Remove,
}

const ACTIONS: [(&str, Action); 7] = [
    ("create", Action::Create),
    ("write", Action::Write),
    ("set-len", Action::SetLen),
    ("sync", Action::Sync),
    ("sync-dir", Action::SyncDir),
    ("rename", Action::Rename),
    ("remove", Action::Remove),
];

/// Where in the change the end comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    Before,
    /// A write leaves its first half; other changes have none and happen first.
    Half,
    After,
}

const MOMENTS: [(&str, Moment); 3] =
    [("before", Moment::Before), ("half", Moment::Half), ("after", Moment::After)];

/// `ACTION:PATTERN:COUNT:MOMENT`, for example `rename:*.swap:2:before`. The pattern is that of a whole path, of a rename that
/// of the new one; `*` stands for anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point {
    pub action: Action,
    pub pattern: String,
    /// From 1.
    pub count: u64,
    pub moment: Moment,
}

impl Point {
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [action, pattern, count, moment] = parts.as_slice() else {
            return Err(format!("{text}: expected ACTION:PATTERN:COUNT:MOMENT"));
        };
        fn find<T: Copy>(name: &str, of: &[(&str, T)]) -> Result<T, String> {
            let found = of.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let known: Vec<&str> = of.iter().map(|(known, _)| *known).collect();
                format!("{name} is none of {}", known.join(", "))
            })
        }
        Ok(Self {
            action: find(action, &ACTIONS)?,
            pattern: (*pattern).to_owned(),
            count: count.parse().map_err(|_| format!("{count} is not a count"))?,
            moment: find(moment, &MOMENTS)?,
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = ACTIONS.iter().find(|(_, action)| *action == self.action);
        let moment = MOMENTS.iter().find(|(_, moment)| *moment == self.moment);
        let (action, moment) = (action.map_or("", |a| a.0), moment.map_or("", |m| m.0));
        write!(f, "{action}:{}:{}:{moment}", self.pattern, self.count)
    }
}

/// Whether a text is what a pattern with `*` describes.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
}

struct Watch {
    point: Point,
    seen: AtomicU64,
    end: Box<dyn Fn() + Send + Sync>,
}

impl Watch {
    /// This change is the one.
    fn hit(&self, action: Action, path: &Path) -> bool {
        action == self.point.action
            && fits(&self.point.pattern, &path.to_string_lossy())
            && self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.point.count
    }

    fn around<T>(
        &self,
        action: Action,
        path: &Path,
        change: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if !self.hit(action, path) {
            return change();
        }
        if self.point.moment == Moment::Before {
            (self.end)();
        }
        let done = change();
        (self.end)();
        done
    }
}

/// Passes everything on to another disk, until the point comes.
pub struct KillDisk {
    disk: Arc<dyn Disk>,
    watch: Arc<Watch>,
}

struct KillFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    watch: Arc<Watch>,
}

impl KillDisk {
    /// `end` must not come back.
    pub fn new(disk: Arc<dyn Disk>, point: Point, end: impl Fn() + Send + Sync + 'static) -> Self {
        let watch = Watch { point, seen: AtomicU64::new(0), end: Box::new(end) };
        Self { disk, watch: Arc::new(watch) }
    }

    /// As `kill -9` from outside: nothing runs any more, what was written stays in the page cache.
    pub fn kill_process() {
        let _refused =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

impl Disk for KillDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let open = || self.disk.open(path, mode);
        let creates = match mode {
            OpenMode::CreateEmpty => true,
            OpenMode::CreateIfMissing => self.disk.stat(path)?.is_none(),
            OpenMode::Existing | OpenMode::ReadOnly => false,
        };
        let file = if creates { self.watch.around(Action::Create, path, open)? } else { open()? };
        let (path, watch) = (path.to_path_buf(), Arc::clone(&self.watch));
        Ok(Arc::new(KillFile { file, path, watch }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.watch.around(Action::Create, path, || self.disk.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        self.disk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.watch.around(Action::Rename, to, || self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.watch.around(Action::Remove, path, || self.disk.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.watch.around(Action::Remove, path, || self.disk.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.watch.around(Action::SyncDir, path, || self.disk.sync_dir(path))
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.watch.around(Action::SyncDir, path, || self.disk.sync_file_system(path))
    }

    fn volume(&self, path: &Path) -> io::Result<Option<Volume>> {
        self.disk.volume(path)
    }
}

impl DiskFile for KillFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let half = match self.watch.point.moment {
            Moment::Half => buf.get(..buf.len() / 2).unwrap_or(buf),
            Moment::Before | Moment::After => buf,
        };
        if !self.watch.hit(Action::Write, &self.path) {
            return self.file.write_at(buf, position);
        }
        if self.watch.point.moment != Moment::Before {
            self.file.write_at(half, position)?;
        }
        (self.watch.end)();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch.around(Action::SetLen, &self.path, || self.file.set_len(len))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.watch.around(Action::SetLen, &self.path, || self.file.preallocate(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch.around(Action::Sync, &self.path, || self.file.sync_data())
    }

    fn set_modified(&self, time: WallMs) -> io::Result<()> {
        self.file.set_modified(time)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}
