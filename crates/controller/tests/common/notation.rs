//! How histories write down records, lists and directories.

use base::{DirectoryId, TopicId, Uuid};
use metadata::Image;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;

/// The directory `number` of a broker.
pub fn directory(broker: u64, number: u64) -> Uuid {
    uuid(0x1234_5678_0000_0000 + broker, 0x7700_0000_0000_0000 + number)
}

pub fn incarnation(broker: u64, number: u64) -> Uuid {
    uuid(0x5544_3322_0000_0000 + broker, 0x6600_0000_0000_0000 + number)
}

fn uuid(high: u64, low: u64) -> Uuid {
    Uuid((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// `d0.1`, or a name that stands for no directory.
pub fn directory_name(id: &DirectoryId) -> String {
    match *id {
        Uuid::DIR_LOST => "lost".to_owned(),
        Uuid::DIR_UNASSIGNED => "new".to_owned(),
        Uuid::DIR_MIGRATING => "mig".to_owned(),
        Uuid(bytes) => format!("d{}.{}", bytes[7], bytes[15]),
    }
}

pub fn parse_directory(name: &str) -> Uuid {
    match name {
        "lost" => Uuid::DIR_LOST,
        "mig" => Uuid::DIR_MIGRATING,
        name => {
            let (broker, number) = name[1..].split_once('.').unwrap();
            directory(broker.parse().unwrap(), number.parse().unwrap())
        }
    }
}

/// `_` for nothing.
pub fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "_".to_owned() } else { items.join(",") }
}

pub fn directories(ids: &[DirectoryId]) -> String {
    list(ids.iter().map(directory_name))
}

/// The opposite of [`list`].
pub fn parse_list<T>(text: &str, parse: impl Fn(&str) -> T) -> Vec<T> {
    if text == "_" { Vec::new() } else { text.split(',').map(parse).collect() }
}

/// A record as histories write it; `image` is the state with it.
pub fn record(image: &Image, record: &MetadataRecord<'_>) -> String {
    let flag = i32::from;
    let name = |id: TopicId| image.topics.by_id(id).map(|topic| topic.name.to_string());
    match record {
        MetadataRecord::RegisterBroker(r) => format!(
            "reg {} e{} i{} f{} s{} D{} R{}",
            r.broker_id,
            r.broker_epoch,
            r.incarnation_id.0[15],
            flag(r.fenced),
            flag(r.in_controlled_shutdown),
            directories(&r.log_dirs),
            r.rack.as_deref().unwrap_or("-")
        ),
        MetadataRecord::UnregisterBroker(r) => format!("unreg {} e{}", r.broker_id, r.broker_epoch),
        MetadataRecord::BrokerRegistrationChange(r) => format!(
            "chg {} e{} f{} s{} D{} C{}",
            r.broker_id,
            r.broker_epoch,
            r.fenced,
            r.in_controlled_shutdown,
            directories(&r.log_dirs),
            r.cordoned_log_dirs.as_deref().map_or("-".to_owned(), directories)
        ),
        MetadataRecord::Topic(r) => format!("topic {}", r.name),
        MetadataRecord::Partition(r) => format!(
            "part {}-{} r{} i{} l{} e{}/{} x{} D{}",
            name(r.topic_id).unwrap(),
            r.partition_id,
            list(&r.replicas),
            list(&r.isr),
            r.leader,
            r.leader_epoch,
            r.partition_epoch,
            r.leader_recovery_state,
            directories(&r.directories)
        ),
        MetadataRecord::PartitionChange(r) => change(&name(r.topic_id).unwrap(), r),
        MetadataRecord::RemoveTopic(_) => "rm".to_owned(),
        MetadataRecord::Config(r) => format!(
            "conf {}/{} {}={}",
            r.resource_type,
            r.resource_name,
            r.name,
            r.value.as_deref().unwrap_or("-")
        ),
        MetadataRecord::ClearElr(r) => format!("clr {}", r.topic_name),
        MetadataRecord::FeatureLevel(r) => format!("feat {} {}", r.name, r.feature_level),
        MetadataRecord::ProducerIds(r) => {
            format!("pid {} e{} {}", r.broker_id, r.broker_epoch, r.next_producer_id)
        }
        other => format!("{other:?}"),
    }
}

fn change(topic: &str, r: &PartitionChangeRecord) -> String {
    let mut text = format!("pc {topic}-{}", r.partition_id);
    if r.leader != -2 {
        text += &format!(" l{}", r.leader);
    }
    let mut add = |letter: char, ids: &Option<Vec<i32>>| {
        if let Some(ids) = ids {
            text += &format!(" {letter}{}", list(ids));
        }
    };
    add('i', &r.isr);
    add('r', &r.replicas);
    add('-', &r.removing_replicas);
    add('+', &r.adding_replicas);
    if r.leader_recovery_state != -1 {
        text += &format!(" x{}", r.leader_recovery_state);
    }
    if let Some(ids) = &r.directories {
        text += &format!(" D{}", directories(ids));
    }
    for (letter, ids) in [('E', &r.eligible_leader_replicas), ('K', &r.last_known_elr)] {
        if let Some(ids) = ids {
            text += &format!(" {letter}{}", list(ids));
        }
    }
    text
}

/// Kafka goes through partitions in the order of hashes: runs of their changes are sorted.
pub fn in_order(mut shown: Vec<String>) -> Vec<String> {
    let partition = |text: &String| text.split(' ').nth(1).unwrap_or_default().to_owned();
    for run in shown.chunk_by_mut(|a, b| a.starts_with("pc ") && b.starts_with("pc ")) {
        run.sort_by_key(partition);
    }
    shown
}
