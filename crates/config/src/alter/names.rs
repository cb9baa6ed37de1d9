//! Names of the resources that can be configured.

use super::{INVALID_TOPIC, Refusal};

const MAX_TOPIC_NAME_LENGTH: usize = 249;

/// What Kafka takes for the name of a topic.
pub fn check_topic_name(name: &str) -> Result<(), Refusal> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let problem = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.chars().count() > MAX_TOPIC_NAME_LENGTH {
        format!(
            "the length of '{name}' is longer than the max allowed length {MAX_TOPIC_NAME_LENGTH}"
        )
    } else if !name.chars().all(valid) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(Refusal { code: INVALID_TOPIC, message: format!("Topic name is invalid: {problem}") })
}

/// A broker's number, or nothing for the default of all brokers.
pub(super) fn check_broker_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Ok(());
    }
    match name.parse::<i32>() {
        Err(_) => Err(Refusal::request("Unable to parse broker name as a base 10 number.")),
        Ok(id) if id < 0 => Err(Refusal::request("Invalid negative broker ID.")),
        Ok(_) => Ok(()),
    }
}
