import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
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
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java client copies a topic in transactions, as exactly-once/copier.py does: Copier BOOTSTRAP GROUP ID INPUT OUTPUT MODE [PROTOCOL]. */
public class Copier {
    static final int FENCED = 3;
    static final double ABORTS = 0.1;
    static final long PLAIN_MS = 200;
    static volatile boolean stopping = false;

    static void log(String event, String more) {
        System.out.println("{\"ev\": \"" + event + "\"" + more + "}");
        System.out.flush();
    }

    static String why(Throwable error) {
        return ", \"why\": \"" + String.valueOf(error).replaceAll("[\"\\\\\\p{Cntrl}]", " ") + "\"";
    }

    interface Call {
        void run();
    }

    /** Again while it may still work. */
    static void patiently(Call call) {
        while (true) {
            try {
                call.run();
                return;
            } catch (TimeoutException error) {
                log("again", why(error));
            }
        }
    }

    static Properties common(String bootstrap, String id) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("client.id", id);
        p.put("retry.backoff.ms", "50");
        p.put("reconnect.backoff.max.ms", "300");
        return p;
    }

    /** To another one with its id, or to the coordinator's clock, which has aborted what it would commit. */
    static boolean lostItsPlace(Throwable error) {
        for (Throwable e = error; e != null; e = e.getCause()) {
            if (e instanceof ProducerFencedException || e instanceof InvalidTxnStateException) return true;
        }
        return false;
    }

    public static void main(String[] words) throws Exception {
        String group = words[1], id = words[2], input = words[3], output = words[4], mode = words[5];
        boolean transactional = !mode.equals("plain");
        Properties p = common(words[0], id);
        if (transactional) {
            p.put("transactional.id", id);
            p.put("transaction.timeout.ms", "6000");
        }
        p.put("linger.ms", "2");
        p.put("max.block.ms", "20000");
        Properties c = common(words[0], id);
        c.put("group.id", group);
        c.put("enable.auto.commit", "false");
        c.put("auto.offset.reset", "earliest");
        c.put("isolation.level", mode.equals("uncommitted") ? "read_uncommitted" : "read_committed");
        c.put("max.poll.records", "40");
        c.put("fetch.max.wait.ms", "100");
        if (words.length > 6 && words[6].equals("consumer")) {
            c.put("group.protocol", "consumer");
        } else {
            // The other clients of the group know it, too.
            c.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
            c.put("session.timeout.ms", "6000");
            c.put("heartbeat.interval.ms", "500");
        }
        var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
        var consumer = new KafkaConsumer<>(c, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            consumer.wakeup();
            try {
                main.join(15_000);
            } catch (InterruptedException ignored) {
            }
        }));
        try {
            if (transactional) patiently(producer::initTransactions);
            log("ready", "");
            consumer.subscribe(List.of(input));
            Random random = new Random();
            while (!stopping) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                if (!records.isEmpty()) copy(producer, consumer, records, output, transactional, random.nextDouble() < ABORTS);
            }
        } catch (WakeupException ignored) {
        } catch (ProducerFencedException | InvalidProducerEpochException error) {
            log("fenced", why(error));
            Runtime.getRuntime().halt(FENCED);
        } catch (Throwable error) {
            if (lostItsPlace(error)) {
                log("fenced", why(error));
                Runtime.getRuntime().halt(FENCED);
            }
            log("failed", why(error));
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        try {
            consumer.close();
        } catch (WakeupException ignored) {
        }
        log("end", "");
    }

    static void copy(KafkaProducer<byte[], byte[]> producer, KafkaConsumer<byte[], byte[]> consumer, ConsumerRecords<byte[], byte[]> records,
                     String output, boolean transactional, boolean abort) throws InterruptedException {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        try {
            if (transactional) producer.beginTransaction();
            for (ConsumerRecord<byte[], byte[]> r : records) {
                producer.send(new ProducerRecord<>(output, r.partition(), r.key(), r.value()));
                offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
            }
            if (!transactional) {
                producer.flush();
                // Most of its time it has written what it has not committed.
                Thread.sleep(PLAIN_MS);
                consumer.commitSync(offsets);
                log("commit", ", \"n\": " + records.count());
                return;
            }
            if (abort) {
                producer.flush();
                throw new KafkaException("on purpose");
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            patiently(producer::commitTransaction);
            log("commit", ", \"n\": " + records.count());
        } catch (ProducerFencedException | InvalidProducerEpochException error) {
            throw error;
        } catch (KafkaException error) {
            if (error.getCause() instanceof ProducerFencedException) throw error;
            log("abort", why(error));
            if (transactional) patiently(producer::abortTransaction);
            back(consumer, records);
        }
    }

    /** What is still this member's is read again. */
    static void back(KafkaConsumer<byte[], byte[]> consumer, ConsumerRecords<byte[], byte[]> records) {
        for (TopicPartition tp : records.partitions()) {
            if (consumer.assignment().contains(tp)) consumer.seek(tp, records.records(tp).get(0).offset());
        }
    }
}
