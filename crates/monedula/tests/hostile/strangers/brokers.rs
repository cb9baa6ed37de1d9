//! What brokers tell and ask the active controller: with wrong ids, clusters, epochs and directories, and on the wrong listener.

use base::Uuid;
use protocol::messages as m;

use super::{Book, FOLLOWER, Facts, LEADER, ask};

/// Reserved ids of directories (KIP-858), by their last byte.
const RESERVED: [(&str, u8); 3] =
    [("directory UNASSIGNED", 0), ("directory LOST", 1), ("directory MIGRATING", 2)];

pub fn ask_all(facts: &Facts, book: &mut Book) {
    registrations(facts, book);
    heartbeats(facts, book);
    alter_partition(facts, book);
    directories(facts, book);
    others(facts, book);
}

fn reserved(last: u8) -> Uuid {
    let mut bytes = [0; 16];
    bytes[15] = last;
    Uuid(bytes)
}

fn registrations(facts: &Facts, book: &mut Book) {
    use m::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
    use m::broker_registration_response::BrokerRegistrationResponse;
    let feature = |name: &str, min, max| Feature {
        name: name.to_owned().into(),
        min_supported_version: min,
        max_supported_version: max,
        ..Default::default()
    };
    let features = vec![
        feature("metadata.version", 7, 33),
        feature("group.version", 0, 9),
        feature("transaction.version", 0, 9),
        feature("share.version", 0, 9),
        feature("streams.version", 0, 9),
        feature("eligible.leader.replicas.version", 0, 9),
        feature("kraft.version", 0, 9),
    ];
    let listener = Listener {
        name: "PLAINTEXT".into(),
        host: "127.0.0.1".into(),
        port: 9,
        ..Default::default()
    };
    let good = BrokerRegistrationRequest {
        broker_id: LEADER,
        cluster_id: facts.cluster_id.clone().into(),
        incarnation_id: Uuid([7; 16]),
        listeners: vec![listener],
        features,
        log_dirs: vec![Uuid([8; 16])],
        ..Default::default()
    };
    let new = BrokerRegistrationRequest { broker_id: 60, ..good.clone() };
    let mut rows = vec![
        ("the id of a broker that lives", good.clone()),
        (
            "of another cluster",
            BrokerRegistrationRequest {
                cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
                ..new.clone()
            },
        ),
        ("no cluster", BrokerRegistrationRequest { cluster_id: "".into(), ..new.clone() }),
        ("no directory", BrokerRegistrationRequest { log_dirs: Vec::new(), ..new.clone() }),
        (
            "a directory twice",
            BrokerRegistrationRequest { log_dirs: vec![Uuid([8; 16]); 2], ..new.clone() },
        ),
        (
            "the directory of another broker",
            BrokerRegistrationRequest { log_dirs: vec![facts.directories[&LEADER]], ..new.clone() },
        ),
        ("no feature", BrokerRegistrationRequest { features: Vec::new(), ..new.clone() }),
        ("a negative id", BrokerRegistrationRequest { broker_id: -1, ..new.clone() }),
        ("migrating", BrokerRegistrationRequest { is_migrating_zk_broker: true, ..new.clone() }),
    ];
    let mut old = new.clone();
    old.features[0] = feature("metadata.version", 1, 6);
    rows.push(("an old metadata.version", old));
    for (name, last) in RESERVED {
        let log_dirs = vec![reserved(last)];
        rows.push((name, BrokerRegistrationRequest { log_dirs, ..new.clone() }));
    }
    for (name, request) in rows {
        let name = format!("BrokerRegistration, {name}");
        ask!(book, name, &facts.controller, request, 4, BrokerRegistrationResponse, |answer| {
            format!("{} epoch {}", answer.error_code, answer.broker_epoch >= 0)
        });
    }
    ask!(
        book,
        "BrokerRegistration, to a broker",
        &facts.leader,
        new,
        4,
        BrokerRegistrationResponse,
        |a| a.error_code.to_string()
    );
}

fn heartbeats(facts: &Facts, book: &mut Book) {
    use m::broker_heartbeat_request::BrokerHeartbeatRequest;
    use m::broker_heartbeat_response::BrokerHeartbeatResponse;
    let epoch = facts.broker_epochs[&LEADER];
    let rows = [
        ("of an unknown broker", 61, 0),
        ("of nobody", -1, 0),
        ("an old epoch", LEADER, epoch - 1),
        ("a later epoch", LEADER, epoch + 1_000),
        ("no epoch", LEADER, -1),
        ("another broker's epoch", LEADER, facts.broker_epochs[&FOLLOWER]),
    ];
    for (name, broker_id, broker_epoch) in rows {
        let request = BrokerHeartbeatRequest {
            broker_id,
            broker_epoch,
            current_metadata_offset: 1 << 40,
            ..Default::default()
        };
        let name = format!("BrokerHeartbeat, {name}");
        for (at, address) in [("", &facts.controller), (", to a broker", &facts.leader)] {
            let name = format!("{name}{at}");
            ask!(book, name, address, request.clone(), 1, BrokerHeartbeatResponse, |answer| {
                format!("{} fenced {}", answer.error_code, answer.is_fenced)
            });
        }
    }
}

fn alter_partition(facts: &Facts, book: &mut Book) {
    use m::alter_partition_request::{
        AlterPartitionRequest, BrokerState, PartitionData, TopicData,
    };
    use m::alter_partition_response::AlterPartitionResponse;
    let (leader, follower) = (facts.broker_epochs[&LEADER], facts.broker_epochs[&FOLLOWER]);
    let state =
        |broker_id, broker_epoch| BrokerState { broker_id, broker_epoch, ..Default::default() };
    let good = PartitionData {
        leader_epoch: 0,
        partition_epoch: 0,
        new_isr_with_epochs: vec![state(LEADER, leader)],
        ..Default::default()
    };
    let isr =
        |states: Vec<BrokerState>| PartitionData { new_isr_with_epochs: states, ..good.clone() };
    let request =
        |broker_id, broker_epoch, topic_id, partition: PartitionData| AlterPartitionRequest {
            broker_id,
            broker_epoch,
            topics: vec![TopicData { topic_id, partitions: vec![partition], ..Default::default() }],
            ..Default::default()
        };
    let of_leader = |partition| request(LEADER, leader, facts.both, partition);
    let rows = [
        ("an unknown broker", request(61, 0, facts.both, good.clone())),
        ("an old epoch", request(LEADER, leader - 1, facts.both, good.clone())),
        ("no epoch", request(LEADER, -1, facts.both, good.clone())),
        ("not the leader", request(FOLLOWER, follower, facts.both, good.clone())),
        ("an unknown topic", request(LEADER, leader, Uuid([9; 16]), good.clone())),
        ("no topic", request(LEADER, leader, Uuid::ZERO, good.clone())),
        ("partition 5", of_leader(PartitionData { partition_index: 5, ..good.clone() })),
        ("a later leader epoch", of_leader(PartitionData { leader_epoch: 3, ..good.clone() })),
        ("an older leader epoch", of_leader(PartitionData { leader_epoch: -1, ..good.clone() })),
        (
            "a later partition epoch",
            of_leader(PartitionData { partition_epoch: 3, ..good.clone() }),
        ),
        (
            "an older partition epoch",
            of_leader(PartitionData { partition_epoch: -1, ..good.clone() }),
        ),
        ("without the leader", of_leader(isr(vec![state(FOLLOWER, follower)]))),
        ("nobody in sync", of_leader(isr(Vec::new()))),
        (
            "one that has no replica",
            request(
                LEADER,
                leader,
                facts.solo,
                isr(vec![state(LEADER, leader), state(FOLLOWER, follower)]),
            ),
        ),
        ("an unknown one in sync", of_leader(isr(vec![state(LEADER, leader), state(61, 0)]))),
        (
            "an old epoch of one in sync",
            of_leader(isr(vec![state(LEADER, leader), state(FOLLOWER, follower - 1)])),
        ),
        (
            "recovering with two in sync",
            of_leader(PartitionData {
                leader_recovery_state: 1,
                ..isr(vec![state(LEADER, leader), state(FOLLOWER, follower)])
            }),
        ),
    ];
    for (name, request) in rows {
        let name = format!("AlterPartition, {name}");
        ask!(book, name, &facts.controller, request, 3, AlterPartitionResponse, |answer| {
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let rows =
                rows.map(|p| format!("{} leader {} isr {:?}", p.error_code, p.leader_id, p.isr));
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
    }
    let to_broker = of_leader(good.clone());
    ask!(
        book,
        "AlterPartition, to a broker",
        &facts.leader,
        to_broker,
        3,
        AlterPartitionResponse,
        |a| a.error_code.to_string()
    );
}

/// Apache Kafka's controller fails on this, and gives up the lead.
pub fn ask_last(facts: &Facts, book: &mut Book) {
    use m::alter_partition_request::{
        AlterPartitionRequest, BrokerState, PartitionData, TopicData,
    };
    use m::alter_partition_response::AlterPartitionResponse;
    let (broker_id, broker_epoch) = (LEADER, facts.broker_epochs[&LEADER]);
    let partition = PartitionData {
        leader_recovery_state: 9,
        new_isr_with_epochs: vec![BrokerState { broker_id, broker_epoch, ..Default::default() }],
        ..Default::default()
    };
    let topic =
        TopicData { topic_id: facts.both, partitions: vec![partition], ..Default::default() };
    let request = AlterPartitionRequest {
        broker_id,
        broker_epoch,
        topics: vec![topic],
        ..Default::default()
    };
    let name = "AlterPartition, a recovery state that is none";
    ask!(book, name, &facts.controller, request, 3, AlterPartitionResponse, |answer| {
        let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
        format!("{} {:?}", answer.error_code, rows.map(|p| p.error_code).collect::<Vec<_>>())
    });
}

fn directories(facts: &Facts, book: &mut Book) {
    use m::assign_replicas_to_dirs_request::{
        AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
    };
    use m::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
    let request = |broker_id, broker_epoch, id, topic_id, partition_index| {
        let partition = PartitionData { partition_index, ..Default::default() };
        let topic = TopicData { topic_id, partitions: vec![partition], ..Default::default() };
        let directory = DirectoryData { id, topics: vec![topic], ..Default::default() };
        AssignReplicasToDirsRequest {
            broker_id,
            broker_epoch,
            directories: vec![directory],
            ..Default::default()
        }
    };
    let (epoch, own) = (facts.broker_epochs[&LEADER], facts.directories[&LEADER]);
    let follower = facts.broker_epochs[&FOLLOWER];
    let rows = [
        ("an unknown broker", request(61, 0, own, facts.both, 0)),
        ("an old epoch", request(LEADER, epoch - 1, own, facts.both, 0)),
        ("no epoch", request(LEADER, -1, own, facts.both, 0)),
        ("where it is", request(LEADER, epoch, own, facts.both, 0)),
        ("an unknown topic", request(LEADER, epoch, own, Uuid([9; 16]), 0)),
        ("partition 5", request(LEADER, epoch, own, facts.both, 5)),
        ("no replica", request(FOLLOWER, follower, facts.directories[&FOLLOWER], facts.solo, 0)),
    ];
    for (name, request) in rows {
        let name = format!("AssignReplicasToDirs, {name}");
        ask!(book, name, &facts.controller, request, 0, AssignReplicasToDirsResponse, |answer| {
            let topics = answer.directories.iter().flat_map(|directory| &directory.topics);
            let rows = topics.flat_map(|topic| &topic.partitions).map(|p| p.error_code);
            format!("{} {:?}", answer.error_code, rows.collect::<Vec<_>>())
        });
    }
    let to_broker = request(LEADER, epoch, own, facts.both, 0);
    ask!(
        book,
        "AssignReplicasToDirs, to a broker",
        &facts.leader,
        to_broker,
        0,
        AssignReplicasToDirsResponse,
        |a| a.error_code.to_string()
    );
}

fn others(facts: &Facts, book: &mut Book) {
    use m::allocate_producer_ids_request::AllocateProducerIdsRequest;
    use m::allocate_producer_ids_response::AllocateProducerIdsResponse;
    use m::envelope_request::EnvelopeRequest;
    use m::envelope_response::EnvelopeResponse;
    use m::fetch_snapshot_request::FetchSnapshotRequest;
    use m::fetch_snapshot_response::FetchSnapshotResponse;
    use m::unregister_broker_request::UnregisterBrokerRequest;
    use m::unregister_broker_response::UnregisterBrokerResponse;
    use m::unregister_controller_request::UnregisterControllerRequest;
    use m::unregister_controller_response::UnregisterControllerResponse;
    for (name, broker_id, broker_epoch) in [
        ("an unknown broker", 61, 0),
        ("an old epoch", LEADER, facts.broker_epochs[&LEADER] - 1),
        ("no epoch", LEADER, -1),
        ("another broker's epoch", FOLLOWER, facts.broker_epochs[&LEADER]),
    ] {
        let request = AllocateProducerIdsRequest { broker_id, broker_epoch, ..Default::default() };
        let name = format!("AllocateProducerIds, {name}");
        for (at, address) in [("", &facts.controller), (", to a broker", &facts.leader)] {
            let name = format!("{name}{at}");
            ask!(book, name, address, request.clone(), 0, AllocateProducerIdsResponse, |a| a
                .error_code
                .to_string());
        }
    }
    let envelope = EnvelopeRequest {
        request_data: b"\0".as_slice().into(),
        request_principal: None,
        client_host_address: b"\x7f\0\0\x01".as_slice().into(),
        ..Default::default()
    };
    for (at, address) in [("", &facts.controller), (", to a broker", &facts.leader)] {
        let name = format!("Envelope, nobody's{at}");
        ask!(book, name, address, envelope.clone(), 0, EnvelopeResponse<'_>, |a| a
            .error_code
            .to_string());
    }
    let snapshot = FetchSnapshotRequest::default();
    ask!(
        book,
        "FetchSnapshot, to a broker",
        &facts.leader,
        snapshot,
        1,
        FetchSnapshotResponse<'_>,
        |a| a.error_code.to_string()
    );
    for (name, broker_id) in [("an unknown broker", 61), ("nobody", -1), ("a controller", 1)] {
        let request = UnregisterBrokerRequest { broker_id, ..Default::default() };
        let name = format!("UnregisterBroker, {name}");
        ask!(book, name, &facts.controller, request, 0, UnregisterBrokerResponse<'_>, |a| a
            .error_code
            .to_string());
    }
    for (name, controller_id) in
        [("an unknown controller", 61), ("nobody", -1), ("a broker", LEADER)]
    {
        let request = UnregisterControllerRequest { controller_id, ..Default::default() };
        let name = format!("UnregisterController, {name}");
        ask!(book, name, &facts.controller, request, 0, UnregisterControllerResponse<'_>, |a| a
            .error_code
            .to_string());
    }
}
