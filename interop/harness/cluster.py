"""A cluster under test: several nodes of either kind, with their roles, on ports of their own, in one directory.

    with Cluster(WORK / "trial", "monedula", binary=path, combined=3) as cluster:
        cluster.start()
        cluster.node(2).kill()
        cluster.wait_ready()
        cluster.node(2).start()

Kinds are 'kafka' (4.4.0), 'kafka-4.3.1' and 'monedula', one for all or one per node (`kinds={3: "kafka"}`); `node.kind` may change while the node
is down: the directory stays. `combined` nodes are broker and controller; `brokers` and `controllers` have one role. Broker
ids count from 1, ids of nodes that are controllers only from 101. `dynamic` makes a quorum whose voters may change
(kraft.version 1), `voters` then says who begins it (default: all controllers); the others can be added.
"""

import base64
import concurrent.futures
import os
import pathlib
import shutil
import signal
import subprocess
import time
import uuid

from . import wire
from .check import eventually
from .paths import BROKER_JARS, LOGS, TOOLS_JARS
from .ports import Ports
from .server import CLUSTER_ID, end_group_now, java
from .step import Failed, run, tail

READY_LIMIT_S = 180
STOP_LIMIT_S = 60
HEAP = "-Xms200M -Xmx400M"
GC = ["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
FIRST_CONTROLLER = 101
# The tools come with a broker of their own version.
KAFKA_JARS = {"kafka": BROKER_JARS, "kafka-4.3.1": TOOLS_JARS}


def directory_id():
    """A new id as Kafka writes them; one that begins with a dash would look like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


class Node:
    """One node of a cluster. `extra` are properties over the cluster's, read at each start."""

    def __init__(self, cluster, node_id, kind, roles, extra=None):
        self.cluster, self.id, self.kind, self.roles = cluster, node_id, kind, frozenset(roles)
        self.extra = dict(extra or {})
        self.directory = cluster.directory / f"node-{node_id}"
        self.logs_dirs = [self.directory / ("data" if i == 0 else f"data-{i}") for i in range(cluster.log_dirs)]
        self.name, self.host = f"{cluster.name}-{node_id}", cluster.hosts.get(node_id, "127.0.0.1")
        self.port = cluster.ports.take() if "broker" in roles else None
        self.replication_port = cluster.ports.take() if "broker" in roles and cluster.replication_listener else None
        self.controller_port = cluster.ports.take() if "controller" in roles else None
        self.directory_id, self.was_formatted = directory_id(), False
        self.process, self.paused, self.ready_ms = None, False, None
        self.out, self.err = LOGS / f"{self.name}.out", LOGS / f"{self.name}.err"

    @property
    def data(self):
        """The first log directory, which is that of the metadata log, too."""
        return self.logs_dirs[0]

    @property
    def metadata(self):
        """The directory of the metadata log."""
        return pathlib.Path(self.extra.get("metadata.log.dir", self.data))

    @property
    def config(self):
        return self.directory / "server.properties"

    @property
    def pid(self):
        return self.process.pid

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    @property
    def address(self):
        """Where it serves clients, for `wire`."""
        return self.host, self.port

    def is_broker(self):
        return "broker" in self.roles

    def is_controller(self):
        return "controller" in self.roles

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def format(self):
        """Prepares the log directories, unless they are."""
        self.write_config()
        if all((directory / "meta.properties").exists() for directory in (self.metadata, *self.logs_dirs)):
            return
        words = ["format", "--ignore-formatted", "-t", self.cluster.cluster_id, "-c", self.config, *self.cluster.format_words(self)]
        if self.kind in KAFKA_JARS:
            run(f"{self.name}-format", java(["-Xmx256M", "-XX:TieredStopAtLevel=1"], KAFKA_JARS[self.kind], "kafka.tools.StorageTool", *words), 120)
        else:
            run(f"{self.name}-format", [self.cluster.binary, *words], 60)
        self.was_formatted = True

    def write_config(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = self.cluster.properties(self)
        self.config.write_text("".join(f"{key}={value}\n" for key, value in lines.items() if value is not None))

    def start(self, wait=True, wrapper=(), env=None, formatted=False):
        """Starts the process, which must not run, and waits until it serves. Without `wait` see `wait_ready`. What is `formatted` is not
        looked at: a disk may be broken."""
        assert not self.alive(), f"{self.name} runs"
        LOGS.mkdir(parents=True, exist_ok=True)
        if not formatted:
            self.format()
        if self.kind in KAFKA_JARS:
            heap = os.environ.get("KAFKA_HEAP_OPTS", HEAP).split()
            command = java(heap + GC, KAFKA_JARS[self.kind], "kafka.Kafka", self.config)
        else:
            command = [self.cluster.binary, "start", self.config]
        self.began = time.monotonic()
        self.ready_ms = None
        with open(self.out, "wb") as o, open(self.err, "ab") as e:
            words = [*map(str, self.cluster.wrap(self)), *map(str, wrapper), *map(str, command)]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=o, stderr=e, start_new_session=True,
                                            env={**os.environ, **(env or {})})
        self.paused = False
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, limit_s=READY_LIMIT_S):
        """Until a broker knows itself as a live one, until a controller knows the leader of its quorum."""
        while not self.ready():
            if not self.alive():
                code = self.process.returncode if self.process else "no process"
                raise Failed(f"{self.name}: ended with {code} at start\n{tail(self.err)}")
            if time.monotonic() - self.began > limit_s:
                raise Failed(f"{self.name}: not ready after {limit_s} s\n{tail(self.err)}")
            time.sleep(0.05)
        self.ready_ms = (time.monotonic() - self.began) * 1000
        return self

    def ready(self):
        try:
            if self.is_broker():
                return any(b["NodeId"] == self.id for b in wire.metadata(self.address, limit_s=3)["Brokers"])
            return self.quorum_leader(limit_s=3) >= 0
        except (OSError, ValueError, IndexError):
            return False

    def quorum_leader(self, limit_s=wire.LIMIT_S):
        """The id of the quorum's leader as this node knows it; -1 for nobody."""
        if self.is_broker():
            return wire.quorum(self.address, limit_s)["LeaderId"]
        return wire.active_controller((self.host, self.controller_port), limit_s)

    def stop(self, limit_s=STOP_LIMIT_S):
        """A clean stop by SIGTERM; Failed when it takes too long, or when Monedula's exit code is not 0."""
        if not self.process:
            return
        self.resume()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name}: no clean stop within {limit_s} s\n{tail(self.err)}") from None
        self.process = None
        if code not in ((0, 143, -signal.SIGTERM) if self.kind in KAFKA_JARS else (0,)):
            raise Failed(f"{self.name}: exit code {code} at SIGTERM\n{tail(self.err)}")

    def kill(self):
        """kill -9, as a crash would."""
        if self.process:
            end_group_now(self.process)
            self.process, self.paused = None, False

    def pause(self):
        """The process stands still and keeps its connections."""
        if self.alive() and not self.paused:
            os.killpg(self.process.pid, signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.paused and self.alive():
            os.killpg(self.process.pid, signal.SIGCONT)
        self.paused = False

    def restart(self, wait=True, kind=None):
        """Stops cleanly and starts again, perhaps as the other kind on the same directory."""
        self.stop()
        self.kind = kind or self.kind
        return self.start(wait)

    def wipe(self):
        """Takes its data away, as a new disk would. It must be down."""
        assert not self.alive(), f"{self.name} runs"
        for directory in self.logs_dirs:
            shutil.rmtree(directory, ignore_errors=True)

    def lose(self):
        """Takes its data and its metadata log away. When it is formatted again it is nobody who began the quorum."""
        self.wipe()
        shutil.rmtree(self.metadata, ignore_errors=True)

    def rss_mib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


class Cluster:
    """Nodes that belong together. `extra` are properties of all nodes, `node_extra` of one ({id: {key: value}}); None takes a
    key away. `route(asking, asked)` may answer another "host:port" under which a node finds a controller, and
    `advertise(node, listener)` the address that a node tells others: the places for a proxy. `hosts` ({id: address}) and
    `wrap(node)`, words before its command, put nodes into networks of their own."""

    def __init__(self, directory, kind, combined=0, brokers=0, controllers=0, dynamic=False, voters=None, binary=None, kinds=None,
                 extra=None, node_extra=None, ports=None, log_dirs=1, replication_listener=False, cluster_id=CLUSTER_ID,
                 route=None, advertise=None, name=None, hosts=None, wrap=None):
        self.directory = pathlib.Path(directory)
        self.kind, self.binary, self.dynamic, self.cluster_id = kind, binary, dynamic, cluster_id
        self.extra, self.log_dirs, self.replication_listener = dict(extra or {}), log_dirs, replication_listener
        self.name = name or self.directory.name
        self.hosts, self.wrap = hosts or {}, wrap or (lambda node: ())
        self.ports = ports if isinstance(ports, Ports) else Ports(ports)
        self.route = route or (lambda asking, asked: f"{asked.host}:{asked.controller_port}")
        self.advertise = advertise or (lambda node, listener: f"{node.host}:{self.port_of(node, listener)}")
        kinds, node_extra = kinds or {}, node_extra or {}
        roles = {i: {"broker", "controller"} for i in range(1, combined + 1)}
        roles |= {combined + i: {"broker"} for i in range(1, brokers + 1)}
        roles |= {FIRST_CONTROLLER + i: {"controller"} for i in range(controllers)}
        self.nodes = [Node(self, i, kinds.get(i, kind), r, node_extra.get(i)) for i, r in roles.items()]
        self.voters = list(voters) if voters else [n.id for n in self.nodes if n.is_controller()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def node(self, node_id):
        return next(node for node in self.nodes if node.id == node_id)

    def brokers(self):
        return [node for node in self.nodes if node.is_broker()]

    def controllers(self):
        return [node for node in self.nodes if node.is_controller()]

    @property
    def bootstrap(self):
        return ",".join(node.bootstrap for node in self.brokers())

    @property
    def bootstrap_controllers(self):
        return ",".join(f"{node.host}:{node.controller_port}" for node in self.controllers())

    def add_node(self, node_id, roles, kind=None, extra=None):
        """One more node, not started yet. A controller is no voter before it is made one."""
        node = Node(self, node_id, kind or self.kind, roles, extra)
        self.nodes.append(node)
        return node

    @staticmethod
    def port_of(node, listener):
        return {"CONTROLLER": node.controller_port, "REPLICATION": node.replication_port, "PLAINTEXT": node.port}[listener]

    def properties(self, node):
        """The node's server.properties, in order."""
        names = [name for name in ("PLAINTEXT", "REPLICATION", "CONTROLLER") if self.port_of(node, name)]
        lines = {
            "process.roles": ",".join(role for role in ("broker", "controller") if role in node.roles),
            "node.id": node.id,
            "listeners": ",".join(f"{name}://{node.host}:{self.port_of(node, name)}" for name in names),
            "advertised.listeners": ",".join(f"{name}://{self.advertise(node, name)}" for name in names),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": ",".join(map(str, node.logs_dirs)),
        }
        if node.is_broker():
            lines["inter.broker.listener.name"] = "REPLICATION" if self.replication_listener else "PLAINTEXT"
        asked = [other for other in self.controllers() if other.id in self.voters]
        if self.dynamic:
            lines["controller.quorum.bootstrap.servers"] = ",".join(self.route(node, other) for other in asked)
        else:
            lines["controller.quorum.voters"] = ",".join(f"{other.id}@{self.route(node, other)}" for other in asked)
        copies = min(3, len(self.brokers()))
        lines |= {
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
        }
        return {**lines, **self.extra, **node.extra}

    def format_words(self, node):
        if not self.dynamic:
            return []
        if not node.is_controller() or node.id not in self.voters or node.was_formatted:
            return ["--no-initial-controllers"]
        begin = [self.node(i) for i in self.voters]
        return ["--initial-controllers", ",".join(f"{n.id}@{self.advertise(n, 'CONTROLLER')}:{n.directory_id}" for n in begin)]

    def start(self, wait=True):
        """Starts all nodes that are down, controllers first, and waits until every broker knows every other."""
        down = [node for node in self.nodes if not node.alive()]
        LOGS.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(Node.format, down))
        for node in sorted(down, key=lambda node: not node.is_controller()):
            node.start(wait=False)
        if wait:
            for node in down:
                node.wait_ready()
            self.wait_ready()
        return self

    def running(self):
        return [node for node in self.nodes if node.alive() and not node.paused]

    def wait_ready(self, limit_s=READY_LIMIT_S):
        """Until every running broker knows exactly the running brokers, and the running nodes agree on the quorum's leader."""
        eventually(limit_s, self.check_ready, 0.1)

    def check_ready(self):
        running = self.running()
        want = {node.id for node in running if node.is_broker()}
        leaders = set()
        for node in running:
            if node.is_broker():
                known = {broker["NodeId"] for broker in wire.metadata(node.address)["Brokers"]}
                assert known == want, f"{node.name} knows the brokers {sorted(known)} of {sorted(want)}"
            leaders.add(node.quorum_leader())
        assert len(leaders) <= 1 and -1 not in leaders, f"leaders of the quorum: {sorted(leaders)}"

    def leader(self, limit_s=30):
        """The node that leads the quorum, as some running node says."""
        def ask():
            for node in self.running():
                try:
                    found = node.quorum_leader()
                except OSError:
                    continue
                if found >= 0 and self.node(found).alive() and not self.node(found).paused:
                    return self.node(found)
            return False
        return eventually(limit_s, ask)

    def partitions(self, topic):
        """Index → partition of Metadata (LeaderId, LeaderEpoch, ReplicaNodes, IsrNodes, ...), by the first broker that answers."""
        for node in self.running():
            if not node.is_broker():
                continue
            try:
                (found,) = wire.metadata(node.address, [topic])["Topics"]
                return {p["PartitionIndex"]: p for p in found["Partitions"]}
            except OSError:
                continue
        raise ConnectionError("no broker answers")

    def wait_in_sync(self, topic, limit_s=60):
        """Until every replica of every partition of the topic is in sync."""
        def check():
            found = self.partitions(topic)
            lagging = {i: p["IsrNodes"] for i, p in found.items() if set(p["IsrNodes"]) != set(p["ReplicaNodes"]) or p["LeaderId"] < 0}
            assert found and not lagging, f"not in sync: {lagging or 'no partitions'}"
        eventually(limit_s, check)

    def stop(self, limit_s=STOP_LIMIT_S):
        """All nodes cleanly, brokers first. Combined nodes are told at once: without a majority the last one cannot say goodbye,
        and a node of Kafka then waits for minutes; it is killed when time is up."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for group in ([n for n in self.nodes if not n.is_controller()], self.controllers()):
                stopping = [(node, pool.submit(node.stop, limit_s)) for node in group]
                failures = [(node, future.exception()) for node, future in stopping if future.exception()]
                for node, failure in failures:
                    if node.kind not in KAFKA_JARS or node.alive():
                        raise failure

    def kill(self):
        for node in self.nodes:
            node.kill()

    def wipe(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


__all__ = ["Cluster", "Node", "Ports", "Failed"]
