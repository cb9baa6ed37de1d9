//! The first records of a new active controller.

use base::NodeId;
use metadata::{ConfigResourceType, Feature, MetadataVersion};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::abort_transaction_record::AbortTransactionRecord;
use protocol::metadata_records::begin_transaction_record::BeginTransactionRecord;
use protocol::metadata_records::config_record::ConfigRecord;
use protocol::metadata_records::end_transaction_record::EndTransactionRecord;

use crate::effective::MIN_INSYNC_REPLICAS;
use crate::handle::{Controller, Records};

/// Aborts what a controller before left open; on an empty log appends `bootstrap`, in a metadata transaction where its
/// level has them.
pub(crate) fn records(controller: &Controller, bootstrap: Vec<MetadataRecord<'static>>) -> Records {
    let mut records: Vec<MetadataRecord<'static>> = Vec::new();
    if controller.state.in_transaction() {
        let reason = Some("Controller failover".into());
        records.push(AbortTransactionRecord { reason, ..Default::default() }.into());
    }
    if controller.state.settled().image.features.metadata_version.is_some() {
        return Records::atomic(records);
    }
    let level = |name: &str| {
        let mut levels = bootstrap.iter().filter_map(|record| match record {
            MetadataRecord::FeatureLevel(feature) if feature.name == name => {
                Some(feature.feature_level)
            }
            _ => None,
        });
        levels.next_back()
    };
    let version = level(MetadataVersion::FEATURE_NAME).and_then(MetadataVersion::from_level);
    let in_transaction = version.is_some_and(MetadataVersion::supports_transactions);
    let elr = level(Feature::ELR_VERSION).is_some_and(|level| level > 0);
    if in_transaction {
        let name = Some("Bootstrap records".into());
        records.push(BeginTransactionRecord { name, ..Default::default() }.into());
    }
    records.extend(bootstrap);
    if elr {
        records.push(cluster_min_isr(controller));
    }
    if in_transaction {
        records.push(EndTransactionRecord::default().into());
        return Records::loose(records);
    }
    Records::atomic(records)
}

/// With eligible leaders on, `min.insync.replicas` must be the same in the whole cluster: it becomes a dynamic default.
pub(crate) fn cluster_min_isr(controller: &Controller) -> MetadataRecord<'static> {
    let static_value = controller.settings.node.topics.min_insync_replicas;
    config_record(None, MIN_INSYNC_REPLICAS, Some(static_value.to_string()))
}

/// A configuration of a broker, or of all of them.
pub(crate) fn config_record(
    broker: Option<NodeId>,
    name: &str,
    value: Option<String>,
) -> MetadataRecord<'static> {
    MetadataRecord::Config(ConfigRecord {
        resource_type: ConfigResourceType::Broker.code(),
        resource_name: broker.map_or_else(String::new, |id| id.to_string()).into(),
        name: name.to_owned().into(),
        value: value.map(Into::into),
        ..Default::default()
    })
}
