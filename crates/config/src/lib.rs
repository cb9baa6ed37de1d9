//! Kafka's configuration as tables: every key of the broker, of topics, groups and clients, declared once with type,
//! default, bounds, importance and scope. Parsing of `server.properties`, `DescribeConfigs`, `IncrementalAlterConfigs`,
//! the manual page and `--help` all follow from the rows.
//!
//! Must not know: the wire, files other than the properties text it is given, who uses a value.
