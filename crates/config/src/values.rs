//! The values of all keys of one table, defaults filled in.

use std::collections::BTreeMap;

use crate::error::ConfigError;
use crate::key::ConfigKey;
use crate::keys::Table;
use crate::value::Value;

/// One value for every key of a table.
///
/// The typed getters are for keys that the tables of this crate declare with that type: asking for another is a
/// mistake in this crate and panics; `BrokerConfig::default()` and `TopicConfig::default()` in the tests prove all.
#[derive(Clone, PartialEq, Debug)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Parses what `given` says of each key of `table`, the default where it says nothing. Unknown names are ignored.
    pub fn parse<'a>(
        table: &Table,
        given: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for key in table.iter() {
            let value = match given(key.name) {
                Some(text) => key.parse(text)?,
                None => key.default_value()?,
            };
            values.insert(key.name, value);
        }
        Ok(Self(values))
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Replaces the value of a key that the table has.
    pub(crate) fn set(&mut self, key: &'static ConfigKey, value: Value) {
        self.0.insert(key.name, value);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    #[track_caller]
    fn wrong(&self, name: &str) -> ! {
        panic!("the tables have no {name} of this type: {:?}", self.0.get(name))
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Boolean(value)) => *value,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn short(&self, name: &str) -> i16 {
        match self.0.get(name) {
            Some(Value::Short(value)) => *value,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn int(&self, name: &str) -> i32 {
        self.opt_int(name).unwrap_or_else(|| self.wrong(name))
    }

    pub(crate) fn opt_int(&self, name: &str) -> Option<i32> {
        match self.0.get(name) {
            Some(Value::Int(value)) => Some(*value),
            Some(Value::Null) => None,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn long(&self, name: &str) -> i64 {
        self.opt_long(name).unwrap_or_else(|| self.wrong(name))
    }

    pub(crate) fn opt_long(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Value::Long(value)) => Some(*value),
            Some(Value::Null) => None,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn double(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(Value::Double(value)) => *value,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn string(&self, name: &str) -> String {
        self.opt_string(name).unwrap_or_else(|| self.wrong(name))
    }

    pub(crate) fn opt_string(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some(Value::String(value)) => Some(value.clone()),
            Some(Value::Null) => None,
            _ => self.wrong(name),
        }
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.opt_list(name).unwrap_or_else(|| self.wrong(name))
    }

    pub(crate) fn opt_list(&self, name: &str) -> Option<Vec<String>> {
        match self.0.get(name) {
            Some(Value::List(value)) => Some(value.clone()),
            Some(Value::Null) => None,
            _ => self.wrong(name),
        }
    }
}
