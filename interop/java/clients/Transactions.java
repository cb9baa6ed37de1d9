import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** The Java clients with transactions (see ../../README.md), at each transaction.version: the server is switched meanwhile. */
public final class Transactions extends TransactionSteps {
    private static final int AT_ONCE = 4;
    private static final String FEATURE = "transaction.version";

    /** What one check does with its own topic. */
    interface Scenario {
        Object run(String topic) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        new Transactions().run();
        System.out.flush();
        Runtime.getRuntime().halt(Check.failed.get() == 0 ? 0 : 1);
    }

    private void run() throws Exception {
        short before = level();
        for (short version : new short[] {2, 1, 0}) {
            Check.check("version-" + version, () -> {
                become(version);
                return null;
            });
            checks(version);
        }
        Check.check("version-" + before + "-again", () -> {
            become(before);
            return null;
        });
    }

    private void checks(int version) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
        Map<String, Scenario> all = new java.util.LinkedHashMap<>();
        all.put("timeout", this::timeout);
        all.put("copy", this::copy);
        all.put("stranger", this::stranger);
        all.put("pending", this::pending);
        all.put("commit", this::commit);
        all.put("abort", this::abort);
        all.put("fencing", this::fencing);
        all.put("fence-by-admin", this::fenceByAdmin);
        all.put("interleaved", this::interleaved);
        all.put("several", this::several);
        all.put("empty", this::empty);
        all.put("err-timeout-too-large", this::tooLong);
        all.forEach((name, scenario) -> pool.execute(() -> Check.check("v" + version + "-" + name, () -> {
            String topic = "java-transactions-v" + version + "-" + name;
            create(topic);
            return scenario.run(topic);
        })));
        pool.shutdown();
        Check.yes(pool.awaitTermination(150, TimeUnit.SECONDS), "no end");
    }

    private short level() throws Exception {
        var got = Check.get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get(FEATURE);
        return got == null ? 0 : got.maxVersionLevel();
    }

    private void become(short version) throws Exception {
        short now = level();
        if (now != version) {
            var type = version > now ? FeatureUpdate.UpgradeType.UPGRADE : FeatureUpdate.UpgradeType.SAFE_DOWNGRADE;
            Check.get(admin.updateFeatures(Map.of(FEATURE, new FeatureUpdate(version, type)), new UpdateFeaturesOptions()).all());
        }
        Check.eventually(() -> {
            Check.same(version, level());
            return null;
        });
    }

    // ---- the checks --------------------------------------------------------------------------------------------------

    /** read_committed sees the records after the commit and not before, and nothing behind them either. */
    private Object commit(String topic) throws Exception {
        var before = rows("before", 5);
        var inside = rows("inside", 5);
        var after = rows("after", 5);
        try (var producer = producer(topic)) {
            send(plain, topic, before);
            producer.beginTransaction();
            send(producer, topic, inside);
            send(plain, topic, after);
            both(topic, before, all(before, inside, after));
            producer.commitTransaction();
            both(topic, all(before, inside, after), all(before, inside, after));
        }
        return null;
    }

    /** What was aborted is read by read_uncommitted only; the producer goes on. */
    private Object abort(String topic) throws Exception {
        var aborted = rows("aborted", 5);
        var kept = rows("kept", 5);
        try (var producer = producer(topic)) {
            write(producer, topic, aborted, false);
            write(producer, topic, kept, true);
            both(topic, kept, all(aborted, kept));
        }
        return null;
    }

    /** Twenty transactions, every third aborted, quickly one after the other. */
    private Object several(String topic) throws Exception {
        List<Row> kept = new ArrayList<>();
        List<Row> all = new ArrayList<>();
        try (var producer = producer(topic)) {
            for (int i = 0; i < 20; i++) {
                var rows = rows("t" + i, 2);
                write(producer, topic, rows, i % 3 != 2);
                all.addAll(rows);
                if (i % 3 != 2) {
                    kept.addAll(rows);
                }
            }
        }
        both(topic, kept, all);
        return null;
    }

    /** Transactions with nothing in them, before and after one with something. */
    private Object empty(String topic) throws Exception {
        try (var producer = producer(topic)) {
            write(producer, topic, List.of(), true);
            write(producer, topic, List.of(), false);
            write(producer, topic, rows("one", 1), true);
            write(producer, topic, List.of(), false);
            write(producer, topic, List.of(), true);
        }
        both(topic, rows("one", 1), rows("one", 1));
        return null;
    }

    /** Two transactions in the same partitions: the earlier one holds back what the later one committed. */
    private Object interleaved(String topic) throws Exception {
        var first = rows("a", 2);
        var second = rows("b", 2);
        var third = rows("c", 2);
        try (var a = producer(topic + "-a"); var b = producer(topic + "-b")) {
            a.beginTransaction();
            send(a, topic, first);
            write(b, topic, second, true);
            read(topic, true, List.of());
            send(a, topic, third);
            a.abortTransaction();
            both(topic, second, all(first, second, third));
        }
        return null;
    }

    /** A second producer with the id: what the first one had open is aborted, and it can do nothing any more. */
    private Object fencing(String topic) throws Exception {
        var lost = rows("lost", 2);
        var kept = rows("kept", 2);
        var old = producer(topic);
        old.beginTransaction();
        send(old, topic, lost);
        try (var producer = producer(topic)) {
            write(producer, topic, kept, true);
            String detail = refused(List.of(47, 90), () -> {
                send(old, topic, lost);
                old.commitTransaction();
                return null;
            });
            both(topic, kept, all(lost, kept));
            write(producer, topic, kept, true);
            read(topic, true, all(kept, kept));
            return detail;
        } finally {
            old.close(Duration.ZERO);
        }
    }

    /** The administrator fences a producer: its transaction is aborted, it cannot commit. */
    private Object fenceByAdmin(String topic) throws Exception {
        var producer = producer(topic);
        producer.beginTransaction();
        send(producer, topic, rows("lost", 2));
        Check.get(admin.fenceProducers(Set.of(topic)).all());
        String detail = refused(List.of(47, 90), () -> {
            producer.commitTransaction();
            return null;
        });
        producer.close(Duration.ZERO);
        both(topic, List.of(), rows("lost", 2));
        return detail;
    }

    /** A transaction that takes longer than its timeout is aborted by the coordinator. */
    private Object timeout(String topic) throws Exception {
        var lost = rows("lost", 2);
        var behind = rows("behind", 2);
        var again = rows("again", 2);
        var producer = producer(topic, 5000);
        producer.beginTransaction();
        send(producer, topic, lost);
        send(plain, topic, behind);
        read(topic, true, List.of());
        both(topic, behind, all(lost, behind));
        String detail = refused(List.of(47, 48, 90, 120), () -> {
            producer.commitTransaction();
            return null;
        });
        producer.close(Duration.ZERO);
        try (var next = producer(topic)) {
            write(next, topic, again, true);
        }
        read(topic, true, all(behind, again));
        return detail;
    }

    private Object tooLong(String topic) throws Exception {
        return refused(List.of(50), () -> producer(topic, 900_001));
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return Check.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    /** Read, change, write, with the offsets in the transaction; every third transaction is aborted and done again. */
    private Object copy(String topic) throws Exception {
        String out = topic + "-out";
        create(out);
        var given = rows("in", 30);
        send(plain, topic, given);
        int done = 0;
        int rounds = 0;
        int aborted = 0;
        long end = System.currentTimeMillis() + LIMIT_MS;
        try (var member = consumer(true, topic); var producer = producer(topic)) {
            member.subscribe(List.of(topic));
            while (done < given.size()) {
                Check.yes(System.currentTimeMillis() < end, done + " copied");
                var got = member.poll(Duration.ofMillis(200));
                if (got.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                got.forEach(r -> producer.send(new ProducerRecord<>(out, r.partition(), null, "copy of " + r.value())));
                producer.sendOffsetsToTransaction(got.nextOffsets(), member.groupMetadata());
                if (rounds++ % 3 == 1) {
                    producer.abortTransaction();
                    aborted++;
                    // What it read and did not commit is read again.
                    var positions = member.committed(member.assignment());
                    member.assignment().forEach(p -> member.seek(p, positions.get(p) == null ? 0 : positions.get(p).offset()));
                } else {
                    producer.commitTransaction();
                    done += got.count();
                }
            }
        }
        Check.yes(aborted > 0, rounds);
        // The commit is answered before the offsets are seen.
        Check.eventually(() -> {
            Check.same(List.of(30L, 30L), committed(topic).values().stream().map(OffsetAndMetadata::offset).toList());
            return null;
        });
        read(out, true, given.stream().map(r -> new Row(r.partition(), "copy of " + r.value())).toList());
        return null;
    }

    /** Offsets of an open transaction: the old ones are seen, who must know the stable ones waits; abort forgets them. */
    private Object pending(String topic) throws Exception {
        var partition = new TopicPartition(topic, 0);
        var metadata = new ConsumerGroupMetadata(topic);
        try (var producer = producer(topic); var reader = consumer(true, topic)) {
            for (long offset : new long[] {3, 5}) {
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(offset, "m" + offset)), metadata);
                if (offset == 3) {
                    producer.commitTransaction();
                }
            }
            Check.eventually(() -> {
                Check.same(Map.of(partition, new OffsetAndMetadata(3, "m3")), committed(topic));
                return null;
            });
            String said = "";
            try {
                said = "got " + reader.committed(Set.of(partition), Duration.ofMillis(1500));
            } catch (org.apache.kafka.common.errors.TimeoutException e) {
                said = "waits";
            }
            Check.same("waits", said);
            producer.abortTransaction();
            Check.same(3L, reader.committed(Set.of(partition), Duration.ofSeconds(60)).get(partition).offset());
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7)), metadata);
            producer.commitTransaction();
            Check.same(7L, reader.committed(Set.of(partition), Duration.ofSeconds(60)).get(partition).offset());
        }
        return null;
    }

    /** Who is not the member of the group that it says it is may not commit; its transaction goes on only to be aborted. */
    private Object stranger(String topic) throws Exception {
        send(plain, topic, rows("in", 2));
        try (var member = consumer(true, topic); var producer = producer(topic)) {
            member.subscribe(List.of(topic));
            long end = System.currentTimeMillis() + LIMIT_MS;
            while (member.poll(Duration.ofMillis(100)).isEmpty()) {
                Check.yes(System.currentTimeMillis() < end, "nothing read");
            }
            var real = member.groupMetadata();
            var offsets = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1));
            List<String> said = new ArrayList<>();
            for (var other : List.of(new ConsumerGroupMetadata(topic, real.generationId() + 1, real.memberId(), real.groupInstanceId()),
                new ConsumerGroupMetadata(topic, real.generationId(), "somebody", real.groupInstanceId()))) {
                producer.beginTransaction();
                send(producer, topic, rows("lost", 1));
                said.add(refused(List.of(22, 25), () -> {
                    producer.sendOffsetsToTransaction(offsets, other);
                    return null;
                }));
                producer.abortTransaction();
            }
            producer.beginTransaction();
            send(producer, topic, rows("kept", 1));
            producer.sendOffsetsToTransaction(offsets, real);
            producer.commitTransaction();
            Check.eventually(() -> {
                Check.same(offsets, committed(topic));
                return null;
            });
            read(topic, true, all(rows("in", 2), rows("kept", 1)));
            return said;
        }
    }
}
