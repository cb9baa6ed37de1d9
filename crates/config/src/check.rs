//! The bounds of single values, with Kafka's message for each.

use crate::error::ConfigError;
use crate::value::Value;

/// What a value must satisfy beyond its type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Check {
    Any,
    AtLeast(f64),
    Between(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfIgnoreCase(&'static [&'static str]),
    NonEmptyString,
    NonNull,
    /// A list without empty items; `of` names the items allowed, all when empty.
    List {
        of: &'static [&'static str],
        empty: bool,
        null: bool,
    },
    /// 1 to 9, or -1.
    GzipLevel,
    /// `ID@HOST:PORT` each.
    Voters,
    /// `HOST:PORT` each.
    BootstrapServers,
    /// `*`, or `PARTITION:BROKER` each.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO-8601 duration.
    OffsetReset,
}

impl Check {
    pub fn ensure(&self, key: &str, value: &Value) -> Result<(), ConfigError> {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(low) => range(key, value, *low, f64::INFINITY),
            Self::Between(low, high) => range(key, value, *low, *high),
            Self::OneOf(allowed) => match value {
                Value::String(text) if allowed.contains(&text.as_str()) => Ok(()),
                _ => {
                    let expected = format!("String must be one of: {}", allowed.join(", "));
                    Err(ConfigError::invalid(key, value, expected))
                }
            },
            Self::OneOfIgnoreCase(allowed) => match value {
                Value::String(text) if allowed.iter().any(|a| a.eq_ignore_ascii_case(text)) => {
                    Ok(())
                }
                _ => {
                    let allowed = allowed.join(", ");
                    let expected = format!("String must be one of (case insensitive): {allowed}");
                    Err(ConfigError::invalid(key, value, expected))
                }
            },
            Self::NonEmptyString => match value {
                Value::String(text) if text.is_empty() => {
                    Err(ConfigError::invalid(key, value, "String must be non-empty"))
                }
                _ => Ok(()),
            },
            Self::NonNull => match value {
                Value::Null => Err(ConfigError::invalid(key, value, "entry must be non null")),
                _ => Ok(()),
            },
            Self::List { of, empty, null } => list(key, value, of, *empty, *null),
            Self::GzipLevel => match value {
                Value::Int(-1 | 1..=9) => Ok(()),
                _ => {
                    let expected = "Value must be between 1 and 9 or equal to -1";
                    Err(ConfigError::invalid(key, value, expected))
                }
            },
            Self::Voters => crate::broker::quorum::check_voters(key, value),
            Self::BootstrapServers => crate::broker::quorum::check_bootstrap_servers(key, value),
            Self::ThrottledReplicas => throttled_replicas(key, value),
            Self::OffsetReset => crate::topic::offset_reset(key, value),
        }
    }
}

fn range(key: &str, value: &Value, low: f64, high: f64) -> Result<(), ConfigError> {
    let Some(number) = value.as_f64() else {
        return Err(ConfigError::invalid(key, value, "Value must be non-null"));
    };
    if number < low {
        return Err(ConfigError::invalid(key, value, format!("Value must be at least {low}")));
    }
    if number > high {
        return Err(ConfigError::invalid(key, value, format!("Value must be no more than {high}")));
    }
    Ok(())
}

fn list(key: &str, value: &Value, of: &[&str], empty: bool, null: bool) -> Result<(), ConfigError> {
    let say = |what: &str| Err(ConfigError::message(key, format!("Configuration '{key}' {what}")));
    let Value::List(items) = value else {
        return if null { Ok(()) } else { say("values must not be null.") };
    };
    if items.is_empty() && !empty {
        let allowed = if of.is_empty() {
            "any non-empty value".into()
        } else {
            format!("[{}]", of.join(", "))
        };
        return say(&format!("must not be empty. Valid values include: {allowed}"));
    }
    for item in items {
        if item.is_empty() {
            return say("values must not be empty.");
        }
        if !of.is_empty() && !of.contains(&item.as_str()) {
            let expected = format!("String must be one of: {}", of.join(", "));
            return Err(ConfigError::invalid(key, item, expected));
        }
    }
    Ok(())
}

fn throttled_replicas(key: &str, value: &Value) -> Result<(), ConfigError> {
    let Value::List(items) = value else {
        return Err(ConfigError::invalid(key, value, "not a list"));
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let pair = |item: &String| {
        item.split_once(':').is_some_and(|(left, right)| digits(left) && digits(right))
    };
    let all = items.len() == 1 && items.first().is_some_and(|item| item == "*" || item.is_empty());
    if all || items.iter().all(pair) {
        return Ok(());
    }
    let expected = format!(
        "{key} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(ConfigError::invalid(key, value, expected))
}
