//! What Apache Kafka answered to raw requests (fixtures/wire, recorded by Ask.java) is asked again of a node of this binary, and every field
//! of every answer is compared. What may differ stands in the tables below, each with its reason.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

#[path = "wire/answer.rs"]
mod answer;
#[path = "wire/node.rs"]
mod node;
#[path = "wire/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base::Uuid;
use node::{Node, Reply};
use protocol::ErrorCode;
use tree::Tree;

const TRANSCRIPT: &str = include_str!("fixtures/wire/kafka-4.4.0.txt");
const GROUPS: &str = include_str!("fixtures/wire/kafka-4.4.0-groups.txt");
const TRANSACTIONS: &str = include_str!("fixtures/wire/kafka-4.4.0-transactions.txt");

/// What only wants more time: what a question before has begun is not over.
const PASSING: [ErrorCode; 2] =
    [ErrorCode::ConcurrentTransactions, ErrorCode::CoordinatorLoadInProgress];
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Fields whose values no two runs share: API ("" for all), field, why.
const VARY: &[(&str, &str, &str)] = &[
    ("DescribeLogDirs", "total_bytes", "the size of the file system"),
    ("DescribeLogDirs", "usable_bytes", "what is free on it"),
    ("DescribeConfigs", "documentation", "our own words"),
    ("DescribeQuorum", "leader_epoch", "counts the elections of that node"),
    ("DescribeQuorum", "high_watermark", "length of the metadata log"),
    ("DescribeQuorum", "log_end_offset", "length of the metadata log"),
    ("InitProducerId", "producer_id", "counts the questions before"),
    (
        "ApiVersions",
        "finalized_features_epoch",
        "an offset of the metadata log, where other records may stand",
    ),
];

/// Lists whose order Kafka takes from a hash map.
const UNORDERED: &[(&str, &str)] = &[
    ("ApiVersions", "supported_features"),
    ("ApiVersions", "finalized_features"),
    ("Metadata", "topics"),
    ("Produce", "responses"),
    ("Produce", "partition_responses"),
    ("Fetch", "responses"),
    ("Fetch", "partitions"),
    ("ListOffsets", "topics"),
    ("ListOffsets", "partitions"),
    ("DescribeConfigs", "configs"),
    ("DescribeConfigs", "results"),
    ("ListConfigResources", "config_resources"),
    ("DeleteTopics", "responses"),
    ("CreatePartitions", "results"),
    ("DescribeProducers", "active_producers"),
    ("OffsetFetch", "topics"),
    ("OffsetFetch", "partitions"),
    ("JoinGroup", "members"),
    ("DescribeGroups", "members"),
    ("DescribeGroups", "groups"),
    ("ConsumerGroupDescribe", "groups"),
    ("ListGroups", "groups"),
    ("DeleteGroups", "results"),
    ("ConsumerGroupHeartbeat", "topic_partitions"),
    ("ConsumerGroupDescribe", "members"),
    ("AddPartitionsToTxn", "results_by_topic_v3_and_below"),
    ("AddPartitionsToTxn", "topic_results"),
    ("AddPartitionsToTxn", "results_by_partition"),
    ("WriteTxnMarkers", "partitions"),
    ("DescribeTransactions", "partitions"),
    ("ElectLeaders", "replica_election_results"),
    ("ElectLeaders", "partition_result"),
];

/// Answers that differ on purpose: API, words of the question, why.
const DIFFER: &[(&str, &str, &str)] = &[
    ("Metadata", "{topics: [{name: null}]}", "Kafka fails inside: UNKNOWN_SERVER_ERROR"),
    (
        "JoinGroup",
        "memberId: 'member:x'",
        "tells of a member whose own answer, and so its id, comes later",
    ),
    (
        "InitProducerId",
        "transactionTimeoutMs: 999}",
        "Kafka has no block of ids yet and lets the first ask again",
    ),
];

/// Names of one run and those of the recorded one.
#[derive(Default)]
struct Names {
    topics: BTreeMap<Uuid, Uuid>,
    sessions: BTreeMap<i32, i32>,
    /// Ids of members of groups; as long as the recorded ones.
    members: BTreeMap<String, String>,
}

impl Names {
    /// The recorded request with the names of our node.
    fn request(&self, recorded: &[u8]) -> Vec<u8> {
        let mut bytes = recorded.to_vec();
        let topics = self.topics.iter().map(|(theirs, own)| (theirs.0.to_vec(), own.0.to_vec()));
        let sessions = self
            .sessions
            .iter()
            .map(|(theirs, own)| (theirs.to_be_bytes().to_vec(), own.to_be_bytes().to_vec()));
        let members = self.members.iter();
        let members =
            members.map(|(theirs, own)| (theirs.as_bytes().to_vec(), own.as_bytes().to_vec()));
        for (theirs, own) in topics.chain(sessions).chain(members) {
            let mut at = 0;
            while let Some(found) = bytes[at..].windows(theirs.len()).position(|w| w == theirs) {
                bytes[at + found..at + found + own.len()].copy_from_slice(&own);
                at += found + own.len();
            }
        }
        bytes
    }

    /// Our answer in the words of the recorded run.
    fn answer(&self, own: &str) -> String {
        let mut text = own.to_owned();
        for (theirs, own) in &self.topics {
            text = text.replace(&own.to_string(), &theirs.to_string());
        }
        for (theirs, own) in &self.members {
            text = text.replace(own, theirs);
        }
        for (theirs, own) in &self.sessions {
            text = text.replace(&format!("session_id: {own},"), &format!("session_id: {theirs},"));
        }
        text
    }

    /// Takes ids that stand in the same place for the same thing. True when there were new ones.
    fn learn(&mut self, api: &str, theirs: &[(String, String)], own: &[(String, String)]) -> bool {
        let mut learned = false;
        let pairs = theirs.iter().zip(own).filter(|(t, o)| t.0 == o.0 && t.1 != o.1);
        for ((path, theirs), (_, own)) in pairs {
            if path.ends_with("topic_id")
                && matches!(api, "CreateTopics" | "Metadata" | "DescribeTopicPartitions")
            {
                let (theirs, own): (Uuid, Uuid) = (theirs.parse().unwrap(), own.parse().unwrap());
                if !theirs.is_zero() && !own.is_zero() && !self.topics.contains_key(&theirs) {
                    self.topics.insert(theirs, own);
                    learned = true;
                }
            } else if path == "member_id"
                && matches!(api, "JoinGroup" | "ConsumerGroupHeartbeat")
                && let (Some(theirs), Some(own)) = (member_id(theirs), member_id(own))
            {
                learned |= self.members.insert(theirs, own).is_none();
            } else if path.ends_with("session_id") && theirs != "0" && own != "0" {
                learned |=
                    self.sessions.insert(theirs.parse().unwrap(), own.parse().unwrap()).is_none();
            }
        }
        learned
    }
}

/// An id that a coordinator made, without its quotation marks: with a random part at its end.
fn member_id(text: &str) -> Option<String> {
    let text = text.trim_start_matches("Some(").trim_end_matches(')').trim_matches('"');
    (text.len() >= 22).then(|| text.to_owned())
}

fn fields(api: &str, text: &str) -> Vec<(String, String)> {
    let mut tree = Tree::parse(text);
    let unordered: Vec<&str> =
        UNORDERED.iter().filter(|(of, _)| *of == api).map(|(_, list)| *list).collect();
    tree.sort(&unordered);
    let vary = |path: &str| {
        let name = path.rsplit('.').next().unwrap_or(path);
        VARY.iter().any(|(of, field, _)| (of.is_empty() || *of == api) && *field == name)
    };
    let fields = tree.fields().into_iter().filter(|(path, _)| !vary(path));
    fields.map(|(path, value)| (path, tree::without_times(&value))).collect()
}

/// The lines in which two answers differ, "" when they do not.
fn difference(theirs: &[(String, String)], own: &[(String, String)]) -> String {
    if theirs == own {
        return String::new();
    }
    let mut text = String::new();
    let show =
        |mark: &str, (path, value): &(String, String)| format!("  {mark} {path} = {value}\n");
    if theirs.iter().map(|(path, _)| path).eq(own.iter().map(|(path, _)| path)) {
        for (t, o) in theirs.iter().zip(own).filter(|(t, o)| t != o) {
            text += &format!("  {}: Kafka {} own {}\n", t.0, t.1, o.1);
        }
        return text;
    }
    for t in theirs.iter().filter(|t| !own.contains(t)) {
        text += &show("Kafka", t);
    }
    for o in own.iter().filter(|o| !theirs.contains(o)) {
        text += &show("  own", o);
    }
    if text.is_empty() { "  another order\n".to_owned() } else { text }
}

/// Whether this answer says that a transaction is still being ended, or a log being read, and the other does not.
fn wants_time(theirs: &[(String, String)], own: &[(String, String)]) -> bool {
    let is_passing = |(path, value): &&(String, String)| {
        path.ends_with("error_code") && PASSING.map(|code| code.code().to_string()).contains(value)
    };
    own.iter().filter(is_passing).any(|field| !theirs.contains(field))
}

struct Run {
    node: Node,
    names: Names,
}

impl Run {
    /// Asks one recorded question and says how the answer differs; again while it is one that only wants more time: what the question
    /// before has begun is not over yet.
    fn ask(&mut self, words: &[&str], expected: &str) -> String {
        let began = Instant::now();
        loop {
            match self.ask_once(words, expected) {
                None if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                None => return "  no other answer in time\n".to_owned(),
                Some(difference) => return difference,
            }
        }
    }

    fn ask_once(&mut self, words: &[&str], expected: &str) -> Option<String> {
        let &[api, version, listener, request] = words else { panic!("{words:?}") };
        let version: i16 = version.parse().unwrap();
        let reply = if request == "await" {
            self.node.wait(listener)
        } else {
            let request = self.names.request(&tree::from_hex(request));
            if expected == "later" {
                self.node.send(listener, &request);
                return Some(String::new());
            }
            self.node.ask(listener, &request, expected == "silence")
        };
        let own = match reply {
            // Kafka fails inside and never answers: nothing to compare with, but an answer there must be.
            Reply::Answer(_) if expected == "hang" => return Some(String::new()),
            Reply::Closed if expected == "closed" => return Some(String::new()),
            Reply::Silence if expected == "silence" => return Some(String::new()),
            Reply::Answer(bytes) => bytes,
            other => return Some(format!("  Kafka {:.20} own {other:?}\n", expected)),
        };
        if expected == "closed" || expected == "silence" {
            return Some(format!(
                "  Kafka {expected} own {}\n",
                answer::render(api, version, &own)
            ));
        }
        let theirs = tree::from_hex(expected);
        if theirs.get(..4) != own.get(..4) {
            return Some("  the answer to another request\n".to_owned());
        }
        let (mut theirs, mut own) =
            (answer::render(api, version, &theirs), answer::render(api, version, &own));
        if api == "ApiVersions" {
            (theirs, own) = answer::only_served(&theirs, &own);
        }
        own = self.node.rename(&own);
        let theirs = fields(api, &theirs);
        if wants_time(&theirs, &fields(api, &own)) {
            return None;
        }
        let mut renamed = fields(api, &self.names.answer(&own));
        if self.names.learn(api, &theirs, &renamed) {
            renamed = fields(api, &self.names.answer(&own));
        }
        Some(difference(&theirs, &renamed))
    }
}

#[test]
fn answers_are_those_of_kafka() {
    answers_as_in(TRANSCRIPT, &[], 1000);
}

#[test]
fn answers_about_groups_are_those_of_kafka() {
    // No answer may depend on how soon a question comes after another.
    answers_as_in(GROUPS, &["group.consumer.assignment.interval.ms=0"], 750);
}

#[test]
fn answers_about_transactions_are_those_of_kafka() {
    answers_as_in(TRANSACTIONS, &[], 500);
}

/// Asks everything in a transcript of at least so many questions.
fn answers_as_in(transcript: &str, settings: &[&str], questions: usize) {
    let mut lines = transcript.lines();
    let run = lines.find_map(|line| line.strip_prefix("! ")).unwrap();
    let mut run = Run { node: Node::start(run, settings), names: Names::default() };
    let (mut question, mut asked, mut wrong) = ("", 0, Vec::new());
    let mut words = Vec::new();
    for line in lines {
        if let Some(text) = line.strip_prefix("? ") {
            question = text;
        } else if let Some(text) = line.strip_prefix("> ") {
            words = text.split(' ').collect();
        } else if let Some(expected) = line.strip_prefix("= ") {
            asked += 1;
            let difference = run.ask(&words, expected);
            let on_purpose =
                DIFFER.iter().any(|(api, part, _)| words[0] == *api && question.contains(part));
            if !difference.is_empty() && !on_purpose {
                wrong.push(format!("{} {} of {question}\n{difference}", words[0], words[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} differ\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked >= questions, "the transcript is incomplete: {asked}");
}
