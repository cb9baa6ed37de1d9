//! Delegation tokens.

use std::sync::Arc;

use base::WallMs;

/// A delegation token without its secret, which is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationToken {
    pub owner: Arc<str>,
    pub requester: Arc<str>,
    pub renewers: Box<[Arc<str>]>,
    pub issue_time: WallMs,
    pub max_time: WallMs,
    pub expiration_time: WallMs,
}
