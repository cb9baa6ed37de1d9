//! A refusal as a client sees it: Kafka's code and text.

use protocol::ErrorCode;

/// Kafka's error code with the text beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: ErrorCode,
    /// `None` where Kafka sends no text.
    pub message: Option<String>,
}

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// With the code's own text.
    pub(crate) fn of(code: ErrorCode) -> Self {
        Self { code, message: Some(code.message().to_owned()) }
    }

    /// Without text.
    pub(crate) fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// Code and text as response fields hold them.
    pub(crate) fn fields(self) -> (i16, Option<std::borrow::Cow<'static, str>>) {
        (self.code.code(), self.message.map(Into::into))
    }
}

/// Records that one request may make.
pub(crate) const MAX_RECORDS_PER_REQUEST: usize = 10_000;

/// Kafka's answer to everything in a request that makes more records than are written at once.
pub(crate) fn check_size<T>(records: &[T]) -> Result<()> {
    if records.len() <= MAX_RECORDS_PER_REQUEST {
        return Ok(());
    }
    let message = "Unable to perform excessively large batch operation.";
    Err(ApiError::new(ErrorCode::PolicyViolation, message))
}

/// Response fields for a result: zero and no text when it went well.
pub(crate) fn fields<T>(result: Result<T>) -> (i16, Option<std::borrow::Cow<'static, str>>) {
    result.err().map_or((0, None), ApiError::fields)
}
