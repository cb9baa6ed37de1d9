//! The wire and the persistent records of Kafka 4.4: codecs generated at build time from our own schema text.
//!
//! Must not know: sockets, files, brokers, what is inside a record batch.
