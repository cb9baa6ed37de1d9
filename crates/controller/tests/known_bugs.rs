//! Bugs that others had, as scenarios: what they broke holds here.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use std::sync::Arc;

use base::NodeId;
use common::TestContext;
use controller::{Controller, ControllerReply, ControllerRequest, Settings};
use metadata::{ConfigResource, ConfigResourceType, MetadataVersion};
use protocol::ErrorCode;
use protocol::messages as m;

const ELR: &str = "eligible.leader.replicas.version";
const MIN_ISR: &str = "min.insync.replicas";

fn update_feature(
    cx: &mut TestContext,
    name: &str,
    level: i16,
    upgrade_type: i8,
) -> (ErrorCode, String) {
    use m::update_features_request::*;
    let update = FeatureUpdateKey {
        feature: name.to_owned().into(),
        max_version_level: level,
        upgrade_type,
        ..Default::default()
    };
    let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
    match cx.handle(ControllerRequest::UpdateFeatures(request, 2)) {
        ControllerReply::UpdateFeatures(reply) => {
            let text = reply.error_message.unwrap_or_default();
            (ErrorCode::from_code(reply.error_code), text.into_owned())
        }
        other => panic!("{other:?}"),
    }
}

/// `kind` 2 is a topic, 4 a broker.
fn configure(cx: &mut TestContext, kind: i8, resource: &str, key: &str, value: &str) -> ErrorCode {
    use m::incremental_alter_configs_request::*;
    let config = AlterableConfig {
        name: key.to_owned().into(),
        value: Some(value.to_owned().into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: resource.to_owned().into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    match cx.handle(ControllerRequest::IncrementalAlterConfigs(request)) {
        ControllerReply::IncrementalAlterConfigs(reply) => {
            ErrorCode::from_code(reply.responses[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

fn fence(cx: &mut TestContext, id: i32) {
    cx.heartbeat(id, |request| request.want_fence = true);
}

fn delete(cx: &mut TestContext, name: &str) {
    use m::delete_topics_request::*;
    let topics =
        vec![DeleteTopicState { name: Some(name.to_owned().into()), ..Default::default() }];
    let request = DeleteTopicsRequest { topics, ..Default::default() };
    cx.handle(ControllerRequest::DeleteTopics(request));
}

fn reassign(cx: &mut TestContext, replicas: Option<&[i32]>) -> ErrorCode {
    use m::alter_partition_reassignments_request::*;
    let replicas = replicas.map(<[i32]>::to_vec);
    let partitions = vec![ReassignablePartition { replicas, ..Default::default() }];
    let topics = vec![ReassignableTopic { name: "t".into(), partitions, ..Default::default() }];
    let request = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: true,
        topics,
        ..Default::default()
    };
    match cx.handle(ControllerRequest::AlterPartitionReassignments(request)) {
        ControllerReply::AlterPartitionReassignments(reply) => {
            ErrorCode::from_code(reply.responses[0].partitions[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

/// KAFKA-16540: brokers with different minimums of their own disagree about who is eligible.
#[test]
fn eligible_leaders_and_minimums_of_single_brokers_exclude_each_other() {
    let given = [(MIN_ISR, "2")];
    let mut cx = TestContext::at_level(MetadataVersion::LATEST_PRODUCTION, false, &given);
    cx.register(1);
    assert_eq!(configure(&mut cx, 4, "1", MIN_ISR, "3"), ErrorCode::None);
    assert_eq!(update_feature(&mut cx, ELR, 1, 1).0, ErrorCode::None);
    let value = |resource: &str| {
        let resource = ConfigResource::new(ConfigResourceType::Broker, resource);
        cx.image().configs.value(&resource, MIN_ISR).map(str::to_owned)
    };
    assert_eq!((value("1"), value("")), (None, Some("2".to_owned())));
    assert_eq!(configure(&mut cx, 4, "1", MIN_ISR, "3"), ErrorCode::InvalidConfig);
}

/// A lower minimum lets a leader commit alone what those that were eligible do not have.
#[test]
fn a_new_minimum_makes_those_eligible_void() {
    for (kind, resource) in [(2, "t"), (4, "")] {
        let mut cx = TestContext::with(3, &[(MIN_ISR, "2")]);
        cx.create_assigned("t", "0,1,2");
        fence(&mut cx, 1);
        fence(&mut cx, 2);
        assert_eq!(cx.state("t", 0), "leader 0 isr 0 epoch 0/2 elr 2");
        assert_eq!(configure(&mut cx, kind, resource, MIN_ISR, "1"), ErrorCode::None);
        fence(&mut cx, 0);
        cx.unfence(2);
        assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 1/4 elr 0 last 0");
    }
}

/// KAFKA-18106: the records of an unclean registration come before the registration.
#[test]
fn the_last_replica_standing_does_not_lead_after_a_power_failure() {
    let mut cx = TestContext::with(3, &[(MIN_ISR, "2")]);
    cx.create_assigned("t", "0,1,2");
    fence(&mut cx, 1);
    fence(&mut cx, 2);
    // Broker 0 leads alone, and comes back with what its disk had.
    cx.now_ms += 10_000;
    cx.fire(controller::ControllerTimer::FenceStaleBrokers);
    cx.handle(ControllerRequest::BrokerRegistration(TestContext::registration(0, 2), 4));
    cx.unfence(0);
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 1/4 elr 2 last 0");
    cx.unfence(2);
    assert_eq!(cx.state("t", 0), "leader 2 isr 2 epoch 2/5");
}

/// The index of eligible replicas kept topics that were gone: brokers could neither register nor be unregistered.
#[test]
fn deleted_topics_with_eligible_leaders_hinder_nobody() {
    let mut cx = TestContext::with(2, &[(MIN_ISR, "2")]);
    cx.create_assigned("t", "0,1");
    fence(&mut cx, 1);
    assert_eq!(cx.state("t", 0), "leader 0 isr 0 epoch 0/1 elr 1");
    delete(&mut cx, "t");
    cx.now_ms += 10_000;
    let request = TestContext::registration(1, 2);
    let reply = cx.handle(ControllerRequest::BrokerRegistration(request, 4));
    let ControllerReply::BrokerRegistration(reply) = reply else { panic!("{reply:?}") };
    assert_eq!(reply.error_code, 0);
    let request = m::unregister_broker_request::UnregisterBrokerRequest {
        broker_id: 1,
        ..Default::default()
    };
    let reply = cx.handle(ControllerRequest::UnregisterBroker(request));
    let ControllerReply::UnregisterBroker(reply) = reply else { panic!("{reply:?}") };
    assert_eq!(reply.error_code, 0);
}

/// The leader known last was reassigned away: asking whether it can lead failed.
#[test]
fn the_leader_known_last_may_be_no_replica_any_more() {
    let mut cx = TestContext::with(3, &[(MIN_ISR, "1")]);
    cx.create_assigned("t", "0,1");
    fence(&mut cx, 1);
    fence(&mut cx, 0);
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 1/2 elr 0 last 0");
    cx.now_ms += 10_000;
    cx.handle(ControllerRequest::BrokerRegistration(TestContext::registration(0, 2), 4));
    assert_eq!(cx.state("t", 0), "leader -1 isr  epoch 1/3 last 0");
    assert_eq!(reassign(&mut cx, Some(&[1, 2])), ErrorCode::None);
    cx.unfence(1);
    assert_eq!(reassign(&mut cx, None), ErrorCode::InvalidReplicaAssignment);
    cx.unfence(0);
    // Nobody has everything; the last leader counts as the least loss, and says so.
    let after = cx.state("t", 0);
    assert_eq!(after, "leader 0 isr 0 epoch 2/5 adding 2 removing 0");
}

/// A replica that turns out to be in a broken directory: two records made from the same state led to a leader that
/// was not in sync.
#[test]
fn a_replica_in_a_broken_directory_is_not_elected_on_the_way_there() {
    let mut cx = TestContext::with(2, &[("unclean.leader.election.enable", "true")]);
    cx.create_assigned("t", "0,1");
    let topic_id = cx.image().topics.id_of("t").unwrap();
    fence(&mut cx, 1);
    fence(&mut cx, 0);
    cx.unfence(1);
    use m::assign_replicas_to_dirs_request::*;
    let partitions = vec![PartitionData::default()];
    let topics = vec![TopicData { topic_id, partitions, ..Default::default() }];
    let directories =
        vec![DirectoryData { id: base::Uuid([77; 16]), topics, ..Default::default() }];
    let request = AssignReplicasToDirsRequest {
        broker_id: 1,
        broker_epoch: cx.epoch(1),
        directories,
        ..Default::default()
    };
    cx.handle(ControllerRequest::AssignReplicasToDirs(request));
    assert!(cx.state("t", 0).starts_with("leader -1 isr  "), "{}", cx.state("t", 0));
}

/// Levels are checked against every broker and every controller of the quorum, registered or not.
#[test]
fn features_wait_for_all_controllers() {
    let mut cx = TestContext::at_level(MetadataVersion::LATEST_PRODUCTION, false, &[]);
    let settings = cx.controller.settings().clone();
    let quorum = vec![NodeId(1), NodeId(2), NodeId(3)];
    let image = cx.image().clone();
    cx.controller = Controller::new(Settings { quorum, ..settings }, image);
    let at = cx.at();
    cx.controller.activate(at, Vec::new());
    let register = |cx: &mut TestContext, id: i32, max: i16| {
        use m::controller_registration_request::*;
        let name: Arc<str> = ELR.into();
        let feature = Feature {
            name: name.to_string().into(),
            max_supported_version: max,
            ..Default::default()
        };
        let request = ControllerRegistrationRequest {
            controller_id: id,
            features: vec![feature],
            ..Default::default()
        };
        cx.handle(ControllerRequest::ControllerRegistration(request));
    };
    let why = |cx: &mut TestContext| {
        let (code, text) = update_feature(cx, ELR, 1, 1);
        (code != ErrorCode::None).then(|| text.rsplit(". ").next().unwrap_or_default().to_owned())
    };
    let missing = |id: i32| {
        Some(format!("controller {id} has not registered, and may not support this feature"))
    };
    assert_eq!(why(&mut cx), missing(2));
    register(&mut cx, 2, 1);
    assert_eq!(why(&mut cx), missing(3));
    register(&mut cx, 3, 0);
    assert_eq!(why(&mut cx), Some("Controller 3 does not support this feature.".to_owned()));
    register(&mut cx, 3, 1);
    assert_eq!(why(&mut cx), None);
    // A controller may be forgotten, but for the one that is asked.
    let unregister = |cx: &mut TestContext, controller_id| {
        let request = m::unregister_controller_request::UnregisterControllerRequest {
            controller_id,
            ..Default::default()
        };
        match cx.handle(ControllerRequest::UnregisterController(request)) {
            ControllerReply::UnregisterController(reply) => ErrorCode::from_code(reply.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(unregister(&mut cx, 1), ErrorCode::InvalidRequest);
    assert_eq!(unregister(&mut cx, 3), ErrorCode::None);
    assert_eq!(unregister(&mut cx, 3), ErrorCode::ControllerIdNotRegistered);
}

/// What broker 0, leading `t`, is answered when it tells that both are in sync.
fn both_in_sync(cx: &mut TestContext) -> ErrorCode {
    use m::alter_partition_request::*;
    let topic = cx.image().topics.by_name("t").unwrap().clone();
    let (index, partition) = topic.partitions().next().unwrap();
    let data = PartitionData {
        partition_index: index.0,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch.0,
        new_isr: vec![0, 1],
        ..Default::default()
    };
    let topics =
        vec![TopicData { topic_id: topic.id, partitions: vec![data], ..Default::default() }];
    let request = AlterPartitionRequest {
        broker_id: 0,
        broker_epoch: cx.epoch(0),
        topics,
        ..Default::default()
    };
    match cx.handle(ControllerRequest::AlterPartition(request, 2)) {
        ControllerReply::AlterPartition(reply) => {
            ErrorCode::from_code(reply.topics[0].partitions[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fetch_from_before_does_not_bring_a_broken_replica_back() {
    let mut cx = TestContext::with_brokers(2);
    let register = |cx: &mut TestContext| {
        let mut request = TestContext::registration(1, 1);
        request.log_dirs.push(TestContext::directory(11));
        cx.handle(ControllerRequest::BrokerRegistration(request, 4));
        cx.unfence(1);
    };
    register(&mut cx);
    cx.create_assigned("t", "0,1");
    let topic_id = cx.image().topics.id_of("t").unwrap();
    use m::assign_replicas_to_dirs_request::*;
    let partitions = vec![PartitionData::default()];
    let topics = vec![TopicData { topic_id, partitions, ..Default::default() }];
    let id = TestContext::directory(1);
    let directories = vec![DirectoryData { id, topics, ..Default::default() }];
    let (broker_id, broker_epoch) = (1, cx.epoch(1));
    let request =
        AssignReplicasToDirsRequest { broker_id, broker_epoch, directories, ..Default::default() };
    cx.handle(ControllerRequest::AssignReplicasToDirs(request));
    cx.heartbeat(1, |request| request.offline_log_dirs = vec![id]);
    let broken = "leader 0 isr 0 epoch 0/2";
    assert_eq!(cx.state("t", 0), broken);
    assert_eq!(both_in_sync(&mut cx), ErrorCode::IneligibleReplica);
    assert_eq!(cx.state("t", 0), broken);
    register(&mut cx);
    assert_eq!(both_in_sync(&mut cx), ErrorCode::None);
    assert_eq!(cx.state("t", 0), "leader 0 isr 0,1 epoch 0/3");
}
