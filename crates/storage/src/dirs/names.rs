//! Names of the directories of partitions: `topic-0`, and with a unique part `topic-0.UNIQUE-delete`, `-future`, `-stray`.

use base::{PartitionIndex, TopicPartition};

/// The longest name of a file that common file systems allow.
const MAX_NAME: usize = 255;

/// What a partition's directory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirKind {
    /// The log that serves.
    Current,
    /// Marked for removal.
    Delete,
    /// A replica that is being moved here from another log directory.
    Future,
    /// Found at start, but not assigned to this node.
    Stray,
}

impl DirKind {
    const MARKED: [Self; 3] = [Self::Delete, Self::Future, Self::Stray];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Delete => "-delete",
            Self::Future => "-future",
            Self::Stray => "-stray",
        }
    }
}

/// Reads a directory's name; `None` for one that is no partition's. Topic names hold dots and dashes themselves.
pub fn parse_dir_name(name: &str) -> Option<(TopicPartition, DirKind)> {
    let kind = DirKind::MARKED.into_iter().find(|kind| name.ends_with(kind.suffix()));
    let (partition, kind) = match kind {
        None => (name, DirKind::Current),
        Some(kind) => {
            let (partition, unique) = name.rsplit_once('.')?;
            let unique = unique.strip_suffix(kind.suffix())?;
            if unique.is_empty() || name.contains(char::is_whitespace) {
                return None;
            }
            (partition, kind)
        }
    };
    let (topic, index) = partition.rsplit_once('-')?;
    if topic.is_empty() {
        return None;
    }
    let index: i32 = index.parse().ok()?;
    Some((TopicPartition::new(topic, PartitionIndex(index)), kind))
}

/// `topic-0`.
pub fn dir_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// `topic-0.UNIQUE-delete` and so on; `unique` is 32 hexadecimal digits. A long topic is cut so that the name fits,
/// except for a future replica, whose name must tell the partition.
pub fn marked_dir_name(partition: &TopicPartition, kind: DirKind, unique: u128) -> String {
    let tail = format!("-{}.{unique:032x}{}", partition.partition, kind.suffix());
    let mut topic: &str = &partition.topic;
    if kind != DirKind::Future {
        let room = MAX_NAME.saturating_sub(tail.len());
        // Topic names are ASCII; a name of another kind is cut at a character.
        topic = topic.get(..topic.floor_char_boundary(room)).unwrap_or(topic);
    }
    format!("{topic}{tail}")
}

/// Whether a partition can have a copy beside it: the name of that is not cut.
pub fn fits_future(partition: &TopicPartition) -> bool {
    marked_dir_name(partition, DirKind::Future, 0).len() <= MAX_NAME
}
