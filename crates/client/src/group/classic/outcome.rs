//! What a member does about an error.

use protocol::ErrorCode;

use crate::error::Error;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Join at once, as the member that it is.
    Again,
    /// The same after a pause, maybe at another coordinator.
    Later,
    /// The coordinator does not know this member any more: join as a new one.
    Anew,
    /// No try would help.
    Never,
}

pub(super) fn outcome(error: &Error) -> Outcome {
    match error.code() {
        Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => Outcome::Again,
        Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => Outcome::Anew,
        Some(ErrorCode::CoordinatorLoadInProgress) => Outcome::Later,
        Some(code) if code.retriable() => Outcome::Later,
        Some(_) => Outcome::Never,
        None if error.retriable() => Outcome::Later,
        None => match error {
            Error::Expired { .. } | Error::Closed => Outcome::Later,
            _ => Outcome::Never,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_outcome() {
        let of = |code| outcome(&Error::api(code, None));
        assert_eq!(of(ErrorCode::MemberIdRequired), Outcome::Again);
        assert_eq!(of(ErrorCode::RebalanceInProgress), Outcome::Again);
        assert_eq!(of(ErrorCode::UnknownMemberId), Outcome::Anew);
        assert_eq!(of(ErrorCode::IllegalGeneration), Outcome::Anew);
        assert_eq!(of(ErrorCode::NotCoordinator), Outcome::Later);
        assert_eq!(of(ErrorCode::CoordinatorNotAvailable), Outcome::Later);
        assert_eq!(of(ErrorCode::CoordinatorLoadInProgress), Outcome::Later);
        assert_eq!(of(ErrorCode::FencedInstanceId), Outcome::Never);
        assert_eq!(of(ErrorCode::InconsistentGroupProtocol), Outcome::Never);
        assert_eq!(of(ErrorCode::GroupMaxSizeReached), Outcome::Never);
        assert_eq!(of(ErrorCode::GroupAuthorizationFailed), Outcome::Never);
        let lost = Error::Disconnected { address: "a:1".into(), reason: "gone".into() };
        assert_eq!(outcome(&lost), Outcome::Later);
    }
}
