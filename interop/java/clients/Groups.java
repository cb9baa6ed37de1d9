import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The Java consumer in groups, both protocols: the steps of ../../README.md that are about groups. Several groups at once. */
public final class Groups {
    private static final int AT_ONCE = 6;
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";

    /** A protocol with one of its assignors. */
    record Kind(String name, boolean classic, Map<String, Object> config) {
        static Kind classic(String name, String... assignors) {
            return new Kind("classic-" + name, true, Map.of("group.protocol", "classic", "partition.assignment.strategy",
                List.of(assignors).stream().map(a -> ASSIGNORS + a).toList(), "heartbeat.interval.ms", 200, "session.timeout.ms", 6000));
        }

        static Kind consumer(String assignor) {
            return new Kind("consumer-" + assignor, false, Map.of("group.protocol", "consumer", "group.remote.assignor", assignor));
        }
    }

    private static final List<Kind> KINDS = List.of(
        Kind.classic("range", "RangeAssignor"), Kind.classic("roundrobin", "RoundRobinAssignor"), Kind.classic("sticky", "StickyAssignor"),
        Kind.classic("cooperative", "CooperativeStickyAssignor"), Kind.classic("default", "RangeAssignor", "CooperativeStickyAssignor"),
        Kind.consumer("uniform"), Kind.consumer("range"));
    /** One of each way to rebalance: eager, cooperative, server-side. */
    private static final List<Kind> WAYS = List.of(KINDS.get(0), KINDS.get(3), KINDS.get(5));

    final String bootstrap = System.getenv("BOOTSTRAP");
    final Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 60_000, "request.timeout.ms", 30_000));
    private final KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap),
        new ByteArraySerializer(), new ByteArraySerializer());
    private final AtomicInteger written = new AtomicInteger();

    /** What one check does with its own topic and group. */
    interface Scenario {
        Object run(String topic, Group group) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        new Groups().run();
        System.out.flush();
        Runtime.getRuntime().halt(Check.failed.get() == 0 ? 0 : 1);
    }

    private void run() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
        // The long ones first.
        for (Kind k : List.of(KINDS.get(0), KINDS.get(5))) {
            start(pool, k, "poll-interval", Map.of("max.poll.interval.ms", 1500), this::pollInterval);
            start(pool, k, "pattern", Map.of(), this::pattern);
        }
        start(pool, KINDS.get(5), "server-pattern", Map.of(), this::serverPattern);
        for (Kind k : WAYS) {
            start(pool, k, "killed", k.classic ? Map.of("session.timeout.ms", 1500) : Map.of(), this::killed);
            start(pool, k, "static", Map.of(), (topic, group) -> staticMembers(topic, group));
            start(pool, k, "static-fenced", Map.of(), (topic, group) -> staticFenced(topic, group, k.classic));
        }
        for (Kind k : KINDS) {
            start(pool, k, "rebalance", Map.of(), this::rebalance);
        }
        for (Kind k : WAYS) {
            start(pool, k, "commit", Map.of(), this::commit);
            start(pool, k, "auto-commit", Map.of("enable.auto.commit", true, "auto.commit.interval.ms", 100), this::autoCommit);
            start(pool, k, "err-commit-removed", Map.of("heartbeat.interval.ms", 5000), (topic, group) -> commitRemoved(topic, group, k.classic));
            start(pool, k, "more-partitions", Map.of(), this::morePartitions);
            start(pool, k, "pause", Map.of(), this::pause);
            start(pool, k, "admin", Map.of(), (topic, group) -> new GroupAdmin(this, topic, group, k.classic).run());
        }
        start(pool, KINDS.get(0), "migrate", Map.of(), this::migrate);
        pool.execute(() -> Check.check("admin-unknown-groups", () -> GroupAdmin.unknown(admin)));
        pool.execute(() -> Check.check("admin-simple-group", () -> GroupAdmin.simple(this)));
        pool.shutdown();
        Check.yes(pool.awaitTermination(200, TimeUnit.SECONDS), "no end");
    }

    private void start(ExecutorService pool, Kind kind, String name, Map<String, Object> more, Scenario scenario) {
        pool.execute(() -> Check.check(kind.name + "-" + name, () -> {
            String topic = "java-groups-" + kind.name + "-" + name;
            create(topic, 6);
            Map<String, Object> config = new java.util.HashMap<>(kind.config);
            config.putAll(more);
            if (!kind.classic) {
                config.keySet().removeAll(List.of("heartbeat.interval.ms", "session.timeout.ms"));
            }
            try (Group group = new Group(bootstrap, topic, config)) {
                Object detail = scenario.run(topic, group);
                Check.yes(group.violations.isEmpty(), group.violations);
                return detail;
            }
        }));
    }

    void create(String topic, int partitions) throws Exception {
        Check.get(admin.createTopics(Set.of(new NewTopic(topic, partitions, (short) 1))).all());
        Check.eventually(() -> Check.get(admin.describeTopics(Set.of(topic)).allTopicNames()));
    }

    /** Writes so many records to each partition; what a consumer will say of each. */
    List<String> produce(String topic, int partitions, int each) throws Exception {
        var sent = new ArrayList<java.util.concurrent.Future<org.apache.kafka.clients.producer.RecordMetadata>>();
        for (int i = 0; i < partitions * each; i++) {
            sent.add(producer.send(new ProducerRecord<>(topic, i % partitions, null, ("value-" + written.getAndIncrement()).getBytes(UTF_8))));
        }
        List<String> out = new ArrayList<>();
        for (var future : sent) {
            var at = future.get(20, TimeUnit.SECONDS);
            out.add(Group.at(topic, at.partition(), at.offset()));
        }
        return out;
    }

    /** Two members, a third, one leaves: all partitions owned, none twice, each record read once. */
    private Object rebalance(String topic, Group group) throws Exception {
        List<String> early = produce(topic, 6, 5);
        var a = group.join("a", topic);
        group.await(6);
        group.reads(early);
        group.commit();
        group.join("b", topic);
        group.await(3, 3);
        group.reads(produce(topic, 6, 10));
        group.commit();
        group.join("c", topic);
        group.await(2, 2, 2);
        group.reads(produce(topic, 6, 10));
        group.commit();
        a.leave();
        group.await(3, 3);
        group.reads(produce(topic, 6, 10));
        group.commit();
        Map<TopicPartition, OffsetAndMetadata> committed = committed(group.id);
        Check.same("[35, 35, 35, 35, 35, 35]", committed.values().stream().map(OffsetAndMetadata::offset).toList().toString());
        return null;
    }

    Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return Check.get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    private Object commit(String topic, Group group) throws Exception {
        List<String> written = produce(topic, 6, 10);
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        TopicPartition p2 = new TopicPartition(topic, 2);
        OffsetAndMetadata sync = new OffsetAndMetadata(7, Optional.of(0), "m\u00e9ta");
        OffsetAndMetadata async = new OffsetAndMetadata(10, Optional.empty(), "");
        var a = group.join("a", topic);
        group.await(6);
        group.reads(written);
        a.call(c -> {
            c.commitSync(Map.of(p0, sync));
            return null;
        });
        var done = new java.util.concurrent.CompletableFuture<Object>();
        a.call(c -> {
            c.commitAsync(Map.of(p1, async), (offsets, error) -> done.complete(error == null ? offsets : error));
            return null;
        });
        Check.same(Map.of(p1, async), done.get(20, TimeUnit.SECONDS));
        var got = a.call(c -> c.committed(Set.of(p0, p1, p2)));
        Check.same(sync, got.get(p0));
        Check.same(async, got.get(p1));
        Check.same(null, got.get(p2));
        Check.same(Map.of(p0, sync, p1, async), committed(group.id));
        Check.refusal(12, () -> a.call(c -> {
            c.commitSync(Map.of(p0, new OffsetAndMetadata(7, "x".repeat(5000))));
            return null;
        }));
        a.leave();
        group.join("a", topic);
        group.await(6);
        group.reads(written.stream().filter(at -> !at.contains("-1@") && (!at.contains("-0@") || at.compareTo(Group.at(topic, 0, 7)) >= 0)).toList());
        return got.get(p0);
    }

    private Object autoCommit(String topic, Group group) throws Exception {
        List<String> first = produce(topic, 6, 10);
        var a = group.join("a", topic);
        group.await(6);
        group.reads(first);
        Group.until(() -> total(group) == 60, () -> "committed " + quietly(group));
        // Closing commits what the interval has not.
        group.reads(produce(topic, 6, 1));
        a.leave();
        Check.same(66L, total(group));
        group.join("b", topic);
        group.await(6);
        group.reads(produce(topic, 6, 1));
        return null;
    }

    private long total(Group group) throws Exception {
        return committed(group.id).values().stream().mapToLong(OffsetAndMetadata::offset).sum();
    }

    private String quietly(Group group) {
        try {
            return committed(group.id).toString();
        } catch (Exception e) {
            return e.toString();
        }
    }

    /** The commit of a member that the group no longer has, and of one that never was in it. */
    private Object commitRemoved(String topic, Group group, boolean classic) throws Exception {
        List<String> written = produce(topic, 6, 1);
        TopicPartition p0 = new TopicPartition(topic, 0);
        var a = group.join("a", topic);
        group.await(6);
        group.reads(written);
        var config = new java.util.HashMap<>(Map.<String, Object>of("group.protocol", "classic"));
        Group same = new Group(bootstrap, group.id, config);
        var outsider = same.join("outsider", Map.of(), (c, listener) -> c.assign(List.of(p0)));
        String outside = failure(() -> outsider.call(c -> {
            c.commitSync(Map.of(p0, new OffsetAndMetadata(1)));
            return null;
        }), CommitFailedException.class);
        same.close();
        if (classic) {
            // The member learns of it by its commit: its next heartbeat is seconds away.
            Check.get(admin.removeMembersFromConsumerGroup(group.id,
                new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions()).all());
            failure(() -> a.call(c -> {
                c.commitSync();
                return null;
            }), CommitFailedException.class);
            // It joins again.
            group.await(6);
        }
        Check.same(Map.of(), committed(group.id));
        return outside;
    }

    static String failure(Check.Body body, Class<? extends Throwable> wanted) throws Exception {
        Object got;
        try {
            got = body.call();
        } catch (Exception e) {
            Throwable cause = e instanceof java.util.concurrent.ExecutionException ? e.getCause() : e;
            if (wanted.isInstance(cause)) {
                return wanted.getSimpleName();
            }
            throw new AssertionError("expected " + wanted.getSimpleName() + ", got " + cause, cause);
        }
        throw new AssertionError("expected " + wanted.getSimpleName() + ", got success: " + got);
    }

    /** A static member that is back in time has what it had, and the other one sees nothing of it. */
    private Object staticMembers(String topic, Group group) throws Exception {
        var a = group.join("a", Map.of("group.instance.id", "one"), (c, listener) -> c.subscribe(List.of(topic), listener));
        var b = group.join("b", Map.of("group.instance.id", "two"), (c, listener) -> c.subscribe(List.of(topic), listener));
        group.await(3, 3);
        group.reads(produce(topic, 6, 5));
        group.commit();
        Set<TopicPartition> had = a.owned;
        List<String> events = List.copyOf(b.events);
        a.close();
        var again = group.join("again", Map.of("group.instance.id", "one"), (c, listener) -> c.subscribe(List.of(topic), listener));
        group.await(3, 3);
        Check.same(had, again.owned);
        group.reads(produce(topic, 6, 5));
        Check.same(events, b.events);
        var members = Check.get(admin.describeConsumerGroups(Set.of(group.id)).all()).get(group.id).members();
        Check.same("[one, two]", members.stream().map(m -> m.groupInstanceId().orElse("")).sorted().toList().toString());
        // The instance ids taken off by the administrator leave nobody in the group.
        again.close();
        b.close();
        Check.get(admin.removeMembersFromConsumerGroup(group.id, new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions(
            List.of(new org.apache.kafka.clients.admin.MemberToRemove("one"), new org.apache.kafka.clients.admin.MemberToRemove("two")))).all());
        Check.same(0, Check.get(admin.describeConsumerGroups(Set.of(group.id)).all()).get(group.id).members().size());
        return null;
    }

    /** Two with one instance id: in the classic protocol the old one is put out, in the consumer protocol the new one is refused. */
    private Object staticFenced(String topic, Group group, boolean classic) throws Exception {
        Group.Subscribe subscribe = (c, listener) -> c.subscribe(List.of(topic), listener);
        var a = group.join("a", Map.of("group.instance.id", "one"), subscribe);
        group.await(6);
        var b = group.join("b", Map.of("group.instance.id", "one"), subscribe);
        var loser = classic ? a : b;
        Group.until(() -> loser.failure != null, () -> "nobody is fenced: " + group);
        // The old one learns of it after the new one got its partitions.
        group.violations.clear();
        group.await(6);
        Class<?> wanted = classic ? FencedInstanceIdException.class : UnreleasedInstanceIdException.class;
        Check.yes(wanted.isInstance(loser.failure), loser.failure);
        Check.yes((classic ? b : a).failure == null, group);
        return wanted.getSimpleName();
    }

    /** A member that is gone without a word: the other one has its partitions after the session timeout, from the committed offsets on. */
    private Object killed(String topic, Group group) throws Exception {
        var a = group.join("a", topic);
        var b = group.join("b", topic);
        group.await(3, 3);
        group.reads(produce(topic, 6, 5));
        group.commit();
        var later = produce(topic, 6, 2);
        group.reads(later);
        b.call(c -> {
            c.commitSync();
            return null;
        });
        // What it read and did not commit is read again.
        List<String> again = later.stream().filter(at -> a.owned.stream().anyMatch(tp -> at.startsWith(tp + "@"))).toList();
        a.vanish();
        group.await(6);
        group.reads(again);
        return null;
    }

    /** A topic that is made later, and matches, is read; one that does not, is not. */
    private Object pattern(String topic, Group group) throws Exception {
        return matching(topic, group, (c, listener) -> c.subscribe(Pattern.compile(Pattern.quote(topic) + "(-later)?"), listener));
    }

    private Object serverPattern(String topic, Group group) throws Exception {
        return matching(topic, group, (c, listener) -> c.subscribe(new SubscriptionPattern(topic + "(-la[s-u]er)?"), listener));
    }

    private Object matching(String topic, Group group, Group.Subscribe subscribe) throws Exception {
        group.join("a", Map.of(), subscribe);
        group.join("b", Map.of(), subscribe);
        group.await(3, 3);
        group.reads(produce(topic, 6, 1));
        group.commit();
        create(topic + "-other", 2);
        create(topic + "-later", 4);
        produce(topic + "-other", 2, 1);
        group.await(5, 5);
        group.reads(produce(topic + "-later", 4, 1));
        Check.get(admin.deleteTopics(Set.of(topic + "-later")).all());
        group.await(3, 3);
        return null;
    }

    private Object morePartitions(String topic, Group group) throws Exception {
        group.join("a", topic);
        group.join("b", topic);
        group.await(3, 3);
        Check.get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(10))).all());
        group.await(5, 5);
        group.reads(produce(topic, 10, 3));
        return null;
    }

    /** A member that does not poll for too long loses its partitions, and gets some again when it is back. */
    private Object pollInterval(String topic, Group group) throws Exception {
        var a = group.join("a", topic);
        group.join("b", topic);
        group.await(3, 3);
        var latch = new java.util.concurrent.CountDownLatch(1);
        var stuck = a.start(c -> latch.await(60, TimeUnit.SECONDS));
        var b = group.live.get(1);
        Group.until(() -> b.owned.size() == 6, () -> "the other has not all: " + group);
        // The stuck one learns of it when it polls again.
        group.violations.clear();
        group.reads(produce(topic, 6, 2));
        latch.countDown();
        stuck.get(20, TimeUnit.SECONDS);
        Group.until(() -> a.events.stream().anyMatch(e -> e.startsWith("lost")), () -> "not told: " + a.events);
        group.await(3, 3);
        return null;
    }

    private Object pause(String topic, Group group) throws Exception {
        var a = group.join("a", topic);
        group.await(6);
        group.reads(produce(topic, 6, 2));
        List<TopicPartition> some = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 3));
        a.call(c -> {
            c.pause(some);
            return null;
        });
        var written = produce(topic, 6, 2);
        var paused = written.stream().filter(at -> at.contains("-0@") || at.contains("-3@")).toList();
        group.reads(written.stream().filter(at -> !paused.contains(at)).toList());
        a.call(c -> {
            c.resume(c.paused());
            return null;
        });
        group.reads(paused);
        return null;
    }

    /** A group moves from the classic protocol to the other and back, its members one by one. */
    private Object migrate(String topic, Group group) throws Exception {
        Map<String, Object> newer = new java.util.HashMap<>(Map.of("group.protocol", "consumer"));
        Group.Subscribe subscribe = (c, listener) -> c.subscribe(List.of(topic), listener);
        Map<String, Object> classic = Map.of("group.protocol", "classic");
        Group both = new Group(bootstrap, group.id, Map.of());
        try (both) {
            var a = both.join("a", classic, subscribe);
            var b = both.join("b", classic, subscribe);
            both.await(3, 3);
            both.reads(produce(topic, 6, 2));
            both.commit();
            String before = type(group.id);
            a.leave();
            var c = both.join("c", newer, subscribe);
            both.await(3, 3);
            both.reads(produce(topic, 6, 2));
            both.commit();
            String mixed = type(group.id);
            b.leave();
            var d = both.join("d", newer, subscribe);
            both.await(3, 3);
            both.reads(produce(topic, 6, 2));
            both.commit();
            c.leave();
            both.join("e", classic, subscribe);
            both.await(3, 3);
            both.reads(produce(topic, 6, 2));
            both.commit();
            String back = type(group.id);
            d.leave();
            both.await(6);
            both.reads(produce(topic, 6, 2));
            String detail = before + " " + mixed + " " + back + " " + type(group.id);
            Check.same("Classic Consumer Consumer Classic", detail);
            Check.yes(both.violations.isEmpty(), both.violations);
            return detail;
        }
    }

    private String type(String group) throws Exception {
        return Check.get(admin.describeConsumerGroups(Set.of(group)).all()).get(group).type().toString();
    }
}
