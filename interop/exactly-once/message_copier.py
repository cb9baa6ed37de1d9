"""Apache Kafka's own TransactionalMessageCopier, as in its system tests: each record is copied once while copiers and brokers are killed.

    ../run --only message-copier -- [--records N] [--seed N] [--nodes 1|3] [--networks] [--proxy MONEDULA-FAULTS [--late]]

Once with a copier for each partition of the input, once as a group. It ends by itself when it comes to the end that the input had at its
start. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server, or a cluster of three.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
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
from harness.paths import LOG4J, LOGS, TOOLS_JARS
from harness.world import World

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
INPUT, PARTITIONS, COPIERS, PER_TRANSACTION, TIMEOUT_MS = "mc-input", 2, 2, 100, 6000
JAVA = ["java", "-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{TOOLS_JARS}/*", "org.apache.kafka.tools.TransactionalMessageCopier"]


class Run:
    def __init__(self, args, stack):
        self.args, self.random = args, random.Random(args.seed)
        self.name = f"{AGAINST}-copier-{os.getpid()}"
        self.world = World(stack, args, self.name, AGAINST, BINARY)
        self.cluster, self.processes, self.starts = self.world.cluster, {}, collections.Counter()
        stack.callback(lambda: [step.end_group(process, 0) for process in self.processes.values()])

    def client(self, **more):
        return {"bootstrap.servers": self.cluster.bootstrap, "log_level": 2, "reconnect.backoff.max.ms": 300, **more}

    def start(self):
        self.world.start()
        admin = AdminClient(self.client())
        topics = [NewTopic(name, PARTITIONS, self.world.copies) for name in (INPUT, "mc-assigned", "mc-group")]
        for future in admin.create_topics(topics, operation_timeout=30).values():
            future.result(40)
        producer = ck.Producer(self.client(**{"enable.idempotence": True}))
        self.source = {p: [f"{p}:{n}" for n in range(self.args.records)] for p in range(PARTITIONS)}
        for p, values in self.source.items():
            for value in values:
                producer.produce(INPUT, value, partition=p)
        same(0, producer.flush(60))

    def begin(self, shape, number):
        words = [*JAVA, "--broker-list", self.cluster.bootstrap, "--input-topic", INPUT, "--input-partition", number,
                 "--output-topic", f"mc-{shape}", "--transactional-id", f"mc-{shape}-{number}", "--consumer-group", f"mc-{shape}",
                 "--transaction-size", PER_TRANSACTION, "--transaction-timeout", TIMEOUT_MS, "--enable-random-aborts",
                 *(["--group-mode", "--use-group-metadata"] if shape == "group" else [])]
        key = shape, number
        self.processes[key] = step.spawn(self.log(key), words, append=self.starts[key] > 0)
        self.starts[key] += 1

    def log(self, key):
        return f"{self.name}-{key[0]}-{key[1]}"

    def copied(self, key):
        """How much the last process of a seat says to have copied."""
        found = 0
        for line in (LOGS / f"{self.log(key)}.out").read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                found = json.loads(line)["totalProcessed"]
        return found

    def copy(self, shape):
        done, ended = collections.Counter(), collections.Counter()
        keys = [(shape, number) for number in range(COPIERS)]
        for key in keys:
            self.begin(*key)
        eventually(60, lambda: any(self.copied(key) for key in keys), 0.2)
        for kind in ["kill", *self.random.sample(["kill", *self.world.kinds()], 2)]:
            if kind == "kill":
                key = self.random.choice(keys)
                step.end_group(self.processes[key], 0)
                self.begin(*key)
            else:
                self.world.act(kind)
            done[kind] += 1
            time.sleep(self.random.uniform(0.5, 2))

        def all_done():
            for key in keys:
                code = self.processes[key].poll()
                # Some errors are its end, as in Kafka's own tests, where it is started again.
                if code not in (None, 0):
                    ended[code] += 1
                    self.begin(*key)
            return all(self.processes[key].poll() == 0 for key in keys)
        eventually(120, all_done, 0.3)
        return " ".join(f"{kind}={n}" for kind, n in [*sorted(done.items()), *((f"code-{code}", n) for code, n in ended.items())])

    def once(self, shape):
        reader = ck.Consumer(self.client(**{"group.id": "unused", "enable.auto.commit": False, "isolation.level": "read_committed",
                                            "enable.partition.eof": True, "auto.offset.reset": "earliest"}))
        end = ends(self.cluster.bootstrap, f"mc-{shape}", PARTITIONS)
        reader.assign([ck.TopicPartition(f"mc-{shape}", p, 0) for p in range(PARTITIONS)])
        found, at, limit = [], dict.fromkeys(end, 0), time.monotonic() + 60
        while any(at[p] < end[p] for p in end):
            assert time.monotonic() < limit, f"read up to {at} of {end}: a transaction stays open"
            for message in reader.consume(1000, 0.5):
                if message.error():
                    at[message.partition()] = max(at[message.partition()], message.offset())
                else:
                    found.append((message.partition(), message.value().decode()))
        reader.close()
        wrong = checker.copied_once(self.source, checker.by_partition(found))
        assert not wrong, f"{len(wrong)}: " + " | ".join(wrong[:20])
        return f"copies={len(found)} aborted-or-markers={sum(end.values()) - len(found)}"

    def settle(self):
        return " ".join(f"{kind}={n}" for kind, n in self.world.settle().items())

    def tidy(self):
        self.cluster.wipe()
        for path in LOGS.glob(f"{self.name}-*"):
            path.unlink()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2500, help="in each partition of the input")
    parser.add_argument("--seed", type=int, default=1)
    world.add_arguments(parser)
    checks = Checks()
    with contextlib.ExitStack() as stack:
        run = Run(parser.parse_args(), stack)
        if checks.check("begin", run.start):
            copied = [shape for shape in ("assigned", "group") if checks.check(f"copy-{shape}", run.copy, shape)]
            checks.check("settle", run.settle)
            for shape in copied:
                checks.check(f"once-{shape}", run.once, shape)
        if not checks.failed:
            run.tidy()
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())
