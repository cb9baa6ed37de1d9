//! For tests of the whole binary: a node on free ports and its own directory, and a raw connection to it.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

pub mod cluster;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use protocol::messages::request_header::RequestHeader;
use protocol::messages::{api_versions_request, create_topics_request, produce_request};
use protocol::{ApiKey, Decode, Encode, Message, Records, decode_exact, encode_to_vec};
use records::BatchBuilder;

pub const BINARY: &str = env!("CARGO_BIN_EXE_monedula");
/// Every wait ends: a node that hangs is a failure, not a test without end.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Tells other threads of a scope to end, also when the test fails: it would wait for them.
pub struct RaisedAtEnd<'a>(pub &'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a start that was meant to be refused ended.
#[derive(Debug)]
pub struct Refused {
    pub code: Option<i32>,
    pub stderr: String,
}

impl Refused {
    /// The line that says why. Tasks that end with the process may log after it.
    pub fn reason(&self) -> &str {
        let reason = self.stderr.lines().rev().find(|line| line.starts_with("monedula start: "));
        reason.unwrap_or_default()
    }
}

/// A running node; killed with the test.
pub struct Node {
    process: Child,
    /// Where clients and brokers connect; empty without the broker's role.
    pub address: String,
    /// Where controllers are reached; empty without the controller's role.
    pub controller_address: String,
    pub cluster_id: String,
    stderr: PathBuf,
}

/// A directory that vanishes with the test, unless it fails: `data` is not made, the node does it.
pub struct Place {
    pub root: tempfile::TempDir,
    pub data: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        Self { root, data }
    }
}

/// `monedula start` on `data` with free ports, and `more` settings that win.
pub fn command(data: &Path, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    let data = data.display().to_string();
    let usual =
        [("log.dirs", &*data), ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0")];
    command.arg("start");
    for (key, value) in usual.iter().chain(more) {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command
}

impl Node {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, more: &[(&str, &str)]) -> Self {
        Self::try_start(command(data, more), data)
            .unwrap_or_else(|refused| panic!("{:?}\n{}", refused.code, refused.stderr))
    }

    /// Runs until the ready line or the end of the process. Standard error is kept beside `data`.
    pub fn try_start(mut command: Command, data: &Path) -> Result<Self, Refused> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stderr = data.with_file_name(format!("stderr-{number}"));
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let (sender, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = sender.send(line);
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let Ok(line) = ready.recv_timeout(WAIT_MAX) else {
            let _ = process.kill();
            let _ = process.wait();
            panic!("neither ready nor refused:\n{}", std::fs::read_to_string(&stderr).unwrap());
        };
        let field = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            Some(rest.split([',', ' ', '\n']).next().unwrap_or_default().to_owned())
        };
        let Some(cluster_id) = field("cluster.id=") else {
            let code = wait(&mut process);
            return Err(Refused { code, stderr: std::fs::read_to_string(&stderr).unwrap() });
        };
        // A node of one role has listeners of one kind.
        let address = field("PLAINTEXT://").unwrap_or_default();
        let controller_address = field("CONTROLLER://").unwrap_or_default();
        Ok(Self { process, address, controller_address, cluster_id, stderr })
    }

    /// The most memory that was ever resident.
    pub fn peak_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Where it logs: a file that outlives it.
    pub fn stderr_path(&self) -> PathBuf {
        self.stderr.clone()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(&self.address)
    }

    /// What a broker answers to one request, without the header.
    pub fn ask<Q: Message + Encode>(&self, request: &Q, version: i16) -> Vec<u8> {
        self.connect().call(request, version)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Answers a request, and has not panicked anywhere.
    pub fn assert_alive(&mut self, after: &str) {
        assert_eq!(self.process.try_wait().unwrap(), None, "ended after {after}:\n{}", self.log());
        let request = api_versions_request::ApiVersionsRequest::default();
        assert!(self.connect().call(&request, 0).len() > 6, "after {after}");
        let log = self.log();
        assert!(!log.contains("panicked"), "after {after}:\n{log}");
    }

    /// SIGTERM; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        wait(&mut self.process)
    }

    /// Waits for the end that it brings on itself; the exit code.
    pub fn wait(mut self) -> Option<i32> {
        wait(&mut self.process)
    }

    /// SIGKILL: no clean shutdown.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Creates a topic; its error code.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> i16 {
        use create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let body = self.connect().call(&request, 7);
        let response: protocol::messages::create_topics_response::CreateTopicsResponse<'_> =
            decode_exact(&body, 7).unwrap();
        response.topics[0].error_code
    }

    /// Writes a batch, again while the partition is still on its way; error code and base offset.
    pub fn produce(&self, topic: &str, batch: &[u8]) -> (i16, i64) {
        let began = Instant::now();
        loop {
            let (error, offset) = self.produce_once(topic, batch);
            if ![3, 6].contains(&error) || began.elapsed() > Duration::from_secs(20) {
                return (error, offset);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes a batch, or is told why not; error code and base offset.
    pub fn produce_once(&self, topic: &str, batch: &[u8]) -> (i16, i64) {
        let body = self.connect().call(&produce_request(topic, 0, batch), 12);
        let response: protocol::messages::produce_response::ProduceResponse<'_> =
            decode_exact(&body, 12).unwrap();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wait(process: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > WAIT_MAX {
            let _ = process.kill();
            let _ = process.wait();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A plain batch of one record per value.
pub fn batch(values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(records::Compression::None);
    for value in values {
        builder.append(1_700_000_000_000, None, Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

pub fn produce_request<'a>(
    topic: &'a str,
    partition: i32,
    batch: &'a [u8],
) -> produce_request::ProduceRequest<'a> {
    use produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    let partition = PartitionProduceData {
        index: partition,
        records: Some(Records::borrowed(batch)),
        ..Default::default()
    };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// What came back on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reaction {
    Answer(Vec<u8>),
    Closed,
    Silent,
}

/// One raw connection.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.set_write_timeout(Some(WAIT_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// These very bytes; that the server has closed already is seen when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn reaction_within(&mut self, wait: Duration) -> Reaction {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let mut head = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut head) {
            return reaction_to(&error);
        }
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(head)).unwrap()];
        match self.stream.read_exact(&mut body) {
            Ok(()) => Reaction::Answer(body),
            Err(error) => reaction_to(&error),
        }
    }

    pub fn reaction(&mut self) -> Reaction {
        self.reaction_within(WAIT_MAX)
    }

    /// Sends a request, and waits for nothing.
    pub fn ask<Q: Message + Encode>(&mut self, request: &Q, version: i16) {
        let body = encode_to_vec(request, version).unwrap();
        self.send(&frame(&request_bytes(Q::API_KEY.unwrap(), version, &body)));
    }

    /// The answer's body, without its header.
    pub fn call<Q: Message + Encode>(&mut self, request: &Q, version: i16) -> Vec<u8> {
        self.ask(request, version);
        let key = Q::API_KEY.unwrap();
        let Reaction::Answer(answer) = self.reaction() else {
            panic!("no answer to {} version {version}", Q::NAME)
        };
        let header_version = ApiKey::from_i16(key).unwrap().response_header_version(version);
        answer[if header_version == 1 { 5 } else { 4 }..].to_vec()
    }

    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

fn reaction_to(error: &std::io::Error) -> Reaction {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    if matches!(error.kind(), TimedOut | WouldBlock) { Reaction::Silent } else { Reaction::Closed }
}

/// Decodes a whole body.
pub fn decoded<'a, T: Decode<'a>>(body: &'a [u8], version: i16) -> T {
    decode_exact(body, version).unwrap()
}

/// A request's header and body, as they stand in a frame.
pub fn request_bytes(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let header_version = ApiKey::from_i16(key).map_or(1, |api| api.request_header_version(version));
    let header = RequestHeader {
        request_api_key: key,
        request_api_version: version,
        correlation_id: 7,
        client_id: Some("bad".into()),
        ..Default::default()
    };
    let mut bytes = encode_to_vec(&header, header_version).unwrap();
    bytes.extend_from_slice(body);
    bytes
}

pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}
