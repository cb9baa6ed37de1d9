//! One file per API key, and the list of those that are served: what is in the list is announced, nothing else.

use protocol::{ApiKey, Listener};

use crate::request::Handler;

#[path = "25_add_offsets_to_txn.rs"]
mod add_offsets_to_txn;
#[path = "24_add_partitions_to_txn.rs"]
mod add_partitions_to_txn;
#[path = "80_add_raft_voter.rs"]
mod add_raft_voter;
#[path = "67_allocate_producer_ids.rs"]
mod allocate_producer_ids;
#[path = "33_alter_configs.rs"]
mod alter_configs;
#[path = "56_alter_partition.rs"]
mod alter_partition;
#[path = "45_alter_partition_reassignments.rs"]
mod alter_partition_reassignments;
#[path = "34_alter_replica_log_dirs.rs"]
mod alter_replica_log_dirs;
#[path = "18_api_versions.rs"]
pub mod api_versions;
#[path = "73_assign_replicas_to_dirs.rs"]
mod assign_replicas_to_dirs;
#[path = "53_begin_quorum_epoch.rs"]
mod begin_quorum_epoch;
#[path = "63_broker_heartbeat.rs"]
mod broker_heartbeat;
#[path = "62_broker_registration.rs"]
mod broker_registration;
#[path = "69_consumer_group_describe.rs"]
mod consumer_group_describe;
#[path = "68_consumer_group_heartbeat.rs"]
mod consumer_group_heartbeat;
#[path = "70_controller_registration.rs"]
mod controller_registration;
#[path = "37_create_partitions.rs"]
mod create_partitions;
#[path = "19_create_topics.rs"]
mod create_topics;
#[path = "42_delete_groups.rs"]
mod delete_groups;
#[path = "21_delete_records.rs"]
mod delete_records;
#[path = "20_delete_topics.rs"]
mod delete_topics;
#[path = "60_describe_cluster.rs"]
mod describe_cluster;
#[path = "32_describe_configs.rs"]
mod describe_configs;
#[path = "15_describe_groups.rs"]
mod describe_groups;
#[path = "35_describe_log_dirs.rs"]
mod describe_log_dirs;
#[path = "61_describe_producers.rs"]
mod describe_producers;
#[path = "55_describe_quorum.rs"]
mod describe_quorum;
#[path = "75_describe_topic_partitions.rs"]
mod describe_topic_partitions;
#[path = "65_describe_transactions.rs"]
mod describe_transactions;
#[path = "43_elect_leaders.rs"]
mod elect_leaders;
#[path = "54_end_quorum_epoch.rs"]
mod end_quorum_epoch;
#[path = "26_end_txn.rs"]
mod end_txn;
#[path = "58_envelope.rs"]
mod envelope;
#[path = "01_fetch.rs"]
mod fetch;
#[path = "59_fetch_snapshot.rs"]
mod fetch_snapshot;
#[path = "10_find_coordinator.rs"]
mod find_coordinator;
#[path = "12_heartbeat.rs"]
mod heartbeat;
#[path = "44_incremental_alter_configs.rs"]
mod incremental_alter_configs;
#[path = "22_init_producer_id.rs"]
mod init_producer_id;
#[path = "11_join_group.rs"]
mod join_group;
#[path = "13_leave_group.rs"]
mod leave_group;
#[path = "74_list_config_resources.rs"]
mod list_config_resources;
#[path = "16_list_groups.rs"]
mod list_groups;
#[path = "02_list_offsets.rs"]
mod list_offsets;
#[path = "46_list_partition_reassignments.rs"]
mod list_partition_reassignments;
#[path = "66_list_transactions.rs"]
mod list_transactions;
#[path = "03_metadata.rs"]
mod metadata;
#[path = "08_offset_commit.rs"]
mod offset_commit;
#[path = "47_offset_delete.rs"]
mod offset_delete;
#[path = "09_offset_fetch.rs"]
mod offset_fetch;
#[path = "23_offset_for_leader_epoch.rs"]
mod offset_for_leader_epoch;
#[path = "00_produce.rs"]
mod produce;
#[path = "81_remove_raft_voter.rs"]
mod remove_raft_voter;
#[path = "14_sync_group.rs"]
mod sync_group;
#[path = "28_txn_offset_commit.rs"]
mod txn_offset_commit;
#[path = "64_unregister_broker.rs"]
mod unregister_broker;
#[path = "94_unregister_controller.rs"]
mod unregister_controller;
#[path = "57_update_features.rs"]
mod update_features;
#[path = "82_update_raft_voter.rs"]
mod update_raft_voter;
#[path = "52_vote.rs"]
mod vote;
#[path = "27_write_txn_markers.rs"]
mod write_txn_markers;

static HANDLERS: &[Handler] = &[
    produce::HANDLER,
    fetch::HANDLER,
    list_offsets::HANDLER,
    metadata::HANDLER,
    offset_commit::HANDLER,
    offset_fetch::HANDLER,
    find_coordinator::HANDLER,
    join_group::HANDLER,
    heartbeat::HANDLER,
    leave_group::HANDLER,
    sync_group::HANDLER,
    describe_groups::HANDLER,
    list_groups::HANDLER,
    api_versions::HANDLER,
    create_topics::HANDLER,
    delete_topics::HANDLER,
    delete_records::HANDLER,
    init_producer_id::HANDLER,
    add_partitions_to_txn::HANDLER,
    add_offsets_to_txn::HANDLER,
    end_txn::HANDLER,
    write_txn_markers::HANDLER,
    txn_offset_commit::HANDLER,
    offset_for_leader_epoch::HANDLER,
    describe_configs::HANDLER,
    alter_configs::HANDLER,
    alter_replica_log_dirs::HANDLER,
    describe_log_dirs::HANDLER,
    create_partitions::HANDLER,
    delete_groups::HANDLER,
    elect_leaders::HANDLER,
    incremental_alter_configs::HANDLER,
    alter_partition_reassignments::HANDLER,
    list_partition_reassignments::HANDLER,
    offset_delete::HANDLER,
    end_quorum_epoch::HANDLER,
    begin_quorum_epoch::HANDLER,
    vote::HANDLER,
    describe_quorum::HANDLER,
    alter_partition::HANDLER,
    update_features::HANDLER,
    envelope::HANDLER,
    fetch_snapshot::HANDLER,
    describe_cluster::HANDLER,
    describe_producers::HANDLER,
    describe_transactions::HANDLER,
    list_transactions::HANDLER,
    broker_registration::HANDLER,
    broker_heartbeat::HANDLER,
    unregister_broker::HANDLER,
    allocate_producer_ids::HANDLER,
    consumer_group_heartbeat::HANDLER,
    consumer_group_describe::HANDLER,
    controller_registration::HANDLER,
    assign_replicas_to_dirs::HANDLER,
    list_config_resources::HANDLER,
    describe_topic_partitions::HANDLER,
    unregister_controller::HANDLER,
    add_raft_voter::HANDLER,
    remove_raft_voter::HANDLER,
    update_raft_voter::HANDLER,
];

/// The handler of an API on one side of the node.
pub fn find(api: ApiKey, side: Listener) -> Option<&'static Handler> {
    HANDLERS.iter().find(|handler| handler.api == api && api.listeners().contains(&side))
}

/// What is announced on one side, by API key.
pub fn served(side: Listener) -> impl Iterator<Item = &'static Handler> {
    let mut served: Vec<_> =
        HANDLERS.iter().filter(|handler| handler.api.listeners().contains(&side)).collect();
    served.sort_by_key(|handler| handler.api.code());
    served.into_iter()
}

/// Every API that is served and its stable versions, by key: what docs/compatibility.md lists.
pub fn served_apis() -> Vec<(ApiKey, std::ops::RangeInclusive<i16>)> {
    let mut apis: Vec<_> =
        HANDLERS.iter().map(|handler| (handler.api, handler.versions(false))).collect();
    apis.sort_by_key(|(api, _)| api.code());
    apis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::passes_unread;
    use crate::request::Run;

    #[test]
    fn what_is_passed_on_unread_can_be_sent_again() {
        let passed: Vec<_> = HANDLERS
            .iter()
            .filter(|handler| passes_unread(Listener::Broker, handler.api))
            .collect();
        assert!(passed.iter().any(|handler| handler.api == ApiKey::CreateTopics));
        for handler in passed {
            assert!(matches!(handler.run, Run::Reads(_)), "{}", handler.api.name());
        }
    }
}
