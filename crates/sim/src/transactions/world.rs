//! The world: one clock, one queue of what is to come, a log that moves between two coordinators.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, Offset, ProducerId, TopicPartition, WallMs};
use coordinator::LogRecord;
use protocol::ErrorCode;
use transaction::{Config, Query, Reply, Request, View};

use super::checks::Checks;
use super::client::Client;
use super::coordinator::Coordinator;
use super::partition::{Marker, Partition, Write};
use super::{Plan, Tamper};
use crate::Rng;
use crate::groups::network::Network;

/// When nobody answers.
pub const REQUEST_MS: u64 = 2_000;
const TRACE_LINES: usize = 60;
pub const NODES: usize = 2;
const PARTITIONS: usize = 4;
/// After the chaos: long enough for every timeout.
const CALM_MS: u64 = 60_000;

/// What a coordinator is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    Request(Request),
    Query(Query),
}

/// Who hears of it.
#[derive(Clone, Debug)]
pub enum From {
    Client {
        client: usize,
        call: u64,
    },
    /// A write that waits there.
    Partition {
        partition: usize,
        number: u64,
    },
    /// The node's own sender of markers.
    Sender,
}

pub type Answer = Result<Reply, ErrorCode>;

#[derive(Clone, Debug)]
pub enum Event {
    Asked {
        node: usize,
        from: From,
        ask: Ask,
    },
    Told {
        client: usize,
        call: u64,
        answer: Answer,
    },
    Write {
        partition: usize,
        write: Write,
    },
    Verified {
        partition: usize,
        number: u64,
        answer: Answer,
    },
    Wrote {
        client: usize,
        call: u64,
        result: Result<(), ErrorCode>,
    },
    Mark {
        partition: usize,
        marker: Marker,
        node: usize,
        id: Arc<str>,
        number: u64,
    },
    Marked {
        node: usize,
        epoch: LeaderEpoch,
        id: Arc<str>,
        number: u64,
        partition: usize,
        result: Result<(), ErrorCode>,
    },
    SendAgain {
        node: usize,
        epoch: LeaderEpoch,
        id: Arc<str>,
        number: u64,
    },
    Committed {
        epoch: LeaderEpoch,
        to: Offset,
    },
    Tick {
        node: usize,
    },
    /// The broker of a partition hears who coordinates.
    Learned {
        partition: usize,
        leader: usize,
        epoch: LeaderEpoch,
    },
    /// A coordinator hears that it is replaced.
    Deposed {
        node: usize,
        epoch: LeaderEpoch,
    },
    Wake {
        client: usize,
        call: u64,
    },
    Chaos,
}

/// The log of the coordinator, with the newest leader's epoch.
pub struct Log {
    pub batches: Vec<Vec<LogRecord>>,
    pub committed: Offset,
}

impl Log {
    pub fn end(&self) -> Offset {
        let records: usize = self.batches.iter().map(Vec::len).sum();
        Offset(i64::try_from(records).unwrap_or(i64::MAX))
    }
}

pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now: Now,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub network: Network,
    /// Connections are lost with what they carry, and keep the order: clients of the first generation rely on it.
    pub orderly: bool,
    pub log: Log,
    pub leader: usize,
    pub epoch: LeaderEpoch,
    pub coordinators: Vec<Coordinator>,
    /// Who coordinates, and in which epoch, as the broker of each partition believes.
    pub known: Vec<(usize, LeaderEpoch)>,
    /// How far the wall clock of each coordinator is off.
    pub clocks: Vec<i64>,
    pub partitions: Vec<Partition>,
    pub clients: Vec<Client>,
    pub ids: Vec<Arc<str>>,
    pub view: View,
    pub next_producer_id: i64,
    pub chaos: bool,
    pub checks: Checks,
    trace: VecDeque<String>,
    hasher: DefaultHasher,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let orderly = rng.below(3) == 0;
        let config = Config {
            timeout_max_ms: 60_000,
            two_phase_commit: false,
            expiration_ms: 20_000,
            timeout_check_ms: 1_000,
            expiry_check_ms: 3_000,
        };
        let transaction_version =
            if orderly { [0, 2, 2][usize::try_from(rng.below(3)).unwrap_or(0)] } else { 2 };
        let partitions = (0..PARTITIONS).map(|_| Partition::new(plan.tamper));
        let network = if rng.below(3) == 0 { Network::BAD } else { Network::USUAL };
        Self {
            plan,
            now: Now { mono: MonoMs(1_000), wall: WallMs(1_700_000_000_000) },
            queue: BTreeMap::new(),
            next_event: 0,
            network,
            orderly,
            log: Log { batches: Vec::new(), committed: Offset::ZERO },
            leader: 0,
            epoch: LeaderEpoch(1),
            coordinators: (0..NODES).map(|_| Coordinator::new()).collect(),
            known: vec![(0, LeaderEpoch::NONE); PARTITIONS],
            clocks: vec![0; NODES],
            partitions: partitions.collect(),
            clients: Vec::new(),
            ids: (0..2 + rng.below(2)).map(|id| Arc::from(format!("id{id}"))).collect(),
            view: View { config, transaction_version },
            next_producer_id: 0,
            chaos: true,
            checks: Checks::default(),
            trace: VecDeque::new(),
            hasher: DefaultHasher::new(),
            rng,
        }
    }

    pub fn topic_partition(partition: usize) -> TopicPartition {
        TopicPartition::new("t", i32::try_from(partition).unwrap_or(0))
    }

    pub fn is(&self, tamper: Tamper) -> bool {
        self.plan.tamper == Some(tamper)
    }

    pub fn fresh_producer_id(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    pub fn note(&mut self, line: &str) {
        line.hash(&mut self.hasher);
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{} {line}", self.now.mono.0));
    }

    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace.iter().cloned().collect()
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now.mono.0 + ms, self.next_event), event);
    }

    /// Over the network.
    pub fn send(&mut self, event: Event) {
        let network = Network {
            repeated: if self.orderly { 0 } else { self.network.repeated },
            ..self.network
        };
        for ms in network.arrivals(&mut self.rng) {
            // Whoever waits has given up the connection before.
            if !self.orderly || ms < REQUEST_MS / 2 {
                self.after(ms, event.clone());
            }
        }
    }

    /// A write may arrive when its client has long given up the connection.
    pub fn send_late(&mut self, event: Event) {
        if !self.orderly {
            return self.send(event);
        }
        let network = Network { repeated: 0, ..self.network };
        for ms in network.arrivals(&mut self.rng) {
            self.after(ms, event.clone());
        }
    }

    pub fn live(&mut self) -> Result<(), String> {
        self.lead(0)?;
        for id in self.ids.clone() {
            self.add_client(&id);
        }
        self.after(500, Event::Chaos);
        let end_of_chaos = self.now.mono.plus_ms(self.plan.chaos_ms);
        let end = end_of_chaos.plus_ms(CALM_MS);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > end.0 {
                break;
            }
            let passed = at.saturating_sub(self.now.mono.0);
            self.now.mono = MonoMs(at);
            self.now.wall.0 = self.now.wall.0.saturating_add_unsigned(passed);
            if self.chaos && self.now.mono >= end_of_chaos {
                self.calm();
            }
            self.happen(event)?;
            Checks::look(self)?;
        }
        Checks::at_rest(self)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Asked { node, from, ask } => self.asked(node, from, ask),
            Event::Told { client, call, answer } => {
                self.told(client, call, answer);
                Ok(())
            }
            Event::Write { partition, write } => {
                self.write(partition, write);
                Ok(())
            }
            Event::Verified { partition, number, answer } => {
                self.verified(partition, number, &answer);
                Ok(())
            }
            Event::Wrote { client, call, result } => {
                self.wrote(client, call, result);
                Ok(())
            }
            Event::Mark { partition, marker, node, id, number } => {
                self.mark(partition, &marker, node, id, number);
                Ok(())
            }
            Event::Marked { node, epoch, id, number, partition, result } => {
                self.marked(node, epoch, &id, number, partition, result)
            }
            Event::SendAgain { node, epoch, id, number } => {
                self.send_markers(node, epoch, &id, number);
                Ok(())
            }
            Event::Committed { epoch, to } => self.committed(epoch, to),
            Event::Tick { node } => self.tick(node),
            Event::Learned { partition, leader, epoch } => {
                if let Some(known) = self.known.get_mut(partition).filter(|one| one.1 < epoch) {
                    *known = (leader, epoch);
                }
                Ok(())
            }
            Event::Deposed { node, epoch } => self.unload(node, epoch),
            Event::Wake { client, call } => {
                self.wake(client, call);
                Ok(())
            }
            Event::Chaos => self.chaos(),
        }
    }

    /// Which node leads, as one may believe.
    pub fn guess(&mut self) -> usize {
        if self.rng.chance(80) {
            self.leader
        } else {
            usize::try_from(self.rng.below(2)).unwrap_or(0)
        }
    }
}
