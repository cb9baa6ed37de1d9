//! `console-consumer`: prints the records of topics or of one partition.

mod read;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::Client;
use client::admin::OffsetSpec;
use client::consumer::{ConsumerOptions, Start};
use client::group::GroupOptions;
use regex::Regex;

use super::args::{Args, HELP, Opt, VERSION, flag, usage, value};
use super::formatter::Formatter;
use super::settings::{self, Settings};
use super::{block_on_threads, log};

pub const ABOUT: &str =
    "This tool helps to read data from Kafka topics and outputs it to standard output.";

const FORMATTER: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("topic", "topic", "Topic to read."),
    value("include", "regex", "Regular expression for the topics to read."),
    value("partition", "partition", "Partition to read, from its end on unless --offset is given."),
    value(
        "offset",
        "offset",
        "With --partition: a number, 'earliest' or 'latest'. Default: latest.",
    ),
    value("group", "group", "Consumer group to read with."),
    flag("from-beginning", "Start with the first record instead of the next to come."),
    value("max-messages", "number", "Stop after so many records."),
    value("timeout-ms", "ms", "Stop when no record comes for so long."),
    flag("skip-message-on-error", "Go on after a record that cannot be printed."),
    value(
        "isolation-level",
        "level",
        "read_committed or read_uncommitted. Default: read_uncommitted.",
    ),
    value(
        "formatter",
        "class",
        "How records are printed: the class name of one of Kafka's formatters.",
    ),
    value(
        "formatter-property",
        "key=value",
        "Setting of the formatter: print.timestamp, print.partition, print.offset, print.epoch, print.headers, \
         print.key, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, \
         value.deserializer, headers.deserializer. May be repeated.",
    ),
    value("property", "key=value", "Deprecated name of --formatter-property."),
    value("formatter-config", "file", "Properties file with settings of the formatter."),
    value("key-deserializer", "class", "The same as the formatter's key.deserializer."),
    value("value-deserializer", "class", "The same as the formatter's value.deserializer."),
    value("command-property", "key=value", "Setting of the consumer. May be repeated."),
    value("consumer-property", "key=value", "Deprecated name of --command-property."),
    value("command-config", "file", "Properties file with settings of the consumer."),
    value("consumer.config", "file", "Deprecated name of --command-config."),
    flag("enable-systest-events", "Print events of the consumer's life, too."),
    HELP,
    VERSION,
];

/// What is read.
enum Source {
    Partition(TopicPartition),
    Topic(Arc<str>),
    Matching(Regex),
}

struct Plan {
    source: Source,
    start: Start,
    max_messages: Option<u64>,
    timeout: Option<Duration>,
    formatter: Formatter,
    skip_on_error: bool,
    systest_events: bool,
    settings: Settings,
    group: String,
    /// It was named, and not made up for this run.
    group_given: bool,
}

enum Failure {
    Usage(String),
    Plain(String),
    /// After the start: the count is printed all the same.
    Running(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

pub fn run(words: &[String]) -> ExitCode {
    let failure = match execute(words) {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    match failure {
        Failure::Usage(text) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
        Failure::Plain(text) => eprintln!("{text}"),
        Failure::Running(text) => {
            log::error(format!("Unknown error when running consumer: {text}"))
        }
    }
    ExitCode::FAILURE
}

fn execute(words: &[String]) -> Result<ExitCode, Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Usage, Failure::Usage)?;
    let Some(args) = begun else { return Ok(ExitCode::SUCCESS) };
    check(&args)?;
    let plan = plan(&args)?;
    let servers = args.value("bootstrap-server")?.unwrap_or_default().to_owned();
    block_on_threads(async {
        let mut options = ConsumerOptions::default();
        let mut group = GroupOptions::new(plan.group.as_str());
        // Offsets of a group that nobody will name again are of no use.
        group.auto_commit = plan.group_given;
        let wrong = |error: client::Error| Failure::Running(error.to_string());
        for (key, value) in plan.settings.iter().filter(|(key, _)| key.as_str() != "group.id") {
            options.set(key, value).map_err(wrong)?;
            group.set(key, value).map_err(wrong)?;
        }
        if !matches!(plan.source, Source::Partition(_)) {
            group.check().map_err(wrong)?;
        }
        let client_options = settings::client_options(&servers, &plan.settings, "console-consumer")
            .map_err(wrong)?;
        let client = Client::new(client_options).map_err(wrong)?;
        read::read(client, options, group, &plan).await.map_err(wrong)
    })?
}

/// Kafka's rules between options, in its order, with its texts.
fn check(args: &Args) -> Result<(), Failure> {
    let refuse = |text: &str| Err(Failure::Usage(text.to_owned()));
    if args.has("topic") == args.has("include") {
        return refuse("Exactly one of the following arguments is required: [topic], [include]");
    }
    if args.has("partition") {
        args.number::<i32>("partition")?;
        if !args.has("topic") {
            return refuse("The topic is required when partition is specified.");
        }
        if args.has("from-beginning") && args.has("offset") {
            return refuse("Options from-beginning and offset cannot be specified together.");
        }
    } else if args.has("offset") {
        return refuse("The partition is required when offset is specified.");
    }
    args.check_required(&["bootstrap-server"]).map_err(Failure::Usage)?;
    for (old, new) in
        [("consumer-property", "command-property"), ("consumer.config", "command-config")]
    {
        if args.has(old) && args.has(new) {
            return refuse(&format!("Options --{old} and --{new} cannot be specified together."));
        }
    }
    for (old, new) in
        [("consumer-property", "command-property"), ("consumer.config", "command-config")]
    {
        if args.has(old) {
            println!(
                "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            );
        }
    }
    Ok(())
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let mut settings = file(args, "command-config")?;
    settings.extend(file(args, "consumer.config")?);
    let mut extra = settings::from_args(
        args.values("command-property").chain(args.values("consumer-property")),
    );
    let group = given_group(args, &settings, &extra)?;
    settings.append(&mut extra);
    let from_beginning = args.has("from-beginning");
    if let Some(reset) = settings.get("auto.offset.reset") {
        if from_beginning && reset != "earliest" {
            return Err(Failure::Plain(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
    } else {
        let reset = if from_beginning { "earliest" } else { "latest" };
        settings.insert("auto.offset.reset".to_owned(), reset.to_owned());
    }
    if let Some(level) = args.value("isolation-level")? {
        settings.insert("isolation.level".to_owned(), level.to_owned());
    }
    let start = start(args, &settings)?;
    let formatter = formatter(args)?;
    let source = match (args.value("topic")?, args.number::<i32>("partition")?) {
        (Some(topic), Some(partition)) => Source::Partition(TopicPartition::new(topic, partition)),
        (Some(topic), None) => Source::Topic(topic.into()),
        (None, _) => {
            let pattern = args.value("include")?.unwrap_or_default();
            let regex = Regex::new(&format!("^(?:{pattern})$"));
            Source::Matching(regex.map_err(|error| Failure::Running(error.to_string()))?)
        }
    };
    let timeout = args.number::<i64>("timeout-ms")?.and_then(|ms| u64::try_from(ms).ok());
    Ok(Plan {
        source,
        start,
        max_messages: args.number::<i64>("max-messages")?.and_then(|max| u64::try_from(max).ok()),
        timeout: timeout.map(Duration::from_millis),
        formatter,
        skip_on_error: args.has("skip-message-on-error"),
        systest_events: args.has("enable-systest-events"),
        settings,
        group_given: group.is_some(),
        group: group.unwrap_or_else(random_group),
    })
}

fn file(args: &Args, name: &str) -> Result<Settings, Failure> {
    match args.value(name)? {
        Some(path) => Ok(settings::from_file(path)?),
        None => Ok(Settings::new()),
    }
}

/// The group, from wherever it was named.
fn given_group(
    args: &Args,
    from_file: &Settings,
    extra: &Settings,
) -> Result<Option<String>, Failure> {
    let mut groups: Vec<&str> = args.value("group")?.into_iter().collect();
    groups.extend(
        [from_file, extra].into_iter().filter_map(|s| s.get("group.id").map(String::as_str)),
    );
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > 1 {
        let list: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return Err(Failure::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer.config') do not match. Detected group ids: {}",
            list.join(", ")
        )));
    }
    match groups.first() {
        Some(_) if args.has("partition") => Err(Failure::Usage(String::from(
            "Options group and partition cannot be specified together.",
        ))),
        group => Ok(group.map(|group| (*group).to_owned())),
    }
}

/// A group for this run only.
fn random_group() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("console-consumer-{}", random % 100_000)
}

fn start(args: &Args, settings: &Settings) -> Result<Start, Failure> {
    let Some(offset) = args.value("offset")? else {
        let reset = settings.get("auto.offset.reset").map(String::as_str);
        let earliest = if args.has("partition") {
            args.has("from-beginning")
        } else {
            reset == Some("earliest")
        };
        return Ok(Start::At(if earliest { OffsetSpec::Earliest } else { OffsetSpec::Latest }));
    };
    match offset.to_lowercase().as_str() {
        "earliest" => Ok(Start::At(OffsetSpec::Earliest)),
        "latest" => Ok(Start::At(OffsetSpec::Latest)),
        number => match number.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Start::Offset(offset)),
            _ => Err(Failure::Usage(format!(
                "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a \
                 non-negative long."
            ))),
        },
    }
}

fn formatter(args: &Args) -> Result<Formatter, Failure> {
    if args.has("property") && args.has("formatter-property") {
        let text = "Options --property and --formatter-property cannot be specified together.";
        return Err(Failure::Usage(text.to_owned()));
    }
    if args.has("property") {
        println!(
            "Option --property is deprecated and will be removed in a future version. Use --formatter-property instead."
        );
    }
    let mut settings = file(args, "formatter-config")?;
    for (option, key) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = args.value(option)?.filter(|class| !class.is_empty()) {
            settings.insert(key.to_owned(), class.to_owned());
        }
    }
    settings.extend(settings::from_args(
        args.values("formatter-property").chain(args.values("property")),
    ));
    Formatter::new(args.value("formatter")?.unwrap_or(FORMATTER), &settings).map_err(Failure::Usage)
}
