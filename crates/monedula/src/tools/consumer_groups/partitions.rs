//! Which partitions a command line names, and which of them exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use client::Admin;

use super::Failure;

/// `topic:0,1,2`.
pub fn parse(text: &str) -> Result<Vec<TopicPartition>, Failure> {
    // As in Java, empty pieces at the end do not count.
    let pieces: Vec<&str> = text.trim_end_matches(':').split(':').collect();
    let [topic, list] = pieces.as_slice() else {
        let text = format!("Invalid topic arg '{text}', expected topic name and partitions");
        return Err(Failure::Usage(text));
    };
    let topic: Arc<str> = (*topic).into();
    let partition = |word: &str| match word.parse::<i32>() {
        Ok(index) => Ok(TopicPartition::new(Arc::clone(&topic), index)),
        Err(_) => Err(Failure::Usage(format!(
            "Invalid partition '{word}' specified in topic arg '{text}''"
        ))),
    };
    list.trim_end_matches(',').split(',').map(partition).collect()
}

/// All partitions of a topic.
pub async fn of_topics(
    admin: &Admin,
    topics: &[Arc<str>],
) -> Result<Vec<(Arc<str>, client::Result<Vec<TopicPartition>>)>, Failure> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let described = admin.describe_topics(topics, 2000).await?;
    let all = described.into_iter().map(|(name, topic)| {
        let partitions = topic.map(|topic| {
            let indexes = topic.partitions.iter().map(|p| p.metadata.index);
            indexes.map(|index| TopicPartition::new(Arc::clone(&name), index)).collect()
        });
        (name, partitions)
    });
    Ok(all.collect())
}

/// The partitions of all topics that are named, and whether each has a leader. A topic that does not exist is an error.
pub async fn existing(
    admin: &Admin,
    wanted: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, bool>, Failure> {
    let mut topics: Vec<Arc<str>> = wanted.iter().map(|tp| Arc::clone(&tp.topic)).collect();
    topics.dedup();
    let mut existing = BTreeMap::new();
    if topics.is_empty() {
        return Ok(existing);
    }
    for (name, topic) in admin.describe_topics(&topics, 2000).await? {
        for partition in topic?.partitions {
            let tp = TopicPartition::new(Arc::clone(&name), partition.metadata.index);
            existing.insert(tp, partition.metadata.leader.is_some());
        }
    }
    Ok(existing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = match parse(text) {
            Ok(list) => Ok(list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            Err(Failure::Usage(text) | Failure::Plain(text) | Failure::Executing(text)) => {
                Err(text)
            }
        };
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn topics_with_partitions() {
        check("t:0", Ok("t-0"));
        check("t:0,2,5", Ok("t-0 t-2 t-5"));
        check("t:x", Err("Invalid partition 'x' specified in topic arg 't:x''"));
        check("t:0:1", Err("Invalid topic arg 't:0:1', expected topic name and partitions"));
        check("t:", Err("Invalid topic arg 't:', expected topic name and partitions"));
    }
}
