//! DescribeCluster (60), versions 0-2: the brokers, or on a controller's listener the controllers (v1, KIP-919); v2 shows
//! fenced brokers when asked to.

use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use protocol::{ErrorCode, Listener};

use super::metadata::OPERATIONS_NOT_ASKED;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DescribeCluster, DescribeClusterRequest, handle);

const ENDPOINTS_OF_BROKERS: i8 = 1;
const ENDPOINTS_OF_CONTROLLERS: i8 = 2;

async fn handle(
    context: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    let expected = match context.side {
        Listener::Broker => ENDPOINTS_OF_BROKERS,
        Listener::Controller => ENDPOINTS_OF_CONTROLLERS,
    };
    if request.endpoint_type != expected {
        return mismatch(context, request.endpoint_type);
    }
    let image = context.node.image();
    let listener = &context.connection.listener;
    let row = |id: i32, endpoint: &metadata::Endpoint, rack: Option<String>, is_fenced: bool| {
        DescribeClusterBroker {
            broker_id: id,
            host: endpoint.host.to_string().into(),
            port: endpoint.port.into(),
            rack: rack.map(Into::into),
            is_fenced,
            ..Default::default()
        }
    };
    let brokers = match context.side {
        Listener::Broker => {
            let brokers = image.cluster.brokers.values();
            let shown = brokers.filter(|b| !b.fenced || request.include_fenced_brokers);
            let rows = shown.filter_map(|b| {
                let rack = b.rack.as_ref().map(ToString::to_string);
                Some(row(b.id.get(), b.endpoint(listener)?, rack, b.fenced))
            });
            rows.collect()
        }
        Listener::Controller => {
            let controllers = image.cluster.controllers.values();
            let rows = controllers.filter_map(|c| {
                let endpoint = c.endpoints.iter().find(|e| *e.name == **listener)?;
                Some(row(c.id.get(), endpoint, None, false))
            });
            rows.collect()
        }
    };
    let controller_id = match context.side {
        Listener::Broker => context.node.some_broker(&image),
        Listener::Controller => context.node.controller(),
    };
    let operations = request.include_cluster_authorized_operations
        && context.allows(Operation::Describe, Resource::Cluster);
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: context.node.cluster_id.clone().into(),
        controller_id: controller_id.get(),
        brokers,
        cluster_authorized_operations: if operations {
            context.node.authorizer.allowed_operations(&context.principal, Resource::Cluster)
        } else {
            OPERATIONS_NOT_ASKED
        },
        ..Default::default()
    }
}

fn mismatch(context: &RequestContext, asked: i8) -> DescribeClusterResponse<'static> {
    let known = asked == ENDPOINTS_OF_BROKERS || asked == ENDPOINTS_OF_CONTROLLERS;
    let (error, message) = if !known {
        let message = format!("Unsupported endpoint type {asked}");
        (ErrorCode::UnsupportedEndpointType, message)
    } else {
        let (here, there) = match context.side {
            Listener::Broker => ("BROKER", "CONTROLLER"),
            Listener::Controller => ("CONTROLLER", "BROKER"),
        };
        let message = format!(
            "The request was sent to an endpoint of type {here}, but we wanted an endpoint of type {there}"
        );
        // Version 0 does not know of endpoint types, nor of their errors.
        let error = if context.version == 0 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::MismatchedEndpointType
        };
        (error, message)
    };
    DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(message.into()),
        ..Default::default()
    }
}
