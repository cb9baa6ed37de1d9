//! The next producer id that the controller may hand out.

use base::ProducerId;

/// None until the first block was given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextProducerId(pub ProducerId);

impl Default for NextProducerId {
    fn default() -> Self {
        Self(ProducerId::NONE)
    }
}
