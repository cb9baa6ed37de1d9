import java.time.Duration;
import java.util.List;
import java.util.Map;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Where consumers go on whose position was deleted, or never was: one line for each way to be there and each auto.offset.reset. */
public final class Resets {
    static final Duration LIMIT = Duration.ofSeconds(60);
    static final List<String> POLICIES = List.of("none", "earliest", "latest", "by_duration:PT6H", "by_duration:PT100H");

    /** Bootstrap, topic, then offsets. */
    public static void main(String[] args) {
        String topic = args[1];
        for (int at = 2; at < args.length; at++) {
            long offset = Long.parseLong(args[at]);
            for (String policy : POLICIES) {
                System.out.println(offset + " seek " + policy + " -> " + sought(args[0], topic, offset, policy));
                System.out.println(offset + " commit " + policy + " -> " + committed(args[0], topic, offset, policy));
            }
        }
        for (String policy : POLICIES) {
            System.out.println("- nothing " + policy + " -> " + subscribed(args[0], topic, "resets-new-" + policy.hashCode(), policy));
        }
    }

    static String sought(String bootstrap, String topic, long offset, String policy) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, null, policy)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, offset);
            return goesOn(consumer, partition, offset);
        }
    }

    static String committed(String bootstrap, String topic, long offset, String policy) {
        String group = "resets-" + offset + "-" + policy.hashCode();
        try (KafkaConsumer<byte[], byte[]> before = consumer(bootstrap, group, "none")) {
            before.assign(List.of(new TopicPartition(topic, 0)));
            before.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset)), LIMIT);
        }
        return subscribed(bootstrap, topic, group, policy);
    }

    static String subscribed(String bootstrap, String topic, String group, String policy) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, group, policy)) {
            consumer.subscribe(List.of(topic));
            String committed = group.substring("resets-".length());
            long offset = committed.startsWith("new") ? -1 : Long.parseLong(committed.substring(0, committed.indexOf('-')));
            return goesOn(consumer, new TopicPartition(topic, 0), offset);
        }
    }

    /** The first record, or the place at the end; or the error. */
    static String goesOn(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long offset) {
        long end = System.nanoTime() + LIMIT.toNanos();
        try {
            while (System.nanoTime() < end) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    return "record " + record.offset();
                }
                if (consumer.assignment().contains(partition)) {
                    long position = consumer.position(partition, LIMIT);
                    if (position != offset && position == consumer.endOffsets(List.of(partition), LIMIT).get(partition)) {
                        return "end " + position;
                    }
                }
            }
            return "nothing";
        } catch (InvalidOffsetException error) {
            return error.getClass().getSimpleName();
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String group, String policy) {
        Map<String, Object> config = new java.util.HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", policy,
            "enable.auto.commit", false, "fetch.max.wait.ms", 100));
        if (group != null) {
            config.put("group.id", group);
        }
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
