//! The controller's decisions: topics, partitions, brokers, configs, features, producer ids.
//! `handle(now, request, view) -> { records, reply, timers }`; state changes only by replay.
//!
//! Must not know: consensus, network, files, clocks, randomness (they are arguments).
