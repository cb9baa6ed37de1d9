//! Every API that a broker passes on: the controller's answer comes back as it is.

use protocol::messages as m;
use protocol::{ApiKey, Encode, Message, encode_to_vec};

use crate::common::cluster::{Cluster, until};
use crate::common::{Peer, Reaction, decoded, frame, request_bytes};

/// A request as it stands in a frame, without the header.
struct Asked {
    api: ApiKey,
    version: i16,
    body: Vec<u8>,
}

fn asked<Q: Message + Encode>(request: &Q, version: i16) -> Asked {
    let api = ApiKey::from_i16(Q::API_KEY.unwrap()).unwrap();
    Asked { api, version, body: encode_to_vec(request, version).unwrap() }
}

fn answer(address: &str, asked: &Asked) -> Vec<u8> {
    let mut peer = Peer::connect(address);
    peer.send(&frame(&request_bytes(asked.api.code(), asked.version, &asked.body)));
    match peer.reaction() {
        Reaction::Answer(bytes) => bytes,
        other => panic!("{}: {other:?}", asked.api.name()),
    }
}

/// One request of each API that changes nothing, so that it can be asked twice.
fn harmless() -> Vec<Asked> {
    let name = || "absent".into();
    let creatable = m::create_topics_request::CreatableTopic {
        name: "new".into(),
        num_partitions: 3,
        replication_factor: 1,
        ..Default::default()
    };
    let create = m::create_topics_request::CreateTopicsRequest {
        topics: vec![creatable],
        validate_only: true,
        ..Default::default()
    };
    let delete = m::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec![name()],
        ..Default::default()
    };
    let partitions = m::create_partitions_request::CreatePartitionsRequest {
        topics: vec![m::create_partitions_request::CreatePartitionsTopic {
            name: name(),
            count: 9,
            ..Default::default()
        }],
        ..Default::default()
    };
    let alter = m::alter_configs_request::AlterConfigsRequest {
        resources: vec![m::alter_configs_request::AlterConfigsResource {
            resource_type: 2,
            resource_name: name(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let incremental = m::incremental_alter_configs_request::IncrementalAlterConfigsRequest {
        resources: vec![m::incremental_alter_configs_request::AlterConfigsResource {
            resource_type: 2,
            resource_name: name(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let elect = m::elect_leaders_request::ElectLeadersRequest {
        topic_partitions: Some(vec![m::elect_leaders_request::TopicPartitions {
            topic: name(),
            partitions: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let reassign = m::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest {
        topics: vec![m::alter_partition_reassignments_request::ReassignableTopic {
            name: name(),
            partitions: vec![m::alter_partition_reassignments_request::ReassignablePartition {
                replicas: Some(vec![101]),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let list =
        m::list_partition_reassignments_request::ListPartitionReassignmentsRequest::default();
    let features = m::update_features_request::UpdateFeaturesRequest {
        feature_updates: vec![m::update_features_request::FeatureUpdateKey {
            feature: "no.such.feature".into(),
            max_version_level: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    let unregister = m::unregister_broker_request::UnregisterBrokerRequest {
        broker_id: 77,
        ..Default::default()
    };
    let unregister_controller = m::unregister_controller_request::UnregisterControllerRequest {
        controller_id: 77,
        ..Default::default()
    };
    vec![
        asked(&delete, 1),
        asked(&delete, 5),
        asked(&partitions, 0),
        asked(&partitions, 3),
        asked(&alter, 2),
        asked(&incremental, 1),
        asked(&elect, 2),
        asked(&reassign, 1),
        asked(&list, 0),
        asked(&features, 2),
        asked(&unregister, 0),
        asked(&unregister_controller, 0),
        asked(&create, 2),
        asked(&create, 6),
    ]
}

#[test]
fn a_broker_gives_the_controllers_answer() {
    let cluster = Cluster::separate(1, 1, &[]);
    let (broker, controller) = (cluster.node(101), cluster.node(1));
    for asked in harmless() {
        let direct = answer(&controller.controller_address, &asked);
        let through = answer(&broker.address, &asked);
        assert_eq!(through, direct, "{} version {}", asked.api.name(), asked.version);
        assert!(direct.len() > 6, "{} version {}", asked.api.name(), asked.version);
    }
}

#[test]
fn changes_of_all_kinds_go_through_any_broker() {
    let cluster = Cluster::separate(1, 2, &[]);
    assert_eq!(cluster.node(101).create_topic("t", 1, &[]), 0);
    assert_eq!(cluster.node(102).create_topic("t", 1, &[]), 36, "TOPIC_ALREADY_EXISTS");
    let partitions = |metadata: &m::metadata_response::MetadataResponse<'_>| {
        let topic = metadata.topics.iter().find(|t| t.name.as_deref() == Some("t"));
        topic.map_or(0, |t| t.partitions.len())
    };
    let more = m::create_partitions_request::CreatePartitionsRequest {
        topics: vec![m::create_partitions_request::CreatePartitionsTopic {
            name: "t".into(),
            count: 4,
            assignments: None,
            ..Default::default()
        }],
        timeout_ms: 5000,
        ..Default::default()
    };
    cluster.node(102).ask(&more, 3);
    cluster.until_all("four partitions", |metadata| partitions(metadata) == 4);

    let config = m::incremental_alter_configs_request::AlterableConfig {
        name: "retention.ms".into(),
        config_operation: 0,
        value: Some("123456".into()),
        ..Default::default()
    };
    let set = m::incremental_alter_configs_request::IncrementalAlterConfigsRequest {
        resources: vec![m::incremental_alter_configs_request::AlterConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configs: vec![config],
            ..Default::default()
        }],
        ..Default::default()
    };
    let body = cluster.node(101).ask(&set, 1);
    let answer: m::incremental_alter_configs_response::IncrementalAlterConfigsResponse<'_> =
        decoded(&body, 1);
    assert_eq!(answer.responses[0].error_code, 0);
    until("both brokers know the setting", || {
        [101, 102].iter().all(|id| retention(&cluster, *id) == "123456")
    });

    let delete = m::delete_topics_request::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        timeout_ms: 5000,
        ..Default::default()
    };
    cluster.node(102).ask(&delete, 5);
    cluster.until_all("the topic is gone", |metadata| partitions(metadata) == 0);
}

fn retention(cluster: &Cluster, broker: i32) -> String {
    let request = m::describe_configs_request::DescribeConfigsRequest {
        resources: vec![m::describe_configs_request::DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: Some(vec!["retention.ms".into()]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let body = cluster.node(broker).ask(&request, 4);
    let answer: m::describe_configs_response::DescribeConfigsResponse<'_> = decoded(&body, 4);
    let row = answer.results[0].configs.first();
    row.and_then(|row| row.value.as_deref()).unwrap_or_default().to_owned()
}

#[test]
fn a_topic_that_is_only_asked_for_is_created_by_the_controller() {
    let cluster = Cluster::separate(1, 2, &[]);
    let request = m::metadata_request::MetadataRequest {
        topics: Some(vec![m::metadata_request::MetadataRequestTopic {
            name: Some("asked-for".into()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    cluster.node(102).ask(&request, 12);
    cluster.until_all("it is there", |metadata| {
        metadata.topics.iter().any(|t| t.name.as_deref() == Some("asked-for") && t.error_code == 0)
    });
}

#[test]
fn without_a_controller_a_client_is_told_so_and_everything_else_goes_on() {
    let mut cluster = Cluster::separate(1, 1, &[]);
    assert_eq!(cluster.node(101).create_topic("t", 1, &[]), 0);
    cluster.until_all("the topic is led", |metadata| {
        metadata.topics.first().is_some_and(|t| t.partitions.iter().all(|p| p.leader_id == 101))
    });
    cluster.kill(1);
    let batch = crate::common::batch(&[b"a"]);
    assert_eq!(cluster.node(101).produce("t", &batch).0, 0);
    std::thread::scope(|scope| {
        // Asked while nobody is there, answered when the controller is back.
        let created = scope.spawn(|| cluster.node(101).create_topic("later", 1, &[]));
        std::thread::sleep(std::time::Duration::from_millis(500));
        let controller = cluster.try_start(1, &[]).unwrap();
        assert_eq!(created.join().unwrap(), 0);
        controller.stop();
    });
}
