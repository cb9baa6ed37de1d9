//! `console-consumer`: prints the records of topics or of one partition.

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::admin::OffsetSpec;
use client::consumer::{ConsumerOptions, OffsetReset, Start};
use client::{Client, Consumer, cluster::Topics};
use regex::Regex;
use tokio::time::Instant;

use super::args::{Args, HELP, Opt, VERSION, flag, usage, value};
use super::formatter::Formatter;
use super::settings::{self, Settings};
use super::{KAFKA_VERSION, block_on, log};

pub const ABOUT: &str =
    "This tool helps to read data from Kafka topics and outputs it to standard output.";

const FORMATTER: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

/// Between two looks for the topic while it does not exist.
const DISCOVERY_MS: u64 = 200;

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
    if words.is_empty() {
        return Err(Failure::Usage(ABOUT.to_owned()));
    }
    let args = Args::parse(OPTIONS, words).map_err(Failure::Usage)?;
    if args.has("help") {
        return Err(Failure::Usage(ABOUT.to_owned()));
    }
    if args.has("version") {
        println!("{KAFKA_VERSION}");
        return Ok(ExitCode::SUCCESS);
    }
    check(&args)?;
    let plan = plan(&args)?;
    let servers = args.value("bootstrap-server")?.unwrap_or_default().to_owned();
    block_on(async {
        let mut options = ConsumerOptions::default();
        let wrong = |error: client::Error| Failure::Running(error.to_string());
        for (key, value) in &plan.settings {
            options.set(key, value).map_err(wrong)?;
        }
        let client_options = settings::client_options(&servers, &plan.settings, "console-consumer")
            .map_err(wrong)?;
        let client = Client::new(client_options).map_err(wrong)?;
        Ok(read(client, options, &plan).await)
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
    check_group(args, &settings, &extra)?;
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
    })
}

fn file(args: &Args, name: &str) -> Result<Settings, Failure> {
    match args.value(name)? {
        Some(path) => Ok(settings::from_file(path)?),
        None => Ok(Settings::new()),
    }
}

fn check_group(args: &Args, from_file: &Settings, extra: &Settings) -> Result<(), Failure> {
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
        None => Ok(()),
        Some(_) if args.has("partition") => Err(Failure::Usage(String::from(
            "Options group and partition cannot be specified together.",
        ))),
        Some(group) => Err(Failure::Plain(format!(
            "Consumer groups are not built in yet, so '{group}' cannot be joined: leave the group out to read all \
             partitions of the topic, or read one with --partition and --offset"
        ))),
    }
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

/// Why reading ended.
enum End {
    Enough,
    /// Standard output is closed.
    Unwritable,
    Failed(String),
    /// A record that the formatter cannot print.
    Unprintable(String),
    Signal(u8),
}

async fn read(client: Client, options: ConsumerOptions, plan: &Plan) -> ExitCode {
    let mut count = 0u64;
    let end = tokio::select! {
        end = print_records(client, options, plan, &mut count) => end,
        signal = signal() => End::Signal(signal),
    };
    let code = match end {
        End::Enough => ExitCode::SUCCESS,
        End::Unwritable => {
            eprintln!("Unable to write to standard out, closing consumer.");
            ExitCode::SUCCESS
        }
        End::Failed(reason) => {
            log::error(format!("Error processing message, terminating consumer process: {reason}"));
            ExitCode::SUCCESS
        }
        End::Unprintable(reason) => {
            log::error(format!("Unknown error when running consumer: {reason}"));
            ExitCode::FAILURE
        }
        End::Signal(number) => ExitCode::from(128 + number),
    };
    eprintln!("Processed a total of {count} messages");
    if plan.systest_events {
        println!("shutdown_complete");
    }
    code
}

/// The number of the signal that asks to end.
async fn signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}

async fn print_records(
    client: Client,
    options: ConsumerOptions,
    plan: &Plan,
    count: &mut u64,
) -> End {
    let wants_position =
        matches!(plan.source, Source::Partition(_)) || options.offset_reset != OffsetReset::None;
    let create = options.allow_auto_create_topics;
    let max_age = Duration::from_millis(client.options().metadata_max_age_ms);
    let mut consumer = Consumer::new(client.clone(), options);
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
    let mut next_look = Some(Instant::now());
    let mut last_record = Instant::now();
    while plan.max_messages.is_none_or(|max| *count < max) {
        if next_look.is_some_and(|at| at <= Instant::now()) {
            match discover(&client, &plan.source, create).await {
                Ok(found) if !found.is_empty() && !wants_position => {
                    return End::Failed(String::from(
                        "Undefined offset with no reset policy for partitions",
                    ));
                }
                Ok(found) => {
                    let pause = if found.is_empty() {
                        Duration::from_millis(DISCOVERY_MS)
                    } else {
                        max_age
                    };
                    consumer.add(found.into_iter().map(|tp| (tp, plan.start)));
                    next_look = (!matches!(plan.source, Source::Partition(_)))
                        .then(|| Instant::now() + pause);
                }
                Err(error) => return End::Failed(error.to_string()),
            }
        }
        let idle_until = plan.timeout.and_then(|timeout| last_record.checked_add(timeout));
        let until = [idle_until, next_look].into_iter().flatten().min();
        let wait =
            until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let records = match consumer.poll(wait).await {
            Ok(records) => records,
            Err(error) => {
                let _ = out.flush();
                return End::Failed(error.to_string());
            }
        };
        if records.is_empty() {
            if idle_until.is_some_and(|until| Instant::now() >= until) {
                let ms = plan.timeout.unwrap_or_default().as_millis();
                return End::Failed(format!("no message within {ms} ms"));
            }
            continue;
        }
        for record in records {
            if plan.max_messages.is_some_and(|max| *count >= max) {
                break;
            }
            *count += 1;
            if let Err(error) = plan.formatter.write(&record, &mut out) {
                if error.kind() != std::io::ErrorKind::InvalidData {
                    return End::Unwritable;
                }
                if !plan.skip_on_error {
                    let _ = out.flush();
                    return End::Unprintable(error.to_string());
                }
                log::error(format!("Error processing message, skipping this message: {error}"));
            }
        }
        if out.flush().is_err() {
            return End::Unwritable;
        }
        last_record = Instant::now();
    }
    if out.flush().is_err() { End::Unwritable } else { End::Enough }
}

/// The partitions that exist now. A topic that does not exist yet has none.
async fn discover(
    client: &Client,
    source: &Source,
    create: bool,
) -> client::Result<Vec<TopicPartition>> {
    let topics = match source {
        Source::Partition(tp) => return Ok(vec![tp.clone()]),
        Source::Topic(topic) => Topics::Named(vec![Arc::clone(topic)]),
        Source::Matching(_) => Topics::All,
    };
    let metadata = match client.refresh_once(&topics, create).await {
        Ok(metadata) => metadata,
        Err(error) if error.retriable() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let wanted = |name: &str, internal: bool| match source {
        Source::Topic(topic) => topic.as_ref() == name,
        Source::Matching(regex) => !internal && regex.is_match(name),
        Source::Partition(_) => false,
    };
    let topics = metadata.topics.values().filter(|topic| wanted(&topic.name, topic.internal));
    let partitions = topics.flat_map(|t| {
        t.partitions.iter().map(|p| TopicPartition::new(Arc::clone(&t.name), p.index))
    });
    Ok(partitions.collect())
}
