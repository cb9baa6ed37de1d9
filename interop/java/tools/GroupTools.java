import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's command-line tools about groups: kafka-consumer-groups with every verb, kafka-groups, and the consuming tools. */
public final class GroupTools {
    private static final String T = Tools.T;
    private static final String CONSUMER_GROUPS = T + "consumer.group.ConsumerGroupCommand";
    private static final String TOPIC = "tools-groups";

    /** A consumer in a group, which polls in its own thread until it is closed. */
    private static final class Member implements AutoCloseable {
        private final Thread thread;
        private volatile boolean running = true;
        private volatile int read;

        Member(String group, String protocol, String... more) {
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", Tools.BOOTSTRAP, "group.id", group, "group.protocol", protocol,
                "client.id", group + "-client", "auto.offset.reset", "earliest", "auto.commit.interval.ms", 100));
            for (int i = 0; i < more.length; i += 2) {
                config.put(more[i], more[i + 1]);
            }
            thread = new Thread(() -> {
                try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                    consumer.subscribe(List.of(TOPIC));
                    while (running) {
                        read += consumer.poll(Duration.ofMillis(50)).count();
                    }
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        void hasRead(int count) throws Exception {
            for (long end = System.currentTimeMillis() + 90_000; read < count; Thread.sleep(20)) {
                if (System.currentTimeMillis() > end) {
                    throw new AssertionError("read " + read + " of " + count);
                }
            }
            // The automatic commit follows.
            Thread.sleep(300);
        }

        @Override
        public void close() throws Exception {
            running = false;
            thread.join(20_000);
        }
    }

    private static void check(String name, Callable<Object> body) {
        Tools.check(name, body);
    }

    private static Tools.Result groups(String... args) throws Exception {
        return Tools.admin(CONSUMER_GROUPS, args);
    }

    /** Calls until the output has the text: what a group is follows its members by some moments. */
    private static Tools.Result until(String text, String... args) throws Exception {
        for (long end = System.currentTimeMillis() + 60_000; ; Thread.sleep(100)) {
            Tools.Result got = groups(args);
            if (Pattern.compile(text).matcher(got.out()).find()) {
                return got;
            }
            if (System.currentTimeMillis() > end) {
                throw new AssertionError("no \"" + text + "\" in: " + got.out());
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Tools.catchExits();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Tools.BOOTSTRAP));
            var producer = new KafkaProducer<>(Map.of("bootstrap.servers", Tools.BOOTSTRAP), new ByteArraySerializer(), new ByteArraySerializer())) {
            admin.createTopics(Set.of(new NewTopic(TOPIC, 3, (short) 1).configs(Map.of("retention.ms", "-1")))).all().get();
            for (int i = 0; i < 30; i++) {
                producer.send(new ProducerRecord<>(TOPIC, i % 3, 1_700_000_000_000L + i * 1000L, null, ("value-" + i).getBytes(UTF_8)));
            }
        }
        for (String protocol : List.of("classic", "consumer")) {
            String group = "tools-" + protocol;
            try (Member member = new Member(group, protocol)) {
                member.hasRead(30);
                active(group, protocol);
            }
            empty(group, protocol);
        }
        listing();
        consuming();
        configs();
        end();
        Runtime.getRuntime().halt(Tools.failed == 0 ? 0 : 1);
    }

    private static void active(String group, String protocol) {
        String p = protocol + "-";
        check(p + "describe", () -> until("10 +10 +0", "--describe", "--group", group).exit(0).has(group + "-client"));
        check(p + "describe-offsets-verbose", () -> groups("--describe", "--group", group, "--offsets", "--verbose").exit(0).has("LEADER-EPOCH"));
        check(p + "describe-members", () -> groups("--describe", "--group", group, "--members").exit(0).has("#PARTITIONS"));
        check(p + "describe-members-verbose", () -> groups("--describe", "--group", group, "--members", "--verbose").exit(0).has(TOPIC + ":0,1,2"));
        check(p + "describe-state", () -> groups("--describe", "--group", group, "--state").exit(0).has("Stable"));
        // The group's epoch counts what happened since the topic was made.
        check(p + "describe-state-verbose", () -> groups("--describe", "--group", group, "--state", "--verbose").exit(0).has("Stable").shown()
            .replaceAll("Stable \\d+ \\d+ ", "Stable N N "));
        check(p + "reset-active", () -> groups("--reset-offsets", "--group", group, "--topic", TOPIC, "--to-earliest", "--execute").has("inactive"));
        check(p + "delete-active", () -> groups("--delete", "--group", group).has("could not be deleted"));
        check(p + "delete-offsets-active", () -> groups("--delete-offsets", "--group", group, "--topic", TOPIC).has("Error"));
    }

    private static Tools.Result reset(String group, String... how) throws Exception {
        List<String> all = new ArrayList<>(List.of("--reset-offsets", "--group", group));
        all.addAll(Arrays.asList(how));
        return groups(all.toArray(String[]::new)).exit(0).has("NEW-OFFSET");
    }

    private static void empty(String group, String protocol) {
        String p = protocol + "-";
        check(p + "describe-empty", () -> until("no active members", "--describe", "--group", group).exit(0).has("10"));
        check(p + "describe-empty-members", () -> groups("--describe", "--group", group, "--members").exit(0));
        check(p + "describe-empty-state", () -> groups("--describe", "--group", group, "--state").exit(0).has("Empty"));
        check(p + "reset-dry-run", () -> reset(group, "--all-topics", "--to-earliest", "--dry-run"));
        check(p + "reset-dry-run-changed-nothing", () -> groups("--describe", "--group", group).exit(0).has("10"));
        check(p + "reset-to-offset", () -> reset(group, "--topic", TOPIC, "--to-offset", "4", "--execute"));
        check(p + "reset-to-offset-described", () -> groups("--describe", "--group", group).exit(0));
        check(p + "reset-shift-by", () -> reset(group, "--topic", TOPIC + ":0,1", "--shift-by", "-2", "--execute"));
        check(p + "reset-shift-beyond", () -> reset(group, "--topic", TOPIC + ":2", "--shift-by", "100", "--execute"));
        check(p + "reset-to-datetime", () -> reset(group, "--topic", TOPIC, "--to-datetime", "2023-11-14T22:13:29.000", "--execute"));
        check(p + "reset-by-duration", () -> reset(group, "--topic", TOPIC, "--by-duration", "PT1H", "--execute"));
        check(p + "reset-to-earliest", () -> reset(group, "--topic", TOPIC, "--to-earliest", "--execute"));
        check(p + "reset-to-latest", () -> reset(group, "--all-topics", "--to-latest", "--execute"));
        check(p + "reset-to-current", () -> reset(group, "--topic", TOPIC, "--to-current", "--execute"));
        check(p + "reset-export-and-from-file", () -> {
            reset(group, "--topic", TOPIC, "--to-offset", "3", "--execute");
            Tools.Result exported = groups("--reset-offsets", "--group", group, "--topic", TOPIC, "--to-current", "--dry-run", "--export").exit(0).has(TOPIC + ",0,3");
            Path file = Files.createTempFile("offsets", ".csv");
            try {
                Files.writeString(file, String.join("\n", exported.lines().stream().filter(l -> l.contains(TOPIC)).toList()) + "\n");
                reset(group, "--topic", TOPIC, "--to-latest", "--execute");
                reset(group, "--from-file", file.toString(), "--execute");
                return groups("--describe", "--group", group).exit(0).has(" 3 ");
            } finally {
                Files.delete(file);
            }
        });
        check(p + "delete-offsets-partition", () -> groups("--delete-offsets", "--group", group, "--topic", TOPIC + ":1").exit(0).has("Successful"));
        check(p + "delete-offsets-unknown", () -> groups("--delete-offsets", "--group", group, "--topic", "tools-groups-unknown").has("tools-groups-unknown"));
        check(p + "describe-after-delete-offsets", () -> groups("--describe", "--group", group).exit(0));
    }

    private static List<String> ours(Tools.Result result) {
        return result.lines().stream().filter(l -> l.startsWith("tools-")).map(l -> l.replaceAll("\\s+", " ").strip()).sorted().toList();
    }

    private static void listing() {
        check("list", () -> ours(groups("--list").exit(0).has("tools-classic").has("tools-consumer")));
        check("list-state", () -> ours(groups("--list", "--state").exit(0).has("Empty")));
        check("list-state-filter", () -> ours(groups("--list", "--state", "Empty").exit(0).has("tools-classic")));
        check("list-state-filter-none", () -> ours(groups("--list", "--state", "Dead").exit(0)));
        check("list-type", () -> ours(groups("--list", "--type").exit(0).has("Consumer")));
        check("list-type-filter", () -> ours(groups("--list", "--type", "consumer", "--state", "empty").exit(0).has("tools-consumer")));
        check("describe-all-groups", () -> {
            Tools.Result got = groups("--describe", "--all-groups", "--state").exit(0).has("tools-classic").has("tools-consumer");
            return got.out().contains("Empty");
        });
        check("describe-unknown", () -> groups("--describe", "--group", "tools-unknown"));
        check("describe-unknown-state", () -> groups("--describe", "--group", "tools-unknown", "--state"));
        check("delete-unknown", () -> groups("--delete", "--group", "tools-unknown").has("could not be deleted"));
        check("delete-offsets-unknown-group", () -> groups("--delete-offsets", "--group", "tools-unknown", "--topic", TOPIC));
        check("reset-new-group", () -> reset("tools-new", "--topic", TOPIC, "--to-offset", "2", "--execute"));
        check("reset-new-group-described", () -> groups("--describe", "--group", "tools-new").exit(0).has(" 2 "));
        check("validate-regex", () -> groups("--validate-regex", "tools-[a-z]+"));
        check("validate-regex-wrong", () -> groups("--validate-regex", "tools-(?=x)"));
        String g = T + "GroupsCommand";
        check("groups-list", () -> ours(Tools.admin(g, "--list").exit(0).has("tools-classic").has("tools-consumer")));
        check("groups-list-type", () -> ours(Tools.admin(g, "--list", "--group-type", "consumer").exit(0).has("tools-consumer")));
        check("groups-list-protocol", () -> ours(Tools.admin(g, "--list", "--protocol", "consumer").exit(0)));
        check("groups-list-consumer", () -> ours(Tools.admin(g, "--list", "--consumer").exit(0).has("tools-classic")));
        check("groups-list-share", () -> ours(Tools.admin(g, "--list", "--share").exit(0)));
    }

    private static void consuming() {
        for (String protocol : List.of("classic", "consumer")) {
            String group = "tools-console-" + protocol;
            check("console-consumer-group-" + protocol, () -> Tools.consume("--topic", TOPIC, "--group", group, "--from-beginning", "--max-messages", "30",
                "--command-property", "group.protocol=" + protocol).exit(0).has("Processed a total of 30 messages").lines().stream().sorted().toList());
            check("console-consumer-group-committed-" + protocol, () -> until("no active members", "--describe", "--group", group).exit(0));
            check("verifiable-consumer-" + protocol, () -> {
                Tools.Result got = Tools.tool(T + "VerifiableConsumer", "", out -> out.contains("shutdown_complete"), "--bootstrap-server", Tools.BOOTSTRAP,
                    "--topic", TOPIC, "--group-id", "tools-verifiable-" + protocol, "--group-protocol", protocol, "--reset-policy", "earliest",
                    "--max-messages", "30", "--verbose").exit(0).has("partitions_assigned").has("offsets_committed");
                return "records=" + Pattern.compile("\"name\":\"record_data\"").matcher(got.out()).results().count();
            });
            check("consumer-perf-test-" + protocol, () -> {
                Path config = Files.createTempFile("consumer", ".properties");
                try {
                    Files.writeString(config, "group.protocol=" + protocol + "\nauto.offset.reset=earliest\n");
                    Tools.Result got = Tools.admin(T + "ConsumerPerformance", "--topic", TOPIC, "--num-records", "30", "--group",
                        "tools-perf-" + protocol, "--timeout", "15000", "--command-config", config.toString()).exit(0);
                    String last = got.lines().get(got.lines().size() - 1);
                    // data.consumed.in.nMsg is the fifth column.
                    return "records=" + last.split(",")[4].strip();
                } finally {
                    Files.delete(config);
                }
            });
        }
    }

    private static void configs() {
        String c = "kafka.admin.ConfigCommand";
        check("configs-groups-alter", () -> Tools.admin(c, "--alter", "--entity-type", "groups", "--entity-name", "tools-consumer", "--add-config",
            "consumer.session.timeout.ms=7000,consumer.heartbeat.interval.ms=500").exit(0).has("Completed updating config for group tools-consumer."));
        check("configs-groups-describe", () -> Tools.until("consumer.session.timeout.ms=7000", c, "--describe", "--entity-type", "groups", "--entity-name",
            "tools-consumer"));
        check("configs-groups-describe-group-option", () -> Tools.admin(c, "--describe", "--group", "tools-consumer").exit(0).has("7000"));
        check("configs-groups-describe-all", () -> Tools.admin(c, "--describe", "--all", "--entity-type", "groups", "--entity-name", "tools-consumer").exit(0)
            .has("share.record.lock.duration.ms"));
        check("configs-groups-unknown", () -> Tools.admin(c, "--alter", "--entity-type", "groups", "--entity-name", "tools-consumer", "--add-config",
            "no.such.config=1").exit(1).lines().get(0));
        check("configs-groups-invalid", () -> Tools.admin(c, "--alter", "--entity-type", "groups", "--entity-name", "tools-consumer", "--add-config",
            "consumer.session.timeout.ms=soon").exit(1).lines().get(0));
        check("configs-groups-out-of-bounds", () -> Tools.admin(c, "--alter", "--entity-type", "groups", "--entity-name", "tools-consumer", "--add-config",
            "consumer.session.timeout.ms=100").exit(1).lines().get(0));
        check("configs-groups-delete", () -> Tools.admin(c, "--alter", "--entity-type", "groups", "--entity-name", "tools-consumer", "--delete-config",
            "consumer.session.timeout.ms,consumer.heartbeat.interval.ms").exit(0).has("Completed updating"));
    }

    private static void end() {
        check("delete", () -> groups("--delete", "--group", "tools-classic", "--group", "tools-consumer", "--group", "tools-new").exit(0)
            .has("Deletion of requested consumer groups"));
        check("list-after-delete", () -> {
            List<String> got = ours(groups("--list").exit(0));
            if (got.contains("tools-classic") || got.contains("tools-consumer") || got.contains("tools-new")) {
                throw new AssertionError("still there: " + got);
            }
            return got;
        });
        check("describe-deleted", () -> groups("--describe", "--group", "tools-classic"));
    }
}
