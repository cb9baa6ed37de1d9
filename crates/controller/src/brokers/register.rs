//! BrokerRegistration: who a broker is, where it listens, what it supports.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base::{BrokerEpoch, NodeId, Uuid};
use metadata::{BrokerRegistration, MetadataVersion, VersionRange};
use protocol::ErrorCode;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};

use crate::error::{ApiError, Result};
use crate::features::finalized;
use crate::handle::{At, Controller, Records};
use crate::partitions::leadership;

pub(crate) fn handle(
    controller: &mut Controller,
    at: At,
    request: &BrokerRegistrationRequest<'static>,
    version: i16,
) -> (Records, BrokerRegistrationResponse) {
    match register(controller, at, request, version) {
        Ok((epoch, records)) => {
            let reply = BrokerRegistrationResponse { broker_epoch: epoch.0, ..Default::default() };
            (Records::loose(records), reply)
        }
        Err(error) => {
            let error_code = error.code.code();
            (Records::none(), BrokerRegistrationResponse { error_code, ..Default::default() })
        }
    }
}

fn register(
    controller: &Controller,
    at: At,
    request: &BrokerRegistrationRequest<'static>,
    version: i16,
) -> Result<(BrokerEpoch, Vec<MetadataRecord<'static>>)> {
    let id = NodeId(request.broker_id);
    if *controller.settings.cluster_id != *request.cluster_id {
        let (own, other) = (&controller.settings.cluster_id, &request.cluster_id);
        let message = format!("Expected cluster ID {own}, but got cluster ID {other}");
        return Err(ApiError::new(ErrorCode::InconsistentClusterId, message));
    }
    let existing = controller.image().cluster.broker(id);
    check_session(controller, at, request, existing)?;
    if request.is_migrating_zk_broker {
        let message = "Controller does not support registering ZK brokers.";
        return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, message));
    }
    let with_directories = controller.metadata_version().supports_directory_assignment();
    if with_directories {
        check_directories(controller, id, &request.log_dirs)?;
    }
    check_features(controller, request)?;

    let same = existing.filter(|existing| existing.incarnation_id == request.incarnation_id);
    let mut records = Vec::new();
    if same.is_none() {
        // From version 3 on a broker tells the epoch it shut down cleanly with.
        let stored = existing.map_or(-2, |existing| existing.epoch.0);
        let clean = version >= 3 && stored == request.previous_broker_epoch;
        leadership::forget_incarnation(controller, id, clean, &mut records);
    }
    let epoch = same.map_or(BrokerEpoch(at.next_offset.0), |same| same.epoch);
    records.push(record(request, epoch, same, with_directories).into());
    Ok((epoch, records))
}

fn check_session(
    controller: &Controller,
    at: At,
    request: &BrokerRegistrationRequest<'_>,
    existing: Option<&BrokerRegistration>,
) -> Result<()> {
    let Some(existing) = existing else { return Ok(()) };
    let incarnation = request.incarnation_id;
    let is_ours = controller.settings.own_incarnation == Some(incarnation);
    // Whoever was let go after a controlled shutdown may come back at once, not only when its session is over.
    let was_let_go = existing.fenced && existing.in_controlled_shutdown;
    if incarnation != existing.incarnation_id
        && !is_ours
        && !was_let_go
        && controller.sessions.has_valid_session(existing.id, existing.epoch, at.now.mono)
    {
        let message = "Another broker is registered with that broker id. If the broker was recently restarted \
                       this should self-resolve once the heartbeat manager expires the broker's session.";
        return Err(ApiError::new(ErrorCode::DuplicateBrokerRegistration, message));
    }
    Ok(())
}

fn check_directories(controller: &Controller, id: NodeId, directories: &[Uuid]) -> Result<()> {
    let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    if directories.is_empty() {
        return invalid("No directories specified in request");
    }
    if directories.iter().any(|directory| directory.is_reserved()) {
        return invalid("Reserved directory ID in request");
    }
    if directories.iter().collect::<BTreeSet<_>>().len() != directories.len() {
        return invalid("Duplicate directory ID in request");
    }
    for directory in directories {
        let mut others =
            controller.image().cluster.brokers.values().filter(|broker| broker.id != id);
        if let Some(other) = others.find(|other| other.directories.binary_search(directory).is_ok())
        {
            return invalid(&format!(
                "Broker {} is already registered with directory {directory}",
                other.id
            ));
        }
    }
    Ok(())
}

/// The broker must support every finalised level, and at least name `metadata.version`.
fn check_features(controller: &Controller, request: &BrokerRegistrationRequest<'_>) -> Result<()> {
    let check = |name: &str, level: i16, range: VersionRange| {
        if range.contains(level) {
            return Ok(());
        }
        let message = format!(
            "Unable to register because the broker does not support finalized version {level} of {name}. The \
             broker wants a version between {} and {}, inclusive.",
            range.min, range.max
        );
        Err(ApiError::new(ErrorCode::UnsupportedVersion, message))
    };
    for feature in &request.features {
        let range =
            VersionRange { min: feature.min_supported_version, max: feature.max_supported_version };
        check(&feature.name, finalized(controller, &feature.name), range)?;
    }
    let names = |name: &str| request.features.iter().any(|feature| feature.name == name);
    if !names(MetadataVersion::FEATURE_NAME) {
        let message = "Request features do not contain 'metadata.version'";
        return Err(ApiError::new(ErrorCode::InvalidRegistration, message));
    }
    let image = controller.image();
    let kraft = (metadata::Feature::KRAFT_VERSION, controller.settings.kraft_version);
    for (name, level) in
        image.features.iter().chain([kraft]).filter(|(name, level)| *level != 0 && !names(name))
    {
        check(name, level, VersionRange { min: 0, max: 0 })?;
    }
    Ok(())
}

fn record(
    request: &BrokerRegistrationRequest<'static>,
    epoch: BrokerEpoch,
    same: Option<&BrokerRegistration>,
    with_directories: bool,
) -> RegisterBrokerRecord<'static> {
    let endpoints = request.listeners.iter().map(|listener| BrokerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..Default::default()
    });
    let features = request.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    });
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch: epoch.0,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: request.rack.as_deref().map(|rack| Cow::Owned(rack.to_owned())),
        fenced: same.is_none_or(|same| same.fenced),
        in_controlled_shutdown: same.is_some_and(|same| same.in_controlled_shutdown),
        log_dirs: if with_directories { request.log_dirs.clone() } else { Vec::new() },
        ..Default::default()
    }
}
