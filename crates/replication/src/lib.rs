//! Leader and follower of one partition as pure state: high watermark, in-sync replicas, waiting requests.
//!
//! Must not know: files, sockets, clocks.
