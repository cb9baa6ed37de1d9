//! KRaft consensus as a pure state machine: `step(now, event, &mut effects)`.
//!
//! Must not know: storage, clocks, sockets, async, what the records it orders mean.
