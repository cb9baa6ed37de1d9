import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java client appends and reads in transactions, as list-append/appender.py does: Appender BOOTSTRAP TOPIC PARTITIONS NAME ISOLATION FLAG. */
public class Appender {
    static final int FENCED = 3;
    static final double ABORTS = 0.15;
    static volatile boolean stopping = false;

    final KafkaProducer<String, String> producer;
    final KafkaConsumer<String, String> consumer;
    final String topic, name, run;
    final int partitions;
    final Random random = new Random();
    final Map<Integer, Long> at = new TreeMap<>();
    String id;
    int number = 0, sent;

    Appender(String[] words) {
        topic = words[1];
        partitions = Integer.parseInt(words[2]);
        name = words[3];
        run = name + "." + System.currentTimeMillis() + "-" + ProcessHandle.current().pid();
        Properties p = common(words[0]);
        p.put("transactional.id", name);
        p.put("transaction.timeout.ms", "6000");
        p.put("linger.ms", "0");
        p.put("max.block.ms", "20000");
        Properties c = common(words[0]);
        c.put("group.id", name);
        c.put("enable.auto.commit", "false");
        c.put("auto.offset.reset", "earliest");
        c.put("isolation.level", words[4]);
        c.put("max.poll.records", "60");
        c.put("fetch.max.wait.ms", "50");
        producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
        consumer = new KafkaConsumer<>(c, new StringDeserializer(), new StringDeserializer());
    }

    Properties common(String bootstrap) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("client.id", name);
        p.put("retry.backoff.ms", "50");
        p.put("reconnect.backoff.max.ms", "300");
        return p;
    }

    void log(String event, String more) {
        Events.log(event, (id == null ? "" : Events.field("x", id)) + more);
    }

    static String why(Throwable error) {
        return Events.field("why", String.valueOf(error).replaceAll("[\"\\\\\\p{Cntrl}]", " "));
    }

    static String json(Map<Integer, Long> offsets) {
        var parts = new ArrayList<String>();
        offsets.forEach((p, o) -> parts.add("\"" + p + "\":" + o));
        return "{" + String.join(",", parts) + "}";
    }

    void patiently(Runnable call) {
        while (true) {
            try {
                call.run();
                return;
            } catch (TimeoutException error) {
                log("again", why(error));
            }
        }
    }

    void begin() {
        patiently(producer::initTransactions);
        var all = new HashSet<TopicPartition>();
        for (int p = 0; p < partitions; p++) all.add(new TopicPartition(topic, p));
        consumer.assign(all);
        patiently(() -> consumer.committed(all, Duration.ofSeconds(20)).forEach((tp, o) -> at.put(tp.partition(), o == null ? 0 : o.offset())));
        seek();
        log("ready", "");
    }

    void seek() {
        at.forEach((p, o) -> consumer.seek(new TopicPartition(topic, p), o));
    }

    void transact() {
        id = run + "." + ++number;
        sent = 0;
        var start = new TreeMap<>(at);
        log("begin", Events.field("name", name) + ",\"from\":" + json(start));
        try {
            producer.beginTransaction();
            for (int i = random.nextInt(5); i >= 0; i--) {
                if (random.nextInt(5) < 3) send();
                else poll();
            }
            if (sent == 0) send();
            if (random.nextDouble() < ABORTS) {
                producer.flush();
                abort(start);
                return;
            }
            Map<TopicPartition, OffsetAndMetadata> moved = new HashMap<>();
            at.forEach((p, o) -> {
                if (!o.equals(start.get(p))) moved.put(new TopicPartition(topic, p), new OffsetAndMetadata(o));
            });
            if (!moved.isEmpty()) patiently(() -> producer.sendOffsetsToTransaction(moved, new ConsumerGroupMetadata(name)));
            log("commit", ",\"to\":" + json(at));
            patiently(producer::commitTransaction);
            log("committed", "");
        } catch (KafkaException error) {
            if (isFenced(error)) throw error;
            log("failed", why(error));
            abort(start);
        }
    }

    void send() {
        String transaction = id, value = id + "." + sent++;
        int partition = random.nextInt(partitions);
        log("send", Events.field("p", partition) + Events.field("v", value));
        producer.send(new ProducerRecord<>(topic, partition, null, value), (to, error) -> {
            if (error == null) {
                Events.log("ack", Events.field("x", transaction) + Events.field("p", to.partition()) + Events.field("v", value)
                    + Events.field("o", to.offset()));
            }
        });
        if (random.nextInt(10) < 3) producer.flush();
    }

    void poll() {
        var found = new ArrayList<String>();
        for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(50))) {
            found.add("[" + r.partition() + "," + r.offset() + ",\"" + r.value() + "\"]");
            at.put(r.partition(), r.offset() + 1);
        }
        log("poll", ",\"r\":[" + String.join(",", found) + "]");
    }

    void abort(Map<Integer, Long> start) {
        log("abort", "");
        patiently(producer::abortTransaction);
        log("aborted", "");
        // What was read in it was not.
        at.putAll(start);
        seek();
    }

    static boolean isFenced(Throwable error) {
        for (Throwable e = error; e != null; e = e.getCause()) {
            if (e instanceof ProducerFencedException || e instanceof InvalidProducerEpochException) return true;
            // Its transaction took too long: the coordinator has aborted what it would commit.
            if (e instanceof InvalidTxnStateException) return true;
        }
        return false;
    }

    public static void main(String[] words) throws Exception {
        var appender = new Appender(words);
        Path flag = Path.of(words[5]);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            try {
                main.join(15_000);
            } catch (InterruptedException ignored) {
            }
        }));
        try {
            appender.begin();
            while (!stopping) {
                if (Files.exists(flag)) {
                    appender.transact();
                } else {
                    Events.log("still", "");
                    Thread.sleep(100);
                }
            }
        } catch (Throwable error) {
            boolean fenced = isFenced(error);
            Events.log(fenced ? "fenced" : "ended", why(error));
            if (!fenced) error.printStackTrace();
            Runtime.getRuntime().halt(fenced ? FENCED : 1);
        }
        appender.consumer.close();
    }
}
