//! AllocateProducerIds: blocks of producer ids for brokers to hand out.

use base::ProducerId;
use protocol::ErrorCode;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use protocol::metadata_records::producer_ids_record::ProducerIdsRecord;

use crate::brokers::check_epoch;
use crate::handle::{Controller, Records};

/// Producer ids in one block.
const BLOCK_SIZE: i32 = 1000;

pub(crate) fn handle(
    controller: &Controller,
    request: &AllocateProducerIdsRequest,
) -> (Records, AllocateProducerIdsResponse) {
    let refused = |code: ErrorCode| {
        let reply = AllocateProducerIdsResponse { error_code: code.code(), ..Default::default() };
        (Records::none(), reply)
    };
    if let Err(error) = check_epoch(controller, request.broker_id, request.broker_epoch) {
        return refused(error.code);
    }
    let ProducerId(next) = controller.image().producer_ids.0;
    let first = next.max(0);
    let Some(next_producer_id) = first.checked_add(i64::from(BLOCK_SIZE)) else {
        return refused(ErrorCode::UnknownServerError);
    };
    let record = ProducerIdsRecord {
        broker_id: request.broker_id,
        broker_epoch: request.broker_epoch,
        next_producer_id,
        ..Default::default()
    };
    let reply = AllocateProducerIdsResponse {
        producer_id_start: first,
        producer_id_len: BLOCK_SIZE,
        ..Default::default()
    };
    (Records::loose(vec![record.into()]), reply)
}
