//! The options of `consumer-groups`, and which of them go together.

use crate::tools::args::{Args, HELP, Opt, Takes, VERSION, flag, value};

const fn maybe(name: &'static str, placeholder: &'static str, help: &'static str) -> Opt {
    Opt { name, takes: Takes::MaybeValue(placeholder), help }
}

pub const OPTIONS: &[Opt] = &[
    value(
        "bootstrap-server",
        "HOST:PORT,...",
        "Servers to connect to. Required, except for --validate-regex.",
    ),
    value("command-config", "file", "Properties file with settings of the client."),
    value("group", "group", "Consumer group to act on. May be repeated."),
    flag("all-groups", "Act on all consumer groups."),
    value(
        "topic",
        "topic",
        "With --delete-offsets and --reset-offsets: TOPIC or TOPIC:PARTITION,PARTITION,... May be repeated.",
    ),
    flag("all-topics", "With --reset-offsets: all topics that the group has offsets of."),
    flag("list", "List all consumer groups."),
    flag("describe", "Show the offsets, members or state of groups."),
    flag("delete", "Delete groups that have no members, with their offsets."),
    flag("delete-offsets", "Delete offsets of one group, for topics that no member subscribes to."),
    flag(
        "reset-offsets",
        "Set the offsets of groups without active members: one of the --to-... options, --by-duration, --shift-by or \
         --from-file says to what, --all-topics or --topic of what. Shows the plan; --execute carries it out.",
    ),
    flag("dry-run", "With --reset-offsets: only show the plan."),
    flag("execute", "With --reset-offsets: carry the plan out."),
    flag("export", "With --reset-offsets: print the plan as CSV, for --from-file."),
    value("to-offset", "offset", "Reset to this offset."),
    value(
        "from-file",
        "path to CSV file",
        "Reset to the offsets of a file, as --export prints them.",
    ),
    value(
        "to-datetime",
        "datetime",
        "Reset to the first record at or after YYYY-MM-DDThh:mm:ss.sss.",
    ),
    value("by-duration", "duration", "Reset to the first record younger than PnDTnHnMnS."),
    flag("to-earliest", "Reset to the first record."),
    flag("to-latest", "Reset to the end."),
    flag("to-current", "Reset to the committed offset."),
    value(
        "shift-by",
        "number-of-offsets",
        "Reset to the committed offset and so many more, or less.",
    ),
    flag("members", "With --describe: the members of the group."),
    flag("offsets", "With --describe: partitions with offsets and lag. The default."),
    maybe(
        "state",
        "states",
        "With --describe: the state of the group. With --list: show states, or list groups in these states only.",
    ),
    maybe("type", "types", "With --list: show types, or list groups of these types only."),
    flag("verbose", "With --describe: more columns."),
    value(
        "timeout",
        "timeout (ms)",
        "How long a request may take with its retries. Default: 30000.",
    ),
    value("validate-regex", "regex", "Say whether this is a regular expression in RE2 syntax."),
    HELP,
    VERSION,
];

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
pub const SCENARIOS: [&str; 8] = [
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
];

/// Options that are refused while the command line is read, when none of the others is there.
const NEEDS: [(&str, &[&str]); 5] = [
    ("members", &["describe"]),
    ("verbose", &["describe"]),
    ("offsets", &["describe"]),
    ("state", &["describe", "list"]),
    ("type", &["list"]),
];

/// Options that were given without one that they belong to.
pub fn check_available(args: &Args) -> Result<(), String> {
    let missing = |others: &[&str]| !others.iter().any(|other| args.has(other));
    let refused: Vec<&str> = NEEDS
        .iter()
        .filter(|(name, others)| args.has(name) && missing(others))
        .map(|(name, _)| *name)
        .collect();
    if refused.is_empty() || args.has("help") {
        return Ok(());
    }
    let list = refused.join(", ");
    Err(format!("Option(s) [{list}] are unavailable given other options on the command line"))
}

/// Kafka's rules, in its order, with its texts. All are followed by the list of options.
pub fn check(args: &Args) -> Result<(), String> {
    if !args.has("validate-regex") {
        args.check_required(&["bootstrap-server"])?;
    }
    check_describe(args)?;
    let one_group = args.has("group") || args.has("all-groups");
    if args.has("delete") {
        if !one_group {
            return Err(takes_groups("delete"));
        }
        if args.has("topic") {
            let text = "The consumer does not support topic-specific offset deletion from a consumer group.";
            return Err(text.to_owned());
        }
    }
    if args.has("delete-offsets") && !(args.has("group") && args.has("topic")) {
        return Err(String::from(
            "Option [delete-offsets] takes the following options: [group], [topic]",
        ));
    }
    if args.has("reset-offsets") {
        check_reset(args, one_group)?;
    }
    args.check_alone("group", &["all-groups"])?;
    args.check_alone("group", &["list"])?;
    args.check_alone("topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| args.has(action)).count() != 1 {
        let all = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(format!("Command must include exactly one action: {all}"));
    }
    Ok(())
}

fn takes_groups(action: &str) -> String {
    format!("Option [{action}] takes one of these options: [group], [all-groups]")
}

fn check_describe(args: &Args) -> Result<(), String> {
    if !args.has("describe") {
        return Ok(());
    }
    if !args.has("group") && !args.has("all-groups") {
        return Err(takes_groups("describe"));
    }
    if ["members", "offsets", "state"].iter().filter(|what| args.has(what)).count() > 1 {
        let text =
            "Option [describe] takes at most one of these options: [members], [offsets], [state]";
        return Err(text.to_owned());
    }
    if args.value("state")?.is_some() {
        return Err(String::from("Option [describe] does not take a value for [state]"));
    }
    Ok(())
}

fn check_reset(args: &Args, one_group: bool) -> Result<(), String> {
    if args.has("dry-run") && args.has("execute") {
        let text = "Option [reset-offsets] only accepts one of [execute] and [dry-run]";
        return Err(text.to_owned());
    }
    if !args.has("dry-run") && !args.has("execute") {
        eprintln!(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will \
             require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if \
             you are scripting this command and want to keep the current default behavior without prompting."
        );
    }
    if !one_group {
        return Err(takes_groups("reset-offsets"));
    }
    // Kafka looks at them in this order.
    let order = [
        "to-offset",
        "to-datetime",
        "by-duration",
        "to-earliest",
        "to-latest",
        "to-current",
        "shift-by",
        "from-file",
    ];
    for name in order {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != name).collect();
        args.check_alone(name, &others)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(line: &str, expected: Result<(), &str>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let args = Args::parse(OPTIONS, &words).expect(line);
        let found = check_available(&args).and_then(|()| check(&args));
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|e| *e),
            "{line}"
        );
    }

    #[test]
    fn options_that_go_together() {
        let b = "--bootstrap-server b:1";
        check_line(&format!("{b} --list"), Ok(()));
        check_line(&format!("{b} --list --state --type"), Ok(()));
        check_line("--validate-regex a", Ok(()));
        check_line("--list", Err("Missing required argument \"[bootstrap-server]\""));
        check_line(
            &format!("{b} --list --members"),
            Err("Option(s) [members] are unavailable given other options on the command line"),
        );
        check_line(
            &format!("{b} --describe --group g --state Stable"),
            Err("Option [describe] does not take a value for [state]"),
        );
        check_line(
            &format!("{b} --list --group g"),
            Err("Option \"[group]\" can't be used with option \"[list]\""),
        );
        check_line(
            &format!("{b} --reset-offsets --dry-run --group g --to-latest --to-offset 1"),
            Err("Option \"[to-offset]\" can't be used with option \"[to-latest]\""),
        );
        check_line(
            &format!("{b} --group g"),
            Err(
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, \
                 --delete-offsets, --validate-regex",
            ),
        );
    }
}
