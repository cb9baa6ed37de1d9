//! The log on disk, exactly in Kafka's layout: segments, indexes, recovery, producer state, checkpoints, log directories.
//!
//! Must not know: replication, the metadata image, coordinators, sockets.
