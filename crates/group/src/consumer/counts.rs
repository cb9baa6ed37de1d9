//! Who subscribes to what, counted: persistent, so that a what-if costs little.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// How many members name a topic, and how many patterns of the group match it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TopicCount {
    pub by_name: u32,
    pub by_regex: u32,
}

/// A topic is there while anybody subscribes to it.
pub type Topics = RedBlackTreeMapSync<Arc<str>, TopicCount>;

/// A text is there while it counts.
pub type Counts = RedBlackTreeMapSync<Arc<str>, u32>;

pub fn name_added(topics: &mut Topics, name: &Arc<str>) {
    change(topics, name, |count| count.by_name = count.by_name.saturating_add(1));
}

pub fn name_removed(topics: &mut Topics, name: &Arc<str>) {
    change(topics, name, |count| count.by_name = count.by_name.saturating_sub(1));
}

pub fn match_added(topics: &mut Topics, name: &Arc<str>) {
    change(topics, name, |count| count.by_regex = count.by_regex.saturating_add(1));
}

pub fn match_removed(topics: &mut Topics, name: &Arc<str>) {
    change(topics, name, |count| count.by_regex = count.by_regex.saturating_sub(1));
}

fn change(topics: &mut Topics, name: &Arc<str>, how: impl FnOnce(&mut TopicCount)) {
    let mut count = topics.get(name).copied().unwrap_or_default();
    how(&mut count);
    if count == TopicCount::default() {
        topics.remove_mut(name);
    } else {
        topics.insert_mut(Arc::clone(name), count);
    }
}

pub fn added(counts: &mut Counts, key: &Arc<str>) {
    let count = counts.get(key).copied().unwrap_or(0);
    counts.insert_mut(Arc::clone(key), count.saturating_add(1));
}

pub fn removed(counts: &mut Counts, key: &Arc<str>) {
    match counts.get(key).copied() {
        Some(count) if count > 1 => counts.insert_mut(Arc::clone(key), count - 1),
        _ => {
            counts.remove_mut(key);
        }
    }
}
