"""Processes that append to lists and read them in transactions, a reader beside them, and what is to be said of it all at the end.

Used by `suite.py`, and by ../faults as one more workload.
"""

import collections
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time

import anomalies
import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic
from harness import step
from harness.check import eventually
from harness.offsets import ends
from harness.paths import BROKER_JARS, LOG4J, LOGS, WORK

HERE = pathlib.Path(__file__).resolve().parent
TOPIC, PARTITIONS, TIMEOUT_S, FENCED, HUNG = "lists", 6, 6, 3, 4
JAVA = ["java", "-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{WORK / 'java' / 'exactly'}:{BROKER_JARS}/*", "Appender"]
COMMANDS = {"java": JAVA, "librdkafka": [sys.executable, HERE / "appender.py"]}
ACTS = ("kill", "pause", "double")


class Appends:
    def __init__(self, name, bootstrap, directory, clients=("java", "java", "librdkafka", "librdkafka"), isolation="read_committed"):
        self.name, self.bootstrap, self.isolation = name, bootstrap, isolation
        self.flag, self.seats = directory / "appending", {f"{client}-{i}": client for i, client in enumerate(clients)}
        self.processes, self.olds, self.starts, self.ended = {}, [], collections.Counter(), []
        self.reading, self.seen = threading.Event(), []

    def start(self, copies):
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        (future,) = admin.create_topics([NewTopic(TOPIC, PARTITIONS, copies)], operation_timeout=30).values()
        future.result(40)
        self.flag.touch()
        for name in self.seats:
            self.start_one(name)
        self.reading.set()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

        def all_commit():
            self.watch()
            assert not self.ended, self.ended
            idle = [name for name in self.seats if not any(e["ev"] == "committed" for e in self.events(name))]
            assert not idle, f"{idle} have committed nothing yet"
        eventually(90, all_commit, 0.3)

    def log(self, name):
        return f"{self.name}-append-{name}"

    def start_one(self, name):
        words = [*COMMANDS[self.seats[name]], self.bootstrap, TOPIC, PARTITIONS, name, self.isolation, self.flag]
        self.processes[name] = step.spawn(self.log(name), words, append=self.starts[name] > 0)
        self.starts[name] += 1

    def watch(self):
        """The last one of a seat lives. One that lost its place, also to the coordinator's clock, says so and begins anew."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                if process.returncode not in (FENCED, HUNG):
                    self.ended.append(f"{name} ended with {process.returncode}")
                self.start_one(name)

    def events(self, name):
        for line in (LOGS / f"{self.log(name)}.out").read_text(errors="replace").splitlines():
            # A line may be torn where its writer was killed.
            if line.startswith("{") and line.endswith("}"):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def consumer(self, **more):
        return ck.Consumer({"bootstrap.servers": self.bootstrap, "group.id": "unused", "enable.auto.commit": False, "log_level": 2,
                            "isolation.level": self.isolation, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
                            "reconnect.backoff.max.ms": 300, **more})

    def read(self):
        """One that reads all lists from the beginning, in no transaction."""
        consumer = self.consumer()
        consumer.assign([ck.TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
        while self.reading.is_set():
            found = [[m.partition(), m.offset(), m.value().decode()] for m in consumer.consume(500, 0.1) if not m.error()]
            if found:
                self.seen.append({"t": time.monotonic() * 1000, "ev": "seen", "reader": "reader", "r": found})
        consumer.close()

    def act(self, kind, chance, idle=time.sleep):
        name = chance.choice(sorted(self.processes))
        process = self.processes[name]
        if kind == "kill":
            step.end_group(process, 0)
            self.start_one(name)
        elif kind == "double":
            # Two with one id: the old one is to notice that it has lost its place.
            self.olds.append(process)
            self.start_one(name)
        else:
            os.killpg(process.pid, signal.SIGSTOP)
            # For a moment, or for longer than its transaction lasts.
            idle(chance.choice([1, TIMEOUT_S + 3]))
            os.killpg(process.pid, signal.SIGCONT)

    def disturb(self, seed, stopping):
        """Acts without end, for a workload beside others."""
        chance = random.Random(seed)
        while not stopping.wait(chance.uniform(1, 4)):
            self.act(chance.choice(ACTS), chance)
            self.watch()

    def end(self):
        """All stand still, which ends what they have open; they are ended, and all lists are read to their ends."""
        self.flag.unlink()
        begin = {name: (LOGS / f"{self.log(name)}.out").stat().st_size for name in self.seats}

        def still():
            self.watch()
            for name in self.seats:
                with open(LOGS / f"{self.log(name)}.out", "rb") as file:
                    file.seek(begin[name])
                    assert b'"still"' in file.read(), f"{name} does not stand still"
        eventually(90, still, 0.2)
        # Nothing is open, and nobody waits for clients that say goodbye. Of two with one name the older one may write nothing any more.
        for process in [*self.processes.values(), *self.olds]:
            step.end_group(process, 0)
        final = self.all_of_it()
        self.reading.clear()
        self.reader.join(20)
        self.history = anomalies.History([*(e for name in self.seats for e in self.events(name)), *self.seen], final)
        assert not self.ended, self.ended
        outcomes = collections.Counter(t.outcome or ("unknown" if t.asked_ms else "left") for t in self.history.transactions.values())
        return " ".join(f"{kind}={n}" for kind, n in sorted(outcomes.items()))

    def all_of_it(self):
        reader = self.consumer(**{"enable.partition.eof": True})
        end = eventually(30, lambda: ends(self.bootstrap, TOPIC, PARTITIONS), 0.5)
        reader.assign([ck.TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
        found, at, limit = collections.defaultdict(list), dict.fromkeys(range(PARTITIONS), 0), time.monotonic() + 60
        while any(at[p] < end[p] for p in end):
            assert time.monotonic() < limit, f"read up to {at} of {end}: a transaction stays open"
            for message in reader.consume(1000, 0.5):
                if not message.error():
                    found[message.partition()].append((message.offset(), message.value().decode()))
                elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                    # The end for a reader of committed records is where the first open transaction begins.
                    at[message.partition()] = max(at[message.partition()], message.offset())
        reader.close()
        return found

    def verdict(self, checks):
        """A check for each kind of anomaly; what is legal is only counted."""
        for name, find in anomalies.FORBIDDEN.items():
            checks.check(name, self.none, find)
        checks.check("legal", lambda: " ".join(f"{name}={n}" for name, n in anomalies.legal(self.history).items()))

    def none(self, find):
        wrong = find(self.history)
        assert not wrong, f"{len(wrong)}: " + " | ".join(wrong[:10])

    def kill(self):
        self.reading.clear()
        for process in [*self.processes.values(), *self.olds]:
            step.end_group(process, 0)

    def tidy(self):
        for path in LOGS.glob(f"{self.name}-append-*"):
            path.unlink()
