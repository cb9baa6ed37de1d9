import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;

/** Calls that only the Java clients have, or have in full. */
final class Extras {
    private final Contract c;

    Extras(Contract c) {
        this.c = c;
    }

    void run() {
        cluster();
        topics();
        configs();
        data();
    }

    private void cluster() {
        Check.check("describe-quorum", () -> {
            var got = Check.get(c.admin.describeMetadataQuorum().quorumInfo());
            Check.same(1, got.leaderId());
            Check.yes(got.highWatermark() > 0 && got.leaderEpoch() > 0, got);
            return "voters=" + got.voters().stream().map(v -> v.replicaId()).toList() + " observers=" + got.observers().size()
                + " nodes=" + got.nodes().keySet();
        });
        Check.check("describe-features", () -> {
            var got = Check.get(c.admin.describeFeatures().featureMetadata());
            Map<String, Object> finalized = new TreeMap<>();
            Map<String, Object> supported = new TreeMap<>();
            got.finalizedFeatures().forEach((k, v) -> finalized.put(k, v.maxVersionLevel()));
            got.supportedFeatures().forEach((k, v) -> supported.put(k, v.minVersion() + "-" + v.maxVersion()));
            return "finalized=" + finalized + " supported=" + supported;
        });
        Check.check("err-update-features", () -> Check.refusal(95, () -> Check.get(c.admin.updateFeatures(
            Map.of("metadata.version", new FeatureUpdate((short) 9999, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all())));
        Check.check("describe-log-dirs", () -> {
            var got = Check.get(c.admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
            Check.same(1, got.size());
            var dir = got.values().iterator().next();
            Check.yes(dir.error() == null && dir.totalBytes().getAsLong() > 0 && dir.usableBytes().getAsLong() > 0, dir);
            var replica = dir.replicaInfos().get(new TopicPartition(c.topic, 2));
            Check.yes(replica.size() > Contract.LARGE && replica.offsetLag() == 0 && !replica.isFuture(), replica);
            return null;
        });
        Check.check("list-config-resources", () -> new TreeSet<>(Check.get(c.admin.listConfigResources().all()).stream()
            .filter(r -> r.type() == ConfigResource.Type.BROKER).map(Object::toString).toList()));
        Check.check("err-elect-leaders-not-needed", () -> {
            TopicPartition tp = new TopicPartition(c.topic, 0);
            Optional<Throwable> got = Check.get(c.admin.electLeaders(ElectionType.PREFERRED, Set.of(tp)).partitions()).get(tp);
            return Check.refusal(84, () -> { throw (Exception) got.orElseThrow(); });
        });
    }

    private void topics() {
        Check.check("create-topic-assigned", () -> {
            Check.get(c.admin.createTopics(Set.of(new NewTopic("java-assigned", Map.of(0, List.of(1), 1, List.of(1))))).all());
            return Check.get(c.admin.describeTopics(Set.of("java-assigned")).allTopicNames()).get("java-assigned").partitions().size();
        });
        Check.refused("err-create-assigned-unknown-broker", 39, () ->
            Check.get(c.admin.createTopics(Set.of(new NewTopic("java-x", Map.of(0, List.of(7))))).all()));
        Check.refused("err-create-assigned-twice", 39, () ->
            Check.get(c.admin.createTopics(Set.of(new NewTopic("java-x", Map.of(0, List.of(1, 1))))).all()));
        Check.refused("err-create-assigned-gap", 39, () ->
            Check.get(c.admin.createTopics(Set.of(new NewTopic("java-x", Map.of(1, List.of(1))))).all()));
        Check.check("create-topic-defaults", () -> {
            var got = c.admin.createTopics(Set.of(new NewTopic("java-defaults", Optional.empty(), Optional.empty())));
            return Check.get(got.numPartitions("java-defaults")) + " " + Check.get(got.replicationFactor("java-defaults")) + " "
                + Check.get(got.config("java-defaults")).entries().size();
        });
        Check.refused("err-create-collision", 17, () -> {
            c.create("java.dot_x", 1, 1, Map.of());
            return c.create("java_dot.x", 1, 1, Map.of());
        });
        Check.check("describe-and-delete-by-id", () -> {
            Uuid id = Check.get(c.admin.describeTopics(Set.of("java-defaults")).allTopicNames()).get("java-defaults").topicId();
            Check.yes(!id.equals(Uuid.ZERO_UUID), id);
            Check.same("java-defaults", Check.get(c.admin.describeTopics(TopicCollection.ofTopicIds(Set.of(id))).allTopicIds()).get(id).name());
            Check.get(c.admin.deleteTopics(TopicCollection.ofTopicIds(Set.of(id))).all());
            Object detail = Check.eventually(() -> Check.refusal(100, () -> Check.get(c.admin.describeTopics(TopicCollection.ofTopicIds(Set.of(id))).allTopicIds())));
            return detail.toString().replace(id.toString(), "ID");
        });
        Check.refused("err-delete-unknown-id", 100, () -> Check.get(c.admin.deleteTopics(TopicCollection.ofTopicIds(Set.of(new Uuid(7, 7)))).all()));
        Check.check("describe-many-in-pages", () -> {
            c.create("java-many", 30, 1, Map.of());
            var got = Check.get(c.admin.describeTopics(Set.of("java-many"), new DescribeTopicsOptions().partitionSizeLimitPerResponse(7)).allTopicNames());
            return got.get("java-many").partitions().size();
        });
        Check.check("list-topics", () -> Check.get(c.admin.listTopics().names()).stream().filter(n -> n.startsWith("java")).sorted().toList());
    }

    private void configs() {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "java-assigned");
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        ConfigResource cluster = new ConfigResource(ConfigResource.Type.BROKER, "");
        Check.check("config-append-subtract-delete", () -> {
            record Step(OpType op, String value, String after) {}
            for (Step step : List.of(new Step(OpType.APPEND, "compact", "delete,compact"), new Step(OpType.SUBTRACT, "delete", "compact"),
                    new Step(OpType.DELETE, "", "delete"))) {
                c.alter(topic, "cleanup.policy", step.value, step.op);
                Check.eventually(() -> {
                    Check.same(step.after, c.configs(topic).get("cleanup.policy"));
                    return null;
                });
            }
            return null;
        });
        Check.refused("err-config-append-not-list", 40, () -> c.alter(topic, "retention.ms", "1", OpType.APPEND));
        Check.refused("err-config-unknown-topic", 3, () -> c.configs(new ConfigResource(ConfigResource.Type.TOPIC, "java-unknown")));
        Check.refused("err-alter-config-unknown-topic", 3, () ->
            c.alter(new ConfigResource(ConfigResource.Type.TOPIC, "java-unknown"), "retention.ms", "1", OpType.SET));
        Check.check("config-sources", () -> {
            c.alter(cluster, "log.retention.ms", "86400001", OpType.SET);
            c.alter(broker, "log.flush.interval.messages", "12345", OpType.SET);
            c.alter(topic, "segment.ms", "777777", OpType.SET);
            List<String> seen = new ArrayList<>();
            Check.eventually(() -> {
                seen.clear();
                var got = Check.get(c.admin.describeConfigs(Set.of(topic), new DescribeConfigsOptions().includeSynonyms(true)).all()).get(topic);
                for (String key : List.of("retention.ms", "flush.messages", "segment.ms", "segment.bytes", "cleanup.policy")) {
                    ConfigEntry e = got.get(key);
                    seen.add(key + "=" + e.value() + " " + e.source() + " " + e.isReadOnly() + e.isSensitive() + " "
                        + e.synonyms().stream().map(s -> s.name() + ":" + s.value() + ":" + s.source()).toList());
                }
                Check.yes(seen.get(0).startsWith("retention.ms=86400001") && seen.get(1).startsWith("flush.messages=12345")
                    && seen.get(2).startsWith("segment.ms=777777"), seen);
                return null;
            });
            c.alter(cluster, "log.retention.ms", "", OpType.DELETE);
            c.alter(broker, "log.flush.interval.messages", "", OpType.DELETE);
            Check.eventually(() -> {
                Check.same("9223372036854775807", c.configs(broker).get("log.flush.interval.messages"));
                return null;
            });
            return seen;
        });
        Check.check("broker-config", () -> {
            var out = new TreeMap<String, String>();
            for (ConfigEntry e : Check.get(c.admin.describeConfigs(Set.of(broker), new DescribeConfigsOptions().includeDocumentation(true)).all()).get(broker).entries()) {
                // What differs from run to run is left out.
                if (!String.valueOf(e.value()).contains("127.0.0.1") && !e.name().equals("log.dirs")) {
                    out.put(e.name(), e.value() + ":" + e.source() + ":" + e.type() + (e.isReadOnly() ? ":ro" : "") + (e.isSensitive() ? ":secret" : ""));
                }
            }
            return out.size() + " " + out;
        });
        Check.refused("err-broker-config-read-only", 42, () -> c.alter(broker, "node.id", "2", OpType.SET));
        Check.refused("err-broker-config-value", 42, () -> c.alter(broker, "num.io.threads", "many", OpType.SET));
    }

    private void data() {
        Check.check("log-append-time", () -> {
            c.create("java-append-time", 1, 1, Map.of("message.timestamp.type", "LogAppendTime"));
            long before = System.currentTimeMillis();
            var sent = c.send(List.of(Contract.record("java-append-time", 1, 0), Contract.record("java-append-time", 2, 0)), Map.of("compression.type", "zstd"));
            List<Contract.Row> got = c.fetch("java-append-time", 0, -1, 2);
            for (int i = 0; i < 2; i++) {
                Check.yes(got.get(i).timestamp() >= before && got.get(i).timestamp() == sent.get(i).timestamp(), got);
            }
            return null;
        });
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd", "uncompressed")) {
            Check.check("topic-compression-" + codec, () -> {
                String name = "java-topic-" + codec;
                c.create(name, 1, 1, Map.of("compression.type", codec));
                c.send(List.of(Contract.record(name, 1, 0), Contract.record(name, 2, 0)), Map.of("compression.type", "lz4"));
                c.send(List.of(Contract.record(name, 6, 0)), Map.of());
                return c.fetch(name, 0, -1, 3).stream().map(r -> r.key() + "@" + r.offset()).toList();
            });
        }
        Check.check("err-timestamp-in-future", () -> Check.refusal(32, () -> c.send(List.of(new ProducerRecord<>("java-assigned", 0,
            System.currentTimeMillis() + 86_400_000L, null, new byte[1])), Map.of())).replaceAll("-?\\d{12,}", "N"));
        Check.refused("err-compacted-without-key", 87, () -> {
            c.create("java-compact", 1, 1, Map.of("cleanup.policy", "compact"));
            return c.send(List.of(new ProducerRecord<>("java-compact", 0, null, null, new byte[1])), Map.of());
        });
        Check.check("describe-producers", () -> {
            c.send(List.of(Contract.record("java-assigned", 1, 1)), Map.of("enable.idempotence", true));
            TopicPartition tp = new TopicPartition("java-assigned", 1);
            var got = Check.get(c.admin.describeProducers(Set.of(tp)).partitionResult(tp)).activeProducers();
            Check.same(1, got.size());
            var p = got.get(0);
            return "epoch=" + p.producerEpoch() + " lastSequence=" + p.lastSequence() + " lastTimestamp=" + p.lastTimestamp()
                + " txn=" + p.currentTransactionStartOffset() + " coordinatorEpoch=" + p.coordinatorEpoch();
        });
        Check.check("consume-30-partitions-in-one-session", () -> {
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < 900; i++) {
                records.add(Contract.record("java-many", i, i % 30));
            }
            for (int p = 0; p < 30; p++) {
                all.add(new TopicPartition("java-many", p));
            }
            try (var consumer = c.consumer(Map.of("isolation.level", "read_committed", "max.partition.fetch.bytes", 2000))) {
                consumer.assign(all);
                consumer.seekToBeginning(all);
                all.forEach(consumer::position);
                c.send(records, Map.of("compression.type", "lz4", "batch.size", 1000));
                int[] next = new int[30];
                for (long end = System.currentTimeMillis() + 20_000; java.util.Arrays.stream(next).sum() < 900; ) {
                    Check.yes(System.currentTimeMillis() < end, next);
                    consumer.poll(java.time.Duration.ofMillis(500)).forEach(r -> Check.same((long) next[r.partition()]++, r.offset()));
                }
            }
            return null;
        });
        Check.check("list-offsets-local-and-tiered", () -> {
            List<Long> got = new ArrayList<>();
            for (OffsetSpec spec : List.of(OffsetSpec.earliestLocal(), OffsetSpec.latestTiered(), OffsetSpec.earliest(), OffsetSpec.latest())) {
                got.add(c.offset(0, spec));
            }
            return got;
        });
    }
}
