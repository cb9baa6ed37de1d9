//! The requests that a node sends to the controller for itself, in the versions that the controller speaks.

use std::time::Duration;

use controller::{ControllerReply, ControllerRequest};
use protocol::ErrorCode;
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;

use crate::peers::{Address, Channel, PeerError, Peers};

/// One try. Requests that are not a node's own are refused: those of clients travel in envelopes.
pub(super) async fn ask(
    peers: &Peers,
    to: &Address,
    within: Duration,
    request: &ControllerRequest,
) -> Result<ControllerReply, PeerError> {
    macro_rules! send {
        ($channel:ident, $request:expr) => {{
            let build = |_| Ok($request.clone());
            peers.send(to, Channel::$channel, within, build).await?
        }};
    }
    Ok(match request {
        ControllerRequest::BrokerRegistration(request, _) => {
            ControllerReply::BrokerRegistration(send!(Controller, request).decode()?)
        }
        ControllerRequest::BrokerHeartbeat(request) => {
            ControllerReply::BrokerHeartbeat(send!(Controller, request).decode()?)
        }
        ControllerRequest::AllocateProducerIds(request) => {
            ControllerReply::AllocateProducerIds(send!(ProducerIds, request).decode()?)
        }
        ControllerRequest::AlterPartition(request, _) => {
            ControllerReply::AlterPartition(send!(AlterPartition, request).decode()?)
        }
        ControllerRequest::AssignReplicasToDirs(request) => {
            ControllerReply::AssignReplicasToDirs(send!(Directories, request).decode()?)
        }
        ControllerRequest::ControllerRegistration(request) => {
            let answered = send!(ControllerRegistration, request);
            let reply: ControllerRegistrationResponse<'_> = answered.decode()?;
            ControllerReply::ControllerRegistration(reply.into_owned())
        }
        _ => return Err(PeerError::Unsayable("a node does not ask this for itself")),
    })
}

/// What an answer says of the whole request.
pub(super) fn error(reply: &ControllerReply) -> ErrorCode {
    let code = match reply {
        ControllerReply::BrokerRegistration(reply) => reply.error_code,
        ControllerReply::BrokerHeartbeat(reply) => reply.error_code,
        ControllerReply::AllocateProducerIds(reply) => reply.error_code,
        ControllerReply::AlterPartition(reply) => reply.error_code,
        ControllerReply::AssignReplicasToDirs(reply) => reply.error_code,
        ControllerReply::ControllerRegistration(reply) => reply.error_code,
        _ => 0,
    };
    ErrorCode::from_code(code)
}
