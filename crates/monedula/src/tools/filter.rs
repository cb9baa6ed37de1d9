//! Which topics and partitions a tool speaks of: regular expressions and ranges, as Kafka's tools understand them.

use regex::Regex;

/// Topics that Kafka keeps for itself.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__share_group_state", "__transaction_state"];

pub fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

/// A regular expression that must match a whole topic name; a comma stands for "or".
#[derive(Clone, Debug)]
pub struct TopicFilter(Regex);

impl TopicFilter {
    pub fn new(text: &str) -> Result<Self, String> {
        let quote = ['"', '\''];
        let cleaned = text.trim().replace(',', "|").replace(' ', "");
        let cleaned = cleaned.trim_start_matches(quote).trim_end_matches(quote);
        let regex = Regex::new(&format!("^(?:{cleaned})$"));
        regex.map(Self).map_err(|_| format!("{cleaned} is an invalid regex."))
    }

    pub fn allows(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Partitions {
    Set(Vec<i32>),
    /// Lower bound inclusive, upper exclusive.
    Range(i32, i32),
}

/// One pattern of `--topic-partitions`: `topics`, `topics:partition`, `topics:from-until`.
#[derive(Clone, Debug)]
pub struct Rule {
    topics: TopicFilter,
    partitions: Partitions,
}

impl Rule {
    /// All partitions in the list, or all when it is empty.
    pub fn of(topic: Option<&str>, partitions: &[i32]) -> Result<Self, String> {
        let topics = TopicFilter::new(topic.unwrap_or(".*"))?;
        let partitions = if partitions.is_empty() {
            Partitions::Range(0, i32::MAX)
        } else {
            Partitions::Set(partitions.to_vec())
        };
        Ok(Self { topics, partitions })
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("Invalid rule specification: {text}");
        let (topic, partitions) = match text.split_once(':') {
            Some((topic, partitions)) => (topic, Some(partitions)),
            None => (text, None),
        };
        let number = |digits: &str, missing: i32| -> Result<i32, String> {
            if digits.is_empty() {
                return Ok(missing);
            }
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid());
            }
            digits.parse().map_err(|_| format!("For input string: \"{digits}\""))
        };
        let partitions = match partitions {
            None | Some("") => Partitions::Range(0, i32::MAX),
            Some(range) => match range.split_once('-') {
                Some((from, until)) => {
                    Partitions::Range(number(from, 0)?, number(until, i32::MAX)?)
                }
                None => Partitions::Set(vec![number(range, 0)?]),
            },
        };
        let topics = TopicFilter::new(if topic.is_empty() { ".*" } else { topic })?;
        Ok(Self { topics, partitions })
    }

    pub fn allows_topic(&self, topic: &str) -> bool {
        self.topics.allows(topic)
    }

    pub fn allows(&self, topic: &str, partition: i32) -> bool {
        let partition_fits = match &self.partitions {
            Partitions::Set(set) => set.contains(&partition),
            Partitions::Range(from, until) => (*from..*until).contains(&partition),
        };
        partition_fits && self.allows_topic(topic)
    }
}

#[cfg(test)]
mod tests;
