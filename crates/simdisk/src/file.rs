//! The content of one file: what is durable, and every change since.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::loss::ContentsLeft;
use crate::rng::Rng;

/// How the medium takes bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Geometry {
    /// Bytes that are written back together.
    pub page: usize,
    /// Bytes that reach the medium together or not at all.
    pub sector: usize,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Len(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Len(len) => content.resize(*len, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(place) = content.get_mut(*at..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }
}

/// The bytes of a file, with a number that stands for them once somebody has asked.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    hash: OnceLock<u64>,
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes, hash: OnceLock::new() })
    }
}

/// A file; a copy shares what was not changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    now: Arc<Bytes>,
    durable: Arc<Bytes>,
    changes: Vec<Arc<Change>>,
}

impl Content {
    pub fn now(&self) -> &[u8] {
        &self.now.bytes
    }

    pub fn len(&self) -> usize {
        self.now().len()
    }

    /// Stands for what is in the file now.
    pub fn hash(&self) -> u64 {
        *self.now.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.now().hash(&mut hasher);
            hasher.finish()
        })
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub fn set_len(&mut self, len: usize) {
        self.change(Change::Len(len));
    }

    fn change(&mut self, change: Change) {
        match Arc::get_mut(&mut self.now) {
            Some(now) => {
                now.hash.take();
                change.apply(&mut now.bytes);
            }
            None => {
                let mut bytes = self.now().to_vec();
                change.apply(&mut bytes);
                self.now = Bytes::new(bytes);
            }
        }
        self.changes.push(Arc::new(change));
    }

    pub fn sync(&mut self) {
        self.durable = Arc::clone(&self.now);
        self.changes.clear();
    }

    /// A crash leaves all of it.
    pub fn is_durable(&self) -> bool {
        self.changes.is_empty()
    }

    /// What a crash leaves.
    pub fn after_crash(&self, left: ContentsLeft, geometry: Geometry, rng: &mut Rng) -> Self {
        let content = match left {
            ContentsLeft::All => Arc::clone(&self.now),
            ContentsLeft::Synced => Arc::clone(&self.durable),
            _ if self.changes.is_empty() => Arc::clone(&self.now),
            ContentsLeft::Zeros => {
                let mut content = self.durable.bytes.clone();
                content.resize(self.len(), 0);
                Bytes::new(content)
            }
            ContentsLeft::Torn => Bytes::new(self.torn(geometry, rng)),
            ContentsLeft::Any => Bytes::new(self.any(geometry, rng)),
        };
        Self { now: Arc::clone(&content), durable: content, changes: Vec::new() }
    }

    /// The content after so many changes.
    fn version(&self, changes: usize) -> Vec<u8> {
        let mut content = self.durable.bytes.clone();
        for change in self.changes.iter().take(changes) {
            change.apply(&mut content);
        }
        content
    }

    /// The last change is there in some sectors.
    fn torn(&self, geometry: Geometry, rng: &mut Rng) -> Vec<u8> {
        let before = self.version(self.changes.len().saturating_sub(1));
        let mut content = self.now().to_vec();
        for at in (0..content.len()).step_by(geometry.sector) {
            if rng.one_in(2) {
                copy(&mut content, &before, at, geometry.sector);
            }
        }
        content
    }

    /// Each page is as it was after some of the changes, now and then torn between two versions; so is the length.
    fn any(&self, geometry: Geometry, rng: &mut Rng) -> Vec<u8> {
        let all = self.changes.len();
        let mut versions = Vec::with_capacity(all + 1);
        let mut content = self.durable.bytes.clone();
        versions.push(content.clone());
        for change in &self.changes {
            change.apply(&mut content);
            versions.push(content.clone());
        }
        // The first and the last version are the likely ones.
        let choose = |rng: &mut Rng| match rng.upto(3) {
            0 => 0,
            1 | 2 => all,
            _ => rng.upto(all),
        };
        let len = versions.get(choose(rng)).map_or(0, Vec::len);
        let mut found = vec![0; len];
        for page in (0..len).step_by(geometry.page) {
            let (one, other) = (choose(rng), choose(rng));
            let torn = rng.one_in(4);
            for sector in (page..len.min(page + geometry.page)).step_by(geometry.sector) {
                let version = if torn && rng.one_in(2) { other } else { one };
                if let Some(version) = versions.get(version) {
                    copy(&mut found, version, sector, geometry.sector);
                }
            }
        }
        found
    }
}

/// Copies `len` bytes at `at`; beyond the end of `from` there are zeros.
fn copy(to: &mut [u8], from: &[u8], at: usize, len: usize) {
    let end = to.len().min(at + len);
    for (slot, byte) in to.iter_mut().enumerate().take(end).skip(at) {
        *byte = from.get(slot).copied().unwrap_or(0);
    }
}
