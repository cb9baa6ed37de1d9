"""A join of two streams with its stores, exactly once: each pair comes out once, over crashes in the middle of the input.

Run by ../run, with BOOTSTRAP.
"""

import collections
import os
import pathlib
import random
import shutil
import sys

import confluent_kafka as ck
from confluent_kafka import admin as ca

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import server, step
from harness.check import Checks, eventually, same
from harness.jvm import HEAP, Jvm
from harness.paths import TOOLS_JARS, WORK

BOOTSTRAP, AGAINST = os.environ["BOOTSTRAP"], os.environ["AGAINST"]
APPLICATION, LEFT, RIGHT, OUTPUT = "streams-join", "streams-join-left", "streams-join-right", "streams-join-output"
PARTITIONS = 2
STATE = WORK / "streams-join"
LIMIT_S = 120
ADMIN = ca.AdminClient({"bootstrap.servers": BOOTSTRAP})


class Application(Jvm):
    """One instance with its own state directory."""

    def __init__(self, name):
        self.name, self.log = name, f"{AGAINST}-streams-join-{name}"
        self.config = STATE / f"{name}.properties"
        self.config.write_text("".join(f"{key}={value}\n" for key, value in {
            "application.id": APPLICATION, "bootstrap.servers": BOOTSTRAP, "client.id": name, "state.dir": STATE / name,
            "commit.interval.ms": 100, "consumer.session.timeout.ms": 6000, "consumer.heartbeat.interval.ms": 1000,
            "consumer.auto.offset.reset": "earliest", "acceptable.recovery.lag": 0, "processing.guarantee": "exactly_once_v2",
        }.items()))

    def start(self):
        command = server.java(HEAP, f"{WORK / 'java' / 'streams'}:{TOOLS_JARS}", "Join", self.config, LEFT, RIGHT, OUTPUT)
        self.process = step.spawn(self.log, command, append=self.starts > 0)
        self.starts += 1
        self.running.append(self.process)
        return self


class Pairs:
    """What was put in on both sides, what came out."""

    def __init__(self):
        self.producer = ck.Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5})
        self.reader = ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                                   "isolation.level": "read_committed"})
        self.reader.assign([ck.TopicPartition(OUTPUT, p, 0) for p in range(PARTITIONS)])
        self.random, self.said, self.got = random.Random(9), 0, []

    def say(self, pairs):
        """Each key once on the left and once on the right, in any order."""
        sides = [(topic, n) for topic in (LEFT, RIGHT) for n in range(self.said, self.said + pairs)]
        self.random.shuffle(sides)
        for topic, n in sides:
            self.producer.produce(topic, f"{topic[13]}{n}", str(n), partition=n % PARTITIONS)
        self.said += pairs
        same(0, self.producer.flush(20))

    def read(self):
        for message in self.reader.consume(500, 0.2):
            assert message.error() is None, message.error()
            self.got.append((message.key().decode(), message.value().decode()))

    def settle(self):
        want = collections.Counter((str(n), f"l{n}+r{n}") for n in range(self.said))
        def probe():
            self.read()
            missing = want - collections.Counter(self.got)
            assert not missing, f"{missing.total()} pairs are missing: {sorted(missing)[:3]}"
        eventually(LIMIT_S, probe, 0)
        self.read()
        more = collections.Counter(self.got) - want
        assert not more, f"{more.total()} pairs too many: {sorted(more)[:3]}"
        return f"pairs={self.said}"


def begin():
    for future in ADMIN.create_topics([ca.NewTopic(name, PARTITIONS, 1) for name in (LEFT, RIGHT, OUTPUT)]).values():
        future.result(20)


def first_run():
    one.start()
    pairs.say(300)
    return pairs.settle()


def crash():
    """In the middle of the input, and nobody else: what was open is aborted, the stores are what was committed."""
    pairs.say(1500)
    eventually(LIMIT_S, lambda: pairs.read() or len(pairs.got) > 350, 0)
    one.crash()
    one.start()
    pairs.say(100)
    return pairs.settle()


def second_instance():
    two.start()
    pairs.say(300)
    return pairs.settle()


def crash_of_one():
    """The other one restores the stores from their changelogs."""
    pairs.say(1500)
    before = len(pairs.got)
    eventually(LIMIT_S, lambda: pairs.read() or len(pairs.got) > before + 50, 0)
    one.crash()
    pairs.say(100)
    return pairs.settle()


shutil.rmtree(STATE, ignore_errors=True)
STATE.mkdir(parents=True)
checks = Checks()
one, two = Application("one"), Application("two")
try:
    if checks.check("topics", begin):
        pairs = Pairs()
        for name, call in (("join", first_run), ("crash", crash), ("second-instance", second_instance), ("crash-of-one", crash_of_one)):
            if not checks.check(name, call):
                break
finally:
    Jvm.end_all()
sys.exit(1 if checks.failed else 0)
