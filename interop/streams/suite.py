"""Kafka Streams' WordCountDemo: every count it writes, over a restart, a lost state, two instances, a crash.

    suite.py [at_least_once | exactly_once_v2]

Run by ../run, with BOOTSTRAP. Caching is off, so each word of the input gives one count: the output is known word for word.
"""

import collections
import os
import pathlib
import random
import re
import shutil
import sys
import time

import confluent_kafka as ck
from confluent_kafka import admin as ca

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.check import Checks, eventually, same
from harness.jvm import Jvm
from harness.paths import WORK

BOOTSTRAP, AGAINST = os.environ["BOOTSTRAP"], os.environ["AGAINST"]
GUARANTEE = sys.argv[1] if len(sys.argv) > 1 else "at_least_once"
EXACTLY = GUARANTEE != "at_least_once"
APPLICATION, INPUT, OUTPUT = "streams-wordcount-exactly" if EXACTLY else "streams-wordcount", "streams-plaintext-input", "streams-wordcount-output"
PARTITIONS = 2
STATE = WORK / "streams"
LIMIT_S = 120
WORDS = "all streams lead to kafka hello join summit ein kleiner text mit wörtern tick tack".split()
ADMIN = ca.AdminClient({"bootstrap.servers": BOOTSTRAP})


class Application(Jvm):
    """One instance of the demo with its own state directory."""

    def __init__(self, name):
        self.name, self.state, self.log = name, STATE / name, f"{AGAINST}-streams-{GUARANTEE}-{name}"

    def arguments(self):
        config = STATE / f"{self.name}.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in {
            "application.id": APPLICATION, "bootstrap.servers": BOOTSTRAP, "client.id": self.name, "state.dir": self.state, "commit.interval.ms": 100,
            "statestore.cache.max.bytes": 0, "consumer.session.timeout.ms": 6000, "consumer.heartbeat.interval.ms": 1000,
            "auto.offset.reset": "earliest", "acceptable.recovery.lag": 0, "processing.guarantee": GUARANTEE,
        }.items()))
        return "org.apache.kafka.streams.examples.wordcount.WordCountDemo", config

    def lose_state(self):
        shutil.rmtree(self.state)


class Counts:
    """What was put in, what came out."""

    def __init__(self):
        self.producer = ck.Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5})
        self.reader = ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                                   "isolation.level": "read_committed"})
        self.reader.assign([ck.TopicPartition(OUTPUT, p, 0) for p in range(PARTITIONS)])
        self.random = random.Random(4)
        self.want, self.got = collections.Counter(), collections.defaultdict(list)

    def say(self, lines):
        for n in range(lines):
            words = self.random.choices(WORDS, k=self.random.randint(1, 8))
            # The demo lowers the case and splits at what is no ASCII letter, digit or underscore.
            self.producer.produce(INPUT, " ".join(words).upper().encode(), partition=n % PARTITIONS)
            self.want.update(re.split(r"\W+", " ".join(words), flags=re.ASCII))
        same(0, self.producer.flush(20))

    def read(self):
        for message in self.reader.consume(500, 0.2):
            assert message.error() is None, message.error()
            self.got[message.key().decode()].append(int.from_bytes(message.value(), "big"))

    def settle(self):
        """Each word was counted 1, 2, 3 ... up to how often it was said, each count once and in order."""
        def probe():
            self.read()
            last = {word: counts[-1] for word, counts in self.got.items()}
            assert last == self.want, {word: (last.get(word), n) for word, n in self.want.items() if last.get(word) != n}
        eventually(LIMIT_S, probe, 0)
        for word, counts in self.got.items():
            same(list(range(1, self.want[word] + 1)), counts)
        return f"words={len(self.want)} counts={sum(self.want.values())}"


def members():
    """How many partitions each instance has, when the group is stable."""
    (future,) = ADMIN.describe_consumer_groups([APPLICATION]).values()
    group = future.result(20)
    same("STABLE", group.state.name)
    return {m.client_id.split("-")[0]: len(m.assignment.topic_partitions) for m in group.members}


def topics():
    # The demo's topics have fixed names: another run of it may have left them.
    old = [name for name in (INPUT, OUTPUT) if name in ADMIN.list_topics(timeout=20).topics]
    for future in (ADMIN.delete_topics(old) if old else {}).values():
        future.result(20)
    eventually(LIMIT_S, lambda: not {INPUT, OUTPUT} & set(ADMIN.list_topics(timeout=20).topics))
    new = [ca.NewTopic(INPUT, PARTITIONS, 1), ca.NewTopic(OUTPUT, PARTITIONS, 1, config={"cleanup.policy": "compact"})]
    for future in ADMIN.create_topics(new).values():
        future.result(20)


def internal_topics():
    """Streams made its two internal topics as it wanted them; every partition of the input and of one of them is a task."""
    prefix = f"{APPLICATION}-KSTREAM-AGGREGATE-STATE-STORE-0000000003"
    names = [f"{prefix}-{kind}" for kind in ("changelog", "repartition")]
    found = ADMIN.list_topics(timeout=20).topics
    same({name: PARTITIONS for name in names}, {name: len(found[name].partitions) for name in names if name in found})
    futures = ADMIN.describe_configs([ca.ConfigResource("topic", name) for name in names])
    return " ".join(future.result(20)["cleanup.policy"].value for future in futures.values())


def offsets():
    """What the application committed is what there is to read."""
    request = ck.ConsumerGroupTopicPartitions(APPLICATION)
    def probe():
        (future,) = ADMIN.list_consumer_group_offsets([request]).values()
        committed = {(tp.topic, tp.partition): tp.offset for tp in future.result(20).topic_partitions}
        for p in range(PARTITIONS):
            same(counts.reader.get_watermark_offsets(ck.TopicPartition(INPUT, p), timeout=10)[1], committed.get((INPUT, p)))
        return f"partitions={len(committed)}"
    return eventually(LIMIT_S, probe)


def first_run():
    one.start()
    counts.say(300)
    return counts.settle()


def restart():
    counts.say(100)
    one.stop()
    counts.say(100)
    one.start()
    return counts.settle()


def lost_state():
    one.stop()
    one.lose_state()
    one.start()
    counts.say(100)
    return counts.settle()


def second_instance():
    two.start()
    def probe():
        same({"one": 2, "two": 2}, members())
    eventually(LIMIT_S, probe)
    counts.say(200)
    return counts.settle()


def crash():
    if EXACTLY:
        # In the middle of the input: what it has not committed is aborted, when its time is over.
        counts.say(500)
        before = sum(map(len, counts.got.values()))
        eventually(LIMIT_S, lambda: counts.read() or sum(map(len, counts.got.values())) > before + 50, 0)
    else:
        # What was counted is committed before the crash: at least once is then exactly once.
        time.sleep(0.5)
    one.crash()
    counts.say(200)
    detail = counts.settle()
    same({"two": 4}, members())
    return detail


def leave():
    two.stop()
    # Streams does not leave its group when it is closed: the session ends it.
    def probe():
        (future,) = ADMIN.describe_consumer_groups([APPLICATION]).values()
        same("EMPTY", future.result(20).state.name)
    eventually(LIMIT_S, probe)


shutil.rmtree(STATE, ignore_errors=True)
STATE.mkdir(parents=True)
checks = Checks()
one, two = Application("one"), Application("two")
try:
    if checks.check("topics", topics):
        counts = Counts()
        every = [("count-words", first_run), ("internal-topics", internal_topics), ("committed-offsets", offsets),
                 ("restart-in-the-middle", restart), ("restore-lost-state", lost_state),
                 ("second-instance", second_instance), ("crash-of-one", crash), ("all-stopped", leave)]
        # What does not depend on the guarantee is asked for once.
        for name, call in [check for check in every if not EXACTLY or check[1] not in (internal_topics, restart, lost_state)]:
            if not checks.check(name, call):
                break
finally:
    Jvm.end_all()
sys.exit(1 if checks.failed else 0)
