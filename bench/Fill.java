import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes COUNT records of SIZE bytes with keys drawn from so many, to partition 0; RATE a second, or as fast as it goes (0). Prints one
 * line: records milliseconds p50_us p99_us. Arguments: BOOTSTRAP TOPIC COUNT KEYS SIZE RATE SEED; with seed 0 the keys come in turn.
 */
public final class Fill {
    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[2]);
        int keys = Integer.parseInt(args[3]);
        int rate = Integer.parseInt(args[5]);
        long seed = Long.parseLong(args[6]);
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", args[0], "acks", "all", "buffer.memory", 64L << 20));
        // A pace is for latencies: nothing waits for company then.
        config.putAll(rate > 0 ? Map.of("linger.ms", 0) : Map.of("linger.ms", 5, "batch.size", 131072));
        SplittableRandom random = new SplittableRandom(seed);
        byte[] value = new byte[Integer.parseInt(args[4])];
        random.nextBytes(value);
        long[] spent = new long[count];
        AtomicReference<Exception> failure = new AtomicReference<>();
        long begin = System.nanoTime();
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < count; i++) {
                long due = rate > 0 ? begin + i * 1_000_000_000L / rate : 0;
                while (rate > 0 && System.nanoTime() < due) {
                    Thread.sleep(Math.max(0, (due - System.nanoTime()) / 1_000_000));
                }
                byte[] key = String.format("%012d", seed == 0 ? i % keys : random.nextInt(keys)).getBytes();
                int n = i;
                long from = System.nanoTime();
                producer.send(new ProducerRecord<>(args[1], 0, key, value), (done, error) -> {
                    spent[n] = System.nanoTime() - from;
                    if (error != null) {
                        failure.set(error);
                    }
                });
            }
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        long ms = (System.nanoTime() - begin) / 1_000_000;
        Arrays.sort(spent);
        System.out.printf("filled %d %d %d %d%n", count, ms, spent[count / 2] / 1000, spent[count - 1 - count / 100] / 1000);
    }
}
