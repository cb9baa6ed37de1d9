//! What the files of a reassignment say, and what is shown of assignments.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, TopicPartition};
use serde_json::{Map, Value};

use super::super::json::{self, quoted};

/// A log directory that is left to the broker.
const ANY: &str = "any";

/// Partitions in the order of the file, with their replicas.
pub type Targets = Vec<(TopicPartition, Vec<i32>)>;
pub type Assignments = BTreeMap<TopicPartition, Vec<i32>>;
/// Where replicas are, or shall go.
pub type Directories = BTreeMap<Replica, String>;

/// One replica: by its broker first, in which order they are shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Replica {
    pub broker: NodeId,
    pub partition: TopicPartition,
}

impl std::fmt::Display for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.partition, self.broker)
    }
}

/// A file of a reassignment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reassignment {
    pub targets: Targets,
    pub directories: Directories,
}

impl Reassignment {
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let parsed = json::object(&parsed)?;
        check_version(parsed)?;
        let mut this = Self::default();
        let Some(partitions) = parsed.get("partitions") else { return Ok(this) };
        for entry in json::array(partitions)? {
            this.add(json::object(entry)?)?;
        }
        Ok(this)
    }

    fn add(&mut self, entry: &Map<String, Value>) -> Result<(), String> {
        let topic = json::text(json::field(entry, "topic")?)?;
        let index = json::int(json::field(entry, "partition")?)?;
        let partition = TopicPartition::new(topic, index);
        let replicas = list(json::field(entry, "replicas")?, json::int)?;
        let directories = match entry.get("log_dirs") {
            Some(directories) => list(directories, json::text)?,
            None => vec![ANY.to_owned(); replicas.len()],
        };
        if replicas.len() != directories.len() {
            return Err(format!(
                "Size of replicas list [{}] is different from size of log dirs list [{}] for partition {partition}",
                joined(&replicas, ", "),
                directories.join(", ")
            ));
        }
        for (broker, directory) in replicas.iter().zip(directories) {
            if directory != ANY {
                let replica = Replica { broker: NodeId(*broker), partition: partition.clone() };
                self.directories.insert(replica, directory);
            }
        }
        self.targets.push((partition, replicas));
        Ok(())
    }

    /// The assignments, when each is one that can be executed.
    pub fn assignments(&self) -> Result<Assignments, String> {
        if self.targets.is_empty() {
            return Err(String::from("Partition reassignment list cannot be empty"));
        }
        if self.targets.iter().any(|(_, replicas)| replicas.is_empty()) {
            return Err(String::from("Partition replica list cannot be empty"));
        }
        let twice = duplicates(self.targets.iter().map(|(partition, _)| partition));
        if !twice.is_empty() {
            let twice = joined(&twice, ",");
            return Err(format!(
                "Partition reassignment contains duplicate topic partitions: {twice}"
            ));
        }
        let repeated: Vec<String> = self
            .targets
            .iter()
            .map(|(partition, replicas)| (partition, duplicates(replicas)))
            .filter(|(_, twice)| !twice.is_empty())
            .map(|(partition, twice)| {
                format!("{partition} contains multiple entries for {}", joined(&twice, ","))
            })
            .collect();
        if !repeated.is_empty() {
            let repeated = repeated.join(". ");
            return Err(format!(
                "Partition replica lists may not contain duplicate entries: {repeated}"
            ));
        }
        Ok(self.targets.iter().cloned().collect())
    }
}

/// The topics of a file for `--generate`, and its list of brokers.
pub fn parse_generate(text: &str, brokers: &str) -> Result<(Vec<String>, Vec<i32>), String> {
    let number = |id: &str| id.parse::<i32>().map_err(|_| format!("For input string: \"{id}\""));
    let brokers: Vec<i32> = brokers.split(',').map(number).collect::<Result<_, _>>()?;
    let twice = duplicates(&brokers);
    if !twice.is_empty() {
        let twice = joined(&twice, ", ");
        return Err(format!("Broker list contains duplicate entries: [{twice}]"));
    }
    let parsed: Value = serde_json::from_str(text)
        .map_err(|_| String::from("The input string is not a valid JSON"))?;
    let parsed = json::object(&parsed)?;
    check_version(parsed)?;
    let topic = |entry: &Value| json::text(json::field(json::object(entry)?, "topic")?);
    let topics = match parsed.get("topics") {
        Some(topics) => list(topics, topic)?,
        None => Vec::new(),
    };
    let twice = duplicates(&topics);
    if !twice.is_empty() {
        let twice = joined(&twice, ", ");
        return Err(format!("List of topics to reassign contains duplicate entries: [{twice}]"));
    }
    Ok((topics, brokers))
}

fn check_version(object: &Map<String, Value>) -> Result<(), String> {
    match object.get("version").map(json::int).transpose()? {
        None | Some(1) => Ok(()),
        Some(other) => Err(format!("Not supported version field value {other}")),
    }
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    json::array(value)?.iter().map(item).collect()
}

fn duplicates<'a, T: Ord + 'a>(all: impl IntoIterator<Item = &'a T>) -> Vec<&'a T> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for item in all {
        if !seen.insert(item) {
            twice.insert(item);
        }
    }
    twice.into_iter().collect()
}

pub fn joined<T: ToString>(all: impl IntoIterator<Item = T>, between: &str) -> String {
    let all: Vec<String> = all.into_iter().map(|item| item.to_string()).collect();
    all.join(between)
}

/// An assignment as a file of a reassignment; directories that are not known are left to the brokers.
pub fn to_json(assignments: &Assignments, directories: &Directories) -> String {
    let partition = |(partition, replicas): (&TopicPartition, &Vec<i32>)| {
        let directory = |broker: &i32| {
            let replica = Replica { broker: NodeId(*broker), partition: partition.clone() };
            quoted(directories.get(&replica).map_or(ANY, String::as_str))
        };
        format!(
            "{{\"topic\":{},\"partition\":{},\"replicas\":[{}],\"log_dirs\":[{}]}}",
            quoted(&partition.topic),
            partition.partition,
            joined(replicas, ","),
            joined(replicas.iter().map(directory), ",")
        )
    };
    format!("{{\"version\":1,\"partitions\":[{}]}}", joined(assignments.iter().map(partition), ","))
}

/// How far the reassignment of a partition is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    pub current: Vec<i32>,
    pub target: Vec<i32>,
    pub done: bool,
}

pub fn show_states(states: &BTreeMap<TopicPartition, PartitionState>) -> String {
    let mut lines = vec![String::from("Status of partition reassignment:")];
    for (partition, state) in states {
        lines.push(if !state.done {
            format!("Reassignment of partition {partition} is still in progress.")
        } else if state.current == state.target {
            format!("Reassignment of partition {partition} is completed.")
        } else {
            format!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                joined(&state.current, ","),
                joined(&state.target, ",")
            )
        });
    }
    lines.join("\n")
}

/// Where a replica is, and where it is moving to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub current: Option<String>,
    pub future: Option<String>,
}

/// A line on a replica that shall be in `target`, and whether it is still on its way.
pub fn show_move(replica: &Replica, place: &Place, target: &str) -> (String, bool) {
    let (partition, broker) = (&replica.partition, replica.broker);
    match (&place.current, &place.future) {
        (None, _) => (
            format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline \
                 log directory on the broker."
            ),
            false,
        ),
        (Some(_), Some(future)) if future == target => {
            (format!("Reassignment of replica {replica} is still in progress."), true)
        }
        (Some(_), Some(future)) => (
            format!(
                "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
            ),
            true,
        ),
        (Some(current), None) if current == target => {
            (format!("Reassignment of replica {replica} completed successfully."), false)
        }
        (Some(current), None) => (
            format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
            ),
            false,
        ),
    }
}
