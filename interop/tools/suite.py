"""Apache Kafka's tools about clusters, against three combined nodes and a controller that does not vote yet.

The command lines are those of `cluster_cases.py`. What the tools answer on a cluster of Apache Kafka is in `kafka-answers.json`; on
Monedula they must answer the same, but for what differs from run to run. Run by ../run, with AGAINST and MONEDULA_BIN.

    interop/run --against kafka --only java-tools-cluster -- --record     asks Apache Kafka anew
"""

import argparse
import base64
import json
import os
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import cluster_cases
import compare
from harness import wire
from harness.check import Checks, eventually
from harness.paths import LOGS, PROJECT, TOOLS_JARS, WORK
from harness.server import end_group_now, java

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
ANSWERS = HERE / "kafka-answers.json"
PREFIX = "ts"
SETTLE_LIMIT_S = 60
LIST_REASSIGNMENTS = 46
CONTROLLERS = {"IncludeClusterAuthorizedOperations": False, "EndpointType": wire.CONTROLLERS}
# The controller that does not vote.
NEW = 101
TOOLS = "org.apache.kafka.tools."
CLASSES = {
    "broker-api-versions": TOOLS + "BrokerApiVersionsCommand",
    "cluster": TOOLS + "ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-producer": TOOLS + "ConsoleProducer",
    "features": TOOLS + "FeatureCommand",
    "leader-election": TOOLS + "LeaderElectionCommand",
    "log-dirs": TOOLS + "LogDirsCommand",
    "metadata-quorum": TOOLS + "MetadataQuorumCommand",
    "reassign-partitions": TOOLS + "reassign.ReassignPartitionsCommand",
    "replica-verification": TOOLS + "ReplicaVerificationTool",
    "topics": TOOLS + "TopicCommand",
}
# It never ends by itself, so it has a process of its own, until it has told its first result.
ENDLESS = {"replica-verification": "max lag is 0 "}
BROKERS = re.compile(r"(failed on brokers )\[(.*)\]")
CASES = cluster_cases.CLUSTER + cluster_cases.AWAY


class Jvm:
    """Kafka's tools, called one after the other in one process: a start for each would take minutes."""

    def __init__(self):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"tools-cluster-{AGAINST}.err"
        command = java(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"], f"{WORK / 'java' / 'tools'}:{TOOLS_JARS}", "OnRequest")
        with open(self.log, "ab") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, start_new_session=True)

    def call(self, tool, words, text):
        request = [CLASSES[tool], ENDLESS.get(tool, ""), text or "", *words]
        self.process.stdin.write(b" ".join(base64.b64encode(word.encode()) for word in request) + b"\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            assert line, "the tools ended"
            # What a tool's threads say after it has ended.
            if line.startswith(b"answer "):
                code, out, err = line.split()[1:]
                return code.decode(), *(base64.b64decode(part[1:]).decode("utf-8", "backslashreplace") for part in (out, err))


class Tools(compare.Side):
    """The tools on this cluster, with the files that they read."""

    def __init__(self, jvm, cluster, known):
        super().__init__([], known, PREFIX)
        self.jvm, self.cluster = jvm, cluster
        self.addresses = {}
        for node in cluster.nodes:
            for port, name in ((node.port, "PORT"), (node.controller_port, "CTRL")):
                if port:
                    self.addresses[str(port)] = name + ("N" if node.id == NEW else str(node.id))

    def run(self, case):
        tool, line, text = case
        if tool == "settle":
            return settle(self.cluster)
        if tool == "stop-node":
            self.cluster.node(int(line)).stop()
            self.cluster.wait_ready()
            return eventually(SETTLE_LIMIT_S, lambda: check_observers(self.cluster))
        if tool == "start-node":
            self.cluster.node(int(line)).start()
            return self.cluster.wait_ready()
        jvm = Jvm() if tool in ENDLESS else self.jvm
        try:
            code, *streams = jvm.call(tool, self.words(line), text)
        finally:
            if jvm is not self.jvm:
                end_group_now(jvm.process)
        # Some tools print what ends them here: it is thrown.
        out, err = (compare.normal(self.addressed(re.sub(r".*exit called\n", "", stream)), PREFIX) for stream in streams)
        answer = compare.comparable(case, {"code": code, "out": out, "err": err})
        return {"code": code, **{part: stable(case, answer[part]) for part in ("out", "err")}}

    def addressed(self, text):
        # As long as the ports: some are columns of a table.
        text = re.sub("|".join(self.addresses), lambda found: self.addresses[found[0]], text)
        return text.replace(str(self.cluster.directory), "NODES")


def settle(cluster):
    """Until all controllers are known, no replica moves, and all are in sync for every broker."""

    def check():
        leader = cluster.leader()
        known = wire.ask((leader.host, leader.controller_port), wire.DESCRIBE_CLUSTER, 1, CONTROLLERS)
        assert len(known["Brokers"]) == len(cluster.controllers()), "a controller is missing"
        for node in cluster.brokers():
            moving = wire.ask(node.address, LIST_REASSIGNMENTS, 0, {"TimeoutMs": 5000, "Topics": None})
            assert not moving["Topics"], "replicas move"
            for topic in wire.metadata(node.address, None)["Topics"]:
                for partition in topic["Partitions"]:
                    assert partition["LeaderId"] >= 0 and set(partition["IsrNodes"]) == set(partition["ReplicaNodes"]), "not in sync"

    eventually(SETTLE_LIMIT_S, check)


def check_observers(cluster):
    """A new leader of the quorum knows its observer."""
    leader = cluster.leader()
    quorum = wire.quorum((leader.host, leader.controller_port))
    assert quorum["Observers"], "no observer has come yet"


def stable(case, text):
    """The part of an answer that is the same in every run."""
    if isinstance(text, list):
        return [stable(case, each) for each in text]
    if case[0] == "broker-api-versions":
        # Java asks in a random order.
        return BROKERS.sub(lambda found: found[1] + ", ".join(sorted(re.findall(r"[^ ,]+ \(.*?\)", found[2]))), text)
    if case[0] == "replica-verification":
        # Which of several partitions without a lag it names is chance. A follower hears what is committed with its next fetch: before,
        # the tool may see a lag.
        text = "\n".join(line for line in text.splitlines() if "max lag is 0 " in line or "max lag is" not in line)
        text = "\n".join(text.splitlines()[:2])
        return re.sub(r"for partition \S+ at offset \d+", "for a partition", re.sub(r"\d{4}-\d\d-\d\d \S+:", "TIME:", text))
    # Replicas come back into sync in any order.
    return re.sub(r"(Isr: |Elr: )(\d[\d,]*)", lambda found: found[1] + ",".join(sorted(found[2].split(","))), text)


def not_yet():
    """The keys of the APIs that Monedula does not serve, by its own page."""
    page = (PROJECT / "docs" / "compatibility.md").read_text()
    return set(re.findall(r"^\| (\d+) \|.*not yet: [^|]*\|$", page, re.MULTILINE))


def expected(case, answer):
    """What Monedula must answer like Kafka: it serves less."""
    if case[0] != "broker-api-versions" or isinstance(answer["out"], str):
        return answer
    missing = not_yet()
    return {**answer, "out": [line for line in answer["out"] if not ((key := re.search(r"\t.*\((\d+)\):", line)) and key[1] in missing)]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    assert not args.record or AGAINST == "kafka"
    wanted = {} if args.record else {tuple(entry["case"]): entry["answer"] for entry in json.loads(ANSWERS.read_text())}
    checks, recorded = Checks(), []
    cluster = compare.three_nodes(argparse.Namespace(start=AGAINST, ports=None, monedula=BINARY))
    jvm = Jvm()
    try:
        cluster.wipe()
        cluster.start()
        settle(cluster)
        tools = Tools(jvm, cluster, compare.known_of(cluster))
        for index, case in enumerate(CASES):
            name = f"{index:02}-{case[0]}"
            checks.check(name, ask, tools, index, case, wanted, recorded)
        if args.record:
            ANSWERS.write_text("".join(["[\n", ",\n".join(json.dumps(entry) for entry in recorded), "\n]\n"]))
        return 1 if checks.failed else 0
    finally:
        end_group_now(jvm.process)
        cluster.wipe()


def ask(tools, index, case, wanted, recorded):
    """Runs a case and holds its answer to Kafka's; what it answered, for a reader."""
    answer = tools.run(case)
    if not isinstance(answer, dict):
        return None
    # The same words may be said twice.
    entry = {"case": [index, *case[:2]], "answer": answer}
    recorded.append(entry)
    kafka = wanted.get(tuple(entry["case"]))
    if AGAINST == "monedula":
        kafka, answer = expected(case, kafka), expected(case, answer)
    if kafka and kafka != answer:
        raise AssertionError(f"{case[1]}: {difference(kafka, answer)}")
    return " ".join(f"{answer['code']} {answer['out'] or answer['err']}".split())


def difference(kafka, here):
    found = [f"{part} of Kafka: {kafka[part]!r}, here: {here[part]!r}" for part in here if kafka[part] != here[part]]
    return "; ".join(found)


if __name__ == "__main__":
    sys.exit(main())
