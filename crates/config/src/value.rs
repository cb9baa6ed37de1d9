//! Values: from the text of a properties file or a request, and back to the text that Kafka shows.

use std::fmt;

use crate::error::ConfigError;
use crate::key::ConfigType;

/// A parsed value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    /// A string, or the name of a class.
    String(String),
    List(Vec<String>),
    Password(String),
}

impl Value {
    /// Reads `text` as `kind`, trimmed, with Kafka's messages.
    pub fn parse(key: &str, kind: ConfigType, text: &str) -> Result<Self, ConfigError> {
        let trimmed = java_trim(text);
        let not_a_number =
            || ConfigError::invalid(key, text, format!("Not a number of type {}", kind.name()));
        Ok(match kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            ConfigType::Boolean => {
                let expected = "Expected value to be either true or false";
                return Err(ConfigError::invalid(key, text, expected));
            }
            ConfigType::String | ConfigType::Class => Self::String(trimmed.to_owned()),
            ConfigType::Password => Self::Password(trimmed.to_owned()),
            ConfigType::Short => Self::Short(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Int => Self::Int(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Long => Self::Long(trimmed.parse().map_err(|_| not_a_number())?),
            ConfigType::Double => Self::Double(parse_double(trimmed).ok_or_else(not_a_number)?),
            ConfigType::List => Self::List(split_list(trimmed)),
        })
    }

    /// The number in a numeric value, as the bounds compare it.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Short(n) => Some(f64::from(*n)),
            Self::Int(n) => Some(f64::from(*n)),
            Self::Long(n) => Some(*n as f64),
            Self::Double(n) => Some(*n),
            _ => None,
        }
    }

    /// The text that DescribeConfigs shows; `None` for null and for what must stay secret.
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::Null | Self::Password(_) => None,
            Self::List(items) => Some(items.join(",")),
            Self::Double(number) => Some(java_double(*number)),
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Short(number) => Some(number.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Long(number) => Some(number.to_string()),
            Self::String(text) => Some(text.clone()),
        }
    }
}

/// As Java prints a value inside an error message: lists in brackets, secrets hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Password(_) => f.write_str("[hidden]"),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
            other => f.write_str(&other.describe().unwrap_or_default()),
        }
    }
}

/// `String.trim` of Java: everything up to U+0020 goes.
pub fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Splits at commas, with the white space around them; an empty text is an empty list.
pub fn split_list(trimmed: &str) -> Vec<String> {
    let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r');
    if trimmed.is_empty() {
        return Vec::new();
    }
    let pieces: Vec<&str> = trimmed.split(',').collect();
    let last = pieces.len() - 1;
    let trim = |(at, piece): (usize, &&str)| {
        let piece = if at > 0 { piece.trim_start_matches(white) } else { piece };
        if at < last { piece.trim_end_matches(white) } else { piece }.to_owned()
    };
    pieces.iter().enumerate().map(trim).collect()
}

/// `Double.parseDouble` without hexadecimal forms.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let number = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        digits => {
            let digits = digits.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(digits);
            let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
            if digits.starts_with(['+', '-']) || !digits.chars().all(plain) {
                return None;
            }
            digits.parse().ok()?
        }
    };
    Some(if negative { -number } else { number })
}

/// `Double.toString`: plain between 10⁻³ and 10⁷, with an exponent outside.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{number:?}")
    } else {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        format!("{digits}{point}E{exponent}")
    }
}
