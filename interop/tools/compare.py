#!/usr/bin/env python3
"""Runs the same command lines through Apache Kafka's tools and through Monedula's, and shows the differences.

    compare.py --server HOST:PORT --kafka 'COMMAND' --monedula BINARY [--keep DIR] [GROUP...]
    compare.py --start kafka|monedula --kafka 'COMMAND' --monedula BINARY [--ports FIRST-LAST] cluster-usage cluster

COMMAND runs one of Kafka's tools by its short name, e.g. a script that does `kafka-$1.sh "${@:2}"`. With --keep the
answers of Kafka's tools are stored in DIR and taken from there the next time. Compared are the exit code, standard
output without volatile parts (topic ids, times), and of standard error the first line before any log line (its Java
class left out) and the count of records: what follows there in Kafka is its usage text, a stack trace or the log of the
Java client. Exit code 1 when something differs.
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import cases
import cluster_cases
from harness import cluster as clusters
from harness import install
from harness.paths import WORK
from of_cluster import TOOLS as CLUSTER_TOOLS
from of_cluster import of_cluster

CASES = {**cases.CASES, **cluster_cases.CASES}
FILES = {**cases.FILES, **cluster_cases.FILES}
ON_PURPOSE = {**cases.ON_PURPOSE, **cluster_cases.ON_PURPOSE}

PATIENCE_S = 60
SIDES = {"kafka": "kk", "monedula": "mm"}


# Until a consumer in the background has its partitions.
SETTLE_S = 12


def own(text, prefix):
    return re.sub(r"(?<![A-Za-z])P(?=[-.])", prefix, text)


class Side:
    """One set of tools, with the consumers that it runs in the background and the files that it reads."""

    def __init__(self, command, known, prefix):
        self.command, self.known, self.prefix = command, known, prefix
        self.running = []
        self.folder = tempfile.TemporaryDirectory()
        for name, text in FILES.items():
            path = pathlib.Path(self.folder.name, own(name, prefix))
            path.write_text(own(text, prefix).replace("NODES", known.get("NODES", "NODES")))

    def words(self, line):
        words = (self.known.get(word, word) for word in shlex.split(line))
        return [own(word.replace("DIR", self.folder.name), self.prefix) for word in words]

    def run(self, case):
        tool, line, _ = case
        nothing = {"code": 0, "out": "", "err": ""}
        if tool == "start":
            command = [*self.command, "console-consumer", *self.words(line)]
            quiet = subprocess.DEVNULL
            self.running.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
            return nothing
        if tool == "wait":
            time.sleep(SETTLE_S)
            return nothing
        if tool == "settle":
            time.sleep(float(line))
            return nothing
        if tool == "stop":
            self.stop()
            return nothing
        return run(self.command, case, self.words(line), self.prefix)

    def stop(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(PATIENCE_S)
        self.running.clear()


def run(command, case, words, prefix):
    tool, _, text = case
    try:
        done = subprocess.run(
            [*command, tool, *words],
            input=(text or "").encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"code": f"still running after {PATIENCE_S} s", "out": "", "err": ""}
    out, err = (stream.decode("utf-8", "backslashreplace") for stream in (done.stdout, done.stderr))
    return {"code": done.returncode, "out": normal(out, prefix), "err": normal(err, prefix)}


LOG_LINE = re.compile(r"\[\d{4}-[^]]*\] (WARN|ERROR|INFO) ")
JAVA_CLASS = re.compile(r'(Exception in thread "main" )?([a-z]+\.)+\w*(Exception|Error)\w*: ')


def normal(text, prefix):
    text = re.sub(rf"\b{prefix}(?=[-.])", "PP", text)
    text = re.sub(r"TopicId: \S+", "TopicId: ID", text)
    text = re.sub(r"(CreateTime|LogAppendTime):\d+", r"\1:TIME", text)
    text = re.sub(r"/tmp/[^/ ]*/", "DIR/", text)
    return re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "MEMBER", text)


def comparable(case, answer):
    """What must be the same: see the head of this file."""
    lines = answer["err"].splitlines()
    total = [line for line in lines if line.startswith("Processed a total")]
    plain = []
    for line in lines:
        if LOG_LINE.match(line):
            break
        if line.strip():
            plain.append(JAVA_CLASS.sub("", line))
    err = "\n".join(([] if total else plain[:1]) + total)
    out = answer["out"]
    if case[0] == "topics" and "--describe" in case[1]:
        # Java describes several topics, and a broker of Kafka tells settings, in the order of a hash table.
        out = sorted(re.sub(r"Configs: (\S*)", sorted_settings, out).splitlines())
    if err.startswith("Error while executing config command"):
        # Followed by the words as they were, and by the reason with its stack trace.
        err = "\n".join(["Error while executing config command", *plain[1:2]])
    if case[0] in CLUSTER_TOOLS:
        out, err = of_cluster(case, out, answer["err"])
    if case[0] in GROUP_TOOLS:
        out, err = of_groups(case, out, err)
    return {"code": answer["code"], "out": out, "err": err}


GROUP_TOOLS = ("consumer-groups", "groups")
# What Kafka prints in the order of a hash table, or of a set whose order changes with each run.
LISTS = re.compile(r"(takes .*options: |scenarios: |Valid states are: |Valid types are: |groups \()([^)]*)")
NEW_MEMBER = re.compile(r"(?<= )[A-Za-z0-9_-]{22}(?= +/)")


def of_groups(case, out, err):
    out = JAVA_CLASS.sub("", NEW_MEMBER.sub("MEMBER", out))
    listed = lambda found: found[1] + ", ".join(sorted(found[2].split(", ")))
    out, err = LISTS.sub(listed, out), LISTS.sub(listed, err)
    if "Error: Executing consumer group command failed" in out:
        # Followed by a stack trace.
        err = ""
    if "--list" in case[1] or "--reset-offsets" in case[1] or "--delete" in case[1]:
        out = sorted(out.splitlines())
    return out, err


def sorted_settings(found):
    return "Configs: " + ",".join(sorted(found[1].split(",")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="", help="HOST:PORT of a server that runs")
    parser.add_argument("--start", choices=("kafka", "monedula"), help="a cluster that this starts, and ends")
    parser.add_argument("--ports", help="FIRST-LAST, with --start")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--monedula", required=True)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("groups", nargs="*", default=[])
    args = parser.parse_args()
    if bool(args.server) == bool(args.start):
        parser.error("--server or --start")
    if not args.start:
        groups = args.groups or list(cases.CASES)
        return compare(args, groups, {"B": args.server})
    with three_nodes(args) as cluster:
        cluster.wipe()
        cluster.start()
        try:
            return compare(args, args.groups or list(cluster_cases.CASES), known_of(cluster))
        finally:
            cluster.wipe()


def known_of(cluster):
    """What the words of the cases stand for."""
    new = cluster.node(101)
    return {
        "B": cluster.bootstrap,
        "K": cluster.bootstrap_controllers,
        "NEW": str(new.config),
        "NEWDIR": re.search(r"directory\.id=(.*)", (new.data / "meta.properties").read_text())[1],
        "NODES": str(cluster.directory),
    }


def three_nodes(args):
    """Three combined nodes, and a controller that does not vote."""
    binary = pathlib.Path(args.monedula).resolve()
    if args.start == "kafka":
        install.broker_jars()
    first, _, last = (args.ports or "").partition("-")
    ports = range(int(first), int(last) + 1) if args.ports else None
    return clusters.Cluster(
        WORK / "tools-cluster",
        args.start,
        combined=3,
        controllers=1,
        dynamic=True,
        voters=[1, 2, 3],
        binary=binary,
        # A thread that a tool left behind may ask for a topic that is deleted by then.
        extra={"auto.create.topics.enable": "false"},
        log_dirs=2,
        ports=ports,
    )


def compare(args, groups, known):
    commands = {"kafka": shlex.split(args.kafka), "monedula": shlex.split(args.monedula)}
    different = intended = total = 0
    seconds = dict.fromkeys(SIDES, 0.0)
    for group in groups:
        todo = CASES[group]
        kept = args.keep / f"{group}.json" if args.keep else None
        answers = {}
        for side, prefix in SIDES.items():
            if side == "kafka" and kept and kept.exists():
                stored = json.loads(kept.read_text())
                if [entry["case"] for entry in stored] == [list(case) for case in todo]:
                    answers[side] = [entry["answer"] for entry in stored]
                    continue
            begin = time.monotonic()
            tools = Side(commands[side], known, prefix)
            try:
                answers[side] = [tools.run(case) for case in todo]
            finally:
                tools.stop()
            seconds[side] += time.monotonic() - begin
            if side == "kafka" and kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                entries = [{"case": c, "answer": a} for c, a in zip(todo, answers[side])]
                kept.write_text(json.dumps(entries, indent=1))
        for case, theirs, ours in zip(todo, answers["kafka"], answers["monedula"]):
            total += 1
            theirs, ours = comparable(case, theirs), comparable(case, ours)
            if theirs == ours:
                continue
            if tuple(case[:2]) in ON_PURPOSE:
                intended += 1
                continue
            different += 1
            print(f"DIFFERENT [{group}] {case[0]} {case[1]}")
            for part in ("code", "out", "err"):
                if theirs[part] != ours[part]:
                    print(f"   {part:4} Kafka:    {theirs[part]!r}\n        Monedula: {ours[part]!r}")
    times = ", ".join(f"{side} {taken:.1f} s" for side, taken in seconds.items() if taken)
    print(f"{total - different - intended} of {total} the same, {intended} different on purpose; {times}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
