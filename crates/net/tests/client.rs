//! The asking side against peers that behave, and against peers that do not.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use net::{Budget, Link, LinkError, LinkLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

fn limits() -> LinkLimits {
    LinkLimits {
        answer_bytes_max: 1 << 20,
        budget: Budget::new(8 << 20),
        in_flight_max: 4,
        connect_timeout_ms: 30_000,
        idle_ms_max: 60_000,
    }
}

/// A request of 12 bytes after its size: key, version, correlation id, and a word.
fn request(word: u32) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 12, 0, 18, 0, 3, 0, 0, 0, 0];
    frame.extend(word.to_be_bytes());
    frame
}

async fn read_request(stream: &mut TcpStream) -> Option<(i32, u32)> {
    let mut frame = [0; 16];
    stream.read_exact(&mut frame).await.ok()?;
    let id = i32::from_be_bytes(frame[8..12].try_into().unwrap());
    Some((id, u32::from_be_bytes(frame[12..16].try_into().unwrap())))
}

fn answer(id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = (4 + body.len() as u32).to_be_bytes().to_vec();
    frame.extend(id.to_be_bytes());
    frame.extend(body);
    frame
}

async fn pair(limits: &LinkLimits) -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let link = Link::connect("127.0.0.1", port, limits).await.unwrap();
    (link, listener.accept().await.unwrap().0)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn many_requests_are_under_way_and_each_gets_its_own_answer() {
    let (link, mut peer) = pair(&limits()).await;
    let ask = |word| {
        let link = link.clone();
        tokio::spawn(async move { link.exchange(request(word), soon()).await.unwrap().bytes })
    };
    let asked: Vec<_> = (0..4).map(ask).collect();
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(read_request(&mut peer).await.unwrap());
    }
    for (id, word) in got {
        peer.write_all(&answer(id, &word.to_be_bytes())).await.unwrap();
    }
    for (word, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.await.unwrap()[4..], (word as u32).to_be_bytes());
    }
}

#[tokio::test]
async fn a_foreign_correlation_id_ends_the_connection() {
    let (link, mut peer) = pair(&limits()).await;
    let asked = link.exchange(request(1), soon());
    let answered = async {
        let (id, _) = read_request(&mut peer).await.unwrap();
        peer.write_all(&answer(id + 1, b"x")).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asked, answered);
    assert_eq!(
        asked.unwrap_err(),
        LinkError::Disconnected("the peer answered out of order".into())
    );
    assert!(link.is_closed());
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_answer_over_the_limit_and_one_that_nobody_asked_for_end_the_connection() {
    for frame in [((1u32 << 20) + 1).to_be_bytes().to_vec(), answer(0, b"unasked"), vec![0xff; 4]] {
        let (link, mut peer) = pair(&limits()).await;
        peer.write_all(&frame).await.unwrap();
        assert_eq!(peer.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(link.exchange(request(1), soon()).await.is_err());
    }
}

#[tokio::test]
async fn silence_costs_the_connection_and_everyone_who_waits_on_it() {
    let (link, mut peer) = pair(&limits()).await;
    let patient = link.exchange(request(1), soon());
    let short = link.exchange(request(2), Instant::now() + Duration::from_millis(50));
    let (patient, short) = tokio::join!(patient, short);
    assert_eq!(short.unwrap_err(), LinkError::TimedOut);
    assert!(matches!(patient.unwrap_err(), LinkError::Disconnected(_)));
    while peer.read(&mut [0; 64]).await.unwrap() > 0 {}
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_waiting_one_is_not() {
    let limits = LinkLimits { idle_ms_max: 50, ..limits() };
    let (link, mut peer) = pair(&limits).await;
    let answered = async {
        let (id, _) = read_request(&mut peer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        peer.write_all(&answer(id, b"late")).await.unwrap();
    };
    let (asked, ()) = tokio::join!(link.exchange(request(1), soon()), answered);
    assert_eq!(&asked.unwrap().bytes[4..], b"late");
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0, "closed when idle");
    assert!(link.is_closed());
}

#[tokio::test]
async fn the_last_user_closes_the_connection() {
    let (link, mut peer) = pair(&limits()).await;
    drop(link.clone());
    assert!(!link.is_closed());
    drop(link);
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
}
