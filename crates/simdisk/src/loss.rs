//! What a crash takes away, and the choice of what is left of names and contents.

use crate::rng::Rng;

/// What becomes of unsynced data in a crash.
///
/// Names (creations, renames, removals) follow one of two models of journalled file systems. *Journal*: one journal for
/// the whole file system, so that a crash leaves a prefix of all changes (ext4, XFS). *Per directory*: every directory
/// has a history of its own and a crash leaves a prefix of each (weaker: a sync of a directory says nothing about its
/// parent); a rename between two directories is in both or in none. A sync of a file makes no name durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nothing is lost: the process died, the machine did not.
    None,
    /// Everything unsynced is lost, in the weaker model of names.
    All,
    /// All names are as they were last, contents as they were synced: files that were renamed before their bytes came
    /// are empty.
    Contents,
    /// All names and lengths are as they were last, what was not synced reads as zeros.
    Zeros,
    /// All contents are as they were last, names as they were synced.
    Names,
    /// Of the last unsynced write of every file only some sectors are there.
    Torn(u64),
    /// Any part of it, as this seed says: pages in any order and version, torn in sectors, lengths, and a prefix of the
    /// changes of names in one of the two models.
    Some(u64),
}

/// Which changes of names are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NamesLeft {
    All,
    /// Those that were synced, in the weaker model.
    Synced,
    /// Those that were synced and a prefix of the rest.
    JournalPrefix,
    /// Those that were synced and a prefix of the rest in each directory.
    DirectoryPrefix,
}

/// What is left of the unsynced changes of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ContentsLeft {
    All,
    Synced,
    Zeros,
    Torn,
    Any,
}

impl Loss {
    /// One of each kind, the random ones with these seeds.
    pub fn every(seed: u64) -> [Self; 8] {
        [
            Self::None,
            Self::All,
            Self::Contents,
            Self::Zeros,
            Self::Names,
            Self::Torn(seed),
            Self::Some(seed),
            Self::Some(seed.wrapping_add(1 << 32)),
        ]
    }

    pub(crate) fn rng(self) -> Rng {
        match self {
            Self::Torn(seed) | Self::Some(seed) => Rng::new(seed),
            _ => Rng::new(0),
        }
    }

    pub(crate) fn names(self, rng: &mut Rng) -> NamesLeft {
        match self {
            Self::None | Self::Contents | Self::Zeros | Self::Torn(_) => NamesLeft::All,
            Self::All | Self::Names => NamesLeft::Synced,
            Self::Some(_) if rng.one_in(2) => NamesLeft::JournalPrefix,
            Self::Some(_) => NamesLeft::DirectoryPrefix,
        }
    }

    pub(crate) fn contents(self) -> ContentsLeft {
        match self {
            Self::None | Self::Names => ContentsLeft::All,
            Self::All | Self::Contents => ContentsLeft::Synced,
            Self::Zeros => ContentsLeft::Zeros,
            Self::Torn(_) => ContentsLeft::Torn,
            Self::Some(_) => ContentsLeft::Any,
        }
    }
}
