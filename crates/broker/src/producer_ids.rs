//! Producer ids for idempotent producers, out of blocks that the controller hands out.

use base::ProducerId;
use parking_lot::Mutex;

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
