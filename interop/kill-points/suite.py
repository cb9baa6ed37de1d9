"""A server that dies at named changes of its disk, and at random, under load: whatever was acknowledged is there, and Apache Kafka
agrees on what is left.

Run by ../run, with AGAINST and MONEDULA_BIN; the server that dies is crates/monedula/examples/killed_node. Against Kafka it dies at
random only. Arguments: --rounds N (default: one for each point of the short list, then at random), --all (every point), --seed N.
"""

import argparse
import functools
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]
import dump
from confluent_kafka.admin import AdminClient, NewTopic
from harness import server, step, wire
from harness.check import Checks
from harness.paths import LOG4J, PROJECT, TOOLS_JARS, WORK
from load import COMPACTED, PARTITIONS, PLAIN, TRANSACTIONAL, Load

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
ROOT = WORK / "servers" / f"kill-points-{AGAINST}"
JAVA = ["java", "-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}", "-cp",
        f"{WORK / 'java' / 'disk'}:{TOOLS_JARS}/*", "Disk"]
CONFIG = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "300", "offsets.topic.num.partitions": "2",
          "transaction.state.log.num.partitions": "2", "log.flush.offset.checkpoint.interval.ms": "300", "auto.create.topics.enable": "false",
          "replica.high.watermark.checkpoint.interval.ms": "300", "log.retention.check.interval.ms": "500", "file.delete.delay.ms": "100",
          "log.cleaner.backoff.ms": "100"}
# Little is cleaned and nothing removed while two servers are compared.
CALM = {**CONFIG, "log.cleaner.backoff.ms": "600000", "log.retention.check.interval.ms": "600000"}
SEGMENTS = {"segment.ms": "700", "retention.ms": "-1"}
TOPICS = {PLAIN: (PARTITIONS, SEGMENTS), TRANSACTIONAL: (PARTITIONS, SEGMENTS),
          COMPACTED: (1, {**SEGMENTS, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"})}
SHORT = ["write:*/crash-plain-0/*.log:150:half", "rename:*/crash-compact-0/*.log:1:before", "create:*/crash-plain-1/*.snapshot:2:after",
         "rename:*/crash-txn-0/leader-epoch-checkpoint:1:before", "write:*/crash-plain-2/*.log:100:half"]
FILES = ["*/crash-plain-?/*.log", "*/crash-txn-?/*.log", "*/crash-*/*.index", "*/crash-*/*.timeindex", "*/crash-txn-?/*.txnindex",
         "*/crash-*/*.snapshot", "*/crash-*/leader-epoch-checkpoint*", "*/recovery-point-offset-checkpoint*",
         "*/replication-offset-checkpoint*", "*/crash-compact-0/*.cleaned", "*/crash-compact-0/*.swap", "*/crash-compact-0/*.log",
         "*/crash-*/*.deleted", "*/cleaner-offset-checkpoint*", "*/__transaction_state-?/*.log", "*/__cluster_metadata-0/*.log"]
# A round in which the point does not come ends at random.
ROUND_S = 3.0
# Those of the short form come, also on a slow machine.
COMES_S = 30.0
rng = random.Random()


def points(args):
    if AGAINST != "monedula":
        return [None] * (args.rounds or 4)
    if not args.all:
        chosen = SHORT[:args.rounds] if args.rounds else SHORT
        return chosen + [None] * max(0, args.rounds - len(chosen))
    every = [f"{action}:{file.replace('?', '*')}:{count}:{moment}"
             for action in ("create", "write", "sync", "set-len", "rename", "remove") for file in FILES
             for count in (1, 3, 30) for moment in ("before", "half", "after") if (action == "write") or moment != "half"]
    rng.shuffle(every)
    return every[:args.rounds] if args.rounds else every


def killed_node():
    """The example that dies, built where `cargo test` has built it already; KILLED_NODE_BIN names one that is there."""
    if os.environ.get("KILLED_NODE_BIN"):
        return os.environ["KILLED_NODE_BIN"]
    step.run("build-killed-node", ["cargo", "build", "-q", "-p", "monedula", "--example", "killed_node"], 1800, cwd=PROJECT)
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=PROJECT, check=True,
                              capture_output=True, text=True).stdout
    return re.search(r'"target_directory":"([^"]+)"', metadata).group(1) + "/debug/examples/killed_node"


class Round:
    """One life of the server, to its death."""

    def __init__(self, victim, point):
        self.victim, self.point, self.by_point = victim, point, False
        os.environ.pop("DIE_AT", None)
        if point:
            os.environ["DIE_AT"] = point
        try:
            victim.start()
        except step.Failed as error:
            if "ended with -9" not in str(error):
                raise
            self.by_point = True
            victim.process = None

    def die(self, limit_s):
        end = time.monotonic() + (limit_s if self.point else rng.uniform(0.5, limit_s))
        while self.victim.process and time.monotonic() < end:
            if self.victim.process.poll() is not None:
                assert self.victim.process.returncode == -9, f"ended with {self.victim.process.returncode}: {step.tail(self.victim.err, 8)}"
                self.by_point, self.victim.process = True, None
            time.sleep(0.01)
        self.victim.kill()


@functools.lru_cache(None)
def in_segment(path, _size, _changed_ns):
    """offset -> value in a file. One that nobody has touched since the last round holds what it held."""
    return {offset: value for batch in dump.in_file(path.read_bytes()) if batch.whole for offset, value in dump.values(batch.bytes)}


def on_disk(data):
    """(topic, partition) -> offset -> value of every record in the files, which are those of a dead server."""
    found = {}
    for topic in (PLAIN, TRANSACTIONAL):
        for partition in range(PARTITIONS):
            values = found[topic, partition] = {}
            for path in (data / f"{topic}-{partition}").glob("*.log"):
                info = path.stat()
                values.update(in_segment(path, info.st_size, info.st_mtime_ns))
    return found


def everything_acked_is_there(load, data):
    with load.lock:
        acked = dict(load.acked)
    found = on_disk(data)
    lost = [(where, value.split(":")[0]) for where, value in acked.items() if found[where[:2]].get(where[2]) != value.split(":")[0]]
    assert not lost, f"{len(lost)} of {len(acked)} acknowledged records are lost or different: {lost[:3]}"
    return len(acked)


def latest_values(bootstrap, load):
    """A compacted topic keeps each key's last value, or a later one that was written and not acknowledged."""
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False, "log_level": 0})
    _, end = consumer.get_watermark_offsets(TopicPartition(COMPACTED, 0), 60)
    consumer.assign([TopicPartition(COMPACTED, 0, 0)])
    last, limit = {}, time.monotonic() + 60
    while consumer.position([TopicPartition(COMPACTED, 0)])[0].offset < end and time.monotonic() < limit:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            last[message.key().decode()] = message.offset(), message.value().decode()
    consumer.close()
    wrong = [key for (_, key), (offset, value) in load.latest.items()
             if last.get(key, (-1, ""))[0] < offset or last[key][0] == offset and last[key][1] != value]
    assert load.latest and not wrong, f"keys {wrong[:5]} of {len(load.latest)}: {[last.get(key) for key in wrong[:2]]}"
    return f"keys={len(load.latest)}"


class Copy:
    """The directory as a crash has left it, under another server."""

    def __init__(self, name, kind, data):
        self.name, self.path = name, ROOT / name
        shutil.copytree(data, self.path / "data")
        self.server = server.Server(kind, self.path, BINARY, CALM, name=f"kill-points-{AGAINST}-{name}")
        self.server.start()

    def facts(self):
        """What a client sees of every partition, and where each epoch ends."""
        text = step.run(f"kill-points-{AGAINST}-{self.name}-digest", [*JAVA, "digest"], 120, env={"BOOTSTRAP": self.server.bootstrap})[1]
        lines = [line for line in text.splitlines() if re.match(f"partition {PLAIN}-", line)]
        # The cleaner's first pass comes at a start: which records it has taken by now is not the crash's doing.
        lines += [re.sub(r" count=.* producers=", " producers=", line) for line in text.splitlines() if line.startswith(f"partition {COMPACTED}-")]
        for topic, (partitions, _) in TOPICS.items():
            for epoch in range(6) if topic != TRANSACTIONAL else ():
                asked = [{"Partition": n, "CurrentLeaderEpoch": -1, "LeaderEpoch": epoch} for n in range(partitions)]
                answer = wire.ask(self.server.port, 23, 4, {"ReplicaId": -1, "Topics": [{"Topic": topic, "Partitions": asked}]})
                ends = [(p["Partition"], p["LeaderEpoch"], p["EndOffset"]) for p in answer["Topics"][0]["Partitions"]]
                lines.append(f"epoch {epoch} of {topic} {sorted(ends)}")
        return lines

    def dump(self, part):
        """Kafka's tools read every file. Compaction leaves holes."""
        text = step.run(f"kill-points-{AGAINST}-{self.name}-dump", [*JAVA, "dump", str(self.path / "data"), part], 600)[1]
        bad = [line for line in text.splitlines() if line.startswith("bad") and not (COMPACTED in line and "is followed by" in line)]
        good = sum(line.startswith("good") for line in text.splitlines())
        assert not bad and good > 3, bad or text
        return f"files={good}"


def compare(load, data, part):
    """Kafka and the server under test, each on a copy, see the same; what ours then leaves is good for Kafka's tools."""
    load.paused.set()
    ours, kafka = Copy("ours", AGAINST, data), Copy("kafka", "kafka", data)
    try:
        mine, theirs = ours.facts(), kafka.facts()
        differ = [f"{a} BUT KAFKA {b}" for a, b in zip(mine, theirs) if a != b]
        assert len(mine) == len(theirs) > 10 and not differ, differ
        ours.server.stop()
        return f"facts={len(mine)} {ours.dump(part)}"
    finally:
        load.paused.clear()
        ours.server.kill()
        kafka.server.kill()
        for copy in (ours, kafka):
            shutil.rmtree(copy.path, ignore_errors=True)


def points_hit(hit, of, every):
    assert every or hit * 2 >= of, f"only {hit} of {of} points came"
    return f"{hit} of {of}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare-every", type=int, default=0)
    args = parser.parse_args()
    rng.seed(args.seed)
    # A run of Kafka's tool for each file: the short form looks at the partitions that have every kind of them.
    part = "crash-" if args.all or args.rounds else f"{TRANSACTIONAL}-0"
    checks = Checks()
    shutil.rmtree(ROOT, ignore_errors=True)
    binary = killed_node() if AGAINST == "monedula" else BINARY
    victim = server.Server(AGAINST, ROOT / "victim", binary, CONFIG, name=f"kill-points-{AGAINST}")
    load = None
    try:
        os.environ.pop("DIE_AT", None)
        victim.start()
        admin = AdminClient({"bootstrap.servers": victim.bootstrap})
        created = admin.create_topics(
            [NewTopic(topic, partitions, 1, config=config) for topic, (partitions, config) in TOPICS.items()])
        for future in created.values():
            future.result(20)
        load = Load(victim.bootstrap, args.seed)
        load.start()
        time.sleep(1)
        victim.kill()
        hit = 0
        all_points = points(args)
        for number, point in enumerate(all_points, 1):
            def one(point=point):
                nonlocal hit
                life = Round(victim, point)
                life.die(COMES_S if point in SHORT else ROUND_S)
                hit += life.by_point
                return f"{point or 'at random'}{'' if life.by_point or not point else ' (did not come)'} acked={everything_acked_is_there(load, victim.data)}"
            if not checks.check(f"round-{number}", one):
                break
            if args.compare_every and number % args.compare_every == 0:
                checks.check(f"compare-{number}", compare, load, victim.data, part)
        if any(all_points):
                checks.check("points-hit", points_hit, hit, sum(point is not None for point in all_points), args.all)
        checks.check("kafka-agrees", compare, load, victim.data, part)
        os.environ.pop("DIE_AT", None)
        victim.start()
        load.stop()
        assert not load.failures, load.failures
        checks.check("last-value-of-each-key", latest_values, victim.bootstrap, load)
        victim.kill()
        in_segment.cache_clear()
        checks.check("all-there", everything_acked_is_there, load, victim.data)
        return 1 if checks.failed else 0
    finally:
        victim.kill()
        if not checks.failed:
            shutil.rmtree(ROOT, ignore_errors=True)


sys.exit(main())
