//! Requests to other nodes: which version is chosen, what a peer's misbehaviour leads to.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base::NodeId;
use broker::peers::{Address, Channel, PeerError, Peers, PeersConfig};
use net::{Budget, LinkLimits};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const WITHIN: Duration = Duration::from_secs(60);

fn peers() -> Peers {
    Peers::new(PeersConfig {
        node_id: NodeId(7),
        limits: LinkLimits {
            answer_bytes_max: 1 << 20,
            budget: Budget::new(8 << 20),
            in_flight_max: 4,
            connect_timeout_ms: 30_000,
            idle_ms_max: 60_000,
        },
        unstable: false,
    })
}

async fn listen() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Address::new("127.0.0.1", port))
}

/// Key, version and correlation id of the next request.
async fn read(stream: &mut TcpStream) -> (i16, i16, [u8; 4]) {
    let mut size = [0; 4];
    stream.read_exact(&mut size).await.unwrap();
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut frame).await.unwrap();
    let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    (short(0), short(2), frame[4..8].try_into().unwrap())
}

async fn write(stream: &mut TcpStream, id: [u8; 4], body: &[u8]) {
    let mut frame = (4 + body.len() as u32).to_be_bytes().to_vec();
    frame.extend(id);
    frame.extend(body);
    stream.write_all(&frame).await.unwrap();
}

/// Answers ApiVersions as a node of version 0 of that API does, offering BrokerHeartbeat from `low` to `high`.
async fn offer(stream: &mut TcpStream, low: i16, high: i16) {
    let mut body = vec![0, 35, 0, 0, 0, 2];
    for (key, low, high) in [(18, 0, 0), (63, low, high)] {
        for field in [key, low, high] {
            body.extend(i16::to_be_bytes(field));
        }
    }
    loop {
        let (key, version, id) = read(stream).await;
        assert_eq!(key, 18);
        if version == 0 {
            body[1] = 0;
            write(stream, id, &body).await;
            return;
        }
        write(stream, id, &body).await;
    }
}

fn heartbeat() -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest { broker_id: 7, broker_epoch: 3, ..Default::default() }
}

#[tokio::test]
async fn the_version_is_the_highest_that_both_sides_speak() {
    let (listener, address) = listen().await;
    let peer = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        offer(&mut stream, 0, 1).await;
        let (key, version, id) = read(&mut stream).await;
        // Tag buffer of the header, throttle time, error, three flags, tag buffer.
        write(&mut stream, id, &[0, 0, 0, 0, 5, 0, 0, 1, 0, 0, 0]).await;
        (key, version)
    });
    let peers = peers();
    let build = |version| {
        assert_eq!(version, 1);
        Ok(heartbeat())
    };
    let answered = peers.send(&address, Channel::Controller, WITHIN, build).await.unwrap();
    assert_eq!(answered.version, 1);
    let answer: BrokerHeartbeatResponse = answered.decode().unwrap();
    assert_eq!((answer.throttle_time_ms, answer.is_caught_up), (5, true));
    assert_eq!(peer.await.unwrap(), (63, 1));
}

#[tokio::test]
async fn what_a_peer_does_not_serve_is_not_sent() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        offer(&mut stream, 90, 99).await;
        tokio::time::sleep(WITHIN).await;
    });
    let error =
        peers().send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat())).await.unwrap_err();
    assert!(matches!(error, PeerError::UnsupportedVersion { .. }), "{error}");
    assert!(error.unsent());
}

#[tokio::test]
async fn a_lost_connection_is_opened_anew_by_the_next_request() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        offer(&mut stream, 0, 0).await;
        read(&mut stream).await;
        drop(stream);
        let mut stream = listener.accept().await.unwrap().0;
        offer(&mut stream, 0, 0).await;
        let (_, version, id) = read(&mut stream).await;
        assert_eq!(version, 0);
        write(&mut stream, id, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).await;
    });
    let peers = peers();
    let ask = || peers.send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat()));
    let error = ask().await.unwrap_err();
    assert!(matches!(error, PeerError::Lost { .. }) && !error.unsent(), "{error}");
    ask().await.unwrap();
}

#[tokio::test]
async fn nobody_waits_behind_an_answer_that_is_not_wanted_any_more() {
    let (listener, address) = listen().await;
    let (got, asked) = oneshot::channel();
    let peer = tokio::spawn(async move {
        let mut first = listener.accept().await.unwrap().0;
        offer(&mut first, 0, 0).await;
        read(&mut first).await;
        got.send(()).unwrap();
        // It is closed without an answer.
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
        let mut second = listener.accept().await.unwrap().0;
        offer(&mut second, 0, 0).await;
        let (_, _, id) = read(&mut second).await;
        write(&mut second, id, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).await;
    });
    let peers = peers();
    let ask = || peers.send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat()));
    tokio::select! {
        answer = ask() => panic!("nobody answers: {answer:?}"),
        asked = asked => asked.unwrap(),
    }
    peers.close(&address, Channel::Controller);
    ask().await.unwrap();
    peer.await.unwrap();
}

#[tokio::test]
async fn channels_do_not_wait_for_each_other() {
    let (listener, address) = listen().await;
    let (got, asked) = oneshot::channel();
    tokio::spawn(async move {
        let mut silent = listener.accept().await.unwrap().0;
        offer(&mut silent, 0, 0).await;
        got.send(()).unwrap();
        let mut other = listener.accept().await.unwrap().0;
        offer(&mut other, 0, 0).await;
        let (_, _, id) = read(&mut other).await;
        write(&mut other, id, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).await;
        tokio::time::sleep(WITHIN).await;
    });
    let peers = peers();
    let waiting = peers.clone();
    let to = address.clone();
    let blocked = tokio::spawn(async move {
        waiting.send(&to, Channel::Quorum, WITHIN, |_| Ok(heartbeat())).await
    });
    asked.await.unwrap();
    peers.send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat())).await.unwrap();
    blocked.abort();
}

#[tokio::test]
async fn nobody_there_is_told_in_time() {
    let (listener, address) = listen().await;
    drop(listener);
    let peers = peers();
    for _ in 0..3 {
        let error = peers
            .send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat()))
            .await
            .unwrap_err();
        assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        offer(&mut stream, 0, 0).await;
        let (_, _, id) = read(&mut stream).await;
        write(&mut stream, id, &[0, 0, 0]).await;
        tokio::time::sleep(WITHIN).await;
    });
    let answered =
        peers().send(&address, Channel::Controller, WITHIN, |_| Ok(heartbeat())).await.unwrap();
    let error = answered.decode::<BrokerHeartbeatResponse>().unwrap_err();
    assert!(matches!(error, PeerError::Unreadable { .. }), "{error}");
}
