//! Access control entries, with the codes of the wire.

use std::sync::Arc;

/// One access control entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    pub resource_type: i8,
    pub resource_name: Arc<str>,
    pub pattern_type: i8,
    /// Such as `User:alice`.
    pub principal: Arc<str>,
    pub host: Arc<str>,
    pub operation: i8,
    pub permission_type: i8,
}
