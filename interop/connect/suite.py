"""Kafka Connect: a file to a topic to a file, standalone and with two workers of a group; restarts, a crash, moved tasks.

    suite.py [exactly-once]

exactly-once: two workers whose source writes in transactions with its offsets, killed without a rest.

Run by ../run, with BOOTSTRAP. Else each worker rests before it is ended, so that what it did is committed: the files must be equal.
"""

import collections
import json
import os
import pathlib
import shutil
import sys
import time
import urllib.error
import urllib.request

import confluent_kafka as ck
from confluent_kafka import admin as ca

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness.check import Checks, eventually, same
from harness.jvm import Jvm
from harness.paths import WORK
from harness.ports import free_ports

BOOTSTRAP, AGAINST = os.environ["BOOTSTRAP"], os.environ["AGAINST"]
HOME = WORK / "connect"
ADMIN = ca.AdminClient({"bootstrap.servers": BOOTSTRAP})
LIMIT_S = 120
# Longer than Connect's interval of commits below.
REST_S = 1.5
COMMON = {
    "bootstrap.servers": BOOTSTRAP,
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.flush.interval.ms": 500,
    "plugin.discovery": "service_load",
    "consumer.session.timeout.ms": 6000,
}
CLI = "org.apache.kafka.connect.cli."


def write_properties(path, values):
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return path


class Worker(Jvm):
    """One Connect process with its REST interface on a port of its own."""

    def __init__(self, name, main, config, *connectors):
        self.name, self.main, self.connectors, self.log = name, main, connectors, f"{AGAINST}-connect-{name}"
        self.port = free_ports(1)[0]
        self.config = write_properties(HOME / f"{name}.properties",
                                       {**COMMON, "listeners": f"http://127.0.0.1:{self.port}", **config})

    @property
    def id(self):
        return f"127.0.0.1:{self.port}"

    def arguments(self):
        return (CLI + self.main, self.config, *self.connectors)

    def rest(self, method, path, body=None):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:300]}") from None
        return json.loads(text) if text else None


class Files:
    """The file that is read, and the one that is written."""

    def __init__(self, name):
        self.source, self.sink, self.lines = HOME / f"{name}.in", HOME / f"{name}.out", 0
        self.source.touch()

    def append(self, lines):
        with open(self.source, "a") as f:
            f.writelines(f"line {self.lines + n} {'x' * (n % 97)}\n" for n in range(lines))
        self.lines += lines

    def equal(self, in_order=True):
        """The sink holds each line once; in the source's order where the topic has one partition."""
        def probe():
            got = self.sink.read_text().splitlines()
            want = self.source.read_text().splitlines()
            if (got if in_order else sorted(got)) != (want if in_order else sorted(want)):
                a, b = collections.Counter(want), collections.Counter(got)
                raise AssertionError(f"{len(want)} lines read, {len(got)} written; missing {sorted(a - b)[:3]}, "
                                     f"too often {sorted(b - a)[:3]}" + ("" if a != b else ", not in order"))
        eventually(LIMIT_S, probe)
        return f"lines={self.lines}"


def source(name, files, topic):
    return {"name": name, "connector.class": "FileStreamSource", "tasks.max": 1, "file": files.source, "topic": topic}


def sink(name, files, topic, tasks):
    return {"name": name, "connector.class": "FileStreamSink", "tasks.max": tasks, "file": files.sink, "topics": topic}


def create_topic(name, partitions):
    for future in ADMIN.create_topics([ca.NewTopic(name, partitions, 1)]).values():
        future.result(20)


def committed(group, topic, partitions):
    """The sink's group committed everything that there is."""
    lookup = ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused"})
    def probe():
        (future,) = ADMIN.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)]).values()
        got = {(tp.topic, tp.partition): tp.offset for tp in future.result(20).topic_partitions}
        ends = {(topic, p): lookup.get_watermark_offsets(ck.TopicPartition(topic, p), timeout=10)[1] for p in range(partitions)}
        same({key: end for key, end in ends.items() if end}, {key: offset for key, offset in got.items() if offset})
        return f"records={sum(ends.values())}"
    try:
        return eventually(LIMIT_S, probe)
    finally:
        lookup.close()


class Standalone:
    topic = "connect-standalone"

    def __init__(self):
        self.files = Files("standalone")
        connectors = [write_properties(HOME / f"{c['name']}.properties", c) for c in (
            source("standalone-source", self.files, self.topic), sink("standalone-sink", self.files, self.topic, 1))]
        self.worker = Worker("standalone", "ConnectStandalone", {"offset.storage.file.filename": HOME / "standalone.offsets"},
                             *connectors)

    def first(self):
        create_topic(self.topic, 1)
        self.files.append(500)
        self.worker.start()
        return self.files.equal()

    def appended(self):
        self.files.append(250)
        return self.files.equal()

    def offsets(self):
        return committed("connect-standalone-sink", self.topic, 1)

    def restart(self):
        self.worker.stop()
        self.files.append(250)
        self.worker.start()
        return self.files.equal()

    def stop(self):
        self.worker.stop()

    def checks(self):
        return [("standalone-file-to-file", self.first), ("standalone-appended", self.appended),
                ("standalone-committed-offsets", self.offsets), ("standalone-restart", self.restart),
                ("standalone-stop", self.stop)]


class Distributed:
    topic, partitions, group = "connect-distributed", 4, "connect-cluster"
    names = ("distributed-source", "distributed-sink")
    # Its topics for itself, and its files.
    prefix, more = "connect", {}
    # Connectors and tasks.
    parts = 5

    def __init__(self):
        self.files = Files(self.group)
        self.a, self.b = (Worker(name, "ConnectDistributed", {
            "group.id": self.group, "config.storage.topic": f"{self.prefix}-configs", "offset.storage.topic": f"{self.prefix}-offsets",
            "status.storage.topic": f"{self.prefix}-status", "config.storage.replication.factor": 1,
            "offset.storage.replication.factor": 1, "status.storage.replication.factor": 1, "offset.storage.partitions": 3,
            "status.storage.partitions": 2, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
            # Tasks of a worker that is gone move after this, not after five minutes.
            "scheduled.rebalance.max.delay.ms": 1000, **self.more,
        }) for name in (f"{self.prefix}-worker-a", f"{self.prefix}-worker-b"))

    def statuses(self, worker):
        """Connector or task → the worker that runs it; all must be running."""
        found = {}
        for name in self.names:
            got = worker.rest("GET", f"/connectors/{name}/status")
            for part, key in [(got["connector"], name)] + [(task, f"{name}-{task['id']}") for task in got["tasks"]]:
                same("RUNNING", part["state"])
                found[key] = part["worker_id"]
        same(self.parts, len(found))
        return found

    def running_on(self, worker, *workers):
        """Both connectors and their three tasks run, on each of these workers some and on no other."""
        def probe():
            same({w.id for w in workers}, set(self.statuses(worker).values()))
        eventually(LIMIT_S, probe)

    def start(self):
        self.a.start()
        self.b.start()
        for worker in (self.a, self.b):
            eventually(LIMIT_S, lambda: same([], worker.rest("GET", "/connectors")))
        found = ADMIN.list_topics(timeout=20).topics
        internal = {f"{self.prefix}-configs": 1, f"{self.prefix}-offsets": 3, f"{self.prefix}-status": 2}
        same(internal, {name: len(found[name].partitions) for name in internal if name in found})

    def create(self):
        create_topic(self.topic, self.partitions)
        self.files.append(400)
        for config in (source("distributed-source", self.files, self.topic), sink("distributed-sink", self.files, self.topic, 2)):
            config = {key: str(value) for key, value in config.items()}
            # The second is created at the other worker, which passes it on to the leader.
            worker = self.a if config["name"].endswith("source") else self.b
            eventually(LIMIT_S, lambda: worker.rest("PUT", f"/connectors/{config['name']}/config", config) and None, 0.5)
        self.running_on(self.a, self.a, self.b)
        return self.files.equal(in_order=False)

    def crash(self):
        """The worker with the source's task is killed: the other one takes its tasks and goes on where it was."""
        owner = self.statuses(self.a)["distributed-source-0"]
        self.victim, self.left = (self.a, self.b) if owner == self.a.id else (self.b, self.a)
        time.sleep(REST_S)
        self.victim.crash()
        self.files.append(300)
        self.running_on(self.left, self.left)
        return self.files.equal(in_order=False)

    def back(self):
        time.sleep(REST_S)
        self.victim.start()
        self.running_on(self.left, self.a, self.b)
        self.files.append(300)
        return self.files.equal(in_order=False)

    def restart(self):
        """Both are stopped and started: connectors, their configuration and their offsets come from the topics."""
        time.sleep(REST_S)
        for worker in (self.a, self.b):
            worker.stop()
        self.files.append(200)
        for worker in (self.a, self.b):
            worker.start()
        self.running_on(self.b, self.a, self.b)
        return self.files.equal(in_order=False)

    def offsets(self):
        """The source's offset is written at an interval, and read back by the worker that is asked."""
        def probe():
            got = self.a.rest("GET", "/connectors/distributed-source/offsets")["offsets"]
            same([self.files.source.stat().st_size], [each["offset"]["position"] for each in got])
        eventually(LIMIT_S, probe)
        return committed("connect-distributed-sink", self.topic, self.partitions)

    def delete(self):
        for name in ("distributed-source", "distributed-sink"):
            self.b.rest("DELETE", f"/connectors/{name}")
        eventually(LIMIT_S, lambda: same([], self.a.rest("GET", "/connectors")))
        for worker in (self.a, self.b):
            worker.stop()

    def checks(self):
        return [("distributed-start", self.start), ("distributed-file-to-file", self.create),
                ("distributed-worker-killed", self.crash), ("distributed-worker-back", self.back),
                ("distributed-restart", self.restart), ("distributed-offsets", self.offsets),
                ("distributed-delete", self.delete)]


class ExactlyOnce(Distributed):
    """The source's records and its offsets are in one transaction: the topic has each line once and in order, whatever is killed."""

    topic, partitions, group, prefix = "connect-exactly-once", 1, "connect-exactly", "connect-exactly"
    names, parts, more = ("exactly-source",), 2, {"exactly.once.source.support": "enabled"}

    def topic_equal(self):
        """What a reader of committed records finds is the file."""
        want = self.files.source.read_text().splitlines()
        def probe():
            reader = ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                                  "isolation.level": "read_committed"})
            reader.assign([ck.TopicPartition(self.topic, 0, 0)])
            got = []
            while rows := reader.consume(500, 1):
                got += [m.value().decode() for m in rows if not m.error()]
            reader.close()
            if got != want:
                a, b = collections.Counter(want), collections.Counter(got)
                raise AssertionError(f"{len(want)} lines, {len(got)} records; missing {sorted(a - b)[:3]}, too often {sorted(b - a)[:3]}")
        eventually(LIMIT_S, probe)
        return f"lines={self.files.lines}"

    def all_run(self, worker):
        """Both on one worker or on two, as their group wants it."""
        eventually(LIMIT_S, lambda: self.statuses(worker) and None)

    def create(self):
        create_topic(self.topic, 1)
        self.files.append(400)
        config = {**source(self.names[0], self.files, self.topic), "exactly.once.support": "required", "transaction.boundary": "poll",
                  "batch.size": 20,
                  # A worker that starts waits for the end of a transaction that was left open, with Kafka as with us.
                  "producer.override.transaction.timeout.ms": 3000}
        config = {key: str(value) for key, value in config.items()}
        eventually(LIMIT_S, lambda: self.a.rest("PUT", f"/connectors/{self.names[0]}/config", config) and None, 0.5)
        self.all_run(self.a)
        return self.topic_equal()

    def crash(self):
        """The worker with the task is killed in the middle of the lines."""
        owner = self.statuses(self.a)[f"{self.names[0]}-0"]
        self.victim, self.left = (self.a, self.b) if owner == self.a.id else (self.b, self.a)
        self.files.append(3000)
        time.sleep(0.4)
        self.victim.crash()
        self.files.append(300)
        self.running_on(self.left, self.left)
        return self.topic_equal()

    def both_crash(self):
        self.victim.start()
        self.all_run(self.left)
        self.files.append(3000)
        time.sleep(0.4)
        for worker in (self.a, self.b):
            worker.crash()
        for worker in (self.a, self.b):
            worker.start()
        self.all_run(self.a)
        self.files.append(100)
        return self.topic_equal()

    def delete(self):
        self.b.rest("DELETE", f"/connectors/{self.names[0]}")
        eventually(LIMIT_S, lambda: same([], self.a.rest("GET", "/connectors")))
        for worker in (self.a, self.b):
            worker.stop()
        return self.topic_equal()

    def checks(self):
        return [("exactly-once-start", self.start), ("exactly-once-file-to-topic", self.create),
                ("exactly-once-worker-killed", self.crash), ("exactly-once-both-killed", self.both_crash),
                ("exactly-once-delete", self.delete)]


shutil.rmtree(HOME, ignore_errors=True)
HOME.mkdir(parents=True)
checks = Checks()
try:
    for part in [ExactlyOnce()] if "exactly-once" in sys.argv else [Standalone(), Distributed()]:
        for name, call in part.checks():
            if not checks.check(name, call):
                break
finally:
    Jvm.end_all()
sys.exit(1 if checks.failed else 0)
