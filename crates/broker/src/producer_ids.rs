//! Producer ids, out of blocks that the controller hands out.

use base::ProducerId;
use controller::{ControllerReply, ControllerRequest};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;

use crate::node::Node;

/// A block of ids from the controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    pub first: i64,
    pub len: i32,
}

/// The block in use. One request at a time asks for the next.
#[derive(Debug, Default)]
pub struct ProducerIds {
    left: Mutex<Option<Block>>,
    asking: tokio::sync::Mutex<()>,
}

impl ProducerIds {
    /// The next id; `allocate` asks the controller for a block and is called when none is left.
    pub async fn next<E, F: Future<Output = Result<Block, E>>>(
        &self,
        allocate: impl Fn() -> F,
    ) -> Result<ProducerId, E> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let _one = self.asking.lock().await;
            if self.left.lock().is_some() {
                continue; // another request got the block meanwhile
            }
            let block = allocate().await?;
            *self.left.lock() = Some(block);
        }
    }

    fn take(&self) -> Option<ProducerId> {
        let mut left = self.left.lock();
        let block = left.as_mut()?;
        let id = block.first;
        block.first += 1;
        block.len -= 1;
        if block.len <= 0 {
            *left = None;
        }
        Some(ProducerId(id))
    }
}

/// An id that nobody else gets.
///
/// # Errors
/// When the controller gives none now.
pub async fn fresh(node: &Node) -> Result<ProducerId, ErrorCode> {
    node.producer_ids.next(|| allocate(node)).await
}

/// A block for this broker, asked for by the broker itself.
async fn allocate(node: &Node) -> Result<Block, ErrorCode> {
    let id = node.config().node_id;
    let epoch = {
        let image = node.image();
        image.cluster.broker(id).ok_or(ErrorCode::CoordinatorLoadInProgress)?.epoch
    };
    let request = AllocateProducerIdsRequest {
        broker_id: id.get(),
        broker_epoch: epoch.get(),
        ..Default::default()
    };
    let asked = ControllerRequest::AllocateProducerIds(request);
    // Clients try again on this one; the controller's own reasons mean nothing to them.
    match node.controller.submit(asked).await {
        Ok(ControllerReply::AllocateProducerIds(reply)) if reply.error_code == 0 => {
            Ok(Block { first: reply.producer_id_start, len: reply.producer_id_len })
        }
        _ => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
