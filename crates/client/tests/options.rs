//! Settings by their Kafka keys, addresses, pauses.

use client::backoff::Backoff;
use client::producer::{Acks, ProducerOptions};
use client::{Address, ClientOptions};

#[test]
fn addresses() {
    let check = |text: &str, expected: Option<(&str, u16)>| {
        let expected = expected.map(|(host, port)| Address { host: host.to_owned(), port });
        assert_eq!(Address::parse(text), expected, "{text}");
    };
    check("localhost:9092", Some(("localhost", 9092)));
    check("PLAINTEXT://10.0.0.1:1", Some(("10.0.0.1", 1)));
    check("[::1]:9092", Some(("::1", 9092)));
    check("a-b.c_d:9", Some(("a-b.c_d", 9)));
    check("localhost", None);
    check(":9092", None);
    check("localhost:99999", None);
    check("local host:1", None);
}

#[test]
fn server_lists() {
    let check = |text: &str, expected: Option<usize>| {
        assert_eq!(ClientOptions::bootstrap(text).ok().map(|list| list.len()), expected, "{text}");
    };
    check("a:1", Some(1));
    check("a:1, b:2,", Some(2));
    check("", None);
    check("a:1,b", None);
}

#[test]
fn pauses() {
    let backoff = Backoff { initial_ms: 100, max_ms: 1000 };
    let check = |failures: u32, random: f64, expected: u64| {
        assert_eq!(backoff.after(failures, random), expected, "{failures} {random}");
    };
    check(0, 0.5, 0);
    check(1, 0.5, 100);
    check(1, 0.0, 80);
    check(1, 1.0, 120);
    check(3, 0.5, 400);
    check(5, 1.0, 1000);
    check(u32::MAX, 0.0, 800);
    assert_eq!(Backoff { initial_ms: 0, max_ms: 0 }.after(9, 0.5), 0);
}

#[test]
fn idempotence_follows_the_other_settings() {
    let check = |pairs: &[(&str, &str)], expected: Result<bool, &str>| {
        let mut options = ProducerOptions::default();
        for (key, value) in pairs {
            assert_eq!(options.set(key, value).map_err(|e| e.to_string()), Ok(true), "{key}");
        }
        let resolved =
            options.resolve().map(|options| options.idempotence).map_err(|e| e.to_string());
        match (&resolved, expected) {
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            _ => assert_eq!(resolved, expected.map_err(str::to_owned), "{pairs:?}"),
        }
    };
    check(&[], Ok(true));
    check(&[("acks", "1")], Ok(false));
    check(&[("retries", "0")], Ok(false));
    check(&[("max.in.flight.requests.per.connection", "6")], Ok(false));
    check(&[("acks", "1"), ("enable.idempotence", "true")], Err("acks must be set to all"));
    check(&[("max.in.flight.requests.per.connection", "0")], Err("at least 1"));
}

#[test]
fn values_that_are_refused() {
    let check = |key: &str, value: &str, expected: &str| {
        let error = ProducerOptions::default().set(key, value).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    let one_of = "Invalid value 7 for configuration acks: String must be one of: all, -1, 0, 1";
    check("acks", "7", one_of);
    let codecs = "Invalid value nope for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd";
    check("compression.type", "nope", codecs);
    check(
        "linger.ms",
        "-1",
        "Invalid value -1 for configuration linger.ms: expected a number in its range",
    );
    assert_eq!(Acks::All.code(), -1);
}
