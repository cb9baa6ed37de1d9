//! A fetcher: one task that follows the leaders of many partitions on one broker, by one fetch after the other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerEpoch, MonoMs, NodeId, TopicIdPartition};
use protocol::ErrorCode;
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use replication::{Ask, FollowerEvent, Position};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::offsets::{self, Question};
use super::request::{self, Asker};
use super::session::Session;
use super::{Change, FetcherId, Shared, WeakNode};
use crate::node::Node;
use crate::partitions::{Followed, Partition, Throttle, Turn, Use, Written};
use crate::peers::{Address, Answered, Channel, PeerError};

/// Changes that come together are taken together, and a fetch is given up for them not more often than this.
const GATHER: Duration = Duration::from_millis(5);
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);
/// All partitions are looked at so often, whether anything is known to have changed or not.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A replica whose limit is exceeded looks again after this.
const THROTTLED_MS: u64 = 100;
/// So long others wait for partitions that have to be durable before their leader hears of it.
const FLUSH_PATIENCE: Duration = Duration::from_millis(100);
/// After so many bytes other tasks get their turn.
const YIELD_AFTER_BYTES: usize = 1 << 20;

pub async fn run(node: WeakNode, id: FetcherId, shared: Arc<Shared>) {
    let mut fetcher = Fetcher::new(id, shared);
    info!(leader = %id.0, fetcher = id.1, "fetching begins");
    loop {
        let Some(node) = node.upgrade() else { return };
        fetcher.round(node).await;
    }
}

struct Fetcher {
    leader: NodeId,
    number: u16,
    shared: Arc<Shared>,
    partitions: HashMap<TopicIdPartition, Arc<Partition>>,
    /// Places of those that are to be fetched now.
    wanted: HashMap<TopicIdPartition, Position>,
    /// When those that wait go on.
    delayed: BTreeSet<(MonoMs, TopicIdPartition)>,
    /// Those that may want something else than they did.
    touched: HashSet<TopicIdPartition>,
    /// Touched since the session's last request.
    untold: HashSet<TopicIdPartition>,
    /// Had everything committed at their last answer: no limit holds them back.
    caught_up: HashSet<TopicIdPartition>,
    session: Session,
    swept: Instant,
    interrupted: Instant,
    /// The leader does not answer: said once.
    failing: bool,
}

impl Fetcher {
    fn new((leader, number): FetcherId, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            leader,
            number,
            shared,
            partitions: HashMap::new(),
            wanted: HashMap::new(),
            delayed: BTreeSet::new(),
            touched: HashSet::new(),
            untold: HashSet::new(),
            caught_up: HashSet::new(),
            session: Session::default(),
            swept: now,
            interrupted: now,
            failing: false,
        }
    }

    /// Asks once for everything that is to be asked.
    async fn round(&mut self, node: Arc<Node>) {
        self.take_changes();
        let questions = self.look(&node.neighbours.follower_throttle, node.clock.mono()).await;
        if self.wanted.is_empty() && questions.is_empty() {
            let until = self.delayed.first().map(|(until, _)| until.since(node.clock.mono()));
            drop(node);
            return self.pause(until.map(Duration::from_millis)).await;
        }
        let Some(address) = self.address(&node) else {
            drop(node);
            return self.pause(Some(INTERRUPT_EVERY)).await;
        };
        let within = ms(node.config().replication.socket_timeout_ms);
        if !questions.is_empty() {
            let (own, channel) = (node.static_config.node_id, Channel::Epochs(self.number));
            let told = offsets::ask(&node.peers, &address, channel, within, own, &questions).await;
            for Question { partition, epoch, .. } in questions {
                let event = told.get(&partition.id()).copied();
                let event = event.unwrap_or(FollowerEvent::Unreachable);
                let tell = || partition.follower_told(epoch, event, node.clock.now());
                partition.enter(Use::Write, tell).await;
                self.touched.insert(partition.id());
            }
            return;
        }
        match self.fetch(&node, &address, within).await {
            None => {
                node.peers.close(&address, Channel::Fetcher(self.number));
                self.session.restart();
            }
            Some(Ok(answered)) => {
                self.failing = false;
                self.answered(&node, &answered).await;
            }
            Some(Err(error)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    info!(leader = %self.leader, %address, "the leader cannot be asked: {error}");
                }
                self.session.restart();
                let backoff = ms(node.config().replication.fetch_backoff_ms);
                drop(node);
                self.pause(Some(backoff)).await;
            }
        }
    }

    /// Waits for changes, at most so long.
    async fn pause(&self, at_most: Option<Duration>) {
        let at_most = at_most.map_or(SWEEP_EVERY, |at_most| at_most.min(SWEEP_EVERY));
        // Either way there may be something to do.
        let _ = tokio::time::timeout(at_most, self.shared.changed.notified()).await;
    }

    fn take_changes(&mut self) {
        for change in self.shared.take() {
            match change {
                Change::Follow(partition) => {
                    self.touched.insert(partition.id());
                    self.partitions.insert(partition.id(), partition);
                }
                Change::Leave(id) => {
                    self.partitions.remove(&id);
                    self.touched.insert(id);
                }
                Change::Look(id) => {
                    self.touched.insert(id);
                }
            }
        }
    }

    /// Looks at the partitions that may want something else than before; gives what must be asked before they can fetch.
    async fn look(&mut self, throttle: &Throttle, now: MonoMs) -> Vec<Question> {
        let exceeded = throttle.is_exceeded(now);
        while let Some(due) = self.delayed.first().copied().filter(|(until, _)| *until <= now) {
            self.delayed.remove(&due);
            self.touched.insert(due.1);
        }
        if self.swept.elapsed() >= SWEEP_EVERY {
            self.swept = Instant::now();
            self.touched.extend(self.partitions.keys());
        }
        let mut questions = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            self.untold.insert(id);
            let partition = self.partitions.get(&id).cloned();
            let turn = match &partition {
                Some(partition) => partition.ask(self.leader, now).await,
                None => None,
            };
            let Some((partition, turn)) = partition.zip(turn) else {
                // It follows another leader by now, or nobody.
                self.partitions.remove(&id);
                self.caught_up.remove(&id);
                self.wanted.remove(&id);
                continue;
            };
            let (epoch, ask) = match turn {
                Turn::Ask(epoch, ask) => (epoch, ask),
                Turn::Flush(done) => {
                    self.wanted.remove(&id);
                    self.look_after(done, id);
                    continue;
                }
            };
            if let Ask::Fetch(position) = ask {
                if exceeded && !self.caught_up.contains(&id) && partition.is_throttled() {
                    self.wanted.remove(&id);
                    self.delayed.insert((now.plus_ms(THROTTLED_MS), id));
                } else {
                    self.wanted.insert(id, position);
                }
                continue;
            }
            self.wanted.remove(&id);
            match ask {
                Ask::LogEnd | Ask::LogStart => questions.push(Question { partition, epoch, ask }),
                Ask::Wait { until } => {
                    self.delayed.insert((until, id));
                }
                Ask::Fetch(_) | Ask::Nothing => {}
            }
        }
        questions
    }

    /// The partition is looked at again when its flush is done.
    fn look_after(&self, done: oneshot::Receiver<Written>, id: TopicIdPartition) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            // Whether it was done or given up shows when it is looked at.
            let _ = done.await;
            shared.tell(Change::Look(id));
        });
    }

    fn address(&self, node: &Node) -> Option<Address> {
        let image = node.image();
        let listener = &node.static_config.inter_broker_listener;
        let endpoint = image.cluster.broker(self.leader)?.endpoint(listener)?;
        Some(Address { host: Arc::clone(&endpoint.host), port: endpoint.port })
    }

    /// `None`: given up, because other partitions have come.
    async fn fetch(
        &mut self,
        node: &Node,
        address: &Address,
        within: Duration,
    ) -> Option<Result<Answered, PeerError>> {
        let touched: Vec<_> = self.untold.drain().collect();
        let words = self.session.next(&self.wanted, &touched);
        let config = node.config();
        let id = node.static_config.node_id;
        let image = node.image();
        let broker_epoch = image.cluster.broker(id).map_or(BrokerEpoch::NONE, |own| own.epoch);
        let asker = Asker { id, broker_epoch, config: &config.replication };
        let request = |version| request::fetch(&asker, &words, version);
        let channel = Channel::Fetcher(self.number);
        let sent = node.peers.send(address, channel, within, request);
        tokio::select! {
            answered = sent => Some(answered),
            () = interruption(&self.shared, self.interrupted) => {
                self.interrupted = Instant::now();
                None
            }
        }
    }

    async fn answered(&mut self, node: &Arc<Node>, answered: &Answered) {
        let response: FetchResponse<'_> = match answered.decode() {
            Ok(response) => response,
            Err(error) => {
                info!(leader = %self.leader, "the leader's answer cannot be read: {error}");
                self.session.restart();
                return self.pause(Some(ms(node.config().replication.fetch_backoff_ms))).await;
            }
        };
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {}
            ErrorCode::FetchSessionIdNotFound => return self.session.lost(),
            ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError => {
                return self.session.restart();
            }
            error => {
                info!(leader = %self.leader, error = error.name(), "the leader refuses to be followed");
                self.session.lost();
                return self.pause(Some(ms(node.config().replication.fetch_backoff_ms))).await;
            }
        }
        let named = response.responses.iter().flat_map(|topic| {
            let named = move |p: &PartitionData<'_>| {
                TopicIdPartition::new(topic.topic_id, p.partition_index)
            };
            topic.partitions.iter().map(named)
        });
        if !self.session.is_answered_by(named) {
            info!(leader = %self.leader, "the leader answers for other partitions than it was asked for");
            self.session.restart();
            return self.pause(Some(ms(node.config().replication.fetch_backoff_ms))).await;
        }
        self.settle_truncations(node).await;
        let (mut appended, mut since_yield) = (false, 0);
        let mut flushes = Vec::new();
        for topic in &response.responses {
            for data in &topic.partitions {
                let id = TopicIdPartition::new(topic.topic_id, data.partition_index);
                let told = self.session.told(id);
                let Some((at, partition)) = told.zip(self.partitions.get(&id)) else { continue };
                if data.error_code != 0 {
                    let error = ErrorCode::from_code(data.error_code).name();
                    debug!(partition = %format_args!("{}-{}", partition.topic(), id.partition), error, "not fetched");
                }
                let take = || partition.fetched(at, request::part(data), node.clock.now());
                let followed = partition.enter(Use::Write, take).await;
                self.touched.insert(id);
                if let Followed::Appended { bytes, behind, flush } = followed {
                    if flush {
                        flushes.extend(partition.until_durable().await);
                    }
                    appended |= bytes > 0;
                    since_yield += bytes;
                    if behind {
                        self.caught_up.remove(&id);
                    } else {
                        self.caught_up.insert(id);
                    }
                }
                if since_yield >= YIELD_AFTER_BYTES {
                    since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
        self.session.answered(response.session_id);
        if appended {
            node.note_appended();
        }
        durable(flushes).await;
    }

    /// A log that was cut grows again only when its recovery point is written down: a start after a crash would not look at what
    /// lies below the old one. Nothing is waited for but the disks that are written to.
    async fn settle_truncations(&self, node: &Arc<Node>) {
        let truncations = &node.neighbours.truncations;
        if truncations.due().is_empty() {
            return;
        }
        let lanes = self.partitions.values().map(|partition| partition.lane());
        let dirs: HashSet<PathBuf> = lanes.filter_map(|lane| truncations.due_in(&lane)).collect();
        for dir in dirs {
            let node = Arc::clone(node);
            let settling = tokio::task::spawn_blocking(move || node.settle_truncations(&dir));
            if let Err(panic) = settling.await {
                error!("recovery points were not written: {panic}");
            }
        }
    }
}

/// Waits for flushes (`flush.messages`), for a while: partitions whose disk takes longer are left out of the next fetches.
async fn durable(flushes: Vec<oneshot::Receiver<Written>>) {
    let all = async {
        for flush in flushes {
            // The partition knows whether it was done.
            let _ = flush.await;
        }
    };
    let _late = tokio::time::timeout(FLUSH_PATIENCE, all).await;
}

/// Other partitions have come, and it is not long ago that a fetch was given up for that.
async fn interruption(shared: &Shared, last: Instant) {
    shared.changed.notified().await;
    tokio::time::sleep_until((last + INTERRUPT_EVERY).max(Instant::now() + GATHER)).await;
}

fn ms(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
