//! Why a request is refused: Kafka's error with Kafka's words.

use protocol::ErrorCode;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub error: ErrorCode,
    pub message: Option<String>,
}

impl Refusal {
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }

    /// Without words.
    pub fn plain(error: ErrorCode) -> Self {
        Self { error, message: None }
    }

    pub fn group_not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::GroupIdNotFound, message)
    }

    pub fn unknown_member(member: &str, group: &str) -> Self {
        let message = format!("Member {member} is not a member of group {group}.");
        Self::new(ErrorCode::UnknownMemberId, message)
    }
}
