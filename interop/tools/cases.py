"""The command lines that both sets of tools run. `P` stands for a prefix of its own per side, `B` for the server.

A case is (tool, arguments, standard input or None). Order counts: later cases see what earlier ones did.
"""

T, P, C, G = "topics", "console-producer", "console-consumer", "get-offsets"
MISSING = "JtVfgUzZTQOmMlxUdBaqPQ"


def topics(line):
    return (T, "--bootstrap-server B " + line, None)


def produce(line, text):
    return (P, "--bootstrap-server B " + line, text)


def consume(line):
    return (C, "--bootstrap-server B " + line, None)


def offsets(line):
    return (G, "--bootstrap-server B " + line, None)


USAGE = [
    (T, "", None),
    (T, "--version", None),
    (T, "--list", None),
    (T, "--no-such-option", None),
    (T, "--create --list --bootstrap-server B", None),
    (T, "--bootstrap-server B", None),
    (T, "--create --bootstrap-server B", None),
    (T, "--alter --topic P-z --bootstrap-server B", None),
    (T, "--create --topic --bootstrap-server B", None),
    (T, "--create --bootstrap-server B --topic", None),
    (T, "--create --bootstrap-server B --topic a --topic b", None),
    (T, "--bo B --lis --topic nothing-at-all", None),
    (T, "--create --topic P-x --partitions many --bootstrap-server B", None),
    (T, "--create --topic P-x --partitions 1 --replica-assignment 1 --bootstrap-server B", None),
    (T, "--list --partitions 1 --bootstrap-server B", None),
    (T, "--list --if-exists --bootstrap-server B", None),
    (T, "--describe --if-exists --bootstrap-server B", None),
    (T, "--describe --if-not-exists --topic P-y --bootstrap-server B", None),
    (T, "--describe --topics-with-overrides --under-replicated-partitions --bootstrap-server B", None),
    (T, "--describe --under-min-isr-partitions --at-min-isr-partitions --bootstrap-server B --topic P-no", None),
    (T, "--alter --topic P-z --partitions 2 --config retention.ms=1 --bootstrap-server B", None),
    (T, "--delete --exclude-internal --topic P-z --bootstrap-server B", None),
    (T, "--list --bootstrap-server", None),
    (T, "--list --bootstrap-server localhost", None),
    (T, "--list --bootstrap-server B --command-config /no/such/file", None),
    (T, "-list -bootstrap-server B -topic nothing-at-all", None),
    (T, "-l --bootstrap-server B", None),
    (T, "-q --bootstrap-server B", None),
    (T, "--list extra words --bootstrap-server B --topic nothing-at-all", None),
    (P, "", None),
    (P, "--version", None),
    (P, "--topic P-y", None),
    (P, "--bootstrap-server B", None),
    (P, "--no-such-option", None),
    (P, "--bootstrap-server nohost --topic P-y", None),
    (P, "--bootstrap-server B --topic P-y --batch-size x", None),
    (P, "--bootstrap-server B --topic P-y --property parse.key", "x\n"),
    (P, "--bootstrap-server B --topic P-y --producer-property acks=1 --command-property acks=1", "x\n"),
    (P, "--bootstrap-server B --topic P-y --property a=b --reader-property a=b", "x\n"),
    (P, "--bootstrap-server B --topic P-y --compression-codec nope", "x\n"),
    (P, "--bootstrap-server B --topic P-y --request-required-acks 7", "x\n"),
    (P, "--bootstrap-server B --topic P-y --reader-property headers.delimiter=,", "x\n"),
    (P, "--bootstrap-server B --topic P-y --line-reader no.such.Reader", "x\n"),
    (C, "", None),
    (C, "--version", None),
    (C, "--bootstrap-server B", None),
    (C, "--topic P-y", None),
    (C, "--topic P-y --include b --bootstrap-server B", None),
    (C, "--no-such-option", None),
    (C, "--bootstrap-server B --topic P-y --offset 1", None),
    (C, "--bootstrap-server B --include a --partition 0", None),
    (C, "--bootstrap-server B --topic P-y --partition 0 --offset x", None),
    (C, "--bootstrap-server B --topic P-y --partition 0 --offset -5", None),
    (C, "--bootstrap-server B --topic P-y --partition x", None),
    (C, "--bootstrap-server B --topic P-y --partition 0 --offset 0 --from-beginning", None),
    (C, "--bootstrap-server B --topic P-y --partition 0 --group g", None),
    (C, "--bootstrap-server B --topic P-z --timeout-ms 2000 --group g --command-property group.id=h", None),
    (C, "--bootstrap-server B --topic P-y --formatter no.such.Formatter", None),
    (C, "--bootstrap-server B --topic P-z --timeout-ms 2000 --formatter-property x", None),
    (C, "--bootstrap-server B --topic P-y --property a=b --formatter-property a=b", None),
    (C, "--bootstrap-server B --topic P-y --timeout-ms 2000 --consumer-property a=b --command-property a=b", None),
    (C, "--bootstrap-server B --topic P-y --from-beginning --command-property auto.offset.reset=latest", None),
    (C, "--bootstrap-server B --topic P-y --timeout-ms 2000 --isolation-level nope", None),
    (C, "--bootstrap-server nohost --topic P-y --partition 0", None),
    (C, "--bootstrap-server B --topic P-y --command-property auto.offset.reset=nope --partition 0", None),
    (G, "", None),
    (G, "--version", None),
    (G, "--topic P-y", None),
    (G, "--bootstrap-server nohost --topic P-y", None),
    (G, "--bootstrap-server B --no-such-option", None),
    (G, "--bootstrap-server B --topic P-y --topic-partitions a:0", None),
    (G, "--bootstrap-server B --topic P-y --time never", None),
    (G, "--bootstrap-server B --topic P-y --partitions x", None),
    (G, "--bootstrap-server B --topic-partitions a:b", None),
]

CLEAN = topics("--delete --if-exists --topic P.*")

TOPICS = [
    CLEAN,
    topics("--create --topic P-a"),
    topics("--create --topic P-a"),
    topics("--create --topic P-a --if-not-exists"),
    topics("--create --topic P-b --partitions 3 --replication-factor 1"),
    topics("--create --topic P.dots_under"),
    topics("--create --topic P-c --replica-assignment 1,1,1"),
    topics("--create --topic P-d --partitions 2 --config retention.ms=60000 --config cleanup.policy=compact"),
    topics("--create --topic P-e --config nonsense=1"),
    topics("--create --topic P-e --config retention.ms"),
    topics("--create --topic P-e --config retention.ms=abc"),
    topics("--create --topic P-e --config cleanup.policy=nope"),
    topics("--create --topic P-e --replication-factor 2"),
    topics("--create --topic P-e --replication-factor 0"),
    topics("--create --topic P-e --partitions 0"),
    topics("--create --topic P-e --partitions -3"),
    topics("--create --topic P-e --replica-assignment 1:1"),
    topics("--create --topic P-e --replica-assignment 1,1:2"),
    topics("--create --topic P-e --replica-assignment 77"),
    topics("--create --topic P-e --replica-assignment x"),
    topics("--create --topic P-bad/name"),
    topics("--create --topic .."),
    topics("--create --topic P-" + "x" * 260),
    topics("--list --topic P.*"),
    topics("--list --topic P-a,P-b"),
    topics("--list --topic 'P-[ab]' --exclude-internal"),
    topics("--list --topic P-none"),
    topics("--describe --topic P-a"),
    topics("--describe --topic P-[a-d]"),
    topics("--describe --topic P.*"),
    topics("--describe --topic P-none"),
    topics("--describe --topic P-none --if-exists"),
    topics("--describe --topic P.* --topics-with-overrides"),
    topics("--describe --topic P.* --under-replicated-partitions"),
    topics("--describe --topic P.* --unavailable-partitions"),
    topics("--describe --topic P.* --under-min-isr-partitions"),
    topics("--describe --topic P.* --at-min-isr-partitions"),
    topics("--describe --topic P-b --partition-size-limit-per-response 1"),
    topics(f"--describe --topic-id {MISSING}"),
    topics(f"--describe --topic-id {MISSING} --if-exists"),
    topics("--describe --topic-id not-an-id"),
    topics("--alter --topic P-a --partitions 4"),
    topics("--alter --topic P-a --partitions 4"),
    topics("--alter --topic P-a --partitions 2"),
    topics("--alter --topic P-a --partitions 5 --replica-assignment 1,1,1,1,1"),
    topics("--alter --topic P-none --partitions 5"),
    topics("--alter --topic P-none --partitions 5 --if-exists"),
    topics("--describe --topic P-a"),
    topics("--delete --topic P-c"),
    topics("--delete --topic P-c"),
    topics("--delete --topic P-c --if-exists"),
    topics("--delete --topic P-d --delete-config x"),
    topics("--list --topic P.*"),
]

KEYED = "k1\tone\nk2\ttwo\nk3\tthree\nk1\tfour\n"
READ = " --from-beginning --timeout-ms 3000"
ONE = "--topic P-one --partition 0 --timeout-ms 3000 "
PRINT = " ".join(
    f"--formatter-property print.{what}=true" for what in ("timestamp", "partition", "offset", "delivery", "epoch", "headers", "key", "value")
)

DATA = [
    CLEAN,
    topics("--create --topic P-one"),
    topics("--create --topic P-two --partitions 2"),
    produce("--topic P-one", "a\nb\n\nlong line with spaces\nlast without newline"),
    consume("--topic P-one --max-messages 5" + READ),
    consume("--topic P-one --max-messages 2" + READ),
    consume(ONE + "--from-beginning --max-messages 5"),
    consume(ONE + "--offset 3 --max-messages 2"),
    consume(ONE + "--offset earliest --max-messages 1"),
    consume(ONE + "--offset latest"),
    consume(ONE + "--offset 999 --from-beginning"),
    consume(ONE + "--offset earliest --max-messages 1 " + PRINT),
    produce("--topic P-one --sync --reader-property parse.key=true", KEYED),
    consume(ONE + "--offset 5 --max-messages 4 --formatter-property print.key=true"),
    consume(ONE + "--offset 5 --max-messages 4 " + PRINT + " --formatter-property key.separator=|"),
    consume(ONE + "--offset 5 --max-messages 1 --property print.key=true"),
    produce(
        "--topic P-one --property parse.headers=true --property parse.key=true --property null.marker=NULL "
        "--compression-codec zstd",
        "h1:v1,h2:v2\tk\tv\nh1:NULL\tNULL\tv2\nNULL\tk\tNULL\n",
    ),
    consume(ONE + "--offset 9 --max-messages 3 " + PRINT),
    consume(ONE + "--offset 9 --max-messages 3 " + PRINT + " --formatter-property null.literal=<nil>"
            " --formatter-property headers.separator=; --formatter-property line.separator=#"),
    consume(ONE + "--offset 9 --max-messages 3 " + PRINT + " --formatter-property print.value=false"),
    produce("--topic P-one --reader-property parse.key=true", "no separator here\n"),
    produce("--topic P-one --reader-property parse.key=true --reader-property ignore.error=true", "no sep\nk\tv\n"),
    produce("--topic P-one --reader-property parse.headers=true", "h1-no-colon\tv\n"),
    consume(ONE + "--offset 12 --max-messages 2 " + PRINT),
    produce("--topic P-one --reader-property parse.key=true --reader-property key.separator=::", "x::y::z\n"),
    produce("--topic P-one --compression-codec", "gzip by default\n"),
    produce("--topic P-one --compression-codec snappy", "snappy\n"),
    produce("--topic P-one --compression-codec lz4 --request-required-acks 1 --batch-size 1", "lz4\nlz4 b\n"),
    produce("--topic P-one --compression-codec none --request-required-acks 0", "acks 0\n"),
    consume(ONE + "--offset 14 --max-messages 6 --formatter-property print.key=true"),
    consume(ONE + "--offset 14 --max-messages 6 --isolation-level read_committed"),
    produce("--topic P-two --reader-property parse.key=true", KEYED * 10),
    consume("--topic P-two --partition 0 --from-beginning --timeout-ms 3000 --formatter-property print.key=true"),
    consume("--topic P-two --partition 1 --from-beginning --timeout-ms 3000 --formatter-property print.key=true"),
    produce("--topic P-two --producer-property max.request.size=20", "a message that is too large for that\n"),
    produce("--topic P-bad/name", "x\n"),
    consume("--include P-tw. --max-messages 40" + READ + " --formatter-property print.value=false"),
    consume("--topic P-one --max-messages 3 --formatter org.apache.kafka.tools.consumer.NoOpMessageFormatter" + READ),
    consume("--topic P-one --max-messages 3 --formatter org.apache.kafka.tools.consumer.LoggingMessageFormatter" + READ),
    consume("--topic P-one --max-messages 1 --enable-systest-events" + READ),
    consume("--topic P-one --partition 9 --timeout-ms 3000"),
    offsets("--topic P-one"),
    offsets("--topic P-two"),
    offsets("--topic P-.*"),
    offsets("--topic P-two --partitions 1"),
    offsets("--topic P-two --partitions 0,1,2"),
    offsets("--topic P-two --partitions 7"),
    offsets("--topic-partitions P-one:0,P-two:1-"),
    offsets("--topic-partitions P-two:0-1"),
    offsets("--topic-partitions P-two:-1"),
    offsets("--topic-partitions P-t.*"),
    offsets("--topic P-none"),
    offsets("--topic P-one --time -1"),
    offsets("--topic P-one --time -2"),
    offsets("--topic P-one --time earliest"),
    offsets("--topic P-one --time -3"),
    offsets("--topic P-one --time -4"),
    offsets("--topic P-one --time -5"),
    offsets("--topic P-one --time -6"),
    offsets("--topic P-one --time 0"),
    offsets("--topic P-one --time 99999999999999"),
    offsets("--topic P-one --exclude-internal-topics"),
    CLEAN,
]

CASES = {"usage": USAGE, "topics": TOPICS, "data": DATA}

# Where the answers differ and should: with the reason.
ON_PURPOSE = {
    (T, "--version"): "each tells its own version",
    (P, "--version"): "each tells its own version",
    (C, "--version"): "each tells its own version",
    (G, "--version"): "each tells its own version",
    (P, "--bootstrap-server B --topic P-y --line-reader no.such.Reader"): "says what is possible instead",
    (T, "--bootstrap-server B --describe --topic-id not-an-id"): "says what an id looks like",
}
