"""Many partitions: what they cost to create, to hold, to wait at, to stop and to start again."""

import atexit
import pathlib
import shutil
import signal
import subprocess
import time

import wire
from harness import server, step
from harness.paths import WORK

PER_TOPIC = 1000
CONSUMERS = 200
LED_LIMIT_S = 600
STOP_LIMIT_S = 300
GOALS = {"idle_cpu_percent": 0.2, "waiting_cpu_percent": 0.2, "restart_ms": 0.05}
FIGURES = ("create_s", "create_cpu_s", "kib_per_partition", "descriptors", "idle_cpu_percent", "waiting_cpu_percent", "rss_mib", "stop_s", "restart_ms",
           "restart_cpu_s", "describe_ms", "produce_s", "produce_cpu_s", "kib_per_written_partition", "written_descriptors", "recover_ms",
           "recover_cpu_s", "delete_s", "delete_cpu_s")


def cpu_s(pid):
    """User and system CPU-seconds of a process so far, ended threads included, to the nanosecond (its CPU-time clock)."""
    return time.clock_gettime((~pid << 3) | 2)


def topics(partitions):
    """Names and sizes of the topics that make up so many partitions."""
    return [(f"scale-{first // PER_TOPIC}", min(PER_TOPIC, partitions - first)) for first in range(0, partitions, PER_TOPIC)]


def assignments(partitions):
    """What each consumer reads: neighbouring partitions, all equally many."""
    everything = [(name, index) for name, count in topics(partitions) for index in range(count)]
    share = max(len(everything) // CONSUMERS, 1)
    for first in range(0, share * min(CONSUMERS, len(everything)), share):
        by_topic = {}
        for name, index in everything[first:first + share]:
            by_topic.setdefault(name, []).append(index)
        yield list(by_topic.items())


def share_of_core(s, seconds, during):
    before, begin = cpu_s(s.pid), time.monotonic()
    during(seconds)
    return 100 * (cpu_s(s.pid) - before) / (time.monotonic() - begin)


def create(s, partitions):
    client, before, begin = wire.Client(s.port), cpu_s(s.pid), time.monotonic()
    for name, count in topics(partitions):
        client.create_topic(name, count)
    for name, count in topics(partitions):
        while client.led_partitions(name) < count:
            if time.monotonic() - begin > LED_LIMIT_S:
                raise step.Failed(f"{s.name}: {name} has no leaders after {LED_LIMIT_S} s")
            time.sleep(0.02)
    return time.monotonic() - begin, cpu_s(s.pid) - before


def written(s, partitions, empty_mib, figures):
    """A description of everything, then a record in every partition."""
    client, begin = wire.Client(s.port), time.monotonic()
    for name, count in topics(partitions):
        while client.led_partitions(name) < count:
            time.sleep(0.02)
    figures["describe_ms"] = (time.monotonic() - begin) * 1000
    before, begin, records = cpu_s(s.pid), time.monotonic(), wire.batch(b"jackdaw")
    for name, count in topics(partitions):
        client.produce_to_all(name, count, records)
    figures["produce_s"], figures["produce_cpu_s"] = time.monotonic() - begin, cpu_s(s.pid) - before
    figures["kib_per_written_partition"] = (s.rss_mib() - empty_mib) * 1024 / partitions
    figures["written_descriptors"] = len(list(pathlib.Path(f"/proc/{s.pid}/fd").iterdir()))


def delete(s, partitions):
    """Until nobody is told of them any more; their files go later (`file.delete.delay.ms`)."""
    client, before, begin = wire.Client(s.port), cpu_s(s.pid), time.monotonic()
    client.delete_topics([name for name, _ in topics(partitions)])
    while any(client.led_partitions(name) for name, _ in topics(partitions)):
        time.sleep(0.02)
    return time.monotonic() - begin, cpu_s(s.pid) - before


def stop(s):
    """Seconds of a clean stop; Kafka may take longer than the suites allow."""
    begin = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    try:
        s.process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise step.Failed(f"{s.name}: no clean stop within {STOP_LIMIT_S} s") from None
    s.process = None
    return time.monotonic() - begin


def measure(kind, binary, n, partitions, idle_s):
    """One life of one server and the beginning of a second: a dict of figures."""
    name = f"bench-scale-{n}-{kind}"
    directory = WORK / "servers" / name
    shutil.rmtree(directory, ignore_errors=True)
    s = server.Server(kind, directory, binary, name=name)
    try:
        s.start()
        time.sleep(2)
        rss = s.rss_mib()
        figures = dict(zip(("create_s", "create_cpu_s"), create(s, partitions)))
        figures["kib_per_partition"] = (s.rss_mib() - rss) * 1024 / partitions
        figures["descriptors"] = len(list(pathlib.Path(f"/proc/{s.pid}/fd").iterdir()))
        time.sleep(5)
        figures["idle_cpu_percent"] = share_of_core(s, idle_s, time.sleep)
        consumers = wire.Consumers(s.port, assignments(partitions))
        consumers.run(5)
        figures["waiting_cpu_percent"] = share_of_core(s, idle_s, consumers.run)
        figures["rss_mib"] = s.rss_mib()
        consumers.close()
        figures["stop_s"] = stop(s)
        s.start()
        figures["restart_ms"], figures["restart_cpu_s"] = s.ready_ms, cpu_s(s.pid)
        written(s, partitions, rss, figures)
        s.kill()
        s.start()
        figures["recover_ms"], figures["recover_cpu_s"] = s.ready_ms, cpu_s(s.pid)
        figures.update(zip(("delete_s", "delete_cpu_s"), delete(s, partitions)))
        stop(s)
    finally:
        s.kill()
        # Not now: ext4 searches for inodes that were not deleted just before, which makes new files of the next server slow.
        atexit.register(s.wipe)
    return figures
