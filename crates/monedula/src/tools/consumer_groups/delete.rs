//! `consumer-groups --delete` and `--delete-offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::TopicPartition;
use client::{Admin, Error};
use protocol::ErrorCode;

use super::{Failure, MISSING, chosen, partitions, print_error};
use crate::tools::args::Args;

pub async fn groups(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let ids = chosen(admin, args).await?;
    let results = admin.delete_groups(&ids).await?;
    let quoted = |ids: Vec<&String>| {
        ids.into_iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
    };
    let deleted = quoted(results.iter().filter(|(_, r)| r.is_ok()).map(|(id, _)| id).collect());
    if results.iter().all(|(_, result)| result.is_ok()) {
        println!("Deletion of requested consumer groups ({deleted}) was successful.");
        return Ok(());
    }
    print_error("Deletion of some consumer groups failed:");
    for (id, result) in &results {
        if let Err(error) = result {
            println!("* Group '{id}' could not be deleted due to: {error}");
        }
    }
    if !deleted.is_empty() {
        println!("\nThese consumer groups were deleted successfully: {deleted}");
    }
    Ok(())
}

pub async fn offsets(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let group = args.value("group")?.unwrap_or_default();
    let (listed, whole): (Vec<&str>, Vec<&str>) =
        args.values("topic").partition(|topic| topic.contains(':'));
    let mut wanted = BTreeSet::new();
    for text in listed {
        wanted.extend(partitions::parse(text)?);
    }
    let whole: BTreeSet<Arc<str>> = whole.into_iter().map(Arc::from).collect();
    let whole: Vec<Arc<str>> = whole.into_iter().collect();
    let mut results: BTreeMap<(String, i32), Result<(), Error>> = BTreeMap::new();
    for (topic, found) in partitions::of_topics(admin, &whole).await? {
        match found {
            Ok(found) => wanted.extend(found),
            Err(error) => {
                results.insert((topic.to_string(), -1), Err(error));
            }
        }
    }
    let wanted: Vec<TopicPartition> = wanted.into_iter().collect();
    let key = |tp: &TopicPartition| (tp.topic.to_string(), tp.partition.get());
    let overall = match admin.delete_group_offsets(group, &wanted).await {
        Ok(deleted) => {
            let first = deleted.iter().find_map(|(_, result)| result.clone().err());
            results.extend(deleted.into_iter().map(|(tp, result)| (key(&tp), result)));
            first
        }
        Err(error) => {
            results.extend(wanted.iter().map(|tp| (key(tp), Err(error.clone()))));
            Some(error)
        }
    };
    print_overall(group, overall.as_ref());
    print_results(&results);
    Ok(())
}

fn print_overall(group: &str, error: Option<&Error>) {
    let Some(error) = error else {
        println!("Request succeeded for deleting offsets from group {group}.");
        return;
    };
    match error.code() {
        Some(
            code @ (ErrorCode::InvalidGroupId
            | ErrorCode::GroupIdNotFound
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::NonEmptyGroup),
        ) => print_error(code.message()),
        Some(
            ErrorCode::GroupSubscribedToTopic
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::UnknownTopicOrPartition,
        ) => print_error("Encountered some partition-level error, see the follow-up details."),
        Some(code) => print_error(&format!("Encountered some unknown error: {code}")),
        None => print_error(&format!("Encountered some unknown error: {error}")),
    }
}

fn print_results(results: &BTreeMap<(String, i32), Result<(), Error>>) {
    let width = results.keys().map(|(topic, _)| topic.chars().count()).max().unwrap_or(0).max(15);
    let line = |topic: &str, partition: &str, status: &str| {
        print!("\n{topic:<width$} {partition:<10} {status:<15}");
    };
    line("TOPIC", "PARTITION", "STATUS");
    // Kafka sorts by the text of both: t10 comes before t2.
    let sorted: BTreeMap<String, _> = results
        .iter()
        .map(|(key, result)| (format!("{}{}", key.0, key.1), (key, result)))
        .collect();
    for ((topic, index), result) in sorted.values() {
        let partition = if *index >= 0 { index.to_string() } else { MISSING.to_owned() };
        let status = match result {
            Ok(()) => String::from("Successful"),
            Err(error) => format!("Error: {error}"),
        };
        line(topic, &partition, &status);
    }
    println!();
}
