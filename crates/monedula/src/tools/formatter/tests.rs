//! Records against what Kafka's formatter prints of them.

use bytes::Bytes;
use records::TimestampType;

use super::*;

fn record() -> ConsumerRecord {
    ConsumerRecord {
        topic: "t".into(),
        partition: 2,
        offset: 7,
        leader_epoch: 3,
        timestamp: 1234,
        timestamp_type: Some(TimestampType::CreateTime),
        key: Some(Bytes::from_static(b"k")),
        value: None,
        headers: vec![("h".to_owned(), Some(Bytes::from_static(b"v"))), ("i".to_owned(), None)],
    }
}

fn check(properties: &[&str], record: &ConsumerRecord, expected: &str) {
    let settings = super::super::settings::from_args(properties.iter().copied());
    let formatter =
        Formatter::new("org.apache.kafka.tools.consumer.DefaultMessageFormatter", &settings)
            .unwrap();
    let mut out = Vec::new();
    formatter.write(record, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{properties:?}");
}

#[test]
fn columns() {
    let all = ["timestamp", "partition", "offset", "delivery", "epoch", "headers", "key"];
    let all: Vec<String> = all.iter().map(|column| format!("print.{column}=true")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let line = "CreateTime:1234\tPartition:2\tOffset:7\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\th:v,i:null\tk\tnull\n";
    check(&all, &record(), line);
    check(&[], &record(), "null\n");
    check(&["print.value=false"], &record(), "");
    check(&["print.value=false", "print.key=true"], &record(), "k\n");
    let marks = ["print.key=true", "key.separator=|", "line.separator=#", "null.literal=-"];
    check(&marks, &record(), "k|-#");
    check(&["print.headers=true", "headers.separator=;"], &record(), "h:v;i:null\tnull\n");
    let bare = ConsumerRecord { headers: Vec::new(), timestamp_type: None, ..record() };
    check(
        &["print.headers=true", "print.timestamp=true"],
        &bare,
        "NO_TIMESTAMP\tNO_HEADERS\tnull\n",
    );
}

#[test]
fn deserializers() {
    let class = "org.apache.kafka.common.serialization.LongDeserializer";
    let number =
        ConsumerRecord { value: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 1, 2])), ..record() };
    check(&[&format!("value.deserializer={class}")], &number, "258\n");
    let settings =
        super::super::settings::from_args(["value.deserializer=no.such.Class"].into_iter());
    let unknown = Formatter::new("kafka.tools.DefaultMessageFormatter", &settings).unwrap_err();
    assert!(unknown.contains("no.such.Class"), "{unknown}");
    assert_eq!(
        Formatter::new("no.such.Formatter", &Settings::new()).unwrap_err(),
        "no.such.Formatter"
    );
}
