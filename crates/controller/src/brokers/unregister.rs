//! UnregisterBroker: a broker that will not come back is forgotten.

use base::NodeId;
use protocol::ErrorCode;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::error::ApiError;
use crate::handle::{Controller, Records};
use crate::partitions::leadership;

pub(crate) fn handle(
    controller: &Controller,
    request: &UnregisterBrokerRequest,
) -> (Records, UnregisterBrokerResponse<'static>) {
    let Some(broker) = controller.image().cluster.broker(NodeId(request.broker_id)) else {
        let message = format!("Broker ID {} is not currently registered", request.broker_id);
        let error = ApiError::new(ErrorCode::BrokerIdNotRegistered, message);
        let (error_code, error_message) = error.fields();
        let refused = UnregisterBrokerResponse { error_code, error_message, ..Default::default() };
        return (Records::none(), refused);
    };
    let mut records = Vec::new();
    leadership::unregister(controller, broker.id, broker.epoch, &mut records);
    (Records::loose(records), UnregisterBrokerResponse::default())
}
