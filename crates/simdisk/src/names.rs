//! The names of a file system: directories, what is in them, and which changes of them a crash may take back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::loss::NamesLeft;
use crate::rng::Rng;

/// A directory or a file, whatever it is called.
pub(crate) type Id = u64;
pub(crate) const ROOT: Id = 0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Dir(Id),
    File(Id),
}

pub(crate) type Place = (Id, Arc<str>);

/// What is in each directory; a copy shares the directories that were not changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(BTreeMap<Id, Arc<BTreeMap<Arc<str>, Entry>>>);

impl Tree {
    fn get(&self, dir: Id, name: &str) -> Option<Entry> {
        self.0.get(&dir)?.get(name).copied()
    }

    fn inside(&self, dir: Id) -> impl Iterator<Item = (&Arc<str>, Entry)> {
        self.0.get(&dir).into_iter().flat_map(|names| names.iter()).map(|(name, e)| (name, *e))
    }

    /// Everything, directory by directory.
    pub fn all(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.0.values().flat_map(|names| names.iter()).map(|(name, entry)| (&**name, *entry))
    }

    fn set(&mut self, (dir, name): &Place, entry: Option<Entry>) {
        let names = Arc::make_mut(self.0.entry(*dir).or_default());
        match entry {
            Some(entry) => names.insert(Arc::clone(name), entry),
            None => names.remove(name),
        };
        if names.is_empty() {
            self.0.remove(dir);
        }
    }
}

/// One atomic change: what each of these places holds afterwards.
#[derive(Clone, Debug)]
struct Change {
    places: Vec<(Place, Option<Entry>)>,
    /// A directory that it touches was synced since.
    synced: bool,
}

impl Change {
    fn apply(&self, tree: &mut Tree) {
        for (place, entry) in &self.places {
            tree.set(place, *entry);
        }
    }

    fn dirs(&self) -> impl Iterator<Item = Id> + '_ {
        self.places.iter().map(|((dir, _), _)| *dir)
    }

    fn touches(&self, dirs: &BTreeSet<Id>) -> bool {
        self.dirs().any(|dir| dirs.contains(&dir))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    now: Tree,
    durable: Tree,
    changes: Vec<Arc<Change>>,
    /// With one journal for all, so many of the changes are durable.
    journalled: usize,
}

impl Names {
    pub fn now(&self) -> &Tree {
        &self.now
    }

    pub fn get(&self, dir: Id, name: &str) -> Option<Entry> {
        self.now.get(dir, name)
    }

    /// What is in a directory.
    pub fn inside(&self, dir: Id) -> impl Iterator<Item = (&Arc<str>, Entry)> {
        self.now.inside(dir)
    }

    pub fn change(&mut self, places: Vec<(Place, Option<Entry>)>) {
        let change = Change { places, synced: false };
        change.apply(&mut self.now);
        self.changes.push(Arc::new(change));
    }

    /// Makes the changes of a directory durable, with those that came before them in the directories they touch.
    pub fn sync_dir(&mut self, dir: Id) {
        let mut dirs = BTreeSet::from([dir]);
        for change in self.changes.iter_mut().rev() {
            if change.touches(&dirs) {
                if !change.synced {
                    Arc::make_mut(change).synced = true;
                }
                dirs.extend(change.places.iter().map(|((dir, _), _)| *dir));
            }
        }
        self.journalled = self.changes.len();
        let done = self.changes.iter().take_while(|change| change.synced).count();
        for change in self.changes.drain(..done) {
            change.apply(&mut self.durable);
        }
        self.journalled -= done;
    }

    pub fn sync_all(&mut self) {
        self.durable = self.now.clone();
        self.changes.clear();
        self.journalled = 0;
    }

    /// What a crash leaves.
    pub fn after_crash(&self, left: NamesLeft, rng: &mut Rng) -> Self {
        let mut tree = self.durable.clone();
        let prefix = self.journalled + rng.upto(self.changes.len() - self.journalled);
        let mut cut = BTreeSet::new();
        for (number, change) in self.changes.iter().enumerate() {
            let kept = match left {
                NamesLeft::All => true,
                NamesLeft::Synced => change.synced,
                NamesLeft::JournalPrefix => number < prefix,
                // A change in a directory that has lost one is lost, too; what is synced has lost nothing before it.
                NamesLeft::DirectoryPrefix => {
                    change.synced || !change.touches(&cut) && !rng.one_in(4)
                }
            };
            if kept {
                change.apply(&mut tree);
            } else {
                cut.extend(change.dirs());
            }
        }
        Self { now: tree.clone(), durable: tree, changes: Vec::new(), journalled: 0 }
    }
}
