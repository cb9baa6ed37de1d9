//! Metadata while one log directory stands still: what it wants of others takes effect, and of this one as soon as it moves.

use std::time::{Duration, Instant};

use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::produce_response::ProduceResponse;

use crate::common::cluster::{CLUSTER_ID, Cluster};
use crate::common::{batch, decoded, produce_request};
use crate::slow::{PARTITIONS, World, answer, error};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const MESSAGE_TOO_LARGE: i16 = 10;
const UNKNOWN_TOPIC: i16 = 3;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn set(world: &World, kind: i8, name: &str, key: &str, value: &str) {
    let config =
        AlterableConfig { name: key.into(), value: Some(value.into()), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let body = world.connect().call(&request, 1);
    let response: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
}

fn delete(world: &World, name: &str) {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned().into()],
        timeout_ms: 60_000,
        ..Default::default()
    };
    let body = world.connect().call(&request, 5);
    let deleted: DeleteTopicsResponse<'_> = decoded(&body, 5);
    assert_eq!(deleted.responses[0].error_code, 0);
}

/// Error and offset of what is produced.
fn produced(world: &World, topic: &str, partition: i32, batch: &[u8]) -> (i16, i64) {
    let body = world.connect().call(&produce_request(topic, partition, batch), 12);
    let answer: ProduceResponse<'_> = decoded(&body, 12);
    (error(&answer), answer.responses[0].partition_responses[0].base_offset)
}

#[test]
fn metadata_is_applied_while_writes_stand_still() {
    let world = World::new();
    world.create("t");
    world.create("gone");
    let (moving, still) = (world.partitions(0, "t"), world.partitions(1, "t"));
    let (gone, going) = (world.partitions(0, "gone"), world.partitions(1, "gone"));
    let (small, large) = (batch(&[b"x"]), batch(&[&[7; 2000]]));
    world.gate.shut();
    let writers = [
        world.asked(&produce_request("t", still[0], &small)),
        world.asked(&produce_request("gone", going[0], &small)),
    ];
    world.gate.until_waiting(2);

    // Settings of the broker concern all partitions: new ones go to the other directory.
    set(&world, BROKER, "1", "cordoned.log.dirs", &world.dirs[1].display().to_string());
    world.create("new");
    set(&world, TOPIC, "t", "max.message.bytes", "1000");
    until("the setting is in force", || world.produce("t", moving[0], &large) == MESSAGE_TOO_LARGE);
    delete(&world, "gone");
    until("the topic is gone", || world.produce("gone", gone[0], &small) == UNKNOWN_TOPIC);
    assert_eq!(world.produce("gone", going[1], &small), UNKNOWN_TOPIC);
    // Another one of the same name: where the old log cannot be deleted yet it has none.
    world.create_only("gone");
    until("the new topic is served", || world.produce("gone", gone[0], &small) == 0);
    for &partition in &going {
        assert_ne!(world.produce("gone", partition, &small), 0);
    }
    for &partition in &moving {
        assert_eq!(world.produce("t", partition, &small), 0);
    }

    world.gate.open();
    for writer in writers {
        // Both were written to before they learnt anything.
        let body = answer(writer, 5);
        assert_eq!(error(&decoded::<ProduceResponse<'_>>(&body, 12)), 0);
    }
    for &partition in &still {
        until("the setting is in force", || {
            world.produce("t", partition, &large) == MESSAGE_TOO_LARGE
        });
    }
    for &partition in &going {
        let mut first = None;
        until("the new topic is served", || {
            let (error, offset) = produced(&world, "gone", partition, &small);
            first = Some(offset);
            error == 0
        });
        assert_eq!(first, Some(0), "nothing of the old log is there");
    }
    assert_eq!(world.partitions(0, "gone").len(), 12);
    world.stop();
}

/// Leaders and replicas in sync, by partition.
fn leaders(world: &World, topic: &str) -> Vec<(i32, Vec<i32>)> {
    let request = MetadataRequest { topics: None, ..Default::default() };
    let body = world.connect().call(&request, 12);
    let metadata: MetadataResponse<'_> = decoded(&body, 12);
    let topic = metadata.topics.iter().find(|known| known.name.as_deref() == Some(topic));
    let mut partitions: Vec<(i32, i32, Vec<i32>)> = Vec::new();
    for partition in topic.map(|topic| &topic.partitions).into_iter().flatten() {
        let mut isr = partition.isr_nodes.clone();
        isr.sort_unstable();
        partitions.push((partition.partition_index, partition.leader_id, isr));
    }
    partitions.sort_unstable();
    partitions.into_iter().map(|(_, leader, isr)| (leader, isr)).collect()
}

#[test]
fn a_directory_fails_while_a_write_stands_still_in_it() {
    let world = World::new();
    world.create("t");
    let (moving, still) = (world.partitions(0, "t"), world.partitions(1, "t"));
    let small = batch(&[b"x"]);
    world.gate.shut();
    let writer = world.asked(&produce_request("t", still[0], &small));
    world.gate.until_waiting(1);
    // As when its disk is unmounted.
    std::fs::rename(&world.dirs[1], world.dirs[1].with_extension("lost")).unwrap();
    until("the controller knows", || {
        let known = leaders(&world, "t");
        let leader = |index: &i32| usize::try_from(*index).map(|at| known[at].0);
        still.iter().all(|index| leader(index) == Ok(-1))
            && moving.iter().all(|index| leader(index) == Ok(1))
    });
    for &partition in &moving {
        assert_eq!(world.produce("t", partition, &small), 0);
    }
    assert_ne!(world.produce("t", still[1], &small), 0);
    assert!(world.gate.waiting() > 0);
    world.gate.open();
    // What was written before is there, or not: but nothing after it.
    drop(answer(writer, 5));
    until("nothing more is taken", || world.produce("t", still[0], &small) != 0);
    assert_eq!(world.produce("t", moving[0], &small), 0);
    world.stop();
}

/// Replicas 1 and 2; each leads every other partition.
fn create_on_both(world: &World, name: &str) {
    let assignments = (0..PARTITIONS).map(|index| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: if index % 2 == 0 { vec![1, 2] } else { vec![2, 1] },
        ..Default::default()
    });
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: assignments.collect(),
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..Default::default() };
    let body = world.connect().call(&request, 7);
    let response: CreateTopicsResponse<'_> = decoded(&body, 7);
    assert_eq!(response.topics[0].error_code, 0);
}

#[test]
fn leaders_change_while_writes_stand_still() {
    let nodes = [(1, "broker,controller"), (2, "broker")];
    let sessions = [("broker.session.timeout.ms", "6000"), ("broker.heartbeat.interval.ms", "500")];
    let mut cluster = Cluster::new(nodes, &sessions);
    let controller = format!("127.0.0.1:{}", cluster.controller_port(1));
    let listeners = format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://{controller}");
    let voters = format!("1@{controller}");
    let own = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", &*listeners),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", &*voters),
        ("cluster.id", CLUSTER_ID),
    ];
    let world = World::with(&[&own[..], &sessions].concat(), 512);
    cluster.start(2);
    create_on_both(&world, "t");
    let led = |leader: i32, index: &i32| (index % 2 == 0) == (leader == 1);
    until("all are in sync", || {
        let known = leaders(&world, "t");
        known.len() == 12
            && known
                .iter()
                .zip(0..)
                .all(|((leader, isr), index)| led(*leader, &index) && isr[..] == [1, 2])
    });
    let (moving, still) = (world.partitions(0, "t"), world.partitions(1, "t"));
    let small = batch(&[b"x"]);
    let write = |partition: i32| {
        let mut request = produce_request("t", partition, &small);
        request.acks = 1;
        request
    };
    world.gate.shut();
    // Of one that it leads, and, if there is any, of one that it follows.
    let own = *still.iter().find(|index| led(1, index)).unwrap();
    let writer = world.asked(&write(own));
    let follows = still.iter().find(|index| led(2, index));
    if let Some(index) = follows {
        until("the other node takes it", || {
            let body = cluster.node(2).ask(&write(*index), 12);
            error(&decoded::<ProduceResponse<'_>>(&body, 12)) == 0
        });
    }
    world.gate.until_waiting(1 + usize::from(follows.is_some()));
    cluster.kill(2);
    for &partition in &moving {
        // With acks=all: alone in sync, and leading.
        until("the node leads", || world.produce("t", partition, &small) == 0);
    }
    assert!(world.gate.waiting() > 0);
    world.gate.open();
    assert_eq!(error(&decoded::<ProduceResponse<'_>>(&answer(writer, 5), 12)), 0);
    for &partition in &still {
        until("the node leads", || world.produce("t", partition, &small) == 0);
    }
    world.stop();
}
