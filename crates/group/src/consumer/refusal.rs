//! Why a request is refused: Kafka's error with Kafka's words.

use std::borrow::Cow;

use protocol::ErrorCode;

use crate::TEXT_BYTES_MAX;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub error: ErrorCode,
    pub message: Option<String>,
}

impl Refusal {
    /// As an answer has it: Kafka fails on words that no answer can hold.
    pub(crate) fn told(self) -> (i16, Option<Cow<'static, str>>) {
        match self.message {
            Some(message) if message.len() > TEXT_BYTES_MAX => {
                (ErrorCode::UnknownServerError.code(), None)
            }
            message => (self.error.code(), message.map(Cow::Owned)),
        }
    }

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
