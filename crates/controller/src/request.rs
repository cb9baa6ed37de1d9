//! What the controller is asked, what it answers, and when it wants to be called again.

use protocol::messages as m;

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $request:ty => $reply:ty },)*) => {
        /// A request to the controller; where the answer depends on it, with the version it came in.
        #[derive(Clone, Debug)]
        pub enum ControllerRequest {
            $($(#[$doc])* $name($request),)*
            /// AlterPartition with its version: below 3 it names no broker epochs.
            AlterPartition(m::alter_partition_request::AlterPartitionRequest, i16),
            /// BrokerRegistration with its version: from 3 on clean shutdowns are told.
            BrokerRegistration(m::broker_registration_request::BrokerRegistrationRequest<'static>, i16),
            /// UpdateFeatures with its version: up to 1 it is answered feature by feature.
            UpdateFeatures(m::update_features_request::UpdateFeaturesRequest<'static>, i16),
            /// A timer that the controller had set went off.
            Timer(ControllerTimer),
        }

        /// The whole answer, ready to be encoded.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ControllerReply {
            $($name($reply),)*
            AlterPartition(m::alter_partition_response::AlterPartitionResponse),
            BrokerRegistration(m::broker_registration_response::BrokerRegistrationResponse),
            UpdateFeatures(m::update_features_response::UpdateFeaturesResponse<'static>),
            /// A timer, or activation: nobody waits.
            Done,
        }
    };
}

requests! {
    CreateTopics {
        m::create_topics_request::CreateTopicsRequest<'static> =>
        m::create_topics_response::CreateTopicsResponse<'static>
    },
    DeleteTopics {
        m::delete_topics_request::DeleteTopicsRequest<'static> =>
        m::delete_topics_response::DeleteTopicsResponse<'static>
    },
    CreatePartitions {
        m::create_partitions_request::CreatePartitionsRequest<'static> =>
        m::create_partitions_response::CreatePartitionsResponse<'static>
    },
    AlterConfigs {
        m::alter_configs_request::AlterConfigsRequest<'static> =>
        m::alter_configs_response::AlterConfigsResponse<'static>
    },
    IncrementalAlterConfigs {
        m::incremental_alter_configs_request::IncrementalAlterConfigsRequest<'static> =>
        m::incremental_alter_configs_response::IncrementalAlterConfigsResponse<'static>
    },
    BrokerHeartbeat {
        m::broker_heartbeat_request::BrokerHeartbeatRequest =>
        m::broker_heartbeat_response::BrokerHeartbeatResponse
    },
    UnregisterBroker {
        m::unregister_broker_request::UnregisterBrokerRequest =>
        m::unregister_broker_response::UnregisterBrokerResponse<'static>
    },
    AllocateProducerIds {
        m::allocate_producer_ids_request::AllocateProducerIdsRequest =>
        m::allocate_producer_ids_response::AllocateProducerIdsResponse
    },
    ElectLeaders {
        m::elect_leaders_request::ElectLeadersRequest<'static> =>
        m::elect_leaders_response::ElectLeadersResponse<'static>
    },
    ControllerRegistration {
        m::controller_registration_request::ControllerRegistrationRequest<'static> =>
        m::controller_registration_response::ControllerRegistrationResponse<'static>
    },
    UnregisterController {
        m::unregister_controller_request::UnregisterControllerRequest =>
        m::unregister_controller_response::UnregisterControllerResponse<'static>
    },
    AlterPartitionReassignments {
        m::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest<'static> =>
        m::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse<'static>
    },
    ListPartitionReassignments {
        m::list_partition_reassignments_request::ListPartitionReassignmentsRequest<'static> =>
        m::list_partition_reassignments_response::ListPartitionReassignmentsResponse<'static>
    },
    AssignReplicasToDirs {
        m::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest =>
        m::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse
    },
}

/// Work that comes back from time to time while this controller is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControllerTimer {
    /// Fence brokers that were silent for longer than their session.
    FenceStaleBrokers,
    /// Give partitions back to their preferred leaders.
    BalanceLeaders,
    /// Elect unclean leaders where the configuration allows it.
    ElectUncleanLeaders,
}
