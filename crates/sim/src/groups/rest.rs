//! A group at rest: the coordinator knows who lives, and every partition is somebody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use group::Kind;
use group::classic::State;
use group::testing::Cluster;

use super::checks::Verdict;
use super::client::{Client, Member};

/// Whether the group is what it has to become of these living clients; without any there is nothing to say.
pub fn is_at_rest(
    group: &str,
    kind: Option<&Kind>,
    clients: &[&Client],
    cluster: &Cluster,
) -> Verdict {
    if clients.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<String> = match kind {
        Some(Kind::Classic(classic)) if classic.state() == State::Stable => {
            classic.members().map(|member| member.id.to_string()).collect()
        }
        Some(Kind::Consumer(consumer)) if consumer.state() == "Stable" => {
            consumer.members().map(|member| member.id.to_string()).collect()
        }
        other => return Err(format!("{group} is {other:?}")),
    };
    let alive: BTreeSet<String> = clients.iter().map(|one| one.id().to_owned()).collect();
    if known != alive {
        return Err(format!("{group} has members {known:?}, alive are {alive:?}"));
    }
    let mut wanted: BTreeSet<TopicPartition> = BTreeSet::new();
    let mut owners: BTreeMap<TopicPartition, &str> = BTreeMap::new();
    for client in clients {
        let topics = subscribed(client, cluster);
        for topic in topics.iter().filter_map(|name| cluster.topics.get(name)) {
            let all = 0..topic.partitions;
            wanted.extend(all.map(|index| TopicPartition::new(Arc::clone(&topic.name), index)));
        }
        for one in client.owned() {
            if !topics.contains(&one.topic) {
                return Err(format!("{group}: {} did not want {one}", client.id()));
            }
            if let Some(other) = owners.insert(one.clone(), client.id()) {
                return Err(format!("{group}: {one} of {} and {other}", client.id()));
            }
        }
    }
    let owned: BTreeSet<TopicPartition> = owners.into_keys().collect();
    if owned != wanted {
        return Err(format!("{group}: {owned:?} are owned of {wanted:?}"));
    }
    Ok(())
}

fn subscribed(client: &Client, cluster: &Cluster) -> BTreeSet<Arc<str>> {
    match &client.member {
        Member::Consumer(member) if member.regex.is_some() => {
            cluster.topics.keys().cloned().collect()
        }
        _ => client.topics().clone(),
    }
}
