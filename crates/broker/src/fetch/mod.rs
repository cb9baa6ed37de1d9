//! Fetching: sessions, and consumers that wait for data.

pub mod session;
