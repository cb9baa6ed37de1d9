//! `consumer-groups --describe`: offsets with their lag, and states.

use std::collections::{BTreeMap, BTreeSet};

use base::TopicPartition;
use client::Admin;
use client::admin::{ConsumerGroup, OffsetSpec};
use client::group::Offsets;

use super::{Failure, MISSING, chosen, members, partitions, print_error};
use crate::tools::args::Args;

pub async fn describe(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let ids = chosen(admin, args).await?;
    let mut groups = Vec::with_capacity(ids.len());
    for (_, group) in admin.describe_consumer_groups(&ids).await? {
        groups.push(group?);
    }
    let verbose = args.has("verbose");
    if args.has("members") {
        for group in &groups {
            members::print(group, verbose)?;
        }
    } else if args.has("state") {
        for group in &groups {
            print_state(group, verbose)?;
        }
    } else {
        let mut all = Vec::with_capacity(groups.len());
        for group in &groups {
            all.push((group, rows(admin, group).await?));
        }
        for (group, rows) in all {
            print_offsets(group, &rows, verbose)?;
        }
    }
    Ok(())
}

/// Says what is special about the group's state. Whether there is something to show.
pub fn has_something(group: &ConsumerGroup, rows: usize) -> Result<bool, Failure> {
    let id = &group.id;
    match group.state.as_str() {
        "Dead" => {
            print_error(&format!("Consumer group '{id}' does not exist."));
            return Ok(false);
        }
        "Empty" => eprintln!("\nConsumer group '{id}' has no active members."),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            eprintln!("\nWarning: Consumer group '{id}' is rebalancing.");
        }
        "Stable" => {}
        other => {
            let text = format!("Expected a valid consumer group state, but found '{other}'.");
            return Err(Failure::Executing(text));
        }
    }
    Ok(rows > 0)
}

/// One partition of a group.
struct Row {
    tp: TopicPartition,
    leader_epoch: Option<i32>,
    offset: Option<i64>,
    end: Option<i64>,
    consumer: String,
    host: String,
    client: String,
}

/// The partitions of the members, those with most first; then those that only have an offset.
async fn rows(admin: &Admin, group: &ConsumerGroup) -> Result<Vec<Row>, Failure> {
    let committed = admin.group_offsets(&group.id, None).await?;
    let assigned = group.members.iter().flat_map(|member| &member.assignment);
    let mut wanted: BTreeSet<TopicPartition> = assigned.cloned().collect();
    let unassigned: Vec<TopicPartition> =
        committed.keys().filter(|tp| !wanted.contains(*tp)).cloned().collect();
    wanted.extend(unassigned.iter().cloned());
    let ends = ends(admin, &wanted).await?;
    let mut members: Vec<_> = group.members.iter().filter(|m| !m.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::with_capacity(wanted.len());
    for member in members {
        let place = (member.id.as_str(), member.host.as_str(), member.client_id.as_str());
        add_rows(&mut rows, &member.assignment, place, &committed, &ends);
    }
    add_rows(&mut rows, &unassigned, (MISSING, MISSING, MISSING), &committed, &ends);
    Ok(rows)
}

fn add_rows(
    rows: &mut Vec<Row>,
    partitions: &[TopicPartition],
    (consumer, host, client): (&str, &str, &str),
    committed: &Offsets,
    ends: &BTreeMap<TopicPartition, i64>,
) {
    let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
    sorted.sort_unstable();
    rows.extend(sorted.into_iter().map(|tp| {
        let offset = committed.get(tp);
        Row {
            tp: tp.clone(),
            leader_epoch: offset.map(|offset| offset.leader_epoch).filter(|epoch| *epoch >= 0),
            offset: offset.map(|offset| offset.offset),
            end: ends.get(tp).copied(),
            consumer: consumer.to_owned(),
            host: host.to_owned(),
            client: client.to_owned(),
        }
    }));
}

/// The ends of the partitions that have a leader.
async fn ends(
    admin: &Admin,
    wanted: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let existing = partitions::existing(admin, wanted).await?;
    let with_leader = wanted.iter().filter(|tp| existing.get(*tp).is_none_or(|led| *led));
    let asked: Vec<_> = with_leader.map(|tp| (tp.clone(), OffsetSpec::Latest)).collect();
    let mut ends = BTreeMap::new();
    for (tp, listed) in admin.list_offsets(&asked, false).await? {
        ends.insert(tp, listed?.offset);
    }
    Ok(ends)
}

fn print_offsets(group: &ConsumerGroup, rows: &[Row], verbose: bool) -> Result<(), Failure> {
    if !has_something(group, rows.len())? {
        return Ok(());
    }
    let width = |text: fn(&Row) -> &str| rows.iter().map(|row| text(row).chars().count()).max();
    let wide = |width: Option<usize>| width.unwrap_or(0).max(15);
    let topics = wide(width(|row| &row.tp.topic));
    let (consumers, hosts) = (wide(width(|row| &row.consumer)), wide(width(|row| &row.host)));
    let groups = group.id.chars().count().max(15);
    let line = |cells: [&str; 10]| {
        let [id, topic, partition, epoch, offset, end, lag, consumer, host, client] = cells;
        let epoch = if verbose { format!("{epoch:<15} ") } else { String::new() };
        print!(
            "\n{id:<groups$} {topic:<topics$} {partition:<10} {epoch}{offset:<15} {end:<15} {lag:<15} \
             {consumer:<consumers$} {host:<hosts$} {client}"
        );
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    let or_missing = |number: Option<i64>| number.map_or(MISSING.to_owned(), |n| n.to_string());
    for row in rows {
        let lag = row.end.zip(row.offset.filter(|offset| *offset != -1));
        line([
            &group.id,
            &row.tp.topic,
            &row.tp.partition.to_string(),
            &or_missing(row.leader_epoch.map(i64::from)),
            &or_missing(row.offset),
            &or_missing(row.end),
            &or_missing(lag.map(|(end, offset)| end.saturating_sub(offset))),
            &row.consumer,
            &row.host,
            &row.client,
        ]);
    }
    println!();
    Ok(())
}

fn print_state(group: &ConsumerGroup, verbose: bool) -> Result<(), Failure> {
    if !has_something(group, 1)? {
        return Ok(());
    }
    let node = &group.coordinator;
    let coordinator = format!("{}:{}  ({})", node.address.host, node.address.port, node.id);
    let coordinators = coordinator.chars().count().max(25);
    let groups = group.id.chars().count().max(15);
    let line = |cells: [&str; 7]| {
        let [id, coordinator, assignor, state, epoch, target, members] = cells;
        let epochs = if verbose { format!("{epoch:<15} {target:<25} ") } else { String::new() };
        print!(
            "\n{id:<groups$} {coordinator:<coordinators$} {assignor:<20} {state:<20} {epochs}{members}"
        );
    };
    line([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ]);
    let assignor = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let epoch = |epoch: Option<i32>| epoch.map_or(MISSING.to_owned(), |epoch| epoch.to_string());
    line([
        &group.id,
        &coordinator,
        assignor,
        &group.state,
        &epoch(group.epochs.map(|epochs| epochs.group)),
        &epoch(group.epochs.map(|epochs| epochs.assignment)),
        &group.members.len().to_string(),
    ]);
    println!();
    Ok(())
}
