//! The options of `topics`, and which of them go together.

use crate::tools::args::{Args, HELP, Opt, VERSION, flag, value};

pub const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("command-config", "file", "Properties file with settings of the client."),
    flag("list", "List all topics."),
    flag("create", "Create a topic."),
    flag("delete", "Delete topics."),
    flag("alter", "Give topics more partitions. (The tool configs changes their configuration.)"),
    flag("describe", "Show partitions, replicas and configuration of topics."),
    value("topic", "topic", "Topic to act on; a regular expression, except with --create."),
    value("topic-id", "id", "Topic to describe, by its id."),
    value("config", "name=value", "With --create: a setting of the topic. May be repeated."),
    value("delete-config", "name", "Without effect since Kafka 4.0."),
    value(
        "partitions",
        "number",
        "With --create and --alter: number of partitions; the cluster's default when missing. More partitions change \
         which one a key belongs to.",
    ),
    value(
        "replication-factor",
        "number",
        "With --create: replicas of each partition; the cluster's default when missing.",
    ),
    value(
        "replica-assignment",
        "id:id,id:id,...",
        "With --create and --alter: the brokers of each partition, partitions apart by commas, brokers by colons.",
    ),
    flag(
        "under-replicated-partitions",
        "With --describe: only partitions that lack replicas in sync.",
    ),
    flag("unavailable-partitions", "With --describe: only partitions without a leader that lives."),
    flag(
        "under-min-isr-partitions",
        "With --describe: only partitions with fewer replicas in sync than their minimum.",
    ),
    flag(
        "at-min-isr-partitions",
        "With --describe: only partitions with exactly their minimum of replicas in sync.",
    ),
    flag("topics-with-overrides", "With --describe: only topics with settings of their own."),
    flag(
        "if-exists",
        "With --alter, --delete, --describe: no error when the topic does not exist.",
    ),
    flag("if-not-exists", "With --create: no error when the topic exists."),
    flag(
        "exclude-internal",
        "With --list, --describe: leave out the topics that Kafka keeps for itself.",
    ),
    value(
        "partition-size-limit-per-response",
        "number",
        "With --describe: most partitions in one answer of the server.",
    ),
    HELP,
    VERSION,
];

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

/// Options that do not go together, by what follows the message.
pub enum Refused {
    Usage(String),
    Plain(String),
}

/// Kafka's rules, in its order, with its texts.
pub fn check(args: &Args) -> Result<(), Refused> {
    let usage = Refused::Usage;
    if ACTIONS.iter().filter(|action| args.has(action)).count() != 1 {
        let text = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(usage(text.to_owned()));
    }
    if args.has("delete-config") {
        eprintln!(
            "delete-config option is no longer supported and deprecated since version 4.0. \
             The config will be fully removed in future releases."
        );
    }
    check_required(args)?;
    check_combinations(args).map_err(usage)
}

fn check_required(args: &Args) -> Result<(), Refused> {
    if !args.has("bootstrap-server") {
        return Err(Refused::Plain(String::from("--bootstrap-server must be specified")));
    }
    if args.has("describe") && args.has("if-exists") {
        let (by_name, by_id) = (args.has("topic"), args.has("topic-id"));
        if !by_name && !by_id {
            let text = "--topic or --topic-id is required to describe a topic";
            return Err(Refused::Usage(text.to_owned()));
        }
        if by_name && by_id {
            println!(
                "Only topic id will be used when both --topic and --topic-id are specified and topicId is not \
                 Uuid.ZERO_UUID"
            );
        }
    }
    if !args.has("list") && !args.has("describe") {
        args.check_required(&["topic"]).map_err(Refused::Usage)?;
    }
    if args.has("alter") {
        if args.has("config") {
            return Err(Refused::Usage(String::from(
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" \
                 (To alter topic configurations, the kafka-configs tool can be used.)",
            )));
        }
        args.check_required(&["partitions"]).map_err(Refused::Usage)?;
    }
    Ok(())
}

fn check_combinations(args: &Args) -> Result<(), String> {
    let actions_but = |allowed: &[&str]| -> Vec<&'static str> {
        ACTIONS.into_iter().filter(|action| !allowed.contains(action)).collect()
    };
    let with_create_or_alter = actions_but(&["alter", "create"]);
    args.check_alone("config", &with_create_or_alter)?;
    args.check_alone("partitions", &with_create_or_alter)?;
    args.check_alone("replication-factor", &actions_but(&["create"]))?;
    args.check_alone("replica-assignment", &with_create_or_alter)?;
    if args.has("create") {
        args.check_alone("replica-assignment", &["partitions", "replication-factor"])?;
    }
    let mut not_describing = actions_but(&["describe"]);
    not_describing.push("topics-with-overrides");
    for report in REPORTS {
        args.check_alone(report, &not_describing)?;
    }
    let mut others = actions_but(&["describe"]);
    others.extend(REPORTS);
    args.check_alone("topics-with-overrides", &others)?;
    args.check_alone("if-exists", &actions_but(&["alter", "delete", "describe"]))?;
    args.check_alone("if-not-exists", &actions_but(&["create"]))?;
    args.check_alone("exclude-internal", &actions_but(&["list", "describe"]))
}
