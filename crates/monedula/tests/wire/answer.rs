//! Responses of all served APIs as text.

use protocol::messages as m;
use protocol::messages::response_header::ResponseHeader;
use protocol::{ApiKey, Decode, Reader};

macro_rules! render {
    ($api:expr, $version:expr, $reader:expr; $($key:ident $module:ident $message:ident,)*) => {
        match $api {
            $(ApiKey::$key => {
                match m::$module::$message::decode(&mut $reader, $version) {
                    Ok(message) => format!("{message:#?}"),
                    Err(error) => format!("unreadable: {error}"),
                }
            })*
            other => panic!("{other:?} is not in the table"),
        }
    };
}

/// `{:#?}` of a response with its header.
pub fn render(api: &str, version: i16, bytes: &[u8]) -> String {
    let api = ApiKey::all().find(|key| key.name() == api).unwrap();
    let mut r = Reader::new(bytes);
    ResponseHeader::decode(&mut r, api.response_header_version(version)).unwrap();
    let text = render!(api, version, r;
        Produce produce_response ProduceResponse,
        Fetch fetch_response FetchResponse,
        ListOffsets list_offsets_response ListOffsetsResponse,
        Metadata metadata_response MetadataResponse,
        OffsetCommit offset_commit_response OffsetCommitResponse,
        OffsetFetch offset_fetch_response OffsetFetchResponse,
        OffsetDelete offset_delete_response OffsetDeleteResponse,
        JoinGroup join_group_response JoinGroupResponse,
        SyncGroup sync_group_response SyncGroupResponse,
        Heartbeat heartbeat_response HeartbeatResponse,
        LeaveGroup leave_group_response LeaveGroupResponse,
        DescribeGroups describe_groups_response DescribeGroupsResponse,
        ListGroups list_groups_response ListGroupsResponse,
        DeleteGroups delete_groups_response DeleteGroupsResponse,
        ConsumerGroupHeartbeat consumer_group_heartbeat_response ConsumerGroupHeartbeatResponse,
        ConsumerGroupDescribe consumer_group_describe_response ConsumerGroupDescribeResponse,
        FindCoordinator find_coordinator_response FindCoordinatorResponse,
        ApiVersions api_versions_response ApiVersionsResponse,
        CreateTopics create_topics_response CreateTopicsResponse,
        DeleteTopics delete_topics_response DeleteTopicsResponse,
        DeleteRecords delete_records_response DeleteRecordsResponse,
        InitProducerId init_producer_id_response InitProducerIdResponse,
        AddPartitionsToTxn add_partitions_to_txn_response AddPartitionsToTxnResponse,
        AddOffsetsToTxn add_offsets_to_txn_response AddOffsetsToTxnResponse,
        EndTxn end_txn_response EndTxnResponse,
        WriteTxnMarkers write_txn_markers_response WriteTxnMarkersResponse,
        TxnOffsetCommit txn_offset_commit_response TxnOffsetCommitResponse,
        DescribeTransactions describe_transactions_response DescribeTransactionsResponse,
        ListTransactions list_transactions_response ListTransactionsResponse,
        OffsetForLeaderEpoch offset_for_leader_epoch_response OffsetForLeaderEpochResponse,
        DescribeConfigs describe_configs_response DescribeConfigsResponse,
        AlterConfigs alter_configs_response AlterConfigsResponse,
        DescribeLogDirs describe_log_dirs_response DescribeLogDirsResponse,
        CreatePartitions create_partitions_response CreatePartitionsResponse,
        ElectLeaders elect_leaders_response ElectLeadersResponse,
        IncrementalAlterConfigs incremental_alter_configs_response IncrementalAlterConfigsResponse,
        AlterPartitionReassignments alter_partition_reassignments_response AlterPartitionReassignmentsResponse,
        ListPartitionReassignments list_partition_reassignments_response ListPartitionReassignmentsResponse,
        DescribeQuorum describe_quorum_response DescribeQuorumResponse,
        UpdateFeatures update_features_response UpdateFeaturesResponse,
        DescribeCluster describe_cluster_response DescribeClusterResponse,
        DescribeProducers describe_producers_response DescribeProducersResponse,
        ListConfigResources list_config_resources_response ListConfigResourcesResponse,
        DescribeTopicPartitions describe_topic_partitions_response DescribeTopicPartitionsResponse,
    );
    let rest = r.remaining();
    if rest == 0 { text } else { format!("unreadable: {rest} bytes too many") }
}

/// Both answers of ApiVersions, with those keys alone that our node announces: which ones these are is held to the
/// compatibility page by another test.
pub fn only_served(theirs: &str, own: &str) -> (String, String) {
    let served: Vec<&str> =
        own.lines().filter(|line| line.trim().starts_with("api_key:")).collect();
    let mut kept = String::new();
    let mut entry = String::new();
    let mut inside = false;
    for line in theirs.lines() {
        let text = format!("{line}\n");
        match line.trim() {
            "ApiVersion {" => (entry, inside) = (text, true),
            "}," if inside => {
                entry += &text;
                inside = false;
                if entry.lines().any(|line| served.contains(&line)) {
                    kept += &entry;
                }
            }
            _ if inside => entry += &text,
            _ => kept += &text,
        }
    }
    (kept, own.to_owned())
}
