//! Patterns of topic names, which a whole name must match.

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may need.
const PATTERN_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct TopicRegex {
    whole: Regex,
}

impl TopicRegex {
    /// # Errors
    /// Kafka's words on a pattern that cannot be read.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let whole = RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|fault| {
                let fault = fault.to_string();
                let fault = fault.lines().last().unwrap_or_default();
                format!(
                    "SubscribedTopicRegex `{pattern}` is not a valid regular expression: {fault}."
                )
            })?;
        Ok(Self { whole })
    }

    pub fn matches(&self, topic: &str) -> bool {
        self.whole.is_match(topic)
    }
}
