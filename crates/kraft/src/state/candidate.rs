//! Candidate: has voted for itself in a new epoch, durably. A sole voter wins with that one vote, in the same step.

use crate::ReplicaKey;

#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) epoch: i32,
    /// Itself.
    pub(crate) voted: ReplicaKey,
}
