"""Retention and compaction on every replica: each broker does it for itself, and all come to the same records.

    ../run --only replicas

A follower that begins with nothing takes a log full of holes from its leader; one that was away takes what was compacted meanwhile. Three
nodes. Run by ../run, with AGAINST and MONEDULA_BIN.
"""

import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log import AGAINST, BINARY, CONFIG, CREATE_TOPICS, DAY, KEEP, SEGMENT, TOPIC_RESOURCE, Log, wire
from records import records
from harness.check import Checks, eventually, same
from harness.cluster import Cluster
from harness.paths import WORK

NODES, FOLLOWER = 3, 3
MORE = {"log.retention.check.interval.ms": "400", "log.cleaner.backoff.ms": "200", "log.cleaner.min.cleanable.ratio": "1",
        "replica.fetch.wait.max.ms": "200"}
OLD = -8 * DAY


class Replicas(Log):
    """The first broker leads everything."""

    def __init__(self):
        directory = WORK / "servers" / f"replicas-{AGAINST}"
        shutil.rmtree(directory, ignore_errors=True)
        self.cluster = Cluster(directory, AGAINST, combined=NODES, binary=BINARY, extra=CONFIG | MORE, name=f"replicas-{AGAINST}")

    def start(self):
        self.now = int(time.time() * 1000)
        self.cluster.start()
        self.wire = wire.Connection(self.cluster.node(1).address, "replicas")

    def create(self, name, **configs):
        replicas = [{"PartitionIndex": 0, "BrokerIds": list(range(1, NODES + 1))}]
        topic = {"Name": name, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": replicas,
                 "Configs": [{"Name": key, "Value": value} for key, value in (SEGMENT | configs).items()]}
        answer = self.wire.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer
        eventually(15, lambda: self.offset(name) == 0)
        self.cluster.wait_in_sync(name)

    def files_of(self, node, name):
        folder = pathlib.Path(self.cluster.node(node).data) / f"{name}-0"
        return sorted(path for path in folder.iterdir() if path.suffix == ".log")

    def records_of(self, node, name):
        return [record for path in self.files_of(node, name) for record in records(path.read_bytes())]

    def everywhere(self, name, want):
        """All replicas have these offsets on their disks, of the same keys."""
        def equal():
            found = {node: self.records_of(node, name) for node in range(1, NODES + 1) if self.cluster.node(node).alive()}
            for node, got in found.items():
                assert [offset for offset, *_ in got] == want, f"node {node}: {[offset for offset, *_ in got]}, expected {want}"
            assert len({str(got) for got in found.values()}) == 1, found
        eventually(20, equal)


def retention(log):
    log.create("deleted", **KEEP)
    log.append("deleted", OLD, OLD, OLD, OLD, 0, 0, 0)
    log.alter(TOPIC_RESOURCE, "deleted", retention_ms=str(DAY))
    log.everywhere("deleted", [4, 5, 6])
    same((0, 6), log.delete_records("deleted", 6))
    log.everywhere("deleted", [6])


def compaction(log):
    log.create("compacted", **KEEP, **{"cleanup.policy": "compact"})
    for n in range(20):
        log.append("compacted", 0, key=b"key-%d" % (n % 5))
    log.alter(TOPIC_RESOURCE, "compacted", min_cleanable_dirty_ratio="0.01")
    log.everywhere("compacted", [13, 14, 15, 16, 17, 18, 19])


def away(log):
    """A replica comes back to a log that was compacted while it was away, and one comes back without its log."""
    follower = log.cluster.node(FOLLOWER)
    for lost in (False, True):
        end = log.offset("compacted", -1)
        follower.kill()
        for n in range(10):
            log.append("compacted", 0, key=b"key-%d" % (n % 5))
        log.everywhere("compacted", list(range(end + 3, end + 10)))
        if lost:
            shutil.rmtree(pathlib.Path(follower.data) / "compacted-0")
        follower.start()
        log.cluster.wait_in_sync("compacted")
        log.everywhere("compacted", list(range(end + 3, end + 10)))


def main():
    log, checks = Replicas(), Checks()
    try:
        log.start()
        for name, call in [("retention", retention), ("compaction", compaction), ("away", away)]:
            checks.check(name, call, log)
        checks.check("stop", log.cluster.stop)
    finally:
        log.cluster.kill()
    sys.exit(1 if checks.failed else 0)


main()
