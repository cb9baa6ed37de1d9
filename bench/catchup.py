"""Catch-up: what producers, and consumers at the ends of their logs, feel of readers who bring old records from the disk into memory.

One directory with a few GB, written by Apache Kafka, that both servers open in turn. Before each pass of a reader over a partition its pages are
dropped from memory, so that all of it comes from the disk: how much did is counted by the system, or the run is void. Producers (acks=all, a
record at a time at a steady pace) and tails are on the same partitions and on those of another topic; first alone, then beside the readers.
"""

import contextlib
import multiprocessing
import os
import pathlib
import re
import statistics
import time

import paced
import recovery
import scale
import wire
from harness import step

COLD, OTHER = "cold", "other"
READERS = PARTITIONS = 4
# A JVM gets its time to compile.
WARM_S, QUIET_S, LEAD_S, BUSY_S = 10, 20, 2, 20
# So much of what readers got must have come from the disk.
COLD_SHARE = 0.8
READY_S = 60
# What readers may make of p99; the other goals compare the servers.
BY_QUIET = 1.5
GOALS = {f"{who}_{what}_catchup_p99_us": 1 for who in ("other", "same") for what in ("produce", "tail")}
FORK = multiprocessing.get_context("fork")


def directory(binary, produce, megabytes, record):
    return recovery.Directory(binary, produce, int(megabytes * 1e6 / record), "bench-catchup", COLD)


class Child:
    """A client in a process of its own; what its work gives comes at the end."""

    def __init__(self, work, *args):
        self.mine, theirs = FORK.Pipe(duplex=False)
        self.process = FORK.Process(target=self.run, args=(theirs, work, args), daemon=True)
        self.process.start()
        theirs.close()

    @staticmethod
    def run(pipe, work, args):
        try:
            pipe.send((work(*args), None))
        except Exception as error:
            pipe.send((None, f"{work.__name__}{args}: {type(error).__name__}: {error}"))

    def result(self, limit_s):
        if not self.mine.poll(limit_s):
            raise step.Failed(f"{self.process.name} says nothing")
        found, error = self.mine.recv()
        self.process.join(10)
        if error:
            raise step.Failed(error)
        return found

    def end(self):
        self.process.kill()


def read_from_disk(pid):
    """Bytes that the system has fetched from disks for a process."""
    return int(re.search(r"^read_bytes: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text(), re.M).group(1))


def until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def clients(s, times):
    """Who is measured, by name; and who disturbs them."""
    client, measured = wire.Client(s.port), {}
    for who, topic in (("other", OTHER), ("same", COLD)):
        ends = [paced.end(client, topic, partition) for partition in range(PARTITIONS)]
        measured[f"{who}_tail"] = Child(paced.tail, s.port, topic, ends, times["end"])
        measured[f"{who}_produce"] = Child(paced.produce, s.port, topic, PARTITIONS, times["end"])
    readers = []
    for partition, end in enumerate(ends[:READERS]):
        old = paced.Old(s.data / f"{COLD}-{partition}")
        readers.append(Child(paced.catch_up, s.port, COLD, partition, end, old, times["catch_up"], times["end"]))
    return measured, readers


def ready(s):
    """Both topics are there and led; a broker of just now may not know of it yet."""
    client = wire.Client(s.port)
    if client.led_partitions(OTHER) == 0:
        with contextlib.suppress(RuntimeError):
            client.create_topic(OTHER, PARTITIONS)
    for topic in (OTHER, COLD):
        begin = time.monotonic()
        while client.led_partitions(topic) < PARTITIONS or not paced.is_served(client, topic, PARTITIONS):
            if time.monotonic() - begin > READY_S:
                raise step.Failed(f"{s.name}: {topic} is not served after {READY_S} s")
            time.sleep(0.1)


def measure(opened, kind, n):
    """One life of one server: a dict of figures."""
    s, figures, all_clients = opened.open(kind, n), {}, []
    try:
        s.start()
        ready(s)
        now = time.monotonic() + 2
        times = {"quiet": now + WARM_S, "catch_up": now + WARM_S + QUIET_S}
        times["busy"] = times["catch_up"] + LEAD_S
        times["end"] = times["busy"] + BUSY_S
        measured, readers = clients(s, times)
        all_clients = [*measured.values(), *readers]
        until(times["quiet"])
        cpu = [scale.cpu_s(s.pid)]
        until(times["catch_up"])
        cpu.append(scale.cpu_s(s.pid))
        until(times["busy"])
        cpu.append(scale.cpu_s(s.pid))
        disk = read_from_disk(s.pid)
        until(times["end"])
        cpu.append(scale.cpu_s(s.pid))
        disk = read_from_disk(s.pid) - disk
        got = sum(size for reader in readers for at, size in reader.result(60) if at >= times["busy"])
        samples = {name: child.result(60) for name, child in measured.items()}
        for name, taken in samples.items():
            quiet = paced.percentiles(took for at, took in taken if times["quiet"] <= at < times["catch_up"])
            busy = paced.percentiles(took for at, took in taken if at >= times["busy"])
            for (percent, before), (_, during) in zip(quiet, busy):
                figures[f"{name}_quiet_{percent}_us"], figures[f"{name}_catchup_{percent}_us"] = before, during
                figures[f"{name}_{percent}_by_quiet"] = during / before
        figures["catchup_mb_s"] = got / 1e6 / BUSY_S
        figures["from_disk"] = disk / got if got else 0.0
        figures["quiet_cpu_percent"] = 100 * (cpu[1] - cpu[0]) / QUIET_S
        figures["catchup_cpu_percent"] = 100 * (cpu[3] - cpu[2]) / BUSY_S
        figures["rss_mib"] = s.rss_mib()
        if figures["from_disk"] < COLD_SHARE:
            raise step.Failed(f"{kind}: only {figures['from_disk']:.0%} of what was read came from the disk: it was not cold")
        s.stop()
    finally:
        for child in all_clients:
            child.end()
        s.kill()
    return figures


def show_goals(pairs):
    """A line for each goal that is no ratio of the servers."""
    for name in GOALS:
        key = name.replace("_catchup_p99_us", "_p99_by_quiet")
        ours = statistics.median(pair[1][key] for pair in pairs)
        print(f"{key}: {ours:.2f}, goal {BY_QUIET}")
