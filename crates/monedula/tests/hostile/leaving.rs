//! A broker that is let go by a controller whose word of it does not arrive: fenced, and still serving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::ApiKey;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::cluster::{Cluster, free_port, until};
use crate::common::{Peer, decoded};
use crate::fake::{Fake, Reply};

const BROKER: i32 = 101;

/// The brokers that are named, and how many topics.
fn named(peer: &mut Peer) -> (Vec<i32>, usize) {
    let body = peer.call(&MetadataRequest { topics: None, ..Default::default() }, 12);
    let answer: MetadataResponse<'_> = decoded(&body, 12);
    (answer.brokers.iter().map(|broker| broker.node_id).collect(), answer.topics.len())
}

/// Whether the broker knows that it is fenced itself.
fn is_fenced(peer: &mut Peer) -> bool {
    let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
    let body = peer.call(&request, 2);
    let answer: DescribeClusterResponse<'_> = decoded(&body, 2);
    answer.brokers.iter().any(|broker| broker.broker_id == BROKER && broker.is_fenced)
}

#[test]
fn the_last_broker_on_its_way_out_names_itself() {
    let mut cluster = Cluster::new([(1, "controller"), (BROKER, "broker")], &[]);
    let own = free_port();
    let address = format!("127.0.0.1:{own}");
    // What the controller answers to a broker that wants to leave is held back until the test lets it through.
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let fake = Fake::start_at(cluster.controller_port(1), move |asked| {
        let body = asked.forward(&address);
        let leaves = asked.api == ApiKey::BrokerHeartbeat
            && asked.decode::<BrokerHeartbeatRequest>().want_shut_down;
        match body {
            Some(_) if leaves && !gate.load(Ordering::SeqCst) => Reply::Close,
            Some(body) => Reply::Body(asked.correlation_id, body),
            None => Reply::Close,
        }
    });
    cluster.start_all_with(|id| match id {
        1 => vec![
            ("listeners", format!("CONTROLLER://127.0.0.1:{own}")),
            ("advertised.listeners", format!("CONTROLLER://127.0.0.1:{}", fake.port)),
        ],
        _ => Vec::new(),
    });
    assert_eq!(cluster.node(BROKER).create_topic("t", 1, &[]), 0);
    let mut peer = cluster.node(BROKER).connect();
    until("it knows the topic", || named(&mut peer) == (vec![BROKER], 1));
    assert!(!is_fenced(&mut peer));

    let process = Pid::from_raw(cluster.node(BROKER).pid().try_into().unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    until("it is fenced", || is_fenced(&mut peer));
    // Who knows nobody but this broker must not forget it.
    assert_eq!(named(&mut peer), (vec![BROKER], 1));
    open.store(true, Ordering::SeqCst);
    assert_eq!(cluster.wait(BROKER), Some(0));
}
