import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads all partitions of a topic from the beginning, by assignment, until COUNT records came; prints one line:
 * records bytes milliseconds crc. Arguments: BOOTSTRAP TOPIC COUNT.
 */
public final class Consume {
    public static void main(String[] args) {
        long want = Long.parseLong(args[2]);
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", args[0], "auto.offset.reset", "none", "enable.auto.commit", false,
            "max.partition.fetch.bytes", 4 << 20, "fetch.min.bytes", 1 << 16, "fetch.max.wait.ms", 100, "receive.buffer.bytes", 2 << 20,
            "max.poll.records", 4000));
        long records = 0;
        long bytes = 0;
        long sum = 0;
        long begin = System.nanoTime();
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(args[1]).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<Integer, Long> next = new HashMap<>();
            CRC32C crc = new CRC32C();
            for (long last = System.nanoTime(); records < want; ) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(1000))) {
                    if (r.offset() != next.merge(r.partition(), 1L, Long::sum) - 1) {
                        throw new IllegalStateException("partition " + r.partition() + ": offset " + r.offset() + " out of order");
                    }
                    records++;
                    bytes += r.value().length;
                    // Order between partitions is not fixed, so the checksums of the values are summed.
                    crc.reset();
                    crc.update(r.value());
                    sum += crc.getValue();
                    last = System.nanoTime();
                }
                if (System.nanoTime() - last > 20_000_000_000L) {
                    throw new IllegalStateException("only " + records + " of " + want + " records");
                }
            }
        }
        long spent_ms = (System.nanoTime() - begin) / 1_000_000;
        System.out.println("consumed " + records + " " + bytes + " " + spent_ms + " " + Long.toHexString(sum));
    }
}
