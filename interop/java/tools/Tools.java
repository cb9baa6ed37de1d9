import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.common.utils.Exit;

/** Apache Kafka's command-line tools, all in one JVM: each is called by its main method, with its exit code and output caught. */
public final class Tools {
    private static final int LIMIT_S = 90;
    static final String T = "org.apache.kafka.tools.";
    private static final PrintStream REPORT = System.out;
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final ExecutorService THREAD = Executors.newCachedThreadPool(r -> {
        Thread t = new Thread(r);
        t.setDaemon(true);
        return t;
    });
    static int failed;
    /** The first exit code that the running tool asked for: some catch what Exit.exit throws here, and exit again. */
    private static volatile Integer firstExit;

    /** A tool called Exit.exit. */
    private static final class Exited extends RuntimeException {
        Exited() {
            super("exit called", null, false, false);
        }
    }

    record Result(int code, String out) {
        Result exit(int wanted) {
            if (code != wanted) {
                throw new AssertionError("exit code " + code + ", expected " + wanted + ": " + out);
            }
            return this;
        }

        Result has(String text) {
            if (!out.contains(text)) {
                throw new AssertionError("no \"" + text + "\" in: " + out);
            }
            return this;
        }

        List<String> lines() {
            // Some tools print what Exit.exit throws here.
            return out.lines().filter(l -> !l.isBlank() && !l.contains("exit called")).toList();
        }

        /** What a user sees, in one line, without what differs from run to run. */
        String shown() {
            return mask(String.join(" / ", lines()));
        }
    }

    static String mask(String text) {
        text = text.replaceAll("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "UUID");
        text = text.replace(BOOTSTRAP, "SERVER").replaceAll("\\b" + BOOTSTRAP.replaceAll(".*:", "") + "\\b", "PORT").replaceAll("\\[[A-Z]+://127[^\\]]*\\]", "[ENDPOINT]").replaceAll("[A-Za-z0-9_-]{22}", "ID")
            .replaceAll("\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d[,.]\\d+", "TIME").replaceAll("127\\.0\\.0\\.1:\\d+", "SERVER");
        return text.replaceAll("\\s+", " ").strip();
    }

    static Result tool(String main, String input, String... args) throws Exception {
        return tool(main, input, out -> true, args);
    }

    /** Calls a tool, and waits after its main method until the output is complete. */
    static Result tool(String main, String input, Predicate<String> complete, String... args) throws Exception {
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(caught, true);
        try {
            int code = call(main, input, () -> complete.test(caught.toString()), out, out, args);
            return new Result(code, caught.toString());
        } catch (java.util.concurrent.TimeoutException e) {
            throw new AssertionError("no end after " + LIMIT_S + " s: " + caught);
        }
    }

    /** Calls a tool with these streams; its exit code. */
    static int call(String main, String input, BooleanSupplier complete, PrintStream out, PrintStream err, String... args) throws Exception {
        PrintStream oldOut = System.out;
        PrintStream oldErr = System.err;
        java.io.InputStream oldIn = System.in;
        System.setOut(out);
        System.setErr(err);
        System.setIn(new ByteArrayInputStream(input.getBytes()));
        firstExit = null;
        try {
            Method method = Class.forName(main).getMethod("main", String[].class);
            int code = THREAD.submit(() -> {
                try {
                    // Scala's console has its own reference to the output.
                    scalaOut(out, err, () -> method.invoke(null, (Object) args));
                    return firstExit == null ? 0 : firstExit;
                } catch (InvocationTargetException e) {
                    if (firstExit != null) {
                        return firstExit;
                    }
                    e.getCause().printStackTrace(err);
                    return 1;
                }
            }).get(LIMIT_S, TimeUnit.SECONDS);
            for (long end = System.currentTimeMillis() + 60_000; !complete.getAsBoolean() && System.currentTimeMillis() < end; ) {
                Thread.sleep(20);
            }
            return code;
        } finally {
            System.setOut(oldOut);
            System.setErr(oldErr);
            System.setIn(oldIn);
        }
    }

    private static void scalaOut(PrintStream out, PrintStream err, Callable<Object> body) throws Exception {
        Object[] thrown = new Object[1];
        scala.Console$.MODULE$.withOut(out, () -> scala.Console$.MODULE$.withErr(err, () -> {
            try {
                return body.call();
            } catch (Exception e) {
                thrown[0] = e;
                return null;
            }
        }));
        if (thrown[0] != null) {
            throw (Exception) thrown[0];
        }
    }

    static Result admin(String name, String... args) throws Exception {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", BOOTSTRAP));
        all.addAll(Arrays.asList(args));
        return tool(name, "", all.toArray(String[]::new));
    }

    static Result consume(String... args) throws Exception {
        // The tool counts its records in a static variable.
        Field count = Class.forName(T + "consumer.ConsoleConsumer").getDeclaredField("messageCount");
        count.setAccessible(true);
        count.set(null, 0);
        List<String> all = new ArrayList<>(List.of("--timeout-ms", "15000"));
        all.addAll(Arrays.asList(args));
        return admin(T + "consumer.ConsoleConsumer", all.toArray(String[]::new));
    }

    static void check(String name, Callable<Object> body) {
        try {
            Object detail = body.call();
            String text = detail instanceof Result r ? r.shown() : mask(String.valueOf(detail));
            REPORT.println("ok " + name + " " + text);
        } catch (Throwable e) {
            failed++;
            REPORT.println("FAIL " + name + " " + String.valueOf(e).replaceAll("\\s+", " "));
        }
        REPORT.flush();
    }

    /** The tools' calls of exit throw. */
    static void catchExits() {
        Exit.Procedure exit = (code, message) -> {
            firstExit = firstExit == null ? code : firstExit;
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> { });
    }

    public static void main(String[] args) {
        catchExits();
        cluster();
        topics();
        data();
        configs();
        change();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
    }

    private static void cluster() {
        check("cluster-id", () -> tool(T + "ClusterTool", "", "cluster-id", "--bootstrap-server", BOOTSTRAP).exit(0).has("Cluster ID: MkU3OEVBNTcwNTJENDM2Qg"));
        check("list-endpoints", () -> tool(T + "ClusterTool", "", "list-endpoints", "--bootstrap-server", BOOTSTRAP).exit(0).has("unfenced"));
        check("broker-api-versions", () -> admin(T + "BrokerApiVersionsCommand").exit(0).has("Produce(0)"));
        check("metadata-quorum-status", () -> {
            Result got = admin(T + "MetadataQuorumCommand", "describe", "--status").exit(0).has("LeaderId:");
            return got.shown().replaceAll("(HighWatermark|LeaderEpoch|MaxFollowerLag|MaxFollowerLagTimeMs): *-?\\d+", "$1: N");
        });
        check("metadata-quorum-replication", () -> admin(T + "MetadataQuorumCommand", "describe", "--replication").exit(0).has("Leader").lines().size());
        check("features-describe", () -> admin(T + "FeatureCommand", "describe").exit(0).has("metadata.version").shown().replaceAll("Epoch: \\d+", "Epoch: N"));
    }

    private static void topics() {
        String c = T + "TopicCommand";
        check("topics-create", () -> admin(c, "--create", "--topic", "tools-main", "--partitions", "3", "--replication-factor", "1", "--config",
            "retention.ms=-1").exit(0).has("Created topic tools-main."));
        check("topics-create-existing", () -> admin(c, "--create", "--topic", "tools-main").exit(1).has("already exists").lines().get(0));
        check("topics-create-if-not-exists", () -> admin(c, "--create", "--topic", "tools-main", "--if-not-exists").exit(0));
        check("topics-create-assigned", () -> admin(c, "--create", "--topic", "tools-assigned", "--replica-assignment", "1,1").exit(0));
        check("topics-list", () -> admin(c, "--list").exit(0).lines().stream().filter(l -> l.startsWith("tools")).toList());
        check("topics-describe", () -> admin(c, "--describe", "--topic", "tools-main").exit(0).has("PartitionCount: 3").has("Leader: 1"));
        check("topics-describe-unknown", () -> admin(c, "--describe", "--topic", "tools-unknown").exit(1).lines().get(0));
        check("topics-alter", () -> admin(c, "--alter", "--topic", "tools-assigned", "--partitions", "4").exit(0));
        check("topics-describe-altered", () -> {
            for (long end = System.currentTimeMillis() + 60_000; ; Thread.sleep(100)) {
                Result got = admin(c, "--describe", "--topic", "tools-assigned").exit(0);
                if (got.out.contains("PartitionCount: 4") || System.currentTimeMillis() > end) {
                    return got.has("PartitionCount: 4").lines().size();
                }
            }
        });
    }

    private static void data() {
        check("console-producer", () -> tool(T + "ConsoleProducer", "a:1,b:2|k1|v1\nc:3|k2|v2\nd:4|k3|\n", "--bootstrap-server", BOOTSTRAP, "--topic", "tools-main",
            "--reader-property", "parse.key=true", "--reader-property", "key.separator=|", "--reader-property", "parse.headers=true",
            "--reader-property", "headers.delimiter=|", "--compression-codec", "zstd", "--command-property", "partitioner.class=Tools$First").exit(0));
        check("console-consumer-partition", () -> {
            Result got = consume("--topic", "tools-main", "--partition", "0", "--offset", "earliest", "--max-messages", "3",
                "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true", "--formatter-property", "print.offset=true",
                "--formatter-property", "print.partition=true").exit(0).has("Processed a total of 3 messages");
            return got;
        });
        check("console-consumer-offset", () -> consume("--topic", "tools-main", "--partition", "0", "--offset", "1", "--max-messages", "1")
            .exit(0).has("v2").has("Processed a total of 1 messages"));
        check("producer-perf-test", () -> admin(T + "ProducerPerformance", "--topic", "tools-perf", "--num-records", "20000", "--record-size", "200",
            "--throughput", "-1", "--command-property", "acks=all").exit(0).has("20000 records sent").lines().size() > 0);
        check("verifiable-producer", () -> {
            // It is closed by a shutdown hook, so its last lines come after its main method returned.
            Pattern success = Pattern.compile("producer_send_success");
            Result got = tool(T + "VerifiableProducer", "", out -> success.matcher(out).results().count() == 200, "--bootstrap-server", BOOTSTRAP,
                "--topic", "tools-verifiable", "--max-messages", "200", "--acks", "-1", "--throughput", "-1").exit(0).has("startup_complete");
            return "successes=" + success.matcher(got.out).results().count();
        });
        check("verifiable-producer-records", () -> consume("--topic", "tools-verifiable", "--partition", "0", "--offset", "earliest", "--max-messages", "200").exit(0)
            .has(IntStream.range(0, 200).mapToObj(i -> i + "\n").collect(Collectors.joining())).lines().size());
        check("get-offsets", () -> admin(T + "GetOffsetShell", "--topic", "tools-.*", "--exclude-internal-topics").exit(0).has("tools-perf:0:20000"));
        for (String time : List.of("-1", "-2", "-3", "-4", "-5", "earliest", "latest", "max-timestamp", "1")) {
            check("get-offsets-time-" + time, () -> admin(T + "GetOffsetShell", "--topic", "tools-main", "--time", time).exit(0));
        }
        check("get-offsets-unknown", () -> admin(T + "GetOffsetShell", "--topic", "tools-unknown").exit(1));
        check("log-dirs", () -> {
            String got = admin(T + "LogDirsCommand", "--describe", "--topic-list", "tools-main").exit(0).has("\"partition\":\"tools-main-0\"").shown();
            return got.replaceAll("\"logDir\":\"[^\"]*\"", "DIR").replaceAll("\"(size|totalBytes|usableBytes)\":\\d+", "$1");
        });
    }

    private static void configs() {
        String c = "kafka.admin.ConfigCommand";
        check("configs-alter", () -> admin(c, "--alter", "--entity-type", "topics", "--entity-name", "tools-main", "--add-config",
            "retention.bytes=987654321,cleanup.policy=[compact,delete]").exit(0).has("Completed updating config for topic tools-main."));
        check("configs-describe", () -> until("retention.bytes=987654321", c, "--describe", "--entity-type", "topics", "--entity-name", "tools-main"));
        check("configs-delete", () -> admin(c, "--alter", "--entity-type", "topics", "--entity-name", "tools-main", "--delete-config",
            "retention.bytes,cleanup.policy").exit(0).has("Completed updating"));
        check("configs-alter-invalid", () -> admin(c, "--alter", "--entity-type", "topics", "--entity-name", "tools-main", "--add-config",
            "retention.bytes=many").exit(1).lines().get(0));
        check("configs-broker-default", () -> admin(c, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config",
            "log.cleaner.threads=2").exit(0).has("Completed updating default config for brokers"));
        check("configs-broker-default-describe", () -> until("log.cleaner.threads=2", c, "--describe", "--entity-type", "brokers", "--entity-default"));
        check("configs-broker-describe", () -> admin(c, "--describe", "--entity-type", "brokers", "--entity-name", "1").exit(0));
        check("configs-broker-describe-all", () -> admin(c, "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1").exit(0).lines().size());
        check("configs-broker-default-delete", () -> admin(c, "--alter", "--entity-type", "brokers", "--entity-default", "--delete-config",
            "log.cleaner.threads").exit(0));
    }

    /** Metadata reaches a broker a little after the call that changed it returned. */
    static Result until(String text, String main, String... args) throws Exception {
        for (long end = System.currentTimeMillis() + 60_000; ; Thread.sleep(100)) {
            Result got = admin(main, args).exit(0);
            if (got.out.contains(text) || System.currentTimeMillis() > end) {
                return got.has(text);
            }
        }
    }

    private static void change() {
        check("delete-records", () -> {
            Path json = Files.createTempFile("delete-records", ".json");
            try {
                Files.writeString(json, "{\"version\":1,\"partitions\":[{\"topic\":\"tools-main\",\"partition\":0,\"offset\":2}]}");
                return admin(T + "DeleteRecordsCommand", "--offset-json-file", json.toString()).exit(0).has("low_watermark: 2");
            } finally {
                Files.delete(json);
            }
        });
        check("delete-records-earliest", () -> admin(T + "GetOffsetShell", "--topic", "tools-main", "--time", "-2").exit(0).has("tools-main:0:2"));
        check("leader-election", () -> admin(T + "LeaderElectionCommand", "--election-type", "preferred", "--topic", "tools-main", "--partition", "0").exit(0));
        check("topics-delete", () -> admin(T + "TopicCommand", "--delete", "--topic", "tools-main").exit(0));
        check("topics-delete-unknown", () -> admin(T + "TopicCommand", "--delete", "--topic", "tools-unknown").exit(1).lines().get(0));
    }

    /** A partitioner for the console producer: everything to partition 0. */
    public static final class First implements org.apache.kafka.clients.producer.Partitioner {
        @Override
        public int partition(String topic, Object key, byte[] keyBytes, Object value, byte[] valueBytes, org.apache.kafka.common.Cluster cluster) {
            return 0;
        }

        @Override
        public void close() { }

        @Override
        public void configure(java.util.Map<String, ?> configs) { }
    }
}
