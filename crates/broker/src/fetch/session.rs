//! Fetch sessions (KIP-227): what a consumer fetches is remembered, so that its next request names only what changed and
//! the response only what is new.
//!
//! Pure: the caller gives time and random ids. One session is used by one connection at a time; the cache as a whole is
//! bounded by `max.incremental.fetch.session.cache.slots`.

use std::collections::{BTreeMap, HashMap};

use base::{LeaderEpoch, MonoMs, Offset, PartitionIndex, TopicId};

/// A session that was not used for so long may be evicted by any new one (Kafka's `FETCH_SESSION_MIN_EVICT_MS`).
pub const EVICTION_MS_MIN: u64 = 120_000;

/// The epoch of a request that opens a session.
pub const EPOCH_INITIAL: i32 = 0;
/// The epoch of a request without session, or one that closes its session.
pub const EPOCH_FINAL: i32 = -1;

/// How a request names a partition: by topic id from version 13 on, by name before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TopicKey {
    Id(TopicId),
    Name(Box<str>),
}

pub type PartitionKey = (TopicKey, PartitionIndex);

/// What a request says of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionRequest {
    pub fetch_offset: Offset,
    pub log_start: Offset,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
    pub bytes_max: i32,
}

/// What the response says of one partition, as far as the decision to send it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionAnswer {
    pub has_records: bool,
    pub failed: bool,
    pub high_watermark: i64,
    pub log_start: i64,
    /// Diverging epoch or preferred read replica: always to be told.
    pub must_tell: bool,
}

#[derive(Clone, Debug)]
struct Cached {
    key: PartitionKey,
    request: PartitionRequest,
    /// As last told; -1 when the client must be told anew.
    high_watermark: i64,
    log_start: i64,
}

/// The partitions of one session, in the order in which they are served.
#[derive(Clone, Debug)]
pub struct Session {
    id: i32,
    epoch: i32,
    uses_topic_ids: bool,
    created_at: MonoMs,
    used_at: MonoMs,
    by_place: BTreeMap<u64, Cached>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

impl Session {
    fn new(id: i32, uses_topic_ids: bool, now: MonoMs) -> Self {
        Self {
            id,
            epoch: next_epoch(EPOCH_INITIAL),
            uses_topic_ids,
            created_at: now,
            used_at: now,
            by_place: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }

    pub fn id(&self) -> i32 {
        self.id
    }

    pub fn len(&self) -> usize {
        self.by_place.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// The partitions to serve, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (u64, &PartitionKey, &PartitionRequest)> {
        self.by_place.iter().map(|(place, cached)| (*place, &cached.key, &cached.request))
    }

    fn set(&mut self, key: PartitionKey, request: PartitionRequest) {
        if let Some(cached) = self.places.get(&key).and_then(|p| self.by_place.get_mut(p)) {
            cached.request = request;
            return;
        }
        self.places.insert(key.clone(), self.next_place);
        let cached = Cached { key, request, high_watermark: -1, log_start: -1 };
        self.by_place.insert(self.next_place, cached);
        self.next_place += 1;
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.places.remove(key) {
            self.by_place.remove(&place);
        }
    }

    /// Whether the answer for the partition at `place` goes into an incremental response; remembers what is then told.
    /// A partition that had records moves behind the others, so that none starves under `max_bytes`.
    pub fn answer(&mut self, place: u64, answer: PartitionAnswer) -> bool {
        let Some(cached) = self.by_place.get_mut(&place) else { return false };
        let mut tell = answer.has_records || answer.must_tell;
        if cached.high_watermark != answer.high_watermark {
            tell = true;
            cached.high_watermark = answer.high_watermark;
        }
        if cached.log_start != answer.log_start {
            tell = true;
            cached.log_start = answer.log_start;
        }
        if answer.failed {
            // Told every time, and the watermark anew once the error is gone.
            tell = true;
            cached.high_watermark = -1;
        }
        if answer.has_records
            && let Some(cached) = self.by_place.remove(&place)
        {
            self.places.insert(cached.key.clone(), self.next_place);
            self.by_place.insert(self.next_place, cached);
            self.next_place += 1;
        }
        tell
    }
}

/// The epoch that follows: counts from 1 and wraps to 1.
pub fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 { EPOCH_FINAL } else { epoch.checked_add(1).unwrap_or(1) }
}

/// How a request is served.
#[derive(Debug)]
pub enum Context {
    /// All partitions of the request, all told; no session.
    Sessionless,
    /// All partitions told; the session is new.
    Full { session: Session },
    /// What changed.
    Incremental { session: Session },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionError {
    IdNotFound,
    InvalidEpoch,
    TopicIdMismatch,
}

/// One request as the cache sees it.
pub struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    pub uses_topic_ids: bool,
    pub partitions: Vec<(PartitionKey, PartitionRequest)>,
    pub forgotten: Vec<PartitionKey>,
}

/// All sessions of a node. A session in use is taken out, and put back with the answer.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    sessions: HashMap<i32, Slot>,
}

#[derive(Debug)]
enum Slot {
    Here(Session),
    /// In use by a request. Evicted or closed meanwhile, it will not come back.
    Out {
        uses_topic_ids: bool,
    },
}

impl Sessions {
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: HashMap::new() }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Opens, continues or closes a session. `random_ids` proposes ids; the first positive one that is free is taken.
    pub fn begin(
        &mut self,
        request: &mut SessionRequest,
        random_ids: impl Iterator<Item = i32>,
        now: MonoMs,
    ) -> Result<Context, SessionError> {
        if request.epoch == EPOCH_FINAL || request.epoch == EPOCH_INITIAL {
            self.sessions.remove(&request.session_id);
            if request.epoch == EPOCH_FINAL {
                return Ok(Context::Sessionless);
            }
            return Ok(self.open(request, random_ids, now));
        }
        let slot = self.sessions.get_mut(&request.session_id).ok_or(SessionError::IdNotFound)?;
        let session = match slot {
            Slot::Here(session) => session,
            // The same session twice at a time: the second cannot have the right epoch.
            Slot::Out { .. } => return Err(SessionError::InvalidEpoch),
        };
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        if session.epoch != request.epoch {
            return Err(SessionError::InvalidEpoch);
        }
        for (key, partition) in request.partitions.drain(..) {
            session.set(key, partition);
        }
        for key in &request.forgotten {
            session.forget(key);
        }
        if session.is_empty() {
            self.sessions.remove(&request.session_id);
            return Ok(Context::Sessionless);
        }
        session.used_at = now;
        session.epoch = next_epoch(session.epoch);
        let uses_topic_ids = session.uses_topic_ids;
        match std::mem::replace(slot, Slot::Out { uses_topic_ids }) {
            Slot::Here(session) => Ok(Context::Incremental { session }),
            Slot::Out { .. } => Err(SessionError::InvalidEpoch),
        }
    }

    fn open(
        &mut self,
        request: &mut SessionRequest,
        mut random_ids: impl Iterator<Item = i32>,
        now: MonoMs,
    ) -> Context {
        if request.partitions.is_empty() || !self.make_room(request.partitions.len(), now) {
            return Context::Sessionless;
        }
        let free = |id: &i32| *id > 0 && !self.sessions.contains_key(id);
        let Some(id) = random_ids.by_ref().take(100).find(free) else {
            return Context::Sessionless;
        };
        let mut session = Session::new(id, request.uses_topic_ids, now);
        for (key, partition) in request.partitions.drain(..) {
            session.set(key, partition);
        }
        self.sessions.insert(id, Slot::Out { uses_topic_ids: request.uses_topic_ids });
        Context::Full { session }
    }

    /// A free slot, or that of a session which was unused for long, or of a smaller one that had its time.
    fn make_room(&mut self, size: usize, now: MonoMs) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let here = self.sessions.values().filter_map(|slot| match slot {
            Slot::Here(session) => Some(session),
            Slot::Out { .. } => None,
        });
        let stale = |s: &&Session| now.since(s.used_at) > EVICTION_MS_MIN;
        let smaller = |s: &&Session| s.len() < size && now.since(s.created_at) > EVICTION_MS_MIN;
        let victim = here.clone().filter(stale).min_by_key(|s| s.used_at);
        let victim = victim.or_else(|| here.filter(smaller).min_by_key(|s| s.len()));
        let Some(id) = victim.map(Session::id) else { return false };
        self.sessions.remove(&id);
        true
    }

    /// Puts a session back after its response was made, unless it was closed meanwhile.
    pub fn end(&mut self, session: Session) {
        if let Some(slot @ Slot::Out { .. }) = self.sessions.get_mut(&session.id) {
            *slot = Slot::Here(session);
        }
    }

    /// Whether the request's session exists and names topics by id, for answers without a session at hand.
    pub fn uses_topic_ids(&self, session_id: i32) -> Option<bool> {
        Some(match self.sessions.get(&session_id)? {
            Slot::Here(session) => session.uses_topic_ids,
            Slot::Out { uses_topic_ids } => *uses_topic_ids,
        })
    }
}
