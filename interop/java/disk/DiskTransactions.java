import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Transactions on a data directory that servers share: round N STATES LAST KIND (a digest; what round N-1 left open is ended, and all
 * must be as its end says; then new ones, some ended, some left open, and a digest), kill NAME PID (the server is killed while it ends
 * many at once), dump DATA_DIR (Kafka's tool over the files; of each transactional id the last state). STATES is what dump printed.
 */
public final class DiskTransactions {
    private static final PrintStream REPORT = System.out;
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final String TOPIC = "disk-transactions";
    /** The partitions of the digest; what times out is in the one behind them. */
    private static final int PARTITIONS = 3;
    private static final String FEATURE = "transaction.version";
    private static final String MANY = "disk-transactions-many";
    private static final int IDS = 32;
    /** Each of the many writes to so many partitions: markers take a while. */
    private static final int EACH = 16;
    private static final int LIMIT_MS = 60_000;
    /** How long a consumer asks for an offset that is part of an open transaction. */
    private static final int STABLE_MS = 1_000;
    private static final List<String> GROUPS = List.of("disk-aborted", "disk-done", "disk-open");
    private static final Pattern STATE = Pattern.compile("\"transactionalId\":\"([^\"]+)\".* payload: .*\"transactionStatus\":(\\d)");
    private static final List<String> STATES = List.of("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort");

    private static Admin admin;
    /**
     * A single node of Apache Kafka that starts is fenced for a moment, so that no partition has a leader. The markers that are to be
     * written just then are skipped, as if the topics were deleted: the transaction is complete, its partitions hang.
     */
    private static boolean markersMayBeSkipped;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("dump")) {
            dump(Path.of(args[1]));
        } else if (args[0].equals("kill")) {
            killAmongEnds(args[1], Long.parseLong(args[2]));
        } else {
            try (Admin a = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
                admin = a;
                markersMayBeSkipped = args[4].equals("kafka");
                round(Integer.parseInt(args[1]), args[2], Boolean.parseBoolean(args[3]));
            }
        }
        REPORT.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void round(int round, String states, boolean last) throws Exception {
        if (round == 1) {
            become(Short.parseShort(System.getenv("LEVEL")));
            for (var t : Map.of(TOPIC, PARTITIONS + 1, MANY, IDS).entrySet()) {
                admin.createTopics(Set.of(new NewTopic(t.getKey(), t.getValue(), (short) 1))).all().get();
            }
        } else {
            digest();
            REPORT.println("== went on");
            Map<String, Integer> counts = states.isEmpty() ? Map.of() : prepared(states);
            endOpen(round - 1);
            REPORT.println(counts);
        }
        if (!last) {
            write(round);
            REPORT.println("== written");
            digest();
        }
    }

    /** Of transaction.version; with 0 and 1 the producers are those of the first generation. */
    private static void become(short level) throws Exception {
        if (level() != level) {
            admin.updateFeatures(Map.of(FEATURE, new FeatureUpdate(level, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE)), new UpdateFeaturesOptions())
                .all().get();
        }
        eventually(FEATURE + " is not " + level, () -> level() == level);
    }

    private static short level() throws Exception {
        var got = admin.describeFeatures().featureMetadata().get().finalizedFeatures().get(FEATURE);
        return got == null ? 0 : got.maxVersionLevel();
    }

    // ---- write ----------------------------------------------------------------------------------------------------------

    private static KafkaProducer<String, String> producer(String id, int timeoutMs) {
        var producer = new KafkaProducer<>(Map.of("bootstrap.servers", BOOTSTRAP, "transactional.id", id, "transaction.timeout.ms", timeoutMs,
            "max.block.ms", LIMIT_MS), new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    /** A transaction with a record in each partition, perhaps with an offset of a group, that is not ended yet. */
    private static KafkaProducer<String, String> begin(String id, int timeoutMs, List<TopicPartition> partitions, String group, TopicPartition at,
            long offset) throws Exception {
        var producer = producer(id, timeoutMs);
        producer.beginTransaction();
        List<Future<?>> sent = new ArrayList<>();
        for (TopicPartition tp : partitions) {
            sent.add(producer.send(new ProducerRecord<>(tp.topic(), tp.partition(), null, id)));
        }
        producer.flush();
        for (Future<?> one : sent) {
            one.get();
        }
        if (group != null) {
            producer.sendOffsetsToTransaction(Map.of(at, new OffsetAndMetadata(offset)), new ConsumerGroupMetadata(group));
        }
        return producer;
    }

    private static List<TopicPartition> of(String topic, int... partitions) {
        return Arrays.stream(partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    private static void write(int round) throws Exception {
        long offset = round * 10L;
        var p0 = new TopicPartition(TOPIC, 0);
        begin("done-" + round, LIMIT_MS, of(TOPIC, 0, 1, 2, 0), "disk-done", p0, offset).commitTransaction();
        begin("aborted-" + round, LIMIT_MS, of(TOPIC, 0, 1, 2), "disk-aborted", p0, offset).abortTransaction();
        begin("open-" + round, 600_000, of(TOPIC, 0, 1), null, null, 0);
        begin("open-offsets-" + round, 600_000, of(TOPIC, 1), "disk-open", new TopicPartition(TOPIC, 1), offset);
        begin("only-offsets-" + round, 600_000, List.of(), "disk-open", new TopicPartition(TOPIC, 2), offset);
        // Committed, but in two partitions not before what is open there is ended.
        begin("behind-" + round, LIMIT_MS, of(TOPIC, 0, 1, 2), "disk-done", new TopicPartition(TOPIC, 1), offset).commitTransaction();
        eventually("behind-" + round + " is not complete", () -> state("behind-" + round).equals("CompleteCommit"));
        eventually("aborted-" + round + " is not complete", () -> state("aborted-" + round).equals("CompleteAbort"));
        eventually("done-" + round + " is not complete", () -> state("done-" + round).equals("CompleteCommit"));
        begin("slow-" + round, 12_000, of(TOPIC, PARTITIONS), "disk-slow", p0, offset);
    }

    /** Many transactions that are ended at once, every other one committed; after the first answer the server is killed (SIGKILL). */
    private static void killAmongEnds(String name, long pid) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(IDS);
        List<Callable<KafkaProducer<String, String>>> begins = IntStream.range(0, IDS).<Callable<KafkaProducer<String, String>>>mapToObj(i -> () ->
            begin("many-" + name + "-" + i, 600_000, of(MANY, IntStream.range(i, i + EACH).map(p -> p % IDS).toArray()),
                "disk-many-" + name, new TopicPartition(MANY, i), i + 1)).toList();
        List<KafkaProducer<String, String>> producers = new ArrayList<>();
        for (var one : threads.invokeAll(begins)) {
            producers.add(one.get());
        }
        CyclicBarrier together = new CyclicBarrier(IDS);
        // SIGKILL.
        ProcessHandle server = ProcessHandle.of(pid).orElseThrow();
        List<Callable<Boolean>> ends = IntStream.range(0, IDS).<Callable<Boolean>>mapToObj(i -> () -> {
            together.await();
            if (i % 2 == 0) {
                producers.get(i).commitTransaction();
            } else {
                producers.get(i).abortTransaction();
            }
            return server.destroyForcibly();
        }).toList();
        threads.invokeAny(ends);
    }

    // ---- what must have become of it -------------------------------------------------------------------------------------

    private static TransactionDescription describe(String id) throws Exception {
        return admin.describeTransactions(Set.of(id)).all().get().get(id);
    }

    private static String state(String id) throws Exception {
        return describe(id).state().toString();
    }

    private static void eventually(String what, Callable<Boolean> call) throws Exception {
        for (long end = System.currentTimeMillis() + LIMIT_MS; !call.call(); Thread.sleep(50)) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException(what);
            }
        }
    }

    private static void same(String what, Object want, Object got) {
        if (!want.equals(got)) {
            throw new IllegalStateException(what + ": wanted " + want + ", got " + got);
        }
    }

    /** What was prepared when the server was killed is completed that way, and nothing else is. */
    private static Map<String, Integer> prepared(String states) throws Exception {
        Map<String, List<String>> records = new TreeMap<>();
        Map<String, Map<String, Long>> offsets = new TreeMap<>();
        Map<String, Integer> counts = new TreeMap<>();
        List<Callable<Void>> open = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(states))) {
            String[] words = line.split(" ");
            String id = words[1];
            if (!words[0].equals("state") || !id.startsWith("many-")) {
                continue;
            }
            int i = Integer.parseInt(id.substring(id.lastIndexOf('-') + 1));
            var ofGroup = offsets.computeIfAbsent("disk-" + id.substring(0, id.lastIndexOf('-')), x -> new TreeMap<>());
            counts.merge(words[2], 1, Integer::sum);
            String becomes = words[2].replace("Prepare", "Complete");
            eventually(id + " was " + words[2] + ", is " + state(id), () -> state(id).equals(becomes));
            if (becomes.equals("Ongoing")) {
                open.add(() -> {
                    producer(id, LIMIT_MS).close();
                    return null;
                });
            } else if (becomes.equals("CompleteCommit")) {
                IntStream.range(i, i + EACH).forEach(p -> records.computeIfAbsent(MANY + "-" + p % IDS, x -> new ArrayList<>()).add(id));
                ofGroup.put(MANY + "-" + i, i + 1L);
            }
        }
        ExecutorService threads = Executors.newFixedThreadPool(IDS);
        for (var one : threads.invokeAll(open)) {
            one.get();
        }
        threads.shutdown();
        Map<String, List<String>> got = new TreeMap<>();
        read(MANY, IDS, true).forEach((tp, values) -> {
            if (!values.isEmpty()) {
                got.put(tp.toString(), values.stream().sorted().toList());
            }
        });
        records.values().forEach(v -> v.sort(null));
        if (markersMayBeSkipped) {
            got.forEach((tp, values) -> same("not committed in " + tp, List.of(),
                values.stream().filter(v -> !records.getOrDefault(tp, List.of()).contains(v)).toList()));
            return counts;
        }
        same("records of prepared transactions", records, got);
        for (var group : offsets.entrySet()) {
            same("offsets of " + group.getKey(), group.getValue(), stable(group.getKey(), MANY, IDS));
        }
        return counts;
    }

    /** What was left open is aborted: by its timeout, by a new producer with its id, by the administrator. */
    private static void endOpen(int round) throws Exception {
        same("open-" + round, "Ongoing", state("open-" + round));
        producer("open-" + round, LIMIT_MS).close();
        producer("open-offsets-" + round, LIMIT_MS).close();
        admin.fenceProducers(Set.of("only-offsets-" + round)).all().get();
        eventually("slow-" + round + " is not aborted", () -> state("slow-" + round).equals("CompleteAbort"));
        for (int p = 0; p < (markersMayBeSkipped ? PARTITIONS : PARTITIONS + 1); p++) {
            TopicPartition tp = new TopicPartition(TOPIC, p);
            same("last stable offset of " + tp, end(tp, IsolationLevel.READ_UNCOMMITTED), end(tp, IsolationLevel.READ_COMMITTED));
        }
        Map<TopicPartition, List<String>> want = new HashMap<>();
        for (int p = 0; p <= PARTITIONS; p++) {
            List<String> values = new ArrayList<>();
            for (int r = 1; r <= round && p < PARTITIONS; r++) {
                values.addAll(p == 0 ? List.of("done-" + r, "done-" + r, "behind-" + r) : List.of("done-" + r, "behind-" + r));
            }
            want.put(new TopicPartition(TOPIC, p), values);
        }
        same("committed records", want, read(TOPIC, PARTITIONS + 1, true));
        same("offsets", Map.of(TOPIC + "-0", round * 10L, TOPIC + "-1", round * 10L), stable("disk-done", TOPIC, PARTITIONS));
        for (String group : markersMayBeSkipped ? List.of("disk-open", "disk-aborted") : List.of("disk-open", "disk-aborted", "disk-slow")) {
            same("offsets of " + group, Map.of(), stable(group, TOPIC, PARTITIONS));
        }
    }

    // ---- digest ---------------------------------------------------------------------------------------------------------

    private static boolean still(String id) {
        return !id.startsWith("slow-") && !id.startsWith("many-");
    }

    private static void digest() throws Exception {
        REPORT.println(FEATURE + " " + level());
        List<String> ids = admin.listTransactions().all().get().stream().filter(t -> still(t.transactionalId()))
            .map(t -> t.transactionalId() + " " + t.producerId() + " " + t.state()).sorted().toList();
        for (String line : ids) {
            String id = line.split(" ")[0];
            var d = describe(id);
            REPORT.println("transaction " + line + " " + d.coordinatorId() + " " + d.producerId() + ":" + d.producerEpoch() + " " + d.state() + " "
                + d.transactionTimeoutMs() + " since " + d.transactionStartTimeMs() + " "
                + d.topicPartitions().stream().map(TopicPartition::toString).sorted().toList());
        }
        tools();
        var committed = read(TOPIC, PARTITIONS, true);
        var all = read(TOPIC, PARTITIONS, false);
        for (TopicPartition tp : of(TOPIC, 0, 1, 2)) {
            REPORT.println("partition " + tp + " stable " + end(tp, IsolationLevel.READ_COMMITTED) + " end " + end(tp, IsolationLevel.READ_UNCOMMITTED)
                + " committed " + committed.get(tp) + " all " + all.get(tp));
            REPORT.println("producers " + tp + " " + admin.describeProducers(Set.of(tp)).partitionResult(tp).get().activeProducers().stream()
                .map(p -> p.producerId() + ":" + p.producerEpoch() + ":" + p.lastSequence() + " since " + p.currentTransactionStartOffset()
                    + " by " + p.coordinatorEpoch()).sorted().toList());
        }
        for (String group : GROUPS) {
            REPORT.println("offsets " + group + " " + offsets(group, new ListConsumerGroupOffsetsSpec(), false));
        }
        // A consumer asks again while offsets are part of an open transaction.
        try (var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", BOOTSTRAP, "group.id", "disk-open"), new StringDeserializer(),
                new StringDeserializer())) {
            for (TopicPartition tp : of(TOPIC, 0, 1, 2)) {
                try {
                    REPORT.println("stable offset disk-open " + consumer.committed(Set.of(tp), Duration.ofMillis(STABLE_MS)).get(tp));
                } catch (TimeoutException e) {
                    REPORT.println("stable offset disk-open pending");
                }
            }
        }
    }

    /** What Kafka's tool lists and describes; the project's own one must print the same. */
    private static void tools() throws Exception {
        String binary = System.getenv("AGAINST").equals("monedula") ? System.getenv("MONEDULA_BIN") : "";
        for (String verb : List.of("list", "describe --transactional-id open-1", "describe --transactional-id done-1",
                "describe-producers --topic " + TOPIC + " --partition 0")) {
            String[] args = ("--bootstrap-server " + BOOTSTRAP + " " + verb).split(" ");
            List<String> want = table(tool("org.apache.kafka.tools.TransactionsCommand", args));
            REPORT.println("tool " + verb + " " + want);
            if (!binary.isEmpty()) {
                Process p = new ProcessBuilder(Stream.concat(Stream.of(binary, "transactions"), Arrays.stream(args)).toList()).redirectErrorStream(true).start();
                same(verb, want, table(new String(p.getInputStream().readAllBytes())));
            }
        }
    }

    /** The rows of a tool's table, sorted as the lists in them are, without the column that says how long ago it began. */
    private static List<String> table(String text) {
        List<String[]> rows = text.lines().map(l -> l.strip().split("\\s*\t\\s*|\\s{2,}")).toList();
        int duration = rows.isEmpty() ? -1 : Arrays.asList(rows.get(0)).indexOf("TransactionDurationMs");
        return rows.stream().filter(r -> still(r[0])).map(r -> IntStream.range(0, r.length).filter(i -> i != duration)
            .mapToObj(i -> Arrays.stream(r[i].split(",")).sorted().collect(Collectors.joining(",")))
            .collect(Collectors.joining(" "))).sorted().toList();
    }

    private static long end(TopicPartition tp, IsolationLevel level) throws Exception {
        return admin.listOffsets(Map.of(tp, OffsetSpec.latest()), new ListOffsetsOptions(level)).partitionResult(tp).get().offset();
    }

    /** The committed offsets of a group in a topic, none of which may be part of an open transaction. */
    private static Map<String, Long> stable(String group, String topic, int partitions) throws Exception {
        return offsets(group, new ListConsumerGroupOffsetsSpec().topicPartitions(of(topic, IntStream.range(0, partitions).toArray())), true);
    }

    private static Map<String, Long> offsets(String group, ListConsumerGroupOffsetsSpec spec, boolean stable) throws Exception {
        Map<String, Long> offsets = new TreeMap<>();
        var options = new ListConsumerGroupOffsetsOptions().requireStable(stable).timeoutMs(LIMIT_MS);
        admin.listConsumerGroupOffsets(Map.of(group, spec), options).partitionsToOffsetAndMetadata(group).get().forEach((tp, o) -> {
            if (o != null) {
                offsets.put(tp.toString(), o.offset());
            }
        });
        return offsets;
    }

    /** The values of each partition up to its end of that level. */
    private static Map<TopicPartition, List<String>> read(String topic, int partitions, boolean committed) throws Exception {
        Map<TopicPartition, List<String>> got = new HashMap<>();
        Map<TopicPartition, Long> ends = new HashMap<>();
        for (TopicPartition tp : of(topic, IntStream.range(0, partitions).toArray())) {
            got.put(tp, new ArrayList<>());
            ends.put(tp, end(tp, committed ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED));
        }
        try (var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", BOOTSTRAP, "enable.auto.commit", false, "fetch.max.wait.ms", 100,
                "isolation.level", committed ? "read_committed" : "read_uncommitted"), new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(got.keySet());
            consumer.seekToBeginning(got.keySet());
            for (long limit = System.currentTimeMillis() + LIMIT_MS; ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue()); ) {
                consumer.poll(Duration.ofMillis(100)).forEach(r -> got.get(new TopicPartition(r.topic(), r.partition())).add(r.value()));
                if (System.currentTimeMillis() > limit) {
                    throw new KafkaException("not read to " + ends + ": " + got);
                }
            }
        }
        return got;
    }

    // ---- files ----------------------------------------------------------------------------------------------------------

    private static void dump(Path dir) throws Exception {
        String logs;
        try (Stream<Path> all = Files.walk(dir, 2)) {
            logs = all.map(Path::toString).filter(f -> f.contains("__transaction_state-") && f.endsWith(".log")).sorted().collect(Collectors.joining(","));
        }
        String text = tool("org.apache.kafka.tools.DumpLogSegments", "--files", logs, "--deep-iteration", "--transaction-log-decoder");
        Map<String, String> states = new TreeMap<>();
        for (Matcher m = STATE.matcher(text); m.find(); ) {
            states.put(m.group(1), STATES.get(Integer.parseInt(m.group(2))));
        }
        states.forEach((id, state) -> REPORT.println("state " + id + " " + state));
        Disk.dump(dir, "__transaction_state-");
        Disk.dump(dir, TOPIC + "-");
    }

    /** What one of Kafka's tools prints. */
    private static String tool(String main, String... args) throws Exception {
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        System.setOut(new PrintStream(caught, true));
        Exit.setExitProcedure((code, message) -> {
            if (code != 0) {
                throw new IllegalStateException(main + ": exit " + code + " " + message);
            }
        });
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) args);
        } finally {
            System.setOut(REPORT);
        }
        return caught.toString();
    }
}
