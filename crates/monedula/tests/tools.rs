//! The tools against a node of the same binary: from an empty directory to records that come back.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_monedula");

/// A node on free ports, ended with the test.
struct Node {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(BINARY)
            .arg("start")
            .arg("--set")
            .arg(format!("log.dirs={}", directory.path().display()))
            .arg("--set")
            .arg("listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("monedula ready "), "{line}");
        let (_, rest) = line.split_once("listeners=PLAINTEXT://").unwrap();
        let address = rest.split([',', ' ']).next().unwrap().to_owned();
        Self { process, address, _directory: directory }
    }

    /// Exit code, standard output and the last line of standard error.
    fn run(&self, tool: &str, arguments: &str, input: &str) -> (i32, String, String) {
        let mut process = Command::new(BINARY)
            .arg(tool)
            .args(["--bootstrap-server", &self.address])
            .args(arguments.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A tool that ends before it has read everything closes the pipe: what it printed tells why.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        let done = process.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let last = text(&done.stderr).lines().last().unwrap_or_default().to_owned();
        (done.status.code().unwrap_or(-1), text(&done.stdout), last)
    }

    fn check(&self, tool: &str, arguments: &str, input: &str, expected: (i32, &str, &str)) {
        let (code, out, err) = self.run(tool, arguments, input);
        assert_eq!((code, out.as_str(), err.as_str()), expected, "{tool} {arguments}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn from_nothing_to_records_and_back() {
    let node = Node::start();
    node.check("topics", "--list", "", (0, "\n", ""));
    node.check("topics", "--create --topic t --partitions 2", "", (0, "Created topic t.\n", ""));
    let exists = "Error while executing topic command : Topic 't' already exists.\n";
    node.check("topics", "--create --topic t", "", (1, exists, ""));
    let lines = "k1\tone\nk2\ttwo\nk3\tthree\nk1\tfour\n";
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let arguments =
            format!("--topic t --reader-property parse.key=true --compression-codec {codec}");
        node.check("console-producer", &arguments, lines, (0, "", ""));
    }
    // The same partitions as by Kafka's hash of the keys.
    node.check("get-offsets", "--topic t", "", (0, "t:0:5\nt:1:15\n", ""));
    node.check("get-offsets", "--topic t --time -2", "", (0, "t:0:0\nt:1:0\n", ""));
    let read = "--topic t --partition 1 --offset 12 --max-messages 3 --timeout-ms 20000 \
                --formatter-property print.key=true --formatter-property print.offset=true";
    let records = "Offset:12\tk1\tone\nOffset:13\tk2\ttwo\nOffset:14\tk1\tfour\n";
    node.check("console-consumer", read, "", (0, records, "Processed a total of 3 messages"));
    let all = "--topic t --from-beginning --max-messages 20 --timeout-ms 20000 --formatter-property print.value=false";
    node.check("console-consumer", all, "", (0, "", "Processed a total of 20 messages"));
    node.check("topics", "--delete --topic t", "", (0, "", ""));
    // The group that the console consumer made up has left Kafka's own topic behind.
    node.check("topics", "--list --exclude-internal", "", (0, "\n", ""));
}

#[test]
fn batches_larger_than_the_topic_takes_are_cut() {
    let node = Node::start();
    let create = "--create --topic small --config max.message.bytes=1000";
    node.check("topics", create, "", (0, "Created topic small.\n", ""));
    let lines: Vec<String> = (0..200).map(|n| format!("{n:0100}\n")).collect();
    node.check("console-producer", "--topic small", &lines.concat(), (0, "", ""));
    let read =
        "--topic small --partition 0 --offset earliest --max-messages 200 --timeout-ms 20000";
    let total = "Processed a total of 200 messages";
    node.check("console-consumer", read, "", (0, &lines.concat(), total));
}
