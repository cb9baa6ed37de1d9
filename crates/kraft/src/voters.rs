//! Who votes: replica keys, voter sets, and how the set changed along the log (KIP-853).

use std::collections::BTreeMap;
use std::fmt;

use base::{DirectoryId, NodeId, Offset};

/// A replica by its node and, where known, the directory that holds its log. A node with a new disk is a new replica.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplicaKey {
    pub id: NodeId,
    pub directory_id: Option<DirectoryId>,
}

impl ReplicaKey {
    /// The all-zero directory id of the wire means "not known".
    pub fn new(id: NodeId, directory_id: DirectoryId) -> Self {
        Self { id, directory_id: (!directory_id.is_zero()).then_some(directory_id) }
    }
}

/// As Kafka writes it in messages.
impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match self.directory_id {
            Some(directory) => write!(f, "ReplicaKey(id={id}, directoryId={directory})"),
            None => write!(f, "ReplicaKey(id={id}, directoryId=<undefined>)"),
        }
    }
}

/// Address of a listener of a voter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// Levels of `kraft.version` that a voter understands, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

impl VersionRange {
    pub(crate) fn contains(self, level: KRaftVersion) -> bool {
        self.min <= level.0 && level.0 <= self.max
    }
}

/// Level of the feature `kraft.version`: 0 with a static set of voters, 1 with voters kept in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct KRaftVersion(pub i16);

impl KRaftVersion {
    /// The voter set lives in the log and can be changed (level 1).
    pub fn is_dynamic(self) -> bool {
        self.0 >= 1
    }

    /// Version of the `quorum-state` file that goes with this level.
    pub fn quorum_state_version(self) -> i16 {
        i16::from(self.is_dynamic())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub key: ReplicaKey,
    pub endpoints: Vec<Endpoint>,
    pub kraft_versions: VersionRange,
}

impl Voter {
    /// A voter whose directory is not known (static quorum) matches any directory of that node.
    pub fn is(&self, key: ReplicaKey) -> bool {
        self.key.id == key.id
            && (self.key.directory_id.is_none() || self.key.directory_id == key.directory_id)
    }
}

/// The voters at one offset of the log, by node id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VoterSet {
    voters: BTreeMap<NodeId, Voter>,
}

impl FromIterator<Voter> for VoterSet {
    fn from_iter<I: IntoIterator<Item = Voter>>(voters: I) -> Self {
        Self { voters: voters.into_iter().map(|voter| (voter.key.id, voter)).collect() }
    }
}

impl VoterSet {
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.values()
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.voters.keys().copied().collect()
    }

    /// The voters as Kafka lists them in messages.
    pub(crate) fn text(&self) -> String {
        let keys: Vec<String> = self.iter().map(|voter| voter.key.to_string()).collect();
        format!("[{}]", keys.join(", "))
    }

    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    pub fn is_only_voter(&self, key: ReplicaKey) -> bool {
        self.voters.len() == 1 && self.is_voter(key)
    }

    pub fn is_voter(&self, key: ReplicaKey) -> bool {
        self.voters.get(&key.id).is_some_and(|voter| voter.is(key))
    }

    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.voters.get(&id)
    }

    pub fn len(&self) -> usize {
        self.voters.len()
    }

    /// The set with one voter more; `None` when the node votes already.
    pub(crate) fn with(&self, voter: Voter) -> Option<Self> {
        (!self.voters.contains_key(&voter.key.id)).then(|| self.updated(voter))
    }

    /// The set without this very voter; `None` when it is not in it, or alone.
    pub(crate) fn without(&self, key: ReplicaKey) -> Option<Self> {
        let found = self.voters.len() > 1 && self.get(key.id).is_some_and(|old| old.key == key);
        found.then(|| {
            let mut voters = self.voters.clone();
            voters.remove(&key.id);
            Self { voters }
        })
    }

    pub(crate) fn supports(&self, level: KRaftVersion) -> bool {
        self.iter().all(|voter| voter.kraft_versions.contains(level))
    }

    /// The set with `voter` in the place of the voter of the same id.
    #[must_use]
    pub fn updated(&self, voter: Voter) -> Self {
        let mut voters = self.voters.clone();
        voters.insert(voter.key.id, voter);
        Self { voters }
    }
}

/// A record of the quorum itself, kept in the log beside the records that it orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlRecord {
    /// First record of every epoch.
    LeaderChange {
        leader: NodeId,
        voters: Vec<NodeId>,
        granting: Vec<NodeId>,
    },
    KRaftVersion(KRaftVersion),
    Voters(VoterSet),
}

/// Voter sets and `kraft.version` by the offset of their record; what a truncation takes away comes back from here.
#[derive(Clone, Debug, Default)]
pub struct VoterHistory {
    static_voters: VoterSet,
    sets: Vec<(Offset, VoterSet)>,
    versions: Vec<(Offset, KRaftVersion)>,
}

impl VoterHistory {
    /// `static_voters`: those of `controller.quorum.voters`, empty when the key is not set.
    pub fn new(static_voters: VoterSet) -> Self {
        Self { static_voters, ..Self::default() }
    }

    /// Takes a control record at its offset: for those of a snapshot, the offset of the last record it contains.
    pub fn add(&mut self, offset: Offset, record: &ControlRecord) {
        match record {
            ControlRecord::LeaderChange { .. } => {}
            ControlRecord::KRaftVersion(version) => self.versions.push((offset, *version)),
            ControlRecord::Voters(set) => self.sets.push((offset, set.clone())),
        }
    }

    /// Forgets what a truncation to `end` takes away.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.sets.retain(|(at, _)| *at < end);
        self.versions.retain(|(at, _)| *at < end);
    }

    /// Forgets what came before the newest entry of a snapshot that ends at `end`.
    pub(crate) fn forget_before(&mut self, end: Offset) {
        let superseded =
            |offsets: Vec<Offset>| offsets.iter().rposition(|at| *at < end).unwrap_or_default();
        let sets = superseded(self.sets.iter().map(|(at, _)| *at).collect());
        self.sets.drain(..sets);
        let versions = superseded(self.versions.iter().map(|(at, _)| *at).collect());
        self.versions.drain(..versions);
    }

    /// Starts again from the control records of a snapshot that ends at `end`.
    pub(crate) fn replace(&mut self, end: Offset, control: &[ControlRecord]) {
        self.sets.clear();
        self.versions.clear();
        for record in control {
            self.add(end.plus(-1), record);
        }
    }

    /// The newest voter set and the offset of its record, `None` for the static set.
    pub fn last(&self) -> (&VoterSet, Option<Offset>) {
        match self.sets.last() {
            Some((offset, set)) => (set, Some(*offset)),
            None => (&self.static_voters, None),
        }
    }

    /// The replica voted before the newest set, which may not be committed: it lies at or behind `floor`.
    pub(crate) fn was_removed_since(&self, key: ReplicaKey, floor: Offset) -> bool {
        let Some(((at, newest), older)) = self.sets.split_last() else { return false };
        *at >= floor && !newest.is_voter(key) && older.iter().any(|(_, set)| set.is_voter(key))
    }

    pub fn kraft_version(&self) -> KRaftVersion {
        self.versions.last().map(|(_, version)| *version).unwrap_or_default()
    }

    /// The voter set as of `offset` (exclusive), as a snapshot that ends there must hold it.
    pub fn voters_before(&self, offset: Offset) -> Option<&VoterSet> {
        self.sets.iter().rev().find(|(at, _)| *at < offset).map(|(_, set)| set)
    }

    pub fn kraft_version_before(&self, offset: Offset) -> KRaftVersion {
        self.versions
            .iter()
            .rev()
            .find(|(at, _)| *at < offset)
            .map(|(_, version)| *version)
            .unwrap_or_default()
    }
}
