import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Groups on a data directory that servers share: digest (every group, its members, assignments and offsets, one line per fact), write
 * ROUND (a digest, then members that come back to what they had, read on from their offsets and commit, then a digest).
 */
public final class DiskGroups {
    private static final PrintStream REPORT = System.out;
    private static final String TOPIC = "disk-groups";
    private static final int PARTITIONS = 4;
    private static final int EACH = 25;
    private static final List<String> GROUPS = List.of("disk-classic", "disk-cooperative", "disk-consumer", "disk-pattern");

    private static Admin admin;

    public static void main(String[] args) throws Exception {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP")))) {
            admin = a;
            digest();
            if (args[0].equals("write")) {
                write(Integer.parseInt(args[1]));
                REPORT.println("== written");
                digest();
            }
        }
        REPORT.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void digest() throws Exception {
        Map<String, String> lines = new TreeMap<>();
        for (var g : admin.listGroups(new ListGroupsOptions()).all().get()) {
            lines.put(g.groupId(), "group " + g.groupId() + " " + g.type().orElseThrow() + " " + g.protocol() + " " + g.groupState().orElseThrow());
        }
        for (String id : lines.keySet()) {
            REPORT.println(lines.get(id));
            var d = admin.describeConsumerGroups(Set.of(id)).all().get().get(id);
            Set<String> members = new TreeSet<>();
            d.members().forEach(m -> members.add(m.groupInstanceId().orElse("") + " " + m.consumerId() + " " + m.clientId() + " " + m.memberEpoch()
                + " " + sorted(m.assignment().topicPartitions()) + " target " + m.targetAssignment().map(t -> sorted(t.topicPartitions()))));
            REPORT.println("members " + id + " " + d.partitionAssignor() + " epoch " + d.groupEpoch() + " " + members);
            Map<String, String> offsets = new TreeMap<>();
            admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get().forEach((tp, o) -> offsets.put(tp.toString(), o.offset()
                + " " + o.leaderEpoch() + " " + o.metadata()));
            REPORT.println("offsets " + id + " " + offsets);
        }
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, "disk-consumer");
        REPORT.println("config " + admin.describeConfigs(Set.of(resource)).all().get().get(resource).get("consumer.session.timeout.ms").value());
    }

    private static String sorted(Set<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::toString).sorted().toList().toString();
    }

    private static void write(int round) throws Exception {
        if (round == 1) {
            admin.createTopics(Set.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, "disk-consumer"),
                List.of(new AlterConfigOp(new ConfigEntry("consumer.session.timeout.ms", "59000"), AlterConfigOp.OpType.SET)))).all().get();
        }
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "acks", "all"),
            new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < PARTITIONS * EACH; i++) {
                producer.send(new ProducerRecord<>(TOPIC, i % PARTITIONS, null, ("value-" + i).getBytes()));
            }
        }
        List<Thread> threads = new ArrayList<>();
        List<Throwable> failures = java.util.Collections.synchronizedList(new ArrayList<>());
        for (String group : GROUPS) {
            Thread t = new Thread(() -> {
                try {
                    again(group, round);
                } catch (Throwable e) {
                    failures.add(e);
                }
            });
            threads.add(t);
            t.start();
        }
        for (Thread t : threads) {
            t.join();
        }
        if (!failures.isEmpty()) {
            throw new IllegalStateException(failures.toString(), failures.get(0));
        }
        // Offsets without members, a group that is deleted, and one of which an offset is deleted.
        TopicPartition p0 = new TopicPartition(TOPIC, 0);
        TopicPartition p1 = new TopicPartition(TOPIC, 1);
        for (String id : List.of("disk-simple", "disk-gone", "disk-less")) {
            admin.alterConsumerGroupOffsets(id, Map.of(p0, new OffsetAndMetadata(round * 3L, Optional.of(0), "round " + round),
                p1, new OffsetAndMetadata(round * 2L))).all().get();
        }
        admin.deleteConsumerGroups(Set.of("disk-gone")).all().get();
        admin.deleteConsumerGroupOffsets("disk-less", Set.of(p1)).all().get();
    }

    /** Two members of a group come (back), read what is new, commit, and go without leaving. */
    private static void again(String group, int round) throws Exception {
        List<String> before = round == 1 ? List.of() : assigned(group);
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "group.id", group,
            "auto.offset.reset", "earliest", "enable.auto.commit", false));
        if (group.equals("disk-classic") || group.equals("disk-cooperative")) {
            config.put("session.timeout.ms", 120_000);
            config.put("heartbeat.interval.ms", 500);
            config.put("group.protocol", "classic");
            config.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer."
                + (group.equals("disk-classic") ? "RangeAssignor" : "CooperativeStickyAssignor"));
        } else {
            config.put("group.protocol", "consumer");
        }
        List<KafkaConsumer<byte[], byte[]>> members = new ArrayList<>();
        for (String instance : List.of("one", "two")) {
            config.put("group.instance.id", instance);
            config.put("client.id", group + "-" + instance);
            var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            if (group.equals("disk-pattern")) {
                consumer.subscribe(new SubscriptionPattern("disk-gr.*s"));
            } else {
                consumer.subscribe(List.of(TOPIC));
            }
            members.add(consumer);
        }
        Map<String, Integer> read = new TreeMap<>();
        // With the epoch that a record had, a client finds out whether its offset is still of the same log.
        Map<Integer, Optional<Integer>> epochs = new HashMap<>();
        for (long end = System.currentTimeMillis() + 40_000; read.size() < PARTITIONS * EACH || !settled(members); ) {
            for (var consumer : members) {
                consumer.poll(Duration.ofMillis(100)).forEach(r -> {
                    read.merge(r.partition() + "@" + r.offset(), 1, Integer::sum);
                    epochs.put(r.partition(), r.leaderEpoch());
                });
            }
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException(group + ": read " + read.size() + ", assigned " + members.stream().map(c -> sorted(c.assignment())).toList());
            }
        }
        for (int i = 0; i < PARTITIONS * EACH; i++) {
            // Never before what was committed, and all that came after.
            String at = i % PARTITIONS + "@" + ((round - 1) * EACH + i / PARTITIONS);
            if (read.remove(at) == null) {
                throw new IllegalStateException(group + ": not read: " + at);
            }
        }
        if (!read.isEmpty()) {
            throw new IllegalStateException(group + ": read before the committed offsets: " + read);
        }
        for (var consumer : members) {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            // Not the position: what a partition's last owner read is not read again yet.
            consumer.assignment().forEach(tp -> offsets.put(tp, new OffsetAndMetadata(round * EACH, epochs.get(tp.partition()), group + " " + round)));
            consumer.commitSync(offsets);
        }
        if (round > 1 && !assigned(group).equals(before)) {
            throw new IllegalStateException(group + ": had " + before + ", now " + assigned(group));
        }
        for (var consumer : members) {
            consumer.close(CloseOptions.timeout(Duration.ofSeconds(10)).withGroupMembershipOperation(GroupMembershipOperation.REMAIN_IN_GROUP));
        }
    }

    private static boolean settled(List<KafkaConsumer<byte[], byte[]>> members) {
        return members.stream().allMatch(c -> c.assignment().size() == PARTITIONS / 2)
            && members.stream().flatMap(c -> c.assignment().stream()).distinct().count() == PARTITIONS;
    }

    /** What each static member has. */
    private static List<String> assigned(String group) throws Exception {
        return admin.describeConsumerGroups(Set.of(group)).all().get().get(group).members().stream()
            .map(m -> m.groupInstanceId().orElse("") + sorted(m.assignment().topicPartitions())).sorted().toList();
    }
}
