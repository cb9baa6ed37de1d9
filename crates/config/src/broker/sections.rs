//! The broker keys as typed fields, grouped by who reads them.

typed! {
    /// The metadata quorum.
    pub struct QuorumConfig {
        append_linger_ms: int = "controller.quorum.append.linger.ms",
        auto_join_enable: boolean = "controller.quorum.auto.join.enable",
        election_backoff_max_ms: int = "controller.quorum.election.backoff.max.ms",
        election_timeout_ms: int = "controller.quorum.election.timeout.ms",
        fetch_max_bytes: int = "controller.quorum.fetch.max.bytes",
        fetch_snapshot_max_bytes: int = "controller.quorum.fetch.snapshot.max.bytes",
        fetch_timeout_ms: int = "controller.quorum.fetch.timeout.ms",
        request_timeout_ms: int = "controller.quorum.request.timeout.ms",
        retry_backoff_ms: int = "controller.quorum.retry.backoff.ms",
    }
}

typed! {
    /// The metadata log and its snapshots.
    pub struct MetadataConfig {
        internal_metadata_delete_delay_millis: long = "internal.metadata.delete.delay.millis",
        internal_metadata_log_segment_bytes: opt_int = "internal.metadata.log.segment.bytes",
        internal_metadata_max_batch_size_in_bytes: int = "internal.metadata.max.batch.size.in.bytes",
        log_max_record_bytes_between_snapshots: long = "metadata.log.max.record.bytes.between.snapshots",
        log_max_snapshot_interval_ms: long = "metadata.log.max.snapshot.interval.ms",
        log_segment_bytes: int = "metadata.log.segment.bytes",
        log_segment_ms: long = "metadata.log.segment.ms",
        max_idle_interval_ms: int = "metadata.max.idle.interval.ms",
        max_retention_bytes: long = "metadata.max.retention.bytes",
        max_retention_ms: long = "metadata.max.retention.ms",
    }
}

typed! {
    /// Life of the node in the cluster.
    pub struct NodeConfig {
        alter_config_policy_class_name: opt_string = "alter.config.policy.class.name",
        auto_leader_rebalance_enable: boolean = "auto.leader.rebalance.enable",
        broker_heartbeat_interval_ms: int = "broker.heartbeat.interval.ms",
        broker_session_timeout_ms: int = "broker.session.timeout.ms",
        controlled_shutdown_enable: boolean = "controlled.shutdown.enable",
        controller_performance_always_log_threshold_ms: long = "controller.performance.always.log.threshold.ms",
        controller_performance_sample_period_ms: long = "controller.performance.sample.period.ms",
        controller_socket_timeout_ms: int = "controller.socket.timeout.ms",
        cordoned_log_dirs: list = "cordoned.log.dirs",
        create_topic_policy_class_name: opt_string = "create.topic.policy.class.name",
        initial_broker_registration_timeout_ms: int = "initial.broker.registration.timeout.ms",
        leader_imbalance_check_interval_seconds: long = "leader.imbalance.check.interval.seconds",
        log_dir_failure_timeout_ms: long = "log.dir.failure.timeout.ms",
        replica_selector_class: opt_string = "replica.selector.class",
        server_max_startup_time_ms: long = "server.max.startup.time.ms",
        unclean_leader_election_interval_ms: long = "unclean.leader.election.interval.ms",
        unstable_api_versions_enable: boolean = "unstable.api.versions.enable",
        unstable_feature_versions_enable: boolean = "unstable.feature.versions.enable",
    }
}

typed! {
    /// Sockets, connections and the threads of the server.
    pub struct SocketConfig {
        background_threads: int = "background.threads",
        connection_failed_authentication_delay_ms: int = "connection.failed.authentication.delay.ms",
        connections_max_idle_ms: long = "connections.max.idle.ms",
        connections_max_reauth_ms: long = "connections.max.reauth.ms",
        max_connection_creation_rate: int = "max.connection.creation.rate",
        max_connections: int = "max.connections",
        max_connections_per_ip: int = "max.connections.per.ip",
        num_io_threads: int = "num.io.threads",
        num_network_threads: int = "num.network.threads",
        queued_max_request_bytes: long = "queued.max.request.bytes",
        queued_max_requests: int = "queued.max.requests",
        request_timeout_ms: int = "request.timeout.ms",
        connection_setup_timeout_max_ms: long = "socket.connection.setup.timeout.max.ms",
        connection_setup_timeout_ms: long = "socket.connection.setup.timeout.ms",
        listen_backlog_size: int = "socket.listen.backlog.size",
        receive_buffer_bytes: int = "socket.receive.buffer.bytes",
        request_max_bytes: int = "socket.request.max.bytes",
        send_buffer_bytes: int = "socket.send.buffer.bytes",
    }
}

typed! {
    /// Limits of fetches and of requests over many partitions.
    pub struct FetchConfig {
        delete_records_purgatory_purge_interval_requests: int = "delete.records.purgatory.purge.interval.requests",
        max_bytes: int = "fetch.max.bytes",
        purgatory_purge_interval_requests: int = "fetch.purgatory.purge.interval.requests",
        max_incremental_fetch_session_cache_slots: int = "max.incremental.fetch.session.cache.slots",
        max_request_partition_size_limit: int = "max.request.partition.size.limit",
        producer_purgatory_purge_interval_requests: int = "producer.purgatory.purge.interval.requests",
        share_fetch_purgatory_purge_interval_requests: int = "share.fetch.purgatory.purge.interval.requests",
    }
}

typed! {
    /// Compaction.
    pub struct CleanerConfig {
        backoff_ms: long = "log.cleaner.backoff.ms",
        dedupe_buffer_size: long = "log.cleaner.dedupe.buffer.size",
        enable: boolean = "log.cleaner.enable",
        io_buffer_load_factor: double = "log.cleaner.io.buffer.load.factor",
        io_buffer_size: int = "log.cleaner.io.buffer.size",
        io_max_bytes_per_second: double = "log.cleaner.io.max.bytes.per.second",
        threads: int = "log.cleaner.threads",
    }
}

typed! {
    /// All logs of the node; what holds for a topic is in [`super::BrokerConfig::topic_defaults`].
    pub struct LogConfig {
        flush_offset_checkpoint_interval_ms: int = "log.flush.offset.checkpoint.interval.ms",
        flush_scheduler_interval_ms: long = "log.flush.scheduler.interval.ms",
        flush_start_offset_checkpoint_interval_ms: int = "log.flush.start.offset.checkpoint.interval.ms",
        initial_task_delay_ms: long = "log.initial.task.delay.ms",
        retention_check_interval_ms: long = "log.retention.check.interval.ms",
        max_decompressed_message_bytes: int = "max.decompressed.message.bytes",
        message_max_bytes: int = "message.max.bytes",
        num_recovery_threads_per_data_dir: int = "num.recovery.threads.per.data.dir",
        num_replica_alter_log_dirs_threads: opt_int = "num.replica.alter.log.dirs.threads",
    }
}

typed! {
    /// Making and deleting topics.
    pub struct TopicsConfig {
        auto_create_topics_enable: boolean = "auto.create.topics.enable",
        default_replication_factor: int = "default.replication.factor",
        delete_topic_enable: boolean = "delete.topic.enable",
        min_insync_replicas: int = "min.insync.replicas",
        num_partitions: int = "num.partitions",
        unclean_leader_election_enable: boolean = "unclean.leader.election.enable",
    }
}

typed! {
    /// Following other brokers.
    pub struct ReplicationConfig {
        num_replica_fetchers: int = "num.replica.fetchers",
        fetch_backoff_ms: int = "replica.fetch.backoff.ms",
        fetch_max_bytes: int = "replica.fetch.max.bytes",
        fetch_min_bytes: int = "replica.fetch.min.bytes",
        fetch_response_max_bytes: int = "replica.fetch.response.max.bytes",
        fetch_wait_max_ms: int = "replica.fetch.wait.max.ms",
        high_watermark_checkpoint_interval_ms: long = "replica.high.watermark.checkpoint.interval.ms",
        lag_time_max_ms: long = "replica.lag.time.max.ms",
        socket_receive_buffer_bytes: int = "replica.socket.receive.buffer.bytes",
        socket_timeout_ms: int = "replica.socket.timeout.ms",
    }
}

typed! {
    /// Committed offsets and their topic.
    pub struct OffsetsConfig {
        metadata_max_bytes: int = "offset.metadata.max.bytes",
        commit_timeout_ms: int = "offsets.commit.timeout.ms",
        load_buffer_size: int = "offsets.load.buffer.size",
        retention_check_interval_ms: long = "offsets.retention.check.interval.ms",
        retention_minutes: int = "offsets.retention.minutes",
        topic_compression_codec: int = "offsets.topic.compression.codec",
        topic_num_partitions: int = "offsets.topic.num.partitions",
        topic_replication_factor: short = "offsets.topic.replication.factor",
        topic_segment_bytes: int = "offsets.topic.segment.bytes",
    }
}

typed! {
    /// Consumer groups (KIP-848).
    pub struct ConsumerGroupConfig {
        assignment_interval_ms: int = "group.consumer.assignment.interval.ms",
        assignor_offload_enable: boolean = "group.consumer.assignor.offload.enable",
        assignors: list = "group.consumer.assignors",
        heartbeat_interval_ms: int = "group.consumer.heartbeat.interval.ms",
        max_assignment_interval_ms: int = "group.consumer.max.assignment.interval.ms",
        max_heartbeat_interval_ms: int = "group.consumer.max.heartbeat.interval.ms",
        max_session_timeout_ms: int = "group.consumer.max.session.timeout.ms",
        max_size: int = "group.consumer.max.size",
        migration_policy: string = "group.consumer.migration.policy",
        min_assignment_interval_ms: int = "group.consumer.min.assignment.interval.ms",
        min_heartbeat_interval_ms: int = "group.consumer.min.heartbeat.interval.ms",
        min_session_timeout_ms: int = "group.consumer.min.session.timeout.ms",
        regex_refresh_interval_ms: int = "group.consumer.regex.refresh.interval.ms",
        session_timeout_ms: int = "group.consumer.session.timeout.ms",
    }
}

typed! {
    /// Share groups (KIP-932).
    pub struct ShareGroupConfig {
        errors_deadletterqueue_auto_create_topics_enable: boolean = "errors.deadletterqueue.auto.create.topics.enable",
        errors_deadletterqueue_topic_name_prefix: string = "errors.deadletterqueue.topic.name.prefix",
        assignment_interval_ms: int = "group.share.assignment.interval.ms",
        assignor_offload_enable: boolean = "group.share.assignor.offload.enable",
        assignors: list = "group.share.assignors",
        delivery_count_limit: int = "group.share.delivery.count.limit",
        dlq_manager_class_name: string = "group.share.dlq.manager.class.name",
        heartbeat_interval_ms: int = "group.share.heartbeat.interval.ms",
        initialize_retry_interval_ms: int = "group.share.initialize.retry.interval.ms",
        max_assignment_interval_ms: int = "group.share.max.assignment.interval.ms",
        max_delivery_count_limit: int = "group.share.max.delivery.count.limit",
        max_heartbeat_interval_ms: int = "group.share.max.heartbeat.interval.ms",
        max_partition_max_record_locks: int = "group.share.max.partition.max.record.locks",
        max_record_lock_duration_ms: int = "group.share.max.record.lock.duration.ms",
        max_session_timeout_ms: int = "group.share.max.session.timeout.ms",
        max_share_sessions: int = "group.share.max.share.sessions",
        max_size: int = "group.share.max.size",
        min_assignment_interval_ms: int = "group.share.min.assignment.interval.ms",
        min_delivery_count_limit: int = "group.share.min.delivery.count.limit",
        min_heartbeat_interval_ms: int = "group.share.min.heartbeat.interval.ms",
        min_partition_max_record_locks: int = "group.share.min.partition.max.record.locks",
        min_record_lock_duration_ms: int = "group.share.min.record.lock.duration.ms",
        min_session_timeout_ms: int = "group.share.min.session.timeout.ms",
        partition_max_record_locks: int = "group.share.partition.max.record.locks",
        persister_class_name: string = "group.share.persister.class.name",
        record_lock_duration_ms: int = "group.share.record.lock.duration.ms",
        session_timeout_ms: int = "group.share.session.timeout.ms",
    }
}

typed! {
    /// Streams groups (KIP-1071).
    pub struct StreamsGroupConfig {
        acceptable_recovery_lag: long = "group.streams.acceptable.recovery.lag",
        assignment_interval_ms: int = "group.streams.assignment.interval.ms",
        assignor_offload_enable: boolean = "group.streams.assignor.offload.enable",
        assignors: list = "group.streams.assignors",
        heartbeat_interval_ms: int = "group.streams.heartbeat.interval.ms",
        initial_rebalance_delay_ms: int = "group.streams.initial.rebalance.delay.ms",
        max_assignment_interval_ms: int = "group.streams.max.assignment.interval.ms",
        max_heartbeat_interval_ms: int = "group.streams.max.heartbeat.interval.ms",
        max_session_timeout_ms: int = "group.streams.max.session.timeout.ms",
        max_size: int = "group.streams.max.size",
        max_standby_replicas: int = "group.streams.max.standby.replicas",
        max_warmup_replicas: int = "group.streams.max.warmup.replicas",
        min_assignment_interval_ms: int = "group.streams.min.assignment.interval.ms",
        min_heartbeat_interval_ms: int = "group.streams.min.heartbeat.interval.ms",
        min_session_timeout_ms: int = "group.streams.min.session.timeout.ms",
        min_task_offset_interval_ms: int = "group.streams.min.task.offset.interval.ms",
        num_standby_replicas: int = "group.streams.num.standby.replicas",
        num_warmup_replicas: int = "group.streams.num.warmup.replicas",
        rack_aware_assignment_tags: list = "group.streams.rack.aware.assignment.tags",
        session_timeout_ms: int = "group.streams.session.timeout.ms",
        task_offset_interval_ms: int = "group.streams.task.offset.interval.ms",
        topology_description_plugin_class: opt_string = "group.streams.topology.description.plugin.class",
    }
}

typed! {
    /// The group coordinator and classic groups.
    pub struct GroupCoordinatorConfig {
        coordinator_append_linger_ms: int = "group.coordinator.append.linger.ms",
        coordinator_background_threads: int = "group.coordinator.background.threads",
        coordinator_cached_buffer_max_bytes: int = "group.coordinator.cached.buffer.max.bytes",
        coordinator_rebalance_protocols: list = "group.coordinator.rebalance.protocols",
        coordinator_threads: int = "group.coordinator.threads",
        initial_rebalance_delay_ms: int = "group.initial.rebalance.delay.ms",
        max_session_timeout_ms: int = "group.max.session.timeout.ms",
        max_size: int = "group.max.size",
        min_session_timeout_ms: int = "group.min.session.timeout.ms",
    }
}

typed! {
    /// The share coordinator and its topic.
    pub struct ShareCoordinatorConfig {
        append_linger_ms: int = "share.coordinator.append.linger.ms",
        cached_buffer_max_bytes: int = "share.coordinator.cached.buffer.max.bytes",
        cold_partition_snapshot_interval_ms: int = "share.coordinator.cold.partition.snapshot.interval.ms",
        load_buffer_size: int = "share.coordinator.load.buffer.size",
        snapshot_update_records_per_snapshot: int = "share.coordinator.snapshot.update.records.per.snapshot",
        state_topic_compression_codec: int = "share.coordinator.state.topic.compression.codec",
        state_topic_min_isr: short = "share.coordinator.state.topic.min.isr",
        state_topic_num_partitions: int = "share.coordinator.state.topic.num.partitions",
        state_topic_prune_interval_ms: int = "share.coordinator.state.topic.prune.interval.ms",
        state_topic_replication_factor: short = "share.coordinator.state.topic.replication.factor",
        state_topic_segment_bytes: int = "share.coordinator.state.topic.segment.bytes",
        threads: int = "share.coordinator.threads",
        write_timeout_ms: int = "share.coordinator.write.timeout.ms",
    }
}

typed! {
    /// Transactions, their topic, and producer ids.
    pub struct TransactionConfig {
        add_partitions_to_txn_retry_backoff_max_ms: int = "add.partitions.to.txn.retry.backoff.max.ms",
        add_partitions_to_txn_retry_backoff_ms: int = "add.partitions.to.txn.retry.backoff.ms",
        producer_id_expiration_check_interval_ms: int = "producer.id.expiration.check.interval.ms",
        producer_id_expiration_ms: int = "producer.id.expiration.ms",
        abort_timed_out_transaction_cleanup_interval_ms: int = "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        max_timeout_ms: int = "transaction.max.timeout.ms",
        partition_verification_enable: boolean = "transaction.partition.verification.enable",
        remove_expired_transaction_cleanup_interval_ms: int = "transaction.remove.expired.transaction.cleanup.interval.ms",
        state_log_load_buffer_size: int = "transaction.state.log.load.buffer.size",
        state_log_min_isr: int = "transaction.state.log.min.isr",
        state_log_num_partitions: int = "transaction.state.log.num.partitions",
        state_log_replication_factor: short = "transaction.state.log.replication.factor",
        state_log_segment_bytes: int = "transaction.state.log.segment.bytes",
        two_phase_commit_enable: boolean = "transaction.two.phase.commit.enable",
        transactional_id_expiration_ms: int = "transactional.id.expiration.ms",
    }
}

typed! {
    /// Quota windows.
    pub struct QuotaConfig {
        alter_log_dirs_replication_quota_window_num: int = "alter.log.dirs.replication.quota.window.num",
        alter_log_dirs_replication_quota_window_size_seconds: int = "alter.log.dirs.replication.quota.window.size.seconds",
        client_quota_callback_class: opt_string = "client.quota.callback.class",
        controller_quota_window_num: int = "controller.quota.window.num",
        controller_quota_window_size_seconds: int = "controller.quota.window.size.seconds",
        quota_window_num: int = "quota.window.num",
        quota_window_size_seconds: int = "quota.window.size.seconds",
        replication_quota_window_num: int = "replication.quota.window.num",
        replication_quota_window_size_seconds: int = "replication.quota.window.size.seconds",
    }
}

typed! {
    /// Metrics and client telemetry.
    pub struct MetricsConfig {
        kafka_metrics_polling_interval_secs: int = "kafka.metrics.polling.interval.secs",
        kafka_metrics_reporters: list = "kafka.metrics.reporters",
        metric_reporters: list = "metric.reporters",
        metrics_num_samples: int = "metrics.num.samples",
        metrics_recording_level: string = "metrics.recording.level",
        metrics_sample_window_ms: long = "metrics.sample.window.ms",
        telemetry_max_bytes: int = "telemetry.max.bytes",
    }
}

typed! {
    /// Tiered storage.
    pub struct RemoteConfig {
        follower_fetch_last_tiered_offset_enable: boolean = "follower.fetch.last.tiered.offset.enable",
        fetch_max_wait_ms: int = "remote.fetch.max.wait.ms",
        list_offsets_request_timeout_ms: long = "remote.list.offsets.request.timeout.ms",
        index_file_cache_total_size_bytes: long = "remote.log.index.file.cache.total.size.bytes",
        index_file_cache_ttl_ms: long = "remote.log.index.file.cache.ttl.ms",
        manager_copier_thread_pool_size: int = "remote.log.manager.copier.thread.pool.size",
        manager_copy_max_bytes_per_second: long = "remote.log.manager.copy.max.bytes.per.second",
        manager_copy_quota_window_num: int = "remote.log.manager.copy.quota.window.num",
        manager_copy_quota_window_size_seconds: int = "remote.log.manager.copy.quota.window.size.seconds",
        manager_expiration_thread_pool_size: int = "remote.log.manager.expiration.thread.pool.size",
        manager_fetch_max_bytes_per_second: long = "remote.log.manager.fetch.max.bytes.per.second",
        manager_fetch_quota_window_num: int = "remote.log.manager.fetch.quota.window.num",
        manager_fetch_quota_window_size_seconds: int = "remote.log.manager.fetch.quota.window.size.seconds",
        manager_follower_thread_pool_size: int = "remote.log.manager.follower.thread.pool.size",
        manager_task_interval_ms: long = "remote.log.manager.task.interval.ms",
        manager_task_retry_backoff_max_ms: long = "remote.log.manager.task.retry.backoff.max.ms",
        manager_task_retry_backoff_ms: long = "remote.log.manager.task.retry.backoff.ms",
        manager_task_retry_jitter: double = "remote.log.manager.task.retry.jitter",
        manager_thread_pool_size: int = "remote.log.manager.thread.pool.size",
        metadata_custom_metadata_max_bytes: int = "remote.log.metadata.custom.metadata.max.bytes",
        metadata_manager_class_name: string = "remote.log.metadata.manager.class.name",
        metadata_manager_class_path: opt_string = "remote.log.metadata.manager.class.path",
        metadata_manager_impl_prefix: string = "remote.log.metadata.manager.impl.prefix",
        metadata_manager_listener_name: opt_string = "remote.log.metadata.manager.listener.name",
        reader_max_pending_tasks: int = "remote.log.reader.max.pending.tasks",
        reader_threads: int = "remote.log.reader.threads",
        storage_manager_class_name: opt_string = "remote.log.storage.manager.class.name",
        storage_manager_class_path: opt_string = "remote.log.storage.manager.class.path",
        storage_manager_impl_prefix: string = "remote.log.storage.manager.impl.prefix",
        storage_system_enable: boolean = "remote.log.storage.system.enable",
    }
}

typed! {
    /// Delegation tokens and other authentication settings that no listener overrides.
    pub struct TokenConfig {
        authorizer_class_name: string = "authorizer.class.name",
        expiry_check_interval_ms: long = "delegation.token.expiry.check.interval.ms",
        expiry_time_ms: long = "delegation.token.expiry.time.ms",
        max_lifetime_ms: long = "delegation.token.max.lifetime.ms",
        principal_builder_class: string = "principal.builder.class",
        sasl_mechanism_controller_protocol: string = "sasl.mechanism.controller.protocol",
        sasl_mechanism_inter_broker_protocol: string = "sasl.mechanism.inter.broker.protocol",
    }
}
