//! UnregisterBroker: a broker that will not come back is forgotten.

use base::NodeId;
use protocol::ErrorCode;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::handle::{Controller, Records};
use crate::partitions::leadership;

pub(crate) fn handle(
    controller: &Controller,
    request: &UnregisterBrokerRequest,
) -> (Records, UnregisterBrokerResponse<'static>) {
    let Some(broker) = controller.image().cluster.broker(NodeId(request.broker_id)) else {
        // Kafka sends the code alone.
        let error_code = ErrorCode::BrokerIdNotRegistered.code();
        let refused = UnregisterBrokerResponse { error_code, ..Default::default() };
        return (Records::none(), refused);
    };
    let mut records = Vec::new();
    leadership::unregister(controller, broker.id, broker.epoch, &mut records);
    (Records::loose(records), UnregisterBrokerResponse::default())
}
