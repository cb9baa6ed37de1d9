// Lets transactional ids live through random requests in Kafka's own TransactionCoordinator and TransactionStateManager, whose log is
// in memory and whose markers are written when the life says so. Arguments: how many lives, steps of each, a seed. A life is
//   life LEVEL                     the level of transaction.version
//   init MS ID TIMEOUT PID EPOCH 2PC KEEP     then the answer: = ERROR PID EPOCH
//   add MS ID PID EPOCH VERSION PARTITIONS    = ERROR; VERSION of the client's transactions
//   end MS ID PID EPOCH VERSION COMMIT        = ERROR PID EPOCH
//   verify MS ID PID EPOCH PARTITIONS         = ERRORS
//   markers MS ID PARTITIONS       these have their marker now
//   tick MS                        timeouts and expiry are looked for
//   load MS                        a new coordinator
//   describe MS ID                 = ERROR STATE TIMEOUT START PID EPOCH PARTITIONS
//   list MS STATES PIDS DURATION PATTERN      = UNKNOWN IDS
// each followed by what came of it: r KEY VALUE (a record, in hexadecimal, - for no value), m ID PID EPOCH COMMIT VERSION PARTITIONS
// (markers to send), p PID (a producer id was used). Lists are separated by commas, - is none.
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import kafka.coordinator.transaction.*;
import kafka.server.ReplicaManager;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.internals.Topic;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.requests.ProduceResponse.PartitionResponse;
import org.apache.kafka.common.requests.TransactionResult;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.internals.LogContext;
import org.apache.kafka.common.utils.internals.ProducerIdAndEpoch;
import org.apache.kafka.coordinator.transaction.*;
import org.apache.kafka.metadata.MetadataCache;
import org.apache.kafka.server.common.*;
import org.apache.kafka.server.util.Scheduler;
import org.apache.kafka.storage.internals.log.*;
import scala.Option;
import scala.runtime.BoxedUnit;

public class Lives {
    static final StringBuilder out = new StringBuilder();
    static Random random;

    static final String[] IDS = {"a", "b", "late", "\u00e9"};
    static final int EXPIRATION_MS = 3_600_000;

    static long nowMs;
    static long nextProducerId;
    static short level;
    static List<String[]> log = new ArrayList<>();
    static Map<String, Object[]> pending = new TreeMap<>();

    static class Replicas extends ReplicaManager {
        Replicas() {
            super(null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
        }

        @Override
        public TopicIdPartition topicIdPartition(TopicPartition partition) {
            return new TopicIdPartition(Uuid.ZERO_UUID, partition);
        }

        @Override
        public Option<LogConfig> getLogConfig(TopicPartition partition) {
            return Option.apply(new LogConfig(new Properties()));
        }

        @Override
        public void appendRecords(long timeout, short acks, boolean internal, AppendOrigin origin,
                scala.collection.Map<TopicIdPartition, MemoryRecords> entries,
                scala.Function1<Map<TopicIdPartition, PartitionResponse>, BoxedUnit> callback,
                scala.Function1<scala.collection.Map<TopicIdPartition, RecordValidationStats>, BoxedUnit> stats,
                RequestLocal local, scala.collection.Map<TopicPartition, VerificationGuard> guards, short version) {
            Map<TopicIdPartition, PartitionResponse> responses = new HashMap<>();
            entries.foreach(entry -> {
                for (Record record : entry._2.records()) {
                    String[] pair = {hex(record.key()), record.hasValue() ? hex(record.value()) : "-"};
                    log.add(pair);
                    out.append("r ").append(pair[0]).append(' ').append(pair[1]).append('\n');
                }
                responses.put(entry._1, new PartitionResponse(Errors.NONE));
                return BoxedUnit.UNIT;
            });
            callback.apply(responses);
        }
    }

    static class Sender extends TransactionMarkerChannelManager {
        Sender() {
            super(null, null, null, null, null);
        }

        @Override
        public void addTxnMarkersToSend(int epoch, TransactionResult result, TransactionMetadata metadata, TxnTransitMetadata next) {
            if (!metadata.topicPartitions().isEmpty()) {
                line("m", metadata.transactionalId(), metadata.producerId(), metadata.producerEpoch(),
                    result == TransactionResult.COMMIT ? 1 : 0, metadata.clientTransactionVersion().featureLevel(),
                    partitions(metadata.topicPartitions()));
            }
            pending.put(metadata.transactionalId(), new Object[] {metadata, next});
            completeIfDone(metadata.transactionalId());
        }

        @Override
        public void removeMarkersForTxnTopicPartition(int partition) { }
    }

    static TransactionStateManager states;
    static TransactionCoordinator coordinator;

    static void completeIfDone(String id) {
        Object[] waiting = pending.get(id);
        if (waiting == null || !((TransactionMetadata) waiting[0]).topicPartitions().isEmpty()) return;
        pending.remove(id);
        states.appendTransactionToLog(id, epoch, (TxnTransitMetadata) waiting[1], error -> {
            if (error != Errors.NONE) throw new IllegalStateException(error.toString());
            return BoxedUnit.UNIT;
        }, error -> false, RequestLocal.noCaching());
    }

    static int epoch;

    static <T> T proxy(Class<T> type, Map<String, java.util.function.Function<Object[], Object>> methods) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, args) -> {
            var found = methods.get(method.getName());
            if (found == null) throw new IllegalStateException(method.toString());
            return found.apply(args);
        }));
    }

    @SuppressWarnings("unchecked")
    static <T> T blank(Class<T> type) throws Exception {
        var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        return (T) ((sun.misc.Unsafe) field.get(null)).allocateInstance(type);
    }

    static void lead() throws Exception {
        epoch++;
        pending.clear();
        Time time = proxy(Time.class, Map.of("milliseconds", a -> nowMs));
        Scheduler scheduler = proxy(Scheduler.class, Map.of("startup", a -> null, "schedule", a -> null));
        MetadataCache metadata = proxy(MetadataCache.class, Map.of("features", a ->
            FinalizedFeatures.of(MetadataVersion.latestProduction(), Map.of("transaction.version", level), 1L)));
        TransactionConfig config = new TransactionConfig(EXPIRATION_MS, 900_000, 1, (short) 1, 1 << 20, 1 << 20, 1, 1, 1, true, 1_000);
        states = new TransactionStateManager(1, scheduler, blank(Replicas.class), metadata, config, time, new Metrics());
        ProducerIdManager ids = proxy(ProducerIdManager.class, Map.of("generateProducerId", a -> {
            line("p", ++nextProducerId);
            return nextProducerId;
        }));
        coordinator = new TransactionCoordinator(config, scheduler, () -> ids, states, blank(Sender.class), time, new LogContext());
        states.startup(() -> 1, false);
        var field = TransactionCoordinator.class.getDeclaredField("isActive");
        field.setAccessible(true);
        ((java.util.concurrent.atomic.AtomicBoolean) field.get(coordinator)).set(true);
        var loaded = new ConcurrentHashMap<String, TransactionMetadata>();
        for (String[] record : log) {
            ByteBuffer key = ByteBuffer.wrap(HexFormat.of().parseHex(record[0]));
            ByteBuffer value = record[1].equals("-") ? null : ByteBuffer.wrap(HexFormat.of().parseHex(record[1]));
            Object read = TransactionLog.read(key, value);
            if (read instanceof TransactionLog.TxnTombstone gone) loaded.remove(gone.transactionId());
            if (read instanceof TransactionLog.TxnRecord one) loaded.put(one.transactionId(), one.metadata());
        }
        states.addLoadedTransactionsToCache(0, epoch, loaded);
        for (TransactionMetadata one : new TreeMap<>(loaded).values()) {
            boolean commit = one.state() == TransactionState.PREPARE_COMMIT;
            if (commit || one.state() == TransactionState.PREPARE_ABORT) {
                blank(Sender.class).addTxnMarkersToSend(epoch, commit ? TransactionResult.COMMIT : TransactionResult.ABORT,
                    one, one.prepareComplete(nowMs));
            }
        }
    }

    static String hex(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return HexFormat.of().formatHex(copy);
    }

    static void line(Object... parts) {
        out.append(Arrays.stream(parts).map(Object::toString).collect(Collectors.joining(" "))).append('\n');
    }

    static String partitions(Collection<TopicPartition> all) {
        return all.isEmpty() ? "-" : all.stream().map(TopicPartition::toString).sorted().collect(Collectors.joining(","));
    }

    /** What clients may believe: the newest last. */
    static Map<String, List<ProducerIdAndEpoch>> producers = new HashMap<>();

    static ProducerIdAndEpoch producer(String id) {
        List<ProducerIdAndEpoch> known = producers.getOrDefault(id, List.of());
        if (known.isEmpty()) return new ProducerIdAndEpoch(random.nextInt(3), (short) 0);
        int back = random.nextInt(5) == 0 ? random.nextInt(Math.min(3, known.size())) : 0;
        ProducerIdAndEpoch one = known.get(known.size() - 1 - back);
        switch (random.nextInt(14)) {
            case 0: return new ProducerIdAndEpoch(one.producerId, (short) Math.min(Short.MAX_VALUE, one.epoch + 1));
            case 1: return new ProducerIdAndEpoch(one.producerId, (short) Math.max(0, one.epoch - 1));
            case 2: return new ProducerIdAndEpoch(random.nextInt(4), random.nextBoolean() ? one.epoch : (short) (Short.MAX_VALUE - 1));
            default: return one;
        }
    }

    static void learn(String id, long producerId, short producerEpoch) {
        if (producerId >= 0) producers.computeIfAbsent(id, x -> new ArrayList<>()).add(new ProducerIdAndEpoch(producerId, producerEpoch));
    }

    static Set<TopicPartition> some() {
        Set<TopicPartition> some = new HashSet<>();
        int count = random.nextInt(9) == 0 ? 0 : 1 + random.nextInt(3);
        for (int i = 0; i < count; i++) some.add(new TopicPartition(random.nextBoolean() ? "t" : "u", random.nextInt(3)));
        return some;
    }

    static TransactionVersion version() {
        boolean second = level >= 2 != (random.nextInt(8) == 0);
        // A client of the second generation at a cluster of the first: Kafka cannot write its records, and is stuck.
        return second && level >= 1 ? TransactionVersion.TV_2 : TransactionVersion.TV_0;
    }

    static void init(String id) {
        ProducerIdAndEpoch expected = random.nextInt(3) == 0 ? producer(id) : null;
        int timeoutMs = random.nextInt(12) == 0 ? new int[] {0, -1, 900_000, 900_001, Integer.MAX_VALUE}[random.nextInt(5)] : 300 + random.nextInt(600);
        boolean twoPhases = random.nextInt(10) == 0;
        boolean keep = random.nextInt(25) == 0;
        line("init", nowMs, name(id), timeoutMs, expected == null ? -1 : expected.producerId, expected == null ? -1 : expected.epoch, twoPhases ? 1 : 0, keep ? 1 : 0);
        coordinator.handleInitProducerId(id, timeoutMs, twoPhases, keep, Option.apply(expected), result -> {
            line("=", result.error(), result.producerId(), result.producerEpoch());
            learn(id, result.producerId(), result.producerEpoch());
            return BoxedUnit.UNIT;
        }, RequestLocal.noCaching());
    }

    static void add(String id) {
        ProducerIdAndEpoch producer = producer(id);
        Set<TopicPartition> some = some();
        TransactionVersion version = version();
        line("add", nowMs, name(id), producer.producerId, producer.epoch, version.featureLevel(), partitions(some));
        coordinator.handleAddPartitionsToTransaction(id, producer.producerId, producer.epoch, some, error -> {
            line("=", error);
            return BoxedUnit.UNIT;
        }, version, RequestLocal.noCaching());
    }

    static String name(String id) {
        return id.isEmpty() ? "-" : id;
    }

    static void end(String id) {
        ProducerIdAndEpoch producer = producer(id);
        boolean commit = random.nextInt(3) != 0;
        TransactionVersion version = version();
        line("end", nowMs, name(id), producer.producerId, producer.epoch, version.featureLevel(), commit ? 1 : 0);
        TransactionResult result = commit ? TransactionResult.COMMIT : TransactionResult.ABORT;
        try {
            coordinator.handleEndTransaction(id, producer.producerId, producer.epoch, result, version, (error, newId, newEpoch) -> {
                line("=", error, newId, newEpoch);
                learn(id, (Long) newId, (Short) newEpoch);
                return BoxedUnit.UNIT;
            }, RequestLocal.noCaching());
        } catch (IllegalArgumentException e) {
            // A commit in the last epoch.
            line("=", Errors.forException(e), -1, -1);
        }
    }

    static void verify(String id) {
        ProducerIdAndEpoch producer = producer(id);
        Set<TopicPartition> some = some();
        if (some.isEmpty()) return;
        line("verify", nowMs, name(id), producer.producerId, producer.epoch, partitions(some));
        coordinator.handleVerifyPartitionsInTransaction(id, producer.producerId, producer.epoch, some, result -> {
            Map<String, String> errors = new TreeMap<>();
            result.topicResults().forEach(topic -> topic.resultsByPartition().forEach(one ->
                errors.put(topic.name() + "-" + one.partitionIndex(), Errors.forCode(one.partitionErrorCode()).toString())));
            line("=", String.join(",", errors.values()));
            return BoxedUnit.UNIT;
        });
    }

    static void markers(boolean all) {
        for (String id : new ArrayList<>(pending.keySet())) {
            TransactionMetadata metadata = (TransactionMetadata) pending.get(id)[0];
            List<TopicPartition> left = new ArrayList<>(metadata.topicPartitions());
            left.sort(Comparator.comparing(TopicPartition::toString));
            if (!all) left.removeIf(x -> random.nextInt(3) == 0);
            if (left.isEmpty()) continue;
            line("markers", nowMs, id, partitions(left));
            left.forEach(metadata::removePartition);
            completeIfDone(id);
        }
    }

    static void tick(long ms) {
        nowMs += ms;
        line("tick", nowMs);
        coordinator.abortTimedOutTransactions(who -> (error, newId, newEpoch) -> BoxedUnit.UNIT);
        states.removeExpiredTransactionalIds();
    }

    static void describe(String id) {
        line("describe", nowMs, name(id));
        var state = coordinator.handleDescribeTransactions(id);
        List<TopicPartition> all = new ArrayList<>();
        state.topics().forEach(topic -> topic.partitions().forEach(one -> all.add(new TopicPartition(topic.topic(), one))));
        line("=", Errors.forCode(state.errorCode()), state.transactionState().isEmpty() ? "-" : state.transactionState(),
            state.transactionTimeoutMs(), state.transactionStartTimeMs(), state.producerId(), state.producerEpoch(), partitions(all));
    }

    static void list() {
        String[] names = {"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence", "empty", "Foo"};
        Set<String> chosen = new TreeSet<>();
        Set<Object> ids = new TreeSet<>();
        if (random.nextBoolean()) for (int i = 0; i < 3; i++) chosen.add(names[random.nextInt(names.length)]);
        if (random.nextInt(3) == 0) for (int i = 0; i < 3; i++) ids.add((long) random.nextInt(8));
        long durationMs = random.nextInt(3) == 0 ? random.nextInt(1_000) : -1;
        String pattern = random.nextInt(3) == 0 ? new String[] {"[ab]", "a|late", "l.*", "", "late?", "x", ".", "\\w+"}[random.nextInt(8)] : "-";
        line("list", nowMs, chosen.isEmpty() ? "-" : String.join(",", chosen),
            ids.isEmpty() ? "-" : ids.stream().map(Object::toString).collect(Collectors.joining(",")), durationMs, pattern.isEmpty() ? "EMPTY" : pattern);
        scala.collection.immutable.Set<String> states = scala.jdk.javaapi.CollectionConverters.asScala(chosen).toSet();
        scala.collection.immutable.Set<Object> producerIds = scala.jdk.javaapi.CollectionConverters.asScala(ids).toSet();
        var listed = coordinator.handleListTransactions(producerIds, states, durationMs, pattern.equals("-") ? null : pattern);
        String found = listed.transactionStates().stream()
            .map(one -> one.transactionalId() + ":" + one.producerId() + ":" + one.transactionState()).sorted().collect(Collectors.joining(","));
        String unknown = listed.unknownStateFilters().stream().sorted().collect(Collectors.joining(","));
        line("=", unknown.isEmpty() ? "-" : unknown, found.isEmpty() ? "-" : found);
    }

    static void life(int steps) throws Exception {
        log.clear();
        producers.clear();
        nowMs = 1_000_000_000L;
        nextProducerId = 0;
        level = (short) new int[] {0, 1, 2, 2, 2}[random.nextInt(5)];
        line("life", level);
        // One whose epochs are nearly used up.
        long lateId = ++nextProducerId;
        short lateEpoch = (short) (Short.MAX_VALUE - random.nextInt(8));
        log.add(new String[] {
            HexFormat.of().formatHex(TransactionLog.keyToBytes("late")),
            HexFormat.of().formatHex(TransactionLog.valueToBytes(new TxnTransitMetadata(lateId, lateId, -1, lateEpoch, (short) -1, 500,
                TransactionState.EMPTY, new HashSet<>(), -1, nowMs, TransactionVersion.TV_0), TransactionVersion.fromFeatureLevel(level)))});
        line("r", log.get(0)[0], log.get(0)[1]);
        learn("late", lateId, lateEpoch);
        lead();
        for (int step = 0; step < steps; step++) {
            String id = random.nextInt(30) == 0 ? "" : IDS[random.nextInt(IDS.length)];
            switch (random.nextInt(20)) {
                case 0: case 1: case 2: init(id); break;
                case 3: case 4: case 5: case 6: add(id); break;
                case 7: case 8: case 9: end(id); break;
                case 10: case 11: case 12: markers(false); break;
                case 13: verify(id); break;
                case 14: describe(id); break;
                case 15: list(); break;
                case 16: case 17: tick(1 + random.nextInt(200)); break;
                case 18:
                    if (random.nextInt(4) == 0) {
                        line("load", nowMs);
                        lead();
                    }
                    break;
                default:
                    if (random.nextInt(12) == 0) {
                        markers(true);
                        tick(2 * EXPIRATION_MS);
                    }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        random = new Random(Long.parseLong(args[2]));
        for (int i = 0; i < Integer.parseInt(args[0]); i++) life(Integer.parseInt(args[1]));
        System.out.write(out.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8));
        System.out.flush();
    }
}
