"""A server, or a cluster of three, under applications with transactions; what is done to its nodes, its networks, and its frames.

    with contextlib.ExitStack() as stack:
        world = World(stack, args, "monedula-bank", "monedula", binary, config)
        world.start()
        world.act("isolate")
        world.settle()

With `--networks` each node has a network of its own, and more kinds of acts are possible. With `--proxy` the fault proxy is between
clients and nodes and between nodes: from `start` to `settle` single requests and answers of transactions are late, held, lost, and arrive
twice, whatever else is done. What is sent again seconds later (`--late`) only clients of the second generation of transactions bear:
before it a late EndTxn, marker or commit of offsets counts for the producer's next transaction.
"""

import collections
import random
import threading
import time

from .cluster import Cluster
from .network import Network, missing
from .paths import TOOLS_JARS, WORK
from .proxy import Proxy
from .server import java
from .step import Failed, run

SESSION_S = 3
CONFIG = {
    "offsets.topic.num.partitions": 6, "transaction.state.log.num.partitions": 6, "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000, "auto.create.topics.enable": "false", "broker.session.timeout.ms": SESSION_S * 1000,
    "broker.heartbeat.interval.ms": 500, "replica.lag.time.max.ms": 3000, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}
COPIES = {"min.insync.replicas": 2, "default.replication.factor": 3}
NODE_ACTS, PAUSE, CUTS = ("broker", "broker-stop"), "broker-pause", ("isolate", "deaf", "mute", "cut-pair", "flapping")
ACTS = (*NODE_ACTS, PAUSE, *CUTS)
APIS = ("InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit", "WriteTxnMarkers", "Produce")


def add_arguments(parser):
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--networks", action="store_true", help="a network for each of three nodes, which can be cut (root)")
    parser.add_argument("--proxy", metavar="MONEDULA-FAULTS", help="the fault proxy between clients and nodes, and between nodes")
    parser.add_argument("--transaction-version", type=int, choices=(0, 1), help="the first generation of transactions, for all clients")
    parser.add_argument("--late", action="store_true", help="requests are repeated seconds later, too")


class World:
    def __init__(self, stack, args, name, against, binary, config=None):
        self.args, self.random = args, random.Random(args.seed)
        self.proxy = stack.enter_context(TransactionsProxy(args.proxy)) if args.proxy else None
        self.network, more = None, {}
        if args.networks:
            if args.nodes == 1 or args.proxy or missing():
                raise Failed(f"--networks: {missing() or 'for three nodes, without --proxy'}")
            self.network = stack.enter_context(Network(range(1, args.nodes + 1)))
            more = {"hosts": self.network.hosts, "wrap": lambda node: self.network.wrap(node.id)}
        if self.proxy:
            more = {"route": self.proxy.route, "advertise": self.proxy.advertise, "replication_listener": True}
        extra = CONFIG | (COPIES if args.nodes > 1 else {}) | (config or {})
        self.cluster = stack.enter_context(Cluster(WORK / "servers" / name, against, combined=args.nodes, binary=binary, extra=extra,
                                                   name=name, **more))
        self.frames = Frames(self.proxy, args) if self.proxy else None
        if self.frames:
            stack.callback(self.frames.stop)

    @property
    def copies(self):
        return min(3, self.args.nodes)

    def kinds(self):
        """What can be done to this one."""
        return [*NODE_ACTS, *([PAUSE] if self.args.nodes > 1 else []), *(CUTS if self.network else [])]

    def start(self):
        self.cluster.start()
        if self.args.transaction_version is not None:
            words = ["--bootstrap-server", self.cluster.bootstrap, "downgrade", "--feature", f"transaction.version={self.args.transaction_version}"]
            run(f"{self.cluster.name}-features", java(["-Xmx128M"], TOOLS_JARS, "org.apache.kafka.tools.FeatureCommand", *words), 60)
        if self.frames:
            self.frames.start()

    def act(self, kind, idle=time.sleep):
        """Does it and heals it; `idle` is called with the seconds in between."""
        node = self.random.choice(self.cluster.nodes)
        try:
            getattr(self, kind.replace("-", "_"))(node, idle)
        finally:
            if self.network:
                self.network.heal()

    def broker(self, node, idle):
        node.kill()
        self.away(node, idle)

    def broker_stop(self, node, idle):
        node.stop()
        self.away(node, idle)

    def away(self, node, idle):
        # A session of a broker, or less.
        idle(self.random.choice([0, 1, SESSION_S + 1]) if self.args.nodes > 1 else self.random.uniform(0, 1))
        node.start()

    def broker_pause(self, node, idle):
        node.pause()
        idle(self.random.choice([1, SESSION_S - 1, SESSION_S * 2]))
        node.resume()
        # What it sends when it wakes is the point.
        idle(1)

    def isolate(self, node, idle, **ways):
        self.network.isolate(node.id, **ways)
        idle(self.random.uniform(SESSION_S, SESSION_S * 3))

    def deaf(self, node, idle):
        self.isolate(node, idle, outgoing=False)

    def mute(self, node, idle):
        self.isolate(node, idle, incoming=False)

    def cut_pair(self, node, idle):
        other = self.random.choice([each for each in self.cluster.nodes if each is not node])
        self.network.cut(node.id, other.id)
        if self.random.random() < 0.6:
            self.network.cut(other.id, node.id)
        idle(self.random.uniform(SESSION_S, SESSION_S * 3))

    def flapping(self, node, idle):
        end = time.monotonic() + self.random.uniform(4, 8)
        while time.monotonic() < end:
            self.network.isolate(node.id, outgoing=self.random.random() < 0.8, incoming=self.random.random() < 0.8)
            idle(self.random.uniform(0.1, 1.2))
            self.network.heal()
            idle(self.random.uniform(0.1, 0.8))

    def settle(self):
        """Nothing is done to anybody any more, and all know each other. How often frames were hit, by kind and API."""
        bites = self.frames.stop() if self.frames else {}
        self.cluster.wait_ready()
        return bites


class TransactionsProxy(Proxy):
    """Clients go through it, too."""

    def advertise(self, node, listener):
        if listener == "PLAINTEXT":
            return self.link(f"p{node.id}", f"127.0.0.1:{node.port}")
        return super().advertise(node, listener)


class Frames:
    """What is done to requests and answers of transactions, some at a time, all the while."""

    AT_ONCE = 3

    def __init__(self, proxy, args):
        self.proxy, self.args, self.stopping, self.bites = proxy, args, threading.Event(), collections.Counter()
        self.threads = [threading.Thread(target=self.run, args=(random.Random(args.seed * 7 + i),), daemon=True) for i in range(self.AT_ONCE)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            if thread.ident:
                thread.join(30)
        return dict(sorted(self.bites.items()))

    def run(self, chance):
        while not self.stopping.wait(chance.uniform(0, 0.5)):
            kind, api, what = self.choose(chance)
            name = self.proxy.fault("*", f"{what} api={api} skip={chance.randint(0, 3)}")
            # What is held is let go then.
            self.stopping.wait(chance.uniform(0.5, 4))
            bites = self.proxy.end(name)
            if bites:
                self.bites[f"{kind}-{api}"] += bites

    def choose(self, chance):
        api, way = chance.choice(APIS), chance.choice(("request", "response"))
        kinds = {
            "delay": f"delay way={way} ms={chance.randint(50, 2000)} count={chance.randint(1, 5)}",
            "hold": f"hold way={way} count={chance.randint(1, 2)}",
            "lose": f"lose way={way} count={chance.randint(1, 2)}",
            "reset": f"reset way={way} count={chance.randint(1, 2)}",
            "twice": f"repeat times={chance.randint(1, 2)} count=10",
        }
        if self.args.late:
            # Whoever asks for a producer id takes over, also by a request that was on its way for long.
            kinds["late"] = f"repeat ms={chance.randint(200, 6000)} count={1 if api == 'InitProducerId' else 10}"
        kind = chance.choice(sorted(kinds))
        return kind, api, kinds[kind]


__all__ = ["ACTS", "World", "add_arguments"]
