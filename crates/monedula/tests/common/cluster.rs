//! A cluster of real processes on free ports and directories of its own, with a static quorum.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;

use super::{BINARY, Node, Refused, WAIT_MAX, decoded};

pub const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// One node, running or not.
struct Member {
    roles: &'static str,
    broker_port: u16,
    controller_port: u16,
    running: Option<Node>,
}

/// Stops, violently, with the test.
pub struct Cluster {
    root: tempfile::TempDir,
    members: BTreeMap<i32, Member>,
    /// Settings of all nodes.
    more: Vec<(String, String)>,
    /// What nodes are told of the cluster's id when they find their directories empty.
    pub cluster_id: Option<&'static str>,
}

/// Below those that systems give to outgoing connections: such a one could take a port before its node listens, or while it is down.
const PORTS: Range<u32> = 10_000..32_000;

/// A port that nobody listens on now, and no other test of this process gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes at the same time begin at different places.
        let n = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = u16::try_from(PORTS.start + n % (PORTS.end - PORTS.start)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Cluster {
    /// Controllers 1.., then brokers 101..; all started.
    pub fn separate(controllers: i32, brokers: i32, more: &[(&str, &str)]) -> Self {
        let controllers = (1..=controllers).map(|id| (id, "controller"));
        let brokers = (101..101 + brokers).map(|id| (id, "broker"));
        let mut cluster = Self::new(controllers.chain(brokers), more);
        cluster.start_all();
        cluster
    }

    /// Nodes 1.. of both roles, all started.
    pub fn combined(nodes: i32, more: &[(&str, &str)]) -> Self {
        let mut cluster = Self::new((1..=nodes).map(|id| (id, "broker,controller")), more);
        cluster.start_all();
        cluster
    }

    /// Nothing runs yet.
    pub fn new(
        nodes: impl IntoIterator<Item = (i32, &'static str)>,
        more: &[(&str, &str)],
    ) -> Self {
        let member = |(id, roles)| {
            let (broker_port, controller_port) = (free_port(), free_port());
            (id, Member { roles, broker_port, controller_port, running: None })
        };
        let more = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self {
            root: tempfile::tempdir().unwrap(),
            members: nodes.into_iter().map(member).collect(),
            more: more.collect(),
            cluster_id: Some(CLUSTER_ID),
        }
    }

    pub fn data(&self, id: i32) -> PathBuf {
        self.root.path().join(format!("node-{id}")).join("data")
    }

    /// `monedula start` for one of the nodes, on its own directory or another.
    pub fn command(&self, id: i32, more: &[(&str, &str)]) -> Command {
        let member = &self.members[&id];
        let is = |role: &str| member.roles.split(',').any(|r| r == role);
        let voters = self.members.iter().filter(|(_, m)| m.roles.contains("controller"));
        let voters = voters.map(|(id, m)| format!("{id}@127.0.0.1:{}", m.controller_port));
        let mut listeners = Vec::new();
        if is("broker") {
            listeners.push(format!("PLAINTEXT://127.0.0.1:{}", member.broker_port));
        }
        if is("controller") {
            listeners.push(format!("CONTROLLER://127.0.0.1:{}", member.controller_port));
        }
        let replicas = self.members.values().filter(|m| m.roles.contains("broker")).count();
        let text = format!(
            "process.roles={}\nnode.id={id}\nlisteners={}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             controller.quorum.voters={}\nlog.dirs={}\noffsets.topic.replication.factor={}\n\
             offsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n",
            member.roles,
            listeners.join(","),
            voters.collect::<Vec<_>>().join(","),
            self.data(id).display(),
            replicas.min(3),
        );
        let directory = self.root.path().join(format!("node-{id}"));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("server.properties");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("start").arg(file);
        if let Some(id) = self.cluster_id {
            command.arg("--set").arg(format!("cluster.id={id}"));
        }
        let own = self.more.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own.chain(more.iter().copied()) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    /// Where others look for its controller.
    pub fn controller_port(&self, id: i32) -> u16 {
        self.members[&id].controller_port
    }

    /// All that do not run, at once: none is ready before most of the controllers are.
    pub fn start_all(&mut self) {
        self.start_all_with(|_| Vec::new());
    }

    /// The same, each with settings of its own.
    pub fn start_all_with(&mut self, more: impl Fn(i32) -> Vec<(&'static str, String)> + Sync) {
        let more = &more;
        let down = self.members.iter().filter(|(_, member)| member.running.is_none());
        let down: Vec<i32> = down.map(|(id, _)| *id).collect();
        let started: Vec<(i32, Result<Node, Refused>)> = std::thread::scope(|scope| {
            let spawn = |id: &i32| {
                let (id, cluster) = (*id, &*self);
                scope.spawn(move || {
                    let own = more(id);
                    let own: Vec<_> = own.iter().map(|(key, value)| (*key, &**value)).collect();
                    (id, cluster.try_start(id, &own))
                })
            };
            let threads: Vec<_> = down.iter().map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (id, node) in started {
            let node = node.unwrap_or_else(|r| panic!("node {id}: {:?}\n{}", r.code, r.stderr));
            self.members.get_mut(&id).unwrap().running = Some(node);
        }
    }

    pub fn try_start(&self, id: i32, more: &[(&str, &str)]) -> Result<Node, Refused> {
        Node::try_start(self.command(id, more), &self.data(id))
    }

    pub fn start(&mut self, id: i32) {
        let node = self.try_start(id, &[]);
        let node = node.unwrap_or_else(|r| panic!("node {id}: {:?}\n{}", r.code, r.stderr));
        self.members.get_mut(&id).unwrap().running = Some(node);
    }

    pub fn node(&self, id: i32) -> &Node {
        self.members[&id].running.as_ref().unwrap()
    }

    /// Ids of the nodes that run as brokers.
    pub fn brokers(&self) -> Vec<i32> {
        let brokers = self.members.iter();
        let brokers = brokers.filter(|(_, m)| m.roles.contains("broker") && m.running.is_some());
        brokers.map(|(id, _)| *id).collect()
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self, id: i32) -> Option<i32> {
        self.members.get_mut(&id).unwrap().running.take().unwrap().stop()
    }

    /// Waits for a node that ends by itself; the exit code.
    pub fn wait(&mut self, id: i32) -> Option<i32> {
        self.members.get_mut(&id).unwrap().running.take().unwrap().wait()
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: i32) {
        self.members.get_mut(&id).unwrap().running.take().unwrap().kill();
    }

    /// What a broker knows, as version 12 tells it, under `f`.
    pub fn metadata<T>(&self, broker: i32, f: impl FnOnce(&MetadataResponse<'_>) -> T) -> T {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let body = self.node(broker).ask(&request, 12);
        f(&decoded(&body, 12))
    }

    /// Waits until every running broker's metadata satisfies `f`.
    pub fn until_all(&self, what: &str, f: impl Fn(&MetadataResponse<'_>) -> bool) {
        for broker in self.brokers() {
            until(what, || self.metadata(broker, &f));
        }
    }
}

/// Waits, but not for ever.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < WAIT_MAX, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
