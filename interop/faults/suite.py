"""Failures of real processes under live clients: nothing that was acknowledged is lost, and writes go on soon.

    ../run --only faults -- [--nodes 3|5] [--separate] [--dynamic] [--minutes N | --faults KIND... | --all] [--seed N] [--strict]
                            [--proxy MONEDULA-FAULTS] [--transactions]

See README.md. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own cluster, a network for each node.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "list-append")]
import checker
import disks
import dump
from acts import Acts
from appends import TOPIC as LISTS
from appends import Appends
from clients import Clients
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import network
from harness.check import Checks, eventually
from harness.cluster import Cluster
from harness.paths import LOGS, WORK
from harness.proxy import Proxy
from plan import DISKS, KINDS, LAG_MS, NETWORK, PROXY, SESSION_MS, VOTERS, plan
from watch import Commits, Controller, Leaders, now_ms

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
TOPIC, PROBE = "faults", "faults-probe"
CONFIG = {
    "min.insync.replicas": 2, "default.replication.factor": 3, "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": SESSION_MS, "broker.heartbeat.interval.ms": 500, "replica.lag.time.max.ms": LAG_MS,
    "offsets.topic.num.partitions": 6, "transaction.state.log.num.partitions": 6,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000, "group.consumer.session.timeout.ms": 6000, "group.consumer.min.session.timeout.ms": 6000,
    "group.consumer.heartbeat.interval.ms": 1000, "group.consumer.min.heartbeat.interval.ms": 1000,
    "group.min.session.timeout.ms": 6000, "leader.imbalance.check.interval.seconds": 5,
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}


def none(found):
    """A check of the checker: no sentence is a success."""
    assert not found, f"{len(found)}: " + " | ".join(found)


class Run:
    """A cluster, its clients, and what was done to it. `settings` change what promises are made of, for `prove.py`."""

    def __init__(self, args, stack, extra=None, topic_config=None, acks="all"):
        self.args, self.random = args, random.Random(args.seed)
        self.name = f"{AGAINST}-faults-{os.getpid()}"
        self.partitions, self.topic_config, self.acks = 2 * args.nodes, topic_config or {}, acks
        roles = {"brokers": args.nodes, "controllers": 3} if args.separate else {"combined": args.nodes}
        ids = [*range(1, args.nodes + 1), *(range(101, 104) if args.separate else ())]
        self.why_not = {NETWORK: "the fault proxy is between the nodes" if args.proxy else network.missing(), DISKS: disks.missing(),
                        PROXY: None if args.proxy else "no --proxy", VOTERS: None if args.dynamic else "no --dynamic"}
        self.proxy = stack.enter_context(Proxy(args.proxy)) if args.proxy else None
        self.network = None if self.why_not[NETWORK] else stack.enter_context(network.Network(ids))
        self.disks = None if self.why_not[DISKS] else stack.enter_context(disks.Disks())
        self.have = {what for what, reason in self.why_not.items() if not reason}
        self.directory = WORK / "servers" / self.name
        hosts = self.network.hosts if self.network else None
        if self.proxy:
            roles |= {"route": self.proxy.route, "advertise": self.proxy.advertise, "replication_listener": True}
        wrap = (lambda node: self.network.wrap(node.id)) if self.network else None
        node_extra = {i: {"broker.rack": f"r{i}", "metadata.log.dir": self.directory / f"node-{i}" / "metadata"} for i in ids}
        self.cluster = stack.enter_context(Cluster(self.directory, AGAINST, binary=BINARY, extra={**CONFIG, **(extra or {})},
                                                   node_extra=node_extra, hosts=hosts, wrap=wrap, name=self.name, dynamic=args.dynamic,
                                                   **roles))
        for node in self.cluster.brokers() if self.disks else ():
            node.disk = self.disks.new(node.directory / "disk")
            # Not the disk's root, which has a directory that is no partition's.
            node.logs_dirs.append(node.disk / "data")
        topics = [TOPIC, "__consumer_offsets", *([LISTS, "__transaction_state"] if args.transactions else [])]
        self.acts = Acts(self.cluster, self.network, self.proxy, self.disks, self.random, TOPIC, topics)
        self.clients = Clients(self.name, self.cluster.bootstrap, TOPIC, self.partitions, acks, self.directory)
        stack.callback(self.clients.kill)
        self.appends, self.appending = None, threading.Event()
        if args.transactions:
            self.appends = Appends(self.name, self.cluster.bootstrap, self.directory)
            stack.callback(self.appends.kill)
        self.windows, self.watchers = [], []

    def start(self):
        begin = time.monotonic()
        self.cluster.start()
        ready_s = time.monotonic() - begin
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 2})
        topics = [NewTopic(TOPIC, self.partitions, 3, config=self.topic_config), NewTopic(PROBE, 1, 3)]
        for future in admin.create_topics(topics, operation_timeout=30).values():
            future.result(40)
        self.cluster.wait_in_sync(TOPIC)
        self.clients.start()
        self.clients.wait_begun(self.partitions)
        if self.appends:
            self.appends.start(3)
            self.disturber = threading.Thread(target=self.appends.disturb, args=(self.args.seed, self.appending), daemon=True)
            self.disturber.start()
        self.commits = Commits(self.acts.well, self.clients.groups, TOPIC)
        self.probes = [Controller(node, PROBE) for node in self.cluster.brokers()]
        self.leaders = Leaders(self.cluster, TOPIC)
        self.watchers = [each.start() for each in [self.commits, self.leaders, *self.probes]]
        return f"{len(self.cluster.nodes)} nodes ready after {ready_s:.1f} s"

    def kinds(self):
        if self.args.faults:
            yield from (KINDS[name] for name in self.args.faults)
            return
        begin = time.monotonic()
        every = len([kind for kind in KINDS.values() if kind.possible(self.have)])
        for number, kind in enumerate(plan(self.random, self.have)):
            if number == every if self.args.all else time.monotonic() - begin > self.args.minutes * 60:
                return
            yield kind

    def fault(self, kind):
        """One fault, its end, and peace again."""
        time.sleep(self.random.uniform(0.5, 1.5))
        window = {"kind": kind.name, "begin": now_ms()}
        self.windows.append(window)
        window["steps"] = self.acts.steps = []
        try:
            window["nodes"] = self.acts.do(kind.name)
            window["healed"] = now_ms()
            self.acts.settle()
        finally:
            window["settled"] = now_ms()
        self.clients.watch()
        time.sleep(0.5)
        return f"nodes {window['nodes']}, in sync {window['settled'] - window['healed']:.0f} ms after its end"

    def end(self):
        """Writers stop, readers read the rest; all leave. What goes wrong is told when there is something to be checked."""
        wrong = []

        def attempt(call, *args):
            try:
                call(*args)
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")

        attempt(self.clients.wait_written)
        self.acts.settle()
        if self.appends:
            self.appending.set()
            self.disturber.join(30)
            attempt(self.appends.end)
        self.held = self.on_disk()
        values = self.values()
        attempt(eventually, 60, lambda: none(checker.delivered(self.of("read"), values, self.clients.groups)), 1)
        for watcher in self.watchers:
            watcher.stop()
        attempt(self.clients.stop)
        assert not wrong, "; ".join(wrong)

    def tidy(self):
        """Nothing is left of a run that went well."""
        self.cluster.kill()
        if self.disks:
            self.disks.__exit__()
        self.cluster.wipe()
        for path in LOGS.glob(f"{self.name}-*"):
            path.unlink()

    def of(self, *kinds):
        return [e for e in self.clients.events() if e["ev"] in kinds]

    def on_disk(self):
        """Node → partition → batches, of every replica that is assigned; all replicas are in sync and nobody writes."""
        assigned = self.cluster.partitions(TOPIC)
        found = {}
        for node in self.cluster.brokers():
            own = [p for p, each in assigned.items() if node.id in each["ReplicaNodes"]]
            found[node.id] = {p: dump.batches(node.logs_dirs, TOPIC, p) for p in own}
            missing = [p for p, batches in found[node.id].items() if batches is None]
            assert not missing, f"node {node.id} has no directory of the partitions {missing}"
        return found

    def values(self):
        """Partition → {offset: value}, each from its first replica."""
        merged = {}
        for partitions in self.held.values():
            for p, batches in partitions.items():
                if p not in merged:
                    merged[p] = checker.contents(batches, dump.values)
        return merged

    def read_by_rack(self):
        """What a consumer is given that is nearest to each of the brokers: partition → {offset: value}, by node."""
        found = {}
        for node in self.cluster.brokers():
            consumer = Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": "nobody", "client.rack": f"r{node.id}",
                                 "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest", "log_level": 2})
            consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(self.partitions)])
            got, ended, end = {p: {} for p in range(self.partitions)}, set(), time.monotonic() + 60
            while len(ended) < self.partitions and time.monotonic() < end:
                for message in consumer.consume(1000, 0.5):
                    if message.error():
                        ended.add(message.partition())
                    else:
                        got[message.partition()][message.offset()] = message.value().decode().rsplit(":", 1)[0]
            consumer.close()
            assert len(ended) == self.partitions, f"nearest to node {node.id}: {self.partitions - len(ended)} partitions did not end"
            found[f"{node.id}, read"] = got
        return found


def measure(run):
    """Fills in what each fault cost: the longest stall of a partition and of the controller, and failed writes."""
    acks, failed = run.of("ack"), run.of("fail")
    given_up = checker.given_up(failed, acks, run.values())
    failed = [fail for fail in failed if fail not in given_up]
    for fail in given_up:
        print(f"# given up by its client, though it was written: {checker.value_of(fail)}, {fail['error']}", flush=True)
    changes = sorted(t for probe in run.probes for t in probe.times)
    for window in run.windows:
        begin, end = window["begin"], window["settled"]
        window["stall_ms"] = checker.stalls(acks, run.partitions, begin, end)
        window["writers_ms"] = checker.writers_stalls(acks, begin, end)
        window["controller_ms"] = checker.stall_ms(changes, begin, end)
        window["failed"] = sum(begin <= e["t"] <= end + 1000 for e in failed)
        window["sync_ms"] = end - window.get("healed", end)
    (WORK / f"faults-{AGAINST}.json").write_text(json.dumps({"nodes": run.args.nodes, "separate": run.args.separate, "dynamic": run.args.dynamic, "windows": run.windows}))


def promises(run):
    """Sentences about what stood still for longer than was promised."""
    found = []
    for window in run.windows:
        kind = KINDS[window["kind"]]
        for what, limit in (("stall_ms", kind.stall_ms), ("controller_ms", kind.controller_ms)):
            if limit is not None and window[what] > limit:
                found.append(f"{kind.name}: {what} {window[what]:.0f}, at most {limit}")
    return found


def writers(windows):
    """Of each kind the longest stall of a partition for each single writer, whose own way to a new leader is part of it."""
    for kind in KINDS:
        most = {}
        for window in windows:
            for writer, stall_ms in window["writers_ms"].items() if window["kind"] == kind else ():
                most[writer] = max(stall_ms, most.get(writer, 0))
        if most:
            print(f"# {kind}: longest stall by writer: " + ", ".join(f"{w} {ms:.0f} ms" for w, ms in sorted(most.items())), flush=True)


def codecs(run):
    """Batches of every codec are on the disks."""
    found = collections.Counter(b.codec for partitions in run.held.values() for batches in partitions.values() for b in batches)
    assert set(found) == set(dump.UNPACK), f"codecs {dict(found)}"
    return " ".join(f"{codec}={count}" for codec, count in sorted(found.items()))


def failed_writes(run):
    """Sentences about writes that failed although the cluster came back in time for them."""
    return [f"{w['kind']}: {w['failed']} writes failed" for w in run.windows if w["failed"]]


def table(windows):
    """Of each kind the worst that was seen, beside what the other server did in its last run."""
    other = "kafka" if AGAINST == "monedula" else "monedula"
    path = WORK / f"faults-{other}.json"
    theirs = json.loads(path.read_text())["windows"] if path.exists() else []
    print(f"{'fault':20} {'n':>3} {'stall ms':>10} {'controller ms':>14} {'in sync ms':>11} {'failed':>7}   last of {other}: the same")
    for kind in KINDS:
        row = [f"{kind:20}"]
        for found in ([w for w in windows if w["kind"] == kind], [w for w in theirs if w["kind"] == kind]):
            if found:
                most = {key: max(w.get(key, 0) for w in found) for key in ("stall_ms", "controller_ms", "sync_ms", "failed")}
                row.append(f"{len(found):>3} {most['stall_ms']:>10.0f} {most['controller_ms']:>14.0f} {most['sync_ms']:>11.0f} {most['failed']:>7}")
            else:
                row.append(" " * 49)
        if any(w["kind"] == kind for w in windows):
            print("   ".join(row), flush=True)


def verdict(checks, run):
    """All checks on what was written down and on what is on the disks."""
    acks, reads, commits = run.of("ack"), run.of("read"), run.of("commit")
    held = {str(node): {p: checker.contents(b, dump.values) for p, b in partitions.items()} for node, partitions in run.held.items()}
    values = run.values()
    records = sum(map(len, values.values()))
    def nearest():
        held.update(run.read_by_rack())
    checks.check("read-by-rack", nearest)
    checks.check("acked-kept", lambda: none(checker.acked_kept(acks, held)) or f"{len(acks)} acknowledgements, {records} records")
    checks.check("read-kept", lambda: none(checker.read_kept(reads, held)))
    checks.check("one-value", lambda: none(checker.one_value(acks, reads, held)))
    checks.check("replicas-equal", lambda: none(checker.replicas_equal(run.held)))
    checks.check("sequences", lambda: none(checker.sequences(run.held)))
    checks.check("in-order", lambda: none(checker.in_order(values)))
    checks.check("real-time", lambda: none(checker.real_time(acks)))
    checks.check("commits-kept", lambda: none(checker.commits_kept(commits, run.commits.seen)) or f"{len(commits)} commits, {len(run.commits.seen)} observations")
    checks.check("one-leader", lambda: none(checker.one_leader(run.leaders.seen)) or f"{len(run.leaders.seen)} answers")
    if run.acks == "all":
        checks.check("codecs", codecs, run)
    if run.appends and hasattr(run.appends, "history"):
        run.appends.verdict(checks)
    checks.check("clients-alive", lambda: none(run.clients.ended))
    measure(run)
    checks.check("writes-succeed", lambda: none(failed_writes(run)))
    if run.args.strict:
        checks.check("promises", lambda: none(promises(run)))


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3)
    parser.add_argument("--separate", action="store_true", help="three controllers beside the brokers, not combined nodes")
    parser.add_argument("--dynamic", action="store_true", help="a quorum whose voters may change (kraft.version 1)")
    parser.add_argument("--minutes", type=float, default=None, help="kinds by their weights, each once first (default: 3)")
    parser.add_argument("--all", action="store_true", help="every kind once, however long it takes")
    parser.add_argument("--faults", nargs="+", metavar="KIND", choices=KINDS, default=[], help="just these, in this order")
    parser.add_argument("--proxy", metavar="MONEDULA-FAULTS", help="the fault proxy between the nodes, instead of networks")
    parser.add_argument("--transactions", action="store_true", help="lists are appended to and read in transactions, too (../list-append)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="directories and logs stay after a run that went well, too")
    parser.add_argument("--strict", action="store_true", help="what takes longer than promised is a failure; for a quiet machine")
    args = parser.parse_args(words)
    # The suite's own command names some kinds.
    if args.all or args.minutes is not None:
        args.faults = []
    args.minutes = 3 if args.minutes is None else args.minutes
    args.seed = random.randrange(1 << 31) if args.seed is None else args.seed
    return args


def main():
    args, checks = arguments(), Checks()
    print(f"seed {args.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        run = Run(args, stack)
        for what in (NETWORK, DISKS):
            if run.why_not[what]:
                print(f"n/a {what} {run.why_not[what]}")
        if not checks.check("start", run.start):
            return 1
        for number, kind in enumerate(run.kinds(), 1):
            if not kind.possible(run.have):
                continue
            if not checks.check(f"fault-{number}-{kind.name}", run.fault, kind):
                break
        checks.check("end", run.end)
        if hasattr(run, "held"):
            verdict(checks, run)
            table(run.windows)
            writers(run.windows)
            for late in promises(run):
                print(f"# later than promised: {late}", flush=True)
            if AGAINST == "monedula":
                # The last node of Kafka waits in vain for a majority to say goodbye to.
                checks.check("stop", run.cluster.stop)
        history = LOGS / f"{AGAINST}-faults-history.json"
        history.write_text(json.dumps({"seed": args.seed, "name": run.name, "windows": run.windows, "observed": run.commits.seen}))
        if not checks.failed and not args.keep:
            run.tidy()
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
