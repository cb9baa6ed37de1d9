"""Exactly once: a topic is copied in transactions while copiers and brokers are killed, paused and doubled.

    ../run --only exactly-once -- [--seconds N] [--seed N] [--nodes 1|3] [--networks] [--proxy MONEDULA-FAULTS [--late]]
                                  [--clients java librdkafka franz-go] [--acts NAME...] [--mode exactly-once|uncommitted|plain]

--copier PATH adds the project's own client (cargo build -p monedula-client --example copier); alone with --clients none.

See README.md. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server, or a cluster of three.
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
import threading
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
INPUT, OUTPUT, GROUP, PARTITIONS, RATE = "eo-input", "eo-output", "eo-copiers", 4, 100
SESSION_S, TIMEOUT_S, STANDSTILL_S = 6, 6, 60
JAVA = ["java", "-Xmx160M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{WORK / 'java' / 'exactly'}:{BROKER_JARS}/*", "Copier"]
COMMANDS = {"java": JAVA, "librdkafka": [sys.executable, HERE / "copier.py"], "franz-go": [WORK / "go-clients", "copier"]}
FENCED, AGAIN = 3, 4
COPIER_ACTS = ("kill", "kill", "pause", "double")


class Seat:
    """One transactional id, and the processes that have it: one, for a moment two."""

    def __init__(self, run, client, number):
        self.run, self.client, self.id = run, client, f"{client}-{number}"
        self.log, self.process, self.olds, self.starts = f"{run.name}-{self.id}", None, [], 0

    def start(self):
        words = [*COMMANDS[self.client], self.run.cluster.bootstrap, GROUP, self.id, INPUT, OUTPUT, self.run.args.mode]
        self.process = step.spawn(self.log, words, append=self.starts > 0)
        self.starts += 1

    def events(self):
        lines = (LOGS / f"{self.log}.out").read_text(errors="replace").splitlines()
        # A line may be torn where its writer was killed.
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def kill(self):
        step.end_group(self.process, 0)
        self.start()

    def pause(self, seconds):
        os.killpg(self.process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.killpg(self.process.pid, signal.SIGCONT)

    def double(self):
        """The old one is to notice that it has lost its place."""
        self.olds.append(self.process)
        self.start()

    def watch(self):
        """The last one of a seat lives. One that lost its place, also to the coordinator's clock, says so and begins anew."""
        code = self.process.poll()
        if code is not None:
            if code == AGAIN:
                self.run.done["again"] += 1
            elif code != FENCED:
                self.run.ended.append(f"{self.id} ended with {code}")
            self.start()

    def stop(self):
        processes = [self.process, *self.olds]
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            step.end_group(process, 20)


class Run:
    def __init__(self, args, stack):
        self.args, self.random, self.ended = args, random.Random(args.seed), []
        self.name = f"{AGAINST}-exactly-{os.getpid()}"
        self.world = World(stack, args, self.name, AGAINST, BINARY)
        self.cluster = self.world.cluster
        self.seats = [Seat(self, client, i) for i, client in enumerate(args.clients)]
        stack.callback(lambda: [step.end_group(p, 0) for seat in self.seats for p in [seat.process, *seat.olds] if p])
        self.source, self.writing, self.done = collections.defaultdict(list), threading.Event(), collections.Counter()

    def start(self):
        self.world.start()
        self.admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 2})
        topics = [NewTopic(name, PARTITIONS, self.world.copies) for name in (INPUT, OUTPUT)]
        for future in self.admin.create_topics(topics, operation_timeout=30).values():
            future.result(40)
        self.writing.set()
        self.writer = threading.Thread(target=self.write, daemon=True)
        self.writer.start()
        for seat in self.seats:
            seat.start()
        eventually(90, self.all_copy, 0.2)

    def all_copy(self):
        """Every copier has committed something."""
        for seat in self.seats:
            seat.watch()
            assert not self.ended, self.ended
            assert any(e["ev"] == "commit" for e in seat.events()), f"{seat.id} has committed nothing yet"

    def write(self):
        """Numbered records, each once: the writer is idempotent and waits as long as it takes."""
        producer = ck.Producer({"bootstrap.servers": self.cluster.bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 2,
                                "message.timeout.ms": 300_000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 300})
        due = time.monotonic()
        while self.writing.is_set():
            for partition in range(PARTITIONS):
                value = f"{partition}:{len(self.source[partition])}"
                producer.produce(INPUT, value, partition=partition)
                self.source[partition].append(value)
            due += PARTITIONS / RATE
            producer.poll(0)
            time.sleep(max(0, due - time.monotonic()))
        self.unwritten = producer.flush(120)

    def disturb(self):
        end = time.monotonic() + self.args.seconds
        kinds = self.args.acts or [*COPIER_ACTS, *self.world.kinds()]
        # Each kind once, in some order, then as chance wants it.
        order = self.random.sample(sorted(set(kinds)), len(set(kinds)))
        while order or time.monotonic() < end:
            kind = order.pop() if order else self.random.choice(kinds)
            self.act(kind)
            self.done[kind] += 1
            time.sleep(self.random.uniform(0.5, 2.5))
            for seat in self.seats:
                seat.watch()
        return " ".join(f"{kind}={n}" for kind, n in sorted(self.done.items()))

    def act(self, kind):
        seat = self.random.choice(self.seats)
        if kind == "kill":
            seat.kill()
        elif kind == "pause":
            # For a moment, or for longer than its membership and its transaction last.
            seat.pause(self.random.choice([1, SESSION_S + 1, TIMEOUT_S + 3]))
        elif kind == "double":
            seat.double()
        else:
            self.world.act(kind)

    def settle(self):
        """All is written and copied, nothing is open; the copiers end."""
        self.writing.clear()
        bites = self.world.settle()
        assert not self.args.proxy or bites, "the proxy has hit nothing"
        self.writer.join(150)
        same(0, self.unwritten)
        sources = sum(len(values) for values in self.source.values())

        self.wait_copied()
        for seat in self.seats:
            seat.stop()
        return " ".join([f"records={sources}", *(f"{kind}={n}" for kind, n in bites.items())])

    def wait_copied(self):
        """Until the copiers have come to the input's end. On a busy machine there is much to catch up: what counts is that they go on."""
        copied, end = None, {}
        while copied != end:
            copied, end = eventually(STANDSTILL_S, lambda: self.further(copied), 0.5)

    def further(self, last):
        """What is copied and how much there is, unless that is where they were."""
        for seat in self.seats:
            seat.watch()
        wanted = [ck.TopicPartition(INPUT, p) for p in range(PARTITIONS)]
        (future,) = self.admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(GROUP, wanted)]).values()
        copied = {tp.partition: tp.offset for tp in future.result(20).topic_partitions}
        end = ends(self.cluster.bootstrap, INPUT, PARTITIONS)
        assert copied == end or copied != last, f"the copiers stand still at {copied} of {end}"
        return copied, end

    def fenced(self):
        """Of two with one id the older one gave way by itself, or had nothing to write any more."""
        codes = collections.Counter(process.returncode for seat in self.seats for process in seat.olds)
        assert set(codes) <= {FENCED, AGAIN, 0}, codes
        return f"fenced={codes[FENCED]} idle={codes[0]}"

    def read(self, topic, isolation):
        """All of a topic, up to where the last transaction ended."""
        reader = ck.Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                              "isolation.level": isolation, "enable.partition.eof": True, "auto.offset.reset": "earliest", "log_level": 2})
        partitions = [ck.TopicPartition(topic, p, 0) for p in range(PARTITIONS)]
        end = ends(self.cluster.bootstrap, topic, PARTITIONS)
        reader.assign(partitions)
        found, at = [], dict.fromkeys(range(PARTITIONS), 0)
        limit = time.monotonic() + 60
        while any(at[p] < end[p] for p in end):
            assert time.monotonic() < limit, f"read up to {at} of {end}: a transaction stays open"
            for message in reader.consume(1000, 0.5):
                if message.error():
                    assert message.error().code() == ck.KafkaError._PARTITION_EOF, message.error()
                    # The end for a reader of committed records is where the first open transaction begins.
                    at[message.partition()] = max(at[message.partition()], message.offset())
                else:
                    found.append((message.partition(), message.value().decode()))
        reader.close()
        return checker.by_partition(found)

    def once(self):
        # The writer of the input, librdkafka with idempotence, may write a record again under a new epoch when nobody answers for long.
        source = self.read(INPUT, "read_uncommitted")
        wrong = [f"{value} is not in the input" for p, values in self.source.items() for value in set(values) - set(source.get(p, []))]
        copies = self.read(OUTPUT, "read_committed")
        wrong += checker.copied_once(source, copies)
        assert not wrong, f"{len(wrong)}: " + " | ".join(wrong[:20])
        uncommitted = sum(len(values) for values in self.read(OUTPUT, "read_uncommitted").values())
        total = sum(len(values) for values in copies.values())
        return f"copies={total} aborted={uncommitted - total}"

    def told(self):
        """What copiers say of themselves: no one ended for any other reason."""
        count = collections.Counter(e["ev"] for seat in self.seats for e in seat.events())
        assert not self.ended, self.ended
        return " ".join(f"{kind}={n}" for kind, n in sorted(count.items()))

    def tidy(self):
        self.cluster.wipe()
        for path in LOGS.glob(f"{self.name}-*"):
            path.unlink()


def arguments(words=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", nargs="+", choices=[*COMMANDS, "none"], default=list(COMMANDS))
    parser.add_argument("--acts", nargs="+", choices=[*COPIER_ACTS, *world.ACTS])
    parser.add_argument("--mode", choices=["exactly-once", "uncommitted", "plain"], default="exactly-once")
    parser.add_argument("--copier", type=pathlib.Path)
    world.add_arguments(parser)
    args = parser.parse_args(words)
    args.clients = [client for client in args.clients if client != "none"]
    if args.copier:
        COMMANDS["monedula"] = [args.copier.resolve()]
        args.clients = [*args.clients, "monedula"]
    return args


def main():
    checks = Checks()
    with contextlib.ExitStack() as stack:
        run = Run(arguments(), stack)
        if checks.check("begin", run.start) and checks.check("disturb", run.disturb) and checks.check("settle", run.settle):
            checks.check("fenced", run.fenced)
            checks.check("exactly-once", run.once)
            checks.check("copiers", run.told)
        if not checks.failed:
            run.tidy()
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())
