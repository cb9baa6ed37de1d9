//! Proposals of `--generate`: replicas spread over brokers and racks. The same question has the same answer.

use std::collections::{BTreeMap, BTreeSet};

/// A broker that may have replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usable {
    pub id: i32,
    pub rack: Option<String>,
}

/// The replicas of each of `partitions` partitions. `seed` varies where a topic begins.
pub fn place(
    brokers: &[Usable],
    partitions: usize,
    replicas: usize,
    seed: usize,
) -> Result<Vec<Vec<i32>>, String> {
    if replicas > brokers.len() {
        return Err(format!(
            "The target replication factor of {replicas} cannot be reached because only {} broker(s) are registered or \
             some brokers have all their log directories cordoned.",
            brokers.len()
        ));
    }
    let arranged = arrange(brokers);
    Ok((0..partitions).map(|index| one(&arranged, seed.wrapping_add(index), replicas)).collect())
}

/// Brokers with racks in turn.
fn arrange(brokers: &[Usable]) -> Vec<&Usable> {
    let mut racks: BTreeMap<&Option<String>, Vec<&Usable>> = BTreeMap::new();
    for broker in brokers {
        racks.entry(&broker.rack).or_default().push(broker);
    }
    for rack in racks.values_mut() {
        rack.sort_unstable_by_key(|broker| broker.id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    let row = |row: usize| racks.values().filter_map(move |rack| rack.get(row).copied());
    (0..longest).flat_map(row).collect()
}

/// The first replica goes round; with each round the others begin one broker further on. No rack has a second replica while
/// another has none.
fn one(arranged: &[&Usable], number: usize, replicas: usize) -> Vec<i32> {
    let count = arranged.len();
    let mut left: Vec<&Usable> = match count {
        0 | 1 => arranged.to_vec(),
        _ => {
            let (first, round) = (number % count, number / count % (count - 1));
            let follower = |k: usize| (first + 1 + (round + k) % (count - 1)) % count;
            let order = std::iter::once(first).chain((0..count - 1).map(follower));
            order.filter_map(|at| arranged.get(at).copied()).collect()
        }
    };
    let mut chosen = Vec::with_capacity(replicas);
    let mut used: BTreeSet<&Option<String>> = BTreeSet::new();
    while chosen.len() < replicas && !left.is_empty() {
        let fresh = left.iter().position(|broker| !used.contains(&broker.rack));
        let Some(at) = fresh else {
            used.clear();
            continue;
        };
        let broker = left.remove(at);
        used.insert(&broker.rack);
        chosen.push(broker.id);
    }
    chosen
}
