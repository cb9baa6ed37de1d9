"""Compaction: megabytes a second and CPU-seconds per GB of one pass over a large log, and what producers feel of a cleaner that is at work.

A fifth of the log is clean when the pass is measured (`Fill.java` writes both parts): the same log, cleaned by either server. Then records come
at a steady pace, first while nothing is cleaned, then while the cleaner goes over the log again and again.
"""

import pathlib
import shutil
import time

import scale
from harness import server, step, wire
from harness.paths import WORK

TOPIC, SIZE, SEGMENT = "compacted", 1024, 100 << 20
# The part of the log that is clean when the pass begins.
CLEAN = 0.2
RATE, LATENCY_S = 3000, 20
CONFIG = {"log.cleaner.backoff.ms": "100", "log.cleaner.min.cleanable.ratio": "1"}
CREATE_TOPICS, ALTER = 19, 44
LIMIT_S = 600
GOALS = {"clean_mb_s": 2, "clean_cpu_s_per_gb": 0.4}


class Log:
    def __init__(self, s, fill):
        self.server, self.fill = s, fill
        configs = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT)}
        topic = {"Name": TOPIC, "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [],
                 "Configs": [{"Name": key, "Value": value} for key, value in configs.items()]}
        answer = wire.ask(s.port, CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        if answer["Topics"][0]["ErrorCode"]:
            raise step.Failed(str(answer))

    def write(self, name, count, keys, rate, seed):
        """Milliseconds, p50 and p99 in microseconds."""
        out = self.fill(name, self.server.bootstrap, TOPIC, count, keys, SIZE, rate, seed).split()
        return tuple(int(word) for word in out[-3:])

    def set(self, **configs):
        configs = [{"Name": key.replace("_", "."), "ConfigOperation": 0, "Value": value} for key, value in configs.items()]
        resource = {"ResourceType": 2, "ResourceName": TOPIC, "Configs": configs}
        wire.ask(self.server.port, ALTER, 1, {"Resources": [resource], "ValidateOnly": False})

    def segments(self):
        """Base offsets and sizes."""
        files = (self.server.data / f"{TOPIC}-0").glob("*.log")
        return sorted((int(file.stem), file.stat().st_size) for file in files)

    def cleaned(self):
        """The cleaner's own word on how far it has come."""
        path = pathlib.Path(self.server.data) / "cleaner-offset-checkpoint"
        lines = path.read_text().splitlines()[2:] if path.exists() else []
        return max((int(line.split()[2]) for line in lines if line.split()[0] == TOPIC), default=0)

    def clean(self):
        """Lets it be cleaned up to the active segment; the bytes that were there, and the seconds it took."""
        segments = self.segments()
        active, begin = segments[-1][0], time.monotonic()
        self.set(min_cleanable_dirty_ratio="0.01")
        while self.cleaned() < active:
            if time.monotonic() - begin > LIMIT_S:
                raise step.Failed(f"cleaned up to {self.cleaned()} of {active} after {LIMIT_S} s")
            time.sleep(0.01)
        took = time.monotonic() - begin
        self.set(min_cleanable_dirty_ratio="1")
        return sum(size for _, size in segments[:-1]), took


def measure(kind, binary, n, megabytes, fill):
    """One life of one server: a dict of figures."""
    name = f"bench-compaction-{n}-{kind}"
    directory = WORK / "servers" / name
    shutil.rmtree(directory, ignore_errors=True)
    s, figures = server.Server(kind, directory, binary, CONFIG, name=name), {}
    try:
        s.start()
        log = Log(s, fill)
        records = int(megabytes * 1e6 / SIZE)
        keys = int(records * CLEAN)
        log.write(f"{name}-clean", keys, keys, 0, 0)
        log.clean()
        log.write(f"{name}-dirty", records - keys, keys, 0, 1)
        before = scale.cpu_s(s.pid)
        size, took = log.clean()
        figures["clean_cpu_s_per_gb"] = (scale.cpu_s(s.pid) - before) / (size / 1e9)
        figures["clean_mb_s"] = size / 1e6 / took
        figures["left_mb"] = sum(size for _, size in log.segments()) / 1e6
        figures["rss_mib"] = s.rss_mib()
        # New segments come soon enough to keep the cleaner going.
        log.set(segment_bytes=str(4 << 20))
        log.write(f"{name}-warm", RATE * 5, keys, RATE, 2)
        _, _, figures["quiet_p99_us"] = log.write(f"{name}-quiet", RATE * LATENCY_S, keys, RATE, 3)
        log.set(min_cleanable_dirty_ratio="0.001")
        came, before = log.cleaned(), scale.cpu_s(s.pid)
        _, _, figures["cleaning_p99_us"] = log.write(f"{name}-cleaning", RATE * LATENCY_S, keys, RATE, 4)
        figures["cleaning_cpu_s"] = scale.cpu_s(s.pid) - before
        if log.cleaned() <= came:
            raise step.Failed("nothing was cleaned meanwhile")
        figures["p99_by_quiet"] = figures["cleaning_p99_us"] / figures["quiet_p99_us"]
        s.stop()
    finally:
        s.kill()
        s.wipe()
    return figures
