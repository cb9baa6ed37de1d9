//! A row of the tables: what is known of one configuration key.

use std::collections::BTreeSet;

use crate::check::Check;
use crate::error::ConfigError;
use crate::value::Value;

/// One configuration key of the broker, a topic, a group or a client metrics subscription.
#[derive(Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: ConfigType,
    pub default: Default,
    pub check: Check,
    pub importance: Importance,
    /// Of broker keys; keys of topics and groups are always dynamic.
    pub mode: UpdateMode,
    /// Not shown by DescribeConfigs, not in the manual.
    pub internal: bool,
    pub effect: Effect,
    /// One line of our own.
    pub doc: &'static str,
}

/// The type of a value; the numbers are those of DescribeConfigs responses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Default {
    /// It must be set.
    Required,
    Null,
    /// In the form that a properties file would give it.
    Text(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Whether and where a broker key can be changed while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateMode {
    ReadOnly,
    PerBroker,
    /// For one broker or as the default of all.
    ClusterWide,
}

/// What Monedula does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It is read and obeyed.
    Acts,
    /// It is accepted, and nothing here corresponds to it.
    None,
    /// It belongs to a part that is not built yet.
    Later,
}

impl ConfigType {
    /// The number in DescribeConfigs responses for a key that no table knows.
    pub const UNKNOWN: i8 = 0;

    /// Kafka's name of the type, as in "Not a number of type LONG".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

impl Importance {
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl UpdateMode {
    /// Kafka's name, as in its manual.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

impl ConfigKey {
    /// True for values that no reply and no log line may show.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// Type and bounds: Kafka's checks of a single value.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let mut value = Value::parse(self.name, self.kind, text)?;
        if let (Value::List(items), Check::List { .. }) = (&mut value, self.check) {
            // Since KIP-1161 what stands twice in a list counts once.
            let mut seen = BTreeSet::new();
            items.retain(|item| seen.insert(item.clone()));
        }
        self.check.ensure(self.name, &value)?;
        Ok(value)
    }

    /// The value when nobody sets the key; an error for a required one.
    pub fn default_value(&self) -> Result<Value, ConfigError> {
        match self.default {
            Default::Required => Err(ConfigError::message(
                self.name,
                format!(
                    "Missing required configuration \"{}\" which has no default value.",
                    self.name
                ),
            )),
            Default::Null => Ok(Value::Null),
            Default::Text(text) => Value::parse(self.name, self.kind, text),
        }
    }
}
