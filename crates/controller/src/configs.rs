//! AlterConfigs and IncrementalAlterConfigs: the controller's half. What holds is decided by the crate `config`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;
use config::alter::{self, Change, Op, OpKind, Refusal, ResourceType, Rules};
use config::topic::Overrides;
use metadata::{ConfigResource, ConfigResourceType, Feature};
use protocol::ErrorCode;
use protocol::messages::alter_configs_request::AlterConfigsRequest;
use protocol::messages::alter_configs_response as legacy_response;
use protocol::messages::create_topics_response::CreatableTopicConfigs;
use protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use protocol::messages::incremental_alter_configs_response as incremental_response;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::clear_elr_record::ClearElrRecord;
use protocol::metadata_records::config_record::ConfigRecord;

use crate::effective::{MIN_INSYNC_REPLICAS, cluster_resource};
use crate::error::{ApiError, Result, check_size, fields};
use crate::handle::{Controller, Records};

type ConfigRecords = Vec<MetadataRecord<'static>>;

/// What is wrong with a resource, as response fields hold it.
type Fields = (i16, Option<Cow<'static, str>>);

pub(crate) fn incremental(
    controller: &Controller,
    request: &IncrementalAlterConfigsRequest<'static>,
) -> (Records, incremental_response::IncrementalAlterConfigsResponse<'static>) {
    let (records, answers) = alter(
        controller,
        request.resources.iter().map(|r| ((r.resource_type, &*r.resource_name), r)),
        request.validate_only,
        |resource, kind, rules, target, current| {
            let ops = resource.configs.iter().map(|config| Op {
                name: &config.name,
                kind: OpKind::from_id(config.config_operation),
                value: config.value.as_deref(),
            });
            let ops: Vec<Op<'_>> = ops.collect();
            alter::incremental(rules, kind, &target.name, current, &ops)
        },
    );
    let responses = answers.into_iter().map(|(resource, (error_code, error_message))| {
        incremental_response::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    let responses = responses.collect();
    (
        records,
        incremental_response::IncrementalAlterConfigsResponse { responses, ..Default::default() },
    )
}

pub(crate) fn legacy(
    controller: &Controller,
    request: &AlterConfigsRequest<'static>,
) -> (Records, legacy_response::AlterConfigsResponse<'static>) {
    let (records, answers) = alter(
        controller,
        request.resources.iter().map(|r| ((r.resource_type, &*r.resource_name), r)),
        request.validate_only,
        |resource, kind, rules, target, current| {
            let new =
                resource.configs.iter().map(|config| (&*config.name, config.value.as_deref()));
            let new: Vec<(&str, Option<&str>)> = new.collect();
            alter::replacement(rules, kind, &target.name, current, &new)
        },
    );
    let responses = answers.into_iter().map(|(resource, (error_code, error_message))| {
        legacy_response::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        }
    });
    let responses = responses.collect();
    (records, legacy_response::AlterConfigsResponse { responses, ..Default::default() })
}

/// The records that all resources of a request make, and what each of them is answered. `changes` says what a resource wants,
/// given the rules, its name, and what is set there now.
fn alter<'a, R>(
    controller: &Controller,
    resources: impl Iterator<Item = ((i8, &'a str), &'a R)> + Clone,
    validate_only: bool,
    changes: impl Fn(
        &R,
        ResourceType,
        &Rules<'_>,
        &ConfigResource,
        &Overrides,
    ) -> Result<Vec<Change>, Refusal>,
) -> (Records, Vec<(&'a R, Fields)>) {
    let mut records = Vec::new();
    let mut twice = Duplicates::of(resources.clone().map(|(key, _)| key));
    let mut answers = Vec::new();
    for (key, resource) in resources {
        let Some(known) = twice.admit(key) else { continue };
        let altered = known.and_then(|target| {
            let current = current(controller, &target);
            let rules = |kind, rules: &Rules<'_>| changes(resource, kind, rules, &target, &current);
            decide(controller, &target, rules)
        });
        answers.push((resource, fields(altered.map(|mut made| records.append(&mut made)))));
    }
    let records = finish(controller, records, validate_only).unwrap_or_else(|error| {
        for (_, fields) in &mut answers {
            *fields = error.clone().fields();
        }
        Records::none()
    });
    (records, answers)
}

/// Resources of a request that stand in it more than once.
struct Duplicates<'a> {
    twice: BTreeSet<(i8, &'a str)>,
    answered: BTreeSet<(i8, &'a str)>,
}

impl<'a> Duplicates<'a> {
    fn of(resources: impl Iterator<Item = (i8, &'a str)>) -> Self {
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for resource in resources {
            if !once.insert(resource) {
                twice.insert(resource);
            }
        }
        Self { twice, answered: BTreeSet::new() }
    }

    /// The resource to look at, or why it cannot be; `None` when it got its answer already.
    fn admit(&mut self, key: (i8, &'a str)) -> Option<Result<ConfigResource>> {
        let kind = ConfigResourceType::from_code(key.0);
        if kind == ConfigResourceType::Unknown {
            let message = format!("Unknown resource type {}.", key.0);
            return Some(Err(ApiError::new(ErrorCode::UnsupportedVersion, message)));
        }
        if self.twice.contains(&key) {
            let duplicate = || Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate resource."));
            return self.answered.insert(key).then(duplicate);
        }
        Some(Ok(ConfigResource::new(kind, key.1)))
    }
}

fn current(controller: &Controller, resource: &ConfigResource) -> Overrides {
    let entries = controller.image().configs.entries(resource);
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn decide(
    controller: &Controller,
    resource: &ConfigResource,
    rules: impl FnOnce(ResourceType, &Rules<'_>) -> Result<Vec<Change>, Refusal>,
) -> Result<ConfigRecords> {
    let kind = ResourceType::from_id(resource.kind.code());
    let kind = kind.ok_or_else(|| ApiError::bare(ErrorCode::InvalidRequest))?;
    let elr_enabled = controller.image().features.elr_enabled();
    let changes =
        rules(kind, &Rules { node: &controller.settings.node, elr_enabled }).map_err(refusal)?;
    check_cordoned(controller, kind, &changes)?;
    check_exists(controller, resource)?;
    Ok(changes.into_iter().map(|change| record(resource, change)).collect())
}

/// Older logs cannot hold which directories take no replicas.
fn check_cordoned(controller: &Controller, kind: ResourceType, changes: &[Change]) -> Result<()> {
    let cordons = changes.iter().any(|change| change.name == "cordoned.log.dirs");
    if kind == ResourceType::Broker
        && cordons
        && !controller.metadata_version().supports_cordoned_log_dirs()
    {
        let message = "The cordoned.log.dirs configuration value cannot be set because it requires \
                       metadata.version >= 4.3-IV0";
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    Ok(())
}

fn refusal(refusal: Refusal) -> ApiError {
    let code = ErrorCode::from_code(refusal.code);
    // Kafka sends no text beside an error it did not foresee.
    let message = (code != ErrorCode::UnknownServerError).then_some(refusal.message);
    ApiError { code, message }
}

fn check_exists(controller: &Controller, resource: &ConfigResource) -> Result<()> {
    let image = controller.image();
    match resource.kind {
        ConfigResourceType::Broker if !resource.name.is_empty() => {
            let invalid = || {
                let message = format!("Invalid broker name {}", resource.name);
                ApiError::new(ErrorCode::InvalidRequest, message)
            };
            let id = NodeId(resource.name.parse().map_err(|_| invalid())?);
            let known = image.cluster.brokers.contains_key(&id)
                || image.cluster.controllers.contains_key(&id)
                || controller.settings.quorum.contains(&id);
            if known {
                return Ok(());
            }
            let message = format!("No node with id {id} found.");
            Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, message))
        }
        ConfigResourceType::Topic if image.topics.id_of(&resource.name).is_none() => {
            let message = format!("The topic '{}' does not exist.", resource.name);
            Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message))
        }
        _ => Ok(()),
    }
}

fn record(resource: &ConfigResource, change: Change) -> MetadataRecord<'static> {
    MetadataRecord::Config(ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name.to_string().into(),
        name: change.name.into(),
        value: change.value.map(Into::into),
        ..Default::default()
    })
}

/// With eligible leaders on, a new minimum of in-sync replicas makes those known so far void.
fn clear_elr(controller: &Controller, records: &[MetadataRecord<'static>]) -> ConfigRecords {
    if !controller.image().features.elr_enabled() {
        return Vec::new();
    }
    let cleared = records.iter().filter_map(|record| match record {
        MetadataRecord::Config(config) if config.name == MIN_INSYNC_REPLICAS => {
            let of_topic = config.resource_type == ConfigResourceType::Topic.code();
            let topic_name =
                if of_topic { config.resource_name.clone() } else { Cow::Borrowed("") };
            Some(ClearElrRecord { topic_name, ..Default::default() }.into())
        }
        _ => None,
    });
    cleared.collect()
}

fn finish(
    controller: &Controller,
    mut records: ConfigRecords,
    validate_only: bool,
) -> Result<Records> {
    let mut cleared = clear_elr(controller, &records);
    records.append(&mut cleared);
    check_size(&records)?;
    Ok(if validate_only { Records::none() } else { Records::atomic(records) })
}

/// The configuration of a topic that is about to exist.
pub(crate) fn for_new_topic(
    controller: &Controller,
    resource: &ConfigResource,
    given: &BTreeMap<Cow<'static, str>, Cow<'static, str>>,
) -> Result<ConfigRecords> {
    let ops = given.iter().map(|(name, value)| Op { name, kind: OpKind::Set, value: Some(value) });
    let ops: Vec<Op<'_>> = ops.collect();
    let elr_enabled = controller.image().features.elr_enabled();
    let rules = Rules { node: &controller.settings.node, elr_enabled };
    let changes =
        alter::incremental(&rules, ResourceType::Topic, &resource.name, &Overrides::new(), &ops);
    let mut records: ConfigRecords =
        changes.map_err(refusal)?.into_iter().map(|change| record(resource, change)).collect();
    let mut cleared = clear_elr(controller, &records);
    records.append(&mut cleared);
    Ok(records)
}

/// Codes of where a value comes from.
mod source {
    pub(super) const TOPIC: i8 = 1;
    pub(super) const DYNAMIC_BROKER: i8 = 2;
    pub(super) const DYNAMIC_CLUSTER: i8 = 3;
    pub(super) const STATIC: i8 = 4;
    pub(super) const DEFAULT: i8 = 5;
}

/// Every configuration that will hold for a new topic, as CreateTopics answers it, sorted by name.
pub(crate) fn effective_for_new_topic(
    controller: &Controller,
    given: &BTreeMap<Cow<'static, str>, Cow<'static, str>>,
) -> Vec<CreatableTopicConfigs<'static>> {
    let node = &controller.settings.node;
    let own: Overrides =
        given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let broker = ConfigResource::new(ConfigResourceType::Broker, node.node_id.to_string());
    let (cluster, broker) =
        (current(controller, &cluster_resource()), current(controller, &broker));
    // Dynamic settings were checked when they were made; should one not hold, the static ones do.
    let dynamic = if cluster.is_empty() && broker.is_empty() {
        None
    } else {
        node.with_dynamic(&cluster, &broker).ok()
    };
    let values = dynamic.as_ref().unwrap_or(node).topic_values(&own);
    let Ok(values) = values else { return Vec::new() };
    let source = |name: &str| {
        let synonyms = config::keys::synonyms::of_topic(name);
        let has = |set: &dyn Fn(&str) -> bool| synonyms.iter().any(|(synonym, _)| set(synonym));
        if own.contains_key(name) {
            source::TOPIC
        } else if has(&|key| broker.contains_key(key)) {
            source::DYNAMIC_BROKER
        } else if has(&|key| cluster.contains_key(key)) {
            source::DYNAMIC_CLUSTER
        } else if has(&|key| node.given.get(key).is_some()) {
            source::STATIC
        } else {
            source::DEFAULT
        }
    };
    let internal = |name: &str| config::keys::TOPIC.get(name).is_some_and(|key| key.internal);
    let shown = values.iter().filter(|(name, _)| !internal(name));
    let entries = shown.map(|(name, value)| CreatableTopicConfigs {
        name: name.into(),
        value: value.describe().map(Into::into),
        read_only: false,
        config_source: source(name),
        is_sensitive: matches!(value, config::Value::Password(_)),
        ..Default::default()
    });
    entries.collect()
}

/// With eligible leaders turned on, the minimum of in-sync replicas belongs to the cluster alone.
pub(crate) fn elr_safety(controller: &Controller) -> ConfigRecords {
    let mut records = Vec::new();
    let configs = &controller.image().configs;
    if configs.value(&cluster_resource(), MIN_INSYNC_REPLICAS).is_none() {
        records.push(crate::activation::cluster_min_isr(controller));
    }
    for (resource, entries) in configs.iter() {
        let of_broker = resource.kind == ConfigResourceType::Broker && !resource.name.is_empty();
        if of_broker && entries.contains_key(MIN_INSYNC_REPLICAS) {
            records.push(record(
                resource,
                Change { name: MIN_INSYNC_REPLICAS.to_owned(), value: None },
            ));
        }
    }
    records
}

/// The name of the feature that this module reacts to.
pub(crate) const ELR_FEATURE: &str = Feature::ELR_VERSION;
