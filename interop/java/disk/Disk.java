import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * The parts of the disk suite that need Java: digest (everything that a client can see, one line per fact), write ROUND DELETE (a
 * digest, then topics of every kind, more in each round, then a digest), dump DATA_DIR [PART] (Kafka's own tools over every file,
 * or those whose path has the part).
 */
public final class Disk {
    private static final long T0 = 1_700_000_000_000L;
    private static final PrintStream REPORT = System.out;
    /** What Kafka's tools print when a file is not as it should be. */
    private static final Pattern TROUBLE = Pattern.compile(
        "isvalid: false|[Mm]ismatch|[Cc]orrupt|[Ee]xception|sanity check failed|not be decoded|out of order|Found timestamp");

    /** The first exit code that the running tool asked for: some catch what Exit.exit throws here, and exit again. */
    private static volatile Integer firstExit;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("dump")) {
            dump(Path.of(args[1]), args.length > 2 ? args[2] : "");
        } else {
            try (Admin admin = Admin.create(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP")))) {
                digest(admin);
                if (args[0].equals("write")) {
                    write(admin, Integer.parseInt(args[1]), args[2].equals("true"));
                    REPORT.println("== written");
                    digest(admin);
                }
            }
        }
        REPORT.flush();
        Runtime.getRuntime().halt(0);
    }

    // ---- write ----------------------------------------------------------------------------------------------------------

    private static void write(Admin admin, int round, boolean deleteRecords) throws Exception {
        if (round == 1) {
            create(admin, "disk-plain", 3, Map.of("segment.bytes", "1048576", "index.interval.bytes", "512", "retention.ms", "-1"));
            for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
                create(admin, "disk-" + codec, 1, Map.of("retention.ms", "-1"));
            }
            create(admin, "disk-idempotent", 2, Map.of("retention.ms", "-1"));
            create(admin, "disk-append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
            create(admin, "disk-deleted-records", 1, Map.of("retention.ms", "-1"));
            create(admin, "disk-empty", 1, Map.of("cleanup.policy", "compact", "retention.ms", "12345678"));
            create(admin, "disk-gone", 2, Map.of());
            admin.incrementalAlterConfigs(Map.of(
                new ConfigResource(ConfigResource.Type.BROKER, ""), List.of(set("log.retention.ms", "86400001")),
                new ConfigResource(ConfigResource.Type.BROKER, "1"), List.of(set("num.io.threads", "7")))).all().get();
            admin.deleteTopics(Set.of("disk-gone")).all().get();
        }
        int from = (round - 1) * 3000;
        send("disk-plain", from, 3000, 3, Map.of("batch.size", 4000));
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            send("disk-" + codec, from, 500, 1, Map.of("compression.type", codec));
        }
        send("disk-idempotent", from, 400, 2, Map.of("enable.idempotence", true, "acks", "all", "batch.size", 2000));
        send("disk-idempotent", from + 400, 100, 2, Map.of("enable.idempotence", true, "acks", "all", "compression.type", "lz4"));
        send("disk-append-time", from, 50, 1, Map.of("compression.type", "gzip"));
        send("disk-deleted-records", from, 200, 1, Map.of());
        if (deleteRecords) {
            TopicPartition tp = new TopicPartition("disk-deleted-records", 0);
            admin.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(round * 50L))).all().get();
        }
        create(admin, "disk-round-" + round, round, Map.of("flush.messages", String.valueOf(round), "retention.ms", "-1"));
        send("disk-round-" + round, from, 20, 1, Map.of());
        admin.createPartitions(Map.of("disk-round-" + round, NewPartitions.increaseTo(round + 2))).all().get();
    }

    private static AlterConfigOp set(String key, String value) {
        return new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
    }

    private static void create(Admin admin, String topic, int partitions, Map<String, String> configs) throws Exception {
        admin.createTopics(Set.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
    }

    private static void send(String topic, int from, int count, int partitions, Map<String, Object> config) throws Exception {
        Map<String, Object> all = new TreeMap<>(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "linger.ms", 5, "enable.idempotence", false,
            "acks", "all"));
        all.putAll(config);
        try (var producer = new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<java.util.concurrent.Future<?>> futures = new ArrayList<>();
            // The state of a producer is forgotten a day after its last timestamp.
            long t0 = topic.equals("disk-idempotent") ? System.currentTimeMillis() - 60_000 - from : T0;
            for (int i = from; i < from + count; i++) {
                byte[] key = i % 7 == 3 ? null : ("key-" + i).getBytes();
                byte[] value = i % 10 == 4 ? null : ("value-" + i + "-" + String.valueOf((char) ('a' + i % 26)).repeat(i * 37 % 1500)).getBytes();
                futures.add(producer.send(new ProducerRecord<>(topic, i % partitions, t0 + (topic.equals("disk-idempotent") ? i : i * 1000L), key, value,
                    i % 3 == 0 ? List.of() : List.of(new RecordHeader("n", String.valueOf(i).getBytes())))));
            }
            producer.flush();
            for (var f : futures) {
                f.get();
            }
        }
    }

    // ---- digest ---------------------------------------------------------------------------------------------------------

    private static void digest(Admin admin) throws Exception {
        REPORT.println("cluster " + admin.describeCluster().clusterId().get());
        var topics = new TreeMap<>(admin.describeTopics(new TreeSet<>(admin.listTopics().names().get())).allTopicNames().get());
        Map<TopicPartition, OffsetSpec> earliest = new java.util.HashMap<>();
        for (var e : topics.entrySet()) {
            REPORT.println("topic " + e.getKey() + " id=" + e.getValue().topicId() + " partitions=" + e.getValue().partitions().size());
            e.getValue().partitions().forEach(p -> earliest.put(new TopicPartition(e.getKey(), p.partition()), OffsetSpec.earliest()));
        }
        configs(admin, topics.keySet());
        try (var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", System.getenv("BOOTSTRAP"), "auto.offset.reset", "none",
                "enable.auto.commit", false), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> sorted = new ArrayList<>(earliest.keySet());
            sorted.sort((a, b) -> a.toString().compareTo(b.toString()));
            for (TopicPartition tp : sorted) {
                REPORT.println("partition " + tp + " " + partition(admin, consumer, tp));
            }
        }
    }

    private static void configs(Admin admin, Set<String> topics) throws Exception {
        List<ConfigResource> resources = new ArrayList<>(topics.stream().map(t -> new ConfigResource(ConfigResource.Type.TOPIC, t)).toList());
        resources.add(new ConfigResource(ConfigResource.Type.BROKER, "1"));
        resources.add(new ConfigResource(ConfigResource.Type.BROKER, ""));
        var all = admin.describeConfigs(resources).all().get();
        for (ConfigResource r : resources) {
            List<String> dynamic = all.get(r).entries().stream().filter(e -> e.source().name().startsWith("DYNAMIC"))
                .map(e -> e.name() + "=" + e.value() + ":" + e.source()).sorted().toList();
            if (!dynamic.isEmpty()) {
                REPORT.println("config " + r.type() + " " + r.name() + " " + dynamic);
            }
        }
    }

    private static String partition(Admin admin, KafkaConsumer<byte[], byte[]> consumer, TopicPartition tp) throws Exception {
        long begin = offset(admin, tp, OffsetSpec.earliest());
        long end = offset(admin, tp, OffsetSpec.latest());
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        long count = 0;
        long next = begin;
        consumer.assign(List.of(tp));
        consumer.seek(tp, begin);
        for (long limit = System.currentTimeMillis() + 60_000; next < end; ) {
            if (System.currentTimeMillis() > limit) {
                throw new IllegalStateException(tp + ": stuck at " + next + " of " + end);
            }
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(500))) {
                sha.update((r.offset() + " " + r.timestamp() + " " + r.timestampType() + " " + Arrays.toString(r.key()) + " " + Arrays.toString(r.value())
                    + " " + r.headers()).getBytes());
                count++;
            }
            // Beyond markers and what compaction has taken, too.
            next = consumer.position(tp);
        }
        List<Long> byTime = new ArrayList<>();
        for (int i = 0; i < 9000; i += 777) {
            byTime.add(offset(admin, tp, OffsetSpec.forTimestamp(T0 + i * 1000L)));
        }
        var producers = admin.describeProducers(Set.of(tp)).partitionResult(tp).get().activeProducers().stream()
            .map(p -> p.producerId() + ":" + p.producerEpoch() + ":" + p.lastSequence()).sorted().toList();
        return "begin=" + begin + " end=" + end + " count=" + count + " sha=" + HexFormat.of().formatHex(sha.digest(), 0, 8) + " max="
            + offset(admin, tp, OffsetSpec.maxTimestamp()) + " by-time=" + byTime + " producers=" + producers;
    }

    private static long offset(Admin admin, TopicPartition tp, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get().offset();
    }

    // ---- dump -----------------------------------------------------------------------------------------------------------

    static void dump(Path dir, String only) throws Exception {
        Exit.Procedure exit = (code, message) -> {
            firstExit = firstExit == null ? code : firstExit;
            throw new IllegalStateException("exit " + code);
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        List<Path> files;
        try (Stream<Path> all = Files.walk(dir, 2)) {
            files = all.filter(f -> f.toString().contains(only) && f.toString().matches(".*\\.(log|index|timeindex|txnindex|snapshot|checkpoint)")).sorted().toList();
        }
        for (Path file : files) {
            boolean metadata = file.toString().contains("__cluster_metadata-0");
            // The tool cannot check the indexes of an empty log that is being deleted, nor the time index that Kafka leaves untrimmed
            // in the metadata log.
            if (file.getParent().toString().endsWith("-delete") || metadata && file.toString().endsWith(".timeindex")) {
                continue;
            }
            String name = file.toString();
            Optional<String> trouble = Optional.empty();
            if (name.endsWith(".log") || name.endsWith(".checkpoint")) {
                boolean offsets = file.toString().contains("__consumer_offsets-");
                trouble = offsets ? run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name, "--deep-iteration", "--offsets-decoder")
                    : file.toString().contains("__transaction_state-") ? run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name,
                        "--deep-iteration", "--transaction-log-decoder")
                    : metadata ? run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name, "--cluster-metadata-decoder", "--deep-iteration")
                    : run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name, "--deep-iteration", "--print-data-log");
                if (trouble.isEmpty() && name.endsWith(".checkpoint") && !name.endsWith("bootstrap.checkpoint")) {
                    trouble = run(file, "org.apache.kafka.shell.MetadataShell", "--snapshot", name, "ls", "/image");
                }
            } else if (name.endsWith("index")) {
                trouble = run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name, "--index-sanity-check");
                if (trouble.isEmpty()) {
                    trouble = run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name);
                }
            } else {
                trouble = run(file, "org.apache.kafka.tools.DumpLogSegments", "--files", name);
            }
            String shown = dir.relativize(file).toString();
            REPORT.println(trouble.map(t -> "bad " + shown + " " + t).orElse("good " + shown));
        }
    }

    /** Calls one of Kafka's tools; what it complains of, if anything. */
    private static Optional<String> run(Path file, String main, String... args) throws Exception {
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(caught, true);
        PrintStream err = System.err;
        System.setOut(out);
        System.setErr(out);
        firstExit = null;
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (firstExit == null || firstExit != 0) {
                return Optional.of(e.getCause().toString().replaceAll("\\s+", " ") + " " + last(caught));
            }
        } finally {
            System.setOut(REPORT);
            System.setErr(err);
        }
        String text = caught.toString();
        if (Files.size(file) > 0 && text.isBlank()) {
            return Optional.of("nothing was printed");
        }
        // Of a segment that is not the first one it always says that -1 is followed by its first offset.
        return text.lines().filter(l -> TROUBLE.matcher(l).find() || l.contains(" is followed by ") && !l.strip().startsWith("-1 ")).findFirst();
    }

    private static String last(ByteArrayOutputStream caught) {
        String text = caught.toString().replaceAll("\\s+", " ");
        return text.substring(Math.max(0, text.length() - 300));
    }
}
