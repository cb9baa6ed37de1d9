//! What Apache Kafka's controller answered, word for word, against what this one answers.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::{NodeId, PartitionIndex, TopicId, Uuid};
use common::TestContext;
use controller::{ControllerReply, ControllerRequest, ControllerTimer};
use protocol::ErrorCode;
use protocol::messages as m;

struct Asker {
    cx: TestContext,
    /// Ids of topics, also of those deleted since.
    ids: BTreeMap<String, TopicId>,
}

type Text<'a> = Option<&'a Cow<'static, str>>;

fn error(code: i16, message: Text<'_>) -> String {
    let name = ErrorCode::from_code(code).name();
    message.map_or_else(
        || name.to_owned(),
        |message| format!("{name} {message}").trim_end().to_owned(),
    )
}

fn numbers(text: &str) -> Vec<i32> {
    text.split(',').filter(|id| *id != "-").map(|id| id.parse().unwrap()).collect()
}

fn owned(text: &str) -> Cow<'static, str> {
    let text = if text == "''" { "" } else { text };
    Cow::Owned(text.replace("%249", &"x".repeat(250)))
}

macro_rules! ask {
    ($asker:expr, $kind:ident($($request:expr),*)) => {
        match $asker.cx.handle(ControllerRequest::$kind($($request),*)) {
            ControllerReply::$kind(reply) => reply,
            other => panic!("{other:?}"),
        }
    };
}

impl Asker {
    fn ask(&mut self, line: &str) -> String {
        self.cx.now_ms += 10;
        let words: Vec<&str> = line.split(' ').collect();
        let (verb, words) = (words[0], &words[1..]);
        match verb {
            "create" | "twice" => self.create(words, verb == "twice"),
            "configs-of-new" => self.configs_of_new(words),
            "delete" => self.delete(words),
            "grow" => self.grow(words),
            "alter" => self.alter(words),
            "replace" => self.replace(words),
            "elect" => self.elect(words),
            "features" => self.features(words),
            "unregister" => {
                let broker_id = words[0].parse().unwrap();
                let request = m::unregister_broker_request::UnregisterBrokerRequest {
                    broker_id,
                    ..Default::default()
                };
                let reply = ask!(self, UnregisterBroker(request));
                error(reply.error_code, reply.error_message.as_ref())
            }
            "reassign" => self.reassign(words),
            "reassignments" => self.reassignments(),
            "register" => self.register(words),
            "heartbeat" => self.heartbeat(words),
            "isr" => self.isr(words),
            "producer-ids" => self.producer_ids(words),
            "state" => self.state(words[0]),
            "sleep" => {
                self.cx.now_ms += words[0].parse::<u64>().unwrap();
                self.cx.heartbeat(1, |_| {});
                self.cx.fire(ControllerTimer::FenceStaleBrokers);
                String::new()
            }
            other => panic!("unknown verb {other}"),
        }
    }

    fn topic(words: &[&str]) -> m::create_topics_request::CreatableTopic<'static> {
        use m::create_topics_request::*;
        let mut topic = CreatableTopic {
            name: owned(words[0]),
            num_partitions: words[1].parse().unwrap(),
            replication_factor: words[2].parse().unwrap(),
            ..Default::default()
        };
        for word in &words[3..] {
            if let Some(assignments) = word.strip_prefix("assign=") {
                for assignment in assignments.split('/') {
                    let (index, ids) = assignment.split_once(':').unwrap();
                    topic.assignments.push(CreatableReplicaAssignment {
                        partition_index: index.parse().unwrap(),
                        broker_ids: numbers(ids),
                        ..Default::default()
                    });
                }
            } else if let Some((name, value)) =
                word.strip_prefix("config=").and_then(|c| c.split_once('='))
            {
                topic.configs.push(CreatableTopicConfig {
                    name: owned(name),
                    value: (value != "null").then(|| owned(value)),
                    ..Default::default()
                });
            }
        }
        topic
    }

    fn create(&mut self, words: &[&str], twice: bool) -> String {
        let topic = Self::topic(words);
        let mut topics = vec![topic.clone()];
        if twice {
            topics.push(topic);
        }
        let validate_only = words.contains(&"validate");
        let request = m::create_topics_request::CreateTopicsRequest {
            topics,
            validate_only,
            ..Default::default()
        };
        let reply = ask!(self, CreateTopics(request));
        let mut answers = Vec::new();
        for topic in reply.topics {
            let mut answer = error(topic.error_code, topic.error_message.as_ref());
            if topic.error_code == 0 {
                if !validate_only {
                    self.ids.insert(topic.name.to_string(), topic.topic_id);
                }
                answer += &format!(
                    " partitions {} replicas {}",
                    topic.num_partitions, topic.replication_factor
                );
            }
            answers.push(answer);
        }
        answers.join(" | ")
    }

    fn configs_of_new(&mut self, words: &[&str]) -> String {
        let request = m::create_topics_request::CreateTopicsRequest {
            topics: vec![Self::topic(words)],
            validate_only: true,
            ..Default::default()
        };
        let reply = ask!(self, CreateTopics(request));
        let configs = reply.topics[0].configs.iter().flatten().map(|config| {
            let (read_only, sensitive) = (config.read_only, config.is_sensitive);
            format!(
                "{}={}/{}{}{}",
                config.name,
                config.value.as_deref().unwrap_or("null"),
                config.config_source,
                if read_only { "ro" } else { "" },
                if sensitive { "s" } else { "" }
            )
        });
        configs.collect::<Vec<_>>().join(" ")
    }

    fn id(&self, name: &str) -> TopicId {
        let unknown = Uuid((7_u128 << 64 | 7).to_be_bytes());
        self.ids.get(name).copied().unwrap_or(unknown)
    }

    fn delete(&mut self, words: &[&str]) -> String {
        use m::delete_topics_request::*;
        let topics = words.iter().map(|word| {
            let (how, name) = word.split_once('=').unwrap_or((word, ""));
            let (by_name, by_id) = (matches!(how, "name" | "both"), matches!(how, "id" | "both"));
            DeleteTopicState {
                name: by_name.then(|| owned(name)),
                topic_id: if by_id { self.id(name) } else { Uuid::ZERO },
                ..Default::default()
            }
        });
        let request = DeleteTopicsRequest { topics: topics.collect(), ..Default::default() };
        let reply = ask!(self, DeleteTopics(request));
        let mut answers: Vec<String> = Vec::new();
        for topic in reply.responses {
            let id = if topic.topic_id.is_zero() { "" } else { " id" };
            let name = topic.name.as_deref().unwrap_or("null");
            answers.push(format!(
                "{name}{id} {}",
                error(topic.error_code, topic.error_message.as_ref())
            ));
        }
        answers.sort();
        answers.join(" | ")
    }

    fn grow(&mut self, words: &[&str]) -> String {
        use m::create_partitions_request::*;
        let assignments = words.iter().find_map(|word| word.strip_prefix("assign="));
        let assignments = assignments.map(|text| {
            let assignment =
                |ids| CreatePartitionsAssignment { broker_ids: numbers(ids), ..Default::default() };
            text.split('/').map(assignment).collect()
        });
        let topic = CreatePartitionsTopic {
            name: owned(words[0]),
            count: words[1].parse().unwrap(),
            assignments,
            ..Default::default()
        };
        let validate_only = words.contains(&"validate");
        let request =
            CreatePartitionsRequest { topics: vec![topic], validate_only, ..Default::default() };
        let reply = ask!(self, CreatePartitions(request));
        let results = reply.results.iter();
        results
            .map(|r| error(r.error_code, r.error_message.as_ref()))
            .collect::<Vec<_>>()
            .join(" | ")
    }

    fn alter(&mut self, words: &[&str]) -> String {
        use m::incremental_alter_configs_request::*;
        let configs = words[2..].iter().map(|word| {
            let (op, pair) = word.split_once(':').unwrap();
            let (name, value) = pair.split_once('=').map_or((pair, None), |(k, v)| (k, Some(v)));
            let ops = ["set", "delete", "append", "subtract"];
            let op = ops.iter().position(|known| *known == op).unwrap();
            AlterableConfig {
                name: owned(name),
                config_operation: i8::try_from(op).unwrap(),
                value: value.map(owned),
                ..Default::default()
            }
        });
        let resource = AlterConfigsResource {
            resource_type: words[0].parse().unwrap(),
            resource_name: owned(words[1]),
            configs: configs.collect(),
            ..Default::default()
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let reply = ask!(self, IncrementalAlterConfigs(request));
        let answers = reply.responses.iter().map(|r| error(r.error_code, r.error_message.as_ref()));
        answers.collect::<Vec<_>>().join(" | ")
    }

    fn replace(&mut self, words: &[&str]) -> String {
        use m::alter_configs_request::*;
        let configs = words[2..].iter().map(|word| {
            let (name, value) = word.split_once('=').unwrap();
            AlterableConfig { name: owned(name), value: Some(owned(value)), ..Default::default() }
        });
        let resource = AlterConfigsResource {
            resource_type: words[0].parse().unwrap(),
            resource_name: owned(words[1]),
            configs: configs.collect(),
            ..Default::default()
        };
        let request = AlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let reply = ask!(self, AlterConfigs(request));
        let answers = reply.responses.iter().map(|r| error(r.error_code, r.error_message.as_ref()));
        answers.collect::<Vec<_>>().join(" | ")
    }

    fn elect(&mut self, words: &[&str]) -> String {
        use m::elect_leaders_request::*;
        let topic_partitions = (words.len() > 1).then(|| {
            vec![TopicPartitions {
                topic: owned(words[1]),
                partitions: numbers(words[2]),
                ..Default::default()
            }]
        });
        let election_type = words[0].parse().unwrap();
        let request = ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
        let reply = ask!(self, ElectLeaders(request));
        let mut answers = Vec::new();
        for topic in &reply.replica_election_results {
            for result in &topic.partition_result {
                let text = error(result.error_code, result.error_message.as_ref());
                answers.push(format!("{}-{} {text}", topic.topic, result.partition_id));
            }
        }
        answers.sort();
        answers.insert(0, error(reply.error_code, None));
        answers.join(" | ")
    }

    fn features(&mut self, words: &[&str]) -> String {
        use m::update_features_request::*;
        let update = FeatureUpdateKey {
            feature: owned(words[0]),
            max_version_level: words[1].parse().unwrap(),
            upgrade_type: words[2].parse().unwrap(),
            ..Default::default()
        };
        let validate_only = words.contains(&"validate");
        let request = UpdateFeaturesRequest {
            feature_updates: vec![update],
            validate_only,
            ..Default::default()
        };
        let reply = ask!(self, UpdateFeatures(request, 2));
        error(reply.error_code, reply.error_message.as_ref())
    }

    fn reassign(&mut self, words: &[&str]) -> String {
        use m::alter_partition_reassignments_request::*;
        let partition = ReassignablePartition {
            partition_index: words[1].parse().unwrap(),
            replicas: (words[2] != "cancel").then(|| numbers(words[2])),
            ..Default::default()
        };
        let topic = ReassignableTopic {
            name: owned(words[0]),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![topic],
            allow_replication_factor_change: !words.contains(&"samefactor"),
            ..Default::default()
        };
        let reply = ask!(self, AlterPartitionReassignments(request));
        let mut answers = vec![error(reply.error_code, reply.error_message.as_ref())];
        for partition in reply.responses.iter().flat_map(|topic| &topic.partitions) {
            answers.push(error(partition.error_code, partition.error_message.as_ref()));
        }
        answers.join(" | ")
    }

    fn reassignments(&mut self) -> String {
        let request =
            m::list_partition_reassignments_request::ListPartitionReassignmentsRequest::default();
        let reply = ask!(self, ListPartitionReassignments(request));
        assert_eq!((reply.error_code, reply.error_message), (0, None));
        let mut answers = Vec::new();
        for topic in &reply.topics {
            for p in &topic.partitions {
                answers.push(format!(
                    "{}-{} {:?} adding {:?} removing {:?}",
                    topic.name,
                    p.partition_index,
                    p.replicas,
                    p.adding_replicas,
                    p.removing_replicas
                ));
            }
        }
        answers.join(" | ")
    }

    fn register(&mut self, words: &[&str]) -> String {
        let (id, generation) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        let request = TestContext::registration(id, generation);
        error(ask!(self, BrokerRegistration(request, 4)).error_code, None)
    }

    fn heartbeat(&mut self, words: &[&str]) -> String {
        let id: i32 = words[0].parse().unwrap();
        let reply = self.cx.heartbeat(id, |request| {
            request.broker_epoch -= i64::from(words.contains(&"stale"));
            request.current_metadata_offset = if words.contains(&"behind") { 0 } else { 1 << 60 };
            request.want_fence = words.contains(&"fence");
            request.want_shut_down = words.contains(&"shutdown");
            if words.contains(&"offline") {
                request.offline_log_dirs = vec![TestContext::directory(id)];
            }
            if words.contains(&"cordon") {
                request.cordoned_log_dirs = Some(vec![TestContext::directory(id)]);
            }
        });
        let mut answer = error(reply.error_code, None);
        let flags = [
            (reply.is_caught_up, " caught-up"),
            (reply.is_fenced, " fenced"),
            (reply.should_shut_down, " stop"),
        ];
        flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| answer += name);
        answer
    }

    fn isr(&mut self, words: &[&str]) -> String {
        use m::alter_partition_request::*;
        let broker_id: i32 = words[0].parse().unwrap();
        let broker_epoch = if words.contains(&"oldepoch") { 0 } else { -1 };
        let state = |broker_id| BrokerState { broker_id, broker_epoch, ..Default::default() };
        let partition = PartitionData {
            partition_index: words[2].parse().unwrap(),
            leader_epoch: words[3].parse().unwrap(),
            partition_epoch: words[4].parse().unwrap(),
            new_isr_with_epochs: numbers(words[5]).into_iter().map(state).collect(),
            leader_recovery_state: i8::from(words.contains(&"recovering")),
            ..Default::default()
        };
        let topic = TopicData {
            topic_id: self.id(words[1]),
            partitions: vec![partition],
            ..Default::default()
        };
        // The asker never learns the epoch of the real broker.
        let known = if broker_id == 1 { -1 } else { self.cx.epoch(broker_id) };
        let request = AlterPartitionRequest {
            broker_id,
            broker_epoch: known,
            topics: vec![topic],
            ..Default::default()
        };
        let reply = ask!(self, AlterPartition(request, 3));
        if reply.error_code != 0 {
            return error(reply.error_code, None);
        }
        let p = &reply.topics[0].partitions[0];
        let mut answer = error(p.error_code, None);
        if p.error_code == 0 {
            let (epoch, version) = (p.leader_epoch, p.partition_epoch);
            answer += &format!(" leader {} isr {:?} epoch {epoch}/{version}", p.leader_id, p.isr);
            if p.leader_recovery_state == 1 {
                answer += " recovering";
            }
        }
        answer
    }

    fn producer_ids(&mut self, words: &[&str]) -> String {
        let broker_id = words[0].parse().unwrap();
        let request = m::allocate_producer_ids_request::AllocateProducerIdsRequest {
            broker_id,
            broker_epoch: self.cx.epoch(broker_id),
            ..Default::default()
        };
        let reply = ask!(self, AllocateProducerIds(request));
        let block = format!(" {} {}", reply.producer_id_start, reply.producer_id_len);
        error(reply.error_code, None) + if reply.error_code == 0 { &block } else { "" }
    }

    fn state(&self, name: &str) -> String {
        let topic = self.cx.image().topics.by_name(name).unwrap();
        let list = |ids: &[NodeId]| format!("{:?}", ids.iter().map(|id| id.0).collect::<Vec<_>>());
        let describe = |(PartitionIndex(index), p): (PartitionIndex, &metadata::Partition)| {
            let mut text = format!(
                "{index} leader {} epoch {} replicas {} isr {}",
                p.leader,
                p.leader_epoch,
                list(&p.replicas),
                list(&p.isr)
            );
            for (name, ids) in [("elr", &p.elr), ("last", &p.last_known_elr)] {
                if !ids.is_empty() {
                    text += &format!(" {name} {}", list(ids));
                }
            }
            text
        };
        topic.partitions().map(describe).collect::<Vec<_>>().join(" | ")
    }
}

/// The answers come from `tests/fixtures/ask/Ask.java`, which asks a real Kafka.
#[test]
fn answers_are_those_of_kafka() {
    let mut cx = TestContext::empty(&[]);
    cx.register(1);
    cx.unfence(1);
    let mut asker = Asker { cx, ids: BTreeMap::new() };
    let transcript = include_str!("fixtures/kafka-4.4.0.txt");
    let (mut question, mut wrong, mut asked) = ("", Vec::new(), 0);
    for line in transcript.lines() {
        if let Some(text) = line.strip_prefix("> ") {
            question = text;
        } else if let Some(expected) = line.strip_prefix('=') {
            let (expected, answer) = (expected.trim(), asker.ask(question));
            asked += 1;
            if answer != expected {
                wrong.push(format!("> {question}\nKafka: {expected}\n  Own: {answer}\n"));
            }
        }
    }
    assert!(asked > 200, "the transcript is incomplete");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asker.cx.replayed() == *asker.cx.image(), "replay from nothing leads elsewhere");
}
