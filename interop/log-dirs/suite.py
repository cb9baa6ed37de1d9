"""One of two log directories fails, in several ways: it goes offline with its partitions, the other serves on, and nothing is made elsewhere.

    ../run --only log-dirs

Each directory lies on a small file system of its own (root, loop devices, ext4). Each fault is shown to bite first. The metadata log has a
third one. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bad-input"), str(HERE.parent / "faults"), str(HERE.parent)]
import wire as raw
from disks import Disks, command, missing
from harness import server, wire
from harness.check import Checks, eventually, same
from harness.paths import WORK

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
PRODUCE, METADATA, CREATE_TOPICS, DESCRIBE_LOG_DIRS = 0, 3, 19, 35
STORAGE_ERROR = 56
PARTITIONS = 6
# Kafka finds most faults by its checkpoint of the high watermarks.
CONFIG = {"replica.high.watermark.checkpoint.interval.ms": "1000", "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "300",
          "auto.create.topics.enable": "false"}
NOTICED_S = 20


class Node:
    """A server with two data directories and one for the metadata log, each on its own disk."""

    def __init__(self, kind, disks):
        self.disks, base = disks, WORK / "servers" / f"log-dirs-{kind}-{AGAINST}"
        shutil.rmtree(base, ignore_errors=True)
        self.mounts = {name: base / name for name in ("a", "b", "metadata")}
        self.dirs = {name: mount / "data" for name, mount in self.mounts.items()}
        for name, mount in self.mounts.items():
            # What is seen when the disk is gone.
            self.dirs[name].mkdir(parents=True)
            disks.new(mount)
            self.dirs[name].mkdir()
        config = CONFIG | {"log.dirs": f"{self.dirs['a']},{self.dirs['b']}", "metadata.log.dir": str(self.dirs["metadata"])}
        self.server = server.Server(AGAINST, base / "server", BINARY, config, name=f"log-dirs-{kind}-{AGAINST}")
        self.server.data = self.dirs["metadata"]

    def call(self, key, version, request):
        with wire.Connection(self.server.port, "log-dirs") as connection:
            return connection.call(key, version, request)

    def create(self, name, partitions):
        topic = {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
        answer = self.call(CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer

    def produce(self, name, partition):
        batch = raw.batch([raw.record(value=b"x" * 100)], first_ts=int(time.time() * 1000))
        data = [{"Name": name, "PartitionData": [{"Index": partition, "Records": batch}]}]
        request = {"TransactionalId": None, "Acks": -1, "TimeoutMs": 3000, "TopicData": data}
        return self.call(PRODUCE, 9, request)["Responses"][0]["PartitionResponses"][0]["ErrorCode"]

    def leaders(self, name):
        answer = self.call(METADATA, 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False,
                                         "IncludeClusterAuthorizedOperations": False, "IncludeTopicAuthorizedOperations": False})
        return {p["PartitionIndex"]: p["LeaderId"] for p in answer["Topics"][0]["Partitions"]}

    def errors(self):
        answer = self.call(DESCRIBE_LOG_DIRS, 4, {"Topics": None})
        return {pathlib.Path(r["LogDir"]).parent.name: r["ErrorCode"] for r in answer["Results"]}

    def here(self, directory, name):
        """The partitions of a topic in a directory."""
        return {int(p.name.rsplit("-", 1)[1]) for p in self.dirs[directory].iterdir() if p.name.rsplit("-", 1)[0] == name}


def is_read_only(directory):
    try:
        (directory / "probe").write_bytes(b"x")
    except OSError:
        return
    (directory / "probe").unlink()
    raise AssertionError("the fault does not bite: the directory takes a file")


def shut(node, name):
    node.disks.shut(node.mounts[name])
    is_read_only(node.dirs[name])


def unmount(node, name):
    node.disks.take_away(node.mounts[name])
    assert not os.path.ismount(node.mounts[name]), "the fault does not bite"


def forbid(node, name):
    """As a mistake of an administrator: nothing may be written any more."""
    command("chattr", "-R", "+i", node.dirs[name])
    is_read_only(node.dirs[name])


def allow(node, name):
    subprocess.run(["chattr", "-R", "-i", node.dirs[name]], capture_output=True)


def fails(checks, kind, fault, disks):
    """A directory of a running node."""
    node = Node(kind, disks)
    try:
        node.server.start()
        node.create("t", PARTITIONS)
        eventually(10, lambda: same(PARTITIONS, len(node.here("a", "t")) + len(node.here("b", "t"))))
        good, lost = sorted(node.here("a", "t")), sorted(node.here("b", "t"))
        assert good and lost, (good, lost)
        for partition in range(PARTITIONS):
            eventually(10, lambda partition=partition: same(0, node.produce("t", partition)))
        fault(node, "b")
        answers = set()
        def noticed():
            # It is written to, as it would be.
            answers.update(node.produce("t", partition) for partition in lost)
            same({0}, {node.produce("t", partition) for partition in good})
            same({"a": 0, "b": STORAGE_ERROR}, node.errors())
            leaders = node.leaders("t")
            same({partition: -1 for partition in lost}, {partition: leaders[partition] for partition in lost})
        begin = time.monotonic()
        checks.check(f"{kind}-offline", lambda: eventually(NOTICED_S, noticed))
        print(f"{kind}: noticed after {time.monotonic() - begin:.1f} s, answers {sorted(answers)}", file=sys.stderr)
        def elsewhere():
            node.create("after", 4)
            eventually(10, lambda: same(set(range(4)), node.here("a", "after")))
            for partition in range(4):
                eventually(10, lambda partition=partition: same(0, node.produce("after", partition)))
            same(set(), node.here("a", "t") & set(lost))
            if kind == "unmounted":
                # Apache Kafka leaves a checkpoint there.
                same([], [p for p in node.dirs["b"].iterdir() if AGAINST == "monedula" or p.is_dir()])
        checks.check(f"{kind}-nothing-elsewhere", elsewhere)
        def again():
            node.server.stop()
            node.server.start()
            eventually(10, lambda: same({0}, {node.produce("t", partition) for partition in good}))
            leaders = node.leaders("t")
            same({partition: -1 for partition in lost}, {partition: leaders[partition] for partition in lost})
            same(set(), node.here("a", "t") & set(lost))
        def refused():
            node.server.stop()
            try:
                node.server.start()
            except server.Failed as error:
                assert str(node.dirs["b"]) in str(error), error
                return
            raise AssertionError("it has started without its disk")
        # What lies below an unmounted disk is an empty directory.
        checks.check(f"{kind}-restart", refused if kind == "unmounted" else again)
    finally:
        node.server.kill()
        allow(node, "b")


def read_only_at_start(node, disks):
    node.server.start()
    node.create("t", PARTITIONS)
    eventually(10, lambda: same(PARTITIONS, len(node.here("a", "t")) + len(node.here("b", "t"))))
    good, lost = node.here("a", "t"), node.here("b", "t")
    node.server.stop()
    command("mount", "-o", "remount,ro", node.mounts["b"])
    is_read_only(node.dirs["b"])
    node.server.start()
    same({"a": 0, "b": STORAGE_ERROR}, node.errors())
    eventually(10, lambda: same({0}, {node.produce("t", partition) for partition in good}))
    leaders = node.leaders("t")
    same({-1}, {leaders[partition] for partition in lost})
    same(set(), node.here("a", "t") & lost)


def ends(node, *names):
    """The node ends by itself, and says why."""
    node.server.start()
    node.create("t", PARTITIONS)
    eventually(10, lambda: same(PARTITIONS, len(node.here("a", "t")) + len(node.here("b", "t"))))
    for name in names:
        shut(node, name)
    def ended():
        try:
            for partition in range(PARTITIONS):
                node.produce("t", partition)
            node.create(f"more-{time.monotonic()}", 1)
        except (OSError, AssertionError):
            pass
        return not node.server.alive()
    began = time.monotonic()
    eventually(20, ended)
    took_s = time.monotonic() - began
    code = node.server.process.returncode
    assert code != 0, "it ended as if all were well"
    node.server.process = None
    words = node.server.err.read_text() + node.server.out.read_text()
    assert any(str(node.dirs[name]) in words for name in names), "no directory is named"
    return f"code={code} s={took_s:.1f}"


def main():
    why = missing()
    if why:
        print(f"FAIL log-dirs {why}")
        sys.exit(1)
    checks = Checks()
    with Disks() as disks:
        for kind, fault in [("eio", shut), ("unmounted", unmount), ("forbidden", forbid)]:
            fails(checks, kind, fault, disks)
        for kind, call in [("read-only-at-start", lambda node: read_only_at_start(node, disks)), ("all", lambda node: ends(node, "a", "b")),
                           ("metadata", lambda node: ends(node, "metadata"))]:
            node = Node(kind, disks)
            try:
                checks.check(kind, call, node)
            finally:
                node.server.kill()
    sys.exit(1 if checks.failed else 0)


main()
