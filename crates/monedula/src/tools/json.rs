//! JSON files that tools are given; the complaints are Kafka's.

use serde_json::{Map, Value};

pub fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|_| format!("Unable to read file {path}"))
}

fn expected(what: &str, value: &Value) -> String {
    format!("Expected {what}, received {value}")
}

pub fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| expected("JSON object", value))
}

pub fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| expected("JSON array", value))
}

pub fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, String> {
    object.get(name).ok_or_else(|| format!("No such field exists: `{name}`"))
}

pub fn text(value: &Value) -> Result<String, String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| expected("`String` value", value))
}

pub fn int(value: &Value) -> Result<i32, String> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| expected("`Integer` value", value))
}

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
