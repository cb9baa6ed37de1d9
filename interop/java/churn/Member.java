import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * One member of the churn test: Member BOOTSTRAP GROUP PROTOCOL ASSIGNOR TOPICS NAME SESSION_MS. TOPICS is a list with commas,
 * or a regular expression that begins with ^. Writes what happens to it as JSON lines; leaves its group on SIGTERM.
 */
public final class Member implements ConsumerRebalanceListener {
    private static final int COMMIT_EVERY_MS = 300;
    private static final Map<String, String> ASSIGNORS = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final String group;
    private final String name;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, OffsetAndMetadata> read = new HashMap<>();
    private volatile boolean stopping;

    private Member(String[] args) {
        group = args[1];
        name = args[5];
        boolean classic = args[2].equals("classic");
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("group.id", group);
        config.put("client.id", name);
        config.put("group.protocol", args[2]);
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        config.put("metadata.max.age.ms", "1000");
        config.put("max.poll.interval.ms", "60000");
        config.put("fetch.max.wait.ms", "200");
        config.put("enable.metrics.push", "false");
        if (classic) {
            config.put("session.timeout.ms", args[6]);
            config.put("heartbeat.interval.ms", "1000");
            config.put("partition.assignment.strategy", ASSIGNORS.get(args[3]));
        } else {
            config.put("group.remote.assignor", args[3]);
        }
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        if (!args[4].startsWith("^")) {
            consumer.subscribe(List.of(args[4].split(",")), this);
        } else {
            // Not a SubscriptionPattern: with one, this consumer was seen to stop after a topic was deleted, on Apache Kafka, too. The
            // other clients' patterns are resolved by the broker.
            consumer.subscribe(Pattern.compile(args[4]), this);
        }
    }

    public static void main(String[] args) throws InterruptedException {
        Member member = new Member(args);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            member.stopping = true;
            member.consumer.wakeup();
            try {
                main.join(15_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        member.run();
    }

    private void run() {
        log("start", "");
        double last = Events.nowMs();
        while (!stopping) {
            try {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                for (TopicPartition partition : records.partitions()) {
                    note(partition, records.records(partition));
                }
                if (Events.nowMs() - last >= COMMIT_EVERY_MS) {
                    last = Events.nowMs();
                    commit();
                }
            } catch (WakeupException e) {
                // SIGTERM: the condition of the loop sees it.
            } catch (KafkaException e) {
                log("error", ",\"error\":\"" + e.getClass().getSimpleName() + "\"");
            }
        }
        try {
            commit();
            consumer.close();
        } catch (KafkaException e) {
            log("error", ",\"error\":\"close: " + e.getClass().getSimpleName() + "\"");
        }
        log("closed", "");
    }

    /** Writes down which offsets were read, before anything of it is committed. */
    private void note(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        long first = records.get(0).offset();
        long last = first - 1;
        for (ConsumerRecord<byte[], byte[]> each : records) {
            if (each.offset() != last + 1) {
                consumed(partition, first, last);
                first = each.offset();
            }
            last = each.offset();
        }
        consumed(partition, first, last);
        read.put(partition, new OffsetAndMetadata(last + 1));
    }

    private void consumed(TopicPartition partition, long first, long last) {
        log("consumed", ",\"topic\":\"" + partition.topic() + "\",\"partition\":" + partition.partition() + ",\"first\":" + first
            + ",\"last\":" + last);
    }

    private void commit() {
        if (read.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(read, Duration.ofSeconds(5));
            log("committed", ",\"offsets\":" + read.entrySet().stream().map(e -> "[\"" + e.getKey().topic() + "\","
                + e.getKey().partition() + "," + e.getValue().offset() + "]").collect(Collectors.joining(",", "[", "]")));
            read.clear();
        } catch (RebalanceInProgressException e) {
            // They are committed when the partitions go, or later.
            log("refused", ",\"error\":\"rebalance\"");
        } catch (WakeupException e) {
            // SIGTERM: there is one more commit at the end.
            log("refused", ",\"error\":\"wakeup\"");
        } catch (CommitFailedException e) {
            read.clear();
            log("refused", ",\"error\":\"fenced\"");
        } catch (KafkaException e) {
            read.clear();
            log("refused", ",\"error\":\"" + e.getClass().getSimpleName() + "\"");
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        parts("assigned", partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        read.keySet().removeAll(partitions);
        parts("revoked", partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        read.keySet().removeAll(partitions);
        parts("lost", partitions);
    }

    private void parts(String event, Collection<TopicPartition> partitions) {
        List<String> each = new ArrayList<>();
        partitions.forEach(p -> each.add("[\"" + p.topic() + "\"," + p.partition() + "]"));
        log(event, ",\"epoch\":" + consumer.groupMetadata().generationId() + ",\"id\":\"" + consumer.groupMetadata().memberId()
            + "\",\"parts\":[" + String.join(",", each) + "]");
    }

    private void log(String event, String more) {
        Events.log(event, Events.field("member", name) + Events.field("group", group) + more);
    }
}
