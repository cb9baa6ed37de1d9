//! Conversations between a broker and a controller.

use std::collections::BTreeMap;

use base::{BrokerEpoch, NodeId, Offset, Uuid};
use controller::lifecycle::{LifecycleConfig, Say, Stage, Steps};
use metadata::VersionRange;
use protocol::ErrorCode;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;

fn steps() -> Steps {
    let range = VersionRange { min: 7, max: 33 };
    Steps::new(LifecycleConfig {
        node_id: NodeId(3),
        cluster_id: "cluster".into(),
        incarnation: Uuid([1; 16]),
        listeners: Vec::new(),
        features: BTreeMap::from([("metadata.version".to_owned(), range)]),
        rack: None,
        log_dirs: vec![Uuid([9; 16]), Uuid([8; 16])],
        previous_epoch: BrokerEpoch(40),
        heartbeat_interval_ms: 2000,
        registration_timeout_ms: 60_000,
    })
}

fn heartbeat(steps: &Steps) -> BrokerHeartbeatRequest {
    match steps.next(Offset(50)) {
        Some(Say::Heartbeat(request)) => request,
        other => panic!("no heartbeat: {other:?}"),
    }
}

/// Tells the answer to a heartbeat.
fn hear(steps: &mut Steps, caught_up: bool, fenced: bool, shut_down: bool) -> u64 {
    steps.on_heartbeat(Some(&BrokerHeartbeatResponse {
        is_caught_up: caught_up,
        is_fenced: fenced,
        should_shut_down: shut_down,
        ..Default::default()
    }))
}

fn registered(steps: &mut Steps) {
    let answer = BrokerRegistrationResponse { broker_epoch: 45, ..Default::default() };
    assert_eq!(steps.on_registration(Some(&answer)), 0);
}

#[test]
fn from_birth_to_leave() {
    let mut steps = steps();
    let Some(Say::Register(request)) = steps.next(Offset(0)) else { panic!("no registration") };
    assert_eq!((request.broker_id, request.previous_broker_epoch), (3, 40));
    assert_eq!(request.log_dirs, [Uuid([8; 16]), Uuid([9; 16])]);
    assert_eq!(request.features[0].max_supported_version, 33);
    registered(&mut steps);
    assert_eq!((steps.broker_epoch(), steps.stage()), (BrokerEpoch(45), Stage::Starting));

    let request = heartbeat(&steps);
    assert_eq!((request.broker_epoch, request.current_metadata_offset), (45, 50));
    assert_eq!((request.want_fence, request.cordoned_log_dirs), (true, None));
    assert_eq!(hear(&mut steps, false, true, false), 10);
    assert_eq!(hear(&mut steps, true, true, false), 2000);
    assert_eq!(steps.stage(), Stage::Recovery);

    steps.wish(true, false);
    let request = heartbeat(&steps);
    assert_eq!((request.want_fence, request.cordoned_log_dirs), (false, Some(Vec::new())));
    assert_eq!(hear(&mut steps, true, false, false), 2000);
    assert_eq!(steps.stage(), Stage::Running);

    steps.wish(true, true);
    assert!(heartbeat(&steps).want_shut_down);
    assert_eq!(hear(&mut steps, true, false, false), 50);
    assert_eq!(hear(&mut steps, true, false, false), 2000);
    assert_eq!(hear(&mut steps, true, true, true), 0);
    assert_eq!(steps.stage(), Stage::ShuttingDown);
    assert!(steps.next(Offset(60)).is_none());
}

#[test]
fn trouble() {
    let mut steps = steps();
    let refused = BrokerRegistrationResponse {
        error_code: ErrorCode::DuplicateBrokerRegistration.code(),
        ..Default::default()
    };
    assert_eq!(steps.on_registration(Some(&refused)), 2000);
    assert_eq!(steps.on_registration(None), 2000);
    assert!(!steps.was_registered());
    registered(&mut steps);
    let stale = BrokerHeartbeatResponse {
        error_code: ErrorCode::StaleBrokerEpoch.code(),
        ..Default::default()
    };
    assert_eq!(steps.on_heartbeat(Some(&stale)), 2000);
    assert!(matches!(steps.next(Offset(0)), Some(Say::Register(_))));
    // One that never served leaves without asking.
    steps.wish(false, true);
    assert!(steps.next(Offset(0)).is_none());
}
