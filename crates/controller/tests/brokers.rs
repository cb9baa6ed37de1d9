//! The life of brokers: registration, fencing, shutdown, and what it means for partitions.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use base::NodeId;
use common::TestContext;
use controller::{ControllerReply, ControllerRequest, ControllerTimer};
use protocol::ErrorCode;
use protocol::messages as m;

#[test]
fn the_log_of_a_new_cluster_begins_with_its_features() {
    let cx = TestContext::empty(&[]);
    let features: Vec<_> = cx.image().features.iter().collect();
    let expected = [
        ("metadata.version", 33),
        ("eligible.leader.replicas.version", 1),
        ("group.version", 1),
        ("share.version", 2),
        ("streams.version", 1),
        ("transaction.version", 2),
    ];
    assert_eq!(features, expected);
    assert!(cx.replayed() == *cx.image());
}

#[test]
fn a_broker_registers_catches_up_and_serves() {
    let mut cx = TestContext::empty(&[]);
    let epoch = cx.register(0);
    assert!(cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
    let behind = cx.heartbeat(0, |request| request.current_metadata_offset = epoch - 1);
    assert!(behind.is_fenced && !behind.is_caught_up);
    let there = cx.heartbeat(0, |request| request.current_metadata_offset = epoch);
    assert!(!there.is_fenced && there.is_caught_up && !there.should_shut_down);
    assert!(cx.image().cluster.is_active(NodeId(0)));
    let stale = cx.heartbeat(0, |request| request.broker_epoch -= 1);
    assert_eq!(stale.error_code, ErrorCode::StaleBrokerEpoch.code());
}

#[test]
fn silence_costs_leadership() {
    let mut cx = TestContext::with_brokers(3);
    cx.create_assigned("t", "0,1,2 1,0,2");
    cx.now_ms += 8_999;
    cx.heartbeat(0, |_| {});
    cx.heartbeat(2, |_| {});
    assert_eq!(cx.fire(ControllerTimer::FenceStaleBrokers), 0, "nobody is late yet");
    cx.now_ms += 2;
    assert_eq!(cx.fire(ControllerTimer::FenceStaleBrokers), 3);
    assert!(cx.image().cluster.broker(NodeId(1)).unwrap().fenced);
    assert_eq!(cx.state("t", 0), "leader 0 isr 0,2 epoch 0/1");
    assert_eq!(cx.state("t", 1), "leader 0 isr 0,2 epoch 1/1");
    // The last ones stay eligible, and lead again when they come back.
    cx.now_ms += 10_000;
    cx.fire(ControllerTimer::FenceStaleBrokers);
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 2/3 elr 2 last 2");
    cx.unfence(2);
    assert_eq!(cx.state("t", 0), "leader 2 isr 2 epoch 3/4");
}

#[test]
fn controlled_shutdown_moves_leaders_first() {
    let mut cx = TestContext::with_brokers(2);
    cx.create_assigned("t", "0,1");
    let first = cx.heartbeat(0, |request| request.want_shut_down = true);
    assert!(!first.should_shut_down && !first.is_fenced);
    assert_eq!(cx.state("t", 0), "leader 1 isr 1 epoch 1/1");
    // Broker 1 must have heard of its leadership first.
    assert!(!cx.heartbeat(0, |request| request.want_shut_down = true).should_shut_down);
    cx.heartbeat(1, |_| {});
    let last = cx.heartbeat(0, |request| request.want_shut_down = true);
    assert!(last.should_shut_down && last.is_fenced);
    assert!(cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
}

#[test]
fn a_broker_without_leaderships_stops_at_once() {
    let mut cx = TestContext::with_brokers(1);
    assert!(cx.heartbeat(0, |request| request.want_shut_down = true).should_shut_down);
    assert!(cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
}

#[test]
fn the_last_replica_keeps_its_place_when_it_stops() {
    let mut cx = TestContext::with_brokers(1);
    cx.create_assigned("t", "0");
    let reply = cx.heartbeat(0, |request| request.want_shut_down = true);
    assert!(!reply.should_shut_down);
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 1/1 elr 0 last 0");
    assert!(cx.heartbeat(0, |request| request.want_shut_down = true).should_shut_down);
    // Back again after a clean stop: version 3 tells the epoch it had.
    cx.now_ms += 9_001;
    let previous_broker_epoch = cx.epoch(0);
    let request = m::broker_registration_request::BrokerRegistrationRequest {
        previous_broker_epoch,
        ..TestContext::registration(0, 2)
    };
    cx.handle(ControllerRequest::BrokerRegistration(request, 4));
    cx.unfence(0);
    assert_eq!(cx.state("t", 0), "leader 0 isr 0 epoch 2/2");
}

#[test]
fn a_crash_takes_eligibility_away() {
    let mut cx = TestContext::with_brokers(2);
    cx.create_assigned("t", "0,1");
    cx.now_ms += 20_000;
    cx.heartbeat(1, |_| {});
    cx.fire(ControllerTimer::FenceStaleBrokers);
    cx.handle(ControllerRequest::BrokerRegistration(TestContext::registration(0, 2), 4));
    cx.unfence(0);
    assert_eq!(cx.state("t", 0), "leader 1 isr 1 epoch 1/1");
}

/// (change of a valid registration, error code)
#[test]
fn registrations_are_refused_as_in_kafka() {
    type Request = m::broker_registration_request::BrokerRegistrationRequest<'static>;
    let cases: [(&str, fn(&mut Request), ErrorCode); 9] = [
        ("cluster", |r| r.cluster_id = "other".into(), ErrorCode::InconsistentClusterId),
        ("zk", |r| r.is_migrating_zk_broker = true, ErrorCode::BrokerIdNotRegistered),
        ("no dirs", |r| r.log_dirs.clear(), ErrorCode::InvalidRegistration),
        ("reserved", |r| r.log_dirs[0] = base::Uuid::DIR_LOST, ErrorCode::InvalidRegistration),
        ("twice", |r| r.log_dirs.push(r.log_dirs[0]), ErrorCode::InvalidRegistration),
        ("taken", |r| r.log_dirs[0] = TestContext::directory(0), ErrorCode::InvalidRegistration),
        (
            "old",
            |r| {
                let feature = r.features.iter_mut().find(|f| f.name == "metadata.version").unwrap();
                feature.max_supported_version = 32;
            },
            ErrorCode::UnsupportedVersion,
        ),
        (
            "silent",
            |r| r.features.retain(|f| f.name != "metadata.version"),
            ErrorCode::InvalidRegistration,
        ),
        (
            "lacking",
            |r| r.features.retain(|f| f.name != "group.version"),
            ErrorCode::UnsupportedVersion,
        ),
    ];
    for (name, change, expected) in cases {
        let mut cx = TestContext::with_brokers(1);
        let mut request = TestContext::registration(1, 1);
        change(&mut request);
        let reply = cx.handle(ControllerRequest::BrokerRegistration(request, 4));
        let ControllerReply::BrokerRegistration(reply) = reply else { panic!("{reply:?}") };
        assert_eq!(ErrorCode::from_code(reply.error_code), expected, "{name}");
        assert!(cx.image().cluster.broker(NodeId(1)).is_none(), "{name}");
    }
}

#[test]
fn who_was_let_go_may_come_back_at_once() {
    let mut cx = TestContext::with_brokers(2);
    cx.create_assigned("t", "0,1");
    assert!(!cx.heartbeat(0, |request| request.want_shut_down = true).should_shut_down);
    cx.heartbeat(1, |_| {});
    assert!(cx.heartbeat(0, |request| request.want_shut_down = true).should_shut_down);
    let request = TestContext::registration(0, 2);
    let reply = cx.handle(ControllerRequest::BrokerRegistration(request, 4));
    let ControllerReply::BrokerRegistration(reply) = reply else { panic!("{reply:?}") };
    assert_eq!(ErrorCode::from_code(reply.error_code), ErrorCode::None);
}

#[test]
fn another_incarnation_waits_for_the_session_to_end() {
    let mut cx = TestContext::with_brokers(1);
    let again = |cx: &mut TestContext, generation| {
        let request = TestContext::registration(0, generation);
        match cx.handle(ControllerRequest::BrokerRegistration(request, 4)) {
            ControllerReply::BrokerRegistration(reply) => ErrorCode::from_code(reply.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(again(&mut cx, 2), ErrorCode::DuplicateBrokerRegistration);
    let epoch = cx.epoch(0);
    assert_eq!(again(&mut cx, 1), ErrorCode::None, "the same incarnation amends");
    assert_eq!(cx.epoch(0), epoch);
    assert!(!cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
    cx.now_ms += 9_001;
    assert_eq!(again(&mut cx, 2), ErrorCode::None);
    assert!(cx.epoch(0) > epoch);
}

/// Kafka keeps a replica that was taken away in the ELR, and lets it lead when it is assigned again: with nothing of
/// the partition.
#[test]
fn a_replica_that_comes_back_is_not_eligible() {
    let mut cx = TestContext::with(3, &[("min.insync.replicas", "3")]);
    cx.create_assigned("t", "0,1,2");
    let reassign = |cx: &mut TestContext, replicas: &[i32]| {
        use m::alter_partition_reassignments_request::*;
        let replicas = Some(replicas.to_vec());
        let partitions = vec![ReassignablePartition { replicas, ..Default::default() }];
        let topics = vec![ReassignableTopic { name: "t".into(), partitions, ..Default::default() }];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        cx.handle(ControllerRequest::AlterPartitionReassignments(request));
    };
    reassign(&mut cx, &[0, 1]);
    assert_eq!(cx.state("t", 0), "leader 0 isr 0,1 epoch 1/1 elr 2");
    cx.heartbeat(1, |request| request.want_fence = true);
    reassign(&mut cx, &[0, 1, 2]);
    cx.heartbeat(0, |request| request.want_fence = true);
    // Broker 1 may lead again: it had everything when it left. Broker 2 may not.
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 2/4 elr 0,1 last 0 adding 2");
}

#[test]
fn unregistered_brokers_are_forgotten() {
    let mut cx = TestContext::with_brokers(2);
    cx.create_assigned("t", "0,1");
    let unregister = |cx: &mut TestContext, broker_id| {
        let request = m::unregister_broker_request::UnregisterBrokerRequest {
            broker_id,
            ..Default::default()
        };
        match cx.handle(ControllerRequest::UnregisterBroker(request)) {
            ControllerReply::UnregisterBroker(reply) => ErrorCode::from_code(reply.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(unregister(&mut cx, 0), ErrorCode::None);
    assert!(cx.image().cluster.broker(NodeId(0)).is_none());
    assert_eq!(cx.state("t", 0), "leader 1 isr 1 epoch 1/1");
    assert_eq!(unregister(&mut cx, 0), ErrorCode::BrokerIdNotRegistered);
}
