//! Hashes of topics and groups against those of Apache Kafka.

use std::sync::Arc;

use group::{group_hash, topic_hash};

const TABLE: &str = include_str!("topic_hash/hashes.tsv");

#[test]
fn hashes_are_kafkas() {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let mut topics = 0;
    let mut groups = 0;
    for row in rows {
        let words: Vec<&str> = row.split('\t').collect();
        match words[0] {
            "topic" => {
                let racks: Vec<Vec<Arc<str>>> = words[4..].iter().map(|text| racks(text)).collect();
                let hash = topic_hash(words[1], words[2].parse().unwrap(), &racks);
                assert_eq!(hash.to_string(), words[3], "{row}");
                topics += 1;
            }
            "group" => {
                let pair = |text: &&str| {
                    let (name, hash) = text.split_once('=').unwrap();
                    (Arc::from(name), hash.parse().unwrap())
                };
                let hashes = words[2..].iter().map(pair).collect();
                assert_eq!(group_hash(&hashes).to_string(), words[1], "{row}");
                groups += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((topics, groups), (60, 30));
}

fn racks(text: &str) -> Vec<Arc<str>> {
    text.split(',').filter(|rack| *rack != "-").map(Arc::from).collect()
}
