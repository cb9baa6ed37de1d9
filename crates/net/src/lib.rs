//! Server and client connections: listening, framing, order of responses, memory budget, idle and connection limits.
//!
//! Must not know: what requests mean.
