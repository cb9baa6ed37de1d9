//! What the broker knows of topics besides the image: legal names, internal ones, creation on first use.

use config::BrokerConfig;
use protocol::ErrorCode;
use protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::forward;
use crate::request::RequestContext;

/// Topics that hold the coordinators' state, and the number of partitions and replicas that the configuration gives them.
const INTERNAL: &[&str] = &["__consumer_offsets", "__transaction_state", "__share_group_state"];

pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// The controller's rule, so that both always agree.
pub fn is_valid_name(name: &str) -> bool {
    controller::why_topic_name_invalid(name).is_none()
}

/// What Kafka sets for the topics of its coordinators.
fn internal_configs(config: &BrokerConfig, name: &str) -> Vec<CreatableTopicConfig<'static>> {
    let entry = |name: &'static str, value: String| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    match name {
        "__consumer_offsets" => vec![
            entry("cleanup.policy", "compact".into()),
            entry("segment.bytes", config.offsets.topic_segment_bytes.to_string()),
            entry("compression.type", "producer".into()),
        ],
        // No leader that lacks a decision may ever be elected, and none that is written is compressed.
        "__transaction_state" => vec![
            entry("compression.type", "uncompressed".into()),
            entry("cleanup.policy", "compact".into()),
            entry("min.insync.replicas", config.transaction.state_log_min_isr.to_string()),
            entry("segment.bytes", config.transaction.state_log_segment_bytes.to_string()),
            entry("unclean.leader.election.enable", "false".into()),
        ],
        _ => Vec::new(),
    }
}

/// Partitions and replicas of a client's topic: what this broker's own file says, else -1, and the controller decides.
fn ordinary_size(config: &BrokerConfig) -> (i32, i16) {
    let given = |key| config.given.get(key).is_some();
    let partitions = if given("num.partitions") { config.topics.num_partitions } else { -1 };
    let replication = if given("default.replication.factor") {
        i16::try_from(config.topics.default_replication_factor).unwrap_or(i16::MAX)
    } else {
        -1
    };
    (partitions, replication)
}

/// Creates topics that a client asked for and that do not exist; `missing` are (index, name) of the request's topics. Returns
/// the error to answer where it is not the usual UNKNOWN_TOPIC_OR_PARTITION ("come again").
pub async fn auto_create(
    context: &RequestContext,
    missing: &[(usize, String)],
) -> Vec<(usize, ErrorCode)> {
    let config = context.node.config();
    let legal = missing.iter().filter(|(_, name)| is_valid_name(name));
    let mut topics: Vec<CreatableTopic<'static>> = Vec::new();
    for (_, name) in legal {
        if topics.iter().any(|topic| topic.name == *name) {
            continue;
        }
        let (partitions, replication) = match name.as_str() {
            "__consumer_offsets" => {
                (config.offsets.topic_num_partitions, config.offsets.topic_replication_factor)
            }
            "__transaction_state" => (
                config.transaction.state_log_num_partitions,
                config.transaction.state_log_replication_factor,
            ),
            "__share_group_state" => (
                config.share_coordinator.state_topic_num_partitions,
                config.share_coordinator.state_topic_replication_factor,
            ),
            _ => ordinary_size(&context.node.static_config),
        };
        topics.push(CreatableTopic {
            name: name.clone().into(),
            num_partitions: partitions,
            replication_factor: replication,
            configs: internal_configs(&config, name),
            ..Default::default()
        });
    }
    if topics.is_empty() {
        return Vec::new();
    }
    let request = CreateTopicsRequest {
        topics,
        timeout_ms: config.socket.request_timeout_ms,
        ..Default::default()
    };
    let Ok(response) = forward::create_topics(context, request).await else {
        return Vec::new();
    };
    let refused = response.topics.iter().filter_map(|topic| {
        let error = ErrorCode::from_code(topic.error_code);
        let told = match error {
            // Clients see the new topic at their next try.
            ErrorCode::None | ErrorCode::TopicAlreadyExists => return None,
            ErrorCode::InvalidTopicException | ErrorCode::InvalidReplicationFactor => error,
            _ => return None,
        };
        let index = missing.iter().find(|(_, name)| *name == topic.name)?.0;
        Some((index, told))
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use config::BrokerConfig;
    use config::properties::Properties;

    use super::ordinary_size;

    #[test]
    fn what_the_file_does_not_say_is_left_to_the_controller() {
        let file = "process.roles=broker\nnode.id=1\nlisteners=PLAINTEXT://localhost:9092\n\
            controller.quorum.voters=2@localhost:9093\ncontroller.listener.names=CONTROLLER\n";
        let size = |more: &str| {
            let properties = Properties::parse(&format!("{file}{more}")).expect("it is readable");
            ordinary_size(&BrokerConfig::parse(&properties).expect("it is valid"))
        };
        assert_eq!(size(""), (-1, -1));
        assert_eq!(size("num.partitions=5"), (5, -1));
        assert_eq!(size("default.replication.factor=2"), (-1, 2));
        // As the default, but said.
        assert_eq!(size("num.partitions=1"), (1, -1));
    }
}
