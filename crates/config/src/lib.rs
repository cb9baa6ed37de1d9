//! Kafka's configuration as tables: every key of the broker, of topics, groups and clients, declared once with type,
//! default, bounds, importance and scope. Parsing of `server.properties`, `DescribeConfigs`, `IncrementalAlterConfigs`,
//! the manual page and `--help` all follow from the rows.
//!
//! Must not know: the wire, files other than the properties text it is given, who uses a value.
//! Start reading at [`key::ConfigKey`] (a row), then [`keys`] (the rows), [`BrokerConfig`] (what a node runs on).

#[macro_use]
mod typed;

pub mod alter;
pub mod broker;
pub mod check;
pub mod describe;
pub mod error;
pub mod group;
pub mod key;
pub mod keys;
pub mod manual;
pub mod properties;
pub mod topic;
pub mod value;
pub mod values;

pub use broker::BrokerConfig;
pub use error::ConfigError;
pub use group::GroupConfig;
pub use key::{ConfigKey, ConfigType, UpdateMode};
pub use topic::TopicConfig;
pub use value::Value;
pub use values::Values;
