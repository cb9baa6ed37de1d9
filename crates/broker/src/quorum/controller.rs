//! The controller of this project as the quorum's machine.

use base::Offset;
use controller::{ApiError, Controller, ControllerReply, ControllerRequest, ControllerTimer};
use kraft::Refusal;
use metadata::{Committed, Image, ReplayError};
use protocol::ErrorCode;
use protocol::metadata_records::MetadataRecord;

use super::{At, Decision, Machine, QuorumHandle, Random};

/// The way to the active controller of this node.
pub type ControllerHandle = QuorumHandle<ControllerRequest, ControllerReply>;

struct Numbers<'a>(Random<'a>);

impl controller::Random for Numbers<'_> {
    fn next_u64(&mut self) -> u64 {
        (self.0)()
    }
}

fn place(at: At) -> controller::At {
    controller::At { now: at.now, next_offset: at.next_offset }
}

impl Machine for Controller {
    type Request = ControllerRequest;
    type Reply = ControllerReply;
    type Timer = ControllerTimer;

    fn activate(&mut self, at: At, bootstrap: Vec<MetadataRecord<'static>>) -> Decision<Self> {
        Controller::activate(self, place(at), bootstrap)
    }

    fn resign(&mut self, committed: Committed) {
        // The driver drops all timers by itself.
        Controller::resign(self, committed);
    }

    fn handle(&mut self, at: At, request: ControllerRequest, random: Random<'_>) -> Decision<Self> {
        Controller::handle(self, place(at), request, &mut Numbers(random))
    }

    fn kraft_upgrade(&self, request: &ControllerRequest) -> Option<(i16, bool)> {
        Controller::kraft_upgrade(self, request)
    }

    fn handle_decided(
        &mut self,
        at: At,
        request: ControllerRequest,
        decided: Result<(), Refusal>,
        random: Random<'_>,
    ) -> Decision<Self> {
        let decided = decided.map_err(|refusal| {
            let code = ErrorCode::from(refusal.error);
            let message = refusal.message.unwrap_or_else(|| code.message().to_owned());
            ApiError { code, message: Some(message) }
        });
        Controller::handle_upgrade(self, place(at), request, decided, &mut Numbers(random))
    }

    fn set_kraft_version(&mut self, level: i16) {
        Controller::set_kraft_version(self, level);
    }

    fn on_timer(&mut self, at: At, timer: ControllerTimer, random: Random<'_>) -> Decision<Self> {
        let request = ControllerRequest::Timer(timer);
        Controller::handle(self, place(at), request, &mut Numbers(random))
    }

    fn replay(&mut self, record: &MetadataRecord<'_>, offset: Offset) -> Result<(), ReplayError> {
        Controller::replay(self, record, offset)
    }

    fn reset(&mut self, committed: Committed) {
        Controller::reset(self, committed);
    }

    fn tip(&self) -> &Image {
        self.image()
    }
}
