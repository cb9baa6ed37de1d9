//! The controller as its driver sees it: decides on its uncommitted state, changes it only by replay.

use base::Offset;
use base::machine::Outcome;
use base::time::Now;
use kraft::Refusal;
use metadata::{Committed, Image, ReplayError};
use protocol::metadata_records::MetadataRecord;

/// Records to append, the reply to release once they are committed, timers to set.
pub type Decision<M> =
    Outcome<MetadataRecord<'static>, <M as Machine>::Reply, <M as Machine>::Timer>;

/// A decision's place in time and in the log.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub now: Now,
    /// Offset that the first record of the decision will get; the epoch of a broker's registration.
    pub next_offset: Offset,
}

/// Where fresh random numbers come from.
pub type Random<'a> = &'a mut dyn FnMut() -> u64;

/// A record machine over the metadata image.
pub trait Machine: Sized + Send + 'static {
    type Request: Send + 'static;
    type Reply: Send + 'static;
    type Timer: Ord + Clone + Send + 'static;

    /// This node leads, and the machine has seen every committed record. On an empty log the `bootstrap` records
    /// come first.
    fn activate(&mut self, at: At, bootstrap: Vec<MetadataRecord<'static>>) -> Decision<Self>;

    /// This node leads no longer: soft state and timers are void, only the committed state counts.
    fn resign(&mut self, committed: Committed);

    fn handle(&mut self, at: At, request: Self::Request, random: Random<'_>) -> Decision<Self>;

    /// The level of `kraft.version` that a request wants raised, and whether it only wants to know if that can be. Consensus
    /// decides that, then [`Machine::handle_decided`] gets the request.
    fn kraft_upgrade(&self, _request: &Self::Request) -> Option<(i16, bool)> {
        None
    }

    /// Handles a request after consensus has raised `kraft.version`, or refused to.
    fn handle_decided(
        &mut self,
        at: At,
        request: Self::Request,
        _decided: Result<(), Refusal>,
        random: Random<'_>,
    ) -> Decision<Self> {
        self.handle(at, request, random)
    }

    /// Told before anything else and at every change: the level of `kraft.version`, which stands in control records.
    fn set_kraft_version(&mut self, _level: i16) {}

    /// A timer that the machine asked for went off.
    fn on_timer(&mut self, at: At, timer: Self::Timer, random: Random<'_>) -> Decision<Self>;

    /// Takes in a record that was just appended, or read from the log before this node led.
    ///
    /// # Errors
    /// When the record contradicts the state.
    fn replay(&mut self, record: &MetadataRecord<'_>, offset: Offset) -> Result<(), ReplayError>;

    /// Forgets everything that is not committed.
    fn reset(&mut self, committed: Committed);

    /// The uncommitted state.
    fn tip(&self) -> &Image;
}
