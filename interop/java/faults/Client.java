import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apache Kafka's client under faults: Client BOOTSTRAP TOPIC PARTITIONS TAG ACKS FLAG. Writers of numbered records, with and without
 * idempotence, each with a codec, and two members of a group of the consumer protocol that read them and commit. Writes what happens as
 * JSON lines. While the file FLAG exists writers write; all leave on SIGTERM.
 */
public final class Client {
    private static final int EVERY_MS = 100;
    private static final int COMMIT_EVERY_MS = 300;
    private static final String PADDING = ".".repeat(60);

    private static String bootstrap;
    private static String topic;
    private static int partitions;
    private static String tag;
    private static String acks;
    private static Path flag;
    private static volatile boolean stopping;

    private static Properties common(String name) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("client.id", name);
        config.put("enable.metrics.push", "false");
        config.put("reconnect.backoff.ms", "50");
        config.put("reconnect.backoff.max.ms", "300");
        config.put("retry.backoff.ms", "50");
        config.put("retry.backoff.max.ms", "200");
        config.put("request.timeout.ms", "4000");
        config.put("default.api.timeout.ms", "60000");
        config.put("socket.connection.setup.timeout.ms", "3000");
        config.put("metadata.max.age.ms", "2000");
        return config;
    }

    private static void write(String name, boolean idempotent) throws InterruptedException {
        Properties config = common(name);
        config.put("acks", acks);
        config.put("enable.idempotence", String.valueOf(idempotent));
        config.put("compression.type", idempotent ? "lz4" : "gzip");
        if (!idempotent) {
            config.put("max.in.flight.requests.per.connection", "1");
        }
        config.put("linger.ms", "2");
        config.put("delivery.timeout.ms", "60000");
        config.put("max.block.ms", "60000");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            long due = System.nanoTime();
            for (int number = 0; Files.exists(flag) && !stopping; number++) {
                for (int partition = 0; partition < partitions; partition++) {
                    send(producer, name, partition, number);
                    due += EVERY_MS * 1_000_000L / partitions;
                    Thread.sleep(Math.max(0, (due - System.nanoTime()) / 1_000_000));
                }
            }
            producer.flush();
        }
        Events.log("written", Events.field("w", name));
    }

    private static void send(KafkaProducer<String, String> producer, String name, int partition, int number) {
        double sent = Events.nowMs();
        String who = Events.field("w", name) + Events.field("p", partition) + Events.field("n", number) + Events.field("s", sent);
        String value = name + ":" + partition + ":" + number + ":" + PADDING;
        try {
            producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, error) -> {
                if (error == null) {
                    Events.log("ack", who + Events.field("o", metadata.offset()));
                } else {
                    Events.log("fail", who + Events.field("error", error.getClass().getSimpleName()));
                }
            });
        } catch (KafkaException | IllegalStateException e) {
            Events.log("fail", who + Events.field("error", e.getClass().getSimpleName()));
        }
    }

    /** One member of the group. */
    private static final class Reader implements ConsumerRebalanceListener {
        private final String name;
        private final String group = "faults-" + tag;
        private final Map<TopicPartition, OffsetAndMetadata> read = new HashMap<>();

        Reader(String name) {
            this.name = name;
        }

        private void run() {
            Properties config = common(name);
            config.put("group.id", group);
            config.put("group.protocol", "consumer");
            config.put("enable.auto.commit", "false");
            config.put("auto.offset.reset", "earliest");
            config.put("fetch.max.wait.ms", "200");
            config.put("max.poll.interval.ms", "60000");
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(topic), this);
                long due = System.nanoTime();
                while (!stopping) {
                    try {
                        take(consumer);
                        if (!read.isEmpty() && System.nanoTime() > due) {
                            due = System.nanoTime() + COMMIT_EVERY_MS * 1_000_000L;
                            commit(consumer);
                        }
                    } catch (KafkaException e) {
                        Events.log("error", Events.field("r", name) + Events.field("error", e.getClass().getSimpleName()));
                    }
                }
            }
            Events.log("closed", Events.field("r", name));
        }

        private void take(KafkaConsumer<String, String> consumer) {
            var records = consumer.poll(Duration.ofMillis(100));
            for (TopicPartition tp : records.partitions()) {
                List<String> found = new ArrayList<>();
                for (ConsumerRecord<String, String> record : records.records(tp)) {
                    String value = record.value().substring(0, record.value().lastIndexOf(':'));
                    found.add("[" + record.offset() + ",\"" + value + "\"]");
                    read.put(tp, new OffsetAndMetadata(record.offset() + 1));
                }
                Events.log("read", Events.field("r", name) + Events.field("g", group) + Events.field("p", tp.partition())
                    + ",\"recs\":[" + String.join(",", found) + "]");
            }
        }

        private void commit(KafkaConsumer<String, String> consumer) {
            double sent = Events.nowMs();
            consumer.commitSync(read);
            Map<Integer, Long> offsets = new TreeMap<>();
            read.forEach((tp, offset) -> offsets.put(tp.partition(), offset.offset()));
            String text = offsets.entrySet().stream().map(e -> "\"" + e.getKey() + "\":" + e.getValue()).collect(Collectors.joining(","));
            Events.log("commit", Events.field("r", name) + Events.field("g", group) + Events.field("s", sent) + ",\"offs\":{" + text + "}");
            read.clear();
        }

        private void parts(String event, Collection<TopicPartition> parts) {
            String list = parts.stream().map(tp -> String.valueOf(tp.partition())).collect(Collectors.joining(","));
            Events.log(event, Events.field("r", name) + ",\"parts\":[" + list + "]");
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> parts) {
            parts("assigned", parts);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> parts) {
            parts.forEach(read::remove);
            parts("revoked", parts);
        }
    }

    private static Thread writer(String name, boolean idempotent) {
        return new Thread(() -> {
            try {
                write(name, idempotent);
            } catch (InterruptedException e) {
                Events.log("error", Events.field("w", name) + Events.field("error", "interrupted"));
            }
        });
    }

    public static void main(String[] args) throws InterruptedException {
        bootstrap = args[0];
        topic = args[1];
        partitions = Integer.parseInt(args[2]);
        tag = args[3];
        acks = args[4];
        flag = Path.of(args[5]);
        String run = tag + ProcessHandle.current().pid();
        List<Thread> threads = new ArrayList<>();
        if (acks.equals("all")) {
            threads.add(writer(run + "i", true));
        }
        threads.add(writer(run + "p", false));
        for (int n = 0; n < 2; n++) {
            Reader reader = new Reader(run + "r" + n);
            threads.add(new Thread(reader::run));
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            for (Thread thread : threads) {
                try {
                    thread.join(15_000);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }));
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
    }
}
