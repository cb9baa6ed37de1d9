//! Nodes that are somebody else: a broker's id taken twice, a copied directory, a voter with another's directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;

use crate::common::cluster::{CLUSTER_ID, Cluster, free_port, until};
use crate::common::{BINARY, Node, Peer, Place, Refused, batch, decoded};
use crate::controller::METADATA_TOPIC;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != ".lock" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// `meta.properties` with another value of one key.
fn rewrite(data: &Path, key: &str, value: &str) {
    let file = data.join("meta.properties");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = |line: &str| match line.split_once('=') {
        Some((found, _)) if found == key => format!("{key}={value}\n"),
        _ => format!("{line}\n"),
    };
    let changed: String = text.lines().map(line).collect();
    assert_ne!(changed, text);
    std::fs::write(file, changed).unwrap();
}

fn stored(data: &Path, key: &str) -> String {
    let text = std::fs::read_to_string(data.join("meta.properties")).unwrap();
    let mut pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.find(|(found, _)| *found == key).unwrap().1.to_owned()
}

/// Starts a broker of this id on `data`, which is to be refused.
fn refused(cluster: &Cluster, id: i32, data: &Path) -> Refused {
    let dirs = data.display().to_string();
    let id_text = id.to_string();
    let more = [
        ("log.dirs", &*dirs),
        ("node.id", &*id_text),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("initial.broker.registration.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
    ];
    Node::try_start(cluster.command(101, &more), data).err().expect("it is refused")
}

#[test]
fn a_copied_directory_is_no_second_broker() {
    let mut cluster = Cluster::separate(1, 1, &[]);
    assert_eq!(cluster.node(101).create_topic("t", 1, &[]), 0);
    assert_eq!(cluster.node(101).produce("t", &batch(&[b"first"])), (0, 0));
    let place = Place::new();
    copy(&cluster.data(101), &place.data);

    // The same broker, from elsewhere.
    let same = refused(&cluster, 101, &place.data);
    assert_eq!(same.code, Some(1));
    assert!(same.stderr.contains("DUPLICATE_BROKER_REGISTRATION"), "{}", same.stderr);

    // Another broker on that broker's directory.
    let other = refused(&cluster, 102, &place.data);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("Stored node id 101"), "{}", other.stderr);

    // Made to look like its own, but for the directory's id.
    rewrite(&place.data, "node.id", "102");
    let disguised = refused(&cluster, 102, &place.data);
    assert_eq!(disguised.code, Some(1));
    assert!(disguised.stderr.contains("INVALID_REGISTRATION"), "{}", disguised.stderr);

    // The one who was there has lost nothing.
    assert_eq!(cluster.node(101).produce("t", &batch(&[b"second"])), (0, 1));
    assert_eq!(cluster.stop(101), Some(0));
    cluster.start(101);
    until("it leads again", || cluster.node(101).produce("t", &batch(&[b"third"])) == (0, 2));
}

/// Three controllers of a dynamic quorum, each with a directory of its own.
struct Voters {
    place: tempfile::TempDir,
    ports: [u16; 3],
    running: [Option<Node>; 3],
}

impl Voters {
    fn new() -> Self {
        let ports = [0; 3].map(|_| free_port());
        let mut voters =
            Self { place: tempfile::tempdir().unwrap(), ports, running: [None, None, None] };
        let directory = |id: usize| base::Uuid([u8::try_from(id).unwrap() + 100; 16]);
        let initial =
            (1..=3).map(|id| format!("{id}@127.0.0.1:{}:{}", voters.port(id), directory(id)));
        let initial = initial.collect::<Vec<_>>().join(",");
        for id in 1..=3 {
            voters.format(id, &["--initial-controllers", &initial]);
        }
        let started: Vec<Node> = std::thread::scope(|scope| {
            let voters = &voters;
            let threads: Vec<_> = (1..=3).map(|id| scope.spawn(move || voters.start(id))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        for (at, node) in started.into_iter().enumerate() {
            voters.running[at] = Some(node);
        }
        voters
    }

    fn port(&self, id: usize) -> u16 {
        self.ports[id - 1]
    }

    fn data(&self, id: usize) -> PathBuf {
        self.place.path().join(format!("node-{id}")).join("data")
    }

    fn file(&self, id: usize) -> PathBuf {
        let servers = self.ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let text = format!(
            "process.roles=controller\nnode.id={id}\nlisteners=CONTROLLER://127.0.0.1:{}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT\n\
             controller.quorum.bootstrap.servers={servers}\nlog.dirs={}\n",
            self.port(id),
            self.data(id).display(),
        );
        let file = self.place.path().join(format!("server-{id}.properties"));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn format(&self, id: usize, more: &[&str]) {
        let mut command = Command::new(BINARY);
        command.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(self.file(id));
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn start(&self, id: usize) -> Result<Node, Refused> {
        let mut command = Command::new(BINARY);
        command.arg("start").arg(self.file(id));
        std::fs::create_dir_all(self.data(id)).unwrap();
        Node::try_start(command, &self.data(id))
    }

    /// Leader, voters and observers with their directories, as whoever leads knows them.
    fn describe(&self) -> Option<(i32, Vec<(i32, String)>, Vec<(i32, String)>)> {
        let topic = TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![PartitionData::default()],
            ..Default::default()
        };
        let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
        self.running.iter().flatten().find_map(|node| {
            let body = Peer::connect(&node.controller_address).call(&request, 2);
            let answer: DescribeQuorumResponse<'_> = decoded(&body, 2);
            let partition = answer.topics.first()?.partitions.first()?;
            if partition.error_code != 0 {
                return None;
            }
            let named = |id: i32, directory: base::Uuid| (id, directory.to_string());
            let voters = partition.current_voters.iter();
            let observers = partition.observers.iter();
            Some((
                partition.leader_id,
                voters.map(|r| named(r.replica_id, r.replica_directory_id)).collect(),
                observers.map(|r| named(r.replica_id, r.replica_directory_id)).collect(),
            ))
        })
    }
}

#[test]
fn a_voter_with_anothers_directory_has_no_vote() {
    let mut voters = Voters::new();
    until("a leader", || voters.describe().is_some());
    let (leader, before, _) = voters.describe().unwrap();
    // Not the leader: what the others do meanwhile must not hang on an election.
    let lost = (1..=3).find(|id| *id != leader).unwrap();
    let at = usize::try_from(lost).unwrap();
    voters.running[at - 1].take().unwrap().kill();
    let own = stored(&voters.data(at), "directory.id");
    let leaders = stored(&voters.data(usize::try_from(leader).unwrap()), "directory.id");

    // With the directory of the leader, which somebody copied.
    let kept = voters.data(at).with_file_name("kept");
    std::fs::rename(voters.data(at), &kept).unwrap();
    copy(&voters.data(usize::try_from(leader).unwrap()), &voters.data(at));
    let stranger = voters.start(at).err().expect("it is the leader's");
    assert_eq!(stranger.code, Some(1));
    assert!(stranger.stderr.contains(&format!("Stored node id {leader}")), "{}", stranger.stderr);
    rewrite(&voters.data(at), "node.id", &lost.to_string());
    voters.running[at - 1] = Some(voters.start(at).unwrap());
    until("it is an observer", || {
        voters.describe().is_some_and(|(_, known, observers)| {
            known == before && observers.contains(&(lost, leaders.clone()))
        })
    });

    // Without the leader there are two of three, but only one of them has a vote.
    let leader_at = usize::try_from(leader).unwrap() - 1;
    voters.running[leader_at].take().unwrap().kill();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(voters.describe(), None, "nobody is elected");

    // Its own directory again: it votes.
    voters.running[at - 1].take().unwrap().kill();
    std::fs::remove_dir_all(voters.data(at)).unwrap();
    std::fs::rename(&kept, voters.data(at)).unwrap();
    assert_eq!(stored(&voters.data(at), "directory.id"), own);
    voters.running[at - 1] = Some(voters.start(at).unwrap());
    until("a leader again", || voters.describe().is_some_and(|(id, ..)| id != leader));
}
