//! A node that is configured as the recorded Kafka was, and raw connections to it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Node {
    process: Child,
    directory: tempfile::TempDir,
    /// Of clients and of the controller.
    ports: [u16; 2],
    /// By listener, and the number of the connection to it.
    connections: BTreeMap<(bool, String), TcpStream>,
    recorded_port: u16,
    recorded_directory: String,
}

#[derive(Debug)]
pub enum Reply {
    Answer(Vec<u8>),
    /// Nothing came where nothing had to.
    Silence,
    Closed,
    /// Nothing came in time.
    Hang,
}

impl Node {
    /// `recorded` is the port and the data directory of the recorded Kafka, `more` what else both are told.
    pub fn start(recorded: &str, more: &[&str]) -> Self {
        let (recorded_port, recorded_directory) = recorded.split_once(' ').unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let [clients, controller] = ports;
        let data = directory.path().join("data");
        let settings = [
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            "cluster.id=MkU3OEVBNTcwNTJENDM2Qg".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}"
            ),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{clients}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("log.dirs={}", data.display()),
            "offsets.topic.replication.factor=1".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "share.coordinator.state.topic.replication.factor=1".to_owned(),
            "share.coordinator.state.topic.min.isr=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
            "log.retention.ms=-1".to_owned(),
            "num.partitions=2".to_owned(),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_monedula"));
        command.arg("start").stdout(Stdio::piped()).stderr(Stdio::null());
        for setting in settings.iter().map(String::as_str).chain(more.iter().copied()) {
            command.args(["--set", setting]);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("monedula ready "), "{line}");
        Self {
            process,
            directory,
            ports,
            connections: BTreeMap::new(),
            recorded_port: recorded_port.parse().unwrap(),
            recorded_directory: recorded_directory.to_owned(),
        }
    }

    /// Our ports and paths as the recorded ones.
    pub fn rename(&self, text: &str) -> String {
        let [clients, controller] = self.ports;
        let directory = self.directory.path().join("data").display().to_string();
        let text = text.replace(&directory, &self.recorded_directory);
        let text = with_number(&text, clients, self.recorded_port);
        with_number(&text, controller, self.recorded_port + 1)
    }

    pub fn ask(&mut self, listener: &str, request: &[u8], silent: bool) -> Reply {
        let place = place(listener);
        let outcome = exchange(self.connection(&place), request, silent);
        self.reply(place, outcome, silent)
    }

    /// Asks, and leaves the answer to [`Self::wait`].
    pub fn send(&mut self, listener: &str, request: &[u8]) {
        let connection = self.connection(&place(listener));
        connection.write_all(&framed(request)).unwrap();
        // Until it has surely arrived.
        std::thread::sleep(Duration::from_millis(1000));
    }

    pub fn wait(&mut self, listener: &str) -> Reply {
        let place = place(listener);
        let outcome = receive(self.connection(&place));
        self.reply(place, outcome, false)
    }

    fn connection(&mut self, place: &(bool, String)) -> &mut TcpStream {
        let port = self.ports[usize::from(place.0)];
        self.connections.entry(place.clone()).or_insert_with(|| {
            let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
            connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            connection.set_nodelay(true).unwrap();
            connection
        })
    }

    fn reply(
        &mut self,
        place: (bool, String),
        outcome: std::io::Result<Vec<u8>>,
        silent: bool,
    ) -> Reply {
        match outcome {
            Ok(answer) if !silent => Reply::Answer(answer),
            Ok(answer) if answer[..4] == [0; 4] => Reply::Silence,
            Ok(answer) => Reply::Answer(answer),
            Err(error) => {
                self.connections.remove(&place);
                let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                if late { Reply::Hang } else { Reply::Closed }
            }
        }
    }
}

/// Two ports that no setting or size has as its value.
fn free_ports() -> [u16; 2] {
    loop {
        let free = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.map(|listener| listener.local_addr().unwrap().port());
        if ports.iter().all(|port| port % 10 != 0 && !port.is_power_of_two()) {
            return ports;
        }
    }
}

/// The text with another number, where it is a whole one: 34217 is in 134217728, too.
fn with_number(text: &str, number: u16, other: u16) -> String {
    let number = number.to_string();
    let mut parts = text.split(&number);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_part = changed.ends_with(|c: char| c.is_ascii_digit())
            || part.starts_with(|c: char| c.is_ascii_digit());
        changed += &if is_part { number.clone() } else { other.to_string() };
        changed += part;
    }
    changed
}

/// `broker`, `controller`, or one of them with the number of a connection behind `#`.
fn place(listener: &str) -> (bool, String) {
    let (listener, number) = listener.split_once('#').unwrap_or((listener, ""));
    (listener == "controller", number.to_owned())
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

fn exchange(connection: &mut TcpStream, request: &[u8], silent: bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = framed(request);
    if silent {
        bytes.extend(framed(&[0, 18, 0, 0, 0, 0, 0, 0, 255, 255])); // ApiVersions 0, number 0: its answer must be the next one
    }
    connection.write_all(&bytes)?;
    receive(connection)
}

fn receive(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer)?;
    Ok(answer)
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
