//! The server against raw sockets: framing, order, limits, shutdown.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use net::{
    Budget, Chunk, Connection, ConnectionLimits, FileRegion, Frame, Handled, ListenerConfig,
};
use net::{Response, Server, ServerLimits, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct File(std::fs::File, bool);

impl FileRegion for File {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.1.then(|| self.0.as_fd())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, position)
    }
}

/// Frames are commands: `slow`, `late` (slow and counted), `owed…` and `waiting…` (for ever), `none`, `close`, `file` (by descriptor), `copy` (by reading); others are echoed.
struct Commands;

/// How often something was owed for ever.
static OWED: AtomicUsize = AtomicUsize::new(0);
/// How often something was owed that comes when the server ends.
static LATE: AtomicUsize = AtomicUsize::new(0);

/// Waits for what must come, however busy the machine is.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Service for Commands {
    async fn call(self: Arc<Self>, _: Arc<Connection>, frame: Frame) -> Handled {
        let text = String::from_utf8_lossy(&frame.bytes).to_string();
        match text.as_str() {
            "slow" => Handled::Later(Box::pin(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some(Response::bytes("slow"))
            })),
            "late" => {
                LATE.fetch_add(1, Ordering::SeqCst);
                Handled::Later(Box::pin(async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Some(Response::bytes("late"))
                }))
            }
            _ if text.starts_with("owed") => {
                OWED.fetch_add(1, Ordering::SeqCst);
                Handled::Later(Box::pin(std::future::pending()))
            }
            _ if text.starts_with("waiting") => {
                OWED.fetch_add(1, Ordering::SeqCst);
                Handled::Waiting(Box::pin(std::future::pending()))
            }
            "none" => Handled::Now(None),
            "broken" => Handled::Later(Box::pin(async { None })),
            "large" => Handled::Now(Some(Response::bytes(vec![7; 64 << 20]))),
            "close" => Handled::Close,
            "file" | "copy" => {
                let mut file = tempfile();
                file.write_all(&(0..300_000u32).map(|i| i as u8).collect::<Vec<_>>()).unwrap();
                let file = Arc::new(File(file, text == "file"));
                let region = Chunk::File { file, position: 256, len: 299_000 };
                Handled::Now(Some(Response { chunks: vec![Chunk::Bytes("<".into()), region] }))
            }
            _ => Handled::Now(Some(Response::bytes(text))),
        }
    }
}

fn tempfile() -> std::fs::File {
    let path = std::env::temp_dir().join(format!(
        "net-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn start(limits: ServerLimits) -> (Server, SocketAddr) {
    let config = ListenerConfig { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 0 };
    let mut server = Server::bind(&[config], limits).unwrap();
    let address = server.addresses()[0].1;
    server.serve(|_| Some(Arc::new(Commands)));
    (server, address)
}

fn limited(max: usize, per_ip_max: usize) -> ServerLimits {
    let connections = ConnectionLimits { max, per_ip_max, per_ip_overrides: Default::default() };
    ServerLimits { connections, ..Default::default() }
}

async fn send(stream: &mut TcpStream, text: &str) {
    let mut frame = (text.len() as u32).to_be_bytes().to_vec();
    frame.extend(text.as_bytes());
    stream.write_all(&frame).await.unwrap();
}

async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let len = stream.read_u32().await.ok()?;
    let mut bytes = vec![0; len as usize];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

#[tokio::test]
async fn responses_keep_the_order_of_requests() {
    let (_server, address) = start(ServerLimits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    for text in ["a", "slow", "none", "b", "slow", "c"] {
        send(&mut stream, text).await;
    }
    for expected in ["a", "slow", "b", "slow", "c"] {
        assert_eq!(receive(&mut stream).await.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn file_ranges_arrive_whole_both_ways() {
    let (_server, address) = start(ServerLimits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    for command in ["file", "copy"] {
        send(&mut stream, command).await;
        let got = receive(&mut stream).await.unwrap();
        assert_eq!(got.len(), 299_001);
        assert_eq!(got[0], b'<');
        assert!(got[1..].iter().enumerate().all(|(i, b)| *b == (i + 256) as u8));
    }
}

#[tokio::test]
async fn a_frame_in_pieces_and_a_large_one_are_read() {
    let (_server, address) = start(ServerLimits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    for byte in [0u8, 0, 0, 2, b'h', b'i'] {
        stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(receive(&mut stream).await.unwrap(), b"hi");
    let large = "x".repeat(5_000_000);
    let (mut read, mut write) = stream.split();
    let body = [&(large.len() as u32).to_be_bytes()[..], large.as_bytes()].concat();
    let writing = async { write.write_all(&body).await.unwrap() };
    let reading = async {
        let len = read.read_u32().await.unwrap();
        let mut bytes = vec![0; len as usize];
        read.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, large.as_bytes());
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn bad_lengths_close_the_connection() {
    let (_server, address) = start(ServerLimits { request_bytes_max: 1000, ..Default::default() });
    for length in [-1i32, i32::MIN, i32::MAX, 1001] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(receive(&mut stream).await, None, "{length}");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "still here").await;
    assert_eq!(receive(&mut stream).await.unwrap(), b"still here");
}

#[tokio::test]
async fn connections_are_limited_by_address() {
    let (server, address) = start(limited(10, 1));
    let mut first = TcpStream::connect(address).await.unwrap();
    send(&mut first, "x").await;
    receive(&mut first).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    send(&mut second, "x").await;
    assert_eq!(receive(&mut second).await, None);
    drop(first);
    until("the first is gone", || server.quota().connections() == 0).await;
    let mut third = TcpStream::connect(address).await.unwrap();
    send(&mut third, "x").await;
    assert_eq!(receive(&mut third).await.unwrap(), b"x");
}

#[tokio::test]
async fn at_the_limit_of_connections_a_new_one_waits() {
    let limits = limited(1, 10);
    let (_server, address) = start(limits);
    let mut first = TcpStream::connect(address).await.unwrap();
    send(&mut first, "x").await;
    receive(&mut first).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    send(&mut second, "y").await;
    let waits = tokio::time::timeout(Duration::from_millis(150), receive(&mut second)).await;
    assert!(waits.is_err());
    drop(first);
    assert_eq!(receive(&mut second).await.unwrap(), b"y");
}

#[tokio::test]
async fn limits_change_while_the_server_runs() {
    let (server, address) = start(limited(1, 10));
    let mut first = TcpStream::connect(address).await.unwrap();
    send(&mut first, "x").await;
    receive(&mut first).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    send(&mut second, "y").await;
    let waits = tokio::time::timeout(Duration::from_millis(100), receive(&mut second)).await;
    assert!(waits.is_err());
    server.quota().set_limits(limited(2, 10).connections);
    assert_eq!(receive(&mut second).await.unwrap(), b"y");
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let (_server, address) = start(ServerLimits { idle_ms_max: 60, ..Default::default() });
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "slow").await; // owed for longer than the idle time
    assert_eq!(receive(&mut stream).await.unwrap(), b"slow");
    let closed = tokio::time::timeout(Duration::from_secs(60), receive(&mut stream)).await;
    assert_eq!(closed.unwrap(), None);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let (server, address) = start(ServerLimits { idle_ms_max: 100, ..Default::default() });
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "large").await;
    // Something of the answer comes: the connection was there.
    stream.readable().await.unwrap();
    let quota = server.quota();
    until("the connection is gone", || quota.connections() == 0).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_made_ends_the_connection() {
    let (_server, address) = start(ServerLimits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "broken").await;
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn shutdown_sends_what_is_owed() {
    let (server, address) = start(ServerLimits::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "late").await;
    until("it is owed", || LATE.load(Ordering::SeqCst) > 0).await;
    server.shutdown(Duration::from_secs(60)).await;
    assert_eq!(receive(&mut stream).await.unwrap(), b"late");
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn the_budget_is_given_back() {
    let budget = Budget::new(8 << 20);
    let limits = ServerLimits { budget: budget.clone(), ..Default::default() };
    let (_server, address) = start(limits);
    let before = budget.available_bytes();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = "x".repeat(1_000_000);
    let (mut read, mut write) = stream.split();
    let body = [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    let reading = async {
        let mut bytes = vec![0; 1_000_004];
        read.read_exact(&mut bytes).await.unwrap();
    };
    tokio::join!(async { write.write_all(&body).await.unwrap() }, reading);
    drop(stream);
    until("all is given back", || budget.available_bytes() == before).await;
}

#[tokio::test]
async fn who_waits_for_others_keeps_nothing_of_the_budget() {
    for (command, keeps) in [("owed", true), ("waiting", false)] {
        let budget = Budget::new(8 << 20);
        let limits = ServerLimits { budget: budget.clone(), ..Default::default() };
        let (_server, address) = start(limits);
        let before = budget.available_bytes();
        let handled = OWED.load(Ordering::SeqCst);
        let mut stream = TcpStream::connect(address).await.unwrap();
        send(&mut stream, &format!("{command}{}", " ".repeat(1 << 20))).await;
        let is_over = || OWED.load(Ordering::SeqCst) > handled;
        until(command, || is_over() && (keeps || budget.available_bytes() == before)).await;
        assert_eq!(budget.available_bytes() < before, keeps, "{command}");
    }
}

#[test]
fn a_taken_port_is_named_in_the_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = ListenerConfig { name: "EXTERNAL".into(), host: "127.0.0.1".into(), port };
        let error = Server::bind(&[config], ServerLimits::default()).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot listen on EXTERNAL://127.0.0.1:{port}"));
    });
}
