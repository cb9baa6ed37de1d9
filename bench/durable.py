"""Durable produce: every batch is on the disk before it is acknowledged (`flush.messages=1`), or a few milliseconds later (`flush.ms`).

The producers are `monedula-load`'s (crates/load), the same for both servers; each has a connection of its own, 128 KiB under way at most, and
Kafka's defaults otherwise. What the server asks of the disk is counted by `syncs.c`, which is loaded into its process. The batches are
those found in the logs, which must hold just the records that were acknowledged.
"""

import pathlib
import shutil
import struct
import time

import scale
from groups import Load
from harness import server, step, wire
from harness.paths import WORK

SIZE = 1024
# partitions, producers
EACH = tuple((partitions, producers) for partitions in (1, 100) for producers in (1, 16, 64))
LATER, UNSYNCED = ((1, 16), (100, 16)), (1, 16)
FLUSH_MS = 5
WARM_S, SECONDS = 1, 4
NEVER = 2**63 - 1
# What is flushed later comes from a server that looks so often, for its other logs never.
SETTINGS = {"auto.create.topics.enable": "false", "log.initial.task.delay.ms": "100"}
LOOKING = SETTINGS | {"log.flush.scheduler.interval.ms": str(FLUSH_MS), "log.flush.interval.ms": str(NEVER)}
GOALS = {f"each_{partitions}p_{producers}c_mb_s": 3 for partitions, producers in EACH}
CREATE_TOPICS = 19
# Without syncs Kafka must be so much faster, or they cost nothing here and the figures say nothing.
BITES = 1.5


def build():
    """The library that counts syncs."""
    library = WORK / "bench" / "syncs.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    step.run("build-syncs", ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).parent / "syncs.c", "-ldl"], 60)
    return library


class Counted:
    """A server whose syncs are counted."""

    def __init__(self, kind, binary, library, name, settings):
        directory = WORK / "servers" / name
        shutil.rmtree(directory, ignore_errors=True)
        self.server = server.Server(kind, directory, binary, settings, name=name)
        self.library, self.counts = library, WORK / "bench" / f"{name}.syncs"

    def __enter__(self):
        self.counts.write_bytes(bytes(24))
        self.server.start(("env", f"LD_PRELOAD={self.library}", f"MONEDULA_SYNCS={self.counts}"))
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.wipe()
        self.counts.unlink(missing_ok=True)

    def read(self):
        return struct.unpack("=QQQ", self.counts.read_bytes())


def create(s, name, partitions, configs):
    topic = {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Assignments": [],
             "Configs": [{"Name": key, "Value": str(value)} for key, value in configs.items()]}
    answer = wire.ask(s.port, CREATE_TOPICS, 7, {"Topics": [topic], "timeoutMs": 30_000, "validateOnly": False})
    if answer["Topics"][0]["ErrorCode"]:
        raise step.Failed(str(answer))


def found(data, topic):
    """Batches and records in the logs of a topic."""
    batches = records = 0
    for log in data.glob(f"{topic}-*/*.log"):
        with open(log, "rb") as file:
            while len(head := file.read(61)) == 61 and (size := struct.unpack_from(">i", head, 8)[0]) > 0:
                batches, records = batches + 1, records + struct.unpack_from(">i", head, 57)[0]
                file.seek(12 + size - 61, 1)
    return batches, records


def produce(counted, load, prefix, partitions, producers, configs, figures):
    s, name = counted.server, prefix.replace("_", "-")
    create(s, name, partitions, configs)
    driver = Load(load, s, f"{s.name}-{name}", topic=name)
    try:
        driver.ask("topic", partitions)
        warm = driver.ask("produce", WARM_S, producers, SIZE)
        (batches_before, _), before = found(s.data, name), counted.read()
        answer, cpu_s = driver.measured("produce", SECONDS, producers, SIZE)
    finally:
        driver.close()
    (files, mapped, nanoseconds), (batches, records) = (b - a for a, b in zip(before, counted.read())), found(s.data, name)
    if records != warm["records"] + answer["records"]:
        raise step.Failed(f"{s.name}: {records} records of {name} are there, not {warm['records'] + answer['records']}")
    batches -= batches_before
    size = answer["records"] * SIZE
    figures[f"{prefix}_mb_s"] = size / 1e3 / answer["ms"]
    figures[f"{prefix}_p50_ms"], figures[f"{prefix}_p99_ms"] = answer["p50_us"] / 1000, answer["p99_us"] / 1000
    figures[f"{prefix}_cpu_s_per_gb"] = cpu_s / (size / 1e9)
    figures[f"{prefix}_batches"] = batches
    figures[f"{prefix}_syncs"] = files
    figures[f"{prefix}_syncs_per_batch"] = files / batches
    figures[f"{prefix}_mapped_per_batch"] = mapped / batches
    figures[f"{prefix}_sync_ms"] = nanoseconds / 1e6 / max(files, 1)


def measure(kind, binary, load, library, n):
    """Two lives of one server: a dict of figures."""
    figures = {}
    with Counted(kind, binary, library, f"bench-durable-{n}-{kind}", SETTINGS) as counted:
        for partitions, producers in EACH:
            produce(counted, load, f"each_{partitions}p_{producers}c", partitions, producers, {"flush.messages": 1}, figures)
        partitions, producers = UNSYNCED
        produce(counted, load, "unsynced", partitions, producers, {}, figures)
        scale.stop(counted.server)
    each = f"each_{partitions}p_{producers}c"
    if not all(figures[f"each_{partitions}p_{producers}c_syncs"] for partitions, producers in EACH):
        raise step.Failed(f"{kind}: acknowledged without a sync")
    # Asked of Kafka, which syncs each batch: where one sync answers many batches it may cost next to nothing.
    if kind == "kafka" and figures["unsynced_mb_s"] < BITES * figures[f"{each}_mb_s"]:
        raise step.Failed(f"{kind}: {figures['unsynced_mb_s']:.1f} MB/s without syncs and {figures[f'{each}_mb_s']:.1f} with them: they cost nothing here")
    with Counted(kind, binary, library, f"bench-durable-{n}-{kind}-later", LOOKING) as counted:
        for partitions, producers in LATER:
            produce(counted, load, f"later_{partitions}p_{producers}c", partitions, producers, {"flush.ms": FLUSH_MS}, figures)
        scale.stop(counted.server)
    return figures
