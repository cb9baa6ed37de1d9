//! Who asks, and whether they may. Every handler makes its authorization call here; until the security work fills it, all are
//! allowed, as in Kafka without `authorizer.class.name`.

use std::fmt;
use std::sync::Arc;

/// Who a connection speaks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    pub kind: Arc<str>,
    pub name: Arc<str>,
}

impl Principal {
    /// The principal of connections that do not authenticate.
    pub fn anonymous() -> Self {
        Self { kind: "User".into(), name: "ANONYMOUS".into() }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// Kafka's `AclOperation`, with its codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
    TwoPhaseCommit = 15,
}

/// What is acted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
}

impl Resource<'_> {
    /// Kafka's `AclEntry.supportedOperations`.
    fn operations(self) -> &'static [Operation] {
        use Operation::*;
        match self {
            Self::Topic(_) => {
                &[Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs]
            }
            Self::Group(_) => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            Self::TransactionalId(_) => &[Describe, Write, TwoPhaseCommit],
            Self::Cluster => &[
                Create,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
                Alter,
                Describe,
            ],
        }
    }
}

/// Decides on every request. Today there is one policy: allow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authorizer;

impl Authorizer {
    pub fn allows(self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
        true
    }

    /// Bit set of the allowed operations, as Metadata and DescribeCluster report it.
    pub fn allowed_operations(self, principal: &Principal, resource: Resource<'_>) -> i32 {
        let allowed =
            resource.operations().iter().filter(|o| self.allows(principal, **o, resource));
        allowed.fold(0, |bits, operation| bits | 1 << (*operation as u8))
    }
}
