"""One metadata quorum of both kinds: two controllers of Apache Kafka and one of Monedula, each of them leading in turn.

Run by ../run, with AGAINST and MONEDULA_BIN. Against Kafka all nodes are Kafka's: what this suite expects is what Kafka does.
Leaders are killed with -9; a node whose log was taken away gets a snapshot from a leader of the other kind; a broker of the
other kind follows the log. At the end the logs must be equal byte for byte, and Kafka's own tool must read each of them.
"""

import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import wire
from harness.check import Checks, eventually, same
from harness.cluster import Cluster
from harness.paths import TOOLS_JARS, WORK
from harness.server import java
from harness.step import run

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
CREATE_TOPICS = 19
OTHER, OBSERVER = 103, 2
ROUNDS_MAX = 12
# Small files, so that snapshots come soon and segments roll.
SMALL = {
    "metadata.log.max.record.bytes.between.snapshots": 4000,
    "controller.quorum.fetch.timeout.ms": 3000,
    "controller.quorum.request.timeout.ms": 4000,
    "broker.session.timeout.ms": 18000,
    "auto.create.topics.enable": "false",
}
FETCH_TIMEOUT_S = SMALL["controller.quorum.fetch.timeout.ms"] / 1000

checks = Checks()
check = checks.check


class Trial:
    """A cluster of three controllers, a broker of Kafka and, as an observer, one of the other kind."""

    def __init__(self, name, dynamic):
        kinds = {OTHER: AGAINST, OBSERVER: AGAINST}
        directory = WORK / "servers" / f"mixed-quorum-{AGAINST}-{name}"
        shutil.rmtree(directory, ignore_errors=True)
        self.cluster = Cluster(directory, "kafka", brokers=2, controllers=3, dynamic=dynamic, binary=BINARY, kinds=kinds,
                               extra=SMALL)
        self.topics = []

    def start(self):
        self.cluster.start()
        return f"leader={self.cluster.leader().id}"

    def create(self, count=1):
        """New topics through the broker of Kafka, who asks whoever leads."""
        names = [f"topic-{len(self.topics) + i}" for i in range(count)]
        topic = {"NumPartitions": 3, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
        request = {"Topics": [{"Name": name, **topic} for name in names], "timeoutMs": 20000, "validateOnly": False}

        def ask():
            answer = wire.ask(self.cluster.node(1).port, CREATE_TOPICS, 7, request, 25)
            codes = {t["Name"]: t["ErrorCode"] for t in answer["Topics"]}
            assert set(codes.values()) <= {0, 36}, f"error codes {codes}"

        eventually(90, ask, 0.5)
        self.topics += names

    def seen(self, broker):
        """Every broker knows every topic."""
        def look():
            found = wire.metadata(self.cluster.node(broker).port, None)["Topics"]
            same(sorted(self.topics), sorted(t["Name"] for t in found if not t["IsInternal"]))
        eventually(60, look, 0.3)

    def caught_up(self, *ids):
        """These voters hold what the leader holds."""
        def look():
            # Not through a broker: that of Kafka goes on asking a controller that led before it was killed.
            quorum = wire.quorum(self.cluster.leader().controller_port)
            ends = {r["ReplicaId"]: r["LogEndOffset"] for r in quorum["CurrentVoters"]}
            mark = quorum["HighWatermark"]
            behind = {i: ends.get(i) for i in ids if ends.get(i, -1) < mark - 20}
            assert not behind, f"behind {mark}: {behind}"
        eventually(60, look, 0.3)

    def each_leads(self):
        """Kills whoever leads until all have led."""
        led, path = set(), []
        for _ in range(ROUNDS_MAX):
            leader = self.cluster.leader()
            led.add(leader.id)
            path.append(leader.id)
            self.create()
            self.seen(1)
            self.seen(OBSERVER)
            missing = sorted({101, 102, 103} - led)
            if not missing:
                return f"leaders={'→'.join(map(str, path))} topics={len(self.topics)}"
            self.replace(leader, missing[0], while_dead=self.create)
        raise AssertionError(f"led in {ROUNDS_MAX} rounds: {path}")

    def replace(self, leader, wanted, while_dead=lambda: None):
        """Kills the leader and starts it again, with an election between that `wanted` most likely wins."""
        others = [node for node in self.cluster.controllers() if node.id not in (leader.id, wanted)]
        # Whoever has just heard the leader refuses a pre-vote, and of two that have given it up the quicker one wins. One that
        # has just started grants it before it asks for itself.
        for node in others:
            node.kill()
        leader.kill()
        time.sleep(FETCH_TIMEOUT_S)
        for node in others:
            node.start(wait=False)
        self.next_leader(leader)
        while_dead()
        leader.start(wait=False)
        leader.wait_ready()
        self.caught_up(leader.id)

    def next_leader(self, dead):
        """Somebody else leads, and all who live agree."""
        def look():
            found = {node.id: node.quorum_leader() for node in self.cluster.controllers() if node is not dead}
            leaders = set(found.values())
            assert len(leaders) == 1 and not leaders & {-1, dead.id}, f"leaders {found}"
        eventually(60, look, 0.2)

    def leads(self, wanted):
        """Lets this node lead, by killing others."""
        for _ in range(ROUNDS_MAX):
            leader = self.cluster.leader()
            if leader.id == wanted:
                return
            self.replace(leader, wanted)
        raise AssertionError(f"{wanted} does not lead")

    def log(self, node):
        return node.data / "__cluster_metadata-0"

    def snapshots(self, node):
        return sorted(path.name for path in self.log(node).glob("*.checkpoint") if not path.name.startswith("0" * 20))

    def snapshot_from(self, leader, node_id):
        """A node whose log is gone takes a snapshot from this leader."""
        self.leads(leader)
        node = self.cluster.node(node_id)
        self.create(20)
        eventually(60, lambda: self.snapshots(self.cluster.node(leader)) or self.create(10) or False, 0.3)
        node.stop()
        shutil.rmtree(self.log(node))
        node.start(wait=False)
        node.wait_ready()
        eventually(30, lambda: bool(self.snapshots(node)), 0.2)
        self.create()
        self.caught_up(node_id)
        return f"file={len(self.snapshots(node))}"

    def raise_kraft_version(self):
        """From a static quorum to one whose voters may change, while the other kind leads."""
        self.leads(OTHER)
        before = self.kraft_version()
        # A new leader hears from each voter what that one supports, and refuses until it has.
        eventually(30, lambda: self.tool("FeatureCommand", "upgrade", "--feature", "kraft.version=1") is not False, 1)
        leader = self.cluster.leader()
        leader.kill()
        self.next_leader(leader)
        leader.start(wait=False)
        leader.wait_ready()
        self.caught_up(leader.id)
        self.create()
        # The election's file has its new form since the next election.
        for node in self.cluster.controllers():
            state = (self.log(node) / "quorum-state").read_text()
            assert '"data_version":1' in state, f"{node.name}: {state}"
        return f"level={before}→{self.kraft_version()}"

    def kraft_version(self):
        text = self.tool("FeatureCommand", "describe")
        (line,) = [line for line in text.splitlines() if "kraft.version" in line]
        return line.split("FinalizedVersionLevel:")[1].split()[0]

    def tool(self, name, *words):
        command = java(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], TOOLS_JARS, f"org.apache.kafka.tools.{name}",
                       "--bootstrap-controller", f"127.0.0.1:{self.cluster.leader().controller_port}", *words)
        return run(f"mixed-quorum-{AGAINST}-{name}", command, 60)[1]

    def remove_and_add(self, node_id):
        """A voter is taken out, follows as an observer, and is made a voter again by itself."""
        node = self.cluster.node(node_id)
        self.tool("MetadataQuorumCommand", "remove-controller", "--controller-id", str(node_id), "--controller-directory-id", node.directory_id)

        def voters():
            quorum = wire.quorum(self.cluster.leader().controller_port)
            return [sorted(r["ReplicaId"] for r in quorum[key]) for key in ("CurrentVoters", "Observers")]

        def out():
            assert node_id not in voters()[0] and node_id in voters()[1], f"voters and observers {voters()}"

        def back():
            assert node_id in voters()[0], f"voters and observers {voters()}"
        eventually(30, out, 0.3)
        node.extra["controller.quorum.auto.join.enable"] = "true"
        node.stop()
        node.start(wait=False)
        node.wait_ready()
        eventually(30, back, 0.3)
        self.create()
        self.caught_up(node_id)

    def equal(self):
        """After a clean stop: from the first common offset on all logs have the same bytes; Kafka's tool reads them."""
        self.cluster.stop()
        nodes = [*self.cluster.controllers(), self.cluster.node(OBSERVER)]
        dumps = {node.id: self.dump(node) for node in nodes}
        first = max(min(lines) for lines in dumps.values())
        last = min(max(lines) for lines in dumps.values())
        assert last > first, f"offsets {first} to {last}"
        want = {o: line for o, line in dumps[101].items() if first <= o <= last}
        for node_id, lines in dumps.items():
            got = {o: line for o, line in lines.items() if first <= o <= last}
            assert want == got, f"node {node_id}: {[(o, want.get(o), got.get(o)) for o in sorted(set(want) | set(got)) if want.get(o) != got.get(o)][:2]}"
        return f"batches={len(want)}"

    def dump(self, node):
        """Base offset → batch and records, as Kafka's tool prints them, without positions in the file."""
        files = ",".join(str(path) for path in sorted(self.log(node).glob("*.log")))
        command = java(["-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], TOOLS_JARS, "org.apache.kafka.tools.DumpLogSegments",
                       "--cluster-metadata-decoder", "--files", files)
        text = run(f"mixed-quorum-{AGAINST}-dump-{node.id}", command, 120)[1]
        batches, base = {}, None
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["baseOffset:"]:
                base = int(words[1])
                at = words.index("position:")
                batches[base] = [" ".join(words[:at] + words[at + 2:])]
            elif base is not None and line.startswith("|"):
                batches[base].append(line)
        assert batches, f"nothing in {files}"
        assert "isvalid: false" not in text, "a batch is not valid"
        return {o: "\n".join(lines) for o, lines in batches.items()}


def trial(name, dynamic):
    begin = time.monotonic()
    trial = Trial(name, dynamic)
    with trial.cluster:
        if check(f"{name}-starts", trial.start) and check(f"{name}-each-leads", trial.each_leads):
            check(f"{name}-snapshot-to-other", trial.snapshot_from, 101, OTHER)
            check(f"{name}-snapshot-from-other", trial.snapshot_from, OTHER, 102)
            check(f"{name}-observer", trial.seen, OBSERVER)
            if dynamic:
                check(f"{name}-other-joins", trial.remove_and_add, OTHER)
                check(f"{name}-joins-other", lambda: (trial.leads(OTHER), trial.remove_and_add(102))[1])
            else:
                check(f"{name}-kraft-version", trial.raise_kraft_version)
            check(f"{name}-logs-equal", trial.equal)
    print(f"{name} took {time.monotonic() - begin:.0f} s", file=sys.stderr)


for name in sys.argv[1:] or ["static", "dynamic"]:
    trial(name, name == "dynamic")
sys.exit(1 if checks.failed else 0)
