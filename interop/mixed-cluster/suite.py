"""Partitions with a replica on a broker of each kind, under live clients: whoever leads, nothing is lost.

Run by ../run, with AGAINST and MONEDULA_BIN. Three trials: brokers of both kinds with controllers of Apache Kafka 4.4.0, with
controllers (and a broker) of 4.3.1, and with a controller of the server under test. In each the lead of all partitions goes
back and forth by reassignments and elections, each broker is killed with -9 and stopped cleanly, all while clients write and
read. At the end the logs of both replicas must be equal byte for byte, and hold whatever was acknowledged.
"""

import itertools
import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent)]
import checker
import dump
from clients import TAGS, Clients
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wire
from harness.check import Checks, eventually, same
from harness.cluster import Cluster
from harness.paths import LOGS, WORK
from watch import now_ms

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
TOPIC, PARTITIONS = "mixed", 4
KAFKA, OTHER, CONTROLLER = 1, 2, 101
ELECT_LEADERS, ALTER_REASSIGNMENTS, LIST_REASSIGNMENTS = 43, 45, 46
NONE, ELECTION_NOT_NEEDED = 0, 84
CONFIG = {
    "default.replication.factor": 2, "offsets.topic.replication.factor": 2, "offsets.topic.num.partitions": 4,
    "auto.create.topics.enable": "false", "broker.session.timeout.ms": 6000, "broker.heartbeat.interval.ms": 500,
    "replica.lag.time.max.ms": 5000, "auto.leader.rebalance.enable": "false", "group.min.session.timeout.ms": 6000,
    "log.segment.bytes": 1 << 20,
}
# Name of the trial → who controls, and of which version the broker of Kafka is.
TRIALS = {"kafka-controls": ("kafka", "kafka"), "kafka-4.3.1-controls": ("kafka-4.3.1", "kafka-4.3.1"), "controls": (AGAINST, "kafka")}

checks = Checks()


def none(found):
    assert not found, f"{len(found)}: " + " | ".join(found)


class Trial:
    def __init__(self, name):
        controls, kafka = TRIALS[name]
        self.name = f"{AGAINST}-mixed-{name}"
        directory = WORK / "servers" / self.name
        shutil.rmtree(directory, ignore_errors=True)
        kinds = {KAFKA: kafka, OTHER: AGAINST, CONTROLLER: controls}
        self.cluster = Cluster(directory, AGAINST, brokers=2, controllers=1, dynamic=True, binary=BINARY, kinds=kinds, extra=CONFIG, name=self.name)
        self.clients = Clients(self.name, self.cluster.bootstrap, TOPIC, PARTITIONS, "all", directory)

    def start(self):
        self.cluster.start()
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 2})
        for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 2)], operation_timeout=30).values():
            future.result(40)
        self.cluster.wait_in_sync(TOPIC)
        self.clients.start()
        self.clients.wait_begun(PARTITIONS)
        return ", ".join(f"{node.id}: {node.kind}" for node in self.cluster.nodes)

    def ask(self, key, version, request):
        """Of either broker, who passes it on to the controller."""
        alive = [node for node in self.cluster.brokers() if node.alive()]
        return wire.ask(alive[0].address, key, version, request, 20)

    def lead(self, node_id):
        """Makes the node the first replica of every partition, and lets those lead."""
        order = [node_id, KAFKA + OTHER - node_id]
        moved = [{"PartitionIndex": p, "Replicas": order} for p in range(PARTITIONS)]
        answer = self.ask(ALTER_REASSIGNMENTS, 0, {"TimeoutMs": 15_000, "Topics": [{"Name": TOPIC, "Partitions": moved}]})
        same([NONE] * PARTITIONS, [p["ErrorCode"] for topic in answer["Responses"] for p in topic["Partitions"]])
        eventually(30, lambda: not self.ask(LIST_REASSIGNMENTS, 0, {"TimeoutMs": 10_000, "Topics": None})["Topics"])
        self.cluster.wait_in_sync(TOPIC)
        # Whose order changed is led as before, until somebody asks.
        asked = [{"Topic": TOPIC, "Partitions": list(range(PARTITIONS))}]
        answer = self.ask(ELECT_LEADERS, 2, {"ElectionType": 0, "TopicPartitions": asked, "TimeoutMs": 15_000})
        codes = {p["ErrorCode"] for topic in answer["ReplicaElectionResults"] for p in topic["PartitionResult"]}
        assert codes <= {NONE, ELECTION_NOT_NEEDED}, f"elections: errors {codes}"
        eventually(30, lambda: {p["LeaderId"] for p in self.cluster.partitions(TOPIC).values()} == {node_id})
        self.written_since()

    def written_since(self):
        """Writes of every client are acknowledged by whoever leads now."""
        begin = now_ms()
        late = lambda: {e["w"][:2] for e in self.clients.events() if e["ev"] == "ack" and e["t"] > begin}
        eventually(60, lambda: late() >= set(TAGS.values()), 1)

    def kill(self, node_id):
        """kill -9; the other one leads; it comes back and catches up."""
        node = self.cluster.node(node_id)
        node.kill()
        other = KAFKA + OTHER - node_id
        eventually(40, lambda: {p["LeaderId"] for p in self.cluster.partitions(TOPIC).values()} == {other})
        self.written_since()
        node.start()
        self.cluster.wait_in_sync(TOPIC)

    def restart(self, node_id):
        self.cluster.node(node_id).restart()
        self.cluster.wait_in_sync(TOPIC)
        self.written_since()

    def end(self):
        self.clients.wait_written()
        self.cluster.wait_in_sync(TOPIC)
        time.sleep(1)
        self.held = {node.id: {p: list(dump.batches(node.logs_dirs, TOPIC, p)) for p in range(PARTITIONS)} for node in self.cluster.brokers()}
        self.values = {p: checker.contents(batches, dump.values) for p, batches in self.held[OTHER].items()}
        reads = lambda: [e for e in self.clients.events() if e["ev"] == "read"]
        eventually(60, lambda: none(checker.delivered(reads(), self.values, self.clients.groups)), 1)
        self.clients.stop()
        return f"{sum(map(len, self.values.values()))} records"

    def leaders(self):
        """Both kinds have led: a log has batches of many epochs, and both know where each began."""
        epochs = {batch.epoch for batches in self.held[OTHER].values() for batch in batches}
        assert len(epochs) > 4, f"epochs {sorted(epochs)}"
        for p in range(PARTITIONS):
            same(*(self.epochs(node, p) for node in self.cluster.brokers()))
        return f"epochs {min(epochs)} to {max(epochs)}"

    def epochs(self, node, partition):
        """Epoch and its first offset; without one that has no record yet, of which its leader alone knows."""
        path = node.data / f"{TOPIC}-{partition}" / "leader-epoch-checkpoint"
        known = [tuple(map(int, line.split())) for line in path.read_text().splitlines()[2:]]
        return [each for each in known if each[1] <= max(self.values[partition])]

    def verdict(self, check):
        events = self.clients.events()
        acks, reads = ([e for e in events if e["ev"] == kind] for kind in ("ack", "read"))
        held = {str(node): {p: checker.contents(b, dump.values) for p, b in partitions.items()} for node, partitions in self.held.items()}
        check("acked-kept", lambda: none(checker.acked_kept(acks, held)) or f"{len(acks)} acknowledgements")
        check("read-kept", lambda: none(checker.read_kept(reads, held)))
        check("one-value", lambda: none(checker.one_value(acks, reads, held)))
        check("replicas-equal", lambda: none(checker.replicas_equal(self.held)))
        check("sequences", lambda: none(checker.sequences(self.held)))
        check("in-order", lambda: none(checker.in_order(self.values)))
        check("clients-alive", lambda: none(self.clients.ended))
        # A running Monedula writes epochs down when it flushes.
        check("stop", self.cluster.stop)
        check("epochs", self.leaders)

    def run(self, trial):
        check = lambda name, *call: checks.check(f"{trial}/{name}", *call)
        if not check("start", self.start):
            return
        for number, node_id in enumerate(itertools.islice(itertools.cycle((OTHER, KAFKA)), 4), 1):
            check(f"lead-{number}-by-{node_id}", self.lead, node_id)
        for node_id in (OTHER, KAFKA):
            check(f"kill-{node_id}", self.kill, node_id)
        for node_id in (KAFKA, OTHER):
            check(f"restart-{node_id}", self.restart, node_id)
        if check("end", self.end):
            self.verdict(check)


def main():
    for name in sys.argv[1:] or TRIALS:
        before = checks.failed
        trial = Trial(name)
        with trial.cluster:
            try:
                trial.run(name)
            finally:
                trial.clients.kill()
        if checks.failed == before:
            trial.cluster.wipe()
            for path in LOGS.glob(f"{trial.name}-*"):
                path.unlink()
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
