//! The cluster's metadata: an immutable image, changed only by replaying records into a delta, told to publishers.
//!
//! Must not know: who made the records, consensus, the controller, sockets, files.
