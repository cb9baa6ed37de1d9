import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What the checks of transactions are made of: topics, producers, reading with both isolation levels. */
class TransactionSteps {
    static final int PARTITIONS = 2;
    static final int LIMIT_MS = 60_000;
    /** How long a reader waits to see that there is nothing. */
    private static final int QUIET_MS = 700;

    /** What a record says, and where it is. */
    record Row(int partition, String value) {}

    final String bootstrap = System.getenv("BOOTSTRAP");
    final Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 60_000, "request.timeout.ms", 30_000));
    final KafkaProducer<String, String> plain = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), new StringSerializer(),
        new StringSerializer());

    void create(String topic) throws Exception {
        Check.get(admin.createTopics(Set.of(new NewTopic(topic, PARTITIONS, (short) 1).configs(Map.of("retention.ms", "-1")))).all());
        Check.eventually(() -> Check.get(admin.describeTopics(Set.of(topic)).allTopicNames()));
    }

    KafkaProducer<String, String> producer(String id, int timeoutMs) {
        KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "transactional.id", id,
            "transaction.timeout.ms", timeoutMs, "max.block.ms", LIMIT_MS), new StringSerializer(), new StringSerializer());
        try {
            producer.initTransactions();
        } catch (KafkaException e) {
            producer.close(Duration.ZERO);
            throw e;
        }
        return producer;
    }

    KafkaProducer<String, String> producer(String id) {
        return producer(id, LIMIT_MS);
    }

    KafkaConsumer<String, String> consumer(boolean committed, String group) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", false,
            "fetch.max.wait.ms", 100, "isolation.level", committed ? "read_committed" : "read_uncommitted", "max.poll.records", 7));
        if (group != null) {
            config.put("group.id", group);
        }
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static List<Row> rows(String prefix, int each) {
        return IntStream.range(0, each * PARTITIONS).mapToObj(i -> new Row(i % PARTITIONS, prefix + "-" + i % PARTITIONS + "-" + i / PARTITIONS)).toList();
    }

    @SafeVarargs
    static List<Row> all(List<Row>... parts) {
        return java.util.Arrays.stream(parts).flatMap(List::stream).toList();
    }

    static void send(KafkaProducer<String, String> producer, String topic, List<Row> rows) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (Row row : rows) {
            sent.add(producer.send(new ProducerRecord<>(topic, row.partition, null, row.value)));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get(20, TimeUnit.SECONDS);
        }
    }

    static void write(KafkaProducer<String, String> producer, String topic, List<Row> rows, boolean commit) throws Exception {
        producer.beginTransaction();
        send(producer, topic, rows);
        if (commit) {
            producer.commitTransaction();
        } else {
            producer.abortTransaction();
        }
    }

    static List<List<String>> ofPartitions(List<Row> rows) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> rows.stream().filter(r -> r.partition == p).map(Row::value).toList()).toList();
    }

    /** Reads until there are so many records, and a little longer; order counts within a partition. */
    void read(String topic, boolean committed, List<Row> want) {
        List<Row> got = new ArrayList<>();
        try (var consumer = consumer(committed, null)) {
            var partitions = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long end = System.currentTimeMillis() + LIMIT_MS;
            for (long quiet = Long.MAX_VALUE; System.currentTimeMillis() < Math.min(quiet, end);) {
                consumer.poll(Duration.ofMillis(100)).forEach(r -> got.add(new Row(r.partition(), r.value())));
                if (quiet == Long.MAX_VALUE && got.size() >= want.size()) {
                    quiet = System.currentTimeMillis() + QUIET_MS;
                }
            }
        }
        Check.same(ofPartitions(want), ofPartitions(got));
    }

    void both(String topic, List<Row> committed, List<Row> all) {
        read(topic, true, committed);
        read(topic, false, all);
    }

    /** The call must fail with one of these codes, or with the client's own error that tells the code's text. */
    static String refused(List<Integer> codes, Check.Body body) throws Exception {
        try {
            body.call();
        } catch (KafkaException | ExecutionException e) {
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                for (int code : codes) {
                    Errors error = Errors.forCode((short) code);
                    if (Errors.forException(cause) == error || String.valueOf(cause.getMessage()).contains(error.message())) {
                        return "code=" + code;
                    }
                }
            }
            throw new AssertionError("expected one of the codes " + codes + ", got " + e, e);
        }
        throw new AssertionError("expected one of the codes " + codes + ", got success");
    }
}
