//! `console-producer`: each line of standard input becomes a record.

use std::collections::VecDeque;
use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use client::producer::{Delivery, ProducerOptions, ProducerRecord};
use client::{Client, Producer};
use tokio::sync::mpsc;

use super::args::{Args, HELP, Opt, Takes, VERSION, flag, value};
use super::failure::{Failure, end};
use super::line_reader::LineReader;
use super::settings::{self, Settings};
use super::{block_on, log};

pub const ABOUT: &str = "This tool helps to read data from standard input and publish it to Kafka.";

const READER: &str = "org.apache.kafka.tools.LineMessageReader";

const OPTIONS: &[Opt] = &[
    value("topic", "topic", "Required. Topic to write to."),
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    flag("sync", "Wait for the answer to each record before the next is sent."),
    Opt {
        name: "compression-codec",
        takes: Takes::MaybeValue("codec"),
        help: "none, gzip, snappy, lz4 or zstd; gzip when no name follows.",
    },
    value(
        "batch-size",
        "bytes",
        "Bytes collected for a partition before they are sent. Default: 16384.",
    ),
    value("max-partition-memory-bytes", "bytes", "The same as --batch-size, and before it."),
    value(
        "message-send-max-retries",
        "number",
        "How often a batch is sent again (retries). Default: 3.",
    ),
    value("retry-backoff-ms", "ms", "Pause before a batch is sent again. Default: 100."),
    value("timeout", "ms", "Longest wait for a batch to fill (linger.ms). Default: 1000."),
    value("request-required-acks", "acks", "0, 1, or -1 (all). Default: -1."),
    value("request-timeout-ms", "ms", "Longest wait for an answer. Default: 1500."),
    value("metadata-expiry-ms", "ms", "Age at which metadata is asked for again. Default: 300000."),
    value("max-block-ms", "ms", "Longest wait for metadata and for room. Default: 60000."),
    value(
        "max-memory-bytes",
        "bytes",
        "Bytes of records that may wait (buffer.memory). Default: 33554432.",
    ),
    value("socket-buffer-size", "bytes", "Accepted without effect: the system sizes the buffer."),
    value("line-reader", "class", "Class that reads lines. Only Kafka's own is known."),
    value(
        "reader-property",
        "key=value",
        "Setting of the line reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, \
         headers.key.separator, ignore.error, null.marker. May be repeated.",
    ),
    value("property", "key=value", "Deprecated name of --reader-property."),
    value("reader-config", "file", "Properties file with settings of the line reader."),
    value("command-property", "key=value", "Setting of the producer. May be repeated."),
    value("producer-property", "key=value", "Deprecated name of --command-property."),
    value("command-config", "file", "Properties file with settings of the producer."),
    value("producer.config", "file", "Deprecated name of --command-config."),
    HELP,
    VERSION,
];

/// Old and new names of the same option.
const RENAMED: [(&str, &str); 3] = [
    ("property", "reader-property"),
    ("producer-property", "command-property"),
    ("producer.config", "command-config"),
];

pub fn run(words: &[String]) -> ExitCode {
    end(OPTIONS, execute(words))
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Usage, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    args.check_required(&["topic"]).map_err(Failure::Usage)?;
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    settings::check_servers(servers).map_err(Failure::Usage)?;
    for (old, new) in RENAMED {
        if args.has(old) && args.has(new) {
            return Err(Failure::Usage(format!(
                "Options --{new} and --{old} cannot be specified together."
            )));
        }
        if args.has(old) {
            println!(
                "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            );
        }
    }
    let class = args.value("line-reader")?.unwrap_or(READER);
    if class != READER {
        return Err(Failure::Plain(format!("{class}: only {READER} is built in")));
    }
    let mut reader_settings = file(&args, "reader-config")?;
    reader_settings
        .extend(settings::from_args(args.values("reader-property").chain(args.values("property"))));
    let reader = LineReader::new(&reader_settings)?;
    let settings = producer_settings(&args)?;
    let topic: Arc<str> = args.value("topic")?.unwrap_or_default().into();
    let sync = args.has("sync");
    block_on(async {
        let (client, options) = producer_options(servers, &settings)?;
        let producer = Producer::new(client, options)?;
        let result = send_lines(&producer, &reader, &topic, sync).await;
        producer.close().await;
        let waiting = result?;
        waiting.into_iter().for_each(|sent| drop(report(&topic, sent)));
        Ok(())
    })?
}

fn file(args: &Args, name: &str) -> Result<Settings, Failure> {
    match args.value(name)? {
        Some(path) => Ok(settings::from_file(path)?),
        None => Ok(Settings::new()),
    }
}

/// File, then properties, then options; an option's default only where nothing else is said.
fn producer_settings(args: &Args) -> Result<Settings, Failure> {
    let mut settings = file(args, "command-config")?;
    settings.extend(file(args, "producer.config")?);
    settings.extend(settings::from_args(
        args.values("command-property").chain(args.values("producer-property")),
    ));
    let codec = match (args.has("compression-codec"), args.value("compression-codec")?) {
        (false, _) => "none",
        (true, None | Some("")) => "gzip",
        (true, Some(name)) => name,
    };
    settings.insert("compression.type".to_owned(), codec.to_owned());
    let merged = [
        ("linger.ms", "timeout", "1000"),
        ("acks", "request-required-acks", "-1"),
        ("request.timeout.ms", "request-timeout-ms", "1500"),
        ("retries", "message-send-max-retries", "3"),
        ("retry.backoff.ms", "retry-backoff-ms", "100"),
        ("buffer.memory", "max-memory-bytes", "33554432"),
        ("batch.size", "batch-size", "16384"),
        ("batch.size", "max-partition-memory-bytes", "16384"),
        ("metadata.max.age.ms", "metadata-expiry-ms", "300000"),
        ("max.block.ms", "max-block-ms", "60000"),
    ];
    for (key, option, default) in merged {
        if option != "request-required-acks" {
            args.number::<i64>(option)?;
        }
        if let Some(value) = args.value(option)? {
            settings.insert(key.to_owned(), value.to_owned());
        } else {
            settings.entry(key.to_owned()).or_insert_with(|| default.to_owned());
        }
    }
    Ok(settings)
}

fn producer_options(
    servers: &str,
    settings: &Settings,
) -> Result<(Client, ProducerOptions), Failure> {
    let mut options = ProducerOptions::default();
    // The level of a compression counts only once its type is known.
    if let Some(codec) = settings.get("compression.type") {
        options.set("compression.type", codec)?;
    }
    for (key, value) in settings.iter().filter(|(key, _)| key.as_str() != "compression.type") {
        options.set(key, value)?;
    }
    let client = settings::client_options(servers, settings, "console-producer")?;
    Ok((Client::new(client)?, options.resolve()?))
}

/// A record on its way, with the sizes that an error message names.
struct Sent {
    delivery: Result<Delivery, client::Error>,
    key: Option<usize>,
    value: Option<usize>,
}

async fn send_lines(
    producer: &Producer,
    reader: &LineReader,
    topic: &Arc<str>,
    sync: bool,
) -> Result<VecDeque<Sent>, Failure> {
    let (sender, mut lines) = mpsc::channel(4);
    std::thread::spawn(move || read_lines(&sender));
    let mut number = 0u64;
    let mut waiting: VecDeque<Sent> = VecDeque::new();
    while let Some(chunk) = lines.recv().await {
        for line in chunk? {
            number += 1;
            let parsed = reader.parse(&line, number)?;
            let bytes = |text: String| Bytes::from(text.into_bytes());
            let record = ProducerRecord {
                topic: Arc::clone(topic),
                key: parsed.key.map(bytes),
                value: parsed.value.map(bytes),
                headers: parsed
                    .headers
                    .into_iter()
                    .map(|(key, value)| (key, value.map(bytes)))
                    .collect(),
                ..Default::default()
            };
            let (key, value) =
                (record.key.as_ref().map(Bytes::len), record.value.as_ref().map(Bytes::len));
            let delivery = producer.send(record).await;
            if sync {
                delivery?.wait().await?;
                continue;
            }
            let failed = delivery.is_err();
            waiting.push_back(Sent { delivery, key, value });
            while waiting.front().is_some_and(|first| failed || first.is_answered()) {
                match waiting.pop_front() {
                    Some(first) if first.is_answered() => report(topic, first)?,
                    Some(first) => {
                        waiting.push_front(first);
                        break;
                    }
                    None => break,
                }
            }
        }
    }
    Ok(waiting)
}

impl Sent {
    fn is_answered(&self) -> bool {
        self.delivery.as_ref().map_or(true, |delivery| delivery.answer().is_some())
    }
}

/// Logs a record that was not stored. A tool that can write no more must end.
fn report(topic: &str, sent: Sent) -> Result<(), Failure> {
    let error = match sent.delivery {
        Err(error) => error,
        Ok(delivery) => match delivery.answer() {
            Some(Err(error)) => error,
            _ => return Ok(()),
        },
    };
    let size =
        |size: Option<usize>| size.map_or(String::from("null"), |size| format!("{size} bytes"));
    let (key, value) = (size(sent.key), size(sent.value));
    log::error(format!(
        "Error when sending message to topic {topic} with key: {key}, value: {value} with error: {error}"
    ));
    if matches!(error, client::Error::Closed) { Err(error.into()) } else { Ok(()) }
}

/// Reads standard input to its end on a thread of its own. Lines end with LF, CR or CRLF, as in Java.
fn read_lines(sender: &mpsc::Sender<Result<Vec<String>, String>>) {
    let prompt = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let show_prompt = || {
        if prompt {
            print!(">");
            let _ = std::io::stdout().flush();
        }
    };
    let mut input = std::io::stdin().lock();
    let mut chunk = vec![0u8; 64 * 1024];
    let mut splitter = Splitter::default();
    show_prompt();
    loop {
        let read = match input.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = sender.blocking_send(Err(format!("cannot read standard input: {error}")));
                return;
            }
        };
        let lines = splitter.split(chunk.get(..read).unwrap_or_default());
        let some = !lines.is_empty();
        if some && sender.blocking_send(Ok(lines)).is_err() || read == 0 {
            return;
        }
        if some {
            show_prompt();
        }
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
struct Splitter {
    rest: Vec<u8>,
    /// The last byte was a CR: an LF right after it ends no line of its own.
    after_cr: bool,
}

impl Splitter {
    /// The lines that end in `bytes`; an empty slice is the end of the stream and gives the last one.
    fn split(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        if bytes.is_empty() && !self.rest.is_empty() {
            lines.push(self.take());
        }
        let mut bytes = bytes;
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = bytes.iter().position(|b| *b == b'\n' || *b == b'\r') else {
                self.rest.extend_from_slice(bytes);
                break;
            };
            let (line, rest) = bytes.split_at(end);
            self.rest.extend_from_slice(line);
            lines.push(self.take());
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
        }
        lines
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.rest);
        String::from_utf8(line)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests;
