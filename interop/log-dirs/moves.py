"""Replicas of a cluster move between the directories of their brokers, while everything else goes on.

    ../run --only moves

Of followers and leaders, while leaderships move, while logs are cleaned, while replicas move to other brokers, while topics are deleted,
through a kill -9, and not faster than allowed. A disk is not mounted, or replaced by a new one. Then every acknowledged record is on every replica, all replicas hold the same bytes, nothing is
left of old and half-made logs, and the metadata says for each replica the directory it is in. Three nodes with two directories each. Run by
../run, with AGAINST and MONEDULA_BIN.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bad-input"), str(HERE.parent / "retention"), str(HERE.parent)]
import wire as raw
from harness import wire
from harness.check import Checks, eventually, same
from harness.cluster import Cluster
from harness.paths import TOOLS_JARS, WORK
from harness.server import java
from harness.step import run
from records import batches, contents

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
PRODUCE, METADATA, CREATE_TOPICS, DELETE_TOPICS, ALTER_DIRS, DESCRIBE_DIRS = 0, 3, 19, 20, 34, 35
ELECT_LEADERS, ALTER_CONFIGS, REASSIGN = 43, 44, 45
BROKERS = 4
NODES, DIRS = 3, 2
CONFIG = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "300", "auto.create.topics.enable": "false",
          "log.cleaner.backoff.ms": "100", "log.segment.delete.delay.ms": "500", "log.initial.task.delay.ms": "100",
          "replica.fetch.wait.max.ms": "100", "min.insync.replicas": "1", "log.retention.check.interval.ms": "1000"}
# Of moves, in bytes a second, and what a topic has at first: some seconds' worth.
LIMIT, FILL, FILL_BATCH = 2_000_000, 6_000_000, 100_000
LIMIT_KEY = "replica.alter.log.dirs.io.max.bytes.per.second"
MOVED_S = 40


class World:
    def __init__(self):
        directory = WORK / "servers" / f"moves-{AGAINST}"
        shutil.rmtree(directory, ignore_errors=True)
        self.cluster = Cluster(directory, AGAINST, combined=NODES, binary=BINARY, extra=CONFIG, log_dirs=DIRS, name=f"moves-{AGAINST}")
        self.writers = {}

    def call(self, node, key, version, request):
        with wire.Connection(self.cluster.node(node).address, "moves") as connection:
            return connection.call(key, version, request)

    def create(self, name, replicas, **configs):
        """A topic with something in it, and somebody who goes on writing."""
        topic = {"Name": name, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [{"PartitionIndex": 0, "BrokerIds": replicas}],
                 "Configs": [{"Name": key.replace("_", "."), "Value": value} for key, value in configs.items()]}
        answer = self.call(1, CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer
        self.cluster.wait_in_sync(name)
        self.writers[name] = Writer(self, name, keyed="cleanup_policy" in configs)
        if "cleanup_policy" not in configs:
            self.writers[name].fill(FILL)
        self.writers[name].start()

    def dirs(self, node):
        return [str(path) for path in self.cluster.node(node).logs_dirs]

    def places(self, node, topic):
        """(directory, is it a copy that is being made) of a replica, the log first; for a moment of a move Kafka may tell of none."""
        answer = self.call(node, DESCRIBE_DIRS, 4, {"Topics": [{"Topic": topic, "Partitions": [0]}]})
        found = [(r["LogDir"], p["IsFutureKey"]) for r in answer["Results"] for t in r["Topics"] for p in t["Partitions"] if t["Name"] == topic]
        return sorted(found, key=lambda place: place[1])

    def other(self, node, topic):
        here = eventually(10, lambda: self.places(node, topic) or False)[0][0]
        return next(path for path in self.dirs(node) if path != here)

    def alter(self, node, topic, to):
        request = {"Dirs": [{"Path": to, "Topics": [{"Name": topic, "Partitions": [0]}]}]}
        answer = self.call(node, ALTER_DIRS, 2, request)["Results"][0]["Partitions"][0]["ErrorCode"]
        same(0, answer)

    def begin(self, node, topic):
        """A move has begun and is not over."""
        to = self.other(node, topic)
        self.alter(node, topic, to)
        eventually(5, lambda: same([False, True], [copy for _, copy in self.places(node, topic)]), 0.01)
        return to

    def wait_moved(self, node, topic, to):
        eventually(MOVED_S, lambda: same([(to, False)], self.places(node, topic)))

    def reassign(self, topic, replicas):
        topics = [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Replicas": replicas}]}]
        answer = self.call(1, REASSIGN, 0, {"TimeoutMs": 10_000, "Topics": topics})
        same((0, 0), (answer["ErrorCode"], answer["Responses"][0]["Partitions"][0]["ErrorCode"]))

    def elect(self, topic):
        request = {"ElectionType": 0, "TopicPartitions": [{"Topic": topic, "Partitions": [0]}], "TimeoutMs": 10_000}
        answer = self.call(1, ELECT_LEADERS, 2, request)
        same(0, answer["ErrorCode"])

    def limit(self, value):
        configs = [{"Name": LIMIT_KEY, "ConfigOperation": 0 if value else 1, "Value": value and str(value)}]
        request = {"Resources": [{"ResourceType": BROKERS, "ResourceName": "", "Configs": configs}], "ValidateOnly": False}
        same(0, self.call(1, ALTER_CONFIGS, 1, request)["Responses"][0]["ErrorCode"])

    def leader(self, topic):
        return self.cluster.partitions(topic)[0]["LeaderId"]

    def names(self, node, topic):
        """What lies in the directories of a node for a topic."""
        return sorted(p.name for path in self.dirs(node) for p in pathlib.Path(path).iterdir() if p.name.startswith(f"{topic}-0"))

    def batches(self, node, topic):
        (folder,) = (pathlib.Path(path) / f"{topic}-0" for path in self.dirs(node) if (pathlib.Path(path) / f"{topic}-0").is_dir())
        return [b for file in sorted(folder.glob("*.log")) for b in batches(file.read_bytes())]


class Writer(threading.Thread):
    """Writes numbered records, and tries each again until it is acknowledged by all replicas in sync."""

    def __init__(self, world, topic, keyed):
        super().__init__(daemon=True)
        self.world, self.topic, self.keyed, self.done, self.acked = world, topic, keyed, threading.Event(), []
        self.connection = None

    def send(self, records):
        """The offset, or nothing: then it is to be tried again."""
        try:
            if self.connection is None:
                leader = self.world.leader(self.topic)
                if leader < 0:
                    return None
                self.connection = wire.Connection(self.world.cluster.node(leader).address, "moves")
            data = [{"Name": self.topic, "PartitionData": [{"Index": 0, "Records": records}]}]
            answer = self.connection.call(PRODUCE, 9, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 5000, "TopicData": data})
            answer = answer["Responses"][0]["PartitionResponses"][0]
            if answer["ErrorCode"] == 0:
                return answer["BaseOffset"]
        except (OSError, IndexError, KeyError):
            pass
        if self.connection:
            self.connection.close()
        self.connection = None
        return None

    def fill(self, size):
        filler = raw.batch([raw.record(value=b"f" * FILL_BATCH)], first_ts=int(time.time() * 1000))
        for _ in range(size // FILL_BATCH):
            eventually(10, lambda: self.send(filler) is not None)

    def run(self):
        number = 0
        while not self.done.is_set():
            value = b"%s %d " % (self.topic.encode(), number) + b"x" * 500
            key = b"key-%d" % (number % 7) if self.keyed else None
            batch = raw.batch([raw.record(value=value, key=key)], first_ts=int(time.time() * 1000))
            while not self.done.is_set():
                offset = self.send(batch)
                if offset is not None:
                    self.acked.append((offset, value))
                    break
                time.sleep(0.05)
            number += 1
            time.sleep(0.01)

    def stop(self):
        self.done.set()
        if self.ident:
            self.join(30)


def follower(world):
    """Not faster than is allowed."""
    world.create("follower", [1, 2, 3])
    began = time.monotonic()
    world.wait_moved(3, "follower", world.begin(3, "follower"))
    spent = time.monotonic() - began
    assert spent > FILL / LIMIT / 2, f"{FILL} bytes in {spent:.1f} s"
    return f"s={spent:.1f}"


def leader(world):
    """The leader's replica; another leads before it is there, and this one again."""
    world.create("leader", [1, 2, 3])
    to = world.begin(1, "leader")
    for order in ([2, 3, 1], [1, 2, 3]):
        world.reassign("leader", order)
        world.elect("leader")
        eventually(15, lambda order=order: same(order[0], world.leader("leader")))
    world.wait_moved(1, "leader", to)


def cleaned(world):
    """Of a compacted log, leader and follower, again and again while the cleaner works on them."""
    world.create("cleaned", [2, 3, 1], cleanup_policy="compact", min_cleanable_dirty_ratio="0.01", internal_segment_bytes="4000")
    for _ in range(5):
        moved = [(node, world.other(node, "cleaned")) for node in (2, 3)]
        for node, to in moved:
            world.alter(node, "cleaned", to)
        for node, to in moved:
            world.wait_moved(node, "cleaned", to)
        time.sleep(0.5)
    acked, kept = len(world.writers["cleaned"].acked), sum(1 for _ in world.batches(2, "cleaned"))
    assert kept < acked, f"nothing was cleaned: {kept} batches of {acked} records"


def reassigned(world):
    """The replica that moves is taken away from its broker, and the one that comes moves as soon as it is there."""
    world.create("reassigned", [1, 2])
    world.begin(2, "reassigned")
    world.reassign("reassigned", [1, 3])
    eventually(MOVED_S, lambda: same([1, 3], sorted(world.cluster.partitions("reassigned")[0]["IsrNodes"])))
    world.wait_moved(3, "reassigned", world.begin(3, "reassigned"))
    eventually(20, lambda: same([], world.names(2, "reassigned")))


def deleted(world):
    world.create("deleted", [3, 1, 2])
    for node in (1, 3):
        world.begin(node, "deleted")
    world.writers.pop("deleted").stop()
    answer = world.call(1, DELETE_TOPICS, 6, {"Topics": [{"Name": "deleted", "TopicId": wire.NO_ID}], "TimeoutMs": 5000})
    same(0, answer["Responses"][0]["ErrorCode"])
    eventually(20, lambda: same([[]] * NODES, [world.names(node, "deleted") for node in range(1, NODES + 1)]))


def killed(world):
    """A follower's broker, and then the leader's."""
    world.create("killed", [2, 3, 1])
    for node in (3, 2):
        to = world.begin(node, "killed")
        world.cluster.node(node).kill()
        world.cluster.node(node).start()
        world.wait_moved(node, "killed", to)
        world.cluster.wait_in_sync("killed")


def kept(world):
    """What was acknowledged is on every replica, and all have the same."""
    for writer in world.writers.values():
        writer.stop()
    counts = []
    for topic, writer in world.writers.items():
        world.cluster.wait_in_sync(topic)
        nodes = world.cluster.partitions(topic)[0]["ReplicaNodes"]
        def equal(topic=topic, writer=writer, nodes=nodes):
            held = {node: world.batches(node, topic) for node in nodes}
            if writer.keyed:
                held = {node: {key: (offset, value) for b in found for offset, key, value in contents(b)} for node, found in held.items()}
                last = {b"key-%d" % (int(value.split()[1]) % 7): (offset, value) for offset, value in writer.acked}
                for found in held.values():
                    same([], [key for key, want in last.items() if found.get(key) != want])
            else:
                ends = {node: struct.unpack_from(">q", found[-1])[0] for node, found in held.items()}
                assert len(set(ends.values())) == 1, f"last offsets {ends}"
                assert all(found == held[nodes[0]] for found in held.values()), f"batches differ: { {n: len(f) for n, f in held.items()} }"
                values = {offset: value for b in held[nodes[0]] for offset, _, value in contents(b)}
                same([], [offset for offset, value in writer.acked if values.get(offset) != value][:5])
        eventually(20, equal)
        counts.append(f"{topic}={len(writer.acked)}")
    return ",".join(counts)


def nothing_left(world):
    """Without a limit; no copy, and after its delay no old log either."""
    world.limit(None)
    world.alter(3, "follower", world.dirs(3)[1])
    world.wait_moved(3, "follower", world.dirs(3)[1])

    def clean():
        for topic in world.writers:
            replicas = world.cluster.partitions(topic)[0]["ReplicaNodes"]
            for node in range(1, NODES + 1):
                same([f"{topic}-0"] if node in replicas else [], world.names(node, topic))
    eventually(20, clean)


def metadata_knows(world):
    """Kafka's tool reads the metadata log: each replica is assigned to the directory that it is in. After a clean stop."""
    log = sorted(world.cluster.node(1).metadata.glob("__cluster_metadata-0/*.log"))
    command = java(["-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], TOOLS_JARS, "org.apache.kafka.tools.DumpLogSegments",
                   "--cluster-metadata-decoder", "--files", ",".join(map(str, log)))
    text = run(f"moves-{AGAINST}-dump", command, 60)[1]
    ids, replicas, directories = {}, {}, {}
    for line in text.splitlines():
        kind = re.search(r'"type":"(\w+)"', line)
        field = lambda name: re.search(rf'"{name}":(\[[^\]]*\]|"[^"]*"|-?\d+)', line)
        if not kind:
            continue
        if kind[1] == "TOPIC_RECORD":
            ids[field("topicId")[1].strip('"')] = field("name")[1].strip('"')
        elif kind[1] in ("PARTITION_RECORD", "PARTITION_CHANGE_RECORD"):
            topic = field("topicId")[1]
            if field("replicas"):
                replicas[topic] = re.findall(r"\d+", field("replicas")[1])
            if field("directories"):
                directories[topic] = re.findall(r'"([^"]+)"', field("directories")[1])
    known = {ids[topic.strip('"')]: dict(zip(replicas[topic], directories[topic])) for topic in directories}
    for topic in world.writers:
        for node, directory in known[topic].items():
            (here,) = (path for path in world.cluster.node(int(node)).logs_dirs if (path / f"{topic}-0").is_dir())
            own = re.search(r"^directory.id=(\S+)", (here / "meta.properties").read_text(), re.M)[1]
            assert own == directory, f"{topic} on node {node} is in {own}, the metadata says {directory}"


def empty_directory(world):
    """A disk that is not mounted: a directory of a node that was in use is there, and empty. Nothing may be made in it. With the disk all is as
    before."""
    node = world.cluster.node(3)
    place = node.logs_dirs[1]
    disk = place.with_name("disk")
    place.rename(disk)
    place.mkdir()
    node.start(wait=False, formatted=True)
    eventually(40, lambda: not node.alive())
    words = node.err.read_text() + node.out.read_text()
    assert node.process.returncode != 0 and str(place) in words, f"code {node.process.returncode}, {words[-300:]}"
    node.process = None
    same([], [p.name for p in place.iterdir() if p.name != ".lock"])
    shutil.rmtree(place)
    disk.rename(place)
    world.cluster.start()
    return kept(world)


def new_disk(world):
    """An empty disk that is formatted takes the place of a lost one: what was on it comes from the other brokers."""
    node = world.cluster.node(3)
    lost = [p.name for p in node.logs_dirs[1].iterdir() if (p / "partition.metadata").exists()]
    assert "follower-0" in lost, lost
    node.stop()
    shutil.rmtree(node.logs_dirs[1])
    node.start()
    return f"lost={len(lost)} {kept(world)}"


def main():
    world, checks = World(), Checks()
    try:
        world.cluster.start()
        world.limit(LIMIT)
        cases = [follower, leader, cleaned, reassigned, deleted]
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            running = [(case.__name__, pool.submit(case, world)) for case in cases]
            for name, result in running:
                checks.check(name, result.result)
        for case in (killed, kept, nothing_left):
            checks.check(case.__name__, case, world)
        checks.check("stop", world.cluster.stop)
        checks.check("metadata-knows", metadata_knows, world)
        for name, case in (("empty-directory", empty_directory), ("new-disk", new_disk)):
            checks.check(name, case, world)
    finally:
        world.cluster.kill()
    sys.exit(1 if checks.failed else 0)


main()
