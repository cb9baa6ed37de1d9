"""Money is moved between accounts in transactions while movers and brokers are killed and paused: nothing of it is made or lost.

    ../run --only money -- [--seconds N] [--seed N] [--nodes 1|3] [--networks] [--proxy MONEDULA-FAULTS [--late]] [--acts NAME...]
                           [--clients java librdkafka ...] [--isolation read_committed|read_uncommitted] [--mode transactional|plain]

A reader follows all accounts all the while. Whenever all movers stand still it reads to the end, and the sum of all accounts must be what
it was. See README.md. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server, or a cluster of three.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import checker
import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic
from harness import step, world
from harness.check import Checks, eventually, same
from harness.offsets import ends
from harness.paths import BROKER_JARS, LOG4J, LOGS, WORK
from harness.world import World

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
TOPIC, PARTITIONS, TIMEOUT_S, FENCED = "accounts", 4, 6, 3
JAVA = ["java", "-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{WORK / 'java' / 'exactly'}:{BROKER_JARS}/*", "Mover"]
# Of the second generation of transactions, and of the first.
COMMANDS = {"java": JAVA, "librdkafka": [sys.executable, HERE / "mover.py"]}
MOVER_ACTS = ("kill", "kill", "pause", "double")


class Bank:
    def __init__(self, args, stack):
        self.args, self.random = args, random.Random(args.seed)
        self.name = f"{AGAINST}-money-{os.getpid()}"
        self.world = World(stack, args, self.name, AGAINST, BINARY)
        self.cluster = self.world.cluster
        self.movers = {f"mover-{i}": client for i, client in enumerate(args.clients)}
        self.flag, self.processes, self.starts, self.ended = self.cluster.directory / "moving", {}, collections.Counter(), []
        stack.callback(lambda: [step.end_group(process, 0) for process in self.processes.values()])
        # In the order of reading, and how much of it there was when nobody moved anything.
        self.seen, self.points, self.done, self.at = [], [], collections.Counter(), dict.fromkeys(range(PARTITIONS), 0)

    def client(self, **more):
        return {"bootstrap.servers": self.cluster.bootstrap, "log_level": 2, "reconnect.backoff.max.ms": 300, **more}

    def start(self):
        self.world.start()
        admin = AdminClient(self.client())
        (future,) = admin.create_topics([NewTopic(TOPIC, PARTITIONS, self.world.copies)], operation_timeout=30).values()
        future.result(40)
        self.reader = ck.Consumer(self.client(**{"group.id": "unused", "enable.auto.commit": False, "isolation.level": self.args.isolation,
                                                 "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "enable.partition.eof": True}))
        self.reader.assign([ck.TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
        self.flag.touch()
        for name in self.movers:
            self.start_mover(name)
        eventually(60, lambda: self.read() or {e["transfer"].split(".")[0] for e in self.events("committed")} == set(self.movers))

    def start_mover(self, name):
        words = [*COMMANDS[self.movers[name]], self.cluster.bootstrap, TOPIC, PARTITIONS, name, self.args.mode, self.flag]
        self.processes[name] = step.spawn(f"{self.name}-{name}", words, append=self.starts[name] > 0)
        self.starts[name] += 1

    def watch(self):
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                if process.returncode != FENCED:
                    self.ended.append(f"{name} ended with {process.returncode}")
                self.start_mover(name)

    def events(self, kind):
        for name in self.processes:
            for line in (LOGS / f"{self.name}-{name}.out").read_text(errors="replace").splitlines():
                # A line may be torn where its writer was killed.
                if line.startswith("{") and line.endswith("}"):
                    event = json.loads(line)
                    if event["ev"] == kind:
                        yield event

    def read(self, wait_s=0.2):
        for message in self.reader.consume(500, wait_s):
            if message.error():
                # The end of what is committed: control records count.
                if message.error().code() == ck.KafkaError._PARTITION_EOF:
                    self.at[message.partition()] = message.offset()
            else:
                half = json.loads(message.value())
                self.seen.append((half["transfer"], half["account"], half["amount"]))

    def disturb(self):
        end = time.monotonic() + self.args.seconds
        kinds = self.args.acts or [*MOVER_ACTS, *self.world.kinds()]
        order = self.random.sample(sorted(set(kinds)), len(set(kinds)))
        while order or time.monotonic() < end:
            kind = order.pop() if order else self.random.choice(kinds)
            self.act(kind)
            self.done[kind] += 1
            self.read_for(self.random.uniform(0.5, 2))
            self.watch()
            self.stand_still()
            self.flag.touch()
        return " ".join(f"{kind}={n}" for kind, n in sorted(self.done.items()))

    def act(self, kind):
        name = self.random.choice(sorted(self.processes))
        process = self.processes[name]
        if kind == "kill":
            step.end_group(process, 0)
            self.start_mover(name)
        elif kind == "pause":
            os.killpg(process.pid, signal.SIGSTOP)
            self.read_for(self.random.choice([1, TIMEOUT_S + 3]))
            os.killpg(process.pid, signal.SIGCONT)
        elif kind == "double":
            self.start_mover(name)
            code = eventually(40, lambda: process.poll() is not None and (process.returncode,))
            same((FENCED,), code)
        else:
            self.world.act(kind, self.read_for)

    def read_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()

    def stand_still(self):
        """Nobody moves anything: what is open ends by itself or by the coordinator's clock, and the reader reads to the end."""
        self.flag.unlink()
        begin = {name: self.size(name) for name in self.processes}

        def still():
            self.watch()
            self.read(0.05)
            for name in self.processes:
                with open(LOGS / f"{self.name}-{name}.out", "rb") as file:
                    file.seek(begin[name])
                    assert b'"still"' in file.read(), f"{name} still moves"
        eventually(60, still)

        def at_the_end():
            self.read()
            same(ends(self.cluster.bootstrap, TOPIC, PARTITIONS), self.at)
        eventually(60, at_the_end)
        self.points.append(len(self.seen))

    def size(self, name):
        return (LOGS / f"{self.name}-{name}.out").stat().st_size

    def end(self):
        bites = self.world.settle()
        assert not self.args.proxy or bites, "the proxy has hit nothing"
        # From here on nothing is moved: nobody would read it.
        self.stand_still()
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            step.end_group(process, 20)
        assert not self.ended, self.ended
        return " ".join([f"records={len(self.seen)}", *(f"{kind}={n}" for kind, n in bites.items())])

    def none(self, wrong):
        assert not wrong, f"{len(wrong)}: " + " | ".join(wrong[:10])

    def balanced(self):
        self.none(checker.balanced(self.seen, self.points))
        return f"points={len(self.points)}"

    def whole(self):
        self.none(checker.whole(self.seen))

    def unseen(self):
        aborted = [e["transfer"] for e in self.events("aborted")]
        self.none(checker.unseen(self.seen, aborted))
        return f"aborted={len(aborted)}"

    def kept(self):
        committed = [e["transfer"] for e in self.events("committed")]
        self.none(checker.kept(self.seen, committed))
        return f"committed={len(committed)}"

    def tidy(self):
        self.cluster.wipe()
        for path in LOGS.glob(f"{self.name}-*"):
            path.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", nargs="+", choices=list(COMMANDS), default=["java", "librdkafka", "librdkafka"])
    parser.add_argument("--isolation", choices=["read_committed", "read_uncommitted"], default="read_committed")
    parser.add_argument("--mode", choices=["transactional", "plain"], default="transactional")
    parser.add_argument("--acts", nargs="+", choices=[*MOVER_ACTS, *world.ACTS])
    world.add_arguments(parser)
    checks = Checks()
    with contextlib.ExitStack() as stack:
        bank = Bank(parser.parse_args(), stack)
        if checks.check("begin", bank.start) and checks.check("disturb", bank.disturb) and checks.check("end", bank.end):
            for name in ("balanced", "whole", "unseen", "kept"):
                checks.check(name, getattr(bank, name))
        if not checks.failed:
            bank.tidy()
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())
