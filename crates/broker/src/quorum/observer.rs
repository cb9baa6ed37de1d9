//! The machine of a node without a controller: it follows the metadata log and decides nothing.

use base::Offset;
use base::machine::Outcome;
use controller::{ControllerReply, ControllerRequest};
use metadata::{Committed, Image, ReplayError};
use protocol::metadata_records::MetadataRecord;

use super::{At, Decision, Machine, Random};

/// Never active: a node that cannot be voted for never leads.
#[derive(Debug, Default)]
pub struct NoController {
    image: Image,
}

fn nothing() -> Decision<NoController> {
    Outcome::reply(ControllerReply::Done)
}

impl Machine for NoController {
    type Request = ControllerRequest;
    type Reply = ControllerReply;
    type Timer = ();

    fn activate(&mut self, _: At, _: Vec<MetadataRecord<'static>>) -> Decision<Self> {
        nothing()
    }

    fn resign(&mut self, _: Committed) {}

    fn handle(&mut self, _: At, _: ControllerRequest, _: Random<'_>) -> Decision<Self> {
        nothing()
    }

    fn on_timer(&mut self, _: At, (): (), _: Random<'_>) -> Decision<Self> {
        nothing()
    }

    fn replay(&mut self, _: &MetadataRecord<'_>, _: Offset) -> Result<(), ReplayError> {
        Ok(())
    }

    fn reset(&mut self, _: Committed) {}

    fn tip(&self) -> &Image {
        &self.image
    }
}
