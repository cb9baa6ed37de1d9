//! ControllerRegistration and UnregisterController (KIP-919).

use base::NodeId;
use protocol::ErrorCode;
use protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;
use protocol::messages::unregister_controller_request::UnregisterControllerRequest;
use protocol::messages::unregister_controller_response::UnregisterControllerResponse;
use protocol::metadata_records::register_controller_record::{
    ControllerEndpoint, ControllerFeature, RegisterControllerRecord,
};
use protocol::metadata_records::unregister_controller_record::UnregisterControllerRecord;

use crate::error::ApiError;
use crate::handle::{Controller, Records};

pub(crate) fn register(
    controller: &Controller,
    request: &ControllerRegistrationRequest<'static>,
) -> (Records, ControllerRegistrationResponse<'static>) {
    if !controller.metadata_version().supports_controller_registration() {
        let message = "The current MetadataVersion is too old to support controller registrations.";
        let (error_code, error_message) =
            ApiError::new(ErrorCode::UnsupportedVersion, message).fields();
        let refused =
            ControllerRegistrationResponse { error_code, error_message, ..Default::default() };
        return (Records::none(), refused);
    }
    let endpoints = request.listeners.iter().map(|listener| ControllerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..Default::default()
    });
    let features = request.features.iter().map(|feature| ControllerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    });
    let record = RegisterControllerRecord {
        controller_id: request.controller_id,
        incarnation_id: request.incarnation_id,
        zk_migration_ready: false,
        end_points: endpoints.collect(),
        features: features.collect(),
        ..Default::default()
    };
    (Records::atomic(vec![record.into()]), ControllerRegistrationResponse::default())
}

pub(crate) fn unregister(
    controller: &Controller,
    request: &UnregisterControllerRequest,
) -> (Records, UnregisterControllerResponse<'static>) {
    let id = request.controller_id;
    let error = if controller.settings.node.node_id == NodeId(id) {
        let message = "Controller cannot unregister itself while it is active.";
        ApiError::new(ErrorCode::InvalidRequest, message)
    } else if !controller.metadata_version().supports_controller_unregistration() {
        let message =
            "The current MetadataVersion is too old to support controller unregistration.";
        ApiError::new(ErrorCode::UnsupportedVersion, message)
    } else if !controller.image().cluster.controllers.contains_key(&NodeId(id)) {
        let message = format!("Controller ID {id} is not currently registered.");
        ApiError::new(ErrorCode::ControllerIdNotRegistered, message)
    } else {
        let record = UnregisterControllerRecord { controller_id: id, ..Default::default() };
        return (Records::atomic(vec![record.into()]), UnregisterControllerResponse::default());
    };
    let (error_code, error_message) = error.fields();
    (
        Records::none(),
        UnregisterControllerResponse { error_code, error_message, ..Default::default() },
    )
}
