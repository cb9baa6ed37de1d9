//! `topics --create` and `topics --alter`.

use std::collections::BTreeMap;

use client::Admin;
use client::admin::{NewPartitions, NewTopic};
use protocol::ErrorCode;

use super::{Failure, chosen, must_exist};
use crate::tools::args::Args;

pub async fn create(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let name = args.value("topic")?.unwrap_or_default();
    let partitions = args.number::<i32>("partitions")?;
    let replicas = args.number::<i32>("replication-factor")?;
    let assignments = assignments(args)?;
    let configs = configs(args)?;
    if name.contains(['.', '_']) {
        println!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        );
    }
    let factor =
        replicas.map(i16::try_from).transpose().ok().filter(|factor| factor.is_none_or(|f| f >= 1));
    let Some(factor) = factor else {
        let text = format!("The replication factor must be between 1 and {} inclusive", i16::MAX);
        return Err(Failure::Executing(text));
    };
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::Executing(String::from("The partitions must be greater than 0")));
    }
    let mut topic = NewTopic::new(name);
    if assignments.is_empty() {
        topic.partitions = partitions.unwrap_or(-1);
        topic.replication_factor = factor.unwrap_or(-1);
    }
    topic.assignments = assignments;
    topic.configs = configs;
    for (_, result) in admin.create_topics(&[topic], false).await? {
        match result {
            Ok(_) => println!("Created topic {name}."),
            Err(error)
                if args.has("if-not-exists")
                    && error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub async fn alter(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let total = args.number::<i32>("partitions")?.unwrap_or_default();
    let assignments = assignments(args)?;
    let names = chosen(admin, args).await?;
    must_exist(&names, args)?;
    if names.is_empty() {
        return Ok(());
    }
    let mut changes = Vec::with_capacity(names.len());
    for (name, described) in admin.describe_topics(&names, 2000).await? {
        let existing = described?.partitions.len();
        let added = || assignments.values().skip(existing).cloned().collect();
        changes.push(NewPartitions {
            topic: name.to_string(),
            total,
            assignments: (!assignments.is_empty()).then(added),
        });
    }
    for (_, result) in admin.create_partitions(&changes, false).await? {
        result?;
    }
    Ok(())
}

/// `--config key=value`, several.
fn configs(args: &Args) -> Result<BTreeMap<String, String>, Failure> {
    let mut configs = BTreeMap::new();
    for text in args.values("config") {
        match text.split('=').map(str::trim).collect::<Vec<_>>().as_slice() {
            [key, value] if !value.is_empty() => {
                configs.insert((*key).to_owned(), (*value).to_owned());
            }
            _ => {
                return Err(Failure::Executing(String::from(
                    "requirement failed: Invalid topic config: all configs to be added must be in the format \
                     \"key=val\".",
                )));
            }
        }
    }
    Ok(configs)
}

/// `--replica-assignment 1:2,2:3`: the brokers of each partition from 0 on.
fn assignments(args: &Args) -> Result<BTreeMap<i32, Vec<i32>>, Failure> {
    let mut assignments: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let text = args.value("replica-assignment")?.unwrap_or_default();
    for (index, brokers) in (0..).zip(text.split(',').filter(|_| !text.is_empty())) {
        let mut replicas: Vec<i32> = Vec::new();
        let mut repeated: Vec<String> = Vec::new();
        for broker in brokers.split(':').map(str::trim) {
            let id =
                broker.parse::<i32>().map_err(|_| format!("For input string: \"{broker}\""))?;
            if replicas.contains(&id) {
                repeated.push(id.to_string());
            }
            replicas.push(id);
        }
        if !repeated.is_empty() {
            let list = repeated.join(",");
            return Err(format!(
                "Partition replica lists may not contain duplicate entries: {list}"
            )
            .into());
        }
        if assignments.get(&0).is_some_and(|first| first.len() != replicas.len()) {
            return Err(format!(
                "Partition {index} has different replication factor: {replicas:?}"
            )
            .into());
        }
        assignments.insert(index, replicas);
    }
    Ok(assignments)
}
