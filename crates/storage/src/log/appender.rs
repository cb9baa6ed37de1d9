//! Who appends, and what is known of it: by this the state of producers is checked.

use records::AppendOrigin;

use super::producers::VerificationGuard;

#[derive(Clone, Copy, Debug)]
pub struct Appender {
    pub origin: AppendOrigin,
    /// The `transaction.version` by whose rules a marker is checked.
    pub transaction_version: i16,
    /// With the first record of a transaction: handed out before the coordinator confirmed it.
    pub guard: Option<VerificationGuard>,
}

impl From<AppendOrigin> for Appender {
    fn from(origin: AppendOrigin) -> Self {
        Self { origin, transaction_version: 0, guard: None }
    }
}

impl Appender {
    /// A coordinator that writes a transaction's marker.
    pub fn of_marker(transaction_version: i16) -> Self {
        Self { transaction_version, ..AppendOrigin::Coordinator.into() }
    }

    /// Whether a transaction must be known to its coordinator before it may begin.
    pub(crate) fn must_verify(&self) -> bool {
        matches!(self.origin, AppendOrigin::Client | AppendOrigin::Coordinator)
    }
}
