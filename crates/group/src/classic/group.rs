//! The state of a classic group: who is a member, and how far its rebalance is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::machine::ReplyId;
use protocol::ErrorCode;
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::member::{Member, Protocol};
use super::subscription;
use crate::java;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Empty,
    /// Members are awaited to join.
    PreparingRebalance,
    /// All have joined; the leader's assignment is awaited.
    CompletingRebalance,
    Stable,
}

impl State {
    /// As Kafka shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// How an empty group waits for its first members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InitialDelay {
    /// The wait that runs.
    pub delay_ms: i32,
    /// What may be waited beyond it.
    pub remaining_ms: i32,
}

/// A classic group, or one that only holds offsets. O(1) to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classic {
    /// None for a group that never had members.
    pub(crate) protocol_type: Option<Arc<str>>,
    /// The chosen one.
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<Arc<str>>,
    pub(super) state: State,
    /// When it came into its state, in milliseconds; unknown in old records.
    pub(crate) since_ms: Option<i64>,
    pub(crate) members: RedBlackTreeMapSync<Arc<str>, Arc<Member>>,
    /// Member ids by instance id.
    pub(super) statics: RedBlackTreeMapSync<Arc<str>, Arc<str>>,
    /// Ids that were given out and have not joined yet.
    pub(super) pending_joins: RedBlackTreeSetSync<Arc<str>>,
    /// Members whose SyncGroup has not come in this generation.
    pub(super) pending_syncs: RedBlackTreeSetSync<Arc<str>>,
    /// How many members know a protocol.
    supported: RedBlackTreeMapSync<Arc<str>, usize>,
    pub(super) joins_waiting: usize,
    /// What its members' protocols take, about.
    pub(super) metadata_bytes: usize,
    /// Topics of all members, where they are known.
    pub(super) subscribed: Option<Arc<BTreeSet<Arc<str>>>>,
    /// The rebalance that runs began with an empty group.
    pub(super) initial: Option<InitialDelay>,
    /// Somebody came while an empty group waited for its first members.
    pub(super) member_added: bool,
}

impl Default for Classic {
    fn default() -> Self {
        Self {
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            state: State::Empty,
            since_ms: None,
            members: RedBlackTreeMapSync::new_sync(),
            statics: RedBlackTreeMapSync::new_sync(),
            pending_joins: RedBlackTreeSetSync::new_sync(),
            pending_syncs: RedBlackTreeSetSync::new_sync(),
            supported: RedBlackTreeMapSync::new_sync(),
            joins_waiting: 0,
            metadata_bytes: 0,
            subscribed: None,
            initial: None,
            member_added: false,
        }
    }
}

impl Classic {
    /// A group with the members of a record or of another kind of group, none of which waits: stable, or empty.
    pub(crate) fn restore(
        self,
        protocol_type: Option<Arc<str>>,
        members: impl IntoIterator<Item = Member>,
    ) -> Self {
        let mut group = Self { protocol_type, ..self };
        for member in members {
            group.state = State::Stable;
            group.add(member);
        }
        group.subscribed = subscription::topics(&group);
        group
    }

    /// A stable group of consumers that have their assignments, which was another kind of group before.
    pub(crate) fn of_consumers(
        generation: i32,
        protocol: Arc<str>,
        members: impl IntoIterator<Item = Member>,
        now_ms: i64,
    ) -> Self {
        let group = Self { generation, protocol: Some(protocol), ..Self::default() };
        let mut group = group.restore(Some(Arc::from(CONSUMER)), members);
        group.enter(State::Stable, now_ms);
        group
    }

    /// The protocol that these would choose.
    pub(crate) fn vote_of(members: impl IntoIterator<Item = Member>) -> Option<Arc<str>> {
        Self::default().restore(None, members).vote()
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    pub fn member(&self, id: &str) -> Option<&Arc<Member>> {
        self.members.get(id)
    }

    /// Ids that were given out and have not joined yet.
    pub fn pending_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pending_joins.iter()
    }

    /// Nobody is a member or was given an id.
    pub(crate) fn is_memberless(&self) -> bool {
        self.members.is_empty() && self.pending_joins.is_empty()
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(super) fn all_joined(&self) -> bool {
        self.members.size() == self.joins_waiting && self.pending_joins.is_empty()
    }

    /// The longest of its members'.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// The member behind an id and, if it is static, its instance id.
    pub(super) fn check_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<&Arc<Member>, ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.statics.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(owner) if **owner != *id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members.get(id).ok_or(ErrorCode::UnknownMemberId)
    }

    /// A newcomer with these protocols fits to those who are here.
    pub(super) fn supports<'a>(
        &self,
        protocol_type: &str,
        mut names: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        let count = self.members.size();
        let common = |name: &str| self.supported.get(name).copied().unwrap_or(0) == count;
        self.protocol_type.as_deref() == Some(protocol_type) && names.any(common)
    }

    pub(super) fn add(&mut self, member: Member) {
        let id = Arc::clone(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert_mut(Arc::clone(instance_id), Arc::clone(&id));
        }
        self.leader.get_or_insert_with(|| Arc::clone(&id));
        self.pending_joins.remove_mut(&id);
        self.count_protocols(&member.protocols, 1);
        self.joins_waiting += usize::from(member.join.is_some());
        self.members.insert_mut(id, Arc::new(member));
    }

    /// Takes out a member, or an id that was given out. Who waits is the caller's business.
    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Member>> {
        self.pending_joins.remove_mut(id);
        self.pending_syncs.remove_mut(id);
        let member = self.members.get(id).cloned()?;
        self.members.remove_mut(id);
        self.count_protocols(&member.protocols, -1);
        self.joins_waiting -= usize::from(member.join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.statics.remove_mut(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.first().map(|(id, _)| Arc::clone(id));
        }
        Some(member)
    }

    /// Changes a member's fields; not its id.
    pub(super) fn update(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.members.get_mut(id).map(Arc::make_mut) else { return };
        let (protocols, waited) = (Arc::clone(&member.protocols), member.join.is_some());
        change(member);
        let (changed, waits) = (Arc::clone(&member.protocols), member.join.is_some());
        self.joins_waiting = self.joins_waiting + usize::from(waits) - usize::from(waited);
        if !Arc::ptr_eq(&protocols, &changed) {
            self.count_protocols(&protocols, -1);
            self.count_protocols(&changed, 1);
        }
    }

    /// Takes the waiting JoinGroup of a member.
    pub(super) fn take_join(&mut self, id: &str) -> Option<ReplyId> {
        let waiting = self.members.get(id)?.join?;
        self.update(id, |member| member.join = None);
        Some(waiting)
    }

    /// Takes the waiting SyncGroup of a member.
    pub(super) fn take_sync(&mut self, id: &str) -> Option<ReplyId> {
        let waiting = self.members.get(id)?.sync?;
        self.update(id, |member| member.sync = None);
        Some(waiting)
    }

    pub(crate) fn enter(&mut self, state: State, now_ms: i64) {
        self.state = state;
        self.since_ms = Some(now_ms);
    }

    /// Those who joined form the next generation.
    pub(super) fn next_generation(&mut self, now_ms: i64) {
        self.generation = self.generation.wrapping_add(1);
        self.initial = None;
        self.protocol = self.vote();
        self.subscribed = subscription::topics(self);
        let empty = self.members.is_empty();
        self.enter(if empty { State::Empty } else { State::CompletingRebalance }, now_ms);
        self.pending_syncs = RedBlackTreeSetSync::new_sync();
    }

    /// The protocol that most members prefer of those that all of them know.
    pub(super) fn vote(&self) -> Option<Arc<str>> {
        let count = self.members.size();
        let common = |protocol: &&Protocol| self.supported.get(&protocol.name) == Some(&count);
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members() {
            if let Some(preferred) = member.protocols.iter().find(common) {
                *votes.entry(&preferred.name).or_default() += 1;
            }
        }
        // Of those with as many votes Kafka takes the first of a hash table.
        let hashed = votes.into_iter().map(|vote| (java::string_hash(vote.0), vote)).collect();
        let votes = java::hash_order(hashed, java::Made::Default).into_iter();
        let most = votes.reduce(|most, next| if next.1 > most.1 { next } else { most });
        let most = most.map(|(name, _)| Arc::clone(name));
        most.or_else(|| Some(Arc::clone(&self.members().next()?.protocols.first()?.name)))
    }

    fn count_protocols(&mut self, protocols: &[Protocol], by: isize) {
        let bytes = protocols.iter().map(Protocol::bytes).sum::<usize>();
        self.metadata_bytes = match by {
            0.. => self.metadata_bytes.saturating_add(bytes),
            _ => self.metadata_bytes.saturating_sub(bytes),
        };
        // A name that is repeated counts as often, as in Kafka: it then is nobody's choice.
        for Protocol { name, .. } in protocols {
            let count = self.supported.get(name).copied().unwrap_or(0).saturating_add_signed(by);
            if count == 0 {
                self.supported.remove_mut(name);
            } else {
                self.supported.insert_mut(Arc::clone(name), count);
            }
        }
    }
}
