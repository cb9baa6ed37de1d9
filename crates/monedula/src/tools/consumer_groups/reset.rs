//! `consumer-groups --reset-offsets`: plans new offsets for groups without active members, and sets them when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::TopicPartition;
use client::Admin;
use client::admin::OffsetSpec;
use client::group::{CommittedOffset, Offsets};
use protocol::ErrorCode;

use super::csv::{self, Plans};
use super::options::SCENARIOS;
use super::{Failure, chosen, partitions, print_error, times};
use crate::tools::args::Args;
use crate::tools::log;

type Plan = BTreeMap<TopicPartition, i64>;

pub async fn reset(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let ids = chosen(admin, args).await?;
    let mut plans = Plans::new();
    for (id, group) in admin.describe_consumer_groups(&ids).await? {
        let state = match group {
            Ok(group) => group.state,
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => String::from("Dead"),
            Err(error) => return Err(error.into()),
        };
        let plan = if matches!(state.as_str(), "Empty" | "Dead") {
            reset_group(admin, args, &id).await?
        } else {
            print_error(&format!(
                "Assignments can only be reset if the group '{id}' is inactive, but the current state is {state}."
            ));
            Plan::new()
        };
        plans.insert(id, plan);
    }
    if args.has("export") {
        println!("{}", csv::write(&plans, args.values("group").count() == 1));
    } else {
        print_plans(&plans);
    }
    Ok(())
}

async fn reset_group(admin: &Admin, args: &Args, group: &str) -> Result<Plan, Failure> {
    let wanted = scope(admin, args, group).await?;
    let existing = partitions::existing(admin, &wanted).await?;
    let refused = |without: &dyn Fn(&TopicPartition) -> bool, what: &str| {
        let list: Vec<String> =
            wanted.iter().filter(|tp| without(tp)).map(ToString::to_string).collect();
        if list.is_empty() {
            return Ok(());
        }
        Err(Failure::Executing(format!("The partitions \"{}\" {what}", list.join(","))))
    };
    refused(&|tp| !existing.contains_key(tp), "do not exist")?;
    refused(&|tp| existing.get(tp) == Some(&false), "have no leader")?;
    let plan = plan(admin, args, group, &wanted).await?;
    if args.has("execute") && !args.has("dry-run") {
        let offsets: Offsets =
            plan.iter().map(|(tp, offset)| (tp.clone(), CommittedOffset::new(*offset))).collect();
        for (_, result) in admin.alter_group_offsets(group, &offsets).await? {
            result?;
        }
    }
    Ok(plan)
}

/// The partitions that are reset. A file names its own.
async fn scope(
    admin: &Admin,
    args: &Args,
    group: &str,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    if args.has("all-topics") {
        return Ok(admin.group_offsets(group, None).await?.into_keys().collect());
    }
    if !args.has("topic") {
        if args.has("from-file") {
            return Ok(BTreeSet::new());
        }
        let text = "One of the reset scopes should be defined: --all-topics, --topic.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut wanted = BTreeSet::new();
    let mut whole: BTreeSet<Arc<str>> = BTreeSet::new();
    for topic in args.values("topic") {
        if topic.contains(':') {
            wanted.extend(partitions::parse(topic)?);
        } else {
            whole.insert(topic.into());
        }
    }
    let whole: Vec<Arc<str>> = whole.into_iter().collect();
    for (_, found) in partitions::of_topics(admin, &whole).await? {
        wanted.extend(found?);
    }
    Ok(wanted)
}

async fn plan(
    admin: &Admin,
    args: &Args,
    group: &str,
    wanted: &BTreeSet<TopicPartition>,
) -> Result<Plan, Failure> {
    let all = |offset: i64| wanted.iter().map(|tp| (tp.clone(), offset)).collect::<Plan>();
    if let Some(offset) = args.number::<i64>("to-offset")? {
        return within_log(admin, all(offset)).await;
    }
    if args.has("to-earliest") {
        return at(admin, wanted, OffsetSpec::Earliest).await;
    }
    if args.has("to-latest") {
        return at(admin, wanted, OffsetSpec::Latest).await;
    }
    if let Some(shift) = args.number::<i64>("shift-by")? {
        return shifted(admin, group, wanted, shift).await;
    }
    if let Some(text) = args.value("to-datetime")? {
        return at_time(admin, wanted, times::datetime(text)?).await;
    }
    if let Some(text) = args.value("by-duration")? {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let since = now.saturating_sub(times::duration_ms(text)?);
        return at_time(admin, wanted, since).await;
    }
    if let Some(path) = args.value("from-file")? {
        return from_file(admin, args, group, path).await;
    }
    if args.has("to-current") {
        return current(admin, group, wanted).await;
    }
    let scenarios = SCENARIOS.map(|name| format!("[{name}]")).join(", ");
    let text =
        format!("Option '[reset-offsets]' requires one of the following scenarios: [{scenarios}]");
    Err(Failure::Usage(text))
}

async fn at(
    admin: &Admin,
    wanted: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<Plan, Failure> {
    let asked: Vec<_> = wanted.iter().map(|tp| (tp.clone(), spec)).collect();
    let mut plan = Plan::new();
    for (tp, listed) in admin.list_offsets(&asked, false).await? {
        plan.insert(tp, listed?.offset);
    }
    Ok(plan)
}

/// The first records at or after a time; the end where there are none.
async fn at_time(
    admin: &Admin,
    wanted: &BTreeSet<TopicPartition>,
    time: i64,
) -> Result<Plan, Failure> {
    let mut plan = at(admin, wanted, OffsetSpec::Timestamp(time)).await?;
    let empty: BTreeSet<TopicPartition> =
        plan.iter().filter(|(_, offset)| **offset < 0).map(|(tp, _)| tp.clone()).collect();
    for tp in &empty {
        println!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            tp.partition, tp.topic
        );
    }
    plan.extend(at(admin, &empty, OffsetSpec::Latest).await?);
    Ok(plan)
}

async fn shifted(
    admin: &Admin,
    group: &str,
    wanted: &BTreeSet<TopicPartition>,
    shift: i64,
) -> Result<Plan, Failure> {
    let committed = admin.group_offsets(group, None).await?;
    let mut plan = Plan::new();
    for tp in wanted {
        let Some(offset) = committed.get(tp) else {
            return Err(Failure::Usage(format!(
                "Cannot shift offset for partition {tp} since there is no current committed offset"
            )));
        };
        plan.insert(tp.clone(), offset.offset.saturating_add(shift));
    }
    within_log(admin, plan).await
}

/// What is committed; the end where nothing is.
async fn current(
    admin: &Admin,
    group: &str,
    wanted: &BTreeSet<TopicPartition>,
) -> Result<Plan, Failure> {
    let committed = admin.group_offsets(group, None).await?;
    let without: BTreeSet<TopicPartition> =
        wanted.iter().filter(|tp| !committed.contains_key(*tp)).cloned().collect();
    let mut plan = at(admin, &without, OffsetSpec::Latest).await?;
    let with = wanted.iter().filter_map(|tp| Some((tp.clone(), committed.get(tp)?.offset)));
    plan.extend(with);
    Ok(plan)
}

async fn from_file(admin: &Admin, args: &Args, group: &str, path: &str) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|_| format!("Unable to read file {path}"))?;
    let mut groups = args.values("group");
    let single = groups.next().filter(|_| groups.next().is_none());
    let mut plans = csv::read(&text, single)?;
    match plans.remove(group) {
        Some(plan) => within_log(admin, plan).await,
        None => {
            print_error(&format!("No reset plan for group {group} found"));
            Ok(Plan::new())
        }
    }
}

/// Offsets outside of the log are moved to its start or end.
async fn within_log(admin: &Admin, mut plan: Plan) -> Result<Plan, Failure> {
    let wanted: BTreeSet<TopicPartition> = plan.keys().cloned().collect();
    let starts = at(admin, &wanted, OffsetSpec::Earliest).await?;
    let ends = at(admin, &wanted, OffsetSpec::Latest).await?;
    for (tp, offset) in &mut plan {
        let (start, end) = (starts.get(tp).copied(), ends.get(tp).copied());
        let (bound, found) = match (start, end) {
            (_, Some(end)) if *offset > end => (end, "higher than latest"),
            (Some(start), _) if *offset < start => (start, "lower than earliest"),
            _ => continue,
        };
        log::warn(format!(
            "New offset ({offset}) is {found} offset for topic partition {tp}. Value will be set to {bound}"
        ));
        *offset = bound;
    }
    Ok(plan)
}

fn print_plans(plans: &Plans) {
    let chars = |text: &str| text.chars().count();
    let groups = plans.keys().map(|group| chars(group)).max().unwrap_or(0).max(15);
    let topics = plans.values().flat_map(BTreeMap::keys).map(|tp| chars(&tp.topic));
    let topics = topics.max().unwrap_or(0).max(15);
    if !plans.is_empty() {
        let (group, topic) = ("GROUP", "TOPIC");
        print!("\n{group:<groups$} {topic:<topics$} {:<10} NEW-OFFSET", "PARTITION");
    }
    for (group, plan) in plans {
        for (tp, offset) in plan {
            let (topic, partition) = (&tp.topic, tp.partition.to_string());
            print!("\n{group:<groups$} {topic:<topics$} {partition:<10} {offset}");
        }
    }
    println!();
}
