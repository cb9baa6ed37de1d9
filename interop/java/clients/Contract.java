import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The steps that every client library goes through. */
final class Contract {
    static final long T0 = 1_700_000_000_000L;
    static final int PER_CODEC = 600;
    static final int PARTITIONS = 3;
    static final int LARGE = 900 * 1024;
    static final Duration LIMIT = Duration.ofSeconds(60);

    /** What is written, or was read; comparable as text, except for large values. */
    record Row(int partition, long offset, long timestamp, String key, String value, List<String> headers) {
        static Row of(ConsumerRecord<byte[], byte[]> r) {
            List<String> headers = new ArrayList<>();
            r.headers().forEach(h -> headers.add(h.key() + "=" + Arrays.toString(h.value())));
            return new Row(r.partition(), r.offset(), r.timestamp(), text(r.key()), text(r.value()), headers);
        }

        static String text(byte[] bytes) {
            return bytes == null ? null : new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
        }
    }

    final String name = "java";
    final String topic = "java-main";
    final String bootstrap;
    final Admin admin;
    final Map<Integer, List<Row>> log = new TreeMap<>();
    private int next;

    Contract(String bootstrap, Admin admin) {
        this.bootstrap = bootstrap;
        this.admin = admin;
        for (int p = 0; p < PARTITIONS; p++) {
            log.put(p, new ArrayList<>());
        }
    }

    /** Record number i: the same in every language. */
    static ProducerRecord<byte[], byte[]> record(String topic, int i, int partition) {
        byte[] key = i % 7 == 3 && i % 10 != 4 ? null : ("key-" + i).getBytes(UTF_8);
        String value = switch (i % 10) {
            case 4 -> null;
            case 5 -> "";
            default -> "value-" + i + "-" + String.valueOf((char) ('a' + i % 26)).repeat(i * 37 % 700);
        };
        List<Header> headers = i % 3 == 0 ? List.of() : List.of(new RecordHeader("n", String.valueOf(i).getBytes(UTF_8)),
            new RecordHeader("bin", new byte[] {0, -1, -128}));
        return new ProducerRecord<>(topic, partition, T0 + i * 1000L, key, value == null ? null : value.getBytes(UTF_8), headers);
    }

    List<ProducerRecord<byte[], byte[]>> take(int count, int partition) {
        List<ProducerRecord<byte[], byte[]>> out = new ArrayList<>();
        for (int end = next + count; next < end; next++) {
            out.add(record(topic, next, partition >= 0 ? partition : next % PARTITIONS));
        }
        return out;
    }

    /** Writes, and returns what the server said of each record. */
    List<RecordMetadata> send(List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> config) throws Exception {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 20, "max.request.size", 2_000_000,
            "enable.idempotence", false, "acks", "all", "delivery.timeout.ms", 60_000, "request.timeout.ms", 30_000));
        all.putAll(config);
        try (var producer = new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            records.forEach(r -> futures.add(producer.send(r)));
            producer.flush();
            List<RecordMetadata> out = new ArrayList<>();
            for (Future<RecordMetadata> f : futures) {
                out.add(f.get(20, TimeUnit.SECONDS));
            }
            return out;
        }
    }

    Object produce(List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> config) throws Exception {
        List<RecordMetadata> got = send(records, config);
        for (int i = 0; i < records.size(); i++) {
            ProducerRecord<byte[], byte[]> r = records.get(i);
            List<Row> rows = log.get(r.partition());
            if (got.get(i).hasOffset()) {
                Check.same((long) rows.size(), got.get(i).offset());
            }
            List<String> headers = new ArrayList<>();
            r.headers().forEach(h -> headers.add(h.key() + "=" + Arrays.toString(h.value())));
            rows.add(new Row(r.partition(), rows.size(), r.timestamp(), Row.text(r.key()), Row.text(r.value()), headers));
        }
        return "records=" + records.size();
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> config) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "none",
            "enable.auto.commit", false, "fetch.max.wait.ms", 100, "default.api.timeout.ms", 60_000));
        all.putAll(config);
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<Row> read(KafkaConsumer<byte[], byte[]> consumer, long end) {
        List<Row> out = new ArrayList<>();
        long limit = System.currentTimeMillis() + LIMIT.toMillis();
        while (out.isEmpty() || out.get(out.size() - 1).offset() + 1 < end) {
            Check.yes(System.currentTimeMillis() < limit, "only " + out.size() + " records");
            consumer.poll(Duration.ofMillis(500)).forEach(r -> out.add(Row.of(r)));
        }
        return out;
    }

    /** Reads one partition from an offset, or from the beginning when it is negative, up to the record before end. */
    List<Row> fetch(String topic, int partition, long begin, long end) {
        TopicPartition tp = new TopicPartition(topic, partition);
        try (var consumer = consumer(Map.of())) {
            consumer.assign(List.of(tp));
            if (begin < 0) {
                consumer.seekToBeginning(List.of(tp));
            } else {
                consumer.seek(tp, begin);
            }
            return read(consumer, end);
        }
    }

    Object readBack(int partition, long begin) {
        List<Row> rows = log.get(partition);
        Check.yes(begin < rows.size(), "too few records were written before");
        List<Row> want = rows.subList((int) Math.max(begin, 0), rows.size());
        List<Row> got = fetch(topic, partition, begin, rows.size());
        Check.same(want.size(), got.size());
        for (int i = 0; i < got.size(); i++) {
            Check.same(want.get(i), got.get(i));
        }
        return null;
    }

    Object create(String topic, int partitions, int replication, Map<String, String> configs) throws Exception {
        return Check.get(admin.createTopics(Set.of(new NewTopic(topic, partitions, (short) replication).configs(configs))).all());
    }

    long offset(int partition, OffsetSpec spec) throws Exception {
        TopicPartition tp = new TopicPartition(topic, partition);
        return Check.get(admin.listOffsets(Map.of(tp, spec)).partitionResult(tp)).offset();
    }

    Map<String, String> configs(ConfigResource resource) throws Exception {
        Map<String, String> out = new TreeMap<>();
        Check.get(admin.describeConfigs(Set.of(resource)).all()).get(resource).entries().forEach(e -> out.put(e.name(), e.value()));
        return out;
    }

    Object alter(ConfigResource resource, String key, String value, AlterConfigOp.OpType op) throws Exception {
        return Check.get(admin.incrementalAlterConfigs(Map.of(resource,
            List.of(new AlterConfigOp(new ConfigEntry(key, value), op)))).all());
    }

    Object described(int count) throws Exception {
        return Check.eventually(() -> {
            StringBuilder got = new StringBuilder();
            Check.get(admin.describeTopics(Set.of(topic)).allTopicNames()).get(topic).partitions().forEach(p -> got.append(p.partition())
                .append(" leader ").append(p.leader().id()).append(" replicas ").append(p.replicas().stream().map(n -> n.id()).toList())
                .append(" isr ").append(p.isr().stream().map(n -> n.id()).toList()).append("; "));
            StringBuilder want = new StringBuilder();
            for (int p = 0; p < count; p++) {
                want.append(p).append(" leader 1 replicas [1] isr [1]; ");
            }
            Check.same(want.toString(), got.toString());
            return null;
        });
    }

    void admin() {
        Check.check("cluster", () -> {
            var got = admin.describeCluster();
            Check.same(List.of(1), Check.get(got.nodes()).stream().map(n -> n.id()).toList());
            Check.same(1, Check.get(got.controller()).id());
            Check.same("MkU3OEVBNTcwNTJENDM2Qg", Check.get(got.clusterId()));
            return null;
        });
        Check.check("create-topic", () -> create(topic, PARTITIONS, 1, Map.of("segment.bytes", "1048576", "retention.ms", "-1")));
        Check.check("describe-topic", () -> described(PARTITIONS));
        Check.check("create-topic-validate-only", () -> {
            Check.get(admin.createTopics(Set.of(new NewTopic("java-dry-run", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
            return Check.refusal(3, () -> Check.get(admin.describeTopics(Set.of("java-dry-run")).allTopicNames()));
        });
        Check.refused("err-create-existing", 36, () -> create(topic, 1, 1, Map.of()));
        Check.refused("err-create-name", 17, () -> create("not a name!", 1, 1, Map.of()));
        Check.refused("err-create-name-dots", 17, () -> create("..", 1, 1, Map.of()));
        Check.refused("err-create-name-long", 17, () -> create("n".repeat(250), 1, 1, Map.of()));
        Check.refused("err-create-config", 40, () -> create("java-x", 1, 1, Map.of("retention.ms", "soon")));
        Check.refused("err-create-config-unknown", 40, () -> create("java-x", 1, 1, Map.of("no.such.config", "1")));
        Check.refused("err-create-no-partitions", 37, () -> create("java-x", 0, 1, Map.of()));
        Check.refused("err-create-replication", 38, () -> create("java-x", 1, 2, Map.of()));
        Check.refused("err-describe-unknown", 3, () -> Check.get(admin.describeTopics(Set.of("java-unknown")).allTopicNames()));
    }

    void data() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Check.check("codec-" + codec, () -> {
                Map<Integer, Integer> begin = new HashMap<>();
                log.forEach((p, rows) -> begin.put(p, rows.size()));
                Object detail = produce(take(PER_CODEC, -1), Map.of("compression.type", codec));
                for (int p = 0; p < PARTITIONS; p++) {
                    readBack(p, begin.get(p));
                }
                return detail;
            });
        }
        for (String acks : List.of("0", "1", "all")) {
            Check.check("acks-" + acks, () -> {
                produce(take(30, -1), Map.of("acks", acks));
                return Check.eventually(() -> {
                    for (int p = 0; p < PARTITIONS; p++) {
                        Check.same((long) log.get(p).size(), offset(p, OffsetSpec.latest()));
                    }
                    return null;
                });
            });
        }
        Check.check("idempotent", () -> produce(take(300, -1), Map.of("enable.idempotence", true)));
        Check.check("large-record", () -> {
            var plain = take(1, 2).get(0);
            byte[] value = new byte[LARGE];
            for (int i = 0; i < LARGE; i++) {
                value[i] = (byte) (i * 31 + i / 251);
            }
            long offset = log.get(2).size();
            produce(List.of(new ProducerRecord<>(topic, 2, plain.timestamp(), plain.key(), value, plain.headers())), Map.of());
            return readBack(2, offset);
        });
        Check.check("consume-all", () -> {
            for (int p = 0; p < PARTITIONS; p++) {
                readBack(p, -1);
            }
            return "records=" + log.values().stream().mapToInt(List::size).sum();
        });
        Check.check("consume-from-offset", () -> readBack(1, 77));
        Check.check("consume-from-timestamp", () -> {
            TopicPartition tp = new TopicPartition(topic, 1);
            try (var consumer = consumer(Map.of())) {
                OffsetAndTimestamp got = consumer.offsetsForTimes(Map.of(tp, log.get(1).get(150).timestamp() - 500)).get(tp);
                Check.same(150L, got.offset());
                Check.same(log.get(1).get(150).timestamp(), got.timestamp());
            }
            return readBack(1, 150);
        });
        Check.check("consume-from-end", () -> {
            TopicPartition tp = new TopicPartition(topic, 1);
            try (var consumer = consumer(Map.of())) {
                consumer.assign(List.of(tp));
                consumer.seekToEnd(List.of(tp));
                Check.same((long) log.get(1).size(), consumer.position(tp));
                produce(take(1, 1), Map.of());
                Check.same(log.get(1).subList(log.get(1).size() - 1, log.get(1).size()), read(consumer, 0));
            }
            return null;
        });
        Check.check("list-offsets", () -> {
            List<Row> rows = log.get(0);
            List<Long> got = List.of(offset(0, OffsetSpec.earliest()), offset(0, OffsetSpec.latest()),
                offset(0, OffsetSpec.forTimestamp(rows.get(10).timestamp())), offset(0, OffsetSpec.forTimestamp(rows.get(10).timestamp() + 1)),
                offset(0, OffsetSpec.forTimestamp(rows.get(rows.size() - 1).timestamp() + 1)));
            Check.same(List.of(0L, (long) rows.size(), 10L, 11L, -1L), got);
            return got;
        });
        Check.check("list-offsets-max-timestamp", () -> {
            Check.same((long) log.get(0).size() - 1, offset(0, OffsetSpec.maxTimestamp()));
            return null;
        });
    }

    void change() {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Check.check("describe-topic-config", () -> {
            Map<String, String> got = configs(resource);
            Check.same("1048576", got.get("segment.bytes"));
            Check.same("-1", got.get("retention.ms"));
            return got;
        });
        Check.check("alter-topic-config", () -> {
            alter(resource, "retention.bytes", "123456789", AlterConfigOp.OpType.SET);
            return Check.eventually(() -> {
                Check.same("123456789", configs(resource).get("retention.bytes"));
                Check.same("1048576", configs(resource).get("segment.bytes"));
                return null;
            });
        });
        Check.refused("err-alter-config", 40, () -> alter(resource, "retention.ms", "soon", AlterConfigOp.OpType.SET));
        Check.check("err-record-too-large", () -> {
            create("java-small", 1, 1, Map.of("max.message.bytes", "2000"));
            Callable<ProducerRecord<byte[], byte[]>> large = () -> new ProducerRecord<>("java-small", 0, null, null, new byte[5000]);
            String detail = Check.refusal(10, () -> send(List.of(large.call()), Map.of()));
            Check.same(0L, send(List.of(new ProducerRecord<>("java-small", 0, null, null, new byte[100])), Map.of()).get(0).offset());
            return detail;
        });
        Check.check("create-partitions", () -> {
            Check.get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
            return described(5);
        });
        Check.refused("err-create-partitions-fewer", 37, () -> Check.get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
        TopicPartition tp = new TopicPartition(topic, 0);
        Check.check("delete-records", () -> {
            // A partition is for a moment without its leader while the topic grows.
            Check.eventually(() -> {
                Check.same(100L, Check.get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(100))).lowWatermarks().get(tp)).lowWatermark());
                return null;
            });
            Check.same(100L, offset(0, OffsetSpec.earliest()));
            Check.same(log.get(0).subList(100, log.get(0).size()), fetch(topic, 0, -1, log.get(0).size()));
            return null;
        });
        Check.refused("err-delete-records-beyond", 1, () -> Check.get(admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(10_000_000))).all()));
        for (var row : Map.of("err-offset-below-start", 5L, "err-offset-beyond-end", 10_000_000L).entrySet()) {
            Check.check(row.getKey(), () -> {
                try {
                    return fetch(topic, 0, row.getValue(), row.getValue() + 1);
                } catch (OffsetOutOfRangeException e) {
                    return e.offsetOutOfRangePartitions();
                }
            });
        }
        Check.check("auto-create", () -> {
            Check.same(0L, send(List.of(record("java-auto", 0, 0)), Map.of()).get(0).offset());
            return Check.get(admin.describeTopics(Set.of("java-auto")).allTopicNames()).get("java-auto").partitions().size();
        });
        Check.check("delete-topic", () -> {
            Check.get(admin.deleteTopics(Set.of("java-small")).all());
            return Check.eventually(() -> Check.refusal(3, () -> Check.get(admin.describeTopics(Set.of("java-small")).allTopicNames())));
        });
        Check.refused("err-delete-unknown", 3, () -> Check.get(admin.deleteTopics(Set.of("java-unknown")).all()));
    }
}
