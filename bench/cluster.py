"""Three nodes on this machine: what a gigabyte costs with three replicas, and how long a death is felt."""

import shutil
import statistics
import time

import wire as bench_wire
from harness import wire
from harness.check import eventually
from harness.cluster import Cluster
from harness.paths import WORK
from scale import cpu_s, topics

NODES = 3
SESSION_MS = 9000
LIMIT_S = 400
CREATE_TOPICS = 19
GOALS = {"produce_cpu_s_per_gb": 0.5, "consume_cpu_s_per_gb": 0.5}
EXTRA = {"default.replication.factor": NODES, "min.insync.replicas": 2, "broker.session.timeout.ms": SESSION_MS, "auto.create.topics.enable": "false",
         "auto.leader.rebalance.enable": "false"}


def total_cpu_s(cluster):
    return sum(cpu_s(node.pid) for node in cluster.nodes)


def load(cluster, name, records, record_bytes, produce, consume):
    """What it costs all nodes together to take and replicate records, and to give them once; half as many before, for warmth."""
    gigabytes = records * record_bytes / 1e9
    produce(f"{name}-warm", cluster.bootstrap, "warm", records // 2)
    consume(f"{name}-warm", cluster.bootstrap, "warm", records // 2)
    cluster.wait_in_sync("warm")
    before = total_cpu_s(cluster)
    figures = {"produce_mb_s": produce(name, cluster.bootstrap, "measured", records)}
    cluster.wait_in_sync("measured")
    figures["produce_cpu_s_per_gb"] = (total_cpu_s(cluster) - before) / gigabytes
    before = total_cpu_s(cluster)
    figures["consume_mb_s"], figures["checksum"] = consume(name, cluster.bootstrap, "measured", records)
    figures["consume_cpu_s_per_gb"] = (total_cpu_s(cluster) - before) / gigabytes
    figures["rss_mib"] = sum(node.rss_mib() for node in cluster.nodes)
    return figures


def create(cluster, partitions):
    client = bench_wire.Client(cluster.brokers()[0].port)
    for name, count in topics(partitions):
        client.create_topic(name, count, NODES)
    for name, _ in topics(partitions):
        cluster.wait_in_sync(name, LIMIT_S)


def without_leader(asked, partitions, gone):
    """How many partitions nobody alive leads, as a broker knows it."""
    names = [name for name, _ in topics(partitions)]
    answer = wire.metadata(asked.address, names)
    led = sum(p["LeaderId"] not in (-1, gone) for topic in answer["Topics"] for p in topic["Partitions"])
    return partitions - led


def created_ms(node, limit_s=LIMIT_S):
    """Milliseconds until a topic can be made through a node."""
    begin = time.monotonic()

    def attempt():
        topic = {"Name": f"probe-{time.monotonic_ns()}", "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
        answer = wire.ask(node.address, CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 5000, "validateOnly": False}, 10)
        return answer["Topics"][0]["ErrorCode"] == 0

    eventually(limit_s, attempt, 0.02)
    return (time.monotonic() - begin) * 1000


def deaths(cluster, partitions):
    """Kills a broker that does not control, then the one that does, each to come back."""
    create(cluster, partitions)
    leader = cluster.leader()
    victim = next(node for node in cluster.nodes if node is not leader)
    asked = next(node for node in cluster.nodes if node not in (leader, victim))
    before, begin = total_cpu_s(cluster) - cpu_s(victim.pid), time.monotonic()
    victim.kill()
    eventually(LIMIT_S, lambda: without_leader(asked, partitions, victim.id) == 0, 0.02)
    figures = {"broker_death_ms": (time.monotonic() - begin) * 1000}
    figures["broker_death_cpu_s"] = sum(cpu_s(node.pid) for node in (leader, asked)) - before
    begin = time.monotonic()
    victim.start(wait=False)
    victim.wait_ready(LIMIT_S)
    for name, _ in topics(partitions):
        cluster.wait_in_sync(name, LIMIT_S)
    figures["return_ms"] = (time.monotonic() - begin) * 1000
    leader = cluster.leader()
    leader.kill()
    figures["controller_death_ms"] = created_ms(next(node for node in cluster.nodes if node is not leader))
    return figures


def measure(kind, binary, n, partitions, records, record_bytes, produce, consume):
    """One life of one cluster: a dict of figures."""
    name = f"bench-cluster-{n}-{kind}"
    directory = WORK / "servers" / name
    shutil.rmtree(directory, ignore_errors=True)
    with Cluster(directory, kind, combined=NODES, binary=binary, extra=EXTRA, name=name) as cluster:
        cluster.start()
        figures = {"ready_ms": statistics.median(node.ready_ms for node in cluster.nodes)}
        figures |= load(cluster, name, records, record_bytes, produce, consume)
        figures |= deaths(cluster, partitions)
        cluster.kill()
        cluster.wipe()
    return figures
