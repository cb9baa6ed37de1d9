//! Placement over racks, limits, timers, and what happens to state that was never committed.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, Offset};
use common::{Seeded, TestContext, bootstrap, topic};
use controller::{Controller, ControllerReply, ControllerRequest, ControllerTimer, Settings};
use metadata::{Image, MetadataVersion};
use protocol::messages as m;
use protocol::metadata_records::MetadataRecord;

/// Brokers 0 to 5, two in each of three racks.
fn racks() -> TestContext {
    let mut cx = TestContext::empty(&[]);
    for id in 0..6 {
        let mut request = TestContext::registration(id, 1);
        request.rack = Some(format!("rack{}", id % 3).into());
        cx.handle(ControllerRequest::BrokerRegistration(request, 4));
        cx.unfence(id);
    }
    cx
}

#[test]
fn replicas_spread_over_racks_and_brokers() {
    for seed in 0..20 {
        let mut cx = racks();
        cx.random = Seeded(seed);
        assert_eq!(cx.create(topic("t", 60, 3)).0, 0);
        let created = cx.image().topics.by_name("t").unwrap();
        let (mut leaders, mut replicas) = (BTreeMap::new(), BTreeMap::new());
        for (_, partition) in created.partitions() {
            let racks: BTreeSet<_> = partition.replicas.iter().map(|id| id.0 % 3).collect();
            assert_eq!(racks.len(), 3, "seed {seed}: a rack holds two replicas");
            *leaders.entry(partition.leader).or_insert(0) += 1;
            for id in &partition.replicas {
                *replicas.entry(*id).or_insert(0) += 1;
            }
        }
        assert_eq!(replicas.len(), 6);
        assert!(
            replicas.values().all(|count| (24..=36).contains(count)),
            "seed {seed}: {replicas:?}"
        );
        assert!(leaders.values().all(|count| (5..=15).contains(count)), "seed {seed}: {leaders:?}");
    }
}

#[test]
fn fenced_brokers_come_last_and_never_lead() {
    let mut cx = racks();
    for id in [0, 1] {
        cx.heartbeat(id, |request| request.want_fence = true);
    }
    assert_eq!(cx.create(topic("t", 30, 2)).0, 0);
    for (_, partition) in cx.image().topics.by_name("t").unwrap().partitions() {
        assert!(![0, 1].contains(&partition.leader.0));
        assert!(!partition.isr.iter().any(|id| [0, 1].contains(&id.0)));
    }
    assert_eq!(cx.create(topic("all", 1, 6)).0, 0);
    let (_, partition) = cx.image().topics.by_name("all").unwrap().partitions().next().unwrap();
    assert_eq!((partition.replicas.len(), partition.isr.len()), (6, 4));
}

#[test]
fn defaults_come_from_the_configuration() {
    let mut cx =
        TestContext::with(3, &[("num.partitions", "4"), ("default.replication.factor", "2")]);
    assert_eq!(cx.create(topic("t", -1, -1)).0, 0);
    let created = cx.image().topics.by_name("t").unwrap();
    assert_eq!(created.partition_count(), 4);
    assert!(created.partitions().all(|(_, partition)| partition.replicas.len() == 2));
}

#[test]
fn deletion_can_be_switched_off() {
    let mut cx = TestContext::with(1, &[("delete.topic.enable", "false")]);
    cx.create(topic("t", 1, 1));
    let request = m::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    let reply = cx.handle(ControllerRequest::DeleteTopics(request));
    let ControllerReply::DeleteTopics(reply) = reply else { panic!("{reply:?}") };
    assert_eq!(reply.responses[0].error_code, protocol::ErrorCode::TopicDeletionDisabled.code());
    assert!(cx.image().topics.id_of("t").is_some());
}

#[test]
fn one_big_request_is_answered() {
    let mut cx = TestContext::with_brokers(3);
    // With the record of the topic itself these are too many.
    let refused = cx.create(topic("big", 10_000, 3));
    let policy = protocol::ErrorCode::PolicyViolation.code();
    assert_eq!(
        refused,
        (policy, "Unable to perform excessively large batch operation.".to_owned())
    );
    assert_eq!(cx.create(topic("big", 9_999, 3)).0, 0);
    assert_eq!(cx.image().topics.by_name("big").unwrap().partition_count(), 9_999);
    // Fencing a broker changes every partition it is in sync with, in one go.
    let before = cx.log.len();
    cx.heartbeat(0, |request| request.want_fence = true);
    assert_eq!(cx.log.len() - before, 10_000);
    // Giving leadership back comes in portions.
    cx.heartbeat(0, |_| {});
    assert_eq!(cx.fire(ControllerTimer::BalanceLeaders), 0, "nobody is in sync again");
}

#[test]
fn leaders_come_home_in_portions() {
    let mut cx = TestContext::with_brokers(2);
    let all = vec!["0,1"; 1_500].join(" ");
    cx.create_assigned("t", &all);
    cx.heartbeat(0, |request| request.want_fence = true);
    cx.heartbeat(0, |_| {});
    let topic = cx.image().topics.by_name("t").unwrap().clone();
    let partitions =
        topic.partitions().map(|(index, partition)| m::alter_partition_request::PartitionData {
            partition_index: index.0,
            leader_epoch: partition.leader_epoch.0,
            partition_epoch: partition.partition_epoch.0,
            new_isr: vec![1, 0],
            ..Default::default()
        });
    let request = m::alter_partition_request::AlterPartitionRequest {
        broker_id: 1,
        broker_epoch: cx.epoch(1),
        topics: vec![m::alter_partition_request::TopicData {
            topic_id: topic.id,
            partitions: partitions.collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    cx.handle(ControllerRequest::AlterPartition(request, 2));
    assert_eq!(cx.state("t", 7), "leader 1 isr 1,0 epoch 1/2");
    assert_eq!(cx.fire(ControllerTimer::BalanceLeaders), 1_500);
    assert_eq!(cx.state("t", 1_499), "leader 0 isr 1,0 epoch 2/3");
}

#[test]
fn what_was_not_committed_never_was() {
    let mut cx = TestContext::with_brokers(1);
    let committed = cx.image().clone();
    cx.create(topic("lost.topic", 1, 1));
    cx.controller.reset(committed.clone());
    assert!(*cx.image() == committed);
    cx.log.truncate(usize::try_from(committed.provenance.offset.0).unwrap() + 1);
    // Neither its name nor the names that would collide with it are taken.
    assert_eq!(cx.create(topic("lost_topic", 1, 1)).0, 0);
    assert!(cx.replayed() == *cx.image());
}

#[test]
fn a_torn_bootstrap_is_done_again() {
    let torn = TestContext::empty(&[]);
    let settings = || torn.controller.settings().clone();
    for kept in 1..torn.log.len() {
        let mut controller = Controller::new(settings(), Image::default());
        for (offset, record) in (0..).zip(&torn.log[..kept]) {
            controller.replay(record, Offset(offset)).unwrap();
        }
        let outcome = controller.activate(torn.at(), bootstrap(MetadataVersion::LATEST_PRODUCTION));
        assert!(matches!(outcome.records[0], MetadataRecord::AbortTransaction(_)), "{kept}");
        for (offset, record) in (i64::try_from(kept).unwrap()..).zip(&outcome.records) {
            controller.replay(record, Offset(offset)).unwrap();
        }
        assert!(controller.image().same_state(torn.image()), "{kept}");
    }
    // Nothing is left to do on a log that has its features.
    let mut controller = Controller::new(settings(), torn.image().clone());
    assert_eq!(
        controller.activate(torn.at(), bootstrap(MetadataVersion::LATEST_PRODUCTION)).records,
        []
    );
}

#[test]
fn old_levels_bootstrap_without_a_transaction() {
    let version = MetadataVersion::from_name("3.3-IV3").unwrap();
    let cx = TestContext::empty(&[]);
    let settings: Settings = cx.controller.settings().clone();
    let mut controller = Controller::new(settings, Image::default());
    let outcome = controller.activate(cx.at(), bootstrap(version));
    assert_eq!(outcome.records, bootstrap(version));
    assert!(outcome.atomic);
}

#[test]
fn sessions_are_counted_from_activation() {
    let mut cx = TestContext::with_brokers(2);
    cx.now_ms += 100_000;
    let at = cx.at();
    let outcome = cx.controller.activate(at, Vec::new());
    assert_eq!(outcome.timers.len(), 3);
    assert_eq!(cx.fire(ControllerTimer::FenceStaleBrokers), 0);
    cx.now_ms += 9_001;
    cx.heartbeat(1, |_| {});
    assert_eq!(cx.fire(ControllerTimer::FenceStaleBrokers), 1);
    assert!(cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
}

#[test]
fn the_broker_of_this_process_need_not_wait_for_its_dead_self() {
    let mut cx = TestContext::with_brokers(1);
    let mut settings = cx.controller.settings().clone();
    settings.own_incarnation = Some(TestContext::incarnation(0, 2));
    let image = cx.image().clone();
    cx.controller = Controller::new(settings, image);
    let at = cx.at();
    cx.controller.activate(at, Vec::new());
    let register = |cx: &mut TestContext, generation| {
        let request = TestContext::registration(0, generation);
        match cx.handle(ControllerRequest::BrokerRegistration(request, 4)) {
            ControllerReply::BrokerRegistration(reply) => reply.error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(register(&mut cx, 3), protocol::ErrorCode::DuplicateBrokerRegistration.code());
    assert_eq!(register(&mut cx, 2), 0);
}

#[test]
fn producer_ids_come_in_blocks() {
    let mut cx = TestContext::with_brokers(1);
    let mut allocate = |epoch: i64| {
        let request = m::allocate_producer_ids_request::AllocateProducerIdsRequest {
            broker_id: 0,
            broker_epoch: epoch,
            ..Default::default()
        };
        match cx.handle(ControllerRequest::AllocateProducerIds(request)) {
            ControllerReply::AllocateProducerIds(reply) => {
                (reply.error_code, reply.producer_id_start, reply.producer_id_len)
            }
            other => panic!("{other:?}"),
        }
    };
    let stale = protocol::ErrorCode::StaleBrokerEpoch.code();
    assert_eq!(allocate(-1).0, stale);
    let epoch = TestContext::with_brokers(1).epoch(0);
    assert_eq!(allocate(epoch), (0, 0, 1000));
    assert_eq!(allocate(epoch), (0, 1000, 1000));
}
