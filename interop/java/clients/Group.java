import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** One group of this process: its live members, who owns what by their callbacks, and every record that one of them read. */
final class Group implements AutoCloseable {
    static final long LIMIT_MS = 90_000;

    /** How a member is told what to read. */
    interface Subscribe {
        void to(KafkaConsumer<byte[], byte[]> consumer, ConsumerRebalanceListener listener);
    }

    /** What a test does with a member's consumer, on the member's own thread. */
    interface Call<T> {
        T on(KafkaConsumer<byte[], byte[]> consumer) throws Exception;
    }

    final String id;
    final Map<String, Object> config;
    final List<Member> live = new CopyOnWriteArrayList<>();
    final Queue<String> read = new ConcurrentLinkedQueue<>();
    final Queue<String> violations = new ConcurrentLinkedQueue<>();
    private final Map<TopicPartition, Member> owners = new ConcurrentHashMap<>();
    private final String bootstrap;

    Group(String bootstrap, String id, Map<String, Object> config) {
        this.bootstrap = bootstrap;
        this.id = id;
        this.config = config;
    }

    Member join(String name, String... topics) {
        return join(name, Map.of(), (consumer, listener) -> consumer.subscribe(List.of(topics), listener));
    }

    Member join(String name, Map<String, Object> more, Subscribe subscribe) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", id, "client.id", id + "-" + name,
            "auto.offset.reset", "earliest", "enable.auto.commit", false, "fetch.max.wait.ms", 100, "metadata.max.age.ms", 500,
            "default.api.timeout.ms", 60_000, "retry.backoff.ms", 50));
        all.putAll(config);
        all.putAll(more);
        Member member = new Member(name, all, subscribe);
        live.add(member);
        member.thread.start();
        return member;
    }

    /** Waits until every partition has exactly one owner and the members own this many, in any order. */
    void await(int... sizes) throws Exception {
        List<Integer> want = java.util.Arrays.stream(sizes).sorted().boxed().toList();
        until(() -> {
            Set<TopicPartition> all = new java.util.HashSet<>();
            live.forEach(m -> all.addAll(m.owned));
            return live.stream().map(m -> m.owned.size()).sorted().toList().equals(want)
                && all.size() == want.stream().mapToInt(n -> n).sum();
        }, () -> "wanted " + want + " partitions, got " + this);
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void until(Condition condition, java.util.function.Supplier<Object> about) throws Exception {
        for (long end = System.currentTimeMillis() + LIMIT_MS; !condition.holds(); Thread.sleep(20)) {
            if (System.currentTimeMillis() > end) {
                throw new AssertionError("after " + LIMIT_MS / 1000 + " s: " + about.get());
            }
        }
    }

    /** Waits until exactly these records were read since the last call, each once. */
    void reads(Collection<String> want) throws Exception {
        Set<String> wanted = new TreeSet<>(want);
        until(() -> new TreeSet<>(read).containsAll(wanted), () -> {
            wanted.removeAll(new TreeSet<>(read));
            return "not read: " + wanted + ", " + this;
        });
        List<String> got = new ArrayList<>(read);
        got.sort(null);
        Check.same(new ArrayList<>(wanted), got);
        read.clear();
    }

    void commit() throws Exception {
        for (Member m : live) {
            m.call(consumer -> {
                consumer.commitSync();
                return null;
            });
        }
    }

    @Override
    public void close() throws Exception {
        List<Member> all = List.copyOf(live);
        all.forEach(m -> m.end(GroupMembershipOperation.LEAVE_GROUP));
        for (Member m : all) {
            m.thread.join(20_000);
        }
    }

    @Override
    public String toString() {
        return id + live;
    }

    /** A consumer on its own thread. */
    final class Member {
        final String name;
        final Thread thread;
        final List<String> events = new CopyOnWriteArrayList<>();
        volatile Set<TopicPartition> owned = Set.of();
        volatile Throwable failure;
        private final Queue<Runnable> calls = new ConcurrentLinkedQueue<>();
        private final KafkaConsumer<byte[], byte[]> consumer;
        private volatile CloseOptions end;

        private Member(String name, Map<String, Object> config, Subscribe subscribe) {
            this.name = name;
            consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            thread = new Thread(() -> run(subscribe), id + "-" + name);
            thread.setDaemon(true);
        }

        private void run(Subscribe subscribe) {
            try {
                subscribe.to(consumer, new Listener());
                while (end == null && failure == null) {
                    for (Runnable call; (call = calls.poll()) != null; ) {
                        call.run();
                    }
                    consumer.poll(Duration.ofMillis(50)).forEach(r -> read.add(at(r.topic(), r.partition(), r.offset())));
                }
            } catch (KafkaException e) {
                failure = e;
            }
            try {
                consumer.close(end == null ? CloseOptions.timeout(Duration.ofSeconds(5)) : end);
            } catch (KafkaException e) {
                failure = failure == null ? e : failure;
            } finally {
                owners.values().removeIf(m -> m == this);
                live.remove(this);
            }
        }

        <T> CompletableFuture<T> start(Call<T> call) {
            CompletableFuture<T> done = new CompletableFuture<>();
            calls.add(() -> {
                try {
                    done.complete(call.on(consumer));
                } catch (Throwable e) {
                    done.completeExceptionally(e);
                }
            });
            return done;
        }

        <T> T call(Call<T> call) throws Exception {
            return start(call).get(30, TimeUnit.SECONDS);
        }

        void end(GroupMembershipOperation how) {
            end = CloseOptions.timeout(Duration.ofSeconds(10)).withGroupMembershipOperation(how);
        }

        void leave() throws Exception {
            end(GroupMembershipOperation.LEAVE_GROUP);
            thread.join(20_000);
        }

        /** Closes as this kind of member does when nothing is said: a static one stays in the group. */
        void close() throws Exception {
            end(GroupMembershipOperation.DEFAULT);
            thread.join(20_000);
        }

        /** Is gone without a word, for the group. */
        void vanish() throws Exception {
            end(GroupMembershipOperation.REMAIN_IN_GROUP);
            thread.join(20_000);
        }

        @Override
        public String toString() {
            return name + " owns " + partitions(owned) + (failure == null ? "" : " failed with " + failure);
        }

        private final class Listener implements ConsumerRebalanceListener {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                for (TopicPartition tp : partitions) {
                    Member other = owners.put(tp, Member.this);
                    if (other != null && other != Member.this) {
                        violations.add(tp + " of " + other.name + " given to " + name);
                    }
                }
                changed("+", partitions);
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                partitions.forEach(tp -> owners.remove(tp, Member.this));
                changed("-", partitions);
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                partitions.forEach(tp -> owners.remove(tp, Member.this));
                changed("lost ", partitions);
            }

            private void changed(String how, Collection<TopicPartition> partitions) {
                events.add(how + partitions(partitions));
                Set<TopicPartition> now = new java.util.HashSet<>(owned);
                if (how.equals("+")) {
                    now.addAll(partitions);
                } else {
                    now.removeAll(partitions);
                }
                owned = now;
            }
        }
    }

    static String at(String topic, int partition, long offset) {
        return "%s-%d@%05d".formatted(topic, partition, offset);
    }

    static String partitions(Collection<TopicPartition> partitions) {
        Map<String, List<Integer>> byTopic = partitions.stream().collect(Collectors.groupingBy(TopicPartition::topic, TreeMap::new,
            Collectors.mapping(TopicPartition::partition, Collectors.collectingAndThen(Collectors.toList(), l -> l.stream().sorted().toList()))));
        return byTopic.toString();
    }
}
