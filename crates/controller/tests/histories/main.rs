//! Random lives of clusters that Apache Kafka's own controller classes went through: asked the same, this controller
//! must answer the same and write the same records.
//!
//! `fixtures/histories-4.4.0.txt`: a line for each request, `milliseconds request => answer; record; record`, and at the
//! end of each life its partitions. Where Kafka contradicts itself (two records about one partition made from the same
//! state, an eligible replica that was taken away, an exception) a life ends before. Replicas are placed with the random
//! numbers of a seed in the request.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

macro_rules! ask {
    ($self:ident, $kind:ident($($request:expr),*)) => {
        match $self.cx.handle(ControllerRequest::$kind($($request),*)) {
            ControllerReply::$kind(reply) => reply,
            other => panic!("{other:?}"),
        }
    };
}

mod ask;
#[path = "../common/mod.rs"]
mod common;

use base::{NodeId, PartitionIndex, TopicId, Uuid};
use common::notation::{self, list};
use common::{Seeded, TestContext};
use controller::{ControllerReply, ControllerRequest, ControllerTimer};
use metadata::MetadataVersion;
use protocol::ErrorCode;
use protocol::messages as m;

/// Offsets of histories begin here.
const START: usize = 100;
const NOBODY: TopicId = Uuid([9; 16]);

struct History {
    cx: TestContext,
}

/// Error as histories write it: a text that every such error has is left out.
fn error(code: i16, message: Option<&str>) -> String {
    let code = ErrorCode::from_code(code);
    match message.filter(|message| *message != code.message()) {
        _ if code == ErrorCode::None => "NONE".to_owned(),
        Some(message) => format!("{} {message}", code.name()),
        None => code.name().to_owned(),
    }
}

/// The value of `name=...` among the words.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// `t0-1`
fn partition(text: &str) -> (&str, i32) {
    let (topic, index) = text.rsplit_once('-').unwrap();
    (topic, number(index))
}

impl History {
    /// `# 17 mv=33 elr=1 min=2 unclean=false`
    fn new(header: &str) -> Self {
        let words: Vec<&str> = header.split(' ').collect();
        let version = MetadataVersion::from_level(number(option(&words, "mv").unwrap())).unwrap();
        let elr = option(&words, "elr") == Some("1");
        let given = [
            ("min.insync.replicas", option(&words, "min").unwrap()),
            ("unclean.leader.election.enable", option(&words, "unclean").unwrap()),
        ];
        let mut cx = TestContext::at_level(version, elr, &given);
        cx.pad_log(START);
        Self { cx }
    }

    /// What this controller says and writes, in the words of the history.
    fn ask(&mut self, question: &str) -> String {
        let words: Vec<&str> = question.split(' ').collect();
        if words[0] == "state" {
            return self.state(words[1]);
        }
        self.cx.now_ms = number(words[0]);
        let before = self.cx.log.len();
        let mut answer = self.answer(words[1], &words[2..]);
        let records: Vec<String> = self.cx.shown.split_off(0);
        assert_eq!(records.len(), self.cx.log.len() - before);
        for record in notation::in_order(records) {
            answer += "; ";
            answer += &record;
        }
        answer
    }

    fn answer(&mut self, what: &str, words: &[&str]) -> String {
        match what {
            "register" => self.register(words),
            "heartbeat" => self.heartbeat(words),
            "fence" => self.timer(ControllerTimer::FenceStaleBrokers),
            "balance" => self.timer(ControllerTimer::BalanceLeaders),
            "unclean" => self.timer(ControllerTimer::ElectUncleanLeaders),
            "create" => {
                let (code, message) =
                    self.cx.create(common::assigned(words[0], &words[1..].join(" ")));
                error(code, Some(&message).filter(|text| !text.is_empty()).map(String::as_str))
            }
            "place" => {
                self.cx.random = Seeded(number(words[3]));
                let topic = common::topic(words[0], number(words[1]), number(words[2]));
                let (code, message) = self.cx.create(topic);
                error(code, Some(&message).filter(|text| !text.is_empty()).map(String::as_str))
            }
            "more" => {
                self.cx.random = Seeded(number(words[2]));
                self.grow(words, true)
            }
            "grow" => self.grow(words, false),
            "delete" => self.delete(words[0]),
            "alter" => self.alter(words),
            "reassign" => self.reassign(words),
            "list" => self.list(),
            "elect" => self.elect(words),
            "assign" => self.assign(words),
            "config" => self.config(words),
            "feature" => self.feature(words),
            "unregister" => {
                let broker_id = number(words[0]);
                let request = m::unregister_broker_request::UnregisterBrokerRequest {
                    broker_id,
                    ..Default::default()
                };
                let reply = ask!(self, UnregisterBroker(request));
                error(reply.error_code, reply.error_message.as_deref())
            }
            "pids" => {
                let request = m::allocate_producer_ids_request::AllocateProducerIdsRequest {
                    broker_id: number(words[0]),
                    broker_epoch: number(option(words, "e").unwrap()),
                    ..Default::default()
                };
                let reply = ask!(self, AllocateProducerIds(request));
                match reply.error_code {
                    0 => format!("NONE {}+{}", reply.producer_id_start, reply.producer_id_len),
                    code => error(code, None),
                }
            }
            other => panic!("{other}"),
        }
    }

    fn timer(&mut self, timer: ControllerTimer) -> String {
        self.cx.fire(timer);
        "NONE".to_owned()
    }

    fn state(&self, what: &str) -> String {
        let (name, index) = partition(what);
        let topic = self.cx.image().topics.by_name(name).unwrap();
        let p = topic.partition(PartitionIndex(index)).unwrap();
        let ids = |ids: &[NodeId]| list(ids.iter().map(|id| id.0));
        format!(
            "r{} i{} l{} e{}/{} x{} +{} -{} E{} K{} D{}",
            ids(&p.replicas),
            ids(&p.isr),
            p.leader,
            p.leader_epoch,
            p.partition_epoch,
            p.leader_recovery_state.code(),
            ids(&p.adding_replicas),
            ids(&p.removing_replicas),
            ids(&p.elr),
            ids(&p.last_known_elr),
            notation::directories(&p.directories)
        )
    }
}

/// Answers that differ, at most one for each history, and how many lines were equal.
fn differences(text: &str) -> (Vec<String>, usize) {
    let (mut wrong, mut equal) = (Vec::new(), 0);
    let (mut history, mut header) = (None, "");
    for line in text.lines() {
        if line.starts_with('#') {
            (history, header) = (Some(History::new(line)), line);
            continue;
        }
        let (question, expected) = line.split_once(" => ").unwrap();
        let Some(asked) = &mut history else { continue };
        let answer = asked.ask(question);
        if answer == expected {
            equal += 1;
        } else {
            wrong.push(format!("{header}\n> {question}\nKafka: {expected}\n  Own: {answer}\n"));
            history = None;
        }
    }
    (wrong, equal)
}

#[test]
fn histories_are_those_of_kafka() {
    let given = std::env::var("HISTORIES").ok().map(|path| std::fs::read_to_string(path).unwrap());
    let fixed = include_str!("../fixtures/histories-4.4.0.txt");
    let (wrong, equal) = differences(given.as_deref().unwrap_or(fixed));
    let shown = wrong.len().min(20);
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong[..shown].join("\n"));
    assert!(equal > 5_000, "the histories are incomplete: {equal}");
}
