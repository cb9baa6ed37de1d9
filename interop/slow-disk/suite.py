"""One of two log directories lies on a slow disk that is kept busy: nobody who has nothing to do with it notices.

    ../run --only slow-disk

The slow disk is a small file system on a loop device whose bytes per second a cgroup limits, and of which the kernel holds few unwritten
pages (root, loop devices, cgroup v1). It is shown to be slow first. Figures are printed for the time before and while many write to it and read
cold data from it. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent)]
import requests
import disks
from harness import server, wire
from harness.check import Checks, eventually, same
from harness.paths import WORK

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")
BYTES_PER_S = 4 << 20
UNWRITTEN_BYTES = 16 << 20
PARTITIONS, COLD_MB, RECORD = 8, 240, 256 << 10
QUIET_S, BUSY_S = (int(os.environ.get(name, usual)) for name, usual in [("QUIET_S", "8"), ("BUSY_S", "30")])
WRITERS, READERS = 40, 16
# What a busy machine does to somebody whom nobody disturbs.
P99_MS, MAX_MS = 100, 1500
# Who asks for both directories in one fetch meets locks that are about to be taken for a write; he waits for none of them.
BOTH_P99_MS = 400
CONFIG = {"offsets.topic.num.partitions": "4", "offsets.topic.replication.factor": "1", "auto.create.topics.enable": "false",
          "group.initial.rebalance.delay.ms": "0"}


class SlowDisk:
    """A disk below a path that gets slow on request."""

    def __init__(self, all_disks, path):
        all_disks.new(path)
        device = os.stat(path).st_dev
        self.path, self.device = path, f"{os.major(device)}:{os.minor(device)}"

    def limit(self, bytes_per_s):
        for kind in ("read", "write"):
            (BLKIO / f"blkio.throttle.{kind}_bps_device").write_text(f"{self.device} {bytes_per_s}")

    def slow(self):
        bdi = pathlib.Path("/sys/class/bdi") / self.device
        with contextlib.suppress(OSError):
            # Kernels since 6.2; on others it takes longer until writers have to wait.
            (bdi / "strict_limit").write_text("1")
            (bdi / "max_bytes").write_text(str(UNWRITTEN_BYTES))
        self.limit(BYTES_PER_S)

    def bites(self):
        """Seconds for what a quick disk does at once."""
        begin, probe = time.monotonic(), self.path / "probe"
        with open(probe, "wb", buffering=0) as file:
            file.write(bytes(2 * BYTES_PER_S))
            os.fsync(file.fileno())
        took = time.monotonic() - begin
        probe.unlink()
        assert took > 1.5, f"the limit does not bite: {took:.2f} s"
        return f"{took:.1f}s"


def missing():
    if not (BLKIO / "blkio.throttle.write_bps_device").exists():
        return "no cgroup (v1) limits the bytes of disks here"
    disks.IMAGE_BYTES = 4 << 30
    return disks.missing()


class World:
    def __init__(self, all_disks):
        base = WORK / "servers" / f"slow-disk-{AGAINST}"
        shutil.rmtree(base, ignore_errors=True)
        self.slow = SlowDisk(all_disks, base / "slow")
        self.dirs = {"fast": base / "fast", "slow": base / "slow" / "data", "metadata": base / "metadata"}
        for path in self.dirs.values():
            path.mkdir(parents=True)
        config = CONFIG | {"log.dirs": f"{self.dirs['fast']},{self.dirs['slow']}", "metadata.log.dir": str(self.dirs["metadata"])}
        self.server = server.Server(AGAINST, base / "server", BINARY, config, name=f"slow-disk-{AGAINST}")
        self.server.data = self.dirs["metadata"]

    def start(self):
        self.server.start()
        topic = {"Name": "t", "NumPartitions": PARTITIONS, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
        answer = wire.ask(self.server.port, 19, 7, {"Topics": [topic], "timeoutMs": 10_000, "validateOnly": False})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer
        client = requests.Client(self.server.port)
        eventually(20, lambda: same(PARTITIONS, len(self.here("fast", "t")) + len(self.here("slow", "t"))))
        eventually(20, lambda: same(0, client.coordinator("g0")))
        groups = [f"g{n}" for n in range(100)]
        fast = self.here("fast", "__consumer_offsets")
        # Java's hash of the name says which partition is the group's.
        self.group = next(g for g in groups if java_hash(g) % 4 in fast)
        eventually(20, lambda: same(0, client.coordinator(self.group)))
        records = requests.batch(b"x" * RECORD)
        for partition in self.here("slow", "t"):
            eventually(20, lambda partition=partition: same(0, client.produce("t", partition, records)[0]))
            for _ in range(COLD_MB * (1 << 20) // RECORD // len(self.here("slow", "t"))):
                same(0, client.produce("t", partition, records)[0])
        for partition in self.here("fast", "t"):
            eventually(20, lambda partition=partition: same(0, client.produce("t", partition, requests.batch(b"x" * 1000))[0]))

    def here(self, directory, name):
        """The partitions of a topic in a directory."""
        return sorted(int(p.name.rsplit("-", 1)[1]) for p in self.dirs[directory].iterdir() if p.name.rsplit("-", 1)[0] == name)


def java_hash(text):
    value = 0
    for char in text:
        value = (value * 31 + ord(char)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def forget_what_was_read():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")


def load(world):
    """In a process of its own, which begins when it is told: what it computes is not to slow down who measures."""
    waiting, begin = os.pipe()
    child = os.fork()
    if child:
        os.close(waiting)
        return child, begin
    with contextlib.suppress(BaseException):
        os.close(begin)
        os.read(waiting, 1)
        work = requests.Load(world.server.port, "t", world.here("slow", "t"), WRITERS, READERS, RECORD).start()
        time.sleep(BUSY_S)
        work.stop()
        print(f"load: {work.written / 1e6:.0f} MB written, {work.read / 1e6:.0f} MB read, the slowest write took {work.slowest:.1f} s",
              file=sys.stderr, flush=True)
    os._exit(0)


def shown(figures):
    return " ".join(f"{key}={value:.1f}" for key, value in figures.items())


def run(checks, world):
    world.start()
    forget_what_was_read()
    world.slow.slow()
    checks.check("bites", world.slow.bites)
    child, begin = load(world)
    probes = requests.Probes(world.server.port, "t", world.here("fast", "t"), world.here("slow", "t"), world.group).start()
    time.sleep(2)
    probes.figures.take()
    time.sleep(QUIET_S)
    quiet, errors = probes.figures.take()
    checks.check("quiet", lambda: same({}, errors))
    os.write(begin, b"x")
    time.sleep(BUSY_S)
    busy, errors = probes.figures.take()
    os.waitpid(child, 0)
    world.slow.limit(0)
    # Whoever is still waiting hears now.
    time.sleep(2)
    late, late_errors = probes.figures.take()
    probes.stop()
    print(json.dumps({"quiet": quiet, "busy": busy, "late": late}, indent=1), file=sys.stderr)
    checks.check("busy", lambda: same({}, errors | late_errors))
    for name in ("produce", "tail", "both", "metadata", "heartbeat"):
        def measured(name=name):
            figures = busy.get(name)
            assert figures, f"no answer in {BUSY_S} s; then {shown(late.get(name, {}))}"
            worst = max(figures["max"], late.get(name, {}).get("max", 0))
            p99_ms = BOTH_P99_MS if name == "both" else P99_MS
            assert figures["p99"] <= p99_ms and worst <= MAX_MS, f"{shown(figures)} worst={worst:.1f}, before {shown(quiet[name])}"
            return f"{shown(figures)}, before {shown(quiet[name])}"
        checks.check(name, measured)


def main():
    why = missing()
    if why:
        print(f"FAIL slow-disk {why}")
        sys.exit(1)
    checks = Checks()
    with disks.Disks() as all_disks:
        world = World(all_disks)
        try:
            run(checks, world)
        finally:
            world.slow.limit(0)
            world.server.kill()
    sys.exit(1 if checks.failed else 0)


main()
