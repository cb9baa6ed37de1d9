//! Batches that Apache Kafka wrote, read as it reads them; and appends, answered as its log answers (golden/README.md).
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;

use base::{LeaderEpoch, Offset, WallMs};
use records::crc::crc32c;
use records::error::{InvalidRecord, RecordsError};
use records::validate::check_produce;
use records::{
    AnyBatch, AppendFault, AppendOrigin, Batches, Codec, Compression, Prepared, Record,
    TimestampType, ValidationConfig, validate,
};

const BATCHES: &str = include_str!("golden/batches.txt");
const APPENDS: &str = include_str!("golden/appends.txt");
const NOW: WallMs = WallMs(1_700_000_000_000);

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn field(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".into(), |bytes| format!("{}:{:x}", bytes.len(), crc32c(bytes)))
}

fn batch_line(batch: &AnyBatch<'_>) -> String {
    let kind = match batch.timestamp_type() {
        None => "NoTimestampType".to_string(),
        Some(kind) => kind.to_string(),
    };
    let last_sequence = batch.v2().map_or(-1, |header| header.last_sequence());
    [
        "batch".to_string(),
        batch.magic().to_string(),
        batch.base_offset().unwrap().to_string(),
        batch.last_offset().to_string(),
        batch.max_timestamp().to_string(),
        batch.compression().unwrap().to_string(),
        kind,
        batch.size().to_string(),
        batch.producer_id().to_string(),
        batch.producer_epoch().to_string(),
        batch.base_sequence().to_string(),
        last_sequence.to_string(),
        batch.partition_leader_epoch().to_string(),
        batch.is_transactional().to_string(),
        batch.is_control().to_string(),
        batch.check_crc().is_ok().to_string(),
    ]
    .join(" ")
}

fn record_line(record: &Record<'_>) -> String {
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|header| format!("{}={}", field(Some(header.key)), field(header.value)))
        .collect();
    let (key, value) = (field(record.key), field(record.value));
    format!("record {} {} {key} {value} [{}]", record.offset, record.timestamp, headers.join(","))
}

#[test]
fn kafkas_batches_read_as_kafka_reads_them() {
    let mut expected: Vec<(&str, Vec<u8>, Vec<&str>)> = Vec::new();
    for line in BATCHES.lines() {
        match line.strip_prefix("bytes ") {
            Some(rest) => {
                let (name, hex) = rest.split_once(' ').unwrap();
                expected.push((name, unhex(hex), Vec::new()));
            }
            None => expected.last_mut().unwrap().2.push(line),
        }
    }
    assert!(expected.len() > 40);
    for (name, bytes, lines) in expected {
        let mut seen = Vec::new();
        let mut batches = Batches::new(&bytes);
        for batch in &mut batches {
            let batch = batch.unwrap();
            seen.push(batch_line(&batch));
            let mut buffer = Vec::new();
            for record in batch.records(&mut buffer, 1 << 20).unwrap() {
                seen.push(record_line(&record.unwrap()));
            }
        }
        assert_eq!(batches.position(), bytes.len());
        assert_eq!(seen, lines, "{name}");
    }
}

fn config(origin: &str, text: &str) -> ValidationConfig {
    let origin = match origin {
        "CLIENT" => AppendOrigin::Client,
        "COORDINATOR" => AppendOrigin::Coordinator,
        other => panic!("{other}"),
    };
    let mut config = ValidationConfig::new(origin);
    // "compact,delete" holds the separator.
    for pair in text.replace("compact,delete", "compact").split(',').filter(|pair| *pair != "-") {
        let (key, value) = pair.split_once('=').unwrap();
        match key {
            "message.timestamp.type" => config.timestamp_type = TimestampType::LogAppendTime,
            "cleanup.policy" => config.compacted = true,
            "message.timestamp.before.max.ms" => {
                config.timestamp_before_max_ms = value.parse().unwrap()
            }
            "message.timestamp.after.max.ms" => {
                config.timestamp_after_max_ms = value.parse().unwrap()
            }
            "max.message.bytes" => config.max_message_bytes = value.parse().unwrap(),
            "max.decompressed.message.bytes" => {
                config.max_decompressed_message_bytes = value.parse().unwrap()
            }
            "compression.type" => {
                let name = if value == "uncompressed" { "none" } else { value };
                config.compression = Some(Codec::from(name.parse::<Compression>().unwrap()));
            }
            other => panic!("{other}"),
        }
    }
    config
}

fn append(
    version: i16,
    config: &ValidationConfig,
    bytes: &[u8],
) -> Result<(Offset, Prepared), AppendFault> {
    if config.origin == AppendOrigin::Client {
        check_produce(version, bytes)?;
    }
    let mut prepared = validate::prepare(bytes, config, NOW)?;
    let last = prepared.assign_offsets(Offset(100), LeaderEpoch(7));
    Ok((last, prepared))
}

fn answer(result: &Result<(Offset, Prepared), AppendFault>, opaque: bool) -> String {
    let partition = "t-0";
    match result {
        Ok((last, prepared)) => {
            let append_time = prepared.append_time().map_or(-1, |time| time.0);
            let log = if opaque { "-".into() } else { field(Some(prepared.bytes())) };
            format!("ok 100 {last} {} {append_time} {log}", prepared.max_timestamp())
        }
        Err(fault) => {
            let message = fault.response_message(&partition).unwrap_or("-".into());
            let errors: Vec<String> = fault
                .record_errors(&partition)
                .iter()
                .map(|(index, text)| format!("{index} {text}"))
                .collect();
            format!("err {}|{message}|{}", fault.error_code().name(), errors.join("|"))
        }
    }
}

/// Where we answer otherwise on purpose: each class of differences with its reason.
fn excuse(kafka: &str, ours: &Result<(Offset, Prepared), AppendFault>) -> Option<&'static str> {
    use AppendFault::Bytes;
    match ours {
        // Kafka does not compare a compressed record's size with its content, its consumers do.
        Err(Bytes(RecordsError::InvalidRecord(InvalidRecord::Size { .. })))
            if kafka.starts_with("ok ") || kafka.starts_with("err UNKNOWN_SERVER_ERROR") =>
        {
            Some("size of a compressed record")
        }
        // Nor does it compare the count of headers with the size before it runs into the end.
        Err(Bytes(RecordsError::InvalidRecord(InvalidRecord::HeaderCount(_))))
            if kafka.starts_with("err UNKNOWN_SERVER_ERROR") =>
        {
            Some("headers of a compressed record")
        }
        _ => None,
    }
}

#[test]
fn appends_are_answered_as_kafka_answers_them() {
    let mut lines = APPENDS.lines();
    let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    while let (Some(line), Some(expected)) = (lines.next(), lines.next()) {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [_, name, version, origin, topic, hex] = fields[..] else { panic!("{line}") };
        let config = config(origin, topic);
        let opaque = config.compression.is_some_and(|codec| codec != Codec::None);
        let result = append(version.parse().unwrap(), &config, &unhex(hex));
        let ours = answer(&result, opaque);
        count += 1;
        if let Ok((_, prepared)) = &result {
            let batch = AnyBatch::parse(prepared.bytes()).unwrap().unwrap();
            batch.check_crc().unwrap();
            let mut buffer = Vec::new();
            let records = batch.records(&mut buffer, 1 << 20).unwrap();
            assert_eq!(
                records.filter(|record| record.is_ok()).count() as i32,
                prepared.record_count()
            );
        }
        if ours != expected {
            match excuse(expected, &result) {
                Some(reason) => *excused.entry(reason).or_default() += 1,
                None => wrong
                    .push(format!("{name}\n  kafka {expected}\n  ours  {ours} {:?}", result.err())),
            }
        }
    }
    assert!(count > 500, "{count}");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(excused.values().sum::<usize>() < count / 50, "{excused:?}");
}
