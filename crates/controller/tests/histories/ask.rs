//! Requests as histories write them, and the answers in their words.

use base::TopicId;
use controller::{ControllerReply, ControllerRequest};
use protocol::messages as m;

use crate::common::TestContext;
use crate::common::notation::{self, list, parse_list};
use crate::{History, NOBODY, error, number, option, partition};

impl History {
    pub(crate) fn register(&mut self, words: &[&str]) -> String {
        let broker = number(words[0]);
        let dropped = |number: &str| words.iter().any(|word| *word == format!("drop{number}"));
        let mut request = TestContext::registration(number(words[0]), 1);
        request.features.retain(|feature| {
            !(dropped("0") && feature.name == "metadata.version"
                || dropped("2") && feature.name == "eligible.leader.replicas.version")
        });
        if dropped("1") {
            let feature = request.features.iter_mut().find(|f| f.name == "metadata.version");
            let feature = feature.unwrap();
            (feature.min_supported_version, feature.max_supported_version) = (7, 7);
        }
        if words.contains(&"other") {
            request.cluster_id = "other".into();
        }
        let request = m::broker_registration_request::BrokerRegistrationRequest {
            incarnation_id: notation::incarnation(broker, number(option(words, "inc").unwrap())),
            previous_broker_epoch: number(option(words, "prev").unwrap()),
            log_dirs: parse_list(option(words, "dirs").unwrap(), notation::parse_directory),
            rack: option(words, "rack")
                .filter(|rack| *rack != "-")
                .map(|rack| rack.to_owned().into()),
            is_migrating_zk_broker: words.contains(&"zk"),
            ..request
        };
        let version = number(option(words, "v").unwrap());
        let reply = ask!(self, BrokerRegistration(request, version));
        match reply.error_code {
            0 => format!("NONE e{}", reply.broker_epoch),
            code => error(code, None),
        }
    }

    pub(crate) fn heartbeat(&mut self, words: &[&str]) -> String {
        let dirs =
            |name| option(words, name).map(|text| parse_list(text, notation::parse_directory));
        let request = m::broker_heartbeat_request::BrokerHeartbeatRequest {
            broker_id: number(words[0]),
            broker_epoch: number(option(words, "e").unwrap()),
            current_metadata_offset: number(option(words, "o").unwrap()),
            want_fence: words.contains(&"fence"),
            want_shut_down: words.contains(&"down"),
            offline_log_dirs: dirs("offline").unwrap_or_default(),
            cordoned_log_dirs: dirs("cordoned"),
            ..Default::default()
        };
        let reply = ask!(self, BrokerHeartbeat(request));
        let mut answer = error(reply.error_code, None);
        if reply.error_code == 0 {
            let said = [
                (reply.is_caught_up, " up"),
                (reply.is_fenced, " fenced"),
                (reply.should_shut_down, " stop"),
            ];
            answer.extend(said.iter().filter(|(said, _)| *said).map(|(_, word)| *word));
        }
        answer
    }

    pub(crate) fn grow(&mut self, words: &[&str], placed: bool) -> String {
        use m::create_partitions_request::*;
        let replicas = |text: &&str| CreatePartitionsAssignment {
            broker_ids: parse_list(text, number),
            ..Default::default()
        };
        let assigned = words[2..].iter().filter(|word| !word.is_empty()).map(replicas);
        let topic = CreatePartitionsTopic {
            name: words[0].to_owned().into(),
            count: number(words[1]),
            assignments: (!placed).then(|| assigned.collect()),
            ..Default::default()
        };
        let request = CreatePartitionsRequest { topics: vec![topic], ..Default::default() };
        let reply = ask!(self, CreatePartitions(request));
        error(reply.results[0].error_code, reply.results[0].error_message.as_deref())
    }

    pub(crate) fn delete(&mut self, name: &str) -> String {
        use m::delete_topics_request::*;
        let name = Some(name.to_owned().into());
        let topics = vec![DeleteTopicState { name, ..Default::default() }];
        let reply = ask!(self, DeleteTopics(DeleteTopicsRequest { topics, ..Default::default() }));
        error(reply.responses[0].error_code, reply.responses[0].error_message.as_deref())
    }

    fn topic_id(&self, words: &[&str], name: &str) -> TopicId {
        if words.contains(&"wrong") { NOBODY } else { self.cx.image().topics.id_of(name).unwrap() }
    }

    pub(crate) fn alter(&mut self, words: &[&str]) -> String {
        use m::alter_partition_request::*;
        let (name, partition_index) = partition(words[2]);
        let version = number(option(words, "v").unwrap());
        let isr = option(words, "isr").unwrap();
        let mut data = PartitionData {
            partition_index,
            leader_epoch: number(option(words, "le").unwrap()),
            partition_epoch: number(option(words, "pe").unwrap()),
            leader_recovery_state: number(option(words, "rec").unwrap()),
            ..Default::default()
        };
        if version >= 3 {
            data.new_isr_with_epochs = parse_list(isr, |state| {
                let (id, epoch) = state.split_once(':').unwrap();
                let (broker_id, broker_epoch) = (number(id), number(epoch));
                BrokerState { broker_id, broker_epoch, ..Default::default() }
            });
        } else {
            data.new_isr = parse_list(isr, number);
        }
        let topic_id = self.topic_id(words, name);
        let topics = vec![TopicData { topic_id, partitions: vec![data], ..Default::default() }];
        let request = AlterPartitionRequest {
            broker_id: number(words[0]),
            broker_epoch: number(option(words, "e").unwrap()),
            topics,
            ..Default::default()
        };
        let reply = ask!(self, AlterPartition(request, version));
        if reply.error_code != 0 {
            return error(reply.error_code, None);
        }
        let p = &reply.topics[0].partitions[0];
        if p.error_code != 0 {
            return error(p.error_code, None);
        }
        let (isr, recovery) = (list(&p.isr), p.leader_recovery_state);
        format!(
            "NONE l{} i{isr} e{}/{} x{recovery}",
            p.leader_id, p.leader_epoch, p.partition_epoch
        )
    }

    pub(crate) fn reassign(&mut self, words: &[&str]) -> String {
        use m::alter_partition_reassignments_request::*;
        let same = words[0] == "same";
        let topics = words.iter().skip(usize::from(same)).map(|word| {
            let (what, replicas) = word.split_once(':').unwrap();
            let (name, partition_index) = partition(what);
            let replicas = (replicas != "cancel").then(|| parse_list(replicas, number));
            let partition =
                ReassignablePartition { partition_index, replicas, ..Default::default() };
            ReassignableTopic {
                name: name.to_owned().into(),
                partitions: vec![partition],
                ..Default::default()
            }
        });
        let request = AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: !same,
            topics: topics.collect(),
            ..Default::default()
        };
        let reply = ask!(self, AlterPartitionReassignments(request));
        let all = reply.responses.iter().flat_map(|topic| &topic.partitions);
        let all = all.map(|p| error(p.error_code, p.error_message.as_deref()));
        all.collect::<Vec<_>>().join(" & ")
    }

    pub(crate) fn list(&mut self) -> String {
        let request = m::list_partition_reassignments_request::ListPartitionReassignmentsRequest {
            topics: None,
            ..Default::default()
        };
        let reply = ask!(self, ListPartitionReassignments(request));
        let mut all = Vec::new();
        for topic in &reply.topics {
            all.extend(topic.partitions.iter().map(|p| {
                let sets = [&p.replicas, &p.adding_replicas, &p.removing_replicas].map(list);
                let [replicas, adding, removing] = sets;
                format!("{}-{} r{replicas} +{adding} -{removing}", topic.name, p.partition_index)
            }));
        }
        all.sort();
        format!("NONE {}", all.join(" & "))
    }

    pub(crate) fn elect(&mut self, words: &[&str]) -> String {
        use m::elect_leaders_request::*;
        let one = (words[1] != "all").then(|| {
            let (topic, index) = partition(words[1]);
            let (topic, partitions) = (topic.to_owned().into(), vec![index]);
            vec![TopicPartitions { topic, partitions, ..Default::default() }]
        });
        let request = ElectLeadersRequest {
            election_type: number(words[0]),
            topic_partitions: one,
            ..Default::default()
        };
        let reply = ask!(self, ElectLeaders(request));
        let mut all = Vec::new();
        for topic in &reply.replica_election_results {
            all.extend(topic.partition_result.iter().map(|p| {
                let error = error(p.error_code, p.error_message.as_deref());
                format!("{}-{} {error}", topic.topic, p.partition_id)
            }));
        }
        all.sort();
        if all.is_empty() { "-".to_owned() } else { all.join(" & ") }
    }

    pub(crate) fn assign(&mut self, words: &[&str]) -> String {
        use m::assign_replicas_to_dirs_request::*;
        let (name, partition_index) = partition(words[3]);
        let partitions = vec![PartitionData { partition_index, ..Default::default() }];
        let topic_id = self.topic_id(words, name);
        let topics = vec![TopicData { topic_id, partitions, ..Default::default() }];
        let id = notation::parse_directory(words[2]);
        let request = AssignReplicasToDirsRequest {
            broker_id: number(words[0]),
            broker_epoch: number(option(words, "e").unwrap()),
            directories: vec![DirectoryData { id, topics, ..Default::default() }],
            ..Default::default()
        };
        let reply = ask!(self, AssignReplicasToDirs(request));
        if reply.error_code != 0 {
            return error(reply.error_code, None);
        }
        error(reply.directories[0].topics[0].partitions[0].error_code, None)
    }

    pub(crate) fn config(&mut self, words: &[&str]) -> String {
        use m::incremental_alter_configs_request::*;
        let (kind, resource) = words[0].split_once('/').unwrap();
        let (name, value) = words[1].split_once('=').unwrap();
        let value = (value != "-").then(|| value.to_owned().into());
        let config = AlterableConfig {
            name: name.to_owned().into(),
            config_operation: i8::from(value.is_none()),
            value,
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type: if kind == "t" { 2 } else { 4 },
            resource_name: resource.to_owned().into(),
            configs: vec![config],
            ..Default::default()
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let reply = ask!(self, IncrementalAlterConfigs(request));
        error(reply.responses[0].error_code, reply.responses[0].error_message.as_deref())
    }

    pub(crate) fn feature(&mut self, words: &[&str]) -> String {
        use m::update_features_request::*;
        let update = FeatureUpdateKey {
            feature: words[0].to_owned().into(),
            max_version_level: number(words[1]),
            upgrade_type: number(words[2]),
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: vec![update],
            validate_only: words.contains(&"dry"),
            ..Default::default()
        };
        let reply = ask!(self, UpdateFeatures(request, 2));
        let shared =
            "The update failed for all features since the following feature had an error: ";
        let message = reply.error_message.as_deref();
        error(reply.error_code, message.and_then(|message| message.strip_prefix(shared)))
    }
}
