//! All of a disk at one moment: names, contents, and what of both is durable.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use base::WallMs;
use storage::disk::FileInfo;

use crate::file::{Content, Geometry};
use crate::loss::Loss;
use crate::names::{Entry, Id, Names, Place, ROOT};

/// What is on the medium and in the caches above it. A copy shares what was not changed since.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub names: Names,
    pub files: BTreeMap<Id, Arc<Content>>,
    pub next_id: Id,
    pub geometry: Geometry,
}

pub(crate) fn gone(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

pub(crate) fn no_dir(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("{} is no directory", path.display()))
}

impl Image {
    pub fn after_crash(&self, loss: Loss) -> Self {
        let mut rng = loss.rng();
        let left = loss.names(&mut rng);
        let names = self.names.after_crash(left, &mut rng);
        let mut files = BTreeMap::new();
        for (_, entry) in names.now().all() {
            if let Entry::File(id) = entry
                && let Some(content) = self.files.get(&id)
            {
                let found = if content.is_durable() {
                    Arc::clone(content)
                } else {
                    Arc::new(content.after_crash(loss.contents(), self.geometry, &mut rng))
                };
                files.insert(id, found);
            }
        }
        Self { names, files, next_id: self.next_id, geometry: self.geometry }
    }

    pub fn find(&self, path: &Path) -> Option<Entry> {
        let mut found = Entry::Dir(ROOT);
        for name in parts(path) {
            let Entry::Dir(dir) = found else { return None };
            found = self.names.get(dir, name)?;
        }
        Some(found)
    }

    pub fn dir(&self, path: &Path) -> io::Result<Id> {
        match self.find(path) {
            Some(Entry::Dir(id)) => Ok(id),
            Some(Entry::File(_)) => Err(no_dir(path)),
            None => Err(gone(path)),
        }
    }

    /// The directory and the name in it.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let name = parts(path).last().ok_or_else(|| gone(path))?;
        let dir = self.dir(path.parent().unwrap_or(Path::new("/")))?;
        Ok((dir, name.into()))
    }

    pub fn new_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }

    pub fn content(&self, id: Id) -> io::Result<&Content> {
        self.files.get(&id).map(Arc::as_ref).ok_or_else(|| io::Error::other("no such file"))
    }

    pub fn content_mut(&mut self, id: Id) -> io::Result<&mut Content> {
        let content = self.files.get_mut(&id).ok_or_else(|| io::Error::other("no such file"))?;
        Ok(Arc::make_mut(content))
    }

    pub fn used(&self) -> u64 {
        let files = self.names.now().all().filter_map(|(_, entry)| match entry {
            Entry::File(id) => self.files.get(&id),
            Entry::Dir(_) => None,
        });
        files.map(|content| content.len() as u64).sum()
    }

    pub fn info(&self, name: &str, entry: Entry, modified: WallMs) -> FileInfo {
        let (is_dir, len) = match entry {
            Entry::Dir(_) => (true, 0),
            Entry::File(id) => (false, self.files.get(&id).map_or(0, |file| file.len() as u64)),
        };
        FileInfo { name: name.to_owned(), is_dir, len, modified }
    }

    /// Everything below a directory, what is deepest first.
    pub fn below(&self, dir: Id, found: &mut Vec<Place>) {
        for (name, entry) in self.names.inside(dir) {
            if let Entry::Dir(id) = entry {
                self.below(id, found);
            }
            found.push((dir, Arc::clone(name)));
        }
    }

    pub fn walk(&self, dir: Id, path: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for (name, entry) in self.names.inside(dir) {
            let path = path.join(&**name);
            match entry {
                Entry::Dir(id) => self.walk(id, &path, found),
                Entry::File(id) => {
                    let content = self.files.get(&id).map(|file| file.now().to_vec());
                    found.insert(path, content.unwrap_or_default());
                }
            }
        }
    }

    /// Stands for all names and what is in the files, as they are now.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_below(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_below(&self, dir: Id, hasher: &mut DefaultHasher) {
        for (name, entry) in self.names.inside(dir) {
            name.hash(hasher);
            match entry {
                Entry::Dir(id) => {
                    hasher.write_u8(1);
                    self.hash_below(id, hasher);
                }
                Entry::File(id) => {
                    hasher.write_u8(2);
                    hasher.write_u64(self.files.get(&id).map_or(0, |file| file.hash()));
                }
            }
        }
        hasher.write_u8(3);
    }
}

pub(crate) fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}
