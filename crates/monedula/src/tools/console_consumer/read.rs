//! Reading and printing, as a member of a group or from one partition.

use std::io::{BufWriter, Stdout, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::consumer::{ConsumerOptions, ConsumerRecord};
use client::group::{GroupOptions, Subscription};
use client::{Client, Consumer, GroupConsumer};
use tokio::time::Instant;

use super::super::log;
use super::{Plan, Source};

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

/// Where records come from.
enum Reader {
    Partition(Box<Consumer>),
    Member(Box<GroupConsumer>),
}

impl Reader {
    fn new(
        client: Client,
        options: ConsumerOptions,
        group: GroupOptions,
        plan: &Plan,
    ) -> client::Result<Self> {
        let subscription = match &plan.source {
            Source::Partition(tp) => {
                let mut consumer = Consumer::new(client, options);
                consumer.assign([(tp.clone(), plan.start)]);
                return Ok(Self::Partition(Box::new(consumer)));
            }
            Source::Topic(topic) => Subscription::Topics(vec![Arc::clone(topic)]),
            Source::Matching(regex) => {
                let regex = regex.clone();
                Subscription::Matching(Arc::new(move |topic| regex.is_match(topic)))
            }
        };
        let consumer = GroupConsumer::new(client, group, options, subscription)?;
        Ok(Self::Member(Box::new(consumer)))
    }

    async fn poll(&mut self, wait: Duration) -> client::Result<Vec<ConsumerRecord>> {
        match self {
            Self::Partition(consumer) => consumer.poll(wait).await,
            Self::Member(consumer) => consumer.poll(wait).await,
        }
    }

    /// A record that was taken and not printed: the group reads it again.
    fn give_back(&mut self, record: &ConsumerRecord) {
        if let Self::Member(consumer) = self {
            let tp = TopicPartition::new(Arc::clone(&record.topic), record.partition);
            consumer.seek(&tp, record.offset);
        }
    }

    async fn close(self) {
        if let Self::Member(consumer) = self
            && let Err(error) = consumer.close().await
        {
            log::error(format!("Offsets were not committed: {error}"));
        }
    }
}

pub async fn read(
    client: Client,
    options: ConsumerOptions,
    group: GroupOptions,
    plan: &Plan,
) -> client::Result<ExitCode> {
    let mut reader = Reader::new(client, options, group, plan)?;
    let mut count = 0u64;
    let end = tokio::select! {
        end = print_records(&mut reader, plan, &mut count) => end,
        signal = signal() => End::Signal(signal),
    };
    reader.close().await;
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
    Ok(code)
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

async fn print_records(reader: &mut Reader, plan: &Plan, count: &mut u64) -> End {
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
    let mut last_record = Instant::now();
    while plan.max_messages.is_none_or(|max| *count < max) {
        let until = plan.timeout.and_then(|timeout| last_record.checked_add(timeout));
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let records = match reader.poll(until.map_or(Duration::MAX, left)).await {
            Ok(records) => records,
            Err(error) => {
                let _ = out.flush();
                return End::Failed(error.to_string());
            }
        };
        if records.is_empty() {
            if until.is_some_and(|until| Instant::now() >= until) {
                let ms = plan.timeout.unwrap_or_default().as_millis();
                return End::Failed(format!("no message within {ms} ms"));
            }
            continue;
        }
        for record in records {
            if plan.max_messages.is_some_and(|max| *count >= max) {
                reader.give_back(&record);
                break;
            }
            *count += 1;
            if let Some(end) = print(&record, plan, &mut out) {
                return end;
            }
        }
        if out.flush().is_err() {
            return End::Unwritable;
        }
        last_record = Instant::now();
    }
    if out.flush().is_err() { End::Unwritable } else { End::Enough }
}

fn print(record: &ConsumerRecord, plan: &Plan, out: &mut BufWriter<Stdout>) -> Option<End> {
    let error = plan.formatter.write(record, &mut *out).err()?;
    if error.kind() != std::io::ErrorKind::InvalidData {
        return Some(End::Unwritable);
    }
    if !plan.skip_on_error {
        let _ = out.flush();
        return Some(End::Unprintable(error.to_string()));
    }
    log::error(format!("Error processing message, skipping this message: {error}"));
    None
}
