//! Resigned: led this epoch, in this process or before a restart, and must not write in it again.

use base::MonoMs;

use crate::VoteRequest;

#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    pub(crate) epoch: i32,
    pub(crate) election_at: MonoMs,
}

impl Resigned {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        request.pre_vote && log_up_to_date
    }
}
