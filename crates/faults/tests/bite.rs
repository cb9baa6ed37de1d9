//! Each fault bites: a client, the proxy, and a server that speaks frames and answers each with what it got.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const VOTE: i16 = 52;
const SOON: Duration = Duration::from_millis(150);
/// What must come is waited for so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server got: API key and correlation id of each request, and the sizes of the pieces that it read.
#[derive(Default)]
struct Got {
    requests: Mutex<Vec<(i16, i32)>>,
    pieces: Mutex<Vec<usize>>,
}

impl Got {
    fn requests(&self) -> Vec<(i16, i32)> {
        self.requests.lock().unwrap().clone()
    }

    fn await_requests(&self, count: usize) -> Vec<(i16, i32)> {
        let begin = Instant::now();
        while self.requests().len() < count && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.requests()
    }
}

fn echo_server() -> (SocketAddr, Arc<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let got = Arc::new(Got::default());
    let server = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, got) = (stream.unwrap(), Arc::clone(&server));
            std::thread::spawn(move || echo(stream, &got));
        }
    });
    (address, got)
}

fn echo(mut stream: TcpStream, got: &Got) {
    let mut buffer = Vec::new();
    let mut piece = vec![0; 1 << 20];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        got.pieces.lock().unwrap().push(n);
        buffer.extend_from_slice(&piece[..n]);
        while let Some(length) = buffer.first_chunk().map(|n| u32::from_be_bytes(*n) as usize) {
            if buffer.len() < 4 + length {
                break;
            }
            let frame: Vec<u8> = buffer.drain(..4 + length).skip(4).collect();
            let api = i16::from_be_bytes([frame[0], frame[1]]);
            let correlation: [u8; 4] = frame[4..8].try_into().unwrap();
            got.requests.lock().unwrap().push((api, i32::from_be_bytes(correlation)));
            let answer = [&correlation[..], &frame].concat();
            let _ = stream.write_all(&(answer.len() as u32).to_be_bytes());
            let _ = stream.write_all(&answer);
        }
    }
}

/// A proxy with one link, its control connection, and the server behind it.
struct World {
    link: SocketAddr,
    got: Arc<Got>,
    control: Mutex<TcpStream>,
}

impl World {
    fn new() -> Self {
        let (server, got) = echo_server();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let control = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        std::thread::spawn(move || runtime.block_on(faults::serve(listener, Arc::default())));
        let mut world = Self { link: server, got, control: Mutex::new(control) };
        let answer = world.tell(&format!("link a 127.0.0.1:0 {server}"));
        world.link = answer.strip_prefix("ok ").unwrap().parse().unwrap();
        world
    }

    fn tell(&self, command: &str) -> String {
        let mut control = self.control.lock().unwrap();
        control.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut byte = [0];
            control.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap().trim().to_owned()
    }

    fn fault(&self, text: &str) {
        assert_eq!(self.tell(&format!("fault f {text}")), "ok");
    }

    /// How often the fault has bitten.
    fn hits(&self) -> usize {
        self.tell("hits f").strip_prefix("ok ").unwrap().parse().unwrap()
    }

    fn await_hits(&self, count: usize) {
        let begin = Instant::now();
        while self.hits() < count && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.hits(), count);
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.link).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, next: 1 }
    }
}

/// Without their order: on a busy machine the next request may come after the repeated one.
fn sorted(mut requests: Vec<(i16, i32)>) -> Vec<(i16, i32)> {
    requests.sort_unstable();
    requests
}

struct Client {
    stream: TcpStream,
    next: i32,
}

impl Client {
    fn send(&mut self, api: i16, body_bytes: usize) -> i32 {
        let id = self.next;
        self.next += 1;
        let mut frame = Vec::new();
        frame.extend_from_slice(&api.to_be_bytes());
        frame.extend_from_slice(&9i16.to_be_bytes());
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(&2i16.to_be_bytes());
        frame.extend_from_slice(b"me");
        frame.resize(frame.len() + body_bytes, 7);
        let length = (frame.len() as u32).to_be_bytes();
        self.stream.write_all(&[&length[..], &frame].concat()).unwrap();
        id
    }

    /// The correlation id and the size of the next response.
    fn answer(&mut self) -> std::io::Result<(i32, usize)> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        Ok((i32::from_be_bytes(head[4..].try_into().unwrap()), length))
    }

    /// The time from a request to its answer.
    fn ask(&mut self, api: i16, body_bytes: usize) -> Duration {
        let begin = Instant::now();
        let id = self.send(api, body_bytes);
        assert_eq!(self.answer().unwrap().0, id);
        begin.elapsed()
    }

    /// Nothing comes for a while.
    fn hears_nothing(&mut self) {
        self.stream.set_read_timeout(Some(SOON)).unwrap();
        let error = self.answer().unwrap_err().kind();
        assert!(
            matches!(error, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            "{error:?}"
        );
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    fn is_reset(&mut self) {
        assert_eq!(self.answer().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }

    fn is_closed(&mut self) {
        assert_eq!(self.answer().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn without_faults_everything_passes_whole() {
    let world = World::new();
    let mut client = world.client();
    for size in [0, 1, 5_000_000, 100] {
        client.ask(PRODUCE, size);
    }
    let ids: Vec<i32> = (0..100).map(|_| client.send(FETCH, 1000)).collect();
    let answers: Vec<i32> = ids.iter().map(|_| client.answer().unwrap().0).collect();
    assert_eq!(answers, ids);
}

#[test]
fn latency_is_each_frames_own() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a latency ms=100");
    assert!(client.ask(PRODUCE, 10) >= Duration::from_millis(200));
    world.fault("a latency ms=500 way=request");
    let begin = Instant::now();
    (0..20).for_each(|_| _ = client.send(PRODUCE, 10));
    (0..20).for_each(|_| _ = client.answer().unwrap());
    let took = begin.elapsed();
    // One behind the other they would take 10 s.
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(9), "{took:?}");
    assert_ne!(world.tell("end f"), "ok 0");
}

#[test]
fn rate_is_shared_by_the_connections_of_a_link() {
    let world = World::new();
    world.fault("a rate bytes=100000 way=request");
    let begin = Instant::now();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let mut client = world.client();
            std::thread::spawn(move || (0..2).for_each(|_| _ = client.ask(PRODUCE, 10_000)))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(begin.elapsed() >= Duration::from_millis(390), "{:?}", begin.elapsed());
}

#[test]
fn slices_arrive_one_by_one() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a slice bytes=3 ms=1 way=request");
    // On a busy machine the server may find several at once.
    let begin = Instant::now();
    loop {
        world.got.pieces.lock().unwrap().clear();
        client.ask(PRODUCE, 50);
        let pieces = world.got.pieces.lock().unwrap().clone();
        if pieces.len() > 10 {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{pieces:?}");
    }
    world.fault("a slice bytes=1 way=response");
    client.ask(PRODUCE, 50);
}

#[test]
fn dropped_one_way_arrives_when_the_fault_ends() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a drop way=request");
    let id = client.send(PRODUCE, 10);
    client.hears_nothing();
    assert_eq!(world.got.requests(), []);
    world.tell("end f");
    assert_eq!(client.answer().unwrap().0, id);

    world.fault("a drop way=response");
    let id = client.send(PRODUCE, 10);
    client.hears_nothing();
    assert_eq!(world.got.await_requests(2).len(), 2);
    world.tell("end-all");
    assert_eq!(client.answer().unwrap().0, id);
}

#[test]
fn resets_and_refusals_are_resets() {
    let world = World::new();
    let mut client = world.client();
    client.ask(PRODUCE, 10);
    assert_eq!(world.tell("reset a"), "ok 1");
    client.is_reset();
    world.fault("a refuse");
    let mut refused = world.client();
    refused.is_reset();
    world.tell("end f");
    world.client().ask(PRODUCE, 10);
    assert_eq!(world.tell("reset b"), "error no such link: b");
}

#[test]
fn one_api_is_held_and_all_behind_it() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a hold api=Vote");
    client.ask(PRODUCE, 10);
    let vote = client.send(VOTE, 10);
    let fetch = client.send(FETCH, 10);
    client.hears_nothing();
    world.client().ask(FETCH, 10);
    assert_eq!(world.got.requests(), [(PRODUCE, 1), (FETCH, 1)]);
    world.await_hits(1);
    assert_eq!(world.tell("end f"), "ok 1");
    assert_eq!(client.answer().unwrap().0, vote);
    assert_eq!(client.answer().unwrap().0, fetch);
}

#[test]
fn an_answer_is_held_by_the_api_of_its_request() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a hold api=52 way=response");
    client.ask(FETCH, 10);
    let vote = client.send(VOTE, 10);
    client.hears_nothing();
    assert_eq!(world.got.await_requests(2), [(FETCH, 1), (VOTE, 2)]);
    world.await_hits(1);
    world.tell("end f");
    assert_eq!(client.answer().unwrap().0, vote);
}

#[test]
fn delays_hit_what_they_are_counted_for() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a delay api=Fetch ms=200 skip=1 count=1 client=me");
    for (api, hits) in [(FETCH, 0), (PRODUCE, 0), (FETCH, 1), (FETCH, 1)] {
        let hit = world.hits() < hits;
        let took = client.ask(api, 10);
        assert!(!hit || took >= Duration::from_millis(200), "{took:?}");
        assert_eq!(world.hits(), hits);
    }
    world.fault("a delay api=Fetch ms=200 client=you");
    client.ask(FETCH, 10);
    assert_eq!(world.hits(), 0);
}

#[test]
fn repeated_requests_are_answered_once() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a repeat api=Vote times=2 count=1");
    client.ask(VOTE, 10);
    client.ask(FETCH, 10);
    client.ask(VOTE, 10);
    let want = [(VOTE, 1), (VOTE, 1), (VOTE, 1), (FETCH, 2), (VOTE, 3)];
    assert_eq!(world.got.requests(), want);
}

#[test]
fn a_request_comes_again_much_later() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a repeat api=Vote ms=100 count=1");
    let begin = Instant::now();
    client.ask(VOTE, 10);
    client.ask(FETCH, 10);
    assert_eq!(sorted(world.got.await_requests(3)), [(FETCH, 2), (VOTE, 1), (VOTE, 1)]);
    assert!(begin.elapsed() >= Duration::from_millis(100));
    client.hears_nothing();
}

#[test]
fn requests_of_transactions_are_known_by_name() {
    let apis = [
        ("InitProducerId", 22),
        ("AddPartitionsToTxn", 24),
        ("AddOffsetsToTxn", 25),
        ("EndTxn", 26),
        ("WriteTxnMarkers", 27),
        ("TxnOffsetCommit", 28),
    ];
    for (name, key) in apis {
        let world = World::new();
        let mut client = world.client();
        world.fault(&format!("* repeat api={name} ms=100 count=1"));
        let begin = Instant::now();
        client.ask(key, 10);
        client.ask(key, 10);
        let want = [(key, 1), (key, 1), (key, 2)];
        assert_eq!(sorted(world.got.await_requests(3)), want, "{name}");
        assert!(begin.elapsed() >= Duration::from_millis(100), "{name}");
        client.hears_nothing();
        assert_eq!(world.tell("end f"), "ok 1");
    }
}

#[test]
fn lost_requests_never_come_and_lost_answers_neither() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a lose api=Vote count=1");
    client.send(VOTE, 10);
    client.is_closed();
    assert_eq!(world.got.requests(), []);

    world.fault("a lose api=Vote count=1 way=response");
    let mut client = world.client();
    client.ask(FETCH, 10);
    client.send(VOTE, 10);
    client.is_closed();
    assert_eq!(world.got.requests(), [(FETCH, 1), (VOTE, 2)]);

    world.fault("a lose api=Vote then=go-on");
    let mut client = world.client();
    client.send(VOTE, 10);
    client.ask(FETCH, 10);
    assert_eq!(world.got.requests().len(), 3);
}

#[test]
fn a_frame_can_be_answered_by_a_reset() {
    let world = World::new();
    let mut client = world.client();
    world.fault("a reset api=Produce");
    client.ask(FETCH, 10);
    client.send(PRODUCE, 10);
    client.is_reset();
    assert_eq!(world.got.requests(), [(FETCH, 1)]);
}

#[test]
fn nonsense_is_closed_and_commands_are_checked() {
    let world = World::new();
    for length in [-1i32, i32::MAX] {
        let mut client = world.client();
        client.stream.write_all(&length.to_be_bytes()).unwrap();
        client.is_closed();
    }
    for command in ["", "burn", "fault f", "fault f a burn", "link b", "link b x y", "end f"] {
        assert!(world.tell(command).starts_with("error "), "{command}");
    }
}
